"""A folder of pictures that is replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from dj_neuron.errors import PipelineError
from dj_neuron.whole import whole_folder

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
        If `out_dir` holds anything that this function did not write.
    ExportError
        If it cannot be replaced.

    Notes
    -----
    If the block raises, `out_dir` keeps what it held.
    """
    try:
        target = Path(out_dir).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # links that lead in a circle, a user that there is not
        raise PipelineError(f"{out_dir} cannot be found: {error}, expected a folder for figures") from error
    _refuse_precious(target)
    with _one_sentence(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(target)
    with whole_folder(target) as new:
        (new / MARKER).write_text(_MARKER_TEXT, encoding="utf-8")
        yield new
        _refuse_foreign(target)


def _refuse_precious(target: Path) -> None:
    precious = {"current": Path.cwd()}
    with contextlib.suppress(RuntimeError):  # a user without a home folder
        precious["home"] = Path.home()
    for name, folder in precious.items():
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
