"""Pickles that ask for something to be done: refused before anything is, whatever they ask for."""

import copyreg
import datetime
import encodings.raw_unicode_escape
import encodings.unicode_escape  # noqa: F401 - text of protocol 0 needs both, and the import is seen
import os
import pickle
import pickletools
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from dj_neuron.errors import ReadError, UnsafePickleError
from dj_neuron.readers import safe_pickle
from dj_neuron.readers.safe_pickle import load

PROTOCOLS = range(6)
HAPPENED = []
WATCHED = ("compile", "ctypes.", "exec", "import", "os.", "pickle.find_class", "socket.", "subprocess.")
is_watched = False


def watch(event, arguments):
    """Python tells an audit hook of everything that a pickle could want; a hook stays for good."""
    if is_watched and (event.startswith(WATCHED) or (event == "open" and "r" not in str(arguments[1]))):
        HAPPENED.append((event, arguments))


sys.addaudithook(watch)


def loaded(folder, data):
    """Load a pickle, and see that nothing else happens."""
    global is_watched  # noqa: PLW0603 - a hook has no other memory
    path = folder / "sample.pkl"
    path.write_bytes(data)
    HAPPENED.clear()
    is_watched = True
    try:
        return load(path)
    finally:
        is_watched = False
        assert HAPPENED == []


def test_the_watch_sees_what_pickle_does(tmp_path, canary, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "load", lambda path: pickle.loads(path.read_bytes()))
    with pytest.raises(AssertionError, match=r"pickle\.find_class"):
        loaded(tmp_path, pickle.dumps(Calls(os.mkdir, CANARY)))
    assert canary.exists()


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


def framed(content, n_bytes):
    """Opcodes after the head of a frame that claims to be so long."""
    return b"\x80\x04\x95" + struct.pack("<Q", n_bytes) + content


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
    "long doubles": (pickle.dumps(np.zeros(2, np.longdouble), 4), "holds an array of dtype 'f16'"),
    "long doubles with one hash": (
        pickle.dumps({np.longdouble(10) ** 400 * k: None for k in range(1, 50)}),
        "holds an array of dtype 'f16'",
    ),
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
    "a nested tuple as key": (b"\x80\x02}K\x01\x85Ns.", "uses a tuple as a key"),
    "keys with one hash": (
        pickle.dumps({k * (2**61 - 1): None for k in range(1, 50)}),
        "uses a number of 65 bits as a key",
    ),
    "numbers that may all meet": (pickle.dumps(dict.fromkeys(range(20_000))), "too many numbers among the keys"),
    "fractions that may all meet": (pickle.dumps({k + 0.5 for k in range(20_000)}, 1), "too many numbers among the"),
    "a dotted name": (stacked(b"numpy", b"ndarray.__reduce__"), "asks for numpy.ndarray.__reduce__"),
    "a dotted way to the builtins": (stacked(b"numpy", b"core.__builtins__"), "asks for numpy.core.__builtins__"),
    "a name put together": (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93.", "uses the opcode POP"),
    "a name from the memo": (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.", "asks for os.system"),
    "a name of NumPy's text": (
        b"\x80\x04" + pickle.dumps(np.str_("numpy"), 4)[11:-1] + b"\x8c\x07ndarray\x93.",
        "asks for a global without a name",
    ),
    "a name of bytes": (b"\x80\x04C\x02osC\x06system\x93.", "asks for a global without a name"),
    "a name doubled": (b"\x80\x04\x8c\x02os2\x93.", "uses the opcode DUP"),
    "marks taken away": (b"\x80\x04(K\x011.", "uses the opcode POP_MARK"),
    "an array called from the memo": (
        pickle.dumps(np.zeros(2), 2)[:-1] + b"q\x63)h\x63h\x00R.",
        "calls a ndarray with|calls a",
    ),
    "an array before it is built": (
        b"\x80\x02]cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Ra.",
        "holds NumPy's array",
    ),
    "a method of a list": (b"\x80\x02]}\x8c\x06append\x86b.", "sets the state of a list|sets the state of a dict"),
    "a method named by its state": (
        b"\x80\x02cbuiltins\nset\n}(X\x05\x00\x00\x00__newX\x01\x00\x00\x00aub.",
        "asks for|sets the state of",
    ),
    "a read-only buffer": (b"\x80\x05C\x01a\x98.", "uses the opcode READONLY_BUFFER"),
    "a set of lists": (b"\x80\x04\x8f(]\x90.", "uses a list as a key"),
    "a frozen set of a list": (b"\x80\x04(]\x91.", "uses a list as a key"),
    "a megabyte of a number": (
        b"\x80\x02\x8b" + struct.pack("<I", 1 << 20) + b"\x7f" * (1 << 20) + b".",
        "holds a number of 8388607 bits",
    ),
    "a dtype with fields": (
        (
            b"\x80\x02cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R(K\x03U\x01|NU\x01a\x85}U\x01acnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
            b"K\x00\x86sK\x08K\x01K\x00tb."
        ),
        "holds an array of dtype 'V8'",
    ),
    "a frame that ends within an opcode": (framed(b"K\x01K\x02\x86.", 3), "has a frame that ends within an opcode"),
    "a frame within another": (framed(b"\x95" + struct.pack("<Q", 2) + b"K\x01.", 12), "begins a frame within another"),
    "a frame that goes on": (framed(b"K\x01.", 3)[:-1] + b"0N.", "uses the opcode POP"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 100_000 + b".", "nests containers deeper than 100"),
}


@pytest.mark.parametrize(("data", "what"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(tmp_path, data, what):
    with pytest.raises(
        UnsafePickleError, match=rf"^sample\.pkl: the pickle .*{what}.*, expected only plain containers"
    ):
        loaded(tmp_path, data)


def test_the_frames_are_right_but_for_their_lengths(tmp_path):
    assert loaded(tmp_path, framed(b"K\x01K\x02\x86.", 6)) == (1, 2)
    for n_bytes in (7, 1000, 1 << 62):
        with pytest.raises(ReadError, match=r"^sample\.pkl: cut off or damaged at byte"):
            loaded(tmp_path, framed(b"K\x01K\x02\x86.", n_bytes))
    for data in (framed(b"K\x01K\x02\x86", 5) + b".", framed(b"K\x01", 2) + framed(b"K\x02\x86.", 4)[2:]):
        assert loaded(tmp_path, data) == (1, 2)


def test_a_registered_extension_is_not_looked_up(tmp_path, canary):
    copyreg.add_extension(os.name, "mkdir", 240)
    try:
        data = pickle.dumps(Calls(os.mkdir, CANARY), 2)
        assert b"\x82\xf0" in data
        with pytest.raises(UnsafePickleError, match="uses the opcode EXT1"):
            loaded(tmp_path, data)
    finally:
        copyreg.remove_extension(os.name, "mkdir", 240)
    assert not canary.exists()


UNBUILT = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
STATE = (
    b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
    + struct.pack("<d", 2.5)
)


def test_a_place_of_the_memo_that_was_given_away_is_not_filled(tmp_path):
    """The array is remembered at c before it has its state, then its bytes are."""
    array, remembered = loaded(tmp_path, UNBUILT + b"qc" + STATE + b"qctbhc\x86.")
    assert array.tolist() == [2.5]
    assert remembered == struct.pack("<d", 2.5).decode("latin-1")
    array, remembered = loaded(tmp_path, UNBUILT + b"qc" + STATE + b"tbhc\x86.")
    assert remembered is array


def test_steps_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_STEPS", 1000)
    for data in (
        b"(" * 2000,
        b"\x80\x04" + b"]" * 2000,
        b"\x80\x04N" + b"\x94" * 2000,
        b"\x80\x04" + b"\x8c\x01a" * 2000,
    ):
        with pytest.raises(UnsafePickleError, match="the pickle takes more than 1000 steps"):
            loaded(tmp_path, data)


def test_what_goes_into_sets_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_STEPS", 1000)
    items = b"\x80\x04](" + b"".join(b"K" + bytes([k]) for k in range(100)) + b"e\x85q\x00"
    for name in (b"set", b"frozenset"):
        call = b"cbuiltins\n" + name + b"\nh\x00R"
        assert loaded(tmp_path, items + b"(" + 3 * call + b"l\x86.")[1] == 3 * [set(range(100))]
        with pytest.raises(UnsafePickleError, match="the pickle takes more than 1000 steps"):
            loaded(tmp_path, items + b"(" + 30 * call + b"l\x86.")


NUMBERS = list(map(float, range(100)))  # each meets all that are there before it: 4950 meetings
MEETINGS = {
    "a dict": pickle.dumps(dict.fromkeys(NUMBERS), 4),
    "a dict of protocol 0": pickle.dumps(dict.fromkeys(NUMBERS), 0),
    "a dict item by item": b"\x80\x04}" + b"".join(pickle.dumps(k, 2)[2:-1] + b"Ns" for k in NUMBERS) + b".",
    "a dict at once": b"\x80\x04(" + b"".join(pickle.dumps(k, 2)[2:-1] + b"N" for k in NUMBERS) + b"d.",
    "a set": pickle.dumps(set(NUMBERS), 4),
    "a set of protocol 2": pickle.dumps(set(NUMBERS), 2),
    "a frozenset": pickle.dumps(frozenset(NUMBERS), 4),
    "a frozenset of protocol 2": pickle.dumps(frozenset(NUMBERS), 2),
    "NumPy's numbers": pickle.dumps(set(map(np.float32, NUMBERS)), 4),
    "texts beside them": pickle.dumps(dict.fromkeys([*NUMBERS, *map(str, range(100)), b"a"]), 4),
}


@pytest.mark.parametrize("data", MEETINGS.values(), ids=MEETINGS)
def test_meetings_of_keys_are_counted(tmp_path, monkeypatch, data):
    monkeypatch.setattr(safe_pickle, "MAX_MEETINGS", 4950)
    assert len(loaded(tmp_path, data)) in {100, 201}
    monkeypatch.setattr(safe_pickle, "MAX_MEETINGS", 4949)
    with pytest.raises(UnsafePickleError, match="the pickle has too many numbers among the keys of its dicts and sets"):
        loaded(tmp_path, data)


def test_places_in_the_memo_cannot_be_chosen_to_have_one_hash():
    data = b"N" + b"".join(b"p%d\n" % (k * sys.hash_info.modulus) for k in range(1, 100)) + b"."
    machine = safe_pickle._Machine(len(data))
    machine.run(pickletools.genops(data))
    assert len({hash(place) for place in machine.memo}) == 99


def array_pickle(shape, raw=bytes(16), dtype=b"f8", order=b"C", axes=()):
    """An array of protocol 5 with whatever shape, and order of the axes, is claimed for it."""
    state = b"\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return (
        b"\x80\x05cnumpy._core.numeric\n_frombuffer\n(C" + bytes([len(raw)]) + raw
        + b"cnumpy\ndtype\n\x8c" + bytes([len(dtype)]) + dtype + b"\x89\x88\x87R(K\x03" + state
        + b"".join([b"(", *(pickle.dumps(n, 2)[2:-1] for n in shape), b"t"])
        + b"\x8c\x01" + order + b"".join(pickle.dumps(order, 2)[2:-1] for order in axes) + b"tR."
    )  # fmt: skip


def test_the_claims_below_are_all_that_is_wrong(tmp_path):
    np.testing.assert_array_equal(loaded(tmp_path, array_pickle((2,))), np.zeros(2))
    np.testing.assert_array_equal(loaded(tmp_path, array_pickle((2, 1))), np.zeros((2, 1)))
    turned = loaded(tmp_path, array_pickle((2, 1), order=b"K", axes=[(1, 0)]))
    np.testing.assert_array_equal(turned, np.zeros((1, 2)))


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
    "axes of fractions": (array_pickle((2, 1), order=b"K", axes=[(1.0, 0)]), "gives an array an unusual order"),
    "axes of booleans": (array_pickle((2, 1), order=b"K", axes=[(True, False)]), "gives an array an unusual order"),
    "axes of lists": (array_pickle((2, 1), order=b"K", axes=[([], [])]), "gives an array an unusual order"),
    "one axis twice": (array_pickle((2, 1), order=b"K", axes=[(1, 1)]), "gives an array an unusual order"),
    "an axis from the end": (array_pickle((2, 1), order=b"K", axes=[(-1, 0)]), "gives an array an unusual order"),
    "booleans": (array_pickle((2,), b"\x01\x02", b"b1"), "holds booleans that are neither true nor false"),
    "characters": (array_pickle((1,), b"\xff\xff\xff\xff", b"U1"), "holds characters that do not exist"),
}


@pytest.mark.parametrize(("data", "what"), CLAIMS.values(), ids=CLAIMS)
def test_claims_about_arrays_are_checked(tmp_path, data, what):
    with pytest.raises(UnsafePickleError, match=what):
        loaded(tmp_path, data)


def test_the_memo_may_have_holes(tmp_path):
    assert loaded(tmp_path, b"\x80\x02]r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == ([], [])


def over_and_over(opcode, code, call):
    """A megabyte under 50 arrays or scalars of a dtype; at 0 in the memo are the bytes, at 1 dtype, at 2 shape."""
    width = int(code[1:])
    return (
        b"\x80\x05(" + opcode + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x00"
        + b"cnumpy\ndtype\n\x8c" + bytes([len(code)]) + code
        + b"\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x01"
        + b"J" + struct.pack("<i", (1 << 20) // width) + b"\x85q\x02l(" + call * 50 + b"l\x86."
    )  # fmt: skip


STATED = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01h\x02h\x01\x89h\x00tb"
BUFFERED = b"cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01h\x02\x8c\x01CtR"
SCALAR = b"cnumpy.core.multiarray\nscalar\nh\x01h\x00\x86R"
MEGABYTE = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
BOMBS = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"abc",
    "number": b"\x80\x02\x8b" + struct.pack("<I", (1 << 31) - 1) + b"abc",
    "beyond 63 bits": b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"abc",
    "encoded over and over": b"(" + MEGABYTE + b"q\x00" + b"c_codecs\nencode\n(h\x00Vlatin1\ntR" * 50 + b"l.",
    "text under arrays": over_and_over(b"X", b"f8", STATED),
    "text of Python 2 under arrays": over_and_over(b"T", b"f8", STATED),
    "text under arrays of protocol 5": over_and_over(b"X", b"f8", BUFFERED),
    "text in scalars": over_and_over(b"X", b"S1048576", SCALAR),
    "bytes in scalars": over_and_over(b"B", b"S1048576", SCALAR),
    "booleans to be checked": over_and_over(b"B", b"b1", BUFFERED),
    "characters to be checked": over_and_over(b"B", b"U1", BUFFERED).replace(
        struct.pack("<i", 1 << 20) + b"\x85", struct.pack("<i", 1 << 18) + b"\x85"
    ),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_memory_is_bounded_by_the_file(tmp_path, data):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match=r"^bomb\.pkl: (cut off or damaged|the pickle uses the same bytes)"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 4 * len(data)
    finally:
        tracemalloc.stop()
