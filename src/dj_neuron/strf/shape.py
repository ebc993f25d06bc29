"""What is known about the shape of a receptive field: measures, errors, and why some are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_UNKNOWN_ANGLE_DEG = 180 / np.sqrt(12)  # standard deviation of an angle of which nothing is known


@dataclass(frozen=True, kw_only=True)
class FieldShape:
    """A Gaussian on the retina, or the centre of a difference of Gaussians; NaN is what is not known.

    Micrometres count from the top left corner of the screen, x to the right and y down. `angle_deg` is that of the
    major axis, 0 to 180, from x towards y: 0 lies along the rows, 45 runs from the top left to the bottom right. Every
    ``_se`` is a standard error.

    Bars have one spatial axis: its centre is known and its sigma is `sigma_major_um`; `sigma_minor_um`, `angle_deg`
    and the other centre are NaN.

    Attributes
    ----------
    amplitude : float
        Contrast at the centre, before averaging over blocks; of the centre's Gaussian alone.
    surround_strength : float
        Volume of the surround over that of the centre.
    surround_ratio : float
        Sigma of the surround over that of the centre; angle and aspect are shared.
    """

    centre_x_um: float = np.nan
    centre_x_um_se: float = np.nan
    centre_y_um: float = np.nan
    centre_y_um_se: float = np.nan
    sigma_major_um: float = np.nan
    sigma_major_um_se: float = np.nan
    sigma_minor_um: float = np.nan
    sigma_minor_um_se: float = np.nan
    angle_deg: float = np.nan
    angle_deg_se: float = np.nan
    amplitude: float = np.nan
    amplitude_se: float = np.nan
    surround_strength: float = np.nan
    surround_strength_se: float = np.nan
    surround_ratio: float = np.nan
    surround_ratio_se: float = np.nan

    def covariance_um2(self) -> Floats:
        """Spatial covariance, ``(2, 2)`` over (x, y)."""
        angle = np.deg2rad(self.angle_deg)
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray(axes @ np.diag([self.sigma_major_um**2, self.sigma_minor_um**2]) @ axes.T)


@dataclass(frozen=True, kw_only=True)
class ModelFit:
    """One model, fitted: its shape, ``chi2`` over `n_blocks` blocks with `n_parameters`, whether it can be trusted."""

    shape: FieldShape
    chi2: float
    n_blocks: int
    n_parameters: int
    converged: bool

    @property
    def chi2_per_dof(self) -> float:
        """Chi-squared per degree of freedom; 1 where the model is all there is but noise."""
        return self.chi2 / max(self.n_blocks - self.n_parameters, 1)

    @property
    def bic(self) -> float:
        """Bayesian information criterion for noise of known size, up to a constant."""
        return float(self.chi2 + self.n_parameters * np.log(self.n_blocks))


@dataclass(frozen=True, kw_only=True)
class SpatialFit(FieldShape):
    """The shape that was chosen, whether to believe it, and both models.

    Attributes
    ----------
    axes : str
        "xy" for checkers, "x" or "y" for bars.
    model : str
        "gaussian", "difference_of_gaussians", or empty where nothing fits.
    area_1_sigma_um2, area_2_sigma_um2 : float
        Of the ellipse at 1 and 2 sigma, pi a b and 4 pi a b; NaN for bars.
    chi2_per_dof, r_squared, r_squared_ceiling : float
        Of the chosen model over the window; the ceiling is what a perfect model would reach, given the noise.
    cut_by_edge : bool
        Whether the 2-sigma ellipse leaves the screen.
    smaller_than_block : bool
        Whether sigma is below half a block.
    gaussian, difference : ModelFit or None
        The second is None where the first did not fit.
    reason : str
        Why measures are NaN; else empty.
    """

    axes: str = ""
    model: str = ""
    area_1_sigma_um2: float = np.nan
    area_2_sigma_um2: float = np.nan
    chi2_per_dof: float = np.nan
    r_squared: float = np.nan
    r_squared_ceiling: float = np.nan
    cut_by_edge: bool = False
    smaller_than_block: bool = False
    gaussian: ModelFit | None = None
    difference: ModelFit | None = None
    reason: str = ""


def precision(a: float, b: float, c: float) -> tuple[float, float, float]:
    """Give xx, xy, yy of the inverse covariance whose root has the logarithm ``[[a + b, c], [c, a - b]]``."""
    e = np.hypot(b, c)
    slope = np.sinh(2 * e) / e if e > 1e-8 else 2.0
    scale = np.exp(-2 * a)
    return scale * (np.cosh(2 * e) - slope * b), -scale * slope * c, scale * (np.cosh(2 * e) + slope * b)


def precision_slopes(a: float, b: float, c: float) -> Floats:
    """Give the derivatives of xx, xy, yy of :func:`precision`, (3, 3): by a, by b and by c."""
    e = np.hypot(b, c)
    slope = np.sinh(2 * e) / e if e > 1e-8 else 2.0
    bend = 2 * np.cosh(2 * e) / e**2 - np.sinh(2 * e) / e**3 if e > 1e-3 else 8 / 3
    by_b = (2 * slope - bend * b) * b - slope, -bend * b * c, (2 * slope + bend * b) * b + slope
    by_c = (2 * slope - bend * b) * c, -bend * c**2 - slope, (2 * slope + bend * b) * c
    return np.array([np.multiply(-2, precision(a, b, c)), *(np.exp(-2 * a) * np.array([by_b, by_c]))])


def ellipse(logarithm: Floats, covariance: Floats, unit_um: float) -> dict[str, float]:
    """Give axes and angle, with standard errors, of the logarithm ``a, b, c`` of the root of the covariance."""
    a, b, c = logarithm
    e = np.hypot(b, c)
    along = np.array([b, c]) / e if e > 0 else np.array([1.0, 0.0])
    major_um, minor_um = unit_um * np.exp(a + e), unit_um * np.exp(a - e)
    of_major, of_minor = np.array([1, *along]), np.array([1, *-along])
    of_angle = np.array([0, -along[1], along[0]]) / (2 * max(e, 1e-9))
    angle_se = np.rad2deg(np.sqrt(of_angle @ covariance @ of_angle))
    return {
        "sigma_major_um": major_um,
        "sigma_major_um_se": major_um * np.sqrt(of_major @ covariance @ of_major),
        "sigma_minor_um": minor_um,
        "sigma_minor_um_se": minor_um * np.sqrt(of_minor @ covariance @ of_minor),
        "angle_deg": np.rad2deg(np.arctan2(c, b)) / 2 % 180,
        "angle_deg_se": min(angle_se, _UNKNOWN_ANGLE_DEG),
    }
