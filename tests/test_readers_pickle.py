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

from dj_neuron.errors import ReadError, UnsafePickleError
from dj_neuron.readers import read_sessions
from dj_neuron.readers.outline import outline
from dj_neuron.readers.ret1_pickle import Ret1PickleReader
from dj_neuron.readers.safe_pickle import is_pickle, load

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


def ret1_stimulation(**changes):
    movie = np.zeros((3, 2, 4))
    movie[2, 0, 1] = 1
    return {
        "fps": 59.9815,
        "movie": movie,
        "n_frames": 4,
        "pixel_size": 8.3,
        "spikes": [np.array([[0.5], [1.25]]), np.empty((0, 1))],
        "stim_height": 480,
        "stim_width": 640,
        "stimulus_onset": 1.65657,
        "x_block_size": 200,
        "y_block_size": 240,
    } | changes


def ret1_session(*stimulations, **changes):
    return {
        "subject_name": "KO (chx10)",
        "sample_number": 1,
        "session_date": "2008-06-06",
        "stimulations": list(stimulations),
    } | changes


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
    data = pickle.dumps(scalars, protocol)
    got = loaded(tmp_path, as_numpy_1(data) if numpy_version == 1 else data)
    assert same(got, scalars)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sets_and_bytes(tmp_path, protocol):
    tree = [{1, "a"}, frozenset({2.5}), b"", b"\x00\xff", {(1, "a"): None}]
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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees, protocol=st.sampled_from(PROTOCOLS))
def test_any_plain_tree_as_pickle_loads_it(tmp_path, tree, protocol):
    data = pickle.dumps(tree, protocol)
    assert same(loaded(tmp_path, data), pickle.loads(data))


# what is refused


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call

    def __repr__(self):
        return "Calls()"  # the same in every process: it names tests


class Matrix(np.ndarray):
    pass


def stacked(module, name):
    """Protocol 4's way of asking for a global."""
    return b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name + b"\x93."


CANARY = "canary"
CALLS = {
    "os.system": (Calls(os.system, f"touch {CANARY}"), f"asks for {os.name}.system"),
    "eval": (Calls(eval, f"open({CANARY!r}, 'w').close()"), "asks for %s.eval"),
    "exec": (Calls(exec, f"open({CANARY!r}, 'w').close()"), "asks for %s.exec"),
    "open": (Calls(open, CANARY, "w"), r"asks for _?io\.open"),
    "a nested call": ([{"spikes": (Calls(os.mkdir, CANARY),)}], f"asks for {os.name}.mkdir"),
    "numpy.save": (Calls(np.savetxt, CANARY, [1]), "asks for numpy.savetxt"),
}


@pytest.fixture
def canary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / CANARY


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("attack", "what"), CALLS.values(), ids=CALLS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_calls_do_not_happen(tmp_path, canary, attack, what, protocol):
    data = pickle.dumps(attack, protocol)
    builtins = "__builtin__" if protocol < 3 else "builtins"
    with pytest.raises(UnsafePickleError, match=what.replace("%s", builtins)):
        loaded(tmp_path, data)
    assert not canary.exists()
    pickle.loads(data)
    assert canary.exists()


REFUSED = {
    "getattr": (pickle.dumps(Calls(getattr, "a", "upper")), "asks for builtins.getattr"),
    "a method": (pickle.dumps(Calls(object.__reduce_ex__, 1), 0), "asks for __builtin__.getattr"),
    "an object of protocol 0": (
        b"ccopy_reg\n_reconstructor\n(c__main__\nA\nc__builtin__\nobject\nNtR.",
        "asks for copy_reg._reconstructor",
    ),
    "nested name": (stacked(b"numpy._core", b"multiarray.scalar"), "asks for numpy._core.multiarray.scalar"),
    "name with spaces": (stacked(b"numpy", b"ndarray __class__"), "asks for numpy.ndarray __class__"),
    "split name": (stacked(b"numpy._core.multiarray scalar", b""), "asks for numpy._core.multiarray.scalar "),
    "numpy.load": (stacked(b"numpy", b"load"), "asks for numpy.load"),
    "numpy.lib": (stacked(b"numpy.lib.npyio", b"NpzFile"), "asks for numpy.lib.npyio.NpzFile"),
    "fromfile": (b"cnumpy.core.multiarray\nfromfile\n.", "asks for numpy.core.multiarray.fromfile"),
    "terminal codes": (stacked(b"\x1b[2J", b"x"), r"asks for \\x1b\[2J.x"),
    "name of a number": (b"\x80\x04K\x01K\x02\x93.", "asks for a global without a name"),
    "persistent id": (b"Pcanary\n.", "uses the opcode PERSID"),
    "binary persistent id": (b"\x80\x02K\x01Q.", "uses the opcode BINPERSID"),
    "extension 1": (b"\x80\x02\x82\x01.", "uses the opcode EXT1"),
    "extension 2": (b"\x80\x02\x83\x01\x00.", "uses the opcode EXT2"),
    "extension 4": (b"\x80\x02\x84\x01\x00\x00\x00.", "uses the opcode EXT4"),
    "instance": (b"(ios\nsystem\n.", "uses the opcode INST"),
    "object": (b"(cnumpy\nndarray\no.", "uses the opcode OBJ"),
    "new object": (b"\x80\x02cnumpy\nndarray\n)\x81.", "uses the opcode NEWOBJ"),
    "new object with keywords": (b"\x80\x04cnumpy\nndarray\n)}\x92.", "uses the opcode NEWOBJ_EX"),
    "out-of-band buffer": (b"\x80\x05\x97.", "uses the opcode NEXT_BUFFER"),
    "protocol 6": (b"\x80\x06N.", "is of protocol 6"),
    "complex": (pickle.dumps(1j), "asks for builtins.complex"),
    "date": (pickle.dumps(datetime.date(2008, 6, 6)), "asks for datetime.date"),
    "object array": (pickle.dumps(np.array([[1], None], object), 4), "holds an array of dtype 'O8'"),
    "record array": (pickle.dumps(np.zeros(2, "i4,f8"), 4), "holds an array of dtype 'V12'"),
    "complex array": (pickle.dumps(np.zeros(2, complex), 4), "holds an array of dtype 'c16'"),
    "dates": (pickle.dumps(np.zeros(2, "M8[s]"), 4), "holds an array of dtype 'M8'"),
    "subclassed array": (pickle.dumps(np.zeros(2).view(np.recarray), 4), r"asks for numpy(\.rec)?.recarray"),
    "masked array": (pickle.dumps(np.ma.zeros(2), 4), "asks for numpy.ma.core._mareconstruct"),
    "no such dtype": (pickle.dumps(np.zeros(2), 2).replace(b"f8", b"f7"), "holds an array of dtype 'f7'"),
    "an array type": (b"cnumpy\nndarray\n.", "holds NumPy's array type"),
    "a dtype": (pickle.dumps([np.dtype("f8")]), "holds a Float64DType"),
    "an array without content": (
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
        "holds NumPy's array",
    ),
    "other array type": (
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "calls NumPy's array with unusual",
    ),
    "encode": (b"c_codecs\nencode\n(V!\nVrot13\ntR.", "calls NumPy's encode with unusual arguments"),
    "calling an array": (pickle.dumps(np.zeros(2), 2)[:-1] + b")R.", "calls a ndarray"),
    "state of a list": (b"\x80\x02]}b.", "sets the state of a list"),
    "state of a dict": (b"\x80\x02}}b.", "sets the state of a dict"),
    "state of a built array": (pickle.dumps(np.zeros(2), 2)[:-1] + b"}b.", "sets the state of a ndarray"),
    "state of a name": (b"cnumpy\nndarray\n}b.", "sets the state of NumPy's array type"),
    "dict state of an array": (
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(db.",
        "unusual state",
    ),
    "appending to an array": (pickle.dumps(np.zeros(2), 2)[:-1] + b"Na.", "puts items into a ndarray"),
    "items of a list": (b"\x80\x02]NNs.", "puts items into a list"),
    "a list as key": (b"\x80\x02}]Ns.", "uses a list as a key"),
    "a nested key": (b"\x80\x02}N\x85\x85Ns.", "uses a tuple as a key"),
    "a long number": (pickle.dumps(1 << 1024), "holds a number of 1025 bits"),
    "itself": (b"\x80\x02]q\x00h\x00a.", "nests containers deeper than 100 or inside themselves"),
    "deep": (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nests containers deeper than 100"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 100_000 + b".", "nests containers deeper than 100"),
}


@pytest.mark.parametrize(("data", "what"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(tmp_path, data, what):
    with pytest.raises(
        UnsafePickleError, match=rf"^sample\.pkl: the pickle .*{what}.*, expected only plain containers"
    ):
        loaded(tmp_path, data)


def array_pickle(shape, raw=bytes(16), dtype=b"f8", order=b"C"):
    """An array of protocol 5 with whatever shape is claimed for it."""
    state = b"\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return (
        b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(C" + bytes([len(raw)]) + raw
        + b"cnumpy\ndtype\n\x8c" + bytes([len(dtype)]) + dtype + b"\x89\x88\x87R(K\x03" + state
        + b"".join([b"(", *(pickle.dumps(n, 2)[2:-1] for n in shape), b"t"])
        + b"\x8c\x01" + order + b"tR."
    )  # fmt: skip


def test_the_claims_below_are_all_that_is_wrong(tmp_path):
    assert same(loaded(tmp_path, array_pickle((2,))), np.zeros(2))
    assert same(loaded(tmp_path, array_pickle((2, 1))), np.zeros((2, 1)))


CLAIMS = {
    "too many": (array_pickle((3,)), "a shape that does not fit its bytes"),
    "too few": (array_pickle((1,)), "a shape that does not fit its bytes"),
    "a billion squared": (array_pickle((10**9, 10**9)), "a shape that does not fit its bytes"),
    "negative": (array_pickle((-2, -1)), "a shape that is not made of counts"),
    "unknown length": (array_pickle((-1,)), "a shape that is not made of counts"),
    "fraction": (array_pickle((2.0,)), "a shape that is not made of counts"),
    "true": (array_pickle((2, True)), "a shape that is not made of counts"),
    "many axes": (array_pickle((2,) + (1,) * 64), "a shape that is not made of counts"),
    "beyond NumPy": (array_pickle((0, 10**30), b""), "a shape beyond what NumPy holds"),
    "order": (array_pickle((2,), order=b"A"), "gives an array an unusual order"),
    "booleans": (array_pickle((2,), b"\x01\x02", b"b1"), "holds booleans that are neither true nor false"),
    "characters": (array_pickle((1,), b"\xff\xff\xff\xff", b"U1"), "holds characters that do not exist"),
}


@pytest.mark.parametrize(("data", "what"), CLAIMS.values(), ids=CLAIMS)
def test_claims_about_arrays_are_checked(tmp_path, data, what):
    with pytest.raises(UnsafePickleError, match=what):
        loaded(tmp_path, data)


def test_the_memo_may_have_holes(tmp_path):
    assert loaded(tmp_path, b"\x80\x02]r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == ([], [])


MEGABYTE = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
BOMBS = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"abc",
    "number": b"\x80\x02\x8b" + struct.pack("<I", (1 << 31) - 1) + b"abc",
    "beyond 63 bits": b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"abc",
    "encoded over and over": b"(" + MEGABYTE + b"q\x00" + b"c_codecs\nencode\n(h\x00Vlatin1\ntR" * 50 + b"l.",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_memory_is_bounded_by_the_file(tmp_path, data):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match=r"^bomb\.pkl: (cut off or damaged|the pickle copies more bytes)"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 4 * len(data)
    finally:
        tracemalloc.stop()


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


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
@pytest.mark.parametrize("tree", [[], [1], {}, {"a": 1}, Calls(os.getcwd)], ids=repr)
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
    assert (first.movie.block_size_px, first.movie.screen_size_px) == ((200, 240), (640, 480))
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


WHO = "ret1.pkl: session 1 (KO (chx10), 2008-06-06, sample 1)"
SESSION_KEYS = "subject_name, sample_number, session_date, stimulations"
STIMULATION_KEYS = (
    "fps, movie, n_frames, pixel_size, spikes, stim_height, stim_width, stimulus_onset, x_block_size, y_block_size"
)


def without(record, key):
    return {name: value for name, value in record.items() if name != key}


def stimulation_case(sentence, **changes):
    return [ret1_session(ret1_stimulation(**changes))], f"{WHO}, stimulation 1: {sentence}"


BAD = {
    "a dict": ({}, "ret1.pkl: holds a dict, expected a list of sessions"),
    "an array": (np.zeros(0), "ret1.pkl: holds a ndarray, expected a list of sessions"),
    "no sessions": ([], "ret1.pkl: holds an empty list, expected a list of sessions"),
    "a number for a session": ([3], f"ret1.pkl: session 1 is 3, expected a dict with {SESSION_KEYS}"),
    "missing key": (
        [without(ret1_session(), "session_date")],
        f"ret1.pkl: session 1: 'session_date' is missing, expected the keys {SESSION_KEYS}",
    ),
    "unexpected key": (
        [ret1_session(), without(ret1_session(sampel_number=3), "sample_number")],
        "ret1.pkl: session 2: 'sample_number' is missing, 'sampel_number' is unexpected, expected the keys "
        + SESSION_KEYS,
    ),
    "no name": ([ret1_session(subject_name=" ")], "ret1.pkl: session 1: subject_name is ' ', expected printable text"),
    "name of bytes": (
        [ret1_session(subject_name=b"KO")],
        "ret1.pkl: session 1: subject_name is b'KO', expected printable text",
    ),
    "surrogate": (
        [ret1_session(subject_name="\ud800")],
        r"ret1.pkl: session 1: subject_name is '\ud800', expected printable text",
    ),
    "date": (
        [ret1_session(session_date="6.6.2008")],
        "ret1.pkl: session 1: session_date is '6.6.2008', expected a date like '2008-06-06'",
    ),
    "week": (
        [ret1_session(session_date="2008-W23-5")],
        "ret1.pkl: session 1: session_date is '2008-W23-5', expected a date like '2008-06-06'",
    ),
    "sample": (
        [ret1_session(sample_number=1.5)],
        "ret1.pkl: session 1: sample_number is 1.5, expected a whole number from 0",
    ),
    "sample in words": (
        [ret1_session(sample_number="one")],
        "ret1.pkl: session 1: sample_number is 'one', expected a finite number",
    ),
    "twins": (
        [ret1_session(), ret1_session(sample_number=2), ret1_session(ret1_stimulation())],
        "ret1.pkl: sessions 1 and 3 are both KO (chx10), 2008-06-06, sample 1, expected each session once",
    ),
    "no list": ([ret1_session(stimulations={})], f"{WHO}: stimulations are a dict, expected a list"),
    "no stimulation": (
        [ret1_session(ret1_stimulation(), None)],
        f"{WHO}, stimulation 2 is None, expected a dict with {STIMULATION_KEYS}",
    ),
    "neurons lost": (
        [ret1_session(ret1_stimulation(), ret1_stimulation(spikes=[]))],
        f"{WHO}, stimulation 2: spikes of 0 neurons, expected 2 as in stimulation 1",
    ),
    "no fps": (
        [ret1_session(without(ret1_stimulation(), "fps"))],
        f"{WHO}, stimulation 1: 'fps' is missing, expected the keys {STIMULATION_KEYS}",
    ),
    "frames": stimulation_case("n_frames is 5, but the movie has 4 frames", n_frames=5),
    "fps": stimulation_case("fps is 0, expected a positive number", fps=0),
    "true fps": stimulation_case("fps is True, expected a finite number", fps=True),
    "fps of numbers": stimulation_case("fps is an array (2,) of float64, expected a finite number", fps=np.zeros(2)),
    "onset": stimulation_case("stimulus_onset is nan, expected a finite number", stimulus_onset=np.nan),
    "endless": stimulation_case("stimulus_onset is inf, expected a finite number", stimulus_onset=np.inf),
    "pixel": stimulation_case("pixel_size is -8.3, expected a positive number", pixel_size=-8.3),
    "block": stimulation_case("x_block_size is 0, expected a whole number from 1", x_block_size=0),
    "no screen": stimulation_case("stim_width is 0, expected a whole number from 1", stim_width=0, stim_height=0),
    "blocks beyond the screen": stimulation_case(
        "3 x 2 blocks of (10, 240) screen pixels cover (30, 480), but the screen is (640, 480) (width, height)",
        x_block_size=10,
    ),
    "flat movie": stimulation_case(
        "movie is an array (3, 2) of float64, expected an array (x blocks, y blocks, frames)", movie=np.zeros((3, 2))
    ),
    "listed movie": stimulation_case("movie is a list, expected an array (x blocks, y blocks, frames)", movie=[[[0]]]),
    "text movie": stimulation_case(
        "frames are <U1, expected real numbers or booleans", movie=np.full((3, 2, 4), "a", "<U1")
    ),
    "blank movie": stimulation_case(
        "every block of the movie is 0, expected at least two levels", movie=np.zeros((3, 2, 4))
    ),
    "grey movie": stimulation_case(
        "a graded movie has values from 0 to 23, expected contrast from -1 to 1, or the values of black and white",
        movie=np.arange(24.0).reshape(3, 2, 4),
    ),
    "holes in the movie": stimulation_case(
        "frame 0 is not finite at row 0, column 0", movie=np.full((3, 2, 4), np.nan)
    ),
    "spikes in an array": stimulation_case("spikes are a ndarray, expected a list of arrays", spikes=np.zeros((2, 2))),
    "spikes in a list": stimulation_case(
        "spikes of neuron 1 are a list, expected an array (n, 1) of seconds", spikes=[[0.5]]
    ),
    "spikes in a row": stimulation_case(
        "spikes of neuron 2 are an array (1, 3) of float64, expected an array (n, 1) of seconds",
        spikes=[np.zeros(0), np.zeros((1, 3))],
    ),
    "spikes in words": stimulation_case(
        "spikes of neuron 1 are an array (1,) of <U1, expected an array (n, 1) of seconds", spikes=[np.array(["a"])]
    ),
    "spikes backwards": stimulation_case(
        "neuron 1: spike 1 comes before the one ahead of it, expected ascending times", spikes=[np.array([2.0, 1.0])]
    ),
    "negative spikes": stimulation_case(
        "neuron 1: spike 0 is at -1 s, expected seconds from the start of the recording", spikes=[np.array([-1.0])]
    ),
}


@pytest.mark.parametrize(("sessions", "sentence"), BAD.values(), ids=BAD)
def test_bad_input(tmp_path, sessions, sentence):
    with pytest.raises(ReadError) as caught:
        list(read_sessions(written(tmp_path, sessions)))
    assert str(caught.value) == sentence


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
