#!/usr/bin/env python
"""Fuzz a reader under coverage (atheris and libFuzzer), each target in a process of its own.

python fuzz/run.py                       all targets, three seconds each: what .ci/run does
python fuzz/run.py --seconds 300 pickle  one of them, longer
python fuzz/run.py --reproduce FILE pickle

What ended a run is kept in fuzz/found/. What reached new code lies in fuzz/grown/, which the next run goes on from, and
which stays out of the repository.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FOUND, GROWN = HERE / "found", HERE / "grown"


def fuzz(name: str, folder: Path, arguments: list[str]) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris  # noqa: PLC0415 - only the processes that fuzz need it

    with atheris.instrument_imports(include=["dj_neuron.readers", "dj_neuron.contracts", "pickletools", "tomllib"]):
        import targets  # noqa: PLC0415
    target, guard = targets.TARGETS[name], targets.Guard(folder)

    def one(data: bytes) -> None:
        with guard():
            target(folder, data)

    # what is imported, compiled or cached at the first reading is none of the file's doing
    for path in sorted((targets.CORPUS / name).iterdir()):
        target(folder, path.read_bytes())
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def run(name: str, seconds: int, memory_mb: int, timeout_s: int, seed: int, reproduce: Path | None) -> bool:
    """Start the process of a target; tell whether it found nothing."""
    import targets  # noqa: PLC0415

    in_memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=in_memory if os.access(in_memory, os.W_OK) else None))
    grown = GROWN / name
    grown.mkdir(parents=True, exist_ok=True)
    FOUND.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}", f"-rss_limit_mb={memory_mb}", f"-timeout={timeout_s}", "-max_len=65536",
        f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1", "-reload=0", f"-seed={seed}",
        *([str(reproduce)] if reproduce else [str(grown), str(targets.CORPUS / name)]),
    ]  # fmt: skip
    command = [sys.executable, __file__, "--in-process", name, str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONHASHSEED": "random"}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    executed = re.search(r"number_of_executed_units:\s+(\d+)", ended.stderr)
    peak = re.search(r"peak_rss_mb:\s+(\d+)", ended.stderr)
    print(
        f"{name}: {executed[1] if executed else 'an unknown number of'} executions, {peak[1] if peak else 'unknown'} "
        f"MB at most: {'nothing found' if ended.returncode == 0 else 'FOUND SOMETHING'}"
    )
    if ended.returncode != 0:
        print(ended.stdout[-4000:], ended.stderr[-6000:], sep="\n")
    return ended.returncode == 0


def main() -> int:
    """Fuzz the targets that are named."""
    if sys.argv[1:2] == ["--in-process"]:
        fuzz(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
        return 0
    import targets  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=", ".join(targets.TARGETS))
    parser.add_argument("--seconds", type=int, default=3, help="for each target (default: 3)")
    parser.add_argument("--memory-mb", type=int, default=1500)
    parser.add_argument("--timeout-s", type=int, default=20, help="for a single input")
    parser.add_argument("--seed", type=int, default=1, help="of what is tried; 0 draws one (default: 1)")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="read this one only")
    given = parser.parse_args()
    unknown = set(given.names) - set(targets.TARGETS)
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}, expected {', '.join(targets.TARGETS)}")
    results = [
        run(name, given.seconds, given.memory_mb, given.timeout_s, given.seed, given.reproduce)
        for name in given.names or targets.TARGETS
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
