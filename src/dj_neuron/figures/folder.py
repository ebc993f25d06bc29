"""A folder of pictures that is replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dj_neuron.errors import PipelineError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

MARKER = ".dj-neuron-figures"
_MARKER_TEXT = "dj-neuron wrote this folder and replaces all of it; keep your own files elsewhere.\n"


@contextlib.contextmanager
def fresh_folder(out_dir: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `out_dir` when the block ends well.

    Parameters
    ----------
    out_dir : path
        Missing, empty, or written by this function before. Missing parents are made.

    Yields
    ------
    Path
        A hidden folder beside `out_dir`; whatever is written into it appears at once, at the end.

    Raises
    ------
    PipelineError
        If `out_dir` holds anything that this function did not write, or cannot be replaced.

    Notes
    -----
    If the block raises, `out_dir` keeps what it held. What a killed process left beside it is
    cleared away by the next call; if it was killed between moving the old folder out and the
    new one in, the old one comes back first.
    """
    target = Path(out_dir).expanduser().resolve()
    _refuse_precious(target)
    with _one_sentence(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(target)
        _refuse_foreign(target)
        new = _beside(target, "new")
        new.mkdir()
    try:
        with (new / MARKER).open("w", encoding="utf-8") as marker:
            _lock(marker, wait=True)  # tells a folder in use from a leftover: it ends with the process
            marker.write(_MARKER_TEXT)
            marker.flush()
            yield new
            with _one_sentence(target):
                _refuse_foreign(target)
                _swap(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _swap(new: Path, target: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        new.rename(target)
        return
    old = _beside(target, "old")
    with (target / MARKER).open("r+", encoding="utf-8") as marker:
        _lock(marker, wait=True)
        target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{kind}")


def _clear_leftovers(target: Path) -> None:
    for leftover in _leftovers(target):
        with (leftover / MARKER).open("r+", encoding="utf-8") as marker:
            if not _lock(marker, wait=False):
                continue
            if leftover.suffix == ".old" and not target.exists():
                leftover.rename(target)
            else:
                shutil.rmtree(leftover, ignore_errors=True)


def _lock(file: TextIO, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _leftovers(target: Path) -> list[Path]:
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.(old|new)")
    return [path for path in sorted(target.parent.iterdir()) if name.fullmatch(path.name) and (path / MARKER).is_file()]


def _refuse_precious(target: Path) -> None:
    for name, folder in (("current", Path.cwd()), ("home", Path.home())):
        place = folder.resolve()
        if target == place or target in place.parents:
            raise PipelineError(f"{target} is or holds the {name} folder, expected a folder only for figures")


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise PipelineError(f"{target} is a file, expected a folder for figures")
    if target.is_mount():
        raise PipelineError(f"{target} is a mount point and cannot be replaced, expected a folder inside it")
    if any(target.iterdir()) and not (target / MARKER).is_file():
        raise PipelineError(f"{target} holds files that dj-neuron did not write, expected an empty or a new folder")


@contextlib.contextmanager
def _one_sentence(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PipelineError(f"{target} cannot be replaced: {error.strerror or error}") from error
