"""Every picture of a pipeline, and the report that leads through them, in one clean folder."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dj_neuron import __version__, queries
from dj_neuron.errors import PipelineError
from dj_neuron.figures import descriptions
from dj_neuron.figures.album import Album, Picture
from dj_neuron.figures.diagram import TableNode, diagram_figure
from dj_neuron.figures.folder import fresh_folder
from dj_neuron.figures.gallery_neuron import draw_neuron, with_most_delays
from dj_neuron.figures.letters import missing_letters_told
from dj_neuron.figures.mosaic import mosaic_figure
from dj_neuron.figures.overview import overview_figure
from dj_neuron.figures.raster import raster_figure
from dj_neuron.figures.report import Report, SessionSection, StimulationSection, render
from dj_neuron.figures.report.summary import missing_measures, neuron_row
from dj_neuron.figures.stills import movie_stills
from dj_neuron.pictures.sentences import stimulus_text
from dj_neuron.pictures.words import polarity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from dj_neuron.contracts import ReceptiveFieldResult, StimulationId

REPORT = "report.html"
_MOST_NAMED = 20  # neurons in a sentence
_MOSAIC_PARAMETERS = ("strf_params_id", "significance_params_id", "receptive_field_params_id")
_CAPTIONS = {
    "pipeline": "Tables of the pipeline, with their numbers of rows. Parents stand above their children.",
    "raster": "Every spike, one row per neuron. The shaded part is the time of the movie; at the right stand the rates "
    "in it.",
    "movie_stills": "Frames of the movie as the retina saw them, with the time each came on the screen.",
    "mosaic": "Where the receptive fields lie on the screen.",
    "overview": "What the receptive fields are like: chance, size, time to peak, biphasic index. A dot is a neuron.",
}


def draw_gallery(
    out_dir: Path | str,
    *,
    n_best: int = 1,
    neuron_ids: Collection[int] = (),
    restriction: Any = True,
    formats: Collection[str] = ("png",),
    database: str = "",
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Draw the table diagram and, per stimulation, raster, stills, mosaic, overview and some neurons; write a report.

    A neuron has its STRF, its time course, a sheet with its receptive field, one with the filters of its
    spike-triggered covariance if it has any, and comparisons of its estimates if there are several. What rests on
    receptive fields is left out where none were computed. ``report.html`` holds all of it, in one page.

    Parameters
    ----------
    out_dir : Path
        Replaced when everything is drawn, and not before; a folder that is not ours is refused.
    n_best : int
        How many neurons of each stimulation to draw, those whose peak stands highest above their noise.
    neuron_ids : collection of int
        Draw these neurons instead, wherever they are.
    restriction
        Which stimulations: anything DataJoint takes.
    formats : collection of {"png", "pdf", "svg"}
        Of the files; every picture is written in each.
    database : str
        What the report says of where everything comes from.
    progress : callable, optional
        Called with one line per stimulation, and with one about letters that no font has.

    Returns
    -------
    list of Path
        The pictures, in `out_dir`.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on stimulations, or none meets it, or one of `neuron_ids` is in none of them.
    """
    stimulation_ids = queries.stimulation_ids(restriction)
    if not stimulation_ids and restriction is not True:
        raise PipelineError(f"no stimulation in the pipeline matches {restriction}")
    _check_neurons(neuron_ids, stimulation_ids)
    best = queries.best_neurons(n_best)
    folders = folder_names(stimulation_ids)
    with missing_letters_told(progress or (lambda _: None)), fresh_folder(out_dir) as folder:
        album = Album(folder, formats)
        nodes = [TableNode(table.name, table.tier, table.schema, table.n_rows) for table in queries.tables()]
        edges = queries.foreign_keys()
        diagram = album.add(
            diagram_figure(nodes, edges), "pipeline", caption=_CAPTIONS["pipeline"],
            alt=descriptions.describe_diagram(nodes, len(edges)),
        )  # fmt: skip
        sections: dict[StimulationId, StimulationSection] = {}
        for stimulation_id in stimulation_ids:
            if progress:
                progress(f"drawing {stimulation_id}")
            chosen = neuron_ids or best.get(stimulation_id, [])
            sections[stimulation_id] = _draw_stimulation(album, folders[stimulation_id], stimulation_id, chosen)
        report = _report(diagram, sections, database, is_whole=restriction is True)
        (folder / REPORT).write_text(render(report), encoding="utf-8")
        written = (path for kind in album.formats for path in folder.rglob(f"*.{kind}"))
        names = sorted(path.relative_to(folder) for path in written)
    return [Path(out_dir) / name for name in names]


def _check_neurons(asked: Collection[int], stimulation_ids: list[StimulationId]) -> None:
    there = queries.neuron_ids(stimulation_ids) if asked else []
    for neuron_id in asked:
        if neuron_id not in there:
            shown = [*there[:_MOST_NAMED], *(["..."] if len(there) > _MOST_NAMED else [])]
            raise PipelineError(
                f"neuron {neuron_id} is in no stimulation to be drawn, expected one of "
                f"{', '.join(map(str, shown)) or 'their neurons, of which there are none'}"
            )


def _draw_stimulation(
    album: Album, folder: str, stimulation_id: StimulationId, neuron_ids: Collection[int]
) -> StimulationSection:
    (album.folder / folder).mkdir()
    stimulation = queries.stimulation(stimulation_id)
    fields = with_most_delays(queries.receptive_fields(vars(stimulation_id)))
    field_of = {field.neuron_id: field for field in fields}
    train_of = {train.neuron_id: train for train in stimulation.spike_trains}
    neurons = {
        neuron_id: draw_neuron(album, folder, stimulation_id, train_of[neuron_id])
        for neuron_id in dict.fromkeys(neuron_ids)
        if neuron_id in train_of
    }
    title = str(stimulation_id)
    pictures = [
        *_draw_population(album, folder, stimulation_id, fields),
        album.add(
            raster_figure(stimulation, title), f"{folder}/raster", caption=_CAPTIONS["raster"],
            alt=descriptions.describe_raster(stimulation),
        ),
        album.add(
            movie_stills(stimulation, title=title), f"{folder}/movie_stills", caption=_CAPTIONS["movie_stills"],
            alt=descriptions.describe_stills(stimulation),
        ),
    ]  # fmt: skip
    peak_of = _highest_peaks(stimulation_id)
    return StimulationSection(
        anchor=folder,
        title=f"stimulation {stimulation_id.stimulation_number}",
        stimulus=stimulus_text(stimulation),
        minutes=(stimulation.end_s - stimulation.onset_s) / 60,
        n_spikes=sum(train.n_spikes for train in stimulation.spike_trains),
        n_fields=sum(field.has_field for field in fields),
        n_on=sum(polarity_of(field) == 1 for field in fields),
        n_off=sum(polarity_of(field) == -1 for field in fields),
        rows=[
            neuron_row(
                train, field_of.get(train.neuron_id), peak_of.get(train.neuron_id, math.nan),
                neurons[train.neuron_id].anchor if train.neuron_id in neurons else "",
            )
            for train in stimulation.spike_trains
        ],
        missing=missing_measures(stimulation, field_of),
        pictures=pictures,
        neurons=list(neurons.values()),
    )  # fmt: skip


def _draw_population(
    album: Album, folder: str, stimulation_id: StimulationId, fields: list[ReceptiveFieldResult]
) -> list[Picture]:
    if not fields:
        return []
    rows = {name: fields[0].parameter_ids[name] for name in _MOSAIC_PARAMETERS}
    mosaics = list(queries.mosaics({**vars(stimulation_id), **rows}))
    return [
        album.add(
            mosaic_figure(fields, mosaics), f"{folder}/mosaic", caption=_CAPTIONS["mosaic"],
            alt=descriptions.describe_mosaic(fields),
        ),
        album.add(
            overview_figure(fields), f"{folder}/overview", caption=_CAPTIONS["overview"],
            alt=descriptions.describe_overview(fields),
        ),
    ]  # fmt: skip


def _highest_peaks(stimulation_id: StimulationId) -> dict[int, float]:
    """Give the z of the highest peak of every neuron of a stimulation, over all rows of parameters."""
    found: dict[int, float] = {}
    for row in queries.peaks(vars(stimulation_id)):
        if row["peak_z"] is not None and abs(row["peak_z"]) > abs(found.get(row["neuron_id"], 0.0)):
            found[row["neuron_id"]] = row["peak_z"]
    return found


def _report(
    diagram: Picture, sections: dict[StimulationId, StimulationSection], database: str, *, is_whole: bool
) -> Report:
    sessions, empty = [], []
    files: set[str] = set()
    for session in queries.recordings():
        title = f"{session.subject_name}, {session.session_date}, sample {session.sample_number}"
        shown = [sections[info.stimulation_id] for info in session.stimulations if info.stimulation_id in sections]
        if shown:
            sessions.append(
                SessionSection(f"session_{shown[0].anchor}", title, session.source_file, session.note, shown)
            )
            files.add(session.source_file)
        elif is_whole and not session.stimulations:
            empty.append((title, session.note))
            files.add(session.source_file)
    return Report(_facts(sections, database, sorted(files - {""}), is_whole), _parameters(), diagram, sessions, empty)


def _facts(
    sections: dict[StimulationId, StimulationSection], database: str, files: list[str], is_whole: bool
) -> list[tuple[str, str]]:
    counted = queries.counts()
    dates = sorted({str(stimulation_id.session_date) for stimulation_id in sections})
    versions = queries.code_versions()
    remaining = [
        f"{name} {done['total'] - done['done']} of {done['total']}"
        for name, done in queries.progress().items()
        if done["done"] < done["total"]
    ]
    n_stimulations = counted["stimulations"]
    facts = [
        ("Database", database),
        ("Recorded", dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else ""),
        ("Read from", ", ".join(files)),
        ("Sessions", f"{counted['sessions']}, {counted['sessions_without_stimulation']} of them without a stimulation"),
        ("Stimulations", str(n_stimulations) if is_whole else f"{len(sections)} shown of {n_stimulations}"),
        ("Neurons", f"{counted['neurons']:,} with {counted['spike_trains']:,} spike trains"),
        ("Spikes", f"{counted['spikes']:,}"),
        ("STRFs", f"{counted['strfs']:,}"),
        ("Computed by", f"dj-neuron {', '.join(versions)}" if versions else "nothing was computed yet"),
        ("Drawn by", f"dj-neuron {__version__}"),
        ("Not computed yet", ", ".join(remaining)),
    ]
    return [(name, value) for name, value in facts if value]


def _parameters() -> list[tuple[str, list[str]]]:
    found = []
    for table in queries.tables():
        if table.tier == "Lookup" and table.n_rows:
            columns, rows = queries.preview(table.name, table.n_rows)
            lines = [", ".join(f"{column} {_value_text(row[column])}" for column in columns) for row in rows]
            found.append((f"{table.name}: {table.comment}", lines))
    return found


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}".replace("-", "\N{MINUS SIGN}") if isinstance(value, float) else str(value)


def folder_names(stimulation_ids: Iterable[StimulationId]) -> dict[StimulationId, str]:
    """Give every stimulation a folder of its own, numbered where names differ in signs only."""
    found: dict[StimulationId, str] = {}
    for stimulation_id in stimulation_ids:
        name = folder_name(stimulation_id)
        number, wanted = 1, name
        while wanted.lower() in {taken.lower() for taken in found.values()}:
            number += 1
            wanted = f"{name}_{number}"
        found[stimulation_id] = wanted
    return found


def folder_name(stimulation_id: StimulationId) -> str:
    """Give a stimulation's name for the file system: letters, digits, dots, dashes and underscores."""
    subject = re.sub(r"[^A-Za-z0-9.]+", "-", stimulation_id.subject_name).strip("-.") or "subject"
    return (
        f"{subject}_{stimulation_id.session_date}_sample-{stimulation_id.sample_number}"
        f"_stimulation-{stimulation_id.stimulation_number}"
    )
