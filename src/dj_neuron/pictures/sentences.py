"""Stimulations, estimates and findings in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dj_neuron.pictures.words import POLARITY, delay_text, measure, measure_text, number_text, polarity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dj_neuron.contracts import ReceptiveFieldResult, Stimulation, Strf

ESTIMATORS = {"sta": "average", "ridge": "ridge"}
_FRAME_RULES = {"floor": "frame on the screen", "nearest": "nearest frame"}


def blocks_text(n_y: int, n_x: int) -> str:
    """Say what the blocks of a stimulus are, and how many."""
    if n_x == 1 and n_y == 1:
        return "a full field"
    if n_y == 1:
        return f"{n_x} vertical bars"
    if n_x == 1:
        return f"{n_y} horizontal bars"
    return f"{n_x} × {n_y} checkers"


def stimulus_text(stimulation: Stimulation) -> str:
    """Describe a stimulation: blocks, their size, rate, duration."""
    movie = stimulation.movie
    width_um, height_um = stimulation.block_size_um
    seconds = stimulation.end_s - stimulation.onset_s
    return (
        f"{blocks_text(movie.n_y, movie.n_x)} of {width_um:.4g} × {height_um:.4g} µm, {movie.n_frames:,} frames at "
        f"{stimulation.frame_rate_hz:.6g} Hz, {seconds:.0f} s from {stimulation.onset_s:.2f} s of the recording"
    )


def rules_of(strf: Strf) -> tuple[str, ...]:
    """Say how an STRF was estimated: estimator, delays, frame rule, centring, and with how many spikes at least."""
    first, last = float(strf.delays_s[0]), float(strf.delays_s[-1])
    span = delay_text(first) if first == last else f"{strf.delays_s.size} delays from {delay_text(first)} to "
    return (
        ESTIMATORS[strf.estimator],
        span if first == last else span + delay_text(last),
        _FRAME_RULES[strf.frame_rule],
        "mean subtracted" if strf.centred else "mean not subtracted",
        f"at least {strf.min_spikes} spikes" if strf.min_spikes > 1 else "any number of spikes",
    )


def names_of_two(first: Strf, second: Strf) -> tuple[str, str]:
    """Name two estimates of a neuron by what they differ in."""
    both = list(zip(rules_of(first), rules_of(second), strict=True))
    differing = [pair for pair in both if pair[0] != pair[1]] or both
    return ", ".join(pair[0] for pair in differing), ", ".join(pair[1] for pair in differing)


def finding_text(n_spikes: int, strf: Strf | None, field: ReceptiveFieldResult | None) -> str:
    """Say in a sentence what was found of a neuron, or why nothing was."""
    if not n_spikes:
        return "Silent: no spike during this stimulation, so there is nothing to estimate."
    spikes = f"{n_spikes:,} spike{'' if n_spikes == 1 else 's'}"
    if strf is None:
        return f"{spikes}; no STRF was computed yet."
    if field is None:
        kind = "ridge estimate, which is not judged" if strf.estimator == "ridge" else "average, not judged yet"
        return f"{spikes}: {kind}."
    # of a field of any size, on which it rests whether there is one; single blocks may not stand out
    chance = ", ".join(f"{name} = {number_text(measure(field, f'{name}_value_field'))}" for name in "pq")
    if not field.has_field:
        reason = field.reasons.get("significance")
        return f"{spikes}; {reason}." if reason else f"{spikes}; no field stands out from chance ({chance})."
    name = POLARITY.get(polarity_of(field) or 0)
    parts = [f"{name} field beyond chance" if name else "A field beyond chance, of unknown polarity"]
    parts[0] += f" ({chance})"
    places = [
        f"{axis} {measure_text(field, f'centre_{axis}_um')} µm"
        for axis in field.axes
        if math.isfinite(measure(field, f"centre_{axis}_um"))
    ]
    if places:
        parts.append("centred at " + ", ".join(places))
    if math.isfinite(measure(field, "time_to_peak_s")):
        parts.append(f"peaking {measure_text(field, 'time_to_peak_s', 1e3)} ms before the spike")
    if math.isfinite(measure(field, "test_correlation")):
        parts.append(f"predicting held-out counts with r = {measure(field, 'test_correlation'):.2f}")
    return f"{', '.join(parts)}; {spikes}."


def numbers_text(numbers: Iterable[int]) -> str:
    """Write whole numbers with runs of three and more as ranges: 1, 2, 5 to 9."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(str(number) for number in run) for run in runs
    )
