"""What maps and space-time images are drawn of: an STRF, or a filter of the spike-triggered covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Drawable(Protocol):
    """Numbers at delays, rows and columns, with the meanings that they have in :class:`~dj_neuron.contracts.Strf`."""

    @property
    def label(self) -> str:
        """What it is, in words."""

    @property
    def estimator(self) -> str:
        """What the numbers are: of "sta", "ridge" or "covariance"."""

    @property
    def centred(self) -> bool:
        """Whether the mean of every block is subtracted."""

    @property
    def delays_s(self) -> NDArray[np.float64]:
        """Seconds before the spike, ascending, ``(n_delays,)``."""

    @property
    def values(self) -> NDArray[Any]:
        """The numbers, ``(n_delays, n_y, n_x)``; NaN is not known."""

    @property
    def standard_error(self) -> NDArray[Any]:
        """Of the numbers, NaN where there is none."""

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second: the width of a single delay."""

    @property
    def block_size_um(self) -> tuple[float, float]:
        """Width and height of a block."""

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the whole field of blocks."""
