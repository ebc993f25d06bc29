"""Recordings and results in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.pictures.sentences import ESTIMATORS, blocks_text
from dj_neuron.pictures.words import delay_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dj_neuron.queries import StimulationInfo


def stimulus_sentence(info: StimulationInfo) -> str:
    """Describe a stimulation: blocks, size, rate, duration."""
    width, height = info.block_size_um
    return (
        f"{blocks_text(info.n_y, info.n_x)} of {width:.4g} × {height:.4g} µm, "
        f"{info.frame_rate_hz:.2f} Hz, {info.n_frames:,} frames in {info.duration_s:.0f} s"
    )


def estimate_words(row: Mapping[str, Any]) -> str:
    """Name a row of StrfParams: number, estimator, delays."""
    first, last = row["first_delay_s"], row["last_delay_s"]
    delays = delay_text(first) if first == last else f"{delay_text(first)} to {delay_text(last)}"
    rules = "" if row["frame_rule"] == "floor" else ", nearest frame"
    rules += "" if row["centre"] else ", mean not subtracted"
    return f"{row['strf_params_id']}: {ESTIMATORS[row['estimator']]}, {delays}{rules}"


def delay_words(delay_s: float) -> str:
    """Say when, seen from the spike; the browser says the same while it moves through the delays."""
    if delay_s < 0:
        return f"{delay_text(-delay_s)} after the spike: noise only"
    return f"{delay_text(delay_s)} before the spike" if delay_s > 0 else "at the spike"
