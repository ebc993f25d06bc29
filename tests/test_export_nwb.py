"""NWB files say the same as the pipeline, to validators and to other programs."""

import datetime
import json
import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nwbinspector import Importance, inspect_nwbfile
from nwbinspector.checks import check_subject_age
from pynwb.file import Subject

import dj_neuron
from dj_neuron import queries
from dj_neuron.connection import DelayRange
from dj_neuron.contracts import Movie, Session, Source, SpikeTrain, Stimulation
from dj_neuron.errors import ExportError, PipelineError
from dj_neuron.export.nwb import _file_name, export_nwb
from dj_neuron.export.nwb_about import About, _check, read_about
from dj_neuron.export.nwb_recording import place
from dj_neuron.ingest import ingest_session
from dj_neuron.readers import read_sessions
from dj_neuron.strf import FrameClock, spike_triggered_average

DATE = datetime.date(2020, 1, 2)
ABOUT = """
species = "Mus musculus"
age = "P60D"
sex = "F"
experimenter = ["Surname, Given"]
institution = "A university"
experiment_description = "White noise"
keywords = ["retina"]
sampling_rate_hz = 10000
"""


def trains(rng, span_s, *counts, first=1):
    return tuple(
        SpikeTrain(i, np.sort(rng.uniform(*span_s, n)), f"unit {i}") for i, n in enumerate(counts, start=first)
    )


def stimulation(number, movie, spike_trains=(), **changes):
    return Stimulation(
        **({"frame_rate_hz": 59.98, "onset_s": 1.25, "pixel_size_um": 8.3} | changes),
        stimulation_number=number,
        movie=movie,
        spike_trains=spike_trains,
    )


def sessions():
    """Recordings of every kind that tables may hold; the second one's subject has a name that no file can have."""
    rng = np.random.default_rng(1)
    bars = Movie.from_frames(rng.choice([-1, 1], (300, 1, 20)), block_size_px=(1, 480))
    checkers = Movie.from_frames(rng.choice([-0.5, 0.5], (200, 3, 4)), block_size_px=(10, 20), screen_size_px=(45, 60))
    graded = Movie.from_frames(rng.uniform(-1, 1, (150, 2, 3)).astype(np.float32))
    edges_s = 2 + np.cumsum(np.r_[0, rng.choice([1, 2], 200)]) / 60
    gaps_s = np.array([[edges_s[50] + 0.01, edges_s[51]]])
    rate_hz = 1 / np.median(np.diff(edges_s))
    measured = {"frame_edges_s": edges_s, "gaps_s": gaps_s, "onset_s": 2.0, "frame_rate_hz": rate_hz}
    yield Session(
        "WT",
        DATE,
        1,
        (
            stimulation(1, bars, trains(rng, (0, 6), 80, 0, 3)),
            stimulation(2, checkers, trains(rng, (0, 7), 90, 40, first=3), **measured),
        ),
        Source("a.pkl", "ab" * 32, "ret1_pickle"),
        species="Mus musculus",
        note="a cut in the optic nerve",
    )
    yield Session("KO bax -/- (chx10)", DATE, 1)
    one_clock = (
        stimulation(1, bars, trains(rng, (1, 6), 50, 60)),
        stimulation(4, graded, trains(rng, (10, 12), 30, 20), onset_s=10.0),
        stimulation(7, bars),
    )
    yield Session("WT", DATE, 2, (*one_clock[:2], stimulation(7, bars, onset_s=20.5)))
    yield Session("WT", DATE, 3, one_clock[2:])


@pytest.fixture(scope="module")
def pipeline(data_dir):
    with dj_neuron.connect(data_dir, prefix="export_nwb") as pipeline:
        for session in sessions():
            ingest_session(session)
        pipeline.compute(DelayRange(0, 0.1), judge=False)
        pipeline.compute(0.05, estimator="ridge", judge=False)
        yield pipeline
        dj_neuron.pipeline.drop(pipeline.database.connection, "export_nwb")


@pytest.fixture(scope="module")
def files(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nwb")
    (folder / "about.toml").write_text(ABOUT)
    return export_nwb(folder / "deep" / "out", about=read_about(folder / "about.toml"))


@pytest.fixture
def opened():
    """Open a file, and close it after the test."""
    open_files = []

    def open_file(path):
        open_files.append(pynwb.NWBHDF5IO(path, "r"))
        return open_files[-1].read()

    yield open_file
    for file in open_files:
        file.close()


def read_session(file):
    """Rebuild a session by what the tables in the file say, with PyNWB alone."""
    tables = file.processing["dj_neuron"]
    own = tables["dj_neuron_session"][0].iloc[0]
    shown = tables["dj_neuron_stimulations"].to_dataframe() if "dj_neuron_stimulations" in tables.containers else None
    units = file.units.to_dataframe() if file.units is not None else None
    found = []
    for row in [] if shown is None else shown.itertuples():
        series = file.stimulus[row.series_name]
        movie = Movie.from_frames(
            series.data[:],
            block_size_px=(row.block_size_x_px, row.block_size_y_px),
            screen_size_px=(row.screen_width_px, row.screen_height_px),
        )
        assert movie.movie_hash == row.movie_hash
        spikes = []
        for unit in [] if units is None else units.itertuples():
            if [row.recorded_from_s, row.recorded_to_s] in np.asarray(unit.obs_intervals).tolist():
                there = (unit.spike_times >= row.recorded_from_s) & (unit.spike_times <= row.recorded_to_s)
                times_s = getattr(unit, "recording_spike_times_s", unit.spike_times)[there]
                spikes.append(SpikeTrain(unit.neuron_id, times_s, unit.source_label))
        edges_s = None
        if np.isnan(row.frame_rate_hz):
            edges_s = np.append(row.frame_starts_s, row.frame_ends_s[-1])
            assert np.array_equal(series.timestamps[:], row.frame_starts_s + row.clock_offset_s)
            ends_s, next_s = row.frame_ends_s[:-1], row.frame_starts_s[1:]
            gaps_s = np.stack([ends_s, next_s], axis=1)[ends_s < next_s]
        else:
            assert series.rate == row.frame_rate_hz
            assert series.starting_time == row.onset_s + row.clock_offset_s
        found.append(
            Stimulation(
                stimulation_number=row.stimulation_number,
                movie=movie,
                frame_rate_hz=row.frame_rate_hz if edges_s is None else 1 / np.median(np.diff(edges_s)),
                onset_s=row.onset_s,
                pixel_size_um=row.pixel_size_um,
                spike_trains=tuple(spikes),
                frame_edges_s=edges_s,
                gaps_s=None if edges_s is None else gaps_s,
            )
        )
    return Session(
        own.subject_name, datetime.date.fromisoformat(own.session_date), own.sample_number, tuple(found), note=own.note
    )


def test_files_are_named_by_subject_date_and_sample(files):
    assert [file.name for file in files] == [
        "sub-KO-bax-chx10-b10a6a_ses-20200102-sample1.nwb",
        "sub-WT_ses-20200102-sample1.nwb",
        "sub-WT_ses-20200102-sample2.nwb",
        "sub-WT_ses-20200102-sample3.nwb",
    ]
    assert sorted(file.name for file in files[0].parent.iterdir()) == [file.name for file in files]


def test_validators_find_nothing_to_criticise(files):
    for file in files[:3]:
        assert pynwb.validate(path=str(file)) == []
        messages = list(inspect_nwbfile(nwbfile_path=str(file)))
        worse = [m for m in messages if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value]
        assert worse == []
        assert {m.check_function_name for m in messages} <= {
            "check_processing_module_name",  # it is ours
            "check_single_row",  # a session is one row
            "check_col_not_nan",  # nothing was judged
            "check_column_binary_capability",  # a count may happen to be 0 and 1 only
            "check_doi_publications",
        }


def test_without_what_only_a_person_knows_the_inspector_asks_for_just_that(pipeline, tmp_path):
    (file,) = export_nwb(tmp_path, {"subject_name": "WT", "sample_number": 2})
    messages = inspect_nwbfile(nwbfile_path=str(file))
    worse = {m.check_function_name for m in messages if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value}
    assert worse == {"check_subject_age", "check_units_resolution_is_set"}  # the tables know the species


def test_a_session_comes_back_bit_for_bit(files, opened, pipeline):
    """Reading a file back and ingesting it changes nothing: every time, frame and label is the same."""
    for file in files:
        report = ingest_session(read_session(opened(file)))
        assert report.outcome == "unchanged", file


def test_our_own_reader_takes_them_for_the_same_sessions(files, pipeline):
    notes = {str(session): session.note for session in sessions()}
    for session in (session for file in files for session in read_sessions(file)):
        assert ingest_session(session).outcome == "unchanged"
        assert session.species == ("Mus musculus" if session.subject_name == "WT" else "")
        assert session.note == notes[str(session)]


def test_recordings_with_clocks_of_their_own_do_not_overlap(files, opened):
    shown = opened(files[1]).processing["dj_neuron"]["dj_neuron_stimulations"].to_dataframe()
    assert shown.clock_offset_s.tolist() == [0.0, 8.0]
    assert shown.recorded_from_s[1] > shown.recorded_to_s[0] + 1
    units = opened(files[1]).units
    times_s, exact_s = units["spike_times"][2], units["recording_spike_times_s"][2]
    assert (np.diff(times_s) >= 0).all()
    assert not np.array_equal(np.where(times_s > 8, times_s - 8, times_s), exact_s)  # which is why both are there
    np.testing.assert_allclose(np.where(times_s > 8, times_s - 8, times_s), exact_s, rtol=0, atol=1e-14)


def test_recordings_on_one_clock_stay_where_they_are(files, opened):
    file = opened(files[2])
    shown = file.processing["dj_neuron"]["dj_neuron_stimulations"].to_dataframe()
    assert shown.clock_offset_s.tolist() == [0.0, 0.0, 0.0]
    assert "recording_spike_times_s" not in file.units.colnames
    assert shown.stimulation_number.tolist() == [1, 4, 7]


@given(st.lists(st.tuples(st.floats(-5, 1e5), st.floats(0.1, 1999)), min_size=1, max_size=5))
def test_no_recordings_overlap_in_a_file(spans):
    movie = Movie.from_frames(np.array([-1, 1]).reshape(2, 1, 1))
    shown = [stimulation(i, movie, onset_s=onset, frame_rate_hz=2 / long) for i, (onset, long) in enumerate(spans, 1)]
    placed = place(Session("WT", DATE, 1, tuple(shown)))
    in_time = sorted((one.begin_s, one.end_s) for one in placed)
    assert all(end < begin for (_, end), (begin, _) in pairwise(in_time))
    assert in_time[0][0] >= 0
    for one in placed:
        assert one.offset_s.is_integer()
        assert one.begin_s == FrameClock.of(one.stimulation).starts_s[0] + one.offset_s


BY_PYNAPPLE = """
import json, sys, pynapple
files = [pynapple.NWBFile(name) for name in sys.argv[1:]]
print(json.dumps([{i: train.times().tolist() for i, train in file["units"].items()} for file in files]))
"""


def test_pynapple_reads_the_units(files, pipeline):
    sessions = [queries.session(key) for key in queries.session_keys()]
    files, sessions = zip(*(pair for pair in zip(files, sessions, strict=True) if pair[1].neuron_labels), strict=True)
    command = [sys.executable, "-c", BY_PYNAPPLE, *files]
    without_compiling = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # of functions that are called once
    read = subprocess.run(command, env=without_compiling, capture_output=True, text=True, check=True).stdout
    for units, session in zip(json.loads(read), sessions, strict=True):
        assert [int(neuron_id) for neuron_id in units] == list(session.neuron_labels)
        in_time = sorted(place(session), key=lambda one: one.begin_s)
        for neuron_id, times_s in units.items():
            own = [
                train.times_s + one.offset_s
                for one in in_time
                for train in one.stimulation.spike_trains
                if train.neuron_id == int(neuron_id)
            ]
            # pynapple rounds to nanoseconds
            np.testing.assert_allclose(times_s, np.concatenate(own), rtol=0, atol=5.1e-10)


def test_strfs_come_back_with_their_axes_and_where_they_come_from(files, opened, pipeline):
    tables = opened(files[1]).processing["dj_neuron"]
    estimations = list(queries.estimations({"subject_name": "WT", "sample_number": 1}))
    rows = tables["dj_neuron_estimations"].to_dataframe()
    assert len(rows) == len(estimations) == 4
    for row, estimation in zip(rows.itertuples(), estimations, strict=True):
        table = tables[row.strf_table]
        assert np.array_equal(table["strf"][:], estimation.strfs[:], equal_nan=True)
        assert [int(unit.neuron_id.iloc[0]) for unit in (table["unit"][i] for i in range(len(table)))] == list(
            estimation.neuron_ids
        )
        assert np.array_equal(table["n_used"][:], estimation.ledger.n_used)
        assert np.array_equal(row.delays_s, estimation.delays_s)
        assert np.array_equal(row.pixel_sd.reshape(row.y_um.size, row.x_um.size), estimation.pixel_sd)
        assert (row.movie_hash, row.code_version) == (estimation.movie_hash, dj_neuron.__version__)
    assert rows.estimator.tolist() == ["sta", "ridge", "sta", "ridge"]
    silent = tables["strf_stimulation_1_params_1"]["strf"][1]
    assert np.isnan(silent).all()
    said = tables["dj_neuron_computations"].to_dataframe()
    assert "estimator = ridge, first_delay_s = 0.05" in said.parameters[1]


def test_strfs_of_the_file_are_those_of_the_pipeline(files, opened, pipeline):
    """From stimulus and spikes in the file to the STRFs in the file."""
    file = opened(files[1])
    estimations = queries.estimations({"subject_name": "WT", "sample_number": 1, "estimator": "sta"})
    for one, estimation in zip(read_session(file).stimulations, estimations, strict=True):
        average = spike_triggered_average(one.movie, FrameClock.of(one), one.spike_trains, estimation.delays_s)
        assert np.array_equal(average.values.astype(np.float32), estimation.strfs[:], equal_nan=True)


def test_large_arrays_are_compressed_in_chunks(files):
    with h5py.File(files[1]) as file:
        movie = file["stimulus/presentation/stimulation_1/data"]
        strf = file["processing/dj_neuron/strf_stimulation_1_params_1/strf"]
        for data in (movie, strf):
            assert data.compression == "gzip"
        assert movie.dtype == np.int8
        assert strf.dtype == np.float32


def test_a_movie_is_read_in_slices(pipeline, tmp_path, monkeypatch):
    """No more of a movie is in memory than a buffer holds."""
    monkeypatch.setattr("dj_neuron.export.nwb_columns._CHUNK_BYTES", 10 * 20)
    monkeypatch.setattr("dj_neuron.export.nwb_columns._BUFFER_BYTES", 20 * 20)
    read = []
    frames = Movie.frames
    monkeypatch.setattr(Movie, "frames", lambda movie, *at: read.append(at[:2]) or frames(movie, *at))
    (file,) = export_nwb(tmp_path, {"subject_name": "WT", "sample_number": 3})
    assert read == [(begin, begin + 20) for begin in range(0, 300, 20)]
    with h5py.File(file) as written:
        values = written["stimulus/presentation/stimulation_7/data"]
        assert values.chunks == (10, 1, 20)
        assert np.array_equal(values[:], next(sessions()).stimulations[0].movie.frames())


@pytest.mark.parametrize(
    ("subject", "date", "name"),
    [
        ("WT", datetime.date(1, 2, 3), "sub-WT_ses-00010203-sample1.nwb"),
        ("x" * 128, DATE, f"sub-{'x' * 128}_ses-20200102-sample1.nwb"),
        ("ü" * 128, DATE, f"sub-{'ü' * 75}-a5aa7d_ses-20200102-sample1.nwb"),
    ],
)
def test_every_session_has_a_name_that_a_file_can_have(subject, date, name):
    assert _file_name({"subject_name": subject, "session_date": date, "sample_number": 1}) == name


def test_a_session_keeps_its_identifier(files, opened, pipeline, tmp_path):
    (again,) = export_nwb(tmp_path, {"subject_name": "WT", "sample_number": 3})
    assert opened(again).identifier == opened(files[3]).identifier
    assert len({opened(file).identifier for file in files}) == len(files)


def test_nothing_is_overwritten_unasked_and_nothing_half_written(pipeline, tmp_path, monkeypatch):
    where = {"subject_name": "WT", "sample_number": 3}
    (file,) = export_nwb(tmp_path, where)
    before = file.read_bytes()
    with pytest.raises(ExportError, match=r"sample3.nwb exists already, expected new files"):
        export_nwb(tmp_path)
    assert list(tmp_path.iterdir()) == [file]

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr(Movie, "frames", fail)
    with pytest.raises(ExportError) as caught:
        export_nwb(tmp_path, where, force=True)
    assert str(caught.value) == f"{file} cannot be written: the disk is full"
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == before
    monkeypatch.undo()
    assert export_nwb(tmp_path, where, force=True) == [file]


@pytest.mark.parametrize("n_bytes", [0, 1024, 100_000])
def test_a_full_disk_is_said_and_nothing_left(pipeline, tmp_path, n_bytes):
    """HDF5 ended the process, or raised in several lines, depending on where the disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        with pytest.raises(ExportError) as caught:
            export_nwb(tmp_path, {"subject_name": "WT", "sample_number": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file = tmp_path / "sub-WT_ses-20200102-sample1.nwb"
    assert str(caught.value) == f"{file} cannot be written: File too large"
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_done_is_said(pipeline, tmp_path, monkeypatch):
    with pytest.raises(PipelineError, match="'nonsense' is no condition on sessions"):
        export_nwb(tmp_path / "out", "nonsense")
    with pytest.raises(ExportError, match="no session meets the condition, expected at least one"):
        export_nwb(tmp_path / "out", "sample_number = 99")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(
        ExportError, match=r"needs the package pynwb, expected it installed: pip install 'dj-neuron\[nwb"
    ):
        export_nwb(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("species = ", "is not TOML: Invalid value"),
        ("\ufeffspecies = 3", "species is 3, expected a printable text"),
        (f"sampling_rate_hz = 0x{'f' * 5000}", "is a number of more than 308 digits, expected a positive number"),
        ("specie = 'Mus musculus'", "names 'specie', expected only species, sex, age"),
        ("species = 3", "species is 3, expected a printable text"),
        ("sex = 'female'", 'sex is \'female\', expected "M", "F"'),
        ("age = '60 days'", "age is '60 days', expected a duration such as"),
        ("age = 'P6'", "age is 'P6', expected a duration such as"),
        ("keywords = 'retina'", "keywords is 'retina', expected a list of printable texts"),
        (r'species = "a\u0000b"', r"species is 'a\x00b', expected a printable text"),
        (r'keywords = ["a\u0000"]', r"keywords holds 'a\x00', expected a list of printable texts"),
        (f"species = '{'x' * 999}\t'", f"species is '{'x' * 39}..., expected a printable text"),
        ("sampling_rate_hz = -1", "sampling_rate_hz is -1, expected a positive number"),
        ("sampling_rate_hz = true", "sampling_rate_hz is true, expected a positive number"),
    ],
)
def test_a_file_about_sessions_is_checked(tmp_path, text, words):
    path = tmp_path / "about.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExportError) as caught:
        read_about(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


@given(st.from_regex(r"P[0-9YMWDTHS./P]{0,8}", fullmatch=True) | st.sampled_from(["P1D/", "P1D/P3D", "P1.5Y", "PT2H"]))
def test_ages_are_those_that_nwb_takes(age):
    assume(age.count("/") < 2)  # of which the inspector makes an error of its own
    expected = check_subject_age(Subject(subject_id="WT", age=age)) is None
    try:
        _check(Path("about.toml"), "age", age)
    except ExportError:
        assert not expected
    else:
        assert expected


def test_a_description_may_have_several_lines(tmp_path):
    path = tmp_path / "about.toml"
    path.write_text('experiment_description = """White noise\nand bars"""')
    assert read_about(path).file == {"experiment_description": "White noise\nand bars"}


def test_a_file_about_sessions_that_is_missing_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"none.toml cannot be read: No such file"):
        read_about(tmp_path / "none.toml")
    assert About().subject == {}
