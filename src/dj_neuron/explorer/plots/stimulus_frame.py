"""What was on the screen: a frame of the movie, or the one that a spike saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.explorer.plots.overlays import add_chosen
from dj_neuron.explorer.plots.theme import GREY_SCALE, colour_scale, new_figure, note, told
from dj_neuron.pictures.words import delay_text
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP, FrameClock

if TYPE_CHECKING:
    from dj_neuron.contracts import Stimulation
    from dj_neuron.explorer.plots.plot import Plot

_NOTHING_SHOWN = {
    BEFORE_ONSET: "before the movie began",
    AFTER_END: "after the movie had ended",
    IN_GAP: "in a gap of the movie",
}


def stimulus_frame(
    stimulation: Stimulation, clock_frame_idx: int, *, block: tuple[int, int] | None = None, words: str = ""
) -> Plot:
    """Draw a frame in grey, right way up, in micrometres; bars are as long as they are on the screen.

    Parameters
    ----------
    stimulation : Stimulation
        Of the movie.
    clock_frame_idx : int
        From 0.
    block : tuple of int, optional
        Row and column to frame.
    words : str
        Above the frame; default: its number and when it came on the screen.

    Raises
    ------
    ContractError
        If there is no such frame or block.
    """
    movie = stimulation.movie
    if not 0 <= clock_frame_idx < movie.n_frames:
        raise ContractError(f"frame index is {clock_frame_idx}, expected 0 to {movie.n_frames - 1}")
    if block is not None and not (0 <= block[0] < movie.n_y and 0 <= block[1] < movie.n_x):
        raise ContractError(f"block is {block}, expected row 0 to {movie.n_y - 1} and column 0 to {movie.n_x - 1}")
    frame = movie.frames(clock_frame_idx, clock_frame_idx + 1)[0]
    limit = max(1.0, float(np.abs(frame).max()))
    width_um, height_um = stimulation.block_size_um
    figure = new_figure(margin={"l": 52, "r": 8, "t": 36, "b": 40})
    figure.add_heatmap(
        z=frame,
        x0=width_um / 2,
        dx=width_um,
        y0=height_um / 2,
        dy=height_um,
        zmin=-limit,
        zmax=limit,
        colorscale=colour_scale(GREY_SCALE),
        showscale=False,
        hovertemplate="x %{x:.0f} µm, y %{y:.0f} µm<br>contrast %{z:.3g}<extra></extra>",
        name="frame",
    )
    if block is not None:
        left_um, top_um = block[1] * width_um, block[0] * height_um
        add_chosen(figure, left_um, left_um + width_um, top_um, top_um + height_um)
    start_s = float(FrameClock.of(stimulation).starts_s[clock_frame_idx])
    note(figure, words or f"frame {clock_frame_idx}, {start_s:.3f} s")
    box = {"mirror": True, "constrain": "domain"}
    across_um, down_um = movie.n_x * width_um, movie.n_y * height_um
    n_ticks = max(1, round(5 * min(1.0, across_um / down_um)))
    figure.update_xaxes(title={"text": "x (µm)"}, range=[0, across_um], nticks=n_ticks, **box)
    figure.update_yaxes(title={"text": "y (µm)"}, range=[down_um, 0], scaleanchor="x", nticks=5, **box)
    return figure


def frame_at(
    stimulation: Stimulation, spike_time_s: float, delay_s: float, *, block: tuple[int, int] | None = None
) -> Plot:
    """Draw the frame that was on the screen `delay_s` before a spike; in words if there was none.

    Raises
    ------
    ContractError
        If there is no such block.
    """
    clock = FrameClock.of(stimulation)
    frame_idx = int(clock.frames_at(np.array([spike_time_s]), delay_s)[0])
    when = f"{delay_text(abs(delay_s))} {'after' if delay_s < 0 else 'before'} the spike at {spike_time_s:.3f} s"
    if frame_idx < 0:
        return told(f"no frame was on the screen:<br>{when}<br>is {_NOTHING_SHOWN[frame_idx]}")
    return stimulus_frame(stimulation, frame_idx, block=block, words=f"frame {frame_idx}<br>{when}")
