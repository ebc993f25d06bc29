"""Which delays are asked for, and populating every table that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts.arguments import choice, flag, real, settle, whole
from dj_neuron.errors import PipelineError, is_from_the_database
from dj_neuron.jobs import Worker
from dj_neuron.pipeline import covariance, quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.strf import thread_limit
from dj_neuron.strf.frame_clock import FRAME_RULES, MOST_DELAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.jobs import Outcome

ESTIMATORS = ("sta", "ridge")

_LONGEST_DELAY_S = 3600.0  # nothing in a retina lasts an hour

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
            raise PipelineError(f"delays are {self}, expected at most {_LONGEST_DELAY_S:g} s before or after the spike")
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


def delay_ranges(delays_s: Any) -> list[DelayRange]:
    """Take a delay, a range of them, or any number of either.

    Raises
    ------
    PipelineError
        If anything among them is neither.
    """
    is_one = isinstance(delays_s, str | DelayRange) or not np.iterable(delays_s)
    return [
        delay if isinstance(delay, DelayRange) else DelayRange(delay, delay)
        for delay in ([delays_s] if is_one else delays_s)
    ]


def checked_rules(*, estimator: Any, frame_rule: Any, centre: Any, min_spikes: Any) -> dict[str, Any]:
    """Give the columns of StrfParams that are no delays.

    Raises
    ------
    PipelineError
        If one of them is unknown, or they do not go together.
    """
    rules = {
        "estimator": choice(estimator, ESTIMATORS, "estimator", error=PipelineError),
        "frame_rule": choice(frame_rule, FRAME_RULES, "frame_rule", error=PipelineError),
        "centre": flag(centre, "centre", error=PipelineError),
        "min_spikes": whole(min_spikes, "min_spikes", error=PipelineError),
    }
    if estimator == "ridge" and not centre:
        raise PipelineError("ridge regression without centring was asked for, expected centre=True")
    return rules


def register(ranges: list[DelayRange], rules: dict[str, Any], *, replace: bool, judge: bool) -> int:
    """Insert parameter rows that are not there; give the number of estimations removed because others were.

    Raises
    ------
    PipelineError
        If nothing would remain.
    """
    if replace and not ranges:
        raise PipelineError("replacing delays needs the delays that are to remain")
    ids = [_register(delay_range, rules) for delay_range in ranges]
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
