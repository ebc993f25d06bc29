"""Spikes of any sorter: objects of SpikeInterface and Neo into spike trains.

Only the objects' own methods are called, so neither library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import SpikeTrain
from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neo.core import Block, Segment
    from numpy.typing import NDArray
    from spikeinterface.core import BaseSorting


def spike_trains_from_sorting(
    sorting: BaseSorting,
    *,
    segment_index: int | None = None,
    unit_ids: Sequence[Any] | None = None,
    neuron_ids: Mapping[str, int] | None = None,
) -> tuple[SpikeTrain, ...]:
    """Take the spikes of one segment of a SpikeInterface sorting.

    Parameters
    ----------
    sorting : spikeinterface.core.BaseSorting
        What a sorter, a curation or a reader of SpikeInterface gives.
    segment_index : int, optional
        Which segment, that is: which piece of recording; needed if there are several.
    unit_ids : sequence, optional
        Which units; default: all, in the order of the sorting.
    neuron_ids : mapping of str to int, optional
        Number of each unit by its id as text; default: its place in the sorting, from 1.

    Returns
    -------
    tuple of SpikeTrain
        In ascending ``neuron_id``; labels are the unit ids. Silent units are among them.

    Raises
    ------
    ContractError
        If the segment is not named or not there, a unit is not there or has no number, or a spike comes before zero.

    Notes
    -----
    Sample ``k`` of the segment is at ``k / sampling_frequency`` plus the segment's start time. If a recording is
    registered in the sorting, its times are taken: its start time or, for clocks that were synchronised, its vector of
    times. Stimuli must be on that same clock.
    """
    if not hasattr(sorting, "get_unit_spike_train"):
        raise ContractError(f"sorting is a {type(sorting).__name__}, expected a sorting of SpikeInterface")
    index = _segment(segment_index, sorting.get_num_segments(), "sorting")
    known = list(sorting.unit_ids)
    for unit_id in () if unit_ids is None else unit_ids:
        if unit_id not in known:
            raise ContractError(f"the sorting has no unit {unit_id!r}, expected one of {', '.join(map(str, known))}")
    labels = [str(unit_id) for unit_id in known]
    numbers = dict(zip(labels, _numbers(labels, neuron_ids), strict=True))
    return _trains(
        (numbers[str(unit_id)], str(unit_id), sorting.get_unit_spike_train(unit_id, index, return_times=True))
        for unit_id in (known if unit_ids is None else unit_ids)
    )


def spike_trains_from_neo(
    neo_object: Segment | Block, *, segment_index: int | None = None, neuron_ids: Mapping[str, int] | None = None
) -> tuple[SpikeTrain, ...]:
    """Take the spikes of one Neo segment.

    Parameters
    ----------
    neo_object : neo.Segment or neo.Block
        Spike times may be in any unit of time.
    segment_index : int, optional
        Which segment of a block; needed if it has several.
    neuron_ids : mapping of str to int, optional
        Number of each unit by its label; default: the place of its train in the segment, from 1. Give it where units
        are missing from some segments, so that a neuron keeps its number.

    Returns
    -------
    tuple of SpikeTrain
        In ascending ``neuron_id``. A label is the train's name, else its annotation ``unit_id`` or ``id``, else empty.

    Raises
    ------
    ContractError
        If the segment is not named or not there, a train has no number, or a spike comes before zero.

    Notes
    -----
    Neo's times are on the clock of the segment; ``t_start`` is when the train begins and is not added to them.
    """
    segment = neo_object
    if hasattr(neo_object, "segments"):
        segment = neo_object.segments[_segment(segment_index, len(neo_object.segments), "block")]
    elif not hasattr(neo_object, "spiketrains"):
        raise ContractError(f"neo_object is a {type(neo_object).__name__}, expected a Segment or a Block of Neo")
    else:
        _segment(segment_index, 1, "segment")
    labels = [_label(train) for train in segment.spiketrains]
    return _trains(
        (number, label, np.sort(train.times.rescale("s").magnitude))
        for number, label, train in zip(_numbers(labels, neuron_ids), labels, segment.spiketrains, strict=True)
    )


def _segment(segment_index: int | None, n_segments: int, what: str) -> int:
    if not n_segments:
        raise ContractError(f"the {what} has no segments, expected at least one")
    if segment_index is None and n_segments > 1:
        raise ContractError(f"the {what} has {n_segments} segments, each with its own clock, expected segment_index")
    index = 0 if segment_index is None else segment_index
    if not isinstance(index, int | np.integer) or isinstance(index, bool) or not 0 <= index < n_segments:
        raise ContractError(f"segment_index is {index!r:.40}, expected 0 to {n_segments - 1}")
    return int(index)


def _label(train: Any) -> str:
    names = (train.name, *(train.annotations.get(key) for key in ("unit_id", "id")))
    texts = (
        str(name.item() if isinstance(name, np.ndarray) and name.size == 1 else name)
        for name in names
        if name is not None
    )
    return next((text for text in texts if text), "")


def _numbers(labels: Sequence[str], neuron_ids: Mapping[str, int] | None) -> list[int]:
    if neuron_ids is None:
        return list(range(1, len(labels) + 1))
    if not isinstance(neuron_ids, Mapping):
        raise ContractError(f"neuron_ids are a {type(neuron_ids).__name__}, expected numbers of neurons by labels")
    for label in labels:
        if label not in neuron_ids:
            raise ContractError(f"unit {label!r} has no number in neuron_ids, expected one for every unit")
        if not isinstance(neuron_ids[label], int | np.integer) or isinstance(neuron_ids[label], bool):
            raise ContractError(
                f"unit {label!r} is {neuron_ids[label]!r} in neuron_ids, expected a whole number from 1"
            )
    return [int(neuron_ids[label]) for label in labels]


def _trains(spikes: Iterable[tuple[int, str, NDArray[np.float64]]]) -> tuple[SpikeTrain, ...]:
    trains: dict[int, SpikeTrain] = {}
    for number, label, times_s in spikes:
        if number in trains:
            raise ContractError(
                f"units {trains[number].label!r} and {label!r} are both neuron {number}, expected one each"
            )
        trains[number] = SpikeTrain(number, times_s, label)
    return tuple(trains[number] for number in sorted(trains))
