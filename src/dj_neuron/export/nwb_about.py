"""What NWB wants to know about a session and the tables do not hold: a small TOML file says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dj_neuron import text_file
from dj_neuron.errors import ExportError
from dj_neuron.readers.toml_keys import POSITIVE, shown

if TYPE_CHECKING:
    from pathlib import Path

_OF_SUBJECT = ("species", "sex", "age", "strain", "genotype")
_OF_FILE = ("experimenter", "lab", "institution", "experiment_description", "keywords", "related_publications")
_LISTS = ("experimenter", "keywords", "related_publications")
_RATE = "sampling_rate_hz"

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DATE, _TIME = ("".join(f"(?:{_NUMBER}{unit})?" for unit in units) for units in ("YMWD", "HMS"))
_DURATION = rf"P(?=T?[0-9]){_DATE}(?:T(?=[0-9]){_TIME})?"
_AGE = re.compile(rf"{_DURATION}(?:/(?:{_DURATION})?)?")  # or from one to another, or from one on, which is NWB's own


@dataclass(frozen=True)
class About:
    """What is said about all exported sessions.

    Attributes
    ----------
    subject, file : dict
        By the names that PyNWB's ``Subject`` and ``NWBFile`` have for it.
    resolution_s : float, optional
        Smallest difference between spike times.
    """

    subject: dict[str, str] = field(default_factory=dict)
    file: dict[str, str | list[str]] = field(default_factory=dict)
    resolution_s: float | None = None


def read_about(path: Path) -> About:
    """Read a TOML file of ``species sex age strain genotype experimenter lab institution ...``, all optional.

    Raises
    ------
    ExportError
        If it is not TOML, or a key or value is not as expected.
    """
    try:
        told = text_file.read_toml(path)
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}, expected a TOML file") from error
    except text_file.TextFileError as error:
        raise ExportError(f'{path} is {error}, expected lines like species = "Mus musculus"') from error
    known = (*_OF_SUBJECT, *_OF_FILE, _RATE)
    for name, value in told.items():
        if name not in known:
            raise ExportError(f"{path} names {shown(name)}, expected only {', '.join(known)}")
        _check(path, name, value)
    return About(
        subject={name: told[name] for name in _OF_SUBJECT if name in told},
        file={name: told[name] for name in _OF_FILE if name in told},
        resolution_s=1 / told[_RATE] if _RATE in told else None,
    )


def _check(path: Path, name: str, value: Any) -> None:
    found = f"is {shown(value)}"
    if name == _RATE:
        fits, expected = POSITIVE.accepts(value), POSITIVE.expected
    elif name in _LISTS:
        wrong = [item for item in value if not _is_text(item)] if isinstance(value, list) else [value]
        fits, expected = not wrong, "a list of printable texts"
        found = f"holds {shown(wrong[0])}" if wrong and isinstance(value, list) else found
    else:
        fits = _is_text(value)
        expected = "a printable text"
    if fits and name == "sex":
        fits, expected = value in {"M", "F", "O", "U"}, '"M", "F", "O" (other) or "U" (unknown)'
    if fits and name == "age":
        fits, expected = _AGE.fullmatch(value) is not None, 'a duration such as "P60D" or "P8W", or a range "P1D/P3D"'
    if not fits:
        raise ExportError(f"{path}: {name} {found}, expected {expected}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and all(line.isprintable() for line in value.split("\n"))
