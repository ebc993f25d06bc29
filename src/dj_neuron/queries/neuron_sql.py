"""The statements behind the table of all neurons: which table is gone through, and how the others are asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dj_neuron.pipeline import experiment, quality, receptive_field
from dj_neuron.pipeline.strf import StrfEstimation
from dj_neuron.queries.estimates import ID_COLUMNS, NEURON_COLUMNS
from dj_neuron.queries.neuron_query import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dj_neuron.queries.neuron_query import NeuronQuery

    _Conditions = tuple[list[str], list[Any]]  # and the values of their marks

TABLES: dict[str, Any] = {
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


class NeuronSql:
    """Statements; names come from this module, values go as arguments."""

    def __init__(self, query: NeuronQuery) -> None:
        self._query = query
        self._sorted = SOURCES[query.sort_by] if query.sort_by else "train"
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
        for source, table in TABLES.items():
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
        rows = f"SELECT 1 FROM {TABLES[source]().full_table_name} AS {source} WHERE {where}"
        return n_rows(rows, [*args, *values], at_most=_FEW + 1) <= _FEW

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
            f"SELECT {', '.join(f'{base}.{name}' for name in kept)} FROM {TABLES[base]().full_table_name} AS {base} "
            f"{f'WHERE {where}' if where else ''} {f'ORDER BY {order}' if order else ''} LIMIT {int(n_candidates)}"
        )
        asked, args = [], [*args, *values]
        for source, (of_source, values) in self._conditions.items():
            if source != base:
                same, own_args = self._same(source, base)
                # servers join EXISTS, and whole tables with it, but not this
                rows = f"SELECT 1 FROM {TABLES[source]().full_table_name} AS {source}"
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
        text = f"SELECT {columns} FROM {TABLES[base]().full_table_name} AS {base} {joins} {more}"
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
            conditions, args = found.setdefault(SOURCES[name], ([], []))
            for sign, limit in zip((">=", "<="), limits, strict=True):
                if limit is not None:
                    conditions.append(f"{SOURCES[name]}.{name} {sign} %s")
                    # MySQL takes no infinity
                    args.append(max(-sys.float_info.max, min(limit, sys.float_info.max)))
        return found


def _labelled(text: str) -> _Conditions:
    """Say which labels contain a text, by all the different ones unless they are too many."""
    text = text.lower()
    table = TABLES["neuron"]()
    statement = _DIFFERENT_LABELS[table.connection.adapter.backend]
    labels = [row[0] for row in ask(statement.format(table=table.full_table_name, limit=_LABELS + 1), ())]
    if len(labels) <= _LABELS:
        found = [label for label in labels if text in label.lower()]
        return [f"neuron.source_label IN ({', '.join(['%s'] * len(found))})" if found else "1 = 0"], found
    # a backslash would escape on MySQL twice over, an exclamation mark nowhere
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return ["LOWER(neuron.source_label) LIKE %s ESCAPE '!'"], [f"%{text}%"]


def n_rows(chosen: str, args: list[Any], *, at_most: int | None) -> int:
    """Count what is chosen, `at_most` so many."""
    limit = "" if at_most is None else f" LIMIT {int(at_most)}"
    return int(ask(f"SELECT COUNT(*) FROM ({chosen}{limit}) AS found", args)[0][0])


def ask(text: str, args: Iterable[Any], *, as_dict: bool = False) -> list[Any]:
    """Give the rows of a statement, with `args` for its marks."""
    return list(experiment.schema.connection.query(text, tuple(args), as_dict=as_dict).fetchall())
