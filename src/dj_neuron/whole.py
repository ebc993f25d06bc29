"""Files and folders that appear as a whole or not at all, whatever ends the process meanwhile."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from dj_neuron.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = "lock"
_OLD = "old"
_BEGINNING_S = 60.0  # a workplace that young may be about to get its lock


def is_there(path: Path) -> bool:
    """Tell whether there is anything at `path`; raise ExportError if nothing can be, as where a name is too long."""
    with _in_words(path):
        return path.exists()


def refuse_other_than_file(path: Path) -> None:
    """Raise ExportError if what is at `path` is no file, such as a folder, a pipe or a device."""
    if is_there(path) and path.is_dir():
        raise ExportError(f"{path} is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise ExportError(f"{path} is a pipe or a device, expected the name of a file")


def refuse_to_replace(*paths: Path) -> None:
    """Raise ExportError if one of `paths` is there."""
    there = [str(path) for path in paths if is_there(path)]
    if there:
        raise ExportError(
            f"{' and '.join(there)} exist{'' if len(there) > 1 else 's'} already, "
            "expected new files, or to be told to replace them"
        )


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path for a file that takes the place of `path`, and of what is there, when the block ends well.

    Raises
    ------
    ExportError
        If something other than a file is there, or it cannot be written; what is there stays then.

    Notes
    -----
    What is yielded lies in a folder beside `path` that other users cannot write to, so that they cannot put a link
    there; a link at `path` itself is replaced, not followed. What killed processes left is removed by the next one.
    """
    refuse_other_than_file(path)
    with _workplace(path) as new:
        yield new
        new.replace(path)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `path`, and of what is there, when the block ends well.

    Raises
    ------
    ExportError
        If it cannot be written; what is there stays then.

    Notes
    -----
    As for :func:`whole_file`. If a process is killed between moving the old folder out and the new one in, the next
    one brings the old one back first.
    """
    with _workplace(path) as new:
        new.mkdir()
        yield new
        _swap(new, path)


@contextlib.contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """Yield a path of the name of `target`, in a folder of its own."""
    with _in_words(target):
        _clear_leftovers(target)
        place = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        place.mkdir(mode=0o700)
    try:
        with _in_words(target, place), (place / _LOCK).open("x") as lock:
            with contextlib.suppress(OSError):  # some network drives know no locks; leftovers stay there
                fcntl.flock(lock, fcntl.LOCK_EX)
            new = place / "new" / target.name
            new.parent.mkdir()
            yield new
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _swap(new: Path, target: Path) -> None:
    place = new.parent.parent
    for attempt in count():
        old = place / f"{_OLD}{attempt}"
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
        try:
            new.rename(target)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                continue  # another process was quicker
            if old.exists():
                old.rename(target)
            raise
        return


def _clear_leftovers(target: Path) -> None:
    """Remove the workplaces of processes that were killed: a lock ends with its process."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.part")
    for place in sorted(path for path in target.parent.iterdir() if name.fullmatch(path.name)):
        with contextlib.suppress(OSError):  # in use, or gone meanwhile
            found = place.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            if not (place / _LOCK).exists():
                if time.time() - found.st_mtime > _BEGINNING_S:
                    place.rmdir()
                continue
            with (place / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for old in sorted(place.glob(f"{_OLD}*"), reverse=True):
                    if not target.exists():
                        old.rename(target)
                shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _in_words(target: Path, place: Path | None = None) -> Iterator[None]:
    """Say which target could not be written; errors about files other than those in `place`, if given, pass."""
    try:
        yield
    except OSError as error:
        names = [Path(str(name)) for name in (error.filename, error.filename2) if name is not None]
        if place is not None and names and not any(place in name.parents for name in names):
            raise
        raise ExportError(f"{target} cannot be written: {error.strerror or error}") from error
