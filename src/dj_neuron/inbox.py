"""Reading what people put into a folder, as soon as it is whole."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dj_neuron.errors import (
    ConflictError,
    ContractError,
    DjNeuronError,
    ReadError,
    is_from_the_database,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.connection import Pipeline

    # of every file of an entry: where, how long, when written
    Look = tuple[tuple[str, int, int], ...]

_CLOSED = (-1, -1)  # stands for the two of what may not be looked at


class Inbox:
    """A folder, and what was seen in it.

    Parameters
    ----------
    folder : Path
        Every entry that is not hidden is one recording: a file, or a folder with all that is in it.

    Raises
    ------
    ReadError
        If it is not a folder, or may not be looked into.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ReadError(f"{folder} is not a folder, expected one into which recordings are put")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise ReadError(f"{folder} may not be looked into, expected a folder that its watcher can list and enter")
        self._folder = folder
        self._last: dict[Path, Look] = {}
        self._given: dict[Path, Look] = {}

    def arrivals(self) -> list[Path]:
        """Give the entries that are as they were at the last call and that were not given like this before.

        What is still being copied changes between two calls; what was given and is changed later is given again.
        """
        now = {path: look for path in sorted(self._folder.glob("[!.]*")) if (look := _look_at(path))}
        arrived = [path for path, look in now.items() if look == self._last.get(path) != self._given.get(path)]
        self._last = now
        self._given = {path: look for path, look in self._given.items() if path in now}
        self._given |= {path: now[path] for path in arrived}
        return arrived


def _look_at(path: Path) -> Look:
    """Give the same twice if nothing changed in between; nothing for what has gone meanwhile or holds no file."""
    files, look = [path], []

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            look.append((str(error.filename), *_CLOSED))  # given like any other, so that its reader says what is wrong

    for folder, _, names in os.walk(path, onerror=note):
        files += (Path(folder, name) for name in names)
    for file in files:
        try:
            found = file.stat()
        except OSError as error:
            note(error)
        else:
            if stat.S_ISREG(found.st_mode):
                look.append((str(file), found.st_size, found.st_mtime_ns))
    return tuple(sorted(look))


def watch(
    pipeline: Pipeline,
    folder: Path,
    *,
    period_s: float = 5.0,
    reader: str | None = None,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Ingest what is put into a folder, until told to stop.

    Parameters
    ----------
    pipeline : Pipeline
        Where to.
    folder : Path
        See :class:`Inbox`.
    period_s : float
        Between two looks; what is the same at both is whole.
    reader : str, optional
        Name of the reader; default: the one that recognises the file.
    say : callable
        Called with a line per session, and per file that cannot be read: that one is passed over until it changes.
    stop : callable
        Asked before every look.

    Raises
    ------
    ReadError
        If there is no such folder, or it may not be looked into.
    DatabaseError
        If the database fails.
    """
    inbox = Inbox(folder)
    while not stop():
        for path in inbox.arrivals():
            try:
                pipeline.ingest(path, reader=reader, progress=lambda report: say(str(report)))
            except (ReadError, ConflictError, ContractError) as error:
                say(f"not read: {error}")
            except DjNeuronError:
                raise
            except Exception as error:
                if is_from_the_database(error) or isinstance(error, ConnectionError):
                    raise
                say(f"not read: {path}: {type(error).__name__}: {words_of(error)}; this is a fault of dj-neuron")
        time.sleep(period_s)
