"""What a recording and a result are: frozen, validated values that readers yield and tables store.

Nothing here does input or output. Times are seconds on the recording's clock, movies are
``(n_frames, n_y, n_x)`` with row 0 at the top of the screen and column 0 at its left.
"""

from dj_neuron.contracts.covariance import CovarianceFilter, CovarianceResult
from dj_neuron.contracts.movie import Movie, Slices
from dj_neuron.contracts.receptive_field import MosaicResult, Nonlinearity, QualityGrowth, ReceptiveFieldResult
from dj_neuron.contracts.recording import Session, Source, SpikeTrain, Stimulation
from dj_neuron.contracts.result import SpikeLedger, StimulationId, Strf

__all__ = [
    "CovarianceFilter",
    "CovarianceResult",
    "MosaicResult",
    "Movie",
    "Nonlinearity",
    "QualityGrowth",
    "ReceptiveFieldResult",
    "Session",
    "Slices",
    "Source",
    "SpikeLedger",
    "SpikeTrain",
    "Stimulation",
    "StimulationId",
    "Strf",
]
