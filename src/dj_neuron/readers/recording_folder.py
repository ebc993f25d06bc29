"""A recording as a folder to read and write by hand: ``session.toml`` beside arrays of movies and spikes."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dj_neuron.contracts import Session, Source, SpikeTrain, Stimulation
from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at
from dj_neuron.readers.array_file import (
    NOT_AN_ARRAY,
    ArrayFile,
    is_one_array,
    npy_header,
    npz_arrays,
    npz_headers,
    reason_of,
)
from dj_neuron.readers.folder_toml import SESSION_FILE, check_session_table
from dj_neuron.readers.folder_writer import write_recording_folder
from dj_neuron.readers.movie_record import movie_of
from dj_neuron.readers.named_files import frame_edges_s, inside, load_npy
from dj_neuron.readers.toml_keys import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from dj_neuron.contracts.movie import Slices

__all__ = ["RecordingFolderReader", "write_recording_folder"]

_Value = TypeVar("_Value")

_NEURON = re.compile(r"neuron_0*([1-9]\d{0,8})")
_IN_MEMORY_BYTES = 1 << 28  # a movie's file up to this size is read at once: 256 MiB
_FILE_KEYS = ("movie", "spikes", "frame_times")


class RecordingFolderReader:
    """Reads one recording folder, or every recording folder in a folder."""

    name = "recording_folder"

    def accepts(self, path: Path) -> bool:
        """Tell whether the path is a folder with a ``session.toml``, or holds such folders."""
        return path.is_dir() and bool(_folders(path))

    def raw(self, path: Path) -> Any:
        """The content of ``session.toml``, its file names replaced by the headers of the arrays.

        For a folder of recording folders, a dict of these by folder name.
        """
        if (path / SESSION_FILE).is_file():
            return _with_headers(path)
        return {folder.name: _with_headers(folder) for folder in _folders(path)}

    def read(self, path: Path) -> Iterator[Session]:
        """Yield the sessions in the order of their folders' names.

        Raises
        ------
        ReadError
            Before the first session if a ``session.toml`` is not as expected or two name the same
            session; at a session whose arrays are not as expected.
        """
        folders = _folders(path)
        if not folders:
            raise ReadError(f"{path.name}: holds no {SESSION_FILE}, expected a recording folder or a folder of them")
        tables: dict[Path, dict[str, Any]] = {}
        places: dict[tuple[Any, ...], str] = {}
        for folder in folders:
            tables[folder] = read_toml(folder / SESSION_FILE, _name(folder))
            check_session_table(tables[folder], _name(folder))
            who = tuple(tables[folder][key] for key in ("subject_name", "session_date", "sample_number"))
            if places.setdefault(who, _name(folder)) != _name(folder):
                raise ReadError(
                    f"{_name(folder)}: {who[0]}, {who[1]}, sample {who[2]} is also the session of {places[who]}, "
                    "expected each session once"
                )
        for folder, table in tables.items():
            yield _session(folder, table)


def _session(folder: Path, table: dict[str, Any]) -> Session:
    labels = _by_neuron(table.get("neuron_labels", {}), f"{_name(folder)}: neuron_labels", "label")
    records = table.get("stimulations", [])
    stimulations = tuple(_stimulation(folder, record, labels) for record in records)
    with contract_errors_at(_name(folder)):
        session = Session(
            subject_name=table["subject_name"],
            session_date=table["session_date"],
            sample_number=table["sample_number"],
            stimulations=stimulations,
            source=_source(folder, records),
            remarks=tuple(
                f"stimulation {record['stimulation_number']}: {record['spikes']} holds no array: no neurons"
                for record, stimulation in zip(records, stimulations, strict=True)
                if not stimulation.spike_trains
            ),
            species=table.get("species", ""),
            subject_description=table.get("subject_description", ""),
            note=table.get("note", ""),
        )
    strangers = [neuron_id for neuron_id in labels if neuron_id not in session.neuron_labels]
    if strangers:
        raise ReadError(
            f"{_name(folder)}: neuron_labels name neuron {strangers[0]}, which has no array of spikes, expected one "
            "that has"
        )
    return session


def _stimulation(folder: Path, record: dict[str, Any], labels: dict[int, str]) -> Stimulation:
    number = record["stimulation_number"]
    place = f"{_name(folder)}: stimulation {number}"
    frames = _frames(folder, record["movie"], place)
    with contract_errors_at(f"{place}: {record['movie']}"):
        movie = movie_of(frames, record)
    if "frame_times" in record:
        edges_s = frame_edges_s(folder, record, movie.n_frames, place, SESSION_FILE)
        frame_rate_hz, onset_s = 1 / float(np.median(np.diff(edges_s))), edges_s[0]
    else:
        edges_s, frame_rate_hz, onset_s = None, record["frame_rate_hz"], record["onset_s"]
    with contract_errors_at(place, f"stimulation {number}: "):
        return Stimulation(
            stimulation_number=number,
            movie=movie,
            frame_rate_hz=float(frame_rate_hz),
            onset_s=float(onset_s),
            pixel_size_um=float(record["pixel_size_um"]),
            spike_trains=_spike_trains(folder, record["spikes"], labels, place),
            frame_edges_s=edges_s,
            gaps_s=np.array(record["gaps_s"], np.float64) if record.get("gaps_s") else None,
        )


def _spike_trains(folder: Path, reference: str, labels: dict[int, str], place: str) -> tuple[SpikeTrain, ...]:
    path = inside(folder, reference, place)
    try:
        arrays = npz_arrays(path)
    except NOT_AN_ARRAY as error:
        raise ReadError(
            f"{place}: {reference} cannot be read{reason_of(error)}, expected an .npz file with an array of seconds "
            "per neuron"
        ) from error
    place = f"{place}: {reference}"
    trains = []
    for neuron_id, times_s in sorted(_by_neuron(arrays, place, "array").items()):
        if times_s.dtype.kind not in "iuf":
            raise ReadError(f"{place}: neuron {neuron_id} has no array of numbers, expected an array of seconds")
        with contract_errors_at(place):
            trains.append(SpikeTrain(neuron_id, times_s, labels.get(neuron_id, "")))
    return tuple(trains)


def _by_neuron(values: Mapping[str, _Value], place: str, kind: str) -> dict[int, _Value]:
    """Give values by neuron_id, which the names hold that they have in a file."""
    found: dict[int, _Value] = {}
    for name, value in values.items():
        match = _NEURON.fullmatch(name)
        if match is None:
            raise ReadError(f"{place}: {name!r:.60} is no neuron, expected a name like 'neuron_003'")
        neuron_id = int(match[1])
        if neuron_id in found:
            raise ReadError(f"{place}: neuron {neuron_id} is there twice, expected one {kind} per neuron")
        found[neuron_id] = value
    return found


def _frames(folder: Path, reference: str, place: str) -> NDArray[Any] | Slices:
    """Leave a large movie in its file."""
    path = inside(folder, reference, place)
    if path.stat().st_size > _IN_MEMORY_BYTES:
        with suppress(*NOT_AN_ARRAY):  # what cannot be read in slices is read at once, or refused below
            return ArrayFile(path)
    return load_npy(folder, reference, place)


def _source(folder: Path, records: list[dict[str, Any]]) -> Source:
    references = {record[key] for record in records for key in _FILE_KEYS if key in record}
    paths = {reference: inside(folder, reference, _name(folder)) for reference in references}
    paths[SESSION_FILE] = folder / SESSION_FILE
    digest = hashlib.sha256()
    for reference, path in sorted(paths.items()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(f"{content.hexdigest()}  {reference}\n".encode())
    return Source(folder.resolve().name, digest.hexdigest(), RecordingFolderReader.name)


def _folders(path: Path) -> list[Path]:
    if (path / SESSION_FILE).is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(
        child for child in path.iterdir() if not child.name.startswith(".") and (child / SESSION_FILE).is_file()
    )


def _name(folder: Path) -> str:
    return f"{folder.resolve().name}/{SESSION_FILE}"


def _with_headers(folder: Path) -> dict[str, Any]:
    table = read_toml(folder / SESSION_FILE, _name(folder))
    check_session_table(table, _name(folder))
    return table | {
        "stimulations": [
            {
                key: _header(inside(folder, value, _name(folder)), f"{_name(folder)}: {value}")
                if key in _FILE_KEYS
                else value
                for key, value in record.items()
            }
            for record in table.get("stimulations", [])
        ]
    }


def _header(path: Path, place: str) -> Any:
    """Header of an ``.npy`` file, or headers by name of an ``.npz`` file."""
    try:
        return npy_header(path) if is_one_array(path) else npz_headers(path)
    except NOT_AN_ARRAY as error:
        raise ReadError(f"{place} cannot be read{reason_of(error)}, expected an .npy or .npz file") from error
