"""Columns of delays on the time axis of an STRF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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
