"""A DataJoint codec for movies: content-addressed in a store, one bit a block for two levels, read lazily."""

from __future__ import annotations

import hashlib
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts import Movie
from dj_neuron.pipeline.store import backend_of, folder_of, in_words, is_there, read, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

IN_MEMORY_BYTES = 1 << 28  # a movie up to this size is read at once: 256 MiB
_CHUNK_BYTES = 1 << 24  # frames with a checksum of their own: 16 MiB


class StoredFrames:
    """The data of a movie in a store: slices along time are read, and verified, when they are asked for."""

    def __init__(self, metadata: dict[str, Any], backend: Any) -> None:
        self.shape, self.dtype = tuple(metadata["data_shape"]), np.dtype(metadata["dtype"])
        self._metadata, self._backend = metadata, backend

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        begin, end, step = frames.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"every {step}th frame of a stored movie, expected a slice without a step")
        n_in_chunk = self._metadata["chunk_frames"]
        first, last = begin // n_in_chunk, -(-end // n_in_chunk)
        start = first * n_in_chunk
        found = np.empty((max(min(last * n_in_chunk, self.shape[0]) - start, 0), *self.shape[1:]), self.dtype)
        if found.size:
            self._read(found, first, last)
        return found[begin - start : end - start]

    def _read(self, found: NDArray[Any], first: int, last: int) -> None:
        n_in_chunk, header_bytes = self._metadata["chunk_frames"], self._metadata["header_bytes"]
        frame_bytes = found[0].nbytes
        for number in range(first, last):
            chunk = found[(number - first) * n_in_chunk : (number + 1 - first) * n_in_chunk]
            start = header_bytes + number * n_in_chunk * frame_bytes
            sha256 = self._metadata["chunk_sha256"][number]
            content = read(self._backend, self._metadata, sha256, start, start + chunk.nbytes)
            chunk[...] = np.frombuffer(content, self.dtype).reshape(chunk.shape)


class StoredMovie:
    """A movie in a store; :meth:`load` reads it and verifies its checksums."""

    __slots__ = ("_backend", "metadata")

    def __init__(self, metadata: dict[str, Any], backend: Any) -> None:
        self.metadata = metadata
        self._backend = backend

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(n_frames, n_y, n_x)``, known without reading the movie."""
        n_frames, n_y, n_x = self.metadata["shape"]
        return n_frames, n_y, n_x

    def load(self, *, lazy: bool = False) -> Movie:
        """Read the movie from its store: at once if it is small and not `lazy`, else in slices as they are needed.

        Raises
        ------
        StoreError
            If its object is missing, damaged or cannot be read; of a large movie, when the slice is read.
        """
        levels, frames = self.metadata["levels"], StoredFrames(self.metadata, self._backend)
        at_once = not lazy and self.metadata["n_bytes"] <= IN_MEMORY_BYTES
        return Movie(
            shape=self.shape,
            data=frames[:] if at_once else frames,
            levels=None if levels is None else tuple(levels),
            block_size_px=tuple(self.metadata["block_size_px"]),
            screen_size_px=tuple(self.metadata["screen_size_px"]),
        )

    def __repr__(self) -> str:
        n_frames, n_y, n_x = self.shape
        return f"StoredMovie({n_frames} frames of {n_y} x {n_x} blocks, {self.metadata['n_bytes']} bytes)"


class MovieCodec(dj.SchemaCodec):
    """``<movie@store>``: takes a :class:`~dj_neuron.contracts.Movie`, gives a :class:`StoredMovie`.

    The object in the store is a ``.npy`` file of :attr:`Movie.data` named by its content, in the part of the store
    where DataJoint's garbage collector looks for what columns of a SchemaCodec refer to. The column holds its
    path, checksums (one for each 16 MiB of frames, so that slices are verified too) and what else makes the movie.
    """

    name = "movie"

    def validate(self, value: Any) -> None:
        """Refuse what is not a Movie."""
        if not isinstance(value, Movie):
            raise TypeError(f"<movie> takes a Movie, got {type(value).__name__}")

    def encode(
        self,
        value: Movie,
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        store_name: str | None = None,
    ) -> dict[str, Any]:
        """Write the movie to the store unless its content is there already."""
        content, chunk_sha256, n_bytes = hashlib.sha256(), [], 0
        for chunk in _npy_chunks(value):
            content.update(chunk)
            chunk_sha256.append(hashlib.sha256(chunk).hexdigest())
            n_bytes += chunk.nbytes
        sha256 = content.hexdigest()
        config = self._codec_config(key, context)
        schema, table, field, row_key = self._extract_context(key, context)
        store = str(store_name)
        metadata = {
            "path": f"{folder_of(config, store, schema, table, field)}/{sha256}.npy",
            "store": store_name,
            "sha256": sha256,
            "n_bytes": n_bytes,
            "header_bytes": len(_npy_header(value)),
            "chunk_frames": _chunk_frames(value),
            "chunk_sha256": chunk_sha256[1:],  # of the frames, without the header
            "dtype": value.data.dtype.str,
            "data_shape": list(value.data.shape),
            "shape": list(value.shape),
            "levels": None if value.levels is None else list(value.levels),
            "block_size_px": list(value.block_size_px),
            "screen_size_px": list(value.screen_size_px),
            **row_key,
        }
        backend = backend_of(config, store)
        with in_words(metadata, reading=False):
            if not is_there(backend, metadata["path"], n_bytes):
                write(backend, metadata["path"], _npy_chunks(value))
        return metadata

    def decode(
        self, stored: dict[str, Any], *, key: dict[str, Any] | None = None, context: dict[str, Any] | None = None
    ) -> StoredMovie:
        """Give a lazy reference."""
        return StoredMovie(stored, backend_of(self._codec_config(key, context), stored["store"]))


def _npy_header(movie: Movie) -> bytes:
    buffer = io.BytesIO()
    head = {"descr": movie.data.dtype.str, "fortran_order": False, "shape": tuple(movie.data.shape)}
    np.lib.format.write_array_header_1_0(buffer, head)
    return buffer.getvalue()


def _chunk_frames(movie: Movie) -> int:
    return max(1, _CHUNK_BYTES // (math.prod(movie.data.shape[1:]) * movie.data.dtype.itemsize))


def _npy_chunks(movie: Movie) -> Iterator[memoryview]:
    """Give the content of the movie's ``.npy`` file: the header, then some frames at a time."""
    yield memoryview(_npy_header(movie))
    step = _chunk_frames(movie)
    for begin in range(0, movie.n_frames, step):
        chunk = np.ascontiguousarray(movie.data[begin : begin + step])
        yield chunk.reshape(-1).data.cast("B")
