"""Gaps between frames: stretches of a recording without any frame on the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dj_neuron.errors import ContractError

Floats = NDArray[np.float64]

ROUNDING_ULPS = 16
"""Of times: a few sums of onsets, delays and k / rate; far below any real jitter."""


def frame_ends_s(edges_s: Floats, gaps_s: Floats) -> Floats:
    """Give when each frame left the screen, ``(n_frames,)``: when the next began or, before a gap, when that did.

    Parameters
    ----------
    edges_s : array (n_frames + 1,)
        Starts of all frames and the end of the last, ascending.
    gaps_s : array (n_gaps, 2)
        Stretches from, to without any frame on the screen.

    Raises
    ------
    ContractError
        If a gap does not begin within a frame and end, at the latest, with the start of the next.
    """
    ends_s = edges_s[1:].copy()
    tolerance_s = ROUNDING_ULPS * float(np.spacing(np.abs(edges_s).max()))
    for begin_s, finish_s in gaps_s:
        frame = int(np.searchsorted(edges_s[:-1], begin_s - tolerance_s, side="left")) - 1
        if not begin_s < finish_s or frame < 0 or finish_s > edges_s[frame + 1] + tolerance_s:
            raise ContractError(
                f"a gap from {begin_s:g} to {finish_s:g} s does not lie between the start of a frame and the start "
                "of the next, expected one that does"
            )
        ends_s[frame] = min(ends_s[frame], begin_s)  # of two gaps in a frame the first
    return ends_s


def without_ambiguity(edges_s: Floats, gaps_s: Floats) -> tuple[Floats, Floats]:
    """Give the edges and gaps that say the same of when frames were on the screen, in the one form that is compared.

    Parameters
    ----------
    edges_s, gaps_s
        As in :func:`frame_ends_s`.

    Returns
    -------
    edges_s : array (n_frames + 1,)
        The last frame ends where a gap in it began.
    gaps_s : array (n_gaps, 2)
        Each from where a frame left the screen to the start of the next; one at most per frame, ascending.

    Raises
    ------
    ContractError
        As :func:`frame_ends_s`.
    """
    ends_s = frame_ends_s(edges_s, gaps_s)
    edges_s = np.append(edges_s[:-1], ends_s[-1])
    before = np.flatnonzero(ends_s < edges_s[1:])
    return edges_s, np.column_stack([ends_s[before], edges_s[before + 1]])
