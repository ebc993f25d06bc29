"""What was recorded, as NWB has it: stimuli and units on the one clock of the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.common import DynamicTable
from pynwb.image import OpticalSeries
from pynwb.misc import Units

from dj_neuron.export.nwb_columns import column, ragged, streamed
from dj_neuron.strf import FrameClock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation

_PAUSE_S = 1  # at least, between recordings that are laid one after another


@dataclass(frozen=True, eq=False)
class Placed:
    """A stimulation and its place on the clock of the file.

    Attributes
    ----------
    offset_s : float
        Time in the file less time in the recording.
    begin_s, end_s : float
        From the first to the last frame or spike, on the clock of the file.
    """

    stimulation: Stimulation
    offset_s: float
    begin_s: float
    end_s: float

    @property
    def series_name(self) -> str:
        """Of the movie in the file."""
        return f"stimulation_{self.stimulation.stimulation_number}"


def place(session: Session) -> list[Placed]:
    """Place the recordings of a session on one clock, in the order of their numbers.

    Recordings that do not overlap stay where they are: they may have been on one clock from the beginning. Otherwise
    each had a clock of its own, and they are laid one after another, moved by whole seconds.
    """
    spans = [_span_s(stimulation) for stimulation in session.stimulations]
    apart = all(end_s < begin_s for (_, end_s), (begin_s, _) in pairwise(sorted(spans)))
    apart &= all(begin_s >= 0 for begin_s, _ in spans)
    placed: list[Placed] = []
    for stimulation, (begin_s, end_s) in zip(session.stimulations, spans, strict=True):
        offset_s = 0.0
        if not apart and (placed or begin_s < 0):
            free_s = placed[-1].end_s + _PAUSE_S if placed else 0.0
            offset_s = float(math.ceil(free_s - begin_s))
        placed.append(Placed(stimulation, offset_s, begin_s + offset_s, end_s + offset_s))
    return placed


def _span_s(stimulation: Stimulation) -> tuple[float, float]:
    clock = FrameClock.of(stimulation)
    spikes = [train.times_s[[0, -1]] for train in stimulation.spike_trains if train.n_spikes]
    times_s = np.concatenate([clock.starts_s[:1], clock.ends_s[-1:], *spikes])
    return float(times_s.min()), float(times_s.max())


def stimulus(placed: Placed) -> Any:
    """Give the movie of a stimulation as a series of images, read while it is written."""
    stimulation = placed.stimulation
    movie, clock = stimulation.movie, FrameClock.of(stimulation)
    timing: dict[str, Any]
    if clock.is_regular:
        timing = {"starting_time": stimulation.onset_s + placed.offset_s, "rate": stimulation.frame_rate_hz}
    else:
        timing = {"timestamps": clock.starts_s + placed.offset_s}
    width_um, height_um = stimulation.block_size_um
    return OpticalSeries(
        name=placed.series_name,
        description=(
            f"White-noise movie of {movie.n_frames} frames of {movie.n_y} rows and {movie.n_x} columns of blocks; a "
            "value is the contrast of a block, from -1 (black) to 1 (white)."
        ),
        comments=f"sha256 of content and geometry: {movie.movie_hash}",
        data=streamed(_Values(movie)),
        unit="contrast",
        format="raw",
        field_of_view=np.array([movie.n_x * width_um, movie.n_y * height_um]) * 1e-6,
        orientation="axes are frame, row, column; row 0 is the top of the screen, column 0 its left",
        **timing,
    )


class _Values:
    """The contrast of a movie, slice by slice: whole numbers if its levels are black and white."""

    def __init__(self, movie: Movie) -> None:
        self._movie, self.shape = movie, movie.shape
        of_levels = np.int8 if movie.levels == (-1, 1) else np.float64
        self.dtype = np.dtype(of_levels) if movie.levels else movie.data.dtype

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        return self._movie.frames(frames.start, frames.stop, self.dtype)


def units(session: Session, placed: list[Placed], resolution_s: float | None) -> Any:
    """Give the neurons of a session with their spikes during all stimulations; None without neurons."""
    labels = session.neuron_labels
    if not labels:
        return None
    in_time = sorted(placed, key=lambda one: one.begin_s)
    trains: dict[int, list[tuple[Placed, SpikeTrain]]] = {neuron_id: [] for neuron_id in labels}
    for one in in_time:
        for train in one.stimulation.spike_trains:
            trains[train.neuron_id].append((one, train))
    moved = [np.concatenate([train.times_s + one.offset_s for one, train in own]) for own in trains.values()]
    intervals = [[(one.begin_s, one.end_s) for one, _ in own] for own in trains.values()]
    columns = [
        *ragged("spike_times", "s on the clock of the file", moved),
        *ragged(
            "obs_intervals",
            "s; from the first to the last frame or spike of any neuron, for every stimulation in which the neuron was "
            "recorded",
            intervals,
        ),
        column("neuron_id", "number of the neuron within the session, from 1", list(labels)),
        column("source_label", "what the source calls the unit", list(labels.values())),
    ]
    if any(one.offset_s for one in placed):
        exact = [np.concatenate([train.times_s for _, train in own]) for own in trains.values()]
        description = (
            "s; the same spikes on the clock of their recording, exactly as they were recorded: spike_times have the "
            "clock_offset_s of dj_neuron_stimulations added, which rounds them"
        )
        columns += ragged("recording_spike_times_s", description, exact)
    return Units(
        name="units",
        description="Sorted units of the retina.",
        id=list(labels),
        columns=columns,
        resolution=resolution_s,
    )


def stimulations_table(placed: list[Placed]) -> Any:
    """Give what NWB has no place for: geometry of the screen, clocks, and when frames ended."""
    shown = [one.stimulation for one in placed]
    movies = [stimulation.movie for stimulation in shown]
    measured = [stimulation.frame_edges_s is not None for stimulation in shown]
    rates_hz = [math.nan if own else one.frame_rate_hz for own, one in zip(measured, shown, strict=True)]
    levels = [movie.levels or (math.nan, math.nan) for movie in movies]
    columns = [
        column(name, description, values)
        for name, description, values in (
            ("stimulation_number", "place within the session, from 1", [one.stimulation_number for one in shown]),
            ("series_name", "name of the movie among the stimuli", [one.series_name for one in placed]),
            ("onset_s", "s on the clock of the recording: frame 0 came on the screen", [one.onset_s for one in shown]),
            ("frame_rate_hz", "Hz, measured; NaN where frames have measured times", rates_hz),
            ("clock_offset_s", "s, time in the file less time in the recording", [one.offset_s for one in placed]),
            ("recorded_from_s", "s on the clock of the file, first frame or spike", [one.begin_s for one in placed]),
            ("recorded_to_s", "s on the clock of the file, last frame or spike", [one.end_s for one in placed]),
            ("pixel_size_um", "um on the retina per screen pixel", [one.pixel_size_um for one in shown]),
            ("block_size_x_px", "screen pixels, width of a block", [movie.block_size_px[0] for movie in movies]),
            ("block_size_y_px", "screen pixels, height of a block", [movie.block_size_px[1] for movie in movies]),
            ("screen_width_px", "screen pixels, of the stimulated part", [movie.screen_size_px[0] for movie in movies]),
            (
                "screen_height_px",
                "screen pixels, of the stimulated part",
                [movie.screen_size_px[1] for movie in movies],
            ),
            ("low_level", "contrast of a movie of two levels, NaN for a graded one", [low for low, _ in levels]),
            ("high_level", "contrast of a movie of two levels, NaN for a graded one", [high for _, high in levels]),
            ("movie_hash", "sha256 of the movie's content and geometry", [movie.movie_hash for movie in movies]),
        )
    ]
    if any(measured):
        clocks = [FrameClock.of(stimulation) for stimulation in shown]
        for name in ("starts_s", "ends_s"):
            own = [getattr(clock, name) if has else () for clock, has in zip(clocks, measured, strict=True)]
            columns += ragged(f"frame_{name}", "s on the clock of the recording; empty at a regular rate", own)
    return DynamicTable(
        name="dj_neuron_stimulations", description="Presentations of movies during the session.", columns=columns
    )
