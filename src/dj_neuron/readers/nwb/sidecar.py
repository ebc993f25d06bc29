"""``FILE.nwb.toml`` beside ``FILE.nwb``: what the file does not say, in the words of ``session.toml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import ReadError
from dj_neuron.readers.named_files import inside
from dj_neuron.readers.toml_keys import (
    NAME,
    POSITIVE,
    SESSION_KINDS,
    STIMULATION_KINDS,
    Kind,
    check_black_and_white,
    check_keys,
    keys_of,
    read_toml,
)

if TYPE_CHECKING:
    from pathlib import Path

AXES = ("time, y, x", "time, x, y")
CHANNELS = ("red", "green", "blue")

REGULAR = ("frame_rate_hz", "onset_s")
GEOMETRY = ("pixel_size_um", "block_width_px", "block_height_px")
OF_MEASURED = ("last_frame_end_s", "gaps_s", "longest_frame_s")
TIMING = (*REGULAR, "frame_times", *OF_MEASURED)

_SESSION_KEYS = keys_of(SESSION_KINDS)
_SERIES_KEYS = keys_of(
    {
        "series": NAME,
        **STIMULATION_KINDS,
        "longest_frame_s": POSITIVE,
        "axes": Kind(lambda value: value in AXES, " or ".join(f'"{axes}"' for axes in AXES)),
        "channel": Kind(lambda value: value in CHANNELS, " or ".join(f'"{channel}"' for channel in CHANNELS)),
    },
    "series",
)


@dataclass(frozen=True)
class Sidecar:
    """What stands beside an NWB file; by default nothing.

    Attributes
    ----------
    path : Path
        Where it is, or would be.
    session : dict
        Keys of the session.
    stimulations : dict of str to dict
        Keys of each stimulation by the name of its series; if there are any, only these series are taken.
    """

    path: Path
    session: dict[str, Any] = field(default_factory=dict)
    stimulations: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """The file itself, if it is there, and those it names; raise ReadError if one of them is not."""
        named = [record["frame_times"] for record in self.stimulations.values() if "frame_times" in record]
        return [
            *([self.path] if self.path.is_file() else []),
            *(inside(self.path.parent, name, self.path.name) for name in named),
        ]

    def hint(self, *keys: str) -> str:
        """Say how a person gives these keys of a stimulation."""
        listed = f"{', '.join(keys[:-1])} and {keys[-1]}" if len(keys) > 1 else keys[0]
        return f"{listed} under [[stimulations]] in {self.path.name}"


def read_sidecar(path: Path) -> Sidecar:
    """Read and check the file beside an NWB file, if it is there.

    Parameters
    ----------
    path : Path
        The NWB file.

    Raises
    ------
    ReadError
        If a key is unknown, of the wrong kind, or contradicts another.
    """
    beside = path.with_name(path.name + ".toml")
    if not (beside.exists() or beside.is_symlink()):
        return Sidecar(beside)
    if not beside.is_file():
        raise ReadError(f"{beside.name}: is no file, expected what the NWB file does not say, or nothing of that name")
    session = read_toml(beside, beside.name)
    check_keys(session, _SESSION_KEYS, beside.name)
    stimulations: dict[str, dict[str, Any]] = {}
    for record in session.pop("stimulations", []):
        place = f"{beside.name}: series {record.get('series', len(stimulations) + 1)!r:.60}"
        check_keys(record, _SERIES_KEYS, place)
        check_black_and_white(record, place)
        _check_timing(record, place)
        _check_geometry(record, place)
        series = record.pop("series")
        if series in stimulations:
            raise ReadError(f"{place} is there twice, expected one table for each series")
        stimulations[series] = record
    return Sidecar(beside, session, stimulations)


def _check_timing(record: dict[str, Any], place: str) -> None:
    regular = [key for key in REGULAR if key in record]
    explicit = [key for key in ("frame_times", *OF_MEASURED) if key in record]
    if len(regular) == 1 or (regular and explicit):
        raise ReadError(
            f"{place}: timing is given by {', '.join(regular + explicit)}, expected {' and '.join(REGULAR)}, "
            f"or any of {', '.join(TIMING[len(REGULAR) :])}"
        )
    if "gaps_s" in record and "longest_frame_s" in record:
        raise ReadError(f"{place}: gaps are given by gaps_s and by longest_frame_s, expected one of them")


def _check_geometry(record: dict[str, Any], place: str) -> None:
    given: list[str] = [key for key in GEOMETRY if key in record]
    screen: list[str] = [key for key in ("screen_width_px", "screen_height_px") if key in record]
    if len(given) not in {0, len(GEOMETRY)} or len(screen) == 1 or (screen and not given):
        raise ReadError(
            f"{place}: sizes are given by {', '.join(given + screen)}, expected {', '.join(GEOMETRY)} together, "
            "with or without screen_width_px and screen_height_px"
        )
