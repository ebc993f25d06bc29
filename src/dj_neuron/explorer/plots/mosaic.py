"""Where the receptive fields of a stimulation lie on the screen; each answers to a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.overlays import add_line
from dj_neuron.explorer.plots.theme import new_figure, told
from dj_neuron.pictures.colours import polarity_colour
from dj_neuron.pictures.marks import ellipse_of
from dj_neuron.pictures.places import is_placed, missing_text, regularity_text, screen_of
from dj_neuron.pictures.words import POLARITY, measure, measure_text, polarity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dj_neuron.contracts import MosaicResult, ReceptiveFieldResult
    from dj_neuron.explorer.plots.plot import Plot

_MARKS = {1: "circle", -1: "triangle-down", None: "square"}
_LINES = {1: "solid", -1: "6px,2px", None: "2px,2px"}
_FILLS = {1: "rgba(178, 24, 43, 0.08)", -1: "rgba(33, 102, 172, 0.08)", None: "rgba(38, 38, 38, 0.06)"}
_MOST_NUMBERED = 80  # neurons whose numbers can still be read


def mosaic(
    fields: Sequence[ReceptiveFieldResult], mosaics: Sequence[MosaicResult] = (), chosen: int | None = None
) -> Plot:
    """Draw the 1-sigma ellipses of all fitted fields of a stimulation, right way up, in micrometres.

    Parameters
    ----------
    fields : sequence of ReceptiveFieldResult
        Of one stimulation. Those of bars become intervals of one sigma to either side of the centre, by place.
    mosaics : sequence of MosaicResult
        Their regularity stands in the legend.
    chosen : int, optional
        Neuron to draw in a heavy line.

    Returns
    -------
    Plot
        Centres are traces of markers in the groups ``ON``, ``OFF`` and ``polarity not known``, with ``neuron_id`` as
        their customdata; `chosen` is the trace ``chosen neuron``.

    Raises
    ------
    ContractError
        If the fields are not all of one screen.
    """
    if not fields:
        return told("no receptive field was looked for")
    axes, extent_um = screen_of(fields)
    if not axes:
        return told("full-field stimulus: nothing is known about space")
    placed = [field for field in fields if is_placed(field, axes)]
    if not placed:
        return told(missing_text(fields).replace(": ", ":<br>", 1))
    if axes != "xy":
        placed.sort(key=lambda field: measure(field, f"centre_{axes}_um"))
    n_groups = len({polarity_of(field) for field in placed})
    legend = {"orientation": "v", "tracegroupgap": 0, "y": 1.01}
    margin = {"l": 56, "r": 12, "t": 14 + 20 * n_groups, "b": 44}
    figure = new_figure(showlegend=True, hoverdistance=30, margin=margin, legend=legend)
    for polarity in (1, -1, None):
        ranks = [rank for rank, field in enumerate(placed) if polarity_of(field) == polarity]
        if ranks:
            regularity = "".join(regularity_text(one) for one in mosaics if one.polarity == polarity)
            _add_group(figure, placed, ranks, axes, polarity, regularity)
    for rank, field in enumerate(placed):
        if field.neuron_id == chosen:
            x, y = _outline(field, rank, axes)
            add_line(figure, x, y, "chosen neuron", width=2.6, showlegend=False)
    _set_axes(figure, axes, extent_um, len(placed))
    return figure


def _add_group(
    figure: Plot,
    placed: list[ReceptiveFieldResult],
    ranks: list[int],
    axes: str,
    polarity: int | None,
    regularity: str,
) -> None:
    colour = polarity_colour(polarity)
    name = POLARITY.get(polarity or 0, "polarity not known")
    lines = [_outline(placed[rank], rank, axes) for rank in ranks]
    figure.add_scatter(
        x=[value for x, _ in lines for value in (*x, None)],
        y=[value for _, y in lines for value in (*y, None)],
        mode="lines",
        fill="toself" if axes == "xy" else "none",
        fillcolor=_FILLS[polarity],
        line={"color": colour, "width": 1.5, "dash": _LINES[polarity], "simplify": False},
        hoverinfo="skip",
        legendgroup=name,
        showlegend=False,
        name=f"{name} at 1σ",
    )
    centres = np.array([_centre(placed[rank], rank, axes) for rank in ranks])
    is_numbered = len(placed) <= _MOST_NUMBERED
    figure.add_scatter(
        x=centres[:, 0],
        y=centres[:, 1],
        mode="markers+text" if is_numbered else "markers",
        marker={"symbol": _MARKS[polarity], "size": 6, "color": colour},
        text=[str(placed[rank].neuron_id) for rank in ranks] if is_numbered else None,
        textposition="top right",
        textfont={"size": 10, "color": colour},
        customdata=[placed[rank].neuron_id for rank in ranks],
        hovertext=[_words(placed[rank]) for rank in ranks],
        hovertemplate="%{hovertext}<extra></extra>",
        legendgroup=name,
        name=f"{name}, n = {len(ranks)}{regularity}",
    )


def _centre(field: ReceptiveFieldResult, rank: int, axes: str) -> tuple[float, float]:
    if axes == "xy":
        return measure(field, "centre_x_um"), measure(field, "centre_y_um")
    place_um = measure(field, f"centre_{axes}_um")
    return (place_um, rank) if axes == "x" else (rank, place_um)


def _outline(field: ReceptiveFieldResult, rank: int, axes: str) -> tuple[list[float], list[float]]:
    """Ellipse at one sigma, or interval of bars; only the centre where the size is not known."""
    x, y = _centre(field, rank, axes)
    if axes == "xy":
        ellipse = ellipse_of(field)
        if ellipse is None:
            return [x], [y]
        points = ellipse.points_um(1)
        return points[:, 0].tolist(), points[:, 1].tolist()
    sigma_um = measure(field, "sigma_major_um")
    along = np.array([-1, 1]) * (sigma_um if np.isfinite(sigma_um) else 0)
    return ((x + along).tolist(), [y, y]) if axes == "x" else ([x, x], (y + along).tolist())


def _words(field: ReceptiveFieldResult) -> str:
    lines = [f"<b>neuron {field.neuron_id}</b>"]
    centre = [f"{axis} {measure_text(field, f'centre_{axis}_um')} µm" for axis in "xy" if axis in field.axes]
    lines.append(", ".join(centre))
    if np.isfinite(measure(field, "sigma_major_um")):
        lines.append(f"σ {measure_text(field, 'sigma_major_um')} µm")
    if np.isfinite(measure(field, "peak_z")):
        lines.append(f"peak z {measure_text(field, 'peak_z')}")
    return "<br>".join(lines)


def _set_axes(figure: Plot, axes: str, extent_um: tuple[float, float], n_placed: int) -> None:
    width_um, height_um = extent_um
    if axes == "xy":
        box = {"mirror": True, "constrain": "domain"}
        figure.update_xaxes(title={"text": "x (µm)"}, range=[0, width_um], **box)
        figure.update_yaxes(title={"text": "y (µm)"}, range=[height_um, 0], scaleanchor="x", **box)
        return
    ranks = {
        "range": [-0.8, n_placed + 0.5],
        "title": {"text": "neurons by place"},
        "showticklabels": False,
        "ticks": "",
    }
    if axes == "x":
        figure.update_xaxes(title={"text": "x (µm from the left)"}, range=[0, width_um])
        figure.update_yaxes(**ranks)
    else:
        figure.update_xaxes(**ranks)
        figure.update_yaxes(title={"text": "y (µm from the top)"}, range=[height_um, 0])
