"""All spikes of all neurons at all delays, brought onto the frames of a movie."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts import SpikeLedger
from dj_neuron.strf._threads import on_all_cores
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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

    def by_frame(self) -> tuple[Ints, Ints]:
        """Give row and frame of every entry, ascending in frames."""
        rows = np.repeat(np.arange(self.first.size), self.sizes)
        frames = np.concatenate([self.row(number) for number in range(self.first.size)]).astype(np.int64)
        order = np.argsort(frames, kind="stable")
        return rows[order], frames[order]

    def row(self, number: int) -> NDArray[np.uint32]:
        """Give the frames of a row, without padding."""
        begin = self.first[number]
        return self.frames[begin : begin + self.sizes[number]]


def align(clock: FrameClock, trains: Sequence[Floats], delays_s: Floats, frame_rule: FrameRule) -> AlignedSpikes:
    """Align spike trains, each ascending, at every delay.

    Notes
    -----
    The rule is :meth:`FrameClock.frames_at`. A compiled form of its floor rule is used where numba is installed.
    """
    room = np.repeat([_padded(train.size) for train in trains], delays_s.size)
    first = np.concatenate([[0], np.cumsum(room)]).astype(np.int64)
    shape = (len(trains), delays_s.size)
    frames = np.empty(first[-1] + _padded(clock.n_frames), np.uint32)
    frames[first[-1] :] = np.minimum(np.arange(frames.size - first[-1]), clock.n_frames)
    outcomes = np.zeros((*shape, 4), np.int64)
    squares = np.zeros(shape, np.int64)
    if HAS_NUMBA and frame_rule == "floor" and not clock.joins_s.size:
        from dj_neuron.strf._align_kernel import align_rows  # noqa: PLC0415 - numba takes a second to import

        on_all_cores(
            align_rows,
            first.size - 1,
            np.concatenate([np.empty(0), *trains]),
            np.cumsum([0, *(train.size for train in trains)]),
            delays_s,
            clock.tolerances_s(trains, delays_s),
            clock.starts_s,
            clock.ends_s,
            clock.frame_rate_hz,
            clock.is_regular,
            first[:-1],
            frames,
            outcomes,
            squares,
            PADDING,
        )
    else:
        for i, train in enumerate(trains):
            for j, delay_s in enumerate(delays_s):
                found = clock.frames_at(train, delay_s, frame_rule)
                used = found[found >= 0]
                begin = first[i * delays_s.size + j]
                frames[begin : begin + used.size] = used
                frames[begin + used.size : begin + _padded(used.size)] = clock.n_frames
                outcomes[i, j, 0] = used.size
                for place, code in enumerate((BEFORE_ONSET, AFTER_END, IN_GAP), start=1):
                    outcomes[i, j, place] = np.count_nonzero(found == code)
                squares[i, j] = np.square(np.bincount(used)).sum()
    ledger = SpikeLedger(*np.moveaxis(outcomes, -1, 0))
    return AlignedSpikes(ledger, first, np.append(ledger.n_used, clock.n_frames), frames, squares)


def _padded(size: int) -> int:
    return -(-size // PADDING) * PADDING
