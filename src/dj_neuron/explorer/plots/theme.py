"""The visual language of the explorer's plots: the colours of all pictures, and sizes for the screen.

Plots fill the box that they are shown in, so none has a width, a height or a title of its own.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from dj_neuron.explorer.plots.plot import Plot
from dj_neuron.pictures.colours import CONTROL, FAINT, INK, NO_DATA, OFF, ON
from dj_neuron.pictures.words import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif'
LABEL_PX = 12
TICK_PX = 11
FAINT_LINE = {"color": FAINT, "width": 1}
BAND = "rgba(184, 184, 184, 0.5)"  # FAINT, to see lines through
# the ends and the middle of matplotlib's RdBu_r, which the figures use: ON warm, OFF cold
CONTRAST_SCALE = (
    "#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b",
    "#67001f",
)  # fmt: skip
GREY_SCALE = ("#000000", "#ffffff")

_AXIS = {
    "showgrid": False,
    "zeroline": False,
    "showline": True,
    "linecolor": INK,
    "linewidth": 1,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": INK,
    "tickfont": {"size": TICK_PX},
    "title": {"font": {"size": LABEL_PX}, "standoff": 6},
    "exponentformat": "none",
}
_TEMPLATE = {
    "layout": {
        "font": {"family": FONT, "size": LABEL_PX, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 56, "r": 12, "t": 22, "b": 44},
        "colorway": [INK, ON, OFF, CONTROL],
        "hoverlabel": {
            "bgcolor": "white",
            "bordercolor": FAINT,
            "font": {"family": FONT, "size": LABEL_PX, "color": INK},
        },
        "showlegend": False,
        "dragmode": False,
        "separators": ".,",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": TICK_PX},
        },
    }
}


def new_figure(**layout: Any) -> Plot:
    """Give an empty figure in the shared style."""
    return Plot(template=_TEMPLATE, **layout)


def told(words: str) -> Plot:
    """Give a figure that says why there is nothing to draw, on a grey that no contrast can be mistaken for."""
    figure = new_figure(plot_bgcolor=NO_DATA, margin={"l": 1, "r": 1, "t": 1, "b": 1})
    figure.update_xaxes(visible=False, range=[0, 1])
    figure.update_yaxes(visible=False, range=[0, 1])
    figure.add_annotation(x=0.5, y=0.5, text=words, showarrow=False, font={"size": LABEL_PX, "color": INK})
    return figure


def told_at_length(sentence: str) -> Plot:
    """Give a figure that says in several lines why there is nothing to draw."""
    return told(as_lines(wrapped(sentence)))


def level(figure: Plot, value: float, *, upright: bool = False, **shape: Any) -> None:
    """Draw a faint line at a value of y, or of x if upright, below the data."""
    ends = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "y domain"}
    if not upright:
        ends = {"y0": value, "y1": value, "x0": 0, "x1": 1, "xref": "x domain"}
    figure.add_shape(**({"type": "line", "line": FAINT_LINE, "layer": "below"} | ends | shape))


def note(figure: Plot, words: str, *, x: float = 0.0, y: float = 1.0, right: bool = False, **font: Any) -> None:
    """Write small words above the axes, at the left or the right."""
    figure.add_annotation(
        text=words,
        x=x,
        y=y,
        xref="x domain",
        yref="y domain",
        xanchor="right" if right else "left",
        yanchor="bottom",
        showarrow=False,
        align="right" if right else "left",
        font={"size": TICK_PX, "color": CONTROL, **font},
    )


def as_lines(words: str) -> str:
    """Make lines of words, as the figures break them, lines of HTML that show them as they are."""
    return html.escape(words, quote=False).replace("\n", "<br>")


def broken_line(segments: NDArray[np.float64]) -> tuple[list[float | None], list[float | None]]:
    """Make x and y of one line with a gap after each of the segments, ``(n_segments, n_points, 2)``."""
    x: list[float | None] = []
    y: list[float | None] = []
    for segment in segments.tolist():
        for point_x, point_y in segment:
            x.append(point_x)
            y.append(point_y)
        x.append(None)
        y.append(None)
    return x, y


def colour_scale(colours: Sequence[str]) -> list[list[Any]]:
    """Spread colours evenly from the lowest to the highest value."""
    return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


def contrast_bar(limit: float, title: str) -> dict[str, Any]:
    """Give a colour bar with ticks at the two ends and zero."""
    return {
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": [-limit, 0, limit],
        "ticktext": [f"\N{MINUS SIGN}{limit:.2g}", "0", f"+{limit:.2g}"],
        "tickfont": {"size": TICK_PX},
        "title": {"text": title, "side": "right", "font": {"size": TICK_PX}},
        "xpad": 6,
        "ypad": 0,
    }
