"""What was computed: spatio-temporal receptive fields, all neurons and delays of a stimulation at a time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.pipeline import array_codec, experiment  # noqa: F401  (registers <array>; named in definitions)
from dj_neuron.pipeline.experiment import NEURON_KEY
from dj_neuron.pipeline.stored import StoredStimulation, or_null
from dj_neuron.strf import FrameClock, find_peak, ridge_strf, spike_triggered_average

if TYPE_CHECKING:
    from dj_neuron.strf import RidgeStrf, SpikeTriggeredAverage

schema = dj.Schema()


@schema
class StrfParams(dj.Lookup):
    """At which delays and by which rules to average."""

    definition = """
    # Delays and rules of an estimate
    strf_params_id  : int32      # number of the row
    ---
    estimator       : enum('sta','ridge')        # spike-triggered average, or ridge regression on all delays at once
    first_delay_s   : float64    # s before the spike; negative = after it
    last_delay_s    : float64    # s before the spike, inclusive
    step_s          : float64    # s between delays; 0 = every whole frame of the stimulation
    frame_rule      : enum('floor','nearest')    # nearest only reproduces older results
    centre          : bool       # whether the mean of each block is subtracted
    min_spikes      : int32      # with fewer at a delay the estimate is NaN
    unique index (estimator, first_delay_s, last_delay_s, step_s, frame_rule, centre, min_spikes)
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
    n_neurons     : int32          # with a spike train, silent ones included
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Strf(dj.Part):
        """One neuron's estimate, its ledger of spikes and its peak."""

        definition = f"""
        # STRF of one neuron
        -> master
        -> experiment.SpikeTrain
        ---
        strf                      : <array@dj_neuron>    # contrast (ridge: spikes/frame/contrast), (n_delays, n_y, n_x)
        error_factor              : <blob>     # standard error / pixel_sd, (n_delays,); NaN for ridge
        ridge_strength = null     : float64    # of the regularisation, chosen by cross-validation
        ridge_score = null        : float64    # share of the variance of held-out counts that is predicted
        n_used                    : <blob>     # spikes that count, (n_delays,)
        n_before_onset            : <blob>     # spikes without a frame: it would be before the onset, (n_delays,)
        n_after_end               : <blob>     # spikes without a frame: it would be after the end, (n_delays,)
        n_in_gap                  : <blob>     # spikes without a frame: it falls in a gap, (n_delays,)
        peak_z = null             : float64    # signed z of the block and delay where it is largest, at delays >= 0
        peak_delay_s = null       : float64    # s before the spike
        peak_row_idx = null       : int32      # block from the top, 0-based
        peak_column_idx = null    : int32      # block from the left, 0-based
        noise_z = null            : float64    # largest absolute z after the spike, where nothing can be caused
        index (peak_z, strf_params_id, {NEURON_KEY})
        """

    def make_fetch(self, key: dict[str, Any]) -> tuple[StoredStimulation, dict[str, Any]]:
        """Fetch references and texts."""
        return StoredStimulation.fetch(key), (StrfParams() & key).fetch1()

    def make_compute(
        self, key: dict[str, Any], stored: StoredStimulation, params: dict[str, Any]
    ) -> tuple[tuple[int, ...], float, SpikeTriggeredAverage, RidgeStrf | None, float]:
        """Read the movie once and estimate all neurons at all delays, away from the database."""
        stimulation = stored.load()
        started = time.perf_counter()
        clock = FrameClock.of(stimulation)
        delays_s = clock.delays_between(params["first_delay_s"], params["last_delay_s"], params["step_s"])
        what = (stimulation.movie, clock, stimulation.spike_trains, delays_s)
        how = {"frame_rule": params["frame_rule"], "min_spikes": params["min_spikes"]}
        average, ridge = spike_triggered_average(*what, centre=bool(params["centre"]), **how), None
        if params["estimator"] == "ridge" and stored.neuron_ids:
            ridge = ridge_strf(*what, **how)
            unknown = np.full_like(average.error_factor, np.nan)
            average = replace(average, values=ridge.values, error_factor=unknown)
        return stored.neuron_ids, 1 / clock.frame_rate_hz, average, ridge, time.perf_counter() - started

    def make_insert(
        self,
        key: dict[str, Any],
        neuron_ids: tuple[int, ...],
        frame_duration_s: float,
        average: SpikeTriggeredAverage,
        ridge: RidgeStrf | None,
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
            {
                **key,
                "neuron_id": neuron_id,
                **_strf_columns(average.of_neuron(i), frame_duration_s),
                "ridge_strength": or_null(ridge.strength[i]) if ridge else None,
                "ridge_score": or_null(np.max(ridge.scores[i])) if ridge else None,
            }
            for i, neuron_id in enumerate(neuron_ids)
        )


def averages() -> Any:
    """Give the estimations that are averages: tests by shifts, predictions and halves are those of averages."""
    return StrfEstimation() & (StrfParams() & {"estimator": "sta"})


def _strf_columns(average: SpikeTriggeredAverage, frame_duration_s: float) -> dict[str, Any]:
    peak = find_peak(average.z[0], average.delays_s, frame_duration_s)
    return {
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
