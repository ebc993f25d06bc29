"""MATLAB files: what is let in, and how CRCNS ret-1 becomes sessions."""

import datetime
import io
import pickle
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.io.matlab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dj_neuron.contracts import Movie
from dj_neuron.errors import ConflictError, ReadError
from dj_neuron.readers import find_reader, read_sessions, safe_mat
from dj_neuron.readers.outline import outline, unpack
from dj_neuron.simulate import ret1_entry, simulate
from dj_neuron.strf import FrameClock, spike_triggered_average
from dj_neuron.white_noise import ret1_movie, ret1_stream
from mat_files import SPIKES, cell, recording, structs, two_recordings, variables, written


def as_mat(session, folder):
    """A session of contracts as a file of ret-1."""
    recordings = [
        recording(
            *(one.movie.screen_size_px + one.movie.block_size_px),
            n_frames=one.movie.n_frames,
            frame_s=1 / one.frame_rate_hz,
            onset=one.onset_s,
            pixelsize=one.pixel_size_um,
        )
        for one in session.stimulations
    ]
    trains = [[train.times_s[:, None] for train in one.spike_trains] for one in session.stimulations]
    content = variables(
        recordings,
        [list(row) for row in zip(*trains, strict=True)],
        date=session.session_date.strftime("%Y%m%d"),
        SmplNo=session.sample_number,
        animal=session.subject_name,
    )
    return written(folder, content, f"{session.session_date:%Y%m%d}_R{session.sample_number}.mat")


def read(path):
    (session,) = read_sessions(path)
    return session


# sessions


def test_a_file_becomes_a_session(tmp_path):
    path = written(tmp_path, two_recordings())
    got = read(path)
    assert str(got) == "KO (pax6), 2008-05-16, sample 1"
    assert got.note == ("a retina; A. Person; recordings 4, 5; begun 2008-05-16 01:28:30, 2008-05-16 01:29:30")
    assert (got.source.file_name, got.source.reader) == ("20080516_R1.mat", "crcns_mat")
    assert len(got.source.sha256) == 64
    first, second = got.stimulations
    assert (first.stimulation_number, second.stimulation_number) == (1, 2)
    assert (first.frame_rate_hz, first.onset_s, first.pixel_size_um) == (1 / (1 / 59.98), 1.25, 8.3)
    assert first.movie.shape == (300, 2, 8)
    assert (first.movie.block_size_px, first.movie.screen_size_px) == ((5, 10), (40, 20))
    assert np.array_equal(first.movie.frames(dtype=np.int8), ret1_movie(300, 2, 8))
    assert np.array_equal(second.movie.frames(dtype=np.int8), ret1_movie(300, 1, 30))
    assert [[train.times_s.tolist() for train in one.spike_trains] for one in got.stimulations] == [
        [[1.5, 2.25], []], [[], [3.0]],
    ]  # fmt: skip
    assert got.neuron_labels == {1: "", 2: ""}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        variables([recording()], [[row[0]] for row in SPIKES]),
        # what programs that drop axes of length one write again
        variables([recording()], [[row[0]] for row in SPIKES], RecNo=4, RecStartTime=np.r_[2008, 1:6])
        | {"spikes": cell([[row[0] for row in SPIKES]]), "stimulus": recording()},
        # and those that turn structs into cells
        variables([recording()], [[row[0]] for row in SPIKES]) | {"stimulus": cell([[recording()]])},
    ],
    ids=["as MATLAB", "squeezed", "cells"],
)
def test_one_recording_keeps_its_axis(tmp_path, content, compressed):
    got = read(written(tmp_path, content, compressed=compressed))
    (one,) = got.stimulations
    assert [train.times_s.tolist() for train in one.spike_trains] == [[1.5, 2.25], []]
    assert got.note.endswith(" 01:28:30") or "2008-01-02 03:04:05" in got.note


@pytest.mark.parametrize(
    ("row", "begun"),
    [
        ([2008, 5, 16, 1, 28, 30.4], "2008-05-16 01:28:30"),
        ([2008, 5, 16, 23, 59, 59.7], "2008-05-17 00:00:00"),
        ([2008, 13, 16, 1, 28, 30], ""),
        ([2008, 5, 16.5, 1, 28, 30], ""),
        ([2008, 5, 16, 1, 28, 61], ""),
        ([2008, 5, 16, 1, 28, -1], ""),
        ([9999, 12, 31, 23, 59, 60], ""),
        ([np.nan] * 6, ""),
        ([np.inf] * 6, ""),
    ],
)
def test_when_a_recording_began_is_a_time_or_left_out(tmp_path, row, begun):
    content = variables([recording()], [[SPIKES[0][0]]], RecStartTime=np.array([row], float))
    got = read(written(tmp_path, content))
    assert got.note == f"a retina; A. Person; recordings 4{f'; begun {begun}' if begun else ''}"
    assert got.remarks == (() if begun else ("datainfo.RecStartTime has rows that are no date and time: left out",))


def test_a_date_that_is_not_that_of_the_file_is_remarked(tmp_path):
    content = variables([recording()], [[SPIKES[0][0]]], date="20080517")
    words = "datainfo.date is 2008-05-17, and the file is called 20080516_R1.mat"
    assert read(written(tmp_path, content)).remarks == (words,)
    assert read(written(tmp_path, content, "mine.mat")).remarks == ()


def test_one_neuron_in_several_recordings(tmp_path):
    content = variables([recording()] * 3, [[np.array([1.0]), np.array([[2.0, 3.0]]), np.empty((1, 0))]])
    assert [one.spike_trains[0].times_s.tolist() for one in read(written(tmp_path, content)).stimulations] == [
        [1], [2, 3], [],
    ]  # fmt: skip


@pytest.mark.parametrize("empty", [np.empty((0, 0)), structs([recording()])[:, :0]])
def test_a_session_without_recordings(tmp_path, empty):
    content = variables([recording()], [], Ncell=3, RecNo=None, RecStartTime=np.empty((0, 6)))
    got = read(written(tmp_path, content | {"stimulus": empty, "spikes": np.empty((3, 0), object)}))
    assert got.stimulations == ()


def test_a_recording_without_neurons(tmp_path):
    content = variables([recording()], [], Ncell=0) | {"spikes": np.empty((0, 1), object)}
    assert [one.spike_trains for one in read(written(tmp_path, content)).stimulations] == [()]


@pytest.mark.parametrize("date", ["20080516", "2008-05-16", 20080516, np.uint32(20080516)])
@pytest.mark.parametrize(("kind", "seed"), [("BinaryWhiteNoise", 10000), ("white noise", np.int16(-10000))])
def test_dates_types_and_seeds_in_any_wrapping(tmp_path, date, kind, seed):
    one = recording(type=kind)
    one["param"]["seed"] = seed
    content = variables([one], [[SPIKES[0][0]]], date=date, description=None, experimenter=None, RecNo=None)
    got = read(written(tmp_path, content))
    assert got.session_date == datetime.date(2008, 5, 16)
    assert got.note == "begun 2008-05-16 01:28:30"


# the same session from the pickle and from the .mat


@pytest.fixture(scope="module")
def sessions():
    """Two simulated sessions of one and two stimulations, whose rates are those of whole frame durations."""
    return [session for session, _ in simulate("small")][:2]


def both(session, folder):
    entry = ret1_entry(session)
    for stimulation in entry["stimulations"]:
        stimulation["fps"] = 1 / (1 / stimulation["fps"])  # what comes out of a file that holds the duration
    path = folder / "ret1.pkl"
    path.write_bytes(pickle.dumps([entry]))
    return path, as_mat(session, folder / "crcns_ret-1" / "Data")


@pytest.mark.parametrize("number", [0, 1])
def test_the_pickle_and_the_mat_say_the_same(tmp_path, sessions, number):
    from_pickle, from_mat = (read(path) for path in both(sessions[number], tmp_path))
    assert str(from_pickle) == str(from_mat)
    for ours, theirs in zip(from_mat.stimulations, from_pickle.stimulations, strict=True):
        assert ours.movie.movie_hash == theirs.movie.movie_hash
        assert (ours.frame_rate_hz, ours.onset_s, ours.pixel_size_um) == (
            theirs.frame_rate_hz, theirs.onset_s, theirs.pixel_size_um,
        )  # fmt: skip
        strfs = []
        for one in (ours, theirs):
            clock = FrameClock.regular(one.frame_rate_hz, one.movie.n_frames, one.onset_s)
            trains = [train.times_s for train in one.spike_trains]
            strfs.append(spike_triggered_average(one.movie, clock, trains, clock.delays_between(-0.1, 0.3)).values)
        assert strfs[0].tobytes() == strfs[1].tobytes()
        assert np.isfinite(strfs[0]).any()


def test_the_pipeline_gives_the_same_strfs_from_both(embedded, tmp_path, sessions):
    paths = both(sessions[1], tmp_path)
    computed = []
    for path in paths:
        assert [report.outcome for report in embedded.ingest(path)] == ["new"]
        embedded.compute(0.05, judge=False)
        computed.append({str(strf.label): strf.values.tobytes() for strf in embedded.strfs()})
        if path != paths[-1]:
            embedded.clear()
    assert computed[0] == computed[1]
    assert len(computed[0]) == 8
    # what is there stays, whichever file it came from; the .mat told more about the session
    assert [report.outcome for report in embedded.ingest(paths[0])] == ["unchanged"]
    assert embedded.experiment.Session().fetch1("reader") == "crcns_mat"
    embedded.clear()
    embedded.ingest(paths[0])
    assert [report.outcome for report in embedded.ingest(paths[1])] == ["described"]
    assert embedded.experiment.Session().fetch1("note").startswith("a retina; A. Person")


def test_a_mat_with_more_recordings_than_the_pickle_is_refused_with_what_differs(embedded, tmp_path, sessions):
    pickled, mat = both(sessions[1], tmp_path)
    entry = pickle.loads(pickled.read_bytes())
    entry[0]["stimulations"] = entry[0]["stimulations"][:1]
    pickled.write_bytes(pickle.dumps(entry))
    embedded.ingest(pickled)
    with pytest.raises(ConflictError, match="Stimulation stimulation_number 2 is only in the file"):
        embedded.ingest(mat)
    assert len(embedded.experiment.Stimulation()) == 1


# the data set's own bits


def bits(n=10_000, wrong=()):
    is_white = ret1_stream(n) > 0
    is_white[list(wrong)] ^= True
    return np.packbits(is_white, bitorder="little").tobytes()


@pytest.mark.parametrize("where", [".", ".."])
def test_the_bits_of_the_data_set_are_compared(tmp_path, monkeypatch, where):
    path = written(tmp_path / "Data", two_recordings())
    monkeypatch.chdir(path.parent)
    before = read(Path(path.name))
    stream_file = path.parent / where / "ran1.bin"
    stream_file.write_bytes(bits())
    assert [one.movie.movie_hash for one in read(Path(path.name)).stimulations] == [
        one.movie.movie_hash for one in before.stimulations
    ]
    stream_file.write_bytes(bits(9001, wrong=[9000]))  # after the 300 x 30 blocks of the longest movie
    read(path)
    for wrong, n in (([8999], 1), ([0, 100], 2)):
        stream_file.write_bytes(bits(wrong=wrong))
        with pytest.raises(ReadError) as caught:
            read(path)
        assert str(caught.value) == (
            f"20080516_R1.mat: ran1.bin differs from the regenerated movie at {n} of 9000 bits, "
            f"first at bit {wrong[0]}, expected the same stream: the file is damaged or of other movies"
        )
    stream_file.write_bytes(bits(8992))
    with pytest.raises(ReadError) as caught:
        read(path)
    assert str(caught.value) == (
        "20080516_R1.mat: ran1.bin holds 8992 bits, expected at least the 9000 of the longest movie"
    )


# files, folders, outlines


def test_a_folder_and_the_whole_data_set(tmp_path):
    data = tmp_path / "crcns_ret-1" / "Data"
    for sample in (10, 2, 1):
        written(data, variables([recording()], [[SPIKES[0][0]]], SmplNo=sample), f"20080516_R{sample}.mat")
    written(data, variables([recording()], [[SPIKES[0][0]]], date="20080415"), "20080415_R1.mat")
    (data.parent / "ran1.bin").write_bytes(bits())
    for path in (data, data.parent):
        assert find_reader(path).name == "crcns_mat"
        assert [(got.session_date.month, got.sample_number) for got in read_sessions(path)] == [
            (4, 1), (5, 1), (5, 2), (5, 10),
        ]  # fmt: skip
    assert list(outline(data.parent)) == ["20080415_R1.mat", *(f"20080516_R{n}.mat" for n in (1, 2, 10))]
    written(data, variables([recording()], [[SPIKES[0][0]]], SmplNo=10), "20080516_R11.mat")
    with pytest.raises(ReadError) as caught:
        list(read_sessions(data))
    assert str(caught.value) == (
        "20080516_R11.mat: KO (pax6), 2008-05-16, sample 10 is also the session of 20080516_R10.mat, expected it once"
    )


def test_the_outline(tmp_path):
    got = outline(written(tmp_path, two_recordings()))
    assert got["spikes"] == [["array(2, 1) float64", "array(0, 0) float64"], ["array(0, 1) float64", 3]]
    assert [one["param"]["x"] for one in got["stimulus"]] == [40, 30]
    assert got["datainfo"] | {"RecNo": 0} == {
        "date": "20080516", "SmplNo": 1, "RecNo": 0, "RecStartTime": got["datainfo"]["RecStartTime"], "Ncell": 2,
        "animal": "KO (pax6)", "description": "a retina", "experimenter": "A. Person",
    }  # fmt: skip


def test_unpacked_and_read_again_it_is_the_same(tmp_path):
    path = written(tmp_path, two_recordings())
    (folder,) = unpack(path, tmp_path / "out")
    got, expected = read(folder), read(path)
    assert (str(got), got.note) == (str(expected), expected.note)
    for ours, theirs in zip(got.stimulations, expected.stimulations, strict=True):
        assert ours.movie.movie_hash == theirs.movie.movie_hash
        assert (ours.frame_rate_hz, ours.onset_s) == (theirs.frame_rate_hz, theirs.onset_s)
        for train, known in zip(ours.spike_trains, theirs.spike_trains, strict=True):
            assert train.times_s.tobytes() == known.times_s.tobytes()


def test_whose_a_file_is(tmp_path):
    named = tmp_path / "20080516_R1.mat"
    named.write_text("a page that asks for a password")
    assert find_reader(named).name == "crcns_mat"
    assert find_reader(written(tmp_path, {"spikes": 1}, "other.mat")).name == "crcns_mat"
    for path in (written(tmp_path, {"a": 1}, "a.mat"), written(tmp_path / "folder", {"spikes": 1}, "b.mat").parent):
        with pytest.raises(ReadError, match="no reader knows this format"):
            find_reader(path)
        with pytest.raises(ReadError, match="expected"):
            list(read_sessions(path, "crcns_mat"))


# what is refused


# MATLAB 5 files

SCIPY_FILES = sorted((Path(scipy.io.matlab.__file__).parent / "tests" / "data").glob("*.mat"))


@pytest.mark.skipif(not SCIPY_FILES, reason="this SciPy comes without the files of its own tests")
def test_files_of_many_matlabs_are_read_as_scipy_reads_them():
    n_read = 0
    for path in SCIPY_FILES:
        try:
            got = safe_mat.load(path)
        except ReadError:
            continue
        expected = scipy.io.loadmat(path, simplify_cells=True)
        assert sorted(got) == sorted(name for name in expected if not name.startswith("__"))
        assert safe_mat.variable_names(path) == list(got)
        for name, value in got.items():
            assert flat(value) == flat(expected[name]), (path.name, name)
        n_read += 1
    assert n_read >= 50


def flat(value):
    """The values in a tree of containers and arrays, in order, whatever holds them."""
    if isinstance(value, dict):
        return [(key, flat(item)) for key, item in value.items()]
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [leaf for item in value for leaf in flat(item)]
    if isinstance(value, str):
        return [value.rstrip()] if value else []
    return [] if value is None else [value]  # a struct without fields


def element(kind, content, order="<"):
    return struct.pack(order + "II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind, dims, *content, name=b"spikes"):
    head = element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack(f"<{len(dims)}i", *dims)) + element(1, name)
    return element(14, head + b"".join(content))


def whole(*parts):
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(parts)


def compressed(content):
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


ONE = element(9, struct.pack("<d", 1.0))
NESTED = array(6, (1, 1), ONE, name=b"")
for _ in range(30):
    NESTED = array(1, (1, 1), NESTED, name=b"")
WHOLE = "expected a whole MATLAB 5 file of numbers, text, structs and cells"
HOSTILE = {
    "cells": (array(1, (2**30, 2)), f"spikes: claims {2**31} cells or fields, more than its bytes can hold, {WHOLE}"),
    "fields": (
        array(2, (2**30, 1), element(5, struct.pack("<i", 1)), element(1, b"ab")),
        f"spikes: claims {2**31} cells or fields, more than its bytes can hold, {WHOLE}",
    ),
    "no field names": (
        array(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"")),
        f"spikes: damaged in the names of a struct, {WHOLE}",
    ),
    "values": (array(6, (2**30, 4), ONE), f"spikes: claims {2**32} values, but has 8 bytes of them, {WHOLE}"),
    "text": (array(4, (1, 2**30), element(4, b"")), f"spikes: claims {2**30} values, but has 0 bytes of them, {WHOLE}"),
    "lines": (array(4, (2**30, 0), element(4, b"")), f"spikes: claims 0 values, but has 0 bytes of them, {WHOLE}"),
    "negative": (array(1, (-1, 2)), f"spikes: damaged in the middle of an array, {WHOLE}"),
    "nested": (array(1, (1, 1), NESTED), f"spikes: nested deeper than 20 cells or structs, {WHOLE}"),
    "object": (array(3, (1, 1)), f"spikes: holds an object, {WHOLE}"),
    "string": (array(17, (1, 1)), f"spikes: holds an object or a string of the newer kind, {WHOLE}"),
    "class": (array(99, (1, 1)), f"spikes: holds an array of unknown class 99, {WHOLE}"),
    "twice": (array(6, (1, 1), ONE) * 2, "holds spikes twice, expected each variable once"),
    "zeros": (
        compressed(element(14, bytes(5 << 20))),
        f"variable 1: larger than 4 MiB with those before it, once unfolded, {WHOLE}",
    ),
    "many": (
        array(1, (1001, 1), element(14, b"") * 1001),
        f"spikes: holds more than 1000 cells and fields with those before it, {WHOLE}",
    ),
}


@pytest.mark.parametrize(("parts", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_claims_are_measured_before_they_are_believed(tmp_path, monkeypatch, parts, sentence):
    monkeypatch.setattr(safe_mat, "MAX_BYTES", 4 << 20)
    monkeypatch.setattr(safe_mat, "MAX_ARRAYS", 1000)
    path = tmp_path / "20080516_R1.mat"
    path.write_bytes(whole(parts))
    tracemalloc.start()
    try:
        with pytest.raises(ReadError) as caught:
            safe_mat.load(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * safe_mat.MAX_BYTES
    finally:
        tracemalloc.stop()
    assert str(caught.value) == f"20080516_R1.mat: {sentence}"


def test_what_the_hostile_files_are_made_of_is_read(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(whole(array(6, (1, 1), ONE), compressed(array(1, (1, 1), array(6, (1, 1), ONE), name=b"a"))))
    assert safe_mat.load(path) == {"spikes": 1.0, "a": [[1.0]]}
    path.write_bytes(whole(array(6, (1, 1), ONE), array(9, (1, 8), element(2, bytes(8)), name=b"")))
    assert safe_mat.load(path) == {"spikes": 1.0}  # what has no name belongs to objects


def test_other_kinds_of_files(tmp_path):
    path = tmp_path / "20080516_R1.mat"
    for content, what in (
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "is a MATLAB 7.3 file (HDF5)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "is a MATLAB 7.3 file (HDF5)"),
        (b"", "is no MATLAB 5 file"),
        (b"<html>", "is no MATLAB 5 file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ReadError) as caught:
            read(path)
        assert str(caught.value) == f"20080516_R1.mat: {what}, expected a MATLAB 5 file, as save -v7 writes it"
    scipy.io.savemat(path, {"a": 1}, format="4")
    with pytest.raises(ReadError, match="is no MATLAB 5 file"):
        read(path)


def bytes_of(content, *, do_compression):
    file = io.BytesIO()
    scipy.io.savemat(file, content, do_compression=do_compression)
    return file.getvalue()


PLAIN, PACKED = (bytes_of(two_recordings(), do_compression=packed) for packed in (False, True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), original=st.sampled_from([PLAIN, PACKED]))
def test_a_damaged_file_raises_nothing_but_read_errors(tmp_path, data, original):
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "20080516_R1.mat"
    path.write_bytes(damaged[: data.draw(st.sampled_from([len(damaged), data.draw(st.integers(0, len(damaged)))]))])
    sentence = ""
    try:
        session = read(path)
    except ReadError as error:
        sentence = str(error)
    if sentence:
        assert sentence.startswith("20080516_R1.mat: ")
        assert "expected" in sentence
        assert "\n" not in sentence
    else:
        assert all(isinstance(one.movie, Movie) for one in session.stimulations)
