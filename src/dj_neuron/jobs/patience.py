"""A connection that waits for a server which is restarted, where DataJoint's own would end the worker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj, silent
from dj_neuron.thread_connections import another_connection, answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_N_ATTEMPTS = 5
_COLLISIONS = {1205, 1213, "40001", "40P01"}  # lock wait timeout and deadlock; serialization failure and deadlock


class PatientConnection(dj.Connection):
    """Asks again, on a new connection, when the server went away between transactions.

    What was asked inside a transaction is lost with it: :class:`datajoint.errors.LostConnectionError` says so, on a
    connection that is open again. Outside, a statement may so be executed twice; those of workers bear it.
    """

    _in_transaction = False

    def _stop(self) -> bool:
        return True  # while it is being opened the first time, whoever opens it waits

    def _say(self, _: str) -> None: ...

    @classmethod
    def like(cls, model: Any, stop: Callable[[], bool], say: Callable[[str], None]) -> Self:
        """Open one to the same server as `model`; it waits until `stop` is true, and says that it waits.

        Raises
        ------
        datajoint.errors.LostConnectionError
            If the server does not answer before.
        """
        connection: Self = _outlast(lambda: another_connection(model, cls), stop, say)
        connection._stop, connection._say = stop, say  # type: ignore[method-assign,assignment]
        return connection

    def connect(self) -> None:
        """Open the connection, anew if need be."""
        with silent():
            super().connect()

    def query(self, query: str, args: Any = (), **options: Any) -> Any:
        """Execute a statement.

        Raises
        ------
        datajoint.errors.LostConnectionError
            If the server went away during a transaction, or does not come back before the worker is to stop.
        """
        options["reconnect"] = False  # DataJoint's own reaches MySQL only
        for attempt in range(_N_ATTEMPTS):
            try:
                return super().query(query, args, **options)
            except Exception as error:
                was_in_transaction, last = self._in_transaction, attempt == _N_ATTEMPTS - 1
                if answers(self):
                    if was_in_transaction or last or not _is_collision(error):
                        raise
                    continue
                self._in_transaction = False
                _outlast(self.connect, self._stop, self._say)
                if was_in_transaction or last:
                    raise dj.errors.LostConnectionError("the connection was lost during a transaction") from error
        raise AssertionError  # the last attempt returns or raises


def _outlast(open_it: Callable[[], Any], stop: Callable[[], bool], say: Callable[[str], None]) -> Any:
    """Open a connection as soon as the server is there."""
    pause_s = 0.0
    while True:
        try:
            opened = open_it()
        except Exception as error:
            if stop():
                raise dj.errors.LostConnectionError("the database does not answer") from error
            if not pause_s:
                say("the database does not answer: waiting for it")
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) or _FIRST_PAUSE_S
            rest(pause_s, stop)
        else:
            if pause_s:
                say("the database answers again")
            return opened


def is_collision_or_loss(error: BaseException | None) -> bool:
    """Whether the key itself is not to blame: it met other transactions, or the server went away."""
    return isinstance(error, dj.errors.LostConnectionError) or _is_collision(error)


def _is_collision(error: BaseException | None) -> bool:
    code = getattr(error, "pgcode", None) or next(iter(getattr(error, "args", ())), None)
    return code in _COLLISIONS if isinstance(code, int | str) else False


def rest(duration_s: float, stop: Callable[[], bool]) -> None:
    """Sleep, but not on after `stop` has become true."""
    until = time.monotonic() + duration_s
    while not stop() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
