"""Adding up the frames of a graded movie: the cheapest of three ways, for which a small model of costs is kept here.

The sums are those of float32 additions over at most a few thousand frames, gathered in float64, of values less an
offset near the blocks' means: within 1e-5 of what float64 throughout would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft, sparse

from dj_neuron.strf._threads import n_cores, n_shares_of, on_all_cores
from dj_neuron.strf.alignment import HAS_NUMBA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.strf.alignment import AlignedSpikes

    Ints = NDArray[np.int64]
    Values = NDArray[np.float32]

Way = Literal["sparse", "dense", "lags"]

_CHUNK_VALUES = 1 << 24  # of the movie, or of the matrix of counts: 64 MiB
_FRAMES_GATHERED = 4096  # at a time, at the most: their tile should stay near
_FRAMES_MULTIPLIED = 1 << 15  # BLAS adds up in blocks, which rounds less
_FRAMES_PER_VISIT = 64  # of a row, at the least, for which a row's sums are fetched
_BLOCKS_PER_TRANSFORM = 128
_TRANSFORM_PER_LAG = 4  # length of a transform in spans of lags: what overlaps is lost


@dataclass(frozen=True)
class Work:
    """What there is to add: the figures that decide which way is the cheapest.

    Attributes
    ----------
    n_entries : int
        Frames in all rows together.
    n_rows, n_frames, n_blocks : int
    n_trains, n_lags : int
        Where the rows of a train may be shifts of each other: how many trains, and from the first lag to the last.
    """

    n_entries: int
    n_rows: int
    n_frames: int
    n_blocks: int
    n_trains: int = 0
    n_lags: int = 0


# nanoseconds on two cores with AVX-512; only their ratios matter (benchmarks/engine.py, docs/explanation/engine.md)
_NS_GATHERED = 0.020 if HAS_NUMBA else 0.6  # an entry's block added to its row
_NS_FETCHED = 0.6  # a block of a row's sums fetched and put back
_NS_MULTIPLIED = 0.011  # a place in the matrix of counts times a block
_NS_TRANSFORMED = 0.45  # a value in a transform, for each doubling of its length
_NS_CORRELATED = 0.045  # a frequency of a train times one of a block


def costs(work: Work) -> dict[Way, float]:
    """Estimate what each way that can be gone costs, in nanoseconds on the machine where the model was measured."""
    n_values = work.n_frames * work.n_blocks
    visits = work.n_rows * work.n_blocks
    found: dict[Way, float] = {
        "sparse": _NS_GATHERED * work.n_entries * work.n_blocks
        + _NS_FETCHED * visits * -(-work.n_frames // _chunk_frames(work)),
        "dense": _NS_MULTIPLIED * work.n_rows * n_values,
    }
    if work.n_lags:
        length = _transform_length(work.n_lags)
        waste = length / (length - work.n_lags + 1)
        transformed = n_values * waste + work.n_trains * work.n_blocks * length
        found["lags"] = (
            _NS_TRANSFORMED * transformed * np.log2(length) + _NS_CORRELATED * work.n_trains * n_values * waste
        )
    return found


def add_values(
    values: Values, spikes: AlignedSpikes, lags: Ints, sums: NDArray[np.float64], way: Way | None = None
) -> None:
    """Add to every row of sums the frames of that row.

    Parameters
    ----------
    values : array (n_frames, n_blocks) of float32
    spikes : AlignedSpikes
        Of these frames.
    lags : array (n_delays,) of int64
        The delays in whole frames; where delays are not, rows are not shifts of each other, which is looked at.
    sums : array (n_rows - 1, n_blocks) of float64
        Added to. The last row of `spikes`, every frame once, is the business of :func:`add_moments`.
    way : {"sparse", "dense", "lags"}, optional
        Gather the frames of each row; multiply with the matrix of counts; correlate by Fourier transforms, if the
        rows are shifts. By default the one that costs the least by :func:`costs`.
    """
    if not sums.size:
        return
    ways = [way] if way else _from_cheapest(costs(_work(values, spikes, lags)))
    trains = _as_trains(spikes, lags) if ways[0] == "lags" else None
    if ways[0] == "lags" and trains is None:
        ways = ways[1:]  # the delays are whole frames, but a gap or a join is in their way
    if not ways:
        raise ValueError("the rows are not shifts of each other, expected delays in whole frames")
    if trains is not None:
        _correlate(values, trains, lags, sums)
    elif ways[0] == "sparse" and HAS_NUMBA:
        _gather(values, spikes, lags, sums)
    else:
        _multiply(values, spikes, sums, is_sparse=ways[0] == "sparse")


def add_moments(values: Values, sums: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
    """Add every block's values over all frames, and their squares, each (n_blocks,) of float64."""
    if not HAS_NUMBA:
        sums += values.sum(axis=0, dtype=np.float64)
        squares += np.einsum("fb,fb->b", values, values, dtype=np.float64)
        return
    from dj_neuron.strf import _value_kernel as kernel  # noqa: PLC0415 - numba takes a second to import

    moments = np.zeros((n_cores(), 2, values.shape[1]))
    on_all_cores(kernel.add_moments, len(moments), values, moments)
    sums += moments[:, 0].sum(axis=0)
    squares += moments[:, 1].sum(axis=0)


def _from_cheapest(estimates: dict[Way, float]) -> list[Way]:
    return [way for _, way in sorted((cost, way) for way, cost in estimates.items())]


def _work(values: Values, spikes: AlignedSpikes, lags: Ints) -> Work:
    n_frames, n_blocks = values.shape
    n_rows = spikes.sizes.size - 1
    are_lags = lags.size > 1 and np.unique(lags).size == lags.size
    shifts = (n_rows // lags.size, int(np.ptp(lags)) + 1) if are_lags else (0, 0)
    return Work(int(spikes.sizes[:-1].sum()), n_rows, n_frames, n_blocks, *shifts)


def _chunk_frames(work: Work) -> int:
    """Give how many frames are gathered from at a time: few stay in cache, many spare visits to the sums."""
    wanted = _FRAMES_PER_VISIT * work.n_rows * work.n_frames // max(work.n_entries, 1)
    most = max(min(_FRAMES_GATHERED, _CHUNK_VALUES // work.n_blocks), 1)
    return int(min(max(wanted, 1024), most, work.n_frames))


def _gather(values: Values, spikes: AlignedSpikes, lags: Ints, sums: NDArray[np.float64]) -> None:
    from dj_neuron.strf._value_kernel import N_VALUES, add_frames  # noqa: PLC0415 - numba takes a second to import

    n_frames, step = len(values), _chunk_frames(_work(values, spikes, lags))
    cuts = _cuts(spikes, step, n_frames)
    n_tiles = -(-values.shape[1] // N_VALUES)
    n_shares = n_shares_of(n_tiles)
    for number, begin in enumerate(range(0, n_frames, step)):
        chunk = values[begin : begin + step]
        on_all_cores(add_frames, n_tiles * n_shares, n_shares, chunk, cuts[number], spikes.frames, begin, sums)


def _multiply(values: Values, spikes: AlignedSpikes, sums: NDArray[np.float64], *, is_sparse: bool) -> None:
    n_rows, n_frames = len(sums), len(values)
    step = max(min(_FRAMES_MULTIPLIED, _CHUNK_VALUES // n_rows), 1)
    if HAS_NUMBA and not is_sparse:
        from dj_neuron.strf._value_kernel import count_frames  # noqa: PLC0415

        for begin, cuts in zip(range(0, n_frames, step), _cuts(spikes, step, n_frames), strict=True):
            chunk = np.zeros((n_rows, min(step, n_frames - begin)), np.float32)
            on_all_cores(count_frames, n_rows, cuts, spikes.frames, begin, chunk)
            sums += chunk @ values[begin : begin + step]
        return
    columns = np.concatenate([spikes.row(row) for row in range(n_rows)]).astype(np.int64)
    edges = np.concatenate([[0], np.cumsum(spikes.sizes[:n_rows])])
    counts = sparse.csr_array((np.ones(columns.size), columns, edges), shape=(n_rows, n_frames))
    for begin in range(0, n_frames, step):
        part = counts[:, begin : begin + step]
        sums += (part if is_sparse else part.toarray().astype(np.float32)) @ values[begin : begin + step]


def _cuts(spikes: AlignedSpikes, step: int, n_frames: int) -> Ints:
    """Where the frames of every row begin and end in each chunk of frames, ``(n_chunks, n_rows, 2)``."""
    from dj_neuron.strf._align_kernel import cut_rows  # noqa: PLC0415

    n_rows = spikes.sizes.size - 1
    cuts = np.empty((n_rows, -(-n_frames // step) + 2), np.int64)
    cut_rows(spikes.first[:n_rows], spikes.sizes[:n_rows], spikes.frames, step, 1, 1, cuts)
    return np.ascontiguousarray(np.stack((cuts[:, :-2], cuts[:, 1:-1]), axis=2).transpose(1, 0, 2))


def _as_trains(spikes: AlignedSpikes, lags: Ints) -> list[Ints] | None:
    """Give the frames of each train's spikes at lag 0, if its rows are these less the lags; they may be outside."""
    n_frames, n_trains = int(spikes.sizes[-1]), (spikes.sizes.size - 1) // lags.size
    trains = []
    for train in range(n_trains):
        rows = [spikes.row(train * lags.size + place).astype(np.int64) + lag for place, lag in enumerate(lags)]
        pieces, seen_to = [], -np.inf
        for place in np.argsort(lags):
            pieces.append(rows[place][rows[place] >= seen_to])
            seen_to = lags[place] + n_frames
        whole = np.concatenate(pieces)
        edges = np.searchsorted(whole, np.stack((lags, lags + n_frames)))
        if any(not np.array_equal(row, whole[low:high]) for row, low, high in zip(rows, *edges, strict=True)):
            return None
        trains.append(whole)
    return trains


def _transform_length(n_lags: int) -> int:
    return int(fft.next_fast_len(_TRANSFORM_PER_LAG * n_lags, real=True))


def _correlate(values: Values, trains: list[Ints], lags: Ints, sums: NDArray[np.float64]) -> None:
    """Correlate counts with values at all lags at once, piece by piece of the movie (overlap-save)."""
    n_frames, n_blocks = values.shape
    n_lags = int(np.ptp(lags)) + 1
    length = _transform_length(n_lags)
    hop = length - n_lags + 1
    n_pieces = -(-n_frames // hop)
    counts = np.zeros((len(trains), (n_pieces - 1) * hop + length), np.float32)
    for number, train in enumerate(trains):
        counts[number] = np.bincount(train - lags.min(), minlength=counts.shape[1])
    pieces = np.lib.stride_tricks.sliding_window_view(counts, length, axis=1)[:, ::hop]
    # (frequency, train, piece) times (frequency, piece, block): one product for every frequency
    of_trains = np.ascontiguousarray(fft.rfft(pieces, axis=2, workers=n_cores()).transpose(2, 0, 1))
    by_train = sums.reshape(len(trains), lags.size, n_blocks)
    for first in range(0, n_blocks, _BLOCKS_PER_TRANSFORM):
        tile = slice(first, min(first + _BLOCKS_PER_TRANSFORM, n_blocks))
        padded = np.zeros((n_pieces, hop, tile.stop - first), np.float32)
        padded.reshape(n_pieces * hop, -1)[:n_frames] = values[:, tile]
        of_blocks = fft.rfft(padded, n=length, axis=1, workers=n_cores()).conj().transpose(1, 0, 2)
        correlated = fft.irfft(of_trains @ np.ascontiguousarray(of_blocks), n=length, axis=0, workers=n_cores())
        by_train[:, :, tile] += correlated[lags - lags.min()].transpose(1, 0, 2)
