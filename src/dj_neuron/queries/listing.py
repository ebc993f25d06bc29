"""What the pipeline consists of: tables, their first rows, how they refer to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from dj_neuron import pipeline
from dj_neuron._datajoint import dj
from dj_neuron.pipeline import experiment
from dj_neuron.queries.counting import about_n_rows, n_rows

Tier = Literal["Lookup", "Manual", "Imported", "Computed", "Part"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = dict[str, Any]


@dataclass(frozen=True)
class TableInfo:
    """One table of the pipeline, as a diagram or a listing needs it."""

    name: str
    tier: Tier
    schema: str
    n_rows: int
    comment: str


def tables(*, is_counted: bool = True) -> list[TableInfo]:
    """List the tables of the pipeline, parents before children; if not counted, large ones by the server's estimate."""
    count = n_rows if is_counted else about_n_rows
    return [
        TableInfo(
            name=table.__name__,
            tier=next(tier for tier in get_args(Tier) if issubclass(table, getattr(dj, tier))),
            schema=schema,
            n_rows=count(table()),
            comment=table().heading.table_status["comment"],
        )
        for schema, table in table_classes()
    ]


def preview(table_name: str, limit: int) -> tuple[list[str], list[Row]]:
    """Give the columns of a table and its first rows; arrays and objects stay unread."""
    table = next(table for _, table in table_classes() if table.__name__ == table_name)()
    heading = table.heading
    unread = {name: f"<{heading[name].codec.name}>" for name in heading.names if heading[name].codec}
    given = {f"{name}_given": f"{name} IS NOT NULL" for name in unread}
    plain = [name for name in heading.names if name not in unread]
    rows = table.proj(*plain, **given).to_dicts(order_by="KEY", limit=limit)

    def shown(row: Row, name: str) -> Any:
        if name not in unread:
            return row[name]
        return unread[name] if row[f"{name}_given"] else None

    return heading.names, [{name: shown(row, name) for name in heading.names} for row in rows]


def foreign_keys() -> list[tuple[str, str, bool]]:
    """Give parent, child and whether the reference is part of the child's key, for all tables."""
    names = {table().full_table_name: table.__name__ for _, table in table_classes()}
    dependencies = experiment.schema.connection.dependencies
    dependencies.load()
    return [
        (names[parent], names[child], properties["primary"])
        for parent, child, properties in dependencies.edges(data=True)
        if parent in names and child in names
    ]


def load_headings() -> None:
    """Load what DataJoint otherwise loads at first use, where threads would come upon it half loaded."""
    for _, table in table_classes():
        table().heading.names  # noqa: B018


def table_classes() -> Iterator[tuple[str, Any]]:
    """Give schema name and class of every table, parents before children."""
    for table in pipeline.table_classes():
        yield table.database, table
