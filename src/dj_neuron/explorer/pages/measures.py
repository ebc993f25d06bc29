"""All measures of a neuron with their standard errors, and why some are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from dash import html

from dj_neuron.explorer import plots
from dj_neuron.explorer.parts import card, graph, notice
from dj_neuron.figures.measures_table import table_rows
from dj_neuron.pictures.words import reason_of

if TYPE_CHECKING:
    from dj_neuron.explorer.loading import NeuronView


def card_of(view: NeuronView, title: str) -> html.Section:
    """Show the table of measures, and below it the reasons."""
    if view.field is None:
        return card(title, notice("Nothing was measured on this estimate: dj-neuron compute does it for averages."))
    bodies = []
    for group, rows in table_rows(view.field):
        bodies.append(html.Tr(html.Th(group, colSpan=3, scope="rowgroup", className="group")))
        bodies += [
            html.Tr([html.Th(words, scope="row"), html.Td(value), html.Td(unit, className="unit")])
            for words, value, unit in rows
        ]
    reasons = [
        html.Li([html.Span(kind, className="kind"), f": {reason}"]) for kind, reason in view.field.reasons.items()
    ]
    why = [html.H3("Not known, and why"), html.Ul(reasons, className="reasons")] if reasons else []
    return card(title, html.Table(html.Tbody(bodies), className="measures"), *why, className="measures-card")


def quality_cards(view: NeuronView) -> list[html.Section]:
    """Show the nonlinearity and how the peak grew with the recording, or why they are not known."""
    field = view.field
    titles = ("Nonlinearity", "Was the recording long enough?")
    if field is None:
        return [card(title, notice("Not known: this estimate was not judged.")) for title in titles]
    drawn = [
        graph("nonlinearity", plots.nonlinearity(field), "mid", "Rate against drive")
        if field.nonlinearity is not None
        else notice(f"Not known: {reason_of(field, 'prediction') or 'nothing was predicted'}."),
        graph("growth", plots.growth(field), "mid", "Height of the peak against minutes of recording")
        if field.growth is not None and np.isfinite(field.growth.peak_z).any()
        else notice(f"Not known: {reason_of(field, 'sufficiency') or 'there is no peak to follow'}."),
    ]
    return [card(title, part) for title, part in zip(titles, drawn, strict=True)]
