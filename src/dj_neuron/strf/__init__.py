"""The numerics: arrays in, arrays out. Knows neither the database nor the pictures."""

from dj_neuron.strf.average import SpikeTriggeredAverage, spike_triggered_average
from dj_neuron.strf.frame_clock import FrameClock
from dj_neuron.strf.peak import Peak, find_centre, find_peak

__all__ = [
    "FrameClock",
    "Peak",
    "SpikeTriggeredAverage",
    "find_centre",
    "find_peak",
    "spike_triggered_average",
]
