"""What averages cannot show: directions in which the stimulus varied more, or less, before spikes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.pipeline import array_codec, experiment  # noqa: F401  (registers <array>; named in definitions)
from dj_neuron.pipeline.receptive_field import Significance
from dj_neuron.pipeline.stored import StoredStimulation, as_text, from_text, packed, unpacked
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.strf import FrameClock, spike_triggered_average, spike_triggered_covariance
from dj_neuron.strf.covariance_window import MAX_DIMENSIONS

if TYPE_CHECKING:
    from dj_neuron.contracts import SpikeTrain, Stimulation

    Row = dict[str, Any]

schema = dj.Schema()


@schema
class CovarianceParams(dj.Lookup):
    """How to test directions of the stimulus one after another."""

    definition = """
    # Tests of spike-triggered covariance
    covariance_params_id  : int32      # number of the row
    ---
    n_shifts = 200        : int32      # circular shifts of the spike train, new ones for every test
    alpha = 0.05          : float64    # chance that anything is found beyond the average where nothing is
    min_spikes = 50       : int32      # with fewer nothing is tested
    seed = 1              : int32      # of the shifts; it, neuron_id and the number of the test decide them
    unique index (n_shifts, alpha, min_spikes, seed)
    """


@schema
class Covariance(dj.Computed):
    """Spike-triggered covariance of a stimulation's neurons, the average projected out."""

    definition = """
    # Spike-triggered covariance of all neurons of a stimulation
    -> Significance
    -> CovarianceParams
    ---
    seed_used     : int32          # of the shifts
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Filters(dj.Part):
        """One neuron: the directions whose variance before spikes is more than chance."""

        definition = """
        # Filters of one neuron beyond its average
        -> master
        -> experiment.SpikeTrain
        ---
        n_filters               : int32      # significant directions
        n_dimensions            : int32      # blocks and delays that were looked at, less what does not vary
        is_significant_region   : bool       # whether these are the significant ones of the average; else a window
        looked_at               : <blob>     # which: bits of (n_delays, n_y, n_x), row by row
        filters = null          : <array@dj_neuron>    # (n_filters, n_delays, n_y, n_x), unit length, no sign
        filter_variance = null  : <blob>     # before spikes over that of the stimulus, (n_filters,)
        variances = null        : <blob>     # the same of all directions, ascending, (n_dimensions,)
        p_values = null         : <blob>     # of every filter and of the next, which failed, (n_filters + 1,)
        covariance_reason = ""  : varchar(500)    # why nothing was tested
        """

    def make_fetch(self, key: Row) -> tuple[StoredStimulation, str, dict[int, str], Row, Row]:
        """Fetch references and texts."""
        judged = (Significance.Judgement() & key & "n_significant > 0").to_dicts(order_by="neuron_id")
        return (
            StoredStimulation.fetch(key),
            as_text((StrfEstimation() & key).fetch1("delays_s")),
            {row["neuron_id"]: row["significant"].tobytes().hex() for row in judged},
            (StrfParams() & key).fetch1(),
            (CovarianceParams() & key).fetch1(),
        )

    def make_compute(
        self, key: Row, stored: StoredStimulation, delays: str, masks: dict[int, str], rules: Row, params: Row
    ) -> tuple[Row, list[Row]]:
        """Test one neuron after the other."""
        stimulation = stored.load()
        started = time.perf_counter()
        delays_s = from_text(delays)
        shape = (delays_s.size, stimulation.movie.n_y, stimulation.movie.n_x)
        parts = []
        for train in stimulation.spike_trains:
            bits = masks.get(train.neuron_id)
            mask = None if bits is None else unpacked(np.frombuffer(bytes.fromhex(bits), np.uint8), shape)
            parts.append(_filters_row(stimulation, train, delays_s, mask, rules, params))
        master = {"seed_used": params["seed"], "code_version": __version__}
        return {**master, "duration_s": time.perf_counter() - started}, parts

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the estimation and one part row per neuron."""
        self.insert1({**key, **master})
        self.Filters.insert({**key, **row} for row in parts)


def _filters_row(stimulation: Stimulation, train: SpikeTrain, delays_s: Any, mask: Any, rules: Row, params: Row) -> Row:
    shape = (delays_s.size, stimulation.movie.n_y, stimulation.movie.n_x)
    row: Row = {"neuron_id": train.neuron_id, "is_significant_region": mask is not None}
    nothing = {
        "n_filters": 0,
        "n_dimensions": 0,
        "looked_at": packed(np.zeros(shape, bool)),
        **dict.fromkeys(("filters", "filter_variance", "variances", "p_values")),
    }
    if train.n_spikes < params["min_spikes"]:
        reason = f"{train.n_spikes} spikes, expected at least {params['min_spikes']}"
        return {**row, **nothing, "covariance_reason": reason}
    if mask is not None and np.count_nonzero(mask) > MAX_DIMENSIONS:
        mask = _strongest(stimulation, train, delays_s, mask, rules)
    try:
        found = spike_triggered_covariance(
            stimulation.movie,
            FrameClock.of(stimulation),
            train,
            delays_s,
            mask,
            neuron_number=train.neuron_id,
            seed=params["seed"],
            n_shifts=params["n_shifts"],
            alpha=params["alpha"],
            frame_rule=rules["frame_rule"],
            min_spikes=params["min_spikes"],
        )
    except (AlignmentError, ContractError) as error:  # such as no delay before the spike
        return {**row, **nothing, "covariance_reason": str(error)}
    is_tested = found.p_value.size > 0
    n_filters = len(found.filters)
    return {
        **row,
        "n_filters": n_filters,
        "n_dimensions": found.eigenvalues.size,
        "looked_at": packed(found.mask),
        "filters": found.filters.astype(np.float32) if n_filters else None,
        "filter_variance": found.filter_eigenvalues if n_filters else None,
        "variances": found.eigenvalues if is_tested else None,
        "p_values": found.p_value if is_tested else None,
        "covariance_reason": "" if is_tested else _why_untested(found.n_used, params["min_spikes"]),
    }


def _strongest(stimulation: Stimulation, train: SpikeTrain, delays_s: Any, mask: Any, rules: Row) -> Any:
    """Keep as many of the blocks and delays as can be looked at, those where the average stands out most."""
    average = spike_triggered_average(
        stimulation.movie, FrameClock.of(stimulation), [train], delays_s, frame_rule=rules["frame_rule"]
    )
    height = np.where(mask, np.abs(average.z[0]), -np.inf)
    kept = np.zeros(mask.size, bool)
    kept[np.argsort(-height, axis=None, kind="stable")[:MAX_DIMENSIONS]] = True
    return kept.reshape(mask.shape)


def _why_untested(n_used: int, min_spikes: int) -> str:
    if n_used < min_spikes:
        return f"{n_used} spikes with a frame at every delay, expected at least {min_spikes}"
    return "one direction only, which the average takes"
