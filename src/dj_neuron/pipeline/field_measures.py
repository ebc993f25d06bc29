"""The chain from STRFs to rows: test, region, separation, fit and time course of one neuron after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.stored import as_text, columns_of, from_text, or_null, packed, unpacked
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.strf import (
    FieldShape,
    SpatialFit,
    TimeCourse,
    find_region,
    fit_space,
    measure_mosaics,
    measure_time_course,
    separate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dj_neuron.strf import Separation, ShiftNull, Significance

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Row = dict[str, Any]

_SHAPE = tuple(name for name in vars(FieldShape()))
_JUDGED = (
    *("p_value", "q_value", "p_value_analytic", "threshold_z"),
    *("smoothed_z", "p_value_smoothed", "p_value_field", "q_value_field"),
)
_SEPARATION = ("separability", "p_inseparable")
_ARRAYS = ("spatial_map", "spatial_map_se", "time_course", "time_course_se", "singular_values")
_FIT = ("area_1_sigma_um2", "area_2_sigma_um2", "chi2_per_dof", "r_squared", "r_squared_ceiling")
_TIMES = ("time_to_peak_s", "zero_crossing_s", "biphasic_index")
_MOSAIC = ("regularity_index", "random_regularity_index", "p_random", "coverage_factor")


class Estimate(NamedTuple):
    """One neuron's STRF with all that its measures need, arrays ``(n_delays, n_y, n_x)``; values are centred."""

    neuron_id: int
    delays_s: Floats
    values: Floats
    standard_error: Floats
    significant: Mask
    p_value_field: float | None
    alpha: float
    block_size_um: tuple[float, float]


class StoredStrfs(NamedTuple):
    """The STRFs of a stimulation as rows hold them: lazy references, arrays as text."""

    delays: str
    pixel_mean: str
    pixel_sd: str
    shape: tuple[int, int]
    centred: bool
    block_size_um: tuple[float, float]
    fields: tuple[tuple[int, Any, str, str, float | None, float], ...]

    @classmethod
    def fetch(cls, key: Row, fields: Any) -> StoredStrfs:
        """Fetch what belongs to a key; `fields` has the STRFs of its neurons and how they were judged."""
        master = (StrfEstimation() & key).fetch1()
        rows = (fields & key).to_dicts(order_by="neuron_id")
        return cls(
            delays=as_text(master["delays_s"]),
            pixel_mean=as_text(master["pixel_mean"]),
            pixel_sd=as_text(master["pixel_sd"]),
            shape=master["pixel_sd"].shape,
            centred=bool((StrfParams() & key).fetch1("centre")),
            block_size_um=block_size_um(key),
            fields=tuple(
                (
                    *(row["neuron_id"], row["strf"], as_text(row["error_factor"]), row["significant"].tobytes().hex()),
                    *(row["p_value_field"], row["alpha"]),
                )
                for row in rows
            ),
        )

    def load(self) -> Iterator[Estimate]:
        """Read the STRFs, one at a time."""
        delays_s = from_text(self.delays)
        mean, sd = (from_text(text).reshape(self.shape) for text in (self.pixel_mean, self.pixel_sd))
        for neuron_id, strf, error_factor, significant, p_value_field, alpha in self.fields:
            values = np.asarray(strf.load(), np.float64)
            yield Estimate(
                neuron_id=neuron_id,
                delays_s=delays_s,
                values=values if self.centred else values - mean,
                standard_error=from_text(error_factor)[:, None, None] * sd,
                significant=unpacked(np.frombuffer(bytes.fromhex(significant), np.uint8), values.shape),
                p_value_field=p_value_field,
                alpha=alpha,
                block_size_um=self.block_size_um,
            )


def block_size_um(key: Row) -> tuple[float, float]:
    """Fetch width and height of a block of the stimulation of a key."""
    pixel_um, movie_hash = (experiment.Stimulation() & key).fetch1("pixel_size_um", "movie_hash")
    movie = experiment.Movie() & {"movie_hash": movie_hash}
    width_px, height_px = movie.fetch1("block_width_px", "block_height_px")
    return width_px * pixel_um, height_px * pixel_um


def screen_um(key: Row) -> tuple[float, float]:
    """Fetch width and height of the stimulated part of the retina."""
    width_um, height_um = block_size_um(key)
    movie = experiment.Movie() & (experiment.Stimulation() & key).proj("movie_hash")
    n_x, n_y = movie.fetch1("n_x", "n_y")
    return n_x * width_um, n_y * height_um


def judgement_rows(neuron_ids: Sequence[int], null: ShiftNull, judged: Significance) -> list[Row]:
    """Give one row per neuron of what a test says."""
    rows = []
    for i, neuron_id in enumerate(neuron_ids):
        rows.append(
            {
                "neuron_id": neuron_id,
                **{name: or_null(float(getattr(judged, name)[i])) for name in _JUDGED},
                "n_significant": int(np.count_nonzero(judged.is_significant[i])),
                "significant": packed(judged.is_significant[i]),
                "null_maxima": null.maxima[i].astype(np.float32),
                "significance_reason": _why_untested(judged, i),
            }
        )
    return rows


def _why_untested(judged: Significance, i: int) -> str:
    if judged.peaks[i] is None:
        return "no block changes, or too few spikes, at any delay of 0 s or more"
    if np.isinf(judged.threshold_z[i]):
        return f"{judged.n_shifts} shift(s) are too few for a chance of {judged.alpha:g}"
    return ""


def measure_field(estimate: Estimate, params: Row) -> Row:
    """Measure one neuron's receptive field; give its row."""
    if estimate.p_value_field is None or estimate.p_value_field > estimate.alpha:
        return _row_without_field(estimate, _why_no_field(estimate))
    # a neuron's streams depend on the seed and on itself, not on who else is there
    stream = np.random.SeedSequence(params["seed"], spawn_key=(estimate.neuron_id,))
    seed = int(stream.generate_state(1)[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = estimate.values / estimate.standard_error
    places = estimate.significant if estimate.significant.any() else np.ones_like(estimate.significant)
    region = find_region(z, estimate.delays_s, estimate.block_size_um, significant=places)
    if region is None:
        return _row_without_field(estimate, "no finite value at any delay of 0 s or more")
    separation = separate(
        estimate.values,
        estimate.standard_error,
        estimate.delays_s,
        region.blocks,
        n_bootstrap=params["n_separable_fields"],
        seed=seed,
    )
    fit = fit_space(separation.spatial_map, separation.spatial_map_se, estimate.block_size_um, region)
    course = measure_time_course(
        separation.time_course,
        separation.time_course_se,
        estimate.delays_s,
        noise_correlation=separation.noise_correlation,
        n_bootstrap=params["n_noisy_courses"],
        seed=seed,
    )
    return {
        "neuron_id": estimate.neuron_id,
        "region": packed(region.blocks),
        "region_x_um": region.centre_x_um,
        "region_y_um": region.centre_y_um,
        "region_scale_um": region.scale_um,
        "region_z": region.z,
        **_separation_columns(separation),
        **_space_columns(fit),
        **_time_columns(course),
    }


def _why_no_field(estimate: Estimate) -> str:
    if estimate.p_value_field is None:
        return "no block changes, or too few spikes, at any delay of 0 s or more"
    return f"no field beyond chance: p_value_field is {estimate.p_value_field:.3g}, above {estimate.alpha:g}"


def _row_without_field(estimate: Estimate, reason: str) -> Row:
    return {
        "neuron_id": estimate.neuron_id,
        "region": packed(np.zeros(estimate.values.shape[1:], bool)),
        **dict.fromkeys(("region_x_um", "region_y_um", "region_scale_um", "region_z")),
        **dict.fromkeys((*_SEPARATION, *_ARRAYS)),
        "separability_reason": reason,
        **_space_columns(SpatialFit(reason=reason)),
        **_time_columns(TimeCourse(reason=reason)),
    }


def _separation_columns(separation: Separation) -> Row:
    arrays = {name: getattr(separation, name) for name in _ARRAYS}
    arrays |= {name: arrays[name].astype(np.float32) for name in ("spatial_map", "spatial_map_se")}
    return {**columns_of(separation, _SEPARATION), **arrays, "separability_reason": separation.reason}


def _space_columns(fit: SpatialFit) -> Row:
    flags = {name: getattr(fit, name) if fit.model else None for name in ("cut_by_edge", "smaller_than_block")}
    named = {"axes": fit.axes, "model": fit.model, "space_reason": fit.reason}
    return {**columns_of(fit, (*_SHAPE, *_FIT)), **flags, **named}


def _time_columns(course: TimeCourse) -> Row:
    return {
        "polarity": course.polarity,
        **columns_of(course, (column for name in _TIMES for column in (name, f"{name}_se"))),
        "lobe_duration_s": or_null(course.duration_s),
        "lobe_duration_s_se": or_null(course.duration_s_se),
        "time_reason": course.reason,
    }


def mosaic_rows(shapes: Sequence[Row], screen_um: tuple[float, float], params: Row) -> list[Row]:
    """Give one row per polarity of how evenly the fields lie."""
    fields = [
        FieldShape(**{name: value for name, value in shape.items() if name in _SHAPE and value is not None})
        for shape in shapes
    ]
    polarities = [shape["polarity"] or 0 for shape in shapes]
    found = measure_mosaics(fields, polarities, screen_um, n_random=params["n_random_mosaics"], seed=params["seed"])
    return [
        {
            "mosaic_polarity": polarity,
            "n_fields": mosaic.n_fields,
            "nearest_um": mosaic.nearest_um,
            **columns_of(mosaic, _MOSAIC),
            "mosaic_reason": mosaic.reason,
        }
        for polarity, mosaic in found.items()
    ]
