"""What workers are at, and what failed: from the job tables that DataJoint keeps beside computed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.jobs import FIRST_TICKET, living
from dj_neuron.pipeline import SCHEMA_MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class ReservedJob:
    """A key that a worker is at.

    Attributes
    ----------
    key : str
        The primary key in words.
    host, pid, user : str, int, str
        The worker's machine, its process there, and its name at the server.
    for_s : float
        s since it was reserved, by the server's clock.
    lives : bool or None
        Whether the worker does; False is taken up by another one. None for workers of other programs.
    """

    key: str
    host: str
    pid: int
    user: str
    for_s: float
    lives: bool | None


@dataclass(frozen=True)
class FailedJob:
    """A key that failed.

    Attributes
    ----------
    key : str
        The primary key in words.
    message : str
        Kind and sentence of the exception.
    traceback : str
        Where it came from; empty if that is not known.
    """

    key: str
    message: str
    traceback: str


@dataclass(frozen=True)
class OpenJobs:
    """The jobs of one computed table.

    Attributes
    ----------
    table : str
        Its name.
    n_pending, n_reserved, n_errors : int
        Keys that wait, keys that a worker is at, and keys that failed.
    reserved : tuple of ReservedJob
        The first of those, the oldest first.
    errors : tuple of FailedJob
        The first of those, the newest first.
    """

    table: str
    n_pending: int
    n_reserved: int
    n_errors: int
    reserved: tuple[ReservedJob, ...]
    errors: tuple[FailedJob, ...]


def open_jobs(limit: int | None = 5) -> list[OpenJobs]:
    """Give what waits, what is reserved and what failed, of tables that have jobs; nothing is created.

    Parameters
    ----------
    limit : int or None
        Reserved keys and failures given per table; None gives all.
    """
    return [_jobs_of(table, full_name, limit) for table, full_name in _job_tables()]


def _job_tables() -> Iterator[tuple[Any, str]]:
    """Give every computed table that has a table of jobs, and the full name of that."""
    for module in SCHEMA_MODULES.values():
        schema = module.schema
        adapter = schema.connection.adapter
        # %% stands for one % in a statement, where the clients look for arguments
        rows = schema.connection.query(adapter.list_tables_sql(schema.database, pattern="~~%%")).fetchall()
        there = {row[0] for row in rows}
        for table, _ in schema.declare_list:
            if issubclass(table, dj.Computed):
                name = f"~~{table.table_name.lstrip('_')}"
                if name in there:
                    yield table, adapter.make_full_table_name(schema.database, name)


def _jobs_of(table: Any, full_name: str, limit: int | None) -> OpenJobs:
    connection, key = table().connection, table().primary_key
    counted = dict(connection.query(f"SELECT status, COUNT(*) FROM {full_name} GROUP BY status").fetchall())

    def first(columns: str, status: str, order: str) -> list[tuple[str, tuple[Any, ...]]]:
        rows = connection.query(
            f"SELECT {', '.join(key)}, {columns} FROM {full_name} WHERE status = '{status}' "
            f"ORDER BY {order}" + ("" if limit is None else f" LIMIT {int(limit)}")
        ).fetchall()
        return [(_in_words(dict(zip(key, row, strict=False))), row[len(key) :]) for row in rows]

    user = connection.adapter.quote_identifier("user")  # a keyword of PostgreSQL
    columns = f"host, pid, {user}, LOCALTIMESTAMP(3), reserved_time, connection_id"
    reserved = first(columns, "reserved", "reserved_time")
    alive = living(connection, {values[-1] for _, values in reserved if values[-1] >= FIRST_TICKET})
    failed = first("error_message, error_stack", "error", "completed_time DESC")
    return OpenJobs(
        table=table.__name__,
        n_pending=counted.get("pending", 0),
        n_reserved=counted.get("reserved", 0),
        n_errors=counted.get("error", 0),
        reserved=tuple(
            ReservedJob(
                words,
                host,
                pid,
                user,
                (now - since).total_seconds(),
                ticket in alive if ticket >= FIRST_TICKET else None,
            )
            for words, (host, pid, user, now, since, ticket) in reserved
        ),
        errors=tuple(FailedJob(words, message, _unpacked(stack)) for words, (message, stack) in failed),
    )


def _unpacked(stack: bytes | None) -> str:
    return "" if stack is None else str(dj.blob.unpack(bytes(stack)))


def _in_words(key: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())
