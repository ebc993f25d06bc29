import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from dj_neuron.errors import ContractError
from dj_neuron.strf import FieldShape, measure_mosaics

SCREEN_UM = (2000.0, 1500.0)


def fields(centres, sigma_um=100.0):
    return [
        FieldShape(
            centre_x_um=float(x), centre_y_um=float(y), sigma_major_um=sigma_um, sigma_minor_um=sigma_um, angle_deg=0.0
        )
        for x, y in centres
    ]


def lattice(jitter_um, seed=0, spacing_um=250.0):
    x, y = np.meshgrid(np.arange(spacing_um / 2, 2000, spacing_um), np.arange(spacing_um / 2, 1500, spacing_um))
    centres = np.column_stack([x.ravel(), y.ravel()])
    return centres + np.random.default_rng(seed).normal(size=centres.shape) * jitter_um


def on_mosaic(centres, **options):
    return measure_mosaics(fields(centres), np.ones(len(centres)), SCREEN_UM, **options)[1]


def test_a_lattice_is_more_regular_than_chance():
    mosaic = on_mosaic(lattice(20))
    assert mosaic.regularity_index > 2 * mosaic.random_regularity_index
    assert mosaic.p_random == pytest.approx(0.001)
    assert mosaic.n_fields == 48
    assert mosaic.reason == ""


@pytest.mark.parametrize("n_fields", [5, 30])
def test_p_is_uniform_for_random_mosaics(n_fields):
    rng = np.random.default_rng(1)
    p = [on_mosaic(rng.random((n_fields, 2)) * SCREEN_UM, n_random=49, seed=k).p_random for k in range(80)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_random_points_have_the_index_of_the_textbook():
    points = np.random.default_rng(2).random((800, 2)) * SCREEN_UM
    assert on_mosaic(points, n_random=9).random_regularity_index == pytest.approx(1.91, abs=0.15)


@settings(max_examples=30)
@given(st.integers(3, 25), st.integers(0, 10**6), st.sampled_from([1.0, 1e-4]))
def test_nearest_distances_agree_with_a_naive_loop_at_any_scale(n_fields, seed, scale):
    centres = np.random.default_rng(seed).random((n_fields, 2)) * SCREEN_UM * scale
    mosaic = on_mosaic(centres, n_random=1)
    naive = [min(np.hypot(*(a - b)) for j, b in enumerate(centres) if j != i) for i, a in enumerate(centres)]
    np.testing.assert_allclose(mosaic.nearest_um, naive)
    assert mosaic.regularity_index == pytest.approx(np.mean(naive) / np.std(naive, ddof=1))


def test_coverage_is_density_times_area():
    mosaic = measure_mosaics(fields(lattice(5, spacing_um=100), 80.0), np.ones(300), SCREEN_UM, n_random=9)[1]
    expected = np.pi * 80**2 / 100**2
    assert mosaic.coverage_factor == pytest.approx(expected, rel=0.1)  # less at the rim


def test_on_and_off_are_apart_and_others_take_no_part():
    centres = lattice(20)
    polarities = np.where(np.arange(48) < 30, 1.0, -1.0)
    polarities[:3] = np.nan
    both = fields(centres)
    both[40] = FieldShape(centre_x_um=100.0)  # bars: one axis only
    mosaics = measure_mosaics(both, polarities, SCREEN_UM, n_random=9)
    assert (mosaics[1].n_fields, mosaics[-1].n_fields) == (27, 17)


def test_fields_of_unknown_size_count_as_average():
    known, some = fields(lattice(5, spacing_um=100)), fields(lattice(5, spacing_um=100))
    some[150] = FieldShape(centre_x_um=some[150].centre_x_um, centre_y_um=some[150].centre_y_um)
    one, other = (measure_mosaics(f, np.ones(300), SCREEN_UM, n_random=1)[1].coverage_factor for f in (known, some))
    assert other == pytest.approx(one, rel=0.01)


@pytest.mark.parametrize("n_fields", [0, 1, 2])
def test_too_few_fields_form_no_mosaic(n_fields):
    mosaic = on_mosaic(lattice(20)[:n_fields])
    assert mosaic.reason == f"{n_fields} field(s) form no mosaic, expected at least 3"
    assert np.isnan([mosaic.regularity_index, mosaic.p_random, mosaic.coverage_factor]).all()


def test_few_fields_are_a_warning_and_lines_have_no_coverage():
    mosaic = on_mosaic([[100, 100], [200, 100], [400, 100], [900, 100]])
    assert "4 fields are few" in mosaic.reason
    assert np.isnan(mosaic.coverage_factor)
    assert 0 < mosaic.p_random <= 1


def test_the_same_seed_gives_the_same_p():
    assert on_mosaic(lattice(60), seed=4).p_random == on_mosaic(lattice(60), seed=4).p_random


def test_bad_input_is_refused_in_words():
    with pytest.raises(ContractError, match=r"polarities have shape \(2,\), expected \(3,\)"):
        measure_mosaics(fields(lattice(1)[:3]), [1, -1], SCREEN_UM)
