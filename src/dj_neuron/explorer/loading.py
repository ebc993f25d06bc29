"""Contracts for the pages, remembered until they are computed anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dj_neuron import queries
from dj_neuron.errors import PipelineError
from dj_neuron.explorer.cache import Lately, Renewed

if TYPE_CHECKING:
    from dj_neuron.contracts import (
        MosaicResult,
        ReceptiveFieldResult,
        SpikeTrain,
        Stimulation,
        StimulationId,
        Strf,
    )

_neurons, _stimulations, _fields = Lately(64), Lately(6), Lately(12)
_totals = Renewed(60.0)


def totals() -> dict[str, int]:
    """Count what the pipeline holds; of large tables, give what was counted a minute ago and count again meanwhile."""
    parameters = queries.default_parameters()
    if not queries.is_large():
        return queries.totals(parameters)
    found: dict[str, int] = _totals.get(parameters, lambda: queries.totals(parameters))
    return found


@dataclass(frozen=True, eq=False)
class NeuronView:
    """One neuron under one row of parameters; what was not computed is None."""

    stimulation_id: StimulationId
    neuron_id: int
    row: dict[str, Any] | None
    strf: Strf | None
    field: ReceptiveFieldResult | None


def neuron_view(stimulation_id: StimulationId, neuron_id: int, strf_params_id: int | None) -> NeuronView:
    """Load a neuron's estimate and what was measured on it.

    Raises
    ------
    PipelineError
        If there is no such stimulation or parameter row.
    """
    parameters = queries.default_parameters(strf_params_id)
    rows = {row["strf_params_id"]: row for row in queries.parameter_rows()}
    state = queries.state_of(stimulation_id)

    def load() -> NeuronView:
        key = {**vars(stimulation_id), "neuron_id": neuron_id}
        of_row = {**key, "strf_params_id": parameters.strf_params_id}
        judged = {**vars(parameters), **of_row}
        strf = next(queries.strfs(of_row, combine=False), None)
        # of several tests or predictions of the same estimate, those that the table shows
        fields = [] if strf is None else list(queries.receptive_fields(of_row))
        field = next((one for one in fields if _rests_on(one, judged)), None)
        return NeuronView(stimulation_id, neuron_id, rows.get(parameters.strf_params_id or 0), strf, field)

    view: NeuronView = _neurons.get((stimulation_id, neuron_id, parameters, state), load)
    return view


def stimulation_of(stimulation_id: StimulationId) -> Stimulation:
    """Load a stimulation with movie and spikes."""
    state = queries.state_of(stimulation_id)
    found: Stimulation = _stimulations.get((stimulation_id, state), lambda: queries.stimulation(stimulation_id))
    return found


def train_of(stimulation: Stimulation, neuron_id: int) -> SpikeTrain:
    """Find a neuron's spikes.

    Raises
    ------
    PipelineError
        If the neuron was not recorded during the stimulation.
    """
    for train in stimulation.spike_trains:
        if train.neuron_id == neuron_id:
            return train
    known = ", ".join(str(train.neuron_id) for train in stimulation.spike_trains) or "none"
    raise PipelineError(f"there is no neuron {neuron_id} in this stimulation, expected one of: {known}")


def fields_of(
    stimulation_id: StimulationId, parameters: queries.ParameterIds
) -> tuple[list[ReceptiveFieldResult], list[MosaicResult]]:
    """Load the receptive fields of a stimulation and their mosaics."""
    state = queries.state_of(stimulation_id)

    def load() -> Any:
        key = {**vars(stimulation_id), "strf_params_id": parameters.strf_params_id}
        judged = vars(parameters)
        fields = [one for one in queries.receptive_fields(key) if _rests_on(one, judged)]
        return fields, [one for one in queries.mosaics(key) if _rests_on(one, judged)]

    found: tuple[list[ReceptiveFieldResult], list[MosaicResult]] = _fields.get(
        (stimulation_id, parameters, state), load
    )
    return found


def _rests_on(found: ReceptiveFieldResult | MosaicResult, wanted: dict[str, Any]) -> bool:
    return all(
        found.parameter_ids.get(name) in {None, number}
        for name, number in wanted.items()
        if name.endswith("_params_id")
    )
