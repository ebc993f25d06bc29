"""Contracts in, matplotlib pictures out: one file per picture.

A ``draw_…`` function draws on the caller's Axes and returns them; the others return a whole
Figure. None of them touches pyplot, rcParams or a backend, so threads may draw side by side.
"""

from dj_neuron.figures.diagram import TableEdge, TableNode, diagram_figure, draw_diagram
from dj_neuron.figures.folder import fresh_folder
from dj_neuron.figures.raster import draw_raster, raster_figure
from dj_neuron.figures.saving import save
from dj_neuron.figures.space_time import draw_space_time, space_time_figure
from dj_neuron.figures.stills import movie_stills
from dj_neuron.figures.strf_panels import draw_strf_frame, strf_panels
from dj_neuron.figures.strf_picture import strf_picture
from dj_neuron.figures.style import contrast_bar, scale_bar, symmetric_limit
from dj_neuron.figures.time_course import draw_time_course, peak_of, time_course_figure

__all__ = [
    "TableEdge",
    "TableNode",
    "contrast_bar",
    "diagram_figure",
    "draw_diagram",
    "draw_raster",
    "draw_space_time",
    "draw_strf_frame",
    "draw_time_course",
    "fresh_folder",
    "movie_stills",
    "peak_of",
    "raster_figure",
    "save",
    "scale_bar",
    "space_time_figure",
    "strf_panels",
    "strf_picture",
    "symmetric_limit",
    "time_course_figure",
]
