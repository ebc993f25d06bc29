"""``ran1`` compiled by numba: Park and Miller's generator by Schrage's method, shuffled as it goes."""

from typing import Any

from dj_neuron._compiling import compiled

__all__ = ["fill_deviates"]

_MULTIPLIER = 16807
_QUOTIENT = 127773  # (2^31 - 1) // 16807 and its rest: Schrage's way to stay below 2^31
_REST = 2836
_MODULUS = 2147483647
_SLOT_SHIFT = 26


@compiled
def fill_deviates(value: Any, deviate: Any, table: Any, deviates: Any) -> Any:
    """Fill `deviates` with those that follow `deviate`; return where the generator has got to.

    Parameters
    ----------
    value : int
        The last value of the generator.
    deviate : int
        The deviate before, which names the next slot of the table.
    table : array (32,) of int64
        Changed in place.
    deviates : array (n,) of int64
        Filled.
    """
    for place in range(deviates.size):
        value = _MULTIPLIER * (value % _QUOTIENT) - _REST * (value // _QUOTIENT)
        if value < 0:
            value += _MODULUS
        slot = deviate >> _SLOT_SHIFT
        deviate = table[slot]
        table[slot] = value
        deviates[place] = deviate
    return value
