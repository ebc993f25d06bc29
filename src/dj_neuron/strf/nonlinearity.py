"""From the drive of a linear filter to the rate of a neuron: a histogram and a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from dj_neuron.contracts import Nonlinearity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Nonlinearity", "fit_nonlinearity"]

_CURVE_BINS = 100  # the curve is fitted to this many means: no worse than to every frame, and quicker
_BOUNDS = ((None, None), (-10, 10), (-12, 12))  # of log gain, slope and offset; beyond -12 softplus is exponential


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
    The curve has the greatest Poisson likelihood. Softplus contains both the exponential (offset far below 0) and the
    rectified line (far above), and unlike the exponential it does not run away where the drive is unusually large.

    References
    ----------
    .. [1] Chichilnisky (2001), A simple white noise analysis of neuronal light responses, Network 12:199-213.
    """
    order = np.argsort(drive, kind="stable")
    drive, counts, durations_s = drive[order], counts[order], durations_s[order]
    mean_drive, spikes, exposure_s = _grouped(drive, counts, durations_s, _CURVE_BINS)
    rate_hz = counts.sum() / durations_s.sum()
    start = np.array([np.log(rate_hz / np.log1p(np.exp(-1))), 0.5, -1.0])
    found = minimize(_cost, start, (mean_drive, spikes, exposure_s), jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    log_gain, slope, offset = found.x.tolist()
    mean_drive, spikes, exposure_s = _grouped(drive, counts, durations_s, n_bins)
    return Nonlinearity(
        drive=mean_drive,
        rate_hz=spikes / exposure_s,
        rate_hz_se=np.sqrt(np.maximum(spikes, 1)) / exposure_s,
        gain_hz=float(np.exp(log_gain)),
        slope=slope,
        offset=offset,
    )


def _grouped(drive: Floats, counts: Floats, durations_s: Floats, n_bins: int) -> tuple[Floats, Floats, Floats]:
    """Mean drive, spikes and seconds of groups of frames, which are ordered by drive."""
    first = np.unique(np.linspace(0, drive.size, min(n_bins, drive.size), endpoint=False).astype(np.int64))
    sizes = np.diff(first, append=drive.size)
    drives, spikes, exposure_s = (np.add.reduceat(values, first) for values in (drive, counts, durations_s))
    return drives / sizes, spikes, exposure_s


def _cost(parameters: Floats, drive: Floats, spikes: Floats, exposure_s: Floats) -> tuple[float, Floats]:
    """Negative log likelihood of the curve, per spike, and its gradient."""
    log_gain, slope, offset = parameters
    inside = slope * drive + offset
    soft = np.maximum(np.logaddexp(0, inside), 1e-300)
    expected = np.exp(log_gain) * soft * exposure_s
    by_gain = expected - spikes
    by_inside = by_gain * expit(inside) / soft
    cost = np.sum(expected - spikes * (log_gain + np.log(soft)))
    gradient = np.array([by_gain.sum(), by_inside @ drive, by_inside.sum()])
    return float(cost / spikes.sum()), gradient / spikes.sum()
