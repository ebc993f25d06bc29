"""The colours that all pictures share, on paper and on the screen, and the scale of contrasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ON = "#b2182b"
OFF = "#2166ac"
CONTROL = "#767676"
INK = "#262626"
FAINT = "#b8b8b8"
NO_DATA = "#e6e6e6"
HATCH = "#cfcfcf"
EXCITATORY = "#1b7837"
SUPPRESSIVE = "#762a83"
OTHER = "#b35806"  # the second of two
STIMULUS = "#f3ead6"


def polarity_colour(polarity: int | None) -> str:
    """Warm for ON, cold for OFF, ink where it is not known."""
    return INK if polarity is None else ON if polarity > 0 else OFF


def symmetric_limit(*values: ArrayLike) -> float:
    """Largest finite absolute value, for a scale from -limit to +limit; 1 where there is none above 0."""
    largest = 0.0
    for array in values:
        finite = np.abs(np.asarray(array, np.float64))
        finite = finite[np.isfinite(finite)]
        largest = max(largest, float(finite.max(initial=0.0)))
    return largest if largest > 0 else 1.0
