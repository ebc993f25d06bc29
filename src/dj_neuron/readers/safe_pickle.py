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
"""Opcodes that a pickle may have: some take a byte in the file and a hundred in memory. Ret-1 has a few thousand."""

_NEWEST_PROTOCOL = 5
_FRAME_HEAD_BYTES = 9  # the opcode and the length
_MOST_BITS = 1024  # as far as floats reach
_MOST_KEY_BITS = 64  # of larger numbers any amount can be found with the same hash, which fill a dict in quadratic time
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
        self.memo_keys: list[int] = []


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
    No allocation is larger than the file, whatever sizes it claims, and there are no more than :data:`MAX_STEPS`.
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
        self.memo: dict[int, Any] = {}
        self.copies_left = n_bytes
        self.n_bytes = n_bytes
        self.frame_ends_at: int | None = None

    def run(self, operations: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
        for n_before, (opcode, argument, position) in enumerate(operations):
            if n_before == MAX_STEPS:
                raise RefusalError(f"takes more than {MAX_STEPS} steps")
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
            target.update(_dict(items))
        elif isinstance(target, set) and kind is set:
            target.update(map(_hashable, items))
        else:
            raise RefusalError(f"puts items into {_kind_of(target)}")

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def put(self, key: int | None) -> None:
        value = self.stack[-1]
        place = len(self.memo) if key is None else int(key)
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
                made = array_from_buffer(as_bytes(raw), dtype, shape, order, axes)
            case "scalar", (np.dtype() as dtype, raw):
                made = array_from_bytes(self.copied(raw), dtype, (), "C")[()]
            case "encode", (str(text), "latin1"):
                made = self.copied(text)
            case "bytes", ():
                made = b""
            case "set", (list(items),):
                made = set(map(_hashable, items))
            case "frozenset", (list(items),):
                made = frozenset(map(_hashable, items))
            case _:
                raise RefusalError(f"calls {_kind_of(function)} with unusual arguments")
        self.stack.append(made)

    def copied(self, value: Any) -> bytes:
        raw = as_bytes(value)
        self.copies_left -= len(raw)
        if self.copies_left < 0:
            raise RefusalError("copies more bytes than it holds")
        return raw

    def build(self, _: object) -> None:
        target, state = self.items(2)
        if type(target) is not _Unbuilt:
            raise RefusalError(f"sets the state of {_kind_of(target)}")
        built = built_dtype(target.code, state) if target.kind == "dtype" else built_array(state)
        self.stack.append(built)
        for key in target.memo_keys:
            if self.memo[key] is target:
                self.memo[key] = built


def _hashable(key: Any) -> Any:
    if type(key) is bytearray or not isinstance(key, (*_ATOMS, np.generic)):
        raise RefusalError(f"uses {_kind_of(key)} as a key")
    if type(key) is int and key.bit_length() > _MOST_KEY_BITS:
        raise RefusalError(f"uses a number of {key.bit_length()} bits as a key")
    return key


def _dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_hashable, items[::2]), items[1::2], strict=True))


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
    "DICT": (None, _dict),
    "FROZENSET": (None, lambda items: frozenset(map(_hashable, items))),
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
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
