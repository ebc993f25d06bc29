"""Whether files may be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import ExportError
from dj_neuron.export.ours import refuse_foreign
from dj_neuron.whole import refuse_to_replace

if TYPE_CHECKING:
    from pathlib import Path


def refuse_existing(*paths: Path, force: bool) -> None:
    """Raise ExportError if one of `paths` is there and may not be replaced, or has no folder to go to.

    What dj-neuron did not write is not replaced by force either.
    """
    if force:
        refuse_foreign(*paths)
    else:
        refuse_to_replace(*paths)
    for folder in {path.parent for path in paths}:
        if not folder.is_dir():
            raise ExportError(f"{folder} is no folder that is there, expected one to write into")
