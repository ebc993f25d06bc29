"""Write figures to files."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

FORMATS = ("png", "pdf", "svg")

_PAD_IN = 0.12
# dates are left out: the same picture drawn tomorrow is the same file
_METADATA: dict[str, dict[str, str | None]] = {
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
    if kind not in FORMATS:
        raise ContractError(f"{path.name}: figures are written as {', '.join(f'.{name}' for name in FORMATS)}")
    path.write_bytes(png(drawn(figure, dpi), dpi) if kind == "png" else vectors(figure, kind, dpi))
    return path


def drawn(figure: Figure, dpi: int) -> Image.Image:
    """Give a figure as an image, trimmed to what is drawn."""
    canvas, figure_dpi, face = figure.canvas, figure.dpi, figure.get_facecolor()
    try:
        figure.set_dpi(dpi)
        figure.set_facecolor("white")
        agg: Any = FigureCanvasAgg(figure)
        agg.draw()
        size = agg.get_width_height()
        image = Image.frombuffer("RGBA", size, agg.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        whole = all(figure.bbox.count_contains(box.corners()) == 4 for box in _words(figure))
    finally:
        figure.set_canvas(canvas)
        figure.set_facecolor(face)
        figure.set_dpi(figure_dpi)
    left, top, right, bottom = ImageOps.invert(image).getbbox() or (0, 0, *image.size)
    if whole and left > 0 and top > 0 and right < image.width and bottom < image.height:
        return ImageOps.expand(image.crop((left, top, right, bottom)), round(_PAD_IN * dpi), "white")
    # something reaches beyond the figure: savefig finds out how far, and draws twice for it
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=_PAD_IN, facecolor="white")
        with Image.open(buffer) as wide:
            return wide.convert("RGB")


def _words(figure: Figure) -> Iterator[Bbox]:
    """Give where words and legends are that may lie beside all axes, in dots."""
    for artist in (*figure.texts, *figure.legends, *(child for ax in figure.axes for child in ax.get_children())):
        if isinstance(artist, (Text, Legend)) and artist.get_visible() and artist.get_in_layout():
            box = artist.get_window_extent()
            if box.width > 0:
                yield box


def png(image: Image.Image, dpi: int) -> bytes:
    """Give the bytes of an image as a png file."""
    about, buffer = PngInfo(), io.BytesIO()
    about.add_text("Software", "dj-neuron")
    image.save(buffer, "png", pnginfo=about, dpi=(dpi, dpi))
    return buffer.getvalue()


def vectors(figure: Figure, kind: str, dpi: int) -> bytes:
    """Give the bytes of a figure as a pdf or svg file."""
    buffer = io.BytesIO()
    with _settings():
        figure.savefig(
            buffer, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=_PAD_IN, facecolor="white",
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
