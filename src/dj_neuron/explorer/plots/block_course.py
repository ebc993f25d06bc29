"""Contrast against delay at one block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.explorer.plots.delay_axis import mark_delay, set_delay_axis
from dj_neuron.explorer.plots.strf_frames import check_place
from dj_neuron.explorer.plots.theme import BAND, level, new_figure, note, told
from dj_neuron.pictures.colours import INK, polarity_colour
from dj_neuron.pictures.delays import delay_columns_ms
from dj_neuron.pictures.words import check_same_neuron, contrast_label, place_text, significant_at

if TYPE_CHECKING:
    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.explorer.plots.plot import Plot


def block_course(
    strf: Strf, field: ReceptiveFieldResult | None = None, *, block: tuple[int, int], delay_idx: int
) -> Plot:
    """Draw the time course of a block with a band of one standard error, and mark a delay.

    Parameters
    ----------
    strf : Strf
        The estimate.
    field : ReceptiveFieldResult, optional
        What was found in it: points are filled at delays where the block is significant, in the colour of their sign.
    block : tuple of int
        Row and column.
    delay_idx : int
        Place in ``strf.delays_s`` of the marked delay.

    Returns
    -------
    Plot
        With traces ``band``, ``course`` and, where anything is significant, ``significant``; the marked delay is the
        shape ``delay marker``.

    Raises
    ------
    ContractError
        If there is no such delay or block, or the field is another neuron's.
    """
    check_place(strf, delay_idx, block)
    course = np.asarray(strf.values[(slice(None), *block)], np.float64)
    if not np.isfinite(course).any():
        return told("too few spikes")
    error = np.nan_to_num(np.asarray(strf.standard_error[(slice(None), *block)], np.float64))
    delays_ms = strf.delays_s * 1e3
    baseline = 0.0 if strf.centred else float(strf.pixel_mean[block])
    figure = new_figure()
    set_delay_axis(figure, delay_columns_ms(strf.delays_s, strf.frame_rate_hz), shade=True)
    level(figure, baseline)
    finite = np.isfinite(course)
    low, high = (course - error)[finite], (course + error)[finite]
    figure.add_scatter(
        x=np.concatenate([delays_ms[finite], delays_ms[finite][::-1]]),
        y=np.concatenate([low, high[::-1]]),
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="band",
    )
    has_z = strf.estimator != "ridge"
    figure.add_scatter(
        x=delays_ms,
        y=course,
        customdata=np.stack([error, strf.z[(slice(None), *block)] if has_z else np.full_like(course, np.nan)], axis=-1),
        mode="lines+markers",
        line={"color": INK, "width": 1.6},
        marker={"size": 5},
        hovertemplate="%{x:.1f} ms<br>%{y:.3g}"
        + (" ± %{customdata[0]:.2g}, z = %{customdata[1]:.1f}" if has_z else "")
        + "<extra></extra>",
        name="course",
    )
    if field is not None:
        check_same_neuron(strf, field)
        _mark_significant(figure, strf, field, block, baseline)
    mark_delay(figure, float(delays_ms[delay_idx]))
    note(figure, place_text(strf, block))
    figure.update_yaxes(title={"text": contrast_label(strf)}, tickformat="~g")
    return figure


def _mark_significant(
    figure: Plot, strf: Strf, field: ReceptiveFieldResult, block: tuple[int, int], baseline: float
) -> None:
    found = [significant_at(field, float(delay_s)) for delay_s in strf.delays_s]
    chosen = np.array([mask is not None and bool(mask[block]) for mask in found])
    if chosen.any():
        values = strf.values[(chosen, *block)]
        figure.add_scatter(
            x=strf.delays_s[chosen] * 1e3,
            y=values,
            mode="markers",
            marker={
                "size": 8,
                "color": [polarity_colour(1 if value > baseline else -1) for value in values],
                "line": {"color": "white", "width": 1},
            },
            hoverinfo="skip",
            name="significant",
        )
