"""Recordings and results in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dj_neuron.pictures.words import POLARITY, delay_text, measure, measure_text, polarity_of

_ESTIMATORS = {"sta": "average", "ridge": "ridge"}

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.contracts import ReceptiveFieldResult, SpikeTrain, Strf
    from dj_neuron.queries import StimulationInfo


def kind_of_stimulus(info: StimulationInfo) -> str:
    """Say what the blocks of a stimulation are, and how many."""
    if info.n_x == 1 and info.n_y == 1:
        return "full field"
    if info.n_y == 1:
        return f"{info.n_x} vertical bars"
    if info.n_x == 1:
        return f"{info.n_y} horizontal bars"
    return f"{info.n_x} × {info.n_y} checkers"


def stimulus_sentence(info: StimulationInfo) -> str:
    """Describe a stimulation: blocks, size, rate, duration."""
    width, height = info.block_size_um
    return (
        f"{kind_of_stimulus(info)} of {width:.4g} × {height:.4g} µm, "
        f"{info.frame_rate_hz:.2f} Hz, {info.n_frames:,} frames in {info.duration_s:.0f} s"
    )


def estimate_words(row: Mapping[str, Any]) -> str:
    """Name a row of StrfParams: number, estimator, delays."""
    first, last = row["first_delay_s"], row["last_delay_s"]
    delays = delay_text(first) if first == last else f"{delay_text(first)} to {delay_text(last)}"
    rules = "" if row["frame_rule"] == "floor" else ", nearest frame"
    rules += "" if row["centre"] else ", mean not subtracted"
    return f"{row['strf_params_id']}: {_ESTIMATORS[row['estimator']]}, {delays}{rules}"


def delay_words(delay_s: float) -> str:
    """Say when, seen from the spike; the browser says the same while it moves through the delays."""
    if delay_s < 0:
        return f"{delay_text(-delay_s)} after the spike: noise only"
    return f"{delay_text(delay_s)} before the spike" if delay_s > 0 else "at the spike"


def finding(train: SpikeTrain, strf: Strf | None, field: ReceptiveFieldResult | None) -> str:
    """Say in a sentence or two what was found, or why nothing was."""
    if not train.n_spikes:
        return "Silent: no spike during this stimulation, so there is nothing to estimate."
    spikes = "1 spike" if train.n_spikes == 1 else f"{train.n_spikes:,} spikes"
    if strf is None:
        return f"{spikes}; no STRF was computed yet."
    if field is None:
        kind = "ridge estimate, which is not judged" if strf.estimator == "ridge" else "average, not judged yet"
        return f"{spikes}: {kind}."
    chance = f"p = {measure(field, 'p_value'):.2g}, q = {measure(field, 'q_value'):.2g}"
    if not field.has_field:
        reason = field.reasons.get("significance")
        return f"{spikes}; {reason}." if reason else f"{spikes}; no block stands out from chance ({chance})."
    name = POLARITY.get(polarity_of(field) or 0)
    parts = [f"A significant {name} field" if name else "A significant field of unknown polarity"]
    parts[0] += f" ({chance})"
    places = [f"{axis} {measure_text(field, f'centre_{axis}_um')} µm" for axis in field.axes if _is_known(field, axis)]
    if places:
        parts.append("centred at " + ", ".join(places))
    if _is_number(measure(field, "time_to_peak_s")):
        parts.append(f"peaking {measure_text(field, 'time_to_peak_s', 1e3)} ms before the spike")
    if _is_number(measure(field, "test_correlation")):
        parts.append(f"predicting held-out counts with r = {measure(field, 'test_correlation'):.2f}")
    return f"{', '.join(parts)}; {spikes}."


def _is_known(field: ReceptiveFieldResult, axis: str) -> bool:
    return _is_number(measure(field, f"centre_{axis}_um"))


def _is_number(value: float) -> bool:
    return math.isfinite(value)
