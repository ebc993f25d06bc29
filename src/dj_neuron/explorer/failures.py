"""What goes wrong, in words on the page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from dash import dcc, html

from dj_neuron.errors import DatabaseError, DjNeuronError
from dj_neuron.explorer.addresses import AddressError
from dj_neuron.explorer.parts import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from dash.development.base_component import Component

_log = logging.getLogger(__name__)
Made = TypeVar("Made")


def told_in_words(make: Callable[[], Made], tell: Callable[[str, str], Made]) -> Made:
    """Make what a reader sees, or have a heading and a sentence told why there is none."""
    try:
        return make()
    except Exception as error:
        return tell(*explain(error))


def page_in_words(make: Callable[[], Page | None]) -> Page | None:
    """Make a page, or one that says why there is none."""
    return told_in_words(make, lambda heading, sentence: Page(heading, _message(heading, sentence)))


def part_in_words(make: Callable[[], Component]) -> Component:
    """Make a part of a page, or a box that says why there is none."""
    return told_in_words(make, _notice)


def explain(error: Exception) -> tuple[str, str]:
    """Give a heading and a sentence for what happened; what nobody foresaw goes to the log."""
    if isinstance(error, AddressError):
        return "There is nothing at this address", _sentence(error)
    if isinstance(error, DatabaseError):
        return "The database does not answer", f"{_sentence(error)} As soon as it is back, so are the pages."
    if isinstance(error, DjNeuronError):
        return "This cannot be shown", _sentence(error)
    _log.error("a page could not be made", exc_info=error)
    return "This cannot be shown", f"{type(error).__name__}: this is a fault of ours; the explorer's log says where."


def _notice(heading: str, sentence: str) -> Component:
    return html.Div([html.Strong(heading), html.P(sentence)], className="notice", role="alert")


def _message(heading: str, sentence: str) -> html.Div:
    return html.Div(
        [
            html.H1(heading),
            html.P(sentence, role="alert"),
            # an empty address is the one that is shown, which written anew could be another server's
            html.P([html.A("Try again", href="", className="button"), dcc.Link("All neurons", href="/")]),
        ],
        className="message",
    )


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
