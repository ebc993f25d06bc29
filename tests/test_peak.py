import numpy as np
import pytest

from dj_neuron.strf import Peak, find_centre, find_peak

DELAYS = np.arange(-3, 6) / 10


def test_the_peak_is_signed_and_causal_and_the_noise_is_what_follows_the_spike():
    z = np.zeros((9, 3, 4))
    z[5, 2, 1] = -6.0  # 0.2 s before the spike
    z[1, 0, 0] = 4.5
    z[2, 0, 0] = -4.0
    peak = find_peak(z, DELAYS, 0.1)
    assert (peak.z, peak.row_idx, peak.column_idx, peak.noise_z) == (-6.0, 2, 1, 4.5)
    assert peak.delay_s == pytest.approx(0.2)


def test_the_largest_z_after_the_spike_is_no_peak():
    z = np.zeros((9, 1, 2))
    z[0, 0, 0], z[3, 0, 1] = 9.0, 1.0
    assert find_peak(z, DELAYS, 0.1).z == 1.0


@pytest.mark.parametrize(("delay_s", "noise_z"), [(-0.1, 5.0), (-0.1 + 1e-8, 5.0), (-0.1 + 1e-6, None), (-0.05, None)])
def test_what_the_spike_itself_may_see_is_not_noise(delay_s, noise_z):
    z = np.zeros((2, 1, 1))
    z[0] = 5.0  # less than a frame after the spike: the frame may already have been on
    assert find_peak(z, [delay_s, 0.0], 0.1).noise_z == noise_z


def test_noise_is_none_where_nothing_is_finite_and_0_where_all_is():
    z = np.zeros((2, 1, 1))
    assert find_peak(z, [-0.1, 0.0], 0.1) == Peak(0.0, 0.0, 0, 0, 0.0)
    z[0] = np.nan
    assert find_peak(z, [-0.1, 0.0], 0.1) == Peak(0.0, 0.0, 0, 0, None)


def test_nothing_finite_has_no_peak():
    assert find_peak(np.full((9, 2, 2), np.nan), DELAYS, 0.1) is None
    assert find_peak(np.ones((1, 2, 2)), [-0.1], 0.1) is None
    for nothing in (np.nan, 0.0):
        assert find_centre(np.full((9, 2, 2), nothing), DELAYS, (1.0, 1.0)) is None


def test_nan_blocks_are_passed_over():
    z = np.full((9, 2, 2), np.nan)
    z[4, 1, 0] = 2.0
    assert find_peak(z, DELAYS, 0.1).row_idx == 1


@pytest.mark.parametrize("shape", [(40, 60), (1, 60), (40, 1)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_centre_of_a_field_is_found_in_noise(shape, sign):
    rng = np.random.default_rng(7)
    size_um = (20.0, 30.0)
    x_um, y_um = (np.arange(shape[1]) + 0.5) * size_um[0], (np.arange(shape[0]) + 0.5) * size_um[1]
    centre = (850.0 if shape[1] > 1 else 10.0, 400.0 if shape[0] > 1 else 15.0)
    field = np.exp(-((x_um - centre[0]) ** 2 + (y_um[:, None] - centre[1]) ** 2) / (2 * 90.0**2))
    course = np.array([0, 0, 0, 0.2, 1, 0.6, -0.3, -0.1, 0])
    z = sign * 3 * course[:, None, None] * field + rng.normal(size=(9, *shape))
    found = find_centre(z, DELAYS, size_um)
    assert found == pytest.approx(centre, abs=60)


def plain_centre(z, size_um):
    """The centre block by block."""
    row, column = np.indices(z.shape[1:])
    smooth = np.empty_like(z)
    for place in np.ndindex(z.shape[1:]):
        distance = ((row - place[0]) * size_um[1]) ** 2 + ((column - place[1]) * size_um[0]) ** 2
        weights = np.exp(-distance / (2 * 60**2))
        smooth[:, *place] = (z * weights).sum(axis=(1, 2)) / np.linalg.norm(weights)
    course = max((smooth[:, *place] for place in np.ndindex(z.shape[1:])), key=lambda one: np.abs(one).max())
    row_idx, column_idx = max(np.ndindex(z.shape[1:]), key=lambda place: course @ smooth[:, *place])
    return (column_idx + 0.5) * size_um[0], (row_idx + 0.5) * size_um[1]


def test_the_centre_is_that_of_plain_averages():
    rng, size_um = np.random.default_rng(1), (25.0, 40.0)
    for _ in range(60):
        z = rng.normal(size=(4, 6, 8))
        z[:, 2, 3], z[1, 0, 0], z[2, 5, 7] = np.nan, np.inf, -np.inf
        causal = np.where(np.isfinite(z), z, 0)[1:]
        assert find_centre(z, [-0.1, 0.0, 0.1, 0.2], size_um) == plain_centre(causal, size_um)
