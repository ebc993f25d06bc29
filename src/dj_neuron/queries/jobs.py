"""What workers are at, and what failed: from the job tables that DataJoint keeps beside computed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.pipeline import SCHEMA_MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class JobErrors:
    """The jobs of one computed table.

    Attributes
    ----------
    table : str
        Its name.
    n_reserved, n_errors : int
        Keys that a worker is at, and keys that failed.
    errors : tuple of (str, str)
        The first failed keys in words, and the message of each.
    """

    table: str
    n_reserved: int
    n_errors: int
    errors: tuple[tuple[str, str], ...]


def job_errors(limit: int = 5) -> list[JobErrors]:
    """Give what is reserved and what failed, for tables that were populated through jobs; nothing is created.

    Parameters
    ----------
    limit : int
        Failures given per table.
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


def _jobs_of(table: Any, full_name: str, limit: int) -> JobErrors:
    ask = table().connection.query
    counted = dict(ask(f"SELECT status, COUNT(*) FROM {full_name} GROUP BY status").fetchall())
    key = table().primary_key
    columns = ", ".join((*key, "error_message"))
    failed = ask(
        f"SELECT {columns} FROM {full_name} WHERE status = 'error' ORDER BY completed_time DESC LIMIT {int(limit)}"
    ).fetchall()
    errors = [
        (", ".join(f"{name} {value}" for name, value in zip(key, row[:-1], strict=True)), row[-1]) for row in failed
    ]
    return JobErrors(table.__name__, counted.get("reserved", 0), counted.get("error", 0), tuple(errors))
