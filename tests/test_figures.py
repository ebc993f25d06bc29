"""Numbers behind the pictures: extents, orientation, scales, labels, layout, and the folder they go into."""

import datetime
import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from PIL import Image, ImageOps

from dj_neuron import figures
from dj_neuron.contracts import Movie, SpikeLedger, SpikeTrain, Stimulation, StimulationId, Strf
from dj_neuron.errors import ContractError, PipelineError
from dj_neuron.figures import TableNode, fresh_folder, style
from dj_neuron.figures.diagram_layout import layered_layout
from dj_neuron.figures.folder import MARKER
from dj_neuron.figures.letters import missing_letters_told
from dj_neuron.pictures.delays import delay_columns_ms

RATE_HZ = 59.9815
STIMULATION = StimulationId("KO (chx10)", datetime.date(2008, 6, 6), 1, 2)


def make_strf(values, delays_s=None, block_size_um=(83.0, 83.0), *, centred=True, pixel_mean=0.0, error=0.1):
    values = np.asarray(values, np.float64)
    n_delays = len(values)
    n_used = np.arange(100, 100 + n_delays)
    zeros = np.zeros(n_delays, np.int64)
    return Strf(
        stimulation_id=STIMULATION,
        neuron_id=7,
        delays_s=np.arange(n_delays) / RATE_HZ if delays_s is None else np.asarray(delays_s, np.float64),
        values=values,
        standard_error=np.where(np.isfinite(values), error, np.nan),
        ledger=SpikeLedger(n_used, n_used.max() + 5 - n_used, zeros, zeros),
        pixel_mean=np.full(values.shape[1:], pixel_mean),
        centred=centred,
        frame_rule="floor",
        frame_rate_hz=RATE_HZ,
        block_size_um=block_size_um,
    )


def make_stimulation(frames, spike_times=(), **kwargs):
    block_size_px = kwargs.pop("block_size_px", (1, 1))
    trains = tuple(SpikeTrain(i + 1, np.asarray(times, np.float64)) for i, times in enumerate(spike_times))
    movie = Movie.from_frames(frames, block_size_px=block_size_px)
    return Stimulation(1, movie, kwargs.pop("frame_rate_hz", 10.0), kwargs.pop("onset_s", 2.0), 8.3, trains, **kwargs)


def new_axes(size=(4.0, 3.0)):
    return Figure(figsize=size, dpi=100).add_axes((0.15, 0.15, 0.7, 0.7))


def rendered(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def colour_at(ax, x, y):
    """Colour of the rendered figure at data coordinates."""
    image = rendered(ax.figure)
    column, row = ax.transData.transform((x, y))
    return image[image.shape[0] - 1 - int(row), int(column)]


def is_warm(rgb):
    return rgb[0] > rgb[2] + 0.2


def is_cold(rgb):
    return rgb[2] > rgb[0] + 0.2


def texts(ax):
    return [text.get_text() for text in ax.texts]


def tick_texts(axis):
    return [label.get_text() for label in axis.get_ticklabels() if label.get_visible() and label.get_text()]


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label().startswith("delay")]


def assert_nothing_clipped(figure):
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    bounds = figure.get_tightbbox(renderer)
    width_in, height_in = figure.get_size_inches()
    assert bounds.x0 >= 0
    assert bounds.y0 >= 0
    assert bounds.x1 <= width_in
    assert bounds.y1 <= height_in


# --- the shared language ---------------------------------------------------------------------------


def test_importing_figures_leaves_matplotlib_alone():
    code = (
        "import sys, matplotlib\n"
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "import dj_neuron.figures\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("values", "limit"),
    [([0.1, -0.3, 0.2], 0.3), ([np.nan, 0.2, -np.inf], 0.2), ([np.nan, np.nan], 1.0), ([0.0], 1.0), ([], 1.0)],
)
def test_symmetric_limit_is_the_largest_finite_magnitude(values, limit):
    assert figures.symmetric_limit(values) == limit
    assert figures.symmetric_limit([0.0], values) == limit


@pytest.mark.parametrize(
    ("delay_s", "text"),
    [(0.1, "100 ms"), (1 / 60, "16.7 ms"), (-0.05, "−50 ms"), (0.0, "0 ms"), (-1e-9, "0 ms"), (0.0205, "20.5 ms")],
)
def test_delays_are_written_in_milliseconds(delay_s, text):
    assert style.delay_text(delay_s) == text


@pytest.mark.parametrize(("width_um", "expected_um"), [(5312, 1000), (900, 200), (330, 100), (160, 50)])
def test_scale_bar_is_a_round_length_drawn_to_scale(width_um, expected_um):
    ax = new_axes()
    ax.set_xlim(0, width_um)
    figures.scale_bar(ax)
    x = ax.lines[0].get_xdata()
    assert texts(ax) == [f"{expected_um} µm"]
    assert x[1] - x[0] == pytest.approx(expected_um / width_um)


def test_a_narrow_panel_far_from_the_corner_has_no_more_ticks_than_room():
    ax = new_axes()
    ax.set_xlim(4100, 4940)
    style.micrometre_ticks(ax, 1.2, 1.2)
    assert [tick for tick in ax.get_xticks() if 4100 <= tick <= 4940] == [4500]


def test_on_is_warm_off_is_cold_and_zero_is_neutral():
    assert is_warm(style.CONTRAST_MAP(1.0)[:3])
    assert is_cold(style.CONTRAST_MAP(0.0)[:3])
    assert np.ptp(style.CONTRAST_MAP(0.5)[:3]) < 0.02
    assert is_warm(to_rgb(style.ON))
    assert is_cold(to_rgb(style.OFF))


def test_contrast_bar_has_ticks_at_both_ends_and_zero():
    ax = figures.draw_strf_frame(make_strf(np.full((1, 2, 2), -0.25)), 0, new_axes())
    bar = figures.contrast_bar(ax.images[0], "STA (contrast)", ax=ax)
    assert bar.get_yticks().tolist() == [-0.25, 0.0, 0.25]
    assert tick_texts(bar.yaxis) == ["−0.25", "0", "+0.25"]
    assert bar.get_ylabel() == "STA (contrast)"
    with pytest.raises(TypeError, match="ax"):
        figures.contrast_bar(ax.images[0], "STA")


# --- STRF panels -----------------------------------------------------------------------------------


def test_frame_stands_right_way_up_in_micrometres():
    values = np.zeros((1, 3, 4))
    values[0, 0, 0], values[0, 2, 3], values[0, 0, 3] = 0.4, -0.4, 0.2
    ax = figures.draw_strf_frame(make_strf(values, block_size_um=(100, 50)), 0, new_axes())
    assert ax.images[0].get_extent() == [0, 400, 150, 0]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 400), (150, 0))
    assert is_warm(colour_at(ax, 50, 25))
    assert is_cold(colour_at(ax, 350, 125))
    assert np.ptp(colour_at(ax, 50, 125)) < 0.05
    on_page = ax.transData.transform([(50, 25), (350, 125)])
    assert on_page[0, 0] < on_page[1, 0]  # column 0 is left
    assert on_page[0, 1] > on_page[1, 1]  # row 0 is up
    assert (on_page[1, 0] - on_page[0, 0]) / (on_page[0, 1] - on_page[1, 1]) == pytest.approx(3)  # um are square
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (µm)", "y (µm)")


def test_frame_uses_one_scale_for_all_delays_or_the_given_one():
    strf = make_strf(np.stack([np.full((2, 2), 0.1), np.full((2, 2), -0.5)]))
    assert figures.draw_strf_frame(strf, 0, new_axes()).images[0].get_clim() == (-0.5, 0.5)
    assert figures.draw_strf_frame(strf, 0, new_axes(), 0.2).images[0].get_clim() == (-0.2, 0.2)


def test_frame_is_drawn_without_interpolation():
    assert figures.draw_strf_frame(make_strf(np.ones((1, 2, 2))), 0, new_axes()).images[0].get_interpolation() == "none"


def test_panels_run_from_the_longest_delay_to_the_control_on_one_scale():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.01, (5, 4, 6))
    values[3, 1, 2] = -0.7
    figure = figures.strf_panels(make_strf(values, [-0.05, 0.0, 0.05, 0.1, 0.15]))
    shown = panels(figure)
    assert [ax.get_label() for ax in shown] == ["delay 4", "delay 3", "delay 2", "delay 1", "delay 0"]
    assert [ax.get_title() for ax in shown] == ["150 ms", "100 ms, peak", "50 ms", "0 ms", "−50 ms, control"]
    assert {ax.images[0].get_clim() for ax in shown} == {(-0.7, 0.7)}
    np.testing.assert_array_equal(shown[1].images[0].get_array(), values[3])
    assert figure.axes[-1].get_yticks().tolist() == [-0.7, 0.0, 0.7]
    assert figure.axes[-1].get_ylabel() == "STA (contrast)"


def test_panels_name_neuron_and_spikes_and_units():
    figure = figures.strf_panels(make_strf(np.ones((3, 4, 4))))
    words = [text.get_text() for text in figure.texts]
    assert "KO (chx10), 2008-06-06, sample 1, stimulation 2, neuron 7" in words
    assert "107 spikes, 100 to 102 used per delay" in words
    assert figure.get_supxlabel() == "x (µm)"
    assert figure.get_supylabel() == "y (µm)"


def test_control_delays_look_different():
    control, ordinary = (
        figures.draw_strf_frame(make_strf(np.ones((2, 3, 3)), [-0.1, 0.1]), i, new_axes()) for i in (0, 1)
    )
    assert control.title.get_color() == style.CONTROL != ordinary.title.get_color()
    assert control.spines["left"].get_linestyle() != ordinary.spines["left"].get_linestyle()


def test_uncentred_contrast_is_called_so():
    figure = figures.strf_panels(make_strf(np.ones((2, 3, 3)), centred=False))
    assert figure.axes[-1].get_ylabel() == "STA (contrast, mean not subtracted)"


def test_many_delays_fill_even_rows_with_labels_on_outer_axes_only():
    figure = figures.strf_panels(make_strf(np.ones((30, 12, 16))))
    shown = panels(figure)
    rows = {round(ax.get_position().y0, 4) for ax in shown}
    assert len(shown) == 30
    assert [sum(round(ax.get_position().y0, 4) == y for ax in shown) for y in sorted(rows, reverse=True)] == [
        8,
        8,
        8,
        6,
    ]
    assert [i for i, ax in enumerate(shown) if ax.yaxis.get_tick_params()["labelleft"]] == [0, 8, 16, 24]
    assert [i for i, ax in enumerate(shown) if ax.xaxis.get_tick_params()["labelbottom"]] == list(range(22, 30))


def test_more_delays_than_panels_are_thinned_evenly_and_announced():
    figure = figures.strf_panels(make_strf(np.ones((21, 3, 3))), max_panels=5)
    assert [ax.get_label() for ax in panels(figure)] == [f"delay {i}" for i in (20, 15, 10, 5, 0)]
    assert figure.texts[1].get_text().endswith("5 of 21 delays shown")


def test_chosen_delays_keep_the_scale_of_all():
    values = np.ones((4, 3, 3)) * np.array([0.1, 0.2, 0.3, 0.9])[:, None, None]
    figure = figures.strf_panels(make_strf(values), delay_indices=[0, 2])
    assert [ax.get_label() for ax in panels(figure)] == ["delay 2", "delay 0"]
    assert panels(figure)[0].images[0].get_clim() == (-0.9, 0.9)
    assert figures.strf_panels(make_strf(values), delay_indices=[0], limit=2.0).axes[0].images[0].get_clim() == (-2, 2)


def test_overlay_is_drawn_on_the_panel_of_its_delay():
    drawn = {}
    figure = figures.strf_panels(
        make_strf(np.ones((3, 3, 3))), overlay=lambda ax, delay_idx: drawn.setdefault(delay_idx, ax)
    )
    assert {ax.get_label() for ax in panels(figure)} == {f"delay {i}" for i in drawn}
    assert all(ax.get_label() == f"delay {i}" for i, ax in drawn.items())


def test_words_above_narrow_panels_do_not_touch():
    figure = figures.strf_panels(make_strf(np.ones((4, 40, 2)), [-0.1834, -0.1667, -0.15, -0.1334]))
    rendered(figure)
    spans = [ax.title.get_window_extent() for ax in panels(figure)]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(spans))


def test_delays_with_too_few_spikes_say_so():
    values = np.ones((3, 4, 4))
    values[1] = np.nan
    empty = panels(figures.strf_panels(make_strf(values)))[1]
    assert not empty.images
    assert texts(empty) == ["too few\nspikes"]
    assert empty.patches[0].get_hatch()


def test_silent_neuron_has_panels_but_no_colour_bar():
    figure = figures.strf_panels(make_strf(np.full((3, 4, 4), np.nan)))
    assert figure.axes == panels(figure)
    assert all(texts(ax) == ["too few\nspikes"] for ax in figure.axes)
    rendered(figure)


@pytest.mark.parametrize("delay_indices", [[3], [-1], []])
def test_unknown_delays_are_refused(delay_indices):
    with pytest.raises(ContractError, match="expected"):
        figures.strf_panels(make_strf(np.ones((3, 4, 4))), delay_indices=delay_indices)


@pytest.mark.parametrize("shape", [(2, 1, 40), (2, 40, 1), (2, 1, 1)])
def test_no_image_is_one_block_wide(shape):
    with pytest.raises(ContractError, match="at least 2 x 2"):
        figures.draw_strf_frame(make_strf(np.ones(shape)), 0, new_axes())
    for ax in figures.strf_picture(make_strf(np.ones(shape))).axes:
        assert not ax.images


def test_dollars_in_a_name_are_not_mathematics():
    strf = make_strf(np.ones((1, 3, 3)))
    odd = Strf(**{**vars(strf), "stimulation_id": StimulationId("$x_1$ and $\\oops$", STIMULATION.session_date, 1, 1)})
    rendered(figures.strf_panels(odd))
    rendered(figures.time_course_figure(odd))


@settings(max_examples=12, deadline=None)
@given(
    n_y=st.integers(1, 40),
    n_x=st.integers(1, 40),
    delays_ms=st.lists(st.integers(-200, 500), min_size=1, max_size=9, unique=True).map(sorted),
    n_silent=st.integers(0, 3),
    block=st.sampled_from([(83.0, 83.0), (8.3, 332.0), (200.0, 41.5)]),
)
def test_any_strf_is_drawn_whole_on_a_symmetric_scale(n_y, n_x, delays_ms, n_silent, block):
    values = np.random.default_rng(n_y * 41 + n_x).normal(size=(len(delays_ms), n_y, n_x))
    values[: n_silent % (len(delays_ms) + 1)] = np.nan
    figure = figures.strf_picture(make_strf(values, np.array(delays_ms) / 1e3, block))
    limit = figures.symmetric_limit(values)
    for ax in figure.axes:
        for coloured in (*ax.images, *(mesh for mesh in ax.collections if isinstance(mesh, QuadMesh))):
            assert coloured.get_clim() == (-limit, limit)
    assert_nothing_clipped(figure)
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    if min(n_y, n_x) > 1:
        for a, b in itertools.combinations(boxes, 2):
            overlap = (min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))
            assert min(overlap) < 3  # ticks of neighbours may touch, words may not


# --- space-time ------------------------------------------------------------------------------------


def test_delay_columns_touch_when_even_and_stay_apart_when_not():
    np.testing.assert_allclose(delay_columns_ms([0.2, 0.3], 60), [[150, 250], [250, 350]])
    np.testing.assert_allclose(delay_columns_ms([0, 0.1, 0.2, 0.5], 60), [[-50, 50], [50, 150], [150, 250], [450, 550]])
    rounded = delay_columns_ms([0, 0.0167, 0.0333, 0.05], 60)
    np.testing.assert_array_equal(rounded[1:, 0], rounded[:-1, 1])
    np.testing.assert_allclose(delay_columns_ms([0.1], 50), [[90, 110]])


@given(st.lists(st.integers(-500, 900), min_size=1, max_size=30, unique=True).map(sorted))
def test_delay_columns_hold_their_delay_and_never_overlap(delays_ms):
    columns = delay_columns_ms(np.array(delays_ms) / 1e3, 60)
    assert (columns[:, 0] < delays_ms).all()
    assert (columns[:, 1] > delays_ms).all()
    assert (columns[1:, 0] >= columns[:-1, 1] - 1e-9).all()


def test_time_runs_towards_the_spike_and_y_downwards():
    values = np.zeros((4, 6, 1))
    values[3, 0, 0], values[1, 5, 0] = 0.5, -0.5
    ax = figures.draw_space_time(make_strf(values, [-0.1, 0.0, 0.1, 0.2], (5000, 20)), new_axes())
    assert ax.get_xlim() == pytest.approx((250, -150))
    assert ax.get_ylim() == (120, 0)
    assert is_warm(colour_at(ax, 200, 10))
    assert is_cold(colour_at(ax, 12, 110))
    assert ax.get_xlabel() == "time before the spike (ms)"
    assert ax.get_ylabel() == "y (µm from the top)"
    assert texts(ax) == ["spike", "control"]
    spike = next(line for line in ax.lines if list(line.get_xdata()) == [0, 0])
    assert spike.get_visible()
    on_page = ax.transData.transform([(200, 10), (0, 110)])
    assert on_page[0, 0] < on_page[1, 0]
    assert on_page[0, 1] > on_page[1, 1]


def test_vertical_bars_have_x_upwards_from_the_left():
    values = np.zeros((3, 1, 5))
    values[2, 0, 0] = 0.5
    ax = figures.draw_space_time(make_strf(values, [0.0, 0.1, 0.2], (8.3, 3984)), new_axes())
    assert ax.get_ylim() == pytest.approx((0, 41.5))
    assert ax.get_ylabel() == "x (µm from the left)"
    assert is_warm(colour_at(ax, 200, 4))
    assert ax.collections[0].get_clim() == (-0.5, 0.5)


def test_uneven_delays_leave_grey_gaps_and_the_axis_reaches_the_spike():
    ax = figures.draw_space_time(make_strf(np.ones((3, 1, 5)), [0.1, 0.2, 0.5]), new_axes())
    np.testing.assert_allclose(ax.get_xlim(), (600, 0))
    assert is_warm(colour_at(ax, 500, 40))
    for between_ms in (320, 20):
        np.testing.assert_allclose(colour_at(ax, between_ms, 40), to_rgb(style.NO_DATA), atol=0.01)
    np.testing.assert_allclose(ax.get_xticks(), [0, 100, 200, 500])


def test_wide_gaps_are_named():
    ax = figures.draw_space_time(make_strf(np.ones((2, 1, 5)), [0.2, 0.3]), new_axes((8, 3)))
    named = [text.get_position()[0] for text in ax.texts if text.get_text() == "not computed"]
    assert named == [75]
    ax = figures.draw_space_time(make_strf(np.ones((3, 1, 5)), [0.0, 0.1, 0.2]), new_axes((8, 3)))
    assert "not computed" not in texts(ax)


def test_a_single_delay_is_a_profile_with_two_standard_errors():
    values = np.linspace(-0.1, 0.3, 5).reshape(1, 1, 5)
    ax = figures.draw_space_time(make_strf(values, [0.08], (10, 400), error=0.05), new_axes())
    profile = ax.lines[-1]
    np.testing.assert_allclose(profile.get_xdata(), [5, 15, 25, 35, 45])
    np.testing.assert_allclose(profile.get_ydata(), values.ravel())
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(-0.2)
    assert band[:, 1].max() == pytest.approx(0.4)
    assert ax.get_xlim() == (0, 50)


def test_a_single_delay_of_horizontal_bars_runs_down_the_page():
    ax = figures.draw_space_time(make_strf(np.arange(4.0).reshape(1, 4, 1), [0.08], (400, 10)), new_axes())
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), [5, 15, 25, 35])
    assert ax.get_ylim() == (40, 0)
    assert ax.get_ylabel() == "y (µm from the top)"


def test_silent_columns_are_hatched_and_a_silent_neuron_is_named():
    values = np.ones((4, 1, 5))
    values[2:] = np.nan
    ax = figures.draw_space_time(make_strf(values, [0.0, 0.1, 0.2, 0.3]), new_axes())
    assert [patch.get_x() for patch in ax.patches if patch.get_hatch()] == pytest.approx([150, 250])
    silent = figures.space_time_figure(make_strf(np.full((4, 1, 5), np.nan)))
    assert ["too few spikes" in texts(ax) for ax in silent.axes] == [True, True]
    rendered(silent)


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 1, 1)])
def test_space_time_needs_one_spatial_axis(shape):
    with pytest.raises(ContractError, match="expected bars"):
        figures.draw_space_time(make_strf(np.ones(shape)), new_axes())


def test_space_time_figure_aligns_image_and_time_course():
    values = np.random.default_rng(0).normal(0, 0.1, (12, 1, 64))
    image, bar, course = figures.space_time_figure(make_strf(values, np.arange(-3, 9) / 60, (83, 3984))).axes
    assert image.get_xlim() == course.get_xlim()
    assert image.get_position().x0 == course.get_position().x0
    assert image.get_position().x1 == course.get_position().x1
    assert bar.get_ylabel() == "STA (contrast)"


# --- time course -----------------------------------------------------------------------------------


def biphasic():
    values = np.zeros((6, 3, 4))
    values[:, 1, 2] = [0.9, 0.0, -0.4, 0.2, 0.1, 0.0]  # the largest is at a negative delay
    values[0, 2, 3] = 1.5
    return make_strf(values, np.arange(-1, 5) * 0.05, block_size_um=(100, 50), error=0.02)


def test_peak_is_looked_for_at_delays_from_zero():
    strf = biphasic()
    assert figures.peak_of(strf) == (2, 1, 2)
    assert figures.peak_of(strf, (1, 2)) == (2, 1, 2)
    assert figures.peak_of(strf, (0, 0))[1:] == (0, 0)
    assert figures.peak_of(make_strf(np.ones((2, 2, 2)), [-0.2, -0.1])) is None
    assert figures.peak_of(make_strf(np.full((2, 2, 2), np.nan))) is None


def test_time_course_shows_the_peak_block_its_error_and_the_control():
    ax = figures.draw_time_course(biphasic(), new_axes())
    course = next(line for line in ax.lines if len(line.get_xdata()) == 6)
    np.testing.assert_allclose(course.get_xdata(), [-50, 0, 50, 100, 150, 200])
    np.testing.assert_allclose(course.get_ydata(), [0.9, 0.0, -0.4, 0.2, 0.1, 0.0])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(0.92)
    assert band[:, 1].min() == pytest.approx(-0.42)
    assert ax.get_xlim() == pytest.approx((225, -75))
    assert ax.get_title(loc="left") == "block at x = 250 µm, y = 75 µm, band ±1 SE"
    assert "peak 50 ms" in texts(ax)
    ring = ax.lines[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (pytest.approx(50), -0.4)
    assert ring.get_markeredgecolor() == style.OFF
    control = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert sorted((control.x0, control.x1)) == pytest.approx([-75, 0])


def test_time_course_of_a_chosen_block():
    ax = figures.draw_time_course(biphasic(), new_axes(), (2, 3))
    assert ax.get_title(loc="left").startswith("block at x = 350 µm, y = 125 µm")
    for block in [(3, 0), (0, 4), (-1, 0)]:
        with pytest.raises(ContractError, match="row 0 to 2 and column 0 to 3"):
            figures.draw_time_course(biphasic(), new_axes(), block)


def test_delay_zero_alone_is_no_control():
    strf = make_strf(np.ones((3, 1, 5)), [0.0, 0.1, 0.2])
    course = figures.draw_time_course(strf, new_axes((8, 3)))
    assert not course.patches
    for ax in (course, figures.draw_space_time(strf, new_axes((8, 3)))):
        assert "control" not in texts(ax)


def test_uncentred_course_is_judged_against_the_block_mean():
    values = np.array([0.5, 0.3, 0.52])[:, None, None] * np.ones((1, 2, 2))
    ax = figures.draw_time_course(make_strf(values, centred=False, pixel_mean=0.5), new_axes())
    assert ax.lines[-1].get_ydata()[0] == pytest.approx(0.3)
    assert ax.lines[-1].get_markeredgecolor() == style.OFF
    assert any(np.array_equal(line.get_ydata(), [0.5, 0.5]) for line in ax.lines)


def test_few_delays_have_error_bars_and_no_control_without_negative_delays():
    ax = figures.draw_time_course(make_strf(np.full((2, 2, 2), 0.3), [0.2, 0.3], error=0.1), new_axes())
    (bars,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[0.2, 0.4], [0.2, 0.4]])
    assert not ax.patches
    assert "control" not in texts(ax)


def test_silent_time_course_says_so():
    for strf, block in ((make_strf(np.full((3, 2, 2), np.nan)), None), (make_strf(np.full((1, 2, 2), np.nan)), (0, 0))):
        ax = figures.draw_time_course(strf, new_axes(), block)
        assert "too few spikes" in texts(ax)
        rendered(ax.figure)


# --- raster ----------------------------------------------------------------------------------------


def test_raster_has_a_row_per_neuron_from_the_top_silent_ones_included():
    stimulation = make_stimulation(np.ones((40, 2, 2)), [[1.0, 3.0, 4.5, 7.0], [], [2.5]])
    ax = figures.draw_raster(stimulation, new_axes())
    rows = [c.get_segments() for c in ax.collections if isinstance(c, LineCollection)]
    assert [len(row) for row in rows] == [4, 0, 1]
    np.testing.assert_allclose([segment[0, 0] for segment in rows[0]], [1.0, 3.0, 4.5, 7.0])
    np.testing.assert_allclose(rows[2][0], [[2.5, 1.6], [2.5, 2.4]])
    assert ax.get_ylim() == (2.5, -0.5)
    assert tick_texts(ax.yaxis) == ["1", "2", "3"]
    assert ax.get_xlabel() == "time of the recording (s)"
    assert ax.get_xlim()[0] < 0
    assert ax.get_xlim()[1] > 7


def test_raster_marks_the_stimulus_and_counts_rates_within_it():
    stimulation = make_stimulation(np.ones((40, 2, 2)), [[1.0, 2.0, 4.5, 6.0], [0.1], np.linspace(2.1, 5.9, 37)])
    ax = figures.draw_raster(stimulation, new_axes())
    period = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (period.x0, period.x1) == pytest.approx((2.0, 6.0))
    assert [text for text in texts(ax) if "." in text or text == "0"] == [
        "onset 2.00 s",
        "end 6.00 s",
        "0.5",  # the spike at 6.0 comes as the last frame leaves
        "0",
        "9.2",
    ]
    assert [line.get_xdata()[0] for line in ax.lines] == [2.0, 6.0]


def test_raster_leaves_gaps_of_the_stimulus_white():
    edges_s = np.array([2.0, 3.0, 4.0, 6.0])
    stimulation = make_stimulation(np.ones((3, 2, 2)), [[]], frame_edges_s=edges_s, gaps_s=np.array([[4.5, 5.5]]))
    ax = figures.draw_raster(stimulation, new_axes())
    np.testing.assert_allclose(colour_at(ax, 5.0, 0), 1)
    np.testing.assert_allclose(colour_at(ax, 3.0, 0), to_rgb(style.STIMULUS), atol=0.01)


def test_raster_thins_labels_that_would_collide():
    stimulation = make_stimulation(np.ones((3, 2, 2)), [[]] * 60)
    labels = tick_texts(figures.draw_raster(stimulation, new_axes()).yaxis)
    assert labels[:2] == ["1", "5"]
    assert len(tick_texts(figures.raster_figure(stimulation, "many").axes[0].yaxis)) == 60


def test_raster_without_neurons_says_so():
    figure = figures.raster_figure(make_stimulation(np.ones((3, 2, 2))), "nobody")
    assert "no neurons" in texts(figure.axes[0])
    rendered(figure)


@pytest.mark.parametrize("n_neurons", [0, 1, 40])
def test_raster_figure_is_whole(n_neurons):
    stimulation = make_stimulation(np.ones((3, 2, 2)), [np.linspace(0, 5, 300)] * n_neurons)
    assert_nothing_clipped(figures.raster_figure(stimulation, str(STIMULATION)))


# --- stills ----------------------------------------------------------------------------------------


def test_stills_are_right_way_up_with_times_on_the_recording_clock():
    frames = -np.ones((30, 3, 4))
    frames[:, 0, 0] = 1
    figure = figures.movie_stills(make_stimulation(frames, block_size_px=(20, 10)), [0, 15])
    first, second = figure.axes[:2]
    assert [first.get_title(), second.get_title()] == ["frame 0, 2.000 s", "frame 15, 3.500 s"]
    np.testing.assert_allclose(first.images[0].get_extent(), (0, 664, 249, 0))
    np.testing.assert_allclose(colour_at(first, 83, 41), 1, atol=0.01)
    np.testing.assert_allclose(colour_at(first, 83, 207), 0, atol=0.01)
    np.testing.assert_allclose(colour_at(first, 581, 41), 0, atol=0.01)
    assert first.get_aspect() == 1
    assert figure.texts[1].get_text() == "30 frames at 10 Hz, 4 x 3 blocks of 166 x 83 µm"


def test_stills_take_explicit_frame_times():
    stimulation = make_stimulation(np.ones((3, 2, 2)), frame_edges_s=np.array([2.0, 2.1, 2.4, 2.5]))
    assert [ax.get_title() for ax in figures.movie_stills(stimulation).axes[:3]] == [
        "frame 0, 2.000 s",
        "frame 1, 2.100 s",
        "frame 2, 2.400 s",
    ]


def test_default_stills_span_the_movie():
    stimulation = make_stimulation(np.ones((100, 2, 2)))
    titles = [ax.get_title().split(",")[0] for ax in figures.movie_stills(stimulation).axes[:4]]
    assert titles == ["frame 0", "frame 33", "frame 66", "frame 99"]


@pytest.mark.parametrize(("shape", "block_size_px"), [((1, 64), (10, 480)), ((48, 1), (640, 10))])
def test_bars_are_as_long_as_on_the_screen(shape, block_size_px):
    frames = np.random.default_rng(0).choice([-1.0, 1.0], (2, *shape))
    figure = figures.movie_stills(make_stimulation(frames, block_size_px=block_size_px), [0])
    np.testing.assert_allclose(figure.axes[0].images[0].get_extent(), (0, 5312, 3984, 0))
    width, height = style.axes_size_in(figure.axes[0])
    assert width / height == pytest.approx(640 / 480)
    assert " bars of 83 µm" in figure.texts[1].get_text()
    assert_nothing_clipped(figure)


def test_fine_bars_get_a_pixel_each():
    figure = figures.movie_stills(make_stimulation(np.ones((2, 1, 640)), block_size_px=(1, 480)), [0, 1])
    assert style.axes_size_in(figure.axes[0])[0] * 150 >= 640


def test_graded_stills_share_a_scale():
    figure = figures.movie_stills(make_stimulation(np.linspace(-0.5, 0.5, 12).reshape(3, 2, 2)))
    assert {ax.images[0].get_clim() for ax in figure.axes[:3]} == {(-1.0, 1.0)}


@pytest.mark.parametrize("frame_indices", [[3], [-1], []])
def test_unknown_frames_are_refused(frame_indices):
    with pytest.raises(ContractError, match="expected"):
        figures.movie_stills(make_stimulation(np.ones((3, 2, 2))), frame_indices)


# --- diagram ---------------------------------------------------------------------------------------

NODES = [
    TableNode("Subject", "Manual", "lab_experiment", 5),
    TableNode("Session", "Manual", "lab_experiment", 16),
    TableNode("Neuron", "Manual", "lab_experiment", 177),
    TableNode("Movie", "Manual", "lab_experiment", 4),
    TableNode("Stimulation", "Manual", "lab_experiment", 1),
    TableNode("SpikeTrain", "Manual", "lab_experiment", 104493),
    TableNode("StrfParams", "Lookup", "lab_strf", 1),
    TableNode("StrfEstimation", "Computed", "lab_strf", None),
    TableNode("StrfEstimation.Strf", "Part", "lab_strf", 177),
]
EDGES = [
    ("Subject", "Session", True),
    ("Session", "Neuron", True),
    ("Session", "Stimulation", True),
    ("Movie", "Stimulation", False),
    ("Stimulation", "SpikeTrain", True),
    ("Neuron", "SpikeTrain", True),
    ("Stimulation", "StrfEstimation", True),
    ("StrfParams", "StrfEstimation", True),
    ("StrfEstimation", "StrfEstimation.Strf", True),
    ("SpikeTrain", "StrfEstimation.Strf", True),
]


def table_boxes(ax):
    return {p.get_label(): p.get_extents() for p in ax.patches if isinstance(p, FancyBboxPatch) and p.get_label()}


def lines_of(ax):
    return [p for p in ax.patches if isinstance(p, PathPatch)]


def assert_diagram_is_clear(ax, n_tables, n_edges):
    boxes = table_boxes(ax)
    assert len(boxes) == n_tables
    for a, b in itertools.combinations(boxes.values(), 2):
        assert not a.overlaps(b)
    assert len(lines_of(ax)) == n_edges
    for line in lines_of(ax):
        path = line.get_transform().transform_path(line.get_path())
        curve = np.concatenate([bezier(np.linspace(0, 1, 40)) for bezier, _ in path.iter_bezier()])
        for box in boxes.values():
            inside = (
                (curve[:, 0] > box.x0 + 1)
                & (curve[:, 0] < box.x1 - 1)
                & (curve[:, 1] > box.y0 + 1)
                & (curve[:, 1] < box.y1 - 1)
            )
            assert not inside.any()


def test_diagram_has_every_table_and_key_without_overlap():
    figure = figures.diagram_figure(NODES, EDGES)
    (ax,) = figure.axes
    assert_diagram_is_clear(ax, 9, 10)
    boxes = table_boxes(ax)
    for parent, child, _ in EDGES:
        assert boxes[parent].y0 > boxes[child].y1
    assert [p.get_linestyle() not in {"solid", "-"} for p in lines_of(ax)] == [not edge[2] for edge in EDGES]
    assert_nothing_clipped(figure)


def test_diagram_says_rows_schemas_tiers_and_line_styles():
    words = texts(figures.draw_diagram(NODES, EDGES, new_axes()))
    for word in ("177 rows", "1 row", "104,493 rows", "lab_experiment", "lab_strf", "Manual", "Lookup", "Computed"):
        assert word in words
    assert words.count("in the primary key") == words.count("not in the primary key") == 1
    assert "Imported" not in words
    assert not any("None" in word for word in words)


def test_diagram_colours_tell_tiers_apart():
    ax = figures.draw_diagram(NODES, EDGES, new_axes())
    colours = {p.get_label(): (p.get_facecolor(), p.get_edgecolor()) for p in ax.patches if p.get_label()}
    assert len({colours[n] for n in ("Session", "StrfParams", "StrfEstimation", "StrfEstimation.Strf")}) == 4
    assert colours["Session"] == colours["Movie"]


def test_diagram_words_fit_their_boxes_at_any_size():
    for size in ((3, 3), (12, 5)):
        figure = Figure(figsize=size, dpi=100)
        ax = figures.draw_diagram(NODES, EDGES, figure.add_axes((0, 0, 1, 1)))
        rendered(figure)
        boxes = table_boxes(ax)
        for text in ax.texts:
            if text.get_text() in boxes:
                box, word = boxes[text.get_text()], text.get_window_extent()
                assert box.x0 < word.x0 < word.x1 < box.x1
                assert box.y0 < word.y0 < word.y1 < box.y1


def test_schema_names_stand_clear_of_boxes_and_bands_of_each_other():
    figure = figures.diagram_figure(NODES, EDGES)
    rendered(figure)
    (ax,) = figure.axes
    for text in ax.texts:
        if text.get_text().startswith("lab_"):
            assert not any(text.get_window_extent().overlaps(box) for box in table_boxes(ax).values())
    layout = layered_layout({n.name: 1.0 for n in NODES}, {n.name: n.schema for n in NODES}, [e[:2] for e in EDGES])
    upper, lower = layout.bands
    assert (upper.schema, lower.schema) == ("lab_experiment", "lab_strf")
    assert upper.bottom < lower.top
    assert layout.boxes["SpikeTrain"].y < upper.bottom
    assert layout.boxes["StrfParams"].y > lower.top


def test_a_lookup_stands_just_above_what_uses_it():
    layout = layered_layout({n.name: 1.0 for n in NODES}, {n.name: n.schema for n in NODES}, [e[:2] for e in EDGES])
    assert layout.boxes["Movie"].y == layout.boxes["Session"].y


def test_layout_untangles_lines():
    names = [f"p{i}" for i in range(4)] + [f"c{i}" for i in range(4)]
    layout = layered_layout(
        dict.fromkeys(names, 1.0), dict.fromkeys(names, "s"), [(f"p{i}", f"c{3 - i}") for i in range(4)]
    )
    parents = sorted(range(4), key=lambda i: layout.boxes[f"p{i}"].x)
    children = sorted(range(4), key=lambda i: layout.boxes[f"c{3 - i}"].x)
    assert parents == children
    for points in layout.routes.values():
        assert points[0][0] == pytest.approx(points[-1][0])


def test_long_lines_pass_beside_the_boxes_of_the_layers_between():
    names = ["a", "b", "c", "d"]
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("b", "d")]
    layout = layered_layout(dict.fromkeys(names, 1.0), dict.fromkeys(names, "s"), edges)
    for edge, between in ((("a", "d"), "bc"), (("b", "d"), "c")):
        points = layout.routes[edge]
        assert len(points) == 2 + 2 * len(between)
        for name in between:
            box = layout.boxes[name]
            beside = [x for x, y in points if abs(y - box.y) <= box.height / 2]
            assert len(beside) == 2
            assert all(0.3 < abs(x - box.x) - box.width / 2 < 1.0 for x in beside)


@st.composite
def acyclic_tables(draw):
    n_tables = draw(st.integers(1, 14))
    schemas = draw(st.lists(st.sampled_from("abc"), min_size=n_tables, max_size=n_tables))
    pairs = list(itertools.combinations(range(n_tables), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=24, unique=True)) if pairs else []
    nodes = [TableNode(f"T{'x' * (i % 5)}{i}", "Manual", schemas[i], i) for i in range(n_tables)]
    return nodes, [(nodes[a].name, nodes[b].name, (a + b) % 2 == 0) for a, b in edges]


@settings(max_examples=25, deadline=None)
@given(acyclic_tables())
def test_any_acyclic_tables_are_laid_out_clearly(tables):
    nodes, edges = tables
    figure = figures.diagram_figure(nodes, edges)
    assert_diagram_is_clear(figure.axes[0], len(nodes), len(edges))
    boxes = table_boxes(figure.axes[0])
    for parent, child, _ in edges:
        assert boxes[parent].y0 > boxes[child].y1


def test_impossible_diagrams_are_refused():
    a, b = TableNode("A", "Manual", "s"), TableNode("B", "Manual", "s")
    with pytest.raises(ContractError, match="circle"):
        figures.draw_diagram([a, b], [("A", "B", True), ("B", "A", True)], new_axes())
    with pytest.raises(ContractError, match="no table C"):
        figures.draw_diagram([a, b], [("A", "C", True)], new_axes())
    with pytest.raises(ContractError, match="A is given twice"):
        figures.draw_diagram([a, a], [], new_axes())
    with pytest.raises(ContractError, match="at least one"):
        figures.draw_diagram([], [], new_axes())
    with pytest.raises(ContractError, match="tier is 'manual'"):
        TableNode("A", "manual", "s")


# --- saving ----------------------------------------------------------------------------------------


def test_saved_png_names_its_maker_and_no_path(tmp_path):
    figure = figures.strf_panels(make_strf(np.ones((2, 3, 3))))
    path = figures.save(figure, tmp_path / "a.png", dpi=72)
    with Image.open(path) as image:
        assert image.text == {"Software": "dj-neuron"}
        assert abs(image.width / 72 - figure.get_figwidth()) < 1
    assert str(tmp_path).encode() not in path.read_bytes()
    assert figures.save(figure, tmp_path / "b.png", dpi=72).read_bytes() == path.read_bytes()


def test_dots_per_inch_are_kept(tmp_path):
    sizes = []
    for dpi in (50, 100):
        path = figures.save(figures.strf_panels(make_strf(np.ones((2, 3, 3)))), tmp_path / "a.png", dpi=dpi)
        with Image.open(path) as image:
            sizes.append(image.width)
    assert sizes[1] / sizes[0] == pytest.approx(2, abs=0.02)


def ink(path):
    """Where a picture is not white: left, top, and the free space right and below."""
    with Image.open(path) as image:
        left, top, right, bottom = ImageOps.invert(image.convert("RGB")).getbbox()
        return left, top, image.width - right, image.height - bottom


@pytest.mark.parametrize("x", [0.5, 0.01, 1.5, -3])
def test_a_picture_is_trimmed_to_what_is_drawn_also_where_that_is_beyond_the_figure(tmp_path, x):
    figure = Figure((2, 2), dpi=50, facecolor="red")
    words = figure.text(x, 0.5, "H", fontsize=30, ha="center")
    figure.text(0.5, 0.5, "H", fontsize=30)
    canvas = figure.canvas
    path = figures.save(figure, tmp_path / "a.png", dpi=100)
    assert (figure.canvas, figure.dpi, figure.get_facecolor()) == (canvas, 50, (1, 0, 0, 1))
    assert min(ink(path)) >= 9  # 0.12 inches, less what is in the box of a letter but not drawn
    with Image.open(path) as image:
        far = abs(x - 0.5) * 200
        assert far < image.width < far + 120
        assert round(image.info["dpi"][0]) == 100
    words.remove()
    figures.save(figure, tmp_path / "b.png", dpi=100)
    assert ink(tmp_path / "b.png") == (12, 12, 12, 12)


def test_a_picture_of_nothing_is_white(tmp_path):
    path = figures.save(Figure((1, 1)), tmp_path / "a.png", dpi=100)
    with Image.open(path) as image:
        assert image.size == (124, 124)
        assert image.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_vector_files_carry_no_date(tmp_path, suffix):
    path = figures.save(figures.time_course_figure(biphasic()), tmp_path / f"a{suffix}")
    assert b"Date" not in path.read_bytes()
    assert b"dj-neuron" in path.read_bytes()


def test_unknown_picture_formats_are_refused(tmp_path):
    with pytest.raises(ContractError, match=r"a\.gif: figures are written as \.png"):
        figures.save(Figure(), tmp_path / "a.gif")


# --- the folder ------------------------------------------------------------------------------------


def fill(out_dir, name, text="new"):
    with fresh_folder(out_dir) as folder:
        (folder / name).write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_appears_whole_at_the_end(tmp_path):
    out = tmp_path / "deep" / "figures"
    with fresh_folder(out) as folder:
        (folder / "a.png").write_text("a")
        assert not out.exists()
        assert out.parent in folder.parents
    assert names(out) == [MARKER, "a.png"]
    assert names(out.parent) == ["figures"]


def test_folder_is_replaced_not_merged(tmp_path):
    out = tmp_path / "figures"
    fill(out, "a.png")
    with fresh_folder(out) as folder:
        (folder / "b.png").write_text("b")
        assert names(out) == [MARKER, "a.png"]
    assert names(out) == [MARKER, "b.png"]
    assert names(tmp_path) == ["figures"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_folder(tmp_path, error):
    out = tmp_path / "figures"
    fill(out, "a.png")
    with pytest.raises(error), fresh_folder(out) as folder:  # noqa: PT012
        (folder / "b.png").write_text("half")
        raise error
    assert names(out) == [MARKER, "a.png"]
    assert names(tmp_path) == ["figures"]


def test_an_empty_folder_may_be_replaced(tmp_path):
    out = tmp_path / "figures"
    out.mkdir()
    fill(out, "a.png")
    assert names(out) == [MARKER, "a.png"]


def test_a_link_is_followed(tmp_path):
    fill(tmp_path / "real", "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fill(tmp_path / "link", "b.png")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == [MARKER, "b.png"]


def test_foreign_files_and_folders_are_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only_copy.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name, message in (("thesis", "did not write"), ("file", "is a file")):
        with pytest.raises(PipelineError, match=message):
            fill(tmp_path / name, "a.png")
    assert (tmp_path / "thesis" / "only_copy.txt").read_text() == "precious"
    assert names(tmp_path) == ["file", "thesis"]


def test_files_that_arrive_meanwhile_are_kept(tmp_path):
    out = tmp_path / "figures"
    with pytest.raises(PipelineError, match="did not write"), fresh_folder(out):  # noqa: PT012
        out.mkdir()
        (out / "notes.txt").write_text("precious")
    assert names(out) == ["notes.txt"]


def test_places_that_hold_more_than_figures_are_refused(tmp_path, monkeypatch):
    work = tmp_path / "a" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "b" / "home"))
    for place in (".", "..", work.parent, "/", tmp_path / "b", "~"):
        with pytest.raises(PipelineError, match=r"is or holds the (current|home) folder"):
            fill(place, "a.png")
    assert not (tmp_path / "b").exists()


def test_users_that_there_are_not_are_one_sentence():
    with pytest.raises(PipelineError, match=r"~no_such_user/figures cannot be found: .*, expected a folder"):
        fill("~no_such_user/figures", "a.png")


def draw_what_no_font_has(folder):
    for kind in ("png", "svg"):
        figure = Figure()
        figure.text(0.1, 0.1, "\ue123\ue124 x")  # of private use
        figures.save(figure, folder / f"a.{kind}")
    warnings.warn("another", UserWarning, stacklevel=1)


def test_letters_that_no_font_has_are_told_once_and_other_warnings_as_they_are(tmp_path):
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with missing_letters_told(said.append):
            draw_what_no_font_has(tmp_path)
    assert [str(one.message) for one in warned] == ["another"]
    (told,) = said
    assert told.startswith("no font has \\ue123 \\ue124: boxes stand for them in PNG and PDF files")


def test_a_parent_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PipelineError, match="cannot be replaced"):
        fill(tmp_path / "file" / "figures", "a.png")


def test_every_name_is_public():
    assert all(hasattr(figures, name) for name in figures.__all__)
