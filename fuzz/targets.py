"""What is fuzzed: readers on any bytes, which may refuse them in a sentence and do nothing else.

A target takes bytes, writes them where its reader looks, reads, and lets nothing through but a ``ReadError`` of one
line. Whatever writes a file elsewhere, starts a program or connects to something ends the run: a pickle got what it
asked for.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import ReadError
from dj_neuron.readers import faults_of
from dj_neuron.readers.crcns_mat import CrcnsMatReader
from dj_neuron.readers.nwb.sidecar import read_sidecar
from dj_neuron.readers.recording_folder import RecordingFolderReader
from dj_neuron.readers.ret1_pickle import Ret1PickleReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS = Path(__file__).with_name("corpus")
_PARTS = ("session.toml", "movie_1.npy", "spikes_1.npz", "frames.npy")
_SEPARATOR = b"\n=====\n"
_FORBIDDEN = ("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "pty.", "socket.", "subprocess.")


class EscapeError(Exception):
    """A file got something done."""


class Guard:
    """An audit hook that refuses what no reader does while a file is read; hooks cannot be removed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._is_on = str(folder), False
        sys.addaudithook(self._look)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Guard what happens within."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and not {"w", "a", "x", "+"}.isdisjoint(arguments[1])
        if event.startswith(_FORBIDDEN) or (writes and not str(arguments[0]).startswith(self._folder)):
            raise EscapeError(f"{event} {arguments}")


def _read(reader: Any, path: Path) -> None:
    with _only_sentences(), faults_of(reader, path):
        list(reader.read(path))
    with _only_sentences(), faults_of(reader, path):
        reader.raw(path)


@contextlib.contextmanager
def _only_sentences() -> Iterator[None]:
    try:
        yield
    except ReadError as error:
        told = str(error)
        if not told.isprintable() or "expected" not in told:
            raise AssertionError(f"not one sentence: {told!r}") from error


def pickle(folder: Path, data: bytes) -> None:
    """A pickle of any protocol."""
    path = folder / "ret1.pkl"
    path.write_bytes(data)
    _read(Ret1PickleReader(), path)


def mat(folder: Path, data: bytes) -> None:
    """A MATLAB 5 file."""
    path = folder / "20080516_R1.mat"
    path.write_bytes(data)
    _read(CrcnsMatReader(), path)


def folder(folder: Path, data: bytes) -> None:
    """A recording folder: its files one after another, with a line between them."""
    recording = folder / "recording"
    shutil.rmtree(recording, ignore_errors=True)
    recording.mkdir()
    for name, content in zip(_PARTS, data.split(_SEPARATOR), strict=False):
        (recording / name).write_bytes(content)
    _read(RecordingFolderReader(), recording)


def sidecar(folder: Path, data: bytes) -> None:
    """What stands beside an NWB file."""
    path = folder / "retina.nwb"
    path.with_name("retina.nwb.toml").write_bytes(data)
    with _only_sentences():
        read_sidecar(path)


TARGETS: dict[str, Callable[[Path, bytes], None]] = {
    "pickle": pickle, "mat": mat, "folder": folder, "sidecar": sidecar,
}  # fmt: skip


def joined(recording: Path) -> bytes:
    """Give a recording folder as the target `folder` takes it."""
    parts = [(recording / name).read_bytes() for name in _PARTS if (recording / name).exists()]
    return _SEPARATOR.join(parts)
