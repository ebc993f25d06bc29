"""What every estimate asks of its arguments before it looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts import Movie, SpikeTrain
from dj_neuron.contracts.arguments import choice, floats, instance, refuse, whole
from dj_neuron.errors import AlignmentError
from dj_neuron.strf.frame_clock import FRAME_RULES, FrameClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


def checked(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    frame_rule: str = "floor",
    min_spikes: int = 1,
) -> tuple[Movie, list[Floats], Floats]:
    """Give movie, ascending spike times of every train, and delays; raise AlignmentError if anything does not fit."""
    instance(frame_clock, FrameClock, "frame_clock", error=AlignmentError)
    choice(frame_rule, FRAME_RULES, "frame_rule", error=AlignmentError)
    whole(min_spikes, "min_spikes", lowest=0, error=AlignmentError)
    movie = movie if isinstance(movie, Movie) else Movie.from_frames(movie)
    if movie.n_frames != frame_clock.n_frames:
        raise AlignmentError(f"the movie has {movie.n_frames} frames, but the clock {frame_clock.n_frames}")
    delays = np.atleast_1d(floats(delays_s, "delays", error=AlignmentError))
    if delays.ndim != 1 or not np.isfinite(delays).all():
        raise AlignmentError("delays are expected as finite seconds, (n_delays,)")
    if not np.iterable(spike_trains):
        refuse(spike_trains, "spike_trains", "", "one SpikeTrain or array per neuron", AlignmentError)
    trains = []
    for number, train in enumerate(spike_trains):
        given = train.times_s if isinstance(train, SpikeTrain) else train
        times_s = floats(given, "times", f"spike train {number}", error=AlignmentError)
        if times_s.ndim != 1 or not np.isfinite(times_s).all():
            first = int(np.isfinite(times_s).argmin())
            found = f"has shape {times_s.shape}" if times_s.ndim != 1 else f"has spike {first} at {times_s[first]:g}"
            raise AlignmentError(f"spike train {number} {found}, expected finite seconds, (n_spikes,)")
        trains.append(times_s if (times_s[1:] >= times_s[:-1]).all() else np.sort(times_s))
    return movie, trains, delays
