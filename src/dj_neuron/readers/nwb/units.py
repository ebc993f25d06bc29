"""Spikes of sorted units, during the stimulations for which they were observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dj_neuron.contracts import SpikeTrain
from dj_neuron.errors import ReadError
from dj_neuron.readers import contract_errors_at
from dj_neuron.readers.hdf5_frames import measure_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynwb.misc import Units

    Floats = np.ndarray[Any, np.dtype[np.float64]]

# the same spikes on the clocks of recordings that dj-neuron laid one after another, to the last bit
_OWN_CLOCK = "recording_spike_times_s"
TAKEN = ("spike_times", "obs_intervals", "neuron_id", "source_label", "unit_name", _OWN_CLOCK)


class Shown(NamedTuple):
    """When a stimulation was on the screen, and between which others its spikes lie, on the clock of the file.

    `has_own_clock` says that its spikes are to be given on the clock of its recording, which is another.
    """

    name: str
    onset_s: float
    end_s: float
    end_before_s: float
    onset_after_s: float
    has_own_clock: bool


def spike_trains(units: Units | None, shown: Sequence[Shown], place: str) -> tuple[list[list[SpikeTrain]], list[str]]:
    """Give the spike trains of each stimulation, and what a person should know.

    A train holds the spikes from the end of the stimulation before to the onset of the one after, as far as they lie in
    the unit's observation intervals that meet the stimulation. A unit whose intervals do not meet it has no train.

    Parameters
    ----------
    units : pynwb.misc.Units
    shown : sequence of Shown
        In the order of time.

    Raises
    ------
    ReadError
        If spikes of a unit do not ascend, or are not there.
    """
    trains: list[list[SpikeTrain]] = [[] for _ in shown]
    partly: list[list[str]] = [[] for _ in shown]
    if units is None or "spike_times" not in units.colnames:
        return trains, ["no units with spike times: no neurons"]
    measure_columns(units, TAKEN, place)
    remarks, n_negative = [], 0
    if "obs_intervals" not in units.colnames:
        remarks.append("units have no obs_intervals: all are taken as observed throughout")
    numbers, labels = _numbers(units), _labels(units)
    for row in np.argsort(numbers, kind="stable").tolist():
        of_unit = f"{place}: unit {units.id[row]}"
        times_s = np.asarray(units["spike_times"][row], np.float64)
        own_times_s = np.asarray(units[_OWN_CLOCK][row], np.float64) if _OWN_CLOCK in units.colnames else times_s
        intervals_s = _intervals(units, row, of_unit)
        n_negative += int((times_s < 0).sum())
        _check_times(times_s, of_unit)
        for stimulation, own_trains, incomplete in zip(shown, trains, partly, strict=True):
            met = intervals_s[(intervals_s[:, 0] < stimulation.end_s) & (intervals_s[:, 1] > stimulation.onset_s)]
            if not len(met):
                continue
            if not _cover(met, stimulation):
                incomplete.append(str(units.id[row]))
            first_s, last_s = max(stimulation.end_before_s, 0), stimulation.onset_after_s
            is_taken = (times_s >= first_s) & (times_s < last_s) & _within(times_s, met)
            taken_s = (own_times_s if stimulation.has_own_clock else times_s)[is_taken]
            with contract_errors_at(of_unit):
                own_trains.append(SpikeTrain(numbers[row], taken_s, labels[row]))
    if n_negative:
        remarks.append(f"{n_negative} spike(s) before the clock's zero left out")
    for stimulation, own_trains, incomplete in zip(shown, trains, partly, strict=True):
        if len(own_trains) < len(numbers):
            missing = len(numbers) - len(own_trains)
            remarks.append(f"{stimulation.name}: {missing} unit(s) were not observed and have no spike train")
        if incomplete:
            remarks.append(
                f"{stimulation.name}: {len(incomplete)} unit(s) were observed during part of it "
                f"({', '.join(incomplete[:8])}{', ...' if len(incomplete) > 8 else ''}); rates and predictions take "
                "the rest for silence"
            )
    return trains, remarks


def _numbers(units: Units) -> list[int]:
    if "neuron_id" in units.colnames:
        given = np.asarray(units["neuron_id"][:])
        if given.dtype.kind in "iu" and (given >= 1).all():
            return [int(neuron_id) for neuron_id in given]
    return list(range(1, len(units.id) + 1))


def _labels(units: Units) -> list[str]:
    for column in ("source_label", "unit_name"):
        if column in units.colnames:
            return [str(label) for label in units[column][:]]
    return [str(unit_id) for unit_id in units.id[:]]


def _intervals(units: Units, row: int, place: str) -> Floats:
    if "obs_intervals" not in units.colnames:
        return np.array([[-np.inf, np.inf]])
    flat_s = np.asarray(units["obs_intervals"][row], np.float64).ravel()
    intervals_s = flat_s[: flat_s.size // 2 * 2].reshape(-1, 2)
    if flat_s.size % 2 or not (intervals_s[:, 0] <= intervals_s[:, 1]).all():
        raise ReadError(
            f"{place}: obs_intervals are no pairs of seconds, expected rows of (start, stop) with start <= stop"
        )
    return intervals_s[np.argsort(intervals_s[:, 0])]


def _check_times(times_s: Floats, place: str) -> None:
    if not np.isfinite(times_s).all():
        first = int(np.argmin(np.isfinite(times_s)))
        raise ReadError(f"{place}: spike {first} is at {times_s[first]:g}, expected ascending seconds")
    is_late = np.diff(times_s) >= 0
    if not is_late.all():
        raise ReadError(
            f"{place}: spike {int(np.argmin(is_late)) + 1} is not later than the one ahead of it, expected ascending "
            "seconds"
        )


def _within(times_s: Floats, intervals_s: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which times lie in any of the intervals, which are sorted by their starts; both ends belong to them."""
    place = np.searchsorted(intervals_s[:, 0], times_s, side="right")
    until_s = np.concatenate([[-np.inf], np.maximum.accumulate(intervals_s[:, 1])])
    return times_s <= until_s[place]


def _cover(intervals_s: Floats, stimulation: Shown) -> bool:
    """Tell whether intervals, by their starts, cover all of the stimulation; a hundredth of a second may be missing."""
    seen_until_s = stimulation.onset_s + 0.01
    for start_s, stop_s in intervals_s:
        if start_s > seen_until_s:
            return False
        seen_until_s = max(seen_until_s, stop_s)
    return bool(seen_until_s + 0.01 >= stimulation.end_s)
