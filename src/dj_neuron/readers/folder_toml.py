"""The keys of ``session.toml``: which there are, what each holds, and which go together."""

from __future__ import annotations

import datetime
import difflib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SESSION_FILE = "session.toml"

HEADER = """\
# One recording session: made to be read and edited by hand.
# Units are in the names: _s seconds on the recording's clock, _hz per second,
# _um micrometres on the retina, _px screen pixels.
#
# Besides the keys below, a session may have species, subject_description and note, and a table
# [neuron_labels] with lines like neuron_003 = "what the source calls the unit".
# Each stimulation has a table [[stimulations]]; a session without any has none. Its keys:
#   stimulation_number                 its place within the session, from 1
#   movie                              an .npy file (n_frames, n_y, n_x), row 0 at the top, column 0 at the left
#   spikes                             an .npz file, one array of seconds per neuron: neuron_001, neuron_002, ...
#   frame_rate_hz, onset_s             the measured rate, and when the first frame came on the screen;
#                                      where frames are not regular, in place of both:
#   frame_times                        an .npy file of seconds, the starts of all frames and the end of the last
#   last_frame_end_s                   only where frame_times holds the starts alone
#   gaps_s                             [[from, to], ...], stretches without any frame on the screen, if any
#   pixel_size_um                      micrometres per screen pixel
#   block_width_px, block_height_px    size of a block of the movie
#   screen_width_px, screen_height_px  size of the stimulated part of the screen
#   black, white                       values in the movie shown as black and white; two levels need neither
"""


class _Kind(NamedTuple):
    accepts: Callable[[Any], bool]
    expected: str


class _Key(NamedTuple):
    kind: _Kind
    required: bool = True


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= sys.float_info.max


def _is_list_of_pairs(value: Any) -> bool:
    return type(value) is list and all(
        type(pair) is list and len(pair) == 2 and all(map(_is_number, pair)) for pair in value
    )


_TEXT = _Kind(lambda value: type(value) is str, "text in quotes")
_NAME = _Kind(lambda value: type(value) is str and bool(value.strip()), "text in quotes, not empty")
_FILE = _Kind(lambda value: type(value) is str and bool(value) and value.isprintable(), "the name of a file in quotes")
_DATE = _Kind(lambda value: type(value) is datetime.date, "a date like 2008-06-06, without quotes")
_NUMBER = _Kind(_is_number, "a finite number")
_POSITIVE = _Kind(lambda value: _is_number(value) and value > 0, "a positive number")
_COUNT = _Kind(lambda value: type(value) is int and 1 <= value < 2**31, "a whole number from 1")
_WHOLE = _Kind(lambda value: type(value) is int and 0 <= value < 2**31, "a whole number from 0")
_PAIRS = _Kind(_is_list_of_pairs, "pairs of seconds [[from, to], ...]")
_LABELS = _Kind(
    lambda value: type(value) is dict and all(type(label) is str for label in value.values()),
    'a table of lines like neuron_001 = "label"',
)
_TABLES = _Kind(
    lambda value: type(value) is list and all(type(item) is dict for item in value), "tables headed [[stimulations]]"
)

_SESSION_KEYS = {
    "subject_name": _Key(_NAME),
    "session_date": _Key(_DATE),
    "sample_number": _Key(_WHOLE),
    "species": _Key(_TEXT, required=False),
    "subject_description": _Key(_TEXT, required=False),
    "note": _Key(_TEXT, required=False),
    "neuron_labels": _Key(_LABELS, required=False),
    "stimulations": _Key(_TABLES, required=False),
}
_STIMULATION_KEYS = {
    "stimulation_number": _Key(_COUNT),
    "movie": _Key(_FILE),
    "spikes": _Key(_FILE),
    "frame_rate_hz": _Key(_POSITIVE, required=False),
    "onset_s": _Key(_NUMBER, required=False),
    "frame_times": _Key(_FILE, required=False),
    "last_frame_end_s": _Key(_NUMBER, required=False),
    "gaps_s": _Key(_PAIRS, required=False),
    "pixel_size_um": _Key(_POSITIVE),
    "block_width_px": _Key(_COUNT),
    "block_height_px": _Key(_COUNT),
    "screen_width_px": _Key(_COUNT),
    "screen_height_px": _Key(_COUNT),
    "black": _Key(_NUMBER, required=False),
    "white": _Key(_NUMBER, required=False),
}


def check_session_table(table: dict[str, Any], place: str) -> None:
    """Check a whole ``session.toml``.

    Parameters
    ----------
    table : dict
        As parsed from TOML.
    place : str
        Names the file in messages.

    Raises
    ------
    ReadError
        If a key is unknown, missing, of the wrong kind, or contradicts another.
    """
    _check(table, _SESSION_KEYS, place)
    for number, record in enumerate(table.get("stimulations", []), 1):
        stimulation = f"{place}: stimulation {record.get('stimulation_number', number)}"
        _check(record, _STIMULATION_KEYS, stimulation)
        _check_timing(record, stimulation)
        if ("black" in record) != ("white" in record) or ("black" in record and record["black"] == record["white"]):
            raise ReadError(
                f"{stimulation}: black is {record.get('black', 'missing')} and white is "
                f"{record.get('white', 'missing')}, expected two different values or neither"
            )


def _check_timing(record: dict[str, Any], place: str) -> None:
    regular: list[str] = [key for key in ("frame_rate_hz", "onset_s") if key in record]
    explicit: list[str] = [key for key in ("frame_times", "last_frame_end_s", "gaps_s") if key in record]
    if not (len(regular) == 2 and not explicit) and not (not regular and "frame_times" in explicit):
        raise ReadError(
            f"{place}: timing is given by {', '.join(regular + explicit) or 'nothing'}, "
            "expected frame_rate_hz and onset_s, or frame_times with or without last_frame_end_s and gaps_s"
        )


def _check(table: dict[str, Any], keys: Mapping[str, _Key], place: str) -> None:
    for name in table:
        if name not in keys:
            close = difflib.get_close_matches(name, keys, 1) or [", ".join(keys)]
            raise ReadError(f"{place}: unknown key {name!r}, expected {close[0]}")
    for name, key in keys.items():
        if name not in table and key.required:
            raise ReadError(f"{place}: {name} is missing, expected {key.kind.expected}")
        if name in table and not key.kind.accepts(table[name]):
            raise ReadError(f"{place}: {name} is {_shown(table[name])}, expected {key.kind.expected}")


def _shown(value: Any) -> str:
    if type(value) in {dict, list}:
        return f"a {'table' if type(value) is dict else 'list'}"
    if type(value) in {int, float, bool}:
        return f"{value}".lower()
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
