import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy import stats

from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf import (
    FrameClock,
    ShiftNull,
    circular_shift_null,
    judge_significance,
    shift_null,
    spike_triggered_average,
)
from dj_neuron.strf._bit_kernel import MIN_PLANES
from dj_neuron.strf._null_kernel import TILE_BLOCKS, _bound, _may_reach, _write_complement, largest_deviations
from dj_neuron.strf._vectors import N_WORDS
from dj_neuron.strf.significance import false_discovery_rate

pytestmark = pytest.mark.usefixtures("three_threads")
RATE_HZ = 60.0


def naive(frames, clock, train, delays, shifts, min_spikes):
    """The largest |z| for every shift, a row of frames at a time."""
    frames = frames.reshape(len(frames), -1).astype(float)
    largest = np.full(len(shifts), np.nan)
    for place, shift in enumerate(shifts):
        for delay in delays[delays >= 0]:
            shown = clock.frames_at(train, delay)
            shown = shown[shown >= 0]
            if shown.size < max(min_spikes, 1):
                continue
            error = frames.std(axis=0) * np.sqrt(np.sum(np.bincount(shown) ** 2))
            deviation = np.abs(frames[(shown + shift) % len(frames)].sum(axis=0) - shown.size * frames.mean(axis=0))
            changes = error > 1e-12
            if changes.any():
                largest[place] = np.fmax(largest[place], (deviation[changes] / error[changes]).max())
    return largest


@st.composite
def recordings(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_frames = draw(st.one_of(st.integers(1, 40), st.integers(100, 300)))
    shape = (n_frames, draw(st.integers(1, 9)), draw(st.integers(1, 70)))
    clock = FrameClock.regular(10, n_frames, 0.3)
    if draw(st.booleans()):
        clock = FrameClock.from_edges(np.cumsum(rng.uniform(0.05, 0.2, n_frames + 1)))
    sizes = draw(st.lists(st.one_of(st.integers(0, 30), st.integers(100, 3000)), min_size=1, max_size=3))
    trains = [np.sort(rng.uniform(-1, clock.ends_s[-1] + 1, size)) for size in sizes]
    lags = st.one_of(st.integers(-4, 8), st.floats(-4, 8))
    delays = np.array(draw(st.lists(lags, min_size=1, max_size=5))) / 10
    return rng.choice([-1, 1], shape, p=[0.3, 0.7]), clock, trains, delays


@settings(max_examples=60)
@given(recordings(), st.integers(0, 20))
def test_the_null_agrees_with_a_naive_loop_and_with_its_numpy_form(recording, min_spikes):
    frames, clock, trains, delays = recording
    arguments = (frames, clock, trains, delays)
    options = {
        "neuron_numbers": range(len(trains)),
        "seed": 3,
        "n_shifts": 7,
        "margin_s": 0.1,
        "min_spikes": min_spikes,
    }
    compiled = circular_shift_null(*arguments, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift_null, "HAS_NUMBA", False)
        patch.setattr(shift_null, "_CHUNK_VALUES", 30_000)  # several pieces
        plain = circular_shift_null(*arguments, **options)
    np.testing.assert_array_equal(compiled.observed, plain.observed)
    np.testing.assert_array_equal(compiled.maxima, plain.maxima)
    for i, train in enumerate(trains):
        found = [compiled.observed[i], *compiled.maxima[i]]
        expected = naive(frames, clock, train, delays, [0, *compiled.shifts[i]], min_spikes)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_more_blocks_than_a_tile_has_and_large_counts_are_right():
    rng = np.random.default_rng(1)
    frames = rng.choice([0, 1], (5000, 2, 270))
    clock = FrameClock.regular(RATE_HZ, 5000, 0)
    trains = [np.sort(rng.uniform(0, 80, 70_000)), np.sort(rng.uniform(0, 80, 200))]
    delays = np.arange(2) / RATE_HZ
    null = circular_shift_null(frames, clock, trains, delays, neuron_numbers=[0, 1], seed=0, n_shifts=2)
    for i, train in enumerate(trains):
        expected = naive(frames, clock, train, delays, [0, *null.shifts[i]], 1)
        np.testing.assert_allclose([null.observed[i], *null.maxima[i]], expected, rtol=1e-9)


@pytest.mark.parametrize("n_frames_white", [1, 2])
@pytest.mark.parametrize("n_per_frame", [1, 5, 10, 21])
def test_a_neuron_that_fires_whenever_a_rare_block_was_white(n_per_frame, n_frames_white):
    rng = np.random.default_rng(12)
    frames, clock = rng.choice([-1, 1], (600, 3, 4)), FrameClock.regular(10, 600, 0)
    frames[:, 1, 2], white = -1, np.arange(20, 600, 49)
    frames[white[:, None] + np.arange(n_frames_white), 1, 2] = 1
    # white for two frames, it meets four in ten spikes at both delays and the others at the second
    begin, end = (1.1, 1.9) if n_frames_white == 1 else (1.6, 2.6)
    train = np.sort((white[:, None] + np.linspace(begin, end, n_per_frame)).ravel() / 10)
    delays = np.array([0.0, 0.1])  # a deviation of nearly all spikes, after one that is smaller
    null = circular_shift_null(frames, clock, [train], delays, neuron_numbers=[0], seed=0, n_shifts=9)
    expected = naive(frames, clock, train, delays, [0, *null.shifts[0]], 1)
    np.testing.assert_allclose([null.observed[0], *null.maxima[0]], expected, rtol=1e-9)


@njit
def tells_from_bits(counts, expected, n_planes, bound):
    planes, complement = np.zeros((n_planes, N_WORDS), np.uint64), np.empty(n_planes * N_WORDS, np.uint64)
    for block, count in enumerate(counts):
        for plane in range(n_planes):
            planes[plane, block // 64] |= np.uint64(count >> plane & 1) << np.uint64(block % 64)
    _write_complement(expected, n_planes, complement)
    ones = np.full(N_WORDS, ~np.uint64(0))
    return _may_reach(planes.ravel(), complement, n_planes, bound, ones, np.empty(N_WORDS, np.uint64))


@njit
def plain_bound(largest, root, highest_weight):
    return _bound(largest, root, highest_weight)


def test_bits_tell_whether_any_count_is_far_from_what_is_expected():
    rng = np.random.default_rng(7)
    for _ in range(2000):
        n_planes = int(rng.integers(MIN_PLANES, 15))
        most = 2 ** (n_planes - 1)
        expected = rng.uniform(0, most - 1, TILE_BLOCKS)
        counts = np.rint(expected).astype(np.int64)
        counts[rng.integers(TILE_BLOCKS)] = rng.integers(most)
        deviation = counts - np.rint(expected)
        farthest = np.where(deviation < 0, -deviation - 1, deviation).max()
        for bound in (farthest - 1, farthest, farthest + 1, rng.integers(most)):
            found = tells_from_bits(counts, expected, n_planes, max(int(bound), 0))
            assert found == (farthest >= max(bound, 0)), (n_planes, bound, farthest)


@pytest.mark.parametrize("side", [-1, 1])
def test_what_beats_the_largest_deviation_is_read_and_little_else(side):
    rng = np.random.default_rng(8)
    for _ in range(2000):
        expected = rng.uniform(0, 2000, TILE_BLOCKS)
        if rng.random() < 0.5:
            expected = np.rint(2 * expected) / 2  # as in movies that are white in half of the frames
        counts = np.rint(expected).astype(np.int64)
        counts[3] = max(np.rint(expected[3] + side * rng.uniform(0, 1500)), 0)
        root, weight = rng.uniform(1, 30), rng.uniform(1, 3)
        beaten = np.abs(counts - expected).max() * weight / root  # in what is reported
        for largest, is_read in ((np.nextafter(beaten, 0), True), (beaten + 2.1 * weight / root, False)):
            bound = plain_bound(largest, root, weight)
            assert tells_from_bits(counts, expected, 13, bound) == is_read, (largest, root, weight)


@pytest.mark.parametrize("constant", [[0, 1, 2, 3, 4, 5, 6, 7, 9], range(8, 21)], ids=["first piece", "others"])
def test_graded_movies_take_part(constant, monkeypatch):
    monkeypatch.setattr(shift_null, "_CHUNK_VALUES", 2000)  # several pieces
    rng = np.random.default_rng(2)
    frames = rng.normal(3, 1, (300, 3, 7))
    frames.reshape(300, -1)[:, constant] = 5.0
    clock, train = FrameClock.regular(RATE_HZ, 300, 0), np.sort(rng.uniform(0, 5, 90))
    delays = np.arange(-1, 4) / RATE_HZ
    null = circular_shift_null(frames, clock, [train], delays, neuron_numbers=[0], seed=0, n_shifts=9, margin_s=0.1)
    expected = naive(frames, clock, train, delays, [0, *null.shifts[0]], 1)
    np.testing.assert_allclose([null.observed[0], *null.maxima[0]], expected)


@pytest.mark.parametrize("value", [1, 0.3], ids=["two levels", "graded"])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_movie_that_never_changes_has_no_deviations(value, is_compiled, monkeypatch):
    monkeypatch.setattr(shift_null, "HAS_NUMBA", is_compiled)
    frames, clock = np.full((40, 3, 5), value), FrameClock.regular(10, 40, 0)
    null = circular_shift_null(frames, clock, [[1.0, 2.0]], [0.0], neuron_numbers=[0], seed=0, n_shifts=3)
    assert np.isnan([null.observed[0], *null.maxima[0]]).tolist() == [True] * 4


@pytest.mark.parametrize("is_compiled", [True, False])
def test_spikes_at_all_showings_of_an_image_count_together(is_compiled, monkeypatch):
    monkeypatch.setattr(shift_null, "HAS_NUMBA", is_compiled)
    rng = np.random.default_rng(15)
    frozen = rng.choice([-1, 1], (60, 4, 5))
    frames, clock = np.concatenate([frozen, rng.choice([-1, 1], (30, 4, 5)), frozen]), FrameClock.regular(10, 150, 0)
    once = np.sort(rng.uniform(0, 6, 20))
    trains, delays = [np.concatenate([once, once + 9]), np.sort(rng.uniform(0, 15, 40))], np.arange(3) / 10
    null = circular_shift_null(frames, clock, trains, delays, neuron_numbers=[0, 1], seed=0, n_shifts=3)
    expected = np.abs(spike_triggered_average(frames, clock, trains, delays).z).max(axis=(1, 2, 3))
    np.testing.assert_allclose(null.observed, expected)


def test_every_pair_of_tile_and_neuron_is_looked_at_by_one_part():
    rng = np.random.default_rng(16)
    n_frames, n_tiles, sizes, n_own, n_rows = 130, 3, [0, 5, 64, 100, 150], 20, 4
    data = rng.integers(0, 256, (n_frames, n_tiles * TILE_BLOCKS // 8), np.uint8)
    data.flags.writeable = False  # as movies are: the kernel is not compiled once more
    bits = np.unpackbits(data, axis=1, bitorder="little").astype(np.int64)
    share = bits.mean(axis=0)
    weight = (rng.choice([0.0, 1, 2], (TILE_BLOCKS, n_tiles)) * [0, 0.5, 1]).T.ravel()  # the first takes no part
    lags = np.array([0, 1, -2, 7] * len(sizes))
    cores = [np.sort(rng.integers(10, n_frames - 10, size)) for size in sizes]  # the lags lead to no end
    own = [np.sort(rng.integers(0, n_frames, size)) for size in rng.integers(0, n_own, lags.size)]
    core_starts = np.cumsum([0, *sizes])
    own_sizes = np.array([frames.size for frames in own])
    roots, shifts = rng.uniform(0.5, 20, lags.size), np.sort(rng.integers(0, n_frames, (len(sizes), 6)), axis=1)
    n_planes = np.array([max(MIN_PLANES, int(size + n_own).bit_length() + 1) for size in sizes])
    expected = np.zeros((n_tiles, *shifts.shape))
    for row, lag in enumerate(lags):
        neuron = row // n_rows
        frames = np.concatenate([cores[neuron] - lag, own[row]])
        for place, shift in enumerate(shifts[neuron]):
            deviation = np.abs(bits[(frames + shift) % n_frames].sum(axis=0) - frames.size * share) * weight
            of_tiles = deviation.reshape(n_tiles, -1).max(axis=1) / roots[row]
            expected[:, neuron, place] = np.maximum(expected[:, neuron, place], of_tiles)
    for n_parts in (1, 2, 4, 15, 20):
        largest = np.zeros((n_parts, *shifts.shape))
        for part in range(n_parts):
            largest_deviations(
                *(part, n_parts, data, np.concatenate([*cores, *own]).astype(np.uint32), core_starts),
                *(np.arange(0, lags.size + 1, n_rows), core_starts[-1] + np.cumsum(own_sizes) - own_sizes, own_sizes),
                *(lags, roots, n_planes, shifts, share, weight, largest),
            )
        np.testing.assert_array_equal(largest.max(axis=0), expected.max(axis=0))
        if n_parts == 15:
            np.testing.assert_array_equal(largest.sum(axis=1), expected.reshape(15, -1))


def test_the_null_is_that_of_a_train_moved_around_the_recording():
    rng = np.random.default_rng(4)
    frames, clock = rng.choice([-1, 1], (400, 5, 6)), FrameClock.regular(10, 400, 0)
    train = (rng.integers(0, 400, 150) + 0.5) / 10
    null = circular_shift_null(frames, clock, [train], [0.0], neuron_numbers=[0], seed=0, n_shifts=20)
    for shift, largest in zip(null.shifts[0], null.maxima[0], strict=True):
        moved = (train + shift / 10) % 40.0
        assert np.abs(spike_triggered_average(frames, clock, [moved], [0.0]).z).max() == pytest.approx(largest)


def test_shifts_keep_away_from_0_on_both_sides_and_are_all_taken_where_they_are_few():
    rng = np.random.default_rng(5)
    frames, clock = rng.choice([-1, 1], (100, 2, 2)), FrameClock.regular(10, 100, 0)
    delays = np.arange(-5, 11) / 10  # a span of 15 frames
    null = circular_shift_null(
        frames, clock, [[1.0, 5.0]], delays, neuron_numbers=[0], seed=0, n_shifts=1000, margin_s=1.0
    )
    assert null.shifts.tolist() == [list(range(26, 75))]
    assert null.n_shifts == 49
    usual = circular_shift_null(frames, clock, [[1.0, 5.0]], delays, neuron_numbers=[0], seed=0)
    assert usual.shifts.tolist() == [list(range(21, 80))]  # half a second less on both sides
    for some, margin_s, least in (([0.0], 0.0, 1), ([0.0], -3.0, 1), ([0.3, 0.5], 0.0, 6), ([-0.7, -0.3], 0.1, 9)):
        found = circular_shift_null(frames, clock, [[5.0]], some, neuron_numbers=[0], seed=0, margin_s=margin_s)
        assert found.shifts.tolist() == [list(range(least, 101 - least))]
    none = circular_shift_null(frames, clock, [[1.0, 5.0]], delays, neuron_numbers=[0], seed=0, margin_s=9.0)
    assert none.n_shifts == 0
    judged = judge_significance(spike_triggered_average(frames, clock, [[1.0, 5.0]], delays), none, 0.1)
    assert judged.p_value.tolist() == [1.0]
    assert not judged.is_significant.any()


def test_a_neuron_is_judged_alike_in_any_company():
    rng = np.random.default_rng(6)
    frames, clock = rng.choice([-1, 1], (600, 6, 6)), FrameClock.regular(RATE_HZ, 600, 0)
    trains = [np.sort(rng.uniform(0, 10, 80)) for _ in range(4)]
    delays = np.arange(4) / RATE_HZ
    options = {"seed": 8, "n_shifts": 50}
    together = circular_shift_null(frames, clock, trains, delays, neuron_numbers=[1, 5, 6, 9], **options)
    order = [2, 0, 3, 1]
    permuted = circular_shift_null(
        frames, clock, [trains[i] for i in order], delays, neuron_numbers=[6, 1, 9, 5], **options
    )
    np.testing.assert_array_equal(permuted.maxima, together.maxima[order])
    alone = circular_shift_null(frames, clock, trains[1:2], delays, neuron_numbers=[5], **options)
    np.testing.assert_array_equal(alone.maxima[0], together.maxima[1])
    other = circular_shift_null(frames, clock, trains[1:2], delays, neuron_numbers=[5], seed=9, n_shifts=50)
    assert (other.shifts != alone.shifts).any()
    assert len({tuple(shifts) for shifts in together.shifts}) == 4


def poisson_train(rng, duration_s):
    return np.sort(rng.uniform(0, duration_s, rng.poisson(4 * duration_s)))


def bursty_train(rng, duration_s):
    starts = rng.uniform(0, duration_s, rng.poisson(0.8 * duration_s))
    return np.sort(np.concatenate([start + 0.006 * np.arange(rng.geometric(0.2)) for start in starts]))


def drifting_train(rng, duration_s):
    return np.sort(duration_s * rng.beta(1, 3, rng.poisson(4 * duration_s)))


@pytest.mark.parametrize("draw_train", [poisson_train, bursty_train, drifting_train])
def test_without_an_effect_p_is_uniform_and_false_regions_are_as_rare_as_asked(draw_train):
    p_values, anything = [], []
    for seed in range(8):
        rng = np.random.default_rng([20, seed])
        frames, clock = rng.choice([-1, 1], (2400, 8, 10)), FrameClock.regular(RATE_HZ, 2400, 0)
        trains = [draw_train(rng, 40.0) for _ in range(50)]
        delays = np.arange(-2, 8) / RATE_HZ
        sta = spike_triggered_average(frames, clock, trains, delays)
        null = circular_shift_null(frames, clock, trains, delays, neuron_numbers=range(50), seed=seed, n_shifts=199)
        judged = judge_significance(sta, null, 1 / RATE_HZ)
        p_values.append(judged.p_value - rng.random(50) / 200)  # spread each step of 1/200 over its width
        anything.append(judged.is_significant.any(axis=(1, 2, 3)))
        np.testing.assert_array_equal(anything[-1], judged.p_value <= 0.05)
    assert stats.kstest(np.concatenate(p_values), "uniform").pvalue > 0.01
    n_false, n_all = np.sum(anything), np.size(anything)
    assert stats.binomtest(int(n_false), n_all, 0.05).pvalue > 0.01


def responding_trains(rng, frames, block, lag, n_trains):
    """Spikes `lag` frames after a block was white, twice as likely as after black."""
    seen = np.roll(frames[:, block[0], block[1]], lag)
    shown = np.flatnonzero(rng.random((n_trains, len(frames))) < 0.1 + 0.05 * seen) % len(frames)
    train = np.sort((shown + 0.5) / RATE_HZ)
    return [train[i::n_trains] for i in range(n_trains)]


def test_known_fields_are_found_and_bounded():
    rng = np.random.default_rng(9)
    frames, clock = rng.choice([-1, 1], (6000, 6, 7)), FrameClock.regular(RATE_HZ, 6000, 0)
    silent, driven = [np.empty(0)], responding_trains(rng, frames, (2, 5), 3, 5)
    trains = silent + driven + [poisson_train(rng, 100) for _ in range(10)]
    delays = np.arange(-3, 7) / RATE_HZ
    sta = spike_triggered_average(frames, clock, trains, delays, min_spikes=5)
    null = circular_shift_null(frames, clock, trains, delays, neuron_numbers=range(16), seed=1, min_spikes=5)
    judged = judge_significance(sta, null, 1 / RATE_HZ)
    assert judged.peaks[0] is None
    assert np.isnan([judged.p_value[0], judged.q_value[0], judged.p_value_analytic[0], judged.threshold_z[0]]).all()
    assert judged.is_significant[1:6, 6, 2, 5].all()
    assert judged.is_significant[1:6].sum() <= 7
    assert (judged.p_value[1:6] == 1 / 1001).all()
    assert (judged.p_value_analytic[1:6] < 1e-4).all()
    assert (judged.q_value[1:6] < 0.01).all()
    assert (judged.q_value[6:] >= judged.p_value[6:]).all()
    assert not judged.is_significant[:, :3].any()  # delays after the spike are the control
    for peak in judged.peaks[1:6]:
        assert (peak.row_idx, peak.column_idx) == (2, 5)
        assert peak.noise_z < peak.z


def test_the_analytic_p_is_close_for_independent_frames():
    rng = np.random.default_rng(10)
    frames, clock = rng.choice([-1, 1], (9000, 10, 10)), FrameClock.regular(RATE_HZ, 9000, 0)
    trains = [np.sort(rng.uniform(0, 150, 100)) for _ in range(60)]
    sta = spike_triggered_average(frames, clock, trains, [0.0, 0.1])
    null = circular_shift_null(frames, clock, trains, [0.0, 0.1], neuron_numbers=range(60), seed=1, n_shifts=500)
    judged = judge_significance(sta, null, 1 / RATE_HZ)
    assert np.abs(judged.p_value_analytic - judged.p_value).mean() < 0.05


def averages(n_neurons, shape, delays=(0.0,), **options):
    rng = np.random.default_rng(13)
    frames, clock = rng.choice([-1, 1], (300, *shape)), FrameClock.regular(10, 300, 0)
    if frames[0].size > 1:
        frames[:, 0, 0] = 1  # a block that never changes
    trains = [np.sort(rng.uniform(0, 30, 20 + 5 * number)) for number in range(n_neurons)]
    return spike_triggered_average(frames, clock, trains, np.array(delays), **options)


def null_of(sta, maxima, observed=None):
    largest = np.nanmax(np.abs(sta.z[:, sta.delays_s >= 0]), axis=(1, 2, 3)) if observed is None else observed
    return ShiftNull(largest, np.array(maxima, float), np.zeros(np.shape(maxima), np.int64), seed=21, min_spikes=1)


def test_something_is_significant_exactly_if_p_is_at_most_alpha():
    sta = averages(6, (1, 1))
    observed = np.abs(sta.z[:, 0, 0, 0])
    assert observed.min() < 0.9
    ranks = np.array([1, 2, 7, 29, 57, 100])
    factors = np.array([[1.2] * (rank - 1) + [1 - 1e-5] * (100 - rank) for rank in ranks])
    for rank, own in zip(ranks[1:], factors[1:], strict=True):
        own[rank - 2] = 1 + 1e-9 * (-1) ** rank  # as high but for the order of adding up
    null = null_of(sta, factors * observed[:, None], observed)
    for percent in range(1, 100):
        judged = judge_significance(sta, null, 0.1, alpha=percent / 100)
        np.testing.assert_array_equal(judged.is_significant.any(axis=(1, 2, 3)), ranks <= percent)
        assert np.isfinite(judged.threshold_z).all()
        np.testing.assert_array_equal(judged.p_value, ranks / 100)
    assert np.isinf(judge_significance(sta, null, 0.1, alpha=0.0099).threshold_z).all()


def test_blocks_above_the_threshold_are_significant_from_a_delay_of_0_on():
    sta = averages(3, (4, 5), [-0.1, 0.0, 0.1, 0.2])
    null = null_of(sta, np.tile(np.arange(1, 20) / 10, (3, 1)))
    judged = judge_significance(sta, null, 0.1, alpha=0.25)  # the observed peak and four maxima lie above
    assert judged.threshold_z.tolist() == [1.5, 1.5, 1.5]
    np.testing.assert_array_equal(judged.is_significant[:, 1:], np.abs(sta.z[:, 1:]) > 1.5)
    assert (np.abs(sta.z[:, 0]) > 1.5).any()
    assert not judged.is_significant[:, 0].any()
    assert (judged.alpha, judged.n_shifts, judged.seed) == (0.25, 19, 21)


def test_p_of_a_field_is_the_share_of_orders_with_as_rare_a_peak():
    sta, rng = averages(8, (4, 5)), np.random.default_rng(14)
    null = null_of(sta, rng.normal(2.5, 0.6, (8, 39)))
    smoothed = null_of(sta, rng.normal(2.5, 0.6, (8, 39)), rng.normal(3, 0.6, 8))
    smoothed.observed[5], smoothed.maxima[5] = np.nan, np.nan
    judged = judge_significance(sta, null, 0.1, smoothed=smoothed)
    for i in range(8):
        orders = [np.append(each.observed[i], each.maxima[i]) for each in (null, smoothed)]
        single, broad = ([np.mean(order >= height) for height in order] for order in orders)
        assert judged.p_value[i] == single[0]
        if i == 5:
            assert np.isnan(judged.p_value_smoothed[i])
            assert judged.p_value_field[i] == single[0]
            continue
        assert judged.p_value_smoothed[i] == broad[0]
        rarer = np.minimum(single, broad)
        assert judged.p_value_field[i] == np.mean(rarer <= rarer[0])
    np.testing.assert_array_equal(judged.smoothed_z, smoothed.observed)
    np.testing.assert_array_equal(judged.q_value_field, stats.false_discovery_control(judged.p_value_field))


def test_without_a_second_null_and_without_shifts_nothing_is_made_up():
    sta = averages(2, (4, 5))
    judged = judge_significance(sta, null_of(sta, np.empty((2, 0))), 0.1)
    for unknown in (judged.smoothed_z, judged.p_value_smoothed, judged.p_value_field, judged.q_value_field):
        assert np.isnan(unknown).tolist() == [True, True]
    null = null_of(sta, np.empty((2, 0)))
    judged = judge_significance(sta, null, 0.1, smoothed=null)
    assert judged.p_value_field.tolist() == judged.p_value_smoothed.tolist() == judged.p_value.tolist() == [1, 1]


def test_the_analytic_p_is_that_of_as_many_independent_z_as_are_known():
    sta = averages(9, (4, 5), [-0.1, 0.0, 0.1, 20.0], min_spikes=20)
    n_known = [sum(np.isfinite(z).sum() for z in of_neuron[1:]) for of_neuron in sta.z]
    assert n_known[0] == 38  # two delays of 19 blocks that change, and one with too few spikes
    p_of_one = 2 * stats.norm.sf(np.nanmax(np.abs(sta.z[:, 1:]), axis=(1, 2, 3)))
    judged = judge_significance(sta, null_of(sta, np.empty((9, 0))), 0.1)
    np.testing.assert_allclose(judged.p_value_analytic, 1 - (1 - p_of_one) ** n_known, rtol=1e-9)


def test_a_spike_in_every_frame_says_nothing():
    frames, clock = np.tile([-1, 1], 50)[:, None, None], FrameClock.regular(10, 100, 0)
    what = (frames, clock, [np.arange(100) / 10 + 0.05], [0.0])
    null = circular_shift_null(*what, neuron_numbers=[0], seed=0, n_shifts=9)
    judged = judge_significance(spike_triggered_average(*what), null, 0.1, alpha=0.5)
    assert judged.p_value.tolist() == judged.p_value_analytic.tolist() == [1]
    assert judged.threshold_z.tolist() == [0]
    assert not judged.is_significant.any()


def test_a_null_must_have_the_same_peaks_but_for_roundings():
    sta = averages(4, (4, 5))
    null = null_of(sta, np.ones((4, 3)))
    judge_significance(sta, null_of(sta, null.maxima, null.observed * (1 + 1e-7)), 0.1)
    shown = ", ".join(f"{z:.3f}" for z in null.observed[:3])
    for n_shown, written in ((4, rf"\|z\| = {shown}, ... \(4 neurons\)"), (3, rf"\|z\| = {shown} \(3 neurons\)")):
        wrong = null_of(sta, null.maxima[:n_shown], null.observed[:n_shown] * (1 + 1e-5))
        with pytest.raises(ContractError, match=f"but the null was made for {written}, expected the same movie"):
            judge_significance(sta, wrong, 0.1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, np.nan])
def test_alpha_is_a_chance(alpha):
    sta = averages(1, (4, 5))
    with pytest.raises(ContractError, match=f"alpha is {alpha}, expected a chance between 0 and 1"):
        judge_significance(sta, null_of(sta, np.ones((1, 3))), 0.1, alpha=alpha)


def test_a_null_of_something_else_is_refused():
    rng = np.random.default_rng(11)
    frames, clock = rng.choice([-1, 1], (300, 2, 2)), FrameClock.regular(RATE_HZ, 300, 0)
    train, delays = [np.sort(rng.uniform(0, 5, 50))], [0.0, 0.05]
    null = circular_shift_null(frames, clock, train, delays, neuron_numbers=[0], seed=0)
    with pytest.raises(ContractError, match=r"peaks of \|z\| = \d\.\d{3} \(1 neurons\), but the null was made for"):
        judge_significance(spike_triggered_average(frames, clock, train, [0.3]), null, 1 / RATE_HZ)
    with pytest.raises(ContractError, match=r"\(2 neurons\), but the null was made for .* \(1 neurons\)"):
        judge_significance(spike_triggered_average(frames, clock, 2 * train, delays), null, 1 / RATE_HZ)
    of_both = circular_shift_null(frames, clock, 2 * train, delays, neuron_numbers=[0, 1], seed=0)
    with pytest.raises(ContractError, match=r"\(1 neurons\), but the null was made for .* \(2 neurons\)"):
        judge_significance(spike_triggered_average(frames, clock, train, delays), of_both, 1 / RATE_HZ)
    with pytest.raises(ContractError, match="alpha is 5"):
        judge_significance(spike_triggered_average(frames, clock, train, delays), null, 1 / RATE_HZ, alpha=5)
    with pytest.raises(AlignmentError, match="2 neuron numbers for 1 spike trains"):
        circular_shift_null(frames, clock, train, delays, neuron_numbers=[0, 1], seed=0)


@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.001, 0.5, np.nan]))))
def test_q_values_are_those_of_scipy(values):
    p_value = np.array(values, float)
    q_value, tested = false_discovery_rate(p_value), np.isfinite(p_value)
    np.testing.assert_array_equal(np.isfinite(q_value), tested)
    if tested.any():
        np.testing.assert_allclose(q_value[tested], stats.false_discovery_control(p_value[tested]))
