"""The table of a stimulation's neurons, and the reasons for what is missing from it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.pictures.sentences import numbers_text
from dj_neuron.pictures.words import POLARITY, UNKNOWN, measure, measure_text, number_text, polarity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.contracts import ReceptiveFieldResult, SpikeTrain, Stimulation

# what the column is called, its unit
COLUMNS = (
    ("spikes", ""),
    ("peak z", ""),
    ("p", ""),
    ("q", ""),
    ("polarity", ""),
    ("centre x", "µm"),
    ("centre y", "µm"),
    ("σ major", "µm"),
    ("σ minor", "µm"),
    ("time to peak", "ms"),
    ("test correlation", ""),
    ("needed for 0.9", "min"),
)
_POLARITY_PLACE = 4
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class NeuronRow:
    """One neuron of the table; `cells` follow `COLUMNS`."""

    neuron_id: int
    label: str
    anchor: str
    cells: list[str]
    polarity: int

    @property
    def labelled_cells(self) -> list[tuple[str, bool]]:
        """Each cell, and whether it is the polarity."""
        return [(cell, place == _POLARITY_PLACE) for place, cell in enumerate(self.cells)]


def neuron_row(train: SpikeTrain, field: ReceptiveFieldResult | None, peak_z: float, anchor: str) -> NeuronRow:
    """Write the measures of a neuron; a dash is what is not known.

    Parameters
    ----------
    field : ReceptiveFieldResult or None
        None where nothing was judged.
    peak_z : float
        Of its STRF, shown in that case; NaN where there is none.
    anchor : str
        Of its section; empty where it has none.
    """
    polarity = 0 if field is None else polarity_of(field) or 0
    if field is None:
        cells = [f"{train.n_spikes:,}", number_text(peak_z), *[UNKNOWN] * (len(COLUMNS) - 2)]
    else:
        cells = [
            f"{train.n_spikes:,}",
            measure_text(field, "peak_z"),
            measure_text(field, "p_value_field"),
            measure_text(field, "q_value_field"),
            POLARITY.get(polarity, UNKNOWN),
            *(measure_text(field, name) for name in ("centre_x_um", "centre_y_um", "sigma_major_um", "sigma_minor_um")),
            measure_text(field, "time_to_peak_s", 1e3),
            measure_text(field, "test_correlation"),
            _minutes(measure(field, "minutes_needed")),
        ]
    return NeuronRow(train.neuron_id, train.label, anchor, cells, polarity)


def missing_measures(stimulation: Stimulation, fields: Mapping[int, ReceptiveFieldResult]) -> list[str]:
    """Say what is missing from the table and why, one sentence per reason with the numbers of the neurons.

    Notes
    -----
    Reasons that differ in their numbers only become one, with the range of every number.
    """
    neurons: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for train in stimulation.spike_trains:
        field = fields.get(train.neuron_id)
        if not train.n_spikes:
            reasons = ["silent during this stimulation"]
        elif field is None:
            reasons = ["not judged yet: compute goes on from the STRFs"]
        else:
            reasons = reasons_of(field)
        for reason in reasons:
            neurons[_NUMBER.sub("#", reason)].append((train.neuron_id, reason))
    found = []
    for _, same in sorted(neurons.items()):
        who = [neuron_id for neuron_id, _ in same]
        plural = "" if len(who) == 1 else "s"
        found.append(f"{_with_ranges([reason for _, reason in same])} (neuron{plural} {numbers_text(who)})")
    return found


def reasons_of(field: ReceptiveFieldResult) -> list[str]:
    """Say why measures of a field are missing, a line per reason, after the kinds that it holds for."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind, reason in field.reasons.items():
        if reason:
            kinds[reason].append(kind)
    return [f"{', '.join(names)}: {reason}" for reason, names in kinds.items()]


def _with_ranges(reasons: list[str]) -> str:
    """Write sentences that differ in their numbers only as one."""
    words = _NUMBER.split(reasons[0])
    columns = zip(*(_NUMBER.findall(reason) for reason in reasons), strict=True)
    spans = [sorted(set(column), key=float) for column in columns]
    shown = [span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}" for span in spans]
    return "".join(part for pair in zip_longest(words, shown, fillvalue="") for part in pair)


def _minutes(minutes: float) -> str:
    if not np.isfinite(minutes):
        return UNKNOWN
    return f"{minutes:.2g}" if minutes < 99.5 else f"{minutes:,.0f}"
