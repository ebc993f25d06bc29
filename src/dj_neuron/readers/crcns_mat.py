"""Recordings of CRCNS ret-1: one MATLAB 5 file per session, its movies given as a seed."""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import Movie, Session, Source, SpikeTrain, Stimulation
from dj_neuron.contracts.arguments import shown
from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at, safe_mat
from dj_neuron.readers.values import as_count, as_number, as_positive, as_text
from dj_neuron.white_noise import RET1_SEED, ret1_movie, ret1_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STREAM_FILE = "ran1.bin"
"""The packed bits of the stream that all movies begin with, beside the file or in the folder above."""

MAX_BLOCKS = 1 << 28
"""How many block values the movies of a file may have; the data set's longest has 13 million."""

_FILE_NAME = re.compile(r"(\d{8})_R(\d+)\.mat")
_VARIABLES = ("datainfo", "stimulus", "spikes")
_DATE = re.compile(r"[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHITE_NOISE = {"whitenoise", "binarywhitenoise", "whitenoisebinary"}


class CrcnsMatReader:
    """Reads ``YYYYMMDD_Rn.mat`` of CRCNS ret-1, a folder of such files, or the data set with its folder ``Data``."""

    name = "crcns_mat"

    def accepts(self, path: Path) -> bool:
        """Tell whether a file is named like those of ret-1 or holds one of their variables."""
        if path.is_dir():
            return bool(_files(path))
        return bool(_FILE_NAME.fullmatch(path.name) or set(_VARIABLES) & set(safe_mat.variable_names(path)))

    def raw(self, path: Path) -> Any:
        """All variables of a file, of ret-1 or not; for a folder, a dict of these by file name."""
        return {file.name: safe_mat.load(file) for file in _files(path)} if path.is_dir() else safe_mat.load(path)

    def read(self, path: Path) -> Iterator[Session]:
        """Yield the session of a file, or those of a folder by date and number.

        Neurons are numbered from 1 by their row in ``spikes``, stimulations by their column.

        Raises
        ------
        ReadError
            At a session whose file is not as expected, is of the same session as one before it, or contradicts
            :data:`STREAM_FILE`.

        Notes
        -----
        All ``Nframes`` frames are taken as shown, each for ``frame`` seconds. The movies come from
        :func:`~dj_neuron.white_noise.ret1_movie`, which says how far the order of their blocks is confirmed.
        """
        files = _files(path)
        if not files:
            raise ReadError(f"{path.name}: holds no file like 20080516_R1.mat, expected those of CRCNS ret-1")
        seen: dict[str, str] = {}
        for file in files:
            session = _session(file)
            if seen.setdefault(str(session), file.name) != file.name:
                raise ReadError(f"{file.name}: {session} is also the session of {seen[str(session)]}, expected it once")
            yield session


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    for folder in (path, path / "Data"):
        found = [(_FILE_NAME.fullmatch(child.name), child) for child in folder.iterdir()] if folder.is_dir() else []
        if files := [(match[1], int(match[2]), child) for match, child in found if match]:
            return [child for *_, child in sorted(files)]
    return []


@dataclass(frozen=True)
class _Struct:
    """A struct of the file, whose fields are asked for by name."""

    file: str
    name: str
    fields: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        if key not in self.fields:
            raise ReadError(f"{self.file}: {self.name}.{key} is missing, expected a field of that name")
        return self.fields[key]

    def number(self, key: str) -> float:
        return as_number(self[key], f"{self.name}.{key}", self.file)

    def positive(self, key: str) -> float:
        return as_positive(self[key], f"{self.name}.{key}", self.file)

    def count(self, key: str, lowest: int = 1) -> int:
        return as_count(self[key], f"{self.name}.{key}", self.file, lowest)

    def text(self, key: str) -> str:
        return as_text(self[key], f"{self.name}.{key}", self.file)

    def struct(self, key: str) -> _Struct:
        return _struct(self[key], f"{self.name}.{key}", self.file)


def _struct(value: Any, name: str, file: str) -> _Struct:
    if not isinstance(value, dict):
        raise ReadError(f"{file}: {name} is {shown(value)}, expected a struct")
    return _Struct(file, name, value)


def _session(path: Path) -> Session:
    variables = safe_mat.load(path)
    missing = [name for name in _VARIABLES if name not in variables]
    if missing:
        raise ReadError(f"{path.name}: {missing[0]} is missing, expected the variables {', '.join(_VARIABLES)}")
    datainfo = _struct(variables["datainfo"], "datainfo", path.name)
    subject_name, session_date = datainfo.text("animal"), _date(datainfo)
    sample_number, n_neurons = datainfo.count("SmplNo", lowest=0), datainfo.count("Ncell", lowest=0)
    stimuli = _stimuli(variables["stimulus"], path.name)
    cells = _cells(variables["spikes"], n_neurons, len(stimuli), path.name)
    movies = _movies(stimuli, path)
    note, remarks = _note(datainfo, len(stimuli))
    if (match := _FILE_NAME.fullmatch(path.name)) and match[1] != f"{session_date:%Y%m%d}":
        remarks.append(f"datainfo.date is {session_date}, and the file is called {path.name}")
    with path.open("rb") as file:
        source = Source(path.name, hashlib.file_digest(file, "sha256").hexdigest(), CrcnsMatReader.name)
    stimulations = tuple(
        _stimulation(number, stimulus, movie, [row[number - 1] for row in cells])
        for number, (stimulus, movie) in enumerate(zip(stimuli, movies, strict=True), 1)
    )
    return Session(subject_name, session_date, sample_number, stimulations, source, note=note, remarks=tuple(remarks))


def _date(datainfo: _Struct) -> datetime.date:
    value = datainfo["date"]
    try:
        text = value if isinstance(value, str) else str(datainfo.count("date"))
        if _DATE.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except (ReadError, ValueError):
        pass
    raise ReadError(f"{datainfo.file}: datainfo.date is {shown(value)}, expected a date like 20080516")


def _note(datainfo: _Struct, n_recordings: int) -> tuple[str, list[str]]:
    """Say what else the file tells about the session, none of which is needed, and what of it is no date and time."""
    said = [datainfo.fields.get(key, "") for key in ("description", "experimenter")]
    numbers = [f"{number:g}" for number in _numbers(datainfo, "RecNo", n_recordings)]
    rows = _numbers(datainfo, "RecStartTime", n_recordings, 6)
    starts = [start for row in rows if (start := _start(row))]
    said += [f"recordings {', '.join(numbers)}" if numbers else "", f"begun {', '.join(starts)}" if starts else ""]
    remarks = ["datainfo.RecStartTime has rows that are no date and time: left out"] if len(starts) < len(rows) else []
    return "; ".join(text.strip() for text in said if isinstance(text, str) and text.strip()), remarks


def _start(row: Floats) -> str:
    """Year to second as text, to the nearest second; nothing if there is no such time."""
    try:
        year, month, day, hour, minute = (int(number) if number == int(number) else -1 for number in row[:5])
        begun = datetime.datetime(year, month, day, hour, minute, tzinfo=datetime.UTC)
        begun += datetime.timedelta(seconds=round(row[5]))
    except (ValueError, OverflowError):
        return ""
    return begun.replace(tzinfo=None).isoformat(" ") if 0 <= row[5] <= 60 else ""


def _numbers(datainfo: _Struct, key: str, *shape: int) -> Floats:
    """Numbers about each recording, or none."""
    value = datainfo.fields.get(key, np.empty(0))
    numbers = np.asarray(value) if isinstance(value, int | float | np.ndarray) else np.empty(0, object)
    if key in datainfo.fields and (numbers.dtype.kind not in "iuf" or numbers.size != np.prod(shape)):
        raise ReadError(
            f"{datainfo.file}: datainfo.{key} is {shown(value)}, expected {' x '.join(map(str, shape))} numbers "
            f"for {shape[0]} recording(s)"
        )
    return numbers.reshape(shape).astype(np.float64) if numbers.size else np.empty(0)


def _stimuli(value: Any, file: str) -> list[_Struct]:
    """Give the structs of an array or a cell array, row or column, of any length."""
    if isinstance(value, np.ndarray) and not value.size:
        return []
    records = []
    for item in value if isinstance(value, list) else [value]:
        records += item if isinstance(item, list) else [item]
    return [_struct(record, f"stimulus({number})", file) for number, record in enumerate(records, 1)]


def _cells(value: Any, n_neurons: int, n_recordings: int, file: str) -> list[list[Any]]:
    """Give the cells by neuron and recording; where either is one, a row may stand for a column."""
    rows = [] if isinstance(value, np.ndarray) and not value.size else value
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ReadError(f"{file}: spikes is {shown(value)}, expected a cell array of neurons x recordings")
    shape = len(rows), len(rows[0]) if rows else 0
    if shape != (n_neurons, n_recordings) and shape == (n_recordings, n_neurons) and 1 in shape:
        return [list(column) for column in zip(*rows, strict=True)]
    if shape != (n_neurons, n_recordings) and not (n_neurons * n_recordings == 0 and 0 in shape):
        raise ReadError(
            f"{file}: spikes is {shape[0]} x {shape[1]} cells, expected {n_neurons} x {n_recordings}: "
            "datainfo.Ncell neurons and one column per stimulus"
        )
    return rows


def _stimulation(number: int, stimulus: _Struct, movie: Movie, cells: list[Any]) -> Stimulation:
    trains = []
    for neuron_id, cell in enumerate(cells, 1):
        place = f"{stimulus.file}: spikes{{{neuron_id},{number}}}"
        with contract_errors_at(place, f"neuron {neuron_id}: "):
            trains.append(SpikeTrain(neuron_id, _times_s(cell, place)))
    with contract_errors_at(f"{stimulus.file}: {stimulus.name}", f"stimulation {number}: "):
        return Stimulation(
            stimulation_number=number,
            movie=movie,
            frame_rate_hz=1 / stimulus.positive("frame"),
            onset_s=stimulus.number("onset"),
            pixel_size_um=stimulus.positive("pixelsize"),
            spike_trains=tuple(trains),
        )


def _times_s(cell: Any, place: str) -> Floats:
    times_s = np.asarray(cell) if isinstance(cell, int | float | np.ndarray) else np.empty(0, object)
    if times_s.dtype.kind not in "iuf" or times_s.size not in {0, max(times_s.shape, default=1)}:
        raise ReadError(f"{place} is {shown(cell)}, expected a vector of seconds")
    return np.asarray(times_s.reshape(-1), np.float64)


def _movies(stimuli: list[_Struct], path: Path) -> list[Movie]:
    """Regenerate the movies, all of which begin the same stream."""
    shapes = [_movie_shape(stimulus) for stimulus in stimuli]
    n_blocks = sum(math.prod(shape) for shape in shapes)
    if n_blocks > MAX_BLOCKS:
        raise ReadError(
            f"{path.name}: the movies have {n_blocks} values, the first {shapes[0][0]} frames of {shapes[0][1]} x "
            f"{shapes[0][2]}, expected at most {MAX_BLOCKS} in all"
        )
    stream = ret1_stream(max((int(np.prod(shape)) for shape in shapes), default=0))
    _compare_with_file(stream, path)
    movies = []
    for stimulus, shape in zip(stimuli, shapes, strict=True):
        param = stimulus.struct("param")
        with contract_errors_at(f"{path.name}: {stimulus.name}"):
            movie = Movie.from_frames(
                ret1_movie(*shape, stream),
                block_size_px=(param.count("dx"), param.count("dy")),
                screen_size_px=(param.count("x"), param.count("y")),
            )
            movies.append(movie.as_contrast())
    return movies


def _movie_shape(stimulus: _Struct) -> tuple[int, int, int]:
    """Frames, rows and columns of a movie, if it is one that can be regenerated."""
    kind, param = stimulus.text("type"), stimulus.struct("param")
    if re.sub(r"[^a-z]", "", kind.lower()) not in _WHITE_NOISE:
        raise ReadError(
            f"{stimulus.file}: {stimulus.name}.type is {shown(kind)}, expected binary white noise: "
            "no other movie can be regenerated"
        )
    if abs(param.number("seed")) != RET1_SEED:
        raise ReadError(
            f"{stimulus.file}: {param.name}.seed is {param.number('seed'):g}, expected {RET1_SEED} or -{RET1_SEED}, "
            "whose stream is known"
        )
    n_blocks = []
    for axis in ("y", "x"):
        size_px, block_px = param.count(axis), param.count(f"d{axis}")
        if size_px % block_px:
            raise ReadError(
                f"{stimulus.file}: {param.name}.{axis} is {size_px} and {param.name}.d{axis} is {block_px}, "
                "expected a whole number of blocks"
            )
        n_blocks.append(size_px // block_px)
    return stimulus.count("Nframes"), n_blocks[0], n_blocks[1]


def _compare_with_file(stream: NDArray[np.int8], path: Path) -> None:
    """Compare what was regenerated with the data set's own bits, where they are at hand."""
    beside = [folder / STREAM_FILE for folder in (path.parent, path.parent / "..")]
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        return
    with found.open("rb") as file:
        packed = np.frombuffer(file.read(-(-stream.size // 8)), np.uint8)
    if 8 * packed.size < stream.size:
        raise ReadError(
            f"{path.name}: {STREAM_FILE} holds {8 * packed.size} bits, expected at least the {stream.size} of the "
            "longest movie"
        )
    is_white = np.unpackbits(packed, count=stream.size, bitorder="little") == 1
    different = np.flatnonzero(is_white != (stream > 0))
    if different.size:
        raise ReadError(
            f"{path.name}: {STREAM_FILE} differs from the regenerated movie at {different.size} of {stream.size} bits, "
            f"first at bit {different[0]}, expected the same stream: the file is damaged or of other movies"
        )
