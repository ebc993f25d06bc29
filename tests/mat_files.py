"""MATLAB files as CRCNS ret-1 has them."""

import numpy as np
import scipy.io


def cell(rows):
    """A cell array from rows of cells."""
    cells = np.empty((len(rows), len(rows[0]) if rows else 0), object)
    for place in np.ndindex(cells.shape):
        cells[place] = rows[place[0]][place[1]]
    return cells


def structs(records):
    """A 1 x K array of structs."""
    array = np.empty((1, len(records)), [(name, object) for name in records[0]])
    for place, record in enumerate(records):
        array[0, place] = tuple(record.values())
    return array


def recording(x=40, y=20, dx=5, dy=10, n_frames=300, frame_s=1 / 59.98, **changes):
    param = {"x": x, "y": y, "dx": dx, "dy": dy, "seed": -10000}
    return {
        "type": "binary white noise", "frame": frame_s, "onset": 1.25, "Nframes": n_frames, "pixelsize": 8.3,
        "param": param,
    } | changes  # fmt: skip


def variables(recordings, spikes, **changes):
    """The three variables of a file; `changes` go to datainfo, where None takes a field away."""
    n_recordings = len(recordings)
    datainfo = {
        "date": "20080516", "SmplNo": 1, "RecNo": np.arange(4, 4 + n_recordings)[:, None],
        "RecStartTime": np.array([[2008, 5, 16, 1, 28 + i, 30] for i in range(n_recordings)]).reshape(-1, 6),
        "Ncell": len(spikes), "animal": "KO (pax6)", "description": "a retina", "experimenter": "A. Person",
    }  # fmt: skip
    datainfo = {key: value for key, value in (datainfo | changes).items() if value is not None}
    return {"datainfo": datainfo, "stimulus": structs(recordings), "spikes": cell(spikes)}


SPIKES = [[np.array([[1.5], [2.25]]), np.empty((0, 0))], [np.empty((0, 1)), np.array([[3.0]])]]


def two_recordings():
    return variables([recording(), recording(x=30, y=1, dx=1, dy=1)], SPIKES)


def written(folder, content, name="20080516_R1.mat", compressed=True):
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / name, content, do_compression=compressed)
    return folder / name
