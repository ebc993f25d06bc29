"""Whether a recording was long enough for a neuron: the height of its peak against minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.theme import TICK_PX, as_lines, level, new_figure, note, told_at_length
from dj_neuron.pictures.colours import CONTROL, INK
from dj_neuron.pictures.words import growth_text, measure, reason_of

if TYPE_CHECKING:
    from dj_neuron.contracts import ReceptiveFieldResult
    from dj_neuron.explorer.plots.plot import Plot

_WELL_ABOVE = 1.4  # times the threshold: the end of the curve leaves room for words


def growth(field: ReceptiveFieldResult) -> Plot:
    """Draw the z of the final peak over growing parts of the recording, and say what a longer one would give.

    Returns
    -------
    Plot
        Of the trace ``peak`` with the correlation of the maps as its customdata; the dashed line is what a peak must
        exceed to be significant. The reason in words where there is no peak to follow.
    """
    found = field.growth
    if found is None or not np.isfinite(found.peak_z).any():
        return told_at_length(reason_of(field, "sufficiency") or "no peak to follow over minutes")
    words = as_lines(growth_text(field))
    figure = new_figure(margin={"l": 56, "r": 12, "t": 24 + 14 * (words.count("<br>") + 1), "b": 44})
    level(figure, 0)
    threshold_z = measure(field, "threshold_z")
    if np.isfinite(threshold_z):
        is_weak = not found.peak_z[-1] > _WELL_ABOVE * threshold_z
        level(figure, threshold_z, line={"color": CONTROL, "width": 1, "dash": "4px,3px"}, name="threshold")
        figure.add_annotation(
            text="significant above", x=0 if is_weak else 1, xref="x domain", xanchor="left" if is_weak else "right",
            y=threshold_z, yanchor="bottom" if is_weak else "top", showarrow=False,
            font={"size": TICK_PX, "color": CONTROL},
        )  # fmt: skip
    figure.add_scatter(
        x=found.minutes,
        y=found.peak_z,
        customdata=found.map_r,
        mode="lines+markers",
        line={"color": INK, "width": 1.6},
        marker={"size": 6},
        hovertemplate="%{x:.3g} min<br>z = %{y:.1f}<br>map like the final one: r = %{customdata:.2f}<extra></extra>",
        name="peak",
    )
    note(figure, words, color=INK)
    figure.update_xaxes(title={"text": "recording (min)"}, range=[0, float(found.minutes.max()) * 1.04])
    figure.update_yaxes(title={"text": "z of the peak"}, rangemode="tozero", nticks=6)
    return figure
