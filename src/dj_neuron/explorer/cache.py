"""What was loaded lately, and what is loaded anew while the last is shown."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Lately:
    """The results of the last calls, shared by all threads.

    Parameters
    ----------
    n_kept : int
        The one not asked for longest goes first.
    """

    def __init__(self, n_kept: int) -> None:
        self._n_kept = n_kept
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Give what `key` stands for, making it if it was not asked for lately; errors are not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # two threads may make the same at once, which costs less than all others waiting for one
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._n_kept:
                self._kept.popitem(last=False)
        return made


class Renewed:
    """What takes long to make: once it was made, nobody waits for it again.

    Parameters
    ----------
    lasts_s : float
        How old it may be before a thread makes it anew, while callers get what there is.
    """

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._making: Future[None] | None = None
        # one thread for all: each opens a connection to the database
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="renewed")
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Give what `key` stands for; make it if it was never made, and have it made anew if it is old."""
        with self._lock:
            kept = self._kept.get(key)
            is_made = self._making is None or self._making.done()
            if kept and is_made and time.monotonic() - kept[0] > self._lasts_s:
                self._making = self._thread.submit(self._make, key, make)
        return kept[1] if kept else self._make(key, make)

    def _make(self, key: Hashable, make: Callable[[], Any]) -> Any:
        made = make()
        with self._lock:
            self._kept[key] = time.monotonic(), made
        return made
