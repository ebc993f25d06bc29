"""The tables of the pipeline, and how far they are computed, live."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from dash import Dash, Input, Output, dcc, html

from dj_neuron import queries
from dj_neuron.explorer.cache import Lately
from dj_neuron.explorer.failures import part_in_words
from dj_neuron.explorer.parts import Page, card, count_text, tiles
from dj_neuron.figures.diagram import TableNode, diagram_figure

if TYPE_CHECKING:
    from dash.development.base_component import Component

REFRESH_S = 3.0
_diagrams = Lately(2)


def register(app: Dash) -> None:
    """Refresh the progress and the diagram while the page is open."""
    app.callback(
        Output("progress", "children"), Output("diagram", "children"), Input("tick", "n_intervals"),
        prevent_initial_call=True,
    )(lambda _: (part_in_words(_progress), part_in_words(_diagram)))  # fmt: skip


def page() -> Page:
    """Show the progress of every computed table, its failures, and the diagram of all tables."""
    return Page(
        "Pipeline",
        [
            html.Div([html.H1("Pipeline")], className="page-head"),
            html.Div(
                [
                    card("Computed tables", html.Div(_progress(), id="progress"), note=f"every {REFRESH_S:g} s"),
                    card("Tables and foreign keys", html.Div(_diagram(), id="diagram"), note="parents above children"),
                ],
                className="pipeline-grid",
            ),
            dcc.Interval(id="tick", interval=REFRESH_S * 1e3),
        ],
    )


def _progress() -> Component:
    done = queries.progress()
    jobs = {found.table: found for found in queries.open_jobs()}
    n_missing = sum(one["total"] - one["done"] for one in done.values())
    n_failed = sum(found.n_errors for found in jobs.values())
    n_reserved = sum(found.n_reserved for found in jobs.values())
    return html.Div(
        [
            tiles(
                [
                    (f"{sum(one['done'] for one in done.values()):,}", "keys computed"),
                    (f"{n_missing:,}", "missing"),
                    (f"{n_reserved:,}", "at work"),
                    (f"{n_failed:,}", "failed"),
                ]
            ),
            html.Table(
                [
                    html.Thead(html.Tr([html.Th(words, scope="col") for words in ("Table", "Done", "")])),
                    html.Tbody([_bar(name, **one, jobs=jobs.get(name)) for name, one in done.items()]),
                ],
                className="progress-table",
            ),
            *(_failures(found) for found in jobs.values() if found.n_errors),
            html.P(_remains(done, n_missing), className="note"),
        ]
    )


def _remains(progress: dict[str, dict[str, int]], n_missing: int) -> Any:
    if not any(one["total"] for one in progress.values()):
        return "Nothing is asked for yet: ingest a recording, and register delays with dj-neuron compute."
    return "dj-neuron compute, or workers, do what is missing." if n_missing else "Everything asked for is computed."


def _bar(name: str, done: int, total: int, jobs: queries.OpenJobs | None) -> html.Tr:
    share = done / total if total else 0.0
    failed = f" · {jobs.n_errors:,} failed" if jobs and jobs.n_errors else ""
    words = f"{done:,} of {total:,}{failed}" if total else "nothing to compute"
    bar = html.Div(
        html.Div(style={"width": f"{100 * share:.1f}%"}, className="fill"),
        className="bar",
        role="progressbar",
        **{"aria-label": name, "aria-valuenow": str(round(100 * share)), "aria-valuemin": "0", "aria-valuemax": "100"},
    )
    return html.Tr([html.Th(name, scope="row"), html.Td(words), html.Td(bar)])


def _failures(found: queries.OpenJobs) -> html.Div:
    shown = [html.Li([html.Span(one.key, className="note"), html.Div(one.message)]) for one in found.errors]
    return html.Div(
        [html.Strong(f"{found.table}: {count_text(found.n_errors, 'key')} failed"), html.Ul(shown)],
        className="notice failures",
    )


def _diagram() -> html.Img:
    tables, keys = queries.tables(is_counted=False), queries.foreign_keys()
    image = _diagrams.get((tuple(tables), tuple(keys)), lambda: _svg(tables, keys))
    n_rows = ", ".join(f"{table.name} {table.n_rows:,}" for table in tables)
    return html.Img(src=image, alt=f"Diagram of {len(tables)} tables with their foreign keys. Rows: {n_rows}.")


def _svg(tables: list[queries.TableInfo], keys: list[tuple[str, str, bool]]) -> str:
    figure = diagram_figure([TableNode(one.name, one.tier, one.schema, one.n_rows) for one in tables], keys)
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(written.getvalue()).decode()}"
