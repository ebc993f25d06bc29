import numpy as np
import pytest
from scipy import linalg, stats

from dj_neuron import Movie
from dj_neuron.errors import ContractError
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    covariance_window,
    judge_significance,
    spike_triggered_average,
    spike_triggered_covariance,
)
from dj_neuron.strf.covariance import _as_filters, _p_of_extremes, _Stimuli, _values_of

RATE_HZ = 60.0
DELAYS = np.arange(3) / RATE_HZ


def spikes(rng, chance):
    """Spikes in the middle of frames, as many as a Poisson process gives."""
    counts = rng.poisson(chance)
    return (np.repeat(np.arange(counts.size), counts) + 0.5) / RATE_HZ


def seen_by(filters, frames):
    """What filters (n_delays, n_y, n_x) see, (n_frames,), of the frames up to each."""
    return sum(np.roll(np.tensordot(frames, of_delay, 2), lag) for lag, of_delay in enumerate(filters))


def gabor(phase, shape=(3, 9, 10), centre=(5, 4)):
    y, x = np.mgrid[: shape[1], : shape[2]]
    space = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 4) * np.cos(2 * np.pi * x / 5 + phase)
    weights = np.array([0.3, 1.0, 0.6])[:, None, None] * space
    return weights / np.linalg.norm(weights)


def complex_cell(seed, n_frames=16_000, sign=1):
    rng = np.random.default_rng(seed)
    frames, filters = rng.choice([-1, 1], (n_frames, 9, 10)), [gabor(0), gabor(np.pi / 2)]
    energy = sum(seen_by(each, frames) ** 2 for each in filters)
    chance = 0.02 + 0.05 * energy if sign > 0 else 0.25 * np.exp(-energy)
    return frames, FrameClock.regular(RATE_HZ, n_frames, 0), spikes(rng, chance), filters


def local_mask():
    mask = np.zeros((3, 9, 10), bool)
    mask[:, 2:8, 1:8] = True
    return mask


def overlap(found, known):
    """The smallest cosine between the spaces that two sets of filters span."""
    spaces = [linalg.orth(np.reshape(filters, (len(filters), -1)).T) for filters in (found, known)]
    return np.cos(linalg.subspace_angles(*spaces)).min()


@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_complex_cell_only_the_covariance_shows_the_filters(sign):
    frames, clock, train, filters = complex_cell(0, sign=sign)
    sta = spike_triggered_average(frames, clock, [train], DELAYS)
    null = circular_shift_null(frames, clock, [train], DELAYS, neuron_numbers=[0], seed=0)
    assert judge_significance(sta, null, 1 / RATE_HZ).p_value[0] > 0.05
    found = spike_triggered_covariance(frames, clock, train, DELAYS, local_mask(), neuron_number=0, seed=0, n_shifts=39)
    assert len(found.filters) == 2
    assert (np.sign(found.filter_eigenvalues - 1) == sign).all()
    assert overlap(found.filters, filters) > 0.8
    assert found.p_value.tolist()[:2] == [0.05, 0.05]
    assert found.p_value[2] > 0.05
    assert not found.filters[:, ~found.mask].any()
    assert (found.filters.max(axis=(1, 2, 3)) == np.abs(found.filters).max(axis=(1, 2, 3))).all()
    np.testing.assert_allclose(np.linalg.norm(found.filters.reshape(2, -1), axis=1), 1)


def test_the_window_lies_on_a_complex_cell_and_what_it_found_is_tested_with_other_spikes():
    frames, clock, train, filters = complex_cell(2, n_frames=30_000)
    mask = covariance_window(frames, clock, train, DELAYS, max_dimensions=120)
    assert mask.sum() == 3 * 36
    assert sum((each[mask] ** 2).sum() for each in filters) > 2 * 0.85
    found = spike_triggered_covariance(frames, clock, train, DELAYS, neuron_number=0, seed=0, n_shifts=39)
    assert found.n_used < 0.6 * train.size
    assert len(found.filters) == 2


def test_the_window_of_a_graded_movie_far_from_zero_lies_on_its_field():
    rng = np.random.default_rng(14)
    frames, filters = rng.normal(0, 1, (8000, 9, 10)), [gabor(0), gabor(np.pi / 2)]
    energy = sum(seen_by(each, frames) ** 2 for each in filters)
    clock, train = FrameClock.regular(RATE_HZ, 8000, 0), spikes(rng, 0.02 + 0.05 * energy)
    brightness = 5 + np.arange(90).reshape(9, 10)
    mask = covariance_window(0.3 * frames + brightness, clock, train, DELAYS, max_dimensions=75)
    assert sum((each[mask] ** 2).sum() for each in filters) > 2 * 0.6


@pytest.mark.parametrize("kind", ["two levels", "graded"])
@pytest.mark.parametrize(("shape", "upper", "lower"), [
    ((4, 5), (0, 0), (0, 1)),
    ((4, 5), (3, 3), (3, 4)),
    ((4, 5), (2, 4), (3, 4)),
    ((4, 5), (0, 0), (1, 1)),
    ((4, 5), (2, 3), (3, 4)),
    ((4, 5), (0, 1), (1, 0)),
    ((4, 5), (2, 4), (3, 3)),
    ((1, 7), (0, 5), (0, 6)),
    ((7, 1), (5, 0), (6, 0)),
])  # fmt: skip
def test_the_smallest_window_is_the_upper_of_two_neighbours_that_drive_together(kind, shape, upper, lower):
    rng = np.random.default_rng(15)
    contrast = rng.choice([-1, 1], (1500, *shape)) if kind == "two levels" else rng.normal(0, 1, (1500, *shape))
    agree = np.clip(contrast[:, *upper] * contrast[:, *lower], -1, 1)
    clock = FrameClock.regular(RATE_HZ, 1500, 0)
    train = spikes(rng, 0.3 * (1 + agree if kind == "two levels" else 1 - agree))
    mask = covariance_window(3 + 2 * contrast, clock, train, [-0.5 / RATE_HZ, 0.0], max_dimensions=1)
    assert np.argwhere(mask).tolist() == [[1, *upper]]


@pytest.mark.parametrize(
    ("shape", "n_blocks", "expected"),
    [
        ((1, 200), 100, (1, 100)),
        ((150, 1), 100, (100, 1)),
        ((2, 300), 100, (2, 50)),
        ((300, 2), 101, (50, 2)),
        ((9, 30), 100, (9, 11)),
        ((30, 9), 100, (11, 9)),
        ((4, 5), 100, (4, 5)),
        ((30, 30), 100, (10, 10)),
        ((30, 30), 99, (9, 9)),
        ((4, 4), 12, (3, 3)),
        ((2, 3), 3, (1, 1)),
    ],
)
def test_the_window_is_a_square_where_the_screen_is_wide_enough(shape, n_blocks, expected):
    rng = np.random.default_rng(3)
    clock, train = FrameClock.regular(RATE_HZ, 60, 0), np.sort(rng.uniform(0, 1, 40))
    mask = covariance_window(rng.choice([-1, 1], (60, *shape)), clock, train, DELAYS, max_dimensions=3 * n_blocks + 2)
    rows, columns = (np.unique(places) for places in np.nonzero(mask)[1:])
    assert (rows.size, columns.size) == expected
    assert mask.sum() == 3 * rows.size * columns.size


def test_a_window_of_every_delay_has_one_block_and_is_refused_below_that():
    rng = np.random.default_rng(16)
    clock, train = FrameClock.regular(RATE_HZ, 300, 0), np.sort(rng.uniform(0, 5, 80))
    frames = rng.normal(0, 1, (300, 5, 5))
    assert covariance_window(frames, clock, train, DELAYS, max_dimensions=3).sum(axis=(1, 2)).tolist() == [1, 1, 1]
    assert covariance_window(frames, clock, train, [-0.1, 0.0], max_dimensions=9).sum(axis=(1, 2)).tolist() == [0, 9]
    with pytest.raises(ContractError, match="3 delays of 0 or more, expected 1 to 2"):
        covariance_window(frames, clock, train, DELAYS, max_dimensions=2)
    assert covariance_window(frames, clock, train, np.arange(100) / 1000).sum() == 100  # 300 blocks and delays in all


@pytest.mark.parametrize(("n_spikes", "n_blocks"), [(0, 1), (29, 1), (269, 4), (270, 9), (3000, 100), (4000, 100)])
def test_the_window_has_a_block_and_delay_for_ten_spikes_of_those_that_test_it(n_spikes, n_blocks):
    rng = np.random.default_rng(17)
    frames, clock = rng.choice([-1, 1], (2400, 12, 12)), FrameClock.regular(RATE_HZ, 2400, 0)
    finding, testing = rng.uniform(20.001, 29.9, 500), rng.uniform(10.1, 19.99, n_spikes)
    found = spike_triggered_covariance(
        frames, clock, [*finding, *testing], np.arange(-10, 3) / RATE_HZ, neuron_number=0, seed=0, min_spikes=10_000
    )
    assert found.mask.sum(axis=(1, 2)).tolist() == [0] * 10 + [n_blocks] * 3
    assert found.n_used == n_spikes


@pytest.mark.parametrize("correlated", [False, True])
def test_without_second_filters_nothing_is_found_more_often_than_asked_for(correlated):
    n_found, n_all = 0, 100
    weights = np.array([[1.0, 0.5], [-0.6, 0.3]])[None]
    for seed in range(n_all):
        rng = np.random.default_rng([4, seed])
        frames = rng.normal(0, 0.4, (2000, 2, 2))
        if correlated:
            frames = frames + 0.7 * frames[:, :, ::-1]
        clock = FrameClock.regular(RATE_HZ, 2000, 0)
        train = spikes(rng, 0.2 * np.exp(1.2 * seen_by(weights, frames)))
        found = spike_triggered_covariance(
            frames, clock, train, DELAYS, np.ones((3, 2, 2)), neuron_number=seed, seed=5, n_shifts=39
        )
        n_found += len(found.filters) > 0
    assert stats.binomtest(n_found, n_all, 0.05, alternative="greater").pvalue > 0.01


def test_a_neuron_with_one_filter_of_many_two_level_blocks_has_no_second():
    rng = np.random.default_rng(6)
    frames, clock = rng.choice([-1, 1], (10_000, 9, 10)), FrameClock.regular(RATE_HZ, 10_000, 0)
    y, x = np.mgrid[:9, :10]
    weights = np.array([0.4, 1.0, 0.7])[:, None, None] * np.exp(-((y - 5) ** 2 + (x - 4) ** 2) / 6)
    train = spikes(rng, 0.15 * np.exp(seen_by(weights / np.linalg.norm(weights), frames)))
    found = spike_triggered_covariance(frames, clock, train, DELAYS, local_mask(), neuron_number=0, seed=7, n_shifts=39)
    assert len(found.filters) == 0
    assert found.p_value.shape == (1,)


def test_eigenvalues_are_those_of_a_plain_computation():
    rng = np.random.default_rng(8)
    frames, clock = rng.normal(0, 1, (500, 2, 3)), FrameClock.regular(RATE_HZ, 500, 0)
    train = np.sort(rng.uniform(-0.1, 9, 120))
    mask = rng.random((3, 2, 3)) < 0.6
    found = spike_triggered_covariance(
        frames, clock, train, DELAYS, mask, neuron_number=0, seed=0, n_shifts=1, min_spikes=2
    )

    def stimulus(frame):
        return np.array([frames[frame - lag] for lag in range(3)])[mask]

    shown = [int(t * RATE_HZ) for t in train if t >= 0]
    before = np.array([stimulus(k) for k in shown if 2 <= k < 500])
    prior = np.array([stimulus(k) for k in range(2, 500)])
    assert found.n_used == len(before)
    root = linalg.sqrtm(np.linalg.inv(np.cov(prior.T, ddof=0)))
    white = (before - frames.mean(axis=0)[None].repeat(3, 0)[mask]) @ root
    average = white.mean(axis=0) / np.linalg.norm(white.mean(axis=0))
    without = white - np.outer(white @ average, average)
    expected = np.linalg.eigvalsh(np.cov(without.T, ddof=0))
    np.testing.assert_allclose(found.eigenvalues, expected[1:], rtol=1e-6)
    assert expected[0] == pytest.approx(0, abs=1e-12)


def test_blocks_that_do_not_change_have_no_direction():
    rng = np.random.default_rng(12)
    frames, clock = rng.normal(0, 1, (500, 2, 3)), FrameClock.regular(RATE_HZ, 500, 0)
    frames[:, 1, 2] = 0.7
    train = np.sort(rng.uniform(0, 8, 200))
    every, changing = np.ones((3, 2, 3), bool), np.broadcast_to(np.arange(6).reshape(2, 3) < 5, (3, 2, 3))
    found, expected = (
        spike_triggered_covariance(frames, clock, train, DELAYS, mask, neuron_number=0, seed=0, n_shifts=1)
        for mask in (every, changing)
    )
    assert found.eigenvalues.size == 14
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues)


@pytest.mark.parametrize("n_kept", [1, 2 * 3**2 + 1, 10**6])
def test_more_spikes_and_shifts_than_are_held_at_a_time(n_kept, monkeypatch):
    rng = np.random.default_rng(9)
    frames, clock = rng.normal(0, 1, (600, 1, 4)), FrameClock.regular(RATE_HZ, 600, 0)
    train = spikes(rng, 0.3 * frames[:, 0, 1] ** 2)
    mask = np.arange(12).reshape(3, 1, 4) < 4

    def found():
        return spike_triggered_covariance(frames, clock, train, DELAYS, mask, neuron_number=0, seed=0, n_shifts=39)

    whole = found()
    monkeypatch.setattr("dj_neuron.strf.covariance._CHUNK_SPIKES", 100)
    monkeypatch.setattr("dj_neuron.strf.covariance._KEPT_VALUES", n_kept)
    pieces = found()
    np.testing.assert_allclose(pieces.eigenvalues, whole.eigenvalues)
    np.testing.assert_allclose(pieces.filters, whole.filters)
    np.testing.assert_array_equal(pieces.p_value, whole.p_value)
    assert len(whole.filters) == 1


@pytest.mark.parametrize("shift", [0, 1, 7, 19])
def test_shifted_moments_are_those_of_the_movie_rotated_around(shift):
    rng = np.random.default_rng(18)
    values, frames = rng.normal(0, 1, (20, 3)), rng.integers(0, 20, (50, 2))
    delay_of, block_of = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 2])
    mean, covariance = _Stimuli(values, frames, delay_of, block_of).moments(shift)
    shown = values[(frames[:, delay_of] + shift) % 20, block_of]
    np.testing.assert_allclose(mean, shown.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(shown.T, ddof=0), atol=1e-12)


def test_p_counts_shifts_that_are_as_far_out_and_the_neuron_itself():
    null = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [3.0, 8.0]])
    for observed, expected in (((2, 6), (3, 4)), ((0.5, 9), (1, 1)), ((3, 5), (5, 5))):
        assert _p_of_extremes(np.array(observed, float), null) == tuple(np.array(expected) / 5)


def test_p_is_at_most_1():
    rng = np.random.default_rng(24)
    frames, clock = rng.normal(0, 1, (200, 1, 3)), FrameClock.regular(RATE_HZ, 200, 0)
    p = [
        spike_triggered_covariance(
            frames, clock, rng.uniform(0, 3, 60), [0.0], np.ones((1, 1, 3)), neuron_number=i, seed=0, n_shifts=4
        ).p_value[0]
        for i in range(30)
    ]
    assert set(p) == {0.4, 0.8, 1.0}


def test_200_shifts_half_a_second_from_0_are_made_unless_others_are_asked_for():
    rng = np.random.default_rng(25)
    frames, clock = rng.normal(0, 1, (300, 1, 3)), FrameClock.regular(RATE_HZ, 300, 0)
    what = (frames, clock, spikes(rng, np.full(300, 0.5)), [0.0], np.ones((1, 1, 3)))
    usual = spike_triggered_covariance(*what, neuron_number=0, seed=0)
    asked = {"n_shifts": 200, "alpha": 0.05, "margin_s": 0.5, "min_spikes": 50}
    asked_for = spike_triggered_covariance(*what, neuron_number=0, seed=0, **asked)
    np.testing.assert_array_equal(usual.p_value, asked_for.p_value)
    assert usual.p_value[0] * 201 == pytest.approx(round(usual.p_value[0] * 201))


def test_filters_have_unit_length_and_a_positive_largest_weight():
    np.testing.assert_allclose(
        _as_filters(np.array([[3.0, 3.0], [-4.0, 0.0], [0.0, 4.0]])), [[-0.6, 0.8, 0], [0.6, 0, 0.8]]
    )


def test_values_of_movies_that_are_read_in_pieces():
    frames = np.random.default_rng(19).choice(np.array([-1, 1], np.int8), (3, 1, (1 << 20) + 8))
    blocks = np.array([0, 5, 1 << 20])
    np.testing.assert_array_equal(_values_of(Movie.from_frames(frames), blocks), frames[:, 0, blocks])


# of the last the other end is further out in variance, but not in standard deviations of what shifts give
@pytest.mark.parametrize(
    ("seed", "excited", "suppressed", "order"), [(22, 0.8, 0.3, [1, 2]), (22, 0.3, 1.0, [2, 1]), (23, 0.7, 0.7, [1, 2])]
)
def test_the_outermost_of_two_filters_is_found_first(seed, excited, suppressed, order):
    rng = np.random.default_rng(seed)
    frames, clock = rng.normal(0, 1, (8000, 1, 4)), FrameClock.regular(RATE_HZ, 8000, 0)
    energy = excited * np.minimum(frames[:, 0, 1] ** 2, 6) - suppressed * frames[:, 0, 2] ** 2
    found = spike_triggered_covariance(
        frames,
        clock,
        spikes(rng, 0.2 * np.exp(energy / 2)),
        [0.0],
        np.ones((1, 1, 4)),
        neuron_number=0,
        seed=0,
        n_shifts=79,
    )
    assert found.p_value.tolist()[:2] == [0.025, 0.025]  # neither end is reached by any shift
    assert np.abs(found.filters).argmax(axis=3).ravel().tolist() == order
    assert (found.filter_eigenvalues > 1).tolist() == [place == 1 for place in order]


def test_directions_of_little_variance_are_seen_and_of_next_to_none_are_not():
    rng = np.random.default_rng(21)
    frames, clock = rng.normal(0, 1, (500, 1, 4)) * [1, 1, 2e-3, 5e-4], FrameClock.regular(RATE_HZ, 500, 0)
    train = np.sort(rng.uniform(0, 8, 200))
    found = spike_triggered_covariance(
        frames, clock, train, [0.0], np.ones((1, 1, 4)), neuron_number=0, seed=0, n_shifts=1
    )
    assert found.eigenvalues.size == 3 - 1


def test_spikes_need_a_frame_at_the_delays_of_the_mask_only():
    rng = np.random.default_rng(22)
    frames, clock = rng.normal(0, 1, (300, 2, 2)), FrameClock.regular(RATE_HZ, 300, 0)
    train = (np.arange(10) + 0.5) / RATE_HZ
    for delays, n_used in ((slice(0, 1), 10), (slice(1, 2), 9), (slice(2, 3), 8), (slice(0, 3), 8)):
        mask = np.zeros((3, 2, 2))
        mask[delays, 0, 1] = 1
        found = spike_triggered_covariance(frames, clock, train, DELAYS, mask, neuron_number=0, seed=0)
        assert found.n_used == n_used


def test_min_spikes_are_tested_and_one_fewer_not():
    rng = np.random.default_rng(23)
    frames, clock = rng.normal(0, 1, (300, 1, 3)), FrameClock.regular(RATE_HZ, 300, 0)
    for n_spikes, min_spikes, n_eigenvalues in ((50, 50, 2), (49, 50, 0), (2, 0, 2), (1, 0, 0), (0, 0, 0)):
        train = (np.arange(n_spikes) + 0.5) / RATE_HZ
        found = spike_triggered_covariance(
            frames, clock, train, [0.0], np.ones((1, 1, 3)), neuron_number=0, seed=0, n_shifts=3, min_spikes=min_spikes
        )
        assert (found.eigenvalues.size, found.n_used) == (n_eigenvalues, n_spikes)


def test_few_spikes_are_not_tested_and_masks_are_checked():
    frames, clock, train, _ = complex_cell(10, n_frames=2000)
    few = spike_triggered_covariance(frames, clock, train[:20], DELAYS, local_mask(), neuron_number=0, seed=0)
    assert (few.eigenvalues.size, few.filters.shape, few.p_value.size) == (0, (0, 3, 9, 10), 0)
    assert 0 < few.n_used <= 20
    in_a_window = spike_triggered_covariance(frames, clock, train[:10], DELAYS + 0.1, neuron_number=0, seed=0)
    assert (in_a_window.eigenvalues.size, in_a_window.mask.sum()) == (0, 3)  # one block at every delay
    single = np.zeros((3, 9, 10), bool)
    single[1, 4, 5] = True
    alone = spike_triggered_covariance(frames, clock, train, DELAYS, single, neuron_number=0, seed=0)
    assert (alone.eigenvalues.size, alone.p_value.size, len(alone.filters)) == (0, 0, 0)  # the average takes it all
    many = np.arange(3 * 9 * 20).reshape(3, 9, 20)
    wide = np.concatenate([frames, frames[::-1]], axis=2)
    largest = spike_triggered_covariance(wide, clock, train[:20], DELAYS, many < 300, neuron_number=0, seed=0)
    assert largest.mask.sum() == 300
    for movie, mask in ((frames, np.zeros((3, 9, 10))), (frames, np.ones((2, 9, 10))), (wide, many < 301)):
        with pytest.raises(ContractError, match="a mask of shape"):
            spike_triggered_covariance(movie, clock, train, DELAYS, mask, neuron_number=0, seed=0)
    with pytest.raises(ContractError, match="0 delays of 0 or more"):
        covariance_window(frames, clock, train, [-0.1])
    with pytest.raises(ContractError, match="does not change"):
        spike_triggered_covariance(np.ones((2000, 9, 10)), clock, train, DELAYS, local_mask(), neuron_number=0, seed=0)
