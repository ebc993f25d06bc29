"""How many rows a table has: counted, or as the server estimates where counting would take too long for a page."""

from __future__ import annotations

from typing import Any

from dj_neuron._datajoint import dj
from dj_neuron.pipeline import experiment, table_classes

COUNTED_UP_TO = 100_000
_ESTIMATES = {
    "mysql": "SELECT table_rows FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
    "postgresql": "SELECT reltuples::bigint FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace "
    "WHERE space.nspname = %s AND relname = %s",
}


def progress() -> dict[str, dict[str, int]]:
    """Give done and total of every computed table, in the order in which they follow from each other."""
    computed = [table() for table in table_classes() if issubclass(table, dj.Computed)]
    # DataJoint's own progress() counts distinct texts of joined rows, which takes a second at 10,000 keys
    return {type(table).__name__: {"done": n_rows(table), "total": n_rows(table.key_source)} for table in computed}


def n_rows(query: Any) -> int:
    """Count the rows of a table, or of a query that gives no key twice; DataJoint's ``len`` looks for distinct ones."""
    keys = query.proj().make_sql()
    return int(query.connection.query(f"SELECT COUNT(*) FROM ({keys}) AS counted").fetchone()[0])


def about_n_rows(table: Any) -> int:
    """Count the rows of a small table, and give the server's estimate for one of more than `COUNTED_UP_TO` rows.

    Notes
    -----
    The estimate is as old as the server's statistics of the table, and on InnoDB some percent off.
    """
    estimate = _estimate(table)
    return estimate if estimate > COUNTED_UP_TO else n_rows(table)


def is_large() -> bool:
    """Whether there are more spike trains than can be counted for every page."""
    return _estimate(experiment.SpikeTrain()) > COUNTED_UP_TO


def _estimate(table: Any) -> int:
    connection = table.connection
    found = connection.query(_ESTIMATES[connection.adapter.backend], args=(table.database, table.table_name)).fetchone()
    return int(found[0] or 0) if found else 0
