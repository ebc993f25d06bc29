"""The first page: what was recorded, and all neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dash import dcc, html

from dj_neuron import queries
from dj_neuron.errors import PipelineError
from dj_neuron.explorer.addresses import number, search_of, stimulation_path
from dj_neuron.explorer.loading import totals as counted
from dj_neuron.explorer.pages import table
from dj_neuron.explorer.parts import Page, count_text, notice, tiles
from dj_neuron.pictures.sentences import blocks_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.queries import SessionInfo, StimulationInfo

SESSIONS_PER_PAGE = 50


def page(values: Mapping[str, str]) -> Page:
    """Show sessions and stimulations with counts beside the table of neurons."""
    totals = counted()
    if not totals["sessions"]:
        return Page("No recordings yet", _empty())
    return Page(
        "Neurons",
        [
            html.Div(
                [
                    html.H1("Neurons"),
                    tiles(
                        (f"{totals[name]:,}", words)
                        for name, words in (
                            ("sessions", "sessions"),
                            ("stimulations", "stimulations"),
                            ("neurons", "neurons"),
                            ("spikes", "spikes"),
                            ("significant", "significant fields"),
                        )
                    ),
                ],
                className="page-head",
            ),
            html.Div(
                [_sessions(totals["sessions"], values), table.neurons_card({}, values)],
                className="with-side",
            ),
        ],
    )


def _empty() -> html.Div:
    return html.Div(
        [
            html.H1("No recordings yet"),
            html.P(
                "The pipeline holds nothing yet. Bring a recording in with one of these, then open this page again:"
            ),
            html.Pre("dj-neuron build YOUR_FILE --delays -0.1:0.4\ndj-neuron demo", tabIndex="0"),
            html.P(dcc.Link("What the pipeline consists of", href="/pipeline")),
        ],
        className="message",
    )


def _sessions(n_sessions: int, values: Mapping[str, str]) -> html.Section:
    first = number(values, "sessions_from", int) or 0
    if not 0 <= first < n_sessions:
        raise PipelineError(f"the address asks for session {first}, expected 0 to {n_sessions - 1}")
    shown = queries.recordings(offset=first, limit=SESSIONS_PER_PAGE)
    last = first + len(shown)
    pager = [
        dcc.Link(words, href="/" + search_of({**values, "sessions_from": start or None}))
        for words, start, is_there in (
            ("‹ earlier", max(first - SESSIONS_PER_PAGE, 0), first > 0),
            ("later ›", last, last < n_sessions),
        )
        if is_there
    ]
    return html.Section(
        [
            html.Div(
                [html.H2("Recordings"), html.Span(count_text(n_sessions, "session"), className="note")],
                className="card-head",
            ),
            html.Ul([_session(session) for session in shown], className="sessions", tabIndex="0"),
            *([html.Div(pager, className="pager")] if pager else []),
        ],
        className="card side",
    )


def _session(session: SessionInfo) -> html.Li:
    return html.Li(
        [
            html.Div(session.subject_name, className="subject"),
            html.Div(f"{session.session_date} · sample {session.sample_number}", className="when"),
            html.Ul([_stimulation(info) for info in session.stimulations])
            if session.stimulations
            else notice("No stimulation was recorded."),
        ]
    )


def _stimulation(info: StimulationInfo) -> html.Li:
    return html.Li(
        dcc.Link(
            [
                html.Span(f"{info.stimulation_id.stimulation_number}", className="number"),
                html.Span(blocks_text(info.n_y, info.n_x), className="what"),
                html.Span(count_text(info.n_neurons, "neuron"), className="count"),
            ],
            href=stimulation_path(info.stimulation_id),
        )
    )
