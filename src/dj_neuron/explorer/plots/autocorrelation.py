"""How soon after a spike a neuron fires again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.theme import new_figure, note, told
from dj_neuron.pictures.colours import CONTROL, INK, STIMULUS
from dj_neuron.strf.spike_intervals import autocorrelogram, refractory_violations

if TYPE_CHECKING:
    from dj_neuron.contracts import SpikeTrain
    from dj_neuron.explorer.plots.plot import Plot


def autocorrelation(
    train: SpikeTrain, *, refractory_s: float = 0.002, max_lag_s: float = 0.05, bin_s: float = 0.001
) -> Plot:
    """Draw the rate of a neuron after its own spikes, with the refractory period shaded and its violations counted.

    Parameters
    ----------
    train : SpikeTrain
        Of one neuron.
    refractory_s : float
        Intervals shorter than this are violations: two neurons taken for one, or a spike detected twice.
    max_lag_s, bin_s : float
        Reach and width of the bins.
    """
    if train.n_spikes < 2:
        return told("fewer than two spikes: no interval")
    edges_s, rate_hz = autocorrelogram(train.times_s, max_lag_s, bin_s)
    edges_ms = edges_s * 1e3
    figure = new_figure(bargap=0)
    figure.add_shape(
        type="rect", x0=0, x1=refractory_s * 1e3, y0=0, y1=1, yref="y domain", fillcolor=STIMULUS, line={"width": 0},
        layer="below", name="refractory",
    )  # fmt: skip
    figure.add_bar(
        x=(edges_ms[1:] + edges_ms[:-1]) / 2,
        y=rate_hz,
        width=bin_s * 1e3,
        marker={"color": CONTROL, "line": {"width": 0}},
        customdata=np.stack([edges_ms[:-1], edges_ms[1:]], axis=-1),
        hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g} ms<br>%{y:.3g} Hz<extra></extra>",
        name="rate",
    )
    note(figure, violations_text(train, refractory_s), color=INK)
    figure.update_xaxes(title={"text": "time after a spike (ms)"}, range=[0, edges_ms[-1]])
    figure.update_yaxes(title={"text": "rate (Hz)"}, rangemode="tozero", nticks=6)
    return figure


def violations_text(train: SpikeTrain, refractory_s: float = 0.002) -> str:
    """Count and share of intervals shorter than the refractory period."""
    found = refractory_violations(train.times_s, refractory_s)
    share = "" if found.share is None else f" ({found.share:.2%})".replace("%", " %")
    return f"{found.n_violations:,} of {found.n_intervals:,} intervals{share} under {refractory_s * 1e3:g} ms"
