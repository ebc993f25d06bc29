"""What a layout asks to be simulated, checked value by value before anything is."""

from __future__ import annotations

import difflib
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from dj_neuron.contracts.arguments import shown
from dj_neuron.errors import ReadError
from dj_neuron.readers.values import as_count, as_date, as_number, as_positive, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any, str, str], Any]

_MOST_VALUES = 2**28  # of a movie: the file holds 8 bytes of each
_MOST_SPIKES = 10_000_000  # of a neuron: a day at a hundred per second
_LOWEST_RATE_HZ = 2.0  # a frame is no longer than the half second that the simulated filter lasts
_LONGEST_SUBJECT = 128  # as the column of tables


def checked_sessions(content: Any, file: str) -> list[dict[str, Any]]:
    """Give the sessions of a layout, their numbers and dates as such.

    Raises
    ------
    ReadError
        If something is missing, unknown or not what it should be, or would be refused in the file that is made of it;
        the message names file, session and stimulation.
    """
    entries = _as_list(content, "the layout", file)
    if not entries:
        raise ReadError(f"{file}: the layout is an empty list, expected at least one session")
    sessions = [_checked(entry, _SESSION, f"{file}: session {i}") for i, entry in enumerate(entries, start=1)]
    numbers: dict[tuple[Any, ...], int] = {}
    for number, session in enumerate(sessions, start=1):
        who = (session["subject_name"], session["session_date"], session["sample_number"])
        if numbers.setdefault(who, number) != number:
            raise ReadError(
                f"{file}: sessions {numbers[who]} and {number} are both {who[0]}, {who[1]}, sample {who[2]}, expected "
                "each session once"
            )
    return sessions


def _checked(entry: Any, checks: Mapping[str, Check], place: str, *optional: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ReadError(f"{place} is {shown(entry)}, expected {', '.join(checks)}")
    for name in entry:
        if name not in checks and name not in optional:
            close = difflib.get_close_matches(name, [*checks, *optional], 1) or [", ".join([*checks, *optional])]
            raise ReadError(f"{place}: unknown key {name!a:.60}, expected {close[0]}")
    for name in checks:
        if name not in entry:
            raise ReadError(f"{place}: {name} is missing, expected {', '.join(checks)}")
    return {name: check(entry[name], name, place) for name, check in checks.items()}


def _as_list(value: Any, name: str, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ReadError(f"{place}: {name} is {shown(value)}, expected a list")
    return value


def _as_subject(value: Any, name: str, place: str) -> str:
    subject = as_text(value, name, place)
    if len(subject) > _LONGEST_SUBJECT or "\\" in subject:
        raise ReadError(
            f"{place}: {name} is {shown(subject)}, expected at most {_LONGEST_SUBJECT} characters and no backslash"
        )
    return subject


def _as_stimulations(value: Any, name: str, place: str) -> list[dict[str, Any]]:
    stimulations = [
        _as_stimulation(entry, f"{place}: stimulation {i}")
        for i, entry in enumerate(_as_list(value, name, place), start=1)
    ]
    counts = [len(stimulation["spike_counts"]) for stimulation in stimulations]
    for number, n_neurons in enumerate(counts, start=1):
        if n_neurons != counts[0]:
            raise ReadError(
                f"{place}: stimulation {number}: spike_counts are of {n_neurons} neurons, expected {counts[0]} as in "
                "stimulation 1"
            )
    return stimulations


def _as_stimulation(entry: Any, place: str) -> dict[str, Any]:
    found = _checked(entry, _STIMULATION, place, "n_frames")
    n_x, n_y, n_frames = found["movie_shape"]
    for axis, side, n_blocks in (("x", "width", n_x), ("y", "height", n_y)):
        block_px, screen_px = found[f"{axis}_block_size"], found[f"stim_{side}"]
        if n_blocks * block_px != screen_px:
            raise ReadError(
                f"{place}: stim_{side} is {screen_px}, expected {n_blocks * block_px}, which is {n_blocks} blocks of "
                f"movie_shape times {axis}_block_size {block_px}"
            )
    if entry.get("n_frames", n_frames) != n_frames:
        raise ReadError(f"{place}: n_frames is {shown(entry['n_frames'])}, expected {n_frames} as in movie_shape")
    return {**found, "n_frames": n_frames}


def _as_rate(value: Any, name: str, place: str) -> float:
    rate_hz = as_number(value, name, place)
    if rate_hz < _LOWEST_RATE_HZ:
        raise ReadError(f"{place}: {name} is {rate_hz:g}, expected at least {_LOWEST_RATE_HZ:g} frames per second")
    return rate_hz


def _as_onset(value: Any, name: str, place: str) -> float:
    onset_s = as_number(value, name, place)
    if onset_s < 0:
        raise ReadError(f"{place}: {name} is {onset_s:g}, expected seconds from the start of the recording")
    return onset_s


def _as_shape(value: Any, name: str, place: str) -> tuple[int, ...]:
    numbers = _as_list(value, name, place)
    if len(numbers) != 3:
        raise ReadError(f"{place}: {name} holds {len(numbers)} numbers, expected width, height and frames")
    axes = zip(numbers, ("width", "height", "frames"), strict=True)
    shape = tuple(as_count(number, f"{axis} of {name}", place) for number, axis in axes)
    if math.prod(shape) > _MOST_VALUES:
        raise ReadError(f"{place}: {name} asks for {math.prod(shape)} values, expected at most {_MOST_VALUES}")
    return shape


def _as_spike_counts(value: Any, name: str, place: str) -> list[int]:
    counts = [
        as_count(count, f"spikes of neuron {i} in {name}", place, lowest=0)
        for i, count in enumerate(_as_list(value, name, place), start=1)
    ]
    if max(counts, default=0) > _MOST_SPIKES:
        raise ReadError(f"{place}: {name} asks for {max(counts)} spikes, expected at most {_MOST_SPIKES} of a neuron")
    return counts


_STIMULATION: dict[str, Check] = {
    **dict.fromkeys(("stim_width", "stim_height", "x_block_size", "y_block_size"), as_count),
    "pixel_size": as_positive,
    "movie_shape": _as_shape,
    "fps": _as_rate,
    "stimulus_onset": _as_onset,
    "spike_counts": _as_spike_counts,
}
_SESSION: dict[str, Check] = {
    "subject_name": _as_subject,
    "session_date": as_date,
    "sample_number": partial(as_count, lowest=0),
    "stimulations": _as_stimulations,
}
