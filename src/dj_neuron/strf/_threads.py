"""Compiled work on all cores, in threads of our own.

numba's own threads end a process that forks after using them, or that uses them from two threads, depending on
the layer it finds. Our kernels release Python's lock, so plain threads do as well, and do neither.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


_limit: int | None = None


def n_cores() -> int:
    """Give how many threads the numerics use: one per core that this process may run on, unless limited."""
    return _limit or len(os.sched_getaffinity(0))


def use_threads(n_threads: int | None) -> None:
    """Limit the threads of the numerics in this process, for there are others; None lifts the limit."""
    global _limit  # noqa: PLW0603 - the cores belong to the process
    _limit = n_threads


def thread_limit() -> int | None:
    """Give the limit of :func:`use_threads`."""
    return _limit


def n_shares_of(n_tiles: int) -> int:
    """Give into how many shares of rows each tile is cut: few tiles would leave cores idle."""
    return 1 if n_tiles >= 3 * n_cores() or n_tiles % n_cores() == 0 else n_cores()


def on_all_cores(function: Callable[..., Any], n_items: int, *arguments: Any) -> None:
    """Call ``function(part, n_parts, *arguments)`` for all parts at once, no more of them than items or cores."""
    n_parts = max(1, min(n_items, n_cores()))
    if n_parts == 1:
        function(0, 1, *arguments)
        return
    with ThreadPoolExecutor(n_parts - 1) as pool:
        others = [pool.submit(function, part, n_parts, *arguments) for part in range(1, n_parts)]
        function(0, n_parts, *arguments)
        for other in others:
            other.result()
