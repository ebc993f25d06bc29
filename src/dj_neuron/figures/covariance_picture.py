"""What the average cannot show: the variances of all directions, and the filters of those that stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.delay_axis import set_delay_axis
from dj_neuron.figures.field_marks import outline_bars, outline_blocks
from dj_neuron.figures.panel_grid import moved_inside
from dj_neuron.figures.space_time import draw_space_time
from dj_neuron.figures.strf_panels import draw_strf_frame
from dj_neuron.pictures.delays import delay_columns_ms
from dj_neuron.pictures.words import number_text, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import CovarianceFilter, CovarianceResult

_WIDTH_IN, _LEFT_IN, _STRIP_WIDTH_IN = 11.0, 0.75, 9.1
_TOP_IN, _BOTTOM_IN, _SPECTRUM_IN, _ROW_IN, _BETWEEN_IN = 0.75, 0.55, (4.6, 2.0), 1.3, 0.85
_BELOW_SPECTRUM_IN = 0.15
_STRIP_PANELS, _MOST_ROWS = 7, 6
_ROOM_BLOCKS = 2  # around what was looked at
_KINDS = ((True, "excitatory", "^", style.EXCITATORY), (False, "suppressive", "v", style.SUPPRESSIVE))
_MEANING = (
    "A direction is a weighting of blocks and delays.\n"
    "Excitatory: the neuron fires when the stimulus matches the filter in either contrast.\n"
    "Suppressive: it is silent then.\n"
    "Signs mean nothing, and of filters with similar variances only what they span does."
)


def draw_variances(covariance: CovarianceResult, ax: Axes) -> Axes:
    """Draw the variance of every direction in ascending order, and mark those that are significant.

    Notes
    -----
    1 is the variance of the stimulus. The words give the p value of the outermost direction that is left. With few
    spikes variances spread around 1 by chance, so that the height of a dot alone says nothing.
    """
    style.clean_axes(ax)
    style.label_axes(ax, x="direction, in order of variance", y="variance before spikes /\nthat of the stimulus")
    if not covariance.variances.size:
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(covariance.reason or "nothing was tested"))
        return ax
    ax.axhline(1, color=style.FAINT, linewidth=0.8, zorder=1)
    places = np.arange(1, covariance.variances.size + 1)
    is_filter = np.isin(places - 1, covariance.ranks)
    ax.plot(
        places[~is_filter], covariance.variances[~is_filter], "o", color=style.CONTROL, markersize=2.5,
        markeredgewidth=0, label="not significant",
    )  # fmt: skip
    for is_excitatory, name, mark, colour in _KINDS:
        chosen = [i for i, found in enumerate(covariance.filters) if found.is_excitatory == is_excitatory]
        ranks = covariance.ranks[chosen]
        label = f"{name}: {len(chosen)}"
        ax.plot(places[ranks], covariance.variances[ranks], mark, color=colour, markersize=6, label=label)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.margins(x=0.04, y=0.12)
    legend = ax.legend(fontsize=style.SMALL_PT, frameon=False, loc="upper left", handletextpad=0.3, borderpad=0.1)
    for text in legend.get_texts():
        text.set_color(style.INK)
    if np.isfinite(covariance.next_p_value):
        ax.text(
            0.98, 0.03, f"the next one: p = {number_text(covariance.next_p_value)}", transform=ax.transAxes, ha="right",
            va="bottom", fontsize=style.SMALL_PT, color=style.CONTROL,
        )  # fmt: skip
    return ax


def draw_filter_frame(
    covariance: CovarianceResult, number: int, delay_idx: int, ax: Axes, limit: float | None = None
) -> Axes:
    """Draw a filter of checkers at one delay, the blocks that were looked at outlined.

    Parameters
    ----------
    number : int
        Of the filter, from 1.
    limit : float, optional
        Weight at the ends of the colour scale; default: the largest of all delays.

    Raises
    ------
    ContractError
        If there is no such filter or delay, or the stimulus was no checkers.
    """
    draw_strf_frame(filter_of(covariance, number), delay_idx, ax, limit)
    block_size_um = covariance.filters[number - 1].block_size_um
    return outline_blocks(covariance.looked_at[delay_idx], block_size_um, ax, label="looked at", colour=style.CONTROL)


def draw_filter_space_time(covariance: CovarianceResult, number: int, ax: Axes) -> Axes:
    """Draw a filter of bars over time and space, what was looked at outlined; a single delay becomes a profile.

    Raises
    ------
    ContractError
        If there is no such filter, or the stimulus was no bars.
    """
    found = filter_of(covariance, number)
    draw_space_time(found, ax)
    if found.delays_s.size > 1:
        looked_at = covariance.looked_at.reshape(found.delays_s.size, -1)
        outline_bars(looked_at, found, ax, label="looked at", colour=style.CONTROL)
    return ax


def draw_filter_course(covariance: CovarianceResult, number: int, ax: Axes) -> Axes:
    """Draw the weights of a filter over the time before the spike, at the block where they are strongest."""
    found = filter_of(covariance, number)
    weights = found.values.reshape(found.delays_s.size, -1)
    course = weights[:, np.abs(weights).max(axis=0).argmax()]
    style.clean_axes(ax)
    set_delay_axis(ax, found.delays_s, delay_columns_ms(found.delays_s, found.frame_rate_hz))
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    ax.plot(found.delays_s * 1e3, course, color=style.INK, linewidth=1.2, marker="o", markersize=2.5)
    ax.set_ylabel(style.contrast_label(found), fontsize=style.LABEL_PT, color=style.INK)
    return ax


def covariance_picture(covariance: CovarianceResult) -> Figure:
    """Put the variances of all directions and every significant filter of a neuron on one sheet.

    Notes
    -----
    Checkers have maps around what was looked at, at its delays or an even selection of them that holds the strongest;
    bars a space-time image; a full field a course. Every filter has a colour scale of its own. Of more than six filters
    the first six are shown, and the subtitle says so.
    """
    shown = covariance.filters[:_MOST_ROWS]
    pitch_in = _ROW_IN + _BETWEEN_IN
    height_in = _TOP_IN + _SPECTRUM_IN[1] + _BELOW_SPECTRUM_IN + len(shown) * pitch_in + _BOTTOM_IN
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    bottom_in = height_in - _TOP_IN - _SPECTRUM_IN[1]
    draw_variances(covariance, style.axes_in(figure, _LEFT_IN, bottom_in, *_SPECTRUM_IN))
    figure.text(
        (_LEFT_IN + _SPECTRUM_IN[0] + 0.4) / _WIDTH_IN, (bottom_in + _SPECTRUM_IN[1]) / height_in, _MEANING, va="top",
        fontsize=style.SMALL_PT, color=style.CONTROL, linespacing=1.6,
    )  # fmt: skip
    bottom_in -= _BELOW_SPECTRUM_IN
    for found in shown:
        bottom_in -= pitch_in
        _, kind, _, colour = next(row for row in _KINDS if row[0] == found.is_excitatory)
        numbers = f"variance {number_text(found.variance)}, p = {number_text(found.p_value)}"
        figure.text(
            _LEFT_IN / _WIDTH_IN, (bottom_in + _ROW_IN + 0.24) / height_in,
            f"filter {found.number}, {kind}: {numbers}", weight="bold",
            fontsize=style.LABEL_PT, color=colour,
        )  # fmt: skip
        _draw_row(figure, covariance, found, bottom_in)
    title = f"{covariance.label}: spike-triggered covariance"
    style.head(figure, _LEFT_IN / _WIDTH_IN, title, _subtitle(covariance, len(shown)))
    return figure


def filter_of(covariance: CovarianceResult, number: int) -> CovarianceFilter:
    """Give a filter by its number, from 1; raise ContractError where there is none."""
    n_filters = len(covariance.filters)
    if not 1 <= number <= n_filters:
        raise ContractError(f"{covariance.label}: filter is {number}, expected one of its {n_filters}, from 1")
    return covariance.filters[number - 1]


def filter_delays(covariance: CovarianceResult, number: int, n_delays: int) -> list[int]:
    """Choose places in ``delays_s``, longest first: evenly of those that were looked at, with the strongest weight."""
    weights = np.abs(filter_of(covariance, number).values).max(axis=(1, 2))
    looked_at = np.flatnonzero(covariance.looked_at.any(axis=(1, 2)))
    stride = -(-looked_at.size // n_delays)
    strongest = int(weights[looked_at].argmax())
    chosen: list[int] = looked_at[strongest % stride :: stride].tolist()
    return chosen[::-1]


def _subtitle(covariance: CovarianceResult, n_shown: int) -> str:
    n_filters = len(covariance.filters)
    places = "significant blocks and delays of the average" if covariance.is_significant_region else "blocks and delays"
    words = [
        f"{np.count_nonzero(covariance.looked_at):,} {places} looked at, the average projected out",
        f"{n_filters} significant direction{'' if n_filters == 1 else 's'} (p ≤ {covariance.alpha:g})",
    ]
    return "; ".join(words) + (f", {n_shown} shown" if n_shown < n_filters else "")


def _draw_row(figure: Figure, covariance: CovarianceResult, found: CovarianceFilter, bottom_in: float) -> None:
    n_y, n_x = found.values.shape[1:]
    if min(n_y, n_x) > 1:
        _draw_frames(figure, covariance, found, bottom_in)
    else:
        ax = style.axes_in(figure, _LEFT_IN, bottom_in, _STRIP_WIDTH_IN, _ROW_IN)
        if n_y == n_x:
            draw_filter_course(covariance, found.number, ax)
        else:
            draw_filter_space_time(covariance, found.number, ax)
        ax.set_xlabel(ax.get_xlabel() if found is covariance.filters[:_MOST_ROWS][-1] else "")
        if n_y == n_x or found.delays_s.size == 1:
            return
    limit = style.symmetric_limit(found.values)
    slot = style.axes_in(figure, _LEFT_IN + _STRIP_WIDTH_IN + 0.12, bottom_in, 0.12, _ROW_IN)
    scale = ScalarMappable(Normalize(-limit, limit), style.CONTRAST_MAP)
    style.contrast_bar(scale, style.contrast_label(found), cax=slot)


def _draw_frames(figure: Figure, covariance: CovarianceResult, found: CovarianceFilter, bottom_in: float) -> None:
    chosen = filter_delays(covariance, found.number, _STRIP_PANELS)
    strongest = np.abs(found.values).max(axis=(1, 2)).argmax()
    left, right, top, bottom = _view_um(covariance, found)
    pitch_in = _STRIP_WIDTH_IN / max(len(chosen), 4)
    width_in = min(pitch_in - 0.12, _ROW_IN * (right - left) / (bottom - top))
    height_in = width_in * (bottom - top) / (right - left)
    for place, delay_idx in enumerate(chosen):
        left_in = _LEFT_IN + place * pitch_in
        ax = style.axes_in(figure, left_in, bottom_in + (_ROW_IN - height_in) / 2, width_in, height_in)
        draw_filter_frame(covariance, found.number, delay_idx, ax)
        if delay_idx == strongest:
            ax.title.set(text=f"{ax.get_title()}, peak", weight="bold")
        ax.set(xlim=(left, right), ylim=(bottom, top))
        style.micrometre_ticks(ax, width_in, height_in)
        if place:
            style.label_axes(ax)
            ax.tick_params(labelleft=False, labelbottom=False)


def _view_um(covariance: CovarianceResult, found: CovarianceFilter) -> tuple[float, float, float, float]:
    """Give left, right, top and bottom of what maps show: what was looked at, and some blocks around it."""
    rows, columns = (np.flatnonzero(covariance.looked_at.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    width_um, height_um = found.block_size_um
    spans: list[float] = []
    for blocks, size_um, end_um in ((columns, width_um, found.extent_um[0]), (rows, height_um, found.extent_um[1])):
        first, last = blocks[0] - _ROOM_BLOCKS, blocks[-1] + 1 + _ROOM_BLOCKS
        spans += moved_inside(first * size_um, last * size_um, end_um)
    return spans[0], spans[1], spans[2], spans[3]
