"""What the test of a receptive field rests on: the peak beside those of shifted spike trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from dj_neuron.figures import style
from dj_neuron.pictures.words import measure, measure_text, reason_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_BINS = 30
_HEADROOM = 1.35  # above the histogram, for words


def draw_null_maxima(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the histogram of the largest |z| of every shifted spike train, and the |z| of the neuron's own peak."""
    style.clean_axes(ax)
    style.label_axes(ax, x="largest |z|", y="shifted spike trains")
    maxima = field.null_maxima[np.isfinite(field.null_maxima)]
    if not maxima.size:
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(reason_of(field, "significance") or "nothing was tested"))
        return ax
    counts, *_ = ax.hist(maxima, bins=_BINS, color=style.FAINT, linewidth=0)
    peak_z, threshold_z = abs(measure(field, "peak_z")), measure(field, "threshold_z")
    if np.isfinite(threshold_z):
        dashes = (0, (4, 2))
        ax.axvline(
            threshold_z, ymax=1 / _HEADROOM, color=style.CONTROL, linewidth=0.8, linestyle=dashes,
            label="significant above",
        )  # fmt: skip
    if np.isfinite(peak_z):
        ax.axvline(peak_z, color=style.INK, linewidth=1.6, label="this neuron")
    ax.set_ylim(0, _HEADROOM * float(np.max(counts)))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lines = f"line: this neuron, p = {measure_text(field, 'p_value')}\ndashed: significant above"
    ax.text(
        0.03, 0.97, lines, transform=ax.transAxes, va="top", fontsize=style.SMALL_PT, color=style.INK, linespacing=1.35
    )
    return ax
