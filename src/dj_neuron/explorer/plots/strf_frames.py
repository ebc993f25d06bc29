"""One delay of an STRF of checkers, and all of them for a slider that runs in the browser."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.explorer.plots.overlays import add_chosen, add_ellipses, add_line, add_outline
from dj_neuron.explorer.plots.theme import CONTRAST_SCALE, broken_line, colour_scale, contrast_bar, new_figure
from dj_neuron.pictures.colours import INK, NO_DATA, symmetric_limit
from dj_neuron.pictures.marks import ellipse_of, significant_outline
from dj_neuron.pictures.words import check_same_neuron, contrast_label, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.explorer.plots.plot import Plot

MISSING = -32768
_STEPS = 32000  # from 0 to the largest value; two bytes each


def strf_frames(
    strf: Strf,
    field: ReceptiveFieldResult | None = None,
    *,
    delay_idx: int,
    block: tuple[int, int] | None = None,
    show_fit: bool = True,
    show_significant: bool = True,
) -> Plot:
    """Draw one delay of an STRF, right way up, in micrometres from the top left corner.

    Parameters
    ----------
    strf : Strf
        Of at least 2 x 2 blocks.
    field : ReceptiveFieldResult, optional
        What was found in it: significant blocks are outlined, the fit is drawn at 1 and 2 sigma.
    delay_idx : int
        Place in ``strf.delays_s``.
    block : tuple of int, optional
        Row and column to frame.
    show_fit, show_significant : bool
        Overlays that are not shown are there all the same, to be switched on in the browser.

    Returns
    -------
    Plot
        The first trace is the image, with z as its customdata (None without); the others are named ``significant``,
        ``fit`` and ``chosen block``. One colour scale serves all delays.

    Raises
    ------
    ContractError
        If the stimulus was bars, there is no such delay or block, or the field is another neuron's.
    """
    check_images(strf, delay_idx, block)
    width_um, height_um = strf.extent_um
    block_width_um, block_height_um = strf.block_size_um
    limit = symmetric_limit(strf.values)
    frame = np.asarray(strf.values[delay_idx], np.float32)
    has_z, is_known = strf.estimator != "ridge", bool(np.isfinite(strf.values).any())
    figure = new_figure(plot_bgcolor=NO_DATA, margin={"l": 56, "r": 8, "t": 10, "b": 44})
    figure.add_heatmap(
        z=frame,
        customdata=np.asarray(strf.z[delay_idx], np.float32) if has_z else None,
        x0=block_width_um / 2,
        dx=block_width_um,
        y0=block_height_um / 2,
        dy=block_height_um,
        zmin=-limit,
        zmax=limit,
        colorscale=colour_scale(CONTRAST_SCALE),
        colorbar=contrast_bar(limit, contrast_label(strf)),
        showscale=is_known,
        hoverongaps=False,
        hovertemplate="x %{x:.0f} µm, y %{y:.0f} µm<br>%{z:.3g}"
        + (", z = %{customdata:.1f}" if has_z else "")
        + "<extra></extra>",
        name="STRF",
    )
    if field is not None:
        check_same_neuron(strf, field)
        delay_s = float(strf.delays_s[delay_idx])
        add_outline(figure, significant_outline(field, delay_s), visible=show_significant)
        _add_fit(figure, field, visible=show_fit)
    if block is not None:
        left_um, top_um = block[1] * block_width_um, block[0] * block_height_um
        add_chosen(figure, left_um, left_um + block_width_um, top_um, top_um + block_height_um)
    if not is_known:
        figure.add_annotation(
            text="too few spikes", x=0.5, y=0.5, xref="x domain", yref="y domain", showarrow=False, font={"color": INK}
        )
    box = {"mirror": True, "constrain": "domain"}
    figure.update_xaxes(title={"text": "x (µm)"}, range=[0, width_um], **box)
    figure.update_yaxes(title={"text": "y (µm)"}, range=[height_um, 0], scaleanchor="x", **box)
    return figure


def strf_animation_data(strf: Strf, field: ReceptiveFieldResult | None = None) -> dict[str, Any]:
    """Give all delays of an STRF in a form that JSON carries and ``strf_frames.js`` draws.

    Returns
    -------
    dict
        ``delays_ms``, ``shape`` (n_y, n_x), ``is_bars``; ``values`` and ``z``, each with ``step`` and ``frames``: for
        every delay the blocks row by row as base64 of two-byte integers, low byte first, to be multiplied by ``step``,
        `MISSING` where there is none (z is None for a ridge estimate); ``outlines``: for every delay x and y in um of
        the line around significant blocks.
    """
    n_delays, n_y, n_x = strf.values.shape
    is_bars = 1 in (n_y, n_x)
    outlines = []
    if field is not None and not is_bars:
        check_same_neuron(strf, field)
        for delay_s in strf.delays_s:
            x, y = broken_line(significant_outline(field, float(delay_s)))
            outlines.append({"x": x, "y": y})
    return {
        "delays_ms": np.round(strf.delays_s * 1e3, 6).tolist(),
        "shape": [n_y, n_x],
        "is_bars": is_bars,
        "values": None if is_bars else _packed(strf.values.reshape(n_delays, -1)),
        "z": None if is_bars or strf.estimator == "ridge" else _packed(strf.z.reshape(n_delays, -1)),
        "outlines": outlines,
    }


def _packed(values: NDArray[Any]) -> dict[str, Any]:
    step = symmetric_limit(values) / _STEPS
    known = np.isfinite(values)
    whole = np.where(known, np.rint(np.where(known, values, 0) / step), MISSING).astype("<i2")
    return {"step": step, "frames": [b64encode(frame.tobytes()).decode("ascii") for frame in whole]}


def _add_fit(figure: Plot, field: ReceptiveFieldResult, *, visible: bool) -> None:
    x_um, y_um = measure(field, "centre_x_um"), measure(field, "centre_y_um")
    if not np.isfinite([x_um, y_um]).all():
        return
    ellipse = ellipse_of(field)
    if ellipse is not None:
        add_ellipses(figure, ellipse, visible=visible)
    arm_um = min(field.extent_um) / 60
    cross = [x_um - arm_um, x_um + arm_um, None, x_um, x_um], [y_um, y_um, None, y_um - arm_um, y_um + arm_um]
    add_line(figure, *cross, "fit", visible=visible)


def check_images(strf: Strf, delay_idx: int, block: tuple[int, int] | None) -> None:
    """Raise ContractError unless the STRF has images, this delay and this block."""
    _, n_y, n_x = strf.values.shape
    if min(n_y, n_x) < 2:
        raise ContractError(f"{strf.label} has {n_y} x {n_x} blocks, expected at least 2 x 2 for an image per delay")
    check_place(strf, delay_idx, block)


def check_place(strf: Strf, delay_idx: int | None, block: tuple[int, int] | None) -> None:
    """Raise ContractError unless the STRF has this delay and this block."""
    n_delays, n_y, n_x = strf.values.shape
    if delay_idx is not None and not 0 <= delay_idx < n_delays:
        raise ContractError(f"{strf.label}: delay index is {delay_idx}, expected 0 to {n_delays - 1}")
    if block is not None and not (0 <= block[0] < n_y and 0 <= block[1] < n_x):
        raise ContractError(f"{strf.label}: block is {block}, expected row 0 to {n_y - 1} and column 0 to {n_x - 1}")
