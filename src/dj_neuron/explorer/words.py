"""Recordings and results in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_ESTIMATORS = {"sta": "average", "ridge": "ridge"}

if TYPE_CHECKING:
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


def estimate_words(row: dict[str, Any]) -> str:
    """Name a row of StrfParams: number, estimator, delays."""
    first, last = row["first_delay_s"], row["last_delay_s"]
    delays = delay_text(first) if first == last else f"{delay_text(first)} to {delay_text(last)}"
    rules = "" if row["frame_rule"] == "floor" else ", nearest frame"
    rules += "" if row["centre"] else ", mean not subtracted"
    return f"{row['strf_params_id']}: {_ESTIMATORS[row['estimator']]}, {delays}{rules}"


def delay_text(delay_s: float) -> str:
    """Write a delay in milliseconds with a true minus sign."""
    text = f"{delay_s * 1e3:.1f}".removesuffix(".0").replace("-", "\N{MINUS SIGN}")
    return f"{text} ms"
