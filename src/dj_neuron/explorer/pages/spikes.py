"""The spikes of a neuron: raster, autocorrelation, and what was on the screen at any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dj_neuron.explorer import plots
from dj_neuron.explorer.addresses import AddressError, neuron_of, number
from dj_neuron.explorer.failures import part_in_words
from dj_neuron.explorer.loading import neuron_view, stimulation_of, train_of
from dj_neuron.explorer.pages.estimates import delay_idx_at
from dj_neuron.explorer.parts import card, count_text, graph, notice
from dj_neuron.explorer.words import delay_words
from dj_neuron.strf import FrameClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dash.development.base_component import Component

    from dj_neuron.contracts import SpikeTrain, Stimulation


def register(app: Dash) -> None:
    """Show the frame at the spike that is chosen, at the delay that is shown."""
    app.callback(
        Output("stimulus", "children"),
        Input("spike", "value"),
        Input("settled", "data"),
        State("of-a", "data"),
        prevent_initial_call=True,
    )(_stimulus_at)
    app.clientside_callback(
        ClientsideFunction("explorer", "spikeChosen"),
        Output("spike", "value"),
        Input("raster", "clickData"),
        prevent_initial_call=True,
    )


def cards(train: SpikeTrain, stimulation: Stimulation, values: Mapping[str, str], delay_s: float) -> list[Any]:
    """Give the cards of autocorrelation, stimulus and raster."""
    if not train.n_spikes:
        return [card("Spikes", notice("No spike was recorded during this stimulation."))]
    spike = number(values, "spike", int)
    if spike is None:
        # the first spike that has a frame at this delay
        frames = FrameClock.of(stimulation).frames_at(train.times_s, delay_s)
        spike = int((frames >= 0).argmax()) + 1
    if not 1 <= spike <= train.n_spikes:
        raise AddressError(f"the address asks for spike {spike}, expected 1 to {train.n_spikes}")
    box = dcc.Input(id="spike", type="number", min=1, max=train.n_spikes, step=1, value=spike, debounce=True)
    words = count_text(train.n_spikes, "spike")
    return [
        card("Autocorrelation", graph("autocorrelation", plots.autocorrelation(train), "mid", "Autocorrelation")),
        card(
            "Stimulus at a spike",
            html.Div(html.Label(["Spike", box, f"of {train.n_spikes:,}"]), className="spike-line"),
            html.Div(
                part_in_words(lambda: _frame(stimulation, train, spike, delay_s)), id="stimulus", className="frame-box"
            ),
        ),
        card(
            "Spikes",
            graph(
                "raster",
                plots.raster(stimulation.spike_trains, stimulation, train.neuron_id),
                "mid",
                f"Raster of {words}, and their rate",
            ),
            note="click a spike to see the stimulus before it",
        ),
    ]


def _frame(stimulation: Stimulation, train: SpikeTrain, spike: int, delay_s: float) -> Component:
    figure = plots.frame_at(stimulation, float(train.times_s[spike - 1]), delay_s)
    return graph("stimulus-frame", figure, "frame", f"The frame on the screen, {delay_words(delay_s)} {spike}")


def _stimulus_at(spike: float | None, place: int | str | None, of: dict[str, Any]) -> Any:
    def make() -> Component:
        stimulation_id, neuron_id = neuron_of(of["path"])
        stimulation = stimulation_of(stimulation_id)
        train = train_of(stimulation, neuron_id)
        if spike is None or spike not in range(1, train.n_spikes + 1):
            return notice(f"Expected a spike from 1 to {train.n_spikes:,}.")
        strf = neuron_view(stimulation_id, neuron_id, of["row"]).strf
        delay_s = 0.0 if strf is None or place is None else float(strf.delays_s[delay_idx_at(strf, place)])
        return _frame(stimulation, train, int(spike), delay_s)

    return part_in_words(make)
