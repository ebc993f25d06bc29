"""Servers that can be restarted, work for workers, and what it comes to: for tests and benchmarks/workers.py."""

import datetime
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import dj_neuron
from dj_neuron import queries
from dj_neuron._datajoint import dj
from dj_neuron.cli import main
from dj_neuron.connection import DelayRange, Pipeline
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.ingest import ingest_session

DELAYS = DelayRange(-0.05, 0.15)
PASSWORD = "white noise"
_POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


class Embedded:
    """The embedded server of a folder."""

    name = "embedded PostgreSQL"

    def __init__(self, folder):
        self.options = {"data_dir": folder / "data"}
        self._server = EmbeddedServer(folder / "data")

    @staticmethod
    def is_here():
        return True

    def start(self):
        self._server.start()

    def stop(self):
        self._server.stop(force=True)

    close = stop

    @property
    def pid(self):
        return self._server.status().pid


class _Server:
    """A server as a process of its own, on a free port."""

    def __init__(self, folder, address="127.0.0.1"):
        self.folder, self.address = folder, address
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "server.json"
        self.options = {"data_dir": folder / "data", "config_file": self.config}
        self._process = None

    def start(self):
        if self._process is None:
            self._create()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, f"{self.name} does not answer"
            time.sleep(0.1)

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        self._process.send_signal(signal.SIGINT if self.backend == "postgresql" else signal.SIGTERM)
        self._process.wait()

    def close(self):
        self.stop()

    def _write_config(self):
        where = {"host": self.address, "port": self.port, "backend": self.backend}
        self.config.write_text(json.dumps({**where, "username": "lab", "password": PASSWORD}))


class MariaDb(_Server):
    name, backend = "MariaDB", "mysql"

    @staticmethod
    def is_here():
        return shutil.which("mariadbd") is not None

    def _create(self):
        user = pwd.getpwuid(os.geteuid()).pw_name
        scratch = self.folder / "scratch"  # of its own: a server that starts removes what others have in a common one
        scratch.mkdir()
        self._base = ("--no-defaults", f"--user={user}", f"--datadir={self.folder / 'mariadb'}", f"--tmpdir={scratch}")
        install = ("mariadb-install-db", *self._base, "--auth-root-authentication-method=normal", "--skip-test-db")
        subprocess.run(install, check=True, capture_output=True)
        self._write_config()

    def _command(self):
        socket_file = f"--socket={self.folder / 's'}"
        return ("mariadbd", *self._base, socket_file, f"--bind-address={self.address}", f"--port={self.port}",
                "--character-set-server=utf8mb4", "--skip-log-bin")  # fmt: skip

    def _answers(self):
        grant = (
            f"CREATE USER IF NOT EXISTS 'lab'@'%' IDENTIFIED BY '{PASSWORD}'; "
            "GRANT ALL ON `test\\_%`.* TO 'lab'@'%'; GRANT ALL ON `bench\\_%`.* TO 'lab'@'%'"  # no PROCESS privilege
        )
        command = ("mariadb", "--no-defaults", f"--socket={self.folder / 's'}", "--user=root", "--execute", grant)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class PostgreSql(_Server):
    name, backend = "PostgreSQL", "postgresql"

    def close(self):
        super().close()
        shutil.rmtree(self.folder)

    @staticmethod
    def is_here():
        return bool(_POSTGRESQL)

    def _create(self):
        self._bin = _POSTGRESQL[-1].parent
        self._as = ()
        # pytest's folders are closed to the user that PostgreSQL must run as instead of root
        self.folder = Path(tempfile.mkdtemp(prefix="dj-neuron-postgresql-"))
        if os.geteuid() == 0:
            self._as = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
            shutil.chown(self.folder, "postgres", "postgres")
        init = (
            *self._as,
            self._bin / "initdb",
            "-D",
            self.folder / "pg",
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
        )
        subprocess.run(init, check=True, capture_output=True, cwd=self.folder)
        with (self.folder / "pg" / "pg_hba.conf").open("a") as hba:
            hba.write("host all all all scram-sha-256\n")
        text = (self.folder / "pg" / "pg_hba.conf").read_text()
        trusted = re.sub(r"^host(\s+all\s+all\s+\S+\s+)trust", r"host\1scram-sha-256", text, flags=re.MULTILINE)
        (self.folder / "pg" / "pg_hba.conf").write_text(trusted)
        self._write_config()

    def _command(self):
        place = ("-D", self.folder / "pg", "-p", str(self.port), "-k", self.folder)
        return (*self._as, self._bin / "postgres", *place, "-c", f"listen_addresses={self.address}")

    def _answers(self):
        psql = (*self._as, self._bin / "psql", "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-q", "-c")
        make = (
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lab') THEN "
            f"CREATE ROLE lab LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON DATABASE postgres TO lab; END IF; END $$"
        )
        return subprocess.run((*psql, make), capture_output=True, check=False, cwd=self.folder).returncode == 0


SERVERS = {"embedded": Embedded, "mysql": MariaDb, "postgresql": PostgreSql}


def make_sessions(n_sessions, n_neurons=3, n_frames=400, shape=(3, 4), first=1):
    """Small recordings of neurons that follow one block each."""
    for number in range(first, first + n_sessions):
        rng = np.random.default_rng(number)
        frames = rng.choice([-1, 1], (n_frames, *shape))
        drive = frames.reshape(n_frames, -1)[:, rng.integers(0, frames[0].size, n_neurons)]
        spikes = rng.uniform(size=drive.shape) < 0.1 + 0.3 * (drive > 0)
        times = [
            np.sort((np.nonzero(of_one)[0] + 3.5) / 60 + rng.uniform(0, 0.01, of_one.sum())) for of_one in spikes.T
        ]
        trains = tuple(SpikeTrain(i, one) for i, one in enumerate(times, 1))
        movie = Movie.from_frames(frames, block_size_px=(20, 20))
        stimulation = Stimulation(1, movie, 60.0, 0.0, 2.0, trains)
        yield Session("WT", datetime.date(2020, 1, 2), number, stimulations=(stimulation,))


def register(server, prefix, **work):
    """Ingest sessions, and register what is to be computed."""
    with dj_neuron.connect(prefix=prefix, **server.options) as pipeline:
        for session in make_sessions(**work):
            ingest_session(session)
        pipeline.compute(DELAYS, queue=True)


class WorkerProcess:
    """A worker's process, as the command line makes it; its lines are kept.

    It is forked from this one, which spares importing everything anew; behind a command such as ``ip netns exec`` it is
    started afresh.
    """

    def __init__(self, server, prefix, folder, name, *arguments, before=()):
        given = {"--data-dir": "data_dir", "--config": "config_file"}
        options = [f"{flag}={server.options[key]}" for flag, key in given.items() if key in server.options]
        arguments = [*options, f"--prefix={prefix}", "worker", *arguments]
        self.log = folder / f"worker-{name}.log"
        self.log.touch()
        self.returncode = None
        if before:
            command = [*before, sys.executable, "-m", "dj_neuron.cli", *arguments]
            with self.log.open("wb") as log:
                # kept, because it complains when it is forgotten
                self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder)
            self.pid = self._process.pid
        else:
            self.pid = os.fork() or self._run(arguments)

    def _run(self, arguments):
        code = 1
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
            sys.argv = ["dj-neuron", *arguments]
            Pipeline._current = None  # the connection of the process that forked is not ours to close
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            os._exit(code)

    def signal(self, number):
        os.kill(self.pid, number)

    def is_running(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode is None

    def wait(self, timeout_s=240):
        wait_for(lambda: not self.is_running(), timeout_s)
        return self.returncode

    def lines(self):
        return self.log.read_text(errors="replace").splitlines()

    def made(self):
        """The keys that the worker says it computed."""
        return [line.partition(": computed in ")[0] for line in self.lines() if ": computed in " in line]


def made_by(workers):
    """How often each key was computed."""
    return Counter(key for worker in workers for key in worker.made())


def contents(server, prefix):
    """Everything computed, by table and column, as digests; durations are left out."""
    with dj_neuron.connect(prefix=prefix, **server.options):
        found = {}
        for master in (table for _, table in queries.table_classes() if issubclass(table, (dj.Computed, dj.Part))):
            rows = master().to_dicts(order_by="KEY")
            found[master.__name__] = [
                {name: _digest(value) for name, value in row.items() if name != "duration_s"} for row in rows
            ]
        return found


def _digest(value):
    if hasattr(value, "load"):
        value = value.load()
    if isinstance(value, np.ndarray):
        content = f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes()
        return hashlib.sha256(content).hexdigest()
    return value


def wait_for(condition, timeout_s=280):
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found
