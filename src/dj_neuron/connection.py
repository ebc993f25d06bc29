"""Opening the pipeline: :func:`connect`, which gives a :class:`Pipeline`."""

from __future__ import annotations

import contextlib
import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from dj_neuron.computing import DEFAULT_DELAYS, ComputeReport, DelayRange
from dj_neuron.database import open_database, open_with
from dj_neuron.errors import DatabaseError, ServerAwayError, is_from_the_database, words_of
from dj_neuron.jobs.patience import rest
from dj_neuron.opened import Pipeline, close_current
from dj_neuron.thread_connections import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.database import Database, Settings


__all__ = ["DEFAULT_DELAYS", "ComputeReport", "DelayRange", "Pipeline", "connect", "connect_with"]


def connect(
    data_dir: Path | str | None = None, *, config_file: Path | str | None = None, prefix: str | None = None
) -> Pipeline:
    """Open the pipeline on the configured server, else on an embedded one.

    Parameters
    ----------
    data_dir : Path or str, optional
        Where the embedded database and the file store live; default: a folder of the user.
    config_file : Path or str, optional
        A JSON file with host, username, password and schema, as the 2019 system had; or the word "embedded".
    prefix : str, optional
        Of the schemas' names; default "dj_neuron".

    Raises
    ------
    DatabaseError
        If no server can be reached or started, or an argument cannot be what it should be.
    ReadError
        If `config_file` is not such a file.
    """
    folder, file = _path(data_dir, "data_dir"), _path(config_file, "config_file")
    return _opened(lambda: open_database(folder, file, prefix))


def connect_with(settings: Settings) -> Pipeline:
    """Open the pipeline of another process, perhaps on another machine.

    Raises
    ------
    DatabaseError
        If its server cannot be reached from here.
    """
    return _opened(lambda: open_with(settings))


def when_it_answers(
    open_it: Callable[[], Pipeline], stop: Callable[[], bool], say: Callable[[str], None], patience_s: float = 60.0
) -> Pipeline:
    """Open a pipeline, and wait for a server that is being restarted: for what nobody sits in front of.

    Parameters
    ----------
    open_it : callable
        Such as :func:`connect`, its arguments bound.
    stop : callable
        When it gives true, the server is no longer waited for.
    say : callable
        Called with a line when the server is away.
    patience_s : float
        s to wait at most.

    Raises
    ------
    ServerAwayError
        If it stays away.
    """
    until = None
    while True:
        try:
            return open_it()
        except ServerAwayError as error:
            if until is None:
                until = time.monotonic() + patience_s
                say(f"{error}: waiting for it, {patience_s:.0f} s at most")
            if stop() or time.monotonic() > until:
                raise
            rest(1.0, stop)


def _path(given: Path | str | None, name: str) -> Path | None:
    if given is not None and (not isinstance(given, str | PathLike) or "\0" in str(given)):
        raise DatabaseError(f"{name} is {given!r:.60}, expected a path")
    return None if given is None else Path(given)


def _opened(open_it: Callable[[], Database]) -> Pipeline:
    close_current()
    database = open_it()
    try:
        return Pipeline(database)
    except BaseException as error:
        is_lost = is_from_the_database(error) and not answers(database.connection)
        with contextlib.suppress(Exception):  # the server may be away
            database.close()
        if is_lost:
            raise ServerAwayError(f"the {database.description} went away while its tables were opened") from error
        if is_from_the_database(error):
            raise DatabaseError(f"{database.description}: the tables cannot be opened ({words_of(error)})") from error
        raise
