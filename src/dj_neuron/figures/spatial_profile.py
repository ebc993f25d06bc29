"""A cut through a receptive field along its fitted axes, in micrometres from its centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.figures import style
from dj_neuron.pictures.words import measure, polarity_of, reason_of, sign_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult

    Floats = NDArray[np.float64]

_REACH_SIGMAS = 4.0
_CURVE_POINTS = 200
_NODES = np.linspace(-0.5, 0.5, 9)  # of a block that the fit is averaged over
_ROOM = 0.25  # of the height, below for the scale bar and above for words
_LINES: dict[str, tuple[str, Any, str]] = {"major": ("o", "solid", "full"), "minor": ("s", (0, (4, 1.5)), "none")}


@dataclass(frozen=True)
class FieldProfile:
    """Mean contrast across a field against the distance from its centre.

    Attributes
    ----------
    along : str
        "major" or "minor" axis; of bars, the only one is the major.
    sigma_um : float
        Of the fitted Gaussian along this axis.
    places_um : array (n_bins,)
        Mean distance of the blocks of a bin from the fitted centre, positive to the right; of horizontal bars
        downwards.
    values, standard_error : arrays (n_bins,)
        Mean of the map over the blocks of a bin, with its sign, and the standard error of that mean.
    n_blocks : int array (n_bins,)
        Over how many blocks.
    fine_um, fit : arrays (n_points,)
        The fitted model, averaged over the size of a block and over the same width.
    """

    along: str
    sigma_um: float
    places_um: Floats
    values: Floats
    standard_error: Floats
    n_blocks: NDArray[np.int64]
    fine_um: Floats
    fit: Floats


def field_profiles(field: ReceptiveFieldResult) -> list[FieldProfile]:
    """Cut a field along the major and the minor axis of its fit, the one axis of bars; nothing where size is not known.

    Notes
    -----
    Blocks count whose centres lie within one sigma of the axis, or half a block where that is more. Bins are as wide as
    a block is along the axis. The fit is that of the whole strip; the mean over few blocks may differ by some per cent.
    """
    if not (field.has_field and np.isfinite(measure(field, "sigma_major_um"))):
        return []
    if field.axes in {"x", "y"}:
        return [_profile_of_bars(field)]
    return [_profile(field, "major"), _profile(field, "minor")] if field.axes == "xy" else []


def draw_spatial_profile(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Draw the cuts through a field along its fitted axes with their standard errors, the fit, and a scale bar.

    Notes
    -----
    Dots and the solid line are the major axis, open squares and the dashed line the minor one. ON fields point up, OFF
    fields down.
    """
    style.clean_axes(ax)
    profiles = field_profiles(field)
    if not profiles:
        style.label_axes(ax, x="from the centre (µm)", y="contrast")
        ax.set(xticks=[], yticks=[])
        style.no_data(ax, wrapped(reason_of(field, "space") or "no size was fitted"))
        return ax
    style.label_axes(ax, x="from the centre (µm)", y="STA (contrast)")
    colour = style.polarity_colour(polarity_of(field))
    ax.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
    for profile in profiles:
        mark, line, fill = _LINES[profile.along]
        words = f"σ {profile.sigma_um:.3g} µm"
        ax.errorbar(
            profile.places_um, profile.values, yerr=profile.standard_error, fmt=mark, markersize=3, fillstyle=fill,
            color=style.INK, elinewidth=0.7, linewidth=0, zorder=2, label=f"{profile.along} data",
        )  # fmt: skip
        label = words if field.axes != "xy" else f"{profile.along} axis, {words}"
        ax.plot(profile.fine_um, profile.fit, color=colour, linewidth=1.3, linestyle=line, label=label, zorder=3)
    reach_um = max(float(np.abs(profile.fine_um).max()) for profile in profiles)
    ax.set_xlim(-reach_um, reach_um)
    low, high = ax.get_ylim()
    room = _ROOM * (high - low)
    ax.set_ylim(low - room, high + room)
    handles, labels = ax.get_legend_handles_labels()
    fits = [place for place, label in enumerate(labels) if "σ" in label]
    ax.legend(
        [handles[place] for place in fits], [labels[place] for place in fits], fontsize=style.SMALL_PT, frameon=False,
        loc="upper left", borderpad=0, borderaxespad=0.2, labelcolor=style.INK, handlelength=2.2,
    )  # fmt: skip
    return style.scale_bar(ax)


def _profile(field: ReceptiveFieldResult, along: str) -> FieldProfile:
    angle = np.deg2rad(measure(field, "angle_deg")) + (0 if along == "major" else np.pi / 2)
    sigmas_um = measure(field, "sigma_major_um"), measure(field, "sigma_minor_um")
    sigma_um, across_um = sigmas_um if along == "major" else sigmas_um[::-1]
    # towards the right, so that both cuts read like the map
    direction = np.array([np.cos(angle), np.sin(angle)])
    direction *= -1 if direction[0] < -1e-12 else 1
    width_um, height_um = field.block_size_um
    n_y, n_x = field.region.shape
    x_um = (np.arange(n_x) + 0.5) * width_um - measure(field, "centre_x_um")
    y_um = (np.arange(n_y)[:, None] + 0.5) * height_um - measure(field, "centre_y_um")
    distance_um = x_um * direction[0] + y_um * direction[1]
    away_um = -x_um * direction[1] + y_um * direction[0]
    step_um = float(np.hypot(*(direction * field.block_size_um)))
    block_across_um = float(np.hypot(direction[1] * width_um, direction[0] * height_um))
    half_um = max(across_um, block_across_um / 2)
    inside = (np.abs(away_um) <= half_um) & np.isfinite(field.spatial_map)
    inside &= np.abs(distance_um) <= _REACH_SIGMAS * sigma_um
    fine_um = np.linspace(-_REACH_SIGMAS * sigma_um, _REACH_SIGMAS * sigma_um, _CURVE_POINTS)
    offsets_um = (np.linspace(-half_um, half_um, 41)[:, None] + _NODES * block_across_um).ravel()
    fit = _averaged_fit(field, fine_um, sigma_um, step_um, (offsets_um, across_um))
    # counted from the block nearest to the centre: no block lies on the border of two bins in fields along the rows
    origin_um = distance_um.ravel()[np.hypot(x_um, y_um).argmin()]
    bins = np.round((distance_um[inside] - origin_um) / step_um).astype(np.int64)
    return _binned(field, along, sigma_um, bins, distance_um[inside], inside, fine_um, fit)


def _profile_of_bars(field: ReceptiveFieldResult) -> FieldProfile:
    sigma_um = measure(field, "sigma_major_um")
    step_um = field.block_size_um["xy".index(field.axes)]
    distance_um = (np.arange(field.region.size) + 0.5) * step_um - measure(field, f"centre_{field.axes}_um")
    distance_um = distance_um.reshape(field.region.shape)
    inside = (np.abs(distance_um) <= _REACH_SIGMAS * sigma_um) & np.isfinite(field.spatial_map)
    fine_um = np.linspace(-_REACH_SIGMAS * sigma_um, _REACH_SIGMAS * sigma_um, _CURVE_POINTS)
    fit = _averaged_fit(field, fine_um, sigma_um, step_um, None)
    return _binned(
        field, "major", sigma_um, np.arange(np.count_nonzero(inside)), distance_um[inside], inside, fine_um, fit
    )


def _binned(
    field: ReceptiveFieldResult, along: str, sigma_um: float, bins: NDArray[np.int64], distance_um: Floats,
    inside: NDArray[np.bool_], fine_um: Floats, fit: Floats,
) -> FieldProfile:  # fmt: skip
    sign = sign_of(field)
    kinds, place = np.unique(bins, return_inverse=True)
    n_blocks = np.bincount(place, minlength=kinds.size)
    values = np.bincount(place, sign * field.spatial_map[inside], kinds.size) / n_blocks
    error = np.sqrt(np.bincount(place, field.spatial_map_se[inside] ** 2, kinds.size)) / n_blocks
    places_um = np.bincount(place, distance_um, kinds.size) / n_blocks
    return FieldProfile(along, sigma_um, places_um, values, error, n_blocks.astype(np.int64), fine_um, sign * fit)


def _averaged_fit(
    field: ReceptiveFieldResult, fine_um: Floats, sigma_um: float, step_um: float, across: tuple[Floats, float] | None
) -> Floats:
    """The fitted model along the axis, averaged over a block, and across over the given offsets with their sigma."""
    places_um = fine_um[:, None] + _NODES * step_um

    def gaussian(ratio: float) -> Floats:
        along = np.exp(-((places_um / (ratio * sigma_um)) ** 2) / 2).mean(axis=1)
        if across is None:
            return np.asarray(along)
        offsets_um, across_um = across
        return np.asarray(along * np.exp(-((offsets_um / (ratio * across_um)) ** 2) / 2).mean())

    shape = gaussian(1.0)
    if field.model == "difference_of_gaussians":
        strength, ratio = measure(field, "surround_strength"), measure(field, "surround_ratio")
        shape = shape - strength / ratio ** (1 if across is None else 2) * gaussian(ratio)
    return np.asarray(measure(field, "amplitude") * shape)
