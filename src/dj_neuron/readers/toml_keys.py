"""Keys of TOML files that people write: what each holds, and sentences for what is not so."""

from __future__ import annotations

import datetime
import difflib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from dj_neuron import text_file
from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Kind(NamedTuple):
    """What a value may be, and that in words."""

    accepts: Callable[[Any], bool]
    expected: str


class Key(NamedTuple):
    """Kind of a key's value, and whether it must be there."""

    kind: Kind
    required: bool


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= sys.float_info.max


def _is_printable(value: Any) -> bool:
    return type(value) is str and value.isprintable()


def _is_list_of_pairs(value: Any) -> bool:
    return type(value) is list and all(
        type(pair) is list and len(pair) == 2 and all(map(_is_number, pair)) for pair in value
    )


TEXT = Kind(lambda value: type(value) is str, "text in quotes")
NAME = Kind(
    lambda value: _is_printable(value) and bool(value.strip()) and len(value) <= 2000,
    "printable text in quotes, not empty, of at most 2000 characters",
)
FILE = Kind(
    lambda value: _is_printable(value) and 1 <= len(value) <= 255,
    "the name of a file in quotes, of at most 255 characters",
)
DATE = Kind(lambda value: type(value) is datetime.date, "a date like 2008-06-06, without quotes")
NUMBER = Kind(_is_number, "a finite number")
POSITIVE = Kind(lambda value: _is_number(value) and value > 0, "a positive number")
COUNT = Kind(lambda value: type(value) is int and 1 <= value < 2**31, "a whole number from 1")
WHOLE = Kind(lambda value: type(value) is int and 0 <= value < 2**31, "a whole number from 0")
PAIRS = Kind(_is_list_of_pairs, "pairs of seconds [[from, to], ...]")
LABELS = Kind(
    lambda value: type(value) is dict and all(type(label) is str for label in value.values()),
    'a table of lines like neuron_001 = "label"',
)
TABLES = Kind(
    lambda value: type(value) is list and all(type(item) is dict for item in value), "tables headed [[stimulations]]"
)

SESSION_KINDS = {
    "subject_name": NAME,
    "session_date": DATE,
    "sample_number": WHOLE,
    "species": TEXT,
    "subject_description": TEXT,
    "note": TEXT,
    "stimulations": TABLES,
}
STIMULATION_KINDS = {
    "stimulation_number": COUNT,
    "frame_rate_hz": POSITIVE,
    "onset_s": NUMBER,
    "frame_times": FILE,
    "last_frame_end_s": NUMBER,
    "gaps_s": PAIRS,
    "pixel_size_um": POSITIVE,
    "block_width_px": COUNT,
    "block_height_px": COUNT,
    "screen_width_px": COUNT,
    "screen_height_px": COUNT,
    "black": NUMBER,
    "white": NUMBER,
}


def keys_of(kinds: Mapping[str, Kind], *required: str) -> dict[str, Key]:
    """Give the keys of these kinds, of which some must be there."""
    return {name: Key(kind, name in required) for name, kind in kinds.items()}


def read_toml(path: Path, place: str) -> dict[str, Any]:
    """Parse a TOML file, named `place` in messages."""
    try:
        return text_file.read_toml(path)
    except text_file.TextFileError as error:
        raise ReadError(f"{place}: {error}, expected lines like sample_number = 1") from error


def check_keys(table: dict[str, Any], keys: Mapping[str, Key], place: str) -> None:
    """Refuse a key that is unknown, missing or of the wrong kind."""
    for name in table:
        if name not in keys:
            close = difflib.get_close_matches(name, keys, 1) or [", ".join(keys)]
            raise ReadError(f"{place}: unknown key {name!r:.60}, expected {close[0]}")
    for name, key in keys.items():
        if name not in table and key.required:
            raise ReadError(f"{place}: {name} is missing, expected {key.kind.expected}")
        if name in table and not key.kind.accepts(table[name]):
            raise ReadError(f"{place}: {name} is {shown(table[name])}, expected {key.kind.expected}")


def check_black_and_white(record: dict[str, Any], place: str) -> None:
    """Refuse one without the other, and two that are the same."""
    if ("black" in record) != ("white" in record) or ("black" in record and record["black"] == record["white"]):
        raise ReadError(
            f"{place}: black is {_shown_of(record, 'black')} and white is {_shown_of(record, 'white')}, "
            "expected two different values or neither"
        )


def _shown_of(record: dict[str, Any], name: str) -> str:
    return shown(record[name]) if name in record else "missing"


def shown(value: Any) -> str:
    """Give what a message can say about a value of TOML."""
    if type(value) is int and not _is_number(value):
        return "a number of more than 308 digits"
    if type(value) in {dict, list}:
        return f"a {'table' if type(value) is dict else 'list'}"
    text = ascii(value) if isinstance(value, str) else str(value)
    text = text.lower() if type(value) is bool else text
    return text if len(text) <= 40 else f"{text[:40]}..."
