import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.stats import binomtest

from dj_neuron.errors import ContractError
from dj_neuron.strf import find_region, separate
from dj_neuron.strf.noise import noise_covariance
from dj_neuron.strf.region import octaves
from dj_neuron.strf.separability import noise_edge, shrunk

DELAYS = np.arange(-4, 16) / 60
COURSE = np.array([0, 0, 0, 0, 0, 0.1, 0.5, 0.9, 1, 0.8, 0.4, 0, -0.2, -0.4, -0.5, -0.4, -0.3, -0.2, -0.1, 0])
BLOCK = (80.0, 60.0)
ERROR = 0.04


def field(shape=(20, 24), centre_um=(900.0, 650.0), sigma_um=100.0, surround=0.0):
    x, y = ((np.arange(n) + 0.5) * size for n, size in zip(shape[::-1], BLOCK, strict=True))
    distance = (x - centre_um[0]) ** 2 + (y[:, None] - centre_um[1]) ** 2
    return np.exp(-distance / (2 * sigma_um**2)) - surround * np.exp(-distance / (8 * sigma_um**2))


def noisy(clean, rng, error=ERROR):
    return clean + rng.normal(size=clean.shape) * error, np.full(clean.shape, error)


def product(height=0.3, polarity=1, **of_field):
    return polarity * height * COURSE[:, None, None] * field(**of_field)


@pytest.mark.parametrize("sigma_um", [60, 100, 200])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_the_region_is_where_the_field_is_and_as_large(sigma_um, polarity):
    values, error = noisy(product(polarity=polarity, sigma_um=sigma_um), np.random.default_rng(1))
    region = find_region(values / error, DELAYS, BLOCK)
    assert region.centre_x_um == pytest.approx(900, abs=sigma_um / 2 + 40)
    assert region.centre_y_um == pytest.approx(650, abs=sigma_um / 2 + 40)
    assert sigma_um / 1.5 < region.scale_um < sigma_um * 1.5
    assert np.sign(region.z) == polarity
    strong = field(sigma_um=sigma_um) > 0.2
    assert region.blocks[strong].all()


def test_noise_has_a_region_in_few_neurons_only():
    rng = np.random.default_rng(2)
    found = [find_region(rng.normal(size=(20, 12, 12)), DELAYS, BLOCK) is not None for _ in range(200)]
    assert binomtest(sum(found), 200, 0.05, "greater").pvalue > 0.01


def test_the_centre_lies_where_something_was_significant():
    values, error = noisy(product(), np.random.default_rng(3))
    significant = np.zeros(values.shape, bool)
    assert find_region(values / error, DELAYS, BLOCK, significant=significant) is None
    significant[:4] = True  # after the spike only
    assert find_region(values / error, DELAYS, BLOCK, significant=significant) is None
    for delay in (10, 4):  # in the course of the field, and at the spike
        significant[4:] = False
        significant[delay, 3, 5] = True
        region = find_region(values / error, DELAYS, BLOCK, significant=significant)
        assert (region.centre_x_um, region.centre_y_um) == (5.5 * 80, 3.5 * 60)
        faint = find_region(values / error / 1000, DELAYS, BLOCK, significant=significant)
        assert faint.z == pytest.approx(region.z / 1000)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1)])
def test_bars_and_single_blocks_have_regions(shape):
    clean = np.ones((20, *shape))
    clean[:, shape[0] // 2 + 3 :] = 0
    clean[:, :, shape[1] // 2 + 3 :] = 0
    region = find_region(10 * clean, DELAYS, (30.0, 30.0))
    assert region.blocks.any()


def test_the_region_is_a_disc_of_three_scales_around_the_centre():
    z = np.zeros((1, 5, 7))
    z[0, 2, 3] = 9
    region = find_region(z, [0.0], (1.0, 2.6), scales_um=[0.5])
    assert (region.centre_x_um, region.centre_y_um, region.scale_um) == (3.5, 6.5, 0.5)
    # along a row it just reaches the block after the next, at 1.5
    drawn = [".......", "..###..", ".#####.", "..###..", "......."]
    assert ["".join(".#"[int(block)] for block in row) for row in region.blocks] == drawn


def test_the_long_axis_of_a_bar_does_not_count():
    z = np.zeros((1, 1, 9))
    z[0, 0, 4] = 9
    for axes, block_um in (((0, 1, 2), (10.0, 4000.0)), ((0, 2, 1), (4000.0, 10.0))):
        blocks = find_region(z.transpose(axes), [0.0], block_um, scales_um=[5.0]).blocks
        assert blocks.ravel().tolist() == [False, False, True, True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("shape", "block_um", "expected_um"),
    [
        ((1, 1), (30.0, 45.0), [22.5]),
        ((2, 2), (30.0, 45.0), [15]),
        ((8, 8), (30.0, 30.0), [15, 30, 60]),
        ((7, 8), (15.0, 15.0), [7.5, 15]),
        ((12, 20), (10.0, 30.0), [5, 10, 20, 40]),
        ((20, 12), (10.0, 30.0), [5, 10, 20]),
        ((1, 40), (30.0, 4.0), [15, 30, 60, 120, 240]),
        ((40, 1), (4.0, 30.0), [15, 30, 60, 120, 240]),
    ],
)
def test_scales_are_octaves_from_half_a_block_to_a_quarter_of_the_screen(shape, block_um, expected_um):
    np.testing.assert_allclose(octaves(shape, block_um), expected_um)


def plain_average(values, block_um, scale_um):
    """Average around every block with a Gaussian, so that independent noise keeps its variance."""
    row, column = np.indices(values.shape)
    averaged = np.empty(values.shape)
    for place in np.ndindex(values.shape):
        distance = ((row - place[0]) * block_um[1]) ** 2 + ((column - place[1]) * block_um[0]) ** 2
        weights = np.exp(-distance / (2 * scale_um**2))
        averaged[place] = (values * weights).sum() / np.linalg.norm(weights)
    return averaged


@pytest.mark.parametrize("shape", [(9, 12), (1, 30), (30, 1), (4, 5), (2, 2)])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_the_region_lies_where_a_plain_average_is_largest(shape, polarity):
    rng, of_delays = np.random.default_rng(3), np.array([9.0, 0.25, -1.0, 0.5])
    for sigma_um in (20, 40, 57, 80, 160):
        centre_um = (rng.integers(shape[::-1]) + 0.5) * BLOCK
        values = field(shape, centre_um, sigma_um) + 0.2 * rng.normal(size=shape)
        z = 20 * polarity * of_delays[:, None, None] * values
        z[:, -1, -1] = values[-1, -1] = np.nan
        region = find_region(z, [-0.1, 0.0, 0.1, 0.2], BLOCK)
        values[-1, -1] = 0
        found = {scale: plain_average(values, BLOCK, scale) for scale in octaves(shape, BLOCK)}
        scale_um, heights = max(found.items(), key=lambda one: one[1].max())
        assert region.z == pytest.approx(-polarity * 20 * np.abs(list(found.values())).max(), rel=1e-5)
        if len(found) > 1:
            finer = {scale: plain_average(values, BLOCK, scale) for scale in scale_um * 2.0 ** np.array([-0.5, 0, 0.5])}
            scale_um, heights = max(finer.items(), key=lambda one: one[1].max())
        row, column = np.unravel_index(heights.argmax(), shape)
        assert region.scale_um == pytest.approx(scale_um)
        assert (region.centre_x_um, region.centre_y_um) == ((column + 0.5) * BLOCK[0], (row + 0.5) * BLOCK[1])


@pytest.mark.parametrize(("n_delays", "least_z"), [(1, 2.2414), (5, 2.8070), (50, 3.4808)])
def test_what_noise_passes_in_a_twentieth_of_neurons_is_no_region(n_delays, least_z):
    # half of |z| of as many independent points again lie above: 1 - 0.05 / (4 n) of a normal distribution
    z = np.zeros((n_delays, 1, 1))
    for height, is_found in ((least_z - 1e-3, False), (least_z + 1e-3, True)):
        z[-1] = height
        assert (find_region(z, np.arange(n_delays), BLOCK) is not None) is is_found
        assert find_region(z, np.arange(n_delays), BLOCK, significant=z > 0) is not None


def test_nothing_finite_and_no_causal_delay_have_no_region():
    assert find_region(np.full((20, 3, 4), np.nan), DELAYS, BLOCK) is None
    assert find_region(np.full((4, 3, 4), 9.0), DELAYS[:4], BLOCK) is None
    assert find_region(np.zeros((20, 3, 4)), DELAYS, BLOCK) is None


@pytest.mark.parametrize("surround", [0, 0.2])
@pytest.mark.parametrize("polarity", [-1, 1])
def test_the_map_is_positive_at_the_centre_and_the_course_has_the_sign(polarity, surround):
    values, error = noisy(product(polarity=polarity, surround=surround), np.random.default_rng(4))
    result = separate(values, error, DELAYS, find_region(values / error, DELAYS, BLOCK).blocks)
    assert result.spatial_map[10, 10:12].min() > 0.1
    assert result.time_course[8] * polarity > 0.8
    assert np.abs(result.time_course[4:]).max() == pytest.approx(1)


def test_the_centre_is_positive_even_if_the_surround_outweighs_it():
    of_space = field(sigma_um=100) - 0.1 * field(sigma_um=400)
    assert of_space.sum() < 0
    values = 0.3 * COURSE[:, None, None] * of_space
    result = separate(*noisy(values, np.random.default_rng(4)), DELAYS, np.ones(of_space.shape, bool), n_bootstrap=0)
    assert result.spatial_map[10, 10:12].min() > 0.1
    assert result.time_course[8] > 0.8


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_inverting_contrast_inverts_the_course_and_nothing_else(seed):
    values, error = noisy(product(), np.random.default_rng(seed))
    region = find_region(values / error, DELAYS, BLOCK)
    inverted = find_region(-values / error, DELAYS, BLOCK)
    assert (inverted.blocks == region.blocks).all()
    assert inverted.z == -region.z
    one, other = (separate(sign * values, error, DELAYS, region.blocks, n_bootstrap=0) for sign in (1, -1))
    np.testing.assert_allclose(other.time_course, -one.time_course)
    np.testing.assert_allclose(other.spatial_map, one.spatial_map)
    assert other.separability == pytest.approx(one.separability)
    assert np.isnan(one.p_inseparable)  # was not asked for
    np.testing.assert_allclose(np.diag(one.noise_correlation), 1)
    assert np.abs(one.noise_correlation).max() == pytest.approx(1)


def test_map_and_course_are_right_within_their_errors():
    rng = np.random.default_rng(5)
    z_map, z_course = [], []
    for _ in range(60):
        values, error = noisy(product(), rng)
        result = separate(values, error, DELAYS, field() > 0.05, n_bootstrap=0)
        z_map.append((result.spatial_map - 0.3 * field()) / result.spatial_map_se)
        scale = np.dot(result.time_course, COURSE) / np.dot(COURSE, COURSE)
        z_course.append((result.time_course - scale * COURSE) / result.time_course_se)
    outside = np.array(z_map)[:, field() < 0.01]
    assert outside.std() == pytest.approx(1, abs=0.02)
    assert outside.mean() == pytest.approx(0, abs=0.02)
    assert np.std(z_course) == pytest.approx(1, abs=0.1)
    assert np.abs(np.mean(z_map, axis=0)).max() < 0.7


@pytest.mark.parametrize("is_product", [True, False])
def test_errors_that_differ_between_delays_and_blocks_are_weighed(is_product):
    rng = np.random.default_rng(6)
    if is_product:
        error = 0.02 * rng.uniform(0.5, 2, (20, 1, 1)) * rng.uniform(0.5, 2, (1, 20, 24))
    else:
        error = 0.02 * np.exp(rng.normal(size=(20, 20, 24)))
    region, z = field() > 0.05, []
    for _ in range(40):
        values = product() + rng.normal(size=error.shape) * error
        result = separate(values, error, DELAYS, region, n_bootstrap=0)
        z.append((result.spatial_map - 0.3 * field()) / result.spatial_map_se)
    assert np.array(z)[:, field() < 0.01].std() == pytest.approx(1, abs=0.03)
    variance = np.diag(noise_covariance(values / error, DELAYS, region))
    information = np.sum((result.spatial_map[region] / error[:, region]) ** 2, axis=1)
    np.testing.assert_allclose(result.time_course_se, np.sqrt(variance / information))


@pytest.mark.parametrize("shape", [(15, 60), (4, 500), (1, 60)])
def test_the_first_singular_value_of_noise_stays_below_its_edge_in_19_of_20_matrices(shape):
    noise = np.random.default_rng(11).normal(size=(600, *shape))
    n_below = int(np.sum(np.linalg.svd(noise, compute_uv=False)[:, 0] < noise_edge(*shape)))
    assert binomtest(n_below, 600, 0.95).pvalue > 0.01


def test_the_edge_of_noise_is_johnstones():
    # for 257 by 256 both roots are 16: (16 + 16)^2, and 0.98 deviations of (16 + 16) (1/16 + 1/16)^(1/3) = 16
    assert noise_edge(257, 256) ** 2 == pytest.approx(1024 + 0.98 * 16)


@pytest.mark.parametrize(("n_delays", "n_blocks"), [(15, 60), (60, 15), (2, 500), (1, 40)])
def test_shrinking_undoes_what_noise_adds_to_singular_values_above_its_edge(n_delays, n_blocks):
    edge = noise_edge(n_delays, n_blocks)
    alone = edge * np.array([1 + 1e-9, 1.05, 1.5, 10])
    found = shrunk(alone, n_delays, n_blocks)
    assert (found > 0).all()
    np.testing.assert_allclose(np.sqrt((found + n_delays / found) * (found + n_blocks / found)), alone)
    noise = [0, 1, np.sqrt(n_delays + n_blocks), edge]
    np.testing.assert_array_equal(shrunk(np.array(noise), n_delays, n_blocks), 0)


@pytest.mark.parametrize("sigma_um", 60 * 2 ** np.arange(0.5, 2.1, 0.25))
def test_the_scale_of_a_field_is_found_to_a_quarter_of_an_octave(sigma_um):
    clean = product(shape=(40, 40), centre_um=(1600, 1200), sigma_um=sigma_um, height=3)
    found = find_region(clean / ERROR, DELAYS, BLOCK).scale_um
    assert abs(np.log2(found / sigma_um)) < 0.3


def test_a_known_field_is_split_exactly():
    result = separate(product(), np.full((20, 20, 24), 1e-6), DELAYS, field() > 0.05)
    np.testing.assert_allclose(result.time_course, COURSE, atol=1e-6)
    np.testing.assert_allclose(result.spatial_map, 0.3 * field(), atol=1e-6)
    assert (result.separability, result.p_inseparable, result.reason) == (1, 1, "")


@pytest.mark.parametrize("n_outside", [0, 436])
def test_errors_are_those_of_generalised_least_squares(n_outside):
    rng = np.random.default_rng(12)
    error = 0.01 * rng.uniform(0.5, 2, (20, 1, 1)) * rng.uniform(0.5, 2, (1, 20, 24))
    error[:, 0, 0] *= 1e4  # nearly nothing is known of one block
    region = np.arange(480).reshape(20, 24) >= n_outside
    noise = np.einsum(
        "ij,jyx->iyx", np.linalg.cholesky(0.8 * toeplitz(0.6 ** np.arange(20))), rng.normal(size=error.shape)
    )
    clean = product(centre_um=(1500, 1150), sigma_um=200)
    values = np.where(region, clean, error * noise)
    covariance = noise_covariance(values / error, DELAYS, region)
    assert (covariance == np.eye(20)).all() == (n_outside == 0)
    result = separate(values, error, DELAYS, region, n_bootstrap=0)
    np.testing.assert_allclose(result.time_course, COURSE, atol=1e-12)
    np.testing.assert_allclose(result.spatial_map[region], (0.3 * field(centre_um=(1500, 1150), sigma_um=200))[region])
    inverse = np.linalg.inv(covariance[4:, 4:])
    z = (values / error)[4:, region]
    assert result.singular_values.shape == (16,)
    assert np.sum(result.singular_values**2) == pytest.approx(np.einsum("ib,ij,jb", z, inverse, z))
    assert result.separability == 1
    onto = COURSE[4:, None, None] / error[4:]
    information = np.einsum("iyx,ij,jyx->yx", onto, inverse, onto)
    np.testing.assert_allclose(result.spatial_map_se, 1 / np.sqrt(information))
    expected = np.einsum("iyx,ij,jyx->yx", onto, inverse, values[4:] / error[4:]) / information
    np.testing.assert_allclose(result.spatial_map, expected, atol=1e-12)
    onto = result.spatial_map[region] / error[:, region]
    np.testing.assert_allclose(result.time_course_se, np.sqrt(np.diag(covariance) / np.sum(onto**2, axis=1)))
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(result.noise_correlation, covariance / np.outer(deviation, deviation))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("value", "error"),
    [(np.nan, 1), (np.inf, 1), (-np.inf, 1), (1, np.nan), (1, np.inf), (1, 0), (1, -1)],
)
def test_a_block_without_a_value_at_one_delay_has_none_on_the_map_or_its_delay_none_in_the_course(value, error, causal):
    values, errors = product(shape=(5, 6), centre_um=(200.0, 150.0)), np.full((20, 5, 6), 1e-6)
    where = (7 if causal else 2, 2, 3)
    values[where], errors[where] = value, error
    region = np.ones((5, 6), bool)
    result = separate(values, errors, DELAYS, region, n_bootstrap=0)
    expected_map, expected_course = 0.3 * field(shape=(5, 6), centre_um=(200.0, 150.0)), COURSE.copy()
    if causal:
        expected_map[2, 3] = np.nan
    else:
        expected_course[2] = np.nan
    for found in (result.spatial_map, np.where(np.isfinite(result.spatial_map_se), result.spatial_map, np.nan)):
        np.testing.assert_allclose(found, expected_map, atol=1e-12)
    for found in (result.time_course, np.where(np.isfinite(result.time_course_se), result.time_course, np.nan)):
        np.testing.assert_allclose(found, expected_course, atol=1e-12)


def test_a_course_is_1_where_it_is_largest_before_the_spike():
    values = product()
    values[1] = -2 * values[8]
    result = separate(values, np.full(values.shape, 1e-6), DELAYS, field() > 0.05, n_bootstrap=0)
    np.testing.assert_allclose(result.time_course, COURSE - 2 * (np.arange(20) == 1), atol=1e-6)


def two_components(second):
    other = np.roll(COURSE, 4) * (np.arange(20) > 6)
    left, right = field(centre_um=(830, 650)), field(centre_um=(1000, 650))
    return 0.3 * (COURSE[:, None, None] * left + second * other[:, None, None] * right)


def test_separability_is_what_it_is_without_noise():
    clean = two_components(1)
    region = field(sigma_um=150) > 0.1
    s = np.linalg.svd(clean[4:][:, region], compute_uv=False)
    expected = s[0] ** 2 / np.sum(s**2)
    rng = np.random.default_rng(7)
    found = [separate(*noisy(clean, rng), DELAYS, region, n_bootstrap=0).separability for _ in range(60)]
    assert expected < 0.9
    assert np.mean(found) == pytest.approx(expected, abs=0.01)


def test_separability_is_the_share_of_the_first_component_both_less_what_noise_adds():
    region = field(sigma_um=150) > 0.1
    values, error = noisy(two_components(1), np.random.default_rng(7))
    for n_bootstrap in (0, 5):
        result = separate(values, error, DELAYS, region, n_bootstrap=n_bootstrap)
        signal = shrunk(result.singular_values[:1], 16, region.sum())[0]
        energy = np.sum(result.singular_values**2) - 16 * region.sum()
        assert result.separability == pytest.approx(signal**2 / energy)
        assert result.separability < 0.9


def test_what_is_left_must_be_more_than_the_noise_should_be():
    region = np.ones((3, 3), bool)
    for excess, separability in ((0.5, 1), (-0.5, np.nan)):
        values = np.full((20, 3, 3), np.sqrt(1 + excess / (16 * 9)))
        result = separate(values, np.ones(values.shape), DELAYS, region, n_bootstrap=0)
        assert result.separability == pytest.approx(separability, nan_ok=True)
        assert ("smaller than the noise should be" in result.reason) == (excess < 0)


def test_p_is_uniform_for_separable_fields_and_small_for_others():
    rng = np.random.default_rng(8)
    region = field(sigma_um=150) > 0.1
    p = np.array([separate(*noisy(product(), rng), DELAYS, region, n_bootstrap=99).p_inseparable for _ in range(150)])
    assert binomtest(int(np.sum(p <= 0.1)), p.size, 0.1).pvalue > 0.01
    assert binomtest(int(np.sum(p <= 0.5)), p.size, 0.5).pvalue > 0.01
    inseparable = separate(*noisy(two_components(1), rng), DELAYS, region, n_bootstrap=99)
    assert inseparable.p_inseparable == pytest.approx(0.01)


def test_unless_told_199_fields_are_simulated_with_seed_0():
    values, error = noisy(product(), np.random.default_rng(10))
    what = (values, error, DELAYS, field(sigma_um=150) > 0.1)
    found = separate(*what).p_inseparable
    assert found == separate(*what, n_bootstrap=199, seed=0).p_inseparable
    assert {separate(*what, n_bootstrap=199, seed=seed).p_inseparable for seed in range(1, 6)} != {found}


def test_missing_delays_and_blocks_are_passed_over():
    values, error = noisy(product(), np.random.default_rng(9))
    values[6] = np.nan
    error[:, 0, 0], error[:, 0, 1] = 0, np.inf
    result = separate(values, error, DELAYS, field() > 0.05)
    assert np.isnan(result.time_course[6])
    assert np.isnan(result.spatial_map[0, :2]).all()
    assert np.isfinite(result.time_course).sum() == 19
    assert result.separability > 0.9


@pytest.mark.parametrize(
    ("values", "delays", "words"),
    [
        (np.full((20, 3, 4), np.nan), DELAYS, "no finite value in the region"),
        (np.ones((4, 3, 3)), DELAYS[:4], "no finite value in the region"),
        (np.ones((1, 3, 3)), [0.05], "1 delay(s) by 9 block(s) are always separable"),
        (np.ones((16, 1, 1)), DELAYS[4:], "16 delay(s) by 1 block(s) are always separable"),
        (np.zeros((20, 3, 3)), DELAYS, "no component stands out"),
        (np.random.default_rng(0).normal(size=(20, 3, 3)), DELAYS, "no component stands out"),
        (np.full((20, 3, 3), 0.7), DELAYS, "smaller than the noise should be"),
    ],
)
def test_what_cannot_be_separated_says_why(values, delays, words):
    result = separate(values, np.ones(values.shape), delays, np.ones(values.shape[1:], bool))
    assert np.isnan([result.separability, result.p_inseparable]).all()
    assert words in result.reason
    assert result.time_course.shape == result.time_course_se.shape == values.shape[:1]
    assert result.spatial_map.shape == result.spatial_map_se.shape == values.shape[1:]
    assert result.noise_correlation.shape == 2 * values.shape[:1]
    if words == "no finite value in the region":
        assert np.isnan(result.time_course).all()
        assert np.isnan(result.spatial_map).all()
        assert result.singular_values.size == 0


def test_bad_input_is_refused_in_words():
    values = np.ones((20, 3, 4))
    for wrong in (
        (values, values[0], DELAYS),
        (values, values[:, :2], DELAYS),
        (values[:, :2], values, DELAYS),
        (values, values, DELAYS[1:]),
        (values[1:], values[1:], DELAYS),
        (values[..., 0], values[..., 0], DELAYS),
        (values[..., None], values[..., None], DELAYS),
    ):
        with pytest.raises(ContractError, match="do not agree, expected"):
            separate(*wrong, np.ones(wrong[0].shape[1:], bool))
    for shape in ((4, 3), (2, 4), (3, 5)):
        with pytest.raises(ContractError, match=rf"the region has shape \({shape[0]}, {shape[1]}\), expected \(3, 4\)"):
            separate(values, values, DELAYS, np.ones(shape, bool))
