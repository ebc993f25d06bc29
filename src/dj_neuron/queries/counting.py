"""How many rows a table has: counted, or as the server estimates where counting would take too long for a page."""

from __future__ import annotations

from typing import Any

COUNTED_UP_TO = 100_000
_ESTIMATES = {
    "mysql": "SELECT table_rows FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
    "postgresql": "SELECT reltuples::bigint FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace "
    "WHERE space.nspname = %s AND relname = %s",
}


def n_rows(table: Any) -> int:
    """Count the rows of a table; DataJoint's own ``len`` would look for distinct keys, which all are."""
    return int(table.connection.query(f"SELECT COUNT(*) FROM {table.full_table_name}").fetchone()[0])


def about_n_rows(table: Any) -> int:
    """Count the rows of a small table, and give the server's estimate for one of more than `COUNTED_UP_TO` rows.

    Notes
    -----
    The estimate is as old as the server's statistics of the table, and on InnoDB some percent off.
    """
    connection = table.connection
    found = connection.query(_ESTIMATES[connection.adapter.backend], args=(table.database, table.table_name)).fetchone()
    estimate = int(found[0] or 0) if found else 0
    return estimate if estimate > COUNTED_UP_TO else n_rows(table)
