"""Everything about one neuron's receptive field on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from dj_neuron.figures import style
from dj_neuron.figures.field_course import draw_field_course
from dj_neuron.figures.growth import draw_growth
from dj_neuron.figures.measures_table import draw_measures
from dj_neuron.figures.nonlinearity import draw_nonlinearity
from dj_neuron.figures.null_maxima import draw_null_maxima
from dj_neuron.figures.space_time import draw_space_time, mark_space_time
from dj_neuron.figures.spatial_map import draw_spatial_map, view_um
from dj_neuron.figures.spatial_profile import draw_spatial_profile
from dj_neuron.figures.strf_panels import draw_strf_frame, mark_frame
from dj_neuron.figures.time_course import draw_time_course
from dj_neuron.pictures.marks import peak_of
from dj_neuron.pictures.words import check_same_neuron, marks_text
from dj_neuron.strf.time_course import BIPHASIC_INDEX_FORMULA

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult, Strf

_SHEET_IN = (11.0, 11.4)
_LEFT_IN, _RIGHT_IN = 0.7, 10.75
_STRIP_PANELS = 7
_STRIP_BOTTOM_IN, _STRIP_HEIGHT_IN, _STRIP_WIDTH_IN = 9.3, 1.25, 9.2
_PLOT_IN = (2.75, 2.05)
_COLUMNS_IN, _ROWS_IN = (_LEFT_IN, 4.4), (6.42, 3.57, 0.72)
_TIMES_PEAK = 3.0  # the strip reaches this far back, where the rebound is over
_FOOT = (
    "± standard error; σ of the fitted Gaussian; micrometres from the top left corner of the screen; "
    f"biphasic index = {BIPHASIC_INDEX_FORMULA}"
)


def receptive_field_picture(strf: Strf, field: ReceptiveFieldResult) -> Figure:
    """Put STRF, map and its profile, time course, test, nonlinearity, sufficiency and all measures on one sheet.

    Parameters
    ----------
    strf : Strf
        Its delays may be more than those the field was found at.
    field : ReceptiveFieldResult
        Of the same neuron and stimulation; what is missing is said in words.

    Raises
    ------
    ContractError
        If the two are not of one neuron, stimulation and movie.
    """
    check_same_neuron(strf, field)
    figure = Figure(figsize=_SHEET_IN)
    left = _LEFT_IN / _SHEET_IN[0]
    style.head(figure, left, strf.label, f"{style.spikes_text(strf)}; {marks_text(field, strf)}")
    _draw_strip(figure, strf, field)
    plots: tuple[tuple[str, Callable[[ReceptiveFieldResult, Axes], Axes]], ...] = (
        ("map", draw_spatial_map),
        (
            "mean of the map along the fitted axes" if field.axes == "xy" else "profile around the centre",
            draw_spatial_profile,
        ),
        ("time course", lambda field, ax: draw_field_course(field, strf.frame_rate_hz, ax)),
        ("test of chance", draw_null_maxima),
        ("nonlinearity, held-out time", draw_nonlinearity),
        ("length of the recording", draw_growth),
    )
    for place, (title, draw) in zip(((x, y) for y in _ROWS_IN for x in _COLUMNS_IN), plots, strict=True):
        ax = style.axes_in(figure, *place, *_PLOT_IN)
        draw(field, ax)
        figure.text(
            place[0] / _SHEET_IN[0], (place[1] + _PLOT_IN[1] + 0.2) / _SHEET_IN[1], title, fontsize=style.LABEL_PT,
            weight="bold", color=style.INK,
        )  # fmt: skip
    draw_measures(field, style.axes_in(figure, 7.75, 0.72, _RIGHT_IN - 7.75, _ROWS_IN[0] + _PLOT_IN[1] + 0.17 - 0.72))
    figure.text(left, 0.1 / _SHEET_IN[1], _FOOT, fontsize=style.SMALL_PT, color=style.CONTROL, va="bottom")
    return figure


def strip_delays(strf: Strf, n_delays: int) -> list[int]:
    """Choose places in ``strf.delays_s``, longest first: evenly from the spike to well before the peak, with it."""
    causal = np.flatnonzero(strf.delays_s >= 0)
    if not causal.size:
        causal = np.arange(len(strf.delays_s))
    peak = peak_of(strf)
    before = causal.size / _TIMES_PEAK if peak is None else float(np.searchsorted(causal, peak[0]))
    stride = max(1, int(np.ceil(_TIMES_PEAK * before / (n_delays - 1))))
    chosen: list[int] = causal[int(before) % stride :: stride][:n_delays].tolist()
    return chosen[::-1]


def _draw_strip(figure: Figure, strf: Strf, field: ReceptiveFieldResult) -> None:
    n_y, n_x = strf.values.shape[1:]
    if n_y == n_x == 1:
        ax = style.axes_in(figure, _LEFT_IN, _STRIP_BOTTOM_IN, _STRIP_WIDTH_IN, _STRIP_HEIGHT_IN)
        draw_time_course(strf, ax)
        ax.set_title("")
        return
    if min(n_y, n_x) == 1:
        ax = draw_space_time(strf, style.axes_in(figure, _LEFT_IN, _STRIP_BOTTOM_IN, _STRIP_WIDTH_IN, _STRIP_HEIGHT_IN))
        if len(strf.delays_s) == 1:
            return
        mark_space_time(field, strf, ax)
    else:
        _draw_frames(figure, strf, field)
    if np.isfinite(strf.values).any():
        limit = style.symmetric_limit(strf.values)
        slot = style.axes_in(figure, _LEFT_IN + _STRIP_WIDTH_IN + 0.12, _STRIP_BOTTOM_IN, 0.12, _STRIP_HEIGHT_IN)
        style.contrast_bar(ScalarMappable(Normalize(-limit, limit), style.CONTRAST_MAP), "contrast", cax=slot)


def _draw_frames(figure: Figure, strf: Strf, field: ReceptiveFieldResult) -> None:
    chosen = strip_delays(strf, _STRIP_PANELS)
    pitch_in = _STRIP_WIDTH_IN / max(len(chosen), 4)
    left, right, top, bottom = view_um(field)
    width_um, height_um = right - left, bottom - top
    width_in = min(pitch_in - 0.12, _STRIP_HEIGHT_IN * width_um / height_um)
    height_in = width_in * height_um / width_um
    peak = peak_of(strf)
    for number, delay_idx in enumerate(chosen):
        bottom_in = _STRIP_BOTTOM_IN + (_STRIP_HEIGHT_IN - height_in) / 2
        ax = style.axes_in(figure, _LEFT_IN + number * pitch_in, bottom_in, width_in, height_in)
        draw_strf_frame(strf, delay_idx, ax)
        mark_frame(field, strf, delay_idx, ax)
        if peak is not None and peak[0] == delay_idx:
            ax.title.set(text=f"{ax.get_title()}, peak", weight="bold")
        ax.set(xlim=(left, right), ylim=(bottom, top))
        style.micrometre_ticks(ax, width_in, height_in)
        if number:
            style.label_axes(ax)
            ax.tick_params(labelleft=False, labelbottom=False)
