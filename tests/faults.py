"""Making any step of a run go wrong: everything that reaches the database or the store passes through here.

A step is a statement that the main thread sends to the database, or an act of the operating system on a path in the
store: making a folder, opening, writing and closing a file, renaming, removing. `watched` notes them; with a fault it
lets one go wrong, in the way the real thing would: the server ends the connection, a write stops halfway.
"""

import builtins
import contextlib
import errno
import io
import os
import re
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dj_neuron._datajoint import dj
from dj_neuron.jobs import PatientConnection
from dj_neuron.thread_connections import another_connection

# what DataJoint asks about schemas, tables and columns
_CATALOGUE = re.compile(r"information_schema|pg_|~lineage|SHOW |@@|current_user|regclass|IS_USED_LOCK|GET_LOCK")
_CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE|START|BEGIN|COMMIT|ROLLBACK|CREATE|ALTER|LOCK|REPLACE)", re.IGNORECASE)
_MAKES_ROOM = {"remove", "rename"}


@dataclass(frozen=True)
class Step:
    """One step: of which kind, and in words.

    Attributes
    ----------
    kind : {"catalogue", "ask", "change", "read", "write"}
        The first three of the database, the others of the store.
    """

    kind: str
    words: str
    is_outlived: bool = False  # of a connection that is opened again when it is lost

    @property
    def name(self):
        """The words without what differs from run to run: tickets of workers, names of files that are drawn."""
        return re.sub(r"[0-9a-f]{32}(?=\.part)|_[\w-]{8}(?=\.npy)|\d{9,}|\$[0-9a-f]+(?=[\"`])", "", self.words)


class Fault:
    """What goes wrong; the kinds of steps at which it can, and whether it lasts until the end of the run."""

    kinds = frozenset({"catalogue", "ask", "change", "read", "write"})
    lasts = False

    def concerns(self, step):
        return step.kind in self.kinds

    def before(self, step, connection):
        """Go wrong before a step."""

    def after(self, step, connection, cursor):
        """Go wrong when a statement has been executed, before its answer comes."""

    def writing(self, file, content):
        """Go wrong while something is written."""


class Killed(Fault):
    """The process is ended by SIGKILL; for a process of its own."""

    def before(self, step, connection):
        os.kill(os.getpid(), signal.SIGKILL)

    def writing(self, file, content):
        _write_half(file, content)
        os.kill(os.getpid(), signal.SIGKILL)


class Dropped(Fault):
    """The server ends the connection before a statement reaches it."""

    kinds = frozenset({"catalogue", "ask", "change"})

    def before(self, step, connection):
        other = another_connection(connection)
        if connection.adapter.backend == "mysql":
            other.query(f"KILL {connection._conn.thread_id()}")
        else:
            pid = connection._conn.info.backend_pid
            other.query(f"SELECT pg_terminate_backend({pid}, 5000)")
        other.close()


class AnswerLost(Dropped):
    """The server ends the connection after it has done what a statement says, before the answer."""

    kinds = frozenset({"change"})

    def before(self, step, connection):
        pass

    def after(self, step, connection, cursor):
        super().before(step, connection)
        cursor.execute("SELECT 1")  # the error of a connection that is gone


class DatabaseKilled(Fault):
    """All processes of the embedded server are ended by SIGKILL.

    Parameters
    ----------
    server : EmbeddedServer
        The server.
    then : callable
        Called afterwards.
    """

    kinds = frozenset({"catalogue", "ask", "change"})

    def __init__(self, server, then=lambda: None):
        self._server, self._then = server, then

    def before(self, step, connection):
        main = psutil.Process(self._server.status().pid)
        family = [main, *main.children()]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)
        self._then()


class _StoreFault(Fault):
    code = errno.EIO

    def before(self, step, connection):
        raise self.error()

    def writing(self, file, content):
        raise self.error()

    def error(self):
        return OSError(self.code, os.strerror(self.code))


class Hiccup(_StoreFault):
    """One act on the store fails, reading or writing."""

    kinds = frozenset({"read", "write"})


class ReadOnly(_StoreFault):
    """The store becomes read-only and stays so."""

    kinds, lasts, code = frozenset({"write"}), True, errno.EROFS


class DiskFull(_StoreFault):
    """The disk of the store is full, in the middle of a write, and stays so."""

    kinds, lasts, code = frozenset({"write"}), True, errno.ENOSPC

    def concerns(self, step):
        return super().concerns(step) and step.words.partition(" ")[0] not in _MAKES_ROOM

    def writing(self, file, content):
        _write_half(file, content)
        raise self.error()


def _write_half(file, content):
    file.write(memoryview(content).cast("B")[: memoryview(content).nbytes // 2])
    file.flush()


@dataclass
class Watch:
    """The steps of a run, and whether the fault has come about."""

    store: Path
    fault: Fault | None = None
    place: tuple = ("", 0)
    steps: list = field(default_factory=list)
    struck: bool = False
    _n_seen: int = 0

    def goes_wrong(self, step):
        """Note a step; whether it is the one that is to go wrong, or a later one while the fault lasts."""
        self.steps.append(step)
        if self.fault is None or not self.fault.concerns(step):
            return False
        if step.name == self.place[0]:
            self._n_seen += 1
            if self._n_seen - 1 == self.place[1]:
                self.struck = True
                return True
        return self.struck and self.fault.lasts

    def is_in_store(self, path):
        return isinstance(path, str | os.PathLike) and f"{os.fspath(path)}/".startswith(f"{self.store}/")

    # What stands in the place of what is watched

    def statement(self, original):
        def execute(connection, cursor, query, args, suppress_warnings):
            if threading.current_thread() is not threading.main_thread():
                return original(connection, cursor, query, args, suppress_warnings)
            words = " ".join(query.split())
            kind = "change" if _CHANGES.match(query) else "catalogue" if _CATALOGUE.search(query) else "ask"
            step = Step(kind, words, isinstance(connection, PatientConnection))
            wrong = self.goes_wrong(step)
            if wrong:
                self.fault.before(step, connection)
            original(connection, cursor, query, args, suppress_warnings)
            if wrong:
                try:
                    self.fault.after(step, connection, cursor)
                except Exception as error:
                    raise connection_error(error, query, connection) from error
            return None

        return execute

    def opening(self, original):
        def open_file(file, mode="r", *args, **options):
            if not self.is_in_store(file):
                return original(file, mode, *args, **options)
            is_written = bool(set(mode) & set("wax+"))
            self._act("open" if is_written else "read", file, "write" if is_written else "read")
            opened = original(file, mode, *args, **options)
            return WatchedFile(opened, file, self) if is_written else opened

        return open_file

    def act(self, word, original):
        def do(path, *args, **options):
            if self.is_in_store(path):
                self._act(word, path, "write")
            return original(path, *args, **options)

        return do

    def _act(self, word, path, kind):
        step = Step(kind, f"{word} {os.fspath(path)}")
        if self.goes_wrong(step):
            self.fault.before(step, None)


class WatchedFile:
    """A file that is written, every write a step."""

    def __init__(self, file, path, watch):
        self._file, self._path, self._watch = file, path, watch

    def write(self, content):
        if self._watch.goes_wrong(Step("write", f"write {self._path}")):
            self._watch.fault.writing(self._file, content)
        return self._file.write(content)

    def close(self):
        if not self._file.closed:
            wrong = self._watch.goes_wrong(Step("write", f"close {self._path}"))
            self._file.close()
            if wrong:
                self._watch.fault.before(None, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def connection_error(error, query, connection):
    """Give the error that DataJoint makes of one of the database's client."""
    from datajoint.connection import translate_query_error  # noqa: PLC0415

    return translate_query_error(error, query, connection.adapter)


@contextlib.contextmanager
def watched(store, fault=None, place=("", 0)):
    """Note the steps of what is run within; let one go wrong: the n-th of a name, from 0."""
    watch = Watch(Path(store), fault, place)
    places = [
        (dj.Connection, "_execute_query", watch.statement),
        (builtins, "open", watch.opening),
        (io, "open", watch.opening),
        (os, "mkdir", lambda original: watch.act("mkdir", original)),
        (os, "rename", lambda original: watch.act("rename", original)),
        (os, "replace", lambda original: watch.act("rename", original)),
        (os, "unlink", lambda original: watch.act("remove", original)),
        (os, "remove", lambda original: watch.act("remove", original)),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, make in places:
        setattr(owner, name, make(getattr(owner, name)))
    try:
        yield watch
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
