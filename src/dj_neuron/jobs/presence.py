"""Whether a worker lives: a lock that the server takes back when the connection that holds it is gone."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from dj_neuron.thread_connections import another_connection, answers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

# Numbers of real connections are smaller; DataJoint's own workers write those.
FIRST_TICKET = 2**32

# The server ends a connection that has been silent for so long, because its machine is gone or asleep.
LEASE_S = 60
RENEWAL_S = 2.0

_LEASE = {
    "mysql": f"SET SESSION wait_timeout = {LEASE_S}",
    "postgresql": f"SET idle_session_timeout = '{LEASE_S}s'",
}
_TAKE = {
    "mysql": "SELECT GET_LOCK(CONCAT('dj_neuron worker ', %s), 0)",
    "postgresql": "SELECT pg_try_advisory_lock(%s)",
}


class Presence:
    """A worker's sign of life, kept up by a thread with a connection of its own.

    Parameters
    ----------
    model : datajoint.Connection
        Says which server to connect to, and as whom.

    Attributes
    ----------
    ticket : int
        The worker's number, drawn at random; stands as ``connection_id`` in the jobs that it reserves.
    held_since : float or None
        Since when, by ``time.monotonic()``, the lock has been held without a break.
    """

    def __init__(self, model: Any) -> None:
        self.ticket = FIRST_TICKET + secrets.randbelow(2**62)
        self.held_since: float | None = None
        self._model = model
        self._connection: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="dj-neuron presence", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._take()
        except Exception:
            self._drop()
            if answers(self._model):
                raise
            # the server is away: the thread takes the lock when it is back
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        self._drop()

    def _keep(self) -> None:
        while not self._ended.wait(RENEWAL_S):
            try:
                if self.held_since is None:
                    self._take()
                else:
                    self._connection.query("SELECT 1", reconnect=False)
            except Exception:
                self._drop()

    def _take(self) -> None:
        if self._connection is None:
            self._connection = another_connection(self._model)
            self._connection.query(_LEASE[self._model.adapter.backend], reconnect=False)
        taken = self._connection.query(_TAKE[self._model.adapter.backend], args=(self.ticket,), reconnect=False)
        # not taken: the server still believes in a connection of ours that broke
        self.held_since = time.monotonic() if taken.fetchone()[0] else None

    def _drop(self) -> None:
        connection, self._connection, self.held_since = self._connection, None, None
        try:
            if connection is not None:
                connection.close()
        except Exception:  # noqa: S110 - a broken connection need not be closed
            pass


def living(connection: Any, tickets: Iterable[int]) -> set[int]:
    """Give those of the tickets whose workers live."""
    asked = [int(ticket) for ticket in tickets]
    if not asked:
        return set()
    if connection.adapter.backend == "mysql":
        columns = ", ".join(["IS_USED_LOCK(CONCAT('dj_neuron worker ', %s))"] * len(asked))
        holders = connection.query(f"SELECT {columns}", args=asked).fetchone()
        return {ticket for ticket, holder in zip(asked, holders, strict=True) if holder is not None}
    held = connection.query(
        "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
        "AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchall()
    return {row[0] for row in held}.intersection(asked)
