import dataclasses
import datetime

import numpy as np
import pytest

import dj_neuron
from dj_neuron import queries
from dj_neuron._datajoint import dj
from dj_neuron.connection import DelayRange
from dj_neuron.contracts import Movie, Source, SpikeTrain
from dj_neuron.errors import ConflictError, ContractError, PipelineError
from dj_neuron.export.nwb import export_nwb
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import SCHEMA_MODULES, experiment
from dj_neuron.pipeline import strf as strf_tables
from dj_neuron.readers import read_sessions
from dj_neuron.readers.recording_folder import write_recording_folder
from dj_neuron.strf import FrameClock, find_peak, spike_triggered_average


def n_rows():
    return {table.name: table.n_rows for table in queries.tables()}


def test_a_file_goes_in_once(pipeline, small_file):
    first = pipeline.ingest(small_file)
    assert [report.outcome for report in first] == ["new"] * 3
    assert queries.counts() == {
        "sessions": 3, "sessions_without_stimulation": 1, "stimulations": 3, "neurons": 10, "spike_trains": 14,
        "spikes": 8652, "parameter_rows": 0, "strfs": 0,
    }  # fmt: skip
    again = pipeline.ingest(small_file)
    assert [report.outcome for report in again] == ["unchanged"] * 3
    assert "nothing changed" in str(again[0])
    assert "no stimulations" in str(again[2])
    assert n_rows()["Session"] == 3
    assert (experiment.Session() & {"sample_number": 2}).fetch1("source_file") == small_file.name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"frame_rate_hz": 60.0}, "Stimulation stimulation_number 1 has frame_rate_hz 59.98, the file 60.0"),
        (lambda s: {"onset_s": 1.0}, "onset_s 1.25, the file 1.0"),
        (lambda s: {"spike_trains": s.spike_trains[:2]}, "Neuron neuron_id 3 is only in the pipeline"),
        (
            lambda s: {"spike_trains": (SpikeTrain(1, s.spike_trains[0].times_s + 0.001), *s.spike_trains[1:])},
            r"neuron_id 1 has spike_times_s \[80 values, (\S+) at 0\], the file \[80 values, (?!\1)\S+ at 0\]",
        ),
        (lambda s: {"movie": Movie.from_frames(-s.movie.frames(), block_size_px=(10, 20))}, "has movie_hash"),
        (lambda s: {"frame_edges_s": np.arange(201) / 59}, r"has frame_edges_s None, the file \[201 values from 0\]"),
    ],
)
def test_a_file_that_says_something_else_is_refused_with_what_differs(pipeline, make_session, change, words):
    session = make_session({})
    ingest_session(session)
    before = n_rows()
    stimulation = dataclasses.replace(session.stimulations[0], **change(session.stimulations[0]))
    with pytest.raises(ConflictError, match=f"^other.pkl: WT, 2020-01-02, sample 3: the pipeline holds .*{words}"):
        ingest_session(dataclasses.replace(session, stimulations=(stimulation,)), "other.pkl")
    assert n_rows() == before


def test_where_two_values_differ_is_shown(embedded, make_session):
    edges_s = np.arange(201) + 0.25
    label = "the same beginning as the other, "
    session = make_session({"frame_edges_s": edges_s, "spike_trains": (SpikeTrain(1, [], f"{label}a"),)})
    ingest_session(session)
    shown = session.stimulations[0]
    later = dataclasses.replace(shown, frame_edges_s=np.append(edges_s[:-1], np.nextafter(edges_s[-1], 300)))
    with pytest.raises(ConflictError) as caught:
        ingest_session(dataclasses.replace(session, stimulations=(later,)))
    assert "[201 values, 200.25 at 200], the file [201 values, 200.25000000000003 at 200]" in str(caught.value)
    other = dataclasses.replace(shown, spike_trains=(SpikeTrain(1, [], f"{label}b"),))
    with pytest.raises(ConflictError, match=r"source_label \.\.\.\w* ?other, a, the file \.\.\.\w* ?other, b$"):
        ingest_session(dataclasses.replace(session, stimulations=(other,)))


def test_rows_with_gaps_in_another_form_are_the_same(embedded, make_session):
    edges_s = np.arange(201.0) + 0.5
    gaps_s = np.array([[20.75, 21], [10.75, 11], [200.25, 200.3]])
    session = make_session({"frame_edges_s": edges_s, "gaps_s": gaps_s})
    ingest_session(session)
    key = experiment.Stimulation().fetch1("KEY")
    experiment.Stimulation().update1(key | {"frame_edges_s": edges_s, "gaps_s": gaps_s})
    assert ingest_session(session).outcome == "unchanged"


def test_a_stimulation_more_or_less_is_a_difference(embedded, make_session):
    session = make_session({}, {})
    ingest_session(session)
    with pytest.raises(ConflictError, match="Stimulation stimulation_number 2 is only in the pipeline"):
        ingest_session(dataclasses.replace(session, stimulations=session.stimulations[:1]))


def test_the_same_said_by_another_file_is_no_difference(embedded, make_session):
    ingest_session(make_session({}, source=Source("a.pkl", "0" * 64, "ret1_pickle")))
    report = ingest_session(make_session({}, source=Source("b.pkl", "1" * 64, "recording_folder")))
    assert report.outcome == "unchanged"


def test_descriptions_are_added_where_there_were_none_and_never_replaced(pipeline, make_session):
    label = [{"spike_trains": (SpikeTrain(1, np.array([2.0]), text),)} for text in ("", "unit 7", "unit 8")]
    described = {"species": "mouse", "subject_description": "of the night", "note": "with drug"}
    assert ingest_session(make_session(label[0])).outcome == "new"
    report = ingest_session(make_session(label[1], **described))
    assert (report.outcome, str(report)) == (
        "described",
        (
            "WT, 2020-01-02, sample 3: already there, only descriptions were added; "
            "1 stimulation(s), 1 neuron(s), 1 spikes"
        ),
    )
    assert ingest_session(make_session(label[1], **described)).outcome == "unchanged"
    assert ingest_session(make_session(label[0])).outcome == "unchanged"
    assert ingest_session(make_session(sample_number=4)).outcome == "new"
    assert experiment.Subject().fetch1("species", "subject_description") == ("mouse", "of the night")
    assert experiment.Neuron().fetch1("source_label") == "unit 7"
    assert (experiment.Session() & {"sample_number": 3}).fetch1("note") == "with drug"
    for session, words in (
        (make_session(species="rat", sample_number=5), "Subject has species mouse, the file rat"),
        (make_session(label[1], note="without"), "Session has note with drug, the file without"),
        (make_session(label[2]), "Neuron neuron_id 1 has source_label unit 7, the file unit 8"),
    ):
        with pytest.raises(ConflictError, match=words):
            ingest_session(session)


def test_a_new_session_may_describe_a_subject_that_is_there(embedded, make_session):
    ingest_session(make_session())
    assert ingest_session(make_session(species="mouse", sample_number=4)).outcome == "new"
    assert experiment.Subject().fetch1("species") == "mouse"


def test_a_session_goes_in_whole_or_not_at_all(pipeline, make_session, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("power cut")

    monkeypatch.setattr(experiment.SpikeTrain, "insert", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        ingest_session(make_session({}))
    assert set(n_rows().values()) == {0}
    monkeypatch.undo()
    assert ingest_session(make_session({})).outcome == "new"


def test_names_too_long_for_a_column_are_refused_in_words(pipeline, make_session):
    with pytest.raises(ContractError, match=r"subject_name is 300 characters long .*expected at most 128"):
        ingest_session(make_session({}, subject_name="x" * 300))
    assert n_rows()["Subject"] == 0


def test_a_backslash_that_no_table_could_look_up_is_refused_in_words(embedded, make_session):
    with pytest.raises(ContractError, match="subject_name holds a backslash"):
        ingest_session(make_session(subject_name="a\\b"))


def test_names_may_hold_anything_else(pipeline, make_session):
    name = """O'Hara "ret%1" `;-- <b>é🐭"""
    session = make_session({}, subject_name=name, note="100 % of it: {}")
    assert ingest_session(session).outcome == "new"
    assert ingest_session(session).outcome == "unchanged"
    assert queries.stimulation_ids()[0].subject_name == name
    pipeline.compute(0.05)
    assert pipeline.strfs(subject_name=name)[0].stimulation_id.subject_name == name


def test_a_movie_is_stored_once_and_costs_a_bit_a_block(embedded, make_session, data_dir, prefix):
    frames = np.random.default_rng(0).choice([-1, 1], (800, 48, 64))
    movie = Movie.from_frames(frames)
    ingest_session(make_session({"movie": movie}, {"movie": movie}))
    ingest_session(make_session({"movie": movie}, sample_number=9))
    (file,) = (data_dir / "store").rglob(f"*{prefix}_experiment/**/*.npy")
    assert file.stat().st_size == pytest.approx(frames.size / 8, abs=200)
    stored = experiment.Movie().fetch1("frames")
    assert stored.shape == frames.shape
    assert "800 frames" in repr(stored)
    assert stored.load().movie_hash == movie.movie_hash


def test_what_comes_out_is_what_went_in(pipeline, make_session):
    edges = 2 + np.cumsum(np.random.default_rng(1).uniform(0.01, 0.05, 201))
    gaps = np.array([[edges[50] + 0.001, edges[51]]])
    graded = Movie.from_frames(np.random.default_rng(2).normal(0, 0.3, (200, 3, 4)).clip(-1, 1), block_size_px=(10, 20))
    session = make_session({}, {"frame_edges_s": edges, "gaps_s": gaps}, {"movie": graded}, subject_name="a")
    ingest_session(session)
    for stimulation_id, expected in zip(queries.stimulation_ids(), session.stimulations, strict=True):
        found = queries.stimulation(stimulation_id)
        assert found.movie.movie_hash == expected.movie.movie_hash
        for name in ("stimulation_number", "frame_rate_hz", "onset_s", "pixel_size_um"):
            assert getattr(found, name) == getattr(expected, name)
        for name in ("frame_edges_s", "gaps_s"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))
        for a, b in zip(found.spike_trains, expected.spike_trains, strict=True):
            assert (a.neuron_id, a.label) == (b.neuron_id, b.label)
            assert (a.times_s == b.times_s).all()


def test_what_was_exported_as_nwb_is_what_went_in(embedded, make_session, tmp_path):
    """Gaps of every form, and movies that are no contrast, as `ingest_sessions` takes them."""
    edges_s = 2 + np.arange(201) / 60

    def with_gaps(*gaps_s):
        return {"frame_edges_s": edges_s, "gaps_s": [[edges_s[i] + a, edges_s[i] + b] for i, a, b in gaps_s]}

    bits = np.random.default_rng(1).integers(0, 2, (200, 3, 4))
    whole_frame_s = edges_s[1] - edges_s[0] - 1e-6
    shown = {
        "ends early": with_gaps((10, 0.002, 0.005)),
        "two in a frame": with_gaps((10, 0.006, whole_frame_s), (10, 0.002, 0.005)),
        "in descending order": with_gaps((20, 0.002, 0.01), (10, 0.002, whole_frame_s)),
        "in the last frame": with_gaps((199, 0.002, whole_frame_s)),
        "bytes": {"movie": Movie.from_frames((bits * 255).astype(np.uint8), block_size_px=(10, 20))},
        "beyond bytes": {"movie": Movie.from_frames(bits * 40_000 - 1, block_size_px=(10, 20))},
        "halves": {"movie": Movie.from_frames(bits - 0.5, block_size_px=(10, 20))},
        "ramps": {"movie": Movie.from_frames(np.arange(2400).reshape(200, 3, 4), block_size_px=(10, 20))},
        "white": {"movie": Movie.from_frames(np.ones((200, 3, 4), np.int8), block_size_px=(10, 20))},
        "black": {"movie": Movie.from_frames(np.full((200, 3, 4), -1), block_size_px=(10, 20))},
        "ü" * 128: {},
    }
    for name, changes in shown.items():
        ingest_session(make_session(changes, subject_name=name))
    for file in export_nwb(tmp_path):
        (session,) = read_sessions(file)
        assert ingest_session(session, file).outcome == "unchanged", session.subject_name
    assert len(list(tmp_path.iterdir())) == len(shown)


def test_the_tables_hold_what_the_numerics_give(pipeline, make_session):
    edges = 2 + np.cumsum(np.random.default_rng(1).uniform(0.01, 0.05, 201))
    gaps = np.array([[edges[50] + 0.001, edges[51]]])
    session = make_session({}, {"frame_edges_s": edges, "gaps_s": gaps})
    ingest_session(session)
    report = pipeline.compute(DelayRange(-0.1, 0.2), min_spikes=2)
    assert (report.n_computed, report.n_already_there, report.errors) == (2, 0, ())
    strfs = pipeline.strfs()
    assert [(s.stimulation_id.stimulation_number, s.neuron_id) for s in strfs] == [
        (n, i) for n in (1, 2) for i in (1, 2, 3)
    ]
    for stimulation in session.stimulations:
        clock = FrameClock.of(stimulation)
        expected = spike_triggered_average(
            stimulation.movie, clock, stimulation.spike_trains, clock.delays_between(-0.1, 0.2), min_spikes=2
        )
        for i, strf in enumerate(
            s for s in strfs if s.stimulation_id.stimulation_number == stimulation.stimulation_number
        ):
            np.testing.assert_array_equal(strf.values, expected.values[i].astype(np.float32))
            np.testing.assert_allclose(strf.standard_error, expected.standard_error[i], rtol=1e-6)
            np.testing.assert_allclose(strf.z, expected.z[i], rtol=1e-4, atol=1e-4)
            for name in ("n_used", "n_before_onset", "n_after_end", "n_in_gap"):
                np.testing.assert_array_equal(getattr(strf.ledger, name), getattr(expected.ledger, name)[i])
            assert (strf.ledger.n_spikes == stimulation.spike_trains[i].n_spikes).all()
            assert strf.block_size_um == (20.0, 40.0)
            peak = find_peak(expected.z[i], expected.delays_s, 1 / clock.frame_rate_hz)
            row = queries.peaks({"stimulation_number": stimulation.stimulation_number, "neuron_id": i + 1})[0]
            for name in ("z", "delay_s", "row_idx", "column_idx"):
                assert row[f"peak_{name}"] == (peak and pytest.approx(getattr(peak, name)))


def test_a_silent_neuron_is_nan_and_has_no_peak(pipeline, make_session):
    ingest_session(make_session({}))
    pipeline.compute(0.05)
    with pytest.raises(PipelineError, match=r"'neuron' is no attribute of STRFs, .*; perhaps 'neuron_id'"):
        pipeline.strfs(neuron=2)
    silent = pipeline.strfs(neuron_id=2)[0]
    assert np.isnan(silent.values).all()
    assert silent.n_spikes == 0
    assert queries.peaks({"neuron_id": 2})[0]["peak_z"] is None


def test_delays_are_added_beside_those_that_are_there(pipeline, make_session):
    ingest_session(make_session({}))
    assert pipeline.compute(0.2).n_computed == 1
    assert pipeline.compute(0.2).n_computed == 0
    assert pipeline.compute(0.3).n_computed == 1
    assert pipeline.compute([DelayRange(0.1, 0.3, 0.1), 0.05]).n_computed == 2
    joined = pipeline.strfs(neuron_id=1)
    assert len(joined) == 1
    assert np.allclose(joined[0].delays_s, [0.05, 0.1, 0.2, 0.3])
    assert joined[0].values.shape == (4, 3, 4)
    assert joined[0].ledger.n_used.shape == (4,)
    apart = pipeline.strfs(neuron_id=1, combine=False)
    assert [strf.delays_s.size for strf in apart] == [1, 1, 3, 1]
    np.testing.assert_array_equal(joined[0].values[2], apart[0].values[0])
    # other rules are never joined
    pipeline.compute(0.2, centre=False)
    assert len(pipeline.strfs(neuron_id=1)) == 2


def test_replacing_leaves_only_the_delays_asked_for(pipeline, make_session):
    ingest_session(make_session({}))
    pipeline.compute([0.1, 0.2, 0.3])
    report = pipeline.compute([0.2, 0.4], replace=True)
    assert (report.n_computed, report.n_already_there, report.n_removed) == (1, 1, 2)
    assert pipeline.strfs(neuron_id=1)[0].delays_s.tolist() == [0.2, 0.4]
    assert n_rows()["StrfParams"] == 2
    with pytest.raises(PipelineError, match="needs the delays"):
        pipeline.compute(replace=True)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"delays_s": 0.2, "frame_rule": "nearest"}, "stimulation_number 2 would be removed, .* regular clock"),
        (
            {"delays_s": [0.2, DelayRange(0.021, 0.024)]},
            "stimulation_number 1 would be removed, .* no whole frame lies",
        ),
        ({"delays_s": DelayRange(0, 0.5), "estimator": "ridge"}, "would be removed, .* 5 folds of 170 frames"),
    ],
)
def test_nothing_is_removed_for_delays_that_cannot_be_computed(pipeline, make_session, asked, words):
    ingest_session(make_session({}, {"frame_edges_s": 1 + np.arange(201) / 60}))
    pipeline.compute([0.1, 0.2], judge=False)
    before = n_rows()
    for queue in (False, True):
        with pytest.raises(PipelineError, match=words):
            pipeline.compute(**asked, replace=True, queue=queue)
    assert n_rows() == before


def test_what_was_never_computed_is_no_reason_against_replacing(embedded, make_session):
    ingest_session(make_session({}))
    embedded.compute(0.1, judge=False)
    ingest_session(make_session({"frame_edges_s": np.arange(201) / 59}, sample_number=4))
    report = embedded.compute(0.2, frame_rule="nearest", replace=True, judge=False)
    assert (report.n_computed, report.n_removed, len(report.errors)) == (1, 1, 1)


def test_rules_without_delays_are_refused(embedded):
    for rule in ({"min_spikes": 3}, {"frame_rule": "nearest"}, {"centre": False}, {"estimator": "ridge"}):
        with pytest.raises(PipelineError, match=f"{next(iter(rule)).replace('_', ' ')} is a rule for new delays"):
            embedded.compute(**rule)


SAID_TWICE = {
    "species": ({"species": "rat", "sample_number": 4}, "Subject has species mouse, the second rat"),
    "note": ({"note": "without"}, "Session has note with drug, the second without"),
    "label": (
        {"trains": (SpikeTrain(1, np.array([2.0]), "b"),)},
        "Neuron neuron_id 1 has source_label a, the second b",
    ),
    "neuron": ({"trains": ()}, "Neuron neuron_id 1 is only in the first"),
    "spikes": (
        {"trains": (SpikeTrain(1, np.array([2.5]), "a"),)},
        r"SpikeTrain .*neuron_id 1 has spike_times_s \[1, #.{6}\], the second \[1, #",
    ),
    "frame times": ({"frame_edges_s": np.arange(201) / 59}, r"has frame_edges_s None, the second \[201, #"),
}


@pytest.mark.parametrize(("change", "words"), SAID_TWICE.values(), ids=SAID_TWICE)
def test_sessions_that_contradict_each_other_are_refused_as_a_whole(embedded, make_session, tmp_path, change, words):
    one_spike = (SpikeTrain(1, np.array([2.0]), "a"),)

    def session(*, trains=one_spike, frame_edges_s=None, **texts):
        texts = {"species": "mouse", "note": "with drug", **texts}
        return make_session({"spike_trains": trains, "frame_edges_s": frame_edges_s}, **texts)

    folders = [tmp_path / "both" / name for name in "abc"]
    sessions = [session(sample_number=9, species=""), session(), session(**change)]
    for folder, one in zip(folders, sessions, strict=True):
        write_recording_folder(one, folder)
    places = rf"{folders[1]}: WT, .*, sample 3 and {folders[2]}: WT, .* contradict each other: .*{words}"
    with pytest.raises(ConflictError, match=places):
        embedded.check(*folders)
    embedded.check(*folders[:2], folders[0])
    if "sample_number" in change:  # else the reader finds that two are the same session
        for read in (embedded.ingest, embedded.check):
            with pytest.raises(ConflictError, match=places):
                read(tmp_path / "both")
    assert set(n_rows().values()) == {0}


def test_computing_is_checked_with_the_files_from_which_it_would_be(embedded, make_session, tmp_path):
    write_recording_folder(make_session({"frame_edges_s": np.arange(201) / 59}), tmp_path / "measured")
    embedded.check(tmp_path / "measured", compute={"delays_s": 0.1})
    for asked, words in (
        ({"delays_s": 0.1, "frame_rule": "nearest"}, "measured: WT, .*: of stimulation 1 this .* regular clock"),
        ({"delays_s": 0.1, "estimator": "ridge", "centre": False}, "ridge regression cannot do without subtracting"),
    ):
        with pytest.raises(PipelineError, match=words):
            embedded.check(tmp_path / "measured", compute=asked)


def test_a_name_that_looks_the_same_is_the_same_subject(pipeline, make_session):
    assert ingest_session(make_session(subject_name="M\u00fcller")).outcome == "new"
    assert ingest_session(make_session(subject_name=" Mu\u0308ller   ")).outcome == "unchanged"
    assert experiment.Subject().to_arrays("subject_name").tolist() == ["M\u00fcller"]


def test_queued_delays_wait_for_the_next_compute(embedded, make_session):
    ingest_session(make_session({}))
    assert embedded.compute(0.1, queue=True).n_computed == 0
    assert embedded.status()["computed"]["StrfEstimation"] == {"done": 0, "total": 1}
    assert embedded.compute().n_computed == 1
    assert embedded.status()["computed"]["StrfEstimation"] == {"done": 1, "total": 1}


def test_what_cannot_be_computed_is_said_and_the_rest_is_done(embedded, make_session):
    ingest_session(make_session({}, {"frame_edges_s": np.arange(201) / 59}))
    report = embedded.compute(0.1, frame_rule="nearest")
    assert report.n_computed == 1
    assert len(report.errors) == 1
    assert "stimulation_number 2" in report.errors[0]
    assert "regular clock" in report.errors[0]


@pytest.mark.parametrize("delays", [DelayRange(0, 0.1, 0.05), np.float32(0.25), 0, [0.1], np.array([0.1])])
def test_delays_are_taken_in_any_form(embedded, make_session, delays):
    ingest_session(make_session({}))
    assert embedded.compute(delays).n_computed == 1


BAD_RANGES = [
    *[(0.2, 0.1, 0), (0, 0.1, -1), (0, np.inf, 0), (np.nan, np.nan, 0)],
    *[(1e308, 1e308, 0), (-1e308, 1e308, 0), (0, 10.1, 0), (-10.1, 0, 0), (0, 1, 1e-9), (0, 1, 1e-320), (0, 1, 1e-4)],
]


@pytest.mark.parametrize(("first", "last", "step"), BAD_RANGES)
def test_bad_ranges_are_refused(first, last, step):
    with pytest.raises(PipelineError, match="delays are"):
        DelayRange(first, last, step)


NO_DELAYS = [None, "0.2", True, ["0.2"], [None], np.array(0.1), [[0.1]], 0.1j, [np.ma.masked], np.timedelta64(1, "s")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *[({"delays_s": delays}, "delays: first_s is .*, expected a number$") for delays in NO_DELAYS],
        ({"frame_rule": "round"}, "^frame_rule is 'round', expected one of floor, nearest$"),
        ({"frame_rule": None}, "^frame_rule is None, expected one of floor, nearest$"),
        ({"estimator": "mean"}, "^estimator is 'mean', expected one of sta, ridge$"),
        ({"estimator": ["sta"]}, "^estimator is a list, expected one of sta, ridge$"),
        ({"centre": "no"}, "^centre is 'no', expected True or False$"),
        ({"centre": None}, "^centre is None, expected True or False$"),
        *[
            ({"min_spikes": value}, "^min_spikes is .*, expected a whole number from 1 to 2147483647$")
            for value in (0, -1, 1.5, 1.0, None, "1", True, 2**31)
        ],
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_registered(embedded, arguments, words):
    with pytest.raises(PipelineError, match=words):
        embedded.compute(**{"delays_s": 0.1, "queue": True} | arguments)
    assert n_rows()["StrfParams"] == 0


@pytest.mark.parametrize("place", range(3))
def test_ends_and_steps_of_ranges_are_numbers(place):
    values = [0.0, 0.1, 0.1]
    values[place] = "0.1"
    with pytest.raises(PipelineError, match=r"^delays: (first|last|step)_s is '0.1', expected a number$"):
        DelayRange(*values)


def test_rules_of_numpy_find_the_row_that_is_there(embedded):
    embedded.compute(0.25, queue=True)
    embedded.compute(np.float32(0.25), centre=np.True_, min_spikes=np.int16(1), queue=True)
    assert n_rows()["StrfParams"] == 1


def test_only_sessions_are_ingested_and_what_comes_before_another_thing(embedded, make_session):
    with pytest.raises(ContractError, match=r"^sessions is a Session, expected a sequence of Session$"):
        embedded.ingest_sessions(make_session({}))
    with pytest.raises(ContractError, match=r"^sessions is None, expected a sequence of Session$"):
        embedded.ingest_sessions(None)
    with pytest.raises(ContractError, match=r"^sessions\[1\] is None, expected a Session$"):
        embedded.ingest_sessions([make_session({}), None])
    assert n_rows()["Session"] == 1


def test_numbers_of_numpy_are_ingested_and_are_the_same_again(embedded, make_session):
    plain = make_session({})
    of_numpy = dataclasses.replace(
        plain,
        sample_number=np.int32(plain.sample_number),
        session_date=datetime.datetime(2020, 1, 2, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-7))),
        stimulations=[dataclasses.replace(plain.stimulations[0], stimulation_number=np.uint8(1))],
    )
    assert [report.outcome for report in embedded.ingest_sessions([of_numpy, plain])] == ["new", "unchanged"]


def test_sessions_and_stimulations_without_data_are_counted(pipeline, make_session):
    ingest_session(make_session({"spike_trains": ()}))
    ingest_session(make_session(session_date=datetime.date(2021, 1, 1)))
    assert pipeline.compute(0.1).n_computed == 1
    counts = queries.counts()
    assert (counts["sessions"], counts["sessions_without_stimulation"], counts["neurons"]) == (2, 1, 0)
    assert pipeline.strfs() == []


def test_clearing_leaves_empty_tables_and_an_empty_store(embedded, make_session, data_dir, prefix):
    ingest_session(make_session({}))
    embedded.compute(0.1)
    embedded.clear()
    assert set(n_rows().values()) == {0}
    assert list((data_dir / "store").rglob(f"*{prefix}*/**/*.npy")) == []
    assert ingest_session(make_session({})).outcome == "new"


def test_no_object_in_the_store_is_an_orphan_to_datajoint(embedded, make_session):
    ingest_session(make_session({}))
    embedded.compute(0.1)
    schemas = [module.schema for module in SCHEMA_MODULES.values()]
    config = embedded.database.instance.config
    report = dj.gc.GarbageCollector(*schemas, store="dj_neuron", config=config).collect()
    assert report["schema_paths_stored"] == 4
    assert report["schema_paths_orphaned"] == report["hash_paths_stored"] == 0


def test_keys_of_computed_tables_come_from_foreign_keys_only(embedded):
    for module in SCHEMA_MODULES.values():
        for table, _ in module.schema.declare_list:
            if issubclass(table, dj.Computed):
                inherited = {
                    name for parent in table().parents(primary=True, as_objects=True) for name in parent.primary_key
                }
                assert set(table().primary_key) <= inherited


def test_every_column_of_a_number_says_what_it_is(embedded):
    obvious = {"n_spikes", "n_neurons", "n_frames", "n_used", "session_date"}
    for table in (t for _, t in queries.table_classes()):
        heading = table().heading
        own = [
            name
            for name in heading.names
            if name not in {k for p in table().parents(as_objects=True) for k in p.primary_key}
        ]
        assert heading.table_status["comment"], table
        for name in own:
            described = (
                heading[name].comment
                or name in obvious
                or name.endswith("params_id")
                or heading[name].type.startswith("varchar")
                or name == "frames"
            )
            assert described, f"{table.__name__}.{name}"


def test_one_pipeline_at_a_time_and_a_closed_one_says_so(data_dir, prefix):
    first = dj_neuron.connect(data_dir, prefix=prefix)
    second = dj_neuron.connect(data_dir, prefix=f"{prefix}_b")
    with pytest.raises(PipelineError, match="was closed, or another one was opened"):
        first.strfs()
    assert second.strfs() == []
    assert repr(second).startswith("Pipeline(embedded PostgreSQL in")
    dj_neuron.pipeline.drop(second.database.connection, f"{prefix}_b")
    second.close()
    second.close()
    with pytest.raises(PipelineError):
        second.status()
    with dj_neuron.connect(data_dir, prefix=prefix) as third:
        assert third.experiment.Session().database == f"{prefix}_experiment"
        dj_neuron.pipeline.drop(third.database.connection, prefix)


def test_tables_are_listed_and_previewed(embedded, make_session):
    ingest_session(make_session({}))
    embedded.compute(0.1)
    listed = [(t.name, t.tier, t.n_rows) for t in queries.tables()]
    assert listed[:14] == [
        ("Subject", "Manual", 1), ("Session", "Manual", 1), ("Neuron", "Manual", 3), ("Movie", "Manual", 1),
        ("Stimulation", "Manual", 1), ("SpikeTrain", "Manual", 3), ("StrfParams", "Lookup", 1),
        ("StrfEstimation", "Computed", 1), ("Strf", "Part", 3), ("SignificanceParams", "Lookup", 1),
        ("Significance", "Computed", 1), ("Judgement", "Part", 3), ("ReceptiveFieldParams", "Lookup", 1),
        ("ReceptiveField", "Computed", 1),
    ]  # fmt: skip
    assert {("Mosaic", "Computed", 1), ("Prediction", "Computed", 1), ("Sufficiency", "Computed", 1)} < set(listed)
    assert len({name for name, _, _ in listed}) == len(listed)
    columns, rows = queries.preview("SpikeTrain", 2)
    assert columns == strf_tables.experiment.SpikeTrain().heading.names
    assert [row["n_spikes"] for row in rows] == [80, 0]
    assert rows[0]["spike_times_s"] == "<blob>"
    assert queries.preview("Stimulation", 1)[1][0]["gaps_s"] is None
    keys = queries.foreign_keys()
    assert ("Movie", "Stimulation", False) in keys
    assert ("StrfEstimation", "Strf", True) in keys
    assert ("Significance", "ReceptiveField", True) in keys
    assert len(keys) == len(set(keys))


def test_the_best_neurons_stand_highest_above_their_noise(embedded, small_file):
    embedded.ingest(small_file)
    embedded.compute(DelayRange(-0.1, 0.3))
    best = queries.best_neurons(2)
    assert len(best) == 3
    for stimulation_id, chosen in best.items():
        assert len(chosen) == 2
        rows = {
            row["neuron_id"]: row
            for row in queries.peaks(
                {"stimulation_number": stimulation_id.stimulation_number, "sample_number": stimulation_id.sample_number}
            )
        }
        heights = {i: abs(r["peak_z"] or 0) - (r["noise_z"] or 0) for i, r in rows.items()}
        assert heights[chosen[0]] == max(heights.values())
        assert heights[chosen[0]] >= heights[chosen[1]]
