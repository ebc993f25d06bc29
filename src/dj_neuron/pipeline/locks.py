"""Locks of the server that keep processes apart; the server forgets the lock of a process that died."""

from __future__ import annotations

import logging
import os
import platform
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import DatabaseError, printable
from dj_neuron.pipeline import experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

_HOLD_INGESTS = {
    # waits for sessions that are being inserted and keeps new ones waiting; whoever only reads does not notice
    "mysql": ("SET SESSION innodb_lock_wait_timeout = 60", "SELECT COUNT(sample_number) FROM {} FOR UPDATE"),
    "postgresql": ("SET LOCAL lock_timeout = '60s'", "LOCK TABLE {} IN SHARE MODE"),
}
_TAKE = {
    "mysql": "SELECT GET_LOCK(%s, 0)",
    # and tell others who has it
    "postgresql": "SELECT pg_try_advisory_lock(hashtext(%s)), set_config('application_name', %s, false)",
}
_GIVE = {
    "mysql": "SELECT RELEASE_LOCK(%s)",
    "postgresql": "SELECT pg_advisory_unlock(hashtext(%s))",
}
_HOLDER = {
    "mysql": "SELECT CONCAT(user, ' from ', host) FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)",
    "postgresql": (
        "SELECT COALESCE(NULLIF(application_name, ''), usename) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND objid = (hashtext(%s)::bigint & 4294967295)::oid"
    ),
}

_PAUSES_S = (0.05, 0.5)  # between two attempts: the shortest, the longest
_SILENT_S = 3.0
_LONGEST_S = 60.0  # an upgrade may take longer, but a process that is stopped would be waited for in vain


@contextmanager
def alone(connection: Any, name: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock `name`, which one process at a time can hold.

    Who has to wait says after some seconds for whom.

    Raises
    ------
    DatabaseError
        If another process holds it: at once without `wait`, else after a minute.
    """
    begun, pause_s, told = time.monotonic(), _PAUSES_S[0], False
    # asked again and again rather than left to the server: clients listen to no signal while they wait for an answer
    while not _take(connection, name):
        waited_s = time.monotonic() - begun
        if not wait or waited_s > _LONGEST_S:
            raise DatabaseError(f"{_at_work(connection, name)}: try again when it has ended")
        if waited_s > _SILENT_S and not told:
            _log.warning("%s: waiting for it, a minute at most", _at_work(connection, name))
            told = True
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSES_S[1])
    try:
        yield
    finally:
        if connection.is_connected:
            connection.query(_GIVE[connection.adapter.backend], args=(name,)).fetchall()


def copy_lock(prefix: str) -> str:
    """Give the name of the lock that a copy into the schemas of a prefix holds."""
    return f"{prefix} copy"


def _take(connection: Any, name: str) -> bool:
    backend = connection.adapter.backend
    args = (name, f"dj-neuron {os.getpid()} on {platform.node()}") if backend == "postgresql" else (name,)
    return bool(connection.query(_TAKE[backend], args=args).fetchone()[0])


def _at_work(connection: Any, name: str) -> str:
    holder = connection.query(_HOLDER[connection.adapter.backend], args=(name,)).fetchone()
    known = f" ({printable(holder[0])})" if holder and holder[0] else ""  # the server shows not all to everybody
    return f"another process{known} is at work on the tables of {name!r}"


@contextmanager
def ingests_held(connection: Any) -> Iterator[None]:
    """Open a transaction during which others insert no session, and write none of its movies.

    Raises
    ------
    DatabaseError
        If sessions are being inserted for more than a minute.
    """
    with connection.transaction:
        try:
            for statement in _HOLD_INGESTS[connection.adapter.backend]:
                connection.query(statement.format(experiment.Session().full_table_name))
        except Exception as error:
            if "timeout" not in str(error):
                raise
            raise DatabaseError("sessions are being inserted for more than a minute: try again later") from error
        yield
