"""Which version the tables of a database have, and how older ones become present ones.

The version is a row in a hidden table of the schema ``<prefix>_experiment``. Databases made before there were
versions have no such table; theirs is 0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.errors import DatabaseError
from dj_neuron.pipeline import covariance, experiment, quality, receptive_field
from dj_neuron.pipeline.ownership import give_identity, open_prefix
from dj_neuron.pipeline.strf import StrfEstimation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COLUMN = r"^\s*(\w+)\s*(?:=[^:]*)?:"  # in a table's definition
_HIDDEN_TABLE = "~dj_neuron_version"


class Migration(NamedTuple):
    """How tables of the version before become those of `version`; may be repeated after it was interrupted."""

    version: int
    apply: Callable[[], Iterator[str]]


def recorded(connection: Any, prefix: str) -> int | None:
    """Give the version of the tables under `prefix`, None if there are none."""
    try:
        rows = connection.query(f"SELECT schema_version FROM {_table(connection, prefix)}").fetchall()  # noqa: S608
        return int(rows[0][0]) if rows else 0
    except dj.errors.MissingTableError:
        pass
    try:
        subject = _quoted(connection, prefix, "subject")
        connection.query(f"SELECT 1 FROM {subject} LIMIT 1").fetchall()  # noqa: S608
    except dj.errors.MissingTableError:
        return None
    return 0


def record(connection: Any, prefix: str, version: int) -> None:
    """Write down that the tables under `prefix` have this version."""
    table = _table(connection, prefix)
    columns = "schema_version INTEGER NOT NULL, code_version VARCHAR(64) NOT NULL"
    connection.query(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    with connection.transaction:
        connection.query(f"DELETE FROM {table}")  # noqa: S608
        connection.query(f"INSERT INTO {table} VALUES (%s, %s)", args=(version, __version__))  # noqa: S608


def check(version: int, prefix: str) -> None:
    """Refuse tables that this dj-neuron was not made for.

    Raises
    ------
    DatabaseError
        One sentence that says what to do.
    """
    if version < PRESENT:
        raise DatabaseError(
            f"the tables of {prefix!r} are of version {version}, dj-neuron {__version__} expects {PRESENT}: "
            "make a backup, then run 'dj-neuron db upgrade'"
        )
    if version > PRESENT:
        raise DatabaseError(
            f"the tables of {prefix!r} are of version {version}, dj-neuron {__version__} knows them up to {PRESENT}: "
            "update dj-neuron"
        )


def check_columns(tables: list[Any]) -> None:
    """Refuse tables that lack a column of their definition, as databases from before the first migration may.

    Raises
    ------
    DatabaseError
        If a column is missing; names it.
    """
    for table in tables:
        missing = set(re.findall(_COLUMN, table.definition, re.MULTILINE)) - set(table().heading.names)
        if missing:
            raise DatabaseError(
                f"{table.full_table_name} has no column {min(missing)!r}, and no upgrade adds it: "
                "ingest the recordings into a new prefix"
            )


def _quoted(connection: Any, prefix: str, table: str) -> str:
    adapter = connection.adapter
    return f"{adapter.quote_identifier(f'{prefix}_experiment')}.{adapter.quote_identifier(table)}"


def _table(connection: Any, prefix: str) -> str:
    return _quoted(connection, prefix, _HIDDEN_TABLE)


def _fields_of_any_size() -> Iterator[str]:
    """Add the tests for fields of any size and noise ceilings; what was judged without them is to be computed again."""
    yield from _results_with_columns(
        receptive_field.Significance,
        receptive_field.Significance.Judgement,
        "smoothed_z = null : float64 # largest absolute z of the map smoothed at many scales",
        "p_value_smoothed = null : float64 # chance of such a smoothed peak without an effect",
        "p_value_field = null : float64 # chance that either peak is as rare without an effect: is there a field?",
        "q_value_field = null : float64 # false discovery rate of that over the neurons of the stimulation",
    )
    yield from _results_with_columns(
        quality.Prediction,
        quality.Prediction.Score,
        "n_trials = 0 : int32 # showings of the same images in the session; 0 without repeats",
        "noise_ceiling = null : float64 # correlation that a perfect model would reach with a single trial",
    )


def _results_with_columns(results: Any, part: Any, *columns: str) -> Iterator[str]:
    """Remove all results and then add columns to their part, those that are not there yet."""
    adapter, table = part().connection.adapter, part().full_table_name
    compiled = [dj.declare.compile_attribute(column, False, [], {}, adapter) for column in columns]
    missing = [column for column in compiled if column[0] not in part().heading.names]
    if not missing:
        return
    n_removed = len(results())
    results().delete(prompt=False)  # first, for rows with the columns count as results of this version
    for name, sql, _, comment in missing:
        part().connection.query(f"ALTER TABLE {table} ADD COLUMN {sql}")
        if statement := adapter.column_comment_ddl(table, name, comment):
            part().connection.query(statement)
    part._heading = dj.heading.Heading(table_info=part._heading.table_info)
    yield f"{part.__name__} has new columns; {n_removed} row(s) of {results.__name__} were removed: compute again"


def _checksums_and_indexes() -> Iterator[str]:
    """Store arrays with checksums from now on; index what the table of neurons is sorted by."""
    n_columns = sum(_rename_array_codec(table) for table in _WITH_ARRAYS)
    n_indexes = sum(_add_indexes(table) for table in _WITH_INDEXES)
    yield f"{n_columns} column(s) keep checksums of arrays stored from now on; {n_indexes} index(es) were added"


def _rename_array_codec(table: Any) -> int:
    """Let columns of ``<npy@>`` be of ``<array@>``, which reads what is there; give how many were not."""
    adapter, name = table().connection.adapter, table().full_table_name
    codecs = {column: attribute.codec for column, attribute in table().heading.attributes.items()}
    lines = [line.strip() for line in table.definition.splitlines() if "<array@" in line]
    old = [line for line in lines if (codec := codecs[line.split()[0]]) is None or codec.name != "array"]
    for line in old:
        column, sql, _, comment = dj.declare.compile_attribute(line, False, [], {}, adapter)
        statement = adapter.column_comment_ddl(name, column, comment) or f"ALTER TABLE {name} MODIFY COLUMN {sql}"
        table().connection.query(statement)
    if old:
        table._heading = dj.heading.Heading(table_info=table._heading.table_info)
    return len(old)


def _indexes_of(table: Any) -> Callable[[], Iterator[str]]:
    """Give a step that adds the indexes which a table's definition has by now."""

    def apply() -> Iterator[str]:
        if n_indexes := _add_indexes(table):
            yield f"{n_indexes} index(es) were added"

    return apply


def _add_indexes(table: Any) -> int:
    """Add the indexes of a definition that are not there yet; give how many."""
    connection = table().connection
    there = {row[0] for row in connection.query(_INDEX_NAMES[connection.adapter.backend], args=(table.database,))}
    n_added = 0
    for columns in re.findall(r"^\s*index \(([^)]+)\)", table.definition, re.MULTILINE):
        first = columns.partition(",")[0]
        index = f"{table.table_name.strip('_#')}_by_{first}"
        if index not in there:
            connection.query(f"CREATE INDEX {index} ON {table().full_table_name} ({columns})")
            n_added += 1
    return n_added


def _identity() -> Iterator[str]:
    """Let the store know whose it is from now on."""
    give_identity(experiment.schema.connection, open_prefix())
    yield from ()


_WITH_ARRAYS = (StrfEstimation.Strf, receptive_field.ReceptiveField.Field, covariance.Covariance.Filters)
_WITH_INDEXES = (
    experiment.SpikeTrain,
    StrfEstimation.Strf,
    receptive_field.Significance.Judgement,
    receptive_field.ReceptiveField.Field,
    quality.Prediction.Score,
)
_INDEX_NAMES = {
    "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = %s",
    "mysql": "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = %s",
}

MIGRATIONS = (
    Migration(1, _fields_of_any_size),
    Migration(2, _checksums_and_indexes),
    Migration(3, _indexes_of(receptive_field.Significance.Judgement)),
    Migration(4, _indexes_of(experiment.Neuron)),
    Migration(5, _identity),
)
PRESENT = MIGRATIONS[-1].version
