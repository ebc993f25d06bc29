"""A neuron's STRF as images: one panel for every delay, all on one symmetric scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.field_marks import draw_fit, draw_significant_blocks
from dj_neuron.figures.panel_grid import panel_grid
from dj_neuron.pictures.marks import peak_of
from dj_neuron.pictures.words import check_same_neuron, marks_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.pictures.drawable import Drawable


def draw_strf_frame(strf: Drawable, delay_idx: int, ax: Axes, limit: float | None = None) -> Axes:
    """Draw the STRF at one delay, right way up, in micrometres from the top left corner.

    Parameters
    ----------
    strf : Strf or CovarianceFilter
        Of at least 2 x 2 blocks.
    delay_idx : int
        Place in ``strf.delays_s``.
    ax : Axes
        To draw on.
    limit : float, optional
        Contrast at the ends of the colour scale; default: the largest of all delays.

    Raises
    ------
    ContractError
        If the stimulus was bars (see :func:`draw_space_time`) or there is no such delay.
    """
    _check(strf, [delay_idx])
    delay_s = float(strf.delays_s[delay_idx])
    frame = strf.values[delay_idx]
    width_um, height_um = strf.extent_um
    limit = style.symmetric_limit(strf.values) if limit is None else limit
    ax.set(xlim=(0, width_um), ylim=(height_um, 0), aspect="equal")
    style.clean_axes(ax, box=True)
    style.label_axes(ax, x="x (µm)", y="y (µm)")
    if np.isfinite(frame).any():
        ax.imshow(
            frame,
            origin="upper",
            extent=(0, width_um, height_um, 0),
            cmap=style.CONTRAST_MAP,
            vmin=-limit,
            vmax=limit,
            interpolation="none",
        )
    else:
        style.no_data(ax, "too few\nspikes")
    is_control = delay_s < 0
    ax.set_title(
        style.delay_text(delay_s) + (", control" if is_control else ""),
        fontsize=style.TICK_PT,
        color=style.CONTROL if is_control else style.INK,
        style="italic" if is_control else "normal",
        pad=3,
    )
    if is_control:
        for spine in ax.spines.values():
            spine.set(color=style.FAINT, linestyle=(0, (4, 3)))
    return ax


def mark_frame(field: ReceptiveFieldResult, strf: Strf, delay_idx: int, ax: Axes, *, label: bool = False) -> Axes:
    """Outline the significant blocks of a frame and, at the delay of the peak, draw the fitted ellipses."""
    draw_significant_blocks(field, float(strf.delays_s[delay_idx]), ax)
    peak = peak_of(strf)
    if peak is not None and peak[0] == delay_idx:
        draw_fit(field, ax, label=label)
    return ax


def strf_panels(
    strf: Strf,
    field: ReceptiveFieldResult | None = None,
    *,
    delay_indices: Sequence[int] | None = None,
    max_panels: int = 64,
    limit: float | None = None,
    overlay: Callable[[Axes, int], object] | None = None,
) -> Figure:
    """Show all delays of a neuron side by side, in the order of time: the longest delay first.

    Parameters
    ----------
    strf : Strf
        Of at least 2 x 2 blocks.
    field : ReceptiveFieldResult, optional
        What was found in it: significant blocks are outlined, the fit is drawn at the delay of the peak.
    delay_indices : sequence of int, optional
        Places in ``strf.delays_s``; default: all.
    max_panels : int
        Of more delays an even selection is shown, and the subtitle says so.
    limit : float, optional
        Contrast at the ends of the colour scale; default: the largest of all delays, shown or not.
    overlay : callable, optional
        Called with the Axes and the delay index of every panel, to add outlines or fits.

    Returns
    -------
    Figure
        Its first Axes are the panels; the label of each is ``delay <index>``.
    """
    chosen = list(range(len(strf.delays_s)) if delay_indices is None else delay_indices)
    _check(strf, chosen)
    chosen.sort(key=lambda delay_idx: -float(strf.delays_s[delay_idx]))
    n_chosen = len(chosen)
    if n_chosen > max_panels:
        chosen = [chosen[i] for i in np.linspace(0, n_chosen - 1, max_panels).round().astype(int)]

    subtitle = style.spikes_text(strf)
    if len(chosen) < n_chosen:
        subtitle += f"; {len(chosen)} of {n_chosen} delays shown"
    if field is not None:
        check_same_neuron(strf, field)
        subtitle += f"; {marks_text(field, strf)}"
    width_um, height_um = strf.extent_um
    max_columns = int(np.clip(8 * np.sqrt(1.6 * height_um / width_um), 2, 8))  # fewer of very wide fields
    grid = panel_grid(
        len(chosen),
        strf.extent_um,
        title=strf.label,
        subtitle=subtitle,
        max_columns=max_columns,
        panel_width_in=12 / min(len(chosen), max_columns),
    )
    limit = style.symmetric_limit(strf.values) if limit is None else limit
    peak = peak_of(strf)
    for ax, delay_idx in zip(grid.panels, chosen, strict=True):
        ax.set_label(f"delay {delay_idx}")
        draw_strf_frame(strf, delay_idx, ax, limit)
        ax.set(xlabel="", ylabel="")
        if peak is not None and peak[0] == delay_idx:
            ax.title.set(text=f"{ax.get_title()}, peak", weight="bold")
        if field is not None:
            mark_frame(field, strf, delay_idx, ax)
        if overlay is not None:
            overlay(ax, delay_idx)
    if np.isfinite(strf.values[chosen]).any():
        scale = ScalarMappable(Normalize(-limit, limit), style.CONTRAST_MAP)
        style.contrast_bar(scale, style.contrast_label(strf), cax=grid.bar_slot)
    else:
        grid.bar_slot.remove()
    return grid.figure


def _check(strf: Drawable, delay_indices: Sequence[int]) -> None:
    n_delays, n_y, n_x = strf.values.shape
    if min(n_y, n_x) < 2:
        raise ContractError(f"{strf.label} has {n_y} x {n_x} blocks, expected at least 2 x 2 for an image per delay")
    if not delay_indices:
        raise ContractError(f"{strf.label}: no delay is chosen, expected at least one")
    for delay_idx in delay_indices:
        if not 0 <= delay_idx < n_delays:
            raise ContractError(f"{strf.label}: delay index is {delay_idx}, expected 0 to {n_delays - 1}")
