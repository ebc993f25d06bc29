"""One page that leads from the whole pipeline to its neurons, and needs nothing but itself."""

from dj_neuron.figures.report.content import (
    NeuronSection,
    Report,
    SessionSection,
    StimulationSection,
)
from dj_neuron.figures.report.page import render

__all__ = ["NeuronSection", "Report", "SessionSection", "StimulationSection", "render"]
