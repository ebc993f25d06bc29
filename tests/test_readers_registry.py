"""Which reader reads a file; outlines; files taken apart into folders."""

import datetime
import json
import os
import pickle
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from dj_neuron import readers
from dj_neuron.contracts import Session, Source
from dj_neuron.errors import DjNeuronError, ReadError, UnsafePickleError
from dj_neuron.readers import RawReader, available_readers, find_reader, read_sessions
from dj_neuron.readers import outline as outline_module
from dj_neuron.readers.crcns_mat import CrcnsMatReader
from dj_neuron.readers.outline import outline, unpack
from dj_neuron.readers.recording_folder import RecordingFolderReader, write_recording_folder
from dj_neuron.readers.ret1_pickle import Ret1PickleReader

ALL_READERS = "crcns_mat, nwb, recording_folder, ret1_pickle"


class LabReader:
    name = "lab"

    def accepts(self, path):
        return path.is_file() and path.read_bytes().startswith((b"LAB", b"\x80\x04}"))

    def read(self, path):
        yield Session("lab mouse", datetime.date(2020, 1, 2), 1, source=Source(path.name, "", self.name))


class FailingReader(LabReader):
    def read(self, path):
        yield from super().read(path)
        raise KeyError("rate")


class BrokenReader:
    def __init__(self):
        raise OSError("no licence")


@pytest.fixture
def declare(monkeypatch):
    def declare(**classes):
        known = list(readers.entry_points(group="dj_neuron.readers"))
        for name, found in classes.items():
            known.append(EntryPoint(name, f"{found.__module__}:{found.__qualname__}", "dj_neuron.readers"))
            monkeypatch.setattr(f"{EntryPoint.__module__}.EntryPoint.load", load_with(classes, EntryPoint.load))
        monkeypatch.setattr(readers, "entry_points", lambda group: [one for one in known if one.group == group])

    def load_with(classes, load):
        return lambda entry_point: classes.get(entry_point.name) or load(entry_point)

    return declare


def ret1(folder, *sessions, name="ret1.pkl"):
    path = folder / name
    path.write_bytes(pickle.dumps(list(sessions)))
    return path


def ret1_session(name="KO (chx10)", sample=1, n_stimulations=0):
    movie = np.arange(24).reshape(3, 2, 4) % 5 == 0
    stimulation = {
        "fps": 60.0, "movie": movie, "n_frames": 4, "pixel_size": 8.3, "spikes": [np.array([[0.5]]), np.empty((0, 1))],
        "stim_height": 20, "stim_width": 30, "stimulus_onset": 1.0, "x_block_size": 10, "y_block_size": 10,
    }  # fmt: skip
    return {
        "subject_name": name,
        "sample_number": sample,
        "session_date": "2008-06-06",
        "stimulations": [stimulation] * n_stimulations,
    }


def test_the_declared_readers():
    found = available_readers()
    assert list(found) == ["crcns_mat", "nwb", "recording_folder", "ret1_pickle"]
    assert isinstance(found["crcns_mat"], CrcnsMatReader)
    assert isinstance(found["recording_folder"], RecordingFolderReader)
    assert isinstance(found["ret1_pickle"], Ret1PickleReader)
    assert all(name == reader.name and isinstance(reader, RawReader) for name, reader in found.items())


def test_a_file_is_known_by_its_content(tmp_path):
    assert find_reader(ret1(tmp_path, name="data.txt")).name == "ret1_pickle"
    (tmp_path / "looks.pkl").write_text("a text")
    with pytest.raises(ReadError) as caught:
        find_reader(tmp_path / "looks.pkl")
    assert str(caught.value) == (f"{tmp_path}/looks.pkl: no reader knows this format, expected one of {ALL_READERS}")


def test_a_folder_is_known_by_its_content(tmp_path):
    write_recording_folder(Session("a", datetime.date(2020, 1, 2), 1), tmp_path / "all" / "one")
    (tmp_path / "none").mkdir()
    assert find_reader(tmp_path / "all").name == "recording_folder"
    assert find_reader(tmp_path / "all" / "one").name == "recording_folder"
    with pytest.raises(ReadError, match="no reader knows this format"):
        find_reader(tmp_path / "none")


def test_a_missing_path_is_refused_at_once(tmp_path):
    with pytest.raises(ReadError) as caught:
        read_sessions(tmp_path / "none.pkl")
    assert str(caught.value) == f"{tmp_path}/none.pkl: no such file or folder, expected a recording"


@pytest.mark.parametrize("reader", [None, "crcns_mat", "nwb", "recording_folder", "ret1_pickle"])
@pytest.mark.parametrize("look", [read_sessions, outline])
def test_what_may_have_no_end_is_not_opened(tmp_path, look, reader):
    os.mkfifo(tmp_path / "20080516_R1.mat")
    for path in (Path("/dev/zero"), tmp_path / "20080516_R1.mat"):
        with pytest.raises(ReadError) as caught:
            look(path, reader)
        assert str(caught.value) == f"{path}: is neither a file nor a folder, expected a recording"


def test_an_unknown_reader(tmp_path):
    with pytest.raises(ReadError) as caught:
        read_sessions(ret1(tmp_path), "ret1")
    assert str(caught.value) == (f"{tmp_path}/ret1.pkl: no reader is called 'ret1', expected one of {ALL_READERS}")


def test_a_named_reader_reads_what_it_would_not_accept(tmp_path):
    path = tmp_path / "tuple.pkl"
    path.write_bytes(pickle.dumps((1,), 0))
    with pytest.raises(ReadError, match="no reader knows"):
        find_reader(path)
    with pytest.raises(ReadError, match=r"^tuple\.pkl: holds a tuple, expected a list of at least one session$"):
        list(read_sessions(path, "ret1_pickle"))


def test_an_unreadable_path(tmp_path, monkeypatch):
    def refuse(_self, _path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Ret1PickleReader, "accepts", refuse)
    with pytest.raises(
        ReadError, match=r"ret1\.pkl: cannot be opened: Permission denied, expected a readable recording$"
    ):
        find_reader(ret1(tmp_path))


def test_a_lab_adds_its_own_reader(tmp_path, declare):
    declare(lab=LabReader)
    (tmp_path / "a.lab").write_bytes(b"LAB 1")
    assert [session.subject_name for session in read_sessions(tmp_path / "a.lab")] == ["lab mouse"]
    assert ", ".join(available_readers()) == ALL_READERS.replace("nwb", "lab, nwb")
    assert outline(tmp_path / "a.lab")[0]["session_date"] == "2020-01-02"


def test_what_a_labs_reader_raises_names_file_and_reader(tmp_path, declare):
    declare(lab=FailingReader)
    path = tmp_path / "a.lab"
    path.write_bytes(b"LAB 1")
    sessions = read_sessions(path)
    assert next(sessions).subject_name == "lab mouse"
    for rest in (lambda: next(sessions), lambda: outline(path)):
        with pytest.raises(ReadError) as caught:
            rest()
        assert str(caught.value) == (
            "a.lab: reader 'lab' raised KeyError: 'rate', expected a recording that it can read"
        )


def test_a_fault_of_ours_is_not_one_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("dj_neuron.readers.safe_pickle.load", lambda _path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(read_sessions(ret1(tmp_path, ret1_session())))


def test_two_readers_for_one_file(tmp_path, declare):
    declare(lab=LabReader)
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04}.")
    with pytest.raises(ReadError) as caught:
        read_sessions(path)
    assert str(caught.value) == f"{path}: accepted by lab and ret1_pickle, expected one reader; name the one to use"
    assert next(read_sessions(path, "lab")).subject_name == "lab mouse"


def test_a_reader_that_cannot_be_loaded(tmp_path, declare):
    declare(broken=BrokenReader)
    with pytest.raises(
        ReadError, match=r"^reader 'broken' \(.*:BrokenReader\) cannot be loaded: no licence, expected a"
    ):
        find_reader(ret1(tmp_path))
    assert find_reader(ret1(tmp_path), "ret1_pickle").name == "ret1_pickle"


def test_a_name_declared_twice(declare):
    declare(ret1_pickle=LabReader)
    with pytest.raises(
        ReadError, match=r"^reader 'ret1_pickle' is declared as .* and as .*, expected one declaration$"
    ):
        available_readers()


def test_the_outline_of_a_pickle(tmp_path):
    path = ret1(tmp_path, ret1_session(n_stimulations=1), ret1_session(sample=2))
    got = outline(path)
    assert got == [
        {
            "subject_name": "KO (chx10)",
            "sample_number": 1,
            "session_date": "2008-06-06",
            "stimulations": [
                {
                    "fps": 60.0, "movie": "array(3, 2, 4) bool", "n_frames": 4, "pixel_size": 8.3,
                    "spikes": ["array(1, 1) float64", "array(0, 1) float64"], "stim_height": 20, "stim_width": 30,
                    "stimulus_onset": 1.0, "x_block_size": 10, "y_block_size": 10,
                }
            ],
        },
        {"subject_name": "KO (chx10)", "sample_number": 2, "session_date": "2008-06-06", "stimulations": []},
    ]  # fmt: skip
    assert json.loads(json.dumps(got)) == got


def test_the_outline_of_any_pickle(tmp_path):
    tree = {1: (np.float64(2.5), np.bool_(True), b"abc"), "sets": {3}, 2.5: float("nan"), "none": [None, "\u00e9"]}
    path = tmp_path / "any.pkl"
    path.write_bytes(pickle.dumps(tree))
    got = outline(path)
    assert got == {"1": [2.5, True, "bytes(3)"], "sets": [3], "2.5": "nan", "none": [None, "\u00e9"]}
    assert json.loads(json.dumps(got, allow_nan=False)) == got


def test_the_outline_of_an_attack(tmp_path):
    path = tmp_path / "attack.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    with pytest.raises(UnsafePickleError, match=r"^attack\.pkl: the pickle asks for os\.system, expected only plain"):
        outline(path)


def test_an_outline_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(outline_module, "MAX_NODES", 1000)
    tree = []
    for _ in range(60):
        tree = [tree, tree]
    path = tmp_path / "laughs.pkl"
    path.write_bytes(pickle.dumps(tree))
    with pytest.raises(ReadError) as caught:
        outline(path)
    assert str(caught.value) == "laughs.pkl: holds more than 1000 values, expected fewer for an outline"


def test_the_outline_of_folders_loads_no_array(tmp_path, monkeypatch):
    unpack(ret1(tmp_path, ret1_session(n_stimulations=1), ret1_session(sample=2)), tmp_path / "out")
    folder = tmp_path / "out" / "ko-chx10_2008-06-06_sample-1"
    np.save(folder / "frames.npy", np.arange(5.0))
    text = (folder / "session.toml").read_text(encoding="utf-8")
    text = text.replace("frame_rate_hz = 60.0\nonset_s = 1.0\n", 'frame_times = "frames.npy"\n')
    (folder / "session.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(np, "load", None)
    got = outline(tmp_path / "out")
    assert list(got) == ["ko-chx10_2008-06-06_sample-1", "ko-chx10_2008-06-06_sample-2"]
    assert got["ko-chx10_2008-06-06_sample-1"] == outline(folder)
    (stimulation,) = outline(folder)["stimulations"]
    assert stimulation["movie"] == "array(4, 2, 3) int8"
    assert stimulation["spikes"] == {"neuron_001": "array(1) float64", "neuron_002": "array(0) float64"}
    assert stimulation["frame_times"] == "array(5) float64"
    assert outline(folder)["session_date"] == "2008-06-06"


def test_unpack_writes_one_folder_per_session(tmp_path):
    names = ["KO (chx10)", "ko chx10", "\u00c9t\u00e9", "\u8001\u9f20", "../../etc", "x" * 300]
    path = ret1(tmp_path, *(ret1_session(name, n_stimulations=1) for name in names))
    told = []
    paths = unpack(path, tmp_path / "new" / "out", told.append)
    assert [made.name for made in paths] == [
        "ko-chx10_2008-06-06_sample-1",
        "ko-chx10_2008-06-06_sample-1_2",
        "ete_2008-06-06_sample-1",
        "subject_2008-06-06_sample-1",
        "etc_2008-06-06_sample-1",
        "x" * 60 + "_2008-06-06_sample-1",
    ]
    assert [session.subject_name for session in told] == names
    assert sorted(paths) == sorted((tmp_path / "new" / "out").iterdir())
    assert [made.parent for made in paths] == [tmp_path / "new" / "out"] * 6
    for made, session in zip(paths, read_sessions(path), strict=True):
        (got,) = read_sessions(made)
        assert got.subject_name == session.subject_name
        assert got.stimulations[0].movie.movie_hash == session.stimulations[0].movie.movie_hash


def test_unpack_is_complete_or_nothing(tmp_path):
    bad = ret1_session(sample=2, n_stimulations=1)
    bad["stimulations"] = [bad["stimulations"][0] | {"fps": 0}]
    path = ret1(tmp_path, ret1_session(n_stimulations=1), bad)
    told = []
    with pytest.raises(ReadError, match="fps is 0"):
        unpack(path, tmp_path / "out", told.append)
    assert len(told) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_unpack_fills_an_empty_folder_only(tmp_path):
    path = ret1(tmp_path, ret1_session())
    (tmp_path / "out").mkdir()
    unpack(path, tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    for target in (tmp_path / "out", path):
        with pytest.raises(DjNeuronError) as caught:
            unpack(path, target)
        assert str(caught.value) == f"{target}: exists and is not empty, expected an empty folder or one yet to be made"
    assert sorted(tmp_path.rglob("*")) == before
