"""Write figures to files."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

# dates are left out: the same picture drawn tomorrow is the same file
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": "dj-neuron"},
    "pdf": {"Creator": "dj-neuron", "CreationDate": None},
    "svg": {"Creator": "dj-neuron", "Date": None},
}
# words stay words, TrueType in PDF and <text> in SVG; the same picture has the same names inside
_SETTINGS: dict[str, Any] = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "dj-neuron"}
_writing = threading.Lock()


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure, trimmed to what is drawn, and return the path.

    Parameters
    ----------
    path : Path
        Ends in .png, .pdf or .svg; the folder exists.
    dpi : int
        Dots per inch, of the rasterised parts in PDF and SVG.

    Notes
    -----
    Words in PDF and SVG are text, in fonts that journals take and editors can change; a PDF holds its fonts, an SVG
    names them.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _METADATA:
        raise ContractError(f"{path.name}: figures are written as {', '.join(f'.{name}' for name in _METADATA)}")
    path.write_bytes(encoded(figure, kind, dpi))
    return path


def encoded(figure: Figure, kind: str, dpi: int = 150) -> bytes:
    """Give the bytes of a figure as a png, pdf or svg file."""
    buffer = io.BytesIO()
    with _settings():
        figure.savefig(
            buffer, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.12, facecolor="white",
            metadata=_METADATA[kind],
        )  # fmt: skip
    return buffer.getvalue()


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Hold settings that the vector backends read nowhere else, for one writer at a time, and give them back."""
    with _writing:
        settings: dict[str, Any] = mpl.rcParams  # type: ignore[assignment]
        before = {name: settings[name] for name in _SETTINGS}
        settings.update(_SETTINGS)
        try:
            yield
        finally:
            settings.update(before)
