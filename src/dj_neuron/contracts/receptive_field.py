"""The receptive field: what was measured on one neuron's STRF, and why some of it could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.notebook import mosaic_html, receptive_field_html

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.contracts.result import StimulationId

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Nonlinearity:
    """The rate of a neuron as a function of its drive.

    Attributes
    ----------
    drive : array (n_bins,)
        Mean drive of frames grouped by it, in standard deviations.
    rate_hz, rate_hz_se : array (n_bins,)
        Spikes per second in these frames, with the standard error of a Poisson count.
    gain_hz, slope, offset : float
        Of the fitted curve ``gain_hz * log(1 + exp(slope * drive + offset))``.
    """

    drive: Floats
    rate_hz: Floats
    rate_hz_se: Floats
    gain_hz: float
    slope: float
    offset: float

    def rate_at(self, drive: Floats) -> Floats:
        """Rate of the curve in Hz."""
        return np.asarray(self.gain_hz * np.logaddexp(0, self.slope * drive + self.offset))


@dataclass(frozen=True, eq=False)
class QualityGrowth:
    """How the map of a neuron grew with the recording.

    Attributes
    ----------
    minutes : array (n_fractions,)
        Of movie, from its beginning.
    peak_z : array (n_fractions,)
        z after so many minutes at the block and delay of the final peak, positive where it has that peak's sign.
    map_r : array (n_fractions,)
        Correlation over blocks of the map after so many minutes with the final one.
    """

    minutes: Floats
    peak_z: Floats
    map_r: Floats


@dataclass(frozen=True, eq=False)
class ReceptiveFieldResult:
    """What is known about one neuron's receptive field, from one stimulation and one row of each kind of parameters.

    Attributes
    ----------
    parameter_ids : dict of str to int or None
        Which rows of ``strf_params_id``, ``significance_params_id``, ``receptive_field_params_id`` and
        ``prediction_params_id`` it rests on; None where nothing was predicted.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending; negative ones are the noise control.
    significant : bool array (n_delays, n_y, n_x)
        Where |z| exceeds ``measures["threshold_z"]``, at delays of 0 and more.
    region : bool array (n_y, n_x)
        The blocks in which the field lies; nowhere True without a field.
    spatial_map, spatial_map_se : array (n_y, n_x)
        Contrast, positive at the centre of ON and OFF fields alike; NaN without a field.
    time_course, time_course_se : array (n_delays,)
        Relative, 1 or -1 at its largest causal delay: it carries the sign; NaN without a field.
    null_maxima : array (n_shifts,)
        The largest |z| under each circular shift of the spike train.
    axes : str
        "xy" for checkers, "x" or "y" for bars, empty without a field.
    model : str
        "gaussian", "difference_of_gaussians", or empty where nothing fits.
    measures : dict of str to float or None
        By the names of the tables' columns, such as ``centre_x_um`` and ``centre_x_um_se``; None is what is not known.
    reasons : dict of str to str
        Why measures are None, by kind: ``significance``, ``separability``, ``space``, ``time``, ``prediction``,
        ``sufficiency``; only those with a reason.
    nonlinearity : Nonlinearity or None
        None without a prediction.
    growth : QualityGrowth or None
        None where quality was not followed over minutes.
    """

    stimulation_id: StimulationId
    neuron_id: int
    parameter_ids: dict[str, int | None]
    delays_s: Floats
    block_size_um: tuple[float, float]
    significant: Mask
    region: Mask
    spatial_map: Floats
    spatial_map_se: Floats
    time_course: Floats
    time_course_se: Floats
    null_maxima: Floats
    axes: str
    model: str
    measures: dict[str, float | None]
    reasons: dict[str, str]
    nonlinearity: Nonlinearity | None
    growth: QualityGrowth | None

    @property
    def has_field(self) -> bool:
        """Whether there is one beyond chance (``p_value_field``), and so a region to look at."""
        return bool(self.region.any())

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the whole field of blocks."""
        n_y, n_x = self.region.shape
        return n_x * self.block_size_um[0], n_y * self.block_size_um[1]

    @property
    def label(self) -> str:
        """Stimulation and neuron in words."""
        return f"{self.stimulation_id}, neuron {self.neuron_id}"

    def _repr_html_(self) -> str:
        return receptive_field_html(self)


@dataclass(frozen=True, eq=False)
class MosaicResult:
    """How evenly the fields of one polarity lie, from one stimulation; measures as in the tables.

    Attributes
    ----------
    polarity : int
        1 ON, -1 OFF.
    nearest_um : array (n_fields,)
        Distance of every centre to the nearest other one.
    measures : dict of str to float or None
        ``n_fields regularity_index random_regularity_index p_random coverage_factor``.
    reason : str
        Why measures are None or to be read with care; else empty.
    """

    stimulation_id: StimulationId
    parameter_ids: dict[str, int | None]
    polarity: int
    nearest_um: Floats
    measures: dict[str, float | None]
    reason: str

    def _repr_html_(self) -> str:
        return mosaic_html(self)
