"""What rows refer to in a store, copied to where the rows of another database look for it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.errors import DatabaseError, PipelineError
from dj_neuron.pipeline import SCHEMA_MODULES
from dj_neuron.pipeline.store import folder_of, mark_of_copy, place_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from dj_neuron.database import Database

_BLOCK_BYTES = 1 << 20


class CopiedArrays:
    """Copies arrays; used in a ``with`` statement, it removes them again if that does not end well.

    A mark in the store names the target, until :meth:`forget` is called. Where an earlier copy into the same target was
    killed, its mark is still there, and its arrays are removed first. The target must have no rows, and nobody else may
    bring any, or their arrays, meanwhile.

    Attributes
    ----------
    n_copied, n_bytes : int
        Arrays copied until now, and their size.
    """

    def __init__(self, source: Database, target: Database) -> None:
        self._from, self._to = _Store(source), _Store(target)
        self._name = f"a copy into the {target.description} is under way\n".encode()
        self._mark = mark_of_copy(target.instance.config, target.store_name, target.prefix)
        self.n_copied = self.n_bytes = 0

    def __enter__(self) -> Self:
        backend = self._to.backend
        if backend.exists(self._mark) and backend.get_buffer(self._mark) == self._name:
            self._remove()
        elif any(self._to.holds(folder) for folder in self._to.folders.values()):
            raise PipelineError(
                f"the store in {self._to.place} holds arrays of the prefix {self._to.prefix!r} already: "
                "choose another data folder or another prefix for the copy"
            )
        backend.put_buffer(self._name, self._mark)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._remove()

    def forget(self) -> None:
        """Remove the mark, when rows refer to the arrays."""
        self._to.backend.remove(self._mark)

    def copy(self, row: tuple[Any, ...], places: tuple[int, ...]) -> tuple[Any, ...]:
        """Copy the arrays of a row; give the row that refers to the copies."""
        if not places:
            return row
        moved = list(row)
        for place in places:
            if row[place] is not None:
                moved[place] = {**row[place], "path": self._copied(row[place])}
        return tuple(moved)

    def _copied(self, reference: dict[str, Any]) -> str:
        path = reference["path"]
        place_of(self._from.backend, path)  # refuses what leads out of the store
        moved = self._moved(path)
        if not self._to.backend.exists(moved):  # else it is of this copy: movies of the same frames are one object
            sha256, n_bytes = self._stream(path, moved)
            if reference.get("sha256", sha256) != sha256:
                raise DatabaseError(f"{path} in the store in {self._from.place} is damaged: its checksum differs")
            self.n_copied += 1
            self.n_bytes += n_bytes
        return moved

    def _moved(self, path: str) -> str:
        for name, folder in self._from.folders.items():
            if path.startswith(f"{folder}/"):
                return self._to.folders[name] + path[len(folder) :]
        raise DatabaseError(f"{path} is not where arrays of the prefix {self._from.prefix!r} belong")

    def _stream(self, path: str, moved: str) -> tuple[str, int]:
        content, n_bytes = hashlib.sha256(), 0
        try:
            with self._from.backend.open(path, "rb") as there, self._to.backend.open(moved, "wb") as here:
                while block := there.read(_BLOCK_BYTES):
                    content.update(block)
                    n_bytes += len(block)
                    here.write(block)
        except (FileNotFoundError, dj.errors.MissingExternalFile) as error:
            raise DatabaseError(f"{path} is missing from the store in {self._from.place}") from error
        if self._sha256(moved) != content.hexdigest():
            raise DatabaseError(f"{moved} does not come back from the store in {self._to.place} as it was written")
        return content.hexdigest(), n_bytes

    def _sha256(self, path: str) -> str:
        content = hashlib.sha256()
        with self._to.backend.open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                content.update(block)
        return content.hexdigest()

    def _remove(self) -> None:
        for folder in self._to.folders.values():
            self._to.backend.remove_folder(folder)
        if self._to.backend.exists(self._mark):
            self._to.backend.remove(self._mark)


class _Store:
    """The part of a store where the arrays of one prefix are."""

    def __init__(self, database: Database) -> None:
        config = database.instance.config
        self.backend = dj.hash_registry.get_store_backend(database.store_name, config=config)
        self.prefix = database.prefix
        self.place = config.get_store_spec(database.store_name)["location"]
        self.folders = {
            name: folder_of(config, database.store_name, f"{database.prefix}_{name}") for name in SCHEMA_MODULES
        }

    def holds(self, folder: str) -> bool:
        """Whether anything is in a folder of the store."""
        return self.backend.isdir(folder) and bool(self.backend.fs.find(self.backend._full_path(folder)))
