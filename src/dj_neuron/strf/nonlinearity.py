"""From the drive of a linear filter to the rate of a neuron: a histogram and a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize, root
from scipy.special import expit

from dj_neuron.contracts import Nonlinearity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Nonlinearity", "fit_nonlinearity"]

_CURVE_BINS = 100  # the curve is fitted to this many means: no worse than to every frame, and quicker
_LIMITS = np.array([10.0, 12.0])  # of slope and offset, to both sides; beyond -12 softplus is exponential


def fit_nonlinearity(drive: Floats, counts: Floats, durations_s: Floats, n_bins: int = 15) -> Nonlinearity:
    """Fit the rate of a neuron to its drive, as a histogram and as a softplus curve.

    Parameters
    ----------
    drive, counts, durations_s : array (n_frames,)
        Output of the filter, spikes and seconds of every frame; at least one spike.
    n_bins : int
        Of the histogram.

    Notes
    -----
    The curve has the greatest Poisson likelihood; its gain follows from slope and offset. Softplus contains both the
    exponential (offset far below 0) and the rectified line (far above), and unlike the exponential it does not run away
    where the drive is unusually large.

    References
    ----------
    .. [1] Chichilnisky (2001), A simple white noise analysis of neuronal light responses, Network 12:199-213.
    """
    order = np.argsort(drive, kind="stable")
    drive, counts, durations_s = drive[order], counts[order], durations_s[order]
    mean_drive, spikes, exposure_s = _grouped(drive, counts, durations_s, _CURVE_BINS)
    slope, offset = _best(mean_drive, spikes, exposure_s).tolist()
    gain_hz = float(spikes.sum() / (_softplus(slope * mean_drive + offset) @ exposure_s))
    mean_drive, spikes, exposure_s = _grouped(drive, counts, durations_s, n_bins)
    return Nonlinearity(
        drive=mean_drive,
        rate_hz=spikes / exposure_s,
        rate_hz_se=np.sqrt(np.maximum(spikes, 1)) / exposure_s,
        gain_hz=gain_hz,
        slope=slope,
        offset=offset,
    )


def _grouped(drive: Floats, counts: Floats, durations_s: Floats, n_bins: int) -> tuple[Floats, Floats, Floats]:
    """Mean drive, spikes and seconds of groups of frames, which are ordered by drive."""
    first = np.unique(np.linspace(0, drive.size, min(n_bins, drive.size), endpoint=False).astype(np.int64))
    sizes = np.diff(first, append=drive.size)
    drives, spikes, exposure_s = (np.add.reduceat(values, first) for values in (drive, counts, durations_s))
    return drives / sizes, spikes, exposure_s


def _best(*data: Floats) -> Floats:
    """Give slope and offset of the greatest likelihood.

    Curves that are nearly exponential, or nearly a line, are flat along one direction. Where a search by likelihood
    ends there depends on last digits, and so on the processor; so it goes on until there is no gradient.
    """
    bounds = [(-limit, limit) for limit in _LIMITS]
    found: Floats = minimize(
        _cost, [0.5, -1.0], data, jac=True, method="SLSQP", bounds=bounds, options={"ftol": 1e-16, "maxiter": 1000}
    ).x
    at_limit = np.abs(found) > _LIMITS - 1e-6  # the search may stop just before it
    found[at_limit] = np.copysign(_LIMITS, found)[at_limit]
    free = np.flatnonzero(~at_limit)

    def gradient(values: Floats) -> Floats:
        there = found.copy()
        there[free] = values
        return _cost(there, *data)[1][free]

    if free.size:
        ended = root(gradient, found[free], tol=1e-14).x
        is_allowed = (np.abs(ended) <= _LIMITS[free]).all()
        if is_allowed and np.abs(gradient(ended)).max() < np.abs(gradient(found[free])).max():
            found[free] = ended
    return found


def _softplus(inside: Floats) -> Floats:
    return np.asarray(np.maximum(np.logaddexp(0, inside), 1e-300))


def _cost(parameters: Floats, drive: Floats, spikes: Floats, exposure_s: Floats) -> tuple[float, Floats]:
    """Negative log likelihood per spike with the best gain, less what the curve does not change, and its gradient."""
    slope, offset = parameters
    inside = slope * drive + offset
    soft = _softplus(inside)
    expected, observed = soft * exposure_s, spikes / spikes.sum()
    by_inside = (expected / expected.sum() - observed) * expit(inside) / soft
    return float(np.log(expected.sum()) - observed @ np.log(soft)), np.array([by_inside @ drive, by_inside.sum()])
