"""Measures in words: numbers with their errors, and the reasons why some are missing."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.numbers import UNKNOWN, number_text
from dj_neuron.errors import ContractError
from dj_neuron.strf.sufficiency import RELIABILITY_WANTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.pictures.drawable import Drawable

__all__ = [
    "POLARITY",
    "UNKNOWN",
    "check_same_neuron",
    "contrast_label",
    "delay_text",
    "growth_text",
    "marks_text",
    "measure",
    "measure_text",
    "minutes_text",
    "number_text",
    "place_text",
    "polarity_of",
    "reason_of",
    "sign_of",
    "significant_at",
    "spikes_text",
    "wrapped",
]

POLARITY = {1: "ON", -1: "OFF"}
_SAME_DELAY_S = 1e-6


def measure(field: ReceptiveFieldResult, name: str) -> float:
    """Give a measure of a field; NaN where it is not known."""
    value = field.measures.get(name)
    return math.nan if value is None else float(value)


def polarity_of(field: ReceptiveFieldResult) -> int | None:
    """1 ON, -1 OFF, None where it is not known."""
    value = measure(field, "polarity")
    return int(value) if value in POLARITY else None


def sign_of(field: ReceptiveFieldResult) -> int:
    """Polarity, or the sign of the time course where it is largest if polarity is not known."""
    polarity = polarity_of(field)
    if polarity is not None:
        return polarity
    causal = field.time_course[(field.delays_s >= 0) & np.isfinite(field.time_course)]
    return -1 if causal.size and causal[np.abs(causal).argmax()] < 0 else 1


def measure_text(field: ReceptiveFieldResult, name: str, scale: float = 1.0) -> str:
    """Write a measure, times `scale`, with its standard error where there is one."""
    return number_text(measure(field, name) * scale, measure(field, f"{name}_se") * scale)


def reason_of(field: ReceptiveFieldResult, kind: str) -> str:
    """Why measures of a kind are missing; of what follows from it where the kind has no reason of its own."""
    if kind in field.reasons:
        return field.reasons[kind]
    return "" if field.has_field else field.reasons.get("significance", "no field beyond chance")


def significant_at(field: ReceptiveFieldResult, delay_s: float) -> NDArray[np.bool_] | None:
    """Blocks that are significant at a delay, ``(n_y, n_x)``; None where the field was not judged at it."""
    places = np.flatnonzero(np.abs(field.delays_s - delay_s) < _SAME_DELAY_S)
    return np.asarray(field.significant[places[0]]) if places.size else None


def marks_text(field: ReceptiveFieldResult, strf: Strf) -> str:
    """What the outlines over an STRF mean, or why there are none."""
    causal_s = [float(delay_s) for delay_s in strf.delays_s if delay_s >= 0]
    n_judged = sum(significant_at(field, delay_s) is not None for delay_s in causal_s)
    judged = "" if n_judged == len(causal_s) else f", judged at {n_judged} of {len(causal_s)} delays"
    if not field.significant.any():
        return f"no single block significant{judged}"
    marks = f"significant outlined{judged}"
    if not math.isnan(measure(field, "sigma_major_um")):
        marks += ", fit at 1σ solid and 2σ dashed" if field.axes == "xy" else ", fitted centre solid and ±1σ dashed"
    return marks


def delay_text(delay_s: float) -> str:
    """Delay in milliseconds with at most one decimal and a true minus sign."""
    text = f"{delay_s * 1e3:.1f}".removesuffix(".0")
    return ("0" if text == "-0" else text.replace("-", "\N{MINUS SIGN}")) + " ms"


def contrast_label(strf: Drawable) -> str:
    """What the colours or the ordinate of an estimate mean."""
    if strf.estimator == "covariance":
        return "weight (of unit length)"
    if strf.estimator == "ridge":
        return "ridge filter (spikes / frame / contrast)"
    return "STA (contrast)" if strf.centred else "STA (contrast, mean not subtracted)"


def spikes_text(strf: Strf) -> str:
    """Spikes of the neuron and how many of them count, over all delays."""
    least, most = int(strf.ledger.n_used.min()), int(strf.ledger.n_used.max())
    used = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    plural = "" if strf.n_spikes == 1 else "s"
    return f"{strf.n_spikes:,} spike{plural}, {used} used per delay"


def growth_text(field: ReceptiveFieldResult) -> str:
    """How alike the halves of the recording are, and how long it would have to be."""
    if not np.isfinite(measure(field, "split_half_r")):
        return wrapped(reason_of(field, "sufficiency") or "halves cannot be compared")
    reliability, minutes = measure(field, "reliability"), measure(field, "minutes_needed")
    lines = [f"split-half correlation {measure_text(field, 'split_half_r')}"]
    if np.isfinite(reliability):
        lines[0] += f", reliability {number_text(reliability)}"
    if not np.isfinite(minutes):
        lines.append("the halves may agree by chance only")
    elif reliability >= RELIABILITY_WANTED:
        lines.append(f"long enough: {RELIABILITY_WANTED:g} after about {minutes_text(minutes)}")
    else:
        lines.append(f"record longer: about {minutes_text(minutes)} for {RELIABILITY_WANTED:g} of the whole map")
    return "\n".join(lines)


def minutes_text(minutes: float) -> str:
    """Write a duration to two digits, in hours from two hours on."""
    value, unit = (minutes, "minute") if minutes < 120 else (minutes / 60, "hour")
    text = f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
    return f"{text} {unit}{'' if text == '1' else 's'}"


def wrapped(text: str, width: int = 34) -> str:
    """Break a sentence into lines."""
    return "\n".join(textwrap.wrap(text, width))


def check_same_neuron(strf: Strf, field: ReceptiveFieldResult) -> None:
    """Raise ContractError unless the field is that of the STRF's neuron, stimulation and blocks."""
    if (strf.stimulation_id, strf.neuron_id) != (field.stimulation_id, field.neuron_id):
        raise ContractError(f"the field is that of {field.label}, expected that of {strf.label}")
    if strf.values.shape[1:] != field.region.shape:
        raise ContractError(
            f"{field.label}: the field has {field.region.shape} blocks, expected {strf.values.shape[1:]} of the STRF"
        )


def place_text(strf: Strf, block: tuple[int, int]) -> str:
    """Where a block lies, and what the band around its time course is."""
    n_y, n_x = strf.values.shape[1:]
    places = []
    if n_x > 1:
        places.append(f"x = {(block[1] + 0.5) * strf.block_size_um[0]:.0f} µm")
    if n_y > 1:
        places.append(f"y = {(block[0] + 0.5) * strf.block_size_um[1]:.0f} µm")
    place = "block at " + ", ".join(places) if places else "whole field"
    return place if strf.estimator == "ridge" else f"{place}, band ±1 SE"
