import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from dj_neuron import Movie, SpikeTrain
from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf import FrameClock, fit_nonlinearity, noise_ceiling, predict_held_out
from dj_neuron.strf.model import _folds, block_values

RATE_HZ = 60.0
BLOCK_UM = (50.0, 50.0)
DELAYS = np.arange(-2, 12) / RATE_HZ
COURSE = np.array([0, 0.3, 0.9, 1, 0.6, 0, -0.4, -0.5, -0.3, -0.1, 0, 0])


def stimulus(n_frames=6000, seed=1):
    frames = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n_frames, 10, 12))
    return frames, FrameClock.regular(RATE_HZ, n_frames, 1.0)


def known_drive(frames, course=COURSE):
    y, x = np.mgrid[:10, :12]
    weights = np.exp(-((x - 6) ** 2 + (y - 4) ** 2) / (2 * 1.3**2))
    drive = np.convolve(np.tensordot(frames, weights, axes=2), course)[: len(frames)]
    return drive / drive.std()


def known_counts(frames, rate_hz=20.0, seed=2):
    expected = np.logaddexp(0, 2 * known_drive(frames) - 1)
    expected *= rate_hz / RATE_HZ / expected.mean()
    return expected, np.random.default_rng(seed).poisson(expected)


def spikes(counts, seed=3):
    frames = np.repeat(np.arange(len(counts)), counts)
    return 1.0 + (frames + np.sort(np.random.default_rng(seed).random(frames.size))) / RATE_HZ


@pytest.fixture(scope="module")
def predicted():
    frames, clock = stimulus()
    expected, counts = known_counts(frames)
    (result,) = predict_held_out(frames, clock, [spikes(counts)], DELAYS, BLOCK_UM)
    return frames, expected, counts, result


def test_a_known_neuron_is_predicted_nearly_as_well_as_by_the_truth(predicted):
    _, expected, counts, result = predicted
    tested = np.isfinite(result.predicted)
    by_truth = np.corrcoef(expected[tested], counts[tested])[0, 1]
    assert result.test_correlation == pytest.approx(by_truth, abs=0.03)
    assert np.corrcoef(result.predicted[tested], expected[tested])[0, 1] > 0.93
    log_ratio = np.log(expected[tested] / counts.mean())
    bits = (counts[tested] @ log_ratio - (expected[tested] - counts.mean()).sum()) / counts[tested].sum() / np.log(2)
    assert result.bits_per_spike == pytest.approx(bits, rel=0.1)
    assert result.bits_per_spike < bits
    assert 0 < result.test_correlation_se < 0.1
    assert result.reason == ""


def test_every_frame_with_a_history_is_tested_once(predicted):
    frames, _, counts, result = predicted
    assert np.isnan(result.predicted[:11]).all()
    assert np.isfinite(result.predicted[11:]).all()
    assert (result.observed == counts).all()
    assert result.n_bins == len(frames) - 11


def test_the_drive_is_that_of_the_known_filter(predicted):
    frames, _, _, result = predicted
    tested = np.isfinite(result.drive)
    assert np.corrcoef(result.drive[tested], known_drive(frames)[tested])[0, 1] > 0.93
    assert result.drive[tested].std() == pytest.approx(1, abs=0.1)


def test_the_nonlinearity_is_that_of_the_neuron(predicted):
    frames, expected, _, result = predicted
    curve = result.nonlinearity
    order = np.argsort(known_drive(frames))
    known_hz = [part.mean() * RATE_HZ for part in np.array_split(expected[order], 15)]
    assert np.abs((curve.rate_hz - known_hz) / curve.rate_hz_se).mean() < 2
    assert curve.rate_at(curve.drive) == pytest.approx(curve.rate_hz, rel=0.25, abs=1)


def test_wider_bins_correlate_more():
    frames, clock = stimulus()
    train = spikes(known_counts(frames)[1])
    one, wide = (predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, bin_s=b)[0] for b in (0, 0.1))
    assert wide.n_bins == pytest.approx(one.n_bins / 6, abs=5)
    assert wide.test_correlation > one.test_correlation + 0.05
    assert wide.bits_per_spike == one.bits_per_spike


def test_unrelated_spikes_are_not_predicted():
    frames, clock = stimulus()
    rng = np.random.default_rng(4)
    trains = [np.sort(rng.uniform(1, 101, 1500)) for _ in range(30)]
    results = predict_held_out(frames, clock, trains, DELAYS, BLOCK_UM)
    none_found = [r.reason == "no field found in the training time" for r in results]
    assert np.mean(none_found) > 0.7
    found = [r for r, none in zip(results, none_found, strict=True) if not none]
    assert all(r.bits_per_spike < 0.01 for r in found)
    assert np.isnan([r.test_correlation for r, none in zip(results, none_found, strict=True) if none]).all()


def test_graded_and_packed_movies_and_contracts_give_the_same():
    frames, clock = stimulus(3000)
    train = spikes(known_counts(frames, rate_hz=60)[1])
    packed = predict_held_out(Movie.from_frames(frames), clock, [SpikeTrain(1, train)], DELAYS, BLOCK_UM)[0]
    graded = Movie(frames.shape, frames.astype(np.float64))
    other = predict_held_out(graded, clock, [train], DELAYS, BLOCK_UM)[0]
    np.testing.assert_allclose(other.predicted, packed.predicted, rtol=1e-6)


def test_spikes_outside_the_movie_are_no_spikes_of_its_frames(predicted):
    frames, _, counts, result = predicted
    clock, train = FrameClock.regular(RATE_HZ, len(frames), 1.0), spikes(counts)
    with_others = np.concatenate([[0.1, 0.2], train, [clock.ends_s[-1] + 0.5]])
    (found,) = predict_held_out(frames, clock, [with_others], DELAYS, BLOCK_UM)
    assert found.observed.sum() == result.observed.sum() == np.sum(counts[np.isfinite(result.predicted)])
    np.testing.assert_allclose(found.predicted, result.predicted)


def test_neurons_do_not_depend_on_each_other():
    frames, clock = stimulus(3000)
    train = spikes(known_counts(frames, rate_hz=60)[1])
    alone = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM)[0]
    _, beside = predict_held_out(frames, clock, [train[::3], train], DELAYS, BLOCK_UM)
    assert beside.test_correlation == alone.test_correlation
    assert beside.bits_per_spike == alone.bits_per_spike


def test_nothing_near_a_tested_frame_is_trained_on():
    folds = _folds(1000, 4, 7, np.empty((0, 0), np.int64))
    assert (np.sum([fold.tested for fold in folds], axis=0) == 1).all()
    for fold in folds:
        tested, trained = np.flatnonzero(fold.tested), np.flatnonzero(fold.trained)
        assert np.abs(tested[:, None] - trained).min() == 8
        assert trained.size > 700


def test_spikes_within_the_reach_of_the_filter_teach_nothing_about_their_neighbours():
    frames, clock = stimulus(3000)
    counts = known_counts(frames, rate_hz=60)[1]
    reach = 12  # frames of the longest delay, and one

    def first_half(counts):
        times_s = 1.0 + (np.repeat(np.arange(3000), counts) + 0.5) / RATE_HZ
        return predict_held_out(frames, clock, [times_s], DELAYS, BLOCK_UM, n_folds=2)[0].predicted[:1500]

    before = first_half(counts)
    counts[1500 : 1500 + reach] += 3
    assert np.array_equal(first_half(counts), before, equal_nan=True)
    counts[1500 + reach] += 3
    assert not np.array_equal(first_half(counts), before, equal_nan=True)


def test_other_showings_of_tested_images_are_not_trained_on():
    trials = np.array([np.arange(100, 200), np.arange(500, 600)])
    fold = _folds(1000, 5, 3, trials)[0]  # frames 0 to 199
    assert not fold.trained[497:603].any()
    assert fold.trained[496]
    assert fold.trained[603:].all()


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_block_values_are_those_of_the_frames(n_x, seed):
    rng = np.random.default_rng(seed)
    frames = rng.choice([-1, 1], (6, 3, n_x))
    blocks = rng.permutation(3 * n_x)[: rng.integers(1, 3 * n_x + 1)]
    expected = frames.reshape(6, -1)[:, blocks]
    np.testing.assert_array_equal(block_values(Movie.from_frames(frames), blocks), expected)


def test_the_curve_has_the_greatest_likelihood():
    rng = np.random.default_rng(5)
    drive = rng.normal(size=4000)
    counts = rng.poisson(0.4 * np.logaddexp(0, 1.5 * drive - 0.5)).astype(float)
    curve = fit_nonlinearity(drive, counts, np.full(4000, 0.02))

    def cost(parameters):
        expected = np.exp(parameters[0]) * np.logaddexp(0, parameters[1] * drive + parameters[2]) * 0.02
        return np.sum(expected - counts * np.log(expected))

    best = minimize(cost, [3.0, 1.5, -0.5], method="Nelder-Mead", options={"maxiter": 2000, "fatol": 1e-6})
    assert cost([np.log(curve.gain_hz), curve.slope, curve.offset]) == pytest.approx(best.fun, abs=0.5)


@pytest.mark.parametrize("offset", [-9.0, -3.0, -0.5, 4.0])
def test_the_fit_of_the_curve_goes_on_to_its_end(offset):
    # where it is flat along the offset, an early end would be elsewhere on every processor
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drive = rng.normal(size=3000)
        rate = np.logaddexp(0, 0.5 * drive + offset)
        counts = rng.poisson(0.2 * rate / rate.mean()).astype(float)
        curve = fit_nonlinearity(drive, counts, np.full(drive.size, 0.02))
        groups = np.array_split(np.argsort(drive, kind="stable"), 100)
        means, spikes = np.array([(drive[group].mean(), counts[group].sum()) for group in groups]).T

        def cost(slope, offset, means=means, spikes=spikes):
            soft = np.logaddexp(0, slope * means + offset)
            return np.log(soft.sum()) - spikes @ np.log(soft) / spikes.sum()

        def least(offset, cost=cost):
            return minimize_scalar(cost, bounds=(-10, 10), args=(offset,), method="bounded").fun

        elsewhere = [min(max(curve.offset + step, -12), 12) for step in (-3, -0.3, -0.03, 0.03, 0.3, 3)]
        assert cost(curve.slope, curve.offset) <= min(map(least, elsewhere)) + 1e-12
        assert curve.rate_at(means).mean() == pytest.approx(spikes.sum() / (drive.size * 0.02))


def test_the_noise_ceiling_is_what_the_truth_reaches():
    rng = np.random.default_rng(6)
    rate = np.exp(rng.normal(size=3000))
    trials = rng.poisson(rate, (20, 3000))
    by_truth = np.mean([np.corrcoef(rate, trial)[0, 1] for trial in trials])
    assert noise_ceiling(trials) == pytest.approx(by_truth, abs=0.02)
    assert noise_ceiling(rng.poisson(2.0, (20, 3000))) == pytest.approx(0, abs=0.12)
    assert np.isnan(noise_ceiling(trials[:1]))
    assert np.isnan(noise_ceiling(np.zeros((3, 50))))


def test_a_repeated_movie_has_a_ceiling_and_stays_below_it():
    once = stimulus(1000)[0]
    frames = np.concatenate([stimulus(3000, seed=8)[0], *[once] * 4])
    clock = FrameClock.regular(RATE_HZ, len(frames), 1.0)
    repeats = [np.arange(3020, 4000) + 1000 * k for k in range(4)]
    train = spikes(known_counts(frames, rate_hz=40)[1])
    (result,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, repeats=repeats)
    assert 0.3 < result.test_correlation < result.noise_ceiling + 0.05
    assert result.noise_ceiling < 1


def test_gaps_and_joins_have_no_prediction():
    frames, _ = stimulus(3000)
    edges = 1 + np.arange(3001) / RATE_HZ
    edges[1500:] += 1
    clock = FrameClock.from_starts(
        edges[:-1], edges[-1], gaps_s=[(edges[1500] - 1, edges[1500])], joins_s=[edges[1500]]
    )
    counts = known_counts(frames, rate_hz=60)[1]
    train = spikes(counts)
    train[train >= edges[1500] - 1] += 1
    (result,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM)
    assert np.isnan(result.predicted[1500:1511]).all()
    assert np.isfinite(result.predicted[1511:]).all()
    assert (result.observed == counts).all()


def test_of_a_field_below_the_noise_the_largest_component_is_kept():
    agreement = []
    for seed in (0, 2):
        frames, clock = stimulus(3000, seed=seed + 1)
        train = spikes(known_counts(frames, rate_hz=1.0, seed=seed)[1])
        (result,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM)
        driven = np.isfinite(result.drive)
        agreement.append(np.corrcoef(result.drive[driven], known_drive(frames)[driven])[0, 1])
    assert np.mean(agreement) > 0.4


def test_one_fold_alone_has_no_spread():
    frames, clock = stimulus(3000)
    train, middle_s = spikes(known_counts(frames, rate_hz=30)[1]), 1 + 1500 / RATE_HZ
    train = np.concatenate([train[train < middle_s], middle_s + np.array([0.5, 1, 2, 3, 4])])
    (result,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, n_folds=2)
    assert np.isnan(result.predicted[:1500]).all()  # five spikes teach nothing
    assert np.isfinite(result.test_correlation)
    assert np.isnan(result.test_correlation_se)


def test_silent_neurons_say_so():
    frames, clock = stimulus(1000)
    silent, few = predict_held_out(frames, clock, [[], np.linspace(2, 15, 10)], DELAYS, BLOCK_UM)
    assert silent.reason == few.reason == "too few spikes in the training time"
    assert np.isnan([silent.test_correlation, silent.bits_per_spike, silent.noise_ceiling]).all()


def test_bad_input_is_refused_in_words():
    frames, clock = stimulus(100)
    with pytest.raises(AlignmentError, match="no delay is 0 s or more"):
        predict_held_out(frames, clock, [[1.5]], [-0.1], BLOCK_UM)
    with pytest.raises(ContractError, match=r"1 fold\(s\) leave nothing"):
        predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, n_folds=1)
    for n_folds in (2.5, np.nan):
        with pytest.raises(ContractError, match=f"{n_folds} folds are asked for, expected a whole number"):
            predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, n_folds=n_folds)
    with pytest.raises(AlignmentError, match="100 frames cannot be split into 101 folds"):
        predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, n_folds=101)
    for size in ((0, 10), (np.nan, 10), (10, -1), (10, np.inf)):
        with pytest.raises(ContractError, match="expected a width and a height above 0"):
            predict_held_out(frames, clock, [[1.5]], DELAYS, size)
    for bin_s in (-1, np.nan, np.inf):
        with pytest.raises(ContractError, match=rf"bins are {bin_s} s wide, expected finite seconds"):
            predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, bin_s=bin_s)
    with pytest.raises(ContractError, match="trials have 5, 6 frames"):
        predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, repeats=[np.arange(5), np.arange(6)])
    with pytest.raises(AlignmentError, match="movie has 100 frames, but the clock 99"):
        predict_held_out(frames, FrameClock.regular(60, 99, 0), [[1.5]], DELAYS, BLOCK_UM)
    with pytest.raises(AlignmentError, match="spike train 1 has spike 0 at nan, expected finite seconds"):
        predict_held_out(frames, clock, [[1.5], [np.nan]], DELAYS, BLOCK_UM)
