"""What the spike-triggered covariance found beyond the averages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import CovarianceFilter, CovarianceResult
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.covariance import Covariance, CovarianceParams
from dj_neuron.pipeline.stored import unpacked
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.conditions import restricted
from dj_neuron.queries.estimates import stimulation_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = dict[str, Any]

_PARAMETERS = ("strf_params_id", "significance_params_id", "covariance_params_id")


def covariances(restriction: Any = True) -> Iterator[CovarianceResult]:
    """Give the spike-triggered covariances of all neurons that were looked at, in the order of their keys.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on stimulations, neurons, parameters and filters: ``"n_filters > 0"``.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on neurons.
    """
    rows = (
        Covariance.Filters()
        * StrfEstimation().proj("delays_s")
        * StrfParams()
        * CovarianceParams().proj("alpha")
        * experiment.Stimulation()
        * experiment.Movie().proj("block_width_px", "block_height_px", "n_y", "n_x")
    )
    with restricted(rows, restriction, "neurons") as chosen:
        found = chosen.to_dicts(order_by="KEY")
    yield from map(_covariance, found)


def _covariance(row: Row) -> CovarianceResult:
    p_values = [] if row["p_values"] is None else row["p_values"].tolist()
    found = () if row["filters"] is None else np.asarray(row["filters"].load(), np.float64)
    pixel_um = row["pixel_size_um"]
    filters = tuple(
        CovarianceFilter(
            stimulation_id=stimulation_id_of(row),
            neuron_id=row["neuron_id"],
            number=i + 1,
            delays_s=row["delays_s"],
            values=values,
            variance=float(row["filter_variance"][i]),
            p_value=p_values[i],
            frame_rate_hz=row["frame_rate_hz"],
            block_size_um=(row["block_width_px"] * pixel_um, row["block_height_px"] * pixel_um),
        )
        for i, values in enumerate(found)
    )
    return CovarianceResult(
        stimulation_id=stimulation_id_of(row),
        neuron_id=row["neuron_id"],
        parameter_ids={name: row[name] for name in _PARAMETERS},
        delays_s=row["delays_s"],
        looked_at=unpacked(row["looked_at"], (row["delays_s"].size, row["n_y"], row["n_x"])),
        is_significant_region=bool(row["is_significant_region"]),
        filters=filters,
        variances=np.empty(0) if row["variances"] is None else row["variances"],
        next_p_value=p_values[len(filters)] if len(p_values) > len(filters) else math.nan,
        alpha=row["alpha"],
        reason=row["covariance_reason"],
    )
