import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, expm_frechet

from dj_neuron.errors import ContractError
from dj_neuron.simulate import KnownNeuron, simulate
from dj_neuron.strf import (
    FieldRegion,
    FrameClock,
    find_region,
    fit_space,
    measure_time_course,
    separate,
    spike_triggered_average,
)
from dj_neuron.strf.shape import FieldShape, ModelFit, ellipse, precision, precision_slopes
from dj_neuron.strf.spatial_fit import _Problem

MEASURES = ("centre_x_um", "centre_y_um", "sigma_major_um", "sigma_minor_um", "angle_deg")
SUBSAMPLES = 25


def dense_axis(n_blocks, size_um):
    return (np.arange(n_blocks * SUBSAMPLES) + 0.5) * size_um / SUBSAMPLES


def block_means(shape, block_um, truth, surround=0.0, ratio=2.0):
    """The field averaged over each block in the plainest way."""
    covariance = KnownNeuron(1, 1, *(truth[name] for name in MEASURES), 0.1, 0, 0).covariance_um2()
    x = dense_axis(shape[1], block_um[0]) - truth["centre_x_um"]
    y = dense_axis(shape[0], block_um[1]) - truth["centre_y_um"]
    (a, b), (_, d) = np.linalg.inv(covariance)
    distance = a * x**2 + 2 * b * x * y[:, None] + d * y[:, None] ** 2
    values = np.exp(-distance / 2) - surround / ratio**2 * np.exp(-distance / (2 * ratio**2))
    return values.reshape(shape[0], SUBSAMPLES, shape[1], SUBSAMPLES).mean(axis=(1, 3))


def bars(n_blocks, size_um, centre_um, sigma_um, surround=0.0, ratio=2.0, axis="x"):
    """Bars in the plainest way, and the size of their blocks."""
    distance = ((dense_axis(n_blocks, size_um) - centre_um) / sigma_um) ** 2
    values = np.exp(-distance / 2) - surround / ratio * np.exp(-distance / (2 * ratio**2))
    values = values.reshape(1, n_blocks, SUBSAMPLES).mean(axis=2)
    return (values, (size_um, 4000.0)) if axis == "x" else (values.T, (4000.0, size_um))


def truth(**changes):
    values = {"centre_x_um": 830, "centre_y_um": 640, "sigma_major_um": 130, "sigma_minor_um": 80, "angle_deg": 30}
    return {name: float(value) for name, value in (values | changes).items()}


def fitted(values, error, block_um):
    error = np.broadcast_to(error, values.shape)
    return fit_space(values, error, block_um, find_region((values / error)[None], [0.0], block_um))


def degrees_apart(a, b):
    return (a - b + 90) % 180 - 90


@pytest.mark.parametrize("angle_deg", [0, 30, 45, 90, 120, 179])
@pytest.mark.parametrize("block_um", [(60.0, 60.0), (40.0, 70.0)])
def test_without_noise_the_field_is_recovered(angle_deg, block_um):
    known = truth(angle_deg=angle_deg)
    fit = fitted(block_means((20, 30), block_um, known), 1e-4, block_um)
    assert (fit.model, fit.reason, fit.axes) == ("gaussian", "", "xy")
    for name in MEASURES[:4]:
        assert getattr(fit, name) == pytest.approx(known[name], rel=1e-3)
    assert degrees_apart(fit.angle_deg, angle_deg) == pytest.approx(0, abs=0.1)
    assert fit.area_1_sigma_um2 == pytest.approx(np.pi * 130 * 80, rel=1e-3)
    assert fit.area_2_sigma_um2 == pytest.approx(4 * np.pi * 130 * 80, rel=1e-3)
    assert fit.amplitude == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("sigma_um", [37, 60])
def test_fields_of_half_a_block_are_not_too_large(sigma_um):
    known = truth(sigma_major_um=sigma_um, sigma_minor_um=sigma_um)
    fit = fitted(block_means((16, 20), (70.0, 70.0), known), 1e-4, (70.0, 70.0))
    for name in MEASURES[:4]:
        assert getattr(fit, name) == pytest.approx(known[name], rel=2e-2)


def test_angles_turn_from_x_towards_y_which_is_down():
    row, column = np.mgrid[:15, :15]
    values = (np.abs(row - column) <= 2) & (np.abs(row + column - 14) <= 8)  # from the top left to the bottom right
    fit = fitted(values + 0.02 * np.random.default_rng(0).normal(size=values.shape), 0.02, (10.0, 10.0))
    assert fit.angle_deg == pytest.approx(45, abs=2)


@pytest.mark.parametrize("surround", [0.4, 0.9])
def test_a_surround_is_found_and_the_centre_stays(surround):
    known = truth(centre_x_um=1000, centre_y_um=1000)
    values = block_means((40, 40), (50.0, 50.0), known, surround=surround)
    fit = fitted(values + 0.01 * np.random.default_rng(1).normal(size=values.shape), 0.01, (50.0, 50.0))
    assert fit.model == "difference_of_gaussians"
    assert fit.surround_strength == pytest.approx(surround, abs=0.1)
    assert fit.surround_ratio == pytest.approx(2, abs=0.2)
    assert fit.sigma_major_um == pytest.approx(130, rel=0.05)
    assert fit.difference.bic < fit.gaussian.bic
    assert fit.gaussian.shape.sigma_major_um < 130


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_errors_of_an_ellipse_follow_from_its_slopes(seed):
    rng = np.random.default_rng(seed)
    root, logarithm = rng.normal(size=(3, 3)) / 100, rng.normal(size=3) / 2
    covariance = root @ root.T
    found = ellipse(logarithm, covariance, 40.0)
    for name in ("sigma_major_um", "sigma_minor_um", "angle_deg"):
        sides = [
            [ellipse(logarithm + sign * step, covariance, 40.0)[name] for step in np.eye(3) / 1e5] for sign in (1, -1)
        ]
        change = np.subtract(*sides)
        slope = (degrees_apart(change, 0) if name == "angle_deg" else change) * 1e5 / 2
        expected = min(np.linalg.norm(slope @ root), 90 / np.sqrt(3))
        assert found[f"{name}_se"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("error", "reason"), [(0.31, ""), (0.32, "size is not determined")])
def test_a_size_is_given_while_its_error_is_below_half_of_it(error, reason):
    values, block_um = bars(6, 30.0, 90, 80)
    fit = fitted(values, error, block_um)
    size = fit.gaussian.shape
    assert size.sigma_major_um_se / size.sigma_major_um == pytest.approx(1.595 * error, rel=0.01)  # 0.494 and 0.510
    assert fit.reason == reason
    assert np.isnan(fit.sigma_major_um) == bool(reason)


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (12, 12)])
def test_a_field_that_covers_the_screen_has_no_size(shape):
    fit = fitted(np.ones(shape), 0.02, (30.0, 30.0))
    assert fit.reason == "field larger than the screen"
    assert np.isnan([fit.sigma_major_um, fit.area_1_sigma_um2]).all()
    assert fit.gaussian.converged


def test_errors_are_those_that_noise_makes():
    rng, known, block_um = np.random.default_rng(2), truth(), (70.0, 70.0)
    clean = block_means((20, 24), block_um, known)
    z, chi2, models, r_squared, ceiling = [], [], [], [], []
    for _ in range(40):
        fit = fitted(clean + 0.05 * rng.normal(size=clean.shape), 0.05, block_um)
        difference = [getattr(fit, name) - known[name] for name in MEASURES[:4]]
        difference.append(degrees_apart(fit.angle_deg, known["angle_deg"]))
        z.append(np.array(difference) / [getattr(fit, f"{name}_se") for name in MEASURES])
        chi2.append(fit.chi2_per_dof)
        models.append(fit.model)
        r_squared.append(fit.r_squared)
        ceiling.append(fit.r_squared_ceiling)
    assert np.abs(np.mean(z, axis=0)).max() < 4 / np.sqrt(40)
    assert np.std(z, axis=0) == pytest.approx(np.ones(5), abs=0.4)
    assert np.std(z) == pytest.approx(1, abs=0.15)
    assert np.mean(chi2) == pytest.approx(1, abs=0.03)
    assert models.count("gaussian") > 37
    assert np.mean(r_squared) == pytest.approx(np.mean(ceiling), abs=0.02)


def test_errors_of_a_surround_are_those_that_noise_makes():
    rng, block_um = np.random.default_rng(5), (50.0, 50.0)
    known = truth(centre_x_um=1000, centre_y_um=900, sigma_minor_um=100)
    clean, z = block_means((36, 40), block_um, known, surround=0.6), []
    for _ in range(40):
        fit = fitted(clean + 0.01 * rng.normal(size=clean.shape), 0.01, block_um)
        z.append(
            [(fit.surround_strength - 0.6) / fit.surround_strength_se, (fit.surround_ratio - 2) / fit.surround_ratio_se]
        )
    assert np.abs(np.mean(z, axis=0)).max() < 4 / np.sqrt(40)
    assert np.std(z, axis=0) == pytest.approx(np.ones(2), abs=0.4)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_bars_have_one_axis_and_the_other_is_nan(axis):
    rng, size_um, sigma_um = np.random.default_rng(3), 16.6, 90.0
    z = []
    for _ in range(40):
        centre_um = rng.uniform(1000, 2500)
        clean, block_um = bars(200, size_um, centre_um, sigma_um, axis=axis)
        fit = fitted(clean + 0.15 * rng.normal(size=clean.shape), 0.15, block_um)
        across = fit.centre_x_um if axis == "x" else fit.centre_y_um
        across_se = fit.centre_x_um_se if axis == "x" else fit.centre_y_um_se
        z.append([(across - centre_um) / across_se, (fit.sigma_major_um - sigma_um) / fit.sigma_major_um_se])
    assert fit.axes == axis
    assert np.isnan([fit.sigma_minor_um, fit.angle_deg, fit.area_1_sigma_um2]).all()
    assert np.isnan(fit.centre_y_um if axis == "x" else fit.centre_x_um)
    assert np.abs(np.mean(z, axis=0)).max() < 0.6
    assert np.std(z) == pytest.approx(1, abs=0.25)


places = st.tuples(st.integers(0, 6), st.integers(0, 6))


@settings(max_examples=6)
@given(st.integers(0, 100), places)
def test_shifting_by_blocks_shifts_the_centre_and_nothing_else(seed, shift):
    block_um = (60.0, 80.0)
    noise = 0.05 * np.random.default_rng(seed).normal(size=(36, 36))
    values = block_means((36, 36), block_um, truth(centre_x_um=900, centre_y_um=1200)) + noise
    one = fit_space(values, np.full(values.shape, 0.05), block_um, region_at(900, 1200))
    moved = np.roll(values, shift[::-1], axis=(0, 1))
    other = fit_space(
        moved, np.full(values.shape, 0.05), block_um, region_at(900 + shift[0] * 60, 1200 + shift[1] * 80)
    )
    assert other.centre_x_um - one.centre_x_um == pytest.approx(60 * shift[0], abs=0.1)
    assert other.centre_y_um - one.centre_y_um == pytest.approx(80 * shift[1], abs=0.1)
    for name in (*MEASURES[2:4], "amplitude", "sigma_major_um_se", "angle_deg_se"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-3)


def test_a_round_field_has_any_angle():
    # that of a uniform distribution over half a turn, whichever way the rounding points
    for elongation in (0.0, 1e-12, 1e-3):
        found = ellipse(np.array([0.1, elongation, 0.0]), np.eye(3) * 0.01, 60.0)
        assert found["angle_deg_se"] == pytest.approx(180 / np.sqrt(12))
        assert found["sigma_major_um"] == pytest.approx(found["sigma_minor_um"], rel=3e-3)
        for axis in ("major", "minor"):
            assert found[f"sigma_{axis}_um_se"] == pytest.approx(found[f"sigma_{axis}_um"] * np.sqrt(0.02))


def region_at(x_um, y_um, scale_um=100.0):
    return FieldRegion(np.ones((1, 1), bool), float(x_um), float(y_um), scale_um, 10.0)


@settings(max_examples=6)
@given(st.integers(0, 100), st.floats(0, 180))
def test_a_mirror_image_has_the_mirrored_centre_and_angle(seed, angle_deg):
    block_um = (60.0, 60.0)
    noise = 0.03 * np.random.default_rng(seed).normal(size=(24, 30))
    values = block_means((24, 30), block_um, truth(angle_deg=angle_deg)) + noise
    one, other = fitted(values, 0.03, block_um), fitted(values[:, ::-1], 0.03, block_um)
    assert other.centre_x_um == pytest.approx(30 * 60 - one.centre_x_um, abs=0.1)
    assert other.centre_y_um == pytest.approx(one.centre_y_um, abs=0.1)
    assert degrees_apart(other.angle_deg, -one.angle_deg) == pytest.approx(0, abs=0.2)
    assert other.sigma_major_um == pytest.approx(one.sigma_major_um, rel=1e-3)


@pytest.mark.parametrize(("axis", "variance_um2", "screen_um"), [("x", 14275, 1800), ("y", 9025, 1440)])
def test_a_field_cut_by_the_edge_says_so(axis, variance_um2, screen_um):
    # of the variance along an axis: (130 cos 30)^2 + (80 sin 30)^2 and the other way round
    reach_um = 2 * np.sqrt(variance_um2)
    for from_edge_um, is_cut in ((0.5, True), (reach_um - 1, True), (reach_um + 1, False)):
        for centre_um in (from_edge_um, screen_um - from_edge_um):
            known = truth(centre_x_um=900, centre_y_um=720) | {f"centre_{axis}_um": centre_um}
            fit = fitted(block_means((24, 30), (60.0, 60.0), known), 1e-4, (60.0, 60.0))
            assert (fit.reason, fit.cut_by_edge) == ("", is_cut)
            assert getattr(fit, f"centre_{axis}_um") == pytest.approx(centre_um, abs=0.1)


@pytest.mark.parametrize(("axis", "screen_um"), [("x", 1800), ("y", 1440)])
def test_a_centre_outside_the_screen_is_none(axis, screen_um):
    for centre_um in (-0.5, screen_um + 0.5):
        known = truth(centre_x_um=900, centre_y_um=720) | {f"centre_{axis}_um": centre_um}
        fit = fitted(block_means((24, 30), (60.0, 60.0), known), 1e-4, (60.0, 60.0))
        assert (fit.reason, fit.model, fit.cut_by_edge) == ("centre outside the screen", "", False)
        assert np.isnan(fit.centre_x_um)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_centre_is_looked_for_up_to_half_a_screen_outside(axis):
    for centre_um, found_um in ((-290, -290), (-500, -300), (890, 890), (1100, 900)):
        values, block_um = bars(20, 30.0, centre_um, 200, axis=axis)
        fit = fitted(values, 1e-4, block_um)
        assert fit.reason == "centre outside the screen"
        assert getattr(fit.gaussian.shape, f"centre_{axis}_um") == pytest.approx(found_um)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_field_of_bars_cut_by_the_edge_says_so(axis):
    for centre_um, is_cut in ((0.5, True), (159, True), (161, False), (2239, False), (2241, True), (2399.5, True)):
        values, block_um = bars(120, 20.0, centre_um, 80, axis=axis)
        fit = fitted(values, 1e-4, block_um)
        assert (fit.reason, fit.cut_by_edge) == ("", is_cut)
        assert fit.sigma_major_um == pytest.approx(80, rel=1e-3)


@pytest.mark.parametrize(("angle_deg", "is_smaller"), [(90, False), (0, True)])
def test_a_narrow_field_is_compared_with_the_blocks_across_it(angle_deg, is_smaller):
    known = truth(sigma_major_um=300, sigma_minor_um=60, angle_deg=angle_deg, centre_x_um=1000, centre_y_um=1000)
    fit = fitted(block_means((15, 40), (50.0, 140.0), known), 1e-4, (50.0, 140.0))
    assert fit.smaller_than_block is is_smaller
    assert ("upper bound" in fit.reason) is is_smaller


def test_a_size_is_given_from_half_a_block_on():
    block_um = (1.0, 1.6)  # half of the way across a block at an angle of 120 degrees is 0.737
    for sigma_um, is_smaller in ((0.7355, True), (0.7375, False)):
        known = truth(centre_x_um=20, centre_y_um=19, sigma_major_um=3, sigma_minor_um=sigma_um)
        fit = fitted(block_means((24, 40), block_um, known), 1e-4, block_um)
        assert (fit.smaller_than_block, "upper bound" in fit.reason) == (is_smaller, is_smaller)
    for sigma_um, is_smaller in ((0.495, True), (0.505, False)):
        values, block_um = bars(40, 1.0, 20.3, sigma_um)
        fit = fitted(values, 1e-4, block_um)
        assert (fit.smaller_than_block, "upper bound" in fit.reason) == (is_smaller, is_smaller)


def test_a_size_is_given_up_to_half_the_screen():
    for axis in ("x", "y"):
        for sigma_um, is_larger in ((1.49, False), (1.51, True)):
            values, block_um = bars(20, 0.15, 1.5, sigma_um, axis=axis)
            assert (fitted(values, 1e-4, block_um).reason == "field larger than the screen") is is_larger
    for shape in ((20, 30), (30, 20)):
        for sigma_um, is_larger in ((2.23, False), (2.27, True)):
            known = truth(centre_x_um=2, centre_y_um=2, sigma_major_um=sigma_um, sigma_minor_um=1)
            fit = fitted(block_means(shape, (0.15, 0.15), known), 1e-4, (0.15, 0.15))
            assert (fit.reason == "field larger than the screen") is is_larger


def test_sizes_are_looked_for_from_a_quarter_of_a_block_to_the_screen():
    for axis in ("x", "y"):
        shape, block_um = ((1, 12), (30.0, 40.0)) if axis == "x" else ((12, 1), (40.0, 30.0))
        for values, expected_um in ((np.arange(12) == 5, 7.5), (np.ones(12), 360)):
            assert fitted(values.reshape(shape), 0.01, block_um).gaussian.shape.sigma_major_um == pytest.approx(
                expected_um
            )
    dot = np.zeros((10, 12))
    dot[4, 5] = 1
    for values, block_um, expected_um in (
        (dot, (30.0, 40.0), 7.5),
        (dot, (40.0, 30.0), 7.5),
        (np.ones((10, 12)), (30.0, 30.0), 360),
        (np.ones((12, 10)), (30.0, 30.0), 360),
    ):
        size = fitted(values, 0.01, block_um).gaussian.shape
        assert np.sqrt(size.sigma_major_um * size.sigma_minor_um) == pytest.approx(expected_um)


@pytest.mark.parametrize("angle_deg", [0, 45])
def test_axes_may_differ_twentyfold(angle_deg):
    for sigma_um, is_fitted in ((12.2, True), (11.8, False)):
        known = truth(
            centre_x_um=300, centre_y_um=300, sigma_major_um=240, sigma_minor_um=sigma_um, angle_deg=angle_deg
        )
        fit = fitted(block_means((30, 30), (20.0, 20.0), known), 1e-3, (20.0, 20.0))
        assert fit.reason == ("" if is_fitted else "fit did not converge")


@pytest.mark.parametrize(
    ("surround", "ratio", "is_found"),
    [(2.9, 5, True), (3.1, 5, False), (0.6, 1.25, True), (0.6, 1.15, False), (0.6, 5.9, True), (0.6, 6.1, False)],
)
def test_a_surround_is_up_to_three_times_the_centre_and_six_times_as_large(surround, ratio, is_found):
    known = truth(centre_x_um=1500, centre_y_um=1500)
    for values, block_um, region in (
        (block_means((60, 60), (50.0, 50.0), known, surround, ratio), (50.0, 50.0), region_at(1500, 1500, 120)),
        (*bars(120, 50.0, 3000, 130, surround, ratio), region_at(3000, 2000, 120)),
    ):
        fit = fit_space(values, np.full(values.shape, 1e-3), block_um, region)
        if is_found:
            assert fit.model == "difference_of_gaussians"
            assert (fit.surround_strength, fit.surround_ratio) == pytest.approx((surround, ratio), rel=1e-3)
        else:
            assert (fit.model, fit.difference.converged) == ("gaussian", False)
            assert np.isnan([fit.surround_strength, fit.surround_ratio]).all()


def test_a_surround_is_below_the_centre_and_a_centre_above_nothing():
    more = block_means((20, 30), (60.0, 60.0), truth(), surround=-0.6)
    assert fitted(more, 1e-3, (60.0, 60.0)).model == "gaussian"
    less = fit_space(-more, np.full(more.shape, 0.01), (60.0, 60.0), region_at(830, 640))
    assert less.reason == "fit did not converge"
    assert less.gaussian.shape.amplitude >= 0


def test_a_centre_without_size_has_no_surround_either():
    known = truth(centre_x_um=1000, centre_y_um=840, sigma_major_um=30, sigma_minor_um=30)
    fit = fitted(block_means((24, 30), (70.0, 70.0), known, 0.6, 4.0), 1e-4, (70.0, 70.0))
    assert (fit.model, fit.smaller_than_block) == ("difference_of_gaussians", True)
    measured = {name for name in vars(FieldShape()) if np.isfinite(getattr(fit, name))}
    assert {name.removesuffix("_se") for name in measured} == {"centre_x_um", "centre_y_um", "amplitude"}


def test_a_field_lowers_bic_or_is_none():
    values, region = block_means((20, 30), (60.0, 60.0), truth()), region_at(830, 640, 300)  # all blocks take part
    for share, is_found in ((0.99, False), (1.01, True)):
        error = np.sqrt(np.sum(values**2) / (share * 6 * np.log(600)))
        fit = fit_space(values, np.full(values.shape, error), (60.0, 60.0), region)
        assert (fit.reason == "") is is_found
        assert ("stands out" in fit.reason) is not is_found
        assert fit.gaussian.bic == pytest.approx(6 * np.log(600))
        assert fit.r_squared_ceiling == pytest.approx(0 if is_found else np.nan, nan_ok=True)


def test_a_surround_lowers_bic_or_is_none():
    values = block_means((20, 30), (60.0, 60.0), truth(), surround=0.2)
    region = region_at(830, 640, 300)
    chi2 = fit_space(values, np.ones(values.shape) * 1e-3, (60.0, 60.0), region).gaussian.chi2 * 1e-6
    for share, model in ((0.99, "gaussian"), (1.01, "difference_of_gaussians")):
        error = np.sqrt(chi2 / (share * 2 * np.log(600)))
        assert fit_space(values, np.full(values.shape, error), (60.0, 60.0), region).model == model


@pytest.mark.parametrize("surround", [0.0, 0.6])
def test_what_is_left_is_compared_with_the_errors(surround):
    rng, known = np.random.default_rng(6), truth()
    error = rng.uniform(0.02, 0.06, (20, 30))
    values = block_means((20, 30), (60.0, 60.0), known, surround) + error * rng.normal(size=(20, 30))
    fit = fit_space(values, error, (60.0, 60.0), region_at(830, 640, 300))
    found = {name: getattr(fit, name) for name in MEASURES}
    model = block_means(
        (20, 30), (60.0, 60.0), found, *([fit.surround_strength, fit.surround_ratio] if surround else [])
    )
    chi2, energy = np.sum(((values - fit.amplitude * model) / error) ** 2), np.sum((values / error) ** 2)
    n_parameters = 8 if surround else 6
    assert fit.chi2_per_dof == pytest.approx(chi2 / (600 - n_parameters), rel=1e-3)
    assert fit.r_squared == pytest.approx(1 - chi2 / energy, rel=1e-4)
    assert fit.r_squared_ceiling == pytest.approx(1 - 600 / energy)
    chosen = fit.difference if surround else fit.gaussian
    assert (chosen.n_blocks, chosen.n_parameters) == (600, n_parameters)
    assert chosen.bic == pytest.approx(chosen.chi2 + n_parameters * np.log(600))


def expected_errors(model, parameters, error):
    """Standard errors of what is fitted to independent values: the inverse of their information."""
    slopes = []
    for name, value in parameters.items():
        step = 1e-5 * value
        sides = [model(**{**parameters, name: value + sign * step}) for sign in (1, -1)]
        slopes.append(np.ravel(sides[0] - sides[1]) / (2 * step * error))
    information = np.array(slopes) @ np.transpose(slopes)
    return dict(zip(parameters, np.sqrt(np.diag(np.linalg.inv(information))), strict=True))


@pytest.mark.parametrize("surround", [{}, {"surround_strength": 0.6, "surround_ratio": 2.0}])
def test_errors_follow_from_the_slopes_of_the_field(surround):
    def model(amplitude, surround_strength=0.0, surround_ratio=2.0, **known):
        return amplitude * block_means((24, 30), (60.0, 50.0), known, surround_strength, surround_ratio)

    known = {"amplitude": 0.4, **truth(), **surround}
    values = model(**known)
    fit = fit_space(values, np.full(values.shape, 1e-3), (60.0, 50.0), region_at(830, 640, 300))
    expected = expected_errors(model, known, 1e-3)
    for name in known:
        assert getattr(fit, f"{name}_se") == pytest.approx(expected[name], rel=5e-3), name


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("surround", [{}, {"surround_strength": 0.6, "surround_ratio": 2.0}])
def test_errors_of_bars_follow_from_the_slopes_of_the_field(axis, surround):
    def model(amplitude, surround_strength=0.0, surround_ratio=2.0, **known):
        return amplitude * bars(60, 50.0, *known.values(), surround_strength, surround_ratio, axis)[0]

    known = {"amplitude": 0.4, f"centre_{axis}_um": 1400.0, "sigma_major_um": 130.0, **surround}
    values, (_, block_um) = model(**known), bars(1, 50.0, 0, 1, axis=axis)
    fit = fit_space(values, np.full(values.shape, 1e-3), block_um, region_at(1400, 1400, 600))
    expected = expected_errors(model, known, 1e-3)
    for name, value in known.items():
        assert getattr(fit, name) == pytest.approx(value, rel=1e-3)
        assert getattr(fit, f"{name}_se") == pytest.approx(expected[name], rel=5e-3), name


@pytest.mark.parametrize("axis", ["x", "y"])
def test_bars_that_reach_into_five_scales_take_part_if_they_are_known(axis):
    values, block_um = bars(30, 10.0, 103, 15, axis=axis)
    error = np.full(values.shape, 1e-3)
    for x_um, n_blocks in ((105, 13), (5, 7), (295, 7)):
        problem = _Problem(values, error, block_um, region_at(x_um, x_um, 12))
        assert problem.n_blocks == n_blocks
    values.flat[[5, 7]] = np.nan, np.inf
    error.flat[[8, 12, 13, 15]] = np.nan, 0, -1, np.inf
    fit = fit_space(values, error, block_um, region_at(105, 105, 12))
    assert fit.gaussian.n_blocks == 7
    assert (fit.centre_x_um if axis == "x" else fit.centre_y_um) == pytest.approx(103)
    assert fit.sigma_major_um == pytest.approx(15, rel=1e-3)


def test_blocks_that_reach_into_five_scales_take_part():
    ones = np.ones((11, 13))
    for x_um, y_um, n_blocks in ((55, 77, 9), (5, 77, 6), (125, 77, 6), (55, 7, 6), (55, 147, 6), (125, 147, 4)):
        assert _Problem(ones, ones, (10.0, 14.0), region_at(x_um, y_um, 2)).n_blocks == n_blocks


def test_models_are_averaged_at_three_points_of_gauss_and_legendre():
    def at(places_um):
        return np.exp(-((places_um / 80) ** 2) / 2)

    problem = _Problem(np.zeros((1, 9)), np.ones((1, 9)), (40.0, 50.0), region_at(180, 25, 80))
    centres_um = (np.arange(9) + 0.5) * 40 - 180
    expected = (
        5 * at(centres_um - 20 * np.sqrt(0.6)) + 8 * at(centres_um) + 5 * at(centres_um + 20 * np.sqrt(0.6))
    ) / 18
    np.testing.assert_allclose(problem.model(np.array([1.0, 0, 0])), expected, rtol=1e-12)


def test_a_model_with_as_many_parameters_as_blocks_has_one_degree_of_freedom():
    fit = ModelFit(shape=FieldShape(), chi2=3.0, n_blocks=6, n_parameters=6, converged=True)
    assert fit.chi2_per_dof == 3.0
    assert replace(fit, n_blocks=9).chi2_per_dof == 1.0


def test_what_does_not_fit_says_why():
    rng, block_um = np.random.default_rng(4), (70.0, 70.0)
    error = np.full((16, 20), 0.05)
    clean = block_means((16, 20), block_um, truth())
    assert fit_space(clean, error, block_um, None).reason == "no significant block"
    assert fit_space(np.ones((1, 1)), np.ones((1, 1)), block_um, region_at(35, 35)).reason == (
        "a single block has no shape"
    )
    for n_known, shape, least in ((3, (1, 5), 4), (4, (5, 1), 4), (6, (3, 4), 7), (7, (3, 4), 7), (0, (9, 9), 7)):
        known = np.full(shape, np.nan)
        known.flat[:n_known] = 1
        reason = fit_space(known, np.ones(shape), block_um, region_at(35, 35, 200)).reason
        assert (reason == f"{n_known} block(s) are too few to fit a shape") is (n_known < least)
    noise = fit_space(0.05 * rng.normal(size=error.shape), error, block_um, region_at(700, 600))
    assert noise.reason in {"no field stands out of the noise", "fit did not converge"}
    flat = fit_space(np.zeros(error.shape), error, block_um, region_at(700, 600))
    assert flat.reason in {"no field stands out of the noise", "fit did not converge"}
    for refused in (noise, flat):
        assert np.isnan(refused.centre_x_um)
        assert refused.model == ""
        assert (refused.cut_by_edge, refused.smaller_than_block) == (False, False)


def test_one_block_gives_a_centre_but_no_size():
    values = np.zeros((11, 15))
    values[4, 6] = 1
    fit = fitted(values + 0.01 * np.random.default_rng(5).normal(size=values.shape), 0.01, (50.0, 50.0))
    assert fit.reason == "sigma below half a block: size is an upper bound"
    assert fit.smaller_than_block
    assert np.isnan([fit.sigma_major_um, fit.angle_deg, fit.area_1_sigma_um2]).all()
    assert (fit.centre_x_um, fit.centre_y_um) == pytest.approx((6.5 * 50, 4.5 * 50), abs=15)


@pytest.mark.parametrize("first_s", [-0.1, 0.0])
def test_simulated_neurons_are_measured_from_their_spikes(first_s):
    n_fields, z = 0, []
    for session, neurons in simulate("small"):
        for stimulation in session.stimulations:
            clock, block_um = FrameClock.of(stimulation), stimulation.block_size_um
            delays = clock.delays_between(first_s, 0.4)
            average = spike_triggered_average(stimulation.movie, clock, stimulation.spike_trains, delays, min_spikes=2)
            for k, train in enumerate(stimulation.spike_trains):
                region = find_region(average.z[k], delays, block_um)
                if region is None:
                    assert train.n_spikes < 50
                    continue
                known = neurons[train.neuron_id]
                split = separate(average.values[k], average.standard_error[k], delays, region.blocks, n_bootstrap=0)
                fit = fit_space(split.spatial_map, split.spatial_map_se, block_um, region)
                course = measure_time_course(split.time_course, split.time_course_se, delays, n_bootstrap=2)
                assert course.polarity == known.polarity
                n_fields += 1
                z.append((fit.centre_x_um - known.centre_x_um) / fit.centre_x_um_se)
                z.append((fit.centre_y_um - known.centre_y_um) / fit.centre_y_um_se)
    assert n_fields == 12
    assert np.nanmax(np.abs(z)) < 4.5
    assert np.nanstd(z) < 1.8


@pytest.mark.parametrize(("shape", "of_error"), [((3, 4), (4, 3)), ((4,), (4,)), ((2, 3, 4), (2, 3, 4))])
def test_bad_input_is_refused_in_words(shape, of_error):
    with pytest.raises(ContractError, match=re.escape(f"shape {shape} and its error {of_error}")):
        fit_space(np.ones(shape), np.ones(of_error), (1.0, 1.0), None)


@given(
    st.sampled_from([(9, 12), (1, 20), (20, 1)]),
    st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_slopes_of_the_models_are_those_of_small_steps(shape, drawn, is_round, has_surround):
    error = np.ones(shape)
    region = FieldRegion(np.ones(shape, bool), shape[1] * 20.0, shape[0] * 25.0, 90.0, 9.0)
    problem = _Problem(np.zeros(shape), error, (40.0, 50.0), region)
    amplitude, x, y, *logarithm, strength, log_ratio = drawn
    if is_round:
        logarithm[1:] = [0.0, 0.0]
    of_axes = {
        "xy": [amplitude, x, y, *logarithm],
        "x": [amplitude, x, logarithm[0]],
        "y": [amplitude, y, logarithm[0]],
    }
    parameters = np.array([*of_axes[problem.axes], *([strength, 0.5 + log_ratio / 4] if has_surround else [])])
    steps = 1e-6 * np.eye(parameters.size)
    expected = [(problem.model(parameters + step) - problem.model(parameters - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(problem.slopes(parameters), np.transpose(expected), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    "logarithm",
    [(0.3, 0.4, -0.2), (-0.2, 0, 1.2), (0.1, 2e-3, 1e-3), (0.1, -3e-4, 8e-4), (0.4, 3e-9, 4e-9), (0.5, 0, 0)],
)
def test_precision_and_its_slopes_are_of_the_exponential_of_a_matrix(logarithm):
    parts = np.array([[[1, 0], [0, 1]], [[1, 0], [0, -1]], [[0, 1], [1, 0]]])
    whole = np.tensordot(logarithm, parts, axes=1)
    (xx, xy), (_, yy) = expm(-2 * whole)
    np.testing.assert_allclose(precision(*logarithm), [xx, xy, yy], rtol=1e-12)
    expected = [expm_frechet(-2 * whole, -2 * part, compute_expm=False) for part in parts]
    by_part = [[one[0, 0], one[0, 1], one[1, 1]] for one in expected]
    # the slopes of nearly round fields are a series without its terms from the third power on
    np.testing.assert_allclose(precision_slopes(*logarithm), by_part, rtol=1e-8, atol=1e-11)


def test_the_covariance_of_an_ellipse_has_its_axes():
    covariance = FieldShape(sigma_major_um=200.0, sigma_minor_um=80.0, angle_deg=30.0).covariance_um2()
    along, across = np.array([np.sqrt(3), 1]) / 2, np.array([-1, np.sqrt(3)]) / 2
    assert along @ covariance @ along == pytest.approx(200**2)
    assert across @ covariance @ across == pytest.approx(80**2)
    assert along @ covariance @ across == pytest.approx(0, abs=1e-9)
