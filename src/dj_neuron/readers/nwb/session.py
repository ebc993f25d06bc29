"""One NWB file as a session: who and when, each stimulus with its spikes, and what was left."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dj_neuron.contracts import Session, Source, Stimulation
from dj_neuron.contracts.arguments import LARGEST_NUMBER, shown
from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at
from dj_neuron.readers.nwb.movies import is_movie, movie_of_series
from dj_neuron.readers.nwb.own_tables import MODULE, said_of_session, said_of_stimulations
from dj_neuron.readers.nwb.passed_over import refuse_passed_over, stimuli_passed_over
from dj_neuron.readers.nwb.sidecar import GEOMETRY, TIMING
from dj_neuron.readers.nwb.timing import timing_of
from dj_neuron.readers.nwb.units import TAKEN, Shown, spike_trains
from dj_neuron.readers.values import as_text

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable
    from pathlib import Path

    from pynwb import NWBFile
    from pynwb.base import TimeSeries

    from dj_neuron.readers.nwb.sidecar import Sidecar

_LONGEST_NOTE = 2000
_CLOCK = (*TIMING, "frame_edges_s", "clock_offset_s")


class _Taken(NamedTuple):
    """A series as a stimulation without spikes, and what to say about it."""

    series: TimeSeries
    stimulation: Stimulation
    is_numbered: bool
    offset_s: float | None  # time in the file less time in the stimulation, which may have a clock of its own
    remark: str

    @property
    def onset_s(self) -> float:
        """When it began, on the clock of the file."""
        return self.stimulation.onset_s + (self.offset_s or 0)

    @property
    def end_s(self) -> float:
        """When it ended, on the clock of the file."""
        return self.stimulation.end_s + (self.offset_s or 0)


def session_of(
    file: NWBFile, path: Path, sidecar: Sidecar, sha256: Callable[[], str], caught: list[warnings.WarningMessage]
) -> Session:
    """Make the session of an open file.

    Parameters
    ----------
    sha256 : callable
        Gives the digest of the source, unless the file says from which other it was made.
    caught : list
        PyNWB's warnings, which become remarks.
    """
    place = path.name
    refuse_passed_over(file, sidecar, place)
    said = {**said_of_session(file, place), **sidecar.session}
    who, who_remarks = _who_and_when(file, said, sidecar, place)
    taken = sorted(_taken(file, sidecar, place), key=lambda one: one.onset_s)
    trains, spike_remarks = spike_trains(file.units, _shown(taken, sidecar, place), place)
    stimulations = [
        replace(
            one.stimulation,
            spike_trains=tuple(own_trains),
            stimulation_number=one.stimulation.stimulation_number if one.is_numbered else number,
        )
        for number, (one, own_trains) in enumerate(zip(taken, trains, strict=True), 1)
    ]
    with contract_errors_at(place):
        return Session(
            **who,
            stimulations=tuple(sorted(stimulations, key=lambda one: one.stimulation_number)),
            source=said["source"] if "source" in said else Source(path.name, sha256(), "nwb"),
            remarks=(
                *(f"{one.series.name}: {one.remark}" for one in taken),
                *(() if taken else ("no movie under stimulus/presentation: no stimulations",)),
                *who_remarks,
                *spike_remarks,
                *_left(file, {one.series.name for one in taken}),
                *dict.fromkeys(f"PyNWB warns: {_short(str(one.message), 200)}" for one in caught),
            ),
        )


def _who_and_when(
    file: NWBFile, said: dict[str, Any], sidecar: Sidecar, place: str
) -> tuple[dict[str, Any], list[str]]:
    subject, remarks = file.subject, []
    name = said.get("subject_name") or getattr(subject, "subject_id", None)
    if not name:
        raise ReadError(f"{place}: has no subject with a subject_id, expected subject_name in {sidecar.path.name}")
    sample_number = said.get("sample_number")
    if sample_number is None:
        session_id = (file.session_id or "").strip()
        is_number = session_id.isascii() and session_id.isdigit() and int(session_id) <= LARGEST_NUMBER
        sample_number = int(session_id) if is_number else 1
        if not is_number:
            remarks.append(
                f"sample_number taken as 1; a session_id that is a number, or {sidecar.path.name}, would say"
            )
    descriptions = [getattr(subject, key, None) for key in ("description", "strain", "genotype")]
    who = {
        "subject_name": as_text(name, "subject_name", place),
        "session_date": said.get("session_date", file.session_start_time.date()),
        "sample_number": sample_number,
        "species": said.get("species", getattr(subject, "species", None) or ""),
        "subject_description": said.get("subject_description", _joined(descriptions)),
        "note": said.get("note", _joined([file.session_description, file.notes])),
    }
    return who, remarks


def _taken(file: NWBFile, sidecar: Sidecar, place: str) -> list[_Taken]:
    """Every movie under stimulus presentation, or those that stand beside the file."""
    movies = {name: series for name, series in file.stimulus.items() if is_movie(series)}
    strangers = [name for name in sidecar.stimulations if name not in movies]
    if strangers:
        raise ReadError(
            f"{sidecar.path.name}: no movie under stimulus/presentation in {place} is called {shown(strangers[0])}, "
            f"expected one of {_short(', '.join(movies), 200) or 'none: there is no movie'}"
        )
    exported = said_of_stimulations(file, place)
    return [
        _stimulation(movies[name], exported.get(name, {}), sidecar, f"{place}: {_short(name, 80)}")
        for name in (sidecar.stimulations or movies)
    ]


def _stimulation(series: TimeSeries, exported: dict[str, Any], sidecar: Sidecar, place: str) -> _Taken:
    beside = sidecar.stimulations.get(series.name, {})
    replaced = [keys for keys in (_CLOCK, GEOMETRY, ("black", "white")) if any(key in beside for key in keys)]
    said = {key: value for key, value in exported.items() if not any(key in keys for keys in replaced)} | beside
    movie, pixel_size_um, remarks = movie_of_series(series, said, sidecar, place)
    timing = timing_of(series, movie.n_frames, said, sidecar, place)
    number = said.get("stimulation_number", 1)
    with contract_errors_at(place, f"stimulation {number}: "):
        stimulation = Stimulation(number, movie, pixel_size_um=pixel_size_um, **timing.fields)
    if "movie_hash" in said and not beside and said["movie_hash"] != movie.movie_hash:
        remarks.append("its frames are not those that were exported (movie_hash differs)")
    remark = (
        f"{type(series).__name__} of {movie.n_frames} frames of {movie.n_y} x {movie.n_x} blocks at "
        f"{timing.frame_rate_hz:g} Hz from {timing.onset_s:g} s ({timing.remark})"
    )
    return _Taken(
        series, stimulation, "stimulation_number" in said, said.get("clock_offset_s"), "; ".join([remark, *remarks])
    )


def _shown(taken: list[_Taken], sidecar: Sidecar, place: str) -> list[Shown]:
    """Between which others each stimulation was shown; they may not overlap by more than a frame."""
    shown = []
    for one, before, after in zip(taken, [None, *taken], [*taken[1:], None], strict=False):
        before_s = -math.inf if before is None else before.end_s
        after_s = math.inf if after is None else after.onset_s
        if after is not None and one.end_s - after_s > 1 / one.stimulation.frame_rate_hz:
            raise ReadError(
                f"{place}: {one.series.name} (until {one.end_s:g} s) and {after.series.name} (from {after_s:g} s) "
                f"overlap, expected one movie at a time; [[stimulations]] in {sidecar.path.name} name those to take"
            )
        shown.append(Shown(one.series.name, one.onset_s, one.end_s, before_s, after_s, one.offset_s is not None))
    return shown


def _left(file: NWBFile, taken: set[str]) -> list[str]:
    """Say in a sentence what of the file is in no contract."""
    units = file.units.colnames if file.units is not None else ()
    kinds = {
        "stimuli": [name for name in (*file.stimulus, *stimuli_passed_over(file)) if name not in taken],
        "acquisition": list(file.acquisition),
        "processing": [name for name in file.processing if name != MODULE],
        "analysis": list(file.analysis),
        "intervals": [table.name for table in (file.epochs, file.trials, file.invalid_times) if table is not None]
        + list(file.intervals),
        "columns of units": [name for name in units if name not in TAKEN],
        "scratch": list(file.scratch),
    }
    listed = [f"{kind} ({_short(', '.join(dict.fromkeys(names)), 120)})" for kind, names in kinds.items() if names]
    return [f"left in the file: {'; '.join(listed)}"] if listed else []


def _joined(texts: list[str | None]) -> str:
    return _short("; ".join(text.strip() for text in texts if text and text.strip()), _LONGEST_NOTE, one_line=False)


def _short(text: str, limit: int, *, one_line: bool = True) -> str:
    text = " ".join(text.split()) if one_line else text
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
