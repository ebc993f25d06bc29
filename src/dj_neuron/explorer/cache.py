"""What was loaded lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
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
