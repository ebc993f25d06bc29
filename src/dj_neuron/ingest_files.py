"""Files into tables: a file as a whole or not at all, and nothing of files that contradict each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ConflictError
from dj_neuron.ingest import COMPARED, checked_rows, differences, ingest, ingest_session, listed, place_of, stored_rows
from dj_neuron.pipeline import experiment
from dj_neuron.readers import read_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from dj_neuron.contracts import Session
    from dj_neuron.ingest import IngestReport

    Row = dict[str, Any]


def ingest_file(path: Path, reader: str | None = None) -> Iterator[IngestReport]:
    """Insert the sessions of a file, once all of it was read and nothing in it is at fault.

    Parameters
    ----------
    path : Path
        A recording of any known format.
    reader : str, optional
        Name of the reader; default: the one that accepts the file.

    Yields
    ------
    IngestReport
        As soon as a session's transaction is complete.

    Raises
    ------
    ReadError, ContractError
        If anything in the file is not as expected; nothing of it is written.
    ConflictError
        If a session is in the pipeline already and the file says something else about it, or if two sessions of the
        file contradict each other; nothing is written.
    DatabaseError
        If the database refuses a session, twice.

    Notes
    -----
    A file of several sessions is read twice, so that they need not all be in memory.
    """
    sessions = read_sessions(path, reader)
    only = next(sessions, None)
    if only is None:
        return
    another = next(sessions, None)
    if another is None:
        yield ingest_session(only, path)
        return
    said = _Statements()
    _compare((only, another), path, said)
    del only, another
    _compare(sessions, path, said)
    yield from ingest(read_sessions(path, reader), path)


def _compare(sessions: Iterable[Session], path: Path, said: _Statements) -> None:
    for session in sessions:
        rows, _ = checked_rows(session, path)
        said.add(rows, session, path)
        stored_rows(rows, place_of(session, path))


def check_files(
    paths: Iterable[Path], reader: str | None = None, look: Callable[[Session, str], None] = lambda *_: None
) -> None:
    """Refuse files of which :func:`ingest_file` would refuse one whatever the pipeline holds; write nothing.

    Parameters
    ----------
    paths : iterable of Path
    reader : str, optional
        As for :func:`ingest_file`.
    look : callable
        Called with every session and its place in words; may refuse it, too.

    Raises
    ------
    ReadError, ContractError
        If anything in a file is not as expected.
    ConflictError
        If two sessions contradict each other, in one file or in two.
    """
    said = _Statements()
    for path in paths:
        for session in read_sessions(path, reader):
            rows, _ = checked_rows(session, path)
            said.add(rows, session, path)
            look(session, place_of(session, path))


class _Statements:
    """What sessions said that were read one after another, to find two that contradict each other."""

    def __init__(self) -> None:
        self._said: dict[tuple[Any, ...], list[tuple[str, dict[str, list[Row]]]]] = {}

    def add(self, rows: dict[str, list[Row]], session: Session, path: Path) -> None:
        """Take what a session says of its subject and of itself; raise ConflictError if another said something else."""
        within = path if session.source.file_name in {"", path.name} else path / session.source.file_name
        place = place_of(session, within)
        for names in (COMPARED[:1], COMPARED[1:]):
            key = tuple(rows[names[0]][0][column] for column in getattr(experiment, names[0])().primary_key)
            tables = {name: [_outlined(row) for row in rows[name]] for name in names}
            earlier = self._said.setdefault((names[0], *key), [])
            for where, said in earlier:
                found = [
                    difference
                    for name in names
                    for difference in differences(name, said[name], tables[name], old="first", new="second")
                ]
                if found:
                    raise ConflictError(f"{where} and {place} contradict each other: {listed(found)}")
            if all(tables != said for _, said in earlier):
                earlier.append((place, tables))


@dataclass(frozen=True)
class _Outline:
    """What is kept of an array to tell it from another one."""

    n_values: int
    sha256: str

    def __str__(self) -> str:
        return f"[{self.n_values}, #{self.sha256[:6]}]"


def _outlined(row: Row) -> Row:
    return {
        column: _Outline(value.size, hashlib.sha256((value + 0.0).tobytes()).hexdigest())  # of zeros without a sign
        if isinstance(value, np.ndarray)
        else value
        for column, value in row.items()
    }
