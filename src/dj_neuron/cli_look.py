"""The verbs that print what the tables hold: tables, status."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dj_neuron.cli_options import LARGEST, Options, json_option, say, size_text
from dj_neuron.errors import printable

if TYPE_CHECKING:
    from dj_neuron.inventory import Inventory

_JOB_COUNTS = {"n_reserved": "reserved", "n_errors": "failed"}
_LIVES = {True: "", False: ", which is gone: a worker will take it up", None: ", by another program"}


@click.command()
@click.option("--limit", type=click.IntRange(0, LARGEST), default=5, show_default=True, help="Rows per table.")
@json_option
@click.pass_obj
def tables(options: Options, limit: int, as_json: bool) -> None:
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


@click.command()
@click.option("--errors", is_flag=True, help="Show all of what failed, with tracebacks.")
@click.option("--deep", is_flag=True, help="Also look at every object in the store.")
@click.option("--names-only", is_flag=True, help="With --deep: compare names and lengths, read nothing.")
@json_option
@click.pass_obj
def status(options: Options, errors: bool, deep: bool, names_only: bool, as_json: bool) -> None:
    """Print what the pipeline holds, what remains to be computed, who is at it, and what failed.

    With --deep also which objects in the store no row refers to (db clean removes them), and which are missing or
    damaged; the exit code is then 2 if any is. Every object is read, and its checksum compared.
    """
    if names_only and not deep:
        raise click.UsageError("--names-only says how to look, which needs --deep")
    with options.pipeline() as pipeline:
        found = pipeline.status(all_jobs=errors)
        inventory = pipeline.inventory(is_read=not names_only, progress=say) if deep else None
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
