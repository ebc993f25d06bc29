"""Lines over images: outlines of what is significant, the fit, the chosen block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.explorer.plots.theme import broken_line
from dj_neuron.pictures.colours import INK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dj_neuron.explorer.plots.plot import Plot
    from dj_neuron.pictures.marks import EllipseOfField

    Floats = NDArray[np.float64]

DASHES = {1: "solid", 2: "6px,3px"}
_UNDER = {"color": "rgba(255, 255, 255, 0.85)"}  # so that lines stand out from any colour


def add_line(figure: Plot, x: Any, y: Any, name: str, *, width: float = 1.2, dash: str = "solid", **line: Any) -> None:
    """Add a line in ink with white around it; both parts carry `name`, and neither answers the mouse."""
    for style in (
        {**_UNDER, "width": width + 2.4, "simplify": False},
        {"color": INK, "width": width, "dash": dash, "simplify": False},
    ):
        figure.add_scatter(x=x, y=y, mode="lines", name=name, line=style, hoverinfo="skip", **line)


def add_outline(figure: Plot, segments: Floats, *, visible: bool) -> None:
    """Outline what is significant; the trace is there without an outline too, since other delays have one."""
    x, y = broken_line(segments)
    figure.add_scatter(
        x=x, y=y, mode="lines", name="significant", line={"color": INK, "width": 1.2}, hoverinfo="skip", visible=visible
    )


def add_ellipses(figure: Plot, ellipse: EllipseOfField, *, visible: bool) -> None:
    """Draw the fit at 1 and 2 sigma."""
    for n_sigma, dash in DASHES.items():
        x, y = ellipse.points_um(n_sigma).T
        add_line(figure, x, y, "fit", dash=dash, visible=visible)


def add_chosen(figure: Plot, left: float, right: float, low: float, high: float, *, width: float = 2.4) -> None:
    """Frame the chosen block."""
    add_line(figure, [left, right, right, left, left], [low, low, high, high, low], "chosen block", width=width)
