"""NumPy arrays from the pieces that a pickle gives for them, each piece checked before NumPy sees it."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU][1-9]\d{0,8}")  # no objects, no records, no sizes of zero
_MOST_AXES = 64
_LAST_CHARACTER = 0x10FFFF


class RefusalError(Exception):
    """What a pickle does that it may not, worded as the rest of a sentence about it."""


def as_bytes(value: Any) -> bytes:
    """Bytes as they are; strings, which Python 2 and protocols 0 to 2 give for them, as Latin-1."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if type(value) not in {bytes, bytearray}:
        raise RefusalError(f"gives a {type(value).__name__} for the bytes of an array")
    raw: bytes = value
    return raw


def built_dtype(code: str, state: Any) -> np.dtype[Any]:
    """Dtype from its code, such as ``"f8"``, and its pickled state, of which only the byte order is used."""
    match state:
        case (3, "<" | ">" | "=" | "|" as order, None, None, None, int(), int(), int()) if _DTYPE.fullmatch(code):
            with contextlib.suppress(TypeError):
                return np.dtype(code).newbyteorder(order)
    raise RefusalError(f"holds an array of dtype {code[:40]!a}")


def built_array(state: Any, used: Callable[[Any], bytes]) -> NDArray[Any]:
    """Array from the state that protocols 0 to 4 pickle, over the bytes that `used` gives for those in the state."""
    match state:
        case (int(), tuple(shape), np.dtype() as dtype, bool() | 0 | 1 as is_fortran, raw):
            return array_from_bytes(used(raw), dtype, shape, "F" if is_fortran else "C")
    raise RefusalError("gives an array an unusual state")


def array_from_buffer(
    raw: bytes, dtype: np.dtype[Any], shape: tuple[Any, ...], order: str, axes: list[Any]
) -> NDArray[Any]:
    """Array from what protocol 5 pickles: with order K, `axes` holds the order of the axes."""
    match order, axes:
        case "C" | "F" as plain_order, [] | [None]:
            return array_from_bytes(raw, dtype, shape, plain_order)
        case "K", [tuple(axis_order)] if _are_counts(axis_order) and sorted(axis_order) == list(range(len(shape))):
            return array_from_bytes(raw, dtype, shape, "C").transpose(axis_order)
    raise RefusalError("gives an array an unusual order")


def array_from_bytes(
    raw: bytes, dtype: np.dtype[Any], shape: tuple[Any, ...], order: Literal["C", "F"]
) -> NDArray[Any]:
    """Read-only array `shape` over `raw`, which is not copied.

    Raises
    ------
    RefusalError
        If the shape does not fit the bytes, or the bytes are no values of the dtype.
    """
    if len(shape) > _MOST_AXES or not _are_counts(shape):
        raise RefusalError("gives an array a shape that is not made of counts")
    if len(raw) != dtype.itemsize * math.prod(shape):
        raise RefusalError("gives an array a shape that does not fit its bytes")
    flat = np.frombuffer(raw, dtype)
    if dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        raise RefusalError("holds booleans that are neither true nor false")
    code_points = np.dtype("u4").newbyteorder(dtype.byteorder)
    if dtype.kind == "U" and flat.size and flat.view(code_points).max() > _LAST_CHARACTER:
        raise RefusalError("holds characters that do not exist")
    try:
        array = flat.reshape(shape, order=order)
    except (ValueError, OverflowError):
        raise RefusalError("gives an array a shape beyond what NumPy holds") from None
    array.flags.writeable = False
    return array


def _are_counts(values: tuple[Any, ...]) -> bool:
    return all(type(value) is int and value >= 0 for value in values)
