"""One page of the table of all neurons: sorted, filtered and cut by the database, however many there are."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import PipelineError
from dj_neuron.pipeline import experiment, quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation, StrfParams
from dj_neuron.queries.estimates import ID_COLUMNS, NEURON_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Row = dict[str, Any]
    Range = tuple[float | None, float | None]

# which table a column comes from
_SOURCES = {
    **dict.fromkeys(NEURON_COLUMNS, "train"),
    "n_spikes": "train",
    "source_label": "neuron",
    **dict.fromkeys(("peak_z", "peak_delay_s"), "strf"),
    **dict.fromkeys(("p_value", "q_value", "n_significant"), "judgement"),
    **dict.fromkeys(("polarity", "centre_x_um", "centre_y_um", "sigma_major_um", "time_to_peak_s"), "field"),
    "test_correlation": "score",
}
PAGE_COLUMNS = tuple(_SOURCES)
_TEXTS = frozenset({"subject_name", "session_date", "source_label"})


@dataclass(frozen=True)
class ParameterIds:
    """Rows of parameters that results are shown for; None where there is none yet."""

    strf_params_id: int | None
    significance_params_id: int | None
    receptive_field_params_id: int | None
    prediction_params_id: int | None


@dataclass(frozen=True)
class NeuronQuery:
    """Which neurons, in which order.

    Attributes
    ----------
    parameters : ParameterIds
        Whose results; see :func:`default_parameters`.
    key : mapping
        Values of key columns that all rows share, such as ``{"subject_name": "WT"}``.
    ranges : mapping of column to (lowest, highest)
        Both inclusive, None for no limit; a value that is not known is in no range.
    label : str
        What the source's label of the unit contains.
    sort_by : str
        One of `PAGE_COLUMNS`; empty for the order of the keys. What is not known comes last either way.
    """

    parameters: ParameterIds
    key: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    label: str = ""
    sort_by: str = ""
    descending: bool = False

    def __post_init__(self) -> None:
        numbers = set(PAGE_COLUMNS) - _TEXTS
        for name, allowed in (
            *((name, set(NEURON_COLUMNS)) for name in self.key),
            *((name, numbers) for name in self.ranges),
            (self.sort_by, {*PAGE_COLUMNS, ""}),
        ):
            if name not in allowed:
                raise PipelineError(f"{name!r} is no such column of neurons, expected one of {', '.join(allowed)}")
        for name, limits in self.ranges.items():
            if any(limit is not None and math.isnan(limit) for limit in limits):
                raise PipelineError(f"the range of {name} is {limits}, expected numbers")


def default_parameters(strf_params_id: int | None = None) -> ParameterIds:
    """Give the rows of parameters to show results for: the first of each kind, of averages before ridge estimates.

    Raises
    ------
    PipelineError
        If nothing was estimated with `strf_params_id`.
    """

    def first(table: Any, name: str) -> int | None:
        found = table.to_arrays(name, order_by=name, limit=1)
        return int(found[0]) if len(found) else None

    rows = parameter_rows()
    if strf_params_id is None:
        averages = [row for row in rows if row["estimator"] == "sta"]
        strf_params_id = next((row["strf_params_id"] for row in (*averages, *rows)), None)
    elif strf_params_id not in (known := [row["strf_params_id"] for row in rows]):
        raise PipelineError(f"there is no estimate by row {strf_params_id} of StrfParams, expected one of {known}")
    return ParameterIds(
        strf_params_id,
        first(receptive_field.SignificanceParams(), "significance_params_id"),
        first(receptive_field.ReceptiveFieldParams(), "receptive_field_params_id"),
        first(quality.PredictionParams(), "prediction_params_id"),
    )


def neuron_page(query: NeuronQuery, *, offset: int = 0, limit: int = 50) -> list[Row]:
    """Give rows `offset` to ``offset + limit`` of the neurons of `query`, one per neuron and stimulation.

    Returns
    -------
    list of dict
        With the columns `PAGE_COLUMNS`; None is what is not known.
    """
    sql = _Sql(query)
    order = sql.order()
    keys = ", ".join(f"train.{name} AS {name}" for name in NEURON_COLUMNS)
    chosen, chosen_args = sql.rows(keys, sql.sources_needed())
    joins, join_args = sql.joins(_TABLES)
    columns = ", ".join(f"{source}.{name} AS {name}" for name, source in _SOURCES.items())
    same = " AND ".join(f"train.{name} = chosen.{name}" for name in NEURON_COLUMNS)
    # the joins of a page's rows alone, not of all that were sorted
    text = (
        f"SELECT {columns} FROM ({chosen} ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}) AS chosen "
        f"JOIN {_TABLES['train']().full_table_name} AS train ON {same} {joins} ORDER BY {order}"
    )
    return [dict(row) for row in _ask(text, [*chosen_args, *join_args], as_dict=True)]


def n_neurons(query: NeuronQuery) -> int:
    """Count the neurons of `query`, once per stimulation."""
    text, args = _Sql(query).rows("COUNT(*)", _Sql(query).sources_filtered())
    return int(_ask(text, args)[0][0])


def parameter_rows() -> list[Row]:
    """Give the rows of StrfParams that anything was estimated with, in their order."""
    found: list[Row] = (StrfParams() & StrfEstimation().proj()).to_dicts(order_by="strf_params_id")
    return found


def neighbours(key: Row) -> tuple[Row | None, Row | None]:
    """Give the keys of the neurons before and after one, over all stimulations; None at the ends."""
    table = _TABLES["train"]().full_table_name
    names = ", ".join(NEURON_COLUMNS)
    marks = ", ".join(["%s"] * len(NEURON_COLUMNS))
    values = [key[name] for name in NEURON_COLUMNS]
    found = []
    for sign, direction in (("<", "DESC"), (">", "ASC")):
        order = ", ".join(f"{name} {direction}" for name in NEURON_COLUMNS)
        text = f"SELECT {names} FROM {table} WHERE ({names}) {sign} ({marks}) ORDER BY {order} LIMIT 1"
        rows = _ask(text, values, as_dict=True)
        found.append(dict(rows[0]) if rows else None)
    return found[0], found[1]


_TABLES: dict[str, Any] = {
    "train": experiment.SpikeTrain,
    "neuron": experiment.Neuron,
    "strf": StrfEstimation.Strf,
    "judgement": receptive_field.Significance.Judgement,
    "field": receptive_field.ReceptiveField.Field,
    "score": quality.Prediction.Score,
}
_PARAMETERS_OF = {
    "strf": ("strf_params_id",),
    "judgement": ("strf_params_id", "significance_params_id"),
    "field": ("strf_params_id", "significance_params_id", "receptive_field_params_id"),
    "score": ("strf_params_id", "prediction_params_id"),
}


class _Sql:
    """Parts of the statement; names come from this module, values go as arguments."""

    def __init__(self, query: NeuronQuery) -> None:
        self._query = query

    def sources_filtered(self) -> set[str]:
        filtered = {_SOURCES[name] for name in self._query.ranges}
        return filtered | ({"neuron"} if self._query.label else set())

    def sources_needed(self) -> set[str]:
        sort_by = self._query.sort_by
        return self.sources_filtered() | ({_SOURCES[sort_by]} if sort_by else set())

    def rows(self, columns: str, sources: Iterable[str]) -> tuple[str, list[Any]]:
        joins, args = self.joins(sources)
        where, values = self._where()
        table = _TABLES["train"]().full_table_name
        return f"SELECT {columns} FROM {table} AS train {joins} {where}", [*args, *values]

    def joins(self, sources: Iterable[str]) -> tuple[str, list[Any]]:
        wanted = set(sources)
        texts, args = [], []
        for source, table in _TABLES.items():
            if source not in wanted or source == "train":
                continue
            shared = (*ID_COLUMNS[:3], "neuron_id") if source == "neuron" else NEURON_COLUMNS
            same = [f"{source}.{name} = train.{name}" for name in shared]
            for name in _PARAMETERS_OF.get(source, ()):
                same.append(f"{source}.{name} = %s")
                args.append(getattr(self._query.parameters, name))
            texts.append(f"LEFT JOIN {table().full_table_name} AS {source} ON {' AND '.join(same)}")
        return " ".join(texts), args

    def order(self) -> str:
        name = self._query.sort_by
        keys = [f"train.{key}" for key in NEURON_COLUMNS]
        if not name:
            return ", ".join(keys)
        column = f"{_SOURCES[name]}.{name}"
        return ", ".join([f"{column} IS NULL", f"{column} {'DESC' if self._query.descending else 'ASC'}", *keys])

    def _where(self) -> tuple[str, list[Any]]:
        conditions, args = [], []
        for name, value in self._query.key.items():
            conditions.append(f"train.{name} = %s")
            args.append(value)
        for name, limits in self._query.ranges.items():
            for sign, limit in zip((">=", "<="), limits, strict=True):
                if limit is not None:
                    conditions.append(f"{_SOURCES[name]}.{name} {sign} %s")
                    # MySQL takes no infinity
                    args.append(max(-sys.float_info.max, min(limit, sys.float_info.max)))
        if self._query.label:
            conditions.append("LOWER(neuron.source_label) LIKE %s")
            # a backslash would escape on MySQL twice over, an exclamation mark nowhere
            text = self._query.label.lower()
            for special in "!%_":
                text = text.replace(special, f"!{special}")
            conditions[-1] += " ESCAPE '!'"
            args.append(f"%{text}%")
        return f"WHERE {' AND '.join(conditions)}" if conditions else "", args


def _ask(text: str, args: Iterable[Any], *, as_dict: bool = False) -> list[Any]:
    return list(experiment.schema.connection.query(text, tuple(args), as_dict=as_dict).fetchall())
