"""Files into sessions: one reader per format, found by the entry point group ``dj_neuron.readers``.

A reader knows one file format and nothing else; a lab adds its own by declaring a class with a
``name``, ``accepts`` and ``read`` under that group in its package's metadata.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from dj_neuron.errors import ContractError, DjNeuronError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    import numpy as np

    from dj_neuron.contracts import Session

ENTRY_POINT_GROUP = "dj_neuron.readers"


class Reader(Protocol):
    """What knows one file format; made without arguments.

    Attributes
    ----------
    name : str
        Under which the reader is declared, and what ``Source.reader`` records.
    """

    name: str

    def accepts(self, path: Path) -> bool:
        """Tell from a cheap look into an existing file or folder whether it may be of this format."""
        ...

    def read(self, path: Path) -> Iterator[Session]:
        """Yield the sessions one at a time; raise :class:`~dj_neuron.errors.ReadError` naming file and place.

        What a person should know about the reading goes into ``Session.remarks``.
        """
        ...


class ArrayHeader(NamedTuple):
    """Shape and dtype of an array that was not loaded."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@runtime_checkable
class RawReader(Protocol):
    """A reader that can also show what is in a file before it is a session."""

    def raw(self, path: Path) -> Any:
        """Plain containers and values as the file holds them, with arrays or their :class:`ArrayHeader`."""
        ...


def available_readers() -> dict[str, Reader]:
    """All declared readers by name, in alphabetical order.

    Raises
    ------
    ReadError
        If a declared reader cannot be loaded, or two share a name.
    """
    return {name: _loaded(entry_point) for name, entry_point in _declared().items()}


def find_reader(path: Path | str, name: str | None = None) -> Reader:
    """Find the one reader for a file or folder.

    Parameters
    ----------
    path : Path
        An existing file or folder.
    name : str, optional
        The reader to use, whatever the file looks like; default: the one that accepts it.

    Raises
    ------
    ReadError
        If the path is missing, unreadable or neither a file nor a folder, or if not exactly one reader is for it.
    """
    path = Path(path)
    try:
        is_there, is_readable = path.exists(), path.is_file() or path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_there:
        raise ReadError(f"{path}: no such file or folder, expected a recording")
    if not is_readable:  # a pipe or a device may have no end
        raise ReadError(f"{path}: is neither a file nor a folder, expected a recording")
    if name is not None:
        declared = _declared()
        if name not in declared:
            raise ReadError(f"{path}: no reader is called {name!r}, expected one of {', '.join(declared)}")
        return _loaded(declared[name])
    readers = available_readers()
    try:
        accepting = [name for name, reader in readers.items() if reader.accepts(path)]
    except OSError as error:
        raise _unreadable(path, error) from error
    if not accepting:
        raise ReadError(f"{path}: no reader knows this format, expected one of {', '.join(readers)}")
    if len(accepting) > 1:
        raise ReadError(f"{path}: accepted by {' and '.join(accepting)}, expected one reader; name the one to use")
    return readers[accepting[0]]


def read_sessions(path: Path | str, reader: str | None = None) -> Iterator[Session]:
    """Read a file's sessions one at a time.

    Parameters
    ----------
    path : Path
        A recording of any known format.
    reader : str, optional
        Name of the reader; default: the one that accepts the file.

    Raises
    ------
    ReadError
        At once if no reader is for the file; during iteration if its content is not as expected, or if a lab's own
        reader raises anything else.
    """
    return _read(find_reader(path, reader), Path(path))


def _read(reader: Reader, path: Path) -> Iterator[Session]:
    with faults_of(reader, path):
        yield from reader.read(path)


@contextmanager
def faults_of(reader: Reader, path: Path) -> Iterator[None]:
    """Turn what a lab's own reader raises on a file into a :class:`~dj_neuron.errors.ReadError` that names both.

    What the file system refuses becomes one for all readers.
    """
    try:
        yield
    except ContractError as error:
        raise ReadError(f"{path.name}: {error}") from error
    except DjNeuronError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:
        if type(reader).__module__.startswith("dj_neuron."):
            raise  # a fault of ours is not one of the file
        raise ReadError(
            f"{path.name}: reader {reader.name!r} raised {type(error).__name__}: {error}, "
            "expected a recording that it can read"
        ) from error


def _unreadable(path: Path, error: OSError) -> ReadError:
    within = f" ({error.filename})" if error.filename is not None and str(error.filename) != str(path) else ""
    reason = error.strerror or str(error)
    return ReadError(f"{path}: cannot be opened: {reason}{within}, expected a readable recording")


@contextmanager
def contract_errors_at(place: str, prefix: str = "") -> Iterator[None]:
    """Turn a ``ContractError`` into a ``ReadError`` that names the place instead of `prefix`."""
    try:
        yield
    except ContractError as error:
        raise ReadError(f"{place}: {str(error).removeprefix(prefix)}") from error


def _declared() -> dict[str, EntryPoint]:
    declared: dict[str, EntryPoint] = {}
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: found.name):
        known = declared.setdefault(entry_point.name, entry_point)
        if known.value != entry_point.value:
            raise ReadError(
                f"reader {entry_point.name!r} is declared as {known.value} and as {entry_point.value}, "
                "expected one declaration"
            )
    return declared


def _loaded(entry_point: EntryPoint) -> Reader:
    try:
        reader: Reader = entry_point.load()()
    except Exception as error:
        raise ReadError(
            f"reader {entry_point.name!r} ({entry_point.value}) cannot be loaded: {error}, "
            "expected a class made without arguments"
        ) from error
    return reader
