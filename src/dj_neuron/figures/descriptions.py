"""What there is to see in each picture, in words: for those who cannot see it, and for whoever tests it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.figures.comparison import map_correlations
from dj_neuron.figures.overview import size_um
from dj_neuron.figures.raster import rate_hz
from dj_neuron.figures.stills import default_frames, start_of_frame_s
from dj_neuron.pictures.marks import peak_of
from dj_neuron.pictures.places import is_placed, missing_text, neurons_text, screen_of
from dj_neuron.pictures.sentences import blocks_text, finding_text
from dj_neuron.pictures.words import POLARITY, delay_text, measure, number_text, place_text, polarity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dj_neuron.contracts import CovarianceResult, ReceptiveFieldResult, Stimulation, Strf
    from dj_neuron.figures.diagram import TableNode


def describe_diagram(nodes: Sequence[TableNode], n_edges: int) -> str:
    """Tables with their rows, and how many references."""
    rows = ", ".join(f"{node.name} {node.n_rows:,}" for node in nodes if node.n_rows)
    return f"{len(nodes)} tables with {n_edges} references between them. Rows: {rows or 'none'}."


def describe_raster(stimulation: Stimulation) -> str:
    """Neurons, spikes, period and rates."""
    trains = stimulation.spike_trains
    period = f"The stimulus lasts from {stimulation.onset_s:.2f} to {stimulation.end_s:.2f} s."
    if not trains:
        return f"No neurons. {period}"
    rates_hz = [rate_hz(train, stimulation.onset_s, stimulation.end_s) for train in trains]
    spikes = sum(train.n_spikes for train in trains)
    return (
        f"{spikes:,} spikes of {neurons_text(len(trains))}, one row each. {period} Rates then are from "
        f"{number_text(min(rates_hz))} to {number_text(max(rates_hz))} Hz."
    )


def describe_stills(stimulation: Stimulation) -> str:
    """Blocks, and which frames at which times."""
    movie = stimulation.movie
    frames = default_frames(movie)
    shown = ", ".join(f"{frame} at {start_of_frame_s(stimulation, frame):.3f} s" for frame in frames)
    return f"{blocks_text(movie.n_y, movie.n_x)} in grey: frames {shown}."


def describe_mosaic(fields: Sequence[ReceptiveFieldResult]) -> str:
    """How many fields of each polarity lie where, and who is missing."""
    axes, (width_um, height_um) = screen_of(fields)
    placed = [field for field in fields if axes and is_placed(field, axes)]
    counted = Counter(polarity_of(field) for field in placed)
    kinds = [f"{n} {POLARITY.get(polarity or 0, 'of unknown polarity')}" for polarity, n in counted.items()]
    words = (
        f"Receptive fields on a screen of {width_um:,.0f} by {height_um:,.0f} µm: {', '.join(sorted(kinds)) or 'none'}."
    )
    missing = missing_text(fields)
    return f"{words} {missing}." if missing else words


def describe_overview(fields: Sequence[ReceptiveFieldResult]) -> str:
    """Discoveries, and medians of ON and OFF fields."""
    q_values = np.array([measure(field, "q_value_field") for field in fields])
    parts = [f"q is at most 0.05 for {np.count_nonzero(q_values <= 0.05)} of {neurons_text(len(fields))}"]
    for polarity, name in POLARITY.items():
        own = [field for field in fields if polarity_of(field) == polarity]
        medians = [
            f"{words} {number_text(float(np.median(known)))} {unit}".strip()
            for words, unit, values in (
                ("size", "µm", [size_um(field) for field in own]),
                ("time to peak", "ms", [measure(field, "time_to_peak_s") * 1e3 for field in own]),
                ("biphasic index", "", [measure(field, "biphasic_index") for field in own]),
            )
            if (known := [value for value in values if np.isfinite(value)])
        ]
        parts.append(f"{len(own)} {name}" + (f" with medians of {', '.join(medians)}" if medians else ""))
    return "; ".join(parts) + "."


def describe_strf(strf: Strf) -> str:
    """Delays, and where and when the peak is."""
    n_y, n_x = strf.values.shape[1:]
    first, last = (delay_text(float(strf.delays_s[place])) for place in (0, -1))
    delays = f"{strf.delays_s.size} delays from {first} to {last}" if strf.delays_s.size > 1 else first
    return f"STRF of {blocks_text(n_y, n_x)} at {delays} before the spike. {_peak_words(strf)}"


def describe_course(strf: Strf) -> str:
    """The block, and its contrast at the peak."""
    peak = peak_of(strf)
    if peak is None:
        return "No time course: too few spikes."
    value, error = float(strf.values[peak]), float(strf.standard_error[peak])
    where = place_text(strf, peak[1:]).partition(", band")[0]
    return f"{where}: {number_text(value, error)} at {delay_text(float(strf.delays_s[peak[0]]))} before the spike."


def describe_sheet(strf: Strf, field: ReceptiveFieldResult) -> str:
    """What was found, and what is missing and why."""
    missing = "; ".join(f"{kind}: {reason}" for kind, reason in field.reasons.items())
    words = finding_text(strf.n_spikes, strf, field)
    return f"{words} Missing: {missing}." if missing else words


def describe_covariance(covariance: CovarianceResult) -> str:
    """Every filter: its kind, variance and p."""
    filters = [
        f"{'excitatory' if found.is_excitatory else 'suppressive'}, variance {number_text(found.variance)}, "
        f"p = {number_text(found.p_value)}"
        for found in covariance.filters
    ]
    return f"{len(filters)} of {covariance.variances.size} directions are significant: {'; '.join(filters) or 'none'}."


def describe_comparison(first: Strf, second: Strf, names: tuple[str, str]) -> str:
    """Both peaks, and how alike the maps are."""
    words = [f"{name}: {_peak_words(strf)}" for strf, name in zip((first, second), names, strict=True)]
    _, correlations = map_correlations(first, second)
    known = correlations[np.isfinite(correlations)]
    if known.size:
        words.append(f"Maps correlate by {number_text(float(known.min()))} to {number_text(float(known.max()))}.")
    else:
        words.append("No delay is common to both." if not correlations.size else "There are no maps to compare.")
    return " ".join(words)


def _peak_words(strf: Strf) -> str:
    peak = peak_of(strf)
    if peak is None:
        return "Too few spikes for a peak."
    where = place_text(strf, peak[1:]).partition(", band")[0].replace("block at ", "")
    height = f"z = {number_text(float(strf.z[peak]))}" if strf.estimator == "sta" else "largest"
    return f"The peak is at {delay_text(float(strf.delays_s[peak[0]]))}, {where}, {height}."
