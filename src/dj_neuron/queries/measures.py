"""What was measured on the STRFs: receptive fields, mosaics, and one table of all neurons."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dj_neuron.contracts import MosaicResult, Nonlinearity, QualityGrowth, ReceptiveFieldResult
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.covariance import Covariance
from dj_neuron.pipeline.quality import Prediction, Sufficiency
from dj_neuron.pipeline.receptive_field import Mosaic, ReceptiveField, Significance
from dj_neuron.pipeline.stored import unpacked
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.conditions import restricted
from dj_neuron.queries.estimates import ID_COLUMNS, NEURON_COLUMNS, stimulation_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Row = dict[str, Any]

ColumnType = Literal["int", "float", "text", "bool", "date"]

_ESTIMATION_KEY = (*ID_COLUMNS, "strf_params_id")
_STRF_KEY = (*_ESTIMATION_KEY, "neuron_id")
_PARAMETERS = (
    *("strf_params_id", "significance_params_id", "receptive_field_params_id", "covariance_params_id"),
    "prediction_params_id",
)
_RULES = ("estimator", "first_delay_s", "last_delay_s")
_PEAK = ("peak_z", "peak_delay_s", "peak_row_idx", "peak_column_idx", "noise_z")
_OF_STRF = (*_PEAK, "ridge_strength", "ridge_score")
_OF_STIMULATION = ("delays_s", "pixel_size_um", "block_width_px", "block_height_px", "n_y", "n_x")
_MOSAIC = ("n_fields", "regularity_index", "random_regularity_index", "p_random", "coverage_factor")
_FLAGS = ("cut_by_edge", "smaller_than_block", "is_significant_region")  # MySQL gives numbers
_PARTS = (
    *(Significance.Judgement, ReceptiveField.Field, Covariance.Filters),
    *(Prediction.Score, Sufficiency.Agreement),
)
_MEANINGS = {  # of what the tables take from their parents, or name without a comment
    "subject_name": "animal or animal line, as the source names it",
    "session_date": "day of the recording",
    "sample_number": "piece of retina recorded that day",
    "stimulation_number": "place within the session, from 1",
    "neuron_id": "sorted unit of the session, from 1",
    "source_label": "what the source calls the unit",
    "strf_params_id": "row of StrfParams",
    "significance_params_id": "row of SignificanceParams",
    "receptive_field_params_id": "row of ReceptiveFieldParams",
    "covariance_params_id": "row of CovarianceParams",
    "prediction_params_id": "row of PredictionParams",
    "first_delay_s": "first delay of the row of StrfParams, s before the spike",
    "last_delay_s": "last delay of the row of StrfParams, s before the spike",
    "n_spikes": "spikes during the stimulation",
    "n_used": "spikes that count, at the delay where most do",
}
_AT_ONCE = 300  # keys in a statement: a server plans those faster than the joins that they come from
_CURVE = ("drive", "rate_hz", "rate_hz_se", "gain_hz", "slope", "offset")
_OWN_UNITS = {"amplitude": "contrast", "bits_per_spike": "bit"}  # of names that do not end in their unit
_UNITS = {"um2": "um^2", "um": "um", "s": "s", "hz": "Hz", "deg": "deg", "minutes": "min"}


@dataclass(frozen=True)
class NeuronColumn:
    """One column of :func:`neuron_table`: name, type, unit (empty for none), meaning, and the table it comes from."""

    name: str
    type: ColumnType
    unit: str
    meaning: str
    table: str


def neuron_columns() -> list[NeuronColumn]:
    """Describe the columns of :func:`neuron_table`, in its order, in the words of the tables."""
    sources: list[tuple[Any, Iterable[str]]] = [
        (experiment.SpikeTrain, NEURON_COLUMNS),
        (experiment.Neuron, ("source_label",)),
        (StrfEstimation, _PARAMETERS[:1]),
        (StrfParams, _RULES),
        *((part, [name for name in _PARAMETERS[1:] if name in part().primary_key]) for part in _PARTS),
        (experiment.SpikeTrain, ("n_spikes",)),
        (StrfEstimation.Strf, ("n_used", *_OF_STRF)),
        *((part, _plain(part)) for part in _PARTS),
    ]
    columns: dict[str, NeuronColumn] = {}
    for table, names in sources:
        heading = table().heading
        for name in names:
            meaning = _MEANINGS.get(name) or heading[name].comment
            if name.endswith("_se"):
                meaning = f"standard error of {name.removesuffix('_se')}"
            of_column = _type(name, heading[name]), _unit(name)
            columns.setdefault(name, NeuronColumn(name, *of_column, meaning, table.__name__))
    return list(columns.values())


def neuron_table(restriction: Any = True) -> list[Row]:
    """Give one plain row per neuron, stimulation and parameter rows, with all measures; None is what is not known.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on stimulations, neurons, parameters and peaks.

    Returns
    -------
    list of dict
        Columns are those of :func:`neuron_columns`. A neuron whose STRF was not judged has a row too.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on neurons.
    """
    names = [column.name for column in neuron_columns()]
    return [{name: row[name] for name in names} for row in _joined(restriction, _plain)]


def receptive_fields(restriction: Any = True) -> Iterator[ReceptiveFieldResult]:
    """Give the receptive fields of all neurons that were judged, in the order of their keys.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on stimulations, neurons, parameters and peaks: ``{"neuron_id": 3}``, a condition as
        text, a list of keys.
    """
    minutes: dict[tuple[Any, ...], Any] = {}
    plain = [name for part in _PARTS for name in _plain(part)]
    measured = [name for name in ("n_spikes", "n_used", *_OF_STRF, *plain) if _is_measure(name)]
    for row in _joined(restriction, _all_columns):
        if row["region"] is not None:
            estimation = _key_of(row, _ESTIMATION_KEY)
            if estimation not in minutes:
                found = (Sufficiency() & dict(zip(_ESTIMATION_KEY, estimation, strict=True))).to_arrays("minutes")
                minutes[estimation] = found[0] if len(found) else None
            yield _receptive_field(row, measured, minutes[estimation])


def mosaics(restriction: Any = True) -> Iterator[MosaicResult]:
    """Give the mosaics of ON and OFF fields of every stimulation, ON first.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on stimulations and parameters.
    """
    with restricted(Mosaic.Regularity() * StrfParams(), restriction, "mosaics") as chosen:
        rows = chosen.to_dicts(order_by="KEY")
    for row in sorted(rows, key=lambda row: (*_key_of(row, Mosaic().primary_key), -row["mosaic_polarity"])):
        yield MosaicResult(
            stimulation_id=stimulation_id_of(row),
            parameter_ids={name: row.get(name) for name in _PARAMETERS},
            polarity=row["mosaic_polarity"],
            nearest_um=row["nearest_um"],
            measures={name: _number(row[name]) for name in _MOSAIC},
            reason=row["mosaic_reason"],
        )


def _joined(restriction: Any, columns: Callable[[Any], list[str]]) -> Iterator[Row]:
    """Give every STRF with what was measured on it, one row per combination of parameters; None where nothing was."""
    sources = (
        StrfEstimation.Strf()
        * StrfEstimation().proj("delays_s")
        * StrfParams()
        * experiment.Stimulation()
        * experiment.Movie().proj("block_width_px", "block_height_px", "n_y", "n_x")
        * experiment.SpikeTrain().proj("n_spikes")
        * experiment.Neuron().proj("source_label")
    )
    columns_of_strf = ("n_spikes", "source_label", "n_used", *_RULES, *_OF_STRF, *_OF_STIMULATION)
    with restricted(sources, restriction, "neurons") as chosen:
        strfs = chosen.proj(*columns_of_strf).to_dicts(order_by="KEY")
    judged, fields, filters, scores, agreements = (_rows_of(part, strfs, columns(part)) for part in _PARTS)
    for strf in strfs:
        strf["n_used"] = int(strf["n_used"].max())
        for verdict in judged(strf):
            tested = {**strf, **verdict}
            for own in product(fields(tested), filters(tested), scores(strf), agreements(strf)):
                yield {**tested, **own[0], **own[1], **own[2], **own[3]}


def _rows_of(part: Any, strfs: list[Row], columns: list[str]) -> Callable[[Row], list[Row]]:
    """Give a function from a row to those of a part table that belong to it: one of None where there is none."""
    follows_a_test = part in {ReceptiveField.Field, Covariance.Filters}
    of_strf = (*_STRF_KEY, "significance_params_id") if follows_a_test else _STRF_KEY
    own = [name for name in part().primary_key if name not in of_strf] + columns
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for first in range(0, len(strfs), _AT_ONCE):
        chosen = part() & [{name: strf[name] for name in _STRF_KEY} for strf in strfs[first : first + _AT_ONCE]]
        for row in chosen.proj(*columns).to_dicts(order_by="KEY"):
            row.update({name: bool(row[name]) for name in _FLAGS if row.get(name) is not None})
            found[_key_of(row, of_strf)].append({name: row[name] for name in own})
    return lambda row: found.get(_key_of(row, of_strf), [dict.fromkeys(own)])


def _plain(part: Any) -> list[str]:
    """Name the columns of a part table that hold one number or text."""
    heading = part().heading
    return [name for name in heading.secondary_attributes if heading[name].codec is None]


def _all_columns(part: Any) -> list[str]:
    return list(part().heading.secondary_attributes)


def _key_of(row: Row, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _is_measure(name: str) -> bool:
    return not name.endswith("_reason") and name not in {"axes", "model"}


def _type(name: str, attribute: Any) -> ColumnType:
    if name in _FLAGS:
        return "bool"
    if name == "n_used" or "int" in attribute.type:  # the one of several delays where most are used
        return "int"
    if "double" in attribute.type:
        return "float"
    return "date" if attribute.type == "date" else "text"


def _unit(name: str) -> str:
    name = name.removesuffix("_se").removesuffix("_needed")
    if name in _OWN_UNITS:
        return _OWN_UNITS[name]
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(f"_{suffix}") or name == suffix), "")


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _receptive_field(row: Row, measured: list[str], minutes: Any) -> ReceptiveFieldResult:
    shape = row["n_y"], row["n_x"]
    delays_s, pixel_um = row["delays_s"], row["pixel_size_um"]
    maps = [_or_nan(row[name], shape) for name in ("spatial_map", "spatial_map_se")]
    courses = [_or_nan(row[name], delays_s.shape) for name in ("time_course", "time_course_se")]
    reasons = {name.removesuffix("_reason"): text for name, text in row.items() if name.endswith("_reason") and text}
    return ReceptiveFieldResult(
        stimulation_id=stimulation_id_of(row),
        neuron_id=row["neuron_id"],
        parameter_ids={name: row[name] for name in _PARAMETERS},
        delays_s=delays_s,
        block_size_um=(row["block_width_px"] * pixel_um, row["block_height_px"] * pixel_um),
        significant=unpacked(row["significant"], (delays_s.size, *shape)),
        region=unpacked(row["region"], shape),
        spatial_map=maps[0],
        spatial_map_se=maps[1],
        time_course=courses[0],
        time_course_se=courses[1],
        null_maxima=row["null_maxima"],
        axes=row["axes"],
        model=row["model"],
        measures={name: _number(row[name]) for name in measured},
        reasons=reasons,
        nonlinearity=None if row["drive"] is None else Nonlinearity(**{name: row[name] for name in _CURVE}),
        growth=None if minutes is None else QualityGrowth(minutes, row["growth_peak_z"], row["growth_map_r"]),
    )


def _or_nan(values: Any, shape: tuple[int, ...]) -> Any:
    """Read an array, which may lie in the store; NaN where there is none."""
    if values is None:
        return np.full(shape, np.nan)
    return np.asarray(values if isinstance(values, np.ndarray) else values.load(), np.float64)
