"""A DataJoint codec for arrays: the objects of ``<npy@>``, with a checksum that is verified when they are read."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.errors import StoreError
from dj_neuron.pipeline.store import backend_of, in_words, name_of, read, write

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LONGEST_FOLDER_BYTES = 255  # of file systems
_N_KEPT = 16  # characters, of which each may take 12 bytes


class StoredArray:
    """An array in a store; :meth:`load` reads it and verifies its checksum."""

    __slots__ = ("_backend", "metadata")

    def __init__(self, metadata: dict[str, Any], backend: Any) -> None:
        self.metadata = metadata
        self._backend = backend

    @property
    def shape(self) -> tuple[int, ...]:
        """Known without reading the array."""
        return tuple(self.metadata["shape"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Known without reading the array."""
        dtype: np.dtype[Any] = np.dtype(self.metadata["dtype"])
        return dtype

    def load(self) -> NDArray[Any]:
        """Read the array from its store.

        Raises
        ------
        StoreError
            If its object is missing, damaged or cannot be read; the message names table, key and path.
        """
        # rows of an older version have no checksum: then NumPy finds at least what is cut short
        content = read(self._backend, self.metadata, self.metadata.get("sha256"))
        try:
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise StoreError(f"{name_of(self.metadata)} is damaged: {self.metadata['path']} is no array") from error
        return np.asarray(loaded)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.load(), dtype=dtype)

    def __repr__(self) -> str:
        return f"StoredArray({' x '.join(map(str, self.shape))} of {self.dtype})"


def _within_a_folder_name(column: str, value: Any) -> Any:
    """Give what stands for the value of a key in a path: of a text that is too long its beginning and a checksum."""
    folder = f"{column}={dj.storage.encode_pk_value(value)}"
    if len(folder.encode()) <= _LONGEST_FOLDER_BYTES:
        return value
    return f"{value[:_N_KEPT]}_{hashlib.sha256(value.encode()).hexdigest()[:16]}"


class ArrayCodec(dj.builtin_codecs.NpyCodec):
    """``<array@store>``: takes a NumPy array, gives a :class:`StoredArray`.

    The object is the ``.npy`` file that ``<npy@>`` would write, at the same path, but for texts in keys that make no
    name of a folder. The column also holds its length and sha256, of which DataJoint's own codec keeps neither.
    """

    name = "array"

    def encode(
        self,
        value: NDArray[Any],
        *,
        key: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        store_name: str | None = None,
    ) -> dict[str, Any]:
        """Write the array to the store."""
        config = self._codec_config(key, context)
        *owner, of_row = self._extract_context(key, context)
        in_path = {name: _within_a_folder_name(name, value) for name, value in of_row.items()}
        path, _ = self._build_path(*owner, in_path, ext=".npy", store_name=store_name, config=config)
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        content = buffer.getvalue()
        metadata = {
            "path": path,
            "store": store_name,
            "dtype": str(value.dtype),
            "shape": list(value.shape),
            "n_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        backend = backend_of(config, str(store_name))
        with in_words(metadata, reading=False):
            write(backend, path, [content])
        return metadata

    def decode(
        self, stored: dict[str, Any], *, key: dict[str, Any] | None = None, context: dict[str, Any] | None = None
    ) -> StoredArray:
        """Give a lazy reference."""
        return StoredArray(stored, backend_of(self._codec_config(key, context), stored["store"]))
