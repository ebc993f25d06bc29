"""Contracts in, matplotlib pictures out: one file per picture.

A ``draw_…`` function draws on the caller's Axes and returns them; the others return a whole
Figure. None of them touches pyplot, rcParams or a backend, so threads may draw side by side.
"""

from dj_neuron.figures.comparison import comparison_figure, draw_compared_courses, draw_map_agreement
from dj_neuron.figures.covariance_picture import (
    covariance_picture,
    draw_filter_course,
    draw_filter_frame,
    draw_filter_space_time,
    draw_variances,
)
from dj_neuron.figures.diagram import TableEdge, TableNode, diagram_figure, draw_diagram
from dj_neuron.figures.field_course import draw_field_course
from dj_neuron.figures.field_marks import draw_fit, draw_significant_bars, draw_significant_blocks
from dj_neuron.figures.folder import fresh_folder
from dj_neuron.figures.growth import draw_growth
from dj_neuron.figures.measures_table import draw_measures
from dj_neuron.figures.mosaic import draw_mosaic, mosaic_figure
from dj_neuron.figures.nonlinearity import draw_nonlinearity
from dj_neuron.figures.null_maxima import draw_null_maxima
from dj_neuron.figures.overview import draw_by_polarity, draw_p_values, overview_figure
from dj_neuron.figures.raster import draw_raster, raster_figure
from dj_neuron.figures.receptive_field_picture import receptive_field_picture
from dj_neuron.figures.saving import save
from dj_neuron.figures.space_time import draw_space_time, space_time_figure
from dj_neuron.figures.spatial_map import draw_spatial_map
from dj_neuron.figures.spatial_profile import draw_spatial_profile
from dj_neuron.figures.stills import movie_stills
from dj_neuron.figures.strf_panels import draw_strf_frame, strf_panels
from dj_neuron.figures.strf_picture import strf_picture
from dj_neuron.figures.style import contrast_bar, scale_bar, symmetric_limit
from dj_neuron.figures.time_course import draw_time_course, time_course_figure
from dj_neuron.pictures.marks import peak_of

__all__ = [
    "TableEdge",
    "TableNode",
    "comparison_figure",
    "contrast_bar",
    "covariance_picture",
    "diagram_figure",
    "draw_by_polarity",
    "draw_compared_courses",
    "draw_diagram",
    "draw_field_course",
    "draw_filter_course",
    "draw_filter_frame",
    "draw_filter_space_time",
    "draw_fit",
    "draw_growth",
    "draw_map_agreement",
    "draw_measures",
    "draw_mosaic",
    "draw_nonlinearity",
    "draw_null_maxima",
    "draw_p_values",
    "draw_raster",
    "draw_significant_bars",
    "draw_significant_blocks",
    "draw_space_time",
    "draw_spatial_map",
    "draw_spatial_profile",
    "draw_strf_frame",
    "draw_time_course",
    "draw_variances",
    "fresh_folder",
    "mosaic_figure",
    "movie_stills",
    "overview_figure",
    "peak_of",
    "raster_figure",
    "receptive_field_picture",
    "save",
    "scale_bar",
    "space_time_figure",
    "strf_panels",
    "strf_picture",
    "symmetric_limit",
    "time_course_figure",
]
