"""Locks of the server that keep processes apart; the server forgets the lock of a process that died."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import DatabaseError
from dj_neuron.pipeline import experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAITING = {
    "mysql": ("SELECT GET_LOCK(%s, 60)", "SELECT RELEASE_LOCK(%s)"),
    "postgresql": ("SELECT pg_advisory_lock(hashtext(%s)) IS NOT NULL", "SELECT pg_advisory_unlock(hashtext(%s))"),
}
_HOLD_INGESTS = {
    # waits for sessions that are being inserted and keeps new ones waiting; whoever only reads does not notice
    "mysql": ("SET SESSION innodb_lock_wait_timeout = 60", "SELECT COUNT(sample_number) FROM {} FOR UPDATE"),
    "postgresql": ("SET LOCAL lock_timeout = '60s'", "LOCK TABLE {} IN SHARE MODE"),
}
_AT_ONCE = {"mysql": "SELECT GET_LOCK(%s, 0)", "postgresql": "SELECT pg_try_advisory_lock(hashtext(%s))"}


@contextmanager
def alone(connection: Any, name: str, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock `name`, which one process at a time can hold.

    Raises
    ------
    DatabaseError
        If another process holds it: at once without `wait`, on MySQL else after a minute.
    """
    backend = connection.adapter.backend
    take, give = _WAITING[backend]
    if not connection.query(take if wait else _AT_ONCE[backend], args=(name,)).fetchone()[0]:
        raise DatabaseError(f"another process is at work on the tables of {name!r}: try again when it has ended")
    try:
        yield
    finally:
        if connection.is_connected:
            connection.query(give, args=(name,)).fetchall()


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
