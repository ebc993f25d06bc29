"""Sums of the movie's frames over all spikes of every neuron at every delay, part by part of the movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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

PART_BYTES = 1 << 29  # of movie and aligned spikes in memory at a time: 512 MiB


@dataclass(eq=False)
class FrameSums:
    """What was added up over the whole movie.

    Attributes
    ----------
    sums : array (n_rows, n_blocks), with n_rows = n_neurons * n_delays + 1
        Per neuron and delay the sum of the frames of all spikes that count, and at last that of every frame once. Of a
        two-level movie: how often the block was at the higher level. Of a graded one: values less `offset`.
    offset : array (n_blocks,)
        Near the blocks' means, so that float32 does; 0 for two levels.
    squares : array (n_blocks,)
        Sum over all frames of the squared values less `offset`; for two levels the last row of `sums`.
    ledger : SpikeLedger
        Counts of shape (n_neurons, n_delays).
    square_counts : array (n_neurons, n_delays)
        Sum over frames of the squared number of spikes.
    """

    sums: Floats
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
    At most :data:`PART_BYTES` of movie and aligned spikes are in memory at a time. Two-level movies come out the same
    however they are cut; graded ones to within rounding.
    """
    n_rows = len(trains) * delays_s.size + 1
    lags = np.rint(delays_s * clock.frame_rate_hz).astype(np.int64)
    sums = None if movie.levels is not None else np.zeros((n_rows, movie.n_blocks))
    offset, squares = np.zeros(movie.n_blocks), np.zeros(movie.n_blocks)
    ledgers, square_counts = [], np.zeros((len(trains), delays_s.size), np.int64)
    for begin, end in _parts(movie, trains, delays_s.size):
        part = movie.part(begin, end)
        spikes = align(clock, trains, delays_s, frame_rule, begin, end)
        ledgers.append(spikes.ledger)
        square_counts += spikes.square_counts
        if sums is None or movie.levels is not None:
            sums = count_high(part, spikes, sums)
            continue
        if begin == 0:
            offset = _offset(part)
        values = _values(part, offset)
        add_moments(values, sums[-1], squares)
        add_values(values, spikes, lags, sums[:-1])
    assert sums is not None  # noqa: S101 - a movie has a frame
    ledger = SpikeLedger(*(sum(getattr(part, name) for part in ledgers) for name in SpikeLedger.__annotations__))
    return FrameSums(sums, offset, sums[-1] if movie.levels is not None else squares, ledger, square_counts)


def _parts(movie: Movie, trains: Sequence[Floats], n_delays: int) -> Iterator[tuple[int, int]]:
    movie_bytes = movie.n_blocks / 8 if movie.levels is not None else 8 * movie.n_blocks
    spike_bytes = 4 * n_delays * sum(train.size for train in trains) / movie.n_frames
    step = max(1, int(PART_BYTES / (movie_bytes + spike_bytes)))
    for begin in range(0, movie.n_frames, step):
        yield begin, min(begin + step, movie.n_frames)


def _offset(part: Movie) -> Floats:
    """Give what to take off so that float32 does: nothing where the blocks vary more than they are away from zero."""
    first = part.frames(0, 256, np.float64).reshape(-1, part.n_blocks)
    mean = first.mean(axis=0).astype(np.float32).astype(np.float64)
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
