import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from dj_neuron import Movie, SpikeTrain
from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf import FrameClock, fit_nonlinearity, noise_ceiling, predict_held_out, spike_triggered_average
from dj_neuron.strf.model import _folds, block_values, frames_per_bin
from dj_neuron.strf.noise import noise_covariance
from dj_neuron.strf.scores import binned
from dj_neuron.strf.separability import shrunk

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
    blocks = rng.permutation(3 * n_x)[: rng.integers(1, 3 * n_x + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dj_neuron.strf.model._CHUNK_VALUES", 2 * 3 * n_x)  # two frames at a time
        for frames in (rng.choice([-0.5, 1.25], (7, 3, n_x)), rng.normal(size=(7, 3, n_x))):
            expected = frames.reshape(7, -1)[:, blocks]
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
        rounded = fit_nonlinearity(drive * (1 + 1e-13 * rng.normal(size=3000)), counts, np.full(drive.size, 0.02))
        assert (rounded.slope, rounded.offset) == pytest.approx((curve.slope, curve.offset), abs=1e-9)


def test_curves_without_an_end_stay_within_limits():
    drive = np.linspace(-2, 2, 400)
    for sign in (1, -1):
        step = fit_nonlinearity(sign * drive, (drive > -0.5).astype(float), np.full(400, 0.02))
        assert step.slope == pytest.approx(sign * 10)
        assert 11 < step.offset < 12
    line = fit_nonlinearity(drive, 3 + drive, np.full(400, 0.02))
    assert (line.slope, line.offset) == pytest.approx((4, 12), rel=1e-3)
    exponential = fit_nonlinearity(drive, np.exp(1.5 * drive), np.full(400, 0.02))
    assert (exponential.slope, exponential.offset) == pytest.approx((1.5, -12), rel=1e-3)


def test_the_histogram_has_groups_of_frames_in_the_order_of_their_drive():
    drive, counts = np.array([3.0, 1, 1, 2, 5, 4, 1]), np.array([4.0, 0, 0, 1, 2, 3, 5])
    durations_s = np.array([0.5, 0.1, 0.2, 0.3, 0.1, 0.3, 0.4])
    found = fit_nonlinearity(drive, counts, durations_s, n_bins=3)
    np.testing.assert_allclose(found.drive, [1, 1.5, 4])
    np.testing.assert_allclose(found.rate_hz, [0, 6 / 0.7, 9 / 0.9])
    np.testing.assert_allclose(found.rate_hz_se, [1 / 0.3, np.sqrt(6) / 0.7, 3 / 0.9])
    each = fit_nonlinearity(drive, counts, durations_s)  # fewer frames than bins
    np.testing.assert_array_equal(each.drive, np.sort(drive))
    assert fit_nonlinearity(np.arange(30), np.ones(30), np.ones(30)).drive.size == 15


def test_the_noise_ceiling_is_what_the_truth_reaches():
    rng = np.random.default_rng(6)
    rate = np.exp(rng.normal(size=3000))
    trials = rng.poisson(rate, (20, 3000))
    by_truth = np.mean([np.corrcoef(rate, trial)[0, 1] for trial in trials])
    assert noise_ceiling(trials) == pytest.approx(by_truth, abs=0.02)
    assert noise_ceiling(rng.poisson(2.0, (20, 3000))) == pytest.approx(0, abs=0.12)
    assert np.isnan(noise_ceiling(trials[:1]))
    assert np.isnan(noise_ceiling(np.zeros((3, 50))))


def test_the_noise_ceiling_is_the_root_of_signal_over_total_power():
    assert noise_ceiling([[0, 4], [0, 4], [0, 1]]) == pytest.approx(np.sqrt(4 / 5.5))
    assert noise_ceiling([[1, 2, 4]] * 2) == pytest.approx(1)
    assert noise_ceiling([[0, 4], [4, 0]]) == 0
    assert np.isnan([noise_ceiling(counts) for counts in ([[1, 2, 4]], [[1], [2]], [[1, 1], [1, 1]])]).all()


def test_bins_are_sums_of_whole_widths():
    values = np.arange(14.0).reshape(2, 7)
    np.testing.assert_array_equal(binned(values, 3), [[3, 12], [24, 33]])
    assert binned(values, 8).shape == (2, 0)
    clock = FrameClock.regular(50.0, 10, 0)
    assert [frames_per_bin(clock, bin_s) for bin_s in (0, 0.008, 0.029, 0.031, 0.2)] == [1, 1, 1, 2, 10]


def test_a_repeated_movie_has_a_ceiling_and_stays_below_it():
    once = stimulus(1000)[0]
    frames = np.concatenate([stimulus(3000, seed=8)[0], *[once] * 4])
    clock = FrameClock.regular(RATE_HZ, len(frames), 1.0)
    repeats = [np.arange(3020, 4000) + 1000 * k for k in range(4)]
    train = spikes(known_counts(frames, rate_hz=40)[1])
    (result,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, repeats=repeats)
    assert 0.3 < result.test_correlation < result.noise_ceiling + 0.05
    assert result.noise_ceiling == pytest.approx(noise_ceiling(result.observed[np.array(repeats)]))
    assert result.noise_ceiling < 1
    (wide,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, repeats=repeats, bin_s=0.05, n_folds=5)
    in_bins = result.observed[np.array(repeats)][:, :978].reshape(4, 326, 3).sum(axis=2)
    assert wide.noise_ceiling == pytest.approx(noise_ceiling(in_bins))
    np.testing.assert_array_equal(wide.predicted, result.predicted)


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
    assert silent.n_bins == 0
    (silent,) = predict_held_out(frames, clock, [[]], DELAYS, BLOCK_UM, min_spikes=0)
    assert silent.reason == "too few spikes in the training time"


def flicker(n_frames=400):
    """One block of graded contrast, frames of unequal length with a gap, and two neurons that answer its last frames.

    The second fires only where the block is bright.
    """
    rng = np.random.default_rng(11)
    frames = 3 + 2 * rng.normal(size=(n_frames, 1, 1))
    starts_s = np.cumsum(rng.uniform(0.01, 0.03, n_frames))
    starts_s[200:] += 1
    clock = FrameClock.from_starts(starts_s, starts_s[-1] + 0.02, gaps_s=[(starts_s[200] - 0.99, starts_s[200])])
    drive = np.convolve(frames[:, 0, 0] - 3, [0.6, 1, -0.4])[:n_frames] / 2
    rates_hz = np.array([30 * np.logaddexp(0, drive), np.where(drive > 1.3, 80.0, 0)])
    counts = rng.poisson(rates_hz * (clock.ends_s - clock.starts_s))
    trains = [np.repeat((clock.starts_s + clock.ends_s) / 2, own) for own in counts]
    return frames, clock, trains, counts


def test_of_one_block_every_number_follows_from_its_average():
    frames, clock, trains, observed = flicker()
    delays = np.array([0, 0.018, 0.04])
    lengths_s, middles_s = clock.ends_s - clock.starts_s, (clock.starts_s + clock.ends_s) / 2
    seen = np.array([clock.frames_at(middles_s, delay_s) for delay_s in delays])
    complete = (seen >= 0).all(axis=0)
    n_near = int(np.ceil(0.04 * clock.frame_rate_hz)) + 1
    found = predict_held_out(frames, clock, trains, [-0.02, *delays], BLOCK_UM, n_folds=3, bin_s=0.06)
    width = frames_per_bin(clock, 0.06)
    assert width == 3
    for train, counts, result in zip(trains, observed, found, strict=True):
        drive, by_rate, predicted = np.full((3, 400), np.nan)
        of_folds, bins = [], []
        for part in np.array_split(np.arange(400), 3):
            far = np.abs(np.arange(400)[:, None] - part).min(axis=1) > n_near
            sta = spike_triggered_average(frames, clock, [train[np.isin(train, middles_s[far])]], delays)
            of_all = sta.values[0, :, 0, 0] @ (frames[:, 0, 0] - frames.mean())[seen]
            trained, tested = far & complete, part[complete[part]]
            of_all = (of_all - of_all[trained].mean()) / of_all[trained].std()
            drive[tested] = of_all[tested]
            rate_hz = counts[trained].sum() / lengths_s[trained].sum()
            curve = fit_nonlinearity(of_all[trained], counts[trained], lengths_s[trained])
            by_rate[tested] = rate_hz * lengths_s[tested]
            predicted[tested] = np.maximum(curve.rate_at(of_all[tested]) * lengths_s[tested], 1e-3 * by_rate[tested])
            some = binned(np.array([predicted, counts])[:, part], width)
            bins.append(some[:, np.isfinite(some[0])])
            of_folds.append(np.corrcoef(*bins[-1])[0, 1])
        np.testing.assert_array_equal(result.observed, counts)
        np.testing.assert_allclose(result.drive, drive, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result.predicted, predicted, rtol=1e-4, atol=1e-12)
        assert result.n_bins == sum(some.shape[1] for some in bins)
        assert result.test_correlation == pytest.approx(np.corrcoef(*np.concatenate(bins, axis=1))[0, 1])
        assert result.test_correlation_se == pytest.approx(np.std(of_folds, ddof=1) / np.sqrt(3))
        gain = counts[complete] * np.log(predicted[complete] / by_rate[complete])
        gain -= predicted[complete] - by_rate[complete]
        assert result.bits_per_spike == pytest.approx(gain.sum() / counts[complete].sum() / np.log(2))
        curve = fit_nonlinearity(drive[complete], counts[complete], lengths_s[complete])
        assert result.nonlinearity.slope == pytest.approx(curve.slope, rel=1e-3)
    assert (predicted == 1e-3 * by_rate).any()


@pytest.mark.parametrize(("kind", "seed", "n_components"), [("separable", 1, 1), ("inseparable", 1, 2), ("weak", 3, 1)])
def test_the_filter_has_the_components_of_the_average_that_stand_out_of_its_noise(kind, seed, n_components):
    rng = np.random.default_rng(seed)
    frames, clock = rng.choice([-1, 1], (1400, 11, 12)), FrameClock.regular(RATE_HZ, 1400, 0)
    y, x = np.mgrid[:11, :12]
    wide = np.tensordot(frames, np.exp(-((y - 5) ** 2 + (x - 5) ** 2) / 8) / 5, 2)
    one, other = frames[:, 4, 5:7].sum(axis=1), frames[:, 6, 5:7].sum(axis=1)
    late = np.roll(other if kind == "inseparable" else one, 1)
    counts = rng.poisson(0.5 * np.exp(0.3 * wide if kind == "weak" else one + late - 1))
    if kind != "weak":
        counts += np.roll(counts, 1)  # bursts, whose noise is correlated between delays
    train, delays = (np.repeat(np.arange(1400), counts) + 0.5) / RATE_HZ, np.arange(2) / RATE_HZ
    (found,) = predict_held_out(frames, clock, [train], delays, BLOCK_UM, n_folds=2)

    # drive is a weighted sum of blocks and delays, so that the weights can be solved for
    part, values = np.arange(700, 1400), frames.reshape(1400, -1)
    design = np.concatenate([values[part], values[part - 1], np.ones((700, 1))], axis=1)
    weights = np.linalg.lstsq(design, found.drive[part])[0][:-1].reshape(2, 11, 12)
    region = np.abs(weights).max(axis=0) > 1e-9
    average = spike_triggered_average(frames, clock, [train[train < 698 / RATE_HZ]], delays)
    root = np.linalg.cholesky(noise_covariance(average.z[0], delays, region))
    assert (root[1, 0] > 0.1) == (kind != "weak")
    in_errors = weights * average.pixel_sd / average.error_factor[0][:, None, None]
    z, whole = (np.linalg.inv(root) @ each[:, region] for each in (average.z[0], in_errors))
    courses, heights, maps = np.linalg.svd(z, full_matrices=False)
    kept = shrunk(heights, *z.shape)
    if kind == "weak":
        assert not kept.any()
        kept = heights * [1, 0]
    assert np.count_nonzero(kept) == n_components
    expected = courses * kept @ maps
    np.testing.assert_allclose(whole / np.linalg.norm(whole), expected / np.linalg.norm(expected), atol=1e-4)


def test_the_contrast_and_the_size_of_blocks_change_nothing():
    rng = np.random.default_rng(13)
    frames = rng.normal(size=(2000, 6, 7))
    drive = np.convolve(frames[:, 2, 3] + 0.7 * frames[:, 2, 4], [0.5, 1, -0.5])[:2000]
    train = spikes(rng.poisson(np.exp(drive - 1)))
    clock, delays = FrameClock.regular(RATE_HZ, 2000, 1.0), np.arange(4) / RATE_HZ
    scaled = frames * rng.uniform(0.2, 5, (6, 7)) + rng.uniform(-9, 9, (6, 7))
    one, other = (predict_held_out(movie, clock, [train], delays, BLOCK_UM)[0] for movie in (frames, scaled))
    np.testing.assert_allclose(other.drive, one.drive, atol=1e-3)
    np.testing.assert_allclose(other.predicted, one.predicted, rtol=1e-3)
    (small,) = predict_held_out(frames, clock, [train], delays, (0.5, 0.5))
    np.testing.assert_allclose(small.drive, one.drive, atol=1e-6)
    frames[:, 2, 2] = 0.3  # beside the field
    (still,) = predict_held_out(frames, clock, [train], delays, BLOCK_UM)
    assert still.test_correlation == pytest.approx(one.test_correlation, abs=0.02)


def test_min_spikes_teach_something_and_one_fewer_nothing():
    frames, clock, _, _ = flicker()
    middles_s = (clock.starts_s + clock.ends_s) / 2
    train = np.sort(np.concatenate([middles_s[50:69], middles_s[300:320]]))
    (found,) = predict_held_out(frames, clock, [train], [0], BLOCK_UM, n_folds=2)
    assert np.isfinite(found.predicted).tolist() == [True] * 200 + [False] * 200


def test_a_neuron_that_fires_only_where_it_is_trained_says_so():
    frames, clock, (train, _), _ = flicker()
    (found,) = predict_held_out(frames, clock, [train[train > clock.starts_s[200]]], [0, 0.018], BLOCK_UM, n_folds=2)
    assert np.isfinite(found.drive[10:200]).all()
    assert found.reason == "no spike in the tested time"
    assert np.isnan([found.test_correlation, found.bits_per_spike]).all()


def test_folds_in_which_the_rate_alone_is_predicted_have_no_correlation():
    frames, clock = stimulus(1200)
    rng = np.random.default_rng(12)
    counts = known_counts(frames, rate_hz=60)[1]
    counts[600:] = rng.poisson(0.04, 600)  # from these no field is found
    train = 1.0 + (np.repeat(np.arange(1200), counts) + 0.5) / RATE_HZ
    (found,) = predict_held_out(frames, clock, [train], DELAYS, BLOCK_UM, n_folds=2)
    assert np.isnan(found.drive[:600]).all()
    assert np.isfinite(found.drive[620:]).all()
    assert np.isfinite(found.predicted[20:]).all()
    assert np.isnan(found.test_correlation_se)


def test_bad_input_is_refused_in_words():
    frames, clock = stimulus(100)
    with pytest.raises(AlignmentError, match="no delay is 0 s or more"):
        predict_held_out(frames, clock, [[1.5]], [-0.1], BLOCK_UM)
    with pytest.raises(ContractError, match=r"1 fold\(s\) leave nothing"):
        predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, n_folds=1)
    for n_folds in (2.5, np.nan):
        with pytest.raises(ContractError, match=f"{n_folds} folds are asked for, expected a whole number"):
            predict_held_out(frames, clock, [[1.5]], DELAYS, BLOCK_UM, n_folds=n_folds)
    assert len(predict_held_out(frames, clock, [[]], DELAYS, BLOCK_UM, n_folds=100)) == 1
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
