"""What pages are made of: tiles, cards, badges, links, numbers in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dash import dcc, html

from dj_neuron.explorer.addresses import stimulation_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dj_neuron.contracts import StimulationId
    from dj_neuron.explorer.plots.plot import Plot

UNKNOWN = "\N{EM DASH}"
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Page:
    """A page: its title for the window, its components, and the state it shows; one of no state is always made anew."""

    title: str
    children: Any
    state: Mapping[str, Any] = field(default_factory=dict)


def number_text(value: Any, decimals: int = 0) -> str:
    """Write a number with separators and a true minus sign; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def chance_text(value: Any) -> str:
    """Write a p or q value."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 0.0001:
        return f"{value:.0e}".replace("e-0", "e-").replace("-", _MINUS)
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def count_text(n: int, one: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def polarity_badge(value: Any) -> Any:
    """ON or OFF, in the colours of the pictures."""
    if value is None or not math.isfinite(value) or value == 0:
        return UNKNOWN
    name = "ON" if value > 0 else "OFF"
    return html.Span(name, className=f"badge {name.lower()}")


def tile(number: Any, words: str) -> html.Div:
    """A number and what it counts."""
    return html.Div([html.Span(number, className="number"), html.Span(words, className="words")], className="tile")


def tiles(items: Iterable[tuple[Any, str]]) -> html.Div:
    """Several numbers beside each other."""
    return html.Div([tile(number, words) for number, words in items], className="tiles")


def card(title: Any, *children: Any, note: Any = None, className: str = "", **attributes: Any) -> html.Section:  # noqa: N803
    """A framed part of a page under a heading, with a note beside it."""
    head = [html.H2(title)] + ([html.Span(note, className="note")] if note else [])
    return html.Section(
        [html.Div(head, className="card-head"), *children], className=f"card {className}".strip(), **attributes
    )


def notice(*children: Any) -> html.Div:
    """What is missing, and why."""
    return html.Div(list(children), className="notice")


def graph(name: str, figure: Plot, size: str, words: str, **attributes: Any) -> html.Div:
    """A figure in a box of fixed height, described in words for those who do not see it."""
    drawn = dcc.Graph(
        id=name,
        figure=figure,
        responsive=True,
        config={"displaylogo": False, "displayModeBar": False, "scrollZoom": False},
    )
    return html.Div(drawn, className=f"graph {size}", role="figure", **{"aria-label": words}, **attributes)


def trail(stimulation_id: StimulationId, *, is_here: bool = False) -> html.Nav:
    """Where a page lies: all neurons, the stimulation, which is a link unless the page is its own."""
    one = stimulation_id
    words = (
        f"{one.subject_name} · {one.session_date} · sample {one.sample_number} · stimulation {one.stimulation_number}"
    )
    return html.Nav(
        [
            dcc.Link("All neurons", href="/"),
            html.Span("›", **{"aria-hidden": "true"}),
            html.Span(words) if is_here else dcc.Link(words, href=stimulation_path(one)),
        ],
        className="trail",
        **{"aria-label": "Where you are"},
    )
