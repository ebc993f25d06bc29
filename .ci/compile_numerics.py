"""Compile the numerics, which the processes of the tests would else all do at the same time."""

import numpy as np

from dj_neuron.contracts import Movie
from dj_neuron.strf import FrameClock, circular_shift_null, spike_triggered_average

rng = np.random.default_rng(0)
clock, times_s, delays_s = FrameClock.regular(30.0, 300, 1.0), np.sort(rng.uniform(1, 11, 200)), [0.0, 0.1]
for frames in (rng.choice([-1, 1], (300, 4, 5)), rng.normal(size=(300, 4, 5))):
    spike_triggered_average(Movie.from_frames(frames), clock, [times_s], delays_s)
    circular_shift_null(Movie.from_frames(frames), clock, [times_s], delays_s, neuron_numbers=[1], seed=0, n_shifts=20)
