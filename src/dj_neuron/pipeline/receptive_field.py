"""What the STRFs mean: which are more than chance, and where, how large and how quick the receptive fields are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dj_neuron import __version__
from dj_neuron._datajoint import dj
from dj_neuron.pipeline import array_codec, experiment  # noqa: F401  (registers <array>; named in definitions)
from dj_neuron.pipeline.experiment import NEURON_KEY
from dj_neuron.pipeline.field_measures import StoredStrfs, judgement_rows, measure_field, mosaic_rows, screen_um
from dj_neuron.pipeline.stored import StoredStimulation, as_text, from_text
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams, averages
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    judge_significance,
    smoothed_shift_null,
    spike_triggered_average,
)

if TYPE_CHECKING:
    from dj_neuron.strf import ShiftNull
    from dj_neuron.strf import Significance as Verdicts

    Row = dict[str, Any]

schema = dj.Schema()


@schema
class SignificanceParams(dj.Lookup):
    """How to tell a receptive field from chance."""

    definition = """
    # Null of circular shifts, and what is significant
    significance_params_id  : int32      # number of the row
    ---
    n_shifts = 1000         : int32      # circular shifts of the spike train
    alpha = 0.05            : float64    # chance, per neuron, that without an effect anything is significant
    seed = 1                : int32      # of the shifts; it and neuron_id decide them
    unique index (n_shifts, alpha, seed)
    """


@schema
class Significance(dj.Computed):
    """The neurons of a stimulation, tested against circular shifts of their spikes."""

    definition = """
    # Test of all neurons of a stimulation
    -> StrfEstimation
    -> SignificanceParams
    ---
    n_shifts_made  : int32          # fewer than asked for where the movie has no more
    seed_used      : int32          # of the shifts
    code_version   : varchar(64)    # of dj-neuron
    duration_s     : float64        # s, numerics only
    """

    class Judgement(dj.Part):
        """One neuron: how often chance does as well, and which blocks and delays are significant."""

        definition = f"""
        # Test of one neuron
        -> master
        -> experiment.SpikeTrain
        ---
        p_value = null            : float64    # chance of such a peak without an effect, over all blocks and delays
        q_value = null            : float64    # false discovery rate over the neurons of the stimulation
        p_value_analytic = null   : float64    # second opinion: for independent normal z
        smoothed_z = null         : float64    # largest absolute z of the map smoothed at many scales
        p_value_smoothed = null   : float64    # chance of such a smoothed peak without an effect
        p_value_field = null      : float64    # chance that either peak is as rare without an effect: is there a field?
        q_value_field = null      : float64    # false discovery rate of that over the neurons of the stimulation
        threshold_z = null        : float64    # what the absolute z of a block must exceed
        n_significant             : int32      # blocks and delays that do
        significant               : <blob>     # which do: bits of (n_delays, n_y, n_x), row by row
        null_maxima               : <blob>     # largest absolute z under each shift, (n_shifts_made,)
        significance_reason = ""  : varchar(500)    # why p_value or threshold_z is null
        index (p_value_field, strf_params_id, significance_params_id, {NEURON_KEY})
        index (q_value_field, strf_params_id, significance_params_id, {NEURON_KEY})
        """

    @property
    def key_source(self) -> Any:
        """Averages only."""
        return averages() * SignificanceParams()

    def make_fetch(self, key: Row) -> tuple[StoredStimulation, str, Row, Row]:
        """Fetch references and texts."""
        delays = as_text((StrfEstimation() & key).fetch1("delays_s"))
        return (
            StoredStimulation.fetch(key),
            delays,
            (StrfParams() & key).fetch1(),
            (SignificanceParams() & key).fetch1(),
        )

    def make_compute(
        self, key: Row, stored: StoredStimulation, delays: str, rules: Row, params: Row
    ) -> tuple[Row, list[Row]]:
        """Average once more, which is quick and in full precision, and test against shifts."""
        stimulation = stored.load()
        started = time.perf_counter()
        found = _judge(stimulation, from_text(delays), rules, params) if stored.neuron_ids else None
        master = {
            "n_shifts_made": found[0].n_shifts if found else 0,
            "seed_used": params["seed"],
            "code_version": __version__,
            "duration_s": time.perf_counter() - started,
        }
        return master, judgement_rows(stored.neuron_ids, *found) if found else []

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the test and one part row per neuron."""
        self.insert1({**key, **master})
        self.Judgement.insert({**key, **row} for row in parts)


def _judge(stimulation: Any, delays_s: Any, rules: Row, params: Row) -> tuple[ShiftNull, Verdicts]:
    clock = FrameClock.of(stimulation)
    what = (stimulation.movie, clock, stimulation.spike_trains, delays_s)
    how = {"frame_rule": rules["frame_rule"], "min_spikes": rules["min_spikes"]}
    numbers = [train.neuron_id for train in stimulation.spike_trains]
    null = circular_shift_null(*what, neuron_numbers=numbers, seed=params["seed"], n_shifts=params["n_shifts"], **how)
    smoothed = smoothed_shift_null(*what, stimulation.block_size_um, null, frame_rule=rules["frame_rule"])
    average = spike_triggered_average(*what, **how)
    verdicts = judge_significance(average, null, 1 / clock.frame_rate_hz, smoothed=smoothed, alpha=params["alpha"])
    return null, verdicts


@schema
class ReceptiveFieldParams(dj.Lookup):
    """How to measure a receptive field."""

    definition = """
    # Simulations that standard errors and tests of shape rest on
    receptive_field_params_id   : int32    # number of the row
    ---
    n_separable_fields = 199    : int32    # separable fields simulated to test separability
    n_noisy_courses = 100       : int32    # time courses simulated for the standard errors of their measures
    n_random_mosaics = 999      : int32    # mosaics placed at random to compare with
    seed = 1                    : int32    # of all these; it and neuron_id decide a neuron's
    unique index (n_separable_fields, n_noisy_courses, n_random_mosaics, seed)
    """


@schema
class ReceptiveField(dj.Computed):
    """The receptive fields of a stimulation's neurons: place, shape, polarity, course in time."""

    definition = """
    # Receptive fields of all neurons of a stimulation
    -> Significance
    -> ReceptiveFieldParams
    ---
    n_fields      : int32          # neurons with a p_value_field of at most alpha, and so with a region
    seed_used     : int32          # of the simulations
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Field(dj.Part):
        """One neuron's receptive field; what is not known is null, and a reason says why."""

        definition = f"""
        # Receptive field of one neuron
        -> master
        -> experiment.SpikeTrain
        ---
        region                        : <blob>     # blocks in which the field lies: bits of (n_y, n_x), row by row
        region_x_um = null            : float64    # um from the left of the screen, where the field stands out most
        region_y_um = null            : float64    # um from the top of the screen
        region_scale_um = null        : float64    # um, sigma of the Gaussian that brings the field out best
        region_z = null               : float64    # height there, averaged with that Gaussian; signed
        separability = null           : float64    # share of the energy in one map times one course, 0 to 1
        p_inseparable = null          : float64    # how often a separable field has as large a second component
        separability_reason = ""      : varchar(500)    # why separability is null
        axes = ""                     : varchar(2)     # xy for checkers, x or y for bars
        model = ""                    : varchar(32)    # gaussian or difference_of_gaussians; empty where nothing fits
        centre_x_um = null            : float64    # um from the left of the screen
        centre_x_um_se = null         : float64    # um
        centre_y_um = null            : float64    # um from the top of the screen
        centre_y_um_se = null         : float64    # um
        sigma_major_um = null         : float64    # um, of bars the only one
        sigma_major_um_se = null      : float64    # um
        sigma_minor_um = null         : float64    # um
        sigma_minor_um_se = null      : float64    # um
        angle_deg = null              : float64    # deg, of the major axis, 0 to 180, from x towards y (down)
        angle_deg_se = null           : float64    # deg; 52 where nothing is known of it
        amplitude = null              : float64    # contrast at the centre
        amplitude_se = null           : float64    # contrast
        surround_strength = null      : float64    # volume of the surround over that of the centre
        surround_strength_se = null   : float64    # standard error
        surround_ratio = null         : float64    # sigma of the surround over that of the centre
        surround_ratio_se = null      : float64    # standard error
        area_1_sigma_um2 = null       : float64    # um^2, of the ellipse at 1 sigma
        area_2_sigma_um2 = null       : float64    # um^2, of the ellipse at 2 sigma
        chi2_per_dof = null           : float64    # of the model: 1 where the rest is noise
        r_squared = null              : float64    # of the model over its window
        r_squared_ceiling = null      : float64    # what a perfect model would reach, given the noise
        cut_by_edge = null            : bool       # whether the ellipse at 2 sigma leaves the screen
        smaller_than_block = null     : bool       # whether sigma is below half a block
        space_reason = ""             : varchar(500)    # why measures in space are null
        polarity = null               : int8       # 1 ON, -1 OFF, the sign of the lobe nearest to the spike
        time_to_peak_s = null         : float64    # s before the spike
        time_to_peak_s_se = null      : float64    # s
        zero_crossing_s = null        : float64    # s before the spike, where the main lobe turns into the second
        zero_crossing_s_se = null     : float64    # s
        biphasic_index = null         : float64    # absolute peak of the second lobe over that of the main one
        biphasic_index_se = null      : float64    # standard error
        lobe_duration_s = null        : float64    # s, width of the main lobe at half its height
        lobe_duration_s_se = null     : float64    # s
        time_reason = ""              : varchar(500)    # why measures in time are null
        spatial_map = null            : <array@dj_neuron>    # contrast, (n_y, n_x), positive at the centre
        spatial_map_se = null         : <array@dj_neuron>    # contrast, (n_y, n_x)
        time_course = null            : <blob>     # (n_delays,), 1 or -1 at its largest causal delay
        time_course_se = null         : <blob>     # (n_delays,)
        singular_values = null        : <blob>     # of the causal part in the region, in standard errors
        index (polarity, strf_params_id, significance_params_id, receptive_field_params_id, {NEURON_KEY})
        index (centre_x_um, strf_params_id, significance_params_id, receptive_field_params_id, {NEURON_KEY})
        index (centre_y_um, strf_params_id, significance_params_id, receptive_field_params_id, {NEURON_KEY})
        index (sigma_major_um, strf_params_id, significance_params_id, receptive_field_params_id, {NEURON_KEY})
        index (time_to_peak_s, strf_params_id, significance_params_id, receptive_field_params_id, {NEURON_KEY})
        """

    def make_fetch(self, key: Row) -> tuple[StoredStrfs, Row]:
        """Fetch references and texts."""
        judged = StrfEstimation.Strf() * Significance.Judgement() * SignificanceParams.proj("alpha")
        fields = (judged & key).proj("strf", "error_factor", "significant", "p_value_field", "alpha")
        return StoredStrfs.fetch(key, fields), (ReceptiveFieldParams() & key).fetch1()

    def make_compute(self, key: Row, stored: StoredStrfs, params: Row) -> tuple[Row, list[Row]]:
        """Measure one neuron after the other."""
        started = time.perf_counter()
        parts = [measure_field(estimate, params) for estimate in stored.load()]
        master = {
            "n_fields": sum(row["region_z"] is not None for row in parts),
            "seed_used": params["seed"],
            "code_version": __version__,
            "duration_s": time.perf_counter() - started,
        }
        return master, parts

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the estimation and one part row per neuron."""
        self.insert1({**key, **master})
        self.Field.insert({**key, **row} for row in parts)


@schema
class Mosaic(dj.Computed):
    """How evenly the receptive fields of a stimulation lie on the retina, ON and OFF apart."""

    definition = """
    # Mosaics of the receptive fields of a stimulation
    -> ReceptiveField
    ---
    seed_used     : int32          # of the random mosaics
    code_version  : varchar(64)    # of dj-neuron
    duration_s    : float64        # s, numerics only
    """

    class Regularity(dj.Part):
        """The fields of one polarity."""

        definition = """
        # Mosaic of one polarity
        -> master
        mosaic_polarity                 : int8       # 1 ON, -1 OFF
        ---
        n_fields                        : int32      # with a known centre on both axes
        nearest_um                      : <blob>     # um, distance of every centre to the nearest other one
        regularity_index = null         : float64    # mean over standard deviation of nearest_um
        random_regularity_index = null  : float64    # median of as many points placed at random on the same screen
        p_random = null                 : float64    # how often such points are as regular
        coverage_factor = null          : float64    # 1-sigma ellipses over a point, on average
        mosaic_reason = ""              : varchar(500)    # why measures are null or to be read with care
        """

    def make_fetch(self, key: Row) -> tuple[list[Row], tuple[float, float], Row]:
        """Fetch the shapes and the size of the screen."""
        shapes = (ReceptiveField.Field() & key).proj(
            "centre_x_um", "centre_y_um", "sigma_major_um", "sigma_minor_um", "angle_deg", "polarity"
        )
        return shapes.to_dicts(order_by="neuron_id"), screen_um(key), (ReceptiveFieldParams() & key).fetch1()

    def make_compute(
        self, key: Row, shapes: list[Row], screen: tuple[float, float], params: Row
    ) -> tuple[Row, list[Row]]:
        """Compare with mosaics placed at random."""
        started = time.perf_counter()
        parts = mosaic_rows(shapes, screen, params)
        master = {"seed_used": params["seed"], "code_version": __version__}
        return {**master, "duration_s": time.perf_counter() - started}, parts

    def make_insert(self, key: Row, master: Row, parts: list[Row]) -> None:
        """Insert the estimation and one part row per polarity."""
        self.insert1({**key, **master})
        self.Regularity.insert({**key, **row} for row in parts)
