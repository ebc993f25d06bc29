"""One read-only connection per thread, under the name of one: what a server of pages binds the tables to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj, silent
from dj_neuron.errors import DatabaseError
from dj_neuron.postgresql_catalogue import quicken

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_ONLY = {
    "mysql": ("SET SESSION TRANSACTION READ ONLY",),
    "postgresql": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        # it compiles what it thinks will take long, for a second, where pages stop reading after 50 rows
        "SET jit = off",
        # it thinks that a choice is of one row, and compares the thousands that it is with every row of a table
        "SET enable_material = off",
    ),
}


class ThreadConnections:
    """Stands where DataJoint expects a connection; every thread reads through one of its own.

    Parameters
    ----------
    model : datajoint.Connection
        Says which server to connect to, and as whom; it is not used itself.
    description : str
        The server, for errors.

    Notes
    -----
    DataJoint binds table classes to one connection, and a connection serves one thread at a time. It does not open a
    PostgreSQL connection again after the server went away; this does, and asks once more, which is safe because
    nothing here can write: the server refuses it.
    """

    def __init__(self, model: Any, description: str) -> None:
        self._open: Callable[[], Any] = lambda: another_connection(model)
        self._description = description
        self._of_thread = threading.local()
        self._all: dict[int, Any] = {}  # by identity: DataJoint takes connections to one server for equal
        self._lock = threading.Lock()
        self.adapter, self._config = model.adapter, model._config
        self.schemas: dict[str, Any] = {}

    def query(self, query: str, args: Any = (), **options: Any) -> Any:
        """Ask on this thread's connection; on a new one if the server closed it meanwhile.

        Raises
        ------
        DatabaseError
            If the server does not answer.
        """
        # DataJoint's own reconnection would forget that the session is read-only
        options["reconnect"] = False
        mine = self._mine()
        try:
            return mine.query(query, args, **options)
        except Exception:
            if answers(mine):
                raise
        self._drop(mine)
        return self._mine().query(query, args, **options)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            connections, self._all = self._all, {}
        for connection in connections.values():
            if answers(connection):
                connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mine(), name)

    def _mine(self) -> Any:
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._opened()
        return connection

    def _opened(self) -> Any:
        try:
            connection = self._open()
            for statement in _READ_ONLY[connection.adapter.backend]:
                connection.query(statement)
        except Exception as error:
            raise DatabaseError(f"the {self._description} does not answer") from error
        connection.schemas = self.schemas
        with self._lock:
            self._all[id(connection)] = connection
        return connection

    def _drop(self, connection: Any) -> None:
        self._of_thread.connection = None
        with self._lock:
            self._all.pop(id(connection), None)


def another_connection(model: Any, kind: Any = dj.Connection) -> Any:
    """Open a connection of some kind to where `model` is connected, as the same user."""
    info = model.conn_info
    with silent():  # what is to be said of the server was said by `model`
        connection = kind(
            info["host"],
            info["user"],
            info["passwd"],
            info["port"],
            info["ssl_input"],
            database_name=info["database_name"],
            backend=model.adapter.backend,
            config_override=model._config,
        )
    return quicken(connection)


def answers(connection: Any) -> bool:
    """Whether the server still answers on this connection."""
    # DataJoint's own is_connected overlooks what the ping of its adapter returns
    return bool(connection.adapter.ping(connection._conn))
