"""One row per neuron, stimulation and parameter rows, as a table that any program reads."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dj_neuron import __version__, queries
from dj_neuron.errors import ExportError
from dj_neuron.export.existing import refuse_existing
from dj_neuron.whole import whole_file

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = (".csv", ".parquet")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def dictionary_path(path: Path) -> Path:
    """Where the data dictionary of an exported table is written: beside it."""
    return path.with_name(path.name + ".dictionary.json")


def export_neurons(path: Path, restriction: Any = True, *, force: bool = False) -> int:
    """Write all measures of all neurons, and beside them what every column means and in which unit.

    Parameters
    ----------
    path : Path
        ``.csv`` (UTF-8, an empty field is what is not known, an apostrophe stands before texts that spreadsheets
        would take for formulas) or ``.parquet``, which needs pyarrow and holds the unit and meaning of every column
        too.
    restriction
        Anything DataJoint takes; see :func:`dj_neuron.queries.neuron_table`.
    force : bool
        Replace files that are there, if dj-neuron wrote them; a ``.csv`` is told by the dictionary beside it.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ExportError
        If the format is neither, or a file is there; nothing is written then.
    """
    if path.suffix not in _FORMATS:
        raise ExportError(f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(_FORMATS)}")
    write = _as_parquet if path.suffix == ".parquet" else _as_csv
    refuse_existing(path, dictionary_path(path), force=force)
    columns = queries.neuron_columns()
    rows = queries.neuron_table(restriction)
    with whole_file(path) as table:
        write(table, columns, rows)
        with whole_file(dictionary_path(path)) as dictionary:  # is there first: no table is without it
            dictionary.write_text(json.dumps([asdict(column) for column in columns], indent=1), encoding="utf-8")
    return len(rows)


def _as_csv(path: Path, columns: list[queries.NeuronColumn], rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in columns])
        writer.writeheader()
        writer.writerows({name: _defused(value) for name, value in row.items()} for row in rows)


def _defused(value: Any) -> Any:
    """Put an apostrophe before texts that a spreadsheet would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _as_parquet(path: Path, columns: list[queries.NeuronColumn], rows: list[dict[str, Any]]) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - not needed for anything else
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            "writing .parquet needs pyarrow, expected it installed (pip install 'dj-neuron[tables]'), or .csv"
        ) from error
    types = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bool": pa.bool_(), "date": pa.date32()}
    schema = pa.schema(
        pa.field(
            column.name,
            types[column.type],
            metadata={"unit": column.unit, "meaning": column.meaning, "table": column.table},
        )
        for column in columns
    )
    pq.write_table(pa.Table.from_pylist(rows, schema.with_metadata({"written_by": f"dj-neuron {__version__}"})), path)
