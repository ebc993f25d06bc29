"""The Dash application: one frame, and in it the page that the address names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from dj_neuron.explorer import pages
from dj_neuron.explorer.addresses import place_of, values_of
from dj_neuron.explorer.failures import page_in_words
from dj_neuron.explorer.pages import estimates, pipeline, spikes, stimulation, table

if TYPE_CHECKING:
    from dj_neuron.explorer.parts import Page

_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""


def create_app(description: str) -> Dash:
    """Make the application.

    Parameters
    ----------
    description : str
        The database in words, for the frame around all pages.
    """
    app = Dash(
        "dj_neuron.explorer",
        title="dj-neuron",
        update_title="",
        assets_folder=str(Path(__file__).parent / "assets"),
        serve_locally=True,
        suppress_callback_exceptions=True,
        include_assets_files=True,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.index_string = _FRAME
    app.layout = _frame(description)
    app.callback(
        Output("page", "children"),
        Output("shown", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        State("shown", "data"),
    )(_show)
    app.clientside_callback(
        ClientsideFunction("explorer", "arrived"), Output("arrived", "data"), Input("shown", "data")
    )
    for part in (table, estimates, spikes, stimulation, pipeline):
        part.register(app)
    return app


def _frame(description: str) -> html.Div:
    return html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="shown"),
            dcc.Store(id="arrived"),
            html.A("Skip to the content", href="#page", className="skip"),
            html.Header(
                [
                    dcc.Link([html.Span("dj-neuron", className="brand"), " explorer"], href="/", className="home"),
                    html.Nav(
                        [dcc.Link("Neurons", href="/"), dcc.Link("Pipeline", href="/pipeline")],
                        **{"aria-label": "Pages"},
                    ),
                    html.Span(description, className="database", title="Read-only view of this database"),
                ],
                className="frame",
            ),
            html.Main(html.P("Loading…", className="loading"), id="page", tabIndex="-1"),
        ]
    )


def _show(pathname: str | None, search: str | None, shown: dict[str, Any] | None) -> Any:
    def make() -> Page | None:
        path, values = pathname or "/", values_of(search)
        # a table looks after its own part of the address
        own = {name: value for name, value in values.items() if name not in table.VALUES}
        state = {"pathname": path, "values": own}
        if shown and {name: shown.get(name) for name in state} == state:
            return None
        return replace(pages.page_of(place_of(path), values), state=state)

    page = page_in_words(make)
    return (no_update, no_update) if page is None else (page.children, {**page.state, "title": page.title})
