"""How the noise of an STRF is correlated between delays, seen where there is no receptive field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import toeplitz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_MIN_BLOCKS = 100  # with fewer the estimate is noisier than what it corrects
_MIN_EIGENVALUE = 0.05


def noise_covariance(z: NDArray[Any], delays_s: Floats, region: Mask) -> Floats:
    """Estimate the covariance of the noise between delays, in squared standard errors.

    Parameters
    ----------
    z : array (n_delays, n_y, n_x)
        Estimate over the standard error for independent frames.
    delays_s : array (n_delays,)
        Ascending.
    region : array (n_y, n_x) of bool
        Where the field is; the other blocks are looked at.

    Returns
    -------
    array (n_delays, n_delays)
        Positive definite; the identity where fewer than 100 blocks are left or delays are not evenly spaced.

    Notes
    -----
    Frames are independent, but spikes are not: they come in bursts, and a stimulus that drives the neuron does so for
    the length of its filter. Averages at delays j and k share noise as far as spike counts j - k frames apart are
    correlated. That is the same for all blocks, so that many blocks without a field tell it precisely. Where the mean
    is subtracted and spikes are many, the standard error for independent frames is too large besides, which shows here
    as a variance below 1.
    """
    n_delays = len(delays_s)
    outside = np.where(np.isfinite(z), z, 0)[:, ~region].astype(np.float64)
    known = np.isfinite(z)[:, ~region].astype(np.float64)
    steps = np.diff(delays_s)
    if np.count_nonzero(known.any(axis=0)) < _MIN_BLOCKS or not np.allclose(steps, steps[:1], rtol=1e-3):
        return np.eye(n_delays)
    products, numbers = outside @ outside.T, known @ known.T
    lags = range(n_delays)
    covariance = [np.trace(products, lag) / max(np.trace(numbers, lag), 1) for lag in lags]
    heights, axes = np.linalg.eigh(toeplitz(covariance))
    return np.asarray((axes * np.maximum(heights, _MIN_EIGENVALUE)) @ axes.T)


def whitening(covariance: Floats) -> tuple[Floats, Floats]:
    """Give what makes noise of a covariance independent, and what undoes it.

    Returns
    -------
    whiten : array (n_independent, n_delays)
    root : array (n_delays, n_independent)
        ``root @ root.T`` is the covariance, but for directions at its floor: delays finer than a frame share frames,
        and there they hold neither noise nor signal of their own. ``whiten @ root`` is the identity.
    """
    heights, axes = np.linalg.eigh(covariance)
    kept = heights > _MIN_EIGENVALUE * (1 + 1e-6)
    deviations = np.sqrt(heights[kept])
    return (axes[:, kept] / deviations).T, axes[:, kept] * deviations
