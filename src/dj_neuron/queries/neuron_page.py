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
    **dict.fromkeys(("p_value_field", "q_value_field"), "judgement"),
    **dict.fromkeys(("polarity", "centre_x_um", "centre_y_um", "sigma_major_um", "time_to_peak_s"), "field"),
    "test_correlation": "score",
}
PAGE_COLUMNS = tuple(_SOURCES)
# those that an index sorts: the tables' definitions have one for each
SORT_COLUMNS = (
    *("neuron_id", "n_spikes", "peak_z", "p_value_field", "q_value_field", "polarity"),
    *("centre_x_um", "centre_y_um", "sigma_major_um", "time_to_peak_s", "test_correlation"),
)
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
        One of `SORT_COLUMNS`; empty for the order of the keys. What is not known comes last either way.
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
            (self.sort_by, {*SORT_COLUMNS, ""}),
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

    Notes
    -----
    The server walks along an index from its beginning: time grows with `offset`, not with the number of neurons.
    """
    sql = _Sql(query)
    rows = _with_columns(sql, *sql.known(), offset, limit)
    if len(rows) < limit and sql.may_be_unknown():
        before = len(rows) + offset if rows else _n_rows(*sql.known(), at_most=offset)
        rows += _with_columns(sql, *sql.unknown(), max(offset - before, 0), limit - len(rows))
    return rows


def n_neurons(query: NeuronQuery, *, at_most: int | None = None) -> int:
    """Count the neurons of `query`, once per stimulation; `at_most` ends the count there."""
    return _n_rows(*_Sql(query).matching(), at_most=at_most)


def _n_rows(chosen: str, args: list[Any], _: str = "", *, at_most: int | None) -> int:
    limit = "" if at_most is None else f" LIMIT {int(at_most)}"
    return int(_ask(f"SELECT COUNT(*) FROM ({chosen}{limit}) AS found", args)[0][0])


def _with_columns(sql: _Sql, chosen: str, args: list[Any], order: str, offset: int, limit: int) -> list[Row]:
    """Cut chosen keys, and join the other tables to those alone."""
    joins, join_args = sql.joins(_TABLES, "train", "LEFT JOIN")
    columns = ", ".join(f"{source}.{name} AS {name}" for name, source in _SOURCES.items())
    same = " AND ".join(f"train.{name} = chosen.{name}" for name in NEURON_COLUMNS)
    text = (
        f"SELECT {columns} FROM ({chosen} ORDER BY {order} LIMIT {int(limit)} OFFSET {int(offset)}) AS chosen "
        f"JOIN {_TABLES['train']().full_table_name} AS train ON {same} {joins} ORDER BY {order}"
    )
    return [dict(row) for row in _ask(text, [*args, *join_args], as_dict=True)]


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
    """Statements; names come from this module, values go as arguments."""

    def __init__(self, query: NeuronQuery) -> None:
        self._query = query
        self._sorted = _SOURCES[query.sort_by] if query.sort_by else "train"

    def matching(self) -> tuple[str, list[Any]]:
        """Choose the neurons of the query, in no order."""
        filtered = [_SOURCES[name] for name in self._query.ranges]
        return self._chosen(filtered[0] if filtered else "train", "1", ())

    def known(self) -> tuple[str, list[Any], str]:
        """Choose those whose value to sort by is known; give their order, which is that of an index."""
        base, name = self._sorted, self._query.sort_by
        direction = " DESC" if self._query.descending else ""
        order = ", ".join(f"{base}.{column}{direction}" for column in (*([name] if name else []), *NEURON_COLUMNS))
        known = [f"{base}.{name} IS NOT NULL"] if self.may_be_unknown() else []
        return *self._chosen(base, self._keys(base), known), order

    def may_be_unknown(self) -> bool:
        """Whether neurons without a value to sort by can pass the filters."""
        return self._sorted != "train" and self._query.sort_by not in self._query.ranges

    def unknown(self) -> tuple[str, list[Any], str]:
        """Choose the others, in the order of their keys."""
        joins, args = self.joins([self._sorted], "train", "LEFT JOIN")
        condition = f"{self._sorted}.{self._query.sort_by} IS NULL"
        chosen, own = self._chosen("train", self._keys("train"), [condition], joins, args)
        return chosen, own, ", ".join(f"train.{column}" for column in NEURON_COLUMNS)

    def joins(self, sources: Iterable[str], base: str, how: str) -> tuple[str, list[Any]]:
        """Join tables to `base`, each under the parameters of the query."""
        wanted = set(sources) - {base}
        texts, args = [], []
        for source, table in _TABLES.items():
            if source in wanted:
                shared = (*ID_COLUMNS[:3], "neuron_id") if source == "neuron" else NEURON_COLUMNS
                same, own = self._under_parameters(source)
                on = " AND ".join([*(f"{source}.{name} = {base}.{name}" for name in shared), *same])
                texts.append(f"{how} {table().full_table_name} AS {source} ON {on}")
                args += own
        return " ".join(texts), args

    def _chosen(
        self, base: str, columns: str, conditions: Iterable[str], joins: str = "", join_args: Iterable[Any] = ()
    ) -> tuple[str, list[Any]]:
        filtered = {_SOURCES[name] for name in self._query.ranges} | ({"neuron"} if self._query.label else set())
        already = {self._sorted} if joins else set()
        more, more_args = self.joins(filtered - already, base, "JOIN")
        of_base, base_args = self._under_parameters(base)
        where, values = self._where(base)
        every = " AND ".join([*of_base, *conditions, *where])
        text = f"SELECT {columns} FROM {_TABLES[base]().full_table_name} AS {base} {joins} {more}"
        return f"{text} WHERE {every}" if every else text, [*join_args, *more_args, *base_args, *values]

    def _under_parameters(self, source: str) -> tuple[list[str], list[Any]]:
        names = _PARAMETERS_OF.get(source, ())
        return [f"{source}.{name} = %s" for name in names], [getattr(self._query.parameters, name) for name in names]

    def _keys(self, base: str) -> str:
        return ", ".join(f"{base}.{name} AS {name}" for name in NEURON_COLUMNS)

    def _where(self, base: str) -> tuple[list[str], list[Any]]:
        conditions, args = [], []
        for name, value in self._query.key.items():
            conditions.append(f"{base}.{name} = %s")
            args.append(value)
        for name, limits in self._query.ranges.items():
            for sign, limit in zip((">=", "<="), limits, strict=True):
                if limit is not None:
                    conditions.append(f"{_SOURCES[name]}.{name} {sign} %s")
                    # MySQL takes no infinity
                    args.append(max(-sys.float_info.max, min(limit, sys.float_info.max)))
        if self._query.label:
            # a backslash would escape on MySQL twice over, an exclamation mark nowhere
            text = self._query.label.lower()
            for special in "!%_":
                text = text.replace(special, f"!{special}")
            conditions.append("LOWER(neuron.source_label) LIKE %s ESCAPE '!'")
            args.append(f"%{text}%")
        return conditions, args


def _ask(text: str, args: Iterable[Any], *, as_dict: bool = False) -> list[Any]:
    return list(experiment.schema.connection.query(text, tuple(args), as_dict=as_dict).fetchall())
