"""The pages: each takes what the address says and gives components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.explorer.pages import neuron, pipeline, start, stimulation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.explorer.addresses import Place
    from dj_neuron.explorer.parts import Page


def page_of(place: Place, values: Mapping[str, str]) -> Page:
    """Make the page of a place."""
    match place.page:
        case "start":
            return start.page(values)
        case "stimulation":
            return stimulation.page(place, values)
        case "neuron":
            return neuron.page(place, values)
        case "pipeline":
            return pipeline.page()
