"""Compiling for the machine at hand: the kernels that Python calls are kept on disk, where any folder takes them."""

from __future__ import annotations

import functools
import logging
from typing import Any

from numba import njit

_log = logging.getLogger(__name__)


def compiled(function: Any) -> Any:
    """Compile a kernel when it is first called, and keep the result for other processes if that is possible."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba looks for a folder already now
        _tell_once()
        return njit(nogil=True)(function)


@functools.cache
def _tell_once() -> None:
    _log.warning(
        "compiling takes some ten seconds in every process, as it can be kept neither beside dj-neuron's code nor in "
        "the user's cache folder: NUMBA_CACHE_DIR can name another folder for it"
    )
