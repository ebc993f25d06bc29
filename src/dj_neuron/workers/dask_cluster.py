"""Workers on a Dask cluster: its scheduler places one in each of its processes."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from dj_neuron.connection import connect_with, when_it_answers
from dj_neuron.errors import DjNeuronError, PipelineError
from dj_neuron.workers.report import WorkReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.database import Settings

_ASK_EVERY_S = 1.0

# The tables belong to one connection at a time in a process.
_one_at_a_time = threading.Lock()


def work_on_dask(
    address: str,
    settings: Settings,
    *,
    forever: bool,
    retry: bool,
    n_threads: int | None,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    look: Callable[[], None],
    timeout_s: float = 10.0,
) -> WorkReport:
    """Have every worker of a cluster populate until nothing is left, and give what they did together.

    Parameters
    ----------
    address : str
        Of the cluster's scheduler, such as ``tcp://10.0.0.1:8786``.
    settings : Settings
        Which database; sent to the workers, and shown by none of them.
    forever, retry, n_threads
        As of :meth:`dj_neuron.connection.Pipeline.work`; `n_threads` is by default what the cluster gives a worker.
    stop : callable
        Asked every second; when it gives true, all workers end after their key.
    say : callable
        Called with a line when a worker ends.
    look : callable
        Called every second.
    timeout_s : float
        s to wait for the scheduler.

    Raises
    ------
    PipelineError
        If the extra ``dask`` is not installed, or no cluster with workers answers.
    """
    try:
        from distributed import Client, Event, wait  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise PipelineError("workers on Dask need distributed: pip install 'dj-neuron[dask]'") from error
    try:
        client = Client(address, timeout=timeout_s, name="dj-neuron")
    except (OSError, ValueError, TimeoutError) as error:
        raise PipelineError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        places = {
            place: n_threads or found["nthreads"]
            for place, found in client.scheduler_info(n_workers=-1)["workers"].items()
        }
        if not places:
            raise PipelineError(f"the Dask cluster at {address} has no workers, expected one at least")
        run = uuid.uuid4().hex[:8]
        ended = Event(f"dj-neuron-end-{run}", client=client)
        futures = {
            client.submit(
                _work_here, settings, ended.name, forever, retry and number == 0, threads,
                key=f"dj-neuron-worker-{run}-{number}", workers=[place], allow_other_workers=True, pure=False,
            ): place
            for number, (place, threads) in enumerate(places.items())
        }  # fmt: skip
        say(f"{len(futures)} workers on the Dask cluster at {address}")
        reports, running = [], set(futures)
        try:
            while running:
                try:
                    done = wait(running, timeout=_ASK_EVERY_S, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    done = set()
                running -= done
                for future in done:
                    reports.append(_report_of(future, futures[future]))
                    say(f"{futures[future]}: {reports[-1]}")
                look()
                if stop():
                    ended.set()
        finally:
            ended.set()  # those that still run end after their key
    return WorkReport.of_all(reports)


def _report_of(future: Any, place: str) -> WorkReport:
    error = future.exception()
    if error is None:
        report: WorkReport = future.result()
        return report
    words = str(error) if isinstance(error, DjNeuronError) else f"{type(error).__name__}: {error}"
    return WorkReport(lost=[f"Dask worker {place}: {words}"])


def _work_here(settings: Settings, ended: str, forever: bool, retry: bool, n_threads: int) -> WorkReport:
    """Be a worker, in a thread of a Dask worker."""
    from distributed import Event  # noqa: PLC0415 - an optional extra

    if not _one_at_a_time.acquire(blocking=False):
        raise PipelineError("two Dask workers share a process, expected one process each")
    try:
        report, event = WorkReport(), Event(ended)
        asked = [time.monotonic(), False]

        def stop() -> bool:
            if not asked[1] and time.monotonic() - asked[0] > _ASK_EVERY_S:
                asked[:] = [time.monotonic(), event.is_set()]
            return bool(asked[1])

        pipeline = when_it_answers(lambda: connect_with(settings), stop, lambda _: None)
        pipeline.work(forever=forever, retry=retry, n_threads=n_threads, stop=stop, report=report.add)
        return report
    finally:
        _one_at_a_time.release()
