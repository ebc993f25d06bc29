import numpy as np
import pytest

from dj_neuron import Movie
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    frozen_repeats,
    noise_ceiling,
    repeats,
    spike_triggered_average,
)
from dj_neuron.strf.repeats import trial_counts
from dj_neuron.strf.scores import correlation


def noise(seed, n_frames, shape=(6, 7)):
    return np.random.default_rng(seed).choice([-1, 1], (n_frames, *shape))


def starts_of(frames):
    trials = frozen_repeats(Movie.from_frames(np.asarray(frames)))
    return [] if not trials.size else (trials[:, 0].tolist(), trials.shape[1])


@pytest.mark.parametrize("bytes_at_a_time", [1 << 24, 1])
@pytest.mark.parametrize("shape", [(6, 7), (1, 40), (1, 3), (1, 1), (40, 60)])
def test_the_longest_stretch_that_comes_again_is_found(shape, bytes_at_a_time, monkeypatch):
    monkeypatch.setattr(repeats, "_CHUNK_BYTES", bytes_at_a_time)
    frozen, short = noise(1, 150, shape), noise(2, 40, shape)
    parts = [noise(3, 200, shape), frozen, short, noise(4, 77, shape), frozen, short[::-1], frozen, noise(5, 50, shape)]
    assert starts_of(np.concatenate(parts)) == ([200, 467, 657], 150)


def test_a_short_stretch_that_comes_again_does_not_end_the_search():
    short, frozen = noise(22, 20), noise(23, 60)
    parts = [short, noise(24, 50), short, frozen, noise(25, 50), frozen]
    assert starts_of(np.concatenate(parts)) == ([90, 200], 60)


def test_graded_movies_have_repeats_too():
    rng = np.random.default_rng(6)
    frozen = rng.normal(size=(60, 3, 3))
    assert starts_of(np.concatenate([frozen, rng.normal(size=(90, 3, 3)), frozen])) == ([0, 150], 60)


def test_a_movie_that_is_periodic_is_cut_into_whole_periods():
    assert starts_of(np.concatenate([noise(7, 100)] * 3 + [noise(7, 100)[:40]])) == ([0, 100, 200], 100)


def test_chance_short_repeats_and_grey_screens_are_none():
    assert starts_of(noise(8, 3000, (1, 2))) == []
    assert starts_of(np.concatenate([noise(9, 20), noise(10, 100), noise(9, 20)])) == []
    grey = np.full((300, 6, 7), -1)
    assert starts_of(np.concatenate([grey, noise(11, 100), grey, noise(12, 100), grey])) == []
    assert starts_of(noise(13, 5)) == starts_of(noise(13, 5, (1, 1))) == starts_of(noise(13, 63, (1, 1))) == []


@pytest.mark.parametrize("shape", [(6, 7), (1, 3)])
def test_trials_have_at_least_thirty_frames(shape):
    def shown(n_frames):
        frozen = noise(17, n_frames, shape)
        return starts_of(np.concatenate([noise(18, 50, shape), frozen, noise(19, 60, shape), frozen]))

    assert shown(30) == ([50, 140], 30)
    assert shown(29) == []
    assert starts_of(np.concatenate([noise(17, 30, shape)] * 2)) == ([0, 30], 30)
    assert starts_of(np.concatenate([noise(17, 29, shape)] * 2)) == []


@pytest.mark.parametrize("shape", [(6, 7), (8, 8)])
@pytest.mark.parametrize("order", [(0, 1, 2, 0, 3, 1), (1, 0, 2, 1, 3, 0), (0, 1, 1, 0), (2, 0, 1, 3, 1, 0)])
def test_stretches_shown_once_beside_each_other_are_two(order, shape):
    stretches = [noise(25, 40, shape), noise(26, 50, shape), noise(27, 30, shape), noise(28, 35, shape)]
    begins = np.cumsum([0, *(len(stretches[number]) for number in order)])
    expected = [int(begin) for begin, number in zip(begins, order, strict=False) if number == 1]
    assert starts_of(np.concatenate([stretches[number] for number in order])) == (expected, 50)


@pytest.mark.parametrize("order", ["FFS", "FSF"])
def test_a_showing_that_breaks_off_is_no_trial(order):
    frozen = noise(32, 70)
    shown = [frozen if part == "F" else np.concatenate([frozen[:40], noise(33, 30)]) for part in order]
    parts = [each for number, part in enumerate(shown) for each in (part, noise(34 + number, 20))]
    assert starts_of(np.concatenate(parts)) == ([0, 90 if order == "FFS" else 180], 70)


def test_of_two_that_take_as_many_frames_the_earlier_is_given():
    a, b = noise(37, 40), noise(38, 40)
    assert starts_of(np.concatenate([a, noise(39, 10), b, b, noise(40, 10), a])) == ([0, 140], 40)


@pytest.mark.parametrize("shape", [(6, 7), (7, 9), (3, 11)])
@pytest.mark.parametrize("before", [[0], [1, 0]])
def test_single_frames_of_few_blocks_may_come_again_by_chance(before, shape):
    frozen = noise(29, 40, shape)
    parts = [frozen[before], noise(30, 10, shape), frozen, noise(31, 50, shape), frozen]
    assert starts_of(np.concatenate(parts)) == ([len(before) + 10, len(before) + 100], 40)


def test_images_that_differ_in_one_block_are_others():
    frozen = noise(41, 30, (1, 128))
    for block in range(128):
        other = np.where(np.arange(128) == block, -frozen, frozen)
        assert starts_of(np.concatenate([frozen, noise(42, 10, (1, 128)), other])) == []
    spots = np.eye(128)[:, None]
    assert starts_of(np.concatenate([spots, spots[::-1]])) == []
    assert starts_of(np.concatenate([spots, spots])) == ([0, 128], 128)


@pytest.mark.parametrize("level", [-1, 1])
@pytest.mark.parametrize("contrast", [1, 0.3], ids=["two levels", "graded"])
def test_a_grey_screen_makes_no_trial_longer(level, contrast):
    frozen, grey = contrast * noise(20, 29, (8, 8)), np.full((40, 8, 8), level)
    assert starts_of(np.concatenate([frozen, grey, noise(21, 60, (8, 8)), frozen, grey])) == []


@pytest.mark.parametrize("known", [2, 0])
def test_what_does_not_vary_correlates_with_nothing(known):
    values, same = np.array([1.0, 2, 4, 8]), np.full(4, 3.0)
    assert correlation(values, 5 - 2 * values) == pytest.approx(-1)
    for constant in (same, same + 1e-9 * values, 0 * same):
        pairs = (values, constant), (constant, values), (same, constant)
        assert np.isnan([correlation(*pair) for pair in pairs]).all()
    assert correlation(values, same - 1e-4 * values) == pytest.approx(-1)
    some = np.where(np.arange(4) < known, values, np.nan)
    assert correlation(some, values) == pytest.approx(1) if known else np.isnan(correlation(some, values))


def test_counts_of_trials_come_from_repeats_or_from_showings():
    clocks = [FrameClock.regular(10, 70, onset) for onset in (0.0, 20.0)]
    trains = [np.array([-0.5, 0.05, 0.07, 4.05, 7.5]), np.array([19.95, 20.05])]  # some outside the movie
    trials = np.arange(30) + np.array([[0], [40]])
    inside = trial_counts([(clocks[0], trains[0])], trials)
    assert inside.shape == (2, 30)
    assert inside[:, 0].tolist() == [2, 1]
    across = trial_counts(list(zip(clocks, trains, strict=True)), np.empty((0, 0), int), 2)
    assert across.shape == (2, 35)
    assert across[:, 0].tolist() == [2, 1]
    assert np.isnan(noise_ceiling(across[:1]))


def test_spikes_at_all_showings_of_an_image_count_as_one_number_in_the_error():
    frames = np.concatenate([noise(14, 50)] * 2)
    clock = FrameClock.regular(10, 100, 0)
    train = np.array([0.05, 0.06, 5.05, 3.05])  # image 0 three times, image 30 once
    sta = spike_triggered_average(frames, clock, [train], [0.0])
    assert sta.error_factor[0, 0] == pytest.approx(np.sqrt(3**2 + 1) / 4)
    trains = [train, np.array([-0.5, 0.15, 3.05, 5.15, 10.5])]  # the other: image 1 twice, image 30 once
    sta = spike_triggered_average(frames, clock, trains, [0.0, 0.1])  # a frame earlier: images 29 and 49; 0, 0 and 29
    expected = np.sqrt([[3**2 + 1, 1 + 1], [2**2 + 1, 2**2 + 1]]) / [[4, 2], [3, 3]]
    np.testing.assert_allclose(sta.error_factor, expected)


def test_z_of_unrelated_reliable_spikes_has_a_spread_of_1_in_a_movie_that_repeats():
    """Spikes locked to the trial but not to the images shown: every trial has the same ones."""
    rng = np.random.default_rng(15)
    frames = np.concatenate([noise(16, 400, (20, 20))] * 8)
    clock = FrameClock.regular(10, 3200, 0)
    at = rng.choice(400, 30, replace=False)
    train = np.sort((at + 0.5)[:, None] + 400 * np.arange(8)).ravel()
    train = np.sort(train) / 10
    sta = spike_triggered_average(frames, clock, [train], [0.0])
    assert sta.z.std() == pytest.approx(1, abs=0.08)
    null = circular_shift_null(frames, clock, [train], [0.0], neuron_numbers=[1], seed=1, n_shifts=20)
    assert null.observed[0] == pytest.approx(np.abs(sta.z).max())
