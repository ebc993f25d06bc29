"""The visual language that all pictures share: colours, sizes, axes, and the words on them.

Everything is an explicit argument; rcParams are global to the process and stay as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from dj_neuron.pictures.colours import (
    CONTROL,
    EXCITATORY,
    FAINT,
    HATCH,
    INK,
    NO_DATA,
    OFF,
    ON,
    OTHER,
    STIMULUS,
    SUPPRESSIVE,
    polarity_colour,
    symmetric_limit,
)
from dj_neuron.pictures.words import contrast_label, delay_text, spikes_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.text import Text


__all__ = [
    "CONTRAST_MAP",
    "CONTROL",
    "EXCITATORY",
    "FAINT",
    "HATCH",
    "INK",
    "LABEL_PT",
    "NO_DATA",
    "OFF",
    "ON",
    "OTHER",
    "SMALL_PT",
    "STIMULUS",
    "SUPPRESSIVE",
    "TICK_PT",
    "TITLE_PT",
    "axes_in",
    "axes_size_in",
    "clean_axes",
    "contrast_bar",
    "contrast_label",
    "delay_text",
    "head",
    "label_axes",
    "micrometre_ticks",
    "no_data",
    "polarity_colour",
    "scale_bar",
    "spikes_text",
    "symmetric_limit",
    "text_width_in",
]

TITLE_PT = 11.0
LABEL_PT = 9.0
TICK_PT = 8.0
SMALL_PT = 7.5

# ON (brighter than the mean) is warm, OFF is cold; red against blue survives the common colour blindnesses
CONTRAST_MAP: Colormap = mpl.colormaps["RdBu_r"].with_extremes(bad=NO_DATA)


def axes_in(figure: Figure, left_in: float, bottom_in: float, width_in: float, height_in: float) -> Axes:
    """Axes at a place in inches from the lower left corner of a figure."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left_in / across, bottom_in / up, width_in / across, height_in / up))


def axes_size_in(ax: Axes) -> tuple[float, float]:
    """Width and height of Axes in inches."""
    extent = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return float(extent.width), float(extent.height)


def text_width_in(text: str, size_pt: float, *, bold: bool = False) -> float:
    """Width of a line of text in inches; needs no renderer."""
    font = FontProperties(size=size_pt, weight="bold" if bold else "normal")
    width_pt, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width_pt) / 72


def clean_axes(ax: Axes, *, box: bool = False) -> None:
    """Thin lines and small ticks; a full box for images, left and bottom only for plots."""
    for side, spine in ax.spines.items():
        spine.set(visible=box or side in {"left", "bottom"}, linewidth=0.6, color=INK)
    ax.tick_params(labelsize=TICK_PT, length=3, width=0.6, color=INK, labelcolor=INK)


def label_axes(ax: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Axis labels and a title at the left, in the shared sizes."""
    ax.set_xlabel(x, fontsize=LABEL_PT, color=INK)
    ax.set_ylabel(y, fontsize=LABEL_PT, color=INK)
    if title:
        ax.set_title(title, fontsize=LABEL_PT, color=INK, loc="left", parse_math=False)


def head(figure: Figure, left: float, title: str, subtitle: str) -> None:
    """Title in bold and a line below it, at the top of a figure."""
    height_in = figure.get_figheight()
    text: dict[str, Any] = {"va": "top", "parse_math": False}
    figure.text(left, 1 - 0.1 / height_in, title, fontsize=TITLE_PT, weight="bold", color=INK, **text)
    figure.text(left, 1 - 0.36 / height_in, subtitle, fontsize=LABEL_PT, color=CONTROL, **text)


def micrometre_ticks(ax: Axes, width_in: float, height_in: float) -> None:
    """Round numbers on both axes, no more than a panel of this size has room for."""
    for axis, n_most in ((ax.xaxis, width_in / 0.4), (ax.yaxis, height_in / 0.3)):
        axis.set_major_locator(MaxNLocator(max(1, int(n_most)), steps=[1, 2, 5, 10], min_n_ticks=1))


def contrast_bar(mappable: ScalarMappable, label: str, *, ax: Axes | None = None, cax: Axes | None = None) -> Axes:
    """Colour bar with ticks at the two ends and zero, beside `ax` or in `cax`; returns its Axes."""
    host = cax if cax is not None else ax
    if host is None:
        raise TypeError("contrast_bar needs the Axes to stand beside (ax) or to fill (cax)")
    limit = float(mappable.get_clim()[1] or 1.0)
    bar = host.figure.colorbar(mappable, ax=ax, cax=cax)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"\N{MINUS SIGN}{limit:.2g}", "0", f"+{limit:.2g}"])
    bar.set_label(label, fontsize=LABEL_PT, color=INK)
    bar.ax.tick_params(labelsize=TICK_PT, length=2, width=0.6, labelcolor=INK)
    bar.outline.set(linewidth=0.6, edgecolor=INK)
    return bar.ax


def no_data(ax: Axes, text: str) -> Text:
    """Fill the Axes with a hatched grey that no contrast can be mistaken for, and say why."""
    ax.add_patch(
        Rectangle((0, 0), 1, 1, transform=ax.transAxes, facecolor=NO_DATA, edgecolor=HATCH, hatch="///", linewidth=0)
    )
    return ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=SMALL_PT, color=INK, clip_on=True
    )


def scale_bar(ax: Axes, length_um: float | None = None, color: str = INK, *, below: bool = False) -> Axes:
    """Draw a horizontal scale bar in the lower left corner of Axes in micrometres.

    Parameters
    ----------
    length_um : float, optional
        Default: the round number (1, 2 or 5 times a power of ten) nearest below a third of the width.
    below : bool
        Under the Axes instead, beside the label of the x axis.
    """
    width_um = abs(ax.get_xlim()[1] - ax.get_xlim()[0])
    if length_um is None:
        power = 10.0 ** math.floor(math.log10(width_um / 3))
        length_um = max(step * power for step in (1, 2, 5) if step * power <= width_um / 3)
    left, y = (0.0, -0.42 / axes_size_in(ax)[1]) if below else (0.05, 0.06)
    right = left + length_um / width_um
    axes_style: dict[str, Any] = {"transform": ax.transAxes, "color": color, "clip_on": False}
    ax.plot([left, right], [y, y], linewidth=2, solid_capstyle="butt", **axes_style)
    place = (right + 0.01, y, "left", "center") if below else ((left + right) / 2, y + 0.03, "center", "bottom")
    ax.text(*place[:2], f"{length_um:g} µm", ha=place[2], va=place[3], fontsize=SMALL_PT, **axes_style)
    return ax
