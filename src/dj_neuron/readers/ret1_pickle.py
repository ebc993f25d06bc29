"""The exercise's data set: a pickled list of sessions, movies as ``(x blocks, y blocks, frames)``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from dj_neuron.contracts import Movie, Session, Source, SpikeTrain, Stimulation
from dj_neuron.contracts.arguments import shown
from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at, safe_pickle, unfolding
from dj_neuron.readers.values import as_count, as_date, as_number, as_positive, as_text

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_SESSION_KEYS = ("subject_name", "sample_number", "session_date", "stimulations")
_STIMULATION_KEYS = (
    *("fps", "movie", "n_frames", "pixel_size", "spikes", "stim_height", "stim_width"),
    *("stimulus_onset", "x_block_size", "y_block_size"),
)
_SIZE_KEYS = (("x_block_size", "stim_width"), ("y_block_size", "stim_height"))
_RECORD_BYTES = 512  # what a movie or a spike train takes besides its values


class Ret1PickleReader:
    """Reads ret-1 pickles without trusting them."""

    name = "ret1_pickle"

    def accepts(self, path: Path) -> bool:
        """Tell whether the file begins as a pickle does."""
        return safe_pickle.is_pickle(path)

    def raw(self, path: Path) -> Any:
        """Whatever was pickled, ret-1 or not."""
        return safe_pickle.load(path)

    def read(self, path: Path) -> Iterator[Session]:
        """Yield the sessions in the file's order, letting go of each one's arrays before the next.

        Neurons are numbered from 1 by their place in ``spikes``, stimulations by theirs in the session.

        Raises
        ------
        ReadError
            Before the first session if the file is no list of sessions or names one twice;
            at a session whose stimulations are not as expected, or with which arrays that the file holds once
            and uses many times take much more memory than the file is long.
        """
        sessions = safe_pickle.load(path)
        if not isinstance(sessions, list) or not sessions:
            got = "an empty list" if isinstance(sessions, list) else f"a {type(sessions).__name__}"
            raise ReadError(f"{path.name}: holds {got}, expected a list of at least one session")
        heads = [_head(session, f"{path.name}: session {number}") for number, session in enumerate(sessions, 1)]
        _refuse_twins(heads, path.name)
        with path.open("rb") as file:
            source = Source(path.name, hashlib.file_digest(file, "sha256").hexdigest(), self.name)
        made = _Made(path.stat().st_size)
        for number, (subject_name, session_date, sample_number) in enumerate(heads, 1):
            place = f"{path.name}: session {number} ({subject_name}, {session_date}, sample {sample_number})"
            # bound to a name until the next are there, which may share their movies
            stimulations = _stimulations(sessions[number - 1]["stimulations"], place, made)
            sessions[number - 1] = None
            yield Session(subject_name, session_date, sample_number, stimulations, source)


class _Made:
    """What has been made of a file's arrays: movies, one for all stimulations that share it, and how much in all."""

    def __init__(self, n_file_bytes: int) -> None:
        self.movies: WeakValueDictionary[tuple[int, ...], Movie] = WeakValueDictionary()
        self.n_file_bytes = n_file_bytes
        self.n_bytes = 0

    def add(self, n_bytes: int, place: str) -> None:
        self.n_bytes += n_bytes + _RECORD_BYTES
        most = unfolding.most_bytes(self.n_file_bytes)
        if self.n_bytes > most:
            raise ReadError(
                f"{place}: up to here the file's {self.n_file_bytes} bytes unfold to {self.n_bytes}, expected at most "
                f"{most}"
            )


def _head(session: Any, place: str) -> tuple[str, datetime.date, int]:
    _check_keys(session, _SESSION_KEYS, place)
    subject_name = as_text(session["subject_name"], "subject_name", place)
    session_date = as_date(session["session_date"], "session_date", place)
    return subject_name, session_date, as_count(session["sample_number"], "sample_number", place, lowest=0)


def _refuse_twins(heads: list[tuple[str, datetime.date, int]], file_name: str) -> None:
    numbers: dict[tuple[str, datetime.date, int], int] = {}
    for number, head in enumerate(heads, 1):
        if numbers.setdefault(head, number) != number:
            raise ReadError(
                f"{file_name}: sessions {numbers[head]} and {number} are both {head[0]}, {head[1]}, "
                f"sample {head[2]}, expected each session once"
            )


def _stimulations(stimulations: Any, place: str, made: _Made) -> tuple[Stimulation, ...]:
    if not isinstance(stimulations, list):
        raise ReadError(f"{place}: stimulations are {shown(stimulations)}, expected a list")
    converted = tuple(
        _stimulation(stimulation, number, f"{place}, stimulation {number}", made)
        for number, stimulation in enumerate(stimulations, 1)
    )
    for stimulation in converted[1:]:
        if len(stimulation.spike_trains) != len(converted[0].spike_trains):
            raise ReadError(
                f"{place}, stimulation {stimulation.stimulation_number}: spikes of {len(stimulation.spike_trains)} "
                f"neurons, expected {len(converted[0].spike_trains)} as in stimulation 1"
            )
    return converted


def _stimulation(record: Any, number: int, place: str, made: _Made) -> Stimulation:
    _check_keys(record, _STIMULATION_KEYS, place)
    movie = _movie(record, place, made)
    spikes = record["spikes"]
    if not isinstance(spikes, list):
        raise ReadError(f"{place}: spikes are {shown(spikes)}, expected a list of arrays")
    with contract_errors_at(place):
        trains = tuple(
            SpikeTrain(neuron_id, _times_s(times_s, f"{place}: spikes of neuron {neuron_id}", made))
            for neuron_id, times_s in enumerate(spikes, 1)
        )
    with contract_errors_at(place, f"stimulation {number}: "):
        return Stimulation(
            stimulation_number=number,
            movie=movie,
            frame_rate_hz=as_positive(record["fps"], "fps", place),
            onset_s=as_number(record["stimulus_onset"], "stimulus_onset", place),
            pixel_size_um=as_positive(record["pixel_size"], "pixel_size", place),
            spike_trains=trains,
        )


def _movie(record: dict[str, Any], place: str, made: _Made) -> Movie:
    movie = record["movie"]
    if not isinstance(movie, np.ndarray) or movie.ndim != 3:
        raise ReadError(f"{place}: movie is {shown(movie)}, expected an array (x blocks, y blocks, frames)")
    n_frames = as_count(record["n_frames"], "n_frames", place)
    if n_frames != movie.shape[2]:
        raise ReadError(f"{place}: n_frames is {n_frames}, expected {movie.shape[2]}, the frames of the movie")
    sizes = [_block_and_screen_px(record, *keys, place) for keys in _SIZE_KEYS]
    block_size_px, screen_size_px = zip(*sizes, strict=True)
    key = (id(movie), *block_size_px, *screen_size_px)
    known = made.movies.get(key)
    made.add(0 if known else movie.nbytes, f"{place}: movie")
    if known:
        return known
    with contract_errors_at(place):
        frames = movie.transpose(2, 1, 0)
        new = Movie.from_frames(frames, block_size_px=block_size_px, screen_size_px=screen_size_px).as_contrast()
    made.movies[key] = new
    return new


def _block_and_screen_px(record: dict[str, Any], block_key: str, screen_key: str, place: str) -> tuple[int, int]:
    block_px, screen_px = (as_count(record[key], key, place) for key in (block_key, screen_key))
    if screen_px % block_px:
        raise ReadError(
            f"{place}: {block_key} is {block_px} and {screen_key} is {screen_px}, expected a whole number of blocks"
        )
    return block_px, screen_px


def _times_s(times_s: Any, place: str, made: _Made) -> NDArray[np.float64]:
    if not isinstance(times_s, np.ndarray) or times_s.dtype.kind not in "iuf" or times_s.ndim not in {1, 2}:
        raise ReadError(f"{place} are {shown(times_s)}, expected an array (n, 1) of seconds")
    if times_s.ndim == 2 and times_s.shape[1] != 1 and times_s.size > 0:
        raise ReadError(f"{place} are {shown(times_s)}, expected an array (n, 1) of seconds")
    made.add(times_s.size * np.dtype(np.float64).itemsize, place)
    return np.asarray(times_s.reshape(-1), np.float64)


def _check_keys(record: Any, expected: tuple[str, ...], place: str) -> None:
    if not isinstance(record, dict):
        raise ReadError(f"{place} is {shown(record)}, expected a dict with {', '.join(expected)}")
    missing = [f"{key!r} is missing" for key in expected if key not in record]
    unexpected = [f"{key!r} is unexpected" for key in record if key not in expected]
    if missing or unexpected:
        raise ReadError(f"{place}: {', '.join(missing + unexpected)}, expected the keys {', '.join(expected)}")
