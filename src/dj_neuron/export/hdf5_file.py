"""HDF5 files on disks that may be full, which the HDF5 library itself does not survive."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import h5py
    from typing_extensions import Buffer


@contextmanager
def new_hdf5_file(path: Path) -> Iterator[h5py.File]:
    """Yield a new HDF5 file; what the disk refused meanwhile is raised as the block ends.

    Raises
    ------
    OSError
        If the file cannot be written; it is closed then, and not whole.
    """
    import h5py  # noqa: PLC0415 - optional, and slow to import

    with _PatientFile(path, "w+") as file:
        try:
            with h5py.File(file, "w") as hdf5:
                yield hdf5
        finally:
            if file.refusal is not None:
                raise file.refusal


class _PatientFile(io.FileIO):
    """A file that takes all that is written after the disk refused something, and keeps that.

    HDF5 cannot close a file whose last bytes find no room, and ends the process when it leaves. In memory such a file
    could be as long as a movie that is not.
    """

    refusal: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        rest = memoryview(data).cast("B")
        n_bytes = len(rest)
        try:
            while rest and self.refusal is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.refusal = error
        return n_bytes

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.refusal = self.refusal or error
            return self.tell() if size is None else size
