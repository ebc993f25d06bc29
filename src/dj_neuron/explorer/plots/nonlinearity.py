"""The rate of a neuron against the output of its linear filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.theme import new_figure, note, told_at_length
from dj_neuron.pictures.colours import INK, polarity_colour
from dj_neuron.pictures.words import measure, measure_text, polarity_of, reason_of

if TYPE_CHECKING:
    from dj_neuron.contracts import ReceptiveFieldResult
    from dj_neuron.explorer.plots.plot import Plot

_CURVE_POINTS = 200


def nonlinearity(field: ReceptiveFieldResult) -> Plot:
    """Draw rates in held-out time with their standard errors, the fitted curve, and how well it predicts.

    Returns
    -------
    Plot
        Of traces ``softplus`` and ``held-out time``; the reason in words where nothing was predicted.
    """
    curve = field.nonlinearity
    if curve is None:
        return told_at_length(reason_of(field, "prediction") or "nothing was predicted")
    figure = new_figure(margin={"l": 56, "r": 12, "t": 38, "b": 44})
    fine = np.linspace(curve.drive.min(), curve.drive.max(), _CURVE_POINTS)
    figure.add_scatter(
        x=fine,
        y=curve.rate_at(fine),
        mode="lines",
        line={"color": polarity_colour(polarity_of(field)), "width": 2},
        hoverinfo="skip",
        name="softplus",
    )
    figure.add_scatter(
        x=curve.drive,
        y=curve.rate_hz,
        error_y={"array": curve.rate_hz_se, "thickness": 1.2, "width": 0},
        mode="markers",
        marker={"color": INK, "size": 6},
        hovertemplate="drive %{x:.2f}<br>%{y:.2f} ± %{error_y.array:.2f} Hz<extra></extra>",
        name="held-out time",
    )
    scores = []
    if np.isfinite(measure(field, "test_correlation")):
        scores.append(f"test correlation {measure_text(field, 'test_correlation')}")
    if np.isfinite(measure(field, "bits_per_spike")):
        scores.append(f"{measure_text(field, 'bits_per_spike')} bits per spike")
    note(figure, "<br>".join(scores), color=INK)
    figure.update_xaxes(title={"text": "drive (standard deviations)"})
    figure.update_yaxes(title={"text": "rate (Hz)"}, rangemode="tozero", nticks=6)
    return figure
