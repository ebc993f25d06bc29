"""All spikes of all neurons at all delays, brought onto the frames of a movie."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, overload

import numpy as np

from dj_neuron.contracts import SpikeLedger
from dj_neuron.strf._threads import on_all_cores
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

HAS_NUMBA = find_spec("numba") is not None

PADDING = 16  # rows are filled up to a multiple of this with a frame that is none


@dataclass(frozen=True, eq=False)
class AlignedSpikes:
    """One row of frames per neuron and delay, and a last one in which every frame comes once.

    Attributes
    ----------
    ledger : SpikeLedger
        Counts of shape (n_neurons, n_delays).
    first, sizes : array (n_rows,) with n_rows = n_neurons * n_delays + 1
        Row r is ``frames[first[r]:first[r] + sizes[r]]``, ascending, followed by the number of frames of the movie
        up to a multiple of :data:`PADDING`.
    frames : array of uint32
    square_counts : array (n_neurons, n_delays)
        Sum over frames of the squared number of spikes.
    """

    ledger: SpikeLedger
    first: Ints
    sizes: Ints
    frames: NDArray[np.uint32]
    square_counts: Ints

    def row(self, number: int) -> NDArray[np.uint32]:
        """Give the frames of a row, without padding."""
        begin = self.first[number]
        return self.frames[begin : begin + self.sizes[number]]


def align(
    clock: FrameClock,
    trains: Sequence[Floats],
    delays_s: Floats,
    frame_rule: FrameRule,
    begin: int = 0,
    end: int | None = None,
) -> AlignedSpikes:
    """Align spike trains, each ascending, at every delay, with the frames ``begin`` to ``end`` of the movie.

    Returns
    -------
    AlignedSpikes
        Frames are counted from `begin`. The ledgers of parts that make up the movie add up to the movie's.

    Notes
    -----
    The rule is :meth:`FrameClock.frames_at`. A compiled form of its floor rule is used where numba is installed.
    """
    end = clock.n_frames if end is None else end
    n_frames = end - begin
    if HAS_NUMBA and frame_rule == "floor":
        return _align_compiled(clock, trains, delays_s, begin, end)
    rows, outcomes, squares = [], [], []
    for train in trains:
        for delay_s in delays_s:
            found = clock.frames_at(train, delay_s, frame_rule)
            used = found[(found >= begin) & (found < end)] - begin
            without = [np.count_nonzero(found == code) * (begin == 0) for code in (BEFORE_ONSET, AFTER_END, IN_GAP)]
            rows.append(used)
            outcomes.append([used.size, *without])
            squares.append(np.square(np.bincount(used)).sum())
    first, frames = _room([row.size for row in rows], n_frames)
    for start, row in zip(first, rows, strict=False):
        frames[start : start + row.size] = row
        frames[start + row.size : start + _padded(row.size)] = n_frames
    shape = (len(trains), delays_s.size)
    outcomes_3d = np.array(outcomes, np.int64).reshape(*shape, 4)
    return _aligned(first, frames, outcomes_3d, np.array(squares, np.int64).reshape(shape), n_frames)


def _align_compiled(
    clock: FrameClock, trains: Sequence[Floats], delays_s: Floats, begin: int, end: int
) -> AlignedSpikes:
    from dj_neuron.strf._align_kernel import align_rows  # noqa: PLC0415 - numba takes a second to import

    n_frames = end - begin
    tolerances_s = clock.tolerances_s(trains, delays_s)
    from_s = clock.starts_s[begin] + delays_s - 2 * tolerances_s
    to_s = clock.ends_s[end - 1] + delays_s + 2 * tolerances_s
    edges_s = np.stack((from_s, to_s), axis=1)
    at_most = [np.diff(np.searchsorted(train, edges), axis=0) for train, edges in zip(trains, edges_s, strict=True)]
    first, frames = _room(np.ravel(at_most).astype(np.int64), n_frames)
    shape = (len(trains), delays_s.size)
    outcomes, squares = np.empty((*shape, 4), np.int64), np.empty(shape, np.int64)
    on_all_cores(
        align_rows,
        first.size - 1,
        np.concatenate([np.empty(0), *trains]),
        np.cumsum([0, *(train.size for train in trains)]),
        delays_s,
        tolerances_s,
        clock.starts_s,
        clock.ends_s,
        clock.joins_s,
        clock.frame_rate_hz,
        clock.is_regular,
        begin,
        end,
        first[:-1],
        frames,
        outcomes,
        squares,
        PADDING,
    )
    return _aligned(first, frames, outcomes, squares, n_frames)


def _room(at_most: ArrayLike, n_frames: int) -> tuple[Ints, NDArray[np.uint32]]:
    """Make room for rows of so many frames, and fill a last one with every frame."""
    first = np.concatenate([[0], np.cumsum(_padded(np.asarray(at_most, np.int64)))])
    frames = np.empty(first[-1] + _padded(n_frames), np.uint32)
    frames[first[-1] :] = np.minimum(np.arange(frames.size - first[-1]), n_frames)
    return first, frames


def _aligned(
    first: Ints, frames: NDArray[np.uint32], outcomes: Ints, square_counts: Ints, n_frames: int
) -> AlignedSpikes:
    ledger = SpikeLedger(*np.moveaxis(outcomes, -1, 0))
    return AlignedSpikes(ledger, first, np.append(ledger.n_used, n_frames), frames, square_counts)


@overload
def _padded(size: int) -> int: ...
@overload
def _padded(size: Ints) -> Ints: ...
def _padded(size: int | Ints) -> int | Ints:
    return -(-size // PADDING) * PADDING
