"""The mosaic that the receptive fields of a population form on the retina."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull, Delaunay, QhullError, cKDTree

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.strf.shape import FieldShape

    Floats = NDArray[np.float64]

_FEW_FIELDS = 10  # the index of 9 random points is 1.0 to 4.5 in 95 % of mosaics, of 20 points 1.2 to 3.0
_GRID = 60  # points per axis at which coverage is counted


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """How evenly the fields of one polarity lie, and how often they cover the retina.

    Attributes
    ----------
    polarity : int
        1 ON, -1 OFF.
    n_fields : int
        With a known centre on both axes.
    nearest_um : array (n_fields,)
        Distance of every centre to the nearest other one.
    regularity_index : float
        Mean over standard deviation of `nearest_um`.
    random_regularity_index : float
        Median of as many points placed at random on the same screen, which holds edge and small numbers likewise.
    p_random : float
        How often such points are as regular; small: more regular than chance.
    coverage_factor : float
        Number of 1-sigma ellipses over a point, averaged over the convex hull of the centres; fields of unknown size
        count as an average one.
    reason : str
        Why measures are NaN or to be read with care; else empty.
    """

    polarity: int
    n_fields: int
    nearest_um: Floats
    regularity_index: float = np.nan
    random_regularity_index: float = np.nan
    p_random: float = np.nan
    coverage_factor: float = np.nan
    reason: str = ""


def measure_mosaics(
    fields: Sequence[FieldShape],
    polarities: ArrayLike,
    screen_um: tuple[float, float],
    *,
    n_random: int = 999,
    seed: int = 0,
) -> dict[int, Mosaic]:
    """Measure the mosaics of the ON and of the OFF fields of a session.

    Parameters
    ----------
    fields : sequence of FieldShape
        Fields without a centre on both axes, such as those from bars, do not take part.
    polarities : array (n_fields,)
        1 or -1; others do not take part.
    screen_um : tuple of float
        Width and height of the stimulated part of the retina.
    n_random : int
        Random mosaics to compare with.
    seed : int
        Of the random mosaics.

    Returns
    -------
    dict of int to Mosaic
        Keys 1 and -1.

    Raises
    ------
    ContractError
        If there are not as many polarities as fields.

    Notes
    -----
    The regularity index of points placed at random is about 1.9, but varies in small samples and near edges;
    p = (b + 1) / (m + 1) from simulation holds for any number. Cells of one polarity are of several types, each with a
    mosaic of its own, so that even a perfect retina looks more random than its types are.

    References
    ----------
    .. [1] Wässle, Riemann (1978), The mosaic of nerve cells in the mammalian retina, Proc R Soc Lond B 200:441-461.
    .. [2] Cook (1996), Spatial properties of retinal mosaics: an empirical evaluation of some existing measures,
       Vis Neurosci 13:15-30.
    """
    signs = np.asarray(polarities, np.float64)
    if signs.shape != (len(fields),):
        raise ContractError(f"polarities have shape {signs.shape}, expected ({len(fields)},), one per field")
    seeds = np.random.SeedSequence(seed).spawn(2)
    return {
        polarity: _mosaic(
            polarity,
            [field for field, sign in zip(fields, signs, strict=True) if sign == polarity and _has_centre(field)],
            screen_um,
            n_random,
            np.random.default_rng(own_seed),
        )
        for polarity, own_seed in zip((1, -1), seeds, strict=True)
    }


def _has_centre(field: FieldShape) -> bool:
    return bool(np.isfinite(field.centre_x_um) and np.isfinite(field.centre_y_um))


def _mosaic(
    polarity: int,
    fields: list[FieldShape],
    screen_um: tuple[float, float],
    n_random: int,
    rng: np.random.Generator,
) -> Mosaic:
    n_fields = len(fields)
    centres_um = np.array([[field.centre_x_um, field.centre_y_um] for field in fields]).reshape(-1, 2)
    if n_fields < 3:
        nearest_um = _nearest(centres_um) if n_fields > 1 else np.empty(0)
        reason = f"{n_fields} field(s) form no mosaic, expected at least 3"
        return Mosaic(polarity=polarity, n_fields=n_fields, nearest_um=nearest_um, reason=reason)
    nearest_um = _nearest(centres_um)
    index = _regularity(nearest_um)
    random = np.array([_regularity(_nearest(rng.random((n_fields, 2)) * screen_um)) for _ in range(n_random)])
    return Mosaic(
        polarity=polarity,
        n_fields=n_fields,
        nearest_um=nearest_um,
        regularity_index=index,
        random_regularity_index=float(np.median(random)),
        p_random=(np.count_nonzero(random >= index) + 1) / (n_random + 1),
        coverage_factor=_coverage(fields, centres_um),
        reason=f"{n_fields} fields are few: the index varies widely by chance" if n_fields < _FEW_FIELDS else "",
    )


def _nearest(centres_um: Floats) -> Floats:
    distances, _ = cKDTree(centres_um).query(centres_um, k=2)
    return np.asarray(distances, np.float64)[:, 1]


def _regularity(nearest_um: Floats) -> float:
    spread = nearest_um.std(ddof=1)
    return float(nearest_um.mean() / spread) if spread > 0 else np.inf


def _coverage(fields: list[FieldShape], centres_um: Floats) -> float:
    """Average number of 1-sigma ellipses over a point within the hull of the centres."""
    sized = [field for field in fields if np.isfinite(field.sigma_major_um) and np.isfinite(field.sigma_minor_um)]
    if not sized:
        return np.nan
    try:
        hull = centres_um[ConvexHull(centres_um).vertices]
    except QhullError:  # all on one line
        return np.nan
    axes = (np.linspace(low, high, _GRID) for low, high in zip(hull.min(axis=0), hull.max(axis=0), strict=True))
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    points = points[Delaunay(hull).find_simplex(points) >= 0]
    n_over = np.zeros(len(points))
    for field in sized:
        away = points - (field.centre_x_um, field.centre_y_um)
        n_over += np.einsum("pi,ij,pj->p", away, np.linalg.inv(field.covariance_um2()), away) <= 1
    return float(n_over.mean() * len(fields) / len(sized))
