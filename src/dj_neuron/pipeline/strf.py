"""What was computed: spatio-temporal receptive fields, all neurons and delays of a stimulation at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.pipeline import experiment  # noqa: F401  (named in definitions)
from dj_neuron.pipeline.stored import StoredStimulation
from dj_neuron.strf import FrameClock, find_peak, spike_triggered_average

if TYPE_CHECKING:
    from dj_neuron.strf import SpikeTriggeredAverage

schema = dj.Schema()


@schema
class StrfParams(dj.Lookup):
    """At which delays and by which rules to average."""

    definition = """
    # Delays and rules of an estimate
    strf_params_id  : int32
    ---
    first_delay_s   : float64    # s before the spike; negative = after it
    last_delay_s    : float64    # s before the spike, inclusive
    step_s          : float64    # s between delays; 0 = every whole frame of the stimulation
    frame_rule      : enum('floor','nearest')    # nearest only reproduces older results
    centre          : bool       # whether the mean of each block is subtracted
    min_spikes      : int32      # with fewer at a delay the estimate is NaN
    unique index (first_delay_s, last_delay_s, step_s, frame_rule, centre, min_spikes)
    """


@schema
class StrfEstimation(dj.Computed):
    """One pass over one stimulation's movie."""

    definition = """
    # All neurons of a stimulation at all delays of a parameter row
    -> experiment.Stimulation
    -> StrfParams
    ---
    delays_s      : <blob>         # s before the spike, (n_delays,)
    pixel_mean    : <blob>         # contrast, mean over all frames, (n_y, n_x)
    pixel_sd      : <blob>         # contrast, standard deviation over all frames, (n_y, n_x)
    n_neurons     : int32
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Strf(dj.Part):
        """One neuron's estimate, its ledger of spikes and its peak."""

        definition = """
        # STRF of one neuron
        -> master
        -> experiment.SpikeTrain
        ---
        strf                      : <npy@dj_neuron>    # contrast, (n_delays, n_y, n_x); NaN with too few spikes
        error_factor              : <blob>     # standard error / pixel_sd, (n_delays,)
        n_used                    : <blob>     # spikes that count, (n_delays,)
        n_before_onset            : <blob>     # spikes without a frame: it would be before the onset, (n_delays,)
        n_after_end               : <blob>     # spikes without a frame: it would be after the end, (n_delays,)
        n_in_gap                  : <blob>     # spikes without a frame: it falls in a gap, (n_delays,)
        peak_z = null             : float64    # signed z of the block and delay where it is largest, at delays >= 0
        peak_delay_s = null       : float64    # s before the spike
        peak_row_idx = null       : int32      # block from the top, 0-based
        peak_column_idx = null    : int32      # block from the left, 0-based
        noise_z = null            : float64    # largest absolute z after the spike, where nothing can be caused
        """

    def make_fetch(self, key: dict[str, Any]) -> tuple[StoredStimulation, dict[str, Any]]:
        """Fetch references and texts."""
        return StoredStimulation.fetch(key), (StrfParams() & key).fetch1()

    def make_compute(
        self, key: dict[str, Any], stored: StoredStimulation, params: dict[str, Any]
    ) -> tuple[tuple[int, ...], float, SpikeTriggeredAverage, float]:
        """Read the movie once and average all neurons at all delays, away from the database."""
        stimulation = stored.load()
        started = time.perf_counter()
        clock = FrameClock.of(stimulation)
        average = spike_triggered_average(
            stimulation.movie,
            clock,
            stimulation.spike_trains,
            clock.delays_between(params["first_delay_s"], params["last_delay_s"], params["step_s"]),
            frame_rule=params["frame_rule"],
            centre=bool(params["centre"]),
            min_spikes=params["min_spikes"],
        )
        return stored.neuron_ids, 1 / clock.frame_rate_hz, average, time.perf_counter() - started

    def make_insert(
        self,
        key: dict[str, Any],
        neuron_ids: tuple[int, ...],
        frame_duration_s: float,
        average: SpikeTriggeredAverage,
        duration_s: float,
    ) -> None:
        """Insert the estimation and one part row per neuron."""
        self.insert1(
            {
                **key,
                "delays_s": average.delays_s,
                "pixel_mean": average.pixel_mean,
                "pixel_sd": average.pixel_sd,
                "n_neurons": len(neuron_ids),
                "code_version": __version__,
                "duration_s": duration_s,
            }
        )
        self.Strf.insert(
            _strf_row(key, neuron_id, average.of_neuron(i), frame_duration_s) for i, neuron_id in enumerate(neuron_ids)
        )


def _strf_row(
    key: dict[str, Any], neuron_id: int, average: SpikeTriggeredAverage, frame_duration_s: float
) -> dict[str, Any]:
    peak = find_peak(average.z[0], average.delays_s, frame_duration_s)
    return {
        **key,
        "neuron_id": neuron_id,
        "strf": average.values[0].astype(np.float32),
        "error_factor": average.error_factor[0],
        "n_used": average.ledger.n_used[0],
        "n_before_onset": average.ledger.n_before_onset[0],
        "n_after_end": average.ledger.n_after_end[0],
        "n_in_gap": average.ledger.n_in_gap[0],
        "peak_z": peak and peak.z,
        "peak_delay_s": peak and peak.delay_s,
        "peak_row_idx": peak and peak.row_idx,
        "peak_column_idx": peak and peak.column_idx,
        "noise_z": peak and peak.noise_z,
    }
