import numpy as np
import pytest
from scipy import ndimage

from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf import FrameClock, ridge, ridge_strf, spike_triggered_average
from dj_neuron.strf.ridge import check_ridge

RATE_HZ = 60.0
LAGS = np.arange(4)
DELAYS = LAGS / RATE_HZ


def naive(frames, counts, lags, strengths, n_folds):
    """Every fold and strength fitted anew on the whole design; counts (n_frames,) of one neuron."""
    values = frames - frames.mean(axis=0)
    rows = np.arange(max(lags.max(), 0), len(frames) + min(lags.min(), 0))
    design = np.array([np.concatenate([values[t - lag].ravel() for lag in lags]) for t in rows])
    y = counts[rows] - counts[rows].mean()

    def fit(some, strength):
        penalty = strength * np.trace(design.T @ design) / design.shape[1]
        return np.linalg.solve(
            design[some].T @ design[some] + penalty * np.eye(design.shape[1]), design[some].T @ y[some]
        )

    scores = []
    for strength in strengths:
        error = 0.0
        for fold in np.array_split(np.arange(rows.size), n_folds):
            gap = lags.max() - lags.min()
            others = [k for k in range(rows.size) if k < fold[0] - gap or k > fold[-1] + gap]
            error += np.sum((y[fold] - design[fold] @ fit(others, strength)) ** 2)
        scores.append(1 - error / np.sum(y**2))
    best = int(np.argmax(scores))
    return np.array(scores), fit(np.arange(rows.size), strengths[best]).reshape(len(lags), *frames.shape[1:]), best


def spikes_of(counts, offset=0.5):
    return (np.repeat(np.arange(counts.size), counts) + offset) / RATE_HZ


@pytest.mark.parametrize(("n_frames", "shape"), [(70, (5, 6)), (400, (2, 3))], ids=["by frames", "by columns"])
@pytest.mark.parametrize("kind", ["two levels", "graded"])
@pytest.mark.parametrize("lags", [LAGS, np.array([-1, 0, 2])], ids=str)
def test_estimates_and_scores_are_those_of_fitting_every_fold_anew(n_frames, shape, kind, lags, monkeypatch):
    monkeypatch.setattr(ridge, "_CHUNK_VALUES", 1000)  # several pieces
    monkeypatch.setattr("dj_neuron.strf.shift_null._CHUNK_VALUES", 1000)
    rng = np.random.default_rng(1)
    frames = (
        rng.choice([-1.0, 0.5], (n_frames, *shape)) if kind == "two levels" else rng.normal(1, 2, (n_frames, *shape))
    )
    seen = np.roll(frames[:, 1, 2], 2)
    counts = rng.poisson(np.clip([1 + seen, 1 + 0 * seen], 0.1, None))
    strengths = [0.01, 1.0, 30.0]
    found = ridge_strf(
        frames,
        FrameClock.regular(RATE_HZ, n_frames, 0),
        [spikes_of(each) for each in counts],
        lags / RATE_HZ,
        strengths=strengths,
        n_folds=3,
    )
    for neuron in range(2):
        scores, values, best = naive(frames, counts[neuron], lags, strengths, 3)
        np.testing.assert_allclose(found.scores[neuron], scores, rtol=1e-7)
        np.testing.assert_allclose(found.values[neuron], values, rtol=1e-6, atol=1e-9)
        assert found.strength[neuron] == strengths[best]
        in_rows = counts[neuron, max(lags.max(), 0) : n_frames + min(lags.min(), 0)]
        assert found.n_used[neuron] == in_rows.sum()
        assert found.mean_count[neuron] == pytest.approx(in_rows.mean())


def test_under_white_noise_it_is_the_scaled_average():
    rng = np.random.default_rng(2)
    frames, clock = rng.choice([-0.5, 0.5], (8000, 3, 4)), FrameClock.regular(RATE_HZ, 8000, 0)
    train = spikes_of(rng.poisson(0.2 * np.exp(np.roll(frames[:, 1, 1], 1))))
    sta = spike_triggered_average(frames, clock, [train], DELAYS).values[0]
    found = ridge_strf(frames, clock, [train], DELAYS, strengths=[1.0])
    scaled = sta * found.mean_count[0] / 0.25 / 2
    np.testing.assert_allclose(found.values[0], scaled, atol=0.05 * np.abs(scaled).max())


def known_filter(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    space = np.exp(-((y - 3) ** 2 + (x - 4) ** 2) / 3) - 0.6 * np.exp(-((y - 3) ** 2 + (x - 6) ** 2) / 3)
    weights = np.array([0.2, 1.0, 0.3, -0.4])[:, None, None] * space
    return weights / np.linalg.norm(weights)


def upsampled(rng, n_frames):
    """Blocks of 2 x 2 that are shown on a grid which is smoothed, and so correlated over many blocks."""
    coarse = rng.choice([-1.0, 1.0], (n_frames, 4, 5))
    return ndimage.gaussian_filter(np.kron(coarse, np.ones((1, 2, 2))), (0, 0.7, 0.7))


def slow(rng, n_frames):
    """Every frame shares most of its contrast with the one ahead of it."""
    return ndimage.gaussian_filter(rng.normal(0, 1, (n_frames, 8, 10)), (1.0, 0, 0))


def driven(rng, frames):
    weights = known_filter(frames.shape[1:])
    seen = sum(np.roll(np.tensordot(frames, of_lag, 2), lag) for lag, of_lag in enumerate(weights))
    return rng.poisson(0.5 * np.exp(1.2 * seen / seen.std() - 0.5))


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


@pytest.mark.parametrize("make", [upsampled, slow])
def test_under_correlated_movies_it_recovers_the_filter_and_predicts_where_the_average_does_not(make):
    rng = np.random.default_rng(3)
    frames = make(rng, 6000)
    counts = driven(rng, frames)
    clock, train = FrameClock.regular(RATE_HZ, 3000, 0), spikes_of(counts[:3000])
    sta = spike_triggered_average(frames[:3000], clock, [train], DELAYS).values[0]
    found = ridge_strf(frames[:3000], clock, [train], DELAYS).values[0]
    # what the movie never shows nobody can know: compare what the filters make of other frames
    tests = np.random.default_rng(4)
    shown = make(tests, 500)

    def drive(weights, movie):
        return sum(np.roll(np.tensordot(movie, of_lag, 2), lag) for lag, of_lag in enumerate(weights))[4:]

    truth = known_filter(frames.shape[1:])
    assert correlation(drive(found, shown), drive(truth, shown)) > 0.9
    assert (
        correlation(drive(found, shown), drive(truth, shown))
        > correlation(drive(sta, shown), drive(truth, shown)) + 0.05
    )
    held_out = [correlation(drive(each, frames[3000:]), counts[3004:]) for each in (found, sta)]
    assert held_out[0] > held_out[1] + 0.02
    if make is slow:
        assert correlation(found, truth) > 0.75
        assert correlation(found, truth) > correlation(sta, truth) + 0.1


def test_of_a_short_recording_it_predicts_more_than_the_average():
    gains = []
    for seed in range(8):
        rng = np.random.default_rng([5, seed])
        frames = slow(rng, 2600)
        counts = driven(rng, frames)
        clock, train = FrameClock.regular(RATE_HZ, 600, 0), spikes_of(counts[:600])
        sta = spike_triggered_average(frames[:600], clock, [train], DELAYS).values[0]
        found = ridge_strf(frames[:600], clock, [train], DELAYS)
        assert found.strength[0] > found.strengths[0]

        def predicted(weights, movie=frames[600:]):
            return sum(np.roll(np.tensordot(movie, of_lag, 2), lag) for lag, of_lag in enumerate(weights))[4:]

        gains.append(correlation(predicted(found.values[0]), counts[604:]) - correlation(predicted(sta), counts[604:]))
    assert np.mean(gains) > 0.02
    assert np.sum(np.array(gains) > 0) >= 7


def test_what_delays_have_beyond_whole_frames_moves_the_frames_of_spikes():
    rng = np.random.default_rng(6)
    frames, clock = rng.choice([-1, 1], (300, 2, 3)), FrameClock.regular(RATE_HZ, 300, 0)
    counts = rng.poisson(0.5, 300)
    on_time = ridge_strf(frames, clock, [spikes_of(counts, 0.5)], DELAYS)
    late = ridge_strf(frames, clock, [spikes_of(counts, 0.9)], DELAYS + 0.4 / RATE_HZ)
    np.testing.assert_allclose(late.values, on_time.values)
    nominal = ridge_strf(frames, FrameClock.regular(59.9, 300, 0), [spikes_of(counts) * 60 / 59.9], DELAYS)
    np.testing.assert_allclose(nominal.values, on_time.values)


def test_the_nearest_rule_moves_spikes_by_half_a_frame():
    rng = np.random.default_rng(9)
    frames, clock = rng.choice([-1, 1], (300, 2, 3)), FrameClock.regular(RATE_HZ, 300, 0)
    counts = rng.poisson(0.5, 300)
    nearest = ridge_strf(frames, clock, [spikes_of(counts, -0.3)[counts[0] :]], DELAYS, frame_rule="nearest")
    floor = ridge_strf(frames, clock, [spikes_of(counts, 0.3)], DELAYS)
    np.testing.assert_allclose(nearest.values, floor.values)
    np.testing.assert_array_equal(nearest.n_used, floor.n_used)


def test_frames_whose_past_is_not_that_of_the_clock_take_no_part():
    rng = np.random.default_rng(7)
    frames = rng.choice([-1, 1], (200, 2, 2))
    starts_s = np.arange(200) / RATE_HZ
    starts_s[100:] += 1.0
    clock = FrameClock.from_starts(
        starts_s, starts_s[-1] + 1 / RATE_HZ, gaps_s=[(starts_s[99] + 1 / RATE_HZ, starts_s[100])]
    )
    middles = starts_s + 0.5 / RATE_HZ
    found = ridge_strf(frames, clock, [middles], DELAYS, n_folds=2)
    assert found.n_used.tolist() == [200 - 2 * 3]


def test_silence_is_nan_and_blocks_can_be_chosen():
    rng = np.random.default_rng(8)
    frames, clock = rng.choice([-1, 1], (400, 4, 4)), FrameClock.regular(RATE_HZ, 400, 0)
    train = spikes_of(rng.poisson(0.3, 400))
    chosen = np.zeros((4, 4), bool)
    chosen[1:3, 2] = True
    found = ridge_strf(
        frames, clock, [np.empty(0), train, train[:3], train[20:24]], DELAYS, blocks=chosen, min_spikes=4
    )
    assert np.isfinite(found.values[3][:, chosen]).all()
    alone = ridge_strf(frames[:, 1:3, 2:3], clock, [train], DELAYS)
    np.testing.assert_allclose(found.values[1][:, chosen], alone.values[0].reshape(4, 2))
    assert np.isnan(found.values[1][:, ~chosen]).all()
    for neuron in (0, 2):
        assert np.isnan(found.values[neuron]).all()
        assert np.isnan(found.scores[neuron]).all()
        assert np.isnan(found.strength[neuron])


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"delays_s": [0, 0.3 / RATE_HZ]}, AlignmentError, "whole frames from each other"),
        ({"delays_s": [0, 0.01 / RATE_HZ]}, AlignmentError, "whole frames from each other"),
        *(({"strengths": wrong}, ContractError, "positive numbers") for wrong in ([0.0], [1.0, -1.0], [np.inf], [])),
        ({"n_folds": 1}, ContractError, "at least 2 folds"),
        ({"n_folds": 50}, ContractError, "longer than two gaps"),
        *(({"blocks": np.ones(shape)}, ContractError, "blocks have shape") for shape in ((3, 3), (1, 2), (2,))),
        ({"blocks": np.zeros((2, 2))}, ContractError, "0 chosen"),
    ],
)
def test_bad_input_is_refused_in_words(changes, error, words):
    arguments = {
        "movie": np.random.default_rng(0).choice([-1, 1], (100, 2, 2)),
        "frame_clock": FrameClock.regular(RATE_HZ, 100, 0),
        "spike_trains": [[0.1]],
        "delays_s": DELAYS,
    }
    with pytest.raises(error, match=words):
        ridge_strf(**(arguments | changes))


def test_what_is_too_large_is_said_before_there_is_a_movie(monkeypatch):
    # 97 rows of 3 x 4 blocks
    frames, clock = np.random.default_rng(0).choice([-1, 1], (100, 3, 4)), FrameClock.regular(RATE_HZ, 100, 0)
    monkeypatch.setattr(ridge, "MAX_SIZE", 11)
    for refuse in (lambda: ridge_strf(frames, clock, [[0.1]], DELAYS), lambda: check_ridge((100, 3, 4), clock, DELAYS)):
        with pytest.raises(ContractError, match="97 frames and 12 blocks, expected at most 11 of either"):
            refuse()
    wide = np.random.default_rng(0).choice([-1, 1], (100, 10, 10))
    for movie, size in ((frames, 12), (frames, 40), (wide, 97)):
        monkeypatch.setattr(ridge, "MAX_SIZE", size)
        assert np.isfinite(ridge_strf(movie, clock, [[0.1, 0.9]], DELAYS).values).all()
        check_ridge(movie.shape, clock, DELAYS)


@pytest.mark.parametrize(("shape", "smaller"), [((3, 4), 4 * 12), ((6, 7), 97)], ids=["columns", "frames"])
def test_as_long_as_one_side_is_not_too_large_the_solution_is_exact(shape, smaller, monkeypatch):
    rng = np.random.default_rng(11)
    frames, clock = rng.choice([-1, 1], (100, *shape)), FrameClock.regular(RATE_HZ, 100, 0)
    train = spikes_of(rng.poisson(0.5, 100))

    def estimate(max_size):
        monkeypatch.setattr(ridge, "MAX_SIZE", max_size)
        return ridge_strf(frames, clock, [train], DELAYS, strengths=[1.0]).values

    np.testing.assert_array_equal(estimate(smaller), estimate(6000))
    assert not np.allclose(estimate(smaller - 1), estimate(6000), rtol=0.01, atol=0)


@pytest.mark.parametrize("max_size", [6000, 30], ids=["by frames or columns", "separable"])
@pytest.mark.parametrize("shape", [(2, 3), (5, 6)], ids=str)
def test_where_the_movie_never_varies_the_estimate_is_0(shape, max_size, monkeypatch):
    monkeypatch.setattr(ridge, "MAX_SIZE", max_size)
    rng = np.random.default_rng(12)
    clock, train = FrameClock.regular(RATE_HZ, 100, 0), spikes_of(rng.poisson(0.5, 100))
    grey = np.full((100, *shape), 0.7)
    found = ridge_strf(grey, clock, [train], DELAYS)
    np.testing.assert_array_equal(found.values, 0)
    np.testing.assert_allclose(found.scores, 0, atol=1e-12)
    grey[:, 1] = rng.normal(size=(100, shape[1]))
    found = ridge_strf(grey, clock, [train], DELAYS, strengths=[1e-3, 1])
    np.testing.assert_allclose(found.values[0, :, 0], 0, atol=1e-12)
    assert (found.values[0, :, 1] != 0).all()


@pytest.mark.parametrize("max_size", [6000, 30], ids=["by frames or columns", "separable"])
@pytest.mark.parametrize("shape", [(2, 3), (5, 6)], ids=str)
def test_of_low_contrast_estimates_are_as_much_larger(shape, max_size, monkeypatch):
    monkeypatch.setattr(ridge, "MAX_SIZE", max_size)
    rng = np.random.default_rng(13)
    clock, train = FrameClock.regular(RATE_HZ, 100, 0), spikes_of(rng.poisson(0.5, 100))
    frames = rng.normal(size=(100, *shape))
    full, low = (ridge_strf(scale * frames, clock, [train], DELAYS) for scale in (1, 1e-6))
    np.testing.assert_allclose(1e-6 * low.values, full.values, rtol=1e-3)
    np.testing.assert_allclose(low.scores, full.scores, rtol=1e-3)


def test_folds_keep_their_distance_in_frames_where_some_are_missing():
    rows = np.array([0, 1, 2, 5, 6, 7, 8, 9, 20, 21, 22, 23])
    found = [[np.flatnonzero(each).tolist() for each in fold] for fold in ridge._folds(rows, 2, 2)]
    assert found == [[[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7]], [[6, 7, 8, 9, 10, 11], list(range(4, 12))]]


def test_folds_are_longer_than_two_gaps():
    rows = np.arange(97)
    assert len(ridge._folds(rows, 12, 3)) == 12
    with pytest.raises(ContractError, match="13 folds of 97 frames with gaps of 3"):
        ridge._folds(rows, 13, 3)


def test_there_may_be_no_neurons_and_no_spikes():
    frames, clock = np.random.default_rng(0).choice([-1, 1], (100, 3, 4)), FrameClock.regular(RATE_HZ, 100, 0)
    assert ridge_strf(frames, clock, [], DELAYS).values.shape == (0, 4, 3, 4)
    assert np.isnan(ridge_strf(frames, clock, [[]], DELAYS, min_spikes=0).values).all()


def test_five_folds_are_made_unless_others_are_asked_for():
    rng = np.random.default_rng(14)
    frames, clock = rng.normal(size=(100, 2, 2)), FrameClock.regular(RATE_HZ, 100, 0)
    train = spikes_of(rng.poisson(0.5, 100))
    usual, five = (ridge_strf(frames, clock, [train], DELAYS, **asked) for asked in ({}, {"n_folds": 5}))
    np.testing.assert_array_equal(usual.scores, five.scores)
    check_ridge((40 + 3, 2, 2), FrameClock.regular(RATE_HZ, 40 + 3, 0), DELAYS)
    with pytest.raises(ContractError, match="5 folds of 39 frames with gaps of 3"):
        check_ridge((39 + 3, 2, 2), FrameClock.regular(RATE_HZ, 39 + 3, 0), DELAYS)


def test_the_strengths_tried_are_half_a_decade_apart():
    np.testing.assert_allclose(np.log10(ridge.STRENGTHS), np.arange(-2, 4.5, 0.5))


def test_delays_near_whole_frames_are_whole_and_others_keep_their_offset():
    clock = FrameClock.regular(59.98, 100, 0)
    for near_s in (0.1, 0.1007):  # 5.998 and 6.04 frames
        lags, offset_s = ridge._whole_lags(clock, near_s + np.arange(3) / 59.98)
        assert (lags.tolist(), offset_s) == ([6, 7, 8], 0)
    lags, offset_s = ridge._whole_lags(clock, (np.arange(3) + 0.3) / 59.98)
    assert (lags.tolist(), offset_s) == ([0, 1, 2], pytest.approx(0.3 / 59.98))
