"""What the receptive fields of a stimulation are like: distributions over its neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.pictures.words import measure, polarity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_P_BINS = 20
_Q_WANTED = 0.05
_SPREAD = 0.3  # of the distance between ON and OFF, to either side
_GOLDEN = (np.sqrt(5) - 1) / 2  # its multiples fill an interval evenly
_PLOT_IN = (2.1, 2.3)


def draw_p_values(fields: Sequence[ReceptiveFieldResult], ax: Axes) -> Axes:
    """Draw the histogram of p, beside what it would be if no neuron had a field, and say how many are discoveries."""
    p_values = np.array([measure(field, "p_value_field") for field in fields])
    q_values = np.array([measure(field, "q_value_field") for field in fields])
    tested = p_values[np.isfinite(p_values)]
    style.clean_axes(ax)
    style.label_axes(ax, x="p value", y="neurons")
    if not tested.size:
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, "no neuron was tested")
        return ax
    ax.hist(tested, bins=_P_BINS, range=(0, 1), color=style.CONTROL, edgecolor="white", linewidth=0.5)
    ax.axhline(tested.size / _P_BINS, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)), label="no field anywhere")
    ax.set(xlim=(0, 1), xticks=[0, 0.5, 1])
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    n_found = int(np.count_nonzero(q_values <= _Q_WANTED))
    ax.text(
        0, 1.03, f"q ≤ {_Q_WANTED:g}: {n_found} of {tested.size}\ndashed: if none had a field", transform=ax.transAxes,
        va="bottom", fontsize=style.SMALL_PT, color=style.INK, linespacing=1.35,
    )  # fmt: skip
    return ax


def draw_by_polarity(
    fields: Sequence[ReceptiveFieldResult], value_of: Callable[[ReceptiveFieldResult], float], label: str, ax: Axes
) -> Axes:
    """Draw a measure of every neuron as a dot, ON and OFF side by side, with their medians.

    Parameters
    ----------
    value_of : callable
        The measure of a field; NaN where it is not known.
    label : str
        The measure and its unit.

    Notes
    -----
    Dots are spread sideways so that they can be counted; the place within a column means nothing.
    """
    style.clean_axes(ax)
    style.label_axes(ax, y=label)
    names, highest = [], 0.0
    for column, (polarity, name, mark) in enumerate(((1, "ON", "o"), (-1, "OFF", "v"))):
        values = np.array([value_of(field) for field in fields if polarity_of(field) == polarity])
        values = values[np.isfinite(values)]
        names.append(f"{name}\nn = {values.size}")
        places = column + _SPREAD * (2 * (_GOLDEN * np.arange(1, values.size + 1) % 1) - 1)
        colour = style.polarity_colour(polarity)
        ax.plot(places, values, mark, color=colour, markersize=3.5, alpha=0.75, markeredgewidth=0, label=name)
        if values.size:
            highest = max(highest, float(values.max()))
        if values.size > 1:
            ax.plot(column + np.array([-0.4, 0.4]), [np.median(values)] * 2, color=colour, linewidth=1.5, zorder=1)
    if not highest:
        ax.set_yticks([])
        style.no_data(ax, "not known of any neuron")
    ax.set(xlim=(-0.6, 1.6), ylim=(0, 1.1 * highest or 1))
    ax.set_xticks([0, 1], labels=names)
    return ax


def overview_figure(fields: Sequence[ReceptiveFieldResult]) -> Figure:
    """Distributions of p values, sizes, times to peak and biphasic indices over the neurons of a stimulation.

    Raises
    ------
    ContractError
        If there is no field.
    """
    if not fields:
        raise ContractError("no receptive field is given, expected those of one stimulation")
    pitch_in, left_in, bottom_in = _PLOT_IN[0] + 0.75, 0.65, 0.6
    figure_in = (left_in + 4 * pitch_in - 0.5, bottom_in + _PLOT_IN[1] + 0.95)
    figure = Figure(figsize=figure_in)
    slots = [
        figure.add_axes(
            (
                (left_in + k * pitch_in) / figure_in[0],
                bottom_in / figure_in[1],
                _PLOT_IN[0] / figure_in[0],
                _PLOT_IN[1] / figure_in[1],
            )
        )
        for k in range(4)
    ]
    draw_p_values(fields, slots[0])
    draw_by_polarity(fields, size_um, "size, mean σ (µm)", slots[1])
    draw_by_polarity(fields, lambda field: measure(field, "time_to_peak_s") * 1e3, "time to peak (ms)", slots[2])
    draw_by_polarity(fields, lambda field: measure(field, "biphasic_index"), "biphasic index", slots[3])
    n_fields = sum(field.has_field for field in fields)
    subtitle = (
        f"{len(fields)} neuron{'' if len(fields) == 1 else 's'}, {n_fields} with a field beyond chance; line: median"
    )
    style.head(figure, left_in / figure_in[0], str(fields[0].stimulation_id), subtitle)
    return figure


def size_um(field: ReceptiveFieldResult) -> float:
    """Radius of the circle with the area of the 1-sigma ellipse; sigma itself for bars."""
    major_um, minor_um = measure(field, "sigma_major_um"), measure(field, "sigma_minor_um")
    return major_um if field.axes in {"x", "y"} else float(np.sqrt(major_um * minor_um))
