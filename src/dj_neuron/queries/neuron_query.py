"""Which neurons the table of all neurons shows, under which parameters, in which order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import PipelineError
from dj_neuron.pipeline import quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.estimates import NEURON_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = dict[str, Any]
    Range = tuple[float | None, float | None]

# which table a column comes from
SOURCES = {
    **dict.fromkeys(NEURON_COLUMNS, "train"),
    "n_spikes": "train",
    "source_label": "neuron",
    **dict.fromkeys(("peak_z", "peak_delay_s"), "strf"),
    **dict.fromkeys(("p_value_field", "q_value_field"), "judgement"),
    **dict.fromkeys(("polarity", "centre_x_um", "centre_y_um", "sigma_major_um", "time_to_peak_s"), "field"),
    "test_correlation": "score",
}
PAGE_COLUMNS = tuple(SOURCES)
# those that an index sorts: the tables' definitions have one for each
SORT_COLUMNS = (
    *("neuron_id", "n_spikes", "peak_z", "p_value_field", "q_value_field", "polarity"),
    *("centre_x_um", "centre_y_um", "sigma_major_um", "time_to_peak_s", "test_correlation"),
)
_TEXTS = frozenset({"subject_name", "session_date", "source_label"})


@dataclass(frozen=True)
class ParameterIds:
    """Rows of parameters that results are shown for; None where there is none yet."""

    strf_params_id: int | None
    significance_params_id: int | None
    receptive_field_params_id: int | None
    prediction_params_id: int | None


@dataclass(frozen=True)
class NeuronQuery:
    """Which neurons, in which order.

    Attributes
    ----------
    parameters : ParameterIds
        Whose results; see :func:`default_parameters`.
    key : mapping
        Values of key columns that all rows share, such as ``{"subject_name": "WT"}``.
    ranges : mapping of column to (lowest, highest)
        Both inclusive, None for no limit; a value that is not known is in no range.
    label : str
        What the source's label of the unit contains.
    sort_by : str
        One of `SORT_COLUMNS`; empty for the order of the keys. What is not known comes last either way.
    """

    parameters: ParameterIds
    key: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    label: str = ""
    sort_by: str = ""
    descending: bool = False

    def __post_init__(self) -> None:
        numbers = set(PAGE_COLUMNS) - _TEXTS
        for name, allowed in (
            *((name, set(NEURON_COLUMNS)) for name in self.key),
            *((name, numbers) for name in self.ranges),
            (self.sort_by, {*SORT_COLUMNS, ""}),
        ):
            if name not in allowed:
                raise PipelineError(f"{name!r} is no such column of neurons, expected one of {', '.join(allowed)}")
        for name, limits in self.ranges.items():
            if any(limit is not None and math.isnan(limit) for limit in limits):
                raise PipelineError(f"the range of {name} is {limits}, expected numbers")

    @property
    def is_of_one_table(self) -> bool:
        """Whether one table alone tells which neurons, so that its index counts them."""
        return len({SOURCES[name] for name in self.ranges} | ({"neuron"} if self.label else set())) < 2


def default_parameters(strf_params_id: int | None = None) -> ParameterIds:
    """Give the rows of parameters to show results for: the first of each kind, of averages before ridge estimates.

    Raises
    ------
    PipelineError
        If nothing was estimated with `strf_params_id`.
    """

    def first(table: Any, name: str) -> int | None:
        found = table.to_arrays(name, order_by=name, limit=1)
        return int(found[0]) if len(found) else None

    rows = parameter_rows()
    if strf_params_id is None:
        averages = [row for row in rows if row["estimator"] == "sta"]
        strf_params_id = next((row["strf_params_id"] for row in (*averages, *rows)), None)
    elif strf_params_id not in (known := [row["strf_params_id"] for row in rows]):
        raise PipelineError(f"there is no estimate by row {strf_params_id} of StrfParams, expected one of {known}")
    return ParameterIds(
        strf_params_id,
        first(receptive_field.SignificanceParams(), "significance_params_id"),
        first(receptive_field.ReceptiveFieldParams(), "receptive_field_params_id"),
        first(quality.PredictionParams(), "prediction_params_id"),
    )


def parameter_rows() -> list[Row]:
    """Give the rows of StrfParams that anything was estimated with, in their order."""
    found: list[Row] = (StrfParams() & StrfEstimation().proj()).to_dicts(order_by="strf_params_id")
    return found
