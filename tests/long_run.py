"""A lab's life in fast motion: python tests/long_run.py MINUTES [--json FILE].

Day after day one process that stays open ingests a recording, queues and computes, exports, draws, deletes what is old
and cleans the store; workers come, some are killed, and go; a browser reads every page of an explorer that stays open,
too. At the end of each day the memory, connections, file handles, threads and temporary files of all of them are
counted. After a warm-up they may not grow: the script ends with exit code 1 if they do. A short form of it is
tests/test_long_run.py.
"""

import argparse
import contextlib
import gc
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

import dj_neuron
from dj_neuron.connection import DelayRange
from dj_neuron.explorer.server import N_THREADS
from dj_neuron.export.neurons import export_neurons
from dj_neuron.export.nwb import export_nwb
from dj_neuron.export.strfs import export_strfs
from dj_neuron.pipeline.store import STORE, backend_of, listing
from dj_neuron.readers.folder_writer import write_recording_folder
from worker_experiment import WorkerProcess, make_sessions

DELAYS = DelayRange(-0.05, 0.15)
N_KEPT = 3  # sessions; older ones are deleted
DRAW_EVERY = 5  # days: pictures take longest
WARM_UP = 1 / 3  # of all days
MEMORY_GROWTH, MEMORY_MB = 1.05, 8.0  # how much larger the median may be later, and so many MB beside


class Explorer:
    """An explorer in a process of its own, and somebody who reads its pages."""

    def __init__(self, options):
        command = [sys.executable, "-m", "dj_neuron.cli", *options, "explore", "--port", "0", "--no-browser"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.fullmatch(r"http://(.+):(\d+)/\n", self._process.stdout.readline())
        assert found, "the explorer does not start"
        self._host, self._port = found[1], int(found[2])
        self.pid = self._process.pid

    def close(self):
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)

    def _ask(self, method, path, body=None):
        with contextlib.closing(http.client.HTTPConnection(self._host, self._port, timeout=120)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status in {200, 204}, f"{method} {path}: {answer.status} {text[:200]}"
        return text

    def _call(self, outputs, inputs, state):
        """Ask for what a callback fills in: pairs of component and property, with values for what goes in."""

        def listed(pairs):
            return [{"id": name, "property": key, "value": value} for (name, key), value in pairs.items()]

        names = [f"{name}.{key}" for name, key in outputs]
        body = {
            "output": names[0] if len(names) == 1 else f"..{'...'.join(names)}..",
            "outputs": [{"id": name, "property": key} for name, key in outputs],
            "inputs": listed(inputs),
            "changedPropIds": [f"{name}.{key}" for name, key in list(inputs)[:1]],
            "state": listed(state),
        }
        if len(names) == 1:
            body["outputs"] = body["outputs"][0]
        return self._ask("POST", "/_dash-update-component", json.dumps(body))

    def _open(self, path):
        url = {("url", "pathname"): quote(path), ("url", "search"): ""}
        page = self._call([("page", "children"), ("shown", "data")], url, {("shown", "data"): None})
        assert "does not answer" not in page, page[:500]

    def read(self, sessions, n_neurons):
        """Open every page about some sessions, also one that is not there."""
        for path in ("/", "/_dash-layout", "/_dash-dependencies"):
            self._ask("GET", path)
        stimulations = [f"WT/2020-01-02/{number}/1" for number in sessions]
        neurons = [f"/neuron/{one}/{i}" for one in stimulations for i in range(1, n_neurons + 1)]
        pages = ("/", "/pipeline", *(f"/stimulation/{one}" for one in stimulations), *neurons, "/neuron/gone")
        with ThreadPoolExecutor(2 * N_THREADS) as readers:  # every thread of the explorer has something to do
            list(readers.map(self._open, pages))
        self._call([("neurons", "children")], {("url", "search"): "?sort=peak_z"}, {("url", "pathname"): "/"})
        self._call([("progress", "children"), ("diagram", "children")], {("tick", "n_intervals"): 1}, {})


@dataclass(frozen=True)
class Sample:
    """What was counted at the end of a day: numbers by what and whose they are."""

    minute: float
    memory_mb: dict
    counted: dict


class Lab:
    """A lab on the embedded server of a folder.

    Parameters
    ----------
    folder : Path
        Everything goes here, temporary files of all processes included.
    n_neurons : int
        Of each session.
    """

    def __init__(self, folder, n_neurons=3):
        self._folder, self._n_neurons = folder, n_neurons
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        self._before = os.environ.get("TMPDIR"), tempfile.tempdir
        os.environ["TMPDIR"], tempfile.tempdir = str(self._temporary), None
        self._started = time.monotonic()
        self._options = {"data_dir": folder / "data"}
        self._pipeline = dj_neuron.connect(**self._options)
        self._prefix = self._pipeline.database.prefix
        self._explorer = Explorer([f"--data-dir={self._options['data_dir']}"])
        self._day = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._explorer.close()
        self._pipeline.close()
        variable, tempfile.tempdir = self._before
        os.environ.pop("TMPDIR") if variable is None else os.environ.__setitem__("TMPDIR", variable)

    def live(self, *, draw):
        """Live through a day; give what was counted at its end."""
        self._day += 1
        self._record()
        self._employ(kill=self._day % 2 == 0)
        report = self._pipeline.compute(DELAYS)
        assert report.errors == (), report.errors
        self._explorer.read(self._sessions(), self._n_neurons)
        self._export(draw)
        self._tidy()
        return self._count()

    def _sessions(self):
        return sorted(self._pipeline.experiment.Session().to_arrays("sample_number"))

    def _record(self):
        """Ingest a recording from a folder, twice, and one that contradicts it."""
        session = next(make_sessions(1, n_neurons=self._n_neurons, first=self._day))
        other = next(make_sessions(1, n_neurons=self._n_neurons + 1, first=self._day))
        with tempfile.TemporaryDirectory() as folder:
            path = write_recording_folder(session, Path(folder) / "recording")
            outcomes = [self._pipeline.ingest(path)[0].outcome for _ in range(2)]
            assert outcomes == ["new", "unchanged"]
            contradiction = write_recording_folder(other, Path(folder) / "other")
            with contextlib.suppress(dj_neuron.errors.ConflictError):
                self._pipeline.ingest(contradiction)
                raise AssertionError("a contradiction was ingested")
        self._pipeline.compute(DELAYS, queue=True)

    def _employ(self, *, kill):
        """Have a worker compute, or be killed in the middle."""
        server = type("", (), {"options": self._options})
        worker = WorkerProcess(server, self._prefix, self._temporary, "now")
        deadline = time.monotonic() + 300
        while worker.is_running() and not (kill and worker.made()):
            assert time.monotonic() < deadline, worker.lines()
            time.sleep(0.02)
        if kill and worker.is_running():
            worker.signal(signal.SIGKILL)
        worker.wait()
        worker.log.unlink()

    def _export(self, draw):
        with tempfile.TemporaryDirectory() as folder:
            export_neurons(Path(folder) / "neurons.csv")
            export_neurons(Path(folder) / "neurons.parquet")
            export_strfs(Path(folder) / "strfs.npz")
            export_strfs(Path(folder) / "strfs.zarr")
            export_nwb(Path(folder) / "nwb")
            if draw:
                self._pipeline.figures(Path(folder) / "figures")

    def _tidy(self):
        """Delete what is old with everything that follows from it, and clean the store."""
        experiment = self._pipeline.experiment
        for number in self._sessions()[:-N_KEPT]:
            (experiment.Session() & {"sample_number": number}).delete(prompt=False)
        (experiment.Movie() - experiment.Stimulation()).delete(prompt=False)
        self._pipeline.clean(older_than_s=0, delete=True)
        inventory = self._pipeline.inventory()
        assert (inventory.orphans, inventory.faults) == ((), ())

    def _count(self):
        server = self._pipeline.database.server.status()
        postgres = psutil.Process(server.pid)
        mine, explorer = psutil.Process(), psutil.Process(self._explorer.pid)
        gc.collect()
        backend = backend_of(self._pipeline.database.connection._config, STORE)
        return Sample(
            minute=(time.monotonic() - self._started) / 60,
            memory_mb={
                "lab": _own_mb(mine),
                "explorer": _own_mb(explorer),
                "server": _own_mb(postgres) + sum(_own_mb(one) for one in postgres.children()),
            },
            counted={
                "connections": server.n_connections,
                "lab's files": _n_files(mine),
                "explorer's files": _n_files(explorer),
                "lab's threads": mine.num_threads(),
                "explorer's threads": explorer.num_threads(),
                "processes": len(mine.children(recursive=True)),
                "temporary files": sum(1 for _ in self._temporary.rglob("*")),
                "objects": len(listing(backend, "")),
                "data folder": len(list(self._options["data_dir"].iterdir())),
            },
        )


def _own_mb(process):
    """Memory that a process has for itself: neither programs and libraries nor the server's shared buffers."""
    with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1e3
    return 0.0


def _n_files(process):
    """Open file descriptors, sockets included."""
    return process.num_fds()


def growth(samples):
    """Say in sentences what grew after the warm-up: the second half of what remains is compared with the first."""
    after = samples[int(len(samples) * WARM_UP) :]
    assert len(after) > 1, f"{len(samples)} days are too few to see anything grow"
    early, late = after[: len(after) // 2], after[len(after) // 2 :]
    grown = []
    for what in samples[0].counted:
        before, now = (max(one.counted[what] for one in part) for part in (early, late))
        if now > before:
            grown.append(f"{what}: at most {before}, later {now}")
    for whose in samples[0].memory_mb:
        before, now = (statistics.median(one.memory_mb[whose] for one in part) for part in (early, late))
        if now > before * MEMORY_GROWTH + MEMORY_MB:
            grown.append(f"memory of the {whose}: {before:.1f} MB, later {now:.1f} MB")
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--json", type=Path, help="Write all samples to this file.")
    options = parser.parse_args()
    samples = []
    with tempfile.TemporaryDirectory(prefix="dj-neuron-long-run-") as folder, Lab(Path(folder)) as lab:
        while not samples or samples[-1].minute < options.minutes:
            samples.append(lab.live(draw=len(samples) % DRAW_EVERY == 0))
            if len(samples) == 1:
                print("minute  " + "  ".join([*(f"{name} MB" for name in samples[0].memory_mb), *samples[0].counted]))
            one = samples[-1]
            numbers = [*(f"{mb:.1f}" for mb in one.memory_mb.values()), *map(str, one.counted.values())]
            print(f"{one.minute:6.1f}  " + "  ".join(numbers), flush=True)
            if options.json:
                options.json.write_text(json.dumps([vars(sample) for sample in samples], indent=1))
    grown = growth(samples)
    print("\n".join(grown) or f"nothing grew in {len(samples)} days")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
