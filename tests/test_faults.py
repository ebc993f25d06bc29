"""Whatever goes wrong at whatever step: nothing half-stored, nothing unlisted, and the next run gives the same.

Each test lets one kind of fault come at one step of a command (faults.py), looks at what is left, runs the command
again undisturbed, and compares all rows and arrays with those of a run that was never disturbed. By default a few steps
stand for all; TEST_FAULTS=30 tries up to 30 of each, TEST_FAULTS=every tries all, which takes hours.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest

import dj_neuron
from dj_neuron import pipeline as tables
from dj_neuron._datajoint import dj
from dj_neuron.cli import main
from dj_neuron.connection import Pipeline
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.readers.folder_writer import write_recording_folder
from dj_neuron.thread_connections import another_connection
from faults import (
    AnswerLost,
    DatabaseKilled,
    DiskFull,
    Dropped,
    Hiccup,
    Killed,
    ReadOnly,
    Step,
    watched,
)
from worker_experiment import make_sessions

UNLIKE = {"duration_s"}  # of two runs that did the same
ASKED = os.environ.get("TEST_FAULTS", "0")
N_TRIED = sys.maxsize if ASKED == "every" else int(ASKED)


@dataclass(frozen=True)
class Run:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Bench:
    """A pipeline whose commands run in this process, or in a fork of it, and an observer of what they leave."""

    def __init__(self, folder, prefix, config_file=None):
        self.recording = write_recording_folder(
            next(make_sessions(1, n_neurons=2, n_frames=240, shape=(2, 2))), folder / "recording"
        )
        self.store = folder / "data" / "store"
        self._config = None if config_file is None else str(config_file)
        self._options = [f"--data-dir={folder / 'data'}", f"--prefix={prefix}"]
        self._options += [] if config_file is None else [f"--config={config_file}"]
        self._data_dir, self._prefix = folder / "data", prefix
        self._log = folder / "log"
        self._undisturbed = {}
        with self._connected() as pipeline:
            self._classes = list(tables.table_classes())
            self._names = {table: table().full_table_name for table in self._classes}
            self._jobs = [table().jobs.full_table_name for table in self._classes if issubclass(table, dj.Computed)]
            self._observer = another_connection(pipeline.database.connection)

    def _connected(self):
        return dj_neuron.connect(self._data_dir, config_file=self._config, prefix=self._prefix)

    def close(self):
        self._observer.close()
        with self._connected() as pipeline:
            tables.drop(pipeline.database.connection, self._prefix)

    def ask(self, statement, **options):
        """Ask beside the pipeline; anew if the server was killed meanwhile."""
        with contextlib.suppress(Exception):
            return self._observer.query(statement, **options)
        self._observer.connect()
        return self._observer.query(statement, **options)

    def run(self, *arguments, fault=None, place=("", 0)):
        """Run a command with a fault at one step; give how it ended and what was watched."""
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        argv, sys.argv = sys.argv, ["dj-neuron", *self._options, *map(str, arguments)]
        try:
            with (
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                watched(self.store, fault, place) as watch,
            ):
                try:
                    main()
                    code = 0
                except SystemExit as end:
                    code = end.code or 0
        finally:
            sys.argv = argv
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Run(code, out.getvalue(), err.getvalue()), watch

    def run_forked(self, *arguments, fault, place):
        """Run a command in a process of its own, for faults that end it."""
        child = os.fork()
        if child == 0:
            Pipeline._current = None  # the connection of the process that forked is not ours to close
            code = 99
            with contextlib.suppress(BaseException):
                run, _ = self.run(*arguments, fault=fault, place=place)
                self._log.write_text(run.err)
                code = run.code
            os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def undisturbed(self, arguments, prepare):
        """Give the steps of a command and what it leaves, from a run that is made once."""
        if arguments not in self._undisturbed:
            prepare(self)
            run, watch = self.run(*arguments)
            assert run.code == 0, run.err
            self._undisturbed[arguments] = watch.steps, self.contents()
        return self._undisturbed[arguments]

    def contents(self):
        """All rows, by table: arrays by what their files hold, which must be what the row says."""
        return {table.__name__: self._rows(name) for table, name in self._names.items()}

    def _rows(self, name):
        rows = self.ask(f"SELECT * FROM {name}", as_dict=True).fetchall()  # noqa: S608
        plain = [{key: self._plain(value) for key, value in row.items() if key not in UNLIKE} for row in rows]
        return sorted(plain, key=repr)

    def _plain(self, value):
        if isinstance(value, str) and value.startswith('{"'):
            value = json.loads(value)
        if isinstance(value, dict):
            content = (self.store / value["path"]).read_bytes()
            assert (hashlib.sha256(content).hexdigest(), len(content)) == (value["sha256"], value["n_bytes"])
            return sorted((key, repr(one)) for key, one in value.items() if key != "path")
        return bytes(value) if isinstance(value, memoryview | bytearray) else value

    def jobs(self):
        return [row for name in self._jobs for row in self.ask(f"SELECT * FROM {name}").fetchall()]  # noqa: S608

    def groups(self, contents):
        """Rows that belong together, each to be there as a whole or not at all."""
        recorded = {name: rows for name, rows in contents.items() if name in RECORDED}
        yield "a session", recorded
        for table in self._classes:
            if issubclass(table, dj.Computed):
                own = [part.__name__ for part in vars(table).values() if isinstance(part, type)]
                yield table.__name__, {name: contents[name] for name in (table.__name__, *own)}

    def check_whole_or_not_there(self, undisturbed):
        """No half rows: what belongs together is as in an undisturbed run, or missing."""
        of_both = zip(self.groups(undisturbed), self.groups(self.contents()), strict=True)
        for (name, whole), (_, left) in of_both:
            assert left in (whole, {table: [] for table in whole}), f"half of {name}"

    def clear(self, *, recorded):
        """Empty the computed tables and those of parameters, and those of what was recorded if so asked."""
        emptied = [name for table, name in self._names.items() if recorded or table.__name__ not in RECORDED]
        for name in (*self._jobs, *reversed(emptied)):
            self.ask(f"DELETE FROM {name}")  # noqa: S608
        kept = {self.store / path for path in ([] if recorded else self._referenced())}
        for file in {*self.store.rglob("*")} - kept:
            if file.is_file():
                file.unlink()
        for folder in sorted(self.store.rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def files(self):
        """All files of arrays, and what is left of any."""
        return {file for file in self.store.rglob("*") if file.is_file() and file.suffix != ".pipeline"}

    def _referenced(self):
        for table, name in self._names.items():
            if "<movie" in getattr(table, "definition", "") or "<array" in getattr(table, "definition", ""):
                for row in self.ask(f"SELECT * FROM {name}", as_dict=True).fetchall():  # noqa: S608
                    for value in row.values():
                        found = json.loads(value) if isinstance(value, str) and value.startswith('{"') else value
                        if isinstance(found, dict):
                            yield found["path"]

    def check_listed(self):
        """Every file in the store belongs to a row or is listed as one without, and nothing is missing."""
        run, _ = self.run("status", "--deep", "--json")
        assert run.code == 0, run.err
        stored = json.loads(run.out)["store"]
        assert stored["faults"] == []
        orphans = {self.store / orphan["path"] for orphan in stored["orphans"]}
        assert orphans | {self.store / path for path in self._referenced()} == self.files()


RECORDED = ("Subject", "Session", "Neuron", "Movie", "Stimulation", "SpikeTrain")


def places_of(steps, fault, n_tried, *, outlives):
    """Give the places at which a fault is tried, evenly spread over all there are: a name, and which of that name.

    Questions change nothing: of those that are alike the first stands for all, and those about schemas and tables are
    left to TEST_FAULTS=every.
    """
    n_seen, places = Counter(), []
    for step in steps:
        place = (step.name, n_seen[step.name])
        n_seen[step.name] += 1
        is_alike = step.kind in {"ask", "catalogue"} and place[1] > 0
        is_left = step.kind == "catalogue" and ASKED != "every"
        if fault.concerns(step) and not is_alike and not is_left and (step.is_outlived or not outlives):
            places.append(place)
    n_tried = min(N_TRIED or n_tried, len(places))
    return [places[int(len(places) * (i + 0.6) / n_tried)] for i in range(n_tried)]


def check_sentence(run):
    """What a person is told: exit code 2, and one sentence at the end."""
    assert run.code == 2, run.err
    said = [line for line in run.err.splitlines() if line.startswith("Error: ")]
    assert said == [run.err.splitlines()[-1]], run.err
    assert "Traceback" not in run.err
    assert "fault of dj-neuron" not in run.err


def try_all(bench, arguments, fault, n_tried, *, prepare, outlives=False):
    """Let a fault come at one step of a command after the other; gather what was not as promised."""
    steps, undisturbed = bench.undisturbed(arguments, prepare)
    broken = []
    places = places_of(steps, fault, n_tried, outlives=outlives)
    for place in places:
        prepare(bench)
        try:
            if isinstance(fault, Killed):
                assert bench.run_forked(*arguments, fault=fault, place=place) == -signal.SIGKILL
            else:
                run, seen = bench.run(*arguments, fault=fault, place=place)
                assert seen.struck
                if outlives:
                    assert run.code == 0, run.err
                    assert bench.contents() == undisturbed
                elif run.code:
                    check_sentence(run)
                if isinstance(fault, DiskFull):  # what does not fit does not take the rest of the room, too
                    assert not [file for file in bench.files() if file.suffix != ".npy"]
            bench.check_whole_or_not_there(undisturbed)
            bench.check_listed()
            run, _ = bench.run(*arguments)
            assert run.code == 0, run.err
            assert bench.contents() == undisturbed
            assert bench.jobs() == []
        except AssertionError as error:
            broken.append(f"{place[0][:150]} ({place[1]}): {error}")
    assert broken == [], "\n".join([f"{len(broken)} of {len(places)}", *broken])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An embedded server of our own, to be killed."""
    with EmbeddedServer(tmp_path_factory.mktemp("faults") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def bench(server):
    bench = Bench(server.data_dir.parent, "test_faults")
    # what a killed server has written is safe in the system's memory; only a power cut would mind
    bench.ask("ALTER SYSTEM SET fsync = off")
    bench.ask("SELECT pg_reload_conf()")
    yield bench
    bench.close()


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def bench_on_server(request, tmp_path_factory):
    config_file = request.getfixturevalue(f"{request.param}_config")
    bench = Bench(tmp_path_factory.mktemp("faults"), f"test_faults_{os.getpid()}", config_file)
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Those who are gone are believed to be so at once."""
    monkeypatch.setattr("dj_neuron.jobs.loop.GRACE_S", 0.3)


FAULTS = {
    "killed": Killed(),
    "connection dropped": Dropped(),
    "answer lost": AnswerLost(),
    "disk full": DiskFull(),
    "store read-only": ReadOnly(),
    "store fails once": Hiccup(),
}
LOSSES = ["connection dropped", "answer lost"]
TIMEOUT_S = 86400 if N_TRIED else 600
INGEST, COMPUTE, WORK = "ingest", "compute", "work"


def before_ingest(bench):
    bench.clear(recorded=True)


def before_compute(bench):
    bench.clear(recorded=False)
    if not bench.contents()["Session"]:
        run, _ = bench.run(INGEST, bench.recording)
        assert run.code == 0, run.err


def before_work(bench):
    before_compute(bench)
    run, _ = bench.run(COMPUTE, "--delay", "0.05", "--queue")
    assert run.code == 0, run.err


def fault_named(name, server):
    return DatabaseKilled(server, then=server.start) if name == "database killed" else FAULTS[name]


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", [*FAULTS, "database killed"])
def test_an_ingest_is_whole_or_not_there_and_can_be_repeated(bench, server, name):
    try_all(bench, ("ingest", bench.recording), fault_named(name, server), 2, prepare=before_ingest)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", [*FAULTS, "database killed"])
def test_a_computation_is_whole_or_not_there_and_can_be_repeated(bench, server, name):
    try_all(bench, ("compute", "--delay", "0.05"), fault_named(name, server), 1, prepare=before_compute)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", [*LOSSES, "database killed"])
def test_a_worker_outlives_the_loss_of_its_connection(bench, server, name):
    try_all(bench, ("worker",), fault_named(name, server), 1, prepare=before_work, outlives=True)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("verb", ["ingest", "compute", "worker"])
def test_other_servers_may_drop_a_connection_too(bench_on_server, verb, name):
    arguments, prepare = {
        "ingest": (("ingest", bench_on_server.recording), before_ingest),
        "compute": (("compute", "--delay", "0.05"), before_compute),
        "worker": (("worker",), before_work),
    }[verb]
    try_all(bench_on_server, arguments, FAULTS[name], 1, prepare=prepare, outlives=verb == "worker")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 80 MB, with an embedded server on it."""
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=80m,mode=700", "tmpfs", tmp_path), check=False)
    if mounted.returncode:
        pytest.skip("only root mounts a disk")
    try:
        with EmbeddedServer(tmp_path / "data"):
            yield tmp_path
    finally:
        subprocess.run(("umount", tmp_path), check=True)


def test_a_disk_that_is_full_for_database_and_store(small_disk):
    bench = Bench(small_disk, "test_full")
    ingest, compute = (INGEST, bench.recording), (COMPUTE, "--delay", "0.05")
    for arguments, prepare in ((ingest, before_ingest), (compute, before_compute)):
        _, undisturbed = bench.undisturbed(arguments, prepare)
        prepare(bench)
        with (small_disk / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(small_disk).free)
        run, _ = bench.run(*arguments)
        (small_disk / "filler").unlink()
        check_sentence(run)
        bench.check_whole_or_not_there(undisturbed)
        bench.check_listed()
        run, _ = bench.run(*arguments)
        assert run.code == 0, run.err
        assert bench.contents() == undisturbed
    bench.close()


@pytest.mark.parametrize("drawn", ["0" * 32, "f" * 32, "0123456789abcdef" * 2, "abcdef0123456789" * 2])
def test_a_step_has_the_same_name_whatever_names_are_drawn(drawn):
    names = {Step("write", f"close /store/1234567890_{drawn[:8]}.npy.{one}.part").name for one in (drawn, "e" * 32)}
    assert len(names) == 1
