"""A client's connection, which nobody holds without asking for something."""

from __future__ import annotations

import time
from typing import Any

from waitress.channel import HTTPChannel

WHOLE_REQUEST_S = 30.0


class TimedChannel(HTTPChannel):  # type: ignore[misc]
    """A connection that is closed where no whole request comes in time, and sooner if somebody else needs its place.

    Attributes
    ----------
    waits_since : float
        When it was opened, or its last answer was made.

    Notes
    -----
    Waitress counts from the last byte: a client that sends or takes one now and then would stay for ever, and a hundred
    of such lock everybody else out.
    """

    will_close: bool

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: dict[int, Any]) -> None:  # noqa: A002
        others = [one for one in map.values() if isinstance(one, TimedChannel)]
        waiting = [one for one in others if not one.requests and not one.will_close]
        super().__init__(server, sock, addr, adj, map=map)
        self.waits_since = time.monotonic()
        # a place is kept for who comes next: without one, waitress lets nobody in
        if waiting and len(map) >= adj.connection_limit - 1:
            min(waiting, key=lambda one: one.waits_since).will_close = True

    def readable(self) -> bool:
        """Whether bytes may be read; waitress asks at least once a second."""
        is_idle = not self.requests and not self.total_outbufs_len
        if is_idle and time.monotonic() - self.waits_since > WHOLE_REQUEST_S:
            self.will_close = True
        return bool(super().readable())

    def service(self) -> None:
        """Answer a request."""
        super().service()
        self.waits_since = time.monotonic()
