"""What is marked on an STRF: its peak, outlines of significant blocks, ellipses of fitted fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.pictures.delays import delay_columns_ms, spread_columns
from dj_neuron.pictures.words import measure, significant_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.pictures.drawable import Drawable

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EllipseOfField:
    """The ellipse of a field at one sigma: centre, half axes, and the angle from x towards y, which points down."""

    x_um: float
    y_um: float
    major_um: float
    minor_um: float
    angle_deg: float

    def points_um(self, n_sigma: float, n_points: int = 73) -> Floats:
        """Points on the ellipse at `n_sigma`, ``(n_points, 2)``; the last is the first."""
        turn = np.linspace(0, 2 * np.pi, n_points)
        along, across = n_sigma * self.major_um * np.cos(turn), n_sigma * self.minor_um * np.sin(turn)
        cosine, sine = np.cos(np.deg2rad(self.angle_deg)), np.sin(np.deg2rad(self.angle_deg))
        return np.stack(
            [self.x_um + along * cosine - across * sine, self.y_um + along * sine + across * cosine], axis=-1
        )


def ellipse_of(field: ReceptiveFieldResult) -> EllipseOfField | None:
    """Give the ellipse of a field of checkers; None where its place or size is not known."""
    names = ("centre_x_um", "centre_y_um", "sigma_major_um", "sigma_minor_um", "angle_deg")
    known = [measure(field, name) for name in names]
    return EllipseOfField(*known) if np.isfinite(known).all() else None


def peak_of(strf: Strf, block: tuple[int, int] | None = None) -> tuple[int, int, int] | None:
    """Delay, row and column index of the largest |z| at delays from 0; None where there is no finite z.

    A ridge estimate has no z: there it is the largest absolute value.

    Parameters
    ----------
    block : tuple of int, optional
        Row and column to stay in; default: all blocks.
    """
    height = np.abs(np.asarray(strf.values if strf.estimator == "ridge" else strf.z, np.float64))
    allowed = np.isfinite(height) & (np.asarray(strf.delays_s) >= 0)[:, None, None]
    if block is not None:
        here = np.zeros(height.shape[1:], np.bool_)
        here[block] = True
        allowed &= here
    if not allowed.any():
        return None
    delay_idx, row, column = np.unravel_index(np.where(allowed, height, -1.0).argmax(), height.shape)
    return int(delay_idx), int(row), int(column)


def block_outline(mask: Mask, x_edges: Floats, y_edges: Floats) -> Floats:
    """Border between the blocks of a mask and all others, ``(n_segments, 2 ends, 2)`` in the unit of the edges.

    Parameters
    ----------
    mask : array (n_y, n_x) of bool
        Beyond it nothing is True.
    x_edges : array (n_x + 1,)
        Borders of the columns.
    y_edges : array (n_y + 1,)
        Borders of the rows.
    """
    padded = np.pad(np.asarray(mask, np.bool_), 1)
    row, column = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([x_edges[column], y_edges[row], x_edges[column], y_edges[row + 1]], axis=-1)
    row, column = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    level = np.stack([x_edges[column], y_edges[row], x_edges[column + 1], y_edges[row]], axis=-1)
    return np.concatenate([upright, level]).reshape(-1, 2, 2)


def blocks_outline(mask: Mask, block_size_um: tuple[float, float]) -> Floats:
    """Border of the blocks of a mask, ``(n_y, n_x)``, in um, as of :func:`block_outline`."""
    n_y, n_x = mask.shape
    return block_outline(mask, np.arange(n_x + 1.0) * block_size_um[0], np.arange(n_y + 1.0) * block_size_um[1])


def significant_outline(field: ReceptiveFieldResult, delay_s: float) -> Floats:
    """Border of the significant blocks at a delay in um; none where it was not judged."""
    mask = significant_at(field, delay_s)
    return np.empty((0, 2, 2)) if mask is None else blocks_outline(mask, field.block_size_um)


def bars_outline(mask: Mask, strf: Drawable) -> Floats:
    """Border of the delays and bars of a mask, ``(n_delays, n_bars)``, in a space-time image, x in ms and y in um."""
    size_um = strf.block_size_um[0 if strf.values.shape[1] == 1 else 1]
    edges_ms, spread = spread_columns(delay_columns_ms(strf.delays_s, strf.frame_rate_hz), mask.astype(np.float64))
    return block_outline(spread.T > 0, edges_ms, np.arange(mask.shape[1] + 1.0) * size_um)


def significant_bars(field: ReceptiveFieldResult, strf: Strf) -> Mask:
    """Give the significant delays and bars of an STRF, ``(n_delays, n_bars)``; none where it was not judged."""
    found = [significant_at(field, float(delay_s)) for delay_s in strf.delays_s]
    nothing = np.zeros(field.region.size, np.bool_)
    return np.array([nothing if mask is None else mask.ravel() for mask in found])
