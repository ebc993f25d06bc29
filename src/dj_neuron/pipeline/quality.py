"""How good the STRFs are: what they predict on time they were not estimated from, and whether there is enough of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.errors import AlignmentError
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.experiment import NEURON_KEY
from dj_neuron.pipeline.stored import StoredStimulation, as_text, columns_of, from_text, or_null
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams, averages
from dj_neuron.strf import (
    FrameClock,
    data_sufficiency,
    frames_per_bin,
    frozen_repeats,
    noise_ceiling,
    predict_held_out,
    trial_counts,
)

if TYPE_CHECKING:
    from dj_neuron.contracts import Stimulation
    from dj_neuron.strf import HeldOutPrediction
    from dj_neuron.strf import Sufficiency as Growths

    Row = dict[str, Any]

schema = dj.Schema()


@schema
class PredictionParams(dj.Lookup):
    """How to hold time out, and how to compare."""

    definition = """
    # Folds and bins of a prediction
    prediction_params_id  : int32      # number of the row
    ---
    n_folds = 5           : int32      # contiguous parts of the movie, each predicted from the others
    bin_s = 0             : float64    # s, width of the bins that are correlated; 0 is one frame
    unique index (n_folds, bin_s)
    """


@schema
class Prediction(dj.Computed):
    """What the neurons of a stimulation do on time that their filters were not estimated from."""

    definition = """
    # Held-out prediction of all neurons of a stimulation
    -> StrfEstimation
    -> PredictionParams
    ---
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Score(dj.Part):
        """One neuron: how well it is predicted, and its rate against its drive."""

        definition = f"""
        # Prediction of one neuron
        -> master
        -> experiment.SpikeTrain
        ---
        test_correlation = null     : float64    # of predicted and observed counts per bin
        test_correlation_se = null  : float64    # from the spread over folds
        bits_per_spike = null       : float64    # log likelihood gained over the mean rate; may be negative
        n_bins                      : int32      # that were scored
        n_trials = 0                : int32      # showings of the same images in the session; 0 without repeats
        noise_ceiling = null        : float64    # correlation that a perfect model would reach with a single trial
        gain_hz = null              : float64    # Hz, of rate = gain_hz * log(1 + exp(slope * drive + offset))
        slope = null                : float64    # per standard deviation of the drive
        offset = null               : float64    # of the same curve
        drive = null                : <blob>     # standard deviations, mean of each bin, (n_drive_bins,)
        rate_hz = null              : <blob>     # Hz, in each bin, (n_drive_bins,)
        rate_hz_se = null           : <blob>     # Hz, (n_drive_bins,)
        prediction_reason = ""      : varchar(500)    # why measures of the prediction are null
        index (test_correlation, strf_params_id, prediction_params_id, {NEURON_KEY})
        """

    @property
    def key_source(self) -> Any:
        """Averages only."""
        return averages() * PredictionParams()

    def make_fetch(self, key: Row) -> tuple[StoredStimulation, tuple[StoredStimulation, ...], str, Row, Row]:
        """Fetch references and texts, also of the other showings of the movie in the session."""
        delays = as_text((StrfEstimation() & key).fetch1("delays_s"))
        movie_hash = (experiment.Stimulation() & key).fetch1("movie_hash")
        session = {name: key[name] for name in experiment.Session().primary_key}
        showings = (experiment.Stimulation() & session & {"movie_hash": movie_hash}).keys(order_by="KEY")
        others = [own for own in showings if own["stimulation_number"] != key["stimulation_number"]]
        return (
            StoredStimulation.fetch(key),
            tuple(StoredStimulation.fetch(own) for own in others),
            delays,
            (StrfParams() & key).fetch1(),
            (PredictionParams() & key).fetch1(),
        )

    def make_compute(
        self,
        key: Row,
        stored: StoredStimulation,
        others: tuple[StoredStimulation, ...],
        delays: str,
        rules: Row,
        params: Row,
    ) -> tuple[Row, list[Row]]:
        """Predict each part of the movie from the others."""
        stimulation = stored.load()
        started = time.perf_counter()
        repeats = frozen_repeats(stimulation.movie)
        try:
            scores = predict_held_out(
                stimulation.movie,
                FrameClock.of(stimulation),
                stimulation.spike_trains,
                from_text(delays),
                stimulation.block_size_um,
                n_folds=params["n_folds"],
                bin_s=params["bin_s"],
                repeats=repeats,
                frame_rule=rules["frame_rule"],
            )
            n_frames_bin = frames_per_bin(FrameClock.of(stimulation), params["bin_s"])
            showings = [stimulation, *(other.with_movie(stimulation.movie) for other in others)]
            parts = [
                _score_row(neuron_id, score) | _ceiling_columns(showings, neuron_id, repeats, n_frames_bin)
                for neuron_id, score in zip(stored.neuron_ids, scores, strict=True)
            ]
        except AlignmentError as error:  # the stimulation itself was aligned before: it cannot be held out
            parts = [
                {"neuron_id": neuron_id, "n_bins": 0, "prediction_reason": str(error)}
                for neuron_id in stored.neuron_ids
            ]
        return {"code_version": __version__, "duration_s": time.perf_counter() - started}, parts

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the prediction and one part row per neuron."""
        self.insert1({**key, **master})
        self.Score.insert({**key, **row} for row in parts)


def _ceiling_columns(showings: list[Stimulation], neuron_id: int, repeats: Any, n_frames_bin: int) -> Row:
    """Give the noise ceiling over all trials of the session: frozen repeats, or showings of the same movie."""
    presentations = [
        (FrameClock.of(showing), train.times_s)
        for showing in showings
        for train in showing.spike_trains
        if train.neuron_id == neuron_id
    ]
    counts = trial_counts(presentations, repeats, n_frames_bin)
    if len(counts) < 2:
        return {}
    return {"n_trials": len(counts), "noise_ceiling": or_null(noise_ceiling(counts))}


def _score_row(neuron_id: int, score: HeldOutPrediction) -> Row:
    curve = score.nonlinearity
    return {
        "neuron_id": neuron_id,
        **columns_of(score, ("test_correlation", "test_correlation_se", "bits_per_spike")),
        "n_bins": score.n_bins,
        **{name: curve and getattr(curve, name) for name in ("gain_hz", "slope", "offset")},
        **{name: curve and getattr(curve, name) for name in ("drive", "rate_hz", "rate_hz_se")},
        "prediction_reason": score.reason,
    }


@schema
class Sufficiency(dj.Computed):
    """Whether a stimulation was long enough."""

    definition = """
    # Quality of all neurons of a stimulation against its length
    -> StrfEstimation
    ---
    minutes = null  : <blob>         # min of movie from its beginning, (n_fractions,)
    code_version    : varchar(64)    # of dj-neuron
    duration_s      : float64        # s, numerics only
    """

    class Agreement(dj.Part):
        """One neuron: agreement of halves, and how peak and map grew."""

        definition = """
        # Agreement of a neuron's map with itself
        -> master
        -> experiment.SpikeTrain
        ---
        split_half_r = null      : float64    # correlation of the maps of two halves of the recording
        reliability = null       : float64    # what two recordings of full length would correlate
        minutes_needed = null    : float64    # min of recording for a reliability of 0.9
        growth_peak_z = null     : <blob>     # z at the final peak after so many minutes, (n_fractions,)
        growth_map_r = null      : <blob>     # correlation of the map with the final one, (n_fractions,)
        sufficiency_reason = ""  : varchar(500)    # why measures of sufficiency are null
        """

    @property
    def key_source(self) -> Any:
        """Averages only."""
        return averages()

    def make_fetch(self, key: Row) -> tuple[StoredStimulation, str, Row]:
        """Fetch references and texts."""
        delays = as_text((StrfEstimation() & key).fetch1("delays_s"))
        return StoredStimulation.fetch(key), delays, (StrfParams() & key).fetch1()

    def make_compute(self, key: Row, stored: StoredStimulation, delays: str, rules: Row) -> tuple[Row, list[Row]]:
        """Average growing parts and halves of the recording."""
        stimulation = stored.load()
        started = time.perf_counter()
        try:
            found = data_sufficiency(
                stimulation.movie,
                FrameClock.of(stimulation),
                stimulation.spike_trains,
                from_text(delays),
                frame_rule=rules["frame_rule"],
                min_spikes=rules["min_spikes"],
            )
            minutes = found.minutes
            parts = [_agreement_row(neuron_id, found, i) for i, neuron_id in enumerate(stored.neuron_ids)]
        except AlignmentError as error:  # the stimulation itself was aligned before: it cannot be divided
            minutes = None
            parts = [{"neuron_id": neuron_id, "sufficiency_reason": str(error)} for neuron_id in stored.neuron_ids]
        master = {"minutes": minutes, "code_version": __version__, "duration_s": time.perf_counter() - started}
        return master, parts

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the minutes and one part row per neuron."""
        self.insert1({**key, **master})
        self.Agreement.insert({**key, **row} for row in parts)


def _agreement_row(neuron_id: int, found: Growths, i: int) -> Row:
    return {
        "neuron_id": neuron_id,
        **{name: or_null(float(getattr(found, name)[i])) for name in ("split_half_r", "reliability", "minutes_needed")},
        "growth_peak_z": found.peak_z[i],
        "growth_map_r": found.map_r[i],
        "sufficiency_reason": _why_unknown(found, i),
    }


def _why_unknown(found: Growths, i: int) -> str:
    if np.isnan(found.peak_z[i]).all():
        return "no peak at any delay of 0 s or more"
    if np.isnan(found.split_half_r[i]):
        return "too few spikes in one of the halves, or a map of one block"
    return "" if np.isfinite(found.minutes_needed[i]) else "the halves may agree by chance only"
