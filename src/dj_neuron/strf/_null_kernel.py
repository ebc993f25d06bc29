# mypy: disallow-untyped-decorators=False
"""The largest deviation from chance over all blocks and delays, for every shift of a spike train, compiled by numba.

Blocks are counted as in :mod:`dj_neuron.strf._bit_kernel`, but no count is kept: of each shift only the largest
deviation leaves the kernel. Two savings make it quick.

At delays a frame apart a neuron's rows are the same frames one earlier, but for spikes near the ends of the movie. What
they have in common, the core, is counted once for every place on the circle; each row adds its own few frames.

Most rows cannot beat the largest deviation found so far; one comparison of all 512 counters at once, still bit by bit,
tells which can, and only those are read out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dj_neuron._compiling import compiled
from dj_neuron.strf._bit_kernel import WHOLE, _count_rest, _count_span, _cut_tile
from dj_neuron.strf._vectors import (
    LINE,
    N_WORDS,
    add_bits,
    add_plane,
    and_bits,
    fill,
    highest,
    inner,
    lines,
    load_bits,
    no_bits,
    no_counts,
    or_bits,
    store_bits,
    store_counts,
    xor_bits,
)
from dj_neuron.strf.alignment import PADDING

__all__ = ["TILE_BLOCKS", "largest_deviations"]

TILE_BLOCKS = 8 * LINE
_NOTHING = np.iinfo(np.int64).min


@inner
def _rotate(row: Any, shift: Any, n_frames: Any, rotated: Any) -> None:
    """Write the frames of a row `shift` later on the circle, ascending, and fill up with the empty frame."""
    n_kept = np.searchsorted(row, np.uint32(n_frames - shift))
    wrapped, kept, rest = row[n_kept:], rotated[row.size - n_kept :], rotated[row.size :]
    for k in range(wrapped.size):
        rotated[k] = wrapped[k] - (n_frames - shift)
    for k in range(n_kept):
        kept[k] = row[k] + shift
    for k in range(rest.size):
        rest[k] = n_frames


@inner
def _add_rotated(tile: Any, row: Any, shift: Any, n_frames: Any, rotated: Any, planes: Any, n_before: Any) -> None:
    """Add the frames of a row, rotated, to planes that hold `n_before`."""
    n_whole, n_padded = row.size // WHOLE * WHOLE, (row.size + PADDING - 1) // PADDING * PADDING
    _rotate(row, shift % n_frames, n_frames, rotated[:n_padded])
    begin = np.int64(0)  # numba would compile all of it once more for a literal 0
    if n_whole:
        _count_span(tile, rotated, begin, n_whole, planes, begin, n_before)
    if n_padded > n_whole:
        _count_rest(tile, rotated, n_whole, n_padded, planes, begin, n_before + n_whole)


@inner
def _write_complement(expected: Any, n_planes: Any, planes: Any) -> None:
    """Write the complement of every block's nearest whole number to a row of planes."""
    numbers = np.rint(expected).astype(np.int64)
    for plane in range(n_planes):
        for word in range(N_WORDS):
            bits = np.uint64(0)
            for lane in range(64):
                bits |= np.uint64((~numbers[64 * word + lane] >> plane) & 1) << np.uint64(lane)
            planes[plane * N_WORDS + word] = bits


@inner
def _may_reach(planes: Any, complement: Any, n_planes: Any, bound: Any, ones: Any, words: Any) -> Any:
    """Tell whether any count differs from the expected one by `bound` or, where it is less, by more than `bound`.

    Counter minus expectation is counter plus complement plus one. Bit by bit from the lowest, the deviation
    and its complement are compared with the bound; the sign, which comes last, says which of them counts.
    """
    all_set = load_bits(ones, 0)
    carry, above, below, sign = all_set, all_set, all_set, no_bits()
    for plane in range(n_planes):
        sign, carry = add_bits(load_bits(planes, plane * LINE), load_bits(complement, plane * LINE), carry)
        opposite = xor_bits(sign, all_set)
        if (bound >> plane) & 1:
            above, below = and_bits(above, sign), and_bits(below, opposite)
        else:
            above, below = or_bits(above, sign), or_bits(below, opposite)
    store_bits(words, 0, or_bits(and_bits(above, xor_bits(sign, all_set)), and_bits(below, sign)))
    reached = np.uint64(0)
    for word in range(N_WORDS):
        reached |= words[word]
    return reached != 0


@inner
def _read_counts(planes: Any, n_planes: Any, counts: Any) -> None:
    """Put 512 counters together from their bits."""
    for word in range(N_WORDS):
        gathered = no_counts()
        for plane in range(n_planes):
            bits = planes[plane * N_WORDS + word]
            gathered = add_plane(gathered, bits, np.uint32(1) << np.uint32(plane))
        store_counts(counts, 256 * word, gathered)


@inner
def _largest(counts: Any, expected: Any, weight: Any, deviations: Any) -> Any:
    """Give the largest weighted deviation; the loops are such that LLVM finds vectors in them."""
    for block in range(TILE_BLOCKS):
        deviations[block] = abs(np.float64(counts[block]) - expected[block]) * weight[block]
    largest = np.int64(0)
    for bits in deviations.view(np.int64):  # of numbers that are not negative: they ascend as the numbers do
        largest = max(largest, bits)
    deviations.view(np.int64)[0] = largest
    return deviations[0]


@inner
def _bound(largest: Any, root: Any, highest_weight: Any) -> Any:
    """Give the whole number that deviations from the rounded expectation must reach, or they beat nothing.

    Rounding the expectation takes a half. Roundings of the quotient are far smaller than what is taken off for them.
    """
    return max(0, int(np.floor(largest * root / highest_weight * (1 - 1e-9) - 0.5)))


@inner
def _search_neuron(
    tile: Any,
    n_frames: Any,
    core: Any,
    frames: Any,
    first: Any,
    n_own: Any,
    lags: Any,
    roots: Any,
    shifts: Any,
    n_planes: Any,
    share: Any,
    weight: Any,
    largest: Any,
) -> None:
    """Raise the largest deviation of one neuron, for every shift, to that of one tile."""
    n_rows, highest_weight, row_bytes = lags.size, highest(weight), n_planes * LINE
    n_slots = highest(lags) - lags.min() + 1
    cores, in_slot = lines(n_slots * row_bytes).view(np.uint64).reshape(n_slots, -1), np.empty(n_slots, np.int64)
    fill(in_slot, _NOTHING)
    planes = lines(row_bytes).view(np.uint64)
    complement = lines(n_rows * row_bytes).view(np.uint64).reshape(n_rows, -1)
    rotated = np.empty(max(core.size, highest(n_own)) + PADDING, np.uint32)
    expected = np.empty((n_rows, share.size))
    for row in range(n_rows):
        for block in range(share.size):
            expected[row, block] = (core.size + n_own[row]) * share[block]
        _write_complement(expected[row], n_planes, complement[row])
    ones, words = np.empty(N_WORDS, np.uint64), np.empty(N_WORDS, np.uint64)
    fill(ones, ~np.uint64(0))
    counts, deviations = np.empty(TILE_BLOCKS, np.uint32), np.empty(TILE_BLOCKS)
    for number in range(shifts.size):
        best = largest[number]
        for row in range(n_rows):
            moved = shifts[number] - lags[row]
            slot = moved % n_slots
            counted = cores[slot]
            if in_slot[slot] != moved:
                fill(counted, np.uint64(0))
                _add_rotated(tile, core, moved, n_frames, rotated, counted, np.int64(0))
                in_slot[slot] = moved
            for word in range(planes.size):
                planes[word] = counted[word]
            own = frames[first[row] : first[row] + n_own[row]]
            _add_rotated(tile, own, shifts[number], n_frames, rotated, planes, core.size)
            bound = _bound(best, roots[row], highest_weight)
            if _may_reach(planes, complement[row], n_planes, bound, ones, words):
                _read_counts(planes, n_planes, counts)
                best = max(best, _largest(counts, expected[row], weight, deviations) / roots[row])
        largest[number] = best


@compiled
def largest_deviations(
    part: Any,
    n_parts: Any,
    data: Any,
    frames: Any,
    core_starts: Any,
    row_starts: Any,
    first: Any,
    n_own: Any,
    lags: Any,
    roots: Any,
    n_planes: Any,
    shifts: Any,
    share: Any,
    weight: Any,
    largest: Any,
) -> None:
    """Find, for every neuron and shift, the largest of ``|count - size * share| * weight / root``.

    Parameters
    ----------
    part, n_parts : int
        Pairs of tile and neuron are shared out in `n_parts` stretches, of which number `part` is done.
    data : array (n_frames, n_bytes) of uint8
        Packed frames, least significant bit first, C-contiguous.
    frames : array of uint32
        The cores of all neurons, then what their rows have beside them; ascending within each.
    core_starts : array (n_neurons + 1,)
        The core of neuron i is ``frames[core_starts[i]:core_starts[i + 1]]``.
    row_starts : array (n_neurons + 1,)
        The rows of neuron i are ``row_starts[i]`` to ``row_starts[i + 1]``.
    first, n_own, lags : array (n_rows,)
        Row r is the core, `lags` frames earlier, and ``frames[first[r]:first[r] + n_own[r]]``.
    roots : array (n_rows,)
        Positive.
    n_planes : array (n_neurons,)
        At least ``MIN_PLANES`` of the counting kernel, and one bit more than the neuron's largest row takes.
    shifts : array (n_neurons, n_shifts)
        From 0 to ``n_frames - 1``; rows are counted with ``(frames + shift) mod n_frames``. Ascending shifts are
        quick: what has been counted of a core serves all rows that meet it at the same place.
    share, weight : array (n_tiles * 512,)
        Of every block; blocks of weight 0 do not take part.
    largest : array (at least n_parts, n_neurons, n_shifts)
        Zeros; what this part finds is written to number `part`.
    """
    n_frames, n_tiles, n_neurons = data.shape[0], share.size // TILE_BLOCKS, len(shifts)
    tile = lines((n_frames + 1) * LINE).view(np.uint64)
    in_tile = -1
    for item in range(part * n_tiles * n_neurons // n_parts, (part + 1) * n_tiles * n_neurons // n_parts):
        number, neuron = item // n_neurons, item % n_neurons
        if number != in_tile:
            _cut_tile(data, number * LINE, tile)
            in_tile = number
        blocks = slice(number * TILE_BLOCKS, (number + 1) * TILE_BLOCKS)
        rows = slice(row_starts[neuron], row_starts[neuron + 1])
        if highest(weight[blocks]) == 0 or rows.start == rows.stop:
            continue
        _search_neuron(
            tile,
            n_frames,
            frames[core_starts[neuron] : core_starts[neuron + 1]],
            frames,
            first[rows],
            n_own[rows],
            lags[rows],
            roots[rows],
            shifts[neuron],
            n_planes[neuron],
            share[blocks],
            weight[blocks],
            largest[part, neuron],
        )
