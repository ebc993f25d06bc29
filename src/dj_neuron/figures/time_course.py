"""Contrast against delay at one block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.delay_axis import set_delay_axis
from dj_neuron.pictures.delays import delay_columns_ms
from dj_neuron.pictures.marks import peak_of
from dj_neuron.pictures.words import place_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import Strf


def draw_time_course(strf: Strf, ax: Axes, block: tuple[int, int] | None = None) -> Axes:
    """Draw contrast over the time before the spike, with a band of one standard error.

    Parameters
    ----------
    strf : Strf
        The estimate.
    ax : Axes
        To draw on.
    block : tuple of int, optional
        Row and column; default: the block of the largest |z| at delays from 0.

    Raises
    ------
    ContractError
        If there is no such block.
    """
    n_y, n_x = strf.values.shape[1:]
    if block is not None and not (0 <= block[0] < n_y and 0 <= block[1] < n_x):
        raise ContractError(f"{strf.label}: block is {block}, expected row 0 to {n_y - 1} and column 0 to {n_x - 1}")
    peak = peak_of(strf, block)
    columns_ms = delay_columns_ms(strf.delays_s, strf.frame_rate_hz)
    style.clean_axes(ax)
    if (strf.delays_s < 0).any():
        ax.axvspan(columns_ms.min(), 0, color=style.NO_DATA, alpha=0.6, linewidth=0, zorder=0)
    set_delay_axis(ax, strf.delays_s, columns_ms)
    ax.set_ylabel(style.contrast_label(strf), fontsize=style.LABEL_PT, color=style.INK)
    if block is None and peak is not None:
        block = peak[1:]
    if block is None or not np.isfinite(strf.values[(slice(None), *block)]).any():
        ax.set_yticks([])
        style.no_data(ax, "too few spikes")
        return ax

    delays_ms = np.asarray(strf.delays_s) * 1e3
    course, error = strf.values[(slice(None), *block)], strf.standard_error[(slice(None), *block)]
    baseline = 0.0 if strf.centred else float(strf.pixel_mean[block])
    ax.axhline(baseline, color=style.FAINT, linewidth=0.8, zorder=1)
    if len(delays_ms) < 3:
        ax.errorbar(delays_ms, course, yerr=error, fmt="none", ecolor=style.CONTROL, elinewidth=1.2, capsize=3)
    else:
        ax.fill_between(delays_ms, course - error, course + error, color=style.FAINT, alpha=0.6, linewidth=0)
    ax.plot(delays_ms, course, color=style.INK, linewidth=1.2, marker="o", markersize=2.5)
    if peak is not None:
        value = float(course[peak[0]])
        colour = style.ON if value > baseline else style.OFF
        leans_left = delays_ms[peak[0]] < 0.7 * delays_ms.max()  # away from the spike
        ax.plot(delays_ms[peak[0]], value, "o", markersize=7, markerfacecolor="none", markeredgecolor=colour)
        ax.annotate(
            f"peak {style.delay_text(float(strf.delays_s[peak[0]]))}",
            (delays_ms[peak[0]], value),
            xytext=(-8 if leans_left else 8, 0),
            ha="right" if leans_left else "left",
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL_PT,
            color=colour,
        )
    ax.margins(y=0.12)
    ax.set_title(place_text(strf, block), fontsize=style.TICK_PT, color=style.CONTROL, loc="left", pad=14)
    return ax


def time_course_figure(strf: Strf, block: tuple[int, int] | None = None) -> Figure:
    """Time course with the neuron's name above it."""
    width_in = max(6.0, style.text_width_in(strf.label, style.TITLE_PT, bold=True) + 1.2)
    figure = Figure(figsize=(width_in, 3.6))
    draw_time_course(strf, figure.add_axes((0.13, 0.15, 0.83, 0.6)), block)
    style.head(figure, 0.13, strf.label, style.spikes_text(strf))
    return figure
