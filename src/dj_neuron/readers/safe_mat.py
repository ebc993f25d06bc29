"""MATLAB 5 files, checked before SciPy reads them.

SciPy runs nothing that is in a file, but it believes what a file claims: a few bytes that announce 10^10 cells make it
ask for the memory, compressed zeros unfold without end, and nested cells recurse. So a file is unfolded up to a
limit and every element in it is measured. SciPy then reads the very bytes that were measured.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 28
"""How large a file may be, unfolded: 256 MiB."""

MAX_ARRAYS = 1_000_000
"""How many cells and fields a file may hold."""

_MAX_DEPTH = 20
_HEADER_BYTES = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NAME = re.compile(r"[A-Za-z]\w{0,62}", re.ASCII)
_LOOK_BYTES = 512  # of a variable, where its name is looked for

_MATRIX, _COMPRESSED = 14, 15
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_TEXT = {1, 2, 3, 4, 16, 17, 18}  # SciPy looks others up beyond the end of its table
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)
_REFUSED = {3: "an object", 5: "a sparse matrix", 16: "a function", 17: "an object or a string of the newer kind"}


class _DamagedError(Exception):
    """An element is not what the format says."""


def is_mat(path: Path) -> bool:
    """Tell whether a file begins as MATLAB 5 files do."""
    with path.open("rb") as file:
        return _order(file.read(_HEADER_BYTES)) is not None


def variable_names(path: Path) -> list[str]:
    """Find the names of a MATLAB 5 file's variables from a cheap look, up to where the file is damaged."""
    names = []
    with path.open("rb") as file:
        order = _order(file.read(_HEADER_BYTES))
        while order is not None and len(tag := file.read(8)) == 8:
            kind, n_bytes = struct.unpack(order + "II", tag)
            next_at = file.tell() + n_bytes
            begin = file.read(min(n_bytes, _LOOK_BYTES))
            try:
                if kind == _COMPRESSED:
                    begin = zlib.decompressobj().decompress(begin, _LOOK_BYTES)[8:]
                names.append(_Elements(begin, order).name())
            except (_DamagedError, zlib.error):
                break
            file.seek(next_at)
    return names


def load(path: Path) -> dict[str, Any]:
    """Load a MATLAB 5 file's variables as plain containers.

    Returns
    -------
    dict
        By name: a struct as a dict, an array of structs as a list of dicts, a cell array as a list of rows,
        text as str, a single number as itself, other numbers as an array of at least two dimensions.

    Raises
    ------
    ReadError
        If the file is of another kind, damaged, larger than :data:`MAX_BYTES`, or holds anything but numbers, text,
        structs and cells.
    """
    if not path.is_file():
        raise ReadError(f"{path.name}: is no file, expected a MATLAB 5 file, as save -v7 writes it")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = _order(header)
        if order is None:
            raise ReadError(f"{path.name}: {_kind_of(header, file)}, expected a MATLAB 5 file, as save -v7 writes it")
        content = _checked(file, order, path.name)
    # the offset in bytes 116 to 123 leads to what only objects need
    try:
        from scipy.io import loadmat  # noqa: PLC0415 - it takes as long to import as all other readers

        file_checked = io.BytesIO(header[:116] + bytes(8) + header[124:] + content)
        loaded = loadmat(file_checked)  # type: ignore[arg-type]  # its types know paths only
        return {name: _plain(value) for name, value in loaded.items() if not name.startswith("__")}
    except Exception as error:  # what SciPy raises on damaged values is not documented
        raise ReadError(f"{path.name}: damaged ({error}), expected a whole MATLAB 5 file") from error


def _order(header: bytes) -> str | None:
    """Give the byte order of a MATLAB 5 file from its header, None for other files."""
    order = _ORDERS.get(header[126:128])
    return order if order and struct.unpack(order + "H", header[124:126])[0] == 0x0100 else None


def _kind_of(header: bytes, file: IO[bytes]) -> str:
    file.seek(512)
    if header.startswith((b"MATLAB 7.3", _HDF5)) or file.read(8) == _HDF5:
        return "is a MATLAB 7.3 file (HDF5)"
    return "is no MATLAB 5 file"


def _checked(file: IO[bytes], order: str, place: str) -> bytes:
    """Unfold the variables of a file and measure them; give the bytes that were measured."""
    parts: list[bytes] = []
    names: set[str] = set()
    n_bytes = n_arrays = 0
    while tag := file.read(8):
        where = f"{place}: variable {len(parts) + 1}"
        try:
            part = _variable(file, tag, order, MAX_BYTES - n_bytes)
            n_bytes += len(part)
            elements = _Elements(part, order, MAX_ARRAYS - n_arrays)
            name = elements.variable_name()
            if name:
                where = f"{place}: {name}"
            elements.measure()
        except (_DamagedError, zlib.error) as error:
            raise ReadError(
                f"{where}: {error}, expected a whole MATLAB 5 file of numbers, text, structs and cells"
            ) from error
        n_arrays += elements.n_arrays
        if name in names:
            raise ReadError(f"{place}: holds {name} twice, expected each variable once")
        if name:  # one without a name belongs to objects
            names.add(name)
            parts.append(part)
    return b"".join(parts)


def _variable(file: IO[bytes], tag: bytes, order: str, most: int) -> bytes:
    """Read one variable, its tag included."""
    kind, n_bytes = struct.unpack(order + "II", tag) if len(tag) == 8 else (0, 0)
    if kind not in {_MATRIX, _COMPRESSED}:
        raise _DamagedError("damaged at its beginning")
    if n_bytes > most:
        raise _DamagedError(f"larger than {MAX_BYTES >> 20} MiB with those before it")
    content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise _DamagedError(f"ends after {len(content)} of {n_bytes} bytes")
    if kind == _MATRIX:
        return tag + content
    unfolding = zlib.decompressobj()
    unfolded = unfolding.decompress(content, most + 1)
    if len(unfolded) > most:
        raise _DamagedError(f"larger than {MAX_BYTES >> 20} MiB with those before it, once unfolded")
    if not unfolding.eof:
        raise _DamagedError("ends before its compressed data do")
    return unfolded


class _Elements:
    """The elements of one variable, measured but not read."""

    def __init__(self, data: bytes, order: str, most_arrays: int = 0) -> None:
        self._data, self._order, self._most_arrays = data, order, most_arrays
        self.n_arrays = 0

    def name(self, at: int = 0) -> str:
        """Give the name of the array whose flags are at `at`."""
        at = self._tag(self._tag(at)[3])[3]
        _, begin, n_bytes, _ = self._tag(at)
        return self._data[begin : begin + n_bytes].decode("ascii", "replace")

    def variable_name(self) -> str:
        """Give the name of the whole, which is empty if it belongs to objects."""
        name = self.name(8)
        if name and not _NAME.fullmatch(name):
            raise _DamagedError("damaged in its name")
        return name

    def measure(self) -> None:
        """Check that the array fills the data and claims no more than that."""
        kind, begin, n_bytes, _ = self._tag(0)
        if kind != _MATRIX or begin + n_bytes != len(self._data):
            raise _DamagedError("damaged at its beginning")
        self._array(begin, begin + n_bytes, 0)

    def _tag(self, at: int) -> tuple[int, int, int, int]:
        """Give an element's kind, where its content begins, its bytes, and where the next element is."""
        if at + 8 > len(self._data):
            raise _DamagedError("ends in the middle of an array")
        word, n_bytes = struct.unpack_from(self._order + "II", self._data, at)
        if short := word >> 16:  # up to four bytes of content stand within the tag
            if short > 4:
                raise _DamagedError("damaged in the middle of an array")
            return word & 0xFFFF, at + 4, short, at + 8
        begin, padding = at + 8, 0 if word == _MATRIX else -n_bytes % 8
        if begin + n_bytes + padding > len(self._data):
            raise _DamagedError("ends in the middle of an array")
        return word, begin, n_bytes, begin + n_bytes + padding

    def _array(self, at: int, end: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _DamagedError(f"nested deeper than {_MAX_DEPTH} cells or structs")
        _, flags_at, n_bytes, at = self._tag(at)
        if n_bytes != 8:
            raise _DamagedError("damaged in the middle of an array")
        (flags,) = struct.unpack_from(self._order + "I", self._data, flags_at)
        kind, is_complex = flags & 0xFF, flags >> 11 & 1
        shape, at = self._shape(at)
        *_, at = self._tag(at)  # the name
        if kind in _REFUSED:
            raise _DamagedError(f"holds {_REFUSED[kind]}")
        if kind in {_CELL, _STRUCT}:
            n_fields = 1
            if kind == _STRUCT:
                n_fields, at = self._n_fields(at)
            at = self._arrays(math.prod(shape) * n_fields, at, end, depth)
        elif kind == _CHAR or kind in _NUMERIC:
            for _ in range(1 + is_complex):
                at = self._values(at, shape, is_text=kind == _CHAR)
        else:
            raise _DamagedError(f"holds an array of unknown class {kind}")
        if at != end:
            raise _DamagedError("damaged: an array is not as long as it says")

    def _shape(self, at: int) -> tuple[tuple[int, ...], int]:
        _, begin, n_bytes, at = self._tag(at)
        if n_bytes % 4 or not 8 <= n_bytes <= 4 * 32:
            raise _DamagedError("damaged in the middle of an array")
        shape = struct.unpack_from(f"{self._order}{n_bytes // 4}i", self._data, begin)
        if min(shape) < 0:
            raise _DamagedError("damaged in the middle of an array")
        return shape, at

    def _n_fields(self, at: int) -> tuple[int, int]:
        _, begin, n_bytes, at = self._tag(at)
        (name_bytes,) = struct.unpack_from(self._order + "i", self._data, begin) if n_bytes == 4 else (0,)
        _, _, n_bytes, at = self._tag(at)
        if not 1 <= name_bytes <= 256 or n_bytes % name_bytes:
            raise _DamagedError("damaged in the names of a struct")
        return n_bytes // name_bytes, at

    def _arrays(self, n: int, at: int, end: int, depth: int) -> int:
        if 8 * n > end - at:  # an empty one takes eight bytes
            raise _DamagedError(f"claims {n} cells or fields, more than its bytes can hold")
        self.n_arrays += n
        if self.n_arrays > self._most_arrays:
            raise _DamagedError(f"holds more than {MAX_ARRAYS} cells and fields with those before it")
        for _ in range(n):
            kind, begin, n_bytes, at = self._tag(at)
            if kind != _MATRIX:
                raise _DamagedError("damaged in the middle of an array")
            if n_bytes:
                self._array(begin, begin + n_bytes, depth + 1)
        return at

    def _values(self, at: int, shape: tuple[int, ...], *, is_text: bool) -> int:
        kind, _, n_bytes, at = self._tag(at)
        n_values = math.prod(shape)
        if is_text:
            if kind not in _TEXT:
                raise _DamagedError(f"holds text of unknown kind {kind}")
            # where there is no text, SciPy still makes as many spaces or lines as are claimed
            is_there = max(n_values, math.prod(shape[:-1])) <= max(n_bytes, 1)
        else:
            is_there = kind in _VALUE_BYTES and n_bytes == n_values * _VALUE_BYTES[kind]
        if not is_there:
            raise _DamagedError(f"claims {n_values} values, but has {n_bytes} bytes of them")
        return at


def _plain(value: Any) -> Any:
    """Turn what SciPy gives into plain containers."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names is not None:
        records = [{name: _plain(record[name]) for name in value.dtype.names} for record in value.flat]
        return records[0] if len(records) == 1 else records
    if value.dtype == object:
        return [_plain(cell_or_row) for cell_or_row in value]
    if value.dtype.kind == "U":
        lines = [str(line) for line in value.flat]
        return lines if len(lines) > 1 else "".join(lines)
    return value.item() if value.size == 1 else value
