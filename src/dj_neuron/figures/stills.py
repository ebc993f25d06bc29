"""Frames of the movie as the retina saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.panel_grid import panel_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from dj_neuron.contracts import Movie, Stimulation

_DPI = 150  # at which every block of a fine movie gets a pixel of its own


def movie_stills(stimulation: Stimulation, frame_indices: Sequence[int] | None = None, *, title: str = "") -> Figure:
    """Show several frames in grey, right way up, with the time each came on the screen.

    Parameters
    ----------
    stimulation : Stimulation
        Bars are drawn as long as they are on the screen.
    frame_indices : sequence of int, optional
        Default: four, from the first frame to the last.
    title : str
        Default: the number of the stimulation.

    Raises
    ------
    ContractError
        If there is no such frame.
    """
    movie = stimulation.movie
    if frame_indices is None:
        frame_indices = default_frames(movie)
    if not len(frame_indices):
        raise ContractError("no frame is chosen, expected at least one")
    for frame_idx in frame_indices:
        if not 0 <= frame_idx < movie.n_frames:
            raise ContractError(f"frame index is {frame_idx}, expected 0 to {movie.n_frames - 1}")

    frames = np.concatenate([movie.frames(frame_idx, frame_idx + 1) for frame_idx in frame_indices])
    width_um, height_um = (n * size for n, size in zip((movie.n_x, movie.n_y), stimulation.block_size_um, strict=True))
    finest_in = max(movie.n_x, movie.n_y * width_um / height_um) / _DPI
    panel_width_in = min(max(finest_in, 2.4), 5.5)
    grid = panel_grid(
        len(frame_indices),
        (width_um, height_um),
        title=title or f"stimulation {stimulation.stimulation_number}",
        subtitle=_subtitle(stimulation),
        max_columns=max(1, int(12 / panel_width_in)),
        panel_width_in=panel_width_in,
        panel_height_in=4.2,
        title_width_in=1.5,
    )
    limit = max(1.0, style.symmetric_limit(frames))
    for ax, frame_idx, frame in zip(grid.panels, frame_indices, frames, strict=True):
        ax.imshow(
            frame,
            origin="upper",
            extent=(0, width_um, height_um, 0),
            cmap="gray",
            vmin=-limit,
            vmax=limit,
            interpolation="none",
        )
        start_s = start_of_frame_s(stimulation, frame_idx)
        ax.set_title(f"frame {frame_idx}, {start_s:.3f} s", fontsize=style.TICK_PT, color=style.INK, pad=3)
    style.contrast_bar(ScalarMappable(Normalize(-limit, limit), "gray"), "contrast", cax=grid.bar_slot)
    return grid.figure


def default_frames(movie: Movie) -> list[int]:
    """Choose four frames, from the first to the last."""
    frames: list[int] = np.unique(np.linspace(0, movie.n_frames - 1, 4).round().astype(int)).tolist()
    return frames


def start_of_frame_s(stimulation: Stimulation, frame_idx: int) -> float:
    """When a frame came on the screen."""
    if stimulation.frame_edges_s is not None:
        return float(stimulation.frame_edges_s[frame_idx])
    return stimulation.onset_s + frame_idx / stimulation.frame_rate_hz


def _subtitle(stimulation: Stimulation) -> str:
    movie = stimulation.movie
    width_um, height_um = stimulation.block_size_um
    if movie.n_y == 1 and movie.n_x > 1:
        blocks = f"{movie.n_x} bars of {width_um:.3g} µm"
    elif movie.n_x == 1 and movie.n_y > 1:
        blocks = f"{movie.n_y} bars of {height_um:.3g} µm"
    else:
        blocks = f"{movie.n_x} x {movie.n_y} blocks of {width_um:.3g} x {height_um:.3g} µm"
    return f"{movie.n_frames:,} frames at {stimulation.frame_rate_hz:.6g} Hz, {blocks}"
