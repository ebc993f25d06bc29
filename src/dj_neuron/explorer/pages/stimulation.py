"""One stimulation: the mosaic of its receptive fields, distributions, and its neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, html

from dj_neuron import queries
from dj_neuron.errors import PipelineError
from dj_neuron.explorer import plots
from dj_neuron.explorer.addresses import number
from dj_neuron.explorer.loading import fields_of
from dj_neuron.explorer.pages import table
from dj_neuron.explorer.parts import Page, card, count_text, graph, notice, trail
from dj_neuron.explorer.words import stimulus_sentence
from dj_neuron.pictures.words import POLARITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dj_neuron.contracts import MosaicResult, StimulationId

DISTRIBUTIONS = ("peak_z", "test_correlation", "sigma_major_um", "time_to_peak_s")
_MOST_VALUES = 20_000


def register(app: Dash) -> None:
    """Open a neuron by a click on its field; narrow the table to a range of a distribution."""
    app.clientside_callback(
        ClientsideFunction("explorer", "openNeuron"),
        Output("mosaic", "className"),
        Input("mosaic", "clickData"),
        State("mosaic", "className"),
        prevent_initial_call=True,
    )
    for name in DISTRIBUTIONS:
        app.clientside_callback(
            ClientsideFunction("explorer", "narrow"),
            Output(f"distribution-{name}", "className"),
            Input(f"distribution-{name}", "selectedData"),
            State(f"distribution-{name}", "className"),
            State(f"distribution-{name}", "id"),
            prevent_initial_call=True,
        )


def page(one: StimulationId, values: Mapping[str, str]) -> Page:
    """Show the fields of a stimulation, distributions of measures, and the table of its neurons."""
    key = vars(one)
    infos = queries.stimulation_infos([key])
    if not infos:
        raise PipelineError(f"there is no {one}")
    parameters = queries.default_parameters(number(values, "row", int))
    fields, mosaics = fields_of(one, parameters)
    found = [field for field in fields if field.has_field]
    is_mosaic = min(infos[0].n_x, infos[0].n_y) > 1
    head = html.Div(
        [
            trail(one, is_here=True),
            html.Div(
                [
                    html.H1(f"{one.subject_name}, {one.session_date}, sample {one.sample_number}"),
                    html.Span(
                        f"Stimulation {one.stimulation_number}: {stimulus_sentence(infos[0])}.", className="lead"
                    ),
                ],
                className="title-line",
            ),
        ],
        className="page-head tall",
    )
    if not infos[0].n_neurons:
        return Page(
            str(one), [head, notice("No neuron was recorded during this stimulation, so there is nothing to show.")]
        )
    rows = queries.neuron_page(queries.NeuronQuery(parameters, key=key), limit=_MOST_VALUES)
    drawn = (
        graph("mosaic", plots.mosaic(fields, mosaics), "fill", f"Receptive fields of {len(found)} neurons")
        if found
        else notice(_why_no_fields(len(fields)))
    )
    return Page(
        f"{one.subject_name}, {one.session_date}, sample {one.sample_number}",
        [
            head,
            html.Div(
                [
                    card(
                        "Mosaic" if is_mosaic else "Receptive fields",
                        drawn,
                        _to_be_read_with_care(mosaics) if is_mosaic else None,  # bars lie in a row
                        note=f"{count_text(len(found), 'field')} of {count_text(len(fields), 'neuron')}"
                        + ("; click one to open it" if found else ""),
                        className="mosaic-card",
                    ),
                    card(
                        "Distributions",
                        html.Div([_distribution(name, rows) for name in DISTRIBUTIONS], className="distributions"),
                        note="drag over a range to see only its neurons",
                    ),
                ],
                className="two-columns overview",
            ),
            html.Div(table.neurons_card(key, values), className="under"),
        ],
    )


def _why_no_fields(n_judged: int) -> str:
    if n_judged:
        return f"None of {count_text(n_judged, 'neuron')} has a significant receptive field here."
    return "The receptive fields of this stimulation were not computed yet: dj-neuron compute does it."


def _distribution(name: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    column = table.RANGES[name]
    known = [row[name] for row in rows if row[name] is not None]
    if not known:
        return notice(f"{column.title}: not known of any neuron.")
    figure = plots.distribution([row[name] for row in rows], column.title, scale=column.scale)
    words = f"Histogram of {column.title} of {count_text(len(known), 'neuron')}"
    return graph(f"distribution-{name}", figure, "small", words)


def _to_be_read_with_care(mosaics: Sequence[MosaicResult]) -> Any:
    lines = [
        html.P([html.Span(name := POLARITY[one.polarity], className=f"badge {name.lower()}"), f" {one.reason}."])
        for one in mosaics
        if one.reason
    ]
    return html.Div(lines, className="regularity note")
