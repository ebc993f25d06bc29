"""Where the receptive fields of a stimulation lie on the screen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dj_neuron.figures import style
from dj_neuron.figures.field_marks import fit_ellipse, halo
from dj_neuron.pictures.places import is_placed, missing_text, neurons_text, regularity_text, screen_of
from dj_neuron.pictures.words import POLARITY, measure, polarity_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from dj_neuron.contracts import MosaicResult, ReceptiveFieldResult

_LINES: dict[int | None, Any] = {1: "solid", -1: (0, (4, 1.5)), None: (0, (1, 1.5))}
_MARKS = {1: "o", -1: "v", None: "s"}
_LETTERS_PER_IN = 14
_MOST_NUMBERED = 80  # neurons whose numbers can still be read


def draw_mosaic(fields: Sequence[ReceptiveFieldResult], ax: Axes, mosaics: Sequence[MosaicResult] = ()) -> Axes:
    """Draw the 1-sigma ellipses of all fitted fields of a stimulation, right way up, in micrometres.

    Parameters
    ----------
    fields : sequence of ReceptiveFieldResult
        Of one stimulation, at least one. Those of bars become intervals of one sigma to either side of the centre.
    ax : Axes
        To draw on; above it should be room for a legend of three lines.
    mosaics : sequence of MosaicResult
        Their regularity stands in the legend.

    Raises
    ------
    ContractError
        If there is no field, or they are not all of one screen.

    Notes
    -----
    ON fields are solid with dots at their centres, OFF fields dashed with triangles, those of unknown polarity dotted
    with squares. A field without a size has a centre only, one without a centre is not drawn: ``missing_text``
    counts these.
    """
    axes, extent_um = screen_of(fields)
    style.clean_axes(ax, box=axes == "xy")
    if not axes:
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, "full-field stimulus: nothing is known about space")
        return ax
    placed = [field for field in fields if is_placed(field, axes)]
    if axes == "xy":
        _draw_ellipses(placed, extent_um, ax)
    else:
        _draw_intervals(placed, axes, extent_um, ax)
    _add_legend(placed, mosaics, ax)
    return ax


def mosaic_figure(fields: Sequence[ReceptiveFieldResult], mosaics: Sequence[MosaicResult] = ()) -> Figure:
    """Mosaic of a stimulation with its name above and, in words, the neurons that are missing below."""
    axes, (width_um, height_um) = screen_of(fields)
    width_in = min(8.0, 7.0 * width_um / height_um) if axes == "xy" else 8.0
    height_in = width_in * height_um / width_um if axes == "xy" else 4.5
    title = str(fields[0].stimulation_id)
    figure_in = (max(width_in, style.text_width_in(title, style.TITLE_PT, bold=True), 5.5) + 1.1, height_in + 1.95)
    figure = Figure(figsize=figure_in)
    left = 0.8 / figure_in[0]
    ax = figure.add_axes((left, 0.8 / figure_in[1], width_in / figure_in[0], height_in / figure_in[1]))
    draw_mosaic(fields, ax, mosaics)
    extent = "1-sigma ellipses" if axes == "xy" else "centre ±1σ"
    style.head(figure, left, title, f"receptive fields of {neurons_text(len(fields))}, {extent}")
    notes = [
        f"{POLARITY[mosaic.polarity]}: {mosaic.reason}"
        for mosaic in mosaics
        if mosaic.reason and mosaic.nearest_um.size
    ]
    words = "; ".join(text for text in (missing_text(fields), *notes) if text)
    figure.text(
        left, 0.25 / figure_in[1], wrapped(words, int(figure_in[0] * _LETTERS_PER_IN)), fontsize=style.SMALL_PT,
        color=style.CONTROL, va="top", style="italic",
    )  # fmt: skip
    return figure


def _draw_ellipses(placed: list[ReceptiveFieldResult], extent_um: tuple[float, float], ax: Axes) -> None:
    width_um, height_um = extent_um
    ax.set(xlim=(0, width_um), ylim=(height_um, 0), aspect="equal", anchor="NW")
    for field in placed:
        polarity = polarity_of(field)
        colour = style.polarity_colour(polarity)
        centre_um = measure(field, "centre_x_um"), measure(field, "centre_y_um")
        for fill, alpha in ((True, 0.10), (False, 1.0)):
            ellipse = fit_ellipse(
                field, 1, fill=fill, color=colour, alpha=alpha, linestyle=_LINES[polarity], linewidth=1.1 * (not fill),
                clip_on=False,
            )  # fmt: skip
            if ellipse is not None:
                ax.add_patch(ellipse)
        ax.plot(*centre_um, _MARKS[polarity], color=colour, markersize=2.5)
        if len(placed) <= _MOST_NUMBERED:
            _number(field, centre_um, ax)
    style.label_axes(ax, x="x (µm)", y="y (µm)")
    style.micrometre_ticks(ax, *style.axes_size_in(ax))
    style.scale_bar(ax, below=True)


def _draw_intervals(placed: list[ReceptiveFieldResult], axis: str, extent_um: tuple[float, float], ax: Axes) -> None:
    """One row, or column, per neuron in the order of the centres; position on the screen along the other axis."""
    placed = sorted(placed, key=lambda field: measure(field, f"centre_{axis}_um"))
    for rank, field in enumerate(placed):
        polarity = polarity_of(field)
        centre_um, sigma_um = measure(field, f"centre_{axis}_um"), measure(field, "sigma_major_um")
        colour = style.polarity_colour(polarity)
        along, across = np.array([centre_um - sigma_um, centre_um + sigma_um]), np.array([rank, rank])
        ax.plot(
            *((along, across) if axis == "x" else (across, along)), color=colour, linestyle=_LINES[polarity],
            linewidth=1.6, label=f"neuron {field.neuron_id}",
        )  # fmt: skip
        place = (centre_um, float(rank)) if axis == "x" else (float(rank), centre_um)
        ax.plot(*place, _MARKS[polarity], color=colour, markersize=4)
        if len(placed) <= _MOST_NUMBERED:
            _number(field, place, ax)
    ranks = (-0.8, max(len(placed), 1) - 0.2)
    if axis == "x":
        ax.set(xlim=(0, extent_um[0]), ylim=ranks, yticks=[])
        style.label_axes(ax, x="x (µm from the left)", y="neurons by place")
    else:
        ax.set(ylim=(extent_um[1], 0), xlim=ranks, xticks=[])
        style.label_axes(ax, x="neurons by place", y="y (µm from the top)")


def _number(field: ReceptiveFieldResult, place: tuple[float, float], ax: Axes) -> None:
    ax.annotate(
        str(field.neuron_id), place, xytext=(2.5, 2.5), textcoords="offset points", fontsize=6, clip_on=True,
        color=style.polarity_colour(polarity_of(field)), path_effects=halo(1.2),
    )  # fmt: skip


def _add_legend(placed: list[ReceptiveFieldResult], mosaics: Sequence[MosaicResult], ax: Axes) -> None:
    n_fields = Counter(polarity_of(field) for field in placed)
    handles = [_handle(polarity, n_fields[polarity], mosaics) for polarity in (1, -1)]
    if n_fields[None]:
        handles.append(_handle(None, n_fields[None], ()))
    ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=style.SMALL_PT,
        labelcolor=style.INK, borderaxespad=0.2, handlelength=3,
    )  # fmt: skip


def _handle(polarity: int | None, n_fields: int, mosaics: Sequence[MosaicResult]) -> Line2D:
    words = f"{POLARITY.get(polarity or 0, 'polarity not known')}, n = {n_fields}"
    words += "".join(regularity_text(mosaic) for mosaic in mosaics if mosaic.polarity == polarity)
    return Line2D(
        [], [], color=style.polarity_colour(polarity), linestyle=_LINES[polarity], marker=_MARKS[polarity],
        markersize=3.5, linewidth=1.1, label=words,
    )  # fmt: skip
