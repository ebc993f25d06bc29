"""The spike-triggered covariance: what of one neuron its average cannot show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.notebook import covariance_html

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts.result import StimulationId

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CovarianceFilter:
    """One direction of the stimulus whose variance before spikes is more, or less, than chance.

    Attributes
    ----------
    number : int
        From 1, in the order in which filters were found.
    values : array (n_delays, n_y, n_x)
        Weights of unit length, 0 where nothing was looked at. Their sign has no meaning.
    variance : float
        Before spikes over that of the stimulus.
    p_value : float
        Of the test that found it.
    """

    stimulation_id: StimulationId
    neuron_id: int
    number: int
    delays_s: Floats
    values: Floats
    variance: float
    p_value: float
    frame_rate_hz: float
    block_size_um: tuple[float, float]

    @property
    def is_excitatory(self) -> bool:
        """Whether the neuron fires when the filter matches in either contrast; else it is silent then."""
        return self.variance > 1

    @property
    def estimator(self) -> str:
        """What kind of estimate it is, as ``Strf.estimator``."""
        return "covariance"

    @property
    def centred(self) -> bool:
        """A variance is about the mean."""
        return True

    @property
    def standard_error(self) -> Floats:
        """Not known, ``(n_delays, n_y, n_x)`` of NaN."""
        return np.full(self.values.shape, np.nan)

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the whole field of blocks."""
        n_y, n_x = self.values.shape[1:]
        return n_x * self.block_size_um[0], n_y * self.block_size_um[1]

    @property
    def label(self) -> str:
        """Stimulation, neuron and filter in words."""
        return f"{self.stimulation_id}, neuron {self.neuron_id}, filter {self.number}"


@dataclass(frozen=True, eq=False)
class CovarianceResult:
    """One neuron's spike-triggered covariance, its average projected out, from one row of each kind of parameters.

    Attributes
    ----------
    parameter_ids : dict of str to int
        Which rows of ``strf_params_id``, ``significance_params_id`` and ``covariance_params_id`` it rests on.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending.
    looked_at : bool array (n_delays, n_y, n_x)
        Blocks and delays that were looked at.
    is_significant_region : bool
        Whether these are the significant ones of the average; else a window that was found for the purpose.
    filters : tuple of CovarianceFilter
        The significant directions, in the order in which they were found, outermost first.
    variances : array (n_dimensions,)
        Of all directions, before spikes over that of the stimulus, ascending; empty where nothing was tested.
    next_p_value : float
        Of the outermost direction that is left, which failed; NaN where none was tested.
    alpha : float
        At which p a direction is significant.
    reason : str
        Why nothing was tested; else empty.
    """

    stimulation_id: StimulationId
    neuron_id: int
    parameter_ids: dict[str, int]
    delays_s: Floats
    looked_at: Mask
    is_significant_region: bool
    filters: tuple[CovarianceFilter, ...]
    variances: Floats
    next_p_value: float
    alpha: float
    reason: str

    @property
    def ranks(self) -> Ints:
        """Places of the filters in `variances`, ``(n_filters,)``: each was the outermost one left at its end."""
        first, last = 0, self.variances.size - 1
        ranks = []
        for found in self.filters:
            if abs(self.variances[last] - found.variance) <= abs(self.variances[first] - found.variance):
                ranks.append(last)
                last -= 1
            else:
                ranks.append(first)
                first += 1
        return np.array(ranks, np.int64)

    @property
    def label(self) -> str:
        """Stimulation and neuron in words."""
        return f"{self.stimulation_id}, neuron {self.neuron_id}"

    def _repr_html_(self) -> str:
        return covariance_html(self)
