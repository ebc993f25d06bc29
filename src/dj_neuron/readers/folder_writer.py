"""Sessions into recording folders, each complete or not there at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from dj_neuron.errors import ExportError
from dj_neuron.readers.folder_toml import HEADER, SESSION_FILE
from dj_neuron.text_file import LONGEST_BYTES
from dj_neuron.whole import whole_folder

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from dj_neuron.contracts import Movie, Session, Stimulation

_CHUNK_VALUES = 1 << 24  # how many blocks of a movie are unpacked in one go


def write_recording_folder(session: Session, folder: Path | str) -> Path:
    """Write one session as a recording folder.

    Parameters
    ----------
    session : Session
        Any session, also one without stimulations.
    folder : Path
        The folder to make; it may not exist yet.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ExportError
        If something is already at `folder`, or it cannot be written.

    Notes
    -----
    Reading the folder gives the same movies, spikes and frame times to the last bit. Movies of
    -1 and +1 are written as int8, and one that several stimulations share is written once.
    """
    folder = Path(folder)
    if folder.exists():
        raise ExportError(f"{folder}: exists already, expected a folder yet to be made")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder) as part:
        _write(session, part)
    return folder


def empty_place(folder: Path) -> Path:
    """Give where a folder may be written, links followed and its parents made.

    Raises
    ------
    ExportError
        If `folder` is a file or a folder that is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder}: exists and is not empty, expected an empty folder or one yet to be made")
    place = folder.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write(session: Session, folder: Path) -> None:
    movie_files: dict[str, str] = {}
    records = []
    for stimulation in session.stimulations:
        movie = stimulation.movie
        if movie.movie_hash not in movie_files:
            movie_files[movie.movie_hash] = f"movie_{stimulation.stimulation_number}.npy"
            _write_movie(movie, folder / movie_files[movie.movie_hash])
        records.append(_record(stimulation, movie_files[movie.movie_hash], folder))
    optional = {
        "species": session.species,
        "subject_description": session.subject_description,
        "note": session.note,
        "neuron_labels": {_array_name(neuron_id): label for neuron_id, label in session.neuron_labels.items() if label},
    }
    table = {
        "subject_name": session.subject_name,
        "session_date": session.session_date,
        "sample_number": session.sample_number,
        **{key: value for key, value in optional.items() if value},
        "stimulations": records,
    }
    source = session.source
    origin = f"# Written from {source.file_name!a}, sha256 {source.sha256!a}.\n" if source.file_name else ""
    content = f"{HEADER}{origin}\n{tomli_w.dumps(table)}".encode()
    if len(content) > LONGEST_BYTES:
        raise ExportError(f"{SESSION_FILE} would take {len(content)} bytes, expected at most {LONGEST_BYTES} to read")
    (folder / SESSION_FILE).write_bytes(content)


def _record(stimulation: Stimulation, movie_file: str, folder: Path) -> dict[str, Any]:
    number, movie = stimulation.stimulation_number, stimulation.movie
    spikes_file = f"spikes_{number}.npz"
    np.savez(
        folder / spikes_file,
        allow_pickle=False,
        **{_array_name(train.neuron_id): train.times_s for train in stimulation.spike_trains},
    )
    timing: dict[str, Any] = {
        "frame_rate_hz": float(stimulation.frame_rate_hz),
        "onset_s": float(stimulation.onset_s),
    }
    if stimulation.frame_edges_s is not None:
        timing = {"frame_times": f"frames_{number}.npy"}
        np.save(folder / timing["frame_times"], stimulation.frame_edges_s, allow_pickle=False)
    if stimulation.gaps_s is not None:
        timing["gaps_s"] = stimulation.gaps_s.tolist()
    return {
        "stimulation_number": number,
        "movie": movie_file,
        "spikes": spikes_file,
        **timing,
        "pixel_size_um": float(stimulation.pixel_size_um),
        "block_width_px": int(movie.block_size_px[0]),
        "block_height_px": int(movie.block_size_px[1]),
        "screen_width_px": int(movie.screen_size_px[0]),
        "screen_height_px": int(movie.screen_size_px[1]),
        **({} if _shows_its_contrast(movie) else {"black": -1.0, "white": 1.0}),
    }


def _write_movie(movie: Movie, path: Path) -> None:
    dtype: DTypeLike = movie.data.dtype
    if movie.levels is not None:
        dtype = np.int8 if movie.levels == (-1.0, 1.0) else np.float64
    values = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=movie.shape)
    step = max(1, _CHUNK_VALUES // movie.n_blocks)
    for start in range(0, movie.n_frames, step):
        values[start : start + step] = movie.frames(start, start + step, dtype)
    values.flush()


def _shows_its_contrast(movie: Movie) -> bool:
    """Tell whether a reader arrives at the movie's contrast from its values alone."""
    low, high = movie.extremes()
    return (low >= -1 and high <= 1) if movie.levels is None else (low, high) == movie.levels == (-1.0, 1.0)


def _array_name(neuron_id: int) -> str:
    return f"neuron_{neuron_id:03d}"
