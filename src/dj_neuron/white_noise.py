"""Generators of white-noise movies: ``ran1``, which made the movies of the ret-1 recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MULTIPLIER = 16807
_MODULUS = 2**31 - 1
_N_WARM_UP = 8
_SHUFFLE_SIZE = 32
_SLOT_SHIFT = 26  # a deviate's slot in the shuffle table: deviate // 2**26, 0..31

_CHUNK = 1 << 18  # deviates made at a time: bounds the memory of the Python integers

RET1_SEED = 10000


def _minimal_standard(seed: int, n: int) -> NDArray[np.int64]:
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


def ran1(seed: int, n: int) -> NDArray[np.int64]:
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

    References
    ----------
    .. [1] Park, Miller (1988), Random number generators: good ones are hard to find, CACM 31:1192-1201.
    .. [2] Bays, Durham (1976), Improving a poor random number generator, ACM TOMS 2:59-64.
    """
    if not 1 <= seed < _MODULUS:
        raise ValueError(f"seed is {seed}, expected 1 to {_MODULUS - 1}")
    start = _minimal_standard(seed, _N_WARM_UP + _SHUFFLE_SIZE).tolist()
    table = start[_N_WARM_UP:][::-1]  # filled from the end
    deviate, last = table[0], start[-1]
    deviates = np.empty(n, np.int64)
    for done in range(0, n, _CHUNK):
        values = _minimal_standard(last, min(_CHUNK, n - done)).tolist()
        last = values[-1]
        for place, value in enumerate(values):
            slot = deviate >> _SLOT_SHIFT
            deviate = table[slot]
            table[slot] = value
            values[place] = deviate
        deviates[done : done + len(values)] = values
    return deviates


def ret1_stream(n: int) -> NDArray[np.int8]:
    """Give the first `n` block values, -1 black or +1 white, that all ret-1 movies begin with."""
    deviates = ran1(RET1_SEED, n + 1)[1:]  # the first deviate is skipped
    return np.where(2 * deviates >= _MODULUS, np.int8(-1), np.int8(1))


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
