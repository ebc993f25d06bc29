"""How a worker is told to end: once politely, twice at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORDS = b"ending after the key at hand; the same signal again gives it back and ends at once\n"


class Stop:
    """True, when called, once SIGTERM or SIGINT has come.

    Parameters
    ----------
    again : callable
        What the second signal calls; a handler of signals that raises.

    Attributes
    ----------
    signal : int or None
        The first signal that came.
    """

    def __init__(self, again: Callable[[int, object], None]) -> None:
        self.signal: int | None = None
        self._again = again

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT."""
        before = {number: signal.signal(number, self._come) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def at_end_of(self, stream: int) -> None:
        """Take the end of a stream, which another process holds open as long as it lives, for a SIGTERM."""

        def listen() -> None:
            while os.read(stream, 1):
                pass
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=listen, daemon=True).start()

    def _come(self, number: int, frame: object) -> None:
        if self.signal is not None:
            self._again(number, frame)
            return
        self.signal = number
        os.write(2, _WORDS)  # not print(): the signal may have come in the middle of one
