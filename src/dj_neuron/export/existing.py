"""Whether files may be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import ExportError

if TYPE_CHECKING:
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
