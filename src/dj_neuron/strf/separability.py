"""How far a receptive field is the product of one map in space and one course in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.strf.noise import noise_covariance, whitening

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Separation:
    """The best product of a map and a course: ``values[t, y, x]`` is about ``time_course[t] * spatial_map[y, x]``.

    Attributes
    ----------
    time_course, time_course_se : array (n_delays,)
        Relative, 1 or -1 at its largest causal delay; it carries the sign. Delays after the spike show its noise.
    noise_correlation : array (n_delays, n_delays)
        Of the errors of the time course.
    spatial_map, spatial_map_se : array (n_y, n_x)
        Contrast, at the delay where the time course is largest. Positive at the centre of ON and OFF fields alike.
    singular_values : array (min(n_causal, n_region),)
        Of the causal part within the region, in standard errors of white noise.
    separability : float
        Share of the field's energy that the product explains, 0 to 1, corrected for noise.
    p_inseparable : float
        How often a separable field with this noise has as large a second component; small: not separable.
    reason : str
        Why measures are NaN; else empty.
    """

    time_course: Floats
    time_course_se: Floats
    noise_correlation: Floats
    spatial_map: Floats
    spatial_map_se: Floats
    singular_values: Floats
    separability: float
    p_inseparable: float
    reason: str = ""


def separate(
    values: ArrayLike,
    standard_error: ArrayLike,
    delays_s: ArrayLike,
    region: Mask,
    *,
    n_bootstrap: int = 199,
    seed: int = 0,
) -> Separation:
    """Split one neuron's STRF into a map in space and a course in time.

    Parameters
    ----------
    values, standard_error : array (n_delays, n_y, n_x)
        Contrast, relative to the mean of each block.
    delays_s : array (n_delays,)
        Seconds before the spike; the split is made on delays of 0 and more.
    region : array (n_y, n_x) of bool
        Where the split looks, as from :func:`~dj_neuron.strf.find_region`; the map is then given for all blocks.
    n_bootstrap : int
        Separable fields simulated for `p_inseparable`; 0 leaves it out.
    seed : int
        Of the simulation.

    Returns
    -------
    Separation

    Raises
    ------
    ContractError
        If the shapes do not agree.

    Notes
    -----
    Singular value decomposition of ``values / standard_error``, delays by blocks, after the noise is made independent
    between delays (``dj_neuron.strf.noise``). A product has two possible signs: the map is taken
    as positive where the sum of its cubes is, that is at its centre, whatever the polarity and the surround; the course
    has the sign that is left.

    ``separability = s1^2 / sum s^2``, with noise taken out of both: the sum less one for every point, and s1 shrunk by
    what noise adds to the first singular value of a large matrix [1]_. It is NaN where the first component is no higher
    than that of noise alone [2]_. A field known to be separable is below 1 by chance, never above.

    The test compares the second singular value with those of a product of the same height plus such noise;
    p = (b + 1) / (m + 1).

    References
    ----------
    .. [1] Gavish, Donoho (2017), Optimal shrinkage of singular values, IEEE Trans Inf Theory 63:2137-2152.
    .. [2] Johnstone (2001), On the distribution of the largest eigenvalue in principal components analysis,
       Ann Stat 29:295-327.
    """
    values, error = np.asarray(values, np.float64), np.asarray(standard_error, np.float64)
    delays = np.asarray(delays_s, np.float64)
    if values.ndim != 3 or error.shape != values.shape or delays.shape != values.shape[:1]:
        raise ContractError(
            f"values {values.shape}, errors {error.shape} and delays {delays.shape} do not agree, expected "
            "(n_delays, n_y, n_x) twice and (n_delays,)"
        )
    if region.shape != values.shape[1:]:
        raise ContractError(f"the region has shape {region.shape}, expected {values.shape[1:]}")
    known = np.isfinite(values) & np.isfinite(error) & (error > 0)
    causal = (delays >= 0) & (known & region).any(axis=(1, 2))
    blocks = region & known[causal].all(axis=0) & causal.any()
    if not blocks.any():
        return _nothing(values.shape, "no finite value in the region")

    error = np.where(known, error, np.nan)
    covariance = noise_covariance(values / error, delays, region)
    z = np.where(known, values / error, 0)
    whiten, root = whitening(covariance[np.ix_(causal, causal)])
    white = whiten @ z[causal][:, blocks]
    courses, singular_values, maps = np.linalg.svd(white, full_matrices=False)
    course = root @ courses[:, 0] * np.sqrt(np.mean(error[causal][:, blocks] ** 2, axis=1))
    course *= np.copysign(1 / np.abs(course).max(), np.sum(maps[0] ** 3))
    spatial_map, map_error = _map_of(course, z[causal], error[causal], whiten)
    course, course_error = _course_of(spatial_map[blocks], z[:, blocks], error[:, blocks])
    height = np.abs(course[causal]).max()
    deviation = np.sqrt(np.diag(covariance))
    separability, p_inseparable, reason = _judge(singular_values, white.shape, n_bootstrap, seed)
    return Separation(
        time_course=course / height,
        time_course_se=course_error * deviation / height,
        noise_correlation=covariance / np.outer(deviation, deviation),
        spatial_map=spatial_map * height,
        spatial_map_se=map_error * height,
        singular_values=singular_values,
        separability=separability,
        p_inseparable=p_inseparable,
        reason=reason,
    )


def _nothing(shape: tuple[int, ...], reason: str) -> Separation:
    course, in_space = np.full(shape[0], np.nan), np.full(shape[1:], np.nan)
    return Separation(course, course, np.eye(shape[0]), in_space, in_space, np.empty(0), np.nan, np.nan, reason)


def _map_of(course: Floats, z: Floats, error: Floats, whiten: Floats) -> tuple[Floats, Floats]:
    """Generalised least squares for the map, given the course and what makes noise independent."""
    n_delays = len(z)
    white = whiten @ z.reshape(n_delays, -1)
    course_z = (course[:, None, None] / error).reshape(n_delays, -1)
    unknown = np.isnan(course_z).any(axis=0)
    onto = whiten @ np.where(unknown, 0, course_z)
    information = _or_nan(np.sum(onto**2, axis=0), np.asarray(~unknown))
    in_space = np.sum(onto * white, axis=0) / information
    return in_space.reshape(z.shape[1:]), 1 / np.sqrt(information).reshape(z.shape[1:])


def _course_of(in_space: Floats, z: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares for the course, ``(n_delays,)``, given the map of some blocks."""
    onto = in_space / error
    information = _or_nan(np.sum(onto**2, axis=1), np.asarray(np.isfinite(onto).all(axis=1)))
    return np.sum(np.nan_to_num(onto) * z, axis=1) / information, 1 / np.sqrt(information)


def _or_nan(information: Floats, known: Mask) -> Floats:
    return np.where(known & (information > 0), information, np.nan)


def noise_edge(n_delays: int, n_blocks: int) -> float:
    """Give what the first singular value of pure noise of variance 1 stays below in 95 % of matrices."""
    a, b = np.sqrt(max(n_delays - 1, 0.5)), np.sqrt(n_blocks)
    return float(np.sqrt((a + b) ** 2 + 0.98 * (a + b) * (1 / a + 1 / b) ** (1 / 3)))


def shrunk(singular_values: Floats, n_delays: int, n_blocks: int) -> Floats:
    """Give singular values without what noise of variance 1 adds to them; 0 where they could be noise."""
    excess = singular_values**2 - n_delays - n_blocks
    inside = np.maximum(excess**2 - 4 * n_delays * n_blocks, 0)
    above = singular_values > noise_edge(n_delays, n_blocks)
    return np.where(above, np.sqrt(np.maximum(excess + np.sqrt(inside), 0) / 2), 0)


def _judge(singular_values: Floats, shape: tuple[int, int], n_bootstrap: int, seed: int) -> tuple[float, float, str]:
    """Give separability, p of inseparability and why they are missing."""
    if min(shape) == 1:
        return np.nan, np.nan, f"{shape[0]} delay(s) by {shape[1]} block(s) are always separable"
    signal = float(shrunk(singular_values[:1], *shape)[0])
    energy = float(np.sum(singular_values**2)) - shape[0] * shape[1]
    if signal == 0:
        return np.nan, np.nan, "no component stands out of the noise"
    if energy <= 0:
        return np.nan, np.nan, "the rest is smaller than the noise should be: neighbouring delays share frames"
    if n_bootstrap == 0:
        return min(signal**2 / energy, 1.0), np.nan, ""
    # noise looks the same in any orthonormal basis, so the product may lie in the first row and column
    simulated = np.random.default_rng(seed).standard_normal((n_bootstrap, *sorted(shape)))
    simulated[:, 0, 0] += signal
    squares = np.linalg.eigvalsh(simulated @ simulated.transpose(0, 2, 1))[:, -2]
    n_larger = np.count_nonzero(squares >= singular_values[1] ** 2)
    return min(signal**2 / energy, 1.0), (n_larger + 1) / (n_bootstrap + 1), ""
