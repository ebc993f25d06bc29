import numpy as np
import pytest
from scipy import linalg, stats

from dj_neuron.errors import ContractError
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    covariance_window,
    judge_significance,
    spike_triggered_average,
    spike_triggered_covariance,
)

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


def test_the_window_fits_narrow_screens():
    rng = np.random.default_rng(3)
    clock, train = FrameClock.regular(RATE_HZ, 300, 0), np.sort(rng.uniform(0, 5, 80))
    for shape, size in (((1, 200), 100), ((150, 1), 100), ((4, 5), 20), ((2, 300), 100), ((30, 30), 100)):
        mask = covariance_window(rng.choice([-1, 1], (300, *shape)), clock, train, DELAYS)
        assert mask.sum() == 3 * size
    graded = covariance_window(rng.normal(0, 1, (300, 5, 5)), clock, train, [-0.1, 0.0], max_dimensions=9)
    assert graded.sum(axis=(1, 2)).tolist() == [0, 9]


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


def test_more_spikes_than_are_held_at_a_time(monkeypatch):
    frames, clock, train, _ = complex_cell(9, n_frames=3000)
    options = {"neuron_number": 0, "seed": 0, "n_shifts": 3}
    whole = spike_triggered_covariance(frames, clock, train, DELAYS, local_mask(), **options)
    monkeypatch.setattr("dj_neuron.strf.covariance._CHUNK_SPIKES", 100)
    pieces = spike_triggered_covariance(frames, clock, train, DELAYS, local_mask(), **options)
    np.testing.assert_allclose(whole.eigenvalues, pieces.eigenvalues)


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
    for mask in (np.zeros((3, 9, 10)), np.ones((2, 9, 10))):
        with pytest.raises(ContractError, match="a mask of shape"):
            spike_triggered_covariance(frames, clock, train, DELAYS, mask, neuron_number=0, seed=0)
    with pytest.raises(ContractError, match="0 delays of 0 or more"):
        covariance_window(frames, clock, train, [-0.1])
    with pytest.raises(ContractError, match="does not change"):
        spike_triggered_covariance(np.ones((2000, 9, 10)), clock, train, DELAYS, local_mask(), neuron_number=0, seed=0)
