import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    judge_significance,
    smoothed_null,
    smoothed_shift_null,
    spike_triggered_average,
)

pytestmark = pytest.mark.usefixtures("three_threads")
RATE_HZ = 60.0
DELAYS = np.arange(-2, 8) / RATE_HZ


def naive(frames, counts, n_lags, shifts, block_size_um):
    """The largest smoothed |z| for every shift: place by place, lag by lag, spike by spike."""
    n_frames, n_y, n_x = frames.shape
    axes = [(n, size) for n, size in ((n_x, block_size_um[0]), (n_y, block_size_um[1])) if n > 1]
    smallest = min((size for _, size in axes), default=2 * max(block_size_um) / 2) / 2
    largest = min((n * size for n, size in axes), default=0) / 4
    scales = [smallest]
    while scales[-1] * 2 <= largest:
        scales.append(scales[-1] * 2)
    found = np.full(len(shifts), np.nan)
    y, x = (np.arange(n) * size for n, size in ((n_y, block_size_um[1]), (n_x, block_size_um[0])))
    for scale in scales[1:] or scales:
        steps = [max(1, int(scale / size)) for size in (block_size_um[1], block_size_um[0])]
        for row in range(0, n_y, steps[0]):
            for column in range(0, n_x, steps[1]):
                distance = (y[:, None] - y[row]) ** 2 + (x - x[column]) ** 2
                course = (frames * np.exp(-distance / (2 * scale**2))).sum(axis=(1, 2))
                if course.std() < 1e-5:
                    continue
                course = (course - course.mean()) / course.std()
                for place, shift in enumerate(shifts):
                    for lag in range(n_lags):
                        moved = course[(np.arange(n_frames) + shift - lag) % n_frames]
                        found[place] = np.fmax(found[place], abs(counts @ moved) / np.sqrt(counts @ counts))
    return found


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.tuples(st.integers(30, 120), st.integers(1, 9), st.integers(1, 12)),
    st.sampled_from([(8.0, 8.0), (10.0, 25.0)]),
    st.booleans(),
    st.sampled_from([1, 4]),
)
def test_it_agrees_with_a_naive_loop(seed, shape, block_size_um, is_graded, n_lags):
    rng = np.random.default_rng(seed)
    frames = rng.normal(2, 1, shape) if is_graded else rng.choice([-1, 1], shape)
    clock = FrameClock.regular(10, shape[0], 0.3)
    trains = [np.sort(rng.uniform(-1, clock.ends_s[-1] + 1, n)) for n in (0, 3, 200)]
    delays = np.arange(-1, n_lags) / 10
    what = (frames, clock, trains, delays)
    null = circular_shift_null(*what, neuron_numbers=range(3), seed=1, n_shifts=5, margin_s=0.1)
    with pytest.MonkeyPatch.context() as patch:  # several pieces in space and time
        patch.setattr(smoothed_null, "_CHUNK_VALUES", 1000)
        patch.setattr(smoothed_null, "_GROUP_VALUES", 2000)
        patch.setattr(smoothed_null, "_SPECTRUM_VALUES", 5000)
        smoothed = smoothed_shift_null(*what, block_size_um, null)
    assert np.isnan(smoothed.observed[0])
    for i in (1, 2):
        latest, earliest = clock.frames_at(trains[i], 0.0), clock.frames_at(trains[i], delays[-1])
        counts = np.bincount(latest[(latest >= 0) & (earliest >= 0)], minlength=shape[0])
        if counts.any():
            expected = naive(frames, counts, n_lags, [0, *null.shifts[i]], block_size_um)
            np.testing.assert_allclose([smoothed.observed[i], *smoothed.maxima[i]], expected, rtol=1e-3, atol=1e-3)


def test_places_that_never_change_take_no_part():
    rng = np.random.default_rng(4)
    frames, clock = np.full((200, 6, 8), 0.7), FrameClock.regular(10, 200, 0)
    what = (frames, clock, [np.sort(rng.uniform(0, 20, 60))], np.arange(3) / 10)
    for n_changing in (0, 2):
        frames[:, :n_changing, :n_changing] = rng.normal(size=(200, n_changing, n_changing))
        null = circular_shift_null(*what, neuron_numbers=[0], seed=1, n_shifts=9)
        smoothed = smoothed_shift_null(*what, (8.0, 8.0), null)
        shown = clock.frames_at(what[2][0], 0.0)
        counts = np.bincount(shown[shown >= 2], minlength=200)
        expected = naive(frames, counts, 3, [0, *null.shifts[0]], (8.0, 8.0))
        np.testing.assert_allclose([smoothed.observed[0], *smoothed.maxima[0]], expected, rtol=2e-3)


def test_lags_are_all_frames_between_the_first_and_the_last_delay():
    rng = np.random.default_rng(5)
    frames, clock = rng.choice([-1, 1], (300, 5, 6)), FrameClock.regular(10, 300, 0)
    train = np.sort(rng.integers(20, 280, 90) + 0.5) / 10
    null = circular_shift_null(frames, clock, [train], [0.0, 0.3], neuron_numbers=[0], seed=1, n_shifts=9)
    of_all = smoothed_shift_null(frames, clock, [train], np.arange(4) / 10, (8.0, 8.0), null)
    for delays, later in (([0.3, -0.4, 0.0], 0), ([0.2, 0.5], 2)):
        found = smoothed_shift_null(frames, clock, [train + later / 10], delays, (8.0, 8.0), null)
        np.testing.assert_array_equal(found.maxima, of_all.maxima)
        np.testing.assert_array_equal(found.observed, of_all.observed)
    one = smoothed_shift_null(frames, clock, [train], [-0.1, 0.0], (8.0, 8.0), null)
    counts = np.bincount(np.rint(train * 10 - 0.5).astype(int), minlength=300)
    np.testing.assert_allclose(one.maxima[0], naive(frames, counts, 1, null.shifts[0], (8.0, 8.0)), rtol=1e-3)
    before = smoothed_shift_null(frames, clock, [train], [-0.2, -0.1], (8.0, 8.0), null)
    assert np.isnan([before.observed[0], *before.maxima[0]]).all()


def test_spikes_without_a_history_do_not_make_up_the_least_number():
    rng = np.random.default_rng(6)
    frames, clock = rng.choice([-1, 1], (100, 2, 3)), FrameClock.regular(10, 100, 0)
    trains, delays = [[1.0, 2.0, 3.0], [1.0, 2.0], [0.1, 1.0, 2.0], [1.0, 2.0, 10.1], []], np.arange(3) / 10
    for least, n_known in ((3, 1), (2, 4), (0, 4)):
        null = circular_shift_null(
            frames, clock, trains, delays, neuron_numbers=range(5), seed=1, n_shifts=3, min_spikes=least
        )
        smoothed = smoothed_shift_null(frames, clock, trains, delays, (8.0, 8.0), null)
        assert np.isfinite(smoothed.observed).tolist() == [True] * n_known + [False] * (5 - n_known)
        assert (smoothed.seed, smoothed.min_spikes) == (1, least)
        np.testing.assert_array_equal(smoothed.shifts, null.shifts)


@pytest.mark.parametrize(
    ("n_lags", "last_frames_s", "is_whole"),
    [
        (4, [0.1, 0.2], True),
        (4, [0.3], False),
        (4, [0.05, 0.06], True),
        (4, [0.04] * 4, False),
        (10, [0.05, 0.06] * 2, True),
        (10, [0.05, 0.06] * 3, False),
    ],
)
def test_a_history_may_have_a_frame_more_or_less_and_a_tenth(n_lags, last_frames_s, is_whole):
    edges = np.cumsum([0, *[0.1] * 30, *last_frames_s, *[0.1] * 30])
    clock = FrameClock.from_edges(edges)
    assert clock.frame_rate_hz == pytest.approx(10, abs=0.4)
    frames = np.random.default_rng(7).normal(size=(edges.size - 1, 1, 1))
    spike = 3.0 + sum(last_frames_s) + 0.05  # in the frame after these, which are part of its history
    what = (frames, clock, [[spike]], np.arange(n_lags) / 10)
    null = circular_shift_null(*what, neuron_numbers=[0], seed=1, n_shifts=3, margin_s=0.1)
    assert np.isfinite(smoothed_shift_null(*what, (8.0, 8.0), null).observed[0]) == is_whole


def test_no_history_reaches_across_a_join_or_a_gap():
    starts = np.concatenate([np.arange(30), 40 + np.arange(30)]) / 10
    frames, rng = np.zeros((60, 1, 1)), np.random.default_rng(0)
    frames[:, 0, 0] = rng.normal(size=60)
    delays = np.arange(4) / 10
    for clock in (
        FrameClock.from_starts(starts, 7.0, gaps_s=[(3.0, 4.0)]),
        FrameClock.from_edges(np.arange(61) / 10, joins_s=[4.0]),
    ):
        # history before the onset, in the gap, whole, whole
        what = (frames, clock, [[0.15], [4.15], [2.95], [4.35]], delays)
        null = circular_shift_null(*what, neuron_numbers=range(4), seed=1, n_shifts=5, margin_s=0.1)
        smoothed = smoothed_shift_null(*what, (8.0, 8.0), null)
        assert np.isnan(smoothed.observed).tolist() == [True, True, False, False]


def test_a_history_of_long_frames_is_none():
    edges = np.concatenate([np.arange(30), 30 + 4 * np.arange(6), 55 + np.arange(30)]) / 10
    frames = np.random.default_rng(0).normal(size=(65, 1, 1))
    # four frames of history, two of which last as long as four, four frames after these
    what = (frames, FrameClock.from_edges(edges), [[2.95], [4.35], [6.35]], np.arange(4) / 10)
    null = circular_shift_null(*what, neuron_numbers=range(3), seed=1, n_shifts=5, margin_s=0.1)
    assert np.isnan(smoothed_shift_null(*what, (8.0, 8.0), null).observed).tolist() == [False, True, False]


def broad_field_trains(rng, frames, n_trains, strength):
    """Spikes 3 frames after a Gaussian of 3 blocks was bright on average, weakly."""
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    weights = np.exp(-((y - 9) ** 2 + (x - 11) ** 2) / 18)
    drive = np.roll((frames * weights).sum(axis=(1, 2)) / np.sqrt(np.sum(weights**2)), 3)
    rates = 0.1 * np.exp(strength * drive - strength**2 / 2)
    return [(np.flatnonzero(rng.random(len(frames)) < rates) + 0.5) / RATE_HZ for _ in range(n_trains)]


def judged_with_both(frames, clock, trains, seed, n_shifts=199):
    what = (frames, clock, trains, DELAYS)
    null = circular_shift_null(*what, neuron_numbers=range(len(trains)), seed=seed, n_shifts=n_shifts)
    smoothed = smoothed_shift_null(*what, (40.0, 40.0), null)
    return judge_significance(spike_triggered_average(*what), null, 1 / RATE_HZ, smoothed=smoothed)


def test_a_broad_weak_field_is_found_where_no_block_stands_out():
    rng = np.random.default_rng(1)
    frames, clock = rng.choice([-1, 1], (6000, 18, 22)), FrameClock.regular(RATE_HZ, 6000, 0)
    judged = judged_with_both(frames, clock, broad_field_trains(rng, frames, 40, 0.25), 1)
    assert np.mean(judged.p_value <= 0.05) < 0.4
    assert np.mean(judged.p_value_smoothed <= 0.05) > 0.9
    assert np.mean(judged.p_value_field <= 0.05) > 0.9
    assert (judged.q_value_field >= judged.p_value_field).all()


def test_a_field_of_one_block_is_found_too():
    rng = np.random.default_rng(2)
    frames, clock = rng.choice([-1, 1], (6000, 18, 22)), FrameClock.regular(RATE_HZ, 6000, 0)
    rates = 0.1 + 0.03 * np.roll(frames[:, 5, 7], 3)
    trains = [(np.flatnonzero(rng.random(6000) < rates) + 0.5) / RATE_HZ for _ in range(20)]
    judged = judged_with_both(frames, clock, trains, 1)
    assert np.mean(judged.p_value <= 0.05) > 0.9
    assert np.mean(judged.p_value_field <= 0.05) > 0.9


@pytest.mark.parametrize("is_bursty", [False, True])
def test_without_an_effect_both_p_are_uniform(is_bursty):
    smoothed_p, field_p = [], []
    for seed in range(8):
        rng = np.random.default_rng([21, seed])
        frames, clock = rng.choice([-1, 1], (2400, 8, 10)), FrameClock.regular(RATE_HZ, 2400, 0)
        trains = [rng.uniform(0, 40, rng.poisson(160 if not is_bursty else 40)) for _ in range(50)]
        trains = [np.sort(np.concatenate([t + 0.005 * k for k in range(4 if is_bursty else 1)])) for t in trains]
        judged = judged_with_both(frames, clock, trains, seed)
        spread = rng.random(50) / 200  # each step of 1/200 over its width
        smoothed_p.append(judged.p_value_smoothed - spread)
        field_p.append(judged.p_value_field)
    assert stats.kstest(np.concatenate(smoothed_p), "uniform").pvalue > 0.01
    field_p = np.concatenate(field_p)
    # ties of the two ranks make some steps empty and others twice as high: compare where p may be used
    for level in (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7):
        n_below = int(np.count_nonzero(field_p <= level))
        assert stats.binomtest(n_below, field_p.size, level, alternative="greater").pvalue > 0.005, level
        assert stats.binomtest(n_below, field_p.size, max(level - 0.02, 0), alternative="less").pvalue > 0.005, level


def test_other_shifts_and_other_neurons_are_refused():
    rng = np.random.default_rng(3)
    frames, clock = rng.choice([-1, 1], (300, 4, 4)), FrameClock.regular(RATE_HZ, 300, 0)
    what = (frames, clock, [np.sort(rng.uniform(0, 5, 50))], DELAYS)
    null = circular_shift_null(*what, neuron_numbers=[0], seed=1, n_shifts=9)
    other = circular_shift_null(*what, neuron_numbers=[0], seed=2, n_shifts=9)
    with pytest.raises(AlignmentError, match="2 spike trains for a null of 1"):
        smoothed_shift_null(frames, clock, [[1.0], [2.0]], DELAYS, (8.0, 8.0), null)
    with pytest.raises(ContractError, match="different shifts"):
        judge_significance(
            spike_triggered_average(*what), null, 1 / RATE_HZ, smoothed=smoothed_shift_null(*what, (8.0, 8.0), other)
        )
