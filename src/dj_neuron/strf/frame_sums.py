"""Sums of the movie's frames over all spikes of every neuron at every delay, part by part of the movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from dj_neuron.contracts import SpikeLedger
from dj_neuron.strf.alignment import align
from dj_neuron.strf.bit_counter import count_high
from dj_neuron.strf.value_sums import add_moments, add_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PART_BYTES = 1 << 28  # of movie, and of aligned spikes, in memory at a time: 256 MiB each


# of graded movies in use: sum over all frames, offset, sum of squares
_moments: WeakKeyDictionary[Movie, tuple[Floats, Floats, Floats]] = WeakKeyDictionary()


@dataclass(eq=False)
class FrameSums:
    """What was added up over the whole movie.

    Attributes
    ----------
    sums : array (n_neurons * n_delays, n_blocks)
        Per neuron and delay the sum of the frames of all spikes that count. Of a two-level movie: how often the block
        was at the higher level. Of a graded one: of values less `offset`.
    whole : array (n_blocks,)
        The same sum over every frame once.
    offset : array (n_blocks,)
        Near the blocks' means, so that float32 does; 0 for two levels.
    squares : array (n_blocks,)
        Sum over all frames of the squared values less `offset`; for two levels equal to `whole`.
    ledger : SpikeLedger
        Counts of shape (n_neurons, n_delays).
    square_counts : array (n_neurons, n_delays)
        Sum over frames of the squared number of spikes.
    """

    sums: Floats
    whole: Floats
    offset: Floats
    squares: Floats
    ledger: SpikeLedger
    square_counts: Ints


def sum_frames(
    movie: Movie, clock: FrameClock, trains: Sequence[Floats], delays_s: Floats, frame_rule: FrameRule
) -> FrameSums:
    """Add up the frames that were on the screen at each delay before each spike.

    Notes
    -----
    At most :data:`PART_BYTES` of the movie, and as much of aligned spikes, are in memory at a time: the movie is cut
    into parts, and the neurons into groups. Two-level movies come out the same however they are cut; graded ones to
    within rounding.
    """
    n_delays = delays_s.size
    lags = np.rint(delays_s * clock.frame_rate_hz).astype(np.int64)
    sums = np.empty((len(trains) * n_delays, movie.n_blocks))
    known = _moments.get(movie)
    whole, offset, squares = (np.zeros(movie.n_blocks) for _ in range(3)) if known is None else known
    outcomes = np.zeros((4, len(trains), n_delays), np.int64)
    square_counts = np.zeros((len(trains), n_delays), np.int64)
    for begin, end in _parts(movie):
        part = movie.part(begin, end)
        if movie.levels is None:
            offset = _offset(part) if begin == 0 and known is None else offset
            values = _values(part, offset)
            if known is None:
                add_moments(values, whole, squares)
        for first, last in _groups(trains, n_delays, (end - begin) / movie.n_frames):
            spikes = align(clock, trains[first:last], delays_s, frame_rule, begin, end)
            outcomes[:, first:last] += np.stack(list(spikes.ledger))
            square_counts[first:last] += spikes.square_counts
            own = sums[first * n_delays : last * n_delays]
            if movie.levels is not None:
                count_high(part, spikes, own, whole if first == 0 else np.empty_like(whole), begins=begin == 0)
                continue
            if begin == 0:
                own[:] = 0
            add_values(values, spikes, lags, own)
    if movie.levels is not None:
        squares = whole
    else:
        _moments[movie] = whole, offset, squares
    return FrameSums(sums, whole, offset, squares, SpikeLedger(*outcomes), square_counts)


def _parts(movie: Movie) -> Iterator[tuple[int, int]]:
    frame_bytes = movie.n_blocks / 8 if movie.levels is not None else 4 * movie.n_blocks
    step = max(1, int(PART_BYTES / frame_bytes))
    for begin in range(0, movie.n_frames, step):
        yield begin, min(begin + step, movie.n_frames)


def _groups(trains: Sequence[Floats], n_delays: int, share: float) -> Iterator[tuple[int, int]]:
    """Cut the neurons into groups of which a share of the spikes, at all delays, fits."""
    if not trains:
        yield 0, 0
        return
    before = np.concatenate([[0], np.cumsum([4 * n_delays * train.size * share for train in trains])])
    first = 0
    while first < len(trains):
        last = max(first + 1, int(np.searchsorted(before, before[first] + PART_BYTES, side="right")) - 1)
        yield first, last
        first = last


def _offset(part: Movie) -> Floats:
    """Give what to take off so that float32 does: nothing where the blocks vary more than they are away from zero."""
    first = part.frames(0, 256, np.float64).reshape(-1, part.n_blocks)
    mean = first.mean(axis=0).astype(np.float32).astype(np.float64)
    mean = np.where((first == first[0]).all(axis=0), first[0], mean)  # of a block that never changes nothing is left
    return np.zeros_like(mean) if (np.abs(mean) <= first.std(axis=0)).all() else mean


def _values(part: Movie, offset: Floats) -> NDArray[np.float32]:
    if not offset.any():
        return np.ascontiguousarray(part.data[:], np.float32).reshape(-1, part.n_blocks)
    values = np.empty((part.n_frames, part.n_blocks), np.float32)
    step = max(1, (1 << 20) // part.n_blocks)
    for begin in range(0, part.n_frames, step):
        chunk = part.frames(begin, begin + step, np.float64).reshape(-1, part.n_blocks)
        values[begin : begin + step] = chunk - offset
    return values
