"""The command line: every verb parses, calls one function and prints."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dj_neuron.cli_db import db
from dj_neuron.cli_ending import end
from dj_neuron.cli_export import export
from dj_neuron.cli_options import CONDITION, LARGEST, SECONDS, NumberRange, size_text
from dj_neuron.cli_options import FILE as _FILE
from dj_neuron.cli_options import NEW_FILE as _NEW_FILE
from dj_neuron.cli_options import Options as _Options
from dj_neuron.cli_options import json_option as _json_option
from dj_neuron.cli_options import say as _say
from dj_neuron.errors import DjNeuronError, is_from_the_database, printable, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dj_neuron.connection import DelayRange, Pipeline
    from dj_neuron.inventory import Inventory

_JOB_COUNTS = {"n_reserved": "reserved", "n_errors": "failed"}
_FEW = click.IntRange(1, 1024)  # more than any machine has cores
_LIVES = {True: "", False: ", which is gone: a worker will take it up", None: ", by another program"}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--data-dir", type=_FILE, help="Folder of the embedded database and its arrays; default: one per user.")
@click.option("--config", type=_FILE, help='JSON file with host, username, password of a server; or "embedded".')
@click.option("--prefix", help="Beginning of all schema names.  [default: dj_neuron]")
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="dj-neuron", prog_name="dj-neuron")
@click.pass_context
def cli(context: click.Context, /, data_dir: Path | None, config: Path | None, prefix: str | None, **_: bool) -> None:
    """Spatio-temporal receptive fields from white-noise recordings, in a DataJoint pipeline.

    Without a configured server an embedded database is started and stopped as needed. Begin with
    "dj-neuron demo", or with "dj-neuron build FILE --delay 0.05".
    """
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except OSError as error:
        raise DjNeuronError("the working folder is gone, expected to be started in one that is there") from error
    context.obj = _Options(data_dir, config, prefix)


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


def _compute_options(command: Any) -> Any:
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


_LAYOUT = click.option(
    "--layout", default="ret1", show_default=True, help='"ret1", "small", or a JSON file of that form.'
)


@cli.command()
@_LAYOUT
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulated retina.")
@click.option("--out", type=_FILE, help="Folder for the pictures.  [default: DATA_DIR/demo/figures]")
@click.pass_obj
def demo(options: _Options, layout: str, seed: int, out: Path | None) -> None:
    """Simulate a recording, build the pipeline, draw, and compare with the known truth."""
    from dj_neuron.demo import run

    with options.pipeline() as pipeline:
        report = run(pipeline, layout=layout, seed=seed, figures_dir=out, say=_say)
        counts = pipeline.status()
    fields = report.fields
    command = os.environ.get("PKG_SH", "dj-neuron")  # set by pkg.sh, which is then what the person typed
    again = command if options.data_dir is None else f"{command} --data-dir {shlex.quote(str(options.data_dir))}"
    click.echo(
        f"""
{counts["sessions"]} sessions ({counts["sessions_without_stimulation"]} without a stimulation), \
{counts["stimulations"]} stimulations, {counts["neurons"]} neurons, {counts["spikes"]} spikes: \
{counts["strfs"]} STRFs in {report.duration_s:.0f} s
{report.n_found} of {report.n_fields} simulated receptive fields found: {report.n_above_noise} peaks above the noise, \
{report.n_found} of them centred within one sigma of the truth
{fields.n_significant} of {report.n_fields} fields are significant; {fields.n_misplaced} of these lie more than two \
sigma from the true one
polarity is right in {fields.n_polarities_right} of {fields.n_polarities} where it was measured
{fields.n_coordinates_near} of {fields.n_coordinates} coordinates of fitted centres lie within two standard errors of \
the true ones (95 % expected)
{report.n_pictures} pictures in {report.figures_dir}, with report.html, which leads through them

Try next:
  {again} tables
  {again} compute --delay 0.2
  {again} export neurons neurons.csv
  {again} figures --out pictures --best 3
and with a recording of your own, in a data folder of its own:
  {command} --data-dir ANOTHER_DIR build YOUR_FILE --delays -0.1:0.4"""
    )


@cli.command()
@click.argument("file", type=_NEW_FILE)
@_LAYOUT
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same spikes."
)
@click.option("--force", is_flag=True, help="Replace FILE and its receptive fields.")
def simulate(file: Path, layout: str, seed: int, force: bool) -> None:
    """Write a ret-1 file of simulated neurons, and their receptive fields beside it."""
    from dj_neuron.simulate import write_simulation

    for path in write_simulation(file, layout, seed, progress=_say, force=force):
        click.echo(path)


@cli.command()
@click.argument("file", type=_FILE)
def outline(file: Path) -> None:
    """Print the structure of FILE as JSON, arrays replaced by their shapes."""
    from dj_neuron.readers.outline import outline as outline_of

    click.echo(re.sub(r"[^\n -~]+", _shown_in_json, json.dumps(outline_of(file), indent=2, ensure_ascii=False)))


def _shown_in_json(letters: re.Match[str]) -> str:
    """Give letters as they are where they are printable and standard output has them, else their codes."""
    encoding = sys.stdout.encoding or "utf-8"
    is_shown = letters[0].isprintable() and letters[0] == letters[0].encode(encoding, "ignore").decode(encoding)
    return letters[0] if is_shown else json.dumps(letters[0])[1:-1]


@cli.command()
@click.argument("file", type=_FILE)
@click.argument("folder", type=_NEW_FILE)
def unpack(file: Path, folder: Path) -> None:
    """Write FILE as recording folders: entries to edit by hand, arrays as files."""
    from dj_neuron.readers.outline import unpack as unpack_to

    for path in unpack_to(
        file, folder, progress=lambda session: _say("\n  ".join([f"writing {session}", *session.remarks]))
    ):
        click.echo(path)


@cli.command()
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@_json_option
@click.pass_obj
def ingest(options: _Options, files: tuple[Path, ...], reader: str | None, as_json: bool) -> None:
    """Read FILEs into the tables; the same file again changes nothing."""
    with options.pipeline() as pipeline:
        reports = _ingest(pipeline, files, reader, quiet=as_json)
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports], indent=2))


def _ingest(pipeline: Pipeline, files: Iterable[Path], reader: str | None, *, quiet: bool) -> list[Any]:
    show = None if quiet else click.echo
    reports = [report for file in files for report in pipeline.ingest(file, reader=reader, progress=show)]
    n_new = sum(report.outcome == "new" for report in reports)
    if not quiet:
        click.echo(f"{n_new} session(s) new, {len(reports) - n_new} already there")
    return reports


@cli.command()
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@click.option("--fresh", is_flag=True, help="First delete everything that the tables hold.")
@_compute_options
@click.pass_obj
def build(options: _Options, /, files: tuple[Path, ...], reader: str | None, fresh: bool, **computing: Any) -> None:
    """From FILEs to STRFs and receptive fields: ingest, then compute.

    Without a delay, at every frame from 0.1 s after the spike to 0.4 s before it.
    """
    from dj_neuron.connection import DEFAULT_DELAYS

    strfs_only, asked = computing.pop("strfs_only"), _asked(computing, default=[DEFAULT_DELAYS])
    with options.pipeline() as pipeline:
        # nothing is deleted or ingested for what is then refused
        pipeline.check(*(files if fresh else ()), reader=reader, compute=asked)
        if fresh:
            pipeline.clear()
        _ingest(pipeline, files, reader, quiet=False)
        _compute(pipeline, asked, judge=not strfs_only)


@cli.command()
@click.argument("folder", type=_FILE)
@click.option("--every", type=NumberRange(0.1, 86_400), default=5, show_default=True, help="Seconds between two looks.")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@_compute_options
@click.pass_obj
def watch(options: _Options, /, folder: Path, every: float, reader: str | None, **computing: Any) -> None:
    """Ingest what is put into FOLDER, until ended; workers compute it.

    A file, or a folder with its files, is read when two looks found it the same, and again when it changes. Delays are
    registered at the beginning; without any, and if none are registered yet, every frame from 0.1 s after the spike to
    0.4 s before it.
    """
    from dj_neuron.connection import DEFAULT_DELAYS
    from dj_neuron.inbox import watch as watch_folder

    strfs_only, asked = computing.pop("strfs_only"), _asked(computing)
    with options.pipeline() as pipeline:
        if not asked["delays_s"] and not pipeline.status()["parameter_rows"]:
            asked["delays_s"] = [DEFAULT_DELAYS]
        _compute(pipeline, asked, queue=True, judge=not strfs_only)
        _say(f"watching {folder}")
        watch_folder(pipeline, folder, period_s=every, reader=reader, say=click.echo)


@cli.command()
@click.option("--replace", is_flag=True, help="Only these delays remain.")
@click.option("--queue", is_flag=True, help="Register the delays only; workers do the work.")
@_compute_options
@click.pass_obj
def compute(options: _Options, /, replace: bool, queue: bool, **computing: Any) -> None:
    """Add delays and populate what is missing; without a delay, only populate."""
    strfs_only, asked = computing.pop("strfs_only"), _asked(computing)
    with options.pipeline() as pipeline:
        _compute(pipeline, asked, replace=replace, queue=queue, judge=not strfs_only)


def _asked(computing: dict[str, Any], default: Iterable[DelayRange] = ()) -> dict[str, Any]:
    """Give delays and rules as a pipeline computes and checks them."""
    delay, delays, no_centre = (computing.pop(name) for name in ("delay", "delays", "no_centre"))
    return {"delays_s": _delays(delay, delays) or list(default), "centre": not no_centre, **computing}


def _compute(pipeline: Pipeline, asked: dict[str, Any], **arguments: Any) -> None:
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


@cli.command()
@click.option("--forever", is_flag=True, help="Wait for more when nothing is left.")
@click.option("--retry", is_flag=True, help="Take up keys again that failed.")
@click.option("--processes", type=_FEW, default=1, show_default=True, help="Workers on this machine.")
@click.option("--threads", type=_FEW, help="Of the numerics, per worker.  [default: cores / processes]")
@click.option("--dask", metavar="ADDRESS", help="One worker in each process of the Dask cluster with this scheduler.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input does, as with its parent.")
@_json_option
@click.pass_obj
def worker(
    options: _Options,
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


@cli.command()
@click.option("--limit", type=click.IntRange(0, LARGEST), default=5, show_default=True, help="Rows per table.")
@_json_option
@click.pass_obj
def tables(options: _Options, limit: int, as_json: bool) -> None:
    """Print the first rows of every table."""
    from dj_neuron import queries

    with options.pipeline():
        found = [(table, *queries.preview(table.name, limit)) for table in queries.tables()]
    if as_json:
        listing = [{**asdict(table), "columns": columns, "rows": rows} for table, columns, rows in found]
        click.echo(json.dumps(listing, indent=2, default=str))
        return
    for table, columns, rows in found:
        click.echo(
            f"\n{table.name} ({table.tier}, {table.n_rows} {'row' if table.n_rows == 1 else 'rows'}): {table.comment}"
        )
        _print_rows(columns, rows)


def _print_rows(columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(Text(_short(row[column])) for column in columns))  # brackets in a name are no markup
    wide = Console(width=10_000, file=sys.stdout)
    wide.width = max(wide.measure(grid).maximum, 1)
    wide.print(grid)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= 24 else f"{text[:21]}..."


@cli.command()
@click.option("--errors", is_flag=True, help="Show all of what failed, with tracebacks.")
@click.option("--deep", is_flag=True, help="Also look at every object in the store.")
@click.option("--names-only", is_flag=True, help="With --deep: compare names and lengths, read nothing.")
@_json_option
@click.pass_obj
def status(options: _Options, errors: bool, deep: bool, names_only: bool, as_json: bool) -> None:
    """Print what the pipeline holds, what remains to be computed, who is at it, and what failed.

    With --deep also which objects in the store no row refers to (db clean removes them), and which are missing or
    damaged; the exit code is then 2 if any is. Every object is read, and its checksum compared.
    """
    if names_only and not deep:
        raise click.UsageError("--names-only says how to look, which needs --deep")
    with options.pipeline() as pipeline:
        found = pipeline.status(all_jobs=errors)
        inventory = pipeline.inventory(is_read=not names_only, progress=_say) if deep else None
    if as_json:
        stored = (
            {} if inventory is None else {"store": {**asdict(inventory), "n_orphan_bytes": inventory.n_orphan_bytes}}
        )
        click.echo(json.dumps({**found, **stored}, indent=2))
    else:
        _print_status(found, errors)
        if inventory is not None:
            _print_inventory(inventory)
    if inventory is not None:
        inventory.check()


def _print_status(found: dict[str, Any], with_tracebacks: bool) -> None:
    computed, jobs = found.pop("computed"), {of_table["table"]: of_table for of_table in found.pop("jobs")}
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):<30}{value}")
    for table, progress in computed.items():
        of_table = jobs.get(table, {"n_reserved": 0, "n_errors": 0})
        counted = [f"{progress['done']} of {progress['total']} done"]
        counted += [f"{of_table[name]} {words}" for name, words in _JOB_COUNTS.items() if of_table[name]]
        click.echo(f"{table:<30}{', '.join(counted)}")
    for of_table in jobs.values():
        _print_jobs(of_table, with_tracebacks)


def _print_jobs(of_table: dict[str, Any], with_tracebacks: bool) -> None:
    for job in of_table["reserved"]:
        who = f"process {job['pid']} on {job['host']} for {job['for_s']:.0f} s"
        click.echo(f"\n{of_table['table']} of {job['key']}\n  reserved by {who}{_LIVES[job['lives']]}")
    for job in of_table["errors"]:
        message = job["message"] if with_tracebacks else job["message"].partition("\n")[0]
        click.echo(f"\n{of_table['table']} of {job['key']}\n  failed: {message}")
        if with_tracebacks and job["traceback"]:
            click.echo(textwrap.indent(job["traceback"].rstrip(), "  "))
    for name, shown in (("n_reserved", "reserved"), ("n_errors", "errors")):
        if more := of_table[name] - len(of_table[shown]):
            click.echo(f"\nand {more} more of {of_table['table']} {_JOB_COUNTS[name]}: --errors shows all")


def _print_inventory(inventory: Inventory) -> None:
    how = "read and whole" if inventory.is_read else "of the right length"
    click.echo(f"{'objects ' + how:<30}{inventory.n_objects}, {size_text(inventory.n_bytes)}")
    if inventory.n_without_checksum:
        click.echo(f"{'without a checksum':<30}{inventory.n_without_checksum}, stored by an older version")
    click.echo(f"{'objects without rows':<30}{len(inventory.orphans)}, {size_text(inventory.n_orphan_bytes)}")
    for orphan in inventory.orphans:
        click.echo(f"  {orphan.path}, {size_text(orphan.n_bytes)}")
    click.echo(f"{'missing or damaged':<30}{len(inventory.faults)}")
    for fault in inventory.faults:
        click.echo(f"  {fault.sentence}")


@cli.command()
@click.option("--out", type=_FILE, required=True, help="A fresh folder; replaces an earlier one of ours when complete.")
@click.option("--best", type=click.IntRange(0, LARGEST), default=1, show_default=True, help="Neurons per stimulation.")
@click.option(
    "--neuron", type=click.IntRange(1, LARGEST), multiple=True,
    help="Draw these neurons instead of the best; repeatable.",
)  # fmt: skip
@click.option("--where", type=CONDITION, help="Only some stimulations, such as 'sample_number = 2'.")
@click.option(
    "--format", "formats", type=click.Choice(["png", "pdf", "svg"]), multiple=True, default=["png"], show_default=True,
    help="Of the picture files; repeatable.",
)  # fmt: skip
@click.pass_obj
def figures(
    options: _Options,
    out: Path,
    best: int,
    neuron: tuple[int, ...],
    where: str | None,
    formats: tuple[str, ...],
) -> None:
    """Draw every picture into a clean folder, and a report that leads through them.

    The table diagram, and per stimulation the spike raster, movie stills, mosaic and overview, and for the best
    neurons the STRF at all delays, its time course and a sheet with the receptive field; where a neuron has several
    estimates, they are compared. report.html holds all of it, with tables, and opens offline;
    what would make it larger than 10 MB it describes and links to.
    """
    with options.pipeline() as pipeline:
        pictures = pipeline.figures(
            out,
            n_best=best,
            neuron_ids=neuron,
            restriction=True if where is None else where,
            formats=formats,
            progress=_say,
        )
    click.echo(f"{len(pictures)} pictures in {out}; {out / 'report.html'} leads through them")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, help="0 takes a free one.")
@click.option(
    "--allow-host", "names", metavar="NAME", multiple=True,
    help="A name that browsers ask for, such as a proxy's; repeatable. Addresses and this machine's names need none.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.pass_obj
def explore(options: _Options, host: str, port: int, names: tuple[str, ...], no_browser: bool) -> None:
    """Look at everything in a browser, until Ctrl+C; nothing can be changed there."""
    import webbrowser

    def ready(address: str) -> None:
        click.echo(address)
        _say("Ctrl+C ends it")
        if not no_browser:
            webbrowser.open(address)

    with options.pipeline() as pipeline:
        pipeline.explore(host, port, names=names, ready=ready)


cli.add_command(export)


cli.add_command(db)


def run() -> None:
    """Run the command line, and end with one sentence where something is wrong."""
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter shows its code
    try:
        cli.main(standalone_mode=False)
    except SystemExit as ending:
        # nobody reads on: rich and click end with 1, as for faults of ours, and click puts something in place of stdout
        if isinstance(ending.__context__, BrokenPipeError) or sys.stdout is not stdout:
            sys.exit(128 + signal.SIGPIPE)
        raise
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except Exception as error:
        if "--traceback" in sys.argv:
            raise
        if isinstance(error, DjNeuronError | OSError) or is_from_the_database(error):
            _say(f"Error: {words_of(error)}")
            sys.exit(2)
        _say(f"Error: {type(error).__name__}: {words_of(error)}; this is a fault of dj-neuron, --traceback shows where")
        sys.exit(1)
