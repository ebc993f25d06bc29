"""The result: what was estimated for a neuron, and where its spikes went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts.notebook import strf_html

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, order=True)
class StimulationId:
    """Which stimulation, in words a person can use: its whole key in the pipeline."""

    subject_name: str
    session_date: datetime.date
    sample_number: int
    stimulation_number: int

    def __str__(self) -> str:
        session = f"{self.subject_name}, {self.session_date}, sample {self.sample_number}"
        return f"{session}, stimulation {self.stimulation_number}"


@dataclass(frozen=True, eq=False)
class SpikeLedger:
    """Where every spike went, per delay: the four add up to the number of spikes.

    Attributes
    ----------
    n_used, n_before_onset, n_after_end, n_in_gap : int arrays (..., n_delays)
        Spikes that count; spikes for which no frame was on the screen at that delay, because it
        falls before the movie's onset, after its end, in a gap or across a join of the recording.
    """

    n_used: NDArray[np.int64]
    n_before_onset: NDArray[np.int64]
    n_after_end: NDArray[np.int64]
    n_in_gap: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return iter((self.n_used, self.n_before_onset, self.n_after_end, self.n_in_gap))

    @property
    def n_spikes(self) -> NDArray[np.int64]:
        """All spikes, at every delay the same number."""
        return self.n_used + self.n_before_onset + self.n_after_end + self.n_in_gap


@dataclass(frozen=True, eq=False)
class Strf:
    """One neuron's spatio-temporal receptive field, estimated from one stimulation.

    Attributes
    ----------
    values : array (n_delays, n_y, n_x)
        Contrast, of a ridge estimate spikes per frame and contrast; NaN at delays with too few spikes. `pixel_mean` is
        subtracted if `centred`.
    standard_error : array (n_delays, n_y, n_x)
        Of `values`, for frames that are independent of each other; NaN for a ridge estimate.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending; negative ones are the noise control.
    pixel_mean : array (n_y, n_x)
        Mean contrast of every block over the movie's frames.
    block_size_um : tuple of float
        Width and height of a block on the retina.
    """

    stimulation_id: StimulationId
    neuron_id: int
    delays_s: Floats
    values: NDArray[Any]
    standard_error: NDArray[Any]
    ledger: SpikeLedger
    pixel_mean: NDArray[Any]
    centred: bool
    frame_rule: str
    frame_rate_hz: float
    block_size_um: tuple[float, float]
    min_spikes: int = 1
    estimator: str = "sta"

    @property
    def z(self) -> NDArray[Any]:
        """Estimate over standard error, ``(n_delays, n_y, n_x)``."""
        centred = self.values if self.centred else self.values - self.pixel_mean
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(centred / self.standard_error)

    @property
    def n_spikes(self) -> int:
        """All spikes of the neuron during the stimulation."""
        return int(self.ledger.n_spikes[0])

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the whole field of blocks."""
        n_y, n_x = self.values.shape[1:]
        return n_x * self.block_size_um[0], n_y * self.block_size_um[1]

    @property
    def label(self) -> str:
        """Stimulation and neuron in words."""
        return f"{self.stimulation_id}, neuron {self.neuron_id}"

    def _repr_html_(self) -> str:
        return strf_html(self)
