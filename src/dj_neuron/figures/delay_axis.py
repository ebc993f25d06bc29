"""The time axis of STRFs: milliseconds before the spike, running left to right towards it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.figures import style

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


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
