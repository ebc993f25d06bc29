import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.stats import binomtest

from dj_neuron.strf import FrameClock, measure_time_course, separate, spike_triggered_average
from dj_neuron.strf.noise import noise_covariance, whitening

DELAYS = np.arange(-4, 16) / 60
COURSE = np.array([0, 0, 0, 0, 0, 0.1, 0.5, 0.9, 1, 0.8, 0.4, 0, -0.2, -0.4, -0.5, -0.4, -0.3, -0.2, -0.1, 0])
COVARIANCE = 0.8 * toeplitz(0.6 ** np.arange(20))
REGION = np.zeros((20, 24), bool)
REGION[7:13, 9:15] = True


def correlated(rng, shape=(20, 24)):
    return np.einsum("ij,jyx->iyx", np.linalg.cholesky(COVARIANCE), rng.normal(size=(20, *shape)))


def field():
    y, x = np.mgrid[:20, :24]
    return np.exp(-((x - 11.4) ** 2 + (y - 9.7) ** 2) / (2 * 1.2**2))


def test_the_covariance_is_that_of_the_noise_and_not_of_the_field():
    z = correlated(np.random.default_rng(1)) + 50 * COURSE[:, None, None] * np.where(REGION, field(), 0)
    found = noise_covariance(z, DELAYS, REGION)
    assert found == pytest.approx(COVARIANCE, abs=0.06)
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_delays_and_blocks_without_a_value_are_passed_over():
    z = correlated(np.random.default_rng(2))
    z[6] = np.nan
    z[:, :, 0] = np.inf
    assert noise_covariance(z, DELAYS, REGION) == pytest.approx(COVARIANCE, abs=0.1)


def test_few_blocks_and_uneven_delays_tell_nothing():
    z = correlated(np.random.default_rng(3))
    few = np.ones((20, 24), bool)
    few[0] = False
    assert (noise_covariance(z, DELAYS, few) == np.eye(20)).all()
    assert (noise_covariance(z, np.r_[DELAYS[:-1], 1.0], REGION) == np.eye(20)).all()
    assert noise_covariance(z[:1], DELAYS[:1], REGION) == pytest.approx(np.array([[0.8]]), abs=0.15)


@pytest.mark.parametrize(("n_blocks", "told"), [(99, False), (100, True)])
def test_a_hundred_blocks_with_a_value_at_some_delay_are_enough(n_blocks, told):
    z = correlated(np.random.default_rng(6))
    z[:10, 0, 0] = np.nan
    z[:, 0, 1:4] = np.nan
    region = np.arange(480).reshape(20, 24) >= n_blocks + 3
    assert (noise_covariance(z, DELAYS, region) == np.eye(20)).all() != told


@pytest.mark.parametrize(("uneven", "told"), [(0.0005, True), (0.002, False), (-0.002, False)])
def test_steps_between_delays_may_differ_by_a_thousandth(uneven, told):
    z, delays = correlated(np.random.default_rng(7))[:4], DELAYS[:4].copy()
    delays[3] += uneven / 60
    assert (noise_covariance(z, delays, REGION) == np.eye(4)).all() != told


@pytest.mark.parametrize("farthest", [[0.3], []])
def test_the_covariance_of_a_lag_is_the_mean_over_all_pairs_so_far_apart_or_none(farthest):
    z = correlated(np.random.default_rng(8))[:4]
    z[1, 5] = np.nan
    z[3, :6] = np.inf
    z[3, 7:] = np.nan
    z[3, 6, 3:] = np.nan
    z[0, 6, 1:] = np.nan
    z[[0, 3], 6, 0] = 0.5, farthest[0] if farthest else np.nan  # the only pair at lag 3
    products = [[] for _ in range(4)]
    for y, x in np.argwhere(~REGION):
        for first in range(4):
            for second in range(first, 4):
                product = z[first, y, x] * z[second, y, x]
                if np.isfinite(product):
                    products[second - first].append(product)
    assert len(products[3]) == len(farthest)
    expected = toeplitz([np.mean(of_lag) if of_lag else 0 for of_lag in products])
    assert np.linalg.eigvalsh(expected)[0] > 0.06
    np.testing.assert_allclose(noise_covariance(z, DELAYS[:4], REGION), expected, atol=1e-12)


def test_whitening_leaves_out_what_delays_share_and_nothing_else():
    independent = np.random.default_rng(9).normal(size=(10, 20, 24))
    covariance = noise_covariance(np.repeat(independent, 2, axis=0), DELAYS, REGION)
    heights = np.linalg.eigvalsh(covariance)
    is_floor = np.isclose(heights, heights[0])
    assert 1 < is_floor.sum() < 10
    whiten, root = whitening(covariance)
    assert whiten.shape == root.T.shape == (20 - is_floor.sum(), 20)
    np.testing.assert_allclose(whiten @ root, np.eye(len(whiten)), atol=1e-12)
    np.testing.assert_allclose(whiten @ covariance @ whiten.T, np.eye(len(whiten)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance - root @ root.T)[-is_floor.sum() :], heights[0])


def test_averages_of_bursts_share_the_noise_of_their_spike_counts():
    rng = np.random.default_rng(4)
    frames = rng.choice([-1, 1], (3000, 20, 24))
    first = rng.uniform(1, 50, 750)
    train = np.sort(np.concatenate([first, first + 1 / 60, first + 2 / 60]))
    average = spike_triggered_average(frames, FrameClock.regular(60, 3000, 1.0), [train], DELAYS)
    found = noise_covariance(average.z[0], DELAYS, REGION)
    counts = np.bincount(((train - 1) * 60).astype(int), minlength=3000)[:3000]
    away = counts - counts.mean()
    expected = [away[: 3000 - lag] @ away[lag:] / np.sum(counts**2) for lag in range(6)]
    assert found[0, :6] == pytest.approx(np.array(expected), abs=0.06)


def test_correlated_noise_makes_no_field_inseparable_and_no_error_too_small():
    rng = np.random.default_rng(5)
    p, z_map, peaks = [], [], []
    for _ in range(80):
        values = 0.05 * (8 * COURSE[:, None, None] * field() + correlated(rng))
        split = separate(values, np.full(values.shape, 0.05), DELAYS, REGION, n_bootstrap=49)
        p.append(split.p_inseparable)
        z_map.append(((split.spatial_map - 0.4 * field()) / split.spatial_map_se)[~REGION])
        course = measure_time_course(
            split.time_course,
            split.time_course_se,
            DELAYS,
            noise_correlation=split.noise_correlation,
            n_bootstrap=20,
        )
        peaks.append([course.time_to_peak_s, course.time_to_peak_s_se])
    assert binomtest(int(np.sum(np.array(p) <= 0.1)), 80, 0.1).pvalue > 0.01
    assert binomtest(int(np.sum(np.array(p) <= 0.5)), 80, 0.5).pvalue > 0.01
    assert np.std(z_map) == pytest.approx(1, abs=0.03)
    values, errors = np.array(peaks).T
    assert np.median(errors) == pytest.approx(values.std(), rel=0.4)
