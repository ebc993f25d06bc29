"""Numbers in the explorer's plots, and that a browser draws from packed delays what Python would draw."""

import base64
import datetime
import html
import json
import re
import subprocess
from dataclasses import replace
from importlib import resources

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from dj_neuron.contracts import (
    MosaicResult,
    Movie,
    Nonlinearity,
    QualityGrowth,
    ReceptiveFieldResult,
    SpikeLedger,
    SpikeTrain,
    Stimulation,
    StimulationId,
    Strf,
)
from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.explorer import plots as made
from dj_neuron.explorer.plots.plot import Plot
from dj_neuron.explorer.plots.strf_frames import MISSING
from dj_neuron.pictures.colours import OFF, ON, STIMULUS
from dj_neuron.pictures.sentences import finding_text
from dj_neuron.strf.spike_intervals import autocorrelogram, rates_hz, refractory_violations

RATE_HZ = 50.0
DELAYS_S = np.arange(-2, 6) / RATE_HZ
BLOCK_UM = (40.0, 50.0)
STIMULATION = StimulationId("WT", datetime.date(2020, 3, 1), 1, 2)
SPACE = {
    "centre_x_um": 210.0, "centre_y_um": 160.0, "sigma_major_um": 60.0, "sigma_minor_um": 30.0, "angle_deg": 30.0,
    "polarity": 1.0, "threshold_z": 4.0,
}  # fmt: skip


class Checked:
    """The plots, each taken through Plotly's own figure, which refuses what it does not know."""

    def __getattr__(self, name):
        def checked(*args, **options):
            found = getattr(made, name)(*args, **options)
            return go.Figure(found.data, found.layout) if isinstance(found, Plot) else found

        return checked


plots = Checked()


def make_strf(shape=(6, 9), *, delays_s=DELAYS_S, estimator="sta", neuron_id=7, silent=False):
    values = np.random.default_rng(0).normal(0, 0.05, (len(delays_s), *shape))
    values[-3, shape[0] // 2, shape[1] // 2] = -0.4
    error = np.full(values.shape, 0.05 if estimator == "sta" else np.nan)
    n_used = np.full(len(delays_s), 0 if silent else 100)
    return Strf(
        STIMULATION, neuron_id, delays_s, np.full_like(values, np.nan) if silent else values, error,
        SpikeLedger(n_used, n_used * 0, n_used * 0, n_used * 0), np.zeros(shape), centred=True, frame_rule="floor",
        frame_rate_hz=RATE_HZ, block_size_um=BLOCK_UM, estimator=estimator,
    )  # fmt: skip


def make_field(shape=(6, 9), *, delays_s=DELAYS_S, neuron_id=7, **changes):
    significant = np.zeros((len(delays_s), *shape), bool)
    significant[-3, shape[0] // 2, shape[1] // 2] = True
    nothing = np.full(len(delays_s), np.nan)
    values = {
        "axes": "x" * (shape[1] > 1) + "y" * (shape[0] > 1), "region": significant.any(axis=0), "reasons": {},
        "nonlinearity": Nonlinearity(np.linspace(-2, 2, 5), np.arange(5.0), np.full(5, 0.5), 10.0, 1.2, -1.0),
        "growth": QualityGrowth(np.arange(1.0, 4), np.array([3.0, 5.0, 8.0]), np.array([0.5, 0.8, 1.0])),
        "measures": SPACE | changes.pop("measures", {}),
    }  # fmt: skip
    return ReceptiveFieldResult(
        stimulation_id=STIMULATION, neuron_id=neuron_id, parameter_ids={}, delays_s=delays_s, block_size_um=BLOCK_UM,
        significant=significant, spatial_map=np.zeros(shape), spatial_map_se=np.zeros(shape), time_course=nothing,
        time_course_se=nothing, null_maxima=np.empty(0), model="gaussian", **(values | changes),
    )  # fmt: skip


def make_stimulation(shape=(6, 9), n_frames=100, **changes):
    frames = np.random.default_rng(1).choice([-1.0, 1.0], (n_frames, *shape))
    trains = (SpikeTrain(1, np.array([0.5, 2.0, 2.001, 9.0, 21.5])), SpikeTrain(2, np.empty(0)))
    values = {"frame_rate_hz": 10.0, "onset_s": 1.0, "pixel_size_um": 10.0, "spike_trains": trains}
    return Stimulation(1, Movie.from_frames(frames, block_size_px=(4, 5)), **(values | changes))


def traces(figure, name):
    return [trace for trace in figure.data if (trace.name or "").startswith(name)]


def shapes(figure, name):
    return [shape for shape in figure.layout.shapes if shape.name == name]


def words(figure):
    return " ".join(annotation.text for annotation in figure.layout.annotations)


def finite(values):
    return [value for value in values if value is not None]


# --- STRFs -----------------------------------------------------------------------------------------


def test_a_delay_is_drawn_in_micrometres_with_row_0_at_the_top_and_one_scale_for_all_delays():
    strf = make_strf()
    for delay_idx in (0, 5):
        figure = plots.strf_frames(strf, delay_idx=delay_idx)
        image = figure.data[0]
        np.testing.assert_allclose(image.z, strf.values[delay_idx], rtol=1e-6)
        np.testing.assert_allclose(image.customdata, strf.z[delay_idx], rtol=1e-5)
        assert (image.x0, image.dx, image.y0, image.dy) == (20, 40, 25, 50)
        assert (image.zmin, image.zmax) == (-0.4, 0.4)
    assert figure.layout.xaxis.range == (0, 360)
    assert figure.layout.yaxis.range == (300, 0)
    assert figure.layout.yaxis.scaleanchor == "x"
    assert len(figure.data) == 1


def test_overlays_lie_where_the_measures_say_and_are_there_to_be_switched_on():
    strf, field = make_strf(), make_field()
    figure = plots.strf_frames(strf, field, delay_idx=5, block=(1, 2), show_fit=False, show_significant=False)
    (outline,) = traces(figure, "significant")
    assert (min(finite(outline.x)), max(finite(outline.x))) == (160, 200)
    assert (min(finite(outline.y)), max(finite(outline.y))) == (150, 200)
    fits = traces(figure, "fit")
    assert outline.visible is False
    assert all(trace.visible is False for trace in fits)
    for n_sigma, trace in ((1, fits[1]), (2, fits[3])):
        away = np.hypot(trace.x - 210, trace.y - 160)
        assert away.max() == pytest.approx(60 * n_sigma)
        assert away.min() == pytest.approx(30 * n_sigma)
        farthest = np.argmax(away)
        assert np.tan(np.deg2rad(30)) == pytest.approx((trace.y[farthest] - 160) / (trace.x[farthest] - 210))
    chosen = traces(figure, "chosen block")[-1]
    assert {*chosen.x} == {80, 120}
    assert {*chosen.y} == {50, 100}
    elsewhere = plots.strf_frames(strf, field, delay_idx=4)
    assert not finite(traces(elsewhere, "significant")[0].x)
    assert traces(elsewhere, "significant")[0].visible is True


def test_a_silent_neuron_and_a_ridge_estimate_are_drawn_for_what_they_are():
    assert "too few spikes" in words(plots.strf_frames(make_strf(silent=True), delay_idx=0))
    assert "too few spikes" in words(plots.block_course(make_strf(silent=True), block=(0, 0), delay_idx=0))
    assert "too few spikes" in words(plots.space_time(make_strf((1, 9), silent=True)))
    ridge = plots.strf_frames(make_strf(estimator="ridge"), delay_idx=0).data[0]
    assert ridge.customdata is None
    assert "z =" not in ridge.hovertemplate
    assert "ridge" in ridge.colorbar.title.text


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.strf_frames(make_strf((1, 9)), delay_idx=0), "1 x 9 blocks"),
        (lambda: plots.strf_frames(make_strf(), delay_idx=8), "delay index is 8, expected 0 to 7"),
        (lambda: plots.strf_frames(make_strf(), delay_idx=0, block=(6, 0)), r"block is \(6, 0\)"),
        (lambda: plots.strf_frames(make_strf(), make_field(neuron_id=8), delay_idx=0), "neuron 8"),
        (lambda: plots.block_course(make_strf(), block=(0, -1), delay_idx=0), r"block is \(0, -1\)"),
        (lambda: plots.space_time(make_strf()), "expected bars"),
        (lambda: plots.space_time(make_strf((1, 1))), "expected bars"),
        (lambda: plots.raster([], make_stimulation(), 3), "neuron is 3"),
        (lambda: plots.raster(make_stimulation().spike_trains, make_stimulation(), 1, row_s=0), "rows are of 0 s"),
        (lambda: plots.stimulus_frame(make_stimulation(), 100), "expected 0 to 99"),
        (lambda: plots.stimulus_frame(make_stimulation(), 0, block=(0, 9)), r"block is \(0, 9\)"),
    ],
)
def test_what_is_not_there_is_refused(draw, message):
    with pytest.raises(ContractError, match=message):
        draw()


@given(st.lists(st.floats(-10, 10, width=32) | st.just(np.nan), min_size=12, max_size=12))
def test_packed_delays_are_the_values_to_a_part_in_64000(numbers):
    values = np.array(numbers).reshape(2, 2, 3)
    strf = make_strf((2, 3), delays_s=DELAYS_S[:3])
    strf = replace(strf, delays_s=DELAYS_S[:2], values=values, standard_error=np.ones(values.shape))
    data = json.loads(json.dumps(plots.strf_animation_data(strf)))
    for frame, expected in zip(data["values"]["frames"], values, strict=True):
        whole = np.frombuffer(base64.b64decode(frame), "<i2").reshape(data["shape"])
        assert ((whole == MISSING) == np.isnan(expected)).all()
        known = np.isfinite(expected)
        assert np.allclose(whole[known] * data["values"]["step"], expected[known], rtol=0, atol=data["values"]["step"])


def test_the_browser_shows_any_delay_as_python_draws_it(tmp_path, chromium):
    """Python's figure of delay 0, taken to delay 5 by the script, is Python's figure of delay 5."""
    strf, field = make_strf(), make_field()
    start = made.strf_frames(strf, field, delay_idx=0)
    course = made.block_course(strf, field, block=(3, 4), delay_idx=0)
    start, course = (json.dumps(one, cls=PlotlyJSONEncoder) for one in (start, course))
    script = resources.files("dj_neuron.explorer").joinpath("assets/strf_frames.js").read_text()
    (tmp_path / "plotly.js").write_text(get_plotlyjs())
    page = tmp_path / "page.html"
    page.write_text(
        f"""<meta charset="utf-8"><div id="strf"></div><div id="course"></div><pre id="said"></pre>
<script src="plotly.js"></script><script>{script}</script><script>
const figures = {{strf: {start}, course: {course}}};
const data = {json.dumps(plots.strf_animation_data(strf, field))};
(async () => {{
  for (const id of ["strf", "course"]) await Plotly.newPlot(id, figures[id].data, figures[id].layout);
  const [strf, course] = ["strf", "course"].map((id) => document.getElementById(id));
  await strfFrames.show(strf, data, 5, ["fit"]);
  await strfFrames.mark(course, data.delays_ms[5]);
  const visible = strf.data.map((trace) => [trace.name, trace.visible]);
  const marker = course.layout.shapes.find((shape) => shape.name === "delay marker");
  const [image, outline] = strf.data;
  document.getElementById("said").textContent = JSON.stringify(
    {{z: image.z, customdata: image.customdata, x: outline.x, y: outline.y, visible, ms: [marker.x0, marker.x1]}});
}})();</script>"""
    )
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    said = json.loads(html.unescape(re.search(r'<pre id="said">(.*?)</pre>', dom, re.DOTALL).group(1)))
    expected = plots.strf_frames(strf, field, delay_idx=5)
    np.testing.assert_allclose(said["z"], expected.data[0].z, atol=0.4 / 32000)
    np.testing.assert_allclose(said["customdata"], expected.data[0].customdata, atol=8 / 32000)
    assert finite(said["x"]) == finite(traces(expected, "significant")[0].x)
    assert finite(said["y"]) == finite(traces(expected, "significant")[0].y)
    assert all(is_shown == (name == "fit") for name, is_shown in said["visible"] if name in {"fit", "significant"})
    assert said["ms"] == pytest.approx([60, 60])


def test_a_time_course_has_its_errors_its_control_and_its_marked_delay():
    strf = make_strf()
    figure = plots.block_course(strf, make_field(), block=(3, 4), delay_idx=5)
    (course,) = traces(figure, "course")
    np.testing.assert_allclose(course.x, DELAYS_S * 1e3)
    np.testing.assert_allclose(course.y, strf.values[:, 3, 4])
    (band,) = traces(figure, "band")
    np.testing.assert_allclose(band.y[:8], strf.values[:, 3, 4] - 0.05)
    np.testing.assert_allclose(band.y[8:][::-1], strf.values[:, 3, 4] + 0.05)
    (found,) = traces(figure, "significant")
    assert [*found.x] == pytest.approx([60])
    assert [*found.marker.color] == [OFF]
    (control,), (marker,) = shapes(figure, "control"), shapes(figure, "delay marker")
    assert (control.x0, control.x1) == (-50, 0)
    assert marker.x0 == marker.x1 == pytest.approx(60)
    assert figure.layout.xaxis.range == (110, -50)


@pytest.mark.parametrize(("shape", "space", "ends_um"), [((1, 9), "x", (0, 360)), ((6, 1), "y", (300, 0))])
def test_bars_are_an_image_of_space_and_time(shape, space, ends_um):
    strf = make_strf(shape)
    bar = max(shape) // 2
    block = (0, bar) if space == "x" else (bar, 0)
    figure = plots.space_time(strf, make_field(shape), delay_idx=5, block=block)
    image = figure.data[0]
    np.testing.assert_allclose(image.z, strf.values.reshape(8, -1).T)
    np.testing.assert_allclose(image.x, np.arange(-50, 111, 20))
    assert figure.layout.yaxis.range == ends_um
    size_um = BLOCK_UM["xy".index(space)]
    np.testing.assert_allclose(image.y, np.arange(max(shape) + 1) * size_um)
    (outline,) = traces(figure, "significant")
    assert {*np.round(finite(outline.x))} == {50, 70}
    assert {*finite(outline.y)} == {bar * size_um, (bar + 1) * size_um}
    centre_um = SPACE[f"centre_{space}_um"]
    assert {trace.y[0] for trace in traces(figure, "fit")} == {centre_um, centre_um - 60, centre_um + 60}
    assert {*traces(figure, "chosen block")[0].y} == {bar * size_um, (bar + 1) * size_um}
    assert shapes(figure, "delay marker")[0].x0 == pytest.approx(60)


@pytest.mark.parametrize(("shape", "along"), [((1, 9), "x"), ((6, 1), "y")])
def test_a_single_delay_of_bars_is_a_profile(shape, along):
    strf = make_strf(shape, delays_s=DELAYS_S[-3:])
    strf = replace(strf, delays_s=strf.delays_s[:1], values=strf.values[:1], standard_error=strf.standard_error[:1])
    (line,) = traces(plots.space_time(strf), "STRF")
    values = line.y if along == "x" else line.x
    np.testing.assert_allclose(values, strf.values.ravel())


def test_delays_that_were_not_computed_leave_a_gap():
    strf = make_strf((1, 9), delays_s=np.array([0, 0.02, 0.04, 0.1]))
    image = plots.space_time(strf).data[0]
    assert np.isnan(image.z[:, 3]).all()
    assert np.isfinite(image.z[:, [0, 1, 2, 4]]).all()
    np.testing.assert_allclose(image.x, [-10, 10, 30, 50, 90, 110])


# --- spikes ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 400), max_size=60), st.sampled_from([0.0, 3599.123]))
def test_the_autocorrelogram_counts_all_pairs(milliseconds, start_s):
    times_s = start_s + np.sort(np.array(milliseconds, np.float64)) / 1e3
    edges_s, rate_hz = autocorrelogram(times_s, 0.05, 0.001)
    counts = np.zeros(50)
    for i, first in enumerate(sorted(milliseconds)):
        for second in sorted(milliseconds)[i + 1 :]:
            if second - first < 50:
                counts[second - first] += 1
    np.testing.assert_allclose(edges_s, np.arange(51) / 1e3)
    np.testing.assert_allclose(rate_hz * max(len(milliseconds), 1) * 0.001, counts)


def test_refractory_violations_are_intervals_that_are_too_short():
    found = refractory_violations([0, 0.001, 0.003, 0.0049, 1], 0.002)
    assert (found.n_violations, found.n_intervals, found.share) == (2, 4, 0.5)
    assert refractory_violations([1.0]).share is None
    assert refractory_violations([0, 0.001, 0.003, 0.0049, 1]) == found
    with pytest.raises(AlignmentError, match="0 < bin <= reach"):
        autocorrelogram([0, 1], 0.01, 0.02)
    for bin_s in (0.0, -0.01):
        with pytest.raises(AlignmentError, match="0 < bin <= reach"):
            autocorrelogram([0, 1], 0.01, bin_s)
    assert autocorrelogram([0, 1], 0.01, 0.01)[1].tolist() == [0]


def test_unless_told_an_autocorrelogram_has_50_bins_of_a_millisecond():
    times_s = np.sort(np.random.default_rng(3).uniform(0, 5, 400))
    for found, told in zip(autocorrelogram(times_s), autocorrelogram(times_s, 0.05, 0.001), strict=True):
        np.testing.assert_array_equal(found, told)


def test_a_lag_reaches_a_border_by_no_more_than_the_rounding_of_its_times():
    def bin_of(first_s, second_s):
        return autocorrelogram([first_s, second_s], 0.002, 0.001)[1].argmax()

    assert bin_of(0, 0.001 - 1e-17) == 0
    rounding_s = np.spacing(4096.0)
    second_s = 4096 + 0.001  # in whole roundings: a little more than a millisecond
    assert 0 < second_s - 4096 - 0.001 < rounding_s / 2
    assert [bin_of(4096, second_s - n * rounding_s) for n in range(4)] == [1, 1, 1, 0]


def test_rates_are_counts_over_durations():
    np.testing.assert_allclose(rates_hz([0, 0.5, 1, 2.5, 4], [0, 1, 2, 4]), [2, 1, 1])


def test_the_autocorrelation_says_how_many_intervals_are_too_short():
    figure = plots.autocorrelation(SpikeTrain(1, np.array([0, 0.0015, 0.0215, 0.5])))
    assert "1 of 3 intervals (33.33 %) under 2 ms" in words(figure)
    (refractory,) = shapes(figure, "refractory")
    assert (refractory.x0, refractory.x1) == (0, 2)
    (bars,) = traces(figure, "rate")
    np.testing.assert_allclose(bars.y[[1, 20, 21]], [250, 250, 250])
    assert bars.y.sum() == pytest.approx(750)
    assert "fewer than two spikes" in words(plots.autocorrelation(SpikeTrain(1, np.array([1.0]))))


def test_a_raster_has_every_spike_in_its_row_and_the_stimulus_behind_it():
    stimulation = make_stimulation()  # from 1 to 11 s
    figure = plots.raster(stimulation.spike_trains, stimulation, 1, row_s=5)
    (spikes,) = traces(figure, "spikes")
    np.testing.assert_allclose(spikes.x, [0.5, 2, 2.001, 4, 1.5], rtol=1e-6)
    np.testing.assert_allclose(spikes.y, [0, 0, 0, 1, 4])
    assert [*spikes.customdata] == [1, 2, 3, 4, 5]
    (rate,) = traces(figure, "rate")
    np.testing.assert_allclose(rate.x, [3 / 5, 1 / 5, 0, 0, 1 / 1.5])
    shown = [(shape.x0, shape.x1, shape.y0 + 0.5) for shape in shapes(figure, "stimulus")]
    assert shown == [(1, 5, 0), (0, 5, 1), (0, 1, 2)]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert "no spike" in words(plots.raster(stimulation.spike_trains, stimulation, 2))


def test_rows_are_round_and_not_too_many():
    stimulation = make_stimulation(n_frames=9000)
    (rate,) = traces(plots.raster(stimulation.spike_trains, stimulation, 1), "rate")
    assert len(rate.y) == 16  # 901 s in rows of a minute


def test_gaps_of_the_movie_stay_white():
    edges_s = np.concatenate([np.arange(50) * 0.1 + 1, np.arange(51) * 0.1 + 8])
    stimulation = make_stimulation(frame_edges_s=edges_s, gaps_s=np.array([[6.0, 8.0]]))
    figure = plots.raster(stimulation.spike_trains, stimulation, 1, row_s=100)
    assert [(shape.x0, shape.x1, shape.fillcolor) for shape in shapes(figure, "stimulus")] == [
        (1, pytest.approx(13), STIMULUS), (6, 8, "white"),
    ]  # fmt: skip


def test_among_others_the_neuron_keeps_its_spikes_and_the_others_their_names():
    trains = (SpikeTrain(1, np.array([1.0, 2.0])), SpikeTrain(3, np.array([4.0])), SpikeTrain(9, np.array([5.0])))
    stimulation = make_stimulation(spike_trains=trains)
    figure = plots.raster(trains, stimulation, 3, among_others=True)
    (others,), (spikes,) = traces(figure, "other neurons"), traces(figure, "spikes")
    assert [*others.customdata] == [1, 1, 9]
    assert [*others.y] == [0, 0, 2]
    assert ([*spikes.x], [*spikes.y]) == ([4.0], [1])
    (rate,) = traces(figure, "rate")
    assert np.sum(rate.y[:-1] * np.diff(rate.x)) == pytest.approx(1)
    assert "<b>3</b>" in figure.layout.yaxis.ticktext


# --- the model, the stimulus, the population -------------------------------------------------------


def test_nonlinearity_and_growth_show_their_numbers_or_the_reason():
    field = make_field(measures={"test_correlation": 0.43, "test_correlation_se": 0.02, "bits_per_spike": None})
    figure = plots.nonlinearity(field)
    (points,), (curve,) = traces(figure, "held-out time"), traces(figure, "softplus")
    np.testing.assert_allclose(points.y, np.arange(5))
    np.testing.assert_allclose(points.error_y.array, 0.5)
    np.testing.assert_allclose(curve.y, field.nonlinearity.rate_at(np.asarray(curve.x)))
    assert curve.line.color == ON
    assert words(figure) == "test correlation 0.430 ± 0.020"
    figure = plots.growth(field)
    (peak,) = traces(figure, "peak")
    assert ([*peak.x], [*peak.y], [*peak.customdata]) == ([1, 2, 3], [3, 5, 8], [0.5, 0.8, 1])
    assert shapes(figure, "threshold")[0].y0 == 4
    missing = make_field(
        nonlinearity=None, growth=None, reasons={"prediction": "too few spikes", "sufficiency": "short"}
    )
    assert words(plots.nonlinearity(missing)) == "too few spikes"
    assert words(plots.growth(missing)) == "short"


def test_the_frame_at_a_spike_is_the_one_on_the_screen_then():
    stimulation = make_stimulation()
    figure = plots.frame_at(stimulation, 3.55, 0.2, block=(1, 2))
    np.testing.assert_array_equal(figure.data[0].z, stimulation.movie.frames(23, 24)[0])
    assert words(figure) == "frame 23<br>200 ms before the spike at 3.550 s"
    assert (figure.layout.xaxis.range, figure.layout.yaxis.range) == ((0, 360), (300, 0))
    assert {*traces(figure, "chosen block")[0].x} == {80, 120}
    assert words(plots.stimulus_frame(stimulation, 23)) == "frame 23, 3.300 s"


@pytest.mark.parametrize(
    ("time_s", "delay_s", "why"), [(1.05, 0.1, "before the movie began"), (11.5, 0.1, "after the movie had ended")]
)
def test_where_no_frame_was_on_the_screen_the_reason_stands(time_s, delay_s, why):
    figure = plots.frame_at(make_stimulation(), time_s, delay_s)
    assert why in words(figure)
    assert not figure.data


def test_a_mosaic_has_every_placed_field_once_with_its_neuron_to_click():
    fields = [
        make_field(neuron_id=1), make_field(neuron_id=2, measures={"polarity": -1.0, "centre_x_um": 100.0}),
        make_field(neuron_id=4, measures={"sigma_major_um": None}),
        make_field(neuron_id=5, measures={"centre_x_um": None}),
    ]  # fmt: skip
    regular = {"regularity_index": 3.0, "random_regularity_index": 1.9, "p_random": 0.01}
    mosaics = [MosaicResult(STIMULATION, {}, 1, np.ones(2), regular, "")]
    figure = plots.mosaic(fields, mosaics, chosen=2)
    on, off = (next(t for t in figure.data if t.name.startswith(f"{name}, n")) for name in ("ON", "OFF"))
    assert ([*on.customdata], [*off.customdata]) == ([1, 4], [2])
    assert "regularity index 3.00" in on.name
    assert ([*off.x], [*off.y], off.marker.color) == ([100], [160], OFF)
    chosen = traces(figure, "chosen neuron")[-1]
    assert np.hypot(chosen.x - np.float64(100), chosen.y - np.float64(160)).max() == pytest.approx(60)
    assert figure.layout.yaxis.range == (300, 0)
    assert "full-field" in words(plots.mosaic([make_field((1, 1))]))
    assert "without a fit" in words(plots.mosaic(fields[3:]))
    assert "no receptive field" in words(plots.mosaic([]))


def test_bars_become_intervals_in_the_order_of_their_places():
    fields = [make_field((1, 9), neuron_id=1), make_field((1, 9), neuron_id=2, measures={"centre_x_um": 90.0})]
    figure = plots.mosaic(fields)
    (centres,) = traces(figure, "ON, n")
    assert ([*centres.x], [*centres.y], [*centres.customdata]) == ([90, 210], [0, 1], [2, 1])
    (lines,) = traces(figure, "ON at")
    assert finite(lines.x) == [30, 150, 150, 270]


def test_a_distribution_counts_what_is_known():
    figure = plots.distribution([0.001, 0.002, 0.002, None, np.nan, 0.01], "time (ms)", scale=1e3)
    (bars,) = traces(figure, "neurons")
    assert bars.y.sum() == 4
    assert (bars.customdata[0][0], bars.customdata[-1][1]) == pytest.approx((1, 10))
    assert words(figure) == "n = 4, 2 not known"
    assert figure.layout.dragmode == "select"
    assert "not known of any neuron" in words(plots.distribution([None], "σ (µm)"))
    assert [*traces(plots.distribution([3, 3], "σ"), "neurons")[0].y] == [2]
    assert plots.distribution([3, 3], "σ").layout.yaxis.dtick == 1
    many = np.random.default_rng(0).standard_cauchy(5000)
    assert len(traces(plots.distribution(many, "σ"), "neurons")[0].y) <= 40


def test_arrays_are_sent_as_plotly_unpacks_them():
    drawn = made.strf_frames(strf := make_strf(), delay_idx=0)
    packed = drawn.to_plotly_json()["data"][0]["z"]
    assert (packed["dtype"], packed["shape"]) == ("f4", "6, 9")
    unpacked = np.frombuffer(base64.b64decode(packed["bdata"]), np.float32).reshape(6, 9)
    np.testing.assert_array_equal(unpacked, strf.values[0].astype(np.float32))


def unpacked(value):
    """A value with its packed arrays as numbers, and without what says nothing."""
    if isinstance(value, dict) and "bdata" in value:
        numbers = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"]).tolist()
        return [value.get("shape"), *numbers] if numbers else []
    if isinstance(value, dict):
        plain = {name: unpacked(one) for name, one in value.items()}
        return {name: one for name, one in plain.items() if not isinstance(one, list | dict) or one}
    return [unpacked(one) for one in value] if isinstance(value, list | tuple | np.ndarray) else value


def test_every_figure_leaves_its_size_to_the_page_shares_one_template_and_needs_nothing_of_plotlys_class():
    strf, field, stimulation = make_strf(), make_field(), make_stimulation()
    bars = make_strf((1, 9))
    drawn = [
        made.strf_frames(strf, field, delay_idx=0, block=(1, 2)), made.block_course(strf, block=(0, 0), delay_idx=0),
        made.space_time(bars, make_field((1, 9)), delay_idx=1, block=(0, 2)), made.space_time(make_strf((9, 1))),
        made.nonlinearity(field), made.growth(field),
        made.mosaic([field], chosen=7), made.raster(stimulation.spike_trains, stimulation, 1),
        made.raster(stimulation.spike_trains, stimulation, 1, among_others=True),
        made.autocorrelation(stimulation.spike_trains[0]), made.stimulus_frame(stimulation, 0, block=(1, 2)),
        made.distribution([1, 2, 2, 5], "z"), made.distribution([None], "z"),
    ]  # fmt: skip
    figures = [go.Figure(plot.data, plot.layout) for plot in drawn]
    for plot, figure in zip(drawn, figures, strict=True):
        assert unpacked(plot.to_plotly_json()) == unpacked(figure.to_dict())
        assert figure.layout.width is figure.layout.height is figure.layout.title.text is None
        assert figure.layout.template == figures[0].layout.template


def test_what_was_found_rests_on_the_test_of_fields_of_any_size():
    strf = make_strf()
    chances = {"p_value": 0.7, "q_value": 0.8, "p_value_field": 0.001, "q_value_field": 0.02}
    said = finding_text(300, strf, make_field(measures=chances))
    assert said.startswith("ON field beyond chance (p = 0.00100, q = 0.0200)")
    nothing = make_field(measures=chances | {"p_value_field": 0.4}, region=np.zeros((6, 9), bool))
    assert finding_text(300, strf, nothing) == "300 spikes; no field stands out from chance (p = 0.400, q = 0.0200)."
