"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dj_neuron.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def refuse_existing(*paths: Path, force: bool) -> None:
    """Raise ExportError if one of `paths` is there and may not be replaced."""
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise ExportError(
            f"{' and '.join(there)} exist{'' if len(there) > 1 else 's'} already, "
            "expected new files, or to be told to replace them"
        )


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
