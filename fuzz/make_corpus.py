#!/usr/bin/env python
"""Make the corpus that fuzzing begins with: whole files of every kind, small and of our own making."""

from __future__ import annotations

import pickle
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]

import bad_folders
import mat_files
from ret1_files import ret1_session, ret1_stimulation
from targets import CORPUS, joined

SESSIONS = [ret1_session(ret1_stimulation()), ret1_session(sample_number=2)]
SIDECAR = """subject_name = "KO"
session_date = 2008-06-06
[[stimulations]]
series = "noise"
frame_times = "frames.npy"
last_frame_end_s = 6.5
gaps_s = [[2.5, 4]]
pixel_size_um = 2.5
block_width_px = 4
block_height_px = 4
black = 0
white = 255
axes = "time, x, y"
channel = "green"
"""


def made(folder: Path) -> dict[str, bytes]:
    """Give the content of every file of the corpus by its name."""
    files = {f"pickle/protocol_{protocol}": pickle.dumps(SESSIONS, protocol) for protocol in range(6)}
    files["pickle/scalars_and_sets"] = pickle.dumps([np.float64(1.5), {1, "a"}, b"\x00\xff", {"a": (None, True)}])
    for packed in (True, False):
        path = mat_files.written(folder, mat_files.two_recordings(), compressed=packed)
        files[f"mat/{'packed' if packed else 'plain'}"] = path.read_bytes()
    recording = bad_folders.with_frame_times(bad_folders.EDGES_S, "gaps_s = [[2.5, 4]]")(folder)
    files["folder/frame_times"] = joined(recording)
    shutil.rmtree(recording)
    files["folder/regular"] = joined(bad_folders.whole(folder))
    files["sidecar/all"] = SIDECAR.encode()
    return files


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in made(Path(scratch)).items():
            (CORPUS / name).parent.mkdir(parents=True, exist_ok=True)
            (CORPUS / name).write_bytes(content)
