"""What is in a file, without its numbers; and a file taken apart into recording folders."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers import ArrayHeader, RawReader, faults_of, find_reader, read_sessions
from dj_neuron.readers.folder_writer import empty_place, write_recording_folder
from dj_neuron.whole import whole_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.contracts import Session

MAX_NODES = 1_000_000
"""How many values an outline may show."""

_LONGEST_SLUG = 60


def outline(path: Path | str, reader: str | None = None) -> Any:
    """Show the structure of a file, arrays replaced by their shape and dtype.

    Parameters
    ----------
    path : Path
        A recording of any known format; a pickle need not be one of ret-1.
    reader : str, optional
        Name of the reader; default: the one that accepts the file.

    Returns
    -------
    Any
        Dicts, lists, strings, finite numbers, booleans and None, ready for :func:`json.dumps`. An array
        reads like ``"array(64, 48, 4241) float64"``.

    Raises
    ------
    ReadError
        If the file cannot be read, or shows more than :data:`MAX_NODES` values.
    """
    path = Path(path)
    found = find_reader(path, reader)
    with faults_of(found, path):
        tree = found.raw(path) if isinstance(found, RawReader) else list(found.read(path))
    return _Outline(path.name).of(tree)


def unpack(path: Path | str, folder: Path | str, progress: Callable[[Session], None] | None = None) -> list[Path]:
    """Write every session of a file as a recording folder.

    Parameters
    ----------
    path : Path
        A recording of any known format.
    folder : Path
        Where the recording folders go; it may not exist yet, or be empty.
    progress : callable, optional
        Called with each session once it is written.

    Returns
    -------
    list of Path
        The recording folders, in the order of the file's sessions.

    Raises
    ------
    ReadError
        If the file cannot be read; nothing is left behind then.
    ExportError
        If `folder` is not empty, or cannot be written.
    """
    names: list[str] = []
    folder = empty_place(Path(folder))
    with whole_folder(folder) as part:
        for session in read_sessions(path):
            names.append(_unique(_slug(session), names))
            write_recording_folder(session, part / names[-1])
            if progress is not None:
                progress(session)
    return [folder / name for name in names]


class _Outline:
    """Shared branches are shown wherever they hang, so the values shown are counted."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.n_nodes = 0

    def of(self, value: Any) -> Any:
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            raise ReadError(f"{self.file_name}: holds more than {MAX_NODES} values, expected fewer for an outline")
        match value:
            case np.ndarray() | ArrayHeader():
                return f"array({', '.join(map(str, value.shape))}) {value.dtype}"
            case dict():
                return {_key(key): self.of(item) for key, item in value.items()}
            case list() | tuple():
                return [self.of(item) for item in value]
            case set() | frozenset():
                return sorted((self.of(item) for item in value), key=repr)
            case _ if is_dataclass(value):
                return {field.name: self.of(getattr(value, field.name)) for field in fields(value)}
        return _atom(value)


def _key(key: Any) -> str:
    return key if type(key) is str else str(_atom(key))


def _atom(value: Any) -> str | int | float | bool | None:
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bytes() | bytearray():
            return f"bytes({len(value)})"
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case datetime.date():
            return value.isoformat()
    return str(value)


def _slug(session: Session) -> str:
    ascii_name = unicodedata.normalize("NFKD", session.subject_name).encode("ascii", "ignore").decode().lower()
    subject = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:_LONGEST_SLUG].strip("-") or "subject"
    return f"{subject}_{session.session_date.isoformat()}_sample-{session.sample_number}"


def _unique(name: str, taken: list[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{number}" for number in range(2, len(taken) + 3) if f"{name}_{number}" not in taken)
