"""What the verbs of the command line share."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dj_neuron.connection import Pipeline


class _NamedPath(click.Path):
    """A path to write to, which needs a name for what is put there."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        """Read a path, and refuse one that is only a place."""
        path = Path(os.fsdecode(super().convert(value, parameter, context)))
        if path.name in {"", ".."}:
            self.fail(f"{str(path)!r} does not end in a name, expected one for what is written.", parameter, context)
        return path


class _Condition(click.types.StringParamType):
    """A condition on rows; an empty one, as of a variable that is not set, would be none."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """Read a condition, and refuse one that says nothing."""
        condition = str(super().convert(value, parameter, context))
        if not condition.strip():
            self.fail("it is empty, expected a condition, or no --where for everything.", parameter, context)
        return condition


CONDITION = _Condition()
FILE = click.Path(readable=False, path_type=Path)  # whoever reads says better what is wrong
NEW_FILE = _NamedPath(readable=False)
LARGEST = 2**31 - 1  # what columns of the tables hold
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")


class NumberRange(click.FloatRange):
    """A range of numbers, in which "not a number" is not."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Read a number, and refuse it outside of the range."""
        number: float = super().convert(value, parameter, context)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", parameter, context)
        return number


class _Seconds(click.types.FloatParamType):
    """Finite seconds, as people write them: Python also takes 0_05, which is 5."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Read a number of seconds."""
        try:
            seconds = math.nan if "_" in str(value) else float(value)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds.", parameter, context)
        return seconds


SECONDS = _Seconds()


class Options:
    """The options before the verb."""

    def __init__(self, data_dir: Path | None, config: Path | None, prefix: str | None) -> None:
        self.data_dir, self.config, self.prefix = data_dir, config, prefix

    def arguments(self) -> list[str]:
        """Give these options as a command line has them."""
        given = {"--data-dir": self.data_dir, "--config": self.config, "--prefix": self.prefix}
        return [f"{name}={value}" for name, value in given.items() if value is not None]

    @contextmanager
    def pipeline(self, stop: Callable[[], bool] | None = None) -> Iterator[Pipeline]:
        """Open the pipeline and say which database it is in; given `stop`, wait for a server that is away."""
        from dj_neuron.connection import connect, when_it_answers

        open_it = partial(connect, self.data_dir, config_file=self.config, prefix=self.prefix)
        with open_it() if stop is None else when_it_answers(open_it, stop, say) as pipeline:
            say(f"database: {pipeline.database.description}")
            yield pipeline


def say(line: str) -> None:
    """Tell the person, apart from what the verb prints for programs."""
    click.echo(line, err=True)


def size_text(n_bytes: float) -> str:
    """Write a number of bytes as people say it."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} bytes"
    power = min(int(math.log10(n_bytes)) // 3, 4)
    return f"{n_bytes / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
