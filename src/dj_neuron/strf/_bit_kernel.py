"""The counting kernel: whole vectors of blocks are added up at once, bit by bit, compiled by numba.

Position k of a row of *planes* holds bit k of 512 counters. Frames are added to them with carry-save adders,
as in Harley and Seal's population count: 64 frames at a time leave one vector of carries, which ripples into the
planes in memory. docs/explanation/engine.md tells why each step is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from dj_neuron._compiling import compiled
from dj_neuron.strf._vectors import (
    LINE,
    N_WORDS,
    add_16_frames,
    add_64_frames,
    add_plane,
    and_bits,
    fill,
    highest,
    inner,
    lines,
    load_bits,
    no_bits,
    no_counts,
    store_bits,
    store_counts,
    xor_bits,
)

__all__ = ["MIN_PLANES", "SPAN", "WHOLE", "average_levels", "count_bits"]

SPAN = 4096  # frames of a tile that are worked on together: 256 KiB, which stays in the second-level cache
WHOLE = 64  # frames that are added up in registers before anything is carried into memory
MIN_PLANES = 7
_IN_REGISTERS = 6  # planes that these frames fill


@njit(inline="always")
def _ripple(planes: Any, offset: Any, carry: Any, count: Any) -> Any:
    """Add a carry to the planes from `offset` on, which hold at most `count`."""
    while True:
        old = load_bits(planes, offset)
        store_bits(planes, offset, xor_bits(old, carry))
        if count == 0:
            break
        carry = and_bits(old, carry)
        offset += LINE
        count >>= 1


@inner
def _count_span(tile: Any, frames: Any, first: Any, last: Any, planes: Any, offset: Any, n_before: Any) -> None:
    """Add frames ``first`` to ``last``, a multiple of 64 of them, to a row that holds `n_before`."""
    ones, twos = load_bits(planes, offset), load_bits(planes, offset + LINE)
    fours, eights = load_bits(planes, offset + 2 * LINE), load_bits(planes, offset + 3 * LINE)
    sixteens, thirtytwos = load_bits(planes, offset + 4 * LINE), load_bits(planes, offset + 5 * LINE)
    for k in range(first, last, 64):
        ones, twos, fours, eights, sixteens, thirtytwos, carry = add_64_frames(
            tile, frames, k, (ones, twos, fours, eights, sixteens, thirtytwos)
        )
        _ripple(planes, offset + _IN_REGISTERS * LINE, carry, (n_before + k - first) // 64)
    store_bits(planes, offset, ones)
    store_bits(planes, offset + LINE, twos)
    store_bits(planes, offset + 2 * LINE, fours)
    store_bits(planes, offset + 3 * LINE, eights)
    store_bits(planes, offset + 4 * LINE, sixteens)
    store_bits(planes, offset + 5 * LINE, thirtytwos)


@inner
def _count_rest(tile: Any, frames: Any, first: Any, last: Any, planes: Any, offset: Any, n_before: Any) -> None:
    """Add the last frames of a row, a multiple of 16 of them."""
    ones, twos = load_bits(planes, offset), load_bits(planes, offset + LINE)
    fours, eights = load_bits(planes, offset + 2 * LINE), load_bits(planes, offset + 3 * LINE)
    for k in range(first, last, 16):
        ones, twos, fours, eights, carry = add_16_frames(tile, frames, k, (ones, twos, fours, eights))
        _ripple(planes, offset + 4 * LINE, carry, (n_before + k - first) // 16)
    store_bits(planes, offset, ones)
    store_bits(planes, offset + LINE, twos)
    store_bits(planes, offset + 2 * LINE, fours)
    store_bits(planes, offset + 3 * LINE, eights)


@inner
def _cut_tile(data: Any, first_byte: Any, tile: Any) -> None:
    """Copy 64 bytes of every packed frame together; what the frames do not have is 0."""
    n_frames, n_bytes = data.shape
    if first_byte + LINE <= n_bytes:
        for frame in range(n_frames):
            store_bits(tile, frame * LINE, load_bits(data, frame * n_bytes + first_byte))
    else:
        fill(tile, np.uint64(0))
        single = tile.view(np.uint8)
        for frame in range(n_frames):
            for byte in range(n_bytes - first_byte):
                single[frame * LINE + byte] = data[frame, first_byte + byte]
    store_bits(tile, n_frames * LINE, no_bits())  # the frame that rows are padded with


@njit(inline="always")
def _bit_length(number: Any) -> Any:
    n_bits = 0
    while number >> n_bits:
        n_bits += 1
    return n_bits


@inner
def _read_row(planes: Any, first_word: Any, n_planes: Any, wide: Any, begins: Any, counts: Any) -> None:
    """Put the counters of a row together from their bits, and add them to the counts there are unless it `begins`."""
    n_blocks = counts.size
    for word in range((n_blocks + 63) // 64):
        gathered = no_counts()
        for plane in range(n_planes):
            bits = planes[first_word + plane * N_WORDS + word]
            gathered = add_plane(gathered, bits, np.uint32(1) << np.uint32(plane))
        store_counts(wide, 0, gathered)
        if begins:
            for lane in range(min(64, n_blocks - 64 * word)):
                counts[64 * word + lane] = wide[lane]
        else:
            for lane in range(min(64, n_blocks - 64 * word)):
                counts[64 * word + lane] += wide[lane]


@compiled
def count_bits(
    part: Any,
    n_parts: Any,
    n_shares: Any,
    data: Any,
    cuts: Any,
    frames: Any,
    sizes: Any,
    begins: Any,
    counts: Any,
    whole: Any,
) -> None:
    """Count, for every row and block, the frames of the row in which the block's bit is set.

    Parameters
    ----------
    part, n_parts, n_shares : int
        The work is cut into tiles, and each of them into `n_shares` of the rows; every `n_parts`-th piece from number
        `part` on is done.
    data : array (n_frames, n_bytes) of uint8
        Packed frames, least significant bit first, C-contiguous.
    cuts : array (n_rows, n_spans + 2) of int64
        Where a row's frames begin, are cut into spans (at multiples of 64 from the beginning), and end (at a
        multiple of 16).
    frames : array of uint32
        Of all rows; ascending within a span, padded with ``n_frames``, which stands for an empty frame.
    sizes : array (n_rows,) of int64
        Frames in each row, without padding.
    begins : bool
        Whether counts are written, else added to those there are.
    counts : array (n_rows - 1, n_blocks) of float64
        Filled where the pieces are; whole numbers.
    whole : array (n_blocks,) of float64
        The same for the last row.
    """
    n_frames, n_bytes = data.shape
    n_rows, n_cuts = cuts.shape
    n_blocks = whole.size
    stride = max(MIN_PLANES, _bit_length(highest(sizes)) + 1)
    # fresh memory costs more than counting: one tile and one set of planes serve for all the work
    tile = lines((n_frames + 1) * LINE).view(np.uint64)
    planes = np.empty((n_rows + n_shares - 1) // n_shares * stride * N_WORDS, np.uint64)
    wide = np.empty(64, np.uint32)
    for piece in range(part, (n_bytes + LINE - 1) // LINE * n_shares, n_parts):
        number, share = piece // n_shares, piece % n_shares
        first_row, last_row = n_rows * share // n_shares, n_rows * (share + 1) // n_shares
        _cut_tile(data, number * LINE, tile)
        fill(planes, np.uint64(0))
        for span in range(n_cuts - 1):
            for row in range(first_row, last_row):
                first, last = cuts[row, span], cuts[row, span + 1]
                offset, n_before = (row - first_row) * stride * LINE, first - cuts[row, 0]
                if last > first:
                    if span < n_cuts - 2:
                        _count_span(tile, frames, first, last, planes, offset, n_before)
                    else:
                        _count_rest(tile, frames, first, last, planes, offset, n_before)
        first_block = number * LINE * 8
        last_block = min(first_block + LINE * 8, n_blocks)
        for row in range(first_row, last_row):
            first_word = (row - first_row) * stride * N_WORDS
            own = counts[row] if row < n_rows - 1 else whole
            _read_row(planes, first_word, _bit_length(sizes[row]), wide, begins, own[first_block:last_block])


@compiled
def average_levels(part: Any, n_parts: Any, sizes: Any, low: Any, high: Any, less: Any, values: Any) -> None:
    """Turn counts into ``(low * sizes + (high - low) * counts) / sizes - less`` in every `n_parts`-th row."""
    n_rows, n_blocks = values.shape
    for row in range(part, n_rows, n_parts):
        size = sizes[row]
        for block in range(n_blocks):
            values[row, block] = (low * size + (high - low) * values[row, block]) / size - less[block]
