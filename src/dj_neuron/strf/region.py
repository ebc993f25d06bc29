"""Where a receptive field lies and about how large it is, before any model is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

REGION_RADIUS = 3.0  # in scales: all of a Gaussian but 1 %, and the inner part of a surround
_MAX_EXTENT_SHARE = 0.25  # the largest scale looked for, of the shorter side of the screen
_FALSE_ALARMS = 0.05  # of the analytic threshold, per neuron


@dataclass(frozen=True, eq=False)
class FieldRegion:
    """The blocks in which a receptive field lies.

    Attributes
    ----------
    blocks : array (n_y, n_x) of bool
        Within ``REGION_RADIUS`` scales of the centre.
    centre_x_um, centre_y_um : float
        Centre of the block where the field stands out most, from the top left corner of the screen.
    scale_um : float
        Sigma of the Gaussian that brings the field out best: about the field's own.
    z : float
        Signed height of the field in standard errors, averaged with that Gaussian at the delay of its peak.
    """

    blocks: Mask
    centre_x_um: float
    centre_y_um: float
    scale_um: float
    z: float


def find_region(
    z: NDArray[Any],
    delays_s: ArrayLike,
    block_size_um: tuple[float, float],
    *,
    significant: Mask | None = None,
    scales_um: Sequence[float] | None = None,
) -> FieldRegion | None:
    """Find where one neuron's receptive field lies and about how large it is.

    Parameters
    ----------
    z : array (n_delays, n_y, n_x)
        Estimate over standard error; what is not finite counts as 0.
    delays_s : array (n_delays,)
        Only delays of 0 and more are looked at.
    block_size_um : tuple of float
        Width and height of a block.
    significant : array (n_delays, n_y, n_x) of bool, optional
        Where a test found something: the centre lies in a block that is significant at some delay of 0 or more.
        Without it the centre may lie anywhere, if its z passes what independent normal noise passes in 5 % of neurons.
    scales_um : sequence of float, optional
        The sizes to look for; default: from half a block to a quarter of the screen.

    Returns
    -------
    FieldRegion or None
        None if there is no field.

    Notes
    -----
    z is smoothed with Gaussians of many scales, each normalised so that noise keeps a variance of 1. A Gaussian field
    in white noise stands out most at its own scale (matched filter). The region is a disc around that place, not
    the set of significant blocks: those are the ones which noise helped over the threshold, and they leave out the
    flanks, so that a field fitted to them alone is too high and too small. Three scales keep nearly all of the field
    and few of the thousands of blocks that hold noise only.

    References
    ----------
    .. [1] Lindeberg (1998), Feature detection with automatic scale selection, Int J Comput Vis 30:79-116.
    """
    causal = _finite(z[np.asarray(delays_s, np.float64) >= 0])
    anywhere = np.ones_like(z, bool) if significant is None else significant
    allowed = np.asarray(anywhere[np.asarray(delays_s, np.float64) >= 0].any(axis=0))
    if not (causal.any() and allowed.any()):
        return None
    scales = octaves(allowed.shape, block_size_um) if scales_um is None else np.asarray(scales_um, np.float64)
    best, height = 0.0, -1.0
    for scale in scales:
        smooth = _smoothed(causal, block_size_um, scale)
        heights = np.where(allowed, np.abs(smooth).max(axis=0), -1)
        if heights.max() > height:
            best, height, course = scale, heights.max(), smooth.reshape(len(smooth), -1)[:, heights.argmax()]
    if significant is None and height < _threshold(causal.size):
        return None
    in_space = np.tensordot(course / np.linalg.norm(course), causal, axes=1)
    finer = best * 2.0 ** np.array([-0.5, 0.0, 0.5]) if scales.size > 1 else [best]
    maps = [np.where(allowed, _smoothed(in_space, block_size_um, scale), -np.inf) for scale in finer]
    chosen = int(np.argmax([in_scale.max() for in_scale in maps]))
    row, column = np.unravel_index(maps[chosen].argmax(), allowed.shape)
    centre_um = (column + 0.5) * block_size_um[0], (row + 0.5) * block_size_um[1]
    return FieldRegion(
        blocks=disc(allowed.shape, block_size_um, centre_um, REGION_RADIUS * finer[chosen]),
        centre_x_um=float(centre_um[0]),
        centre_y_um=float(centre_um[1]),
        scale_um=float(finer[chosen]),
        z=float(np.copysign(height, course[np.abs(course).argmax()])),
    )


def disc(
    shape: tuple[int, ...], block_size_um: tuple[float, float], centre_um: tuple[float, float], radius_um: float
) -> Mask:
    """Give the blocks, ``(n_y, n_x)``, that a disc reaches along either axis; a bar's long axis does not count."""
    n_y, n_x = shape
    x = np.abs((np.arange(n_x) + 0.5) * block_size_um[0] - centre_um[0]) - block_size_um[0] / 2
    y = np.abs((np.arange(n_y) + 0.5) * block_size_um[1] - centre_um[1]) - block_size_um[1] / 2
    return np.asarray(np.hypot(np.maximum(x, 0), np.maximum(y, 0)[:, None]) <= radius_um)


def _finite(z: NDArray[Any]) -> NDArray[np.float32]:
    return np.where(np.isfinite(z), z, 0).astype(np.float32)


def _threshold(n_points: int) -> float:
    """Height of |z| that noise passes rarely; smoothing at all scales adds about as many independent points again."""
    return float(-ndtri(_FALSE_ALARMS / (4 * n_points)))


def octaves(shape: tuple[int, ...], block_size_um: tuple[float, float]) -> Floats:
    """Give the sizes of fields to look for, in um: half a block to a quarter of the screen, ascending."""
    n_y, n_x = shape
    axes = [(n, size) for n, size in ((n_x, block_size_um[0]), (n_y, block_size_um[1])) if n > 1]
    if not axes:
        return np.array([max(block_size_um) / 2])
    smallest = min(size for _, size in axes) / 2
    largest = _MAX_EXTENT_SHARE * min(n * size for n, size in axes)
    n_scales = int(np.log2(largest / smallest)) + 1
    return np.asarray(smallest * 2.0 ** np.arange(n_scales))


def _smoothed(z: NDArray[Any], block_size_um: tuple[float, float], scale_um: float) -> NDArray[Any]:
    n_y, n_x = z.shape[-2:]
    rows = z.reshape(-1, n_x) @ smoother(n_x, block_size_um[0], float(scale_um)).T  # one product, not one per delay
    return np.asarray(smoother(n_y, block_size_um[1], float(scale_um)) @ rows.reshape(z.shape))


@lru_cache(maxsize=64)
def smoother(n_blocks: int, size_um: float, scale_um: float) -> NDArray[np.float32]:
    """Weights ``(n_blocks, n_blocks)`` that leave independent noise at the same variance everywhere."""
    places_um = np.arange(n_blocks) * size_um
    weights = np.exp(-((places_um[:, None] - places_um) ** 2) / (2 * scale_um**2))
    weights[weights < 1e-9] = 0  # denormal numbers multiply ten times slower
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float32)
