"""The map of a receptive field in space, and what was fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from dj_neuron.figures import style
from dj_neuron.figures.field_marks import SIGMA_STYLES, draw_fit, halo
from dj_neuron.figures.panel_grid import moved_inside
from dj_neuron.pictures.words import measure, polarity_of, reason_of, sign_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult

    Floats = NDArray[np.float64]

_MARGIN = 1.15  # around the region of the field
_VIEW_MARGIN = 1.8
_CURVE_POINTS = 400


def draw_spatial_map(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the map around the field, right way up, with the fitted centre, its 1-sigma and its 2-sigma ellipse.

    Parameters
    ----------
    field : ReceptiveFieldResult
        Of bars, the map is a profile; without a field, the reason stands in its place.
    ax : Axes
        To draw on.

    Notes
    -----
    ON fields are warm and OFF fields cold. What lies beyond the screen is grey.
    """
    n_y, n_x = field.region.shape
    is_image = min(n_y, n_x) > 1
    style.clean_axes(ax, box=is_image)
    if not field.has_field or max(n_y, n_x) == 1 or not np.isfinite(field.spatial_map).any():
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(reason_of(field, "space") or "no map"))
        return ax
    if is_image:
        _draw_image(field, ax)
    else:
        _draw_profile(field, ax)
    remarks = remarks_on(field)
    if remarks:
        ax.text(
            0.03, 0.97, wrapped(remarks), transform=ax.transAxes, va="top", fontsize=style.SMALL_PT, color=style.INK,
            path_effects=halo(), zorder=7,
        )  # fmt: skip
    return ax


def remarks_on(field: ReceptiveFieldResult) -> str:
    """What to know before believing a fit: cut by the edge, smaller than a block, or why there is none."""
    remarks = []
    if measure(field, "cut_by_edge") == 1:
        remarks.append("cut by the edge of the screen")
    if measure(field, "smaller_than_block") == 1:
        remarks.append("smaller than a block")
    if reason_of(field, "space"):
        remarks.append(reason_of(field, "space"))
    return "; ".join(remarks)


def _draw_image(field: ReceptiveFieldResult, ax: Axes) -> None:
    signed = field.spatial_map * sign_of(field)
    width_um, height_um = field.extent_um
    limit = style.symmetric_limit(np.where(field.region, signed, np.nan))
    ax.set_facecolor(style.NO_DATA)
    ax.imshow(
        signed,
        origin="upper",
        extent=(0, width_um, height_um, 0),
        cmap=style.CONTRAST_MAP,
        vmin=-limit,
        vmax=limit,
        interpolation="none",
    )
    ax.add_patch(Rectangle((0, 0), width_um, height_um, fill=False, edgecolor=style.CONTROL, linewidth=0.8))
    left, right, top, bottom = window_um(field, _MARGIN)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", anchor="W")
    style.label_axes(ax, x="x (µm)", y="y (µm)")
    style.micrometre_ticks(ax, *style.axes_size_in(ax))
    draw_fit(field, ax)
    style.scale_bar(ax)
    ax.text(
        1, 1.015, f"contrast ±{limit:.2g}", transform=ax.transAxes, ha="right", va="bottom", fontsize=style.SMALL_PT,
        color=style.CONTROL,
    )  # fmt: skip


def window_um(field: ReceptiveFieldResult, margin: float) -> tuple[float, float, float, float]:
    """Give left, right, top and bottom of a square around the region, `margin` times as large but within reason.

    It is no larger than the longer side of the screen, beyond which it may reach.
    """
    edges_um = []
    for axis, size_um in ((0, field.block_size_um[0]), (1, field.block_size_um[1])):
        inside = np.flatnonzero(field.region.any(axis=axis))
        edges_um.append((inside[0] * size_um, (inside[-1] + 1) * size_um))
    (left, right), (top, bottom) = edges_um
    half_um = min(margin * max(right - left, bottom - top), max(field.extent_um)) / 2
    x_um, y_um = (left + right) / 2, (top + bottom) / 2
    return x_um - half_um, x_um + half_um, y_um - half_um, y_um + half_um


def view_um(field: ReceptiveFieldResult) -> tuple[float, float, float, float]:
    """Give left, right, top and bottom of a field and its surroundings on the screen; the screen without a field."""
    width_um, height_um = field.extent_um
    if not field.has_field:
        return 0.0, width_um, 0.0, height_um
    left, right, top, bottom = window_um(field, _VIEW_MARGIN)
    return *moved_inside(left, right, width_um), *moved_inside(top, bottom, height_um)


def _draw_profile(field: ReceptiveFieldResult, ax: Axes) -> None:
    """Contrast along the one axis that bars have: x to the right, y down."""
    is_x = field.region.shape[0] == 1
    axis, size_um = ("x", field.block_size_um[0]) if is_x else ("y", field.block_size_um[1])
    sign = sign_of(field)
    profile, error = sign * field.spatial_map.ravel(), field.spatial_map_se.ravel()
    places_um = (np.arange(profile.size) + 0.5) * size_um
    fine_um = np.linspace(0, profile.size * size_um, _CURVE_POINTS)
    curve = sign * _fitted_profile(field, axis, fine_um)
    colour = style.polarity_colour(polarity_of(field))
    centre_um, sigma_um = measure(field, f"centre_{axis}_um"), measure(field, "sigma_major_um")
    between, line = (ax.fill_between, ax.axvline) if is_x else (ax.fill_betweenx, ax.axhline)
    between(places_um, profile - error, profile + error, color=style.FAINT, linewidth=0, alpha=0.6)
    ax.plot(*((places_um, profile) if is_x else (profile, places_um)), color=style.INK, linewidth=0.9)
    ax.plot(*((fine_um, curve) if is_x else (curve, fine_um)), color=colour, linewidth=1.3)
    for place_um, dashes in (
        (centre_um, "solid"),
        (centre_um - sigma_um, SIGMA_STYLES[2]),
        (centre_um + sigma_um, SIGMA_STYLES[2]),
    ):
        if np.isfinite(place_um):
            line(place_um, color=colour, linewidth=0.7, linestyle=dashes, zorder=1)
    contrast, place = "STA (contrast), band ±1 SE", f"{axis} (µm), centre ±1σ"
    if is_x:
        ax.set_xlim(0, fine_um[-1])
        style.label_axes(ax, x=place, y=contrast)
    else:
        ax.set_ylim(fine_um[-1], 0)
        style.label_axes(ax, x=contrast, y=place)


def _fitted_profile(field: ReceptiveFieldResult, axis: str, places_um: Floats) -> Floats:
    """Contrast of the fitted Gaussian, or difference of Gaussians; NaN without a fit."""
    centre_um, sigma_um = measure(field, f"centre_{axis}_um"), measure(field, "sigma_major_um")
    squared = ((places_um - centre_um) / sigma_um) ** 2
    shape = np.exp(-squared / 2)
    if field.model == "difference_of_gaussians":
        strength, ratio = measure(field, "surround_strength"), measure(field, "surround_ratio")
        shape = shape - strength / ratio * np.exp(-squared / (2 * ratio**2))
    return np.asarray(measure(field, "amplitude") * shape)
