import numpy as np
import pytest
from scipy import ndimage

from dj_neuron.strf import FrameClock, ridge, ridge_separable, ridge_strf

RATE_HZ = 60.0


def correlated(rng, n_frames, shape, in_time):
    frames = ndimage.gaussian_filter(rng.normal(size=(n_frames, *shape)), (in_time, 1.0, 1.0), mode="wrap")
    return frames / frames.std()


def trains_of(rng, frames, lag=2):
    drive = np.roll(frames[:, 1, 2], lag)
    counts = rng.poisson(np.clip([0.4 * np.exp(0.7 * drive), 0.3 + 0 * drive], 0, 5))
    return [(np.repeat(np.arange(len(frames)), each) + 0.5) / RATE_HZ for each in counts], counts


@pytest.mark.parametrize("lags", [np.arange(3), np.arange(4), np.array([-1, 0, 2])], ids=str)
def test_it_solves_the_equations_of_a_separable_covariance(lags, monkeypatch):
    monkeypatch.setattr(ridge, "MAX_SIZE", 25)
    monkeypatch.setattr(ridge_separable, "_CHUNK_VALUES", 300)  # several pieces
    rng = np.random.default_rng(1)
    frames = correlated(rng, 400, (4, 5), 1.0) + 3
    trains, counts = trains_of(rng, frames)
    strengths, n_folds = [0.01, 1.0, 30.0], 4
    clock = FrameClock.regular(RATE_HZ, 400, 0)
    found = ridge_strf(frames, clock, trains, lags / RATE_HZ, strengths=strengths, n_folds=n_folds)

    values = (frames - frames.mean(axis=0)).reshape(400, -1)
    rows = np.arange(max(lags.max(), 0), 400 + min(lags.min(), 0))
    design = np.array([np.concatenate([values[t - lag] for lag in lags]) for t in rows])
    distances = np.abs(lags[:, None] - lags)
    at = [np.mean(values[d:] * values[: len(values) - d]) for d in range(distances.max() + 1)]
    covariance = np.kron((np.array(at) / at[0])[distances], values.T @ values / 400)
    gap = lags.max() - lags.min()
    for neuron in range(2):
        y = counts[neuron][rows] - counts[neuron][rows].mean()
        penalties = np.array(strengths) * rows.size * np.trace(covariance) / len(covariance)
        errors = np.zeros(3)
        for fold in np.array_split(np.arange(rows.size), n_folds):
            others = [k for k in range(rows.size) if k < fold[0] - gap or k > fold[-1] + gap]
            for place, penalty in enumerate(penalties):
                left = len(others) * covariance + penalty * np.eye(len(covariance))
                w = np.linalg.solve(left, design[others].T @ y[others])
                errors[place] += y[fold] @ y[fold] - 2 * w @ design[fold].T @ y[fold]
                errors[place] += fold.size * w @ covariance @ w
        scores = 1 - errors / (y @ y)
        np.testing.assert_allclose(found.scores[neuron], scores, rtol=1e-3, atol=1e-5)
        best = int(np.argmax(scores))
        w = np.linalg.solve(rows.size * covariance + penalties[best] * np.eye(len(covariance)), design.T @ y)
        np.testing.assert_allclose(found.values[neuron].ravel(), w, rtol=1e-3, atol=1e-5 * np.abs(w).max())


# chance correlations of the movie weigh more where it has little variance to begin with
@pytest.mark.parametrize(("in_time", "least_r"), [(0.0, 0.97), (1.0, 0.9)])
def test_of_a_long_movie_it_is_nearly_the_exact_estimate(in_time, least_r, monkeypatch):
    rng = np.random.default_rng(2)
    frames = correlated(rng, 12_000, (6, 7), in_time)
    trains, _ = trains_of(rng, frames)
    what = (frames, FrameClock.regular(RATE_HZ, 12_000, 0), trains, np.arange(5) / RATE_HZ)
    exact = ridge_strf(*what)
    monkeypatch.setattr(ridge, "MAX_SIZE", 50)
    found = ridge_strf(*what)
    assert np.corrcoef(found.values[0].ravel(), exact.values[0].ravel())[0, 1] > least_r
    np.testing.assert_allclose(np.nanmax(found.scores[0]), np.nanmax(exact.scores[0]), atol=0.02)
    peak = np.unravel_index(np.abs(found.values[0]).argmax(), found.values[0].shape)
    assert peak == (2, 1, 2)
