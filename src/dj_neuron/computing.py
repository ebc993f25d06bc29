"""Which delays are asked for, and populating every table that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts.arguments import choice, flag, real, settle, whole
from dj_neuron.errors import AlignmentError, ContractError, PipelineError, is_from_the_database
from dj_neuron.jobs import Worker
from dj_neuron.pipeline import covariance, experiment, quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.strf import FrameClock, thread_limit
from dj_neuron.strf.frame_clock import FRAME_RULES, MOST_DELAYS
from dj_neuron.strf.ridge import check_ridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.contracts import Session
    from dj_neuron.jobs import Outcome

ESTIMATORS = ("sta", "ridge")

_LONGEST_DELAY_S = 10.0  # no light acts on spikes for longer: what is beyond was meant in another unit
_USUAL = {"estimator": "sta", "frame_rule": "floor", "centre": True, "min_spikes": 1}

# In the order of their foreign keys.
_JUDGING = (
    receptive_field.Significance,
    receptive_field.ReceptiveField,
    receptive_field.Mosaic,
    covariance.Covariance,
    quality.Prediction,
    quality.Sufficiency,
)
_DEFAULT_PARAMS = (
    receptive_field.SignificanceParams,
    receptive_field.ReceptiveFieldParams,
    covariance.CovarianceParams,
    quality.PredictionParams,
)


@dataclass(frozen=True)
class DelayRange:
    """Delays of one parameter row, in seconds before the spike, both ends inclusive.

    A step of 0 means every whole frame of the stimulation; a range of one delay has no step.
    """

    first_s: float
    last_s: float
    step_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_s", "last_s", "step_s"):
            settle(self, **{name: real(getattr(self, name), name, "delays", error=PipelineError)})
        if not (np.isfinite([self.first_s, self.last_s, self.step_s]).all() and self.step_s >= 0):
            raise PipelineError(f"delays are {self}, expected finite seconds and a step that is not negative")
        if self.last_s < self.first_s:
            raise PipelineError(f"delays are {self}, expected the first to be at most the last")
        if not -_LONGEST_DELAY_S <= self.first_s <= self.last_s <= _LONGEST_DELAY_S:
            raise PipelineError(
                f"delays are {self}, expected at most {_LONGEST_DELAY_S:g} s before or after the spike (50 ms: 0.05)"
            )
        if self.step_s and self.last_s - self.first_s >= MOST_DELAYS * self.step_s:
            raise PipelineError(f"delays are {self}, expected at most {MOST_DELAYS} of them")
        if self.first_s == self.last_s:
            settle(self, step_s=0.0)

    def columns(self) -> dict[str, float]:
        """Give the columns of StrfParams."""
        return {"first_delay_s": self.first_s, "last_delay_s": self.last_s, "step_s": self.step_s}

    def __str__(self) -> str:
        if self.first_s == self.last_s:
            return f"{self.first_s:g} s"
        step = f"in steps of {self.step_s:g} s" if self.step_s else "in steps of one frame"
        return f"{self.first_s:g} to {self.last_s:g} s {step}"


DEFAULT_DELAYS = DelayRange(-0.1, 0.4)


@dataclass(frozen=True)
class ComputeReport:
    """What one call of :meth:`~dj_neuron.Pipeline.compute` did.

    Attributes
    ----------
    computed : dict of str to int
        Keys computed now, by table.
    n_already_there, n_removed : int
        Stimulation-and-parameter pairs of StrfEstimation.
    errors : tuple of str
        One line per key that failed.
    """

    computed: dict[str, int]
    n_already_there: int
    n_removed: int
    errors: tuple[str, ...]

    @property
    def n_computed(self) -> int:
        """Stimulation-and-parameter pairs whose STRFs were estimated now."""
        return self.computed.get(StrfEstimation.__name__, 0)


@dataclass(frozen=True)
class Asked:
    """Delays, and the rules by which to compute at them."""

    ranges: tuple[DelayRange, ...]
    rules: dict[str, Any]

    @classmethod
    def from_arguments(
        cls,
        delays_s: Any = (),
        *,
        estimator: Any = "sta",
        frame_rule: Any = "floor",
        centre: Any = True,
        min_spikes: Any = 1,
    ) -> Asked:
        """Take what :meth:`~dj_neuron.Pipeline.compute` is given.

        Raises
        ------
        PipelineError
            If anything of it is unknown, or it contradicts itself.
        """
        is_one = isinstance(delays_s, str | DelayRange) or not np.iterable(delays_s)
        ranges = tuple(
            delay if isinstance(delay, DelayRange) else DelayRange(delay, delay)
            for delay in ([delays_s] if is_one else delays_s)
        )
        rules = {
            "estimator": choice(estimator, ESTIMATORS, "estimator", error=PipelineError),
            "frame_rule": choice(frame_rule, FRAME_RULES, "frame_rule", error=PipelineError),
            "centre": flag(centre, "centre", error=PipelineError),
            "min_spikes": whole(min_spikes, "min_spikes", error=PipelineError),
        }
        unusual = [name for name, value in rules.items() if value != _USUAL[name]]
        if unusual and not ranges:
            raise PipelineError(f"{unusual[0].replace('_', ' ')} is a rule for new delays, expected delays beside it")
        if estimator == "ridge" and not centre:
            raise PipelineError("ridge regression cannot do without subtracting the mean of each block, expected it")
        return cls(ranges, rules)

    def check(self, clock: FrameClock, shape: tuple[int, int, int], n_neurons: int) -> None:
        """Raise AlignmentError or ContractError if it cannot be computed, whatever the movie shows.

        Parameters
        ----------
        clock : FrameClock
        shape : tuple of int
            Of the movie, ``(n_frames, n_y, n_x)``.
        n_neurons : int
        """
        frame_rule = self.rules["frame_rule"]
        for asked in self.ranges:
            delays_s = clock.delays_between(asked.first_s, asked.last_s, asked.step_s)
            clock.frames_at(np.empty(0), 0.0, frame_rule)
            if self.rules["estimator"] == "ridge" and n_neurons:
                check_ridge(shape, clock, delays_s, frame_rule)

    def check_session(self, session: Session, where: str) -> None:
        """Raise PipelineError if it cannot be computed of all stimulations of a session."""
        for stimulation in session.stimulations:
            try:
                self.check(FrameClock.of(stimulation), stimulation.movie.shape, len(stimulation.spike_trains))
            except (AlignmentError, ContractError) as error:
                raise PipelineError(
                    f"{where}: of stimulation {stimulation.stimulation_number} this cannot be computed: {error}"
                ) from None

    def check_computed(self) -> None:
        """Raise PipelineError if it cannot be computed of a stimulation of which something was."""
        shapes = experiment.Movie().proj("n_frames", "n_y", "n_x")
        for row in ((experiment.Stimulation() & StrfEstimation().proj()) * shapes).to_dicts(order_by="KEY"):
            key = {name: row[name] for name in experiment.Stimulation().primary_key}
            edges_s, gaps_s = row["frame_edges_s"], row["gaps_s"]
            clock = (
                FrameClock.regular(row["frame_rate_hz"], row["n_frames"], row["onset_s"])
                if edges_s is None
                else FrameClock.from_starts(edges_s[:-1], edges_s[-1], gaps_s=() if gaps_s is None else gaps_s)
            )
            try:
                self.check(clock, (row["n_frames"], row["n_y"], row["n_x"]), len(experiment.SpikeTrain() & key))
            except (AlignmentError, ContractError) as error:
                raise PipelineError(
                    f"what was computed of {in_words(key)} would be removed, and this cannot be computed in its place: "
                    f"{error}"
                ) from None


def register(asked: Asked, *, replace: bool, judge: bool) -> int:
    """Insert parameter rows that are not there; give the number of estimations removed because others were.

    Raises
    ------
    PipelineError
        If nothing would remain, or nothing could be computed in place of something that was.
    """
    if replace and not asked.ranges:
        raise PipelineError("replacing delays needs the delays that are to remain")
    if replace:
        asked.check_computed()
    ids = [_register(delay_range, asked.rules) for delay_range in asked.ranges]
    if judge:
        _register_defaults()
    return _remove_all_but(ids) if replace else 0


def n_estimations() -> int:
    """Count the stimulation-and-parameter pairs that are estimated."""
    return len(StrfEstimation())


def populate(
    connection: Any, prefix: str, n_removed: int, *, judge: bool, report: Callable[[Outcome | None], None]
) -> ComputeReport:
    """Compute what is missing or has failed before, table by table; a key that fails does not stop the others."""
    n_before = n_estimations()
    tables = _tables(StrfEstimation, *(_JUDGING if judge else ()))
    computed = {table.__name__: 0 for table in tables}
    errors: list[str] = []

    def count(outcome: Outcome | None) -> None:
        if outcome is not None and outcome.result == "computed":
            computed[outcome.table] += 1
        elif outcome is not None and outcome.result == "failed":
            errors.append(f"{outcome.table} of {in_words(outcome.key)}: {outcome.message}")
        report(outcome)

    worker = Worker(connection, prefix, tables, report=count)
    worker.retry()
    worker.run()
    return ComputeReport(computed, n_before, n_removed, tuple(errors))


def worker(connection: Any, prefix: str, **how: Any) -> Worker:
    """Give a worker on all computed tables; `how` is as in :class:`~dj_neuron.jobs.Worker`."""
    return Worker(connection, prefix, _tables(StrfEstimation, *_JUDGING), **how)


def _tables(*tables: Any) -> dict[Any, int | None]:
    """Give tables with how many threads of BLAS suit each, as far as the process may have them."""
    # many small matrices: threads of BLAS would wait for each other, up to ten times as long as one takes
    return {table: thread_limit() if table is StrfEstimation else 1 for table in tables}


def _register(delay_range: DelayRange, rules: dict[str, Any]) -> int:
    """Give the id of the parameter row, inserting it if it is new."""
    params = StrfParams()
    row = {**delay_range.columns(), **rules}
    while True:
        there = params.to_dicts()
        for known in there:
            if all(known[name] == value for name, value in row.items()):
                return int(known["strf_params_id"])
        new_id = max((known["strf_params_id"] for known in there), default=0) + 1
        try:
            params.insert1({**row, "strf_params_id": new_id})
        except dj.errors.DuplicateError:
            continue  # another process took the id, or registered the same row


def _register_defaults() -> None:
    """Insert the default row of every other kind of parameters that has none."""
    for table in _DEFAULT_PARAMS:
        params = table()
        if not params:
            params.insert1({params.primary_key[0]: 1}, skip_duplicates=True)


def _remove_all_but(ids: list[int]) -> int:
    """Remove all other parameter rows, their estimations and what follows; give the number of estimations."""
    n_before = n_estimations()
    others = set(StrfParams().to_arrays("strf_params_id")) - set(ids)
    if others:
        _delete(StrfParams() & [{"strf_params_id": int(i)} for i in others])
    return n_before - n_estimations()


def _delete(rows: Any) -> None:
    """Delete rows and what follows from them, once more if another process was just storing a result of theirs."""
    try:
        rows.delete(prompt=False)
    except Exception as error:
        if not is_from_the_database(error):
            raise
        rows.delete(prompt=False)


def in_words(key: dict[str, Any]) -> str:
    """Give a primary key as a person would say it."""
    return ", ".join(f"{name} {value}" for name, value in key.items())
