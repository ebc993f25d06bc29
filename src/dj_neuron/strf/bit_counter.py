"""Counting the blocks of a two-level movie: how often each was at the higher level over lists of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.strf._threads import on_all_cores
from dj_neuron.strf.alignment import HAS_NUMBA, PADDING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie
    from dj_neuron.strf.alignment import AlignedSpikes

_CHUNK_VALUES = 1 << 21  # blocks unpacked at a time by the NumPy form


def count_high(movie: Movie, spikes: AlignedSpikes) -> NDArray[np.uint32]:
    """Count, per row of frames and block, in how many of the frames the block is at the higher level.

    Parameters
    ----------
    movie : Movie
        Of two levels.
    spikes : AlignedSpikes
        A frame that comes several times in a row counts as often.

    Returns
    -------
    array (n_rows, n_blocks) of uint32
        The last row, of every frame once, tells how often each block was high in the whole movie.

    Notes
    -----
    Compiled by numba where that is installed, else in NumPy; the results are the same.
    """
    if movie.levels is None:
        raise ValueError("a graded movie has no bits to count, expected a movie of two levels")
    return count_compiled(movie, spikes) if HAS_NUMBA else count_with_numpy(movie, spikes)


def count_compiled(movie: Movie, spikes: AlignedSpikes) -> NDArray[np.uint32]:
    """Count with bit-sliced counters, compiled by numba."""
    from dj_neuron.strf import _bit_kernel as kernel  # noqa: PLC0415 - numba takes a second to import
    from dj_neuron.strf._align_kernel import cut_rows  # noqa: PLC0415

    sizes = spikes.sizes
    cuts = np.empty((sizes.size, -(-movie.n_frames // kernel.SPAN) + 2), np.int64)
    cut_rows(spikes.first, sizes, spikes.frames, kernel.SPAN, kernel.WHOLE, PADDING, cuts)
    counts = np.empty((sizes.size, movie.n_blocks), np.uint32)
    n_planes = max(kernel.MIN_PLANES, int(sizes.max()).bit_length() + 1)
    n_tiles = -(-movie.data.shape[1] // kernel.BYTES)
    data = np.ascontiguousarray(movie.data)
    on_all_cores(kernel.count_bits, n_tiles, data, cuts, spikes.frames, n_planes, counts)
    return counts


def count_with_numpy(movie: Movie, spikes: AlignedSpikes) -> NDArray[np.uint32]:
    """Multiply the matrix of spike counts with the movie's bits, a chunk of frames at a time."""
    n_rows = spikes.first.size
    rows, frames = spikes.by_frame()
    counts = np.zeros((n_rows, movie.n_blocks), np.uint32)
    step = max(1, _CHUNK_VALUES // movie.n_blocks)
    for start in range(0, movie.n_frames, step):
        packed = movie.data[start : start + step]
        bits = np.unpackbits(packed, axis=1, count=movie.n_blocks, bitorder="little").astype(np.float32)
        first, last = np.searchsorted(frames, (start, start + step))
        cells: Any = rows[first:last] * len(bits) + (frames[first:last] - start)
        in_chunk = np.bincount(cells, minlength=n_rows * len(bits)).reshape(n_rows, len(bits))
        counts += (in_chunk.astype(np.float32) @ bits).astype(np.uint32)
    return counts


def average_levels(
    counts: NDArray[np.uint32], sizes: NDArray[Any], levels: tuple[float, float], less: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn counts of the higher level into averages, less something per block.

    Parameters
    ----------
    counts : array (n_rows, n_blocks)
    sizes : array (n_rows,)
        Frames in every row; NaN makes the row NaN.
    less : array (n_blocks,)

    Returns
    -------
    array (n_rows, n_blocks)
        For levels that are whole numbers the average is exactly the quotient of two whole numbers.
    """
    if HAS_NUMBA:
        from dj_neuron.strf import _bit_kernel as kernel  # noqa: PLC0415

        values = np.empty(counts.shape)
        on_all_cores(kernel.average_levels, len(counts), counts, sizes.astype(np.float64), *levels, less, values)
        return values
    low, high = levels
    sizes = sizes.astype(np.float64)[:, None]
    return np.asarray((low * sizes + (high - low) * counts) / sizes - less)
