"""What was measured on the STRFs: receptive fields, mosaics, and one table of all neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dj_neuron.contracts import MosaicResult, ReceptiveFieldResult

    Row = dict[str, Any]


def receptive_fields(restriction: Any = True) -> Iterator[ReceptiveFieldResult]:
    """Give the receptive fields of all neurons that were judged, in the order of their keys.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on the key of an STRF or its peak: ``{"neuron_id": 3}``, a condition as text, a list.
    """
    raise NotImplementedError


def neuron_table(restriction: Any = True) -> list[Row]:
    """Give one plain row per neuron, stimulation and parameter rows, with all measures; None is what is not known."""
    raise NotImplementedError


def mosaics(restriction: Any = True) -> Iterator[MosaicResult]:
    """Give the mosaics of ON and OFF fields of every stimulation, ON first."""
    raise NotImplementedError
