import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from dj_neuron.errors import ContractError
from dj_neuron.strf import measure_time_course
from dj_neuron.strf.time_course import _measure, _parabolas

MEASURES = ("time_to_peak_s", "zero_crossing_s", "biphasic_index", "duration_s")
TEN_S = np.arange(10) / 60
FINE_S = np.linspace(0, 0.6, 60_001)


def course(delays_s, peak_s=0.08, rebound=0.6, polarity=1):
    def lobe(peak_s):
        scaled = np.maximum(delays_s, 0) / peak_s
        return scaled**4 * np.exp(4 - 4 * scaled)

    return polarity * (lobe(peak_s) - rebound * lobe(2.2 * peak_s))


def exactly(peak_s=0.08, rebound=0.6):
    """The measures of the course by their definitions, on a fine grid."""
    fine = course(FINE_S, peak_s, rebound)
    top, bottom = fine.argmax(), fine.argmin()
    crossing = top + np.flatnonzero(fine[top:] < 0)[0]
    wide = FINE_S[fine > fine[top] / 2]
    return np.array([FINE_S[top], FINE_S[crossing], -fine[bottom] / fine[top], wide[-1] - wide[0]])


def delays(rate_hz):
    return np.arange(-4, int(0.5 * rate_hz) + 1) / rate_hz


def measured(values, error, at_s, **options):
    return measure_time_course(values, np.full(values.shape, error), at_s, **options)


@pytest.mark.parametrize("peak_s", [0.05, 0.08, 0.12])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_sampled_at_60_hz_times_are_right_to_2_ms(peak_s, polarity):
    at_s = delays(60)
    found = measured(course(at_s, peak_s, polarity=polarity), 1e-4, at_s)
    known = exactly(peak_s)
    assert found.polarity == polarity
    assert (found.time_to_peak_s, found.zero_crossing_s, found.duration_s) == pytest.approx(known[[0, 1, 3]], abs=2e-3)
    assert found.biphasic_index == pytest.approx(known[2], rel=0.03)
    assert found.reason == ""


@pytest.mark.parametrize("rate_hz", [60, 120])
def test_errors_are_those_that_noise_makes(rate_hz):
    rng, at_s, known = np.random.default_rng(1), delays(rate_hz), exactly()
    z, errors = [], []
    for _ in range(80):
        found = measured(course(at_s) + 0.04 * rng.normal(size=at_s.size), 0.04, at_s, n_bootstrap=60)
        values = np.array([getattr(found, name) for name in MEASURES])
        errors.append(values - known)
        z.append(errors[-1] / [getattr(found, f"{name}_se") for name in MEASURES])
    within = np.mean(np.abs(z) < 1, axis=0)
    assert within == pytest.approx(np.full(4, 0.68), abs=0.2)
    assert np.mean(within) == pytest.approx(0.68, abs=0.1)
    assert np.abs(np.mean(errors, axis=0))[[0, 1, 3]].max() < 3e-3
    assert np.abs(np.mean(errors, axis=0))[2] < 0.06


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.1, 100))
def test_neither_sign_nor_unit_changes_the_measures(seed, scale):
    at_s = delays(60)
    values = course(at_s) + 0.05 * np.random.default_rng(seed).normal(size=at_s.size)
    one = measured(values, 0.05, at_s, n_bootstrap=20)
    other = measured(-scale * values, scale * 0.05, at_s, n_bootstrap=20)
    assert other.polarity == -one.polarity
    for name in MEASURES:
        assert getattr(other, name) == pytest.approx(getattr(one, name), nan_ok=True)


def test_polarity_is_that_of_the_peak_nearest_to_the_spike_even_if_the_rebound_is_higher():
    at_s = np.arange(12) / 60
    values = np.array([0, 0.1, 0.5, 0.6, 0.3, -0.4, -0.9, -1, -0.8, -0.3, -0.1, 0])
    found = measured(values, 0.02, at_s)
    assert found.polarity == 1
    assert found.time_to_peak_s == pytest.approx(2.8 / 60, abs=0.2 / 60)
    assert found.biphasic_index == pytest.approx(1 / 0.6, rel=0.1)


def test_neither_noise_nor_ripples_nor_what_follows_the_spike_is_a_lobe():
    at_s = delays(60)
    values = course(at_s)
    values[5] = -0.1  # 17 ms: within the noise
    assert measured(values, 0.05, at_s).polarity == 1
    assert measured(values, 1e-4, at_s).polarity == 1  # significant, but a tenth of the peak
    values[:4] = -1
    assert measured(values, 0.05, at_s).polarity == 1


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9), st.integers(0, 2**32 - 1))
def test_the_parabola_is_that_of_least_squares(y, seed):
    rng, n = np.random.default_rng(seed), len(y)
    x = np.cumsum(rng.uniform(0.3, 1.7, n)) - 2
    used = rng.permutation(np.arange(n + 4) < n)
    of_all = np.full((2, n + 4), 7.0)
    of_all[:, used] = x, y
    found = _parabolas(of_all[:1], of_all[1:], used[None])
    np.testing.assert_allclose(np.ravel(found), np.polyfit(x, y, 2), rtol=1e-6, atol=1e-8)


def naively(values, reach, at_s):
    """Polarity and measures of one course, step by step."""

    def vertex(values, top):
        first, last = top - 1, top + 1
        while (
            first > 0
            and (values[first : top + 1] >= 0.7 * values[top]).all()
            and values[first - 1] >= 0.7 * values[top]
        ):
            first -= 1
        while last < len(values) - 1 and (values[top : last + 2] >= 0.7 * values[top]).all():
            last += 1
        a, b, c = np.polyfit(at_s[first : last + 1] - at_s[top], values[first : last + 1], 2)
        place = -b / (2 * a) if a < 0 else np.inf
        if not at_s[first] <= at_s[top] + place <= at_s[last]:
            return at_s[top], values[top]
        return at_s[top] + place, c + b * place / 2

    def crossing(values, k):
        return np.interp(0, *zip(*sorted([(values[k], at_s[k]), (values[k + 1], at_s[k + 1])]), strict=True))

    least = [max(one, 0.2 * max(abs(values))) for one in reach]
    lobes = []
    for k, value in enumerate(values):
        if k == 0 or np.sign(value) != np.sign(values[k - 1]):
            lobes.append([])
        lobes[-1].append(k)
    lobes = [lobe for lobe in lobes if values[lobe[0]] and any(abs(values[k]) >= least[k] for k in lobe)]
    found = dict.fromkeys(MEASURES, np.nan)
    if not lobes:
        return 0, found
    polarity = np.sign(values[lobes[0][0]])
    values = polarity * values
    top = max(lobes[0], key=lambda k: values[k])
    if top in {0, len(values) - 1}:
        return polarity, found
    found["time_to_peak_s"], height = vertex(values, top)
    before = [k for k in range(top) if values[k] < height / 2]
    after = [k for k in range(top, len(values)) if values[k] < height / 2]
    if before and after and after[0] > top:
        found["duration_s"] = crossing(values - height / 2, after[0] - 1) - crossing(values - height / 2, before[-1])
    below = [k for lobe in lobes[1:] for k in lobe if values[k] < 0]
    if below:
        bottom = min(below, key=lambda k: values[k])
        turns = [k for k in range(top, bottom) if values[k] > 0 >= values[k + 1]]
        found["zero_crossing_s"] = crossing(values, turns[len(turns) // 2])
        if bottom < len(values) - 1:
            found["biphasic_index"] = vertex(-values, bottom)[1] / height
    return polarity, found


@settings(max_examples=200)
@example(seed=339312, n_delays=3, noise=1.0, rounded=False)
@given(st.integers(0, 2**32 - 1), st.integers(3, 20), st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_many_courses_are_measured_as_one_after_another(seed, n_delays, noise, rounded):
    rng = np.random.default_rng(seed)
    at_s = np.cumsum(rng.uniform(0.01, 0.02, n_delays))
    values = course(at_s, rng.uniform(0.02, 0.2)) + noise * rng.normal(size=(5, n_delays))
    values *= rng.choice([-1, 1], (5, 1))
    if rounded:
        values = values.round(1)  # ties and zeros
    reach = rng.uniform(0, 0.3, n_delays)
    found = _measure(values, reach, at_s)
    for number, one in enumerate(values):
        polarity, known = naively(one, reach, at_s)
        assert found.polarity[number] == polarity
        for name in MEASURES:
            assert getattr(found, name)[number] == pytest.approx(known[name], nan_ok=True, rel=1e-6, abs=1e-9), name


def test_the_top_of_a_lobe_with_a_dip_is_its_highest_point_and_not_the_dip():
    values = np.zeros(16)
    values[5:9] = [0.98, 0.8, 1, 0.95]
    found = measured(values, 1e-4, np.arange(16) / 60)
    assert found.time_to_peak_s == pytest.approx(7 / 60)
    assert found.duration_s == pytest.approx((8.47 - 4.51) / 60, rel=0.01)


@pytest.mark.parametrize("late", [False, True])
def test_a_lobe_that_falls_evenly_peaks_at_its_highest_point_and_not_beyond_all_of_them(late):
    values = np.array([0, 0.3, 0.97, 1, 0.93, 0.86, 0.79, 0.72, 0.3, 0])
    highest = 3
    if late:
        values, highest = values[::-1], 6
    assert measured(values, 1e-4, TEN_S).time_to_peak_s == TEN_S[highest]


def test_a_monophasic_course_has_no_zero_crossing():
    at_s = delays(60)
    found = measured(course(at_s, rebound=0) + 0.02 * np.random.default_rng(2).normal(size=at_s.size), 0.02, at_s)
    assert found.reason == "monophasic: no second lobe above 0.20 of the main one"
    assert np.isnan([found.zero_crossing_s, found.zero_crossing_s_se, found.biphasic_index]).all()
    assert found.time_to_peak_s == pytest.approx(0.08, abs=5e-3)
    assert found.duration_s_se > 0


@pytest.mark.parametrize(
    ("last_s", "words", "missing"),
    [
        (0.055, "the course is highest at its last delay", MEASURES),
        (
            0.1,
            "the main lobe reaches beyond the delays; monophasic: no second lobe above 0.20 of the main one",
            ("duration_s", "zero_crossing_s", "biphasic_index"),
        ),
        (0.17, "the second lobe reaches beyond the delays", ("biphasic_index",)),
    ],
)
def test_courses_cut_short_say_so(last_s, words, missing):
    at_s = delays(60)[delays(60) < last_s]
    found = measured(course(at_s), 1e-3, at_s)
    assert found.reason == words
    for name in MEASURES:
        assert np.isnan(getattr(found, name)) == np.isnan(getattr(found, f"{name}_se")) == (name in missing), name


def test_a_lobe_that_was_high_at_the_spike_already_has_no_width():
    found = measured(np.array([0.7, 1, 0.6, 0.3, -0.3, -0.5, -0.3, 0]), 1e-3, np.arange(8) / 60)
    assert found.reason == "the main lobe reaches beyond the delays"
    assert np.isnan([found.duration_s, found.duration_s_se]).all()
    assert np.isfinite([found.zero_crossing_s_se, found.biphasic_index_se]).all()


@pytest.mark.parametrize(("height", "polarity"), [(3.28, None), (3.3, 1), (-3.28, None), (-3.3, -1)])
def test_a_peak_must_be_higher_than_noise_is_at_any_delay_in_99_of_100_courses(height, polarity):
    # at each of 10 delays noise is beyond 3.29 standard errors once in 1000 times
    values = height * np.array([0, 0, 0, 0.5, 1, 0.5, 0, 0, 0, 0])
    assert measured(values, 1.0, TEN_S).polarity == polarity
    before = np.r_[[9.0, np.nan, 9.0], values]
    assert measured(before, 1.0, np.r_[-0.3, -0.2, -0.1, TEN_S]).polarity == polarity


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_may_be_noise_is_passed_over_even_if_it_is_higher(sign):
    values = np.array([0, sign * 0.5, 0, 0.15, 0.3, 0.15, -0.1, -0.2, -0.1, 0])
    found = measure_time_course(values, [0.01, 0.2, *[0.01] * 8], TEN_S)
    assert (found.polarity, found.reason) == (1, "")
    assert (found.time_to_peak_s, found.biphasic_index) == pytest.approx((4 / 60, 2 / 3))


@pytest.mark.parametrize(
    ("height", "error", "share"),
    [(1, [0.001] * 10, 0.2), (1, [0.1] * 10, 0.33), (0.5, [0.1] * 10, 0.66), (1, [0.1] * 6 + [0.2] + [0.1] * 3, 0.66)],
)
def test_a_second_lobe_must_be_higher_than_noise_and_a_fifth_of_the_main_one(height, error, share):
    lobe = np.array([0.5, 1, 0.5, 0])
    low, high = (
        measure_time_course(height * np.r_[0, lobe, -depth * lobe, 0], error, TEN_S)
        for depth in (share - 0.015, share + 0.005)
    )
    assert low.reason == f"monophasic: no second lobe above {share:.2f} of the main one"
    assert np.isnan([low.zero_crossing_s, low.biphasic_index]).all()
    assert np.isnan([low.zero_crossing_s_se, low.biphasic_index_se]).all()
    assert (high.reason, high.biphasic_index) == ("", pytest.approx(share + 0.005))
    assert low.time_to_peak_s == high.time_to_peak_s == pytest.approx(2 / 60)


@pytest.mark.parametrize("correlated", [False, True])
def test_errors_are_those_of_small_noise_by_the_slopes_of_the_measures(correlated):
    rng, at_s = np.random.default_rng(5), delays(60)[4:]
    error = 1e-4 * rng.uniform(0.2, 2, at_s.size)
    correlation = np.corrcoef(rng.normal(size=(at_s.size, 40))) if correlated else None

    def of(values, **options):
        found = measure_time_course(values, error, at_s, noise_correlation=correlation, **options)
        return found, np.array([getattr(found, name) for name in MEASURES])

    found, values = of(course(at_s), n_bootstrap=5000)
    moved = np.array([of(course(at_s) + one)[1] for one in np.diag(error)]) - values
    independent = np.eye(at_s.size) if correlation is None else correlation
    expected = np.sqrt(np.einsum("im,ij,jm->m", moved, independent, moved))
    np.testing.assert_allclose([getattr(found, f"{name}_se") for name in MEASURES], expected, rtol=0.05)


def test_noise_that_scales_the_course_changes_no_measure():
    values = np.array([0.1, 0.4, 1, 0.4, -0.2, -0.5, -0.2, -0.1])
    shared = np.full((8, 8), 1 - 1e-12) + 1e-12 * np.eye(8)
    found = measure_time_course(
        values,
        0.05 * np.abs(values),
        np.arange(8) / 60,
        noise_correlation=shared * np.outer(np.sign(values), np.sign(values)),
    )
    errors = [getattr(found, f"{name}_se") for name in MEASURES]
    assert 0 <= min(errors) <= max(errors) < 1e-6


@pytest.mark.parametrize(
    ("value", "error"), [(np.nan, 1), (np.inf, 1), (-np.inf, 1), (1, np.nan), (1, np.inf), (1, 0), (1, -1)]
)
def test_delays_without_a_value_or_before_the_spike_are_as_if_they_were_not_there(value, error):
    at_s = np.arange(-4, 31) / 60
    values, errors = course(at_s), np.full(at_s.size, 0.02)
    values[[2, 13]], errors[[2, 13]] = value, error
    correlation = toeplitz(0.7 ** np.arange(at_s.size))
    correlation[13], correlation[:, 13] = 0, 0
    correlation[13, 13] = 1
    there = np.delete(np.arange(at_s.size), [0, 1, 2, 3, 13])
    found = measure_time_course(values, errors, at_s, noise_correlation=correlation)
    assert found.reason == ""
    assert found == measure_time_course(
        values[there], errors[there], at_s[there], noise_correlation=correlation[np.ix_(there, there)]
    )


@pytest.mark.parametrize("polarity", [-1, 1])
def test_noisy_courses_of_the_other_polarity_tell_nothing_of_the_errors(polarity):
    values = polarity * np.array([0, 1.2, 3.4, 1.2, -2, -8, -10, -8, -2, 0])
    found = measured(values, 1.0, TEN_S)  # the first lobe is hardly significant: with more noise every other time
    assert found.polarity == polarity
    assert 0 < found.time_to_peak_s_se < 0.5 / 60


def test_errors_need_ten_noisy_courses():
    at_s = delays(60)
    few, enough = (measured(course(at_s), 1e-3, at_s, n_bootstrap=n) for n in (9, 10))
    assert np.isnan([getattr(few, f"{name}_se") for name in MEASURES]).all()
    assert np.isfinite([getattr(enough, f"{name}_se") for name in MEASURES]).all()
    assert measured(course(at_s), 1e-3, at_s) == measured(course(at_s), 1e-3, at_s, n_bootstrap=100, seed=0)


def test_a_peak_at_the_spike_itself_is_no_time_to_peak():
    at_s = np.arange(8) / 60
    found = measured(np.array([1.0, 0.5, 0.2, 0, -0.1, -0.3, -0.1, 0]), 0.01, at_s)
    assert found.reason == "the course is highest at its first delay"
    assert found.polarity == 1


def test_without_a_significant_peak_there_is_no_polarity():
    at_s = delays(60)
    found = [measured(np.random.default_rng(k).normal(size=at_s.size), 1.0, at_s).polarity for k in range(100)]
    assert found.count(None) > 94
    assert measured(np.zeros(at_s.size), 1.0, at_s).reason == "no significant peak"


def test_too_few_delays_say_so():
    for at_s in ([0.05], [-0.3, -0.2, -0.1, 0.0]):
        found = measured(np.ones(len(at_s)), 0.1, np.array(at_s))
        assert found.reason == "1 delay(s) of 0 s and more have a value, expected at least 3"
    assert measured(np.full(delays(60).size, np.nan), 0.1, delays(60)).polarity is None
    assert measured(np.ones(2), 0.1, np.array([0, 0.1])).reason.startswith("2 delay(s) of 0 s")
    found = measured(np.array([0, 1, 0]), 0.1, np.array([0, 0.1, 0.2]))
    assert (found.time_to_peak_s, found.duration_s) == pytest.approx((0.1, 0.1))


def test_the_same_seed_gives_the_same_errors():
    at_s = delays(60)
    assert measured(course(at_s), 0.05, at_s, seed=3) == measured(course(at_s), 0.05, at_s, seed=3)
    assert measured(course(at_s), 0.05, at_s, seed=3) != measured(course(at_s), 0.05, at_s, seed=4)


def test_bad_input_is_refused_in_words():
    three, four = np.arange(3.0), np.arange(4.0)
    for wrong in (
        (three, four, three),
        (four, three, four),
        (three, three, four),
        (four, four, three),
        (1.0, 1.0, 1.0),
        (three[:, None], three[:, None], three[:, None]),
    ):
        with pytest.raises(ContractError, match=r"course \(.*do not agree, expected \(n_delays,\)"):
            measure_time_course(*wrong)
    for at_s in ([2, 1, 0], [0, 1, 1], [0, 0, 1], [0, 2, 1]):
        with pytest.raises(ContractError, match="not ascending"):
            measure_time_course([1, 2, 3], [1, 1, 1], at_s)
