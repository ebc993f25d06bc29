"""Counting the blocks of a two-level movie: how often each was at the higher level over lists of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.strf._threads import n_shares_of, on_all_cores
from dj_neuron.strf.alignment import HAS_NUMBA, PADDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie
    from dj_neuron.strf.alignment import AlignedSpikes

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_BATCH_WORDS = 1 << 20  # what the NumPy form adds up at a time: 8 MiB


def count_high(movie: Movie, spikes: AlignedSpikes, counts: Floats, whole: Floats, *, begins: bool = True) -> None:
    """Count, per row of frames and block, in how many of the frames the block is at the higher level.

    Parameters
    ----------
    movie : Movie
        Of two levels.
    spikes : AlignedSpikes
        A frame that comes several times in a row counts as often.
    counts : array (n_rows - 1, n_blocks) of float64
        Filled, with whole numbers.
    whole : array (n_blocks,) of float64
        Filled for the last row, of every frame once.
    begins : bool
        Whether what `counts` and `whole` hold is forgotten; else it is added to.

    Notes
    -----
    Compiled by numba where that is installed, else in NumPy; the results are the same.
    """
    if movie.levels is None:
        raise ValueError("a graded movie has no bits to count, expected a movie of two levels")
    (count_compiled if HAS_NUMBA else count_with_numpy)(movie, spikes, counts, whole, begins=begins)


def count_compiled(movie: Movie, spikes: AlignedSpikes, counts: Floats, whole: Floats, *, begins: bool) -> None:
    """Count with bit-sliced counters, compiled by numba."""
    from dj_neuron.strf import _bit_kernel as kernel  # noqa: PLC0415 - numba takes a second to import
    from dj_neuron.strf._align_kernel import cut_rows  # noqa: PLC0415
    from dj_neuron.strf._vectors import LINE  # noqa: PLC0415

    sizes = spikes.sizes
    cuts = np.empty((sizes.size, -(-movie.n_frames // kernel.SPAN) + 2), np.int64)
    cut_rows(spikes.first, sizes, spikes.frames, kernel.SPAN, kernel.WHOLE, PADDING, cuts)
    n_tiles = -(-movie.data.shape[1] // LINE)
    n_shares = n_shares_of(n_tiles)
    data = np.ascontiguousarray(movie.data)
    on_all_cores(
        *(kernel.count_bits, n_tiles * n_shares, n_shares),
        *(data, cuts, spikes.frames, sizes, begins, counts, whole),
    )


def count_with_numpy(movie: Movie, spikes: AlignedSpikes, counts: Floats, whole: Floats, *, begins: bool) -> None:
    """Count with bit-sliced counters in NumPy, 64 blocks a word: slower, and the same."""
    if begins:
        counts[:], whole[:] = 0, 0
    n_words = -(-movie.n_blocks // 64)
    packed = np.zeros((movie.n_frames + 1, 8 * n_words), np.uint8)  # the last frame is the empty one of the padding
    packed[:-1, : movie.data.shape[1]] = movie.data[:]
    words = packed.view(np.uint64)
    # rows of similar length are counted together, which takes fewer calls of NumPy
    order = np.argsort(spikes.sizes[:-1], kind="stable")
    batches = [*_batches(order, spikes.sizes, n_words), np.array([spikes.sizes.size - 1])]
    longest = max(PADDING, _BATCH_WORDS // n_words)

    def count_batches(part: int, n_parts: int) -> None:
        room = np.empty(0, np.uint64)  # fresh memory costs more than counting
        for rows in batches[part::n_parts]:
            for first in range(0, int(spikes.sizes[rows[-1]]), longest):
                frames = _side_by_side(spikes, rows, first, longest, movie.n_frames)
                size = frames.size * n_words
                room = room if room.size >= 2 * size else np.empty(2 * size, np.uint64)
                bits, spare = (half.reshape(*frames.shape, n_words) for half in (room[:size], room[size : 2 * size]))
                # all numbers are those of frames; to check them again would take as long as all the rest
                np.take(words, frames, axis=0, mode="clip", out=bits)
                found = _whole_numbers(_planes(bits, spare))[:, : movie.n_blocks]
                if rows[0] < len(counts):
                    counts[rows] += found
                else:
                    whole[:] += found[0]

    on_all_cores(count_batches, len(batches))


def _batches(order: Ints, sizes: Ints, n_words: int) -> Iterator[Ints]:
    begin = 0
    while begin < order.size:
        # rows ascend in size: the longest of a batch decides what it takes
        end = begin + 1
        while end < order.size and (end + 1 - begin) * sizes[order[end]] * n_words <= _BATCH_WORDS:
            end += 1
        yield order[begin:end]
        begin = end


def _side_by_side(spikes: AlignedSpikes, rows: Ints, first: int, longest: int, empty: int) -> NDArray[np.uint32]:
    """Give the frames of some rows from their place `first` on as columns, filled up with the empty frame."""
    parts = [spikes.row(row)[first : first + longest] for row in rows]
    frames = np.full((max(part.size for part in parts), rows.size), empty, np.uint32)
    for column, part in zip(frames.T, parts, strict=True):
        column[: part.size] = part
    return frames


def _planes(level: NDArray[np.uint64], spare: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """Add up bits along the first axis with carry-save adders; plane p of what comes back weighs 2^p.

    What both arrays hold is lost.
    """
    planes = []
    while True:
        carries, n_carries = spare, 0
        spare = level
        while len(level) > 1:
            # three become a sum in place of the first and a carry; of two, the third is zero
            n = max(len(level) // 3, 1)
            a, b, carry = level[:n], level[n : 2 * n], carries[n_carries : n_carries + n]
            np.bitwise_and(a, b, out=carry)
            np.bitwise_xor(a, b, out=a)
            n_left = len(level) - 2 * n
            if n_left:
                c = level[2 * n : 3 * n]
                carry |= np.bitwise_and(a, c, out=b)
                a ^= c
                n_left = len(level) - 3 * n
                level[n : n + n_left] = level[3 * n :]
            level = level[: n + n_left]
            n_carries += n
        planes.append(level[0].copy())
        if n_carries == 0:
            return planes
        level = carries[:n_carries]


def _whole_numbers(planes: list[NDArray[np.uint64]]) -> NDArray[np.uint32]:
    """Put counters together from their bits, ``(n_rows, 64 * n_words)``."""
    total = np.zeros((), np.uint32)
    for first in range(0, len(planes), 8):
        byte = np.zeros((), np.uint8)
        for place, plane in enumerate(planes[first : first + 8]):
            byte = byte | np.unpackbits(plane.view(np.uint8), axis=1, bitorder="little") << np.uint8(place)
        total = total | byte.astype(np.uint32) << np.uint32(first)
    return total


def average_levels(
    counts: Floats, sizes: NDArray[Any], levels: tuple[float, float], less: NDArray[np.float64]
) -> Floats:
    """Turn counts of the higher level, in place, into averages, less something per block.

    Parameters
    ----------
    counts : array (n_rows, n_blocks)
    sizes : array (n_rows,)
        Frames in every row; NaN makes the row NaN.
    less : array (n_blocks,)

    Returns
    -------
    array (n_rows, n_blocks)
        `counts`. For levels that are whole numbers the average is exactly the quotient of two whole numbers.
    """
    sizes = sizes.astype(np.float64)
    if HAS_NUMBA:
        from dj_neuron.strf import _bit_kernel as kernel  # noqa: PLC0415

        on_all_cores(kernel.average_levels, len(counts), sizes, *levels, less, counts)
        return counts
    low, high = levels
    counts *= high - low
    counts += low * sizes[:, None]
    counts /= sizes[:, None]
    counts -= less
    return counts
