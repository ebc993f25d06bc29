"""Which receptive fields of a stimulation have a place on the screen, and what to say of the others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.pictures.words import measure, number_text, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dj_neuron.contracts import MosaicResult, ReceptiveFieldResult


def screen_of(fields: Sequence[ReceptiveFieldResult]) -> tuple[str, tuple[float, float]]:
    """Axes in which the stimulus varies, and width and height of the screen."""
    if not fields:
        raise ContractError("no receptive field is given, expected those of one stimulation")
    seen = {(field.region.shape, field.block_size_um) for field in fields}
    if len(seen) > 1:
        raise ContractError(f"fields have blocks and sizes {sorted(seen)}, expected those of one stimulation")
    n_y, n_x = fields[0].region.shape
    return "x" * (n_x > 1) + "y" * (n_y > 1), fields[0].extent_um


def is_placed(field: ReceptiveFieldResult, axes: str) -> bool:
    """Whether the centre of a field is known along these axes."""
    return all(np.isfinite(measure(field, f"centre_{axis}_um")) for axis in axes)


def missing_text(fields: Sequence[ReceptiveFieldResult]) -> str:
    """Count the neurons that a mosaic leaves out, by reason; empty where none is."""
    axes, _ = screen_of(fields)
    missing = [field for field in fields if not (axes and is_placed(field, axes))]
    if not missing:
        return ""
    reasons = Counter(reason_of(field, "space") or "no centre" for field in missing)
    return f"{neurons_text(len(missing))} without a fit: " + ", ".join(f"{why} ({n})" for why, n in reasons.items())


def regularity_text(mosaic: MosaicResult) -> str:
    """Regularity index beside that of random points, and how often these are as regular; empty without one."""
    index, random, p_random = (
        mosaic.measures.get(name) for name in ("regularity_index", "random_regularity_index", "p_random")
    )
    if index is None or random is None or p_random is None:
        return ""
    return f", regularity index {number_text(index)} (random {number_text(random)}, p = {p_random:.2g})"


def neurons_text(n: int) -> str:
    """Count neurons."""
    return f"{n} neuron{'' if n == 1 else 's'}"
