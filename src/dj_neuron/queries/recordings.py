"""Sessions and their stimulations, with counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.contracts import Session, Source
from dj_neuron.pipeline import experiment, receptive_field
from dj_neuron.queries.conditions import restricted
from dj_neuron.queries.counting import n_rows
from dj_neuron.queries.estimates import n_spikes, stimulation, stimulation_id_of, stimulation_ids

if TYPE_CHECKING:
    import datetime

    from dj_neuron.contracts import StimulationId
    from dj_neuron.queries.neuron_query import ParameterIds

_SESSION = ("subject_name", "session_date", "sample_number")


@dataclass(frozen=True)
class StimulationInfo:
    """One stimulation without its arrays."""

    stimulation_id: StimulationId
    n_frames: int
    n_y: int
    n_x: int
    frame_rate_hz: float
    pixel_size_um: float
    block_size_um: tuple[float, float]
    n_neurons: int
    n_spikes: int

    @property
    def duration_s(self) -> float:
        """How long the frames take at their nominal rate."""
        return self.n_frames / self.frame_rate_hz

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the field of blocks."""
        return self.n_x * self.block_size_um[0], self.n_y * self.block_size_um[1]


@dataclass(frozen=True)
class SessionInfo:
    """One session and its stimulations, perhaps none."""

    subject_name: str
    session_date: datetime.date
    sample_number: int
    source_file: str
    note: str
    stimulations: tuple[StimulationInfo, ...]


def totals(parameters: ParameterIds) -> dict[str, int]:
    """Count sessions, stimulations, neurons, spikes, and receptive fields beyond chance by these parameters."""
    params = {name: getattr(parameters, name) for name in ("strf_params_id", "significance_params_id")}
    found = receptive_field.Significance.Judgement() & params
    chosen = receptive_field.SignificanceParams() & params
    alpha = f"SELECT alpha FROM {chosen.full_table_name}{chosen.where_clause()}"
    counted = f"SELECT COUNT(*) FROM {found.full_table_name}{found.where_clause()} AND p_value_field <= ({alpha})"
    return {
        "sessions": n_rows(experiment.Session()),
        "stimulations": n_rows(experiment.Stimulation()),
        "neurons": n_rows(experiment.Neuron()),
        "spikes": n_spikes(),
        "significant": 0 if None in params.values() else int(found.connection.query(counted).fetchone()[0]),
    }


def recordings(*, offset: int = 0, limit: int | None = None) -> list[SessionInfo]:
    """Give sessions `offset` to ``offset + limit`` in the order of their keys, with their stimulations."""
    sessions = experiment.Session().to_dicts(
        order_by="KEY", **({"limit": limit, "offset": offset} if limit is not None else {})
    )
    if not sessions:
        return []
    keys = [{name: row[name] for name in _SESSION} for row in sessions]
    of_session: dict[tuple[Any, ...], list[StimulationInfo]] = {}
    for info in stimulation_infos(keys if limit is not None else True):
        one = info.stimulation_id
        of_session.setdefault((one.subject_name, one.session_date, one.sample_number), []).append(info)
    return [
        SessionInfo(
            **{name: row[name] for name in (*_SESSION, "source_file", "note")},
            stimulations=tuple(of_session.get(tuple(row[name] for name in _SESSION), ())),
        )
        for row in sessions
    ]


def session_keys(restriction: Any = True) -> list[dict[str, Any]]:
    """Give the keys of sessions, in their order.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on sessions.
    """
    with restricted(experiment.Session(), restriction, "sessions") as chosen:
        found: list[dict[str, Any]] = chosen.keys(order_by="KEY")
    return found


def session(key: dict[str, Any]) -> Session:
    """Give the session of a key as it was ingested, its movies in the store."""
    row = (experiment.Session() * experiment.Subject() & key).fetch1()
    return Session(
        **{name: row[name] for name in _SESSION},
        stimulations=tuple(stimulation(one, lazy=True) for one in stimulation_ids(key)),
        source=Source(row["source_file"], row["source_sha256"], row["reader"]),
        **{name: row[name] for name in ("species", "subject_description", "note")},
    )


def stimulation_infos(restriction: Any = True) -> list[StimulationInfo]:
    """Describe stimulations, in the order of their keys; an empty list restricts to none."""
    shown = experiment.Stimulation() & restriction
    counted = {
        stimulation_id_of(row): (int(row["n_neurons"]), int(row["n_all"]))
        for row in dj.U(*experiment.Stimulation().primary_key)
        .aggr(experiment.SpikeTrain() & restriction, n_neurons="COUNT(*)", n_all="SUM(n_spikes)")
        .to_dicts()
    }
    plain = ("frame_rate_hz", "pixel_size_um", "n_frames", "n_y", "n_x", "block_width_px", "block_height_px")
    found = []
    for row in (shown * experiment.Movie()).proj(*plain).to_dicts(order_by="KEY"):
        one = stimulation_id_of(row)
        n_neurons, n_spikes = counted.get(one, (0, 0))
        pixel_um = row["pixel_size_um"]
        found.append(
            StimulationInfo(
                stimulation_id=one,
                **{name: row[name] for name in ("n_frames", "n_y", "n_x", "frame_rate_hz", "pixel_size_um")},
                block_size_um=(row["block_width_px"] * pixel_um, row["block_height_px"] * pixel_um),
                n_neurons=n_neurons,
                n_spikes=n_spikes,
            )
        )
    return found
