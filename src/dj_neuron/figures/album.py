"""Pictures as they are written: into files of every format asked for, and into a page that stands alone."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, features

from dj_neuron.errors import ContractError
from dj_neuron.figures.saving import FORMATS, drawn, png, vectors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.figure import Figure

_DPI = 150
_CSS_DPI = 96
_WEBP_MAX_PX = 16383


@dataclass(frozen=True)
class Picture:
    """One picture of a report.

    Attributes
    ----------
    caption, alt : str
        What it is and how to read it; what there is to see in it, for those who cannot.
    files : tuple of str
        Where it lies beside the report, once per format.
    uri : str
        The whole picture as a ``data:`` address.
    width_px, height_px : int
        At which its words have the size they were made for.
    """

    caption: str
    alt: str
    files: tuple[str, ...]
    uri: str
    width_px: int
    height_px: int


class Album:
    """Writes pictures into a folder, and keeps every one for the report.

    Parameters
    ----------
    folder : Path
        Exists.
    formats : iterable of str
        Of "png", "pdf" and "svg", at least one.
    """

    def __init__(self, folder: Path, formats: Iterable[str] = ("png",)) -> None:
        self.folder = folder
        self.formats = tuple(dict.fromkeys(formats))
        unknown = set(self.formats) - set(FORMATS)
        if unknown or not self.formats:
            raise ContractError(
                f"picture formats are {', '.join(self.formats) or 'none'}, expected {', '.join(FORMATS)}"
            )

    def add(self, figure: Figure, name: str, *, caption: str, alt: str) -> Picture:
        """Write a figure to ``name.<format>``, relative to the folder."""
        image = drawn(figure, _DPI)
        as_png = png(image, _DPI)
        for kind in self.formats:
            content = as_png if kind == "png" else vectors(figure, kind, _DPI)
            (self.folder / f"{name}.{kind}").write_bytes(content)
        width_px, height_px = (round(side * _CSS_DPI / _DPI) for side in image.size)
        files = tuple(f"{name}.{kind}" for kind in self.formats)
        return Picture(caption, alt, files, data_uri(as_png, image), width_px, height_px)


def data_uri(png: bytes, image: Image.Image) -> str:
    """Give a picture as a ``data:`` address: lossless WebP, a third of the PNG, where this Pillow can write it."""
    kind, content = "png", png
    if features.check("webp") and max(image.size) <= _WEBP_MAX_PX:
        buffer = io.BytesIO()
        # without loss, quality is effort: more takes twice as long for one per cent
        image.save(buffer, "webp", lossless=True, quality=50)
        kind, content = "webp", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
