"""How a measure is distributed over neurons; a range can be selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.theme import new_figure, note, told
from dj_neuron.pictures.colours import CONTROL, INK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dj_neuron.explorer.plots.plot import Plot


_MOST_BINS = 40


def distribution(values: Sequence[float | None], column: str, *, scale: float = 1.0) -> Plot:
    """Draw a histogram of a measure; dragging across it selects a range.

    Parameters
    ----------
    values : sequence of float or None
        None and NaN are counted as not known.
    column : str
        Name and unit of the measure, for the axis.
    scale : float
        To multiply the values by before they are drawn, such as 1000 for seconds in ms.

    Returns
    -------
    Plot
        Of the trace ``neurons``, with the edges of the bins as its customdata.
    """
    numbers = np.array([np.nan if value is None else value for value in values], np.float64) * scale
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return told(f"{column}:<br>not known of any neuron")
    counts, edges = np.histogram(known, _edges(known))
    figure = new_figure(
        bargap=0.06, dragmode="select", selectdirection="h", margin={"l": 44, "r": 10, "t": 20, "b": 40}
    )
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=np.diff(edges) * 0.94,
        customdata=np.stack([edges[:-1], edges[1:]], axis=-1),
        marker={"color": CONTROL, "line": {"width": 0}},
        selected={"marker": {"color": INK}},
        unselected={"marker": {"opacity": 0.5}},
        hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}<br>%{y} neurons<extra></extra>",
        name="neurons",
    )
    n_missing = numbers.size - known.size
    note(figure, f"n = {known.size:,}" + (f", {n_missing:,} not known" if n_missing else ""))
    figure.update_xaxes(title={"text": column}, range=[edges[0], edges[-1]])
    # neurons are whole: Plotly would put a tick at half of one
    ticks = {"dtick": 1} if counts.max() < 4 else {"nticks": 4}
    figure.update_yaxes(title={"text": "neurons"}, tickformat="d", rangemode="tozero", **ticks)
    return figure


def _edges(known: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give bins of the same width, as many as the values can fill."""
    if known.min() == known.max():
        half = abs(known[0]) * 0.05 or 0.5
        return np.array([known[0] - half, known[0] + half])
    edges = np.histogram_bin_edges(known, "auto")
    return edges if edges.size <= _MOST_BINS + 1 else np.linspace(known.min(), known.max(), _MOST_BINS + 1)
