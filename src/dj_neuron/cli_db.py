"""The verbs of ``dj-neuron db``: the embedded server, copies of a pipeline, tables of older versions."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dj_neuron.cli_options import FILE, NumberRange, Options, json_option, size_text

if TYPE_CHECKING:
    from pathlib import Path

_IN_WORDS = {"True": "yes", "False": "no", "None": "-"}


@click.group()
def db() -> None:
    """Look after the database: the embedded server, copies, older tables, arrays without rows."""


def _server(options: Options) -> Any:
    from dj_neuron.embedded import EmbeddedServer, default_data_dir

    return EmbeddedServer(options.data_dir or default_data_dir())


@db.command(name="status")
@json_option
@click.pass_obj
def status(options: Options, as_json: bool) -> None:
    """Print whether the embedded server runs, since when and for how many."""
    found = asdict(_server(options).status())
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):<16}{_IN_WORDS.get(str(value), value)}")


@db.command(name="stop")
@click.option("--force", is_flag=True, help="Even if other processes use it.")
@click.pass_obj
def stop(options: Options, force: bool) -> None:
    """Stop the embedded server."""
    server = _server(options)
    was_running = server.is_running()
    server.stop(force=force)
    click.echo("stopped" if was_running else "was not running")


@db.command(name="path")
@click.pass_obj
def path(options: Options) -> None:
    """Print the data folder."""
    click.echo(_server(options).data_dir)


@db.command(name="copy")
@click.option("--to-data-dir", type=FILE, help="As --data-dir: where the copy's arrays go.")
@click.option("--to-config", type=FILE, help='As --config: JSON file of a server, or "embedded".')
@click.option("--to-prefix", help="As --prefix.")
@click.pass_obj
def copy(options: Options, to_data_dir: Path | None, to_config: Path | None, to_prefix: str | None) -> None:
    """Copy the pipeline into another database, which must hold nothing under that prefix.

    The options before the verb say from where, those after it to where, and mean the same. Everything goes over, rows
    and arrays, and is compared before it counts; else nothing does. The pipeline copied from stays as it is.

    \b
    dj-neuron --data-dir DIR db copy --to-config server.json --to-data-dir SHARED
    dj-neuron --config server.json --data-dir SHARED db copy --to-config embedded --to-data-dir DIR
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    from dj_neuron.copying import copy_pipeline
    from dj_neuron.database import open_database

    if to_data_dir is None and to_config is None and to_prefix is None:
        raise click.UsageError("the copy needs a place of its own: --to-config, --to-data-dir or --to-prefix")
    with (
        open_database(options.data_dir, options.config, options.prefix) as source,
        open_database(to_data_dir, to_config, to_prefix) as target,
    ):
        click.echo(f"from: {source.description}, prefix {source.prefix}", err=True)
        click.echo(f"to:   {target.description}, prefix {target.prefix}", err=True)
        report = copy_pipeline(source, target, _show)
    megabytes = report.n_bytes_of_arrays / 1e6
    click.echo(f"{report.n_rows} rows and {report.n_arrays} arrays ({megabytes:.1f} MB) copied and compared")


def _show(table: str, n_done: int, n_rows: int) -> None:
    is_last = n_done == n_rows
    if is_last or sys.stderr.isatty():
        click.echo(f"\r{table}: {n_done} of {n_rows} rows", err=True, nl=is_last)


@db.command(name="upgrade")
@click.pass_obj
def upgrade(options: Options) -> None:
    """Make the tables of an older dj-neuron those of this one; make a backup before.

    An upgrade that was interrupted is taken up again by the next one.
    """
    from dj_neuron import pipeline
    from dj_neuron.database import open_database

    with open_database(options.data_dir, options.config, options.prefix) as database:
        click.echo(f"database: {database.description}", err=True)
        n_steps = 0
        for step in pipeline.upgrade(database.connection, database.prefix):
            click.echo(step)
            n_steps += 1
    click.echo("the tables are up to date" if n_steps else "nothing to do: the tables are up to date")


@db.command(name="clean")
@click.option("--delete", is_flag=True, help="Remove them; without this nothing changes.")
@click.option(
    "--older-than",
    type=NumberRange(0, 1e6),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="Younger ones may be about to get their rows.",
)
@json_option
@click.pass_obj
def clean(options: Options, delete: bool, older_than: float, as_json: bool) -> None:
    """Say which objects in the store no row refers to; with --delete, remove them."""
    with options.pipeline() as pipeline:
        cleaned = pipeline.clean(older_than_s=older_than * 3600, delete=delete)
    if as_json:
        click.echo(json.dumps({"deleted": delete, "objects": [asdict(orphan) for orphan in cleaned]}, indent=2))
        return
    for orphan in cleaned:
        click.echo(f"{orphan.path}, {size_text(orphan.n_bytes)}")
    size = size_text(sum(orphan.n_bytes for orphan in cleaned))
    what = f"{len(cleaned)} object(s) without rows, older than {older_than:g} h, {size}"
    click.echo(f"{what}: {'removed' if delete else '--delete removes them' if cleaned else 'nothing to clean'}")
