"""The spikes of a neuron: row by row through the recording, or among other neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.explorer.plots.theme import new_figure, told
from dj_neuron.pictures.colours import CONTROL, INK, STIMULUS
from dj_neuron.strf.spike_intervals import rates_hz

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dj_neuron.contracts import SpikeTrain, Stimulation
    from dj_neuron.explorer.plots.plot import Plot

    Floats = NDArray[np.float64]

_ROWS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_MOST_ROWS = 24
_MOST_DRAWN = 10_000  # spikes; beyond it they are drawn by WebGL, which not every browser has
_RATE_BINS = 120


def raster(
    trains: Sequence[SpikeTrain],
    stimulation: Stimulation,
    neuron_id: int,
    *,
    row_s: float | None = None,
    among_others: bool = False,
) -> Plot:
    """Draw every spike of a neuron, and its rate beside; the period of the stimulus is shaded.

    Parameters
    ----------
    trains : sequence of SpikeTrain
        Of the stimulation, that of the neuron among them.
    stimulation : Stimulation
        When its movie began and ended, and its gaps.
    neuron_id : int
        Whose spikes.
    row_s : float, optional
        Seconds in a row, the first row at the top; default: a round number that makes at most 24 rows.
    among_others : bool
        One row per neuron instead, over the whole recording, with the rate of this one below.

    Returns
    -------
    Plot
        Of traces ``spikes``, whose customdata is the number of the spike from 1, and ``rate``; of ``other neurons``,
        customdata is their neuron_id.

    Raises
    ------
    ContractError
        If the neuron is not among the trains, or a row is not longer than 0 s.
    """
    train = next((train for train in trains if train.neuron_id == neuron_id), None)
    if train is None:
        raise ContractError(f"neuron is {neuron_id}, expected one of {[train.neuron_id for train in trains]}")
    if row_s is not None and not row_s > 0:
        raise ContractError(f"rows are of {row_s} s, expected more than 0")
    if not train.n_spikes and not among_others:
        return told("no spike was recorded")
    first_s = min(0.0, stimulation.onset_s)
    last_s = max([stimulation.end_s, *(float(one.times_s[-1]) for one in trains if one.n_spikes)])
    if among_others:
        return _among_others(trains, train, stimulation, (first_s, last_s))
    return _in_rows(train, stimulation, (first_s, last_s), row_s or _row_length_s(last_s - first_s))


def _row_length_s(duration_s: float) -> float:
    return float(next((row_s for row_s in _ROWS_S if duration_s / row_s <= _MOST_ROWS), duration_s / _MOST_ROWS))


def _in_rows(train: SpikeTrain, stimulation: Stimulation, span_s: tuple[float, float], row_s: float) -> Plot:
    first_s, last_s = span_s
    n_rows = max(1, int(np.ceil((last_s - first_s) / row_s)))
    starts_s = first_s + np.arange(n_rows) * row_s
    rows = np.minimum(((train.times_s - first_s) // row_s).astype(np.int64), n_rows - 1)
    shown = [
        {
            "type": "rect", "x0": max(begin_s - starts_s[row], 0), "x1": min(end_s - starts_s[row], row_s),
            "y0": row - 0.5, "y1": row + 0.5, "fillcolor": colour, "line": {"width": 0}, "layer": "below",
            "name": "stimulus",
        }
        for begin_s, end_s, colour in _periods(stimulation)
        for row in range(int((begin_s - first_s) // row_s), int(np.ceil((end_s - first_s) / row_s)))
    ]  # fmt: skip
    figure = new_figure(margin={"l": 60, "r": 12, "t": 10, "b": 44}, bargap=0.25, shapes=shown)
    size_px = min(14.0, max(3.0, 150 / n_rows))
    _add_spikes(figure, train.times_s - starts_s[rows], rows, size_px, "%{x:.3f} s into the row")
    edges_s = np.append(starts_s, max(last_s, starts_s[-1] + 1e-9))
    figure.add_bar(
        x=rates_hz(train.times_s, edges_s),
        y=np.arange(n_rows),
        orientation="h",
        marker={"color": CONTROL, "line": {"width": 0}},
        customdata=np.stack([edges_s[:-1], edges_s[1:]], axis=-1),
        hovertemplate="%{customdata[0]:.0f} to %{customdata[1]:.0f} s<br>%{x:.2f} Hz<extra></extra>",
        xaxis="x2",
        name="rate",
    )
    every = max(1, int(np.ceil(n_rows / 8)))
    labels = [f"{start_s:g}" for start_s in starts_s[::every]]
    figure.layout.update(
        xaxis={"domain": [0, 0.8], "range": [0, row_s], "title": {"text": "time within the row (s)"}},
        xaxis2={"domain": [0.83, 1], "rangemode": "tozero", "title": {"text": "rate (Hz)"}, "nticks": 4, "anchor": "y"},
        yaxis={
            "range": [n_rows - 0.4, -0.6], "tickvals": list(range(0, n_rows, every)), "ticktext": labels,
            "title": {"text": "start of the row (s)"},
        },
    )  # fmt: skip
    return figure


def _among_others(
    trains: Sequence[SpikeTrain], train: SpikeTrain, stimulation: Stimulation, span_s: tuple[float, float]
) -> Plot:
    figure = new_figure(margin={"l": 60, "r": 12, "t": 10, "b": 44}, bargap=0)
    for begin_s, end_s, colour in _periods(stimulation):
        figure.add_shape(
            type="rect", x0=begin_s, x1=end_s, y0=0, y1=1, yref="paper", fillcolor=colour, line={"width": 0},
            layer="below", name="stimulus",
        )  # fmt: skip
    size_px = min(12.0, max(2.0, 150 / len(trains)))
    others = [(row, one) for row, one in enumerate(trains) if one is not train]
    if others:
        figure.add_scattergl(
            x=np.concatenate([one.times_s for _, one in others]),
            y=np.concatenate([np.full(one.n_spikes, row) for row, one in others]),
            customdata=np.concatenate([np.full(one.n_spikes, one.neuron_id) for _, one in others]),
            mode="markers",
            marker={"symbol": "line-ns-open", "size": size_px, "color": CONTROL, "opacity": 0.6},
            hovertemplate="neuron %{customdata}, %{x:.3f} s<extra></extra>",
            name="other neurons",
        )
    row = next(row for row, one in enumerate(trains) if one is train)
    _add_spikes(figure, train.times_s, np.full(train.n_spikes, row), size_px + 3, "%{x:.3f} s")
    edges_s = np.linspace(*span_s, _RATE_BINS + 1)
    figure.add_scatter(
        x=edges_s,
        y=np.append(rates := rates_hz(train.times_s, edges_s), rates[-1]),
        mode="lines",
        line={"shape": "hv", "color": INK, "width": 1.2},
        hovertemplate="%{x:.0f} s<br>%{y:.2f} Hz<extra></extra>",
        yaxis="y2",
        name="rate",
    )
    every = max(1, int(np.ceil(len(trains) / 12)))
    shown = sorted({*range(0, len(trains), every), row})
    figure.layout.update(
        xaxis={"range": list(span_s), "title": {"text": "time of the recording (s)"}, "anchor": "y2"},
        yaxis={
            "domain": [0.32, 1], "range": [len(trains) - 0.4, -0.6], "tickvals": shown, "title": {"text": "neuron"},
            "ticktext": [_name(trains[one], train) for one in shown],
        },
        yaxis2={"domain": [0, 0.24], "rangemode": "tozero", "title": {"text": "rate (Hz)"}, "nticks": 4},
    )  # fmt: skip
    return figure


def _name(one: SpikeTrain, chosen: SpikeTrain) -> str:
    return f"<b>{one.neuron_id}</b>" if one is chosen else str(one.neuron_id)


def _add_spikes(figure: Plot, x: Floats, rows: NDArray[np.int64], size_px: float, when: str) -> None:
    """Add spikes in as few bytes as show them; many are drawn by WebGL, paler so that they show how dense they are."""
    is_many = x.size > _MOST_DRAWN
    add = figure.add_scattergl if is_many else figure.add_scatter
    add(
        x=x.astype(np.float32),
        y=rows.astype(np.int16),
        mode="markers",
        marker={
            "symbol": "line-ns-open", "size": size_px, "color": INK, "line": {"width": 1},
            "opacity": 0.5 if is_many else 1,
        },
        customdata=np.arange(1, x.size + 1, dtype=np.int32),
        hovertemplate=f"spike %{{customdata}}<br>{when}<extra></extra>",
        name="spikes",
    )  # fmt: skip


def _periods(stimulation: Stimulation) -> Iterator[tuple[float, float, str]]:
    """When the stimulus was shown, and in white the gaps in it."""
    yield stimulation.onset_s, stimulation.end_s, STIMULUS
    for begin_s, end_s in () if stimulation.gaps_s is None else stimulation.gaps_s:
        yield float(begin_s), float(end_s), "white"
