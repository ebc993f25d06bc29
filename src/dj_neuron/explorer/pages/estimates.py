"""Estimates of a neuron, one or two: every delay, and the time course of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from dj_neuron.errors import PipelineError
from dj_neuron.explorer import plots
from dj_neuron.explorer.addresses import AddressError, neuron_of, number
from dj_neuron.explorer.failures import told_in_words
from dj_neuron.explorer.loading import NeuronView, neuron_view
from dj_neuron.explorer.parts import card, graph, notice
from dj_neuron.explorer.words import delay_words, estimate_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.contracts import Strf

    Values = Mapping[str, str]

SIDES = ("a", "b")
OVERLAYS = {"fit": "Fit", "significant": "Significant"}


def register(app: Dash) -> None:
    """Move through the delays in the browser; ask for the time course when a block is chosen."""
    app.clientside_callback(
        ClientsideFunction("explorer", "showDelay"),
        Output("delay-words", "children"),
        Input("delay", "value"),
        *(Input(f"show-{name}", "aria-pressed") for name in OVERLAYS),
        State("frames", "data"),
        prevent_initial_call=True,
    )
    for name in OVERLAYS:
        app.clientside_callback(
            ClientsideFunction("explorer", "switched"),
            Output(f"show-{name}", "aria-pressed"),
            Input(f"show-{name}", "n_clicks"),
            State(f"show-{name}", "aria-pressed"),
            prevent_initial_call=True,
        )
    for side in SIDES:
        app.callback(
            Output(f"course-{side}", "figure"),
            Output(f"block-{side}", "data"),
            Input(f"strf-{side}", "clickData"),
            State("delay", "value"),
            State(f"of-{side}", "data"),
            prevent_initial_call=True,
        )(_choose_block)
        app.clientside_callback(
            ClientsideFunction("explorer", "blockChosen"),
            Output(f"block-{side}-shown", "data"),
            Input(f"block-{side}", "data"),
            State("frames", "data"),
            prevent_initial_call=True,
        )


def cards(views: list[NeuronView], values: Values) -> list[Any]:
    """Show the controls of the delay and, per view, the STRF and the time course of a block."""
    delay_s = delay_of(views[0], values)
    pairs = [_cards_of(view, side, delay_s, values, len(views) > 1) for view, side in zip(views, SIDES, strict=False)]
    frames = [
        {
            "side": side,
            "block": dict(zip(("width_um", "height_um"), view.strf.block_size_um, strict=True)),
            **plots.strf_animation_data(view.strf, view.field),
        }
        for view, side in zip(views, SIDES, strict=False)
        if view.strf is not None and view.strf.n_spikes
    ]
    assert views[0].strf is not None  # noqa: S101 - the page shows something else then
    return [
        _controls(views[0].strf, delay_s),
        html.Div(
            [part for pair in pairs for part in pair],
            className="two-columns " + ("pair" if len(views) > 1 else "strf-row"),
        ),
        dcc.Store(id="frames", data=frames),
    ]


def title_of(view: NeuronView) -> str:
    """Name an estimate: neuron and row of parameters."""
    return f"Neuron {view.neuron_id}" + (f", estimate {estimate_words(view.row)}" if view.row else "")


def delay_of(view: NeuronView, values: Values) -> float:
    """Find the delay to show: the one nearest to what the address gives in ms, else that of the peak."""
    delay_idx = delay_idx_of(view, values)
    return 0.0 if view.strf is None or delay_idx is None else float(view.strf.delays_s[delay_idx])


def delay_idx_of(view: NeuronView, values: Values) -> int | None:
    """Find the place of the delay to show among those of the estimate; None without an estimate."""
    strf, asked_ms = view.strf, number(values, "delay", float)
    if strf is None:
        return None
    if asked_ms is not None:
        return _nearest(strf, asked_ms / 1e3)
    peak_s = None if view.field is None else view.field.measures.get("peak_delay_s")
    return _peak(strf)[0] if peak_s is None else _nearest(strf, peak_s)


def delay_idx_at(strf: Strf, place: int | str) -> int:
    """Find the place of a delay where the slider is, which may have been drawn for more delays."""
    return min(int(place), len(strf.delays_s) - 1)


def _nearest(strf: Strf, delay_s: float) -> int:
    return int(np.abs(strf.delays_s - delay_s).argmin())


def _peak(strf: Strf) -> tuple[int, int, int]:
    height = np.nan_to_num(np.abs(strf.values))
    height[strf.delays_s < 0] = 0
    delay_idx, row, column = np.unravel_index(int(height.argmax()), height.shape)
    return int(delay_idx), int(row), int(column)


def _block_of(view: NeuronView, strf: Strf, values: Values) -> tuple[int, int]:
    """Find the block that the address gives as ROW,COLUMN from the top left, else that of the peak."""
    text = values.get("block")
    if text is None:
        measures = {} if view.field is None else view.field.measures
        row, column = measures.get("peak_row_idx"), measures.get("peak_column_idx")
        return _peak(strf)[1:] if row is None or column is None else (int(row), int(column))
    n_y, n_x = strf.values.shape[1:]
    expected = f"ROW,COLUMN with rows 0 to {n_y - 1} and columns 0 to {n_x - 1}"
    try:
        row_idx, column_idx = (int(part) for part in text.split(","))
    except ValueError:
        raise AddressError(f"the address says block={text!r}, expected {expected}") from None
    if not (0 <= row_idx < n_y and 0 <= column_idx < n_x):
        raise AddressError(f"the address says block={text!r}, expected {expected}")
    return row_idx, column_idx


def _controls(strf: Strf, delay_s: float) -> html.Div:
    last = len(strf.delays_s) - 1
    slider = dcc.Input(id="delay", type="range", min=0, max=last, step=1, value=_nearest(strf, delay_s), debounce=False)
    return html.Div(
        [
            html.Button("▶ Play", id="play", type="button", title="Space plays and pauses", disabled=last == 0),
            html.Label(["Delay", slider], className="delay"),
            html.Output(delay_words(delay_s), id="delay-words"),
            html.Div([_switch(name, words) for name, words in OVERLAYS.items()], className="switches"),
        ],
        className="controls",
    )


def _switch(name: str, words: str) -> html.Button:
    # a native button: Dash's Checklist is a list box with check boxes inside, which screen readers cannot tell apart
    return html.Button(words, id=f"show-{name}", type="button", className="switch", **{"aria-pressed": "true"})


def _cards_of(view: NeuronView, side: str, delay_s: float, values: Values, is_pair: bool) -> list[Any]:
    title = title_of(view) if is_pair else "Spatio-temporal receptive field"
    strf = view.strf
    if strf is None:
        return [card(title, notice("Nothing was computed with these parameters yet: dj-neuron compute does it."))] * 2
    if not strf.n_spikes:
        silent = notice("The neuron was silent during this stimulation: there is nothing to average.")
        return [card(title, silent), card("Time course", silent)]
    block, here = _block_of(view, strf, values), _nearest(strf, delay_s)
    draw = plots.space_time if 1 in strf.values.shape[1:] else plots.strf_frames
    words = f"{title}: contrast before the spike. Its numbers are in the tables below; arrow keys choose another block"
    course = plots.block_course(strf, view.field, block=block, delay_idx=here)
    return [
        card(
            title,
            graph(
                f"strf-{side}", draw(strf, view.field, delay_idx=here, block=block), "tall blocks", words, tabIndex="0"
            ),
            note=None if is_pair else "click a block for its time course",
        ),
        card("Time course", graph(f"course-{side}", course, "tall", "Time course of the chosen block")),
    ]


def _choose_block(clicked: dict[str, Any] | None, place: int | str, of: dict[str, Any]) -> Any:
    """Give the time course of the block that was clicked, or why there is none, and which block it is."""

    def make() -> Any:
        view = neuron_view(*neuron_of(of["path"]), of["row"])
        if view.strf is None:
            raise PipelineError("the estimate is not there any more, expected one: load the page again")
        block = None if clicked is None else _block_at(view.strf, clicked["points"][0])
        if block is None:
            return no_update, no_update
        course = plots.block_course(view.strf, view.field, block=block, delay_idx=delay_idx_at(view.strf, place))
        return course, {"side": of["side"], "place": list(block)}

    return told_in_words(make, lambda heading, sentence: (plots.told_at_length(f"{heading}: {sentence}"), no_update))


def _block_at(strf: Strf, point: dict[str, Any]) -> tuple[int, int] | None:
    """Find the block under a point in micrometres; those of bars run along y in a space-time image."""
    n_y, n_x = strf.values.shape[1:]
    width_um, height_um = strf.block_size_um
    is_bars = 1 in {n_y, n_x}
    x_um, y_um = (point["y"], point["y"]) if is_bars else (point["x"], point["y"])
    row = int(y_um // height_um) if n_y > 1 else 0
    column = int(x_um // width_um) if n_x > 1 else 0
    return (row, column) if 0 <= row < n_y and 0 <= column < n_x else None
