"""The time course of a receptive field: the part of its STRF that is a product of space and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.figures import style
from dj_neuron.figures.delay_axis import set_delay_axis
from dj_neuron.pictures.delays import delay_columns_ms
from dj_neuron.pictures.words import POLARITY, measure, measure_text, polarity_of, reason_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_ROOM_FOR_WORDS = 0.35  # of the height, above ON and below OFF courses


def draw_field_course(field: ReceptiveFieldResult, frame_rate_hz: float, ax: Axes) -> Axes:
    """Draw the time course of the whole field with a band of one standard error and mark what was measured on it.

    Parameters
    ----------
    field : ReceptiveFieldResult
        Without a field, the reason stands in place of the course.
    frame_rate_hz : float
        Of the movie: the width of a single delay.
    ax : Axes
        To draw on.

    Notes
    -----
    A circle with an error bar marks the time to peak, a diamond the zero crossing. The words in the corner give the
    biphasic index, or why it is missing.
    """
    columns_ms = delay_columns_ms(field.delays_s, frame_rate_hz)
    style.clean_axes(ax)
    if (field.delays_s < 0).any():
        ax.axvspan(columns_ms.min(), 0, color=style.NO_DATA, alpha=0.6, linewidth=0, zorder=0)
    set_delay_axis(ax, field.delays_s, columns_ms)
    style.label_axes(ax, x="time before the spike (ms)", y="time course (relative)")
    delays_ms, course, error = field.delays_s * 1e3, field.time_course, field.time_course_se
    if not np.isfinite(course).any():
        ax.set_yticks([])
        style.no_data(ax, wrapped(reason_of(field, "time") or "no time course"))
        return ax
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    if len(delays_ms) < 3:
        ax.errorbar(delays_ms, course, yerr=error, fmt="none", ecolor=style.CONTROL, elinewidth=1.2, capsize=3)
    else:
        ax.fill_between(delays_ms, course - error, course + error, color=style.FAINT, alpha=0.6, linewidth=0)
    ax.plot(delays_ms, course, color=style.INK, linewidth=1.2, marker="o", markersize=2.5)
    low, high = ax.get_ylim()
    ax.set_yticks([tick for tick in (-1, -0.5, 0, 0.5, 1) if low <= tick <= high])
    _mark_times(field, ax)
    _say_measures(field, ax)
    return ax


def _mark_times(field: ReceptiveFieldResult, ax: Axes) -> None:
    delays_ms = field.delays_s * 1e3
    colour = style.polarity_colour(polarity_of(field))
    for name, mark in (("time_to_peak_s", "o"), ("zero_crossing_s", "D")):
        time_ms, error_ms = measure(field, name) * 1e3, measure(field, f"{name}_se") * 1e3
        if np.isfinite(time_ms):
            height = float(np.interp(time_ms, delays_ms, field.time_course)) if mark == "o" else 0.0
            ax.errorbar(
                time_ms,
                height,
                xerr=error_ms if np.isfinite(error_ms) else None,
                fmt=mark,
                markersize=6,
                markerfacecolor="white",
                color=colour,
                elinewidth=1.2,
                capsize=2.5,
                zorder=4,
                label=name,
            )


def _say_measures(field: ReceptiveFieldResult, ax: Axes) -> None:
    """Put the words where the course is flat: at long delays, on the side of the main lobe."""
    polarity = polarity_of(field)
    lines = []
    if polarity is not None:
        lines.append(POLARITY[polarity])
    for name, words, mark in (("time_to_peak_s", "peak", "○"), ("zero_crossing_s", "zero crossing", "◇")):
        if np.isfinite(measure(field, name)):
            lines.append(f"{mark} {words} {measure_text(field, name, 1e3)} ms")
    if np.isfinite(measure(field, "biphasic_index")):
        lines.append(f"biphasic index {measure_text(field, 'biphasic_index')}")
    elif reason_of(field, "time"):
        lines.append(wrapped(reason_of(field, "time")))
    is_below = polarity == -1
    low, high = ax.get_ylim()
    room = _ROOM_FOR_WORDS * (high - low)
    ax.set_ylim(low - room * is_below, high + room * (not is_below))
    ax.text(
        0.02,
        0.03 if is_below else 0.97,
        "\n".join(lines),
        transform=ax.transAxes,
        va="bottom" if is_below else "top",
        fontsize=style.SMALL_PT,
        color=style.polarity_colour(polarity),
        linespacing=1.35,
    )
