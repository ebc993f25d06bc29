"""What notebooks show of contracts and of the pipeline: small, escaped, with the right numbers and pictures."""

import base64
import dataclasses
import datetime
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import dj_neuron
from dj_neuron.contracts import (
    CovarianceFilter,
    CovarianceResult,
    MosaicResult,
    Movie,
    ReceptiveFieldResult,
    Session,
    SpikeLedger,
    SpikeTrain,
    Stimulation,
    StimulationId,
    Strf,
)
from dj_neuron.contracts.thumbnails import course_image, map_image, spikes_image
from dj_neuron.ingest import ingest_session

NASTY = "<script>alert('1')</script>"
STIMULATION = StimulationId(NASTY, datetime.date(2020, 3, 1), 1, 2)


class Reader(HTMLParser):
    """Collects words and elements, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.words, self.tags, self.images, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        else:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(thing):
    return Reader(thing._repr_html_())


def facts(thing):
    """Names and values of the table at the top."""
    words = read(thing).words
    return dict(zip(words[1::2], words[2::2], strict=False))


def image_of(html):
    encoded = re.search(r'src="data:image/png;base64,([^"]+)"', html).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"), np.float64) / 255


def make_movie(n_y=3, n_x=4):
    frames = np.ones((20, n_y, n_x))
    frames[0, 0, 0] = -1
    return Movie.from_frames(frames, block_size_px=(10, 20))


def make_strf(values, **changes):
    values = np.asarray(values, np.float64)
    n_used, zeros = np.arange(90, 90 + len(values)), np.zeros(len(values), np.int64)
    made = Strf(
        stimulation_id=STIMULATION, neuron_id=7, delays_s=np.arange(-1, len(values) - 1) / 50, values=values,
        standard_error=np.full(values.shape, 0.1),
        ledger=SpikeLedger(n_used, n_used.max() - n_used, zeros, zeros), pixel_mean=np.zeros(values.shape[1:]),
        centred=True, frame_rule="floor", frame_rate_hz=50.0, block_size_um=(40.0, 50.0),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def make_field(**changes):
    spatial_map = np.zeros((3, 4))
    spatial_map[1, 2] = 0.4
    values = {
        "stimulation_id": STIMULATION, "neuron_id": 7, "parameter_ids": {}, "delays_s": np.arange(4) / 50,
        "block_size_um": (40.0, 50.0), "significant": np.zeros((4, 3, 4), bool), "region": spatial_map > 0,
        "spatial_map": spatial_map, "spatial_map_se": np.ones((3, 4)), "time_course": np.array([0, -1, 0.2, 0]),
        "time_course_se": np.ones(4), "null_maxima": np.empty(0), "axes": "xy", "model": "gaussian",
        "measures": {
            "n_spikes": 1234.0, "polarity": -1.0, "centre_x_um": 100.0, "centre_x_um_se": 2.345, "q_value": None,
            "time_to_peak_s": 0.02, "time_to_peak_s_se": 0.001,
        },
        "reasons": {"prediction": NASTY}, "nonlinearity": None, "growth": None,
    }  # fmt: skip
    return ReceptiveFieldResult(**(values | changes))


def make_covariance(**changes):
    found = CovarianceFilter(STIMULATION, 7, 1, np.arange(2) / 50, np.ones((2, 3, 4)), 1.8, 0.004, 50.0, (40.0, 50.0))
    values = {
        "stimulation_id": STIMULATION, "neuron_id": 7, "parameter_ids": {}, "delays_s": np.arange(2) / 50,
        "looked_at": np.ones((2, 3, 4), bool), "is_significant_region": True, "filters": (found,),
        "variances": np.ones(24), "next_p_value": 0.4, "alpha": 0.05, "reason": "",
    }  # fmt: skip
    return CovarianceResult(**(values | changes))


TRAIN = SpikeTrain(3, np.array([0.5, 1.0, 4.25]), NASTY)
SHOWN = Stimulation(2, make_movie(), 59.98, 1.25, 2.0, (TRAIN,))
SESSION = Session(NASTY, datetime.date(2020, 1, 2), 3, (SHOWN,), note=NASTY)
MOSAIC = MosaicResult(STIMULATION, {}, -1, np.ones(3), {"n_fields": 3.0, "regularity_index": None}, NASTY)
THINGS = [make_movie(), TRAIN, SHOWN, SESSION, make_strf(np.ones((3, 3, 4))), make_field(), MOSAIC, make_covariance()]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_what_comes_from_files_is_escaped_and_everything_is_small(thing):
    html = thing._repr_html_()
    page = Reader(html)
    assert "script" not in page.tags
    assert len(html) < 6000
    assert all(image["alt"] and image["src"].startswith("data:") for image in page.images)
    if thing is not THINGS[0]:
        assert NASTY in "".join(page.words)


def test_recordings_say_counts_with_units():
    assert facts(make_movie()) == {
        "frames": "20", "blocks": "3 rows × 4 columns", "block": "10 × 20 screen pixels", "levels": "-1 and 1",
    }  # fmt: skip
    assert facts(TRAIN) == {"spikes": "3", "label": NASTY, "first to last": "0.50 to 4.25 s"}
    told = facts(SHOWN)
    assert told["block"] == "20 × 40 µm"
    assert told["onset to end"] == f"1.25 to {1.25 + 20 / 59.98:.2f} s"
    assert told["neurons"] == "1, 3 spikes"
    words = read(SESSION).words
    assert words[words.index("spikes") + 1 :] == ["2", "3 × 4", "59.98", "0.0", "1", "3"]


def test_many_neurons_are_counted_not_listed():
    trains = tuple(SpikeTrain(i, np.empty(0)) for i in range(1, 41))
    words = read(dataclasses.replace(SHOWN, spike_trains=trains)).words
    assert words[-1] == "and 28 more neurons"
    assert read(dataclasses.replace(SHOWN, spike_trains=())).words[-1] == "no neurons"
    assert read(SpikeTrain(1, np.empty(0))).words == ["SpikeTrain, neuron 1", "spikes", "0"]


def test_an_strf_shows_the_map_at_its_peak():
    values = np.zeros((4, 3, 4))
    values[0] = 9  # after the spike
    values[2, 1, 3], values[2, 0, 0] = 0.6, -0.3
    strf = make_strf(values)
    told = facts(strf)
    assert told["delays"] == "4 from −20 ms to 40 ms before the spike"
    assert told["spikes"] == "93, 90 to 93 used per delay"
    assert told["peak"] == "0.600 at 20 ms, z = 6.00"
    image = image_of(strf._repr_html_())
    assert image.shape == (3, 4, 3)
    assert image[1, 3, 0] > image[1, 3, 2] + 0.2  # warm
    assert image[0, 0, 2] > image[0, 0, 0] + 0.2  # cold
    assert np.ptp(image[2, 2]) < 0.02


def test_bars_show_space_against_time_and_full_fields_a_course():
    values = np.zeros((4, 5, 1))
    values[3, 0, 0] = 0.5  # the longest delay, at the top
    image = image_of(make_strf(values)._repr_html_())
    assert image.shape == (5, 4, 3)
    assert 'width="140" height="140"' in make_strf(values)._repr_html_()
    assert image[0, 0, 0] > image[0, 0, 2] + 0.2
    html = make_strf(np.array([0, 0.5, -0.5, 0])[:, None, None])._repr_html_()
    assert "svg" in Reader(html).tags
    assert "course" in html


def test_a_silent_neuron_has_words_and_no_picture():
    html = make_strf(np.full((3, 3, 4), np.nan))._repr_html_()
    assert "too few spikes" in html
    assert "<img" not in html


def test_a_field_says_what_is_known_and_why_the_rest_is_not():
    told = facts(make_field())
    assert told == {
        "polarity": "OFF", "spikes": "1,234", "centre x": "100.0 ± 2.3 µm", "time to peak": "20.0 ± 1.0 ms",
        "prediction": NASTY,
    }  # fmt: skip
    assert image_of(make_field()._repr_html_())[1, 2, 2] > 0.3  # OFF is cold
    nothing = make_field(
        region=np.zeros((3, 4), bool), measures={}, time_course=np.full(4, np.nan), reasons={"space": "no block"}
    )
    assert read(nothing).words[0].startswith("No receptive field beyond chance")
    assert facts(nothing) == {"polarity": "—", "no space": "no block"}


def test_covariance_lists_filters_or_says_why_there_are_none():
    assert read(make_covariance()).words[-4:] == ["1", "excitatory", "1.80", "0.00400"]
    words = read(make_covariance(filters=(), reason="too few spikes")).words
    assert words[-3:] == ["not tested", "too few spikes", "no significant filters"]


@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-5, 5, width=32)))
def test_maps_are_drawn_block_by_block(values):
    image = image_of(map_image(values, "a map"))
    assert image.shape[:2] == values.shape
    limit = np.abs(values).max() or 1
    warm = image[..., 0] - image[..., 2]
    assert (warm[values > 0.1 * limit] > 0.05).all()
    assert (warm[values < -0.1 * limit] < -0.05).all()


def test_what_is_not_known_is_grey_and_large_maps_are_thinned():
    values = np.array([[1.0, np.nan], [-1.0, 0.0]])
    image = image_of(map_image(values, "a map"))
    np.testing.assert_allclose(image[0, 1], np.array([0xE6] * 3) / 255)
    assert image_of(map_image(np.zeros((480, 640)), "a map")).shape == (240, 214, 3)
    assert image_of(map_image([[-1, 1]], "frame", grey=True)).tolist() == [[[0, 0, 0], [1, 1, 1]]]


def test_courses_and_counts_are_drawn_from_their_numbers():
    path = re.search(r'fill="none"', course_image([1.0, -1.0, np.nan, 0.5], "a course"))
    drawn = re.search(r'<path d="(M2[^"]*)"', course_image([1.0, -1.0, np.nan, 0.5], "a course")).group(1)
    assert path
    assert drawn == "M2.0 3.0L87.3 45.0M258.0 13.5"
    bars = re.search(r'<path d="([^"]*)"', spikes_image([0.0, 0.0, 10.0], "counts", n_bins=2)).group(1)
    assert re.findall(r"v-([\d.]+)", bars) == ["46.0", "23.0"]


def test_the_pipeline_counts_what_it_holds(embedded, make_session, monkeypatch):
    ingest_session(make_session({}))
    embedded.compute(delays_s=[0.05], judge=False)
    told = facts(embedded)
    assert told["sessions"] == "1"
    assert told["spikes"] == "83"
    words = read(embedded).words
    assert words[words.index("StrfEstimation") + 1] == "1 of 1"
    assert words[words.index("Significance") + 1] == "0 of 0"  # no row of parameters is registered
    with monkeypatch.context() as patch:
        patch.setattr(
            dj_neuron.Pipeline, "_current", None
        )  # what closing does; the fixture still has to clear the tables
        assert read(embedded).words[0] == "Pipeline, closed"


def test_a_notebook_needs_no_plotting_library():
    code = (
        "import sys, numpy as np, dj_neuron\n"
        "assert dj_neuron.Movie.from_frames(np.eye(3)[None])._repr_html_()\n"
        "assert 'matplotlib' not in sys.modules and 'datajoint' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
