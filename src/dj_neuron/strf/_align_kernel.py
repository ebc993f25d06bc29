"""Alignment of all spikes at all delays in one compiled pass; the rule is that of FrameClock.frames_at."""

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def align_rows(
    part: Any,
    n_parts: Any,
    times_s: Any,
    train_starts: Any,
    delays_s: Any,
    tolerances_s: Any,
    starts_s: Any,
    ends_s: Any,
    rate_hz: Any,
    is_regular: Any,
    first: Any,
    frames: Any,
    outcomes: Any,
    squares: Any,
    padding: Any,
) -> None:
    """Find the frame of every spike at every delay.

    Parameters
    ----------
    part, n_parts : int
        Every `n_parts`-th row from number `part` on is filled.
    times_s : array
        Spikes of all trains, ascending within each; train i is ``times_s[train_starts[i]:train_starts[i + 1]]``.
    tolerances_s : array (n_trains, n_delays)
    starts_s, ends_s, rate_hz, is_regular
        Of the frames; the rate only says where to look first.
    first : array (n_trains * n_delays,)
        Where the room of each row in `frames` begins.
    frames : array of uint32
        Filled: the frames of the spikes that count, then `n_frames` up to a multiple of `padding`.
    outcomes : array (n_trains, n_delays, 4) of int64
        Filled: spikes that count, before the onset, after the end, in a gap.
    squares : array (n_trains, n_delays) of int64
        Filled: sum over frames of the squared number of spikes.
    """
    n_frames = starts_s.size
    n_delays = delays_s.size
    for row in range(part, first.size, n_parts):
        train, delay = row // n_delays, row % n_delays
        shift = tolerances_s[train, delay]
        n_used = n_before = n_after = n_gap = 0
        run = square = 0
        frame = 0
        for spike in range(train_starts[train], train_starts[train + 1]):
            seen = times_s[spike] - delays_s[delay] + shift
            if seen < starts_s[0]:
                n_before += 1
                continue
            if is_regular:
                frame = int((seen - starts_s[0]) * rate_hz)  # waits for no earlier spike
            else:
                frame += int((seen - starts_s[frame]) * rate_hz)
            frame = min(frame, n_frames - 1)
            while frame + 1 < n_frames and starts_s[frame + 1] <= seen:
                frame += 1
            while starts_s[frame] > seen:
                frame -= 1
            if seen >= ends_s[frame]:
                if frame == n_frames - 1:
                    n_after += 1
                else:
                    n_gap += 1
                continue
            run = run + 1 if n_used and frames[first[row] + n_used - 1] == frame else 1
            square += 2 * run - 1  # from (run - 1)^2 to run^2
            frames[first[row] + n_used] = frame
            n_used += 1
        for place in range(first[row] + n_used, first[row] + (n_used + padding - 1) // padding * padding):
            frames[place] = n_frames
        outcomes[train, delay, 0] = n_used
        outcomes[train, delay, 1] = n_before
        outcomes[train, delay, 2] = n_after
        outcomes[train, delay, 3] = n_gap
        squares[train, delay] = square


@njit(nogil=True, cache=True)
def cut_rows(first: Any, sizes: Any, frames: Any, span: Any, whole: Any, padding: Any, cuts: Any) -> None:
    """Cut every row where its frames pass a multiple of `span`, at a multiple of `whole` from its beginning.

    `cuts` is ``(n_rows, n_spans + 2)``: begin, the cuts, end of the padding.
    """
    n_rows, n_cuts = cuts.shape
    for row in range(n_rows):
        begin, size = first[row], sizes[row]
        own = frames[begin : begin + size]
        cuts[row, 0] = begin
        for number in range(1, n_cuts - 1):
            cuts[row, number] = begin + np.searchsorted(own, np.uint32(number * span)) // whole * whole
        cuts[row, n_cuts - 1] = begin + (size + padding - 1) // padding * padding
