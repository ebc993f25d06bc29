"""Pickles read without trusting them: the opcodes are interpreted here, nothing is imported or called.

:mod:`pickletools` splits the file into opcodes and never acts on one. A small stack machine
acts on those that build plain containers, numbers, strings and NumPy arrays; the names that
NumPy's pickles use are looked up in a table, and every other name or opcode is refused.
"""

from __future__ import annotations

import io
import os
import pickletools
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError, UnsafePickleError
from dj_neuron.readers.pickled_arrays import (
    RefusalError,
    array_from_buffer,
    array_from_bytes,
    as_bytes,
    built_array,
    built_dtype,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MAX_DEPTH = 100
"""How deep containers may be nested."""

MAX_STEPS = 5_000_000
"""Opcodes that a pickle may have: some take a byte in the file and a hundred in memory. Ret-1 has a few thousand.

What a call puts into a set counts like opcodes, since a list can be called for again and again.
"""

MAX_MEETINGS = 100_000_000
"""How many keys the numbers among a pickle's keys may meet in all, if each meets every key that is there before it.

Python hashes numbers by their values, so that they can be chosen to do so; texts and bytes cannot. A dict or set may
have some 14,000 numbers for keys.
"""

_NEWEST_PROTOCOL = 5
_FRAME_HEAD_BYTES = 9  # the opcode and the length
_MOST_BITS = 1024  # as far as floats reach
_MOST_KEY_BITS = 64  # of larger numbers any amount can be found with the same hash, which are slow to tell apart
_MOST_USES = 2  # of a byte: text is turned into bytes, which go under an array
_START = re.compile(rb"\x80[\x00-\x05]|\([dl]|[\]})]|c[\w.]+\n[\w.]+\n")
_ATOMS = (str, int, float, bool, bytes, bytearray, type(None))

_NAMES = {
    "numpy ndarray": "array type",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",  # how protocols 0 to 2 spell bytes
    **{f"{module} {name}": name for module in ("__builtin__", "builtins") for name in ("bytes", "set", "frozenset")},
    **{f"{core}.multiarray _reconstruct": "array" for core in ("numpy.core", "numpy._core")},  # NumPy 1, NumPy 2
    **{f"{core}.multiarray scalar": "scalar" for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric _frombuffer": "buffer" for core in ("numpy.core", "numpy._core")},
}


class _Name:
    """A name from the table; it stands for itself and cannot be called."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Unbuilt:
    """An array or a dtype whose state has yet to come, and where the memo holds it."""

    __slots__ = ("code", "kind", "memo_keys")

    def __init__(self, kind: str, code: str = "") -> None:
        self.kind = kind
        self.code = code
        self.memo_keys: list[str] = []


class _BoundedFile(io.BufferedReader):
    """A file that allocates nothing for sizes claimed beyond its own end."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.n_bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > io.DEFAULT_BUFFER_SIZE and size > self.n_bytes - self.tell():
            raise ValueError
        return super().read(size)


def is_pickle(path: Path) -> bool:
    """Tell from its first bytes whether a file looks like a pickle."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _START.match(file.read(256)) is not None


def load(path: Path) -> Any:
    """Read a pickle of plain containers, numbers, strings and NumPy arrays.

    Parameters
    ----------
    path : Path
        A pickle of any protocol from 0 to 5, its arrays written by NumPy 1 or 2.

    Returns
    -------
    Any
        What was pickled. Arrays are read-only and share the bytes that were read.

    Raises
    ------
    UnsafePickleError
        If the pickle asks for anything else; nothing has been imported or called then.
    ReadError
        If the file cannot be opened, is cut off, or is no pickle.

    Notes
    -----
    No allocation is larger than what the file holds, whatever sizes it claims, and there are no more than
    :data:`MAX_STEPS`. All arrays together have at most twice as many bytes as the file, also if they share them.
    """
    try:
        file = _BoundedFile(path)
    except OSError as error:
        raise ReadError(f"{path.name}: cannot be opened: {error.strerror}, expected a readable file") from error
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # text of Python 2 with unknown escapes
        try:
            tree = _Machine(file.n_bytes).run(pickletools.genops(file))
            _check_tree(tree, 0, {})
        except RefusalError as refusal:
            raise UnsafePickleError(
                f"{path.name}: the pickle {refusal}, expected only plain containers, numbers, strings and NumPy arrays"
            ) from None
        except (ValueError, IndexError, KeyError) as error:
            raise ReadError(
                f"{path.name}: cut off or damaged at byte {file.tell()} of {file.n_bytes}, expected a complete pickle"
            ) from error
        if file.tell() != file.n_bytes:
            raise ReadError(
                f"{path.name}: the pickle ends at byte {file.tell()} of {file.n_bytes}, expected the end there"
            )
    return tree


class _Machine:
    def __init__(self, n_bytes: int) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under the marks
        self.memo: dict[str, Any] = {}  # the places as texts, since the file chooses the numbers
        self.steps_left = MAX_STEPS
        self.meetings_left = MAX_MEETINGS
        self.uses_left = _MOST_USES * n_bytes
        self.n_bytes = n_bytes
        self.frame_ends_at: int | None = None

    def run(self, operations: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
        for opcode, argument, position in operations:
            self.take_steps(1)
            name = opcode.name
            self.within_frame(name, argument, position or 0)
            if name in _LITERALS:
                if type(argument) is int and argument.bit_length() > _MOST_BITS:
                    raise RefusalError(f"holds a number of {argument.bit_length()} bits")
                self.stack.append(argument)
            elif name in _NEW:
                self.stack.append(_NEW[name]())
            elif name in _GATHER:
                n_items, make = _GATHER[name]
                items = self.items(n_items)
                self.stack.append(make(items))
            elif name in _EXTEND:
                self.extend(*_EXTEND[name])
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in {"FRAME", "STOP"}:
                raise RefusalError(f"uses the opcode {name}")
        (tree,) = self.stack
        return tree

    def take_steps(self, n_steps: int) -> None:
        self.steps_left -= n_steps
        if self.steps_left < 0:
            raise RefusalError(f"takes more than {MAX_STEPS} steps")

    def within_frame(self, name: str, argument: Any, position: int) -> None:
        """Refuse frames that end within an opcode, in another frame or beyond the file."""
        if self.frame_ends_at is not None and position >= self.frame_ends_at:
            if position > self.frame_ends_at:
                raise RefusalError("has a frame that ends within an opcode")
            self.frame_ends_at = None
        if name == "FRAME":
            if self.frame_ends_at is not None:
                raise RefusalError("begins a frame within another")
            self.frame_ends_at = position + _FRAME_HEAD_BYTES + argument
            if self.frame_ends_at > self.n_bytes:
                raise ValueError
        elif name == "STOP" and self.frame_ends_at not in {None, position + 1}:
            raise RefusalError("ends before its frame does")

    def protocol(self, version: int) -> None:
        if version > _NEWEST_PROTOCOL:
            raise RefusalError(f"is of protocol {version}")

    def mark(self, _: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def items(self, n_items: int | None) -> list[Any]:
        if n_items is None:
            items, self.stack = self.stack, self.below.pop()
        else:
            items = [self.stack.pop() for _ in range(n_items)][::-1]
        return items

    def extend(self, n_items: int | None, kind: type) -> None:
        items = self.items(n_items)
        target = self.stack[-1]
        if isinstance(target, list) and kind is list:
            target.extend(items)
        elif isinstance(target, dict) and kind is dict:
            target.update(zip(self.keys(items[::2], len(target)), items[1::2], strict=True))
        elif isinstance(target, set) and kind is set:
            target.update(self.keys(items, len(target)))
        else:
            raise RefusalError(f"puts items into {_kind_of(target)}")

    def keys(self, keys: list[Any], n_there: int = 0) -> list[Any]:
        """Refuse what is no key, and more numbers than could be told from each other if they were chosen badly."""
        for n_before, key in enumerate(keys, n_there):
            if type(key) is bytearray or not isinstance(key, (*_ATOMS, np.generic)):
                raise RefusalError(f"uses {_kind_of(key)} as a key")
            if type(key) is int and key.bit_length() > _MOST_KEY_BITS:
                raise RefusalError(f"uses a number of {key.bit_length()} bits as a key")
            if not isinstance(key, str | bytes):
                self.meetings_left -= n_before
        if self.meetings_left < 0:
            raise RefusalError("has too many numbers among the keys of its dicts and sets")
        return keys

    def new_dict(self, _: object) -> None:
        items = self.items(None)
        self.stack.append(dict(zip(self.keys(items[::2]), items[1::2], strict=True)))

    def new_frozenset(self, _: object) -> None:
        items = self.items(None)
        self.stack.append(frozenset(self.keys(items)))

    def get(self, key: int) -> None:
        self.stack.append(self.memo[str(int(key))])

    def put(self, key: int | None) -> None:
        value = self.stack[-1]
        place = str(len(self.memo) if key is None else int(key))
        if isinstance(value, _Unbuilt):
            value.memo_keys.append(place)
        self.memo[place] = value

    def name(self, name: str) -> None:
        if name not in _NAMES:
            module, _, attribute = name.partition(" ")
            raise RefusalError(f"asks for {ascii(f'{module}.{attribute}')[1:-1][:120]}")
        self.stack.append(_Name(_NAMES[name]))

    def stack_name(self, _: object) -> None:
        module, attribute = self.items(2)
        if not (type(module) is type(attribute) is str):
            raise RefusalError("asks for a global without a name")
        self.name(f"{module} {attribute}")

    def reduce(self, _: object) -> None:
        function, arguments = self.items(2)
        if type(function) is not _Name or type(arguments) is not tuple:
            raise RefusalError(f"calls {_kind_of(function)}")
        match function.kind, arguments:
            case "array", (_Name(kind="array type"), (0,), b"b" | "b"):
                made: Any = _Unbuilt("array")
            case "dtype", (str(code), int(), int()):
                made = _Unbuilt("dtype", code)
            case "buffer", (raw, np.dtype() as dtype, tuple(shape), str(order), *axes):
                made = array_from_buffer(self.used(raw), dtype, shape, order, axes)
            case "scalar", (np.dtype() as dtype, raw):
                made = array_from_bytes(self.used(raw), dtype, (), "C")[()]
            case "encode", (str(text), "latin1"):
                made = self.used(text)
            case "bytes", ():
                made = b""
            case "set", (list(items),):
                self.take_steps(len(items))
                made = set(self.keys(items))
            case "frozenset", (list(items),):
                self.take_steps(len(items))
                made = frozenset(self.keys(items))
            case _:
                raise RefusalError(f"calls {_kind_of(function)} with unusual arguments")
        self.stack.append(made)

    def used(self, value: Any) -> bytes:
        """Give bytes, or text as bytes, and count them: each use may copy or check all of them anew."""
        raw = as_bytes(value)
        self.uses_left -= len(raw)
        if self.uses_left < 0:
            raise RefusalError("uses the same bytes over and over")
        return raw

    def build(self, _: object) -> None:
        target, state = self.items(2)
        if type(target) is not _Unbuilt:
            raise RefusalError(f"sets the state of {_kind_of(target)}")
        built = built_dtype(target.code, state) if target.kind == "dtype" else built_array(state, self.used)
        self.stack.append(built)
        while target.memo_keys:
            key = target.memo_keys.pop()
            if self.memo[key] is target:
                self.memo[key] = built


def _kind_of(value: Any) -> str:
    return f"NumPy's {value.kind}" if isinstance(value, _Name | _Unbuilt) else f"a {type(value).__name__}"


def _check_tree(value: Any, depth: int, heights: dict[int, int]) -> int:
    """Height of a tree made only of what may be let in; shared branches are walked once."""
    if not isinstance(value, list | tuple | dict | set | frozenset):
        if not isinstance(value, (*_ATOMS, np.ndarray, np.generic)):
            raise RefusalError(f"holds {_kind_of(value)}")
        return 0
    if id(value) not in heights and depth < MAX_DEPTH:
        branches = value.values() if isinstance(value, dict) else value
        heights[id(value)] = 1 + max((_check_tree(branch, depth + 1, heights) for branch in branches), default=0)
    if depth + heights.get(id(value), MAX_DEPTH) > MAX_DEPTH:
        raise RefusalError(f"nests containers deeper than {MAX_DEPTH} or inside themselves")
    return heights[id(value)]


_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_NEW: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_GATHER: dict[str, tuple[int | None, Callable[[list[Any]], Any]]] = {  # None: back to the mark
    "LIST": (None, list),
    "TUPLE": (None, tuple),
    "TUPLE1": (1, tuple),
    "TUPLE2": (2, tuple),
    "TUPLE3": (3, tuple),
}
_EXTEND: dict[str, tuple[int | None, type]] = {
    "APPEND": (1, list),
    "APPENDS": (None, list),
    "SETITEM": (2, dict),
    "SETITEMS": (None, dict),
    "ADDITEMS": (None, set),
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.protocol,
    "MARK": _Machine.mark,
    "DICT": _Machine.new_dict,
    "FROZENSET": _Machine.new_frozenset,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
