"""NWB files as other programs write them: read to the frame, refused with words, never guessed."""

import contextlib
import datetime
import json
import subprocess
import sys
from dataclasses import asdict, replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynwb import TimeSeries
from pynwb.image import OpticalSeries

import nwb_files as nwb
from dj_neuron import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.contracts import Source
from dj_neuron.errors import ReadError
from dj_neuron.readers import find_reader, read_sessions
from dj_neuron.readers.hdf5_frames import Hdf5Frames, ImageFrames, IndexedFrames
from dj_neuron.readers.nwb import NwbReader, movies
from dj_neuron.readers.outline import outline, unpack
from dj_neuron.strf import FrameClock, spike_triggered_average

UNITS = [
    {"spike_times": [0.2, 1.5, 2.25], "obs_intervals": [[0.0, 10.0]]},
    {"spike_times": [], "obs_intervals": [[0.0, 10.0]], "id": 41},
]
SIZES = "pixel_size_um = 2.5\nblock_width_px = 4\nblock_height_px = 4\n"


def read(path):
    (session,) = read_sessions(path)
    return session


def beside(path, text):
    path.with_name(path.name + ".toml").write_text(text)


def refusal(path):
    with pytest.raises(ReadError) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "retina.nwb"


# which files are NWB


def test_a_file_is_known_by_what_it_says_of_itself(path, tmp_path):
    nwb.write(path, nwb.optical())
    path.rename(tmp_path / "retina.h5")
    assert find_reader(tmp_path / "retina.h5").name == "nwb"
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["stimulus"] = 1
    (tmp_path / "text.nwb").write_text("no HDF5")
    for other in ("other.nwb", "text.nwb"):
        assert not NwbReader().accepts(tmp_path / other)


def test_looking_at_a_file_does_not_load_pynwb(path):
    nwb.write(path, nwb.optical())
    code = f"""
import sys, pathlib
from dj_neuron.readers import find_reader
from dj_neuron.readers.outline import outline
path = pathlib.Path({str(path)!r})
assert find_reader(path).name == "nwb"
outline(path)
assert "pynwb" not in sys.modules and "hdmf" not in sys.modules
sys.modules["pynwb"] = None
list(find_reader(path).read(path))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip().endswith(
        "retina.nwb: reading NWB files needs pynwb, which is not installed: expected dj-neuron[nwb]"
    )


# a retina's file


def test_a_movie_and_its_units(path):
    session = read(nwb.write(path, nwb.optical(), units=UNITS))
    assert (session.subject_name, session.session_date) == ("m7", datetime.date(2024, 5, 2))
    assert (session.species, session.subject_description) == ("Mus musculus", "left eye; wt/wt")
    assert (session.sample_number, session.note) == (1, "white noise")
    assert session.source.file_name == "retina.nwb"
    assert session.source.reader == "nwb"
    (stimulation,) = session.stimulations
    assert np.array_equal(stimulation.movie.frames(), 2.0 * nwb.NOISE - 1)
    assert (stimulation.frame_rate_hz, stimulation.onset_s) == (59.9815, 1.25)
    assert stimulation.block_size_um == (10.0, 10.0)
    assert stimulation.frame_edges_s is None
    assert [train.label for train in stimulation.spike_trains] == ["0", "41"]
    assert [train.neuron_id for train in stimulation.spike_trains] == [1, 2]
    assert stimulation.spike_trains[0].times_s.tolist() == [0.2, 1.5, 2.25]


def test_where_numbers_of_single_precision_come_from(path):
    nwb.write(path, nwb.optical(rate=np.float32(59.9815), starting_time=1.25))
    with h5py.File(path, "a") as file:
        group = file["stimulus/presentation/noise"]
        group["starting_time"].attrs["rate"] = np.float32(59.9815)
        del group["field_of_view"]
        group["field_of_view"] = np.array([0.005312, 0.003984], np.float32)
    (stimulation,) = read(path).stimulations
    assert stimulation.frame_rate_hz == 59.9815
    assert stimulation.pixel_size_um == 332.0


@pytest.mark.parametrize("transposed", [False, True])
def test_which_axis_is_which(path, transposed):
    """A neuron that fires a frame after block (2, 9) was white shows its field there."""
    frames = np.random.default_rng(3).choice(np.array([-1, 1], np.int8), (2000, 5, 12))
    clock = FrameClock.regular(50.0, 2000, 3.0)
    spikes_s = clock.starts_s[:-1][frames[:-1, 2, 9] == 1] + 0.025
    stored = frames.transpose(0, 2, 1) if transposed else frames
    series = nwb.optical(frames=stored, field_of_view=(120e-6, 50e-6), rate=50.0, starting_time=3.0)
    nwb.write(path, series, units=[{"spike_times": spikes_s}])
    if transposed:
        message = "field_of_view makes blocks square only where the axes are (time, x, y), expected axes under "
        assert message in refusal(path)
        beside(path, '[[stimulations]]\nseries = "noise"\naxes = "time, x, y"\n')
    (stimulation,) = read(path).stimulations
    sta = spike_triggered_average(stimulation.movie, FrameClock.of(stimulation), stimulation.spike_trains, [0.02])
    assert np.unravel_index(np.abs(sta.values[0, 0]).argmax(), (5, 12)) == (2, 9)
    assert sta.values[0, 0, 2, 9] > 0.4


@pytest.mark.parametrize(("session_id", "number"), [("3", 3), ("2024-a", 1), ("9" * 12, 1), (None, 1)])
def test_the_number_of_the_sample(path, session_id, number):
    session = read(nwb.write(path, nwb.optical(), session_id=session_id))
    assert session.sample_number == number
    assert any("sample_number taken as 1" in remark for remark in session.remarks) == (session_id != "3")


def test_a_session_is_told_beside_the_file(path):
    nwb.write(path, nwb.optical(), subject=None)
    assert refusal(path) == ("retina.nwb: has no subject with a subject_id, expected subject_name in retina.nwb.toml")
    before = nwb.write(path.with_name("with.nwb"), nwb.optical())
    beside(path, 'subject_name = "KO"\nsession_date = 2008-06-06\nsample_number = 4\nspecies = "mouse"\nnote = "n"\n')
    session = read(path)
    assert str(session) == "KO, 2008-06-06, sample 4"
    assert (session.species, session.note) == ("mouse", "n")
    assert len(session.source.sha256) == len(read(before).source.sha256) == 64


def test_a_file_without_a_movie_is_a_session_without_stimulations(path):
    session = read(nwb.write(path, nwb.plain("photodiode", np.arange(9.0), rate=1000.0), units=UNITS))
    assert session.stimulations == ()
    assert "no movie under stimulus/presentation: no stimulations" in session.remarks
    assert "left in the file: stimuli (photodiode)" in session.remarks


def test_a_series_of_an_unknown_type_is_left_where_others_are_named(path):
    nwb.write(path, nwb.optical(), nwb.optical("other"))
    with h5py.File(path, "a") as file:
        file["stimulus/presentation/other"].attrs["neurodata_type"] = "OptcalSeries"
    assert refusal(path).startswith("retina.nwb: stimulus/presentation/other is of type 'core.OptcalSeries'")
    beside(path, '[[stimulations]]\nseries = "noise"\n')
    session = read(path)
    assert len(session.stimulations) == 1
    assert "left in the file: stimuli (other)" in session.remarks


def test_a_series_that_is_linked_to_is_read(path):
    nwb.write(path, nwb.optical())
    with h5py.File(path, "a") as file:
        file.move("stimulus/presentation/noise", "acquisition/shown")
        file["stimulus/presentation/noise"] = h5py.SoftLink("/acquisition/shown")
    assert len(read(path).stimulations) == 1


# when frames were on the screen

JITTERED_S = 2.0 + np.cumsum(np.tile([0.033, 0.034, 0.0667], 30))
SHOWN_S = np.arange(90) * 0.25 + 3


def test_measured_frame_times_are_taken_as_they_are(path):
    session = read(nwb.write(path, nwb.optical(timestamps=JITTERED_S)))
    (stimulation,) = session.stimulations
    assert stimulation.frame_edges_s[:-1].tolist() == JITTERED_S.tolist()
    assert stimulation.frame_edges_s[-1] == JITTERED_S[-1] + np.median(np.diff(JITTERED_S))
    assert stimulation.gaps_s is None
    assert "the last frame ends at 6.045 s, one median step after its start" in session.remarks[0]


def test_the_end_of_the_last_frame_is_told_beside_the_file(path):
    nwb.write(path, nwb.optical(timestamps=JITTERED_S))
    beside(path, '[[stimulations]]\nseries = "noise"\nlast_frame_end_s = 6.5\n')
    assert read(path).stimulations[0].end_s == 6.5
    beside(path, '[[stimulations]]\nseries = "noise"\nlast_frame_end_s = 6\n')
    assert "last_frame_end_s is 6, expected a time after 6.011 s, where the last frame starts" in refusal(path)


PLACEHOLDERS = {
    "zeros": (np.zeros(90), "all timestamps are 0, which is a placeholder"),
    "constant": (np.full(90, 12.5), "all timestamps are 12.5, which is a placeholder"),
    "indexes": (np.arange(90.0), "timestamps are whole numbers (0, 1, ...): indexes or samples, not seconds"),
    "samples": (np.arange(90) * 500.0, "timestamps are whole numbers (0, 500, ...): indexes or samples, not seconds"),
    "NaN": (np.full(90, np.nan), "timestamp 0 is no number"),
    "NaN at the end": (np.append(JITTERED_S[:-1], np.nan), "timestamp 89 is no number"),
    "a step back": (np.append(JITTERED_S[:-1], 3.0), "timestamp 89 is 3 s and not later than the one ahead of it"),
    "a step of none": (np.append(JITTERED_S[:-1], JITTERED_S[-2]), "not later than the one ahead"),
    "too few": (JITTERED_S[:-1], "89 timestamps for 90 frames"),
}


@pytest.mark.parametrize(("timestamps", "problem"), PLACEHOLDERS.values(), ids=PLACEHOLDERS)
def test_placeholders_are_refused_and_replaced_by_hand(path, timestamps, problem):
    nwb.write(path, nwb.optical(timestamps=JITTERED_S))
    with h5py.File(path, "a") as file:
        del file["stimulus/presentation/noise/timestamps"]
        file["stimulus/presentation/noise/timestamps"] = timestamps
    message = refusal(path)
    assert message.startswith("retina.nwb: noise: ")
    assert problem in message
    assert message.endswith(
        "expected the seconds at which each frame came on the screen, or frame_rate_hz and onset_s under "
        "[[stimulations]] in retina.nwb.toml, or frame_times there"
    )
    beside(path, '[[stimulations]]\nseries = "noise"\nframe_rate_hz = 59.9815\nonset_s = 1.5\n')
    (stimulation,) = read(path).stimulations
    assert (stimulation.frame_rate_hz, stimulation.onset_s) == (59.9815, 1.5)
    assert "(a regular rate, from retina.nwb.toml)" in read(path).remarks[0]
    np.save(path.with_name("frames.npy"), np.append(JITTERED_S, 6.25))
    beside(path, '[[stimulations]]\nseries = "noise"\nframe_times = "frames.npy"\n')
    session = read(path)
    assert session.stimulations[0].frame_edges_s.tolist() == [*JITTERED_S, 6.25]
    np.save(path.with_name("frames.npy"), np.append(JITTERED_S, 6.5))
    assert read(path).source.sha256 != session.source.sha256
    beside(path, '[[stimulations]]\nseries = "noise"\nframe_times = "no/../frames.npy"\n')
    session = read(path)
    np.save(path.with_name("frames.npy"), np.append(JITTERED_S, 6.25))
    assert read(path).source.sha256 != session.source.sha256


@pytest.mark.parametrize(
    ("timing", "name", "said", "problem"),
    [
        (
            {"timestamps": JITTERED_S},
            "timestamps",
            {"unit": "milliseconds"},
            "has the unit 'milliseconds', expected 'sec",
        ),
        (
            {"timestamps": JITTERED_S},
            "timestamps",
            {"interval": 2},
            "has the interval 2, expected 1, which is a time for",
        ),
        (
            {"rate": 60.0, "starting_time": 1.5},
            "starting_time",
            {"unit": b"ms"},
            "has the unit 'ms', expected 'seconds'",
        ),
    ],
)
def test_times_that_are_said_to_be_no_seconds_are_refused_and_replaced_by_hand(path, timing, name, said, problem):
    nwb.write(path, nwb.optical(**timing))
    with h5py.File(path, "a") as file:
        file[f"stimulus/presentation/noise/{name}"].attrs.update(said)
    message = refusal(path)
    assert message.startswith(f"retina.nwb: noise: {name} {problem}")
    assert message.endswith(
        ", or frame_rate_hz and onset_s under [[stimulations]] in retina.nwb.toml, or frame_times there"
    )
    beside(path, '[[stimulations]]\nseries = "noise"\nframe_rate_hz = 59.9815\nonset_s = 1.5\n')
    assert read(path).stimulations[0].frame_rate_hz == 59.9815
    beside(path, "")
    with h5py.File(path, "a") as file:
        file[f"stimulus/presentation/noise/{name}"].attrs.update({"unit": "s", "interval": 1})
    assert read(path).stimulations[0].movie.n_frames == 90


def test_timestamps_of_another_series_keep_their_unit(path):
    first = nwb.optical("first", timestamps=JITTERED_S)
    nwb.write(path, first, nwb.plain("trigger", np.zeros(90), timestamps=first))
    with h5py.File(path, "a") as file:
        group = file["stimulus/presentation"]
        group.move("first/timestamps", "trigger/moved")
        del group["trigger/timestamps"]
        group.move("trigger/moved", "trigger/timestamps")
        group["first/timestamps"] = h5py.SoftLink("/stimulus/presentation/trigger/timestamps")
    assert len(read(path).stimulations) == 1
    with h5py.File(path, "a") as file:
        file["stimulus/presentation/trigger/timestamps"].attrs["unit"] = "samples"
    assert refusal(path).startswith(
        "retina.nwb: first: timestamps has the unit 'samples', expected 'seconds', or frame_"
    )


@pytest.mark.parametrize("column", ["spike_times", "obs_intervals"])
def test_spikes_that_are_said_to_be_no_seconds_are_refused(path, column):
    nwb.write(path, nwb.optical(), units=[{"spike_times": [1.5, 2.0], "obs_intervals": [[0.0, 10.0]]}])
    with h5py.File(path, "a") as file:
        file[f"units/{column}"].attrs["unit"] = "ms"
    assert refusal(path) == f"retina.nwb: units: {column} has the unit 'ms', expected 'seconds'"


def test_neither_rate_nor_timestamps(path):
    nwb.write(path, nwb.optical())
    with h5py.File(path, "a") as file:
        del file["stimulus/presentation/noise/starting_time"]
    message = refusal(path)
    assert message.startswith("retina.nwb: cannot be read as NWB 2: stimulus/presentation/noise: ")
    assert "either 'timestamps' or 'rate'" in message.replace('"', "'").lower()


def test_a_pause_is_not_taken_for_a_long_frame(path):
    starts_s = SHOWN_S.copy()
    starts_s[40:] += 30.1
    nwb.write(path, nwb.optical(timestamps=starts_s))
    assert refusal(path) == (
        "retina.nwb: noise: frame 39 is followed after 30.35 s, where 0.25 s are usual, and nothing says whether it "
        "stayed on the screen; expected longest_frame_s (what is longer is a gap) or gaps_s under [[stimulations]] in "
        "retina.nwb.toml"
    )
    beside(path, '[[stimulations]]\nseries = "noise"\nlongest_frame_s = 0.5\n')
    session = read(path)
    assert "1 gap(s), where the next frame came after more than 0.5 s" in session.remarks[0]
    assert session.stimulations[0].gaps_s.tolist() == [[starts_s[39] + 0.25, starts_s[40]]]
    clock = FrameClock.of(session.stimulations[0])
    assert clock.frames_at(starts_s[39] + np.array([0.2, 0.3]), 0).tolist() == [39, -3]
    beside(path, '[[stimulations]]\nseries = "noise"\ngaps_s = []\n')
    assert read(path).stimulations[0].gaps_s is None
    beside(path, '[[stimulations]]\nseries = "noise"\nlongest_frame_s = 0.1\n')
    assert "longest_frame_s is 0.1, expected at least 0.25 s, by which frames follow each other" in refusal(path)


# templates


def test_templates_shown_by_index(path):
    """As natural scenes and sparse noise are kept: images once, and when each was shown."""
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (7, 4, 6), np.uint8)
    frames[0, 0, :2] = 0, 255
    shown = rng.integers(0, 7, 90)
    shown[3] = 0
    templates = nwb.images(frames)
    nwb.write(path, nwb.indexed(templates, shown, timestamps=SHOWN_S), templates=[templates], units=UNITS)
    assert "no field_of_view tells how large the image was" in refusal(path)
    beside(path, '[[stimulations]]\nseries = "natural_scenes"\n' + SIZES)
    assert refusal(path) == (
        "retina.nwb: natural_scenes: a graded movie has values from 0 to 255, expected contrast from -1 to 1, or the "
        "values of black and white, under [[stimulations]] in retina.nwb.toml"
    )
    beside(path, '[[stimulations]]\nseries = "natural_scenes"\nblack = 0\nwhite = 255\n' + SIZES)
    (stimulation,) = read(path).stimulations
    np.testing.assert_allclose(stimulation.movie.frames(), 2 * (frames[shown] / 255) - 1, atol=1e-6)
    assert stimulation.frame_edges_s[:-1].tolist() == SHOWN_S.tolist()


def test_frames_of_an_image_series_shown_by_index(path):
    frames = np.random.default_rng(1).integers(0, 2, (9, 12, 16), np.uint8)
    shown = np.random.default_rng(2).integers(0, 9, 90)
    template, unused = nwb.optical("noise_template", frames), nwb.images(frames[:1], "unused")
    nwb.write(path, nwb.indexed(unused, shown, "noise", timestamps=SHOWN_S), templates=[template, unused])
    nwb.index_an_image_series(path, "noise", "noise_template")
    (stimulation,) = read(path).stimulations
    assert np.array_equal(stimulation.movie.frames(), 2.0 * frames[shown] - 1)
    assert stimulation.block_size_um == (10, 10)


def test_an_index_without_a_template_is_refused(path):
    templates = nwb.images(np.zeros((3, 4, 4), np.uint8))
    nwb.write(path, nwb.indexed(templates, [0, 1, 3], timestamps=[0.5, 1.0, 1.5]), templates=[templates])
    assert refusal(path) == "retina.nwb: natural_scenes: frame 2 shows template 3, expected 0 to 2"


# several stimuli, and who was observed


def test_several_stimuli_are_the_stimulations_of_a_session(path):
    late = nwb.optical("late", rate=60.0, starting_time=100.0)
    early = nwb.image("early", rate=30.0, starting_time=10.0)
    nwb.write(path, late, early, units=[{"spike_times": [1.0, 11.0, 13.5, 50.0, 99.9, 100.0, 101.6, 300.0]}])
    assert "early: no field_of_view tells" in refusal(path)
    beside(path, f'[[stimulations]]\nseries = "early"\n{SIZES}[[stimulations]]\nseries = "late"\n')
    session = read(path)
    assert [stimulation.onset_s for stimulation in session.stimulations] == [10, 100]
    assert [stimulation.stimulation_number for stimulation in session.stimulations] == [1, 2]
    first, second = (stimulation.spike_trains[0].times_s.tolist() for stimulation in session.stimulations)
    assert first == [1.0, 11.0, 13.5, 50.0, 99.9]  # until the next movie begins
    assert second == [13.5, 50.0, 99.9, 100.0, 101.6, 300.0]  # since the one before ended, at 13 s
    beside(path, '[[stimulations]]\nseries = "late"\nstimulation_number = 4\n')
    (only,) = read(path).stimulations
    assert (only.stimulation_number, only.onset_s) == (4, 100)
    assert "left in the file: stimuli (early)" in read(path).remarks


def test_two_movies_at_a_time_are_refused(path):
    nwb.write(path, nwb.optical("a", rate=60.0, starting_time=0.0), nwb.optical("b", rate=60.0, starting_time=0.0))
    assert refusal(path) == (
        "retina.nwb: a (until 1.5 s) and b (from 0 s) overlap, expected one movie at a time; [[stimulations]] in "
        "retina.nwb.toml name those to take"
    )
    beside(path, '[[stimulations]]\nseries = "b"\n')
    assert len(read(path).stimulations) == 1


def test_units_belong_to_the_stimulations_for_which_they_were_observed(path):
    spikes_s = np.arange(0.25, 40, 0.5)
    units = [
        {"spike_times": spikes_s, "obs_intervals": [[0.0, 12.0], [19.0, 30.0]]},
        {"spike_times": spikes_s, "obs_intervals": [[0.0, 12.0]]},
        {"spike_times": spikes_s, "obs_intervals": [[0.0, 10.5], [10.7, 11.0]]},
        {"spike_times": spikes_s, "obs_intervals": [[30.0, 40.0]]},
    ]
    nwb.write(
        path,
        nwb.optical("one", rate=60.0, starting_time=10.0),
        nwb.optical("two", rate=60.0, starting_time=20.0),
        units=units,
    )
    session = read(path)
    one, two = session.stimulations
    assert [train.neuron_id for train in one.spike_trains] == [1, 2, 3]
    assert [train.neuron_id for train in two.spike_trains] == [1]
    assert one.spike_trains[0].times_s.tolist() == [t for t in spikes_s if t <= 12]
    assert one.spike_trains[2].times_s.tolist() == [t for t in spikes_s if t <= 11 and t != 10.5]
    assert two.spike_trains[0].times_s.tolist() == [t for t in spikes_s if 19 <= t <= 30]
    assert "one: 1 unit(s) were not observed and have no spike train" in session.remarks
    assert "two: 3 unit(s) were not observed and have no spike train" in session.remarks
    assert (
        "one: 1 unit(s) were observed during part of it (2); rates and predictions take the rest for silence"
        in session.remarks
    )


def test_spikes_that_are_none(path):
    session = read(nwb.write(path, nwb.optical(), units=[{"spike_times": [-1.0, -0.5, 2.0]}]))
    assert session.stimulations[0].spike_trains[0].times_s.tolist() == [2.0]
    assert "2 spike(s) before the clock's zero left out" in session.remarks
    nwb.write(path, nwb.optical(), units=[{"spike_times": [2.0, 1.0]}])
    assert refusal(path) == (
        "retina.nwb: unit 0: spike 1 is not later than the one ahead of it, expected ascending seconds"
    )


def test_what_was_left_is_told(path):
    units = [{"spike_times": [0.5], "unit_name": "b7", "quality": "good"}]
    session = read(
        nwb.write(
            path, nwb.optical(), nwb.plain("photodiode", np.arange(9.0), rate=1000.0), units=units,
            columns=("unit_name", "quality"), acquisition=[nwb.plain("voltage", np.arange(9.0), rate=1e4)],
        )
    )  # fmt: skip
    assert session.stimulations[0].spike_trains[0].label == "b7"
    assert session.remarks == (
        (
            "noise: OpticalSeries of 90 frames of 12 x 16 blocks at 59.9815 Hz from 1.25 s (a regular rate); "
            "axes taken as (time, y, x); blocks of 10 x 10 um, from field_of_view (160 x 120 um)"
        ),
        "sample_number taken as 1; a session_id that is a number, or retina.nwb.toml, would say",
        "units have no obs_intervals: all are taken as observed throughout",
        "left in the file: stimuli (photodiode); acquisition (voltage); columns of units (quality)",
    )


def test_what_was_taken_and_left_is_printed(path, embedded):
    nwb.write(path, nwb.optical(), units=UNITS)
    lines = []
    (report,) = embedded.ingest(path, progress=lambda report: lines.append(str(report)))
    assert report.remarks == read(path).remarks
    said = "\n  ".join(["m7, 2024-05-02, sample 1: new; 1 stimulation(s), 2 neuron(s), 3 spikes", *report.remarks])
    assert lines == [said]
    assert json.loads(json.dumps(asdict(report)))["remarks"] == list(report.remarks)


# sizes and colours


def test_bars_have_blocks_of_two_sizes(path):
    frames = np.random.default_rng(1).integers(0, 2, (90, 1, 64), np.uint8)
    (stimulation,) = read(nwb.write(path, nwb.optical(frames=frames, field_of_view=(531.2e-6, 398.4e-6)))).stimulations
    assert stimulation.pixel_size_um == 8.3
    assert stimulation.movie.block_size_px == (1, 48)


@pytest.mark.parametrize(
    ("field_of_view", "problem"),
    [
        ((0.52, 0.39), "field_of_view is 0.52 x 0.39 m, which is no size on a retina"),
        ((np.nan, 0.001), "field_of_view is nan x 0.001 m, which is no size on a retina"),
        ((0.0, 0.001), "field_of_view is 0 x 0.001 m, which is no size on a retina"),
        ((160e-6, 180e-6), "blocks of 10 x 15 um, whose sides are no multiples of a pixel"),
    ],
)
def test_sizes_that_are_none_on_a_retina(path, field_of_view, problem):
    nwb.write(path, nwb.optical(field_of_view=field_of_view))
    message = refusal(path)
    assert problem in message
    assert message.endswith(
        "expected pixel_size_um, block_width_px and block_height_px under [[stimulations]] in retina.nwb.toml"
    )
    beside(path, f'[[stimulations]]\nseries = "noise"\n{SIZES}screen_width_px = 66\nscreen_height_px = 48\n')
    (stimulation,) = read(path).stimulations
    assert stimulation.block_size_um == (10, 10)
    assert stimulation.movie.screen_size_px == (66, 48)


def test_colours_are_not_mixed(path):
    frames = np.random.default_rng(1).integers(0, 2, (90, 12, 16, 3), np.uint8)
    nwb.write(path, nwb.optical(frames=frames))
    assert "frames have 3 values per pixel, expected one, or red, green and blue with channel under" in refusal(path)
    beside(path, '[[stimulations]]\nseries = "noise"\nchannel = "green"\n')
    assert np.array_equal(read(path).stimulations[0].movie.frames(), 2.0 * frames[..., 1] - 1)


def test_values_in_another_unit_are_converted(path):
    frames = np.random.default_rng(1).integers(-127, 128, (90, 4, 4), np.int8)
    timing = {"rate": 60.0, "starting_time": 0.0}
    series = OpticalSeries(
        name="noise", data=frames, unit="contrast", conversion=1 / 127, distance=0.1, orientation="up",
        field_of_view=[1e-3, 1e-3], **timing,
    )  # fmt: skip
    (stimulation,) = read(nwb.write(path, series)).stimulations
    np.testing.assert_allclose(stimulation.movie.frames(), frames / 127, atol=1e-6)


def test_a_plain_series_of_images_is_a_movie(path):
    frames = np.random.default_rng(1).integers(0, 2, (90, 12, 16), np.uint8)
    nwb.write(path, TimeSeries(name="noise", data=frames, unit="n.a.", rate=60.0, starting_time=1.0))
    beside(path, '[[stimulations]]\nseries = "noise"\n' + SIZES)
    assert np.array_equal(read(path).stimulations[0].movie.frames(), 2.0 * frames - 1)


def test_a_folder_is_refused_in_words(tmp_path):
    with pytest.raises(ReadError, match=f"^{tmp_path.name}: is a folder, expected an NWB file$"):
        list(read_sessions(tmp_path, "nwb"))


def test_a_movie_outside_the_file_is_refused(path):
    series = OpticalSeries(
        name="noise", external_file=["movie.avi"], format="external", rate=60.0, starting_time=0.0, distance=0.1,
        orientation="up", field_of_view=[1e-3, 1e-3], unit="n.a.", num_samples=90,
    )  # fmt: skip
    message = refusal(nwb.write(path, series))
    assert message.startswith(
        "retina.nwb: noise: its frames are outside, in movie.avi, expected frames in the NWB file"
    )


# what stands beside the file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[stimulations]]\nseries = "noise"\nonset_s = 1', "timing is given by onset_s, expected frame_rate_hz and"),
        ('[[stimulations]]\nseries = "noise"\npixel_size_um = 1', "sizes are given by pixel_size_um, expected"),
        ('[[stimulations]]\nseries = "noise"\nblack = 1', "black is 1 and white is missing, expected two different"),
        ('[[stimulations]]\nseries = "noise"\naxes = "xyt"', "axes is 'xyt', expected \"time, y, x\" or "),
        ('[[stimulations]]\nseries = "noise"\n[[stimulations]]\nseries = "noise"', "is there twice"),
        ('[[stimulations]]\nseries = "noise"\ngaps_s = []\nlongest_frame_s = 1', "gaps are given by gaps_s and by"),
        ('[[stimulations]]\nseries = "noise"\ngaps_s = []', "gives gaps_s, but the series has a rate, expected frame"),
        ('[[stimulations]]\nseries = "noise"\nchannel = "red"', "channel is red, but the frames have no colours"),
    ],
)  # fmt: skip
def test_what_stands_beside_the_file_is_checked(path, text, message):
    beside(nwb.write(path, nwb.optical()), text)
    assert message in refusal(path)


# movies larger than memory


@settings(max_examples=30)
@given(st.data())
def test_any_slices_of_a_dataset_are_those_of_the_array(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("slices") / "frames.h5"
    frames = np.random.default_rng(0).integers(0, 255, (50, 3, 4), np.uint8)
    chunks = data.draw(st.sampled_from([None, (1, 3, 4), (7, 2, 4), (16, 3, 1), (50, 1, 1)]))
    with h5py.File(path, "w") as file:
        lazy = Hdf5Frames(file.create_dataset("a/b", data=frames, chunks=chunks))
    shown = data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=30))
    indexed = IndexedFrames(lazy, np.array(shown))
    for _ in range(5):
        begin, end = data.draw(st.integers(-60, 60)), data.draw(st.integers(-60, 60))
        np.testing.assert_array_equal(lazy[begin:end], frames[begin:end])
        np.testing.assert_array_equal(indexed[begin:end], frames[shown][begin:end])
    turned = ImageFrames(lazy, transposed=True)
    assert turned.shape == (50, 4, 3)
    np.testing.assert_array_equal(turned[3:9], frames[3:9].transpose(0, 2, 1))


def test_a_chunk_is_decompressed_once(tmp_path, monkeypatch):
    frames = np.random.default_rng(0).random((100, 8, 8), np.float32)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        lazy = Hdf5Frames(file.create_dataset("frames", data=frames, chunks=(10, 8, 8), compression="gzip"))
    read_direct, getitem = h5py.Dataset.read_direct, h5py.Dataset.__getitem__
    n_read = []

    def counted_direct(self, dest, source):
        n_read.append(len(dest))
        return read_direct(self, dest, source)

    def counted_item(self, args, **kwargs):
        found = getitem(self, args, **kwargs)
        n_read.append(len(found))
        return found

    monkeypatch.setattr(h5py.Dataset, "read_direct", counted_direct)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted_item)
    for begin in range(0, 100, 13):
        np.testing.assert_array_equal(lazy[begin : begin + 13], frames[begin : begin + 13])
    assert sum(n_read) == 100
    assert all(n % 10 == 0 for n in n_read)


@pytest.fixture
def slices(monkeypatch):
    """Where a movie may not be in memory: the bytes of every slice that was read."""
    monkeypatch.setattr(movies, "_IN_MEMORY_BYTES", 1 << 18)
    monkeypatch.setattr("dj_neuron.contracts.movie._CHUNK_VALUES", 1 << 18)
    read_frames, found = Hdf5Frames.__getitem__, []

    def counted(self, frames):
        values = read_frames(self, frames)
        found.append(values.nbytes)
        return values

    monkeypatch.setattr(Hdf5Frames, "__getitem__", counted)
    return found


@pytest.fixture
def graded(path):
    """A graded movie of 8 MB in a file."""
    frames = np.random.default_rng(0).integers(0, 256, (2000, 64, 64), np.uint8)
    nwb.write(path, nwb.optical(frames=nwb.compressed(frames, (30, 64, 64)), field_of_view=(64e-5, 64e-5)))
    beside(path, '[[stimulations]]\nseries = "noise"\nblack = 0\nwhite = 255\n')
    return frames


def test_a_movie_larger_than_memory_stays_in_its_file(path, graded, slices):
    movie = read(path).stimulations[0].movie
    assert not isinstance(movie.data, np.ndarray)
    whole = Movie.from_frames(graded).as_contrast(0, 255)
    assert movie.movie_hash == whole.movie_hash
    assert sum(slices) >= 2 * graded.nbytes  # once for its extremes, once for its hash, and little by little
    assert max(slices) <= 1 << 18
    np.testing.assert_array_equal(movie.frames(1490, 1510), whole.frames(1490, 1510))
    with h5py.File(path, "a"):  # nothing holds the file
        pass


def test_a_large_movie_of_two_levels_is_packed_little_by_little(path, slices):
    frames = np.random.default_rng(0).integers(0, 2, (2000, 32, 32), np.uint8)
    nwb.write(path, nwb.optical(frames=frames, field_of_view=(32e-5, 32e-5)))
    (stimulation,) = read(path).stimulations
    assert stimulation.movie.movie_hash == Movie.from_frames(frames).as_contrast().movie_hash
    assert max(slices) <= 1 << 18
    assert sum(slices) >= 2 * frames.nbytes


def test_templates_larger_than_memory_stay_in_their_file(path, slices):
    frames = np.random.default_rng(0).integers(0, 2, (300, 32, 32), np.uint8)
    shown = np.random.default_rng(1).integers(0, 300, 1000)
    template, unused = nwb.optical("noise_template", frames, (32e-5, 32e-5)), nwb.images(frames[:1], "unused")
    timing = {"timestamps": 3 + np.arange(1000) * 0.25}
    nwb.write(path, nwb.indexed(unused, shown, "noise", **timing), templates=[template, unused])
    nwb.index_an_image_series(path, "noise", "noise_template")
    (stimulation,) = read(path).stimulations
    assert np.array_equal(stimulation.movie.frames(), 2.0 * frames[shown] - 1)
    assert max(slices) <= 1 << 18


def test_a_file_that_is_gone_is_named(path, graded, slices):
    movie = read(path).stimulations[0].movie
    path.unlink()
    with pytest.raises(ReadError, match=r"retina\.nwb: frames 0 to 5 of /stimulus/presentation/noise/data cannot be"):
        movie.frames(0, 5)


# what dj-neuron itself exported


def exported_session():
    rng = np.random.default_rng(4)
    noise = Movie.from_frames(rng.integers(0, 2, (90, 6, 8)), block_size_px=(8, 10), screen_size_px=(65, 60))
    graded = Movie.from_frames(rng.uniform(-1, 1, (4, 2, 3)).astype(np.float32), block_size_px=(20, 20))
    edges_s = 4 + np.array([0, 0.5, 1.0, 3.0, 3.6])  # on a clock of its own, during the first

    def trains(onset_s):
        labels = {1: "a", 7: "", 12: "unit c"}
        return tuple(SpikeTrain(i, np.sort(rng.uniform(onset_s, onset_s + 2, 30)), labels[i]) for i in (1, 7, 12))

    return Session(
        subject_name="KO (chx10)",
        session_date=datetime.date(2008, 6, 6),
        sample_number=3,
        stimulations=(
            Stimulation(2, noise.as_contrast(), 59.9815, 1.65657, 8.3, trains(0.1)),
            Stimulation(
                3, graded, 1 / float(np.median(np.diff(edges_s))), 4.0, 2.1, trains(6.5)[1:], edges_s,
                np.array([[5.5, 7.0]]),
            ),
        ),
        source=Source("ret1_data.pkl", "0" * 64, "ret1_pickle"),
        species="Mus musculus",
        subject_description="no rods",
        note="exported",
    )  # fmt: skip


def assert_same(got, written):
    for name in ("subject_name", "session_date", "sample_number", "source", "species", "subject_description", "note"):
        assert getattr(got, name) == getattr(written, name)
    for ours, theirs in zip(got.stimulations, written.stimulations, strict=True):
        for name in ("stimulation_number", "frame_rate_hz", "onset_s", "pixel_size_um"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.movie.movie_hash == theirs.movie.movie_hash
        for name in ("frame_edges_s", "gaps_s"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name))
        for train, expected in zip(ours.spike_trains, theirs.spike_trains, strict=True):
            assert (train.neuron_id, train.label) == (expected.neuron_id, expected.label)
            assert train.times_s.tobytes() == expected.times_s.tobytes()


def test_what_was_exported_comes_back_the_same(path):
    session = exported_session()
    got = read(nwb.exported(path, session))
    assert_same(got, session)
    assert not any("movie_hash" in remark for remark in got.remarks)
    assert "at 59.9815 Hz from 1.65657 s (a regular rate, as exported)" in got.remarks[0]


def test_frames_that_were_changed_since_are_told(path):
    nwb.exported(path, exported_session())
    with h5py.File(path, "a") as file:
        data = file["stimulus/presentation/stimulation_2/data"]
        data[5, 3, 2] = -data[5, 3, 2]
    assert "its frames are not those that were exported (movie_hash differs)" in read(path).remarks[0]


def test_a_table_of_ours_that_was_changed_is_named(path):
    nwb.exported(path, exported_session())
    with h5py.File(path, "a") as file:
        table = file["processing/dj_neuron/dj_neuron_stimulations"]
        table.attrs["colnames"] = [name for name in table.attrs["colnames"] if name != "pixel_size_um"]
        del table["pixel_size_um"]
    assert refusal(path) == (
        "retina.nwb: table dj_neuron_stimulations cannot be read: 'pixel_size_um', expected it as dj-neuron wrote it"
    )


def test_what_was_exported_is_corrected_beside_the_file(path):
    nwb.exported(path, exported_session())
    text = 'sample_number = 5\n[[stimulations]]\nseries = "stimulation_2"\nframe_rate_hz = 60\nonset_s = 2\n'
    beside(path, text)
    session = read(path)
    (stimulation,) = session.stimulations
    assert (session.sample_number, session.subject_name) == (5, "KO (chx10)")
    assert (stimulation.frame_rate_hz, stimulation.onset_s, stimulation.pixel_size_um) == (60, 2, 8.3)
    assert stimulation.movie.block_size_px == (8, 10)
    beside(path, '[[stimulations]]\nseries = "stimulation_3"\nlast_frame_end_s = 58\n')
    (stimulation,) = read(path).stimulations  # now on the clock of the file
    written = exported_session().stimulations[1]
    assert stimulation.frame_edges_s.tolist() == [54, 54.5, 55, 57, 58]
    for train, expected in zip(stimulation.spike_trains, written.spike_trains, strict=True):
        assert train.times_s.tolist() == (expected.times_s + 50).tolist()


# the other verbs


def test_the_outline_shows_what_is_in_the_file(path):
    nwb.write(path, nwb.optical(), units=UNITS)
    found = outline(path)
    noise = found["stimulus"]["presentation"]["noise"]
    assert noise["@neurodata_type"] == "OpticalSeries"
    assert noise["data"]["value"] == "array(90, 12, 16) uint8"
    assert noise["starting_time"] == {"value": 1.25, "@rate": 59.9815, "@unit": "seconds"}
    assert found["units"]["spike_times"]["value"] == "array(3) float64"
    assert "specifications" not in found


def test_the_outline_shows_what_has_many_names_once(path):
    """Of forty groups, each twice in the one before, there are 10^12 paths; of one that is in itself, any number."""
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.6.0"
        file["first/up"] = file["/"]
        file["type"] = np.dtype("f8")
        group = file["first"]
        for _ in range(40):
            group["a"] = group["b"] = file.create_group(None)
            group = group["a"]
    found = outline(path)
    assert found["first"]["up"] == "link to /"
    assert found["first"]["b"] == "link to /first/a"
    assert found["first"]["a"]["b"] == "link to /first/a/a"
    assert found["type"] == "type float64"


def test_unpack_writes_a_recording_folder(path, tmp_path):
    session = exported_session()
    (folder,) = unpack(nwb.exported(path, session), tmp_path / "out")
    assert_same(replace(read(folder), source=session.source), session)


def test_a_measured_session_goes_all_the_way(path, embedded):
    frames = np.random.default_rng(3).choice(np.array([-1, 1], np.int8), (900, 5, 12))
    starts_s = 3 + np.cumsum(np.tile([0.033, 0.034, 0.0667], 300))
    spikes_s = np.sort(np.random.default_rng(4).uniform(0, 50, 400))
    series = nwb.optical(frames=frames, field_of_view=(120e-6, 50e-6), timestamps=starts_s)
    nwb.write(path, series, units=[{"spike_times": spikes_s}])
    embedded.ingest(path)
    embedded.compute([0.05], judge=False)
    (strf,) = embedded.strfs()
    clock = FrameClock.from_starts(starts_s, starts_s[-1] + np.median(np.diff(starts_s)))
    expected = spike_triggered_average(frames, clock, [spikes_s], [0.05])
    np.testing.assert_allclose(strf.values, expected.values[0], atol=1e-6)
    assert strf.ledger.n_used.tolist() == expected.n_used[0].tolist()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    assert list(embedded.strfs())
