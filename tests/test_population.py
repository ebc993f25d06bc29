from dataclasses import replace

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


@pytest.mark.parametrize("bars", [{"centre_x_um": 100.0}, {"centre_y_um": 100.0}])
def test_on_and_off_are_apart_and_others_take_no_part(bars):
    centres = lattice(20)
    polarities = np.where(np.arange(48) < 30, 1.0, -1.0)
    polarities[:5] = [np.nan, 0, 2, -2, 0.5]
    both = fields(centres)
    both[40] = FieldShape(**bars)
    mosaics = measure_mosaics(both, polarities, SCREEN_UM, n_random=9)
    assert [*mosaics] == [1, -1]
    for polarity, used in ((1, centres[5:30]), (-1, centres[np.r_[30:40, 41:48]])):
        assert (mosaics[polarity].polarity, mosaics[polarity].n_fields) == (polarity, len(used))
        np.testing.assert_array_equal(mosaics[polarity].nearest_um, on_mosaic(used, n_random=1).nearest_um)


def test_on_and_off_are_compared_with_random_mosaics_of_their_own():
    twice = np.tile(lattice(60), (2, 1))
    mosaics = measure_mosaics(fields(twice), np.repeat([1, -1], 48), SCREEN_UM, n_random=9)
    assert mosaics[1].regularity_index == mosaics[-1].regularity_index
    assert mosaics[1].random_regularity_index != mosaics[-1].random_regularity_index


def test_random_points_fill_the_screen_that_was_given():
    # where neighbours lie on one line their distances are exponential: the mean is the standard deviation
    points = np.random.default_rng(2).random((800, 2)) * SCREEN_UM
    for screen_um in ((2000.0, 1e-3), (1e-3, 2000.0)):
        mosaic = measure_mosaics(fields(points), np.ones(800), screen_um, n_random=5)[1]
        assert mosaic.random_regularity_index == pytest.approx(1, abs=0.1)


def test_a_perfect_lattice_is_infinitely_regular_and_a_cluster_less_than_any_random_mosaic():
    mosaic = on_mosaic(lattice(0), n_random=19)
    assert (mosaic.regularity_index, mosaic.p_random) == (np.inf, 1 / 20)
    cluster = np.random.default_rng(3).normal(size=(19, 2))
    assert on_mosaic([*cluster, [2000.0, 1500.0]], n_random=19).p_random == 1


def test_unless_told_999_mosaics_are_drawn_with_seed_0():
    centres = lattice(100)[:5]
    told, untold = on_mosaic(centres, n_random=999, seed=0), on_mosaic(centres)
    assert told.p_random == untold.p_random
    assert told.random_regularity_index == untold.random_regularity_index


def test_fields_of_unknown_size_count_as_average():
    known, some = fields(lattice(5, spacing_um=100)), fields(lattice(5, spacing_um=100))
    some[150] = FieldShape(centre_x_um=some[150].centre_x_um, centre_y_um=some[150].centre_y_um)
    one, other = (measure_mosaics(f, np.ones(300), SCREEN_UM, n_random=1)[1].coverage_factor for f in (known, some))
    assert other == pytest.approx(one, rel=0.01)


def coverage(fields):
    return measure_mosaics(fields, np.ones(len(fields)), SCREEN_UM, n_random=1)[1].coverage_factor


@pytest.mark.parametrize("unknown", [("sigma_major_um",), ("sigma_minor_um",), ("sigma_major_um", "sigma_minor_um")])
def test_fields_that_cover_everything_cover_it_as_often_as_there_are_fields(unknown):
    large = fields([[0, 0], [800, 0], [800, 600], [0, 600], [300, 200]], 1e5)
    assert coverage(large) == 5
    large[1] = replace(large[1], **dict.fromkeys(unknown, np.nan))
    assert coverage(large) == 5
    assert np.isnan(coverage([replace(field, **dict.fromkeys(unknown, np.nan)) for field in large]))


@pytest.mark.parametrize("corner", range(4))
def test_only_the_part_of_an_ellipse_within_the_hull_counts(corner):
    rectangle = fields([[100, 50], [900, 50], [900, 650], [100, 650]], 1e-3)
    rectangle[corner] = replace(rectangle[corner], sigma_major_um=400.0, sigma_minor_um=100.0)
    assert coverage(rectangle) == pytest.approx(np.pi * 400 * 100 / 4 / (800 * 600), rel=0.15)
    triangle = fields([[0, 0], [1000, 0], [0, 800]], 1e-3)
    triangle[corner % 3] = replace(triangle[corner % 3], sigma_major_um=400.0, sigma_minor_um=400.0)
    angle = (np.pi / 2, np.arctan(0.8), np.arctan(1.25))[corner % 3]
    assert coverage(triangle) == pytest.approx(angle * 400**2 / 2 / 400_000, rel=0.1)


def test_an_ellipse_lies_as_it_is_turned():
    square = fields([[0, 0], [600, 0], [600, 600], [0, 600]], 1e-3)
    along, across = (
        coverage([replace(square[0], sigma_major_um=400.0, sigma_minor_um=100.0, angle_deg=angle_deg), *square[1:]])
        for angle_deg in (45.0, 135.0)
    )
    # the quarter plane is a sector of 2 atan(4) or 2 atan(1 / 4) where the ellipse is drawn out to a circle
    assert along == pytest.approx(np.arctan(4) * 400 * 100 / 600**2, rel=0.15)
    assert across == pytest.approx(np.arctan(1 / 4) * 400 * 100 / 600**2, rel=0.15)


@pytest.mark.parametrize("n_fields", [0, 1, 2])
def test_too_few_fields_form_no_mosaic(n_fields):
    mosaic = on_mosaic(lattice(20)[:n_fields])
    assert mosaic.reason == f"{n_fields} field(s) form no mosaic, expected at least 3"
    assert (mosaic.polarity, mosaic.n_fields) == (1, n_fields)
    distance_um = np.hypot(*np.diff(lattice(20)[:2], axis=0)[0])
    np.testing.assert_allclose(mosaic.nearest_um, [distance_um] * 2 if n_fields == 2 else [])
    assert np.isnan([mosaic.regularity_index, mosaic.p_random, mosaic.coverage_factor]).all()


def test_few_fields_are_a_warning_and_lines_have_no_coverage():
    mosaic = on_mosaic([[100, 100], [200, 100], [400, 100], [900, 100]])
    assert "4 fields are few" in mosaic.reason
    assert np.isnan(mosaic.coverage_factor)
    assert 0 < mosaic.p_random <= 1
    assert "9 fields are few" in on_mosaic(lattice(20)[:9]).reason
    assert on_mosaic(lattice(20)[:10]).reason == ""


def test_the_same_seed_gives_the_same_p():
    assert on_mosaic(lattice(60), seed=4).p_random == on_mosaic(lattice(60), seed=4).p_random


def test_bad_input_is_refused_in_words():
    for polarities, shape in (([1, -1], r"\(2,\)"), ([1, -1, 1, 1], r"\(4,\)"), ([[1], [1], [1]], r"\(3, 1\)")):
        with pytest.raises(ContractError, match=rf"polarities have shape {shape}, expected \(3,\)"):
            measure_mosaics(fields(lattice(1)[:3]), polarities, SCREEN_UM)
