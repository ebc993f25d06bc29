"""Small multiples of one field of view, laid out in inches so that nothing is clipped or overlaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from dj_neuron.figures.style import INK, LABEL_PT, TITLE_PT, clean_axes, head, micrometre_ticks, text_width_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT_IN, _RIGHT_IN, _BOTTOM_IN, _TOP_IN = 0.75, 1.15, 0.5, 0.62
_BETWEEN_COLUMNS_IN, _TITLE_IN = 0.24, 0.24
_SMALLEST_SIDE_IN = 0.3
_BAR_IN = 0.13


@dataclass(frozen=True)
class PanelGrid:
    """A figure, its panels in reading order, and the slot of its colour bar."""

    figure: Figure
    panels: list[Axes]
    bar_slot: Axes


def panel_grid(
    n_panels: int,
    extent_um: tuple[float, float],
    *,
    title: str,
    subtitle: str = "",
    max_columns: int = 8,
    panel_width_in: float = 1.5,
    panel_height_in: float = 3.0,
    title_width_in: float = 1.2,
) -> PanelGrid:
    """Make equal panels for images of `extent_um`, with ticks on the outer ones only.

    Parameters
    ----------
    extent_um : tuple of float
        Width and height of what every panel shows.
    panel_width_in, panel_height_in : float
        Largest width and height of a panel; its shape is that of the extent.
    title_width_in : float
        Room for the words above a panel, however narrow it is.

    Notes
    -----
    The rows are filled evenly: nine panels at most eight abreast are five and four.
    """
    n_rows = math.ceil(n_panels / max_columns)
    n_columns = math.ceil(n_panels / n_rows)
    width_in = min(panel_width_in, panel_height_in * extent_um[0] / extent_um[1])
    height_in = max(width_in * extent_um[1] / extent_um[0], _SMALLEST_SIDE_IN)
    width_in = max(width_in, _SMALLEST_SIDE_IN)

    pitch_x_in = max(width_in, title_width_in) + _BETWEEN_COLUMNS_IN
    pitch_y_in = height_in + _TITLE_IN + 0.08
    grid_in = (n_columns * pitch_x_in - _BETWEEN_COLUMNS_IN, max(n_rows * pitch_y_in, 1.3))
    needed_in = max(text_width_in(title, TITLE_PT, bold=True), text_width_in(subtitle, LABEL_PT)) + _LEFT_IN + 0.2
    figure_in = (max(_LEFT_IN + grid_in[0] + _RIGHT_IN, needed_in), _BOTTOM_IN + grid_in[1] + _TOP_IN)
    figure = Figure(figsize=figure_in)

    def place(left_in: float, top_in: float, width: float, height: float) -> Axes:
        bottom_in = figure_in[1] - top_in - height
        return figure.add_axes(
            (left_in / figure_in[0], bottom_in / figure_in[1], width / figure_in[0], height / figure_in[1])
        )

    panels = []
    for index in range(n_panels):
        row, column = divmod(index, n_columns)
        left_in = _LEFT_IN + column * pitch_x_in + (pitch_x_in - _BETWEEN_COLUMNS_IN - width_in) / 2
        ax = place(left_in, _TOP_IN + row * pitch_y_in + _TITLE_IN, width_in, height_in)
        clean_axes(ax, box=True)
        micrometre_ticks(ax, width_in, width_in * extent_um[1] / extent_um[0])
        ax.tick_params(labelleft=column == 0, labelbottom=index + n_columns >= n_panels)
        panels.append(ax)

    bar_height_in = min(max(grid_in[1] - _TITLE_IN - 0.08, 1.0), 3.0)
    bar_slot = place(_LEFT_IN + grid_in[0] + 0.2, _TOP_IN + _TITLE_IN, _BAR_IN, bar_height_in)

    head(figure, _LEFT_IN / figure_in[0], title, subtitle)
    middle_x = (_LEFT_IN + grid_in[0] / 2) / figure_in[0]
    middle_y = (_BOTTOM_IN + grid_in[1] / 2) / figure_in[1]
    figure.supxlabel("x (µm)", x=middle_x, y=0.1 / figure_in[1], va="bottom", fontsize=LABEL_PT, color=INK)
    figure.supylabel("y (µm)", x=0.12 / figure_in[0], y=middle_y, ha="left", fontsize=LABEL_PT, color=INK)
    return PanelGrid(figure, panels, bar_slot)


def moved_inside(first_um: float, last_um: float, end_um: float) -> tuple[float, float]:
    """Move a span between 0 and `end_um`, shortened if it is longer than that."""
    size_um = min(last_um - first_um, end_um)
    first_um = min(max(first_um, 0.0), end_um - size_um)
    return first_um, first_um + size_um
