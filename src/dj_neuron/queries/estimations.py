"""Estimations as a whole: the STRFs of all neurons of a stimulation, read a few neurons at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron._datajoint import dj
from dj_neuron.contracts import SpikeLedger
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.conditions import restricted
from dj_neuron.queries.estimates import ID_COLUMNS, stimulation_id_of
from dj_neuron.queries.listing import table_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dj_neuron.contracts import StimulationId

    Row = dict[str, Any]
    Floats = NDArray[np.float64]

_KEY = (*ID_COLUMNS, "strf_params_id")
_RULES = ("estimator", "first_delay_s", "last_delay_s", "step_s", "frame_rule", "centre", "min_spikes")
_LEDGER = ("n_used", "n_before_onset", "n_after_end", "n_in_gap")
_GEOMETRY = ("block_width_px", "block_height_px")


class StrfsInStore:
    """The STRFs of several neurons; slices along the neurons are read when they are asked for."""

    def __init__(self, references: list[Any], shape: tuple[int, ...]) -> None:
        self._references = references
        self.shape, self.dtype = (len(references), *shape), np.dtype(np.float32)

    def __getitem__(self, neurons: slice) -> NDArray[np.float32]:
        chosen = self._references[neurons]
        return np.stack([one.load() for one in chosen]) if chosen else np.empty((0, *self.shape[1:]), self.dtype)


@dataclass(frozen=True, eq=False)
class Estimation:
    """The STRFs of the neurons of a stimulation from one row of StrfParams.

    Attributes
    ----------
    rules : dict
        The row of StrfParams, without its number.
    movie_hash : str
        sha256 of the movie's content and geometry.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending.
    pixel_mean, pixel_sd : array (n_y, n_x)
        Contrast of every block over all frames.
    strfs : StrfsInStore (n_neurons, n_delays, n_y, n_x)
        In `unit`; NaN at delays with too few spikes.
    error_factor : array (n_neurons, n_delays)
        Times `pixel_sd` it is the standard error; NaN for ridge estimates.
    ledger : SpikeLedger
        Of (n_neurons, n_delays).
    """

    stimulation_id: StimulationId
    strf_params_id: int
    rules: Row
    code_version: str
    movie_hash: str
    block_size_um: tuple[float, float]
    delays_s: Floats
    pixel_mean: Floats
    pixel_sd: Floats
    neuron_ids: tuple[int, ...]
    source_labels: tuple[str, ...]
    strfs: StrfsInStore
    error_factor: Floats
    ledger: SpikeLedger

    @property
    def unit(self) -> str:
        """Of the STRFs."""
        return "contrast" if self.rules["estimator"] == "sta" else "spikes per frame and contrast"

    @property
    def x_um(self) -> Floats:
        """Centres of the columns of blocks, from the left of the screen, ``(n_x,)``."""
        return (np.arange(self.strfs.shape[3], dtype=np.float64) + 0.5) * self.block_size_um[0]

    @property
    def y_um(self) -> Floats:
        """Centres of the rows of blocks, from the top of the screen, ``(n_y,)``."""
        return (np.arange(self.strfs.shape[2], dtype=np.float64) + 0.5) * self.block_size_um[1]

    def __str__(self) -> str:
        return f"{self.stimulation_id}, row {self.strf_params_id} of StrfParams"


def estimations(restriction: Any = True) -> Iterator[Estimation]:
    """Give all estimations that have neurons, in the order of their keys, their STRFs unread.

    Parameters
    ----------
    restriction
        Anything DataJoint takes, on stimulations, neurons, parameters and peaks.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on neurons.
    """
    whole = StrfEstimation() * StrfParams() * experiment.Stimulation() * experiment.Movie().proj(*_GEOMETRY)
    parts = StrfEstimation.Strf() * experiment.Neuron()
    with restricted(parts * whole.proj(*_RULES, *_GEOMETRY, "pixel_size_um"), restriction, "neurons") as found:
        chosen = found.proj()
        rows = chosen.keys(order_by="KEY")
    keys = [dict(zip(_KEY, key, strict=True)) for key, _ in groupby(rows, _key_of)]
    for key in keys:
        yield _estimation((whole & key).fetch1(), (parts & (chosen & key)).to_dicts(order_by="neuron_id"))


def _key_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _estimation(row: Row, parts: list[Row]) -> Estimation:
    shape = (row["delays_s"].size, *row["pixel_mean"].shape)
    return Estimation(
        stimulation_id=stimulation_id_of(row),
        strf_params_id=row["strf_params_id"],
        rules={name: bool(row[name]) if name == "centre" else row[name] for name in _RULES},
        code_version=row["code_version"],
        movie_hash=row["movie_hash"],
        block_size_um=(row["block_width_px"] * row["pixel_size_um"], row["block_height_px"] * row["pixel_size_um"]),
        delays_s=row["delays_s"],
        pixel_mean=row["pixel_mean"],
        pixel_sd=row["pixel_sd"],
        neuron_ids=tuple(part["neuron_id"] for part in parts),
        source_labels=tuple(part["source_label"] for part in parts),
        strfs=StrfsInStore([part["strf"] for part in parts], shape),
        error_factor=np.stack([part["error_factor"] for part in parts]),
        ledger=SpikeLedger(**{name: np.stack([part[name] for part in parts]) for name in _LEDGER}),
    )


@dataclass(frozen=True)
class Computation:
    """One row of a computed table: by which parameters, code and seed it came about.

    Attributes
    ----------
    parameters : str
        Columns of all rows of parameters that it rests on, such as ``SignificanceParams 1: alpha = 0.05``.
    seed : int or None
        None where nothing is drawn by chance.
    """

    table: str
    stimulation_id: StimulationId
    parameters: str
    code_version: str
    seed: int | None


def computations(restriction: Any = True) -> list[Computation]:
    """Give one row per key of every computed table, in the order of the tables, under a restriction on sessions."""
    lookups = {name: table for table in _tables("Lookup") for name in table().primary_key}
    chosen = (experiment.Session() & restriction).proj()
    return [
        Computation(
            table=table.__name__,
            stimulation_id=stimulation_id_of(row),
            parameters="; ".join(_in_words(lookups[name], {name: row[name]}) for name in row if name in lookups),
            code_version=row["code_version"],
            seed=row.get("seed_used"),
        )
        for table in _tables("Computed")
        for row in (table() & chosen).to_dicts(order_by="KEY")
    ]


def _tables(tier: str) -> list[Any]:
    return [table for _, table in table_classes() if issubclass(table, getattr(dj, tier))]


def _in_words(table: Any, key: Row) -> str:
    row = (table() & key).fetch1()
    (number,) = (row.pop(name) for name in key)
    return f"{table.__name__} {number}: " + ", ".join(f"{name} = {value}" for name, value in row.items())
