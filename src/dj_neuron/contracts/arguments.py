"""What is handed to the library: each argument of the kind that is expected, or refused in one sentence.

The functions give what tables and files hold (``int``, ``float``, ``str``, float64), so that NumPy's numbers
pass; nothing is taken for what it only could mean, such as booleans, dates or text for numbers.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dj_neuron.errors import DjNeuronError

    Error = type[DjNeuronError]

Kind = TypeVar("Kind")

LARGEST_NUMBER = 2**31 - 1
"""Of neurons, stimulations and samples: what tables hold."""

_NO_NUMBERS = (bool, np.timedelta64)  # which Python and NumPy count among the integers
_LONGEST_SHOWN = 40
_LONGEST_BITS = 10_000  # Python writes out no more than 4,300 digits
_MASKED = (np.ma.MaskedArray, type(np.ma.masked))


def real(value: Any, name: str, where: str = "", *, error: Error = ContractError) -> float:
    """Take a number, which may be infinite or NaN."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, _NO_NUMBERS):
        refuse(value, name, where, "a number", error)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def whole(
    value: Any,
    name: str,
    where: str = "",
    *,
    lowest: int = 1,
    highest: int = LARGEST_NUMBER,
    error: Error = ContractError,
) -> int:
    """Take a whole number from `lowest` to `highest`; 1.0 is none."""
    if not isinstance(value, int | np.integer) or isinstance(value, _NO_NUMBERS) or not lowest <= value <= highest:
        refuse(value, name, where, f"a whole number from {lowest} to {highest}", error)
    return int(value)


def several(values: Any, n: int, one: Callable[..., Kind], name: str, where: str = "", **how: Any) -> tuple[Kind, ...]:
    """Take `n` values, each of which `one` takes, such as :func:`whole`."""
    if isinstance(values, str | bytes) or not np.iterable(values) or len(parts := tuple(values)) != n:
        refuse(values, name, where, f"{n} numbers", how.get("error", ContractError))
    return tuple(one(part, f"{name}[{place}]", where, **how) for place, part in enumerate(parts))


def flag(value: Any, name: str, where: str = "", *, error: Error = ContractError) -> bool:
    """Take a boolean."""
    return bool(instance(value, (bool, np.bool_), name, where, expected="True or False", error=error))


def text(value: Any, name: str, where: str = "", *, error: Error = ContractError) -> str:
    """Take text, empty or not."""
    return str(instance(value, str, name, where, expected="text", error=error))


def choice(value: Any, among: Sequence[str], name: str, where: str = "", *, error: Error = ContractError) -> str:
    """Take one of several names."""
    if not isinstance(value, str) or value not in among:
        refuse(value, name, where, f"one of {', '.join(among)}", error)
    return value


def date(value: Any, name: str, where: str = "") -> datetime.date:
    """Take a date; of a date with a time its own day, whatever its time zone."""
    # NaT of pandas is a date by its type, and equals nothing
    if not isinstance(value, datetime.date) or value != value:  # noqa: PLR0124
        refuse(value, name, where, "a datetime.date", ContractError)
    return datetime.date(value.year, value.month, value.day)


def instance(
    value: Any,
    kind: type | tuple[type, ...],
    name: str,
    where: str = "",
    *,
    expected: str = "",
    error: Error = ContractError,
) -> Any:
    """Take an object of a class, or of one of several."""
    if not isinstance(value, kind):
        refuse(value, name, where, expected or f"a {getattr(kind, '__name__', '')}", error)
    return value


def members(
    values: Any, kind: type[Kind], name: str, where: str = "", *, error: Error = ContractError
) -> tuple[Kind, ...]:
    """Take any number of objects of a class; one of them alone is refused."""
    if isinstance(values, kind | str) or not np.iterable(values):
        refuse(values, name, where, f"a sequence of {kind.__name__}", error)
    found = tuple(values)
    for place, value in enumerate(found):
        instance(value, kind, f"{name}[{place}]", where, error=error)
    return found


def numbers(
    values: Any, name: str, where: str = "", *, booleans: bool = False, error: Error = ContractError
) -> NDArray[Any]:
    """Take an array of real numbers, or what NumPy makes one of; `name` is a plural.

    Raises
    ------
    ContractError or `error`
        If there are values of another kind or with a unit of their own, which NumPy would drop, rows of different
        lengths, or masked elements, whose values mean nothing.
    """
    place = f"{where}: {name}" if where else name
    if _is_masked(values):
        raise error(f"{place} have masked elements, expected none")
    expected = "real numbers or booleans" if booleans else "real numbers"
    if any(hasattr(type(values), unit) for unit in ("dimensionality", "unit")):  # of quantities, Neo, pint; Astropy
        raise error(f"{place} are a {type(values).__name__} with a unit of its own, expected {expected}")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # rows of different lengths, or an object that refuses to be an array
        raise error(f"{place} are {shown(values)} that makes no array, expected {expected}") from None
    if array.dtype.kind not in ("biuf" if booleans else "iuf") and array.size:
        raise error(f"{place} are {f'{array.dtype!s:.60}' if array.ndim else shown(values)}, expected {expected}")
    return array


def floats(values: Any, name: str, where: str = "", *, error: Error = ContractError) -> NDArray[np.float64]:
    """Take an array of :func:`numbers` as float64, copied only if it is of another type."""
    array = numbers(values, name, where, error=error)
    with np.errstate(over="ignore"):  # what is beyond float64 becomes infinite
        return np.asarray(array, np.float64)


def _is_masked(values: Any) -> bool:
    if isinstance(values, list | tuple) and not set(_MASKED).isdisjoint(map(type, values)):
        return any(map(np.ma.is_masked, values))
    return bool(np.ma.is_masked(values))


def settle(contract: object, **values: Any) -> None:
    """Set fields of a frozen contract, while it is made."""
    for name, value in values.items():
        object.__setattr__(contract, name, value)


def refuse(value: Any, name: str, where: str, expected: str, error: Error) -> NoReturn:
    """Raise one sentence: what was got, where, and what was expected."""
    raise error(f"{where}{': ' if where else ''}{name} is {shown(value)}, expected {expected}")


def shown(value: Any) -> str:
    """Give what a message can say about a value of any kind."""
    if isinstance(value, np.ndarray):
        masked = "a masked array" if isinstance(value, np.ma.MaskedArray) else "an array"
        return f"{masked} {value.shape} of {value.dtype}"
    if isinstance(value, list | tuple | dict | set | frozenset) or dataclasses.is_dataclass(type(value)):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:
        return f"a number of {value.bit_length()} bits"
    words = ascii(value[:50] if isinstance(value, str | bytes | bytearray) else value)
    return words if len(words) <= _LONGEST_SHOWN else f"{words[:_LONGEST_SHOWN]}..."
