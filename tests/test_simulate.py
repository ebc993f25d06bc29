import json
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from dj_neuron import Movie, Stimulation
from dj_neuron.errors import ExportError, ReadError
from dj_neuron.simulate import KnownNeuron, load_layout, read_truth, respond, simulate, write_simulation
from dj_neuron.strf import FrameClock, find_centre, spike_triggered_average


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_simulation(tmp_path_factory.mktemp("simulation") / "small.pkl", "small", seed=3)


def test_the_file_has_the_very_form_of_the_real_one(small):
    with small[0].open("rb") as file:
        sessions = pickle.load(file)
    for entry, layout in zip(sessions, load_layout("small"), strict=True):
        assert list(entry) == ["subject_name", "sample_number", "session_date", "stimulations"]
        for stimulation, expected in zip(entry["stimulations"], layout["stimulations"], strict=True):
            assert stimulation["movie"].shape == tuple(expected["movie_shape"])
            assert stimulation["movie"].dtype == np.float64
            assert set(np.unique(stimulation["movie"])) == {-1.0, 1.0}
            assert [s.shape for s in stimulation["spikes"]] == [(n, 1) for n in expected["spike_counts"]]
            for name in ("fps", "n_frames", "pixel_size", "stim_height", "stim_width", "x_block_size", "y_block_size"):
                assert stimulation[name] == expected[name]
            assert stimulation["stimulus_onset"] == expected["stimulus_onset"]


def test_the_layout_of_ret1_is_the_real_one():
    layout = load_layout("ret1")
    stimulations = [s for entry in layout for s in entry["stimulations"]]
    counts = [n for s in stimulations for n in s["spike_counts"]]
    assert (len(layout), sum(not entry["stimulations"] for entry in layout)) == (16, 7)
    assert (len(stimulations), len(counts), sum(counts)) == (10, 177, 104_493)


def test_a_seed_gives_the_same_spikes_and_another_gives_others():
    def spikes(seed):
        sessions = [session for session, _ in simulate("small", seed)]
        return np.concatenate([t.times_s for s in sessions for stim in s.stimulations for t in stim.spike_trains])

    assert (spikes(1) == spikes(1)).all()
    assert (spikes(1) != spikes(2)).any()


def test_the_truth_is_beside_the_file(small):
    truth = read_truth(small[1])
    (_, neurons), *_ = simulate("small", seed=3)
    assert {neuron_id: known for (where, neuron_id), known in truth.items() if where.sample_number == 1} == neurons
    assert json.loads(small[1].read_text())["seed"] == 3


NEURON = KnownNeuron(
    neuron_id=1, polarity=-1, centre_x_um=310.0, centre_y_um=95.0, sigma_major_um=90.0, sigma_minor_um=60.0,
    angle_deg=30.0, time_to_peak_s=0.08, rebound=0.4, baseline=0.01,
)  # fmt: skip


@pytest.mark.parametrize(("n_y", "n_x", "block"), [(12, 20, (25, 25)), (1, 60, (8, 300)), (40, 1, (500, 8))])
def test_the_known_field_is_recovered_at_its_place_delay_and_sign(n_y, n_x, block):
    rng = np.random.default_rng(11)
    movie = Movie.from_frames(rng.choice([-1, 1], (12_000, n_y, n_x)), block_size_px=block)
    stimulation = Stimulation(1, movie, 59.98, 1.5, 1.0)
    train = respond(NEURON, stimulation, 8000, rng)
    assert train.size == 8000
    assert (np.diff(train) >= 0).all()
    clock = FrameClock.of(stimulation)
    sta = spike_triggered_average(movie, clock, [train], clock.delays_between(-0.1, 0.3))
    z = sta.z[0]
    delay_idx, row, column = np.unravel_index(np.abs(z).argmax(), z.shape)
    course = NEURON.time_course((np.arange(20) + 0.5) / 59.98)
    assert sta.delays_s[delay_idx] == pytest.approx(np.abs(course).argmax() / 59.98, abs=1.5 / 59.98)
    assert z[delay_idx, row, column] < -6
    x_um, y_um = find_centre(z, sta.delays_s, (float(block[0]), float(block[1])))
    if n_x > 1:
        assert x_um == pytest.approx(310, abs=60)
    if n_y > 1:
        assert y_um == pytest.approx(95, abs=60)
    # nothing after the spike
    assert np.abs(z[sta.delays_s < -1 / 59.98]).max() < 5.5


def test_the_filter_is_what_the_average_shows_over_all_delays():
    rng = np.random.default_rng(12)
    movie = Movie.from_frames(rng.choice([-1, 1], (60_000, 1, 1)), block_size_px=(500, 500))
    stimulation = Stimulation(1, movie, 60.0, 0.7, 1.0)
    train = respond(NEURON, stimulation, 40_000, rng)
    clock = FrameClock.of(stimulation)
    found = spike_triggered_average(movie, clock, [train], clock.delays_between(0, 0.4)).values.ravel()
    expected = NEURON.time_course((np.arange(found.size) + 0.5) / 60)
    assert np.corrcoef(found, expected)[0, 1] > 0.97


def test_a_bar_collects_what_checkers_would():
    neuron = replace(NEURON, centre_y_um=300.0)
    fine = neuron.spatial_weights(200, 300, (3.0, 3.0))
    bars = neuron.spatial_weights(1, 300, (3.0, 600.0))
    collected = fine.sum(axis=0)
    np.testing.assert_allclose(bars[0] / bars.sum(), collected / collected.sum(), atol=2e-4)


def test_unknown_layouts_are_refused_in_words(tmp_path):
    with pytest.raises(ReadError, match="expected ret1, small or a layout file"):
        load_layout(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadError, match="pipe: no regular file, expected ret1, small or a layout file"):
        load_layout(tmp_path / "pipe")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ReadError, match=r"not JSON: .*, expected ret1, small or a layout file"):
        load_layout(tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subject_name": 5}, "subject_name is 5, expected printable text"),
        ({"session_date": "2019-02-30"}, "session_date is '2019-02-30', expected a date like '2008-06-06'"),
        ({"session_date": 20190201}, "session_date is 20190201, expected printable text"),
        ({"sample_number": 1.5}, "sample_number is 1.5, expected a whole number from 0"),
        ({"stimulations": None}, "stimulations is None, expected a list"),
        ({"fps": "30"}, "stimulation 1: fps is '30', expected a finite number"),
        ({"fps": 0.5}, "stimulation 1: fps is 0.5, expected at least 2 frames per second"),
        ({"fps": 1e5}, "stimulation 1: frame_rate_hz is 100000, expected 0.001 to 10000"),
        ({"stimulus_onset": -5}, "stimulation 1: stimulus_onset is -5, expected seconds from the start"),
        ({"pixel_size": 0}, "stimulation 1: pixel_size is 0, expected a positive number"),
        ({"x_block_size": 9.5}, "stimulation 1: x_block_size is 9.5, expected a whole number from 1"),
        (
            {"x_block_size": 3},
            "stim_width is 320, expected 240, which is 80 blocks of movie_shape times x_block_size 3",
        ),
        ({"stim_height": 165}, "stim_height is 165, expected 160, which is 1 blocks of movie_shape times y_block_size"),
        ({"subject_name": "x" * 129}, "xxx..., expected at most 128 characters and no backslash"),
        ({"subject_name": "a\\b"}, r"subject_name is 'a\\b', expected at most 128 characters and no backslash"),
        ({"session_date": "2020-W10-2"}, "session_date is '2020-W10-2', expected a date like '2008-06-06'"),
        ({"sample_number": True}, "sample_number is True, expected a whole number from 0"),
        ({"fpss": 10}, "stimulation 1: unknown key 'fpss', expected fps"),
        ({"movie_shape": 5}, "stimulation 1: movie_shape is 5, expected a list"),
        ({"movie_shape": [80, 1]}, "stimulation 1: movie_shape holds 2 numbers, expected width, height and frames"),
        ({"movie_shape": [80, 1, -3]}, "stimulation 1: frames of movie_shape is -3, expected a whole number from 1"),
        ({"movie_shape": [80, 1, 10**9]}, "asks for 80000000000 values, expected at most 268435456"),
        (
            {"movie_shape": [1, 1, 1], "x_block_size": 320, "n_frames": 1},
            "session 1: every block of the movie is -1, expected at least two levels",
        ),
        ({"n_frames": 7}, "stimulation 1: n_frames is 7, expected 1800 as in movie_shape"),
        ({"spike_counts": [9, 10**30]}, "spikes of neuron 2 in spike_counts is 1e+30, expected a whole number from 0"),
        ({"spike_counts": [10**9]}, "spike_counts asks for 1000000000 spikes, expected at most 10000000"),
    ],
)
def test_what_a_layout_cannot_mean_is_refused_with_its_place(brief_layout, tmp_path, change, words):
    (session,) = json.loads(brief_layout.read_text())
    of_session = change.keys() & session.keys()
    (session if of_session else session["stimulations"][0]).update(change)
    (tmp_path / "bad.json").write_text(json.dumps([session]))
    with pytest.raises(ReadError) as caught:
        next(simulate(tmp_path / "bad.json"))
    assert str(caught.value).startswith(f"{tmp_path / 'bad.json'}: session 1: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "the layout is a dict, expected a list"),
        ("[3]", "session 1 is 3, expected subject_name, "),
        ("[]", "bad.json: the layout is an empty list, expected at least one session"),
        (
            '[{"a\\u0007": 1}]',
            r"session 1: unknown key 'a\\x07', expected subject_name, session_date, sample_number, sti",
        ),
        ('[{"subject_name": "a", "subject_name": "b"}]', "'subject_name' is there twice in one object"),
        ('\ufeff[{"stimulations": []}]', "session 1: subject_name is missing, expected subject_name, session_date"),
    ],
)
def test_what_is_no_list_of_sessions_is_no_layout(tmp_path, content, words):
    (tmp_path / "bad.json").write_text(content, encoding="utf-8")
    with pytest.raises(ReadError, match=words):
        load_layout(tmp_path / "bad.json")


def test_a_layout_that_makes_no_file_that_could_be_ingested_is_refused(brief_layout, tmp_path):
    (session,) = json.loads(brief_layout.read_text())
    (tmp_path / "twins.json").write_text(json.dumps([session, {**session, "sample_number": 3}, session]))
    with pytest.raises(
        ReadError, match=r"twins.json: sessions 1 and 3 are both WT, 2020-03-01, sample 2, expected each"
    ):
        load_layout(tmp_path / "twins.json")
    (stimulation,) = session["stimulations"]
    session["stimulations"] = [stimulation, {**stimulation, "spike_counts": [1]}]
    (tmp_path / "other.json").write_text(json.dumps([session]))
    words = r"session 1: stimulation 2: spike_counts are of 1 neurons, expected 3 as in stimulation 1$"
    with pytest.raises(ReadError, match=words):
        load_layout(tmp_path / "other.json")


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "data.pkl"
    target.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(pickle, "dump", fail)
    with pytest.raises(ExportError, match=r"data.pkl cannot be written: disk full"):
        write_simulation(target, "small", force=True)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(ExportError, match="is a pipe or a device"):
        write_simulation("/dev/full", "small")
