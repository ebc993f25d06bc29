"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dj_neuron.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def refuse_existing(*paths: Path, force: bool) -> None:
    """Raise ExportError if one of `paths` is there and may not be replaced, or has no folder to go to."""
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise ExportError(
            f"{' and '.join(there)} exist{'' if len(there) > 1 else 's'} already, "
            "expected new files, or to be told to replace them"
        )
    for folder in {path.parent for path in paths}:
        if not folder.is_dir():
            raise ExportError(f"{folder} is no folder that is there, expected one to write into")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path`; what is written there takes its name when the block ends well."""
    if path.is_dir():
        raise ExportError(f"{path} is a folder, expected the name of a file")
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a hidden folder beside `path`, which it replaces when the block ends well.

    Raises
    ------
    ExportError
        If what is in the way is not ours: nothing else is deleted.
    """
    if path.exists() and not is_ours(path):
        raise ExportError(f"{path} was not written by dj-neuron, which does not replace it: expected another name")
    partial, old = (path.with_name(f".{path.stem}.{os.getpid()}.{kind}{path.suffix}") for kind in ("part", "old"))
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            path.rename(old)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(old, ignore_errors=True)
