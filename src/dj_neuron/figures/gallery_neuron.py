"""The pictures of one neuron in a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron import queries
from dj_neuron.figures import descriptions
from dj_neuron.figures.comparison import comparison_figure
from dj_neuron.figures.covariance_picture import covariance_picture
from dj_neuron.figures.receptive_field_picture import receptive_field_picture
from dj_neuron.figures.report import NeuronSection
from dj_neuron.figures.report.summary import reasons_of
from dj_neuron.figures.strf_picture import strf_picture
from dj_neuron.figures.time_course import time_course_figure
from dj_neuron.pictures.sentences import finding_text, names_of_two
from dj_neuron.pictures.words import measure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dj_neuron.contracts import ReceptiveFieldResult, SpikeTrain, StimulationId, Strf
    from dj_neuron.figures.album import Album, Picture

_COVARIANCE_PARAMETERS = ("strf_params_id", "significance_params_id", "covariance_params_id")
_MOST_COMPARISONS = 3
_CAPTIONS = {
    "receptive_field": "The receptive field on one sheet: STRF, map and cuts, time course, test, prediction, and "
    "whether the recording was long enough.",
    "strf": "The STRF at all delays before the spike; those after it, in grey italics, are noise only.",
    "strf_bars": "The STRF of bars: space against time before the spike. Delays after the spike are noise only.",
    "strf_full": "The STRF of a full field over the time before the spike. Delays after the spike are noise only.",
    "time_course": "The block of the peak over all delays, with a band of one standard error.",
    "covariance": "What the average cannot show: filters of the spike-triggered covariance.",
}


def draw_neuron(album: Album, folder: str, stimulation_id: StimulationId, train: SpikeTrain) -> NeuronSection:
    """Draw a neuron of a stimulation into a folder of the album, and write what was found."""
    of_neuron = {**vars(stimulation_id), "neuron_id": train.neuron_id}
    estimates = list(queries.strfs_of(stimulation_id, [train.neuron_id]))
    pairs = [(strf, _field_of(strf)) for strf in estimates]
    names = _file_names(estimates)
    pictures = [
        picture for pair, name in zip(pairs, names, strict=True) for picture in _draw(album, folder, name, *pair)
    ]
    field = next((field for _, field in pairs if field is not None), None)
    if field is not None:
        pictures += _draw_covariances(album, folder, field)
    pictures += _draw_comparisons(album, folder, list(queries.strfs(of_neuron, combine=False)), field)
    best = next((strf for strf, found in pairs if found is not None), estimates[0] if estimates else None)
    return NeuronSection(
        anchor=f"{folder}_neuron-{train.neuron_id}",
        title=f"neuron {train.neuron_id}" + (f" ({train.label})" if train.label else ""),
        finding=finding_text(train.n_spikes, best, field),
        missing=reasons_of(field) if field is not None else [],
        pictures=pictures,
    )


def _draw(album: Album, folder: str, name: str, strf: Strf, field: ReceptiveFieldResult | None) -> list[Picture]:
    pictures = []
    if field is not None:
        pictures.append(
            album.add(
                receptive_field_picture(strf, field), f"{folder}/{name}_receptive_field",
                caption=_CAPTIONS["receptive_field"], alt=descriptions.describe_sheet(strf, field),
            )
        )  # fmt: skip
    n_y, n_x = strf.values.shape[1:]
    kind = "strf" if min(n_y, n_x) > 1 else "strf_full" if n_y == n_x else "strf_bars"
    pictures.append(
        album.add(
            strf_picture(strf, field), f"{folder}/{name}_strf", caption=_CAPTIONS[kind],
            alt=descriptions.describe_strf(strf),
        )
    )  # fmt: skip
    if strf.delays_s.size > 1 and kind != "strf_full":  # there the STRF is the course
        pictures.append(
            album.add(
                time_course_figure(strf), f"{folder}/{name}_time_course", caption=_CAPTIONS["time_course"],
                alt=descriptions.describe_course(strf),
            )
        )  # fmt: skip
    return pictures


def _draw_covariances(album: Album, folder: str, field: ReceptiveFieldResult) -> list[Picture]:
    rows = {row: field.parameter_ids[row] for row in _COVARIANCE_PARAMETERS}
    of_neuron = {**vars(field.stimulation_id), "neuron_id": field.neuron_id}
    return [
        album.add(
            covariance_picture(found), f"{folder}/neuron_{field.neuron_id:03d}_covariance",
            caption=_CAPTIONS["covariance"], alt=descriptions.describe_covariance(found),
        )
        for found in queries.covariances({**of_neuron, **rows})
        if found.filters
    ]  # fmt: skip


def _draw_comparisons(
    album: Album, folder: str, estimates: list[Strf], field: ReceptiveFieldResult | None
) -> list[Picture]:
    """Compare the estimate with the most delays to the first others; averages come before ridge estimates."""
    if len(estimates) < 2:
        return []
    first = max(estimates, key=lambda strf: (strf.estimator == "sta", strf.delays_s.size))
    others = [strf for strf in estimates if strf is not first]
    pictures = []
    for number, second in enumerate(others[:_MOST_COMPARISONS], start=1):
        names = names_of_two(first, second)
        caption = f"Two estimates of the same spikes: {names[0]}, and {names[1]}."
        if number == _MOST_COMPARISONS < len(others):
            caption += f" {len(others) - number} more rows of parameters are not compared here."
        pictures.append(
            album.add(
                comparison_figure(first, second, names, field),
                f"{folder}/neuron_{first.neuron_id:03d}_compared_{number}", caption=caption,
                alt=descriptions.describe_comparison(first, second, names),
            )
        )  # fmt: skip
    return pictures


def _field_of(strf: Strf) -> ReceptiveFieldResult | None:
    of_neuron = {**vars(strf.stimulation_id), "neuron_id": strf.neuron_id}
    same_rules = {
        "estimator": strf.estimator,
        "frame_rule": strf.frame_rule,
        "centre": strf.centred,
        "min_spikes": strf.min_spikes,
    }
    return next(iter(with_most_delays(queries.receptive_fields({**of_neuron, **same_rules}))), None)


def with_most_delays(fields: Iterable[ReceptiveFieldResult]) -> list[ReceptiveFieldResult]:
    """Keep the fields of those parameter rows that look at the most delays; of equals, those with the highest peaks."""
    by_parameters: dict[tuple[int | None, ...], list[ReceptiveFieldResult]] = {}
    for field in fields:
        by_parameters.setdefault(tuple(field.parameter_ids.values()), []).append(field)
    return max(by_parameters.values(), key=_weight, default=[])


def _weight(fields: list[ReceptiveFieldResult]) -> tuple[int, float]:
    n_delays = int(np.count_nonzero(fields[0].delays_s >= 0))
    return n_delays, float(np.nansum([abs(measure(field, "peak_z")) for field in fields]))


def _file_names(estimates: Iterable[Strf]) -> list[str]:
    """Name files after neuron and rules; ridge estimates are numbered, for there is one for every row of parameters."""
    names: list[str] = []
    n_ridge: dict[str, int] = {}
    for strf in estimates:
        rules = "" if strf.frame_rule == "floor" and strf.centred else f"_{strf.frame_rule}"
        rules += "" if strf.centred else "_raw"
        rules += "" if strf.min_spikes == 1 else f"_from_{strf.min_spikes}_spikes"
        rules += "" if strf.estimator == "sta" else f"_{strf.estimator}"
        name = f"neuron_{strf.neuron_id:03d}{rules}"
        if strf.estimator == "ridge":
            n_ridge[name] = n_ridge.get(name, 0) + 1
            name += f"_{n_ridge[name]}"
        names.append(name)
    return names
