"""The time axis of STRFs: milliseconds before the spike, running left to right towards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.explorer.plots.theme import TICK_PX
from dj_neuron.pictures.colours import CONTROL, INK, NO_DATA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dj_neuron.explorer.plots.plot import Plot

DELAY_MARKER = "delay marker"  # the shape that a slider moves


def set_delay_axis(figure: Plot, columns_ms: NDArray[np.float64], *, shade: bool) -> None:
    """Make x run towards the spike at 0; what comes after it is named control and, if wanted, shaded."""
    first, last = min(float(columns_ms.min()), 0.0), max(float(columns_ms.max()), 0.0)
    figure.update_xaxes(title={"text": "time before the spike (ms)"}, range=[last, first])
    if first < 0 and shade:
        figure.add_shape(
            type="rect", x0=first, x1=0, y0=0, y1=1, yref="y domain", fillcolor=NO_DATA, opacity=0.6, line={"width": 0},
            layer="below", name="control",
        )  # fmt: skip
    figure.add_shape(
        type="line", x0=0, x1=0, y0=0, y1=1, yref="y domain", line={"color": INK, "width": 1, "dash": "4px,3px"},
        name="spike",
    )  # fmt: skip
    words = {
        "yref": "y domain",
        "y": 1,
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": TICK_PX, "color": CONTROL},
    }
    figure.add_annotation(x=0, text="spike", xanchor="right", **words)
    if first < 0:
        figure.add_annotation(x=first, text="<i>control</i>", xanchor="right", **words)


def mark_delay(figure: Plot, delay_ms: float) -> None:
    """Mark a delay with an upright line that the slider moves."""
    figure.add_shape(
        type="line", x0=delay_ms, x1=delay_ms, y0=0, y1=1, yref="y domain", name=DELAY_MARKER,
        line={"color": INK, "width": 2}, opacity=0.55,
    )  # fmt: skip
