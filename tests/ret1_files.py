"""Sessions as ret-1 pickles hold them."""

import numpy as np


def ret1_stimulation(**changes):
    movie = np.zeros((3, 2, 4))
    movie[2, 0, 1] = 1
    return {
        "fps": 59.9815,
        "movie": movie,
        "n_frames": 4,
        "pixel_size": 8.3,
        "spikes": [np.array([[0.5], [1.25]]), np.empty((0, 1))],
        "stim_height": 480,
        "stim_width": 600,
        "stimulus_onset": 1.65657,
        "x_block_size": 200,
        "y_block_size": 240,
    } | changes


def ret1_session(*stimulations, **changes):
    return {
        "subject_name": "KO (chx10)",
        "sample_number": 1,
        "session_date": "2008-06-06",
        "stimulations": list(stimulations),
    } | changes
