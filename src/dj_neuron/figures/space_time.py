"""An STRF of bars as a space-time image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.delay_axis import set_delay_axis
from dj_neuron.figures.field_marks import draw_fit_bands, draw_significant_bars
from dj_neuron.figures.time_course import draw_time_course
from dj_neuron.pictures.delays import delay_columns_ms, spread_columns
from dj_neuron.pictures.words import check_same_neuron, marks_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.pictures.drawable import Drawable


def draw_space_time(strf: Drawable, ax: Axes, *, limit: float | None = None) -> Axes:
    """Draw contrast over time before the spike and space; a single delay becomes a profile.

    Parameters
    ----------
    strf : Strf or CovarianceFilter
        Of bars: ``(n_delays, 1, n_x)`` or ``(n_delays, n_y, 1)``.
    ax : Axes
        To draw on.
    limit : float, optional
        Contrast at the ends of the colour scale; default: the largest of all delays.

    Raises
    ------
    ContractError
        If the stimulus does not have exactly one spatial axis.

    Notes
    -----
    Horizontal bars have y downwards from the top of the screen, vertical bars x upwards from its
    left. Delays between which nothing was computed leave grey gaps.
    """
    space = _space_axis(strf)
    values = strf.values.reshape(len(strf.delays_s), -1)
    if len(strf.delays_s) == 1:
        return _draw_profile(strf, ax)
    size_um = strf.block_size_um["xy".index(space)]
    edges_um = np.arange(values.shape[1] + 1) * size_um
    limit = style.symmetric_limit(values) if limit is None else limit
    columns_ms = delay_columns_ms(strf.delays_s, strf.frame_rate_hz)
    edges_ms, spread = spread_columns(columns_ms, values)
    style.clean_axes(ax, box=True)
    ax.set_facecolor(style.NO_DATA)
    # no antialiasing: it would leave seams between the bars
    ax.pcolormesh(
        edges_ms,
        edges_um,
        np.ma.masked_invalid(spread.T),
        cmap=style.CONTRAST_MAP,
        vmin=-limit,
        vmax=limit,
        antialiased=False,
        rasterized=True,
    )
    finite = np.isfinite(values).any(axis=1)
    for left, right in columns_ms[~finite]:
        ax.axvspan(left, right, facecolor=style.NO_DATA, edgecolor=style.HATCH, hatch="///", linewidth=0)
    set_delay_axis(ax, strf.delays_s, columns_ms)
    _name_gaps(ax, columns_ms)
    if not finite.any():
        ax.text(0.5, 0.5, "too few spikes", transform=ax.transAxes, ha="center", va="center", fontsize=style.SMALL_PT)
    elif len(strf.delays_s) <= 4:
        ax.set_xticks(sorted({0.0, *(strf.delays_s * 1e3)}))
    ax.set_ylim(*((edges_um[-1], 0.0) if space == "y" else (0.0, edges_um[-1])))
    ax.set_ylabel(_space_label(space), fontsize=style.LABEL_PT, color=style.INK)
    return ax


def mark_space_time(field: ReceptiveFieldResult, strf: Strf, ax: Axes) -> Axes:
    """Outline what is significant in a space-time image, and draw the fitted centre with one sigma to either side."""
    draw_significant_bars(field, strf, ax)
    return draw_fit_bands(field, ax)


def space_time_figure(strf: Strf, field: ReceptiveFieldResult | None = None) -> Figure:
    """Space-time image with its colour bar, and the time course of the strongest bar below it.

    Parameters
    ----------
    strf : Strf
        Of bars.
    field : ReceptiveFieldResult, optional
        What was found in it: outlines and fit are drawn over the image, not over the profile of a single delay.
    """
    title, subtitle = strf.label, style.spikes_text(strf)
    is_single = len(strf.delays_s) == 1
    if field is not None:
        check_same_neuron(strf, field)
        subtitle += "" if is_single else f"; {marks_text(field, strf)}"
    words_in = max(style.text_width_in(title, style.TITLE_PT, bold=True), style.text_width_in(subtitle, style.LABEL_PT))
    width_in = max(7.5, words_in + 1.1)
    figure = Figure(figsize=(width_in, 4.2 if is_single else 7.4))
    limit = style.symmetric_limit(strf.values)
    if is_single:
        draw_space_time(strf, figure.add_axes((0.11, 0.13, 0.85, 0.67)))
        subtitle += f"; {style.delay_text(float(strf.delays_s[0]))} before the spike"
    else:
        upper = draw_space_time(strf, figure.add_axes((0.11, 0.36, 0.73, 0.52)), limit=limit)
        if field is not None:
            mark_space_time(field, strf, upper)
        upper.set_xlabel("")
        upper.tick_params(labelbottom=False)
        if np.isfinite(strf.values).any():
            scale = ScalarMappable(Normalize(-limit, limit), style.CONTRAST_MAP)
            style.contrast_bar(scale, style.contrast_label(strf), cax=figure.add_axes((0.865, 0.36, 0.018, 0.52)))
        lower = draw_time_course(strf, figure.add_axes((0.11, 0.08, 0.73, 0.22)))
        lower.set_xticks(upper.get_xticks())
        lower.set_xlim(upper.get_xlim())
    style.head(figure, 0.11, title, subtitle)
    return figure


def _space_axis(strf: Drawable) -> str:
    n_y, n_x = strf.values.shape[1:]
    if min(n_y, n_x) != 1 or max(n_y, n_x) == 1:
        raise ContractError(f"{strf.label} has {n_y} x {n_x} blocks, expected bars: 1 x n_x or n_y x 1")
    return "x" if n_y == 1 else "y"


def _space_label(space: str) -> str:
    return f"{space} (µm from the {'left' if space == 'x' else 'top'})"


def _name_gaps(ax: Axes, columns_ms: NDArray[np.float64]) -> None:
    """Say what the grey means wherever a gap, or the way to the spike, is wide enough for the words."""
    words = "not computed"
    ms_per_inch = abs(ax.get_xlim()[1] - ax.get_xlim()[0]) / style.axes_size_in(ax)[0]
    needed_ms = 1.1 * style.text_width_in(words, style.SMALL_PT) * ms_per_inch
    spans = sorted([*columns_ms.tolist(), [0.0, 0.0]])
    reached = spans[0][1]
    for first, last in spans[1:]:
        if first - reached > needed_ms:
            place = ((reached + first) / 2, 0.5)
            ax.text(
                *place,
                words,
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="center",
                fontsize=style.SMALL_PT,
                color=style.CONTROL,
            )
        reached = max(reached, last)


def _draw_profile(strf: Drawable, ax: Axes) -> Axes:
    space = _space_axis(strf)
    profile, error = strf.values.ravel(), strf.standard_error.ravel()
    centres_um = (np.arange(profile.size) + 0.5) * strf.block_size_um["xy".index(space)]
    length_um = profile.size * strf.block_size_um["xy".index(space)]
    style.clean_axes(ax)
    if not np.isfinite(profile).any():
        style.no_data(ax, "too few spikes")
    elif space == "x":
        ax.axhline(0, color=style.FAINT, linewidth=0.8)
        ax.fill_between(centres_um, profile - 2 * error, profile + 2 * error, color=style.FAINT, linewidth=0, alpha=0.6)
        ax.plot(centres_um, profile, color=style.INK, linewidth=1)
    else:
        ax.axvline(0, color=style.FAINT, linewidth=0.8)
        ax.fill_betweenx(
            centres_um, profile - 2 * error, profile + 2 * error, color=style.FAINT, linewidth=0, alpha=0.6
        )
        ax.plot(profile, centres_um, color=style.INK, linewidth=1)
    band = style.contrast_label(strf) + (", band ±2 SE" if np.isfinite(error).any() else "")
    if space == "x":
        ax.set_xlim(0, length_um)
        style.label_axes(ax, x=_space_label(space), y=band)
    else:
        ax.set_ylim(length_um, 0)
        style.label_axes(ax, x=band, y=_space_label(space))
    return ax
