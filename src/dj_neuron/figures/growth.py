"""Whether a recording was long enough for a neuron: the height of its peak against minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.figures import style
from dj_neuron.pictures.words import growth_text, measure, reason_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_ROOM_FOR_WORDS = 0.5  # of the height
_WELL_ABOVE = 1.4  # times the threshold: the end of the curve leaves room for words


def draw_growth(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the z of the final peak over growing parts of the recording, and say what a longer one would give.

    Notes
    -----
    The dashed line is what a peak must exceed to be significant. Reliability is the correlation that the maps of two
    such recordings would have, from that of the halves of this one.
    """
    style.clean_axes(ax)
    style.label_axes(ax, x="recording (min)", y="z of the peak")
    growth = field.growth
    if growth is None or not np.isfinite(growth.peak_z).any():
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(reason_of(field, "sufficiency") or "no peak to follow over minutes"))
        return ax
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    ax.plot(growth.minutes, growth.peak_z, color=style.INK, linewidth=1.2, marker="o", markersize=3.5)
    threshold_z = measure(field, "threshold_z")
    top = float(np.nanmax(growth.peak_z))
    if np.isfinite(threshold_z):
        ax.axhline(threshold_z, color=style.CONTROL, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        is_weak = not growth.peak_z[-1] > _WELL_ABOVE * threshold_z
        ax.annotate(
            "significant above", (0.02 if is_weak else 1, threshold_z), xycoords=ax.get_yaxis_transform(),
            xytext=(0, 2 if is_weak else -2), textcoords="offset points", ha="left" if is_weak else "right",
            va="bottom" if is_weak else "top", fontsize=style.SMALL_PT, color=style.CONTROL,
        )  # fmt: skip
        top = max(top, threshold_z)
    low = min(float(np.nanmin(growth.peak_z)), 0.0)
    ax.set(xlim=(0, growth.minutes.max() * 1.04), ylim=(low - 0.05 * top, top + _ROOM_FOR_WORDS * (top - low)))
    ax.text(
        0.03, 0.97, growth_text(field), transform=ax.transAxes, va="top", fontsize=style.SMALL_PT, color=style.INK,
        linespacing=1.35,
    )  # fmt: skip
    return ax
