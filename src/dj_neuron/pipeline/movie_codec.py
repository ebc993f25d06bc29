"""A DataJoint codec for movies: content-addressed in a store, one bit a block for two levels, read lazily."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts import Movie
from dj_neuron.errors import DatabaseError


class StoredMovie:
    """A movie in a store; :meth:`load` reads it and verifies its checksum."""

    __slots__ = ("_backend", "metadata")

    def __init__(self, metadata: dict[str, Any], backend: Any) -> None:
        self.metadata = metadata
        self._backend = backend

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(n_frames, n_y, n_x)``, known without reading the movie."""
        n_frames, n_y, n_x = self.metadata["shape"]
        return n_frames, n_y, n_x

    def load(self) -> Movie:
        """Read the movie from its store.

        Raises
        ------
        DatabaseError
            If its object is missing or damaged.
        """
        path, store = self.metadata["path"], self.metadata["store"]
        try:
            content = self._backend.get_buffer(path)
        except (dj.errors.MissingExternalFile, OSError) as error:
            raise DatabaseError(f"movie {path} is missing from the store {store!r}") from error
        if hashlib.sha256(content).hexdigest() != self.metadata["sha256"]:
            raise DatabaseError(f"movie {path} in the store {store!r} is damaged: its checksum differs")
        levels = self.metadata["levels"]
        return Movie(
            shape=self.shape,
            data=np.load(io.BytesIO(content), allow_pickle=False),
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
    path, checksum and what else makes the movie.
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
        buffer = io.BytesIO()
        np.save(buffer, value.data, allow_pickle=False)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        config = self._codec_config(key, context)
        schema, table, field, _ = self._extract_context(key, context)
        prefix = config.get_store_spec(store_name)["schema_prefix"].strip("/")
        path = "/".join(part for part in (prefix, schema, table, field, f"{sha256}.npy") if part)
        backend = self._get_backend(store_name, config=config)
        if not backend.exists(path):
            try:
                backend.put_buffer(content, path)
            except FileNotFoundError:
                # another process moved the same content into place first
                if not backend.exists(path):
                    raise
        return {
            "path": path,
            "store": store_name,
            "sha256": sha256,
            "n_bytes": len(content),
            "shape": list(value.shape),
            "levels": None if value.levels is None else list(value.levels),
            "block_size_px": list(value.block_size_px),
            "screen_size_px": list(value.screen_size_px),
        }

    def decode(
        self, stored: dict[str, Any], *, key: dict[str, Any] | None = None, context: dict[str, Any] | None = None
    ) -> StoredMovie:
        """Give a lazy reference."""
        return StoredMovie(stored, self._get_backend(stored["store"], config=self._codec_config(key, context)))
