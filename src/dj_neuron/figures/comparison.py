"""Two estimates of one neuron on one figure: by other delays, another frame rule, another estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.delay_axis import set_delay_axis
from dj_neuron.figures.space_time import draw_space_time
from dj_neuron.figures.spatial_map import view_um
from dj_neuron.figures.strf_panels import draw_strf_frame
from dj_neuron.pictures.delays import delay_columns_ms
from dj_neuron.pictures.marks import peak_of
from dj_neuron.pictures.words import check_same_neuron, number_text, place_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf

    Floats = NDArray[np.float64]
    Names = tuple[str, str]

_SAME_DELAY_S = 1e-6
_WIDTH_IN, _LEFT_IN, _STRIP_IN = 11.0, 0.75, (9.1, 1.35)
_HEAD_IN, _FOOT_IN, _ROW_PITCH_IN, _PLOT_HEIGHT_IN, _ABOVE_PLOTS_IN = 0.65, 0.6, 2.0, 2.0, 0.75
_STRIP_PANELS = 7
_TIMES_PEAK = 3.0
_COLOURS = (style.INK, style.OTHER)
_MARKS = ("o", "s")


def common_delays(first: Strf, second: Strf) -> list[tuple[int, int]]:
    """Places in the delays of both where they are the same delay, ascending."""
    places = [(i, delay_index(second, float(delay_s))) for i, delay_s in enumerate(first.delays_s)]
    return [(i, j) for i, j in places if j is not None]


def delay_index(strf: Strf, delay_s: float) -> int | None:
    """Place of a delay, to a microsecond; None where it was not computed."""
    nearest = int(np.abs(strf.delays_s - delay_s).argmin())
    return nearest if abs(float(strf.delays_s[nearest]) - delay_s) < _SAME_DELAY_S else None


def map_correlations(first: Strf, second: Strf) -> tuple[Floats, Floats]:
    """Correlate the maps of two estimates over blocks, at every delay that both have.

    Returns
    -------
    delays_s, correlations : arrays (n_common,)
        NaN where a map is not known, the same everywhere, or a single block.
    """
    pairs = common_delays(first, second)
    delays_s = np.array([first.delays_s[i] for i, _ in pairs])
    found = [_correlation(first.values[i].ravel(), second.values[j].ravel()) for i, j in pairs]
    return delays_s, np.array(found)


def draw_compared_courses(
    first: Strf, second: Strf, ax: Axes, names: Names = ("first", "second"), block: tuple[int, int] | None = None
) -> Axes:
    """Draw the time courses of two estimates at one block, each with a band of one standard error.

    Parameters
    ----------
    first, second : Strf
        Of one neuron and stimulation.
    ax : Axes
        To draw on.
    names : tuple of str
        What the legend calls them.
    block : tuple of int, optional
        Row and column; default: that of the first's peak, or of the second's where the first has none.

    Raises
    ------
    ContractError
        If the two are not of one neuron, stimulation and movie.

    Notes
    -----
    Estimates in different units are drawn relative to the largest absolute value of each at this block.
    """
    check_comparable(first, second)
    peaks = [peak for peak in (peak_of(first, block), peak_of(second, block)) if peak is not None]
    columns_ms = [delay_columns_ms(strf.delays_s, strf.frame_rate_hz) for strf in (first, second)]
    delays_s = np.concatenate([first.delays_s, second.delays_s])
    style.clean_axes(ax)
    set_delay_axis(ax, delays_s, np.concatenate(columns_ms))
    if not peaks:
        ax.set_yticks([])
        style.no_data(ax, "too few spikes")
        return ax
    block = block or peaks[0][1:]
    is_relative = style.contrast_label(first) != style.contrast_label(second)
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    for strf, name, colour, mark in zip((first, second), names, _COLOURS, _MARKS, strict=True):
        course, error = (array[(slice(None), *block)] for array in (strf.values, strf.standard_error))
        unit = style.symmetric_limit(course) if is_relative else 1.0
        delays_ms = strf.delays_s * 1e3
        if delays_ms.size < 3:
            ax.errorbar(delays_ms, course / unit, yerr=error / unit, fmt="none", ecolor=colour, capsize=3)
        else:
            ax.fill_between(delays_ms, (course - error) / unit, (course + error) / unit, color=colour, alpha=0.18, lw=0)
        ax.plot(delays_ms, course / unit, color=colour, linewidth=1.2, marker=mark, markersize=2.8, label=name)
    ax.margins(y=0.15)
    ax.set_ylabel(
        "relative to the largest" if is_relative else style.contrast_label(first), fontsize=style.LABEL_PT,
        color=style.INK,
    )  # fmt: skip
    ax.set_title(place_text(first, block), fontsize=style.TICK_PT, color=style.CONTROL, loc="left", pad=14)
    return ax


def draw_map_agreement(first: Strf, second: Strf, ax: Axes) -> Axes:
    """Draw the correlation of the two maps over blocks at every delay that both have.

    Notes
    -----
    Estimates from the same spikes share their noise, so that they correlate at delays without a field, too.
    """
    check_comparable(first, second)
    delays_s, correlations = map_correlations(first, second)
    style.clean_axes(ax)
    columns_ms = [delay_columns_ms(strf.delays_s, strf.frame_rate_hz) for strf in (first, second)]
    set_delay_axis(ax, np.concatenate([first.delays_s, second.delays_s]), np.concatenate(columns_ms))
    ax.set_ylabel("correlation of the maps", fontsize=style.LABEL_PT, color=style.INK)
    if not np.isfinite(correlations).any():
        ax.set_yticks([])
        style.no_data(ax, "no delay in common" if not delays_s.size else "no maps to compare")
        return ax
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    ax.plot(delays_s * 1e3, correlations, color=style.INK, linewidth=1.2, marker="o", markersize=2.8)
    ax.set(ylim=(min(-0.05, float(np.nanmin(correlations)) - 0.05), 1.08), yticks=[0, 0.5, 1])
    return ax


def comparison_figure(
    first: Strf, second: Strf, names: Names = ("first", "second"), field: ReceptiveFieldResult | None = None
) -> Figure:
    """Show two estimates of a neuron, delay above delay, their time courses and how alike their maps are.

    Parameters
    ----------
    first, second : Strf
        Of one neuron and stimulation.
    names : tuple of str
        What to call them, such as "floor" and "nearest".
    field : ReceptiveFieldResult, optional
        Of the same neuron: maps show its surroundings instead of the whole screen.

    Notes
    -----
    Checkers are shown at up to seven delays, those of both peaks among them; a delay that one of the two does not have
    stays empty and says so. Both have one scale of colours, unless their units differ. Of a full field there are only
    the courses.
    """
    check_comparable(first, second)
    if field is not None:
        check_same_neuron(first, field)
    n_y, n_x = first.values.shape[1:]
    n_rows = 0 if n_y == n_x == 1 else 2
    height_in = _HEAD_IN + n_rows * _ROW_PITCH_IN + _ABOVE_PLOTS_IN + _PLOT_HEIGHT_IN + _FOOT_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    own = [style.symmetric_limit(strf.values) for strf in (first, second)]
    limits = own if style.contrast_label(first) != style.contrast_label(second) else [max(own)] * 2
    for row, name in enumerate(names):
        if n_rows:
            bottom_in = height_in - _HEAD_IN - (row + 1) * _ROW_PITCH_IN + 0.15
            _write(figure, (_LEFT_IN, bottom_in + _STRIP_IN[1] + 0.26), name, _COLOURS[row])
            _draw_row(figure, (first, second), row, limits[row], bottom_in, field)
    agreement_in = 3.0
    course_in = _WIDTH_IN - _LEFT_IN - agreement_in - 1.4
    courses = style.axes_in(figure, _LEFT_IN, _FOOT_IN, course_in, _PLOT_HEIGHT_IN)
    draw_compared_courses(first, second, courses, names)
    if courses.lines and courses.get_legend_handles_labels()[1]:
        courses.legend(fontsize=style.SMALL_PT, frameon=False, labelcolor=style.INK, loc="best")
    if n_rows:
        draw_map_agreement(
            first, second, style.axes_in(figure, _LEFT_IN + course_in + 0.95, _FOOT_IN, agreement_in, _PLOT_HEIGHT_IN)
        )
    style.head(figure, _LEFT_IN / _WIDTH_IN, f"{first.label}: two estimates", _subtitle(first, second, names))
    return figure


def compared_delays(first: Strf, second: Strf, n_delays: int) -> list[float]:
    """Choose delays in s, longest first: evenly from the spike to well before the later peak, with both peaks."""
    both = np.unique(np.round(np.concatenate([first.delays_s, second.delays_s]), 6))
    causal = both[both >= 0] if (both >= 0).any() else both
    peaks = [peak_of(strf) for strf in (first, second)]
    wanted = {
        int(np.abs(causal - float(strf.delays_s[peak[0]])).argmin())
        for strf, peak in zip((first, second), peaks, strict=True)
        if peak is not None
    }
    last = max(wanted, default=causal.size - 1)
    n_near = causal.size if causal.size <= n_delays else min(causal.size, max(n_delays, int(_TIMES_PEAK * last) + 1))
    chosen = set(np.linspace(0, n_near - 1, min(n_delays, n_near)).round().astype(int).tolist())
    for place in wanted - chosen:
        chosen.discard(min(chosen - wanted, key=lambda other: abs(other - place), default=-1))
        chosen.add(place)
    return [float(causal[place]) for place in sorted(chosen, reverse=True)]


def check_comparable(first: Strf, second: Strf) -> None:
    """Raise ContractError unless the two are estimates of one neuron from one stimulation."""
    if (first.stimulation_id, first.neuron_id) != (second.stimulation_id, second.neuron_id):
        raise ContractError(f"the second estimate is that of {second.label}, expected {first.label}")
    if first.values.shape[1:] != second.values.shape[1:]:
        raise ContractError(
            f"{first.label}: the second estimate has {second.values.shape[1:]} blocks, "
            f"expected {first.values.shape[1:]} of the first"
        )


def _correlation(a: Floats, b: Floats) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    a, b = (np.asarray(values[known], np.float64) for values in (a, b))
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _subtitle(first: Strf, second: Strf, names: Names) -> str:
    parts = []
    for strf, name in zip((first, second), names, strict=True):
        peak = peak_of(strf)
        where = "no peak" if peak is None else f"peak at {style.delay_text(float(strf.delays_s[peak[0]]))}"
        if peak is not None and strf.estimator == "sta":
            where += f", z = {number_text(float(strf.z[peak]))}"
        parts.append(f"{name}: {where}")
    return "; ".join(parts)


def _write(figure: Figure, place_in: tuple[float, float], words: str, colour: str) -> None:
    width_in, height_in = figure.get_size_inches()
    figure.text(
        place_in[0] / width_in, place_in[1] / height_in, words, fontsize=style.LABEL_PT, weight="bold", color=colour,
        parse_math=False,
    )  # fmt: skip


def _draw_row(
    figure: Figure,
    both: tuple[Strf, Strf],
    row: int,
    limit: float,
    bottom_in: float,
    field: ReceptiveFieldResult | None,
) -> None:
    strf = both[row]
    if min(strf.values.shape[1:]) == 1:
        ax = draw_space_time(strf, style.axes_in(figure, _LEFT_IN, bottom_in, *_STRIP_IN), limit=limit)
        if strf.delays_s.size == 1:
            return
        ax.set_xlabel("")
        columns_ms = [delay_columns_ms(one.delays_s, one.frame_rate_hz) for one in both if one.delays_s.size > 1]
        spans_ms = np.concatenate([*columns_ms, [[0.0, 0.0]]])
        ax.set_xlim(spans_ms.max(), spans_ms.min())
    else:
        _draw_frames(figure, both, row, limit, bottom_in, field)
    slot = style.axes_in(figure, _LEFT_IN + _STRIP_IN[0] + 0.12, bottom_in, 0.12, _STRIP_IN[1])
    scale = ScalarMappable(Normalize(-limit, limit), style.CONTRAST_MAP)
    style.contrast_bar(scale, "ridge filter" if strf.estimator == "ridge" else "contrast", cax=slot)


def _draw_frames(
    figure: Figure,
    both: tuple[Strf, Strf],
    row: int,
    limit: float,
    bottom_in: float,
    field: ReceptiveFieldResult | None,
) -> None:
    strf = both[row]
    peak = peak_of(strf)
    chosen = compared_delays(*both, _STRIP_PANELS)
    left, right, top, bottom = (0.0, strf.extent_um[0], 0.0, strf.extent_um[1]) if field is None else view_um(field)
    pitch_in = _STRIP_IN[0] / max(len(chosen), 4)
    width_in = min(pitch_in - 0.12, _STRIP_IN[1] * (right - left) / (bottom - top))
    height_in = width_in * (bottom - top) / (right - left)
    for number, delay_s in enumerate(chosen):
        place_in = (_LEFT_IN + number * pitch_in, bottom_in + (_STRIP_IN[1] - height_in) / 2)
        ax = style.axes_in(figure, *place_in, width_in, height_in)
        delay_idx = delay_index(strf, delay_s)
        if delay_idx is None:
            style.clean_axes(ax, box=True)
            ax.set_title(style.delay_text(delay_s), fontsize=style.TICK_PT, color=style.CONTROL, pad=3)
            ax.set(xticks=[], yticks=[])
            style.no_data(ax, "not\ncomputed")
            continue
        draw_strf_frame(strf, delay_idx, ax, limit)
        if peak is not None and peak[0] == delay_idx:
            ax.title.set(text=f"{ax.get_title()}, peak", weight="bold")
        ax.set(xlim=(left, right), ylim=(bottom, top))
        style.micrometre_ticks(ax, width_in, height_in)
        style.label_axes(ax, y="" if number else "y (µm)", x="x (µm)" if row and not number else "")
        ax.tick_params(labelleft=not number, labelbottom=not number)
