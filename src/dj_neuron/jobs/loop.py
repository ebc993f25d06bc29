"""What a worker does: one reserved key after the other, table after table, until nothing is left."""

from __future__ import annotations

import random
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from threadpoolctl import threadpool_limits

from dj_neuron._datajoint import dj, silent_on_failed_keys
from dj_neuron.errors import PipelineError
from dj_neuron.jobs.patience import rest
from dj_neuron.jobs.presence import Presence, living
from dj_neuron.jobs.reservations import Reservations
from dj_neuron.pipeline.locks import alone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Key = dict[str, Any]

# How long a worker must be seen without its lock: after a restart of the server all take theirs again.
GRACE_S = 6.0

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_LONGEST_IDLE_PAUSE_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """What became of one key.

    Attributes
    ----------
    table : str
        Name of the computed table.
    key : dict
        Its primary key.
    result : {"computed", "failed", "given back"}
        Given back: the worker was told to end, or the database went away; the key waits again.
    duration_s : float
        s, with fetching and storing.
    message : str
        Why it was not computed.
    """

    table: str
    key: Key
    result: Literal["computed", "failed", "given back"]
    duration_s: float
    message: str = ""

    def __str__(self) -> str:
        words = ", ".join(f"{name} {value}" for name, value in self.key.items())
        end = f"computed in {self.duration_s:.1f} s" if self.result == "computed" else f"{self.result}: {self.message}"
        return f"{self.table} of {words}: {end}"


class Worker:
    """Populates tables with reserved keys, beside any number of others.

    Parameters
    ----------
    connection : datajoint.Connection
        To which the tables are bound.
    prefix : str
        Of the schemas; jobs are created under its lock.
    tables : mapping of class to int or None
        The computed tables in the order of their foreign keys, and how many threads of BLAS suit each.
    stop : callable
        True when no further key is to be begun.
    report : callable
        Called with every outcome, and with None while waiting for others.
    """

    def __init__(
        self,
        connection: Any,
        prefix: str,
        tables: Mapping[Any, int | None],
        *,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[Outcome | None], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._stop, self._report = stop, report
        self._presence = Presence(connection)
        self._missing_since: dict[int, float] = {}
        # Job.reserve() writes this number beside host and pid; a real one changes when the server is restarted
        connection.connection_id = self._presence.ticket
        with alone(connection, prefix):
            self._tables = {
                Reservations(table(), self._presence.ticket): n_threads for table, n_threads in tables.items()
            }

    def retry(self) -> int:
        """Make all failed keys wait again; give their number."""
        return sum(reservations.retry() for reservations in self._tables)

    def run(self, *, forever: bool = False) -> None:
        """Compute until nothing is left for anybody, or until told to stop.

        Raises
        ------
        PipelineError
            If somebody deletes the tables.
        """
        with self._presence:
            try:
                self._run(forever)
            except dj.errors.MissingTableError as error:
                raise PipelineError(
                    "all tables were deleted, perhaps to build them anew: start the worker again when that is done"
                ) from error
            finally:
                # told to end between reserving a key and beginning it, or broken off in the middle
                self._give_back_all()

    def _run(self, forever: bool) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stop():
            if self._pass():
                pause_s = _FIRST_PAUSE_S
                continue
            # in the order of foreign keys: when a table has nothing left, the next knows all its keys
            some_left = any(reservations.n_left() for reservations in self._tables)
            if not some_left and not forever:
                return
            self._report(None)
            rest(pause_s, self._stop)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S if some_left else _LONGEST_IDLE_PAUSE_S)

    def _pass(self) -> bool:
        """Go through all tables once; give whether anything was done."""
        anything = False
        for reservations, n_threads in self._tables.items():
            if self._stop():
                break
            self._take_from_the_gone()
            reservations.add_new()
            with threadpool_limits(n_threads, user_api="blas"):
                anything |= self._work_through(reservations)
        return anything

    def _work_through(self, reservations: Reservations) -> bool:
        anything = False
        keys = deque(reservations.pending())
        while keys and not self._stop():
            outcome = self._make(reservations, keys.popleft())
            if outcome is None:
                # others go through the same keys in the same order: leave them theirs
                random.shuffle(keys)
                continue
            anything |= outcome.result != "given back"
            self._report(outcome)
        return anything

    def _make(self, reservations: Reservations, key: Key) -> Outcome | None:
        """Compute a key; None if somebody else has it, or had it, or it is gone."""
        table = reservations.table
        started = time.perf_counter()
        try:
            # populate() itself works only in the main thread, and takes SIGTERM for its own: this is its step for a key
            with silent_on_failed_keys():
                made = table._populate1(key, reservations, suppress_errors=True, return_exception_objects=True)
        except dj.errors.LostConnectionError as error:
            reservations.message = str(error)
            reservations.settle(key)
            made = reservations.settled == "computed"
        if isinstance(made, tuple) and isinstance(made[1], KeyboardInterrupt):
            raise made[1]
        result = reservations.settled
        if result is None or result == "gone" or (result == "computed" and made is not True):
            return None
        return Outcome(table.__class__.__name__, key, result, time.perf_counter() - started, reservations.message)

    def _take_from_the_gone(self) -> None:
        theirs = set()
        for reservations in self._tables:
            others = reservations.others()
            reservations.complete_for(others)
            theirs |= {row["connection_id"] for row in others}
        missing = theirs - living(self._connection, theirs)
        now = time.monotonic()
        self._missing_since = {ticket: self._missing_since.get(ticket, now) for ticket in missing}
        watched_since = self._presence.held_since
        if watched_since is None:
            return
        gone = {t for t, since in self._missing_since.items() if now - max(since, watched_since) > GRACE_S}
        if gone:
            for reservations in self._tables:
                reservations.take_from(gone)

    def _give_back_all(self) -> None:
        try:
            for reservations in self._tables:
                reservations.give_back_all()
        except Exception:  # noqa: S110 - without a database, others find out that this worker is gone
            pass
