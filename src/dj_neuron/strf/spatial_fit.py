"""The size, place and shape of a receptive field: Gaussians fitted to its map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares

from dj_neuron.errors import ContractError
from dj_neuron.strf.region import disc
from dj_neuron.strf.shape import FieldShape, ModelFit, SpatialFit, ellipse, precision, precision_slopes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.optimize import OptimizeResult

    from dj_neuron.strf.region import FieldRegion

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

WINDOW_RADIUS = 5.0  # in scales of the region: a surround of twice the centre's size is seen to two and a half sigma

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(3)
_FREE = {"xy": (0, 1, 2, 3, 4, 5), "x": (0, 1, 3), "y": (0, 2, 3)}  # of amplitude, x, y and three of shape
_MIN_SIGMA_BLOCKS = 0.25  # what three points per block can still average
_MAX_LOG_ASPECT = 1.5  # axes may differ twentyfold
_MAX_EVALUATIONS = 200
_MAX_CONDITION = 1e14
_MAX_SURROUND = 3.0  # volume over that of the centre
_SURROUND_RATIOS = (1.2, 6.0)  # sigma over that of the centre
_FIRST_SURROUND = (0.5, np.log(2))


def fit_space(
    spatial_map: ArrayLike,
    standard_error: ArrayLike,
    block_size_um: tuple[float, float],
    region: FieldRegion | None,
) -> SpatialFit:
    """Fit a Gaussian and a difference of Gaussians to the map of one receptive field, and choose.

    Parameters
    ----------
    spatial_map, standard_error : array (n_y, n_x)
        Contrast, positive at the centre, as :func:`~dj_neuron.strf.separate` gives it.
    block_size_um : tuple of float
        Width and height of a block.
    region : FieldRegion or None
        Where to begin; blocks within ``WINDOW_RADIUS`` scales take part.

    Returns
    -------
    SpatialFit
        What cannot be measured is NaN and `reason` says why.

    Raises
    ------
    ContractError
        If the shapes do not agree.

    Notes
    -----
    Weighted least squares. The models are averaged over every block, at three Gauss-Legendre points per axis:
    to 0.1 % of the peak while sigma is half a block or more. A bar collects over its whole length, which leaves the
    covariance of its own axis. Shape is a symmetric matrix, the logarithm of the square root of the covariance:
    unlike two axes and an angle it is regular for round fields.

    Errors come from the Jacobian at the solution and the errors given; they are not inflated where the model fits
    badly. The longer axis of a round field is too long by chance and the shorter one too short.

    The models are compared by the Bayesian information criterion, also with no field at all; an F test of the
    surround does not hold, for without one its size is not defined.

    References
    ----------
    .. [1] Rodieck (1965), Quantitative analysis of cat retinal ganglion cell response to visual stimuli,
       Vision Res 5:583-601.
    .. [2] Schwarz (1978), Estimating the dimension of a model, Ann Stat 6:461-464.
    """
    values, error = np.asarray(spatial_map, np.float64), np.asarray(standard_error, np.float64)
    if values.ndim != 2 or values.shape != error.shape:
        raise ContractError(f"the map has shape {values.shape} and its error {error.shape}, expected (n_y, n_x) twice")
    if region is None:
        return SpatialFit(reason="no significant block")
    if values.size == 1:
        return SpatialFit(reason="a single block has no shape")
    problem = _Problem(values, error, block_size_um, region)
    if problem.n_blocks <= len(_FREE[problem.axes]):
        return SpatialFit(axes=problem.axes, reason=f"{problem.n_blocks} block(s) are too few to fit a shape")
    one = problem.solve(np.zeros(len(_FREE[problem.axes])))
    gaussian = problem.described(one)
    if not gaussian.converged:
        return SpatialFit(axes=problem.axes, gaussian=gaussian, reason="fit did not converge")
    if gaussian.bic >= problem.energy:
        return SpatialFit(axes=problem.axes, gaussian=gaussian, reason="no field stands out of the noise")
    difference = problem.described(problem.solve(np.append(one.x, _FIRST_SURROUND)))
    return _judged(problem, gaussian, difference)


class _Problem:
    """The map within the window, in units of the region's scale around the region's centre."""

    def __init__(self, values: Floats, error: Floats, block_size_um: tuple[float, float], region: FieldRegion) -> None:
        n_y, n_x = self.shape = values.shape
        self.axes = "x" if n_y == 1 else "y" if n_x == 1 else "xy"
        self.block_um = block_size_um
        self.unit_um = region.scale_um
        self.origin_um = region.centre_x_um, region.centre_y_um
        inside = disc(values.shape, block_size_um, self.origin_um, WINDOW_RADIUS * region.scale_um)
        rows, columns = _span(np.asarray(inside.any(axis=1))), _span(np.asarray(inside.any(axis=0)))
        known = inside & np.isfinite(values) & np.isfinite(error) & (error > 0)
        self.used = known[rows, columns]
        self.error = error[rows, columns][self.used]
        self.z = values[rows, columns][self.used] / self.error
        self.x = self._points(columns, block_size_um[0], self.origin_um[0], n_x)
        self.y = self._points(rows, block_size_um[1], self.origin_um[1], n_y)

    def _points(self, span: slice, size_um: float, origin_um: float, n_all: int) -> Floats:
        """Where the models are evaluated along an axis, ``(n_blocks, n_points)``."""
        if n_all == 1:
            return np.zeros((1, 1))
        centres = (np.arange(span.start, span.stop) + 0.5) * size_um - origin_um
        return (centres[:, None] + _NODES * size_um / 2) / self.unit_um

    @property
    def n_blocks(self) -> int:
        return self.z.size

    @property
    def energy(self) -> float:
        """Chi-squared of no field at all."""
        return float(np.sum(self.z**2))

    def model(self, parameters: Floats) -> Floats:
        """Contrast of the used blocks; strength and size of a surround may follow the parameters of the Gaussian."""
        amplitude, *_, distance = self._distance(parameters)
        dense = np.exp(-distance / 2)
        if self._has_surround(parameters):
            share, ratio = self._surround(parameters)
            dense -= share * np.exp(-distance / (2 * ratio**2))
        return np.asarray(amplitude * self._averaged(dense))

    def slopes(self, parameters: Floats) -> Floats:
        """Derivatives of the model by its parameters, ``(n_blocks, n_parameters)``."""
        amplitude, logarithm, x, y, distance = self._distance(parameters)
        centre = np.exp(-distance / 2)
        dense, by_distance = centre, -centre / 2
        more: list[Floats] = []
        if self._has_surround(parameters):
            share, ratio = self._surround(parameters)
            surround = np.exp(-distance / (2 * ratio**2))
            dense, by_distance = centre - share * surround, by_distance + share * surround / (2 * ratio**2)
            of_one = surround / ratio ** len(self.axes)
            more = [-amplitude * of_one, amplitude * share * surround * (len(self.axes) - distance / ratio**2)]
        xx, xy, yy = precision(*logarithm)
        by_place = [-2 * (xx * x + xy * y), -2 * (xy * x + yy * y)]
        by_shape = [dxx * x**2 + 2 * dxy * x * y + dyy * y**2 for dxx, dxy, dyy in precision_slopes(*logarithm)]
        of_gaussian = [dense, *(amplitude * by_distance * one for one in (*by_place, *by_shape))]
        wanted = [*(of_gaussian[k] for k in _FREE[self.axes]), *more]
        return np.stack([self._averaged(one) for one in wanted], axis=1)

    def _distance(self, parameters: Floats) -> tuple[float, Floats, Floats, Floats, Floats]:
        """Give amplitude, logarithm of the shape, and at all points x, y and the squared distance in sigma."""
        full = np.zeros(6)
        free = _FREE[self.axes]
        full[list(free)] = parameters[: len(free)]
        amplitude, x0, y0, *_ = full
        xx, xy, yy = precision(*full[3:])
        x, y = self.x.ravel() - x0, (self.y.ravel() - y0)[:, None]
        return amplitude, full[3:], x, y, xx * x**2 + 2 * xy * x * y + yy * y**2

    def _has_surround(self, parameters: Floats) -> bool:
        return parameters.size > len(_FREE[self.axes])

    def _surround(self, parameters: Floats) -> tuple[float, float]:
        """Give the height of a surround over that of the centre, and its sigma over that of the centre."""
        ratio = float(np.exp(parameters[-1]))
        return float(parameters[-2]) / ratio ** len(self.axes), ratio

    def _averaged(self, dense: Floats) -> Floats:
        """Average over the points of every used block."""
        by_block = np.broadcast_to(dense, (self.y.size, self.x.size)).reshape(*self.y.shape, *self.x.shape)
        averaged = np.einsum("ypxq,p,q->yx", by_block, _weights(self.y), _weights(self.x))
        return np.asarray(averaged[self.used])

    def solve(self, start: Floats) -> OptimizeResult:
        """Fit by least squares from `start`, whose amplitude is chosen here."""
        low, high = self._bounds(start.size)
        first = np.clip(start, low + 1e-6, high - 1e-6)
        first[0] = 1
        unit = self.model(first) / self.error
        first[0] = max(float(unit @ self.z) / max(float(unit @ unit), 1e-300), 1e-3 * float(self.error.min()))
        return least_squares(
            self._residuals,
            first,
            self._slopes_of_residuals,
            bounds=(low, high),
            x_scale=np.where(np.arange(first.size) == 0, first[0], 1.0),
            max_nfev=_MAX_EVALUATIONS,
        )

    def _residuals(self, parameters: Floats) -> Floats:
        return self.model(parameters) / self.error - self.z

    def _slopes_of_residuals(self, parameters: Floats) -> Floats:
        return self.slopes(parameters) / self.error[:, None]

    def _bounds(self, n_parameters: int) -> tuple[Floats, Floats]:
        n_y, n_x = self.shape
        screen_um = np.array([n_x, n_y]) * self.block_um
        of_axes = ["xy".index(axis) for axis in self.axes]
        smallest = np.log(_MIN_SIGMA_BLOCKS * min(self.block_um[k] for k in of_axes) / self.unit_um)
        largest = np.log(screen_um[of_axes].max() / self.unit_um)
        before, after = (np.array([-0.5, 1.5])[:, None] * screen_um - self.origin_um) / self.unit_um
        free = list(_FREE[self.axes])
        low = np.array([0, *before, smallest, -_MAX_LOG_ASPECT, -_MAX_LOG_ASPECT])[free]
        high = np.array([np.inf, *after, largest, _MAX_LOG_ASPECT, _MAX_LOG_ASPECT])[free]
        if n_parameters > len(free):
            low = np.append(low, [0, np.log(_SURROUND_RATIOS[0])])
            high = np.append(high, [_MAX_SURROUND, np.log(_SURROUND_RATIOS[1])])
        return low, high

    def described(self, found: OptimizeResult) -> ModelFit:
        """Turn a solution into measures, with standard errors from its Jacobian."""
        information = found.jac.T @ found.jac
        regular = bool(np.linalg.cond(information) < _MAX_CONDITION)
        covariance = np.linalg.inv(information) if regular else np.full(information.shape, np.nan)
        at_bound = found.active_mask[2 + len(self.axes) :].any()  # of aspect or surround; others are judged later
        return ModelFit(
            shape=self._shape(found.x, covariance),
            chi2=float(2 * found.cost),
            n_blocks=self.n_blocks,
            n_parameters=found.x.size,
            converged=bool(found.success and regular and not at_bound),
        )

    def _shape(self, parameters: Floats, covariance: Floats) -> FieldShape:
        errors = np.sqrt(np.diag(covariance))
        measures = {"amplitude": parameters[0], "amplitude_se": errors[0]}
        for number, axis in enumerate(self.axes, start=1):
            measures[f"centre_{axis}_um"] = self.origin_um["xy".index(axis)] + self.unit_um * parameters[number]
            measures[f"centre_{axis}_um_se"] = self.unit_um * errors[number]
        if self.axes == "xy":
            measures |= ellipse(parameters[3:6], covariance[3:6, 3:6], self.unit_um)
        else:
            sigma_um = self.unit_um * np.exp(parameters[2])
            measures |= {"sigma_major_um": sigma_um, "sigma_major_um_se": sigma_um * errors[2]}
        if parameters.size > len(_FREE[self.axes]):
            ratio = np.exp(parameters[-1])
            measures |= {"surround_strength": parameters[-2], "surround_strength_se": errors[-2]}
            measures |= {"surround_ratio": ratio, "surround_ratio_se": ratio * errors[-1]}
        return FieldShape(**{name: float(value) for name, value in measures.items()})


def _weights(points: Floats) -> Floats:
    return _NODE_WEIGHTS / 2 if points.shape[1] > 1 else np.ones(1)


def _span(inside: Mask) -> slice:
    """Give the part of an axis that holds all that is inside."""
    found = np.flatnonzero(inside)
    return slice(int(found[0]), int(found[-1]) + 1)


def _judged(problem: _Problem, gaussian: ModelFit, difference: ModelFit) -> SpatialFit:
    """Choose, and refuse what makes no sense."""
    has_surround = difference.converged and difference.bic < gaussian.bic
    chosen = difference if has_surround else gaussian
    shape = chosen.shape
    n_y, n_x = problem.shape
    screen = {"x": n_x * problem.block_um[0], "y": n_y * problem.block_um[1]}
    centre = {"x": shape.centre_x_um, "y": shape.centre_y_um}
    reach = _reach(shape, problem.axes)
    fitted = SpatialFit(axes=problem.axes, gaussian=gaussian, difference=difference)
    if any(not 0 <= centre[axis] <= screen[axis] for axis in problem.axes):
        return replace(fitted, reason="centre outside the screen")
    cut = any(not reach[axis] <= centre[axis] <= screen[axis] - reach[axis] for axis in problem.axes)
    half_block_um = _block_across(shape, problem) / 2
    smallest = shape.sigma_minor_um if problem.axes == "xy" else shape.sigma_major_um
    reason = ""
    if smallest < half_block_um:
        reason = "sigma below half a block: size is an upper bound"
    elif shape.sigma_major_um_se > shape.sigma_major_um / 2:
        reason = "size is not determined"
    elif shape.sigma_major_um > max(screen[axis] for axis in problem.axes) / 2:
        reason = "field larger than the screen"
    if reason:
        shape = _without_size(shape)
    area = float(np.pi * shape.sigma_major_um * shape.sigma_minor_um)
    return replace(
        fitted,
        **vars(shape),
        model="difference_of_gaussians" if has_surround else "gaussian",
        area_1_sigma_um2=area,
        area_2_sigma_um2=4 * area,
        chi2_per_dof=chosen.chi2_per_dof,
        r_squared=1 - chosen.chi2 / problem.energy,
        r_squared_ceiling=max(0.0, 1 - problem.n_blocks / problem.energy),
        cut_by_edge=cut,
        smaller_than_block=smallest < half_block_um,
        reason=reason,
    )


def _without_size(shape: FieldShape) -> FieldShape:
    names = [name for name in vars(shape) if name.startswith(("sigma", "angle", "surround"))]
    return replace(shape, **dict.fromkeys(names, np.nan))


def _reach(shape: FieldShape, axes: str) -> dict[str, float]:
    """How far the 2-sigma ellipse reaches along each axis."""
    if axes != "xy":
        return {axes: 2 * shape.sigma_major_um}
    x_um, y_um = 2 * np.sqrt(np.diag(shape.covariance_um2()))
    return {"x": float(x_um), "y": float(y_um)}


def _block_across(shape: FieldShape, problem: _Problem) -> float:
    """Size of a block along the shorter axis of the field."""
    if problem.axes != "xy":
        return problem.block_um["xy".index(problem.axes)]
    angle = np.deg2rad(shape.angle_deg + 90)
    return float(np.hypot(problem.block_um[0] * np.cos(angle), problem.block_um[1] * np.sin(angle)))
