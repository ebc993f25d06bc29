"""The main job: simulate the ret-1 recordings, build the pipeline, draw, and compare with the known truth."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.connection import DEFAULT_DELAYS
from dj_neuron.errors import ConflictError, PipelineError
from dj_neuron.simulate import LAYOUTS, read_truth, write_simulation
from dj_neuron.strf import find_centre, find_peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from dj_neuron.connection import Pipeline
    from dj_neuron.contracts import ReceptiveFieldResult, Strf
    from dj_neuron.simulate import KnownNeuron


@dataclass(frozen=True)
class DemoReport:
    """What the demo made and how much of the truth it found.

    Attributes
    ----------
    n_fields : int
        Simulated receptive fields: one per neuron and stimulation.
    n_above_noise : int
        Those whose peak stands above everything at negative delays.
    n_found : int
        Those of them whose centre lies within one sigma of the true one.
    """

    file: Path
    figures_dir: Path
    n_pictures: int
    n_fields: int
    n_above_noise: int
    n_found: int
    fields: FieldCheck
    duration_s: float


@dataclass(frozen=True)
class FieldCheck:
    """What the measured receptive fields say about the known ones.

    Attributes
    ----------
    n_significant : int
        Neurons with a field beyond chance.
    n_misplaced : int
        Those of them whose field was found more than two sigma away from the true one: false discoveries.
    n_polarities, n_polarities_right : int
        Measured ones, and those that are true.
    n_coordinates, n_coordinates_near : int
        Measured coordinates of centres, one per axis, and those within two standard errors of the true one.
    """

    n_significant: int = 0
    n_misplaced: int = 0
    n_polarities: int = 0
    n_polarities_right: int = 0
    n_coordinates: int = 0
    n_coordinates_near: int = 0

    def __add__(self, other: FieldCheck) -> FieldCheck:
        return FieldCheck(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def run(
    pipeline: Pipeline,
    *,
    layout: str | Path = "ret1",
    seed: int = 1,
    figures_dir: Path | None = None,
    say: Callable[[str], None],
) -> DemoReport:
    """Run the main job on a pipeline that is empty or holds an earlier demo.

    Raises
    ------
    PipelineError
        If the pipeline holds sessions of somebody's own.
    """
    started = time.perf_counter()
    folder = pipeline.database.data_dir / "demo"
    file = folder / _file_name(layout)
    figures_dir = figures_dir or folder / "figures"
    _start_from(pipeline, file.name, say)

    say(f"1/5  simulating a recording in the layout of {layout}: {file}")
    _, truth_file = write_simulation(file, layout, seed, force=True)
    say("2/5  ingesting it")
    try:
        pipeline.ingest(file)
    except ConflictError:
        _refuse_others(pipeline, file.name)  # who may have come meanwhile
        say("     the pipeline holds a demo made from another seed: starting anew")
        pipeline.clear()
        pipeline.ingest(file)
    truth = read_truth(truth_file)
    _refuse_others(pipeline, file.name)
    say(f"3/5  computing STRFs at delays of {DEFAULT_DELAYS}, and receptive fields")
    computed = pipeline.compute(DEFAULT_DELAYS)
    if computed.errors:
        raise PipelineError(computed.errors[0])
    say("4/5  drawing")
    pictures = pipeline.figures(figures_dir)
    say("5/5  comparing with the known receptive fields")
    rules = {**DEFAULT_DELAYS.columns(), "estimator": "sta", "frame_rule": "floor", "centre": True, "min_spikes": 1}
    judged = [
        judge(strf, truth[strf.stimulation_id, strf.neuron_id])
        for strf in pipeline.strfs(rules, combine=False)
        if (strf.stimulation_id, strf.neuron_id) in truth  # not of who came while it computed
    ]
    checked = [
        check_field(field, truth[field.stimulation_id, field.neuron_id])
        for field in pipeline.receptive_fields(rules)
        if (field.stimulation_id, field.neuron_id) in truth
    ]
    return DemoReport(
        file=file,
        figures_dir=figures_dir,
        n_pictures=len(pictures),
        n_fields=len(truth),
        n_above_noise=sum(above_noise for above_noise, _ in judged),
        n_found=sum(above_noise and near for above_noise, near in judged),
        fields=sum(checked, FieldCheck()),
        duration_s=time.perf_counter() - started,
    )


def _file_name(layout: str | Path) -> str:
    return f"simulated_{Path(layout).stem}.pkl"


def check_field(field: ReceptiveFieldResult, known: KnownNeuron) -> FieldCheck:
    """Compare one neuron's receptive field, if it has one, with the true one."""
    if not field.has_field:
        return FieldCheck()
    measures = field.measures
    place = measures["region_x_um"], measures["region_y_um"]
    polarity = measures["polarity"]
    off = [
        abs(measured - true) / error
        for measured, true, error in (
            (measures["centre_x_um"], known.centre_x_um, measures["centre_x_um_se"]),
            (measures["centre_y_um"], known.centre_y_um, measures["centre_y_um_se"]),
        )
        if measured is not None and error is not None
    ]
    return FieldCheck(
        n_significant=1,
        n_misplaced=int(_distance(place, known, field.region.shape) > 2),
        n_polarities=int(polarity is not None),
        n_polarities_right=int(polarity == known.polarity),
        n_coordinates=len(off),
        n_coordinates_near=sum(distance <= 2 for distance in off),
    )


def judge(strf: Strf, known: KnownNeuron) -> tuple[bool, bool]:
    """Say whether the peak stands above the noise, and whether the centre lies within one sigma of the truth."""
    peak = find_peak(strf.z, strf.delays_s, 1 / strf.frame_rate_hz)
    centre = find_centre(strf.z, strf.delays_s, strf.block_size_um)
    if peak is None or centre is None:
        return False, False
    distance = _distance(centre, known, strf.values.shape[1:])
    return abs(peak.z) > (peak.noise_z or 0), distance <= 1


def _distance(place_um: Any, known: KnownNeuron, shape: tuple[int, ...]) -> float:
    """How far a place is from a neuron's true centre, in sigma, along the axes that a screen of blocks has."""
    off = np.array(place_um) - (known.centre_x_um, known.centre_y_um)
    n_y, n_x = shape
    seen = [axis for axis, n_blocks in enumerate((n_x, n_y)) if n_blocks > 1]  # a bar has one axis only
    covariance = known.covariance_um2()[np.ix_(seen, seen)]
    return float(np.sqrt(off[seen] @ np.linalg.solve(covariance, off[seen])))


def _start_from(pipeline: Pipeline, file_name: str, say: Callable[[str], None]) -> None:
    """Leave an earlier demo of the same layout as it is, clear one of another, refuse anything else."""
    if _refuse_others(pipeline, file_name) - {file_name}:
        say("     the pipeline holds a demo of another layout: starting anew")
        pipeline.clear()


def _refuse_others(pipeline: Pipeline, file_name: str) -> set[str]:
    """Give the files of demos that the pipeline holds; raise PipelineError if it holds sessions of any other."""
    sources = set(pipeline.experiment.Session().to_arrays("source_file"))
    others = sorted(sources - {file_name, *map(_file_name, LAYOUTS)})
    if others:
        raise PipelineError(
            f"{pipeline.database.description} holds sessions from {others[0]}, which the demo would mix with "
            "simulated ones: give the demo a folder of its own with --data-dir"
        )
    return sources
