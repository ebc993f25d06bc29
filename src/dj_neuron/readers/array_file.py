"""Arrays that stay in their file until a slice of them is asked for."""

from __future__ import annotations

import io
import math
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


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
        If the file is no ``.npy`` file of numbers, is shorter than its header says, or is in Fortran order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self.shape, self.dtype = _header(file)
            self._begin = file.tell()
            n_there = file.seek(0, io.SEEK_END) - self._begin
        if n_there < math.prod(self.shape) * self.dtype.itemsize:
            raise ValueError(f"the file ends {n_there} bytes after its header, expected an array of {self.shape}")

    def __getitem__(self, frames: slice) -> NDArray[Any]:
        begin, end, step = frames.indices(self.shape[0])
        if step != 1:
            raise ValueError(f"every {step}th of an array in a file, expected a slice without a step")
        found = np.empty((max(end - begin, 0), *self.shape[1:]), self.dtype)
        with self._path.open("rb") as file:
            file.seek(self._begin + begin * math.prod(self.shape[1:]) * self.dtype.itemsize)
            n_read = file.readinto(found.reshape(-1).data.cast("B")) if found.size else 0
        if n_read < found.nbytes:
            raise ReadError(f"{self._path} became shorter while it was read: frames {begin} to {end} are missing")
        return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    if is_fortran or dtype.hasobject:
        raise ValueError("the array is in Fortran order or holds objects, expected numbers in C order")
    return shape, dtype
