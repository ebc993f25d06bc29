"""A whole pipeline into another database, of either kind: every row and every array, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dj_neuron import pipeline
from dj_neuron.copying.arrays import CopiedArrays
from dj_neuron.copying.rows import Digest, StoredTable
from dj_neuron.errors import DatabaseError, PipelineError, is_from_the_database, words_of
from dj_neuron.pipeline.locks import alone, copy_lock, ingests_held
from dj_neuron.pipeline.ownership import confirm_ownership

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.database import Database

    Progress = Callable[[str, int, int], None]

__all__ = ["CopyReport", "copy_pipeline"]


@dataclass(frozen=True)
class CopyReport:
    """What one call of :func:`copy_pipeline` carried over."""

    n_rows: int
    n_arrays: int
    n_bytes_of_arrays: int


def copy_pipeline(source: Database, target: Database, progress: Progress | None = None) -> CopyReport:
    """Copy all rows and arrays of a pipeline into an empty one, compare both, and only then commit.

    Parameters
    ----------
    source, target : Database
        Of any kind, each with the prefix of its schemas. The source is read as it is at one moment, and not changed.
    progress : callable, optional
        Called with the name of a table and how many of how many of its rows are copied, batch by batch.

    Raises
    ------
    PipelineError
        If the target holds rows or arrays already.
    DatabaseError
        If anything does not come over as it was, or a server gives up. The target is then as empty as before.

    Notes
    -----
    Jobs and errors of workers are not carried over, nor tables that are not dj-neuron's. The table classes belong to
    the target afterwards: a :class:`~dj_neuron.connection.Pipeline` that was open must be opened again.
    """
    pipeline.activate(source.connection, source.prefix)
    there = [StoredTable.of(table) for table in pipeline.table_classes()]
    pipeline.activate(target.connection, target.prefix)
    tables = list(zip(there, [StoredTable.of(table) for table in pipeline.table_classes()], strict=True))
    confirm_ownership()
    with alone(target.connection, copy_lock(target.prefix), wait=False):
        try:
            # others must not bring rows or arrays until this is complete or undone
            with ingests_held(target.connection):
                _refuse_rows(tables, target)
                with CopiedArrays(source, target) as arrays:
                    n_rows = _copy(tables, arrays, source, target, progress)
            arrays.forget()
        except Exception as error:
            if not (isinstance(error, OSError) or is_from_the_database(error)):
                raise
            raise DatabaseError(f"nothing was copied, for {type(error).__name__} came up: {words_of(error)}") from error
    return CopyReport(n_rows, arrays.n_copied, arrays.n_bytes)


def _refuse_rows(tables: list[tuple[StoredTable, StoredTable]], target: Database) -> None:
    for _, empty in tables:
        if n_rows := empty.n_rows(latest=True):
            raise PipelineError(
                f"the {target.description} has {n_rows} row(s) of {empty.name} under the prefix "
                f"{target.prefix!r}, expected no rows: choose another prefix"
            )


def _copy(
    tables: list[tuple[StoredTable, StoredTable]],
    arrays: CopiedArrays,
    source: Database,
    target: Database,
    progress: Progress | None,
) -> int:
    with source.connection.transaction:
        if source.connection.adapter.backend == "postgresql":  # MySQL's transactions see one moment by themselves
            source.connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        digests = [_copy_table(there, empty, arrays, progress) for there, empty in tables]
        for (there, empty), expected in zip(tables, digests, strict=True):
            found = Digest()
            for batch in empty.batches():
                found.add(batch)
            if found != expected:
                raise DatabaseError(
                    f"nothing was copied: {there.name} has {expected} in the {source.description}, "
                    f"and came over as {found} in the {target.description}"
                )
    return sum(digest.n_rows for digest in digests)


def _copy_table(there: StoredTable, empty: StoredTable, arrays: CopiedArrays, progress: Progress | None) -> Digest:
    digest, n_rows = Digest(), there.n_rows()
    for batch in there.batches():
        moved = [arrays.copy(row, there.array_columns) for row in batch]
        empty.insert(moved)
        digest.add(moved)
        if progress:
            progress(there.name, digest.n_rows, n_rows)
    return digest
