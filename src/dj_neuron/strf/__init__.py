"""The numerics: arrays in, arrays out. Knows neither the database nor the pictures."""

from dj_neuron.strf._threads import thread_limit, use_threads
from dj_neuron.strf.average import SpikeTriggeredAverage, spike_triggered_average
from dj_neuron.strf.covariance import SpikeTriggeredCovariance, spike_triggered_covariance
from dj_neuron.strf.covariance_window import covariance_window
from dj_neuron.strf.frame_clock import FrameClock
from dj_neuron.strf.model import HeldOutPrediction, frames_per_bin, predict_held_out
from dj_neuron.strf.nonlinearity import Nonlinearity, fit_nonlinearity
from dj_neuron.strf.peak import Peak, find_centre, find_peak
from dj_neuron.strf.population import Mosaic, measure_mosaics
from dj_neuron.strf.region import FieldRegion, find_region
from dj_neuron.strf.repeats import frozen_repeats, trial_counts
from dj_neuron.strf.ridge import RidgeStrf, ridge_strf
from dj_neuron.strf.scores import noise_ceiling
from dj_neuron.strf.separability import Separation, separate
from dj_neuron.strf.shape import FieldShape, ModelFit, SpatialFit
from dj_neuron.strf.shift_null import ShiftNull, circular_shift_null
from dj_neuron.strf.significance import Significance, judge_significance
from dj_neuron.strf.smoothed_null import smoothed_shift_null
from dj_neuron.strf.spatial_fit import fit_space
from dj_neuron.strf.spike_intervals import RefractoryViolations, autocorrelogram, refractory_violations
from dj_neuron.strf.sufficiency import Sufficiency, data_sufficiency
from dj_neuron.strf.time_course import BIPHASIC_INDEX_FORMULA, TimeCourse, measure_time_course

__all__ = [
    "BIPHASIC_INDEX_FORMULA",
    "FieldRegion",
    "FieldShape",
    "FrameClock",
    "HeldOutPrediction",
    "ModelFit",
    "Mosaic",
    "Nonlinearity",
    "Peak",
    "RefractoryViolations",
    "RidgeStrf",
    "Separation",
    "ShiftNull",
    "Significance",
    "SpatialFit",
    "SpikeTriggeredAverage",
    "SpikeTriggeredCovariance",
    "Sufficiency",
    "TimeCourse",
    "autocorrelogram",
    "circular_shift_null",
    "covariance_window",
    "data_sufficiency",
    "find_centre",
    "find_peak",
    "find_region",
    "fit_nonlinearity",
    "fit_space",
    "frames_per_bin",
    "frozen_repeats",
    "judge_significance",
    "measure_mosaics",
    "measure_time_course",
    "noise_ceiling",
    "predict_held_out",
    "refractory_violations",
    "ridge_strf",
    "separate",
    "smoothed_shift_null",
    "spike_triggered_average",
    "spike_triggered_covariance",
    "thread_limit",
    "trial_counts",
    "use_threads",
]
