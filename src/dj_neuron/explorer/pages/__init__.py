"""The pages: each takes what the address says and gives components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.contracts import StimulationId
from dj_neuron.explorer.addresses import Place
from dj_neuron.explorer.pages import neuron, pipeline, start, stimulation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.explorer.parts import Page


def page_of(place: Place, values: Mapping[str, str]) -> Page:
    """Make the page of a place."""
    match place:
        case Place("neuron", StimulationId() as stimulation_id, int() as neuron_id):
            return neuron.page(stimulation_id, neuron_id, values)
        case Place("stimulation", StimulationId() as stimulation_id):
            return stimulation.page(stimulation_id, values)
        case Place("pipeline"):
            return pipeline.page()
        case _:
            return start.page(values)
