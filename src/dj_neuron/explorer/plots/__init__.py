"""Contracts in, Plotly figures out: one file per picture. None reads the database.

Figures have no size of their own and fill the box that they are shown in.
"""

from dj_neuron.explorer.plots.autocorrelation import autocorrelation, violations_text
from dj_neuron.explorer.plots.block_course import block_course
from dj_neuron.explorer.plots.distribution import distribution
from dj_neuron.explorer.plots.growth import growth
from dj_neuron.explorer.plots.mosaic import mosaic
from dj_neuron.explorer.plots.nonlinearity import nonlinearity
from dj_neuron.explorer.plots.raster import raster
from dj_neuron.explorer.plots.space_time import space_time
from dj_neuron.explorer.plots.stimulus_frame import frame_at, stimulus_frame
from dj_neuron.explorer.plots.strf_frames import strf_animation_data, strf_frames
from dj_neuron.explorer.plots.theme import told_at_length

__all__ = [
    "autocorrelation",
    "block_course",
    "distribution",
    "frame_at",
    "growth",
    "mosaic",
    "nonlinearity",
    "raster",
    "space_time",
    "stimulus_frame",
    "strf_animation_data",
    "strf_frames",
    "told_at_length",
    "violations_text",
]
