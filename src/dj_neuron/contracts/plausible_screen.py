"""What a movie and the times of its frames may be by their form, but hardly in a laboratory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.gaps import frame_ends_s
from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dj_neuron.contracts.movie import Movie
    from dj_neuron.contracts.recording import Stimulation

USUAL_RATES_HZ = (1.0, 1000.0)
"""Frames per second that laboratories use."""

_SHORT, _LONG = 0.5, 1.5  # of the usual duration of a frame
_ROUNDING = 1e-5  # of contrast in single precision
_LOOKED_AT = 1 << 22  # values of a graded movie
_LARGEST_RETINA_UM = 50_000.0
_SMALLEST_SCREEN_UM = 10.0


def check_frame_times(stimulation: Stimulation, where: str) -> None:
    """Raise ContractError if frame times cannot be seconds, as all are whole numbers."""
    edges_s = stimulation.frame_edges_s
    if edges_s is not None and edges_s.size > 2 and (edges_s == np.floor(edges_s)).all():
        shown = ", ".join(f"{time_s:.0f}" for time_s in edges_s[:3])
        raise ContractError(
            f"{where}: all frame times are whole numbers ({shown}, ...), as indexes, samples or milliseconds are, "
            "expected seconds, or frame_rate_hz and onset_s"
        )


def remarks_on_screen(stimulation: Stimulation) -> Iterator[str]:
    """Say what is suspicious about frame times, contrast and sizes, a sentence each."""
    yield from _on_durations(stimulation)
    rate_hz = stimulation.frame_rate_hz
    if not USUAL_RATES_HZ[0] <= rate_hz <= USUAL_RATES_HZ[1]:
        yield (
            f"a frame rate of {rate_hz:g} Hz is a frame every {1 / rate_hz:g} s, which is unusual: the rate may be the "
            "duration of a frame, or frame times may be milliseconds"
        )
    yield from _on_contrast(stimulation.movie)
    width_um, height_um = (n_px * stimulation.pixel_size_um for n_px in stimulation.movie.screen_size_px)
    if max(width_um, height_um) > _LARGEST_RETINA_UM:
        yield (
            f"the screen is {width_um / 1000:g} x {height_um / 1000:g} mm on the retina, larger than any: pixels of "
            f"{stimulation.pixel_size_um:g} um may be those of the monitor"
        )
    elif max(width_um, height_um) < _SMALLEST_SCREEN_UM:
        yield (
            f"the screen is {width_um:.3g} x {height_um:.3g} um on the retina, smaller than a few cones: pixels of "
            f"{stimulation.pixel_size_um:g} um may be millimetres"
        )


def _on_durations(stimulation: Stimulation) -> Iterator[str]:
    edges_s, gaps_s = stimulation.frame_edges_s, stimulation.gaps_s
    if edges_s is None:
        return
    ends_s = edges_s[1:] if gaps_s is None else frame_ends_s(edges_s, gaps_s)
    durations_s, usual_s = ends_s - edges_s[:-1], 1 / stimulation.frame_rate_hz
    is_short = (durations_s < _SHORT * usual_s) & (ends_s == edges_s[1:])  # but for those that a gap cut short
    is_long = durations_s > _LONG * usual_s
    if is_short.any():
        frame = int(durations_s.argmin()) if is_short[durations_s.argmin()] else int(np.flatnonzero(is_short)[0])
        yield (
            f"{is_short.sum()} of {durations_s.size} frames last less than half of the usual {usual_s:.4g} s, frame "
            f"{frame} {durations_s[frame]:.4g} s: a trigger too many moves all frames after it"
        )
    if is_long.any():
        frame = int(durations_s.argmax())
        yield (
            f"{is_long.sum()} of {durations_s.size} frames last longer than one and a half of the usual "
            f"{usual_s:.4g} s, frame {frame} {durations_s[frame]:.4g} s: they count as shown all the while "
            "unless gaps_s says else, and a trigger too few moves all frames after it"
        )


def _on_contrast(movie: Movie) -> Iterator[str]:
    if movie.levels is not None:
        low, high = movie.levels
    else:
        values = movie.frames(0, max(1, _LOOKED_AT // movie.n_blocks))
        low, high = float(values.min()), float(values.max())
    if low < -1 - _ROUNDING or high > 1 + _ROUNDING:
        what = "some of it beyond these"
    elif low >= 0:
        what = "nothing darker than grey"
    elif high <= 0:
        what = "nothing brighter than grey"
    else:
        return
    yield (
        f"contrast is from {low:g} to {high:g}, where black is -1, grey 0 and white 1: {what}; values that are no "
        "contrast need those of black and white"
    )
