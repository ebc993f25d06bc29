"""An STRF of bars as a space-time image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.explorer.plots.delay_axis import mark_delay, set_delay_axis
from dj_neuron.explorer.plots.overlays import add_chosen, add_line, add_outline
from dj_neuron.explorer.plots.strf_frames import check_place
from dj_neuron.explorer.plots.theme import BAND, CONTRAST_SCALE, colour_scale, contrast_bar, level, new_figure, told
from dj_neuron.pictures.colours import INK, NO_DATA, symmetric_limit
from dj_neuron.pictures.delays import delay_columns_ms, spread_columns
from dj_neuron.pictures.marks import bars_outline, significant_bars
from dj_neuron.pictures.words import check_same_neuron, contrast_label, measure

if TYPE_CHECKING:
    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.explorer.plots.plot import Plot


def space_time(
    strf: Strf,
    field: ReceptiveFieldResult | None = None,
    *,
    delay_idx: int | None = None,
    block: tuple[int, int] | None = None,
    show_fit: bool = True,
    show_significant: bool = True,
) -> Plot:
    """Draw contrast over time before the spike and space; a single delay becomes a profile.

    Parameters
    ----------
    strf : Strf
        Of bars: ``(n_delays, 1, n_x)`` or ``(n_delays, n_y, 1)``.
    field : ReceptiveFieldResult, optional
        What was found in it: outlines, and the fitted centre with one sigma to either side.
    delay_idx : int, optional
        Delay to mark.
    block : tuple of int, optional
        Row and column of the bar to frame.
    show_fit, show_significant : bool
        Overlays that are not shown are there all the same, to be switched on in the browser.

    Returns
    -------
    Plot
        Named as those of :func:`strf_frames`; the marked delay is the shape ``delay marker``. Horizontal bars have y
        downwards from the top of the screen, vertical bars x upwards from its left.

    Raises
    ------
    ContractError
        If the stimulus does not have exactly one spatial axis, there is no such delay or bar, or the field is another
        neuron's.
    """
    space = _space_axis(strf)
    check_place(strf, delay_idx, block)
    if field is not None:
        check_same_neuron(strf, field)
    if not np.isfinite(strf.values).any():
        return told("too few spikes")
    if len(strf.delays_s) == 1:
        return _profile(strf, space)
    size_um = strf.block_size_um["xy".index(space)]
    values = np.asarray(strf.values.reshape(len(strf.delays_s), -1), np.float64)
    edges_um = np.arange(values.shape[1] + 1) * size_um
    columns_ms = delay_columns_ms(strf.delays_s, strf.frame_rate_hz)
    edges_ms, spread = spread_columns(columns_ms, values)
    has_z = strf.estimator != "ridge"
    z = spread_columns(columns_ms, np.asarray(strf.z.reshape(values.shape), np.float64))[1].T if has_z else None
    limit = symmetric_limit(values)
    figure = new_figure(plot_bgcolor=NO_DATA, margin={"l": 56, "r": 8, "t": 22, "b": 44})
    figure.add_heatmap(
        z=spread.T,
        customdata=z,
        x=edges_ms,
        y=edges_um,
        zmin=-limit,
        zmax=limit,
        colorscale=colour_scale(CONTRAST_SCALE),
        colorbar=contrast_bar(limit, contrast_label(strf)),
        hoverongaps=False,
        hovertemplate=f"%{{x:.1f}} ms, {space} %{{y:.0f}} µm<br>%{{z:.3g}}"
        + (", z = %{customdata:.1f}" if has_z else "")
        + "<extra></extra>",
        name="STRF",
    )
    set_delay_axis(figure, columns_ms, shade=False)
    if field is not None:
        add_outline(figure, bars_outline(significant_bars(field, strf), strf), visible=show_significant)
        _add_fit(figure, field, space, (float(edges_ms[0]), float(edges_ms[-1])), visible=show_fit)
    if block is not None:
        bar = block[1] if space == "x" else block[0]
        add_chosen(figure, float(edges_ms[0]), float(edges_ms[-1]), bar * size_um, (bar + 1) * size_um, width=1.6)
    if delay_idx is not None:
        mark_delay(figure, float(strf.delays_s[delay_idx]) * 1e3)
    ends_um = [edges_um[-1], 0.0] if space == "y" else [0.0, edges_um[-1]]
    figure.update_xaxes(mirror=True)
    figure.update_yaxes(title={"text": _space_label(space)}, range=ends_um, mirror=True)
    return figure


def _add_fit(
    figure: Plot, field: ReceptiveFieldResult, space: str, ends_ms: tuple[float, float], *, visible: bool
) -> None:
    centre_um, sigma_um = measure(field, f"centre_{space}_um"), measure(field, "sigma_major_um")
    for place_um, dash in ((centre_um, "solid"), (centre_um - sigma_um, "6px,3px"), (centre_um + sigma_um, "6px,3px")):
        if np.isfinite(place_um):
            add_line(figure, ends_ms, [place_um, place_um], "fit", dash=dash, visible=visible)


def _profile(strf: Strf, space: str) -> Plot:
    profile = np.asarray(strf.values.ravel(), np.float64)
    error = np.nan_to_num(np.asarray(strf.standard_error.ravel(), np.float64))
    size_um = strf.block_size_um["xy".index(space)]
    places_um = (np.arange(profile.size) + 0.5) * size_um
    closed_um = np.concatenate([places_um, places_um[::-1]])
    band = np.concatenate([profile - error, (profile + error)[::-1]])
    swap = space == "y"
    figure = new_figure()
    figure.add_scatter(
        x=band if swap else closed_um,
        y=closed_um if swap else band,
        fill="toself",
        fillcolor=BAND,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name="band",
    )
    figure.add_scatter(
        x=profile if swap else places_um,
        y=places_um if swap else profile,
        mode="lines+markers",
        line={"color": INK, "width": 1.6},
        marker={"size": 5},
        hovertemplate="%{x:.3g}, %{y:.3g}<extra></extra>",
        name="STRF",
    )
    contrast = contrast_label(strf) + ("" if strf.estimator == "ridge" else ", band ±1 SE")
    places: dict[str, Any] = {"title": {"text": _space_label(space)}}
    length_um = profile.size * size_um
    if swap:
        level(figure, 0, upright=True)
        figure.update_xaxes(title={"text": contrast})
        figure.update_yaxes(range=[length_um, 0], **places)
    else:
        level(figure, 0)
        figure.update_xaxes(range=[0, length_um], **places)
        figure.update_yaxes(title={"text": contrast})
    return figure


def _space_axis(strf: Strf) -> str:
    n_y, n_x = strf.values.shape[1:]
    if min(n_y, n_x) != 1 or max(n_y, n_x) == 1:
        raise ContractError(f"{strf.label} has {n_y} x {n_x} blocks, expected bars: 1 x n_x or n_y x 1")
    return "x" if n_y == 1 else "y"


def _space_label(space: str) -> str:
    return f"{space} (µm from the {'left' if space == 'x' else 'top'})"
