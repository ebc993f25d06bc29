"""Every picture of a pipeline in one clean folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron import queries
from dj_neuron.errors import PipelineError
from dj_neuron.figures.covariance_picture import covariance_picture
from dj_neuron.figures.diagram import TableNode, diagram_figure
from dj_neuron.figures.folder import fresh_folder
from dj_neuron.figures.mosaic import mosaic_figure
from dj_neuron.figures.overview import overview_figure
from dj_neuron.figures.raster import raster_figure
from dj_neuron.figures.receptive_field_picture import receptive_field_picture
from dj_neuron.figures.saving import save
from dj_neuron.figures.stills import movie_stills
from dj_neuron.figures.strf_picture import strf_picture
from dj_neuron.figures.time_course import time_course_figure
from dj_neuron.pictures.words import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from dj_neuron.contracts import ReceptiveFieldResult, StimulationId, Strf

_COVARIANCE_PARAMETERS = ("strf_params_id", "significance_params_id", "covariance_params_id")
_MOSAIC_PARAMETERS = ("strf_params_id", "significance_params_id", "receptive_field_params_id")


def draw_gallery(
    out_dir: Path | str,
    *,
    n_best: int = 1,
    neuron_ids: Collection[int] = (),
    restriction: Any = True,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Draw the table diagram and, per stimulation, raster, stills, mosaic, overview and some neurons.

    A neuron has its STRF, its time course, a sheet with its receptive field and, if it has any, one with the filters of
    its spike-triggered covariance. What rests on receptive fields is left out where none were computed.

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
    progress : callable, optional
        Called with one line per stimulation.

    Returns
    -------
    list of Path
        The pictures, in `out_dir`.
    """
    stimulation_ids = queries.stimulation_ids(restriction)
    if not stimulation_ids and restriction is not True:
        raise PipelineError(f"no stimulation in the pipeline matches {restriction}")
    best = queries.best_neurons(n_best)
    with fresh_folder(out_dir) as folder:
        nodes = [TableNode(table.name, table.tier, table.schema, table.n_rows) for table in queries.tables()]
        save(diagram_figure(nodes, queries.foreign_keys()), folder / "pipeline.png")
        for stimulation_id in stimulation_ids:
            if progress:
                progress(f"drawing {stimulation_id}")
            chosen = neuron_ids or best.get(stimulation_id, [])
            _draw_stimulation(folder / folder_name(stimulation_id), stimulation_id, chosen)
        names = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    return [Path(out_dir) / name for name in names]


def _draw_stimulation(folder: Path, stimulation_id: StimulationId, neuron_ids: Collection[int]) -> None:
    folder.mkdir()
    stimulation = queries.stimulation(stimulation_id)
    save(raster_figure(stimulation, str(stimulation_id)), folder / "raster.png")
    save(movie_stills(stimulation, title=str(stimulation_id)), folder / "movie_stills.png")
    _draw_population(folder, stimulation_id)
    for strf in queries.strfs_of(stimulation_id, neuron_ids):
        _draw_neuron(folder, strf)


def _draw_population(folder: Path, stimulation_id: StimulationId) -> None:
    fields = with_most_delays(queries.receptive_fields(vars(stimulation_id)))
    if not fields:
        return
    rows = {name: fields[0].parameter_ids[name] for name in _MOSAIC_PARAMETERS}
    mosaics = list(queries.mosaics({**vars(stimulation_id), **rows}))
    save(mosaic_figure(fields, mosaics), folder / "mosaic.png")
    save(overview_figure(fields), folder / "overview.png")


def _draw_neuron(folder: Path, strf: Strf) -> None:
    name = _name_of(strf)
    if strf.estimator == "ridge":  # one estimate for every row of parameters
        name += f"_{1 + len(list(folder.glob(f'{name}_[0-9]*_strf.png')))}"
    of_neuron = {**vars(strf.stimulation_id), "neuron_id": strf.neuron_id}
    same_rules = {
        "estimator": strf.estimator,
        "frame_rule": strf.frame_rule,
        "centre": strf.centred,
        "min_spikes": strf.min_spikes,
    }
    field = next(iter(with_most_delays(queries.receptive_fields({**of_neuron, **same_rules}))), None)
    save(strf_picture(strf, field), folder / f"{name}_strf.png")
    if strf.delays_s.size > 1:
        save(time_course_figure(strf), folder / f"{name}_time_course.png")
    if field is not None:
        save(receptive_field_picture(strf, field), folder / f"{name}_receptive_field.png")
        same_rows = {row: field.parameter_ids[row] for row in _COVARIANCE_PARAMETERS}
        for covariance in queries.covariances({**of_neuron, **same_rows}):
            if covariance.filters:
                save(covariance_picture(covariance), folder / f"{name}_covariance.png")


def _name_of(strf: Strf) -> str:
    rules = "" if strf.frame_rule == "floor" and strf.centred else f"_{strf.frame_rule}"
    rules += "" if strf.centred else "_raw"
    rules += "" if strf.estimator == "sta" else f"_{strf.estimator}"
    return f"neuron_{strf.neuron_id:03d}{rules}"


def with_most_delays(fields: Iterable[ReceptiveFieldResult]) -> list[ReceptiveFieldResult]:
    """Keep the fields of those parameter rows that look at the most delays; of equals, those with the highest peaks."""
    by_parameters: dict[tuple[int | None, ...], list[ReceptiveFieldResult]] = {}
    for field in fields:
        by_parameters.setdefault(tuple(field.parameter_ids.values()), []).append(field)
    return max(by_parameters.values(), key=_weight, default=[])


def _weight(fields: list[ReceptiveFieldResult]) -> tuple[int, float]:
    n_delays = int(np.count_nonzero(fields[0].delays_s >= 0))
    return n_delays, float(np.nansum([abs(measure(field, "peak_z")) for field in fields]))


def folder_name(stimulation_id: StimulationId) -> str:
    """Give a stimulation's name for the file system: letters, digits, dots, dashes and underscores."""
    subject = re.sub(r"[^A-Za-z0-9.]+", "-", stimulation_id.subject_name).strip("-.") or "subject"
    return (
        f"{subject}_{stimulation_id.session_date}_sample-{stimulation_id.sample_number}"
        f"_stimulation-{stimulation_id.stimulation_number}"
    )
