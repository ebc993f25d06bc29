"""Values from a file, checked for what they should be; a :class:`ReadError` names the place if they are not."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy as np

from dj_neuron.contracts.arguments import LARGEST_NUMBER, shown
from dj_neuron.errors import ReadError

_LONGEST_TEXT = 2000  # as the longest column of text


def as_number(value: Any, name: str, place: str) -> float:
    """Take a finite number, also one that comes as a NumPy scalar or an array of one element."""
    return _number(value, name, place, "a finite number")


def as_positive(value: Any, name: str, place: str) -> float:
    """Take a number above 0."""
    number = as_number(value, name, place)
    if number <= 0:
        raise ReadError(f"{place}: {name} is {number:g}, expected a positive number")
    return number


def as_count(value: Any, name: str, place: str, lowest: int = 1) -> int:
    """Take a whole number from `lowest`, small enough for the tables."""
    number = _number(value, name, place, f"a whole number from {lowest}")
    if number != int(number) or not lowest <= number <= LARGEST_NUMBER:
        most = f" to {LARGEST_NUMBER}" if number > LARGEST_NUMBER else ""
        raise ReadError(f"{place}: {name} is {number:.15g}, expected a whole number from {lowest}{most}")
    return int(number)


def as_text(value: Any, name: str, place: str) -> str:
    """Take printable text that is not blank."""
    text = _single(value)
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ReadError(f"{place}: {name} is {shown(value)}, expected printable text")
    if len(text) > _LONGEST_TEXT:
        raise ReadError(f"{place}: {name} is {len(text)} characters long, expected at most {_LONGEST_TEXT}")
    return str(text)


def as_date(value: Any, name: str, place: str) -> datetime.date:
    """Take a date that is written as ``2008-06-06``, and in no other way."""
    text = as_text(value, name, place)
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        date = None
    if date is None or date.isoformat() != text:
        raise ReadError(f"{place}: {name} is {shown(text)}, expected a date like '2008-06-06'")
    return date


def _number(value: Any, name: str, place: str, expected: str) -> float:
    number = _single(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or not abs(number) <= sys.float_info.max:
        raise ReadError(f"{place}: {name} is {shown(value)}, expected {expected}")
    return float(number)


def _single(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.size == 1 else value
