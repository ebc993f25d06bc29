"""What was found, drawn over what was measured: outlines of significant blocks, ellipses of fitted fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse
from matplotlib.patheffects import AbstractPathEffect, withStroke

from dj_neuron.figures import style
from dj_neuron.pictures.marks import bars_outline, blocks_outline, ellipse_of, significant_bars
from dj_neuron.pictures.words import measure, significant_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.pictures.drawable import Drawable

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SIGMA_STYLES: dict[int, Any] = {1: "solid", 2: (0, (3, 2))}


def halo(width: float = 2.2) -> list[AbstractPathEffect]:
    """White around lines and words, so that they stand out from any colour."""
    return [withStroke(linewidth=width, foreground="white")]


def draw_significant_blocks(field: ReceptiveFieldResult, delay_s: float, ax: Axes) -> Axes:
    """Outline the significant blocks at one delay on Axes in micrometres; nothing at a delay that was not judged."""
    mask = significant_at(field, delay_s)
    if mask is not None:
        outline_blocks(mask, field.block_size_um, ax)
    return ax


def outline_blocks(
    mask: Mask, block_size_um: tuple[float, float], ax: Axes, *, label: str = "significant", colour: str = style.INK
) -> Axes:
    """Outline the blocks of a mask, ``(n_y, n_x)``, on Axes in micrometres."""
    return _draw_outline(blocks_outline(mask, block_size_um), ax, label, colour)


def draw_significant_bars(field: ReceptiveFieldResult, strf: Strf, ax: Axes) -> Axes:
    """Outline the significant delays and bars on the Axes of an STRF's space-time image."""
    return outline_bars(significant_bars(field, strf), strf, ax)


def outline_bars(mask: Mask, strf: Drawable, ax: Axes, *, label: str = "significant", colour: str = style.INK) -> Axes:
    """Outline where a mask, ``(n_delays, n_bars)``, is True on the Axes of a space-time image."""
    return _draw_outline(bars_outline(mask, strf), ax, label, colour)


def draw_fit(field: ReceptiveFieldResult, ax: Axes, *, label: bool = True) -> Axes:
    """Draw the centre and the ellipses at 1 and 2 sigma of a field of checkers on Axes in micrometres.

    Notes
    -----
    A field without a centre leaves the Axes as they are, one without a size has a cross only.
    """
    centre_um = np.array([measure(field, "centre_x_um"), measure(field, "centre_y_um")])
    if not np.isfinite(centre_um).all():
        return ax
    around = halo(2.2 if label else 1.4)
    ax.plot(*centre_um, "+", color=style.INK, markersize=6 if label else 3, path_effects=around, zorder=5)
    for n_sigma, line in SIGMA_STYLES.items():
        ellipse = fit_ellipse(field, n_sigma, fill=False, linestyle=line, edgecolor=style.INK, linewidth=0.9, zorder=4)
        if ellipse is None:
            break
        ellipse.set_path_effects(around)
        ax.add_patch(ellipse)
        if label:
            on_edge = ellipse.get_patch_transform().transform(_label_place(ellipse.angle))
            _say(ax, f"{n_sigma}σ", (float(on_edge[0]), float(on_edge[1])))
    return ax


def draw_fit_bands(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the centre of a field of bars, and one sigma to either side, across a space-time image."""
    axis = "x" if field.region.shape[0] == 1 else "y"
    centre_um, sigma_um = measure(field, f"centre_{axis}_um"), measure(field, "sigma_major_um")
    places_um = [centre_um - sigma_um, centre_um, centre_um + sigma_um]
    for place_um, line in zip(places_um, (SIGMA_STYLES[2], "solid", SIGMA_STYLES[2]), strict=True):
        if np.isfinite(place_um):
            ax.axhline(place_um, color=style.INK, linewidth=0.7, linestyle=line, path_effects=halo(1.3), zorder=4)
    if np.isfinite(centre_um):
        known_um = [place_um for place_um in places_um if np.isfinite(place_um)]
        top_um = known_um[0 if ax.yaxis_inverted() else -1]
        _say(ax, "centre ±1σ" if np.isfinite(sigma_um) else "centre", (ax.get_xlim()[0], top_um), above=True)
    return ax


def fit_ellipse(field: ReceptiveFieldResult, n_sigma: float, **patch: Any) -> Ellipse | None:
    """Ellipse of a field at `n_sigma`; None where its place or size is not known."""
    found = ellipse_of(field)
    if found is None:
        return None
    return Ellipse(
        (found.x_um, found.y_um),
        2 * n_sigma * found.major_um,
        2 * n_sigma * found.minor_um,
        angle=found.angle_deg,
        **patch,
    )


def _label_place(angle_deg: float) -> tuple[float, float]:
    """Point of the unit circle that an ellipse turned by this angle has at its lower right on the page."""
    direction = np.deg2rad(45 - angle_deg)
    return float(np.cos(direction)), float(np.sin(direction))


def _draw_outline(segments: Floats, ax: Axes, label: str, colour: str) -> Axes:
    outline = LineCollection(
        list(segments), colors=colour, linewidths=0.7, capstyle="projecting", label=label, zorder=3
    )
    ax.add_collection(outline, autolim=False)
    return ax


def _say(ax: Axes, words: str, place: tuple[float, float], *, above: bool = False) -> None:
    ax.annotate(
        words,
        place,
        xytext=(2, 2 if above else -2),
        textcoords="offset points",
        va="bottom" if above else "top",
        fontsize=style.SMALL_PT,
        color=style.INK,
        path_effects=halo(),
        clip_on=True,
        zorder=6,
    )
