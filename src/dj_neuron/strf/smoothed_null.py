"""The largest |z| of a neuron's smoothed map, as it is and by chance: for fields too weak in any single block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from dj_neuron.errors import AlignmentError
from dj_neuron.strf._threads import n_cores, on_all_cores
from dj_neuron.strf._trains import checked
from dj_neuron.strf.region import octaves, smoother
from dj_neuron.strf.shift_null import ShiftNull

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CHUNK_VALUES = 1 << 18  # smoothed values that are correlated at a time: they fit a cache
_SPECTRUM_VALUES = 1 << 22  # smoothed values that threads are started for
_GROUP_VALUES = 1 << 24  # values of the movie, and smoothed ones, in memory
_LEAST_DEVIATION = 1e-5  # of a place that changes: below it are roundings
_JITTER = 0.1  # measured frame times may make a history that much shorter or longer, counted in frames


def smoothed_shift_null(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    block_size_um: tuple[float, float],
    null: ShiftNull,
    *,
    frame_rule: FrameRule = "floor",
) -> ShiftNull:
    """Find the largest |z| after smoothing in space at many scales, under the shifts of another null.

    Parameters
    ----------
    movie, frame_clock, spike_trains, delays_s, frame_rule
        As for :func:`~dj_neuron.strf.circular_shift_null`. Delays below 0 do not take part.
    block_size_um : tuple of float
        Width and height of a block.
    null : ShiftNull
        Its shifts are taken, and its `min_spikes`.

    Returns
    -------
    ShiftNull
        ``observed`` (n_neurons,), ``maxima`` (n_neurons, n_shifts).

    Raises
    ------
    AlignmentError
        If the null was made for another number of trains.

    Notes
    -----
    A field spread over many blocks may stand out in none of them. Smoothed with a Gaussian of its own size it stands
    out most (matched filter), so the movie is smoothed with Gaussians of one block to a quarter of the screen, an
    octave apart, and sampled once per sigma. Each smoothed place is divided by its own standard deviation over the
    frames, whatever correlations the movie has. The largest |z| is taken over scales, places and lags.

    Lags are whole frames between the smallest delay of 0 or more and the largest. A spike counts if it has frames at
    both, with neither a join nor a gap between; so all lags have the same spikes, and one correlation around the circle
    of frames, by Fourier transform, gives every lag under every shift.

    References
    ----------
    .. [1] Siegmund, Worsley (1995), Testing for a signal with unknown location and scale in a stationary Gaussian
       random field, Ann Stat 23:608-639.
    """
    movie, trains, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule)
    if len(trains) != len(null.shifts):
        raise AlignmentError(f"{len(trains)} spike trains for a null of {len(null.shifts)}, expected one each")
    largest = np.full((len(trains), null.n_shifts + 1), np.nan)
    counts, n_lags = _counts_with_history(frame_clock, trains, delays, frame_rule)
    is_used = counts.sum(axis=1) >= max(null.min_spikes, 1)
    if is_used.any():
        heights = _heights(movie, counts[is_used], block_size_um)
        shifts = np.concatenate([np.zeros((len(trains), 1), np.int64), null.shifts], axis=1)[is_used]
        offsets = (shifts[..., None] - np.arange(n_lags)) % movie.n_frames
        found = np.take_along_axis(heights, offsets.reshape(len(shifts), -1), axis=1)
        largest[is_used] = found.reshape(offsets.shape).max(axis=2)
    return ShiftNull(largest[:, 0], largest[:, 1:], null.shifts, null.seed, null.min_spikes)


def _counts_with_history(
    clock: FrameClock, trains: list[Floats], delays_s: Floats, frame_rule: FrameRule
) -> tuple[Floats, int]:
    """Count spikes at the frame of the least causal delay, ``(n_neurons, n_frames)``, and give the number of lags."""
    causal = delays_s[delays_s >= 0]
    counts = np.zeros((len(trains), clock.n_frames))
    if not causal.size:
        return counts, 0
    n_lags = int(np.rint(np.ptp(causal) * clock.frame_rate_hz)) + 1
    for i, train in enumerate(trains):
        latest, earliest = (clock.frames_at(train, delay_s, frame_rule) for delay_s in (causal.min(), causal.max()))
        n_between = latest - earliest + 1
        is_whole = (latest >= 0) & (earliest >= 0) & (np.abs(n_between - n_lags) <= 1 + _JITTER * n_lags)
        counts[i] = np.bincount(latest[is_whole], minlength=clock.n_frames)
    return counts, n_lags


def _heights(movie: Movie, counts: Floats, block_size_um: tuple[float, float]) -> Floats:
    """Give the largest |z| over scales and places of every neuron at every offset, ``(n_neurons, n_frames)``."""
    n_frames = movie.n_frames
    length = fft.next_fast_len(2 * n_frames, real=True)  # twice around the circle: prime numbers of frames are slow
    of_counts = fft.rfft(_once(counts), length, axis=1, workers=n_cores()).conj()
    heights = np.full(counts.shape, np.nan, np.float32)
    n_at_a_time = max(1, _SPECTRUM_VALUES // length)
    for places in _smoothed_movie(movie, block_size_um):
        for first in range(0, len(places), n_at_a_time):
            doubled = np.tile(places[first : first + n_at_a_time], 2)
            of_places = fft.rfft(doubled, length, axis=1, workers=n_cores())
            on_all_cores(_raise, len(counts), heights, of_places, of_counts, length)
    return heights.astype(np.float64)


def _once(counts: Floats) -> NDArray[np.float32]:
    """Scale counts so that sums of independent values of variance 1 have variance 1."""
    return np.asarray(counts / np.sqrt(np.sum(counts**2, axis=1, keepdims=True)), np.float32)


def _raise(
    part: int,
    n_parts: int,
    heights: NDArray[np.float32],
    of_places: NDArray[np.complex64],
    of_counts: NDArray[np.complex64],
    length: int,
) -> None:
    """Raise the heights of some neurons to those of some smoothed places."""
    n_frames = heights.shape[1]
    n_at_a_time = max(1, _CHUNK_VALUES // length)
    for first in range(0, len(of_places), n_at_a_time):
        chunk = of_places[first : first + n_at_a_time]
        for neuron in range(part, len(heights), n_parts):
            z = fft.irfft(chunk * of_counts[neuron], length, axis=1, overwrite_x=True)[:, :n_frames]
            np.fmax(heights[neuron], np.maximum(z.max(axis=0), -z.min(axis=0)), out=heights[neuron])


def _smoothed_movie(movie: Movie, block_size_um: tuple[float, float]) -> Iterator[NDArray[np.float32]]:
    """Give smoothed places, ``(n_places, n_frames)``, of mean 0 and variance 1, but for those that never change."""
    scales_um = octaves((movie.n_y, movie.n_x), block_size_um)
    for scale_um in scales_um[1:] if scales_um.size > 1 else scales_um:  # half a block is no smoothing
        rows, columns = (
            smoother(n, size_um, float(scale_um))[:: max(1, int(scale_um / size_um))]
            for n, size_um in ((movie.n_y, block_size_um[1]), (movie.n_x, block_size_um[0]))
        )
        n_rows = max(1, _GROUP_VALUES // (movie.n_frames * len(columns)))
        for first in range(0, len(rows), n_rows):
            values = _projected(movie, rows[first : first + n_rows], columns)
            values -= values.mean(axis=1, keepdims=True)
            deviation = values.std(axis=1, keepdims=True)
            changes = deviation[:, 0] > _LEAST_DEVIATION
            yield values[changes] / deviation[changes]


def _projected(movie: Movie, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh every frame by rows and columns, ``(n_places, n_frames)``."""
    found = np.empty((len(rows) * len(columns), movie.n_frames), np.float32)
    step = max(1, _GROUP_VALUES // movie.n_blocks)
    for begin in range(0, movie.n_frames, step):
        frames = movie.frames(begin, begin + step)
        found[:, begin : begin + step] = (rows @ (frames @ columns.T)).reshape(len(frames), -1).T
    return found
