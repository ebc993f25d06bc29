import numpy as np
import pytest

from dj_neuron.errors import AlignmentError
from dj_neuron.strf import FrameClock, data_sufficiency, spike_triggered_average
from dj_neuron.strf.sufficiency import _correlations, _extrapolate, split_halves

RATE_HZ = 60.0
DELAYS = np.arange(-2, 6) / RATE_HZ


def recording(seed, n_frames, n_neurons=4, gain=0.06, shape=(12, 15)):
    """Neurons that fire, two frames later, to what a Gaussian field sees; the last one fires anyhow."""
    rng = np.random.default_rng(seed)
    frames = rng.choice([-1, 1], (n_frames, *shape))
    y, x = np.mgrid[: shape[0], : shape[1]]
    trains = []
    for neuron in range(n_neurons):
        field = np.exp(-((y - 5) ** 2 + (x - 4 - neuron) ** 2) / 4)
        seen = np.roll(np.tensordot(frames, field / np.linalg.norm(field), 2), 2)
        chance = np.clip(0.1 + (gain * seen if neuron < n_neurons - 1 else 0), 0, 1)
        trains.append((np.flatnonzero(rng.random(n_frames) < chance) + rng.random()) / RATE_HZ)
    return frames, FrameClock.regular(RATE_HZ, n_frames, 0), trains


def test_z_grows_with_the_root_of_time_and_maps_approach_the_final_one():
    frames, clock, trains = recording(1, 12_000, n_neurons=9)
    found = data_sufficiency(frames, clock, trains, DELAYS, fractions=[0.25, 0.5, 1.0])
    np.testing.assert_allclose(found.minutes, np.array([50, 100, 200]) / 60)
    growth = np.mean(found.peak_z[:8] / found.peak_z[:8, -1:], axis=0)
    np.testing.assert_allclose(growth, [0.5, 0.5**0.5, 1], atol=0.08)
    assert (np.diff(found.map_r[:8], axis=1) > 0).all()
    np.testing.assert_allclose(found.map_r[:, -1], 1)
    unreliable = 1 / found.reliability[:8] - 1
    np.testing.assert_allclose(found.minutes_needed[:8], 200 / 60 * 9 * unreliable)


def test_delays_may_come_in_any_order():
    what, order = recording(11, 1500), np.random.default_rng(12).permutation(DELAYS.size)
    found, other = (data_sufficiency(*what, delays, stretch_s=5) for delays in (DELAYS, DELAYS[order]))
    for name in ("peak_z", "map_r", "split_half_r", "reliability", "minutes_needed"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))


def z_of_part(frames, train, in_part, lag):
    """z of the spikes and frames of a part of the recording, frame by frame; spikes are at frames' beginnings."""
    shown = (train * RATE_HZ + 1e-6).astype(int)
    shown = shown[in_part[shown]] - lag
    seen = np.flatnonzero(in_part) - lag
    shown, seen = shown[(shown >= 0) & (shown < len(frames))], seen[(seen >= 0) & (seen < len(frames))]
    error = frames.std(axis=0) * np.sqrt(np.sum(np.bincount(shown) ** 2)) / shown.size
    return (frames[shown].mean(axis=0) - frames[seen].mean(axis=0)) / error


def test_parts_are_those_of_spikes_and_frames_cut_by_hand():
    frames, clock, trains = recording(2, 1500)
    found = data_sufficiency(frames, clock, trains, DELAYS, fractions=[0.4], stretch_s=5)
    is_even = np.arange(1500) // 300 % 2 == 0
    for neuron, train in enumerate(trains):
        whole = np.array([z_of_part(frames, train, is_even | ~is_even, lag) for lag in range(6)])
        lag, row, column = np.unravel_index(np.abs(whole).argmax(), whole.shape)
        part = z_of_part(frames, train, np.arange(1500) < 600, lag)
        assert found.peak_z[neuron, 0] == pytest.approx(np.sign(whole[lag, row, column]) * part[row, column])
        expected = np.corrcoef(part.ravel(), whole[lag].ravel())[0, 1]
        assert found.map_r[neuron, 0] == pytest.approx(expected)
        a, b = (z_of_part(frames, train, in_part, lag) for in_part in (is_even, ~is_even))
        assert found.split_half_r[neuron] == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_parts_end_with_their_last_frame():
    rng = np.random.default_rng(9)
    frames, clock = rng.choice([-1, 1], (100, 3, 4)), FrameClock.regular(1, 100, 0)
    train = np.arange(100.0)[rng.random(100) < 0.4]  # at the beginnings of frames
    fractions = [0.07, 0.29, 0.295, 0.57, 1.0]  # 0.07 and 0.29 of 100 are roundings away from 7 and 29
    found = data_sufficiency(frames, clock, [train], [0.0], fractions=fractions, stretch_s=10)
    np.testing.assert_allclose(found.minutes, np.array([7, 29, 30, 57, 100]) / 60)
    z = spike_triggered_average(frames, clock, [train], [0.0]).z[0, 0].ravel()
    peak = np.abs(z).argmax()
    for place, n_frames in enumerate([7, 29, 30, 57, 100]):
        shown = frames.reshape(100, -1)[train[train < n_frames].astype(int)]
        error = frames.reshape(100, -1).std(axis=0) / np.sqrt(len(shown))
        of_part = (shown.mean(axis=0) - frames[:n_frames].reshape(n_frames, -1).mean(axis=0)) / error
        assert found.peak_z[0, place] == pytest.approx(of_part[peak] * np.sign(z[peak]))
        assert found.map_r[0, place] == pytest.approx(np.corrcoef(of_part, z)[0, 1])


def test_minutes_are_those_that_the_movie_was_shown():
    starts = np.r_[np.arange(10.0), np.arange(15.0, 25.0)]
    clock = FrameClock.from_starts(starts, 25.0, gaps_s=[(10.0, 15.0)])
    frames = np.random.default_rng(10).choice([-1, 1], (20, 2, 3))
    found = data_sufficiency(frames, clock, [starts + 0.5], [0.0], fractions=[0.5, 0.75, 1.0], stretch_s=5)
    np.testing.assert_allclose(found.minutes * 60, [10, 15, 20])


def test_halves_take_every_spike_once_on_any_clock():
    clock = FrameClock.from_starts(np.r_[np.arange(10.0), np.arange(15.0, 25.0)], 25.0, gaps_s=[(10.0, 15.0)])
    train = np.arange(-2.0, 30.0)
    (first,), (second,) = split_halves(clock, [train], stretch_s=5.0)
    assert sorted([*first, *second]) == train.tolist()
    assert second.tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, *range(20, 30)]


def test_stretches_have_at_least_one_frame():
    clock = FrameClock.regular(10, 6, 0)
    (first,), (second,) = split_halves(clock, [np.arange(6) / 10 + 0.05], stretch_s=0.01)
    np.testing.assert_allclose(first, [0.05, 0.25, 0.45])
    np.testing.assert_allclose(second, [0.15, 0.35, 0.55])


def test_half_a_movie_is_at_least_a_stretch():
    clock = FrameClock.regular(10, 60, 0)
    assert len(split_halves(clock, [np.array([3.5])], stretch_s=3.0)[1][0]) == 1
    with pytest.raises(AlignmentError, match=r"60 frames at 10 Hz, expected at least two stretches of 3\.1 s"):
        split_halves(clock, [np.array([3.5])], stretch_s=3.1)


def test_reliability_and_minutes_needed_are_those_of_other_recordings():
    n_frames = 6000
    reliability, needed, agreement = [], [], []
    for seed in range(6):
        one, other = recording([3, seed], n_frames), recording([4, seed], n_frames)
        found = data_sufficiency(*one, DELAYS, fractions=[1.0], stretch_s=5)
        reliability.append(found.reliability[:3])
        needed.append(found.minutes_needed[:3])
        maps = [spike_triggered_average(*each, 2 / RATE_HZ).values[:3, 0].reshape(3, -1) for each in (one, other)]
        agreement.append([np.corrcoef(a, b)[0, 1] for a, b in zip(*maps, strict=True)])
    assert np.mean(reliability) == pytest.approx(np.mean(agreement), abs=0.04)
    minutes = float(np.median(needed))
    longer = [recording([5, seed], round(minutes * 60 * RATE_HZ)) for seed in range(2)]
    maps = [spike_triggered_average(*each, 2 / RATE_HZ).values[:3, 0].reshape(3, -1) for each in longer]
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*maps, strict=True)]) == pytest.approx(0.9, abs=0.02)


def test_nothing_is_foretold_for_neurons_that_do_not_respond():
    rng = np.random.default_rng(6)
    frames, clock = rng.choice([-1, 1], (3000, 12, 15)), FrameClock.regular(RATE_HZ, 3000, 0)
    trains = [np.sort(rng.uniform(0, 50, 1500)) for _ in range(60)]  # half a spike per frame
    found = data_sufficiency(frames, clock, trains, DELAYS, fractions=[1.0], stretch_s=5)
    assert abs(found.split_half_r.mean()) < 0.03
    assert np.isnan(found.minutes_needed).sum() >= 56
    assert (np.isnan(found.reliability) == (found.split_half_r < 0)).all()


def test_silence_is_nan():
    frames, clock, trains = recording(7, 1500)
    found = data_sufficiency(frames, clock, [np.empty(0), trains[0][:1]], DELAYS, fractions=[0.5], min_spikes=2)
    for values in (found.peak_z, found.map_r, found.split_half_r, found.reliability, found.minutes_needed):
        assert np.isnan(values).all()


def test_what_cannot_be_split_is_refused():
    frames, clock, trains = recording(8, 600)
    with pytest.raises(AlignmentError, match="at least two stretches of 10 s"):
        data_sufficiency(frames, clock, trains, DELAYS)
    for fractions in ([0.0], [0.5, 1.001], [np.nan], [[0.5]]):
        with pytest.raises(
            AlignmentError, match=r"fractions are .*, expected parts of the recording above 0 and up to"
        ):
            data_sufficiency(frames, clock, trains, DELAYS, fractions=fractions, stretch_s=1)
    assert data_sufficiency(frames, clock, [], DELAYS, fractions=0.5, stretch_s=1).peak_z.shape == (0, 1)


def test_maps_are_correlated_over_the_blocks_that_both_know():
    a, b = np.random.default_rng(5).normal(size=(2, 3, 40))
    a[0, :7], b[0, 30:], b[1, ::3] = np.nan, np.nan, np.inf
    known = np.isfinite(a) & np.isfinite(b)
    expected = [np.corrcoef(a[i, known[i]], b[i, known[i]])[0, 1] for i in range(3)]
    np.testing.assert_allclose(_correlations(a, b), expected)
    np.testing.assert_allclose(_correlations(a / 1000, b / 1000), expected)
    a[0, 7:], b[1] = np.nan, 2.0  # no block that both know, no spread
    np.testing.assert_allclose(_correlations(a, b), [np.nan, np.nan, expected[2]])


def test_a_movie_of_a_few_blocks_foretells_nothing():
    for n_blocks in (1, 2, 3):
        rng = np.random.default_rng(n_blocks)
        frames, clock = rng.choice([-1, 1], (600, 1, n_blocks)), FrameClock.regular(RATE_HZ, 600, 0)
        trains = [np.sort(rng.uniform(0, 10, 99)) for _ in range(20)]
        found = data_sufficiency(frames, clock, trains, [0.0], stretch_s=1)
        assert np.isnan(found.minutes_needed).all()
        assert np.isnan(found.split_half_r).all() == (n_blocks == 1)
    for r in (1.0, 0.99, 0.0):
        assert np.isnan(_extrapolate(np.array([r]), 3, 10.0)[1]).all()


def test_a_correlation_of_less_than_2_33_standard_errors_promises_nothing():
    n_blocks = 28  # Fisher's z has a standard error of a fifth
    for errors, is_sure in ((2.32, False), (2.34, True)):
        r = np.tanh(np.array([errors / 5]))
        reliability, minutes = _extrapolate(r, n_blocks, 10.0)
        assert reliability == pytest.approx(2 * r / (1 + r))
        assert np.isfinite(minutes).all() == is_sure
    reliability, minutes = _extrapolate(np.array([-0.01, 0.0, 1.0]), n_blocks, 10.0)
    np.testing.assert_array_equal(reliability, [np.nan, 0, 1])
    np.testing.assert_array_equal(minutes, [np.nan, np.nan, 0])
    assert np.isfinite(_extrapolate(np.tanh(np.array([2.34])), 4, 10.0)[1])
    assert _extrapolate(np.array([1 + 1e-15]), n_blocks, 10.0)[1] == pytest.approx(0)  # but for roundings
    reliability, minutes = _extrapolate(np.array([0.8]), n_blocks, 10.0)
    assert minutes == pytest.approx(10 * 0.9 * (1 - reliability) / (reliability * 0.1))
