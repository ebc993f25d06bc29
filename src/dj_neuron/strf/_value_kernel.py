"""The adding kernel of graded movies: the values of the frames that come in a row of spikes, and of no others."""

from __future__ import annotations

from typing import Any

import numpy as np

from dj_neuron._compiling import compiled
from dj_neuron.strf._vectors import (
    N_VALUES,
    VALUE_BYTES,
    add_to_sums,
    add_values,
    lines,
    load_frame_values,
    no_sums,
    no_values,
    store_sums,
)

__all__ = ["N_VALUES", "add_frames", "add_moments", "count_frames"]

RUN = 64  # frames added in float32 before the sum goes on in float64


@compiled
def add_frames(
    part: Any, n_parts: Any, n_shares: Any, values: Any, cuts: Any, frames: Any, begin: Any, sums: Any
) -> None:
    """Add to every row of sums the frames of that row.

    Parameters
    ----------
    part, n_parts, n_shares : int
        The work is cut into tiles, and each of them into `n_shares` of the rows; every `n_parts`-th piece from number
        `part` on is done.
    values : array (n_frames, n_blocks) of float32
    cuts : array (n_rows, 2) of int64
        Where the frames of a row begin and end.
    frames : array of uint32
        Of all rows.
    begin : int
        Number of the first frame of `values`.
    sums : array (n_rows, n_blocks) of float64
        Added to where the pieces are.
    """
    n_frames, n_blocks = values.shape
    n_rows = cuts.shape[0]
    tile = lines(n_frames * VALUE_BYTES).view(np.float32).reshape(n_frames, N_VALUES)
    added = np.empty(N_VALUES, np.float64)
    for piece in range(part, (n_blocks + N_VALUES - 1) // N_VALUES * n_shares, n_parts):
        number, share = piece // n_shares, piece % n_shares
        first_block = number * N_VALUES
        width = min(N_VALUES, n_blocks - first_block)
        for frame in range(n_frames):
            tile[frame, :width] = values[frame, first_block : first_block + width]
            tile[frame, width:] = 0
        for row in range(n_rows * share // n_shares, n_rows * (share + 1) // n_shares):
            if cuts[row, 1] > cuts[row, 0]:
                total = no_sums()
                for run in range(cuts[row, 0], cuts[row, 1], RUN):
                    values_of_run = no_values()
                    for k in range(run, min(run + RUN, cuts[row, 1])):
                        values_of_run = add_values(values_of_run, load_frame_values(tile, frames, k, begin))
                    total = add_to_sums(total, values_of_run)
                store_sums(added, 0, total)
                for block in range(width):
                    sums[row, first_block + block] += added[block]


@compiled
def count_frames(part: Any, n_parts: Any, cuts: Any, frames: Any, begin: Any, counts: Any) -> None:
    """Add to ``counts[row, frame - begin]`` how often the row holds the frame, in every `n_parts`-th row."""
    for row in range(part, cuts.shape[0], n_parts):
        for k in range(cuts[row, 0], cuts[row, 1]):
            counts[row, np.int64(frames[k]) - begin] += 1


@compiled
def add_moments(part: Any, n_parts: Any, values: Any, moments: Any) -> None:
    """Add to ``moments[part]`` sum and sum of squares of every block, (2, n_blocks), over a share of the frames."""
    n_frames, n_blocks = values.shape
    for frame in range(n_frames * part // n_parts, n_frames * (part + 1) // n_parts):
        for block in range(n_blocks):
            value = np.float64(values[frame, block])
            moments[part, 0, block] += value
            moments[part, 1, block] += value * value
