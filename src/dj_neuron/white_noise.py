"""Generators of white-noise movies: ``ran1``, which made the movies of the ret-1 recordings."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

HAS_NUMBA = find_spec("numba") is not None

_MULTIPLIER = 16807
_MODULUS = 2**31 - 1
_N_WARM_UP = 8
_SHUFFLE_SIZE = 32
_SLOT_SHIFT = 26  # a deviate's slot in the shuffle table: deviate // 2**26, 0..31

_CHUNK = 1 << 18  # deviates made at a time: bounds the memory
_WORTH_COMPILING = 1 << 22  # how many deviates take Python longer than numba takes to import

RET1_SEED = 10000


def _minimal_standard(seed: int, n: int) -> Ints:
    """Give the first `n` values after `seed` of x -> 16807 x mod 2^31 - 1."""
    values = np.empty(n, np.int64)
    values[:1] = seed * _MULTIPLIER % _MODULUS
    done, factor = 1, _MULTIPLIER
    while done < n:
        # every value is a fixed power of the multiplier ahead of the one `done` places before it
        count = min(done, n - done)
        values[done : done + count] = values[:count] * factor % _MODULUS
        done += count
        factor = factor * factor % _MODULUS
    return values


def ran1(seed: int, n: int) -> Ints:
    """Give `n` deviates of Park and Miller's generator with a Bays-Durham shuffle.

    Parameters
    ----------
    seed : int
        1 to 2^31 - 2 (what callers of the original hand over as a negative number).
    n : int
        How many.

    Returns
    -------
    array (n,) of int64
        In 1 to 2^31 - 2; divide by 2^31 - 1 for uniform deviates in (0, 1).

    Notes
    -----
    Many at a time are compiled by numba where that is installed, else made in Python; the results are the same.

    References
    ----------
    .. [1] Park, Miller (1988), Random number generators: good ones are hard to find, CACM 31:1192-1201.
    .. [2] Bays, Durham (1976), Improving a poor random number generator, ACM TOMS 2:59-64.
    """
    deviates = np.empty(n, np.int64)
    done = 0
    for chunk in _chunks(seed, n):
        deviates[done : done + chunk.size] = chunk
        done += chunk.size
    return deviates


def _chunks(seed: int, n: int) -> Iterator[Ints]:
    if not 1 <= seed < _MODULUS:
        raise ValueError(f"seed is {seed}, expected 1 to {_MODULUS - 1}")
    return (chunks_compiled if HAS_NUMBA and n >= _WORTH_COMPILING else chunks_in_python)(seed, n)


def chunks_compiled(seed: int, n: int) -> Iterator[Ints]:
    """Give `n` deviates in chunks, compiled by numba."""
    from dj_neuron._ran1_kernel import fill_deviates  # noqa: PLC0415 - numba takes a second to import

    value, table = _start(seed)
    deviate = table[0]
    for done in range(0, n, _CHUNK):
        deviates = np.empty(min(_CHUNK, n - done), np.int64)
        value = fill_deviates(value, deviate, table, deviates)
        deviate = deviates[-1]
        yield deviates


def chunks_in_python(seed: int, n: int) -> Iterator[Ints]:
    """Give `n` deviates in chunks, shuffled one after another in Python: slower, and the same."""
    value, start = _start(seed)
    table = start.tolist()
    deviate = table[0]
    for done in range(0, n, _CHUNK):
        values = _minimal_standard(value, min(_CHUNK, n - done)).tolist()
        value = values[-1]
        for place, drawn in enumerate(values):
            slot = deviate >> _SLOT_SHIFT
            deviate = table[slot]
            table[slot] = drawn
            values[place] = deviate
        yield np.array(values, np.int64)


def _start(seed: int) -> tuple[int, Ints]:
    """Give the generator's last value and the filled table of the shuffle."""
    start = _minimal_standard(seed, _N_WARM_UP + _SHUFFLE_SIZE)
    return int(start[-1]), start[_N_WARM_UP:][::-1].copy()  # filled from the end


def ret1_stream(n: int) -> NDArray[np.int8]:
    """Give the first `n` block values, -1 black or +1 white, that all ret-1 movies begin with."""
    stream = np.empty(n + 1, np.int8)
    done = 0
    for deviates in _chunks(RET1_SEED, n + 1):
        stream[done : done + deviates.size] = np.where(2 * deviates >= _MODULUS, np.int8(-1), np.int8(1))
        done += deviates.size
    return stream[1:]  # the first deviate is skipped


def ret1_movie(n_frames: int, n_y: int, n_x: int, stream: NDArray[np.int8] | None = None) -> NDArray[np.int8]:
    """Give a ret-1 movie, ``(n_frames, n_y, n_x)`` of -1 (black) and +1 (white).

    `stream` is a :func:`ret1_stream` long enough, for a caller who makes several movies.

    Notes
    -----
    x runs fastest, then y, then frames. For bars this order is confirmed by a published picture of
    frame 10 of the 640 x 1 movie; for checkers it is the published converter's, not confirmed by one.
    """
    n = n_frames * n_y * n_x
    return (ret1_stream(n) if stream is None else stream[:n]).reshape(n_frames, n_y, n_x)
