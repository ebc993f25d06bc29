"""Columns of NWB tables, and arrays that are written a slice at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import VectorData, VectorIndex
from hdmf.data_utils import GenericDataChunkIterator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dj_neuron.contracts.movie import Slices

_CHUNK_BYTES = 1 << 20  # what a reader of the file decompresses at once
_BUFFER_BYTES = 1 << 26  # what the writer holds in memory
_WORTH_COMPRESSING = 1 << 12


def column(name: str, description: str, data: Any) -> Any:
    """Make a column of numbers (n_rows, ...) or texts."""
    if not (isinstance(data, list) and isinstance(data[0], str)):
        data = np.asarray(data)
        if data.nbytes > _WORTH_COMPRESSING:
            data = H5DataIO(data, compression="gzip", shuffle=True)
    return VectorData(name=name, description=description, data=data)


def ragged(name: str, description: str, rows: Sequence[Any], dtype: Any = np.float64) -> list[Any]:
    """Make a column of one array a row, each of its own length, and its index."""
    values = column(name, description, np.concatenate([np.asarray(row, dtype) for row in rows]))
    ends = np.cumsum([len(row) for row in rows], dtype=np.uint64)
    return [values, VectorIndex(name=f"{name}_index", data=ends, target=values)]


def streamed(source: Slices) -> Any:
    """Give compressed data that are read from `source` while they are written."""
    return H5DataIO(_SliceIterator(source), compression="gzip", shuffle=True)


class _SliceIterator(GenericDataChunkIterator):  # type: ignore[misc]
    """Slices along the first axis."""

    def __init__(self, source: Slices) -> None:
        self._source = source
        n_rows, *rest = source.shape
        row_bytes = int(np.prod(rest)) * source.dtype.itemsize
        n_in_chunk = min(max(_CHUNK_BYTES // row_bytes, 1), n_rows)
        n_in_buffer = min(max(_BUFFER_BYTES // (row_bytes * n_in_chunk), 1) * n_in_chunk, n_rows)
        super().__init__(chunk_shape=(n_in_chunk, *rest), buffer_shape=(n_in_buffer, *rest))

    def _get_data(self, selection: tuple[slice, ...]) -> Any:
        return self._source[selection[0]]

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self._source.shape)

    def _get_dtype(self) -> Any:
        return self._source.dtype
