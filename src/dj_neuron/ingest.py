"""Session contracts into tables: one transaction per session, repeatable, and deaf to contradictions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dj_neuron.contracts import Session
from dj_neuron.contracts.arguments import instance, refuse
from dj_neuron.contracts.gaps import without_ambiguity
from dj_neuron.contracts.plausibility import remarks_on
from dj_neuron.errors import ConflictError, ContractError, DatabaseError, is_from_the_database, printable, words_of
from dj_neuron.pipeline import experiment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from dj_neuron.contracts import Movie, Stimulation

    Row = dict[str, Any]

# In the order of their foreign keys.
_TABLES = ("Subject", "Session", "Neuron", "Movie", "Stimulation", "SpikeTrain")
COMPARED = ("Subject", "Session", "Neuron", "Stimulation", "SpikeTrain")  # movies are compared by their hash
_SHARED = ("Subject", "Movie")  # rows that several sessions refer to
_PROVENANCE = ("source_file", "source_sha256", "reader")  # may differ between two files that say the same
_TEXTS = {"Subject": ("species", "subject_description"), "Session": ("note",), "Neuron": ("source_label",)}
_N_DIFFERENCES_SHOWN = 3
_SHOWN = 16  # characters of a text that differs
_STRANGE = re.compile(r"[\0\ud800-\udfff]")  # what PostgreSQL refuses and UTF-8 has no bytes for

Outcome = Literal["new", "described", "unchanged"]

_WORDS: dict[Outcome, str] = {
    "new": "new",
    "described": "already there, only descriptions were added",
    "unchanged": "already there, nothing changed",
}


@dataclass(frozen=True)
class IngestReport:
    """What became of one session, and what its reader remarked: a sentence each."""

    session: str
    outcome: Outcome
    n_stimulations: int
    n_neurons: int
    n_spikes: int
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = _WORDS[self.outcome]
        counts = (
            f"{self.n_stimulations} stimulation(s), {self.n_neurons} neuron(s), {self.n_spikes} spikes"
            if self.n_stimulations
            else "no stimulations"
        )
        return "\n  ".join(map(printable, [f"{self.session}: {what}; {counts}", *self.remarks]))


def ingest(sessions: Iterable[Session], path: Path | str = "") -> Iterator[IngestReport]:
    """Insert sessions one after another.

    Parameters
    ----------
    path : Path
        The file they come from, for error messages.

    Yields
    ------
    IngestReport
        As soon as a session's transaction is complete.

    Raises
    ------
    ContractError, ConflictError
        If a session cannot be as it says, or is in the pipeline already and `sessions` say something else about it.
        Nothing of it is written; sessions before it are.

    Notes
    -----
    Species, descriptions, notes and labels that a file or the pipeline leaves empty contradict nothing; those that the
    pipeline lacks are added.
    """
    if not np.iterable(sessions):
        refuse(sessions, "sessions", str(path), "a sequence of Session", ContractError)
    for place, session in enumerate(sessions):
        yield ingest_session(instance(session, Session, f"sessions[{place}]", str(path)), path)


def ingest_session(session: Session, path: Path | str = "") -> IngestReport:
    """Insert one session unless it is there already; see :func:`ingest`."""
    rows, remarks = checked_rows(session, path)
    where = place_of(session, path)
    stored = stored_rows(rows, where)
    outcome: Outcome = "unchanged"
    if not stored["Session"]:
        try:
            _insert(rows)
            outcome = "new"
        except Exception as error:
            if not is_from_the_database(error):
                raise
            # another process was quicker, and then must have said the same; or in the way, and then has done by now
            stored = stored_rows(rows, where)
            if not stored["Session"]:
                _insert_at_last(rows, where)
                outcome = "new"
    if _add_texts(stored, rows) and outcome == "unchanged":
        outcome = "described"
    return IngestReport(
        session=str(session),
        outcome=outcome,
        n_stimulations=len(rows["Stimulation"]),
        n_neurons=len(rows["Neuron"]),
        n_spikes=sum(row["n_spikes"] for row in rows["SpikeTrain"]),
        remarks=(*session.remarks, *remarks),
    )


def place_of(session: Session, path: Path | str) -> str:
    """Name a session and where it comes from, for messages."""
    return f"{path}: {session}" if path else str(session)


def checked_rows(session: Session, path: Path | str) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Give a session's rows and what is suspicious in it; raise ContractError if tables cannot hold it."""
    where = place_of(session, path)
    rows = session_rows(session)
    _check_texts(rows, where)
    key = {name: rows["Session"][0][name] for name in experiment.Session().primary_key}
    others_hz = (experiment.Stimulation() - key).to_arrays("frame_rate_hz") if session.stimulations else []
    try:
        remarks = remarks_on(session, others_hz)
    except ContractError as error:
        raise ContractError(f"{where}: {error}") from None
    return rows, remarks


def session_rows(session: Session) -> dict[str, list[Row]]:
    """Give the rows of every table that a session fills."""
    subject = {"subject_name": session.subject_name}
    key = {**subject, "session_date": session.session_date, "sample_number": session.sample_number}
    movies = {stimulation.movie.movie_hash: stimulation.movie for stimulation in session.stimulations}
    return {
        "Subject": [{**subject, "species": session.species, "subject_description": session.subject_description}],
        "Session": [
            {
                **key,
                "source_file": session.source.file_name,
                "source_sha256": session.source.sha256,
                "reader": session.source.reader,
                "note": session.note,
            }
        ],
        "Neuron": [{**key, "neuron_id": i, "source_label": label} for i, label in session.neuron_labels.items()],
        "Movie": [_movie_row(movie) for movie in movies.values()],
        "Stimulation": [{**key, **_stimulation_row(stimulation)} for stimulation in session.stimulations],
        "SpikeTrain": [
            {
                **key,
                "stimulation_number": stimulation.stimulation_number,
                "neuron_id": train.neuron_id,
                "n_spikes": train.n_spikes,
                "spike_times_s": train.times_s,
            }
            for stimulation in session.stimulations
            for train in stimulation.spike_trains
        ],
    }


def _movie_row(movie: Movie) -> Row:
    low, high = movie.levels or (None, None)
    return {
        "movie_hash": movie.movie_hash,
        "n_frames": movie.n_frames,
        "n_y": movie.n_y,
        "n_x": movie.n_x,
        "block_width_px": movie.block_size_px[0],
        "block_height_px": movie.block_size_px[1],
        "screen_width_px": movie.screen_size_px[0],
        "screen_height_px": movie.screen_size_px[1],
        "low_level": low,
        "high_level": high,
        "frames": movie,
    }


def _stimulation_row(stimulation: Stimulation) -> Row:
    return {
        "stimulation_number": stimulation.stimulation_number,
        "movie_hash": stimulation.movie.movie_hash,
        "frame_rate_hz": stimulation.frame_rate_hz,
        "onset_s": stimulation.onset_s,
        "pixel_size_um": stimulation.pixel_size_um,
        "frame_edges_s": stimulation.frame_edges_s,
        "gaps_s": stimulation.gaps_s,
    }


def _check_texts(rows: dict[str, list[Row]], where: object) -> None:
    if "\\" in rows["Subject"][0]["subject_name"]:
        # DataJoint doubles it when it looks the name up, which PostgreSQL takes literally
        raise ContractError(
            f"{where}: subject_name holds a backslash, which tables cannot look up, expected another name"
        )
    for name in _TABLES:
        for column, attribute in getattr(experiment, name)().heading.attributes.items():
            if not attribute.type.startswith("varchar"):
                continue
            limit = int(attribute.type[len("varchar(") : -1])
            for row in rows[name]:
                if strange := _STRANGE.search(row[column]):
                    raise ContractError(
                        f"{where}: {column} holds the character {strange[0]!a}, expected text that tables can hold"
                    )
                if len(row[column]) > limit:
                    raise ContractError(
                        f"{where}: {column} is {len(row[column])} characters long ({row[column][:20]}...), "
                        f"expected at most {limit}"
                    )


def _insert(rows: dict[str, list[Row]]) -> None:
    with experiment.schema.connection.transaction:
        for name in _TABLES:
            getattr(experiment, name).insert(rows[name], skip_duplicates=name in _SHARED)


def _insert_at_last(rows: dict[str, list[Row]], where: str) -> None:
    """Insert the rows of a session; raise DatabaseError, which names it, if the database refuses them."""
    try:
        _insert(rows)
    except Exception as error:
        if not is_from_the_database(error):
            raise
        raise DatabaseError(f"{where}: the database does not take it: {words_of(error):.200}") from error


def stored_rows(rows: dict[str, list[Row]], where: str) -> dict[str, list[Row]]:
    """Give what the pipeline holds of the session and its subject; raise ConflictError if it says something else."""
    key = {name: rows["Session"][0][name] for name in experiment.Session().primary_key}
    # a table looks only at those attributes of the key that it has
    stored = {name: (getattr(experiment, name)() & key).to_dicts() for name in COMPARED}
    stored["Stimulation"] = [_with_gaps_as_now(row) for row in stored["Stimulation"]]
    found = []
    for name in COMPARED:
        if stored["Subject" if name == "Subject" else "Session"]:
            found += differences(name, stored[name], rows[name])
    if found:
        raise ConflictError(f"{where}: the pipeline holds something else: {listed(found)}")
    return stored


def _add_texts(stored: dict[str, list[Row]], rows: dict[str, list[Row]]) -> bool:
    """Add the descriptions that the pipeline lacks to rows that it holds; tell whether there were any."""
    updates = []
    for name, columns in _TEXTS.items():
        table = getattr(experiment, name)()
        said = {tuple(row[column] for column in table.primary_key): row for row in rows[name]}
        for row in stored[name]:
            new = said[tuple(row[column] for column in table.primary_key)]
            if texts := {column: new[column] for column in columns if new[column] and not row[column]}:
                updates.append((table, {column: row[column] for column in table.primary_key} | texts))
    with experiment.schema.connection.transaction:
        for table, update in updates:
            table.update1(update)
    return bool(updates)


def listed(found: list[str]) -> str:
    """Give the first few differences, and how many more there are."""
    more = len(found) - _N_DIFFERENCES_SHOWN
    return "; ".join(found[:_N_DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def differences(name: str, there: list[Row], said: list[Row], *, old: str = "pipeline", new: str = "file") -> list[str]:
    """Say in words how the rows of a session that `old` holds differ from those of `new`."""
    own_key = [column for column in getattr(experiment, name)().primary_key if column in _OWN_KEYS]

    def by_key(rows: list[Row]) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[column] for column in own_key): row for row in rows}

    known, told = by_key(there), by_key(said)
    found = []
    for key in sorted(known.keys() | told.keys()):
        label = " ".join([name, *(f"{column} {value}" for column, value in zip(own_key, key, strict=True))])
        if key not in known or key not in told:
            found.append(f"{label} is only in the {new if key in told else old}")
            continue
        for column, value in told[key].items():
            is_unsaid = column in _TEXTS.get(name, ()) and "" in {value, known[key][column]}
            if column not in _PROVENANCE and not is_unsaid and not _same(known[key][column], value):
                known_words, told_words = _apart(known[key][column], value)
                found.append(f"{label} has {column} {known_words}, the {new} {told_words}")
    return found


_OWN_KEYS = ("neuron_id", "stimulation_number")  # what tells rows of one session apart


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b) if isinstance(b, np.ndarray) else bool(a == b)


def _with_gaps_as_now(row: Row) -> Row:
    """Give a row of Stimulation with its gaps in the one form, in which older rows need not be."""
    if row["gaps_s"] is None:
        return row
    edges_s, gaps_s = without_ambiguity(row["frame_edges_s"], row["gaps_s"])
    of_edges = {"frame_edges_s": edges_s, "frame_rate_hz": 1 / float(np.median(np.diff(edges_s)))}
    return row | of_edges | {"gaps_s": gaps_s if len(gaps_s) else None}


def _apart(a: Any, b: Any) -> tuple[str, str]:
    """Give two values that differ in words that do."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape:
        place = int(np.flatnonzero(a.ravel() != b.ravel())[0])
        return f"[{a.size} values, {a.flat[place]} at {place}]", f"[{b.size} values, {b.flat[place]} at {place}]"
    if isinstance(a, str) and isinstance(b, str):
        n_same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
        begin = max(n_same - _SHOWN // 2, 0)
        return _short(a, begin), _short(b, begin)
    return _short(a), _short(b)


def _short(value: Any, begin: int = 0) -> str:
    if isinstance(value, np.ndarray):
        return f"[{value.size} values from {value.flat[0]:.6g}]" if value.size else "[no values]"
    text = str(value)[begin:]
    return "..." * (begin > 0) + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
