"""Pictures of a few hundred bytes for notebooks: maps as tiny PNGs, courses and spikes as SVG."""

from __future__ import annotations

import base64
import html
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_SIDE_PX = 140
_MOST_BLOCKS = 240  # along a side; of more, every second, third ... is shown
_STRIP_PX = (260, 48)
_NEUTRAL = 127
_UNKNOWN = 255
# cold below zero, warm above it, as in all pictures; the ends are dark
_ANCHORS = np.array([(5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)], np.float64)
_INK, _GREY = "#262626", (0xE6, 0xE6, 0xE6)


def map_image(values: ArrayLike, alt: str, *, grey: bool = False, square: bool = False) -> str:
    """Give an ``<img>`` of a map, right way up: warm above zero and cold below it.

    Parameters
    ----------
    values : array (n_y, n_x)
        The largest absolute value is at the end of the scale; NaN is grey.
    alt : str
        What there is to see.
    grey, square : bool
        From black to white; as wide as high, whatever the shape, where the axes have different units.
    """
    array = np.asarray(values, np.float64)
    array = array[:: -(-array.shape[0] // _MOST_BLOCKS), :: -(-array.shape[1] // _MOST_BLOCKS)]
    finite = np.isfinite(array)
    limit = float(np.abs(array[finite]).max(initial=0.0)) or 1.0
    steps = np.round(_NEUTRAL + _NEUTRAL * np.where(finite, array, 0.0) / limit)
    places = np.where(finite, steps, _UNKNOWN).astype(np.uint8)
    encoded = base64.b64encode(_png(places, _palette(grey=grey))).decode("ascii")
    n_y, n_x = places.shape
    width = _SIDE_PX if square or n_x >= n_y else max(round(_SIDE_PX * n_x / n_y), 12)
    height = _SIDE_PX if square or n_y >= n_x else max(round(_SIDE_PX * n_y / n_x), 12)
    return (
        f'<img src="data:image/png;base64,{encoded}" width="{width}" height="{height}" alt="{html.escape(alt)}" '
        'style="image-rendering:pixelated">'
    )


def course_image(values: ArrayLike, alt: str) -> str:
    """Give an ``<svg>`` of a course about zero, its largest absolute value at half the height; NaN leaves a gap."""
    course = np.asarray(values, np.float64)
    width, height = _STRIP_PX
    limit = float(np.abs(course[np.isfinite(course)]).max(initial=0.0)) or 1.0
    x = np.linspace(2, width - 2, max(course.size, 2))[: course.size]
    y = height / 2 - (height / 2 - 3) * course / limit
    points, pen = [], "M"
    for across, down in zip(x, y, strict=True):
        if np.isfinite(down):
            points.append(f"{pen}{across:.1f} {down:.1f}")
        pen = "L" if np.isfinite(down) else "M"
    path = "".join(points)
    axis = f'<path d="M0 {height / 2}H{width}" stroke="#b8b8b8"/>'
    return _svg(f'{axis}<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.5"/>', alt)


def spikes_image(times_s: ArrayLike, alt: str, n_bins: int = 65) -> str:
    """Give an ``<svg>`` of spike counts over the time from the first to the last spike."""
    times = np.asarray(times_s, np.float64)
    width, height = _STRIP_PX
    counts, _ = np.histogram(times, n_bins) if times.size > 1 else (np.zeros(n_bins), None)
    tallest = float(counts.max(initial=0)) or 1.0
    bar = width / n_bins
    bars = "".join(
        f"M{place * bar:.1f} {height}v{-(height - 2) * count / tallest:.1f}h{bar * 0.8:.1f}V{height}z"
        for place, count in enumerate(counts)
        if count
    )
    return _svg(f'<path d="{bars}" fill="{_INK}"/>', alt)


def _svg(inside: str, alt: str) -> str:
    width, height = _STRIP_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{html.escape(alt)}" style="background:#fff">{inside}</svg>'
    )


def _palette(*, grey: bool) -> NDArray[np.uint8]:
    """Colours of the places 0 to 255, ``(256, 3)``; the last is for what is not known."""
    anchors = np.array([(0, 0, 0), (255, 255, 255)], np.float64) if grey else _ANCHORS
    at = np.linspace(0, 2 * _NEUTRAL, len(anchors))
    steps = np.arange(256)
    colours: Any = np.stack([np.interp(steps, at, anchors[:, channel]) for channel in range(3)], axis=1)
    colours[_UNKNOWN] = _GREY
    return np.asarray(np.round(colours), np.uint8)


def _png(places: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode an image of palette places as a PNG file (ISO/IEC 15948)."""
    n_y, n_x = places.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = np.concatenate([np.zeros((n_y, 1), np.uint8), places], axis=1)  # filter type 0 before every row
    head = struct.pack(">IIBBBBB", n_x, n_y, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in (
            (b"IHDR", head),
            (b"PLTE", palette.tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 9)),
            (b"IEND", b""),
        )
    )
