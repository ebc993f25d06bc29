"""What a worker did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dj_neuron.jobs import Outcome


@dataclass
class WorkReport:
    """What became of the keys of one worker, or of several.

    Attributes
    ----------
    computed : dict of str to int
        Keys computed, by table.
    n_given_back : int
        Keys that wait again: the worker was told to end, or the database went away.
    errors : list of str
        One line per key that failed.
    lost : list of str
        One line per worker that did not end by itself.
    """

    computed: dict[str, int] = field(default_factory=dict)
    n_given_back: int = 0
    errors: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome | None) -> None:
        """Count an outcome; None is nothing."""
        if outcome is None:
            return
        if outcome.result == "computed":
            self.computed[outcome.table] = self.computed.get(outcome.table, 0) + 1
        elif outcome.result == "failed":
            self.errors.append(str(outcome))
        else:
            self.n_given_back += 1

    @classmethod
    def of_all(cls, reports: Iterable[WorkReport]) -> WorkReport:
        """Add reports up."""
        whole = cls()
        counted: Counter[str] = Counter()
        for one in reports:
            counted.update(one.computed)
            whole.n_given_back += one.n_given_back
            whole.errors += one.errors
            whole.lost += one.lost
        whole.computed = dict(counted)
        return whole

    def __str__(self) -> str:
        words = ", ".join(f"{table} of {n}" for table, n in self.computed.items()) or "nothing"
        given_back = f", {self.n_given_back} given back" if self.n_given_back else ""
        return f"computed {words}{given_back}" + (f", {len(self.errors)} failed" if self.errors else "")
