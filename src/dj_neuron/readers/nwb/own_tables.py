"""What dj-neuron itself writes into NWB files, where NWB has no place for it: two tables in processing/dj_neuron."""

from __future__ import annotations

import datetime
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import Source
from dj_neuron.errors import ReadError
from dj_neuron.readers.hdf5_frames import measure_columns
from dj_neuron.readers.nwb.sidecar import AXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynwb import NWBFile

MODULE = "dj_neuron"
SESSION_TABLE = "dj_neuron_session"
STIMULATIONS_TABLE = "dj_neuron_stimulations"

_SIZES = ("block_width_px", "block_height_px", "screen_width_px", "screen_height_px")
_COLUMNS = {"block_width_px": "block_size_x_px", "block_height_px": "block_size_y_px"}  # where names differ


def said_of_session(file: NWBFile, place: str) -> dict[str, Any]:
    """Give what the file's own table says about the session, in the words of ``session.toml``, and its ``source``."""
    rows = _rows(file, SESSION_TABLE, place)
    return _session(rows[0], place) if rows else {}


def said_of_stimulations(file: NWBFile, place: str) -> dict[str, dict[str, Any]]:
    """Give what the file's own table says about each stimulation, by the name of its series."""
    return dict(_stimulation(row, place) for row in _rows(file, STIMULATIONS_TABLE, place))


@contextmanager
def _as_written(place: str, table: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ReadError(f"{place}: table {table} cannot be read: {error}, expected it as dj-neuron wrote it") from error


def _session(said: dict[str, Any], place: str) -> dict[str, Any]:
    with _as_written(place, SESSION_TABLE):
        return {
            "subject_name": str(said["subject_name"]),
            "session_date": datetime.date.fromisoformat(str(said["session_date"])),
            "sample_number": int(said["sample_number"]),
            **{name: str(said.get(name, "")) for name in ("species", "subject_description", "note")},
            "source": Source(str(said["source_file"]), str(said["source_sha256"]), str(said["reader"])),
        }


def _stimulation(row: dict[str, Any], place: str) -> tuple[str, dict[str, Any]]:
    with _as_written(place, STIMULATIONS_TABLE):
        said = {
            "stimulation_number": int(row["stimulation_number"]),
            "pixel_size_um": float(row["pixel_size_um"]),
            **{name: int(row[_COLUMNS.get(name, name)]) for name in _SIZES},
            "movie_hash": str(row["movie_hash"]),
            "clock_offset_s": float(row.get("clock_offset_s", 0)),
            "axes": AXES[0],
            "black": -1.0,
            "white": 1.0,
        }
        return str(row["series_name"]), said | _timing(row)


def _timing(row: dict[str, Any]) -> dict[str, Any]:
    rate_hz = float(row["frame_rate_hz"])
    if not math.isnan(rate_hz):
        return {"frame_rate_hz": rate_hz, "onset_s": float(row["onset_s"])}
    starts_s, ends_s = (np.asarray(row[name], np.float64) for name in ("frame_starts_s", "frame_ends_s"))
    before = np.flatnonzero(ends_s[:-1] < starts_s[1:])
    gaps_s = np.column_stack([ends_s[before], starts_s[before + 1]]) if before.size else None
    return {"frame_edges_s": np.append(starts_s, ends_s[-1]), "gaps_s": gaps_s}


def _rows(file: NWBFile, name: str, place: str) -> list[dict[str, Any]]:
    module = file.processing.get(MODULE)
    if module is None or name not in module.data_interfaces:
        return []
    table = module[name]
    measure_columns(table, table.colnames, place)
    with _as_written(place, name):
        return [{column: table[column][row] for column in table.colnames} for row in range(len(table))]
