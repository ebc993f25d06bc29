"""NumPy's files: their headers, measured before they are believed, and arrays that stay in their file."""

from __future__ import annotations

import math
import os
import tokenize
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers import ArrayHeader, unfolding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NOT_AN_ARRAY = (  # what NumPy and zipfile raise on damaged files
    *(OSError, ValueError, EOFError, MemoryError, RuntimeError, SyntaxError, TypeError, OverflowError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)

_END, _LONGEST_END_BYTES = b"PK\5\6", 22 + 65535  # of an archive: how it begins, and its length with a comment
_MOST_COUNTED = 65535  # stands for more, too
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # which NumPy writes


class _NotSoError(ValueError):
    """What is wrong with a file, in words of ours."""


class ArrayFile:
    """An ``.npy`` file in C order, read in slices; memory that is mapped would count as used.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        If the file is no ``.npy`` file of numbers, is not as long as its header says, or is in Fortran order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            (self.shape, self.dtype), is_fortran = _measured_header(file, path.stat().st_size)
            self._begin = file.tell()
        if is_fortran:
            raise ValueError("the array is in Fortran order, expected C order")

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        begin, end, step = frames.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"every {step}th of an array in a file, expected a slice without a step")
        found = np.empty((max(end - begin, 0), *self.shape[1:]), self.dtype)
        with self._path.open("rb") as file:
            file.seek(self._begin + begin * math.prod(self.shape[1:]) * self.dtype.itemsize)
            n_read = file.readinto(found.reshape(-1).data.cast("B")) if found.size else 0
        if n_read < found.nbytes:
            raise ReadError(
                f"{self._path} became shorter while it was read, expected frames {begin} to {end} to be there"
            )
        return found


def is_one_array(path: Path) -> bool:
    """Tell whether a file begins as ``.npy`` files do."""
    with path.open("rb") as file:
        return file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX


def npy_header(path: Path) -> ArrayHeader:
    """Shape and dtype of an ``.npy`` file; raise one of :data:`NOT_AN_ARRAY` if it is not what it says."""
    if not is_one_array(path) and zipfile.is_zipfile(path):
        raise _NotSoError("it is an archive")
    with path.open("rb") as file:
        return _measured_header(file, path.stat().st_size)[0]


def npy_array(path: Path) -> NDArray[Any]:
    """Read an ``.npy`` file without unpickling anything; raise as :func:`npy_header`."""
    npy_header(path)
    with path.open("rb") as file, _quiet():
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def npz_headers(path: Path) -> dict[str, ArrayHeader]:
    """Shapes and dtypes in an ``.npz`` file by name; raise as :func:`npy_header`."""
    if is_one_array(path):
        raise _NotSoError("it is one array")
    with zipfile.ZipFile(path) as archive:
        return {name: _measured_header(file, n_bytes)[0] for name, file, n_bytes in _members(archive, path)}


def npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read an ``.npz`` file without unpickling anything; raise as :func:`npy_header`."""
    arrays: dict[str, NDArray[Any]] = {}
    npz_headers(path)
    with zipfile.ZipFile(path) as archive, _quiet():
        for name, file, _ in _members(archive, path):
            arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _members(archive: zipfile.ZipFile, path: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    members = archive.infolist()
    n_bytes = sum(member.file_size for member in members)
    if n_bytes > unfolding.most_bytes(path.stat().st_size):
        raise _NotSoError(f"it claims {n_bytes} bytes, which is more than {unfolding.MOST_TIMES} times its length")
    if _n_in_directory(path) != min(len(members), _MOST_COUNTED):
        raise _NotSoError("its directory holds another number of arrays than it says")
    names = [member.filename.removesuffix(".npy") for member in members]
    if len(set(names)) < len(names):
        raise _NotSoError("it holds a name twice")
    for name, member in zip(names, members, strict=True):
        if member.compress_type not in _COMPRESSIONS:
            raise _NotSoError("it is compressed in another way than NumPy does")
        with archive.open(member) as file:
            yield name, file, member.file_size


def _n_in_directory(path: Path) -> int:
    """Give how many members an archive says that it has; zipfile takes one for the comment on another."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, _LONGEST_END_BYTES), os.SEEK_END)
        end = file.read()
    begin = end.rindex(_END) + 10
    return int.from_bytes(end[begin : begin + 2], "little")


def _measured_header(file: IO[bytes], n_bytes: int) -> tuple[ArrayHeader, bool]:
    """Header of an array of `n_bytes`, its own included, and whether it is in Fortran order."""
    with _quiet():
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
    if dtype.hasobject:
        raise _NotSoError("it holds objects")
    n_there, n_claimed = n_bytes - file.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_there != n_claimed:
        raise _NotSoError(
            f"it claims an array {shape!s:.60} of {dtype!s:.60}, {n_claimed!s:.40} bytes, and holds {n_there}"
        )
    return ArrayHeader(shape, dtype), is_fortran


@contextmanager
def _quiet() -> Iterator[None]:
    """NumPy warns of headers of old or strange files, which are read or refused all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reason_of(error: BaseException) -> str:
    """Give what can be said about why an array cannot be read, after a colon, or nothing."""
    reason = error.strerror if isinstance(error, OSError) else str(error) if isinstance(error, _NotSoError) else ""
    return f": {reason}" if reason else ""
