"""The verbs that compute, and their options: compute, worker, watch."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dj_neuron.cli_ending import end
from dj_neuron.cli_options import FILE, LARGEST, SECONDS, NumberRange, Options, json_option, say
from dj_neuron.errors import DjNeuronError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dj_neuron.connection import DelayRange, Pipeline

_FEW = click.IntRange(1, 1024)  # more than any machine has cores


def compute_options(command: Any) -> Any:
    """Give a verb the options that say what is computed, which it takes together."""
    for option in (
        click.option(
            "--estimator",
            type=click.Choice(["sta", "ridge"]),
            default="sta",
            show_default=True,
            help="Spike-triggered average, or ridge regression for short recordings and correlated movies.",
        ),
        click.option("--strfs-only", is_flag=True, help="Stop after the STRFs: no tests, fields or predictions."),
        click.option(
            "--min-spikes", type=click.IntRange(1, LARGEST), default=1, show_default=True, help="With fewer, NaN."
        ),
        click.option("--no-centre", is_flag=True, help="Do not subtract the mean of each block."),
        click.option(
            "--frame-rule",
            type=click.Choice(["floor", "nearest"]),
            default="floor",
            show_default=True,
            help='Which frame a spike saw; "nearest" only reproduces results of the 2019 pipeline.',
        ),
        click.option(
            "--delays",
            multiple=True,
            metavar="FIRST:LAST[:STEP]",
            help="Range of delays in seconds; without a step, every frame.",
        ),
        click.option("--delay", type=SECONDS, multiple=True, help="One delay in seconds before the spike; repeatable."),
    ):
        command = option(command)
    return command


def asked_of(computing: dict[str, Any], default: Iterable[DelayRange] = ()) -> dict[str, Any]:
    """Give delays and rules as a pipeline computes and checks them."""
    delay, delays, no_centre = (computing.pop(name) for name in ("delay", "delays", "no_centre"))
    return {"delays_s": _delays(delay, delays) or list(default), "centre": not no_centre, **computing}


def compute_and_tell(pipeline: Pipeline, asked: dict[str, Any], **arguments: Any) -> None:
    """Compute, and print what came of it."""
    report = pipeline.compute(**asked, show_progress=sys.stderr.isatty(), **arguments)
    for delay in asked["delays_s"]:
        click.echo(f"delays: {delay}")
    click.echo(
        f"{report.n_computed} stimulation(s) computed, {report.n_already_there} there before"
        + (f", {report.n_removed} removed" if arguments.get("replace") else "")
    )
    judged = {table: n for table, n in report.computed.items() if n and table != "StrfEstimation"}
    if judged:
        click.echo("then " + ", ".join(f"{table} of {n}" for table, n in judged.items()))
    if report.errors:
        raise DjNeuronError(f"{len(report.errors)} computation(s) failed: {'; '.join(report.errors)}")


def _delays(delay: Iterable[float], delays: Iterable[str]) -> list[DelayRange]:
    from dj_neuron.connection import DelayRange

    return [DelayRange(d, d) for d in delay] + [_parse_range(text) for text in delays]


def _parse_range(text: str) -> DelayRange:
    from dj_neuron.connection import DelayRange

    try:
        parts = (f"{text}:0" if text.count(":") == 1 else text).split(":")
        first, last, step = (SECONDS.convert(part, None, None) for part in parts)
    except (ValueError, click.BadParameter):
        raise click.BadParameter(
            f"{text!r}, expected FIRST:LAST or FIRST:LAST:STEP in seconds, such as -0.1:0.4", param_hint="'--delays'"
        ) from None
    return DelayRange(first, last, step)


@click.command()
@click.option("--replace", is_flag=True, help="Only these delays remain.")
@click.option("--queue", is_flag=True, help="Register the delays only; workers do the work.")
@compute_options
@click.pass_obj
def compute(options: Options, /, replace: bool, queue: bool, **computing: Any) -> None:
    """Add delays and populate what is missing; without a delay, only populate."""
    strfs_only, asked = computing.pop("strfs_only"), asked_of(computing)
    with options.pipeline() as pipeline:
        compute_and_tell(pipeline, asked, replace=replace, queue=queue, judge=not strfs_only)


@click.command()
@click.option("--forever", is_flag=True, help="Wait for more when nothing is left.")
@click.option("--retry", is_flag=True, help="Take up keys again that failed.")
@click.option("--processes", type=_FEW, default=1, show_default=True, help="Workers on this machine.")
@click.option("--threads", type=_FEW, help="Of the numerics, per worker.  [default: cores / processes]")
@click.option("--dask", metavar="ADDRESS", help="One worker in each process of the Dask cluster with this scheduler.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input does, as with its parent.")
@json_option
@click.pass_obj
def worker(
    options: Options,
    forever: bool,
    retry: bool,
    processes: int,
    threads: int | None,
    dask: str | None,
    until_eof: bool,
    as_json: bool,
) -> None:
    """Compute what is registered, as one of many, until nothing is left.

    Any number of workers may be started, on any number of machines; one that is killed leaves its key to the others.
    SIGTERM or Ctrl+C ends it after the key at hand, a second one gives that key back and ends at once.

    Exit codes: 0 when nothing is left, 2 when keys failed or a process was lost, 128 + the signal's number when ended.
    """
    from dj_neuron.jobs import Display
    from dj_neuron.workers import Stop, WorkReport

    if dask is not None and processes != 1:
        raise click.UsageError("--dask and --processes exclude each other: the cluster says how many workers there are")
    stop = Stop(again=end)
    with stop.on_signals():
        if until_eof:
            stop.at_end_of(0)
        if processes > 1:
            from dj_neuron.workers.processes import work_in_processes

            arguments = ["--forever"] if forever else []
            report = work_in_processes(
                processes, options.arguments(), arguments, n_threads=threads, retry=retry, stop=stop
            )
        else:
            opened = options.pipeline(stop)
            with opened as pipeline, Display(pipeline.progress, bars=False if as_json else None) as display:
                if dask is not None:
                    from dj_neuron.workers.dask_cluster import work_on_dask

                    settings = pipeline.database.settings
                    with pipeline.patiently(stop, display.say):
                        report = work_on_dask(
                            dask, settings, forever=forever, retry=retry, n_threads=threads,
                            stop=stop, say=display.say, look=lambda: display.report(None),
                        )  # fmt: skip
                else:
                    report = WorkReport()

                    def tell(outcome: Any) -> None:
                        report.add(outcome)
                        display.report(outcome)

                    pipeline.work(
                        forever=forever, retry=retry, n_threads=threads, stop=stop, report=tell, say=display.say
                    )
    click.echo(json.dumps(asdict(report)) if as_json else str(report))
    if stop.signal is not None:
        sys.exit(128 + stop.signal)
    if report.errors or report.lost:
        failures = [*report.lost, *([f"{len(report.errors)} computation(s) failed"] if report.errors else [])]
        raise DjNeuronError(f"{'; '.join(failures)}; dj-neuron status shows why")


@click.command()
@click.argument("folder", type=FILE)
@click.option("--every", type=NumberRange(0.1, 86_400), default=5, show_default=True, help="Seconds between two looks.")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@compute_options
@click.pass_obj
def watch(options: Options, /, folder: Path, every: float, reader: str | None, **computing: Any) -> None:
    """Ingest what is put into FOLDER, until ended; workers compute it.

    A file, or a folder with its files, is read when two looks found it the same, and again when it changes. Delays are
    registered at the beginning; without any, and if none are registered yet, every frame from 0.1 s after the spike to
    0.4 s before it.
    """
    from dj_neuron.connection import DEFAULT_DELAYS
    from dj_neuron.inbox import watch as watch_folder

    strfs_only, asked = computing.pop("strfs_only"), asked_of(computing)
    with options.pipeline() as pipeline:
        if not asked["delays_s"] and not pipeline.status()["parameter_rows"]:
            asked["delays_s"] = [DEFAULT_DELAYS]
        compute_and_tell(pipeline, asked, queue=True, judge=not strfs_only)
        say(f"watching {folder}")
        watch_folder(pipeline, folder, period_s=every, reader=reader, say=click.echo)
