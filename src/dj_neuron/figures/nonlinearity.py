"""The rate of a neuron against the output of its linear filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.figures import style
from dj_neuron.pictures.words import measure, measure_text, polarity_of, reason_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_CURVE_POINTS = 200


def draw_nonlinearity(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the histogram of held-out time with its standard errors, the fitted curve, and how well it predicts.

    Notes
    -----
    Drive is in standard deviations of the filter's output; every point holds as many frames.
    """
    style.clean_axes(ax)
    style.label_axes(ax, x="drive (standard deviations)", y="rate (Hz)")
    curve = field.nonlinearity
    if curve is None:
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(reason_of(field, "prediction") or "nothing was predicted"))
        return ax
    ax.errorbar(
        curve.drive, curve.rate_hz, yerr=curve.rate_hz_se, fmt="o", markersize=3.5, color=style.INK, elinewidth=0.9,
        label="held-out time",
    )  # fmt: skip
    fine = np.linspace(curve.drive.min(), curve.drive.max(), _CURVE_POINTS)
    colour = style.polarity_colour(polarity_of(field))
    ax.plot(fine, curve.rate_at(fine), color=colour, linewidth=1.3, label="softplus", zorder=1)
    ax.set_ylim(0, 1.3 * max(float(np.max(curve.rate_hz + curve.rate_hz_se)), float(curve.rate_at(fine).max())))
    scores = []
    if np.isfinite(measure(field, "test_correlation")):
        scores.append(f"test correlation {measure_text(field, 'test_correlation')}")
    if np.isfinite(measure(field, "bits_per_spike")):
        scores.append(f"{measure_text(field, 'bits_per_spike')} bits per spike")
    ax.text(
        0.03, 0.97, "\n".join(scores), transform=ax.transAxes, va="top", fontsize=style.SMALL_PT, color=style.INK,
        linespacing=1.35,
    )  # fmt: skip
    return ax
