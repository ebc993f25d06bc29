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
    from collections.abc import Iterable, Iterator, Mapping

    Row = dict[str, Any]
    Range = tuple[float | None, float | None]
    _Conditions = tuple[list[str], list[Any]]  # and the values of their marks

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
_FEW = 5_000  # rows of one table, from which a server joins the others in no time
_CANDIDATES = (1_000, 10_000)  # looked up one by one, before the server joins whole tables
_LABELS = 10_000  # different ones; where there are more, every neuron's is compared
_DIFFERENT_LABELS = {
    "mysql": "SELECT DISTINCT source_label FROM {table} ORDER BY source_label LIMIT {limit}",
    # PostgreSQL would read every entry of the index: from each label it is asked for the next
    "postgresql": "WITH RECURSIVE found AS ((SELECT source_label FROM {table} ORDER BY source_label LIMIT 1) UNION ALL "
    "SELECT (SELECT source_label FROM {table} WHERE source_label > found.source_label ORDER BY source_label LIMIT 1) "
    "FROM found WHERE source_label IS NOT NULL) "
    "SELECT source_label FROM found WHERE source_label IS NOT NULL LIMIT {limit}",
}


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

    @property
    def is_of_one_table(self) -> bool:
        """Whether one table alone tells which neurons, so that its index counts them."""
        return len({_SOURCES[name] for name in self.ranges} | ({"neuron"} if self.label else set())) < 2


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
    Conditions on other tables than that of the index are looked up for each row on the way; if the first
    thousands do not fill the page, or few rows of one table meet their condition, the server joins the tables.
    """
    sql = _Sql(query)
    for first in sql.first_known():
        rows = _with_columns(sql, *first, offset, limit)
        if len(rows) == limit:
            return rows
    rows = _with_columns(sql, *sql.known(), offset, limit)
    if len(rows) < limit and sql.may_be_unknown():
        before = len(rows) + offset if rows else _n_rows(*sql.known()[:2], at_most=offset)
        rows += _with_columns(sql, *sql.unknown(), max(offset - before, 0), limit - len(rows))
    return rows


def n_neurons(query: NeuronQuery, *, at_most: int | None = None) -> int:
    """Count the neurons of `query`, once per stimulation; `at_most` ends the count there."""
    sql = _Sql(query)
    if at_most is not None and any(_n_rows(*first, at_most=at_most) == at_most for first in sql.first_matching()):
        return at_most
    return _n_rows(*sql.matching(), at_most=at_most)


def _n_rows(chosen: str, args: list[Any], *, at_most: int | None) -> int:
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
    return _next(key, "<", "DESC"), _next(key, ">", "ASC")


def _next(key: Row, sign: str, direction: str) -> Row | None:
    """Give the next key of those that share the longest beginning: a comparison of whole keys MySQL does row by row."""
    order = ", ".join(f"{name} {direction}" for name in NEURON_COLUMNS)
    for length in range(len(NEURON_COLUMNS), 0, -1):
        *same, last = NEURON_COLUMNS[:length]
        where = " AND ".join([*(f"{name} = %s" for name in same), f"{last} {sign} %s"])
        text = f"SELECT {', '.join(NEURON_COLUMNS)} FROM {_TABLES['train']().full_table_name} WHERE {where}"
        rows = _ask(f"{text} ORDER BY {order} LIMIT 1", [key[name] for name in (*same, last)], as_dict=True)
        if rows:
            return dict(rows[0])
    return None


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
        self._conditions = self._of_ranges()
        if query.label:
            self._conditions["neuron"] = _labelled(query.label)
        # a row of a neuron stands for all its stimulations
        self._counted = next((source for source in self._conditions if source != "neuron"), "train")

    def matching(self) -> tuple[str, list[Any]]:
        """Choose the neurons of the query, in no order."""
        return self._chosen(self._counted, "1", ())

    def first_matching(self) -> Iterator[tuple[str, list[Any]]]:
        """Choose them from the first candidates alone, if they are scattered; then from more."""
        if self._is_scattered_over(self._counted):
            for n_candidates in _CANDIDATES:
                yield self._looked_up(self._counted, "1", n_candidates)

    def known(self) -> tuple[str, list[Any], str]:
        """Choose those whose value to sort by is known; give their order, which is that of an index."""
        # every table has the keys: the one of all trains, joined to order by them, may be gone through for every row
        by_key = not self._query.sort_by or self._query.sort_by in NEURON_COLUMNS
        base = self._counted if by_key else self._sorted
        return *self._chosen(base, self._keys(base), self._known()), self._order(base)

    def first_known(self) -> Iterator[tuple[str, list[Any], str]]:
        """Choose them from the first candidates alone, if they are scattered; then from more."""
        if self._is_scattered_over(self._sorted):
            order = self._order(self._sorted)
            for n_candidates in _CANDIDATES:
                yield *self._looked_up(self._sorted, self._keys(self._sorted), n_candidates, order), order

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
                same, own = self._same(source, base)
                texts.append(f"{how} {table().full_table_name} AS {source} ON {' AND '.join(same)}")
                args += own
        return " ".join(texts), args

    def _is_scattered_over(self, base: str) -> bool:
        """Whether conditions of other tables, each met by more than a few rows, choose from all rows of `base`."""
        if self._query.key or not set(self._conditions) - {base}:
            return False
        return not any(self._is_met_by_few(source) for source in self._conditions)

    def _is_met_by_few(self, source: str) -> bool:
        own, args = self._under_parameters(source)
        conditions, values = self._conditions[source]
        where = " AND ".join([*own, *conditions])
        rows = f"SELECT 1 FROM {_TABLES[source]().full_table_name} AS {source} WHERE {where}"
        return _n_rows(rows, [*args, *values], at_most=_FEW + 1) <= _FEW

    def _looked_up(self, base: str, columns: str, n_candidates: int, order: str = "") -> tuple[str, list[Any]]:
        """Choose from the first rows of `base`, asking for each whether those of other tables meet their conditions."""
        own, args = self._under_parameters(base)
        met, values = self._conditions.get(base, ([], []))
        where = " AND ".join([*own, *met, *(self._known() if order else [])])
        # what an index holds: MySQL would copy the rest of the rows, too
        kept = dict.fromkeys(
            (*NEURON_COLUMNS, self._query.sort_by) if order and self._query.sort_by else NEURON_COLUMNS
        )
        candidates = (
            f"SELECT {', '.join(f'{base}.{name}' for name in kept)} FROM {_TABLES[base]().full_table_name} AS {base} "
            f"{f'WHERE {where}' if where else ''} {f'ORDER BY {order}' if order else ''} LIMIT {int(n_candidates)}"
        )
        asked, args = [], [*args, *values]
        for source, (of_source, values) in self._conditions.items():
            if source != base:
                same, own_args = self._same(source, base)
                # servers join EXISTS, and whole tables with it, but not this
                rows = f"SELECT 1 FROM {_TABLES[source]().full_table_name} AS {source}"
                asked.append(f"1 = ({rows} WHERE {' AND '.join([*same, *of_source])})")
                args += [*own_args, *values]
        return f"SELECT {columns} FROM ({candidates}) AS {base} WHERE {' AND '.join(asked)}", args

    def _chosen(
        self, base: str, columns: str, conditions: Iterable[str], joins: str = "", join_args: Iterable[Any] = ()
    ) -> tuple[str, list[Any]]:
        already = {self._sorted} if joins else set()
        more, more_args = self.joins(set(self._conditions) - already, base, "JOIN")
        of_base, base_args = self._under_parameters(base)
        of_key = [f"{base}.{name} = %s" for name in self._query.key]
        filters = [text for texts, _ in self._conditions.values() for text in texts]
        values = [value for _, own in self._conditions.values() for value in own]
        every = " AND ".join([*of_base, *conditions, *of_key, *filters])
        text = f"SELECT {columns} FROM {_TABLES[base]().full_table_name} AS {base} {joins} {more}"
        args = [*join_args, *more_args, *base_args, *self._query.key.values(), *values]
        return f"{text} WHERE {every}" if every else text, args

    def _known(self) -> list[str]:
        return [f"{self._sorted}.{self._query.sort_by} IS NOT NULL"] if self.may_be_unknown() else []

    def _order(self, base: str) -> str:
        name, direction = self._query.sort_by, " DESC" if self._query.descending else ""
        columns = (*([name] if name else []), *NEURON_COLUMNS)
        return ", ".join(f"{base}.{column}{direction}" for column in columns)

    def _same(self, source: str, base: str) -> tuple[list[str], list[Any]]:
        """Say that a row of `source` belongs to one of `base`."""
        shared = (*ID_COLUMNS[:3], "neuron_id") if source == "neuron" else NEURON_COLUMNS
        own, args = self._under_parameters(source)
        return [*(f"{source}.{name} = {base}.{name}" for name in shared), *own], args

    def _under_parameters(self, source: str) -> tuple[list[str], list[Any]]:
        names = _PARAMETERS_OF.get(source, ())
        return [f"{source}.{name} = %s" for name in names], [getattr(self._query.parameters, name) for name in names]

    def _keys(self, base: str) -> str:
        return ", ".join(f"{base}.{name} AS {name}" for name in NEURON_COLUMNS)

    def _of_ranges(self) -> dict[str, _Conditions]:
        found: dict[str, _Conditions] = {}
        for name, limits in self._query.ranges.items():
            conditions, args = found.setdefault(_SOURCES[name], ([], []))
            for sign, limit in zip((">=", "<="), limits, strict=True):
                if limit is not None:
                    conditions.append(f"{_SOURCES[name]}.{name} {sign} %s")
                    # MySQL takes no infinity
                    args.append(max(-sys.float_info.max, min(limit, sys.float_info.max)))
        return found


def _labelled(text: str) -> _Conditions:
    """Say which labels contain a text, by all the different ones unless they are too many."""
    text = text.lower()
    table = _TABLES["neuron"]()
    statement = _DIFFERENT_LABELS[table.connection.adapter.backend]
    labels = [row[0] for row in _ask(statement.format(table=table.full_table_name, limit=_LABELS + 1), ())]
    if len(labels) <= _LABELS:
        found = [label for label in labels if text in label.lower()]
        return [f"neuron.source_label IN ({', '.join(['%s'] * len(found))})" if found else "1 = 0"], found
    # a backslash would escape on MySQL twice over, an exclamation mark nowhere
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return ["LOWER(neuron.source_label) LIKE %s ESCAPE '!'"], [f"%{text}%"]


def _ask(text: str, args: Iterable[Any], *, as_dict: bool = False) -> list[Any]:
    return list(experiment.schema.connection.query(text, tuple(args), as_dict=as_dict).fetchall())
