"""Every spike of a stimulation, one row per neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from dj_neuron.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from dj_neuron.contracts import SpikeTrain, Stimulation

_ROW = 0.8  # of the distance between rows
_TICK_ROW_IN = 0.13


def draw_raster(stimulation: Stimulation, ax: Axes) -> Axes:
    """Draw spikes over the recording's clock, neuron by neuron from the top.

    Parameters
    ----------
    stimulation : Stimulation
        Its period is shaded; its gaps are left white.
    ax : Axes
        To draw on.

    Notes
    -----
    At the right of each row stands its rate in Hz from onset to end of the stimulus, gaps included.
    """
    trains = stimulation.spike_trains
    n_rows = max(len(trains), 1)
    onset_s, end_s = stimulation.onset_s, stimulation.end_s
    style.clean_axes(ax)
    ax.axvspan(onset_s, end_s, color=style.STIMULUS, linewidth=0, zorder=0)
    for start_s, stop_s in () if stimulation.gaps_s is None else stimulation.gaps_s:
        ax.axvspan(start_s, stop_s, color="white", linewidth=0, zorder=0.5)
    for time_s, word, side in ((onset_s, "onset", "left"), (end_s, "end", "right")):
        ax.axvline(time_s, color=style.CONTROL, linewidth=0.8, zorder=1)
        ax.text(
            time_s,
            1.005,
            f"{word} {time_s:.2f} s",
            transform=ax.get_xaxis_transform(),
            ha=side,
            va="bottom",
            fontsize=style.SMALL_PT,
            color=style.CONTROL,
        )
    for row, train in enumerate(trains):
        ax.add_collection(_ticks(train, row), autolim=False)
    first_s = min([0.0, onset_s])
    last_s = max([end_s, *(float(train.times_s[-1]) for train in trains if train.n_spikes)])
    margin_s = 0.01 * (last_s - first_s)
    ax.set(xlim=(first_s - margin_s, last_s + margin_s), ylim=(n_rows - 0.5, -0.5))
    style.label_axes(ax, x="time of the recording (s)", y="neuron")
    if not trains:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no neurons", transform=ax.transAxes, ha="center", va="center", fontsize=style.LABEL_PT)
        return ax

    every = _rows_per_label(ax, n_rows)
    rows = range(0, n_rows, every)
    ax.set_yticks(list(rows), labels=[str(trains[row].neuron_id) for row in rows])
    for row in rows:
        rate = _rate_text(rate_hz(trains[row], onset_s, end_s))
        _beside(ax, rate, (1, row), ax.get_yaxis_transform(), va="center", color=style.INK)
    _beside(ax, "Hz", (1, 1.005), ax.transAxes, va="bottom", color=style.CONTROL)
    return ax


def raster_figure(stimulation: Stimulation, title: str = "") -> Figure:
    """Raster on a figure as tall as its neurons need, with a title and the number of spikes."""
    n_neurons = len(stimulation.spike_trains)
    n_spikes = sum(train.n_spikes for train in stimulation.spike_trains)
    height_in = min(max(0.17 * n_neurons, 1.2), 12.0)
    figure_in = (max(10.0, style.text_width_in(title, style.TITLE_PT, bold=True) + 1.2), height_in + 1.35)
    figure = Figure(figsize=figure_in)
    draw_raster(stimulation, figure.add_axes((0.07, 0.55 / figure_in[1], 0.86, height_in / figure_in[1])))
    counted = f"{n_neurons} neuron{'' if n_neurons == 1 else 's'}, {n_spikes:,} spike{'' if n_spikes == 1 else 's'}"
    subtitle = f"{counted}; stimulus period shaded, rates from its onset to its end"
    style.head(figure, 0.07, title, subtitle)
    return figure


def rate_hz(train: SpikeTrain, onset_s: float, end_s: float) -> float:
    """Spikes per second from onset to end."""
    n_during = int(np.searchsorted(train.times_s, end_s) - np.searchsorted(train.times_s, onset_s))
    return n_during / (end_s - onset_s)


def _ticks(train: SpikeTrain, row: int) -> LineCollection:
    segments = np.empty((train.n_spikes, 2, 2))
    segments[:, :, 0] = train.times_s[:, None]
    segments[:, :, 1] = row - _ROW / 2, row + _ROW / 2
    # rasterised: a vector file with 100,000 strokes opens in no viewer
    return LineCollection(list(segments), colors=style.INK, linewidths=0.35, rasterized=True, zorder=2)


def _rate_text(rate_hz: float) -> str:
    return f"{rate_hz:.1f}" if rate_hz >= 1 else f"{rate_hz:.1g}"


def _beside(ax: Axes, text: str, place: tuple[float, float], transform: Transform, *, va: str, color: str) -> None:
    ax.annotate(
        text,
        place,
        xycoords=transform,
        xytext=(34, 0),
        textcoords="offset points",
        ha="right",
        va=va,
        fontsize=style.SMALL_PT,
        color=color,
        annotation_clip=False,
    )


def _rows_per_label(ax: Axes, n_rows: int) -> int:
    height_in = max(style.axes_size_in(ax)[1], _TICK_ROW_IN)
    return max(1, int(np.ceil(n_rows * _TICK_ROW_IN / height_in)))
