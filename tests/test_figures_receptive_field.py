"""Numbers behind the pictures of receptive fields: outlines, ellipses, marks, words, and a sheet without overlaps."""

import dataclasses
import datetime
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from dj_neuron import figures
from dj_neuron.connection import DelayRange
from dj_neuron.contracts import (
    MosaicResult,
    Nonlinearity,
    QualityGrowth,
    ReceptiveFieldResult,
    SpikeLedger,
    StimulationId,
    Strf,
)
from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.field_marks import fit_ellipse
from dj_neuron.figures.gallery import draw_gallery, with_most_delays
from dj_neuron.figures.measures_table import table_rows
from dj_neuron.figures.overview import size_um
from dj_neuron.figures.receptive_field_picture import strip_delays
from dj_neuron.ingest import ingest_session
from dj_neuron.pictures.marks import block_outline
from dj_neuron.pictures.places import missing_text
from dj_neuron.pictures.words import growth_text, minutes_text, number_text
from dj_neuron.strf import FieldShape

RATE_HZ = 50.0
STIMULATION = StimulationId("WT", datetime.date(2020, 3, 1), 1, 2)
DELAYS_S = np.arange(-3, 15) / RATE_HZ
BLOCK_UM = (40.0, 50.0)
SPACE = {
    "centre_x_um": 210.0, "centre_x_um_se": 4.0, "centre_y_um": 160.0, "centre_y_um_se": 5.0,
    "sigma_major_um": 60.0, "sigma_major_um_se": 3.0, "sigma_minor_um": 30.0, "sigma_minor_um_se": 2.0,
    "angle_deg": 30.0, "angle_deg_se": 4.0, "cut_by_edge": 0.0, "smaller_than_block": 0.0,
}  # fmt: skip
TIME = {
    "polarity": 1.0, "time_to_peak_s": 0.06, "time_to_peak_s_se": 0.002, "zero_crossing_s": 0.12,
    "zero_crossing_s_se": 0.004, "biphasic_index": 0.4, "biphasic_index_se": 0.05,
}  # fmt: skip
MODEL = {"test_correlation": 0.43, "test_correlation_se": 0.02, "bits_per_spike": 0.81}
SPIKES = {
    "n_spikes": 1234.0, "p_value": 0.001, "q_value": 0.002, "p_value_field": 0.001, "q_value_field": 0.002,
    "threshold_z": 4.2, "peak_z": 9.0,
}  # fmt: skip
QUALITY = {"split_half_r": 0.5, "reliability": 2 / 3, "minutes_needed": 22.5}


def course_of(delays_s, polarity=1):
    lobes = np.exp(-(((delays_s - 0.06) / 0.025) ** 2)) - 0.4 * np.exp(-(((delays_s - 0.16) / 0.03) ** 2))
    return polarity * lobes


def make_field(shape=(8, 12), delays_s=DELAYS_S, *, neuron_id=7, polarity=1, **changes):
    """A field at (210, 160) um, or at its place along the axis of bars."""
    n_y, n_x = shape
    axes = "x" * (n_x > 1) + "y" * (n_y > 1)
    x_um, y_um = (np.arange(n_x) + 0.5) * BLOCK_UM[0], (np.arange(n_y) + 0.5) * BLOCK_UM[1]
    away = np.hypot((x_um - 210) * (n_x > 1), ((y_um - 160) * (n_y > 1))[:, None])
    spatial_map = 0.3 * np.exp(-(away**2) / (2 * 45**2))
    course = course_of(delays_s, polarity)
    measures = SPIKES | (SPACE if axes else {}) | TIME | MODEL | QUALITY | {"polarity": float(polarity)}
    if axes in {"x", "y"}:
        measures |= {"sigma_minor_um": None, "angle_deg": None, "amplitude": 0.3}
        measures[f"centre_{'y' if axes == 'x' else 'x'}_um"] = None
    values = {
        "stimulation_id": STIMULATION,
        "neuron_id": neuron_id,
        "parameter_ids": {"strf_params_id": 1},
        "delays_s": delays_s,
        "block_size_um": BLOCK_UM,
        "significant": np.abs(course[:, None, None] * spatial_map) > 0.1,
        "region": away < 150,
        "spatial_map": spatial_map,
        "spatial_map_se": np.full(shape, 0.02),
        "time_course": course,
        "time_course_se": np.full(delays_s.shape, 0.05),
        "null_maxima": np.empty(0),
        "axes": axes,
        "model": "gaussian" if axes else "",
        "measures": measures | changes.pop("measures", {}),
        "reasons": {} if axes else {"space": "a single block has no shape"},
        "nonlinearity": Nonlinearity(np.linspace(-2, 2, 15), np.linspace(0, 30, 15), np.full(15, 1.5), 10.0, 1.2, -1.0),
        "growth": QualityGrowth(np.linspace(0.5, 5, 10), np.linspace(2, 9, 10), np.linspace(0.4, 1, 10)),
    }
    return ReceptiveFieldResult(**(values | changes))


def no_field(shape=(8, 12), delays_s=DELAYS_S, **changes):
    """What is left where nothing is significant."""
    nothing = {
        "region": np.zeros(shape, bool),
        "significant": np.zeros((len(delays_s), *shape), bool),
        "spatial_map": np.full(shape, np.nan),
        "spatial_map_se": np.full(shape, np.nan),
        "time_course": np.full(len(delays_s), np.nan),
        "time_course_se": np.full(len(delays_s), np.nan),
        "model": "",
        "axes": "",
        "measures": dict.fromkeys([*SPACE, *TIME, *MODEL, *QUALITY])
        | dict.fromkeys(["p_value", "q_value", "p_value_field", "q_value_field"], 0.6),
        "reasons": {"space": "no significant block", "prediction": "no field found in the training time"},
        "nonlinearity": None,
        "growth": QualityGrowth(np.linspace(0.5, 5, 10), np.full(10, np.nan), np.full(10, np.nan)),
    }
    return make_field(shape, delays_s, **(nothing | changes))


def strf_of(field, *, silent=False):
    course = np.nan_to_num(field.time_course)[:, None, None]
    noise = np.random.default_rng(0).normal(0, 0.02, field.significant.shape)
    values = course * np.nan_to_num(field.spatial_map) + noise
    n_used, zeros = np.full(len(field.delays_s), 900), np.zeros(len(field.delays_s), int)
    return Strf(
        stimulation_id=field.stimulation_id,
        neuron_id=field.neuron_id,
        delays_s=field.delays_s,
        values=np.full_like(values, np.nan) if silent else values,
        standard_error=np.full_like(values, 0.02),
        ledger=SpikeLedger(n_used, zeros, zeros, zeros),
        pixel_mean=np.zeros(field.region.shape),
        centred=True,
        frame_rule="floor",
        frame_rate_hz=RATE_HZ,
        block_size_um=BLOCK_UM,
    )


def new_axes(size=(4.0, 4.0)):
    return Figure(figsize=size, dpi=100).add_axes((0.15, 0.15, 0.7, 0.7))


def colour_at(ax, x, y):
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    column, row = ax.transData.transform((x, y))
    return image[image.shape[0] - 1 - int(row), int(column)]


def words_of(artist):
    return "\n".join(text.get_text() for text in artist.texts)


def said(artist):
    return words_of(artist).replace("\n", " ")


def outlines(ax):
    return [
        lines for lines in ax.collections if isinstance(lines, LineCollection) and lines.get_label() == "significant"
    ]


def ellipses(ax, *, filled=None):
    return [patch for patch in ax.patches if isinstance(patch, Ellipse) and filled in {None, patch.get_fill()}]


# --- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (83.4321, 2.134, "83.4 ± 2.1"),
        (-0.12345, 0.0056, "−0.1235 ± 0.0056"),
        (1234.4, 321.0, "1234 ± 321"),
        (0.5, np.nan, "0.500"),
        (5300.0, np.nan, "5,300"),
        (100.0, np.nan, "100"),
        (np.nan, 0.1, "—"),
        (0.25, 0.0, "0.250"),
    ],
)
def test_numbers_are_written_to_the_second_digit_of_their_error(value, error, text):
    assert number_text(value, error) == text


@given(value=st.floats(-1e4, 1e4), error=st.floats(1e-4, 1e3))
def test_what_is_written_is_the_number_within_a_twentieth_of_its_error(value, error):
    written, spread = (float(part.replace("−", "-")) for part in number_text(value, error).split(" ± "))
    assert abs(written - value) <= 0.051 * error or abs(written - value) <= 0.5
    assert spread == pytest.approx(error, rel=0.06)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(1, "1 minute"), (14.4, "14 minutes"), (119, "119 minutes"), (150, "2.5 hours"), (9e4, "1,500 hours")],
)
def test_minutes_are_said_as_one_would(minutes, text):
    assert minutes_text(minutes) == text


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({}, ["0.500", "reliability 0.667", "record longer: about 22 minutes for 0.9"]),
        ({"reliability": 0.95, "minutes_needed": 3.2}, ["long enough: 0.9 after about 3.2 minutes"]),
        ({"split_half_r": 0.01, "reliability": 0.02, "minutes_needed": None}, ["may agree by chance only"]),
        ({"split_half_r": -0.1, "reliability": None, "minutes_needed": None}, ["−0.100", "may agree by chance only"]),
        ({"split_half_r": None}, ["halves cannot be compared"]),
    ],
)
def test_growth_says_how_long_to_record(measures, expected):
    text = growth_text(make_field(measures=measures))
    assert all(words in text for words in expected)


def test_the_table_has_numbers_with_errors_and_units_and_dashes_where_nothing_is_known():
    rows = {
        words: (number, unit)
        for _, group in table_rows(make_field(measures={"bits_per_spike": None}))
        for words, number, unit in group
    }
    assert rows["spikes"] == ("1,234", "")
    assert rows["centre x"] == ("210.0 ± 4.0", "µm")
    assert rows["time to peak"] == ("60.0 ± 2.0", "ms")
    assert rows["polarity"] == ("ON", "")
    assert rows["bits per spike"] == ("—", "")
    assert rows["p, this neuron"] == ("0.00100", "")


def test_reasons_stand_below_the_table():
    ax = figures.draw_measures(no_field(), new_axes((3, 7)))
    assert "space: no significant block" in words_of(ax)
    assert "prediction: no field found in the training time" in words_of(ax)


# --- outlines and ellipses -------------------------------------------------------------------------


def naive_outline(mask, x_edges, y_edges):
    sides = set()
    n_y, n_x = mask.shape

    def inside(row, column):
        return 0 <= row < n_y and 0 <= column < n_x and mask[row, column]

    for row, column in itertools.product(range(n_y), range(n_x)):
        left, right, top, bottom = x_edges[column], x_edges[column + 1], y_edges[row], y_edges[row + 1]
        for (d_row, d_column), side in (
            ((0, -1), ((left, top), (left, bottom))),
            ((0, 1), ((right, top), (right, bottom))),
            ((-1, 0), ((left, top), (right, top))),
            ((1, 0), ((left, bottom), (right, bottom))),
        ):
            if mask[row, column] and not inside(row + d_row, column + d_column):
                sides.add(side)
    return sides


@given(n_y=st.integers(1, 6), n_x=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_outline_is_every_side_between_inside_and_outside_once(n_y, n_x, seed):
    mask = np.random.default_rng(seed).random((n_y, n_x)) < 0.5
    x_edges, y_edges = np.arange(n_x + 1) * 3.0, np.arange(n_y + 1) * 5.0 - 1
    found = [tuple(map(tuple, segment)) for segment in block_outline(mask, x_edges, y_edges).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == naive_outline(mask, x_edges, y_edges)


def test_significant_blocks_are_outlined_at_their_delay_in_micrometres():
    significant = np.zeros((len(DELAYS_S), 8, 12), bool)
    significant[5, 2, 3] = True
    field = make_field(significant=significant)
    corners = np.concatenate(
        outlines(figures.draw_significant_blocks(field, float(DELAYS_S[5]), new_axes()))[0].get_segments()
    )
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([120, 100], [160, 150])
    assert not outlines(figures.draw_significant_blocks(field, float(DELAYS_S[4]), new_axes()))[0].get_segments()
    assert not outlines(figures.draw_significant_blocks(field, 0.333, new_axes()))  # this delay was not judged


def test_panels_mark_each_delay_and_fit_the_peak_only():
    field = make_field()
    figure = figures.strf_picture(strf_of(field), field)
    shown = {int(ax.get_label().split()[1]): ax for ax in figure.axes if ax.get_label().startswith("delay")}
    peak = next(delay_idx for delay_idx, ax in shown.items() if ax.get_title().endswith("peak"))
    assert {delay_idx for delay_idx, ax in shown.items() if ellipses(ax)} == {peak}
    for delay_idx, ax in shown.items():
        assert bool(outlines(ax)[0].get_segments()) == field.significant[delay_idx].any()
    assert "significant outlined, fit at 1σ solid and 2σ dashed" in words_of(figure)


def test_bars_are_outlined_delay_by_delay_where_delays_do_not_touch():
    delays_s = np.array([0.0, 0.02, 0.04, 0.2])
    significant = np.zeros((4, 1, 12), bool)
    significant[2:, 0, 4] = True
    field = make_field((1, 12), delays_s, significant=significant)
    outline = outlines(figures.draw_significant_bars(field, strf_of(field), new_axes()))[0]
    corners = np.concatenate(outline.get_segments())
    assert sorted(set(corners[:, 0])) == pytest.approx([30, 50, 190, 210])
    assert sorted(set(corners[:, 1])) == pytest.approx([160, 200])


def test_outlines_fit_the_image_of_an_strf_with_more_delays_and_say_so():
    delays_s = np.array([0.05, 0.1])
    whole = make_field((1, 12), delays_s, significant=np.ones((2, 1, 12), bool))
    judged = dataclasses.replace(whole, delays_s=delays_s[:1], significant=whole.significant[:1])
    figure = figures.strf_picture(strf_of(whole), judged)
    corners = np.concatenate(outlines(figure.axes[0])[0].get_segments())
    assert (corners[:, 0].min(), corners[:, 0].max()) == pytest.approx((25, 75))
    assert "judged at 1 of 2 delays" in words_of(figure)
    assert "judged" not in words_of(figures.strf_picture(strf_of(whole), whole))


@pytest.mark.parametrize(("shape", "axis"), [((1, 12), "x"), ((8, 1), "y")])
def test_space_time_has_the_centre_and_one_sigma_to_either_side(shape, axis):
    field = make_field(shape)
    image = figures.strf_picture(strf_of(field), field).axes[0]
    centre_um = field.measures[f"centre_{axis}_um"]
    level = sorted(line.get_ydata()[0] for line in image.lines if line.get_xdata() == [0, 1])
    assert level == pytest.approx([centre_um - 60, centre_um, centre_um + 60])
    label = next(text for text in image.texts if text.get_text() == "centre ±1σ")
    top_um = max(level, key=lambda place_um: image.transData.transform((0, place_um))[1])
    assert label.xy[1] == pytest.approx(top_um)


@given(angle=st.floats(0, 180), major=st.floats(20, 90), aspect=st.floats(0.3, 1))
def test_ellipses_are_the_contours_of_the_fitted_gaussian(angle, major, aspect):
    own = {"sigma_major_um": major, "sigma_minor_um": major * aspect, "angle_deg": angle}
    field = make_field(measures=own)
    covariance = FieldShape(**own).covariance_um2()
    for n_sigma in (1, 2):
        ellipse = fit_ellipse(field, n_sigma)
        contour = ellipse.get_patch_transform().transform(ellipse.get_path().vertices[::3])  # ends of Bézier curves
        away = contour - (210, 160)
        np.testing.assert_allclose(
            np.einsum("pi,ij,pj->p", away, np.linalg.inv(covariance), away), n_sigma**2, rtol=1e-2
        )


def test_an_ellipse_at_45_degrees_runs_from_the_top_left_to_the_bottom_right():
    ax = figures.draw_spatial_map(make_field(measures={"angle_deg": 45.0}), new_axes())
    one_sigma = ellipses(ax)[0]
    left, right = (one_sigma.get_patch_transform() + ax.transData).transform([(-1, 0), (1, 0)])
    assert left[0] < right[0]
    assert left[1] > right[1]
    assert {text.get_text() for text in ax.texts} >= {"1σ", "2σ"}
    labels = [text.xy for text in ax.texts if "σ" in text.get_text()]
    assert all(x > 210 and y > 160 for x, y in labels)  # lower right of the centre


def test_a_field_without_a_size_has_a_cross_and_one_without_a_centre_nothing():
    sizeless = figures.draw_fit(make_field(measures={"sigma_major_um": None}), new_axes())
    assert [line.get_marker() for line in sizeless.lines] == ["+"]
    assert not sizeless.patches
    nowhere = figures.draw_fit(no_field(), new_axes())
    assert not nowhere.lines
    assert not nowhere.patches


# --- the single plots ------------------------------------------------------------------------------


@pytest.mark.parametrize("polarity", [1, -1])
def test_map_is_upright_and_has_the_colour_of_its_polarity(polarity):
    ax = figures.draw_spatial_map(make_field(polarity=polarity), new_axes())
    assert ax.images[0].get_extent() == [0, 480, 400, 0]
    assert ax.yaxis_inverted()
    red, _, blue = colour_at(ax, 180, 140)
    assert (red > blue + 0.2) if polarity > 0 else (blue > red + 0.2)
    np.testing.assert_allclose(colour_at(ax, 350, -10), to_rgb(style.NO_DATA), atol=0.02)  # above the screen
    assert "µm" in words_of(ax)
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    assert right - left == pytest.approx(bottom - top)


def test_map_takes_its_colour_from_the_time_course_where_polarity_is_not_known():
    field = make_field(polarity=-1, measures={"polarity": None})
    assert np.nanmin(figures.draw_spatial_map(field, new_axes()).images[0].get_array()) == pytest.approx(
        -field.spatial_map.max()
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measures": {"cut_by_edge": 1.0}}, "cut by the edge of the screen"),
        ({"measures": {"smaller_than_block": 1.0}}, "smaller than a block"),
        ({"reasons": {"space": "size is not determined"}}, "size is not determined"),
    ],
)
def test_map_says_what_to_know_about_the_fit(changes, words):
    assert words in words_of(figures.draw_spatial_map(make_field(**changes), new_axes()))


@pytest.mark.parametrize("shape", [(1, 12), (8, 1)])
def test_profile_of_bars_peaks_where_the_fit_does(shape):
    ax = figures.draw_spatial_map(make_field(shape, polarity=-1), new_axes())
    measured, fitted = (np.array(line.get_data() if shape[0] == 1 else line.get_data()[::-1]) for line in ax.lines[:2])
    centre_um = 210 if shape[0] == 1 else 160
    assert fitted[0, fitted[1].argmin()] == pytest.approx(centre_um, abs=2)
    assert fitted[1].min() == pytest.approx(-0.3, rel=1e-3)
    assert measured[1].min() == pytest.approx(-0.3, rel=0.1)
    assert ax.yaxis_inverted() == (shape[0] > 1)


def test_profile_of_a_field_with_a_surround_is_a_difference():
    surround = {"surround_strength": 0.5, "surround_ratio": 2.0}
    ax = figures.draw_spatial_map(make_field((1, 12), model="difference_of_gaussians", measures=surround), new_axes())
    assert ax.lines[1].get_ydata().max() == pytest.approx(0.3 * (1 - 0.5 / 2), rel=1e-3)
    assert ax.lines[1].get_ydata().min() < 0


@pytest.mark.parametrize(("polarity", "colour"), [(1, style.ON), (-1, style.OFF)])
def test_time_course_marks_its_measures(polarity, colour):
    field = make_field(polarity=polarity)
    ax = figures.draw_field_course(field, RATE_HZ, new_axes())
    marks = {box.get_label(): box.lines[0] for box in ax.containers}
    assert marks["time_to_peak_s"].get_xdata() == pytest.approx([60])
    assert marks["time_to_peak_s"].get_ydata() == pytest.approx([polarity], abs=0.02)
    assert marks["zero_crossing_s"].get_xdata() == pytest.approx([120])
    assert {mark.get_color() for mark in marks.values()} == {colour}
    assert "biphasic index 0.400 ± 0.050" in words_of(ax)
    assert "peak 60.0 ± 2.0 ms" in words_of(ax)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert np.ptp(band) == pytest.approx(np.ptp(field.time_course) + 0.1)
    assert ax.get_xlim()[0] > ax.get_xlim()[1]


def test_time_course_says_why_measures_are_missing():
    unknown = dict.fromkeys(TIME)
    ax = figures.draw_field_course(
        make_field(measures=unknown, reasons={"time": "no significant peak"}), RATE_HZ, new_axes()
    )
    assert "no significant peak" in words_of(ax)
    assert "biphasic" not in words_of(ax)
    assert "no field beyond chance" in words_of(figures.draw_field_course(no_field(), RATE_HZ, new_axes()))


def test_nonlinearity_shows_rates_with_errors_and_the_curve():
    field = make_field()
    ax = figures.draw_nonlinearity(field, new_axes())
    points, curve = ax.containers[0], ax.lines[-1]
    np.testing.assert_allclose(points.lines[0].get_data(), [field.nonlinearity.drive, field.nonlinearity.rate_hz])
    spans = np.array(points.lines[2][0].get_segments())[:, :, 1]
    np.testing.assert_allclose(spans[:, 1] - spans[:, 0], 3.0)
    x, y = curve.get_data()
    np.testing.assert_allclose(y, 10 * np.log1p(np.exp(1.2 * x - 1)))
    assert words_of(ax) == "test correlation 0.430 ± 0.020\n0.810 bits per spike"
    assert ax.get_ylabel() == "rate (Hz)"
    assert "no field found in the training time" in said(figures.draw_nonlinearity(no_field(), new_axes()))


def test_growth_has_the_threshold_that_a_peak_must_exceed():
    ax = figures.draw_growth(make_field(), new_axes())
    assert any(list(line.get_ydata()) == [4.2, 4.2] for line in ax.lines)
    assert "no peak to follow" in words_of(figures.draw_growth(make_field(growth=None), new_axes()))


# --- the sheet -------------------------------------------------------------------------------------


@given(first=st.integers(-5, 3), n=st.integers(1, 60), peak=st.integers(0, 59), n_panels=st.integers(3, 9))
def test_the_strip_holds_the_peak_longest_delay_first(first, n, peak, n_panels):
    delays_s = (first + np.arange(n)) / RATE_HZ
    field = make_field((2, 2), delays_s)
    values = np.full((n, 2, 2), 0.01)
    values[peak % n, 0, 0] = 1.0
    strf = dataclasses.replace(strf_of(field), values=values, standard_error=np.full_like(values, 0.1))
    chosen = strip_delays(strf, n_panels)
    assert 1 <= len(chosen) <= n_panels
    assert chosen == sorted(chosen, reverse=True)
    if delays_s[peak % n] >= 0:
        assert peak % n in chosen


TWO_DELAYS = np.array([0.04, 0.06])


@pytest.mark.parametrize(
    ("shape", "delays_s", "silent"),
    [
        ((8, 12), DELAYS_S, False),
        ((8, 12), DELAYS_S, True),
        ((30, 10), TWO_DELAYS, False),
        ((3, 40), -TWO_DELAYS[:1], True),
        ((1, 12), DELAYS_S, False),
        ((1, 12), TWO_DELAYS[:1], False),
        ((8, 1), TWO_DELAYS, False),
        ((8, 1), DELAYS_S, True),
        ((1, 1), DELAYS_S, False),
        ((1, 1), TWO_DELAYS[:1], True),
    ],
)
def test_nothing_overlaps_on_any_sheet(shape, delays_s, silent):
    field = no_field(shape, delays_s) if silent else make_field(shape, delays_s)
    figure = figures.receptive_field_picture(strf_of(field, silent=silent), field)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    assert figure.get_tightbbox(renderer).x1 <= figure.get_figwidth() + 0.3  # trimmed when it is saved
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    boxes += [ax.get_tightbbox(renderer) for ax in figure.axes]
    for a, b in itertools.combinations(boxes, 2):
        overlap = (min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))
        assert min(overlap) < 3


@pytest.mark.parametrize("other", [{"neuron_id": 8}, {"shape": (8, 13)}])
def test_a_field_of_another_neuron_or_movie_is_refused(other):
    field = make_field(**other)
    for draw in (figures.receptive_field_picture, figures.strf_picture):
        with pytest.raises(ContractError, match="expected"):
            draw(strf_of(make_field()), field)


# --- populations -----------------------------------------------------------------------------------


def population():
    on = [make_field(neuron_id=i, measures={"centre_x_um": 100.0 * i}) for i in (1, 2, 3)]
    off = [make_field(neuron_id=i, polarity=-1, measures={"centre_y_um": 50.0 * i}) for i in (4, 5)]
    return [
        *on,
        *off,
        make_field(neuron_id=6, measures={"polarity": None}),
        no_field(neuron_id=7),
        no_field(neuron_id=8),
    ]


def mosaic_result(polarity, reason=""):
    measures = {"n_fields": 3.0, "regularity_index": 4.25, "random_regularity_index": 1.9, "p_random": 0.012}
    return MosaicResult(STIMULATION, {}, polarity, np.ones(3), measures, reason)


def test_mosaic_draws_every_fitted_field_at_one_sigma():
    ax = figures.draw_mosaic(population(), new_axes(), [mosaic_result(1)])
    lines = ellipses(ax, filled=False)
    assert [to_rgb(line.get_edgecolor()) for line in lines] == [
        to_rgb(c) for c in [style.ON] * 3 + [style.OFF] * 2 + [style.INK]
    ]
    assert len({line.get_linestyle() for line in lines[2:4]}) == 2
    assert [line.center for line in lines[:2]] == [(100, 160), (200, 160)]
    assert {(line.width, line.height, line.angle) for line in lines} == {(120, 60, 30)}
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 480), (400, 0))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "ON, n = 3, regularity index 4.25 (random 1.90, p = 0.012)",
        "OFF, n = 2",
        "polarity not known, n = 1",
    ]
    assert "100 µm" in words_of(ax)


def test_mosaic_figure_counts_who_is_missing_and_why():
    fields = population()
    assert missing_text(fields) == "2 neurons without a fit: no significant block (2)"
    assert missing_text(fields[:3]) == ""
    words = words_of(figures.mosaic_figure(fields, [mosaic_result(1, "3 fields are few"), mosaic_result(-1)]))
    assert "2 neurons without a fit: no significant block (2); ON: 3 fields are few" in words


@pytest.mark.parametrize(("shape", "axis"), [((1, 12), "x"), ((8, 1), "y")])
def test_mosaic_of_bars_has_intervals_in_the_order_of_their_centres(shape, axis):
    fields = [
        make_field(shape, neuron_id=i, measures={f"centre_{axis}_um": place}) for i, place in ((1, 300.0), (2, 90.0))
    ]
    ax = figures.draw_mosaic([*fields, no_field(shape)], new_axes())
    along, across = ("get_xdata", "get_ydata") if axis == "x" else ("get_ydata", "get_xdata")
    drawn = {line.get_label(): line for line in ax.lines if line.get_label().startswith("neuron")}
    assert list(drawn) == ["neuron 2", "neuron 1"]
    np.testing.assert_allclose(getattr(drawn["neuron 1"], along)(), [240, 360])
    np.testing.assert_allclose(getattr(drawn["neuron 1"], across)(), [1, 1])
    assert ax.yaxis_inverted() == (axis == "y")


def test_mosaics_of_nothing_of_two_screens_and_of_full_fields():
    with pytest.raises(ContractError, match="no receptive field"):
        figures.draw_mosaic([], new_axes())
    with pytest.raises(ContractError, match="expected those of one stimulation"):
        figures.draw_mosaic([make_field(), make_field((8, 13))], new_axes())
    full_field = [make_field((1, 1))]
    assert "full-field" in words_of(figures.draw_mosaic(full_field, new_axes()))
    assert missing_text(full_field) == "1 neuron without a fit: a single block has no shape (1)"


@pytest.mark.parametrize("shape", [(8, 12), (1, 12), (8, 1), (1, 1)])
@pytest.mark.parametrize("n_missing", [0, 2])
def test_mosaic_figures_are_drawn_whole(shape, n_missing):
    fields = [
        make_field(shape, neuron_id=1),
        make_field(shape, neuron_id=2, polarity=-1),
        *[no_field(shape)] * n_missing,
    ]
    figure = figures.mosaic_figure(fields)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    bounds = figure.get_tightbbox(renderer)
    assert min(bounds.x0, bounds.y0) >= 0
    assert bounds.x1 <= figure.get_figwidth()
    assert bounds.y1 <= figure.get_figheight()


def test_overview_counts_discoveries_and_gives_medians():
    fields = population()
    p_axes, size_axes, time_axes, _ = figures.overview_figure(fields).axes
    assert sum(patch.get_height() for patch in p_axes.patches) == 8
    assert "q ≤ 0.05: 6 of 8" in words_of(p_axes)
    dots = {line.get_label(): line for line in size_axes.lines}
    assert len(dots["ON"].get_ydata()) == 3
    assert len(dots["OFF"].get_ydata()) == 2
    assert dots["ON"].get_ydata() == pytest.approx([np.sqrt(60 * 30)] * 3)
    assert [label.get_text() for label in time_axes.get_xticklabels()] == ["ON\nn = 3", "OFF\nn = 2"]
    fields[0] = dataclasses.replace(fields[0], measures=fields[0].measures | {"time_to_peak_s": 0.1})
    times = figures.overview_figure(fields).axes[2]
    median = next(line for line in times.lines if line.get_marker() == "None")
    assert median.get_ydata() == pytest.approx([60, 60])
    assert size_um(make_field((1, 12))) == 60


def test_overview_of_a_silent_neuron_and_of_nothing():
    silent = no_field(measures=dict.fromkeys([*SPIKES, *TIME, *SPACE]))
    assert "no neuron was tested" in words_of(figures.overview_figure([silent]).axes[0])
    with pytest.raises(ContractError, match="no receptive field"):
        figures.overview_figure([])


# --- the gallery -----------------------------------------------------------------------------------


def test_fields_of_the_parameters_with_most_delays_are_kept():
    few = [make_field(delays_s=TWO_DELAYS, neuron_id=i, parameter_ids={"strf_params_id": 1}) for i in (1, 2)]
    many = [make_field(neuron_id=i, parameter_ids={"strf_params_id": 2}) for i in (1, 2)]
    assert with_most_delays([few[0], many[0], few[1], many[1]]) == many
    assert with_most_delays([]) == []
    high = make_field(delays_s=TWO_DELAYS, parameter_ids={"strf_params_id": 3}, measures={"peak_z": -12.0})
    silent = make_field(delays_s=TWO_DELAYS, parameter_ids={"strf_params_id": 4}, measures={"peak_z": None})
    assert with_most_delays([silent, few[0], high]) == [high]


def test_gallery_draws_receptive_fields_where_computed_and_keeps_ridge_estimates_apart(
    embedded, make_session, tmp_path
):
    ingest_session(make_session({}))
    embedded.compute(delays_s=[0.05], judge=False)
    for last_s in (0.05, 0.1):
        embedded.compute(delays_s=DelayRange(0.0, last_s), estimator="ridge", judge=False)
    plain = {path.name for path in draw_gallery(tmp_path / "plain", neuron_ids=[1])}
    assert {f"neuron_001{kind}_strf.png" for kind in ("", "_ridge_1", "_ridge_2")} <= plain
    embedded.compute()
    judged = {path.name for path in draw_gallery(tmp_path / "judged", neuron_ids=[1])}
    assert judged - plain == {"mosaic.png", "overview.png", "neuron_001_receptive_field.png"}


@pytest.mark.parametrize("shape", [(8, 12), (1, 12), (1, 1)])
def test_ridge_estimates_have_a_peak_without_errors_and_their_own_unit(shape):
    strf = strf_of(make_field(shape))
    ridge = dataclasses.replace(strf, standard_error=np.full_like(strf.values, np.nan), estimator="ridge")
    causal = np.where(DELAYS_S[:, None, None] >= 0, np.abs(ridge.values), 0)
    assert figures.peak_of(ridge) == np.unravel_index(causal.argmax(), causal.shape)
    figure = figures.strf_picture(ridge)
    FigureCanvasAgg(figure).draw()
    assert "ridge filter (spikes / frame / contrast)" in [ax.get_ylabel() for ax in figure.axes]
    assert not any("SE" in ax.get_title(loc="left") for ax in figure.axes)
