"""What may be so by its form but hardly in a laboratory: refused where it contradicts itself, else remarked."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.plausible_screen import USUAL_RATES_HZ, check_frame_times, remarks_on_screen
from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dj_neuron.contracts.recording import Session, SpikeTrain, Stimulation

    Floats = NDArray[np.float64]

_UNITS = {"milliseconds": 1e-3, "microseconds": 1e-6}
_REFRACTORY_S = 0.0005  # no neuron fires twice within less
_ENOUGH = 20  # spikes to tell seconds from another unit
_FEW, _MOST = 0.02, 0.9
_MANY_TWICE = 0.05  # of a neuron's spikes
_FAR = 1.5  # times the rate of the nearest neighbour
_FASTEST_HZ = 500.0
_LEAST_SPAN = 0.6  # of the movie, from the first spike of all neurons to the last
_COARSEST = 0.25  # of a frame
_N_NAMED = 5


def remarks_on(session: Session, neighbours_hz: Iterable[float] = ()) -> tuple[str, ...]:
    """Say what in a session is possible but suspicious, a sentence each.

    Parameters
    ----------
    session : Session
    neighbours_hz : iterable of float
        Frame rates of other recordings of the same laboratory.

    Raises
    ------
    ContractError
        If spikes or frame times cannot be seconds, or a neuron has many of its spikes twice.

    Notes
    -----
    Spikes of a stimulation are no seconds if there are at least 20, less than 2 % of them lie within the movie, and
    either all are whole numbers, or 90 % would lie within it, up to its second half at least, in milliseconds or
    microseconds, and less than 10 % of the intervals between spikes of a neuron would be shorter then than 0.5 ms. A
    neuron has many spikes twice if they are 5 % of its spikes.
    """
    rates_hz = [stimulation.frame_rate_hz for stimulation in session.stimulations]
    others_hz = {float(rate_hz) for rate_hz in neighbours_hz}
    remarks = _on_date(session.session_date)
    for place, stimulation in enumerate(session.stimulations):
        where = f"stimulation {stimulation.stimulation_number}"
        _check_units(stimulation, where)
        check_frame_times(stimulation, where)
        found = [
            *_on_spikes_twice(stimulation, where),
            _on_spikes_outside(stimulation),
            _on_span(stimulation),
            *_on_precision(stimulation),
            _on_rate(stimulation, [*rates_hz[:place], *rates_hz[place + 1 :], *others_hz]),
            _on_firing(stimulation),
            *remarks_on_screen(stimulation),
        ]
        remarks += [f"{where}: {remark}" for remark in found if remark]
    return tuple(remarks)


def _on_date(date: datetime.date) -> list[str]:
    latest = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)  # in any time zone
    return [f"session_date is {date}, which is yet to come"] if date > latest else []


def _check_units(stimulation: Stimulation, where: str) -> None:
    trains_s = [train.times_s for train in stimulation.spike_trains]
    times_s = np.concatenate([np.empty(0), *trains_s])
    if times_s.size < _ENOUGH or _share_within(times_s, stimulation) >= _FEW:
        return
    movie = _movie_text(stimulation)
    if (times_s == np.floor(times_s)).all():
        raise ContractError(
            f"{where}: all {times_s.size} spikes are whole numbers up to {times_s.max():.0f}, as samples or "
            f"milliseconds are, and the movie lasts {movie}, expected spikes in seconds"
        )
    for unit, in_s in _UNITS.items():
        is_late = times_s.max() * in_s > (stimulation.onset_s + stimulation.end_s) / 2
        if is_late and _share_within(times_s * in_s, stimulation) >= _MOST and _have_refractory_times(trains_s, in_s):
            raise ContractError(
                f"{where}: {times_s.size} spikes up to {times_s.max():g} lie outside the movie ({movie}) if they are "
                f"seconds and within it if they are {unit}, expected spikes in seconds"
            )


def _have_refractory_times(trains_s: list[Floats], in_s: float) -> bool:
    intervals_s = np.concatenate([np.diff(times_s) for times_s in trains_s]) * in_s
    return not intervals_s.size or bool((intervals_s < _REFRACTORY_S).mean() < 0.1)


def _share_within(times_s: Floats, stimulation: Stimulation) -> float:
    return float(((times_s >= stimulation.onset_s) & (times_s < stimulation.end_s)).mean())


def _movie_text(stimulation: Stimulation) -> str:
    return f"from {stimulation.onset_s:g} to {stimulation.end_s:g} s"


def _on_spikes_twice(stimulation: Stimulation, where: str) -> list[str]:
    remarks = []
    for train in stimulation.spike_trains:
        n_twice = int((np.diff(train.times_s) == 0).sum())
        if n_twice >= max(1.0, _MANY_TWICE * train.n_spikes):
            first = int(np.flatnonzero(np.diff(train.times_s) == 0)[0]) + 1
            raise ContractError(
                f"{where}: neuron {train.neuron_id}: {n_twice} of {train.n_spikes} spikes are there twice, first spike "
                f"{first} at {train.times_s[first]:g} s, expected every spike once"
            )
        if n_twice:
            remarks.append(f"{n_twice} of {train.n_spikes} spikes of neuron {train.neuron_id} are there twice")
    return remarks


def _on_spikes_outside(stimulation: Stimulation) -> str:
    trains = [train for train in stimulation.spike_trains if train.n_spikes]
    outside = [train for train in trains if _share_within(train.times_s, stimulation) < 0.5]
    if not outside:
        return ""
    times_s = np.concatenate([train.times_s for train in outside])
    n_outside = round(times_s.size * (1 - _share_within(times_s, stimulation)))
    units = [unit for unit, in_s in _UNITS.items() if _share_within(times_s * in_s, stimulation) >= _MOST]
    guess = f"; most would lie within it if they were {units[0]}" if units else ""
    who = "all neurons" if len(outside) == len(trains) > 1 else _named(outside)
    return f"{n_outside} of {times_s.size} spikes of {who} lie outside the movie, {_movie_text(stimulation)}{guess}"


def _on_span(stimulation: Stimulation) -> str:
    times_s = np.concatenate([np.empty(0), *(train.times_s for train in stimulation.spike_trains)])
    within_s = times_s[(times_s >= stimulation.onset_s) & (times_s < stimulation.end_s)]
    if within_s.size < _ENOUGH:
        return ""
    first_s, last_s = float(within_s.min()), float(within_s.max())
    if last_s - first_s >= _LEAST_SPAN * (stimulation.end_s - stimulation.onset_s):
        return ""
    return (
        f"all {within_s.size} spikes during the movie, {_movie_text(stimulation)}, lie from {first_s:g} to "
        f"{last_s:g} s, as if frame times or the frame rate were wrong"
    )


def _on_precision(stimulation: Stimulation) -> list[str]:
    edges_s = stimulation.frame_edges_s
    spikes_s = np.concatenate([np.empty(0), *(train.times_s for train in stimulation.spike_trains)])
    remarks = []
    for name, times_s in (("spike times", spikes_s), ("frame times", np.empty(0) if edges_s is None else edges_s)):
        for precision, kind in (("half", np.float16), ("single", np.float32)):
            with np.errstate(over="ignore"):
                is_so = times_s.size >= _ENOUGH and bool((times_s.astype(kind) == times_s).all())
            step_s = float(np.spacing(kind(np.abs(times_s).max()))) if is_so else 0.0
            if step_s > _COARSEST / stimulation.frame_rate_hz:
                remarks.append(
                    f"{name} are of {precision} precision, which tells no less than {1000 * step_s:.3g} ms apart at "
                    f"{times_s.max():.6g} s, where a frame lasts {1000 / stimulation.frame_rate_hz:.3g} ms"
                )
                break
    return remarks


def _named(trains: list[SpikeTrain]) -> str:
    more = f" and {len(trains) - _N_NAMED} more" if len(trains) > _N_NAMED else ""
    numbers = ", ".join(str(train.neuron_id) for train in trains[:_N_NAMED])
    return f"neuron{'s' if len(trains) > 1 else ''} {numbers}{more}"


def _on_rate(stimulation: Stimulation, neighbours_hz: list[float]) -> str:
    rate_hz = stimulation.frame_rate_hz
    usual_hz = [
        hz for hz in neighbours_hz if USUAL_RATES_HZ[0] <= hz <= USUAL_RATES_HZ[1]
    ]  # others are wrong themselves
    nearest_hz = min(usual_hz, key=lambda hz: abs(math.log(hz / rate_hz)), default=rate_hz)
    if 1 / _FAR <= rate_hz / nearest_hz <= _FAR:
        return ""
    return f"frame rate {rate_hz:g} Hz is far from that of other recordings here: the nearest is {nearest_hz:g} Hz"


def _on_firing(stimulation: Stimulation) -> str:
    duration_s = stimulation.end_s - stimulation.onset_s
    for train in stimulation.spike_trains:
        n_within = _share_within(train.times_s, stimulation) * train.n_spikes if train.n_spikes else 0
        if n_within >= _ENOUGH and n_within > _FASTEST_HZ * duration_s:
            rate_hz = n_within / duration_s
            return f"neuron {train.neuron_id} fires {rate_hz:.0f} spikes per second, more than one neuron can"
    return ""
