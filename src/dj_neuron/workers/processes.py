"""Several workers on one machine, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from dj_neuron.workers.report import WorkReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def work_in_processes(
    n_processes: int,
    options: Sequence[str],
    arguments: Sequence[str],
    *,
    n_threads: int | None,
    retry: bool,
    stop: Callable[[], bool],
) -> WorkReport:
    """Start workers, pass signals on to them, and give what they did together.

    Parameters
    ----------
    n_processes : int
        How many.
    options, arguments : sequence of str
        What stands before and behind the verb on each command line: names of files, never secrets.
    n_threads : int, optional
        Of the numerics in each; default: the cores that this process may use, shared out.
    retry : bool
        Whether failed keys are taken up again: by the first worker.
    stop : callable
        Asked ten times a second; when it gives true, all workers are told to end after their key.

    Notes
    -----
    A worker that is killed is not started again; the others take up its key. Workers end after their key, too, when
    this process is gone, however it ended: they listen to a pipe that closes then.
    """
    shared = n_threads or max(1, len(os.sched_getaffinity(0)) // n_processes)
    command = (sys.executable, "-m", "dj_neuron.cli", *options, "worker", "--json", f"--threads={shared}", *arguments)
    theirs, ours = os.pipe()
    workers = [
        # in sessions of their own: Ctrl+C would otherwise reach them twice, from the terminal and from here
        subprocess.Popen(
            (*command, "--until-eof", *(("--retry",) if retry and number == 0 else ())),
            stdin=theirs,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for number in range(n_processes)
    ]
    os.close(theirs)
    told = False
    try:
        while any(worker.poll() is None for worker in workers):
            if stop() and not told:
                told = True
                _tell(workers)
            time.sleep(0.1)
    except BaseException:
        # the first time if they have not heard yet, then the second
        for _ in range(1 if told else 2):
            _tell(workers)
            time.sleep(0.2)
        for worker in workers:
            worker.wait()
        raise
    finally:
        os.close(ours)
    return WorkReport.of_all(_report_of(worker) for worker in workers)


def _tell(workers: Sequence[subprocess.Popen[str]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)


def _report_of(worker: subprocess.Popen[str]) -> WorkReport:
    written = worker.communicate()[0]
    if written:
        return WorkReport(**json.loads(written))
    end = f"signal {-worker.returncode}" if worker.returncode < 0 else f"exit code {worker.returncode}"
    return WorkReport(lost=[f"worker process {worker.pid} ended with {end}"])
