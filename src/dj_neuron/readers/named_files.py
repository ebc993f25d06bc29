"""Files that a TOML file names, beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers.array_file import NOT_AN_ARRAY, npy_array, reason_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def inside(folder: Path, reference: str, place: str) -> Path:
    """Give the path of a file in the folder; raise ReadError if it is missing or lies outside."""
    path = Path(os.path.realpath(folder / reference))  # which takes links in a circle as they are
    if not path.is_relative_to(folder.resolve()):
        raise ReadError(f"{place}: {reference!r} lies outside the folder, expected a file in it")
    if not path.is_file():
        what = "is no file" if path.exists() or path.is_symlink() else "is missing"
        raise ReadError(f"{place}: {reference!r} {what}, expected a file in the folder")
    return path


def load_npy(folder: Path, reference: str, place: str) -> NDArray[Any]:
    """Load an array without unpickling anything."""
    path = inside(folder, reference, place)
    try:
        return npy_array(path)
    except NOT_AN_ARRAY as error:
        raise ReadError(
            f"{place}: {reference} cannot be read{reason_of(error)}, expected an .npy file of numbers"
        ) from error


def frame_edges_s(
    folder: Path, record: dict[str, Any], n_frames: int, place: str, toml_name: str
) -> NDArray[np.float64]:
    """Load the starts of all frames and the end of the last, which ``last_frame_end_s`` may give."""
    times_s = load_npy(folder, record["frame_times"], place)
    place = f"{place}: {record['frame_times']}"
    has_end = "last_frame_end_s" in record
    expected = n_frames if has_end else n_frames + 1
    what = f"the starts of {n_frames} frames{'' if has_end else ' and the end of the last'}"
    if times_s.dtype.kind not in "iuf":
        raise ReadError(f"{place} holds no numbers, expected {what} in seconds")
    if times_s.shape != (expected,):
        hint = "" if has_end or times_s.shape != (n_frames,) else f", or last_frame_end_s in {toml_name}"
        raise ReadError(f"{place} has shape {times_s.shape}, expected ({expected},): {what}{hint}")
    with np.errstate(over="ignore"):  # what is beyond float64 becomes infinite, and is refused
        edges_s = times_s.astype(np.float64)
    if has_end:
        edges_s = np.append(edges_s, float(record["last_frame_end_s"]))
    if not (np.isfinite(edges_s).all() and (edges_s[1:] > edges_s[:-1]).all()):
        raise ReadError(f"{place}: frame times are not finite and strictly ascending, expected seconds, one per frame")
    return edges_s
