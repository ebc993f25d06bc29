"""The numerics: arrays in, arrays out. Knows neither the database nor the pictures."""

from dj_neuron.strf.average import SpikeTriggeredAverage, spike_triggered_average
from dj_neuron.strf.frame_clock import FrameClock
from dj_neuron.strf.peak import Peak, find_centre, find_peak
from dj_neuron.strf.region import FieldRegion, find_region
from dj_neuron.strf.separability import Separation, separate

__all__ = [
    "FieldRegion",
    "FrameClock",
    "Peak",
    "Separation",
    "SpikeTriggeredAverage",
    "find_centre",
    "find_peak",
    "find_region",
    "separate",
    "spike_triggered_average",
]
