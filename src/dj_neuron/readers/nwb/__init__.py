"""NWB files: units, and stimuli as image series or templates shown by index."""

from __future__ import annotations

import hashlib
import importlib
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import ReadError
from dj_neuron.readers.nwb.links import check_links
from dj_neuron.readers.nwb.outline import content_of
from dj_neuron.readers.nwb.sidecar import read_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    import h5py

    from dj_neuron.contracts import Session

_OF_A_CLASS = re.compile(r"(Could not construct \w+ object due to: )?(\w+\.__init__: )?")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class NwbReader:
    """Reads one session from an NWB 2 file (HDF5), with ``FILE.nwb.toml`` beside it for what the file does not say."""

    name = "nwb"

    def accepts(self, path: Path) -> bool:
        """Tell whether the file is HDF5 and says that it is NWB; without h5py, whether it is called so."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
        try:
            h5py = importlib.import_module("h5py")
        except ImportError:
            return path.suffix == ".nwb"
        try:
            with h5py.File(path, "r") as file:
                return "nwb_version" in file.attrs or "nwb_version" in file
        except OSError:
            return path.suffix == ".nwb"

    def raw(self, path: Path) -> Any:
        """Groups, attributes and values of the file, datasets as headers; and what stands beside it."""
        h5py = _needed("h5py", path)
        with _no_other_errors(path), h5py.File(path, "r") as file:
            check_links(file, path)
            return content_of(file)

    def read(self, path: Path) -> Iterator[Session]:
        """Yield the file's session; movies larger than 256 MiB stay in the file.

        Raises
        ------
        ReadError
            If the file is damaged, or does not say what a session needs and nothing beside it does.
        """
        if path.is_dir():
            raise ReadError(f"{path.name}: is a folder, expected an NWB file")
        pynwb = _needed("pynwb", path)
        from dj_neuron.readers.nwb.session import session_of  # noqa: PLC0415 - needs pynwb

        sidecar = read_sidecar(path)
        with warnings.catch_warnings(record=True) as caught, _no_other_errors(path):
            warnings.simplefilter("always")
            with importlib.import_module("h5py").File(path, "r") as file:
                check_links(file, path)
                _check_version(file, path)
            with pynwb.NWBHDF5IO(path, "r", load_namespaces=True) as io:
                session = session_of(io.read(), path, sidecar, lambda: _sha256(path, sidecar.files), caught)
        yield session


def _needed(module: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ReadError(
            f"{path.name}: reading NWB files needs {module}, which is not installed: expected dj-neuron[nwb]"
        ) from error


def _check_version(file: h5py.File, path: Path) -> None:
    version = file.attrs.get("nwb_version")
    if version is None or str(version).startswith("1."):
        said = "nothing of a version" if version is None else f"that it is NWB {version:.20}"
        raise ReadError(f"{path.name}: says {said}, expected NWB 2")


@contextmanager
def _no_other_errors(path: Path) -> Iterator[None]:
    """PyNWB, HDMF and h5py raise nearly anything on a file that is damaged or not valid."""
    try:
        yield
    except (ReadError, MemoryError):
        raise
    except Exception as error:
        raise ReadError(f"{path.name}: cannot be read as NWB 2: {_reason(error)}, expected a whole file") from error


def _reason(error: BaseException) -> str:
    while isinstance(error, SystemError) and error.__cause__ is not None:  # h5py's locks hide what was raised in them
        error = error.__cause__
    match error:
        case UnicodeDecodeError():
            return "it holds text that is not UTF-8"
        case AssertionError() | AttributeError() | IndexError() | NameError() | RecursionError() | TypeError():
            return "its parts do not fit together"  # their words are about a program and not about the file
    *building, told = error.args or (type(error).__name__,)
    place = "".join(f"{builder.path.removeprefix('root/')}: " for builder in building if hasattr(builder, "path"))
    return (place + _OF_A_CLASS.sub("", " ".join(str(told).split())))[:200]


def _sha256(path: Path, beside: list[Path]) -> str:
    """Of the file's bytes; with files beside it, of all their digests as in a recording folder."""
    digests = {}
    for one in (path, *beside):
        with one.open("rb") as file:
            digests[one.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if not beside:
        return digests[path.name]
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()).hexdigest()
