"""What dj-neuron wrote, as far as files themselves tell: nothing else is replaced."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ExportError
from dj_neuron.whole import is_there, refuse_other_than_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_US = "dj-neuron"
_LONGEST_BYTES = 1 << 20  # of what is read to find out
_OF_ZARR = {".zattrs", ".zgroup", ".zmetadata"}


def refuse_foreign(*paths: Path) -> None:
    """Raise ExportError if one of `paths` is there, holds something, and is nothing that dj-neuron exported.

    Parameters
    ----------
    *paths : Path
        Their endings tell what they should be.
    """
    for path in paths:
        if path.suffix != ".zarr":
            refuse_other_than_file(path)  # to look into a pipe is to wait
        if is_there(path) and not _holds_nothing(path) and not _is_ours(path):
            raise ExportError(f"{path} was not written by dj-neuron, which does not replace it: expected another name")


def _holds_nothing(path: Path) -> bool:
    return path.is_file() and (path.is_symlink() or path.stat().st_size == 0)  # where a link leads, the file stays


def _is_ours(path: Path) -> bool:
    try:
        return _FORMATS[path.suffix](path)
    except ImportError:
        return True  # nor can it be written then, which is said in its place
    except Exception:  # libraries raise nearly anything on what is not of their format
        return False


def _csv(path: Path) -> bool:
    """Tell a table by the dictionary beside it, which explains its columns."""
    columns = _explained(path.with_name(path.name + ".dictionary.json"))
    with path.open("rb") as file:
        return file.readline(_LONGEST_BYTES).decode().rstrip("\r\n").split(",") == columns


def _dictionary(path: Path) -> bool:
    return bool(_explained(path))


def _explained(dictionary: Path) -> list[str]:
    described = json.loads(_start_of(dictionary))
    return [one["name"] for one in described if {"name", "type", "unit", "meaning", "table"} <= one.keys()]


def _parquet(path: Path) -> bool:
    import pyarrow.parquet as pq  # noqa: PLC0415 - not needed for anything else

    return _says_us((pq.read_schema(path).metadata or {}).get(b"written_by", b"").decode())


def _npz(path: Path) -> bool:
    """Every group of arrays says who wrote it."""
    with zipfile.ZipFile(path) as archive:
        groups = {name.rpartition("/")[0] for name in archive.namelist()}
        return bool(groups) and all(_wrote_group(archive, group) for group in groups)


def _wrote_group(archive: zipfile.ZipFile, group: str) -> bool:
    with archive.open(f"{group}/attributes.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if shape != () or dtype.kind != "U" or dtype.itemsize > _LONGEST_BYTES:
            return False
        text = np.frombuffer(file.read(dtype.itemsize), dtype)[0]
    return _says_us(json.loads(str(text)).get("written_by"))


def _zarr(path: Path) -> bool:
    """The folder and every group in it say who wrote them, and there is nothing beside these."""
    groups = [entry for entry in path.iterdir() if entry.name not in _OF_ZARR]
    return all(_says_us(json.loads(_start_of(one / ".zattrs")).get("written_by")) for one in (path, *groups))


def _nwb(path: Path) -> bool:
    import h5py  # noqa: PLC0415 - optional, and slow to import

    with h5py.File(path, "r") as file:
        links = [file.get(name, getlink=True) for name in ("general", "general/was_generated_by")]
        if not all(isinstance(link, h5py.HardLink) for link in links):
            return False
        generated_by = file["general/was_generated_by"]
        return generated_by.shape[1:] == (2,) and any(_says_us(row[0].decode()) for row in generated_by[:16])


def _start_of(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_LONGEST_BYTES)


def _says_us(text: Any) -> bool:
    return isinstance(text, str) and (text == _US or text.startswith(f"{_US} "))


_FORMATS: dict[str, Callable[[Path], bool]] = {
    ".csv": _csv,
    ".json": _dictionary,
    ".npz": _npz,
    ".nwb": _nwb,
    ".parquet": _parquet,
    ".zarr": _zarr,
}
