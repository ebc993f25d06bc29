"""The embedded database: one PostgreSQL server per data folder, shared by any number of processes.

Everything lives in the data folder: the cluster and its socket in ``postgres``, the server's log in
``postgres.log``, two lock files. Who uses the server is known from file locks, which the kernel gives
back however a process ends. docs/explanation/embedded-database.md tells why.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import hashlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import psutil

from dj_neuron import _postgres
from dj_neuron._shares import Shares
from dj_neuron.errors import DatabaseError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_log = logging.getLogger(__name__)

PORT = 5432
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0

_MAX_SOCKET_PATH_BYTES = 107
_MAX_LOG_BYTES = 1_000_000

# Given at every start. The socket's folder is relative to the cluster, so no name of a folder,
# however long or strange, ever passes through PostgreSQL's configuration or a shell.
_SERVER_OPTIONS = f"-c listen_addresses= -c port={PORT} -c unix_socket_directories=. -c unix_socket_permissions=0700"

# Written once into the cluster's postgresql.conf, where they can be changed by hand.
_CLUSTER_SETTINGS = (
    "max_connections=50",
    "shared_buffers=64MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
    "max_parallel_workers_per_gather=0",  # parallel queries need more /dev/shm than containers have
    "log_checkpoints=off",
    "log_min_error_statement=panic",  # a failed insert would otherwise log its arrays
)


def default_data_dir() -> Path:
    """Where the embedded database lives unless told otherwise; the folder is not created.

    Raises
    ------
    DatabaseError
        If the user has no home folder.
    """
    try:
        return Path(platformdirs.user_data_path("dj-neuron"))
    except RuntimeError as error:  # HOME is not set, and the system does not know the user
        raise DatabaseError("the user has no home folder, expected a data folder (--data-dir) or HOME") from error


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter, and the folders above it; keep an existing one.

    Raises
    ------
    DatabaseError
        If the folder cannot be created or written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"the data folder {folder} cannot be created: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DatabaseError(f"the data folder {folder} cannot be written to by {_postgres.user_name(os.geteuid())}")


@dataclass(frozen=True)
class ServerStatus:
    """The state of an embedded server.

    Attributes
    ----------
    pid : int or None
        Of the server's main process; None if it does not run, or runs in another container.
    size_bytes : int
        Of the whole cluster on disk; 0 if there is none yet.
    n_connections : int or None
        Open database connections; None if the main process is not visible.
    """

    running: bool
    pid: int | None
    started: datetime.datetime | None
    socket_dir: Path
    data_dir: Path
    size_bytes: int
    n_connections: int | None


def resolved(data_dir: Path) -> Path:
    """Give the absolute path of a data folder.

    Raises
    ------
    DatabaseError
        If it cannot be one.
    """
    try:
        found = data_dir.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # links that lead in a circle, a user that there is not
        raise DatabaseError(f"the data folder {data_dir} cannot be found: {error}") from error
    if "\n" in str(found):  # PostgreSQL's own files have a path a line
        raise DatabaseError(f"the data folder {found} has a line break in its name, expected none")
    return found


class EmbeddedServer:
    """The PostgreSQL server of one data folder: started by its first user, stopped by its last.

    Parameters
    ----------
    data_dir : Path
        Created when the server first starts.

    Notes
    -----
    Every started object holds a share in the server until it is closed, at the latest when the
    process ends. A process killed with ``kill -9`` gives its share back but stops nothing: the
    server then stays until the next user closes it, or :meth:`stop`.
    """

    user = "postgres"
    database_name = "postgres"

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = resolved(data_dir)
        self.cluster = self.data_dir / "postgres"
        self.log_file = self.data_dir / "postgres.log"
        self._shares = Shares(self.data_dir)

    @property
    def socket_dir(self) -> Path:
        """The folder to give as host to a PostgreSQL client: the cluster, or a short link to it."""
        if _suits_a_socket(self.cluster):
            return self.cluster
        return _link_folder() / hashlib.sha256(os.fsencode(self.cluster)).hexdigest()[:16]

    def start(self) -> None:
        """Take a share in the server, creating the cluster and starting the server if need be.

        Raises
        ------
        DatabaseError
            If the folder cannot be used or the server does not start; the message ends with its log.
        """
        make_private_folder(self.data_dir)
        with self._shares.turn() as turn:
            account = _postgres.account_for(self.cluster)
            self._shares.take()
            try:
                self._ensure_running(account, turn)
            except OSError as error:
                self._leave()
                raise DatabaseError(f"the embedded database in {self.data_dir} does not start: {error}") from error
            except BaseException:
                self._leave()
                raise
        atexit.unregister(self.close)
        atexit.register(self.close)

    def close(self) -> None:
        """Give the share back; the last one stops the server. Closing twice does nothing."""
        atexit.unregister(self.close)
        if not self._shares.held:
            return
        try:
            if self._has_cluster():
                with self._shares.turn():
                    self._leave()
        except DatabaseError as error:
            _log.warning("%s", error)
        finally:
            self._shares.drop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def is_running(self) -> bool:
        """Whether the server accepts connections."""
        if not self._has_cluster():
            return False
        command = (
            self._program("pg_isready"),
            "-q",
            "-h",
            self.socket_dir,
            "-p",
            str(PORT),
            "-U",
            self.user,
            "-t",
            "10",
        )
        return subprocess.run(command, env=_postgres.environment(), check=False).returncode == 0

    def status(self) -> ServerStatus:
        """Look at the server from outside; works without a share in it."""
        process = self._main_process()
        started = n_connections = None
        if process is not None:
            with contextlib.suppress(psutil.Error):
                started = datetime.datetime.fromtimestamp(process.create_time()).astimezone()
                n_connections = sum(_is_connection(child) for child in process.children())
        return ServerStatus(
            running=self.is_running(),
            pid=None if process is None else process.pid,
            started=started,
            socket_dir=self.socket_dir,
            data_dir=self.data_dir,
            size_bytes=_size_bytes(self.cluster),
            n_connections=n_connections,
        )

    def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, force: bool = False) -> None:
        """Stop the server now, and give this object's share back if it has one.

        Parameters
        ----------
        timeout_s : float
            How long the server may take.
        force : bool
            Stop it although other processes use it; their transactions are rolled back.

        Raises
        ------
        DatabaseError
            If others use the server and `force` is not given, or it does not stop in time.
        """
        if not self._has_cluster():
            return
        with self._shares.turn():
            held = self._shares.held
            self._shares.drop()
            if not force and self._shares.taken():
                if held:
                    self._shares.take()
                raise DatabaseError(
                    f"the embedded database in {self.data_dir} is used by other processes, "
                    "expected none: close them, or stop it by force"
                )
            self._shut_down(timeout_s)

    def _leave(self) -> None:
        self._shares.drop()
        if not self._shares.taken():
            self._shut_down(STOP_TIMEOUT_S)

    # The server's life, at one's turn

    def _ensure_running(self, account: _postgres.Account, turn: int) -> None:
        if not self._has_cluster():
            self._create_cluster(account, turn)
        self._link_socket_folder()
        deadline = time.monotonic() + START_TIMEOUT_S
        complaint: str | None = None
        while not self.is_running():
            if self._main_process() is None:
                # a server that is neither up nor on its way, after it was just started, has failed
                if complaint is not None:
                    raise DatabaseError(f"the embedded database in {self.data_dir} does not start: {complaint}")
                complaint = self._launch(account)
            elif time.monotonic() > deadline:
                raise DatabaseError(
                    f"the embedded database in {self.data_dir} takes no connections after {START_TIMEOUT_S:.0f} s: "
                    f"{_last_lines(self._read_log())}"
                )
            else:
                time.sleep(0.05)

    def _create_cluster(self, account: _postgres.Account, turn: int) -> None:
        if self.cluster.exists() and any(self.cluster.iterdir()):
            raise DatabaseError(f"{self.cluster} holds other files, expected a PostgreSQL cluster or nothing")
        for unfinished in self.data_dir.glob("postgres.new-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.data_dir))
        os.chown(fresh, account.uid, account.gid, follow_symlinks=False)
        arguments = [f"--pgdata={fresh.name}", f"--username={self.user}", "--auth=trust", "--no-instructions"]
        arguments += ["--encoding=UTF8", "--locale=C", *(f"--set={setting}" for setting in _CLUSTER_SETTINGS)]
        # initdb inherits the lock: should this process be killed, nobody comes in before initdb has ended
        result = account.run(self._program("initdb"), *arguments, cwd=self.data_dir, pass_fds=(turn,))
        if result.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise DatabaseError(f"no embedded database can be created in {self.data_dir}: {_last_lines(result.stderr)}")
        fresh.rename(self.cluster)

    def _launch(self, account: _postgres.Account) -> str:
        """Start the server and wait until it is up; returns what it said in case it is not."""
        self._clear_remains()
        if self.log_file.exists() and self.log_file.stat().st_size > _MAX_LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        log = os.open(self.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchown(log, account.uid, account.gid)
        logged_bytes = os.fstat(log).st_size
        os.close(log)
        arguments = ["start", "-w", "-t", f"{START_TIMEOUT_S:.0f}", "-D", self.cluster.name, "-o", _SERVER_OPTIONS]
        # pg_ctl hands the log's name to a shell, so it must be one that needs no quoting
        result = account.run(self._program("pg_ctl"), *arguments, "-l", self.log_file.name, cwd=self.data_dir)
        return _last_lines(self._read_log(logged_bytes) or result.stderr)

    def _clear_remains(self) -> None:
        """Make way for a new server after one that was killed."""
        pid_file = self.cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        # what serves a connection may outlive the main process until it looks up from its work
        patience = time.monotonic() + 5.0
        while orphans := [process for process in psutil.process_iter() if self._is_ours(process, if_hidden=False)]:
            if time.monotonic() > patience:
                for process in orphans:
                    process.kill()
            if time.monotonic() > patience + 5.0:
                raise DatabaseError(
                    f"processes {[process.pid for process in orphans]} of an earlier server of {self.data_dir} "
                    "cannot be ended, expected none"
                )
            time.sleep(0.02)
        # PostgreSQL itself clears a dead pid, but believes one that now belongs to another program
        pid = self._pid_on_file()
        if pid is None or psutil.pid_exists(pid):
            pid_file.unlink()
            (self.cluster / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _shut_down(self, timeout_s: float) -> None:
        process = self._main_process()
        if process is not None:
            try:
                process.send_signal(signal.SIGINT)
            except psutil.NoSuchProcess:
                pass
            except psutil.AccessDenied as error:
                raise DatabaseError(
                    f"the embedded database in {self.data_dir} (process {process.pid}) belongs to another user, "
                    f"expected {_postgres.user_name(os.geteuid())}"
                ) from error
            deadline = time.monotonic() + timeout_s
            while self._is_ours(process):
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"the embedded database in {self.data_dir} (process {process.pid}) has not stopped "
                        f"within {timeout_s:g} s"
                    )
                time.sleep(0.01)
        elif self.is_running():
            raise DatabaseError(
                f"the embedded database in {self.data_dir} runs in another container, expected it in this one: "
                "stop it there"
            )
        if self.socket_dir != self.cluster:
            self.socket_dir.unlink(missing_ok=True)

    def _main_process(self) -> psutil.Process | None:
        pid = self._pid_on_file()
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None
        return process if self._is_ours(process) else None

    def _pid_on_file(self) -> int | None:
        try:
            return int((self.cluster / "postmaster.pid").read_bytes().partition(b"\n")[0])
        except (OSError, ValueError):
            return None

    def _is_ours(self, process: psutil.Process, *, if_hidden: bool = True) -> bool:
        """Whether a process is alive, PostgreSQL, and works in this very cluster (which may be hidden from us)."""
        try:
            return (
                process.is_running()
                and process.name() == "postgres"
                and process.status() != psutil.STATUS_ZOMBIE
                and process.uids().real == self.cluster.stat().st_uid
                and Path(process.cwd()).samefile(self.cluster)
            )
        except psutil.AccessDenied:
            return if_hidden
        except (psutil.NoSuchProcess, OSError):
            return False

    def _has_cluster(self) -> bool:
        return os.access(self.cluster / "PG_VERSION", os.F_OK)

    def _program(self, name: str) -> Path:
        version_file = self.cluster / "PG_VERSION"
        if not self._has_cluster():
            return _postgres.program(name)
        try:
            return _postgres.program(name, int(version_file.read_text()))
        except (OSError, ValueError) as error:
            raise DatabaseError(f"{version_file} does not tell PostgreSQL's version: {error}") from error

    def _link_socket_folder(self) -> None:
        link = self.socket_dir
        if link == self.cluster:
            return
        folder = link.parent
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            owner, me = _postgres.user_name(found.st_uid), _postgres.user_name(os.geteuid())
            raise DatabaseError(
                f"{folder} is {stat.filemode(found.st_mode)} and belongs to {owner}, expected a private folder of {me}"
            )
        link.unlink(missing_ok=True)
        link.symlink_to(self.cluster)

    def _read_log(self, start_byte: int = 0) -> str:
        try:
            return self.log_file.read_bytes()[start_byte:].decode(errors="replace")
        except OSError:
            return ""


def _link_folder() -> Path:
    """The private folder for short links to clusters whose own path does not suit a socket."""
    name = f"dj-neuron-{os.geteuid()}"
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if base and os.access(base, os.W_OK | os.X_OK) and _suits_a_socket(Path(base, name, "0" * 16)):
            return Path(base, name)
    return Path("/tmp", name)  # noqa: S108 - the folder's owner and permissions are checked before use


def _suits_a_socket(folder: Path) -> bool:
    # libpq splits hosts at commas, DataJoint at colons
    path = str(folder / f".s.PGSQL.{PORT}")
    return path.isprintable() and not set(path) & {",", ":"} and len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES


def _is_connection(process: psutil.Process) -> bool:
    try:
        return "[local]" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _size_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += Path(parent, name).lstat().st_size
    return total


def _last_lines(text: str, count: int = 3) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it says nothing"
