"""Locks of the server that keep processes apart; the server forgets the lock of a process that died."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAITING = {
    "mysql": ("SELECT GET_LOCK(%s, 60)", "SELECT RELEASE_LOCK(%s)"),
    "postgresql": ("SELECT pg_advisory_lock(hashtext(%s)) IS NOT NULL", "SELECT pg_advisory_unlock(hashtext(%s))"),
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
