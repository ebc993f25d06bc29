"""What the store holds beside what the tables say: objects without rows, rows without objects, and damaged ones."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import DatabaseError, StoreError
from dj_neuron.pipeline import SCHEMA_MODULES, experiment
from dj_neuron.pipeline.locks import alone, copy_lock, ingests_held
from dj_neuron.pipeline.ownership import confirm_ownership, open_prefix
from dj_neuron.pipeline.store import (
    N_THREADS,
    STORE,
    backend_of,
    damaged,
    folder_of,
    listing,
    look_up,
    mark_of_copy,
    read,
    remove,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dj_neuron.pipeline.store import Found

    Metadata = dict[str, Any]

OLD_S = 24 * 3600.0  # younger objects may belong to rows that another process is about to insert

_AT_A_TIME = 1000


@dataclass(frozen=True)
class Orphan:
    """An object that no row refers to."""

    path: str
    n_bytes: int
    age_s: float


@dataclass(frozen=True)
class Fault:
    """A row whose object is missing, damaged or cannot be read, and why, in one sentence."""

    path: str
    n_bytes: int | None
    sentence: str


@dataclass(frozen=True)
class Inventory:
    """The objects of this prefix in the store.

    Attributes
    ----------
    n_objects, n_bytes
        That rows refer to and that are there.
    n_without_checksum : int
        Stored by a version that kept none.
    is_read : bool
        Whether they were read and their checksums compared; else only names and lengths were.
    orphans, faults
        See :class:`Orphan` and :class:`Fault`.
    """

    n_objects: int
    n_bytes: int
    n_without_checksum: int
    is_read: bool
    orphans: tuple[Orphan, ...]
    faults: tuple[Fault, ...]

    @property
    def n_orphan_bytes(self) -> int:
        """What the orphans take."""
        return sum(orphan.n_bytes for orphan in self.orphans)

    def check(self) -> None:
        """Raise StoreError if anything is missing or damaged."""
        if self.faults:
            raise StoreError(
                f"{len(self.faults)} of {self.n_objects + len(self.faults)} objects are missing or damaged: "
                "bring them back from a copy of the store, or delete their rows and compute or ingest anew"
            )


def take_inventory(*, is_read: bool = True, progress: Callable[[str], None] | None = None) -> Inventory:
    """Compare the store with the tables.

    Parameters
    ----------
    is_read : bool
        Read every object and compare its checksum; else compare only names and lengths.
    progress : callable, optional
        Called with a line for every schema that has objects.

    Raises
    ------
    StoreError
        If the store cannot be reached, or belongs to another database.
    """
    confirm_ownership(claim=False)
    found = []
    for module in SCHEMA_MODULES.values():
        one = _of_schema(module.schema, is_read=is_read)
        found.append(one)
        if progress and (one.n_objects or one.orphans):
            progress(f"{module.schema.database}: {one.n_objects} objects, {one.n_bytes} bytes")
    orphans = [orphan for one in found for orphan in one.orphans]
    return Inventory(
        n_objects=sum(one.n_objects for one in found),
        n_bytes=sum(one.n_bytes for one in found),
        n_without_checksum=sum(one.n_without_checksum for one in found),
        is_read=is_read,
        orphans=(*orphans, *_mark_of_killed_copy(orphans)),
        faults=tuple(fault for one in found for fault in one.faults),
    )


def clean(*, older_than_s: float = OLD_S, delete: bool = False) -> list[Orphan]:
    """Find objects that no row refers to and that are old enough, and remove them if `delete` says so.

    Parameters
    ----------
    older_than_s : float
        An object is written before its row: younger ones may be about to get theirs.
    delete : bool
        Otherwise nothing changes.

    Raises
    ------
    StoreError
        If the store cannot be used, or belongs to another database.
    DatabaseError
        If sessions are being inserted for more than a minute, or `delete` is asked for while a copy is under way.

    Notes
    -----
    Movies are named by their content, so an ingest may refer to an old object that was an orphan: while movies are
    cleaned, ingests wait. All other objects have names that nobody uses twice.
    """
    confirm_ownership(claim=False)
    connection, backend = experiment.schema.connection, backend_of(experiment.schema.connection._config, STORE)
    found: list[Orphan] = []
    # what a copy brings has no rows yet
    with alone(connection, copy_lock(open_prefix()), wait=False) if delete else nullcontext():
        for module in SCHEMA_MODULES.values():
            hold = delete and module is experiment
            with ingests_held(connection) if hold else nullcontext():
                own = _of_schema(module.schema, is_read=False, is_held=hold).orphans
                if delete:
                    remove(backend, [orphan.path for orphan in own if orphan.age_s >= older_than_s])
            found += own
        mark = [orphan for orphan in _mark_of_killed_copy(found) if orphan.age_s >= older_than_s]
        if delete:
            remove(backend, [orphan.path for orphan in mark])
    return [orphan for orphan in found if orphan.age_s >= older_than_s] + mark


def _mark_of_killed_copy(orphans: list[Orphan]) -> list[Orphan]:
    """Give what a killed copy left beside its arrays, by which the next one knows them: as young as the youngest."""
    config = experiment.schema.connection._config
    path = mark_of_copy(config, STORE, open_prefix())
    try:
        with alone(experiment.schema.connection, copy_lock(open_prefix()), wait=False):
            found = look_up(backend_of(config, STORE), path)
    except DatabaseError:  # that copy is alive
        return []
    if found is None:
        return []
    return [Orphan(path, found.n_bytes, min([max(time.time() - found.written_s, 0.0), *(o.age_s for o in orphans)]))]


def _of_schema(schema: Any, *, is_read: bool, is_held: bool = False) -> Inventory:
    config = schema.connection._config
    backend = backend_of(config, STORE)
    # objects first: what is written later belongs to rows that are read later
    there = listing(backend, folder_of(config, STORE, schema.database))
    referenced: set[str] = set()
    n_bytes = n_without_checksum = 0
    faults = []
    rows = _references(schema, is_held=is_held)
    with ThreadPoolExecutor(N_THREADS) as threads:
        while batch := list(islice(rows, _AT_A_TIME)):
            for metadata, fault in zip(batch, threads.map(_look(backend, there, is_read), batch), strict=True):
                path = metadata["path"]
                if fault is not None:
                    faults.append(fault)
                elif path not in referenced:
                    n_bytes += there[path].n_bytes if path in there else metadata.get("n_bytes", 0)
                    n_without_checksum += "sha256" not in metadata
                referenced.add(path)
    now_s = time.time()
    orphans = tuple(
        Orphan(path, found.n_bytes, max(now_s - found.written_s, 0.0))
        for path, found in sorted(there.items())
        if path not in referenced
    )
    n_objects = len(referenced - {fault.path for fault in faults})
    return Inventory(n_objects, n_bytes, n_without_checksum, is_read, orphans, tuple(faults))


def _references(schema: Any, *, is_held: bool) -> Iterator[Metadata]:
    """Give what the columns of a schema hold about their objects."""
    # a transaction of MySQL shows rows as they were at its begin, before it waited; unless they are locked
    lock = " FOR UPDATE" if is_held else ""
    for table in _tables(schema):
        for column in table.heading.schema_objects:
            name = schema.connection.adapter.quote_identifier(column)
            rows = schema.connection.query(f"SELECT {name} FROM {table.full_table_name} WHERE {name} IS NOT NULL{lock}")
            for (stored,) in rows.fetchall():
                yield json.loads(stored) if isinstance(stored, str) else stored


def _tables(schema: Any) -> Iterable[Any]:
    for table, _ in schema.declare_list:
        yield table()
        yield from (part() for part in vars(table).values() if isinstance(part, type) and hasattr(part, "master"))


def _look(backend: Any, there: dict[str, Found], is_read: bool) -> Callable[[Metadata], Fault | None]:
    """Give a function that looks at one object."""

    def look(metadata: Metadata) -> Fault | None:
        path = metadata["path"]
        found, n_bytes = there.get(path), metadata.get("n_bytes")
        try:
            if found is None:  # not listed: missing, in a folder that cannot be read, or written just now
                read(backend, metadata, None, 0, 1)
            elif n_bytes not in {None, found.n_bytes}:
                raise damaged(metadata, f"it has {found.n_bytes} bytes, expected {n_bytes}")
            if is_read:
                verify(backend, metadata)
        except StoreError as error:
            return Fault(path, n_bytes, str(error))
        return None

    return look
