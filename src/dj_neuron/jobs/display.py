"""How far the tables are, live: bars on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from dj_neuron.jobs.loop import Outcome

    Progress = dict[str, dict[str, int]]

_LOOK_EVERY_S = 1.0


class Display:
    """Shows outcomes, and progress with rates and time left, of all workers together, on standard error.

    Parameters
    ----------
    look : callable
        Gives done and total by table.
    bars : bool, optional
        Whether to draw bars rather than a line per key; default: on a terminal.
    """

    def __init__(self, look: Callable[[], Progress], *, bars: bool | None = None) -> None:
        self._look = look
        self._bars: Any = None
        self._draws = sys.stderr.isatty() if bars is None else bars
        self._tasks: dict[str, Any] = {}
        self._looked = float("-inf")
        self._progress: Progress = {}
        self._begun: dict[str, tuple[float, int]] = {}  # when a table was last seen as at the beginning, and how it was

    def __enter__(self) -> Self:
        if self._draws:
            self._bars = _bars()
            self._bars.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, outcome: Outcome | None) -> None:
        """Show an outcome, if there is one, and look again how far the tables are."""
        now = time.monotonic()
        looked = now - self._looked >= _LOOK_EVERY_S
        if looked:
            self._looked, self._progress = now, self._look()
            for table, found in self._progress.items():
                _, done = self._begun.get(table, (now, found["done"]))
                if found["done"] == done:
                    self._begun[table] = now, done
            self._draw()
        if outcome is not None and (self._bars is None or outcome.result == "failed"):
            self.say(f"{outcome} ({self._in_words(outcome.table)})" if looked else str(outcome))

    def say(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - what this is for

    def _draw(self) -> None:
        if self._bars is None:
            return
        for table, found in self._progress.items():
            if table not in self._tasks and found["total"]:
                self._tasks[table] = self._bars.add_task(table, total=found["total"], completed=found["done"])
            elif table in self._tasks:
                self._bars.update(self._tasks[table], total=found["total"], completed=found["done"])

    def _in_words(self, table: str) -> str:
        """Give how far a table is, how quick it goes and how long it will take, by what was seen so far."""
        found = self._progress[table]
        words = f"{found['done']} of {found['total']}"
        begun, n_before = self._begun[table]
        if self._looked == begun:
            return words
        rate_hz = (found["done"] - n_before) / (self._looked - begun)
        return f"{words}, {rate_hz * 60:.3g} per minute, {_duration((found['total'] - found['done']) / rate_hz)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _bars() -> Any:
    from rich.console import Console  # noqa: PLC0415 - only for those who look
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415
    from rich.progress import TimeRemainingColumn as Left  # noqa: PLC0415

    words = TextColumn("{task.description}")
    # a speed where the total is not known yet, else a percentage
    columns = (
        words,
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        Left(),
        TextColumn("left"),
    )
    return Progress(*columns, console=Console(file=sys.stderr))
