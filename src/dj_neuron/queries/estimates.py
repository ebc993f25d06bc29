"""What was recorded and estimated: stimulations, STRFs and their peaks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts import SpikeLedger, SpikeTrain, Stimulation, StimulationId, Strf
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.conditions import restricted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Row = dict[str, Any]

ID_COLUMNS = ("subject_name", "session_date", "sample_number", "stimulation_number")
NEURON_COLUMNS = (*ID_COLUMNS, "neuron_id")


def counts() -> dict[str, int]:
    """Count what the pipeline holds: sessions, stimulations, neurons, spike trains, spikes, STRFs and delays."""
    sessions, stimulated = experiment.Session(), experiment.Session() & experiment.Stimulation().proj()
    trains = experiment.SpikeTrain()
    return {
        "sessions": len(sessions),
        "sessions_without_stimulation": len(sessions) - len(stimulated),
        "stimulations": len(experiment.Stimulation()),
        "neurons": len(experiment.Neuron()),
        "spike_trains": len(trains),
        "spikes": n_spikes(),
        "parameter_rows": len(StrfParams()),
        "strfs": len(StrfEstimation.Strf()),
    }


def n_spikes() -> int:
    """Count the spikes of all neurons during all stimulations."""
    trains = experiment.SpikeTrain()
    found = trains.connection.query(f"SELECT COALESCE(SUM(n_spikes), 0) FROM {trains.full_table_name}").fetchone()
    return int(found[0])


def stimulation_ids(restriction: Any = True) -> list[StimulationId]:
    """Give all stimulations, in the order of their keys.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on stimulations.
    """
    with restricted(experiment.Stimulation(), restriction, "stimulations") as chosen:
        keys = chosen.keys(order_by="KEY")
    return [stimulation_id_of(key) for key in keys]


def neuron_ids(stimulation_ids: Iterable[StimulationId]) -> list[int]:
    """Give the neurons with a spike train in any of these stimulations, ascending."""
    trains = experiment.SpikeTrain() & [_key(stimulation_id) for stimulation_id in stimulation_ids]
    return sorted(map(int, dj.U("neuron_id").aggr(trains, n="COUNT(*)").to_arrays("neuron_id")))


def stimulation(stimulation_id: StimulationId, *, lazy: bool = False) -> Stimulation:
    """Load one stimulation with its spikes and its movie, which stays in the store if it is large or `lazy`."""
    key = _key(stimulation_id)
    row = (experiment.Stimulation() * experiment.Movie() & key).fetch1()
    trains = (experiment.SpikeTrain() * experiment.Neuron() & key).to_dicts(order_by="neuron_id")
    return Stimulation(
        stimulation_number=row["stimulation_number"],
        movie=row["frames"].load(lazy=lazy),
        frame_rate_hz=row["frame_rate_hz"],
        onset_s=row["onset_s"],
        pixel_size_um=row["pixel_size_um"],
        spike_trains=tuple(
            SpikeTrain(train["neuron_id"], train["spike_times_s"], train["source_label"]) for train in trains
        ),
        frame_edges_s=row["frame_edges_s"],
        gaps_s=row["gaps_s"],
    )


def strfs(restriction: Any = True, *, combine: bool = True) -> Iterator[Strf]:
    """Give STRFs in the order of their neurons.

    Parameters
    ----------
    restriction
        Anything DataJoint takes: ``{"neuron_id": 3}``, a condition as text, a list of keys, another table.
    combine : bool
        Join the delays of all parameter rows that agree in their rules into one STRF per neuron and
        stimulation; otherwise give one per parameter row.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on STRFs.
    """
    sources = (
        StrfEstimation.Strf()
        * StrfEstimation()
        * StrfParams()
        * experiment.Stimulation()
        * experiment.Movie().proj("block_width_px", "block_height_px")
    )
    order = [*NEURON_COLUMNS, "estimator", "frame_rule", "centre", "min_spikes", "strf_params_id"]
    with restricted(sources, restriction, "STRFs") as chosen:
        rows = chosen.to_dicts(order_by=order)
    pending: list[Strf] = []
    for row in rows:
        strf = _strf(row)
        if pending and not (combine and _may_join(pending[-1], strf)):
            yield join_delays(pending)
            pending = []
        pending.append(strf)
    if pending:
        yield join_delays(pending)


def strfs_of(stimulation_id: StimulationId, neuron_ids: Iterable[int]) -> Iterator[Strf]:
    """Give the STRFs of some neurons of a stimulation, with the delays of all parameter rows joined."""
    keys = [{**_key(stimulation_id), "neuron_id": neuron_id} for neuron_id in neuron_ids]
    return strfs(keys) if keys else iter(())


def join_delays(parts: list[Strf]) -> Strf:
    """Make one STRF of several of one neuron under the same rules, each delay once, ascending."""
    if len(parts) == 1:
        return parts[0]
    delays_s = np.concatenate([part.delays_s for part in parts])
    # two parameter rows may ask for the same delay with different roundings
    _, chosen = np.unique(np.round(delays_s, 9), return_index=True)

    def pick(arrays: Iterable[Any]) -> Any:
        return np.concatenate(list(arrays))[chosen]

    ledger = SpikeLedger(
        **{
            name: pick(getattr(part.ledger, name) for part in parts)
            for name in ("n_used", "n_before_onset", "n_after_end", "n_in_gap")
        }
    )
    return replace(
        parts[0],
        delays_s=delays_s[chosen],
        values=pick(part.values for part in parts),
        standard_error=pick(part.standard_error for part in parts),
        ledger=ledger,
    )


def peaks(restriction: Any = True) -> list[Row]:
    """Give one row per neuron and parameter row: spikes, peak and noise, in the order of the keys."""
    sources = StrfEstimation.Strf() * experiment.SpikeTrain().proj("n_spikes")
    columns = ("n_spikes", "peak_z", "peak_delay_s", "peak_row_idx", "peak_column_idx", "noise_z")
    with restricted(sources, restriction, "STRFs") as chosen:
        found: list[Row] = chosen.proj(*columns).to_dicts(order_by="KEY")
    return found


def best_neurons(n_per_stimulation: int = 1) -> dict[StimulationId, list[int]]:
    """Give the neurons whose peak stands highest above their noise, per stimulation, the best first."""
    heights: dict[StimulationId, dict[int, float]] = {}
    for row in peaks():
        height = 0.0 if row["peak_z"] is None else abs(row["peak_z"]) - (row["noise_z"] or 0.0)
        per_neuron = heights.setdefault(stimulation_id_of(row), {})
        per_neuron[row["neuron_id"]] = max(height, per_neuron.get(row["neuron_id"], -np.inf))
    return {
        stimulation_id: sorted(per_neuron, key=lambda neuron: -per_neuron[neuron])[:n_per_stimulation]
        for stimulation_id, per_neuron in heights.items()
    }


def _key(stimulation_id: StimulationId) -> Row:
    return {name: getattr(stimulation_id, name) for name in ID_COLUMNS}


def stimulation_id_of(row: Row) -> StimulationId:
    """Give the stimulation that a row belongs to."""
    return StimulationId(*(row[name] for name in ID_COLUMNS))


def _may_join(a: Strf, b: Strf) -> bool:
    def rules(strf: Strf) -> tuple[Any, ...]:
        return strf.stimulation_id, strf.neuron_id, strf.frame_rule, strf.centred, strf.min_spikes

    # a ridge estimate is one of all its delays together
    return rules(a) == rules(b) and a.estimator == b.estimator == "sta"


def _strf(row: Row) -> Strf:
    pixel_um = row["pixel_size_um"]
    return Strf(
        stimulation_id=stimulation_id_of(row),
        neuron_id=row["neuron_id"],
        delays_s=row["delays_s"],
        values=row["strf"].load(),
        standard_error=(row["error_factor"][:, None, None] * row["pixel_sd"]).astype(np.float32),
        ledger=SpikeLedger(row["n_used"], row["n_before_onset"], row["n_after_end"], row["n_in_gap"]),
        pixel_mean=row["pixel_mean"],
        centred=bool(row["centre"]),
        frame_rule=row["frame_rule"],
        estimator=row["estimator"],
        min_spikes=row["min_spikes"],
        frame_rate_hz=row["frame_rate_hz"],
        block_size_um=(row["block_width_px"] * pixel_um, row["block_height_px"] * pixel_um),
    )
