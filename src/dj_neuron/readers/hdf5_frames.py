"""Frames that stay in an HDF5 file until a slice of them is asked for; the file is open only meanwhile."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers import unfolding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import h5py
    from numpy.typing import NDArray

    from dj_neuron.contracts.movie import Slices

_KEPT_BYTES = 1 << 26  # a chunk up to this size is kept for the slice after, which often begins inside it: 64 MiB


def measure(dataset: Any, place: str, *, in_slices: bool = False) -> None:
    """Refuse an HDF5 dataset whose values are not in the file, as far as that can be told without reading them.

    Parameters
    ----------
    dataset : h5py.Dataset
        Anything else is in memory and passes.
    in_slices : bool
        It is not read at once, so that it may be as long as it says; what is held against it is a single chunk.

    Raises
    ------
    ReadError
        If values were never written, or the dataset unfolds to much more than it holds.
    """
    if not hasattr(dataset, "file"):
        return
    if dataset.dtype.hasobject:
        return
    n_claimed, n_there = dataset.nbytes, dataset.id.get_storage_size()
    is_whole, n_at_once = n_there >= n_claimed, 0
    if dataset.chunks is not None:
        n_chunks = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        is_whole = dataset.id.get_num_chunks() >= n_chunks
        n_at_once = math.prod(dataset.chunks) * dataset.dtype.itemsize if in_slices else n_claimed
    if not is_whole:
        raise ReadError(
            f"{place}: {dataset.name} claims {n_claimed} bytes, of which some were never written, expected all of them"
        )
    if n_at_once > unfolding.most_bytes(n_there):
        raise ReadError(
            f"{place}: {dataset.name} unfolds {n_there} bytes to {n_at_once}, expected at most "
            f"{unfolding.MOST_TIMES} times as many"
        )


def measure_columns(table: Any, names: Iterable[str], place: str) -> None:
    """Measure those columns of an HDMF table that it has, and their indexes, which must end where the values do."""
    for name in ("id", *names):
        column = table.id if name == "id" else table[name] if name in table.colnames else None
        if column is None:
            continue
        levels = [column]  # an index of an index of values
        while hasattr(levels[-1], "target"):
            levels.append(levels[-1].target)
        for level in levels:
            measure(level.data, place)
        for index, target in pairwise(levels):
            ends = np.asarray(index.data[:], np.int64)
            if ends.size and (ends[-1] != len(target.data) or (np.diff(ends) < 0).any()):
                raise ReadError(
                    f"{place}: {index.name} ends at {ends[-1]}, expected it to ascend to {len(target.data)}, the "
                    f"number of {target.name}"
                )


class Hdf5Frames:
    """A dataset, frames along its first axis, read in whole chunks as the file holds them.

    Parameters
    ----------
    dataset : h5py.Dataset
        Its file may be closed afterwards.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        In this machine's byte order.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._path, self._name = dataset.file.filename, dataset.name
        self.shape, self.dtype = tuple(dataset.shape), dataset.dtype.newbyteorder("=")
        self._chunk_frames = dataset.chunks[0] if dataset.chunks else 1
        self._kept: tuple[int, NDArray[Any]] = (0, np.empty((0, *self.shape[1:]), self.dtype))

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        begin, end, step = frames.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"every {step}th frame of a dataset, expected a slice without a step")
        found = np.empty((max(end - begin, 0), *self.shape[1:]), self.dtype)
        if not found.size:
            return found
        kept_from, kept = self._kept
        n_kept = 0
        if kept_from <= begin < kept_from + len(kept):
            part = kept[begin - kept_from : end - kept_from]
            n_kept = len(part)
            found[:n_kept] = part
        if begin + n_kept < end:
            self._read(found[n_kept:], begin + n_kept)
        return found

    def _read(self, found: NDArray[Any], begin: int) -> None:
        import h5py  # noqa: PLC0415 - optional, and slow to import

        end, n = begin + len(found), self._chunk_frames
        whole_end = end // n * n
        try:
            with h5py.File(self._path, "r") as file:
                dataset = file[self._name]
                if n == 1 or whole_end == end or n * found[0].nbytes > _KEPT_BYTES:
                    dataset.read_direct(found, np.s_[begin:end])
                    return
                if begin < whole_end:
                    dataset.read_direct(found[: whole_end - begin], np.s_[begin:whole_end])
                kept = dataset[whole_end : whole_end + n].astype(self.dtype, copy=False)
        except (OSError, KeyError, ValueError) as error:
            raise ReadError(f"{self._path}: frames {begin} to {end} of {self._name} cannot be read: {error}") from error
        self._kept = (whole_end, kept)
        first = max(begin, whole_end)
        found[first - begin :] = kept[first - whole_end : end - whole_end]


class Hdf5Images:
    """Images of one shape, each a dataset of its own, as frames."""

    def __init__(self, datasets: Sequence[h5py.Dataset]) -> None:
        self._images = [(dataset.file.filename, dataset.name) for dataset in datasets]
        self.shape, self.dtype = (len(datasets), *datasets[0].shape), datasets[0].dtype.newbyteorder("=")

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        import h5py  # noqa: PLC0415 - optional, and slow to import

        wanted = self._images[frames]
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, (path, name) in enumerate(wanted):
            with h5py.File(path, "r") as file:
                found[place] = file[name][()]
        return found


class IndexedFrames:
    """Frames of another source in the order in which they were shown."""

    def __init__(self, source: NDArray[Any] | Slices, shown: NDArray[np.int64]) -> None:
        self._source, self._shown = source, shown
        self.shape, self.dtype = (len(shown), *source.shape[1:]), source.dtype

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        shown = self._shown[frames]
        if isinstance(self._source, np.ndarray):
            return self._source[shown]
        wanted, where = np.unique(shown, return_inverse=True)
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
        parts = [np.asarray(self._source[int(run[0]) : int(run[-1]) + 1]) for run in runs if run.size]
        return np.concatenate(parts)[where] if parts else np.empty((0, *self.shape[1:]), self.dtype)


class ImageFrames:
    """Frames as ``(n_frames, n_y, n_x)``, from stored ones with other axes, colours or units.

    Parameters
    ----------
    source : array or Slices (n_frames, n_y, n_x) or (n_frames, n_y, n_x, n_colours)
    transposed : bool
        The second axis of `source` is x.
    channel : int, optional
        Which colour to take; only with a fourth axis.
    scale : (float, float)
        Factor and offset from stored to actual values; (1, 0) leaves their type as it is, else float32.
    """

    def __init__(
        self,
        source: NDArray[Any] | Slices,
        *,
        transposed: bool = False,
        channel: int | None = None,
        scale: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        self._source, self._transposed, self._channel, self._scale = source, transposed, channel, scale
        n_frames, first, second = source.shape[:3]
        self.shape = (n_frames, second, first) if transposed else (n_frames, first, second)
        self.dtype = source.dtype if scale == (1, 0) else np.dtype(np.float32)

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        values = np.asarray(self._source[frames])
        if self._channel is not None:
            values = values[..., self._channel]
        if self._transposed:
            values = values.transpose(0, 2, 1)
        factor, offset = self._scale
        return values if self._scale == (1, 0) else (values * factor + offset).astype(np.float32)
