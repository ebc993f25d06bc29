"""One row per neuron, stimulation and parameter rows, as a table that any program reads."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dj_neuron import queries
from dj_neuron.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = (".csv", ".parquet")


def dictionary_path(path: Path) -> Path:
    """Where the data dictionary of an exported table is written: beside it."""
    return path.with_name(path.name + ".dictionary.json")


def export_neurons(path: Path, restriction: Any = True, *, force: bool = False) -> int:
    """Write all measures of all neurons, and beside them what every column means and in which unit.

    Parameters
    ----------
    path : Path
        ``.csv`` (UTF-8, an empty field is what is not known) or ``.parquet``, which needs pyarrow.
    restriction
        Anything DataJoint takes; see :func:`dj_neuron.queries.neuron_table`.
    force : bool
        Replace files that are there.

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
    there = [str(file) for file in (path, dictionary_path(path)) if file.exists()]
    if there and not force:
        raise ExportError(f"{' and '.join(there)} exist(s) already, expected new files, or to be told to replace them")
    columns = queries.neuron_columns()
    rows = queries.neuron_table(restriction)
    content = write([column.name for column in columns], rows)
    meanings = json.dumps([asdict(column) for column in columns], indent=1).encode()
    _replace(dictionary_path(path), meanings)
    _replace(path, content)
    return len(rows)


def _as_csv(names: list[str], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _as_parquet(names: list[str], rows: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - not needed for anything else
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ExportError("writing .parquet needs pyarrow, which is not installed: expected .csv") from error
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in names}), buffer)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
