"""Scores of a prediction: correlation, and the most that the noise of the neuron allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_ROUNDING = 1e-6  # of the largest value: frames of a regular clock differ by less in duration


def noise_ceiling(counts: ArrayLike) -> float:
    """Give the correlation that a perfect model would reach with single trials of the same stimulus.

    Parameters
    ----------
    counts : array (n_trials, n_bins)
        Spikes per bin.

    Returns
    -------
    float
        0 if nothing is repeated from trial to trial; NaN with fewer than 2 trials or 2 bins, or where counts do not
        vary.

    Notes
    -----
    The root of signal power over total power; the signal power is what the variance of the mean exceeds that of
    trials which have nothing in common.

    References
    ----------
    .. [1] Sahani, Linden (2003), How linear are auditory cortical responses?, NIPS 15:125-132.
    .. [2] Schoppe, Harper, Willmore, King, Schnupp (2016), Measuring the performance of neural models,
       Front Comput Neurosci 10:10.
    """
    counts = np.asarray(counts, np.float64)
    if min(counts.shape) < 2:
        return np.nan
    n_trials = len(counts)
    total = counts.var(axis=1, ddof=1).mean()
    if total == 0:
        return np.nan
    signal = (n_trials * counts.mean(axis=0).var(ddof=1) - total) / (n_trials - 1)
    return float(np.sqrt(max(signal, 0) / total))


def binned(values: Floats, width: int) -> Floats:
    """Give sums over whole bins of `width` values, ``(n, n_bins)``; what is left over at the end is dropped."""
    n_bins = values.shape[-1] // width
    return np.asarray(values[:, : n_bins * width].reshape(len(values), n_bins, width).sum(axis=2))


def correlation(predicted: Floats, observed: Floats) -> float:
    """Correlate over the bins with a prediction; NaN where either varies by rounding only."""
    known = np.isfinite(predicted)
    predicted, observed = predicted[known], observed[known]
    if predicted.size < 2 or not (_varies(predicted) and _varies(observed)):
        return np.nan
    return float(np.corrcoef(predicted, observed)[0, 1])


def _varies(values: Floats) -> bool:
    return bool(np.ptp(values) > _ROUNDING * np.abs(values).max())
