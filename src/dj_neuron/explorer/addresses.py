"""Addresses of pages: every state of the explorer in words that can be shared."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode

from dj_neuron.contracts import StimulationId
from dj_neuron.errors import DjNeuronError

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNREADABLE = re.compile("[\0\ud800-\udfff]")  # no database takes these, and no text has them


class AddressError(DjNeuronError):
    """An address that leads nowhere."""


@dataclass(frozen=True)
class Place:
    """What an address points at: a page, and on it a stimulation and a neuron."""

    page: Literal["start", "stimulation", "neuron", "pipeline"]
    stimulation_id: StimulationId | None = None
    neuron_id: int | None = None


def place_of(pathname: str) -> Place:
    """Read the path of an address.

    Raises
    ------
    AddressError
        If there is no such page.
    """
    # in a link, browsers would take what follows for the name of another server
    if pathname.startswith("//"):
        raise AddressError(f"there is no page {unquote(pathname)!r}")
    first, *rest = [_readable(unquote(part)) for part in pathname.strip("/").split("/")]
    try:
        match first, rest:
            case "", []:
                return Place("start")
            case "pipeline", []:
                return Place("pipeline")
            case "stimulation", [_, _, _, _]:
                return Place("stimulation", _stimulation_id(rest))
            case "neuron", [*stimulation, neuron_id] if len(stimulation) == 4:
                return Place("neuron", _stimulation_id(stimulation), int(neuron_id))
    except ValueError as error:
        raise AddressError(
            f"the address {unquote(pathname)!r} cannot be read, expected subject, date, sample, stimulation: {error}"
        ) from error
    raise AddressError(f"there is no page {unquote(pathname)!r}")


def neuron_of(pathname: str) -> tuple[StimulationId, int]:
    """Read the path of a neuron.

    Raises
    ------
    AddressError
        If it is another page's, or no page's.
    """
    match place_of(pathname):
        case Place("neuron", StimulationId() as stimulation_id, int() as neuron_id):
            return stimulation_id, neuron_id
    raise AddressError(f"the address {unquote(pathname)!r} is no neuron's")


def path_of(place: Place) -> str:
    """Write the path that :func:`place_of` reads."""
    if place.page == "start":
        return "/"
    parts: list[str] = [place.page]
    if place.stimulation_id is not None:
        one = place.stimulation_id
        parts += [one.subject_name, one.session_date.isoformat(), str(one.sample_number), str(one.stimulation_number)]
    if place.neuron_id is not None:
        parts.append(str(place.neuron_id))
    return "/" + "/".join(quote(part, safe="") for part in parts)


def stimulation_path(stimulation_id: StimulationId) -> str:
    """Write the address of a stimulation."""
    return path_of(Place("stimulation", stimulation_id))


def neuron_path(stimulation_id: StimulationId, neuron_id: int) -> str:
    """Write the address of a neuron."""
    return path_of(Place("neuron", stimulation_id, neuron_id))


def values_of(search: str | None) -> dict[str, str]:
    """Read what follows the question mark; of a name that is repeated the last value counts.

    Raises
    ------
    AddressError
        If it is no text.
    """
    return {_readable(name): _readable(value) for name, value in parse_qsl((search or "").removeprefix("?"))}


def search_of(values: Mapping[str, Any]) -> str:
    """Write what follows the path, with the question mark; None and empty values are left out."""
    given = {name: value for name, value in values.items() if value not in {None, ""}}
    return f"?{urlencode(given)}" if given else ""


def number(values: Mapping[str, str], name: str, kind: type[int] | type[float]) -> Any:
    """Read a number of an address; None where it is not given.

    Raises
    ------
    AddressError
        If it is no such number.
    """
    text = values.get(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise AddressError(f"the address says {name}={text!r}, expected {expected}") from None


def _readable(text: str) -> str:
    if _UNREADABLE.search(text):
        raise AddressError(f"the address says {text!r}, expected text without NUL and halves of characters")
    return text


def _stimulation_id(parts: list[str]) -> StimulationId:
    subject, date, sample, stimulation = parts
    return StimulationId(subject, datetime.date.fromisoformat(date), int(sample), int(stimulation))
