"""Intervals between spikes: the autocorrelation of a train, and how many are shorter than a neuron can fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.arguments import floats
from dj_neuron.errors import AlignmentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RefractoryViolations:
    """How many intervals between neighbouring spikes are shorter than the refractory period.

    Attributes
    ----------
    n_violations, n_intervals : int
        Short intervals, and all.
    """

    n_violations: int
    n_intervals: int

    @property
    def share(self) -> float | None:
        """Part of the intervals that are too short; None without an interval."""
        return self.n_violations / self.n_intervals if self.n_intervals else None


def refractory_violations(times_s: ArrayLike, refractory_s: float = 0.002) -> RefractoryViolations:
    """Count intervals shorter than `refractory_s` in a train of ascending times, ``(n_spikes,)``."""
    intervals_s = np.diff(floats(times_s, "spike times", error=AlignmentError))
    return RefractoryViolations(int(np.count_nonzero(intervals_s < refractory_s)), int(intervals_s.size))


def autocorrelogram(times_s: ArrayLike, max_lag_s: float = 0.05, bin_s: float = 0.001) -> tuple[Floats, Floats]:
    """Give the rate of a neuron at times after each of its own spikes.

    Parameters
    ----------
    times_s : array (n_spikes,)
        Ascending seconds.
    max_lag_s, bin_s : float
        Reach and width of the bins; a lag on a border belongs to the bin above it.

    Returns
    -------
    edges_s : array (n_bins + 1,)
        From 0 to `max_lag_s`.
    rate_hz : array (n_bins,)
        Pairs of spikes so far apart, per spike and second; the mean rate of the neuron at lags where it has forgotten
        its spike. Spikes near the end are followed by fewer, which is not corrected for. 0 without spikes.

    Raises
    ------
    AlignmentError
        If the bins are not positive or wider than the reach.

    Notes
    -----
    Every spike is compared with the next one, then with the one after it, until all are out of reach: the cost is the
    number of pairs within reach, not of all pairs.
    """
    if not 0 < bin_s <= max_lag_s:
        raise AlignmentError(f"bins of {bin_s} s up to {max_lag_s} s, expected 0 < bin <= reach")
    times = floats(times_s, "spike times", error=AlignmentError)
    n_bins = round(max_lag_s / bin_s)
    edges_s = np.arange(n_bins + 1) * np.float64(bin_s)
    counts = np.zeros(n_bins, np.int64)
    tolerance_s = float(np.spacing(np.abs(times).max(initial=0.0)))  # lags of whole bins meet the rounding of times
    spikes = np.arange(times.size)
    for step in range(1, times.size):
        spikes = spikes[spikes < times.size - step]
        bins = np.floor((times[spikes + step] - times[spikes] + 2 * tolerance_s) / bin_s).astype(np.int64)
        within = bins < n_bins
        spikes = spikes[within]
        if not spikes.size:
            break
        counts += np.bincount(bins[within], minlength=n_bins)
    return edges_s, counts / (max(times.size, 1) * bin_s)


def rates_hz(times_s: ArrayLike, edges_s: ArrayLike) -> Floats:
    """Give spikes per second between ascending edges, ``(n_edges - 1,)``; the last edge belongs to its bin."""
    edges = floats(edges_s, "edges", error=AlignmentError)
    return np.asarray(np.histogram(floats(times_s, "spike times", error=AlignmentError), edges)[0] / np.diff(edges))
