"""The verbs that write results to files for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dj_neuron.cli_options import CONDITION, FILE, Options, json_option, say

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def export() -> None:
    """Write results to files for other programs.

    Every file appears as a whole or not at all. One that is there already is replaced only with --force, and only if it
    tells that dj-neuron wrote it.
    """


@export.command(name="neurons")
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Replace FILE and its dictionary, if dj-neuron wrote them.")
@click.option("--where", type=CONDITION, help="Only some neurons, such as 'sample_number = 2'.")
@json_option
@click.pass_obj
def export_neurons(options: Options, file: Path, force: bool, where: str | None, as_json: bool) -> None:
    """Write all measures to FILE, one row per neuron, stimulation and parameter rows.

    FILE ends in .csv or .parquet (which needs pyarrow). What every column means, its type and its unit go to
    FILE.dictionary.json; Parquet holds them too, as metadata of its columns.
    """
    from dj_neuron.export.neurons import dictionary_path
    from dj_neuron.export.neurons import export_neurons as write

    with options.pipeline():
        n_rows = write(file, True if where is None else where, force=force)
    if as_json:
        found = {"file": str(file), "dictionary": str(dictionary_path(file)), "n_rows": n_rows}
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{n_rows} rows in {file}, its columns explained in {dictionary_path(file)}")


@export.command(name="strfs")
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Replace FILE, if dj-neuron wrote it.")
@click.option("--where", type=CONDITION, help="Only some STRFs, such as 'sample_number = 2 AND peak_z > 6'.")
@json_option
@click.pass_obj
def export_strfs(options: Options, file: Path, force: bool, where: str | None, as_json: bool) -> None:
    """Write all STRFs to FILE as arrays with named axes.

    FILE ends in .npz, which NumPy reads, or .zarr, a folder that xarray reads (writing it needs zarr). There is one
    group of arrays per stimulation and row of StrfParams. Its strf has the axes neuron, delay_s (s before the spike),
    y_um and x_um (um from the top left of the screen, centres of the blocks); beside it are spike counts, errors, and
    attributes with parameters, code version and hash of the stimulus.
    """
    from dj_neuron.export.strfs import export_strfs as write

    with options.pipeline():
        groups = write(file, True if where is None else where, force=force)
    if as_json:
        click.echo(json.dumps({"file": str(file), "groups": groups}, indent=2))
        return
    for group in groups:
        click.echo(group)
    click.echo(f"{len(groups)} group(s) in {file}")


@export.command(name="nwb")
@click.argument("folder", type=FILE)
@click.option("--about", type=FILE, help="TOML file with what the tables do not hold, see above.")
@click.option("--force", is_flag=True, help="Replace files of sessions that are there, if dj-neuron wrote them.")
@click.option("--where", type=CONDITION, help="Only some sessions, such as 'sample_number = 2'.")
@json_option
@click.pass_obj
def export_nwb(
    options: Options, folder: Path, about: Path | None, force: bool, where: str | None, as_json: bool
) -> None:
    """Write one NWB file per session into FOLDER.

    Each holds the stimulus, the units with their spikes, the STRFs, all measures, and by which code, parameters and
    seeds they came about. This needs PyNWB. A session without stimulations gets a file too.

    The file of --about may say, of all these sessions: species, sex, age, strain, genotype; experimenter, keywords,
    related_publications (lists); lab, institution, experiment_description; sampling_rate_hz of the recording.
    """
    from dj_neuron.export.nwb import export_nwb as write
    from dj_neuron.export.nwb_about import read_about

    told = None if about is None else read_about(about)
    with options.pipeline():
        files = write(
            folder,
            True if where is None else where,
            about=told,
            force=force,
            progress=lambda path: say(f"wrote {path}"),
        )
    if as_json:
        click.echo(json.dumps([str(file) for file in files], indent=2))
        return
    click.echo(f"{len(files)} file(s) in {folder}")
