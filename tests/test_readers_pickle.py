"""Pickles: what is let in, what is refused, and how ret-1 sessions come out."""

import datetime
import hashlib
import io
import os
import pickle
import pickletools
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dj_neuron.errors import ReadError
from dj_neuron.readers import read_sessions, unfolding
from dj_neuron.readers.outline import outline
from dj_neuron.readers.ret1_pickle import Ret1PickleReader
from dj_neuron.readers.safe_pickle import is_pickle, load
from ret1_files import ret1_session, ret1_stimulation

PROTOCOLS = range(6)
ARRAYS = {
    "C order": np.arange(24.0).reshape(2, 3, 4),
    "Fortran order": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "axes permuted": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "strided": np.arange(24)[::3],
    "big-endian": np.arange(5, dtype=">f4"),
    "bool": np.array([True, False]),
    "int8": np.array([[-1], [1]], np.int8),
    "text": np.array(["a", "\u00e9\u4e2d"]),
    "bytes": np.array([b"a", b"bc"]),
    "zero-dimensional": np.array(2.5),
    "empty": np.empty((0, 1)),
}


def without_frames(data):
    """The same pickle without its optional FRAME opcodes, whose lengths would have to follow edits."""
    for position in reversed([at for op, _, at in pickletools.genops(data) if op.name == "FRAME"]):
        data = data[:position] + data[position + 9 :]
    return data


def as_numpy_1(data):
    """Write the module names of NumPy 2 as NumPy 1 does, with their length prefixes."""
    data = without_frames(data)
    for name in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = name.replace(b"_core", b"core")
        data = data.replace(b"\x8c" + bytes([len(name)]) + name, b"\x8c" + bytes([len(old)]) + old)
        data = data.replace(b"c" + name + b"\n", b"c" + old + b"\n")
    return data


def loaded(folder, data):
    path = folder / "sample.pkl"
    path.write_bytes(data)
    return load(path)


def same(a, b):
    if isinstance(a, np.ndarray | np.generic):
        a, b = (value.astype(value.dtype.newbyteorder("=")) for value in (a, b))
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a == b or a != a)


def written(folder, sessions, protocol=4):
    path = folder / "ret1.pkl"
    path.write_bytes(pickle.dumps(sessions, protocol))
    return path


# what is let in


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numpy_version", [1, 2])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_of_every_protocol_and_numpy(tmp_path, array, protocol, numpy_version):
    data = pickle.dumps([array], protocol)
    if numpy_version == 1:
        data = as_numpy_1(data)
        assert b"numpy.core." in data
        assert b"_core" not in data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert same(pickle.loads(data)[0], array)
    (got,) = loaded(tmp_path, data)
    assert type(got) is np.ndarray
    assert same(got, array)
    assert not got.flags.writeable


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numpy_version", [1, 2])
def test_numpy_scalars(tmp_path, protocol, numpy_version):
    scalars = [np.float64(8.3), np.int32(-7), np.bool_(True), np.str_("\u00e9x"), np.bytes_(b"ab"), np.float32(0.1)]
    scalars += [np.bytes_(b"ab" * 1000), np.str_("ab" * 1000)]
    data = pickle.dumps(scalars, protocol)
    got = loaded(tmp_path, as_numpy_1(data) if numpy_version == 1 else data)
    assert same(got, scalars)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sets_and_bytes(tmp_path, protocol):
    tree = [{1, "a"}, frozenset({2.5}), b"", b"\x00\xff", {1.5: None}]
    assert loaded(tmp_path, pickle.dumps(tree, protocol)) == tree


def test_a_shared_array_stays_shared(tmp_path):
    array = np.arange(3)
    first, second = loaded(tmp_path, pickle.dumps([array, array]))
    assert first is second


def test_a_pickle_of_python_2(tmp_path):
    raw = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    raw += (
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    raw += b"\x89U\x08" + struct.pack("<d", 2.5) + b"tb."
    assert same(loaded(tmp_path, raw), np.array([2.5]))


def test_text_of_python_2_with_an_unknown_escape(tmp_path):
    assert loaded(tmp_path, rb"S'a\u'" + b"\n.") == r"a\u"


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | npst.arrays(
        st.one_of(npst.integer_dtypes(endianness="?"), npst.floating_dtypes(endianness="?", sizes=(32, 64))),
        npst.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.tuples(inner, inner)
        | inner.map(lambda item: [item, item])
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees, protocol=st.sampled_from(PROTOCOLS))
def test_any_plain_tree_as_pickle_loads_it(tmp_path, tree, protocol):
    data = pickle.dumps(tree, protocol)
    assert same(loaded(tmp_path, data), pickle.loads(data))


# memory and damage


def test_peak_memory_is_about_the_files_size(tmp_path):
    path = written(tmp_path, [ret1_session(ret1_stimulation(movie=np.arange(3 * 2 * 200_000.0).reshape(3, 2, -1)))])
    tracemalloc.start()
    try:
        load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * path.stat().st_size


def test_a_session_is_let_go_before_the_next(tmp_path):
    frames = np.random.default_rng(1).integers(0, 2, (3, 2, 50_000)).astype(float)
    sessions = [ret1_session(ret1_stimulation(movie=frames + k, n_frames=50_000), sample_number=k) for k in range(5)]
    path = written(tmp_path, sessions)
    tracemalloc.start()
    try:
        held = [tracemalloc.get_traced_memory()[0] for _ in read_sessions(path)]
    finally:
        tracemalloc.stop()
    assert np.diff(held).max() < -0.9 * frames.nbytes


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_cut_off_at_every_tenth(tmp_path, protocol):
    data = pickle.dumps([ret1_session(ret1_stimulation())], protocol)
    for tenth in range(10):
        cut = data[: len(data) * tenth // 10]
        with pytest.raises(
            ReadError, match=r"^sample\.pkl: cut off or damaged at byte \d+ of \d+, expected a complete"
        ):
            loaded(tmp_path, cut)
    assert loaded(tmp_path, data)


@pytest.mark.parametrize("data", [b"", b"hello, world", b"\x00" * 50, b"\x80\x04.", b"\x80\x04NN.", b"\x80\x04a."])
def test_garbage(tmp_path, data):
    with pytest.raises(ReadError, match=r"^sample\.pkl: cut off or damaged at byte \d+ of \d+"):
        loaded(tmp_path, data)


def test_bytes_after_the_end(tmp_path):
    with pytest.raises(ReadError, match=r"^sample\.pkl: the pickle ends at byte 4 of 7, expected the end there$"):
        loaded(tmp_path, b"\x80\x04N.abc")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), protocol=st.sampled_from(PROTOCOLS))
def test_a_damaged_file_raises_nothing_but_read_errors(tmp_path, data, protocol):
    damaged = bytearray(pickle.dumps([ret1_session(ret1_stimulation())], protocol))
    changes = st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    for position, value in data.draw(changes):
        damaged[position] = value
    path = tmp_path / "damaged.pkl"
    path.write_bytes(damaged)
    try:
        list(Ret1PickleReader().read(path))
        outline(path, "ret1_pickle")
    except ReadError as error:
        assert str(error).startswith("damaged.pkl: ")  # noqa: PT017


def test_a_missing_file(tmp_path):
    with pytest.raises(
        ReadError, match=r"^none\.pkl: cannot be opened: No such file or directory, expected a readable"
    ):
        load(tmp_path / "none.pkl")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("tree", [[], [1], {}, {"a": 1}, datetime.date(2008, 6, 6)], ids=repr)
def test_is_pickle_knows_pickles(tmp_path, tree, protocol, optimised):
    data = pickle.dumps(tree, protocol)
    (tmp_path / "a").write_bytes(pickletools.optimize(data) if optimised else data)
    assert is_pickle(tmp_path / "a")


@pytest.mark.parametrize(
    "data", [b"", b"[1, 2]", b'{"a": 1}', b"hello", b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF", b"\x80\x06"]
)
def test_is_pickle_knows_others(tmp_path, data):
    (tmp_path / "a.pkl").write_bytes(data)
    assert not is_pickle(tmp_path / "a.pkl")


# ret-1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_ret1_file_becomes_sessions(tmp_path, protocol):
    sessions = [
        ret1_session(ret1_stimulation(), ret1_stimulation(spikes=[np.empty((0, 1)), np.array([[3.0]])])),
        ret1_session(sample_number=2),
    ]
    path = written(tmp_path, sessions, protocol)
    full, empty = read_sessions(path)

    assert (full.subject_name, full.session_date, full.sample_number) == ("KO (chx10)", datetime.date(2008, 6, 6), 1)
    assert full.source.file_name == "ret1.pkl"
    assert full.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert full.source.reader == "ret1_pickle"
    first, second = full.stimulations
    assert (first.stimulation_number, second.stimulation_number) == (1, 2)
    assert (first.frame_rate_hz, first.onset_s, first.pixel_size_um) == (59.9815, 1.65657, 8.3)
    assert first.frame_edges_s is None
    assert (first.movie.block_size_px, first.movie.screen_size_px) == ((200, 240), (600, 480))
    assert [(train.neuron_id, train.times_s.tolist()) for train in first.spike_trains] == [(1, [0.5, 1.25]), (2, [])]
    assert [(train.neuron_id, train.times_s.tolist()) for train in second.spike_trains] == [(1, []), (2, [3.0])]
    assert empty.stimulations == ()
    assert empty.sample_number == 2


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("levels", [(0, 1), (-1, 1), (0, 255)])
@pytest.mark.parametrize("dtype", [">f8", "<f8", "u1", "i1"])
def test_orientation_from_file_to_contract(tmp_path, order, levels, dtype):
    if (dtype, levels[0]) == ("u1", -1) or (dtype, levels[1]) == ("i1", 255):
        levels = (0, 1)
    movie = np.full((3, 2, 4), levels[0], dtype, order=order)
    movie[2, 0, 1] = levels[1]  # third column, first row, second frame
    (session,) = read_sessions(written(tmp_path, [ret1_session(ret1_stimulation(movie=movie))]))
    expected = np.full((4, 2, 3), -1.0)
    expected[1, 0, 2] = 1
    assert np.array_equal(session.stimulations[0].movie.frames(), expected)


def test_a_graded_big_endian_movie_is_the_same_movie(tmp_path):
    movie = np.linspace(-1, 1, 24).reshape(3, 2, 4)
    hashes = set()
    for dtype in ("<f8", ">f8"):
        (session,) = read_sessions(written(tmp_path, [ret1_session(ret1_stimulation(movie=movie.astype(dtype)))]))
        assert np.array_equal(session.stimulations[0].movie.frames(dtype=np.float64), movie.transpose(2, 1, 0))
        hashes.add(session.stimulations[0].movie.movie_hash)
    assert len(hashes) == 1


def test_a_movie_that_many_sessions_share_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(unfolding, "_ALWAYS_BYTES", 0)
    frames = np.random.default_rng(1).integers(0, 2, (3, 2, 20_000)).astype(float)
    shown = ret1_stimulation(movie=frames, n_frames=20_000)
    sessions = [ret1_session(shown, shown, sample_number=k) for k in range(30)]
    assert len(list(read_sessions(written(tmp_path, sessions)))) == 30
    assert sum(1 for _ in read_sessions(written(tmp_path, sessions))) == 30  # also if each is let go of
    sessions[7]["stimulations"] = [shown | {"x_block_size": 100, "stim_width": 300}]
    read = list(read_sessions(written(tmp_path, sessions)))
    made = [stimulation.movie for session in read for stimulation in session.stimulations]
    assert [movie.block_size_px for movie in made] == 14 * [(200, 240)] + [(100, 240)] + 44 * [(200, 240)]
    assert len(set(map(id, made))) == 2


def test_spikes_may_be_used_again_but_not_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(unfolding, "_ALWAYS_BYTES", 0)
    for times_s in (np.arange(1000.0), np.arange(1000.0, dtype="f4"), np.empty((0, 1))):
        path = written(tmp_path, [ret1_session(ret1_stimulation(spikes=[times_s] * 5))])
        (session,) = read_sessions(path)
        assert len(session.stimulations[0].spike_trains) == 5
        path = written(tmp_path, [ret1_session(ret1_stimulation(spikes=[times_s] * 50))])
        with pytest.raises(
            ReadError,
            match=(
                r"stimulation 1: spikes of neuron \d\d: up to here the file's \d+ bytes unfold to \d+, "
                rf"expected at most {20 * path.stat().st_size}$"
            ),
        ):
            list(read_sessions(path))


@pytest.mark.parametrize("shape", [(0,), (0, 1), (1, 0), (0, 0), (0, 5)])
def test_empty_spikes_of_any_shape(tmp_path, shape):
    (session,) = read_sessions(written(tmp_path, [ret1_session(ret1_stimulation(spikes=[np.empty(shape)]))]))
    assert session.stimulations[0].spike_trains[0].times_s.shape == (0,)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize("dtype", ["f8", ">f8", "i4"])
def test_spikes_of_either_shape(tmp_path, shape, dtype):
    spikes = [np.array([1, 2, 3], dtype).reshape(shape)]
    (session,) = read_sessions(written(tmp_path, [ret1_session(ret1_stimulation(spikes=spikes))]))
    assert same(session.stimulations[0].spike_trains[0].times_s, np.array([1.0, 2, 3]))


@pytest.mark.parametrize("wrap", [np.float64, np.float32, np.array, lambda number: np.array([[number]])])
def test_numbers_in_any_wrapping(tmp_path, wrap):
    names = ("fps", "n_frames", "pixel_size", "stim_height", "stim_width", "x_block_size", "y_block_size")
    plain = ret1_stimulation()
    (session,) = read_sessions(
        written(tmp_path, [ret1_session(plain | {name: wrap(plain[name]) for name in names}, sample_number=wrap(7))])
    )
    assert session.sample_number == 7
    assert session.stimulations[0].frame_rate_hz == pytest.approx(59.9815, rel=1e-7)
    assert session.stimulations[0].movie.block_size_px == (200, 240)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), protocol=st.sampled_from(PROTOCOLS), numpy_version=st.sampled_from([1, 2]))
def test_any_session_comes_back(tmp_path, data, protocol, numpy_version):
    n_x, n_y, n_frames = (data.draw(st.integers(1, 4)) for _ in range(3))
    movie = data.draw(
        npst.arrays(data.draw(st.sampled_from(["f8", ">f4", "i1"])), (n_x, n_y, n_frames), elements=st.integers(0, 1))
    )
    if movie.min() == movie.max():
        movie = np.concatenate([movie, 1 - movie], axis=2)
    times = st.lists(st.floats(0, 1e4), max_size=5).map(lambda times_s: np.sort(np.array(times_s)).reshape(-1, 1))
    spikes = data.draw(st.lists(times, max_size=4))
    stimulation = ret1_stimulation(
        movie=movie, n_frames=movie.shape[2], spikes=spikes, stim_width=n_x * 7, x_block_size=7, stim_height=n_y * 9,
        y_block_size=9, fps=data.draw(st.floats(1, 1e3)), stimulus_onset=data.draw(st.floats(0, 1e3)),
    )  # fmt: skip
    path = tmp_path / "any.pkl"
    pickled = pickle.dumps([ret1_session(stimulation)], protocol)
    path.write_bytes(as_numpy_1(pickled) if numpy_version == 1 else pickled)
    (session,) = read_sessions(path)
    (got,) = session.stimulations
    assert np.array_equal(got.movie.frames(), movie.transpose(2, 1, 0) * 2 - 1)
    assert (got.frame_rate_hz, got.onset_s) == (stimulation["fps"], stimulation["stimulus_onset"])
    assert [train.times_s.tobytes() for train in got.spike_trains] == [times_s.tobytes() for times_s in spikes]


def test_a_number_beyond_floats(tmp_path):
    path = written(tmp_path, [ret1_session(ret1_stimulation(stimulus_onset=(1 << 1024) - 1))])
    with pytest.raises(ReadError, match=r"stimulus_onset is 17976931348623159077\d+\.\.\., expected a finite number$"):
        list(read_sessions(path))


def test_sessions_before_a_bad_one_are_yielded(tmp_path):
    sessions = read_sessions(
        written(tmp_path, [ret1_session(), ret1_session(ret1_stimulation(fps=0), sample_number=2)])
    )
    assert next(sessions).sample_number == 1
    with pytest.raises(ReadError, match=r"session 2 \(KO \(chx10\), 2008-06-06, sample 2\), stimulation 1: fps is 0"):
        next(sessions)


def test_reading_leaves_no_file_open(tmp_path):
    path = tmp_path / "cut.pkl"
    path.write_bytes(b"\x80\x04\x8e" + io.DEFAULT_BUFFER_SIZE * b"\xff")
    open_before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ReadError):
        load(path)
    assert set(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208
