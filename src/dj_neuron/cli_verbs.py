"""The command line: every verb parses, calls one function and prints."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dj_neuron.cli_compute import asked_of, compute, compute_and_tell, compute_options, watch, worker
from dj_neuron.cli_db import db
from dj_neuron.cli_export import export
from dj_neuron.cli_look import status, tables
from dj_neuron.cli_options import CONDITION, FILE, LARGEST, NEW_FILE, Options, json_option, say
from dj_neuron.errors import DjNeuronError, is_from_the_database, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dj_neuron.connection import Pipeline


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--data-dir", type=FILE, help="Folder of the embedded database and its arrays; default: one per user.")
@click.option("--config", type=FILE, help='JSON file with host, username, password of a server; or "embedded".')
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
    context.obj = Options(data_dir, config, prefix)


_LAYOUT = click.option(
    "--layout", default="ret1", show_default=True, help='"ret1", "small", or a JSON file of that form.'
)


@cli.command()
@_LAYOUT
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the simulated retina.")
@click.option("--out", type=FILE, help="Folder for the pictures.  [default: DATA_DIR/demo/figures]")
@click.pass_obj
def demo(options: Options, layout: str, seed: int, out: Path | None) -> None:
    """Simulate a recording, build the pipeline, draw, and compare with the known truth."""
    from dj_neuron.demo import run

    with options.pipeline() as pipeline:
        report = run(pipeline, layout=layout, seed=seed, figures_dir=out, say=say)
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
@click.argument("file", type=NEW_FILE)
@_LAYOUT
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same spikes."
)
@click.option("--force", is_flag=True, help="Replace FILE and its receptive fields.")
def simulate(file: Path, layout: str, seed: int, force: bool) -> None:
    """Write a ret-1 file of simulated neurons, and their receptive fields beside it."""
    from dj_neuron.simulate import write_simulation

    for path in write_simulation(file, layout, seed, progress=say, force=force):
        click.echo(path)


@cli.command()
@click.argument("file", type=FILE)
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
@click.argument("file", type=FILE)
@click.argument("folder", type=NEW_FILE)
def unpack(file: Path, folder: Path) -> None:
    """Write FILE as recording folders: entries to edit by hand, arrays as files."""
    from dj_neuron.readers.outline import unpack as unpack_to

    for path in unpack_to(
        file, folder, progress=lambda session: say("\n  ".join([f"writing {session}", *session.remarks]))
    ):
        click.echo(path)


@cli.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@json_option
@click.pass_obj
def ingest(options: Options, files: tuple[Path, ...], reader: str | None, as_json: bool) -> None:
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
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--reader", help="Name of the reader.  [default: the one that recognises the file]")
@click.option("--fresh", is_flag=True, help="First delete everything that the tables hold.")
@compute_options
@click.pass_obj
def build(options: Options, /, files: tuple[Path, ...], reader: str | None, fresh: bool, **computing: Any) -> None:
    """From FILEs to STRFs and receptive fields: ingest, then compute.

    Without a delay, at every frame from 0.1 s after the spike to 0.4 s before it.
    """
    from dj_neuron.connection import DEFAULT_DELAYS

    strfs_only, asked = computing.pop("strfs_only"), asked_of(computing, default=[DEFAULT_DELAYS])
    with options.pipeline() as pipeline:
        # nothing is deleted or ingested for what is then refused
        pipeline.check(*(files if fresh else ()), reader=reader, compute=asked)
        if fresh:
            pipeline.clear()
        _ingest(pipeline, files, reader, quiet=False)
        compute_and_tell(pipeline, asked, judge=not strfs_only)


for command in (watch, compute, worker, tables, status):  # in the order in which people meet them
    cli.add_command(command)


@cli.command()
@click.option("--out", type=FILE, required=True, help="A fresh folder; replaces an earlier one of ours when complete.")
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
    options: Options,
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
            progress=say,
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
def explore(options: Options, host: str, port: int, names: tuple[str, ...], no_browser: bool) -> None:
    """Look at everything in a browser, until Ctrl+C; nothing can be changed there."""
    import webbrowser

    def ready(address: str) -> None:
        click.echo(address)
        say("Ctrl+C ends it")
        if not no_browser:
            webbrowser.open(address)

    with options.pipeline() as pipeline:
        pipeline.explore(host, port, names=names, ready=ready)


for command in (export, db):
    cli.add_command(command)


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
            say(f"Error: {words_of(error)}")
            sys.exit(2)
        say(f"Error: {type(error).__name__}: {words_of(error)}; this is a fault of dj-neuron, --traceback shows where")
        sys.exit(1)
