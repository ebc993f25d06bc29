"""One page of the table of all neurons: sorted, filtered and cut by the database, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.queries.estimates import NEURON_COLUMNS
from dj_neuron.queries.neuron_query import SOURCES
from dj_neuron.queries.neuron_sql import TABLES, NeuronSql, ask, n_rows

if TYPE_CHECKING:
    from dj_neuron.queries.neuron_query import NeuronQuery, Row


def neuron_page(query: NeuronQuery, *, offset: int = 0, limit: int = 50) -> list[Row]:
    """Give rows `offset` to ``offset + limit`` of the neurons of `query`, one per neuron and stimulation.

    Returns
    -------
    list of dict
        With the columns `PAGE_COLUMNS`; None is what is not known.

    Notes
    -----
    The server walks along an index from its beginning: time grows with `offset`, not with the number of neurons.
    Conditions on other tables than that of the index are looked up for each row on the way; if the first
    thousands do not fill the page, or few rows of one table meet their condition, the server joins the tables.
    """
    sql = NeuronSql(query)
    for first in sql.first_known():
        rows = _with_columns(sql, *first, offset, limit)
        if len(rows) == limit:
            return rows
    rows = _with_columns(sql, *sql.known(), offset, limit)
    if len(rows) < limit and sql.may_be_unknown():
        before = len(rows) + offset if rows else n_rows(*sql.known()[:2], at_most=offset)
        rows += _with_columns(sql, *sql.unknown(), max(offset - before, 0), limit - len(rows))
    return rows


def n_neurons(query: NeuronQuery, *, at_most: int | None = None) -> int:
    """Count the neurons of `query`, once per stimulation; `at_most` ends the count there."""
    sql = NeuronSql(query)
    if at_most is not None and any(n_rows(*first, at_most=at_most) == at_most for first in sql.first_matching()):
        return at_most
    return n_rows(*sql.matching(), at_most=at_most)


def _with_columns(sql: NeuronSql, chosen: str, args: list[Any], order: str, offset: int, limit: int) -> list[Row]:
    """Cut chosen keys, and join the other tables to those alone."""
    joins, join_args = sql.joins(TABLES, "train", "LEFT JOIN")
    columns = ", ".join(f"{source}.{name} AS {name}" for name, source in SOURCES.items())
    same = " AND ".join(f"train.{name} = chosen.{name}" for name in NEURON_COLUMNS)
    text = (
        f"SELECT {columns} FROM ({chosen} ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}) AS chosen "
        f"JOIN {TABLES['train']().full_table_name} AS train ON {same} {joins} ORDER BY {order}"
    )
    return [dict(row) for row in ask(text, [*args, *join_args], as_dict=True)]


def neighbours(key: Row) -> tuple[Row | None, Row | None]:
    """Give the keys of the neurons before and after one, over all stimulations; None at the ends."""
    return _next(key, "<", "DESC"), _next(key, ">", "ASC")


def _next(key: Row, sign: str, direction: str) -> Row | None:
    """Give the next key of those that share the longest beginning: a comparison of whole keys MySQL does row by row."""
    order = ", ".join(f"{name} {direction}" for name in NEURON_COLUMNS)
    for length in range(len(NEURON_COLUMNS), 0, -1):
        *same, last = NEURON_COLUMNS[:length]
        where = " AND ".join([*(f"{name} = %s" for name in same), f"{last} {sign} %s"])
        text = f"SELECT {', '.join(NEURON_COLUMNS)} FROM {TABLES['train']().full_table_name} WHERE {where}"
        rows = ask(f"{text} ORDER BY {order} LIMIT 1", [key[name] for name in (*same, last)], as_dict=True)
        if rows:
            return dict(rows[0])
    return None
