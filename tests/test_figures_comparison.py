"""Two estimates beside each other, cuts through fields, and the null of the test: the numbers behind the pictures."""

import dataclasses
import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dj_neuron import figures
from dj_neuron.contracts import ReceptiveFieldResult, SpikeLedger, StimulationId, Strf
from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.comparison import compared_delays, map_correlations
from dj_neuron.figures.spatial_profile import field_profiles
from dj_neuron.pictures.sentences import names_of_two, numbers_text

RATE_HZ = 50.0
STIMULATION = StimulationId("WT", datetime.date(2020, 3, 1), 1, 2)
SHORT_S = np.arange(-2, 1) / RATE_HZ


def make_strf(values, delays_s, **changes):
    values = np.asarray(values, np.float64)
    n_used, zeros = np.full(len(values), 400), np.zeros(len(values), np.int64)
    made = Strf(
        stimulation_id=STIMULATION,
        neuron_id=7,
        delays_s=np.asarray(delays_s, np.float64),
        values=values,
        standard_error=np.full(values.shape, 0.1),
        ledger=SpikeLedger(n_used, zeros, zeros, zeros),
        pixel_mean=np.zeros(values.shape[1:]),
        centred=True,
        frame_rule="floor",
        frame_rate_hz=RATE_HZ,
        block_size_um=(40.0, 50.0),
    )
    return dataclasses.replace(made, **changes)


def random_strf(shape, seed=0, first=-2, **changes):
    rng = np.random.default_rng(seed)
    return make_strf(rng.normal(size=shape), np.arange(first, first + shape[0]) / RATE_HZ, **changes)


def make_field(n_y=20, n_x=24, block_um=(40.0, 50.0), angle_deg=30.0, sigmas_um=(150.0, 70.0), **changes):
    """A Gaussian field off the middle of the screen, sampled at the centres of its blocks."""
    centre_um = (0.45 * n_x * block_um[0], 0.55 * n_y * block_um[1])
    x_um = (np.arange(n_x) + 0.5) * block_um[0] - centre_um[0]
    y_um = ((np.arange(n_y) + 0.5) * block_um[1] - centre_um[1])[:, None]
    angle = np.deg2rad(angle_deg)
    along, across = x_um * np.cos(angle) + y_um * np.sin(angle), -x_um * np.sin(angle) + y_um * np.cos(angle)
    axes = "x" * (n_x > 1) + "y" * (n_y > 1)
    if axes == "x":
        along, across = np.broadcast_to(x_um, (1, n_x)), np.zeros((1, n_x))
    if axes == "y":
        along, across = np.broadcast_to(y_um, (n_y, 1)), np.zeros((n_y, 1))
    shape = np.exp(-((along / sigmas_um[0]) ** 2 + (across / sigmas_um[1]) ** 2) / 2)
    measures = {
        "polarity": 1.0, "centre_x_um": centre_um[0], "centre_y_um": centre_um[1], "sigma_major_um": sigmas_um[0],
        "sigma_minor_um": sigmas_um[1], "angle_deg": angle_deg, "amplitude": 0.3, "peak_z": -9.0, "threshold_z": 4.5,
        "p_value": 0.001,
    }  # fmt: skip
    delays_s = np.arange(5) / RATE_HZ
    values = {
        "stimulation_id": STIMULATION,
        "neuron_id": 7,
        "parameter_ids": {},
        "delays_s": delays_s,
        "block_size_um": block_um,
        "significant": np.zeros((5, n_y, n_x), bool),
        "region": shape > 0.3,
        "spatial_map": 0.3 * shape,
        "spatial_map_se": np.full((n_y, n_x), 0.02),
        "time_course": np.ones(5),
        "time_course_se": np.ones(5),
        "null_maxima": np.linspace(3, 4, 50),
        "axes": axes,
        "model": "gaussian",
        "measures": measures | changes.pop("measures", {}),
        "reasons": {},
        "nonlinearity": None,
        "growth": None,
    }
    return ReceptiveFieldResult(**(values | changes))


def new_axes(size=(5.0, 3.0)):
    return Figure(figsize=size, dpi=100).add_axes((0.15, 0.15, 0.7, 0.7))


def words_of(ax):
    return " ".join(text.get_text() for text in ax.texts)


def labelled(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


# --- two estimates ---------------------------------------------------------------------------------


def test_courses_are_those_of_the_first_peak_with_a_band_each():
    first, second = random_strf((8, 4, 5)), random_strf((8, 4, 5), seed=1)
    _, row, column = figures.peak_of(first)
    ax = figures.draw_compared_courses(first, second, new_axes(), ("floor", "nearest"))
    for strf, name, colour in ((first, "floor", style.INK), (second, "nearest", style.OTHER)):
        line = labelled(ax, name)
        np.testing.assert_allclose(line.get_xdata(), strf.delays_s * 1e3)
        np.testing.assert_allclose(line.get_ydata(), strf.values[:, row, column])
        assert to_hex(line.get_color()) == colour
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(first.values[:, row, column].max() + 0.1)
    assert ax.get_title(loc="left").startswith(
        f"block at x = {(column + 0.5) * 40:.0f} µm, y = {(row + 0.5) * 50:.0f} µm"
    )
    left, right = ax.get_xlim()
    assert left > right  # towards the spike


def test_estimates_in_different_units_are_drawn_relative_to_their_largest():
    first = random_strf((8, 3, 3))
    ridge = dataclasses.replace(
        first, values=first.values * 0.001, standard_error=first.standard_error * np.nan, estimator="ridge"
    )
    ax = figures.draw_compared_courses(first, ridge, new_axes(), ("average", "ridge"))
    np.testing.assert_allclose(labelled(ax, "average").get_ydata(), labelled(ax, "ridge").get_ydata())
    assert np.abs(labelled(ax, "ridge").get_ydata()).max() == pytest.approx(1)
    assert ax.get_ylabel() == "relative to the largest"
    labels = [ax.get_ylabel() for ax in figures.comparison_figure(first, ridge).axes]
    assert labels.count("contrast") == labels.count("ridge filter") == 1


def test_maps_are_correlated_at_common_delays_only():
    first = random_strf((6, 4, 4))
    second = dataclasses.replace(
        first, delays_s=first.delays_s + 2 / RATE_HZ, values=np.roll(first.values, -2, axis=0) * 3 + 1
    )
    delays_s, correlations = map_correlations(first, second)
    np.testing.assert_allclose(delays_s, first.delays_s[2:])
    expected = [np.corrcoef(first.values[i].ravel(), second.values[i - 2].ravel())[0, 1] for i in range(2, 6)]
    np.testing.assert_allclose(correlations, expected)
    ax = figures.draw_map_agreement(first, second, new_axes())
    line = next(line for line in ax.lines if len(line.get_xdata()) == 4)
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_the_same_estimate_twice_agrees_everywhere():
    strf = random_strf((5, 4, 4))
    np.testing.assert_allclose(map_correlations(strf, dataclasses.replace(strf, frame_rule="nearest"))[1], 1)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (random_strf((1, 4, 4), first=2), random_strf((1, 4, 4), first=5), "no delay in common"),
        (random_strf((3, 1, 1)), random_strf((3, 1, 1)), "no maps to compare"),
        (random_strf((3, 4, 4)), make_strf(np.full((3, 4, 4), np.nan), SHORT_S), "no maps to compare"),
    ],
)  # fmt: skip
def test_what_cannot_be_correlated_is_said(first, second, words):
    assert words_of(figures.draw_map_agreement(first, second, new_axes())).endswith(words)


def test_a_delay_that_only_one_has_stays_empty_in_the_other():
    first, second = random_strf((1, 4, 5), first=2), random_strf((1, 4, 5), first=5)
    figure = figures.comparison_figure(first, second, ("40 ms", "100 ms"))
    panels = [ax for ax in figure.axes if ax.get_title() in {"40 ms", "40 ms, peak", "100 ms", "100 ms, peak"}]
    assert [(ax.get_title(), bool(ax.images)) for ax in panels] == [
        ("100 ms", False), ("40 ms, peak", True), ("100 ms, peak", True), ("40 ms", False),
    ]  # fmt: skip
    assert [words_of(ax) for ax in panels if not ax.images] == ["not\ncomputed"] * 2
    assert len({ax.images[0].get_clim() for ax in panels if ax.images}) == 1


@settings(max_examples=30, deadline=None)
@given(n_first=st.integers(1, 40), n_second=st.integers(1, 40), shift=st.integers(-5, 45), seed=st.integers(0, 99))
def test_chosen_delays_hold_both_peaks_and_are_no_more_than_asked_for(n_first, n_second, shift, seed):
    first, second = random_strf((n_first, 2, 2), seed), random_strf((n_second, 2, 2), seed + 1, first=shift)
    chosen = compared_delays(first, second, 7)
    assert len(chosen) <= 7
    assert chosen == sorted(set(chosen), reverse=True)
    both = np.round([*first.delays_s, *second.delays_s], 6)
    assert set(np.round(chosen, 6)) <= set(both)
    for strf in (first, second):
        peak = figures.peak_of(strf)
        if peak is not None:
            assert np.isclose(chosen, strf.delays_s[peak[0]], atol=1e-6).any()


@pytest.mark.parametrize("shape", [(9, 6, 8), (9, 1, 30), (9, 30, 1), (9, 1, 1), (1, 6, 8), (1, 1, 30)])
def test_any_stimulus_is_compared_without_being_clipped(shape):
    figure = figures.comparison_figure(random_strf(shape), random_strf(shape, 1), ("one", "two"))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    bounds = figure.get_tightbbox(renderer)
    assert bounds.x0 >= 0
    assert bounds.y0 >= 0
    assert bounds.x1 <= figure.get_figwidth()
    assert bounds.y1 <= figure.get_figheight()


def test_bars_of_both_share_the_time_axis():
    figure = figures.comparison_figure(random_strf((9, 1, 20)), random_strf((3, 1, 20), 1, first=1))
    images = [ax for ax in figure.axes if ax.collections and "from the left" in ax.get_ylabel()]
    assert len({ax.get_xlim() for ax in images}) == 1
    assert len(images) == 2


def test_only_estimates_of_one_neuron_are_compared():
    strf = random_strf((3, 4, 4))
    with pytest.raises(ContractError, match="neuron 8, expected"):
        figures.comparison_figure(strf, dataclasses.replace(strf, neuron_id=8))
    with pytest.raises(ContractError, match="blocks"):
        figures.draw_map_agreement(strf, random_strf((3, 4, 5)), new_axes())


def test_two_estimates_are_named_by_what_they_differ_in():
    strf = random_strf((3, 2, 2), first=0)
    assert names_of_two(strf, dataclasses.replace(strf, frame_rule="nearest")) == (
        "frame on the screen", "nearest frame",
    )  # fmt: skip
    assert names_of_two(strf, dataclasses.replace(strf, estimator="ridge", min_spikes=20)) == (
        "average, any number of spikes", "ridge, at least 20 spikes",
    )  # fmt: skip
    one = random_strf((1, 2, 2), first=10)
    assert names_of_two(strf, one) == ("3 delays from 0 ms to 40 ms", "200 ms")


@pytest.mark.parametrize(
    ("numbers", "text"), [([3, 1, 2], "1 to 3"), ([1, 2], "1, 2"), ([], ""), ([5, 7, 8, 9, 9, 20], "5, 7 to 9, 20")]
)
def test_numbers_are_written_as_ranges(numbers, text):
    assert numbers_text(numbers) == text


# --- cuts through a field --------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    angle_deg=st.floats(0, 179.9), ratio=st.floats(0.5, 1.0), block=st.sampled_from([(20.0, 20.0), (25.0, 15.0)]),
)  # fmt: skip
def test_cuts_follow_the_fitted_axes_of_a_field_that_is_its_fit(angle_deg, ratio, block):
    field = make_field(60, 60, block, angle_deg, (130.0, 130.0 * ratio))
    for profile in field_profiles(field):
        expected = np.interp(profile.places_um, profile.fine_um, profile.fit)
        many = profile.n_blocks >= 4
        assert np.abs(profile.values - expected)[many].max() < 0.035  # of 0.3: few blocks are not the whole strip
        assert np.abs(profile.places_um).max() <= 4 * profile.sigma_um
    major, minor = field_profiles(field)
    assert (major.sigma_um, minor.sigma_um) == (130.0, 130.0 * ratio)


def test_a_cut_is_the_mean_of_the_blocks_beside_the_axis():
    """A naive loop over blocks gives the same bins, values and errors."""
    field = make_field(angle_deg=120.0)
    major, _ = field_profiles(field)
    angle = np.deg2rad(120.0)
    direction = -np.array([np.cos(angle), np.sin(angle)])  # towards the right
    step_um = np.hypot(direction[0] * 40, direction[1] * 50)
    # the block at row 10, column 10 holds the centre, which is at 432 and 550 um: it is 12 um to its left, 25 um below
    origin_um = -12 * direction[0] - 25 * direction[1]
    bins = {}
    for row in range(20):
        for column in range(24):
            dx, dy = (column + 0.5) * 40 - 0.45 * 24 * 40, (row + 0.5) * 50 - 0.55 * 20 * 50
            along, across = dx * direction[0] + dy * direction[1], -dx * direction[1] + dy * direction[0]
            if abs(across) <= 70 and abs(along) <= 4 * 150:
                bins.setdefault(round((along - origin_um) / step_um), []).append(
                    (along, field.spatial_map[row, column])
                )
    expected = [
        (np.mean([a for a, _ in one]), np.mean([v for _, v in one]), len(one)) for _, one in sorted(bins.items())
    ]
    places, values, counts = (np.array(column) for column in zip(*expected, strict=True))
    np.testing.assert_allclose(major.places_um, places)
    np.testing.assert_allclose(major.values, values)
    np.testing.assert_array_equal(major.n_blocks, counts)
    np.testing.assert_allclose(major.standard_error, 0.02 / np.sqrt(counts))


def test_off_fields_point_down_and_surrounds_the_other_way():
    field = make_field(sigmas_um=(100.0, 80.0))
    surround = {"surround_strength": 1.0, "surround_ratio": 2.0, "polarity": -1.0}
    off = dataclasses.replace(field, measures=field.measures | surround, model="difference_of_gaussians")
    for profile in field_profiles(off):
        assert profile.values.min() < -0.2
        middle = np.abs(profile.fine_um).argmin()
        assert profile.fit[middle] < 0 < profile.fit[0]


@pytest.mark.parametrize(("n_y", "n_x"), [(1, 40), (40, 1)])
def test_bars_are_cut_along_their_only_axis(n_y, n_x):
    field = make_field(n_y, n_x, measures={"sigma_minor_um": None, "angle_deg": None})
    (profile,) = field_profiles(field)
    assert profile.n_blocks.tolist() == [1] * profile.places_um.size
    np.testing.assert_allclose(np.diff(profile.places_um), 40.0 if n_y == 1 else 50.0)
    assert np.abs(profile.values - np.interp(profile.places_um, profile.fine_um, profile.fit)).max() < 0.01


def test_profile_has_a_scale_bar_and_both_axes_in_micrometres():
    ax = figures.draw_spatial_profile(make_field(), new_axes())
    assert ax.get_xlabel() == "from the centre (µm)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "major axis, σ 150 µm", "minor axis, σ 70 µm",
    ]  # fmt: skip
    assert words_of(ax) == "200 µm"
    bar = ax.lines[-1].get_xdata()
    assert (bar[1] - bar[0]) * np.ptp(ax.get_xlim()) == pytest.approx(200)


def test_without_a_size_the_reason_stands_in_place_of_the_profile():
    field = make_field(measures={"sigma_major_um": None}, reasons={"space": "sigma below half a block"})
    assert words_of(figures.draw_spatial_profile(field, new_axes())) == "sigma below half a block"


# --- the test --------------------------------------------------------------------------------------


def test_the_null_counts_every_shift_and_marks_the_peak():
    ax = figures.draw_null_maxima(make_field(), new_axes())
    assert sum(patch.get_height() for patch in ax.patches) == 50
    assert labelled(ax, "this neuron").get_xdata()[0] == 9.0
    assert labelled(ax, "significant above").get_xdata()[0] == 4.5
    empty = figures.draw_null_maxima(make_field(null_maxima=np.empty(0)), new_axes())
    assert words_of(empty) == "nothing was tested"
