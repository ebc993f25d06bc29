"""Where an STRF stands out most, and how high its own noise stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Peak:
    """The block and delay of the largest absolute z at delays of 0 and more.

    Attributes
    ----------
    z : float
        Signed: positive where a bright block drives the neuron.
    delay_s : float
        Seconds before the spike.
    row_idx, column_idx : int
        Block from the top and from the left, 0-based.
    noise_z : float or None
        Largest absolute z over all blocks at delays of one frame or more after the spike, where the stimulus
        cannot have caused it; None without such delays.
    """

    z: float
    delay_s: float
    row_idx: int
    column_idx: int
    noise_z: float | None


def find_peak(z: NDArray[Any], delays_s: ArrayLike, frame_duration_s: float) -> Peak | None:
    """Find the peak of one neuron's z, ``(n_delays, n_y, n_x)``.

    Returns
    -------
    Peak or None
        None if there is no delay of 0 or more, or no finite z at one.
    """
    delays = np.asarray(delays_s, np.float64)
    height = np.where(np.isfinite(z), np.abs(z), -1.0)
    causal = np.where(delays[:, None, None] >= 0, height, -1.0)
    if causal.size == 0 or causal.max() < 0:
        return None
    delay_idx, row_idx, column_idx = np.unravel_index(causal.argmax(), causal.shape)
    after_spike = height[delays <= -frame_duration_s * (1 - 1e-6)]
    noise_z = float(after_spike.max()) if after_spike.size and after_spike.max() >= 0 else None
    return Peak(
        z=float(z[delay_idx, row_idx, column_idx]),
        delay_s=float(delays[delay_idx]),
        row_idx=int(row_idx),
        column_idx=int(column_idx),
        noise_z=noise_z,
    )


_SMOOTHING_UM = 60.0  # about the radius of a mouse ganglion cell's centre, finer than most receptive fields


def find_centre(z: NDArray[Any], delays_s: ArrayLike, block_size_um: tuple[float, float]) -> tuple[float, float] | None:
    """Estimate where one neuron's receptive field lies, without fitting a model.

    z is smoothed in space with a Gaussian of 60 um, weighted over delays with the time course of its own
    peak, and searched for its maximum.

    Parameters
    ----------
    z : array (n_delays, n_y, n_x)
    delays_s : array (n_delays,)
        Only delays of 0 and more are looked at.
    block_size_um : tuple of float
        Width and height of a block.

    Returns
    -------
    tuple of float or None
        Centre of the block found, (x, y) in um from the top left corner; None without a finite z.
    """
    causal = np.nan_to_num(z[np.asarray(delays_s, np.float64) >= 0], posinf=0, neginf=0)
    if not causal.any():
        return None
    n_y, n_x = causal.shape[1:]
    smooth = _smoothing(n_y, block_size_um[1]) @ causal @ _smoothing(n_x, block_size_um[0]).T
    _, row_idx, column_idx = np.unravel_index(np.abs(smooth).argmax(), smooth.shape)
    in_space = np.tensordot(smooth[:, row_idx, column_idx], smooth, axes=1)
    row_idx, column_idx = np.unravel_index(in_space.argmax(), in_space.shape)
    return (float(column_idx) + 0.5) * block_size_um[0], (float(row_idx) + 0.5) * block_size_um[1]


def _smoothing(n_blocks: int, size_um: float) -> NDArray[np.float64]:
    """Weights ``(n_blocks, n_blocks)`` that leave independent noise at the same variance everywhere."""
    places_um = np.arange(n_blocks) * size_um
    weights = np.exp(-((places_um[:, None] - places_um) ** 2) / (2 * _SMOOTHING_UM**2))
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True))
