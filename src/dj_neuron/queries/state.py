"""What the results of a stimulation rest on, so that what is remembered of them can be told from what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.errors import PipelineError
from dj_neuron.pipeline import covariance, experiment, quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation
from dj_neuron.queries.estimates import ID_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Hashable

    from dj_neuron.contracts import StimulationId

_COMPUTED = (
    StrfEstimation,
    *(receptive_field.Significance, receptive_field.ReceptiveField, receptive_field.Mosaic),
    *(covariance.Covariance, quality.Prediction, quality.Sufficiency),
)


def state_of(stimulation_id: StimulationId) -> Hashable:
    """Give a value that changes when a stimulation is ingested or any of its results computed anew.

    Raises
    ------
    PipelineError
        If there is no such stimulation.

    Notes
    -----
    Two computations of the same key do not take the same time to the last of 53 bits; the tables hold no better mark.
    """
    key = {name: getattr(stimulation_id, name) for name in ID_COLUMNS}
    source = (experiment.Stimulation() * experiment.Session() & key).proj(
        "movie_hash", "frame_rate_hz", "onset_s", "source_sha256"
    )
    found = [_values(source)]
    if not found[0]:
        raise PipelineError(f"there is no {stimulation_id}")
    found += [_values((table() & key).proj("code_version", "duration_s")) for table in _COMPUTED]
    return tuple(found)


def code_versions() -> list[str]:
    """Give the versions of dj-neuron that computed what the tables hold."""
    found: set[str] = set()
    for table in _COMPUTED:
        found.update(dj.U("code_version").aggr(table(), n="COUNT(*)").to_arrays("code_version").tolist())
    return sorted(found)


def _values(rows: Any) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row.values()) for row in rows.to_dicts(order_by="KEY"))
