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


N_CORES = len(os.sched_getaffinity(0))


def n_shares_of(n_tiles: int) -> int:
    """Give into how many shares of rows each tile is cut: few tiles would leave cores idle."""
    return 1 if n_tiles >= 3 * N_CORES or n_tiles % N_CORES == 0 else N_CORES


def on_all_cores(function: Callable[..., Any], n_items: int, *arguments: Any) -> None:
    """Call ``function(part, n_parts, *arguments)`` for all parts at once, no more of them than items or cores."""
    n_parts = max(1, min(n_items, N_CORES))
    if n_parts == 1:
        function(0, 1, *arguments)
        return
    with ThreadPoolExecutor(n_parts - 1) as pool:
        others = [pool.submit(function, part, n_parts, *arguments) for part in range(1, n_parts)]
        function(0, n_parts, *arguments)
        for other in others:
            other.result()
