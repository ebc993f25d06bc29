"""The picture that fits the stimulus: panels for checkers, space-time for bars, a course for full fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.figures.space_time import space_time_figure
from dj_neuron.figures.strf_panels import strf_panels
from dj_neuron.figures.time_course import time_course_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dj_neuron.contracts import ReceptiveFieldResult, Strf


def strf_picture(strf: Strf, field: ReceptiveFieldResult | None = None) -> Figure:
    """Show all delays of a neuron in one figure, whatever the shape of the stimulus, with what was found in them."""
    n_y, n_x = strf.values.shape[1:]
    if min(n_y, n_x) > 1:
        return strf_panels(strf, field)
    return time_course_figure(strf) if n_y == n_x else space_time_figure(strf, field)
