"""The time axis of STRFs: milliseconds before the spike, running left to right towards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_SEAM = 0.1  # of a step: delays rounded to milliseconds are still evenly spaced


def delay_columns_ms(delays_s: NDArray[np.float64], frame_rate_hz: float) -> NDArray[np.float64]:
    """Span every delay occupies on the axis, ``(n_delays, 2)`` in ms, centred on the delay.

    Notes
    -----
    A column reaches half way to its nearer neighbour, but never further than half the median
    step: evenly spaced delays touch, others leave the stretch between them empty. A single
    delay is one frame wide.
    """
    centres = np.asarray(delays_s, np.float64) * 1e3
    if centres.size == 1:
        half = np.array([500 / frame_rate_hz])
        return np.stack([centres - half, centres + half], axis=1)
    steps = np.diff(centres)
    median = float(np.median(steps))
    nearer = np.minimum(np.append(np.inf, steps), np.append(steps, np.inf))
    half = np.minimum(nearer, median) / 2
    columns = np.stack([centres - half, centres + half], axis=1)
    touching = columns[1:, 0] - columns[:-1, 1] < _SEAM * np.minimum(steps, median)
    middles = (columns[1:, 0] + columns[:-1, 1]) / 2
    columns[1:, 0] = np.where(touching, middles, columns[1:, 0])
    columns[:-1, 1] = np.where(touching, middles, columns[:-1, 1])
    return columns


def spread_columns(
    columns_ms: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges of adjoining columns, with a NaN column wherever two delays do not touch."""
    edges = [columns_ms[0, 0], columns_ms[0, 1]]
    spread = [values[0]]
    for (left, right), column in zip(columns_ms[1:], values[1:], strict=True):
        if left > edges[-1]:
            edges.append(left)
            spread.append(np.full_like(column, np.nan))
        edges.append(right)
        spread.append(column)
    return np.array(edges), np.array(spread)


def set_delay_axis(ax: Axes, delays_s: NDArray[np.float64], columns_ms: NDArray[np.float64]) -> None:
    """Make x run from the longest delay to the spike at 0, negative delays to the right of it."""
    first, last = min(float(columns_ms.min()), 0.0), max(float(columns_ms.max()), 0.0)
    ax.set_xlim(last, first)
    ax.axvline(0, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=3, clip_on=False)
    above = ax.get_xaxis_transform()
    words = {"transform": above, "fontsize": style.SMALL_PT, "va": "bottom"}
    ax.text(0, 1.015, "spike", ha="center", color=style.INK, **words)  # type: ignore[arg-type]
    room_in = -first / (last - first) * style.axes_size_in(ax)[0]
    if (delays_s < 0).any() and room_in > style.text_width_in("control spike", style.SMALL_PT):
        ax.text(first, 1.015, "control", ha="right", color=style.CONTROL, style="italic", **words)  # type: ignore[arg-type]
    style.label_axes(ax, x="time before the spike (ms)")
