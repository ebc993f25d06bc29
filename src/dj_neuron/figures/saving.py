"""Write figures to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

# dates are left out: the same picture drawn tomorrow is the same file
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": "dj-neuron"},
    ".pdf": {"Creator": "dj-neuron", "CreationDate": None},
    ".svg": {"Creator": "dj-neuron", "Date": None},
}


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure, trimmed to what is drawn, and return the path.

    Parameters
    ----------
    path : Path
        Ends in .png, .pdf or .svg; the folder exists.
    dpi : int
        Dots per inch, of the rasterised parts in PDF and SVG.
    """
    metadata = _METADATA.get(path.suffix.lower())
    if metadata is None:
        raise ContractError(f"{path.name}: figures are written as {', '.join(_METADATA)}")
    figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.12, facecolor="white", metadata=metadata)
    return path
