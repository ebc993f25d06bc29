"""Rows as the database holds them, undecoded, in values that PostgreSQL and MySQL share."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    Row = tuple[Any, ...]

_N_FETCHED = 200
_BATCH_BYTES = 1 << 20  # below what servers take in one statement


@dataclass
class Digest:
    """Number and content of rows, in whatever order they come."""

    n_rows: int = 0
    content: int = 0

    def add(self, rows: list[Row]) -> None:
        """Count these rows, too."""
        for row in rows:
            content = hashlib.sha256()
            for value in row:
                data = value if isinstance(value, bytes) else _in_words(value).encode()
                content.update(b"%d " % len(data))
                content.update(data)
            self.n_rows += 1
            self.content = (self.content + int.from_bytes(content.digest())) % (1 << 256)

    def __str__(self) -> str:
        return f"{self.n_rows} row(s) with the sum {self.content:064x}"


@dataclass(frozen=True)
class StoredTable:
    """A table of one database.

    Attributes
    ----------
    array_columns : tuple of int
        Places in a row of what refers to an object in the store.
    """

    name: str
    connection: Any
    full_name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    array_columns: tuple[int, ...]

    @classmethod
    def of(cls, table: Any) -> Self:
        """Describe a table class as it is bound at the moment."""
        attributes = [table().heading[name] for name in sorted(table().heading.names)]  # their order may differ
        return cls(
            name=table.__name__,
            connection=table().connection,
            full_name=table().full_table_name,
            columns=tuple(attribute.name for attribute in attributes),
            kinds=tuple(_kind(attribute) for attribute in attributes),
            array_columns=tuple(
                place for place, attribute in enumerate(attributes) if isinstance(attribute.codec, dj.SchemaCodec)
            ),
        )

    def n_rows(self, *, latest: bool = False) -> int:
        """Count the rows, also those of after the transaction's begin where `latest` says so."""
        lock = " FOR UPDATE" if latest and self.connection.adapter.backend == "mysql" else ""
        return int(self.connection.query(f"SELECT COUNT(*) FROM {self.full_name}{lock}").fetchone()[0])  # noqa: S608

    def batches(self) -> Iterator[list[Row]]:
        """Give all rows, some at a time, so that no table needs to fit into memory."""
        query = f"SELECT {self._quoted_columns()} FROM {self.full_name}"  # noqa: S608
        fetched = _fetched_mysql if self.connection.adapter.backend == "mysql" else _fetched_postgresql
        for rows in fetched(self.connection, query):
            yield [tuple(map(_neutral, row, self.kinds)) for row in rows]

    def insert(self, rows: list[Row]) -> None:
        """Insert rows, as many in a statement as servers take."""
        statement: list[Any] = []
        n_rows = n_bytes = 0
        for row in rows:
            size = sum(len(value) for value in row if isinstance(value, bytes | str))
            if n_rows and n_bytes + size > _BATCH_BYTES:
                self._insert(statement, n_rows)
                statement, n_rows, n_bytes = [], 0, 0
            statement += (json.dumps(value) if isinstance(value, dict) else value for value in row)
            n_rows, n_bytes = n_rows + 1, n_bytes + size
        if n_rows:
            self._insert(statement, n_rows)

    def _insert(self, values: list[Any], n_rows: int) -> None:
        places = f"({', '.join(['%s'] * len(self.columns))})"
        query = f"INSERT INTO {self.full_name} ({self._quoted_columns()}) VALUES {', '.join([places] * n_rows)}"  # noqa: S608
        self.connection.query(query, args=values)

    def _quoted_columns(self) -> str:
        return ", ".join(map(self.connection.adapter.quote_identifier, self.columns))


def _in_words(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else repr(value)


def _kind(attribute: Any) -> str:
    if attribute.json:
        return "json"
    if attribute.is_blob:
        return "blob"
    return "bool" if "bool" in (attribute.original_type or attribute.type) else "plain"


def _neutral(value: Any, kind: str) -> Any:
    if value is None or kind == "plain":
        return value
    if kind == "json":
        return json.loads(value) if isinstance(value, str | bytes) else value
    return bytes(value) if kind == "blob" else bool(value)


def _fetched_postgresql(connection: Any, query: str) -> Iterator[list[Row]]:
    connection.query(f"DECLARE dj_neuron_copy NO SCROLL CURSOR FOR {query}")
    while rows := connection.query(f"FETCH {_N_FETCHED} FROM dj_neuron_copy").fetchall():
        yield rows
    connection.query("CLOSE dj_neuron_copy")


def _fetched_mysql(connection: Any, query: str) -> Iterator[list[Row]]:
    from pymysql.cursors import SSCursor  # noqa: PLC0415

    # the server waits for us while arrays are copied, by default a minute only
    connection.query("SET SESSION net_write_timeout = 86400")
    with connection._conn.cursor(SSCursor) as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(_N_FETCHED):
            yield rows
