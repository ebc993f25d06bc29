"""Workers killed at random, a database restarted under them, and how throughput grows: python benchmarks/workers.py.

First 1, 2 and 4 workers, as processes in network namespaces of their own if this is root, populate a server of their
own while one of them is killed now and then and replaced, and the server is stopped and started again. Every key must
be computed once, with the same results, to the bit, as by one process. Then the same work without disturbance: keys per
second, and processor time of the database per key, which says how many workers it can serve.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import dj_neuron
from dj_neuron.ingest import ingest_session
from worker_experiment import (
    DELAYS,
    SERVERS,
    WorkerProcess,
    contents,
    made_by,
    make_sessions,
    register,
    wait_for,
)

BRIDGE, ADDRESS = "djbench", "10.213.0.1"


@contextmanager
def namespaces(n):
    """Give commands that run something in network namespaces of their own, joined by a bridge; none unless root."""
    if os.geteuid() != 0:
        yield [()] * n
        return

    def ip(*words):
        subprocess.run(("ip", *words), check=True)

    names = [f"djbench{number}" for number in range(n)]
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(names):
            ip("netns", "add", name)
            ip("link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}h", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"10.213.0.{number + 2}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield [("ip", "netns", "exec", name) for name in names]
    finally:
        for name in names:
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)
        subprocess.run(("ip", "link", "del", BRIDGE), check=False, capture_output=True)


def alone(folder, **work):
    """What one process computes by itself."""
    server = SERVERS["embedded"](folder)
    with dj_neuron.connect(prefix="bench_alone", **server.options) as pipeline:
        for session in make_sessions(**work):
            ingest_session(session)
        pipeline.compute(DELAYS)
    return contents(server, "bench_alone")


def disturbed(server, folder, expected, n_workers, places, n_kills, rng, **work):
    """Kill workers and restart the server while they work; give how it came out."""
    prefix = f"bench_kill{n_workers}"
    register(server, prefix, **work)
    at_work = [
        WorkerProcess(server, prefix, folder, f"{prefix}-{number}", before=places[number % len(places)])
        for number in range(n_workers)
    ]
    everybody = [*at_work]
    started, n_killed = time.monotonic(), 0
    while any(worker.is_running() for worker in at_work):
        n_made = sum(made_by(everybody).values())
        if n_killed < n_kills:
            wait_for(lambda n=n_made: sum(made_by(everybody).values()) > n or not at_work[0].is_running(), 600)
            time.sleep(rng.uniform(0, 2))
            victim = rng.randrange(n_workers)
            if at_work[victim].is_running():
                at_work[victim].signal(signal.SIGKILL)
            n_killed += 1
            name = f"{prefix}-{n_workers + n_killed}"
            at_work[victim] = WorkerProcess(server, prefix, folder, name, before=places[victim % len(places)])
            everybody.append(at_work[victim])
            if n_killed == n_kills // 2:
                server.stop()
                time.sleep(rng.uniform(1, 3))
                server.start()
        time.sleep(0.1)
    made = made_by(everybody)
    found = contents(server, prefix)
    n_keys = sum(len(rows) for name, rows in found.items() if name in MASTERS)
    n_twice = sum(n - 1 for n in made.values())
    taken_up = sum(" is gone" in line for worker in everybody for line in worker.lines())
    duration_s = time.monotonic() - started
    print(
        f"{server.name:20} {n_workers} workers, {n_killed} killed, 1 restart, {duration_s:6.1f} s: {n_keys} keys, "
        f"{len(made)} announced, {n_twice} computed twice, {taken_up} failed for losses, "
        f"{'identical to' if found == expected else 'DIFFERENT FROM'} one process",
        flush=True,
    )
    return found == expected and n_twice == 0


MASTERS = {"StrfEstimation", "Significance", "ReceptiveField", "Mosaic", "Covariance", "Prediction", "Sufficiency"}


def processor_s(pid):
    """Processor time of a server and its children, s."""
    main = psutil.Process(pid)
    own = main.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in main.children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system
    return total


def throughput(server, folder, n_workers, places, **work):
    """Print keys per second with so many workers, and the database's processor time per key."""
    prefix = f"bench_speed{n_workers}"
    register(server, prefix, **work)
    before, started = processor_s(server.pid), time.monotonic()
    workers = [
        WorkerProcess(server, prefix, folder, f"{prefix}-{i}", "--threads=1", before=places[i % len(places)])
        for i in range(n_workers)
    ]
    codes = [worker.wait(3600) for worker in workers]
    duration_s = time.monotonic() - started
    n_keys = sum(made_by(workers).values())
    database_s = (processor_s(server.pid) - before) / n_keys
    print(
        f"{server.name:20} {n_workers} workers: {n_keys} in {duration_s:5.1f} s, {n_keys / duration_s:5.2f} keys/s, "
        f"database {1e3 * database_s:5.1f} ms per key: full at {1 / database_s:.0f} keys/s and core; "
        f"exit codes {codes}",
        flush=True,
    )


def main():
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", default=[kind for kind in SERVERS if SERVERS[kind].is_here()])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", choices=["disturbed", "throughput"], nargs="*", default=[])
    arguments = parser.parse_args()
    rng, work = random.Random(arguments.seed), {"n_sessions": arguments.sessions}  # noqa: S311 - chooses victims
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        expected = alone(Path(scratch), **work)
        for kind in arguments.servers:
            folder = Path(scratch) / kind
            folder.mkdir()
            with namespaces(max(arguments.workers)) as places:
                # a socket of the embedded server is a file: namespaces of networks make no difference to it
                apart = kind != "embedded" and any(places)
                server = SERVERS[kind](folder, ADDRESS) if apart else SERVERS[kind](folder)
                server.start()
                try:
                    for n_workers in arguments.workers:
                        apart_in = places if apart else [()]
                        if "disturbed" not in arguments.skip:
                            good &= disturbed(
                                server, folder, expected, n_workers, apart_in, arguments.kills, rng, **work
                            )
                        if "throughput" not in arguments.skip:
                            throughput(server, folder, n_workers, apart_in, **work)
                finally:
                    server.close()
    sys.exit(not good)


if __name__ == "__main__":
    main()
