"""Whether a recording was long enough: quality against minutes, and agreement between halves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import AlignmentError
from dj_neuron.strf._trains import checked
from dj_neuron.strf.average import spike_triggered_average
from dj_neuron.strf.peak import find_peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.average import SpikeTriggeredAverage
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule
    from dj_neuron.strf.peak import Peak

    Floats = NDArray[np.float64]

RELIABILITY_WANTED = 0.9
_SURE = 2.33  # standard errors above 0 that a correlation must be: one in a hundred by chance


@dataclass(frozen=True, eq=False)
class Sufficiency:
    """How good the maps of a stimulation's neurons are, and how that grew.

    NaN where a neuron has no peak, or too few spikes in the part in question. A neuron's map is z of all blocks at the
    delay of its peak.

    Attributes
    ----------
    minutes : array (n_fractions,)
        Of movie, from its beginning.
    peak_z : array (n_neurons, n_fractions)
        z after so many minutes at the block and delay of the final peak, positive where it has that peak's sign.
    map_r : array (n_neurons, n_fractions)
        Correlation over blocks of the map after so many minutes with the final one, of which it is a part.
    split_half_r : array (n_neurons,)
        Correlation of the maps of two halves of the recording.
    reliability : array (n_neurons,)
        What the correlation of two recordings of full length would be, by Spearman and Brown's formula from
        `split_half_r`; NaN where that is negative.
    minutes_needed : array (n_neurons,)
        For a reliability of 0.9; NaN unless `split_half_r` is above 0 beyond chance.
    """

    minutes: Floats
    peak_z: Floats
    map_r: Floats
    split_half_r: Floats
    reliability: Floats
    minutes_needed: Floats


def data_sufficiency(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    *,
    fractions: ArrayLike = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    stretch_s: float = 10.0,
    frame_rule: FrameRule = "floor",
    min_spikes: int = 1,
) -> Sufficiency:
    """Follow the averages of growing parts of a recording, and compare those of its halves.

    Parameters
    ----------
    movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes
        As for :func:`~dj_neuron.strf.spike_triggered_average`.
    fractions : array (n_fractions,)
        Parts of the movie's frames, from the first, in (0, 1].
    stretch_s : float
        The halves are every other stretch of this length. Much longer than the filter, so that what both halves see
        around the borders is little; much shorter than drifts of the recording, so that both halves have them.

    Returns
    -------
    Sufficiency

    Raises
    ------
    AlignmentError
        If arguments do not fit each other, or the movie is shorter than two stretches.

    Notes
    -----
    Parts are cut by the times of spikes; the movie is never copied. The average of a part is taken against the mean of
    the frames of that part. Against the mean of the whole movie the halves would share a deviation with opposite signs,
    and neurons that fire much without a receptive field would seem to disagree with themselves.

    Halves are compared over all blocks at the best delay rather than over the significant ones. The latter are chosen
    where the noise of both halves happens to add up, and often too few, and too similar, to correlate; all blocks
    need no choice but that of one delay, and their correlation is 0 for a neuron without a receptive field. It
    depends on the size of the screen: compare neurons of one stimulation, not stimulations.

    Of a recording k times as long, reliability is ``k R / (1 + (k - 1) R)`` [1]_ [2]_; solved for k it tells the
    minutes needed, if the neuron stays as it is. A correlation that may as well be 0 foretells nothing. The correlation
    with the true map is the square root of the reliability.

    References
    ----------
    .. [1] Spearman (1910), Correlation calculated from faulty data, Br. J. Psychol. 3:271-295.
    .. [2] Brown (1910), Some experimental results in the correlation of mental abilities, Br. J. Psychol. 3:296-322.
    """
    movie, trains, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes)
    parts = np.atleast_1d(np.asarray(fractions, np.float64))
    if parts.ndim != 1 or not ((parts > 0) & (parts <= 1)).all():
        raise AlignmentError(f"fractions are {parts.tolist()}, expected parts of the recording above 0 and up to 1")

    def average(some_trains: Sequence[Floats]) -> Floats:
        sta = spike_triggered_average(
            movie, frame_clock, some_trains, delays, frame_rule=frame_rule, min_spikes=min_spikes
        )
        return _z_within_part(sta)

    trains = [*trains, (frame_clock.starts_s + frame_clock.ends_s) / 2]
    z = average(trains)
    peaks = [find_peak(of_neuron, delays, 1 / frame_clock.frame_rate_hz) for of_neuron in z]
    final = _maps(z, delays, peaks)
    n_frames = np.ceil(parts * movie.n_frames - 1e-9).astype(int)
    peak_z, map_r = np.empty((2, len(peaks), parts.size))
    for place, last in enumerate(n_frames):
        z = average([train[train < _start_s(frame_clock, last)] for train in trains])
        peak_z[:, place] = _at_peaks(z, delays, peaks)
        map_r[:, place] = _correlations(_maps(z, delays, peaks), final)
    halves = [average(half) for half in split_halves(frame_clock, trains, stretch_s)]
    split_half_r = _correlations(*(_maps(half, delays, peaks) for half in halves))
    shown_s = np.cumsum(frame_clock.ends_s - frame_clock.starts_s)
    reliability, minutes_needed = _extrapolate(split_half_r, movie.n_blocks, shown_s[-1] / 60)
    return Sufficiency(shown_s[n_frames - 1] / 60, peak_z, map_r, split_half_r, reliability, minutes_needed)


def split_halves(
    frame_clock: FrameClock, trains: Sequence[Floats], stretch_s: float
) -> tuple[list[Floats], list[Floats]]:
    """Split trains, each ascending, into every other stretch of time, counted in frames from the onset.

    Spikes before the onset go with the first stretch, those after the end with the last.
    """
    n_in_stretch = max(1, round(stretch_s * frame_clock.frame_rate_hz))
    if frame_clock.n_frames < 2 * n_in_stretch:
        raise AlignmentError(
            f"a movie of {frame_clock.n_frames} frames at {frame_clock.frame_rate_hz:g} Hz, expected at least two "
            f"stretches of {stretch_s:g} s"
        )
    borders_s = frame_clock.starts_s[n_in_stretch::n_in_stretch]
    is_second = [np.searchsorted(borders_s, train, side="right") % 2 == 1 for train in trains]
    return (
        [train[~second] for train, second in zip(trains, is_second, strict=True)],
        [train[second] for train, second in zip(trains, is_second, strict=True)],
    )


def _z_within_part(sta: SpikeTriggeredAverage) -> Floats:
    """Give z against the mean of the frames of a part of the movie, which the last train has one spike for each of."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((sta.values[:-1] - sta.values[-1]) / sta.standard_error[:-1])


def _start_s(clock: FrameClock, frame: int) -> float:
    return float(clock.starts_s[frame]) if frame < clock.n_frames else np.inf


def _maps(z: Floats, delays_s: Floats, peaks: Sequence[Peak | None]) -> Floats:
    """Give every neuron's blocks at the delay of its peak, (n_neurons, n_blocks); NaN without a peak."""
    maps = np.full((len(peaks), z[0, 0].size if len(peaks) else 0), np.nan)
    for neuron, peak in enumerate(peaks):
        if peak is not None:
            maps[neuron] = z[neuron, np.flatnonzero(delays_s == peak.delay_s)[0]].ravel()
    return maps


def _at_peaks(z: Floats, delays_s: Floats, peaks: Sequence[Peak | None]) -> Floats:
    found = np.full(len(peaks), np.nan)
    for neuron, peak in enumerate(peaks):
        if peak is not None:
            delay = np.flatnonzero(delays_s == peak.delay_s)[0]
            found[neuron] = z[neuron, delay, peak.row_idx, peak.column_idx] * np.sign(peak.z)
    return found


def _correlations(a: Floats, b: Floats) -> Floats:
    """Correlate maps, (n_neurons, n_blocks) each, over the blocks that are finite; NaN where there is no spread."""
    is_known = np.isfinite(a) & np.isfinite(b)
    n_known = np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    a, b = np.where(is_known, a, 0), np.where(is_known, b, 0)
    a = np.where(is_known, a - a.sum(axis=1, keepdims=True) / n_known, 0)
    b = np.where(is_known, b - b.sum(axis=1, keepdims=True) / n_known, 0)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray(np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0))


def _extrapolate(split_half_r: Floats, n_blocks: int, minutes: float) -> tuple[Floats, Floats]:
    """Give reliability, and the minutes for the one wanted."""
    r = np.where(split_half_r >= 0, split_half_r, np.nan)
    reliability = 2 * r / (1 + r)
    with np.errstate(divide="ignore", invalid="ignore"):  # two blocks always agree fully, and three say nothing either
        is_sure = np.arctanh(np.minimum(r, 1)) * np.sqrt(n_blocks - 3) > _SURE
    known = np.where(is_sure, reliability, np.nan)
    times_longer = RELIABILITY_WANTED * (1 - known) / (known * (1 - RELIABILITY_WANTED))
    return reliability, times_longer * minutes
