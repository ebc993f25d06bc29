"""What the largest |z| of a neuron would be if its spikes had nothing to do with the movie: circular shifts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from dj_neuron.errors import AlignmentError
from dj_neuron.strf._threads import n_cores, on_all_cores
from dj_neuron.strf._trains import checked
from dj_neuron.strf.alignment import HAS_NUMBA, align
from dj_neuron.strf.repeats import frozen_repeats, square_counts_of_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.alignment import AlignedSpikes
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CHUNK_VALUES = 1 << 21  # movie values that the NumPy form correlates at a time: 16 MiB


@dataclass(frozen=True, eq=False)
class ShiftNull:
    """The largest |z| over blocks and delays >= 0, as observed and under circular shifts.

    Attributes
    ----------
    observed : array (n_neurons,)
        NaN for a neuron with fewer than `min_spikes` at every delay, or under a movie that never changes.
    maxima : array (n_neurons, n_shifts)
        The same for each shift.
    shifts : array (n_neurons, n_shifts)
        In frames, ascending; each neuron has its own.
    seed, min_spikes : int
        As given.
    """

    observed: Floats
    maxima: Floats
    shifts: Ints
    seed: int
    min_spikes: int

    @property
    def n_shifts(self) -> int:
        """Shifts made, fewer than asked for where the movie has no more."""
        return int(self.shifts.shape[1])


@dataclass(frozen=True, eq=False)
class _Rows:
    """The frames that count at one delay: those that all delays share, `lag` frames earlier, and `own` ones."""

    lag: int
    own: Ints
    root: float


def circular_shift_null(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    *,
    neuron_numbers: Sequence[int],
    seed: int,
    n_shifts: int = 1000,
    margin_s: float = 0.5,
    frame_rule: FrameRule = "floor",
    min_spikes: int = 1,
) -> ShiftNull:
    """Find the largest |z| of every neuron, as it is and under circular shifts of its spike train.

    Parameters
    ----------
    movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes
        As for :func:`~dj_neuron.strf.spike_triggered_average`. Delays below 0 do not take part in the maxima.
    neuron_numbers : sequence of int
        One per train, 0 or more. They and the seed alone decide a neuron's shifts, whoever else is in the call.
    seed : int
        0 or more.
    n_shifts : int
        Shifts are drawn without repetition; where there are fewer, all are taken once.
    margin_s : float
        Shifts keep away from 0, on both sides of the circle, by the span of the delays and this, so that no shifted
        spike meets what drove it. Delays and margin together should cover the neurons' memory.

    Returns
    -------
    ShiftNull
        ``observed`` (n_neurons,), ``maxima`` (n_neurons, n_shifts).

    Raises
    ------
    AlignmentError
        If movie, clock, trains, delays and numbers do not fit each other.

    Notes
    -----
    Spikes are brought onto frames once; row (delay, shift) is the aligned row with ``(frame + shift) mod n_frames``.
    A train moved by `shift` frames along the recording, its end wrapped to the beginning, meets at each delay the frame
    that many after the one it met, on the circle of frames: which is this row, for every spike that counts there.
    Rates, bursts and gaps of the train move as a whole, so the null has its autocorrelation. Which spikes count at a
    delay stays as it is, and with it divisor and standard error: between shifts z differs by the stimulus only.

    A movie that contains frozen repeats has shifts that meet the same stimulus again. They make the test miss
    neurons, not invent them.

    References
    ----------
    .. [1] Nichols, Holmes (2002), Nonparametric permutation tests for functional neuroimaging, Human Brain Mapping
       15:1-25.
    """
    movie, trains, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes)
    if len(neuron_numbers) != len(trains):
        raise AlignmentError(f"{len(neuron_numbers)} neuron numbers for {len(trains)} spike trains, expected one each")
    spikes = align(frame_clock, trains, delays, frame_rule)
    trials = frozen_repeats(movie)
    if trials.size:
        squares = square_counts_of_images(frame_clock, trains, delays, frame_rule, trials)
        spikes = replace(spikes, square_counts=squares)
    lags = np.rint(delays * frame_clock.frame_rate_hz).astype(np.int64)
    possible = possible_shifts(frame_clock, delays, margin_s)
    shifts = np.array([draw_shifts(possible, n_shifts, seed, number) for number in neuron_numbers], np.int64).reshape(
        len(trains), -1
    )
    with_0 = np.concatenate([np.zeros((len(trains), 1), np.int64), shifts], axis=1)
    is_used = (delays >= 0) & (spikes.ledger.n_used >= max(min_spikes, 1))
    if movie.levels is not None and HAS_NUMBA:
        largest = _largest_compiled(movie, spikes, is_used, lags, with_0)
    else:
        largest = _largest_by_fft(movie, spikes, is_used, with_0)
    largest[~is_used.any(axis=1)] = np.nan
    return ShiftNull(largest[:, 0], largest[:, 1:], shifts, seed, min_spikes)


def possible_shifts(frame_clock: FrameClock, delays_s: Floats, margin_s: float) -> Ints:
    """Give the shifts, in frames, that keep away from 0 by the span of the delays, 0 included, and a margin."""
    span_s = delays_s.max(initial=0) - delays_s.min(initial=0)
    least = max(1, int(np.ceil((span_s + margin_s) * frame_clock.frame_rate_hz - 1e-6)) + 1)
    return np.arange(least, frame_clock.n_frames - least + 1)


def draw_shifts(possible: Ints, n_shifts: int, seed: int, *stream: int) -> Ints:
    """Draw shifts without repetition, ascending, from the stream that seed and numbers name."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))
    return np.sort(rng.permutation(possible)[:n_shifts])


def _largest_compiled(
    movie: Movie, spikes: AlignedSpikes, is_used: NDArray[np.bool_], lags: Ints, shifts: Ints
) -> Floats:
    """Find the largest |z| of every neuron and shift, ``(n_neurons, n_shifts)``, with bit-sliced counters."""
    from dj_neuron.strf import _null_kernel as kernel  # noqa: PLC0415 - numba takes a second to import
    from dj_neuron.strf._bit_kernel import MIN_PLANES  # noqa: PLC0415

    split = [_split_core(spikes, neuron, used, lags) for neuron, used in enumerate(is_used)]
    cores, rows = [core for core, _ in split], [row for _, rows in split for row in rows]
    core_starts = np.cumsum([0, *(core.size for core in cores)])
    n_own = np.array([row.own.size for row in rows], np.int64)
    sizes = np.where(is_used, spikes.ledger.n_used, 0).max(axis=1, initial=0)
    data = np.ascontiguousarray(movie.data[:])
    n_tiles = -(-movie.n_blocks // kernel.TILE_BLOCKS)
    share, weight = np.zeros((2, n_tiles * kernel.TILE_BLOCKS))
    share[: movie.n_blocks] = np.unpackbits(data, axis=1, count=movie.n_blocks, bitorder="little").mean(axis=0)
    weight[: movie.n_blocks] = _one_over(np.sqrt(share * (1 - share))[: movie.n_blocks])
    if not weight.any():
        return np.full(shifts.shape, np.nan)
    largest = np.zeros((n_cores(), *shifts.shape))
    on_all_cores(
        kernel.largest_deviations,
        n_tiles * len(shifts),
        data,
        np.concatenate([np.empty(0), *cores, *(row.own for row in rows)]).astype(np.uint32),
        core_starts,
        np.cumsum([0, *is_used.sum(axis=1)]),
        core_starts[-1] + np.cumsum(n_own) - n_own,
        n_own,
        np.array([row.lag for row in rows], np.int64),
        np.array([row.root for row in rows], np.float64),
        np.array([max(MIN_PLANES, int(size).bit_length() + 1) for size in sizes], np.int64),
        shifts,
        share,
        weight,
        largest,
    )
    return np.asarray(largest.max(axis=0))


def _split_core(spikes: AlignedSpikes, neuron: int, is_used: NDArray[np.bool_], lags: Ints) -> tuple[Ints, list[_Rows]]:
    """Split the rows of a neuron into the frames that all share, but for a lag, and those that each has beside them.

    The core is given as it stands in the first row; at delays that are no whole frames it is small, at worst empty.
    """
    delays = np.flatnonzero(is_used)
    if delays.size == 0:
        return np.empty(0, np.int64), []
    lags = lags[delays] - lags[delays[0]]
    length = int(spikes.sizes[-1] + np.ptp(lags))
    frames = [spikes.row(int(neuron * is_used.size + delay)) + lag for delay, lag in zip(delays, lags, strict=True)]
    counts = (np.bincount(row - lags.min(), minlength=length) for row in frames)
    core = np.minimum.reduce(list(counts))
    places = np.arange(length) + lags.min()
    rows = []
    for row, delay, lag in zip(frames, delays, lags, strict=True):
        own = np.repeat(places, np.bincount(row - lags.min(), minlength=length) - core) - lag
        rows.append(_Rows(int(lag), own, float(np.sqrt(spikes.square_counts[neuron, delay]))))
    return np.repeat(places, core), rows


def _largest_by_fft(movie: Movie, spikes: AlignedSpikes, is_used: NDArray[np.bool_], shifts: Ints) -> Floats:
    """Correlate the movie with every row around the circle of frames, some blocks at a time; any movie."""
    n_frames, n_delays, is_counted = movie.n_frames, is_used.shape[1], movie.levels is not None
    largest = np.full(shifts.shape, np.nan)
    for values in columns(movie):
        mean = values.mean(axis=1)
        weight = _one_over(np.sqrt(mean * (1 - mean)) if is_counted else values.std(axis=1))
        if not weight.any():
            continue
        spectrum = fft.rfft(values, axis=1, workers=n_cores())
        for neuron, delay in zip(*np.nonzero(is_used), strict=True):
            row = spikes.row(int(neuron * n_delays + delay))
            of_row = fft.rfft(np.bincount(row, minlength=n_frames)).conj()
            sums = fft.irfft(spectrum * of_row, n_frames, axis=1, workers=n_cores())[:, shifts[neuron]]
            sums = np.rint(sums) if is_counted else sums
            deviations = np.abs(sums - (row.size * mean)[:, None]) * weight[:, None]
            found = deviations.max(axis=0) / np.sqrt(spikes.square_counts[neuron, delay])
            np.fmax(largest[neuron], found, out=largest[neuron])
    return largest


def columns(movie: Movie) -> Iterator[Floats]:
    """Give the movie in pieces ``(n_blocks of the piece, n_frames)``: bits of two levels, or values less their mean."""
    step = max(8, _CHUNK_VALUES // movie.n_frames // 8 * 8)
    n_at_a_time = max(1, _CHUNK_VALUES // movie.n_blocks)
    for first in range(0, movie.n_blocks, step):
        if movie.levels is not None:
            packed = movie.data[:][:, first // 8 : (first + step) // 8]
            n_blocks = min(step, movie.n_blocks - first)
            yield np.unpackbits(packed, axis=1, count=n_blocks, bitorder="little").T.astype(np.float64, order="C")
            continue
        pieces = [
            movie.frames(start, start + n_at_a_time, np.float64).reshape(-1, movie.n_blocks)[:, first : first + step]
            for start in range(0, movie.n_frames, n_at_a_time)
        ]
        values = np.ascontiguousarray(np.concatenate(pieces).T)
        yield values - values.mean(axis=1, keepdims=True)


def _one_over(sd: Floats) -> Floats:
    """Invert standard deviations; blocks that never change get 0 and so take no part."""
    return np.divide(1, sd, out=np.zeros_like(sd), where=sd > 0)
