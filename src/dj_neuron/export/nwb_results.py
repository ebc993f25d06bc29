"""What was estimated and measured, as NWB tables that refer to the units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.common import DynamicTable, DynamicTableRegion, VectorData

from dj_neuron.export.nwb_columns import column, ragged, streamed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dj_neuron.queries import Computation, Estimation, NeuronColumn

    Row = dict[str, Any]

_LEDGER = {
    "n_used": "spikes that count, per delay",
    "n_before_onset": "spikes without a frame, per delay: it would be before the onset",
    "n_after_end": "spikes without a frame, per delay: it would be after the end",
    "n_in_gap": "spikes without a frame, per delay: it falls in a gap",
}
_RULES = {
    "estimator": "sta: spike-triggered average; ridge: ridge regression on all delays at once",
    "first_delay_s": "s before the spike, as asked for",
    "last_delay_s": "s before the spike, as asked for",
    "step_s": "s between delays; 0: every whole frame",
    "frame_rule": "which frame a spike saw",
    "centre": "whether the mean of each block is subtracted",
    "min_spikes": "with fewer at a delay the estimate is NaN",
}


def strf_table(estimation: Estimation, units: Any) -> Any:
    """Give the STRFs of one estimation, one row per neuron; they are read while they are written."""
    return DynamicTable(
        name=_table_name(estimation),
        description=(
            f"STRFs of stimulation {estimation.stimulation_id.stimulation_number}. Delays, axes and rules are in "
            f"dj_neuron_estimations, the row whose strf_table is {_table_name(estimation)}."
        ),
        columns=[
            _units_column(estimation.neuron_ids, units),
            column("neuron_id", "number of the neuron within the session, from 1", list(estimation.neuron_ids)),
            VectorData(
                name="strf",
                description=f"{estimation.unit}; axes are neuron, delay, row, column; NaN with too few spikes",
                data=streamed(estimation.strfs),
            ),
            column(
                "error_factor",
                "per delay; times pixel_sd of dj_neuron_estimations it is the standard error of strf; NaN for ridge",
                estimation.error_factor,
            ),
            *(column(name, meaning, getattr(estimation.ledger, name)) for name, meaning in _LEDGER.items()),
        ],
    )


def estimations_table(found: list[Estimation]) -> Any:
    """Give one row per estimation: by which rules, and the axes of its STRFs."""
    numbers = [one.stimulation_id.stimulation_number for one in found]
    of_block = "of every block over all frames, row after row of the screen"
    return DynamicTable(
        name="dj_neuron_estimations",
        description="Estimates of STRFs: one row per stimulation and row of StrfParams.",
        columns=[
            column("strf_table", "name of the table of its STRFs", [_table_name(one) for one in found]),
            column("stimulation_number", "place within the session, from 1", numbers),
            column("strf_params_id", "row of StrfParams", [one.strf_params_id for one in found]),
            *(column(name, meaning, [one.rules[name] for one in found]) for name, meaning in _RULES.items()),
            column("strf_unit", "unit of the STRFs", [one.unit for one in found]),
            column("code_version", "of dj-neuron", [one.code_version for one in found]),
            column("movie_hash", "sha256 of the movie's content and geometry", [one.movie_hash for one in found]),
            *ragged("delays_s", "s before the spike, second axis of strf", [one.delays_s for one in found]),
            *ragged("y_um", "um from the top of the screen, centres of rows", [one.y_um for one in found]),
            *ragged("x_um", "um from the left of the screen, centres of columns", [one.x_um for one in found]),
            *ragged("pixel_mean", f"contrast, mean {of_block}", [one.pixel_mean.ravel() for one in found]),
            *ragged("pixel_sd", f"contrast, standard deviation {of_block}", [one.pixel_sd.ravel() for one in found]),
        ],
    )


def measures_table(columns: Iterable[NeuronColumn], rows: list[Row], units: Any) -> Any:
    """Give all measures, one row per neuron, stimulation and parameter rows."""
    return DynamicTable(
        name="dj_neuron_measures",
        description="Measures of STRFs and receptive fields: one row per neuron, stimulation and parameter rows.",
        columns=[
            _units_column([row["neuron_id"] for row in rows], units),
            *(_measure(one, [row[one.name] for row in rows]) for one in columns),
        ],
    )


def _measure(described: NeuronColumn, values: list[Any]) -> Any:
    """HDF5 has no null: NaN stands for a number that is not known, an empty text, -1 for neither yes nor no."""
    meaning = f"{described.meaning} [{described.unit}]" if described.unit else described.meaning
    if described.type == "text":
        return column(described.name, meaning, [value or "" for value in values])
    if described.type == "bool":
        known = [-1 if value is None else int(value) for value in values]
        return column(described.name, f"{meaning}: 1 yes, 0 no, -1 not known", np.array(known, np.int8))
    if described.type == "int" and None not in values:
        return column(described.name, meaning, np.array(values, np.int64))
    numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    return column(described.name, f"{meaning}; NaN where not known", numbers)


def computations_table(found: list[Computation]) -> Any:
    """Give where results come from: the code, the parameters and the seed of every computation."""
    seeds = [math.nan if one.seed is None else float(one.seed) for one in found]
    return DynamicTable(
        name="dj_neuron_computations",
        description="Provenance: one row per key of every computed table of the pipeline.",
        columns=[
            column("table_name", "computed table", [one.table for one in found]),
            column(
                "stimulation_number", "within the session", [one.stimulation_id.stimulation_number for one in found]
            ),
            column("parameters", "rows of parameters that it rests on", [one.parameters for one in found]),
            column("code_version", "of dj-neuron", [one.code_version for one in found]),
            column("seed", "of what is drawn by chance; NaN where nothing is", seeds),
        ],
    )


def _units_column(neuron_ids: Iterable[int], units: Any) -> Any:
    row_of = {neuron_id: row for row, neuron_id in enumerate(units.id[:])}
    return DynamicTableRegion(
        name="unit", data=[row_of[neuron_id] for neuron_id in neuron_ids], description="row of units", table=units
    )


def _table_name(estimation: Estimation) -> str:
    return f"strf_stimulation_{estimation.stimulation_id.stimulation_number}_params_{estimation.strf_params_id}"
