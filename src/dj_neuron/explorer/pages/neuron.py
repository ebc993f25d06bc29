"""One neuron, or two estimates side by side: what was found, and everything it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from dj_neuron import queries
from dj_neuron.contracts import StimulationId
from dj_neuron.explorer.addresses import neuron_path, number, search_of
from dj_neuron.explorer.loading import NeuronView, neuron_view, stimulation_of, train_of
from dj_neuron.explorer.pages import estimates, measures, spikes
from dj_neuron.explorer.parts import Page, notice, polarity_badge, trail
from dj_neuron.explorer.words import estimate_words
from dj_neuron.pictures.sentences import finding_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.contracts import SpikeTrain, Stimulation

    Values = Mapping[str, str]


def page(stimulation_id: StimulationId, neuron_id: int, values: Values) -> Page:
    """Show a neuron; beside it another estimate or another neuron, if the address says so."""
    stimulation = stimulation_of(stimulation_id)
    train = train_of(stimulation, neuron_id)
    view = neuron_view(stimulation_id, neuron_id, number(values, "row", int))
    other = _other(view, values, stimulation)
    views = [view] if other is None else [view, other]
    return Page(
        f"Neuron {neuron_id}, {stimulation_id}",
        [
            _head(view, train, stimulation, values),
            *_body(views, train, stimulation, values),
            *(part for one, side in zip(views, estimates.SIDES, strict=False) for part in _state(one, side)),
            dcc.Store(id="settled", data=estimates.delay_idx_of(view, values)),
        ],
    )


def _body(views: list[NeuronView], train: SpikeTrain, stimulation: Stimulation, values: Values) -> list[Any]:
    view = views[0]
    if view.strf is None:
        shown: list[Any] = [notice("No STRF was computed for this neuron yet: dj-neuron compute does it.")]
        return [*shown, *spikes.cards(train, stimulation, values, 0.0)]
    if not train.n_spikes and len(views) == 1:
        return [notice("There is no spike to average over, to correlate or to predict.")]
    delay_s = estimates.delay_of(view, values)
    about_spikes = spikes.cards(train, stimulation, values, delay_s)
    titles = [estimates.title_of(one) for one in views] if len(views) > 1 else ["Measures"]
    tables = [measures.card_of(one, title) for one, title in zip(views, titles, strict=True)]
    if len(views) > 1:
        return [
            *estimates.cards(views, values),
            html.Div(tables, className="two-columns"),
            html.Div(about_spikes[:-1], className="two-columns"),
            *about_spikes[-1:],
        ]
    return [
        *estimates.cards(views, values),
        html.Div([*tables, *measures.quality_cards(view), *about_spikes[:-1]], className="results"),
        *about_spikes[-1:],
    ]


def _other(view: NeuronView, values: Values, stimulation: Stimulation) -> NeuronView | None:
    """Load what the address puts beside a neuron: another neuron, or the same one by another row of parameters."""
    row, neuron_id = number(values, "with_row", int), number(values, "with_neuron", int)
    if neuron_id is not None:
        train_of(stimulation, neuron_id)
        return neuron_view(view.stimulation_id, neuron_id, number(values, "row", int) if row is None else row)
    return None if row is None else neuron_view(view.stimulation_id, view.neuron_id, row)


def _head(view: NeuronView, train: SpikeTrain, stimulation: Stimulation, values: Values) -> html.Div:
    before, after = queries.neighbours({**vars(view.stimulation_id), "neuron_id": view.neuron_id})
    row = {"row": values.get("row")}
    steps = [
        _step(before, "before", "‹", "Neuron before (key k or left)", row),
        _step(after, "after", "›", "Next neuron (key j or right)", row),
    ]
    title = [html.H1(f"Neuron {view.neuron_id}")]
    if train.label:
        title.append(html.Span(train.label, className="unit-label"))
    if view.field is not None and view.field.measures.get("polarity") is not None:
        title.append(polarity_badge(view.field.measures["polarity"]))
    return html.Div(
        [
            html.Div([trail(view.stimulation_id), html.Div(steps, className="steps")], className="trail-line"),
            html.Div(
                [*title, html.Div(_comparisons(view, stimulation, values), className="chips compare")],
                className="title-line",
            ),
            html.P(finding_text(train.n_spikes, view.strf, view.field), className="lead finding"),
        ],
        className="page-head tall",
    )


def _step(key: Mapping[str, Any] | None, name: str, arrow: str, words: str, values: Mapping[str, Any]) -> Any:
    if key is None:
        return html.Span(arrow, className="button off", **{"aria-hidden": "true"})
    one = StimulationId(*(key[part] for part in StimulationId.__dataclass_fields__))
    return dcc.Link(
        html.Span(arrow, role="img", **{"aria-label": words}),
        href=neuron_path(one, key["neuron_id"]) + search_of(values),
        id=name,
        className="button",
        title=words,
    )


def _comparisons(view: NeuronView, stimulation: Stimulation, values: Values) -> list[Any]:
    rows, shown = queries.parameter_rows(), view.row["strf_params_id"] if view.row else None
    chips: list[Any] = []

    def chip(words: str, is_on: bool, **changes: Any) -> dcc.Link:
        return dcc.Link(words, href=search_of({**values, **changes}) or "?", className="chip on" if is_on else "chip")

    def beside(row: Mapping[str, Any]) -> dcc.Link:
        one = row["strf_params_id"]
        is_on = values.get("with_row") == str(one)
        return chip(estimate_words(row), is_on, with_row=None if is_on else one)

    if len(rows) > 1:
        others = [row for row in rows if row["strf_params_id"] != shown]
        chips += [
            html.Span("Estimate"),
            *(chip(estimate_words(row), row["strf_params_id"] == shown, row=row["strf_params_id"]) for row in rows),
            html.Span("beside"),
            *(beside(row) for row in others),
        ]
    neurons = [train.neuron_id for train in stimulation.spike_trains if train.neuron_id != view.neuron_id]
    if neurons:
        chosen = values.get("with_neuron", "")
        options = [
            html.Option(words, value=value, selected=value == chosen)
            for words, value in (("nothing", ""), *((f"neuron {one}", str(one)) for one in neurons))
        ]
        chips.append(html.Label(["Put beside it", html.Select(options, name="with_neuron", className="beside")]))
    return chips


def _state(view: NeuronView, side: str) -> list[Any]:
    row, path = view.row and view.row["strf_params_id"], neuron_path(view.stimulation_id, view.neuron_id)
    return [
        dcc.Store(id=f"of-{side}", data={"path": path, "row": row, "side": side}),
        dcc.Store(id=f"block-{side}"),
        dcc.Store(id=f"block-{side}-shown"),
    ]
