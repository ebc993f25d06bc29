"""Alignment of all spikes at all delays in one compiled pass; the rule is that of FrameClock.frames_at."""

from typing import Any

import numpy as np

from dj_neuron._compiling import compiled
from dj_neuron.strf._vectors import inner


@inner
def _first_at(times_s: Any, first: Any, last: Any, delay_s: Any, shift_s: Any, edge_s: Any) -> Any:
    """Find the first of the spikes ``first`` to ``last`` of which ``time - delay + shift`` has reached `edge_s`."""
    while first < last:
        middle = (first + last) // 2
        if times_s[middle] - delay_s + shift_s < edge_s:
            first = middle + 1
        else:
            last = middle
    return first


@inner
def _fill_regular(
    times_s: Any, delay_s: Any, shift_s: Any, starts_s: Any, ends_s: Any, rate_hz: Any, begin: Any, frames: Any
) -> None:
    """Find frames of spikes none of which is outside the movie; no spike waits for another, so vectors do."""
    doubt = shift_s * rate_hz  # more than rounding can move a place among the frames
    n_near_edges = 0
    for spike in range(times_s.size):
        place = (times_s[spike] - delay_s + shift_s - starts_s[0]) * rate_hz
        rest = place - np.floor(place)
        frames[spike] = np.uint32(place) - np.uint32(begin)
        n_near_edges += int(rest < doubt) + int(rest > 1 - doubt)
    if n_near_edges:
        for spike in range(times_s.size):
            seen_s = times_s[spike] - delay_s + shift_s
            frame = min(int((seen_s - starts_s[0]) * rate_hz), starts_s.size - 1)
            frames[spike] = frame + int(ends_s[frame] <= seen_s) - int(starts_s[frame] > seen_s) - begin


@inner
def _fill_measured(
    times_s: Any,
    delay_s: Any,
    shift_s: Any,
    starts_s: Any,
    ends_s: Any,
    joins_s: Any,
    rate_hz: Any,
    begin: Any,
    frames: Any,
) -> Any:
    """Find frames of spikes that gaps and joins may take away; return how many are left.

    The rate only says where to look first.
    """
    n_frames, n_joins = starts_s.size, joins_s.size
    frame = n_used = join_of_spike = join_of_frame = 0
    for spike in range(times_s.size):
        seen_s = times_s[spike] - delay_s + shift_s
        frame = min(frame + int((seen_s - starts_s[frame]) * rate_hz), n_frames - 1)
        while frame + 1 < n_frames and starts_s[frame + 1] <= seen_s:
            frame += 1
        while starts_s[frame] > seen_s:
            frame -= 1
        while join_of_spike < n_joins and joins_s[join_of_spike] <= times_s[spike] + shift_s:
            join_of_spike += 1
        while join_of_frame < n_joins and joins_s[join_of_frame] <= seen_s:
            join_of_frame += 1
        if seen_s < ends_s[frame] and join_of_spike == join_of_frame:
            frames[n_used] = frame - begin
            n_used += 1
    return n_used


@compiled
def align_rows(
    part: Any,
    n_parts: Any,
    times_s: Any,
    train_starts: Any,
    delays_s: Any,
    tolerances_s: Any,
    starts_s: Any,
    ends_s: Any,
    joins_s: Any,
    rate_hz: Any,
    is_regular: Any,
    begin: Any,
    end: Any,
    first: Any,
    frames: Any,
    outcomes: Any,
    squares: Any,
    padding: Any,
) -> None:
    """Find the frame of every spike at every delay, as far as it is one of `begin` to `end`.

    Parameters
    ----------
    part, n_parts : int
        Every `n_parts`-th row from number `part` on is filled.
    times_s : array
        Spikes of all trains, ascending within each; train i is ``times_s[train_starts[i]:train_starts[i + 1]]``.
    tolerances_s : array (n_trains, n_delays)
    starts_s, ends_s, joins_s, rate_hz, is_regular
        Of the frames; a regular clock has no joins.
    first : array (n_trains * n_delays,)
        Where the room of each row in `frames` begins.
    frames : array of uint32
        Filled: the frames of the spikes that count, less `begin`, then ``end - begin`` up to a multiple of `padding`.
    outcomes : array (n_trains, n_delays, 4) of int64
        Filled: spikes that count, before the onset (if `begin` is 0), after the end (if `end` is it), in a gap.
    squares : array (n_trains, n_delays) of int64
        Filled: sum over frames of the squared number of spikes.
    """
    n_frames, n_delays = starts_s.size, delays_s.size
    for row in range(part, first.size, n_parts):
        train, delay = row // n_delays, row % n_delays
        delay_s, shift_s = delays_s[delay], tolerances_s[train, delay]
        earliest, latest = train_starts[train], train_starts[train + 1]
        low = _first_at(times_s, earliest, latest, delay_s, shift_s, starts_s[begin])
        edge_s = starts_s[end] if end < n_frames else ends_s[n_frames - 1]
        high = _first_at(times_s, low, latest, delay_s, shift_s, edge_s)
        found = frames[first[row] :]
        n_used = high - low
        if is_regular:
            _fill_regular(times_s[low:high], delay_s, shift_s, starts_s, ends_s, rate_hz, begin, found)
        else:
            n_used = _fill_measured(
                times_s[low:high], delay_s, shift_s, starts_s, ends_s, joins_s, rate_hz, begin, found
            )
        run = square = 0
        for spike in range(n_used):
            run = run + 1 if spike and found[spike] == found[spike - 1] else 1
            square += 2 * run - 1  # from (run - 1)^2 to run^2
        for place in range(n_used, (n_used + padding - 1) // padding * padding):
            found[place] = end - begin
        outcomes[train, delay, 0] = n_used
        outcomes[train, delay, 1] = low - earliest if begin == 0 else 0
        outcomes[train, delay, 2] = latest - high if end == n_frames else 0
        outcomes[train, delay, 3] = high - low - n_used
        squares[train, delay] = square


@compiled
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
