"""Recording folders: written, read, refused."""

import datetime
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dj_neuron.contracts import Movie, Session, Source, SpikeTrain, Stimulation
from dj_neuron.errors import DjNeuronError, ExportError, ReadError
from dj_neuron.readers import folder_toml, read_sessions
from dj_neuron.readers.outline import outline, unpack
from dj_neuron.readers.recording_folder import RecordingFolderReader, write_recording_folder

DATE = datetime.date(2008, 6, 6)


def stimulation(number=1, movie=None, **changes):
    if movie is None:
        movie = Movie.from_frames(np.arange(24).reshape(4, 2, 3) % 5 == 0, block_size_px=(10, 20)).as_contrast()
    trains = (SpikeTrain(1, np.array([0.1, 0.2]), "unit a"), SpikeTrain(12, np.empty(0)))
    fields = {"frame_rate_hz": 59.9815, "onset_s": 1.65657, "pixel_size_um": 8.3, "spike_trains": trains}
    return Stimulation(number, movie, **(fields | changes))


def session(*stimulations, **changes):
    return Session(
        **({"subject_name": "KO (chx10)", "session_date": DATE, "sample_number": 3} | changes),
        stimulations=stimulations,
    )


def read_back(written, folder):
    write_recording_folder(written, folder)
    (got,) = read_sessions(folder)
    return got


def assert_same(got, written):
    for name in ("subject_name", "session_date", "sample_number", "species", "subject_description", "note"):
        assert getattr(got, name) == getattr(written, name)
    assert got.neuron_labels == written.neuron_labels
    assert len(got.stimulations) == len(written.stimulations)
    for ours, theirs in zip(got.stimulations, written.stimulations, strict=True):
        assert ours.stimulation_number == theirs.stimulation_number
        assert ours.movie.movie_hash == theirs.movie.movie_hash
        assert ours.pixel_size_um == theirs.pixel_size_um
        assert [train.neuron_id for train in ours.spike_trains] == [train.neuron_id for train in theirs.spike_trains]
        for train, expected in zip(ours.spike_trains, theirs.spike_trains, strict=True):
            assert train.times_s.tobytes() == expected.times_s.tobytes()
        assert (ours.frame_rate_hz, ours.onset_s) == (theirs.frame_rate_hz, theirs.onset_s)
        if theirs.frame_edges_s is None:
            assert ours.frame_edges_s is None
        else:
            assert ours.frame_edges_s.tobytes() == theirs.frame_edges_s.tobytes()
        assert (ours.gaps_s is None) == (theirs.gaps_s is None)
        if theirs.gaps_s is not None:
            assert ours.gaps_s.tobytes() == theirs.gaps_s.tobytes()


# the round trip

EDGES_S = np.array([1.0, 1.5, 2.0, 4.0, 4.5])
GRADED = np.linspace(-1, 1, 24).reshape(4, 2, 3)
MOVIES = {
    "two levels": Movie.from_frames(GRADED > 0.3).as_contrast(),
    "half contrast": Movie.from_frames(np.where(GRADED > 0.3, 0.1, -0.7)),
    "graded": Movie.from_frames(GRADED),
    "graded float32, Fortran order": Movie.from_frames(np.asfortranarray(GRADED, np.float32)),
    "graded big-endian": Movie.from_frames(GRADED.astype(">f8")),
    "graded beyond contrast": Movie.from_frames(np.arange(24, dtype=np.uint8).reshape(4, 2, 3)),
    "one level": Movie.from_frames(np.zeros((4, 2, 3))),
    "one level, white": Movie.from_frames(np.ones((4, 2, 3))),
    "white part of a movie": Movie((1, 1, 3), np.array([[7]], np.uint8), levels=(-1.0, 1.0)),
    "black part of a movie": Movie((1, 1, 3), np.array([[0]], np.uint8), levels=(-1.0, 1.0)),
    "screen larger than its blocks": Movie.from_frames(
        GRADED > 0, block_size_px=(3, 7), screen_size_px=(10, 17)
    ).as_contrast(),
}


@pytest.mark.parametrize("movie", MOVIES.values(), ids=MOVIES)
def test_movies_come_back(tmp_path, movie):
    written = session(stimulation(movie=movie))
    assert_same(read_back(written, tmp_path / "a"), written)


def test_two_level_movies_are_written_as_small_integers(tmp_path):
    write_recording_folder(session(stimulation()), tmp_path / "a")
    values = np.load(tmp_path / "a" / "movie_1.npy")
    assert values.dtype == np.int8
    assert np.array_equal(values, np.where(np.arange(24).reshape(4, 2, 3) % 5 == 0, 1, -1))


def test_frame_times_and_gaps_come_back(tmp_path):
    written = session(stimulation(frame_rate_hz=2.0, onset_s=1.0, frame_edges_s=EDGES_S, gaps_s=np.array([[2.5, 4.0]])))
    got = read_back(written, tmp_path / "a")
    assert_same(got, written)
    assert (got.stimulations[0].frame_rate_hz, got.stimulations[0].onset_s) == (2.0, 1.0)


def test_a_session_without_stimulations_comes_back(tmp_path):
    written = session(species="mouse", subject_description="knock-out\nof chx10", note='"quoted" # no comment')
    assert_same(read_back(written, tmp_path / "a"), written)


def test_a_stimulation_without_neurons_comes_back(tmp_path):
    written = session(stimulation(spike_trains=()))
    assert_same(read_back(written, tmp_path / "a"), written)


def test_a_movie_shown_twice_is_written_once(tmp_path):
    written = session(stimulation(1), stimulation(2, onset_s=100.0), stimulation(4, MOVIES["graded"]))
    assert_same(read_back(written, tmp_path / "a"), written)
    assert sorted(file.name for file in (tmp_path / "a").glob("movie_*")) == ["movie_1.npy", "movie_4.npy"]


def test_a_movie_longer_than_one_chunk_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("dj_neuron.readers.folder_writer._CHUNK_VALUES", 10)
    written = session(stimulation(movie=MOVIES["two levels"]))
    assert_same(read_back(written, tmp_path / "a"), written)


times_s = st.lists(st.floats(0, 1e6), max_size=6).map(lambda times: np.sort(np.array(times, np.float64)))


@st.composite
def movies(draw):
    shape = draw(npst.array_shapes(min_dims=3, max_dims=3, max_side=4))
    sizes = {"block_size_px": (draw(st.integers(1, 9)), draw(st.integers(1, 9)))}
    if draw(st.booleans()):
        bits = draw(npst.arrays(bool, shape))
        packed = np.packbits(bits.reshape(shape[0], -1), axis=1, bitorder="little")
        return Movie(shape, packed, levels=(-1.0, 1.0), **sizes)
    dtype = draw(st.sampled_from(["f4", "f8", ">f8", "i2", "u1", "?"]))
    values = {"f": st.floats(-2, 2, width=32), "i": st.integers(-9, 9)}.get(np.dtype(dtype).kind)
    return Movie.from_frames(draw(npst.arrays(dtype, shape, elements=values)), **sizes)


@st.composite
def sessions(draw):
    labels = draw(st.dictionaries(st.integers(1, 2000), st.text(max_size=5), max_size=4))
    stimulations = []
    for number in sorted(draw(st.sets(st.integers(1, 50), max_size=3))):
        movie = draw(movies())
        onset_s = draw(st.floats(0, 1e3))
        shown = {"frame_rate_hz": draw(st.floats(0.1, 1e3)), "onset_s": onset_s}
        if draw(st.booleans()):
            steps = draw(npst.arrays(float, movie.n_frames, elements=st.floats(1e-3, 10)))
            edges_s = onset_s + np.concatenate([[0], np.cumsum(steps)])
            gaps_s = draw(st.sampled_from([None, np.empty((0, 2)), np.array([[edges_s[-2:].mean(), edges_s[-1]]])]))
            shown |= {"frame_edges_s": edges_s, "gaps_s": gaps_s}
        neurons = draw(st.sets(st.sampled_from(sorted(labels)))) if labels else ()
        trains = tuple(SpikeTrain(neuron, draw(times_s), labels[neuron]) for neuron in sorted(neurons))
        stimulations.append(
            stimulation(number, movie, spike_trains=trains, pixel_size_um=draw(st.floats(0.1, 100)), **shown)
        )
    text = st.text(max_size=10)
    return session(
        *stimulations,
        subject_name=draw(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=10)),
        session_date=draw(st.dates()),
        sample_number=draw(st.integers(0, 1000)),
        species=draw(text),
        subject_description=draw(text),
        note=draw(text),
        source=Source(draw(text), draw(text), ""),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=sessions())
def test_any_session_comes_back(tmp_path_factory, written):
    assert_same(read_back(written, tmp_path_factory.mktemp("any") / "a"), written)


# reading


@pytest.fixture
def folder(tmp_path):
    return write_recording_folder(session(stimulation()), tmp_path / "a")


def edit(folder, old, new):
    file = folder / "session.toml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def times(new):
    return "frame_rate_hz = 59.9815\nonset_s = 1.65657\n", new


def test_the_file_explains_itself(folder):
    text = (folder / "session.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    comments = "".join(line for line in text.splitlines() if line.startswith("#"))
    assert [key for key in table["stimulations"][0] if not re.search(rf"\b{key}\b", comments)] == []
    assert "neuron_labels" in table
    assert "neuron_labels" in comments


def test_the_documented_example(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "reference" / "recording-folder.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    python, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "session.toml").write_text(toml, encoding="utf-8")
    exec(python, {})  # noqa: S102
    (got,) = read_sessions(tmp_path)
    first, second = got.stimulations
    assert got.neuron_labels == {1: "channel 12, unit a", 2: "channel 12, unit b"}
    assert first.movie.movie_hash == second.movie.movie_hash
    assert second.frame_rate_hz == pytest.approx(59.9815)
    assert [train.n_spikes for train in second.spike_trains] == [1, 2]
    ((start_s, end_s),) = second.gaps_s
    edges_s = second.frame_edges_s
    assert not ((edges_s[:-1] > start_s) & (edges_s[:-1] < end_s)).any()


def test_every_key_is_documented():
    page = (Path(__file__).parents[1] / "docs" / "reference" / "recording-folder.md").read_text(encoding="utf-8")
    keys = [*folder_toml._SESSION_KEYS, *folder_toml._STIMULATION_KEYS]
    assert [key for key in keys if not re.search(rf"^\|.*`{key}`", page, re.MULTILINE)] == []


def test_where_a_session_comes_from_is_a_comment(tmp_path):
    source = Source("ret1\n.pkl", "d5c9", "ret1_pickle")
    write_recording_folder(session(source=source), tmp_path / "a")
    assert r"# Written from 'ret1\n.pkl', sha256 'd5c9'." in (tmp_path / "a" / "session.toml").read_text()


def test_the_source_is_the_folder(folder):
    (first,) = read_sessions(folder)
    assert (first.source.file_name, first.source.reader) == ("a", "recording_folder")
    (folder / "remark.txt").write_text("not part of the recording")
    (second,) = read_sessions(folder)
    assert first.source.sha256 == second.source.sha256
    np.savez(folder / "spikes_1.npz", neuron_001=[0.1, 0.3])
    (third,) = read_sessions(folder)
    assert first.source.sha256 != third.source.sha256


def test_starts_and_the_end_of_the_last_frame(folder):
    np.save(folder / "starts.npy", EDGES_S[:-1])
    edit(folder, *times('frame_times = "starts.npy"\nlast_frame_end_s = 4.5\ngaps_s = [[2.5, 4]]\n'))
    (got,) = read_sessions(folder)
    (shown,) = got.stimulations
    assert shown.frame_edges_s.tolist() == EDGES_S.tolist()
    assert (shown.frame_rate_hz, shown.onset_s, shown.gaps_s.tolist()) == (2.0, 1.0, [[2.5, 4.0]])


def test_black_and_white_of_a_graded_movie(folder):
    np.save(folder / "movie_1.npy", np.linspace(0, 200, 24).reshape(4, 2, 3))
    edit(folder, 'spikes = "', 'black = 0\nwhite = 100\nspikes = "')
    (got,) = read_sessions(folder)
    assert got.stimulations[0].movie.frames().ravel() == pytest.approx(np.linspace(-1, 3, 24))


def test_black_and_white_may_be_the_other_way_round(folder):
    before = next(read_sessions(folder)).stimulations[0].movie.frames()
    edit(folder, 'spikes = "', 'black = 1\nwhite = -1\nspikes = "')
    assert np.array_equal(next(read_sessions(folder)).stimulations[0].movie.frames(), -before)


def test_a_movie_of_camera_values(folder):
    values = np.load(folder / "movie_1.npy")
    before = next(read_sessions(folder)).stimulations[0].movie.movie_hash
    np.save(folder / "movie_1.npy", np.where(values > 0, 255, 0).astype(np.uint8))
    assert next(read_sessions(folder)).stimulations[0].movie.movie_hash == before


def test_a_folder_of_folders_in_order(tmp_path):
    for name, sample in (("b", 1), ("a", 3), ("c", 2)):
        write_recording_folder(session(sample_number=sample), tmp_path / name)
    (tmp_path / "figures").mkdir()
    write_recording_folder(session(sample_number=1), tmp_path / ".b.part")
    assert [got.sample_number for got in read_sessions(tmp_path)] == [3, 1, 2]


def test_the_same_session_in_two_folders(tmp_path):
    for name in "ab":
        write_recording_folder(session(), tmp_path / name)
    with pytest.raises(ReadError) as caught:
        next(read_sessions(tmp_path))
    assert str(caught.value) == (
        "b/session.toml: KO (chx10), 2008-06-06, sample 3 is also the session of a/session.toml, "
        "expected each session once"
    )


def test_no_session_is_named_by_its_reader(tmp_path):
    assert not RecordingFolderReader().accepts(tmp_path)
    with pytest.raises(ReadError, match=r": holds no session\.toml, expected a recording folder or a folder of them$"):
        list(RecordingFolderReader().read(tmp_path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["movie_1.npy", "spikes_1.npz", "session.toml"]))
@pytest.mark.filterwarnings("ignore:Data type alias 'a' was deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required additional header parsing:UserWarning")
def test_a_damaged_folder_raises_nothing_but_read_errors(tmp_path_factory, data, name):
    folder = write_recording_folder(session(stimulation()), tmp_path_factory.mktemp("damaged") / "a")
    damaged = bytearray((folder / name).read_bytes())
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        damaged[position] = value
    (folder / name).write_bytes(damaged)
    try:
        list(RecordingFolderReader().read(folder))
        RecordingFolderReader().raw(folder)
    except ReadError as error:
        assert str(error).startswith("a/session.toml: ")  # noqa: PT017


# writing


def test_nothing_is_overwritten(folder):
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(DjNeuronError, match=r"/a: exists already, expected a folder yet to be made$"):
        write_recording_folder(session(), folder)
    assert sorted(folder.parent.rglob("*")) == before


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(ExportError, match="cannot be written: disk full"):
        write_recording_folder(session(stimulation()), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_written_that_would_not_be_read(tmp_path):
    gaps_s = np.arange(30_000)[:, None] + [0.5, 1.0]
    movie = Movie.from_frames(np.arange(60_000).reshape(-1, 1, 2) % 3 == 0).as_contrast()
    shown = {"frame_edges_s": np.arange(30_001.0), "gaps_s": gaps_s, "frame_rate_hz": 1.0, "onset_s": 0.0}
    with pytest.raises(ExportError, match=r"^session.toml would take \d+ bytes, expected at most 1048576"):
        write_recording_folder(session(stimulation(movie=movie, **shown)), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_readable_by_others(folder, tmp_path):
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_labels_that_differ_are_no_session():
    with pytest.raises(ValueError, match="is called"):
        session(stimulation(1), stimulation(2, spike_trains=(SpikeTrain(1, np.empty(0), "other"),)))


def test_a_label_is_kept_for_a_neuron_in_one_stimulation_only(tmp_path):
    trains = (SpikeTrain(7, np.array([3.0]), "late"),)
    written = session(stimulation(1), replace(stimulation(2), spike_trains=trains))
    got = read_back(written, tmp_path / "a")
    assert_same(got, written)
    assert got.neuron_labels == {1: "unit a", 7: "late", 12: ""}


def test_a_name_of_a_file_may_go_through_a_folder_that_is_not_there(tmp_path):
    folder = write_recording_folder(session(stimulation()), tmp_path / "a")
    toml = folder / "session.toml"
    toml.write_text(toml.read_text().replace("movie_1.npy", "sub/../movie_1.npy", 1))
    (before,) = read_sessions(folder)
    assert before.stimulations[0].movie.shape == (4, 2, 3)
    np.save(folder / "movie_1.npy", np.arange(24).reshape(4, 2, 3) % 2)
    (after,) = read_sessions(folder)
    assert after.source.sha256 != before.source.sha256


def test_a_link_may_stand_for_the_session_file(tmp_path):
    folder = write_recording_folder(session(stimulation()), tmp_path / "a")
    (before,) = read_sessions(folder)
    (folder / "session.toml").rename(tmp_path / "kept_elsewhere.toml")
    (folder / "session.toml").symlink_to(tmp_path / "kept_elsewhere.toml")
    (after,) = read_sessions(folder)
    assert after.source == before.source


def test_spikes_without_an_array_are_remarked(tmp_path):
    (got,) = read_sessions(write_recording_folder(session(stimulation(spike_trains=())), tmp_path / "a"))
    assert got.stimulations[0].spike_trains == ()
    assert got.remarks == ("stimulation 1: spikes_1.npz holds no array: no neurons",)


def test_paths_may_be_text(tmp_path):
    folder = write_recording_folder(session(stimulation()), str(tmp_path / "a"))
    (got,) = read_sessions(str(folder))
    assert outline(str(folder))["subject_name"] == got.subject_name
    (unpacked,) = unpack(str(folder), str(tmp_path / "new" / "b"))
    assert_same(next(read_sessions(str(unpacked))), got)
