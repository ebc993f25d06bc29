"""The table of neurons: sorted, filtered and paged by the database, every state of it in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dj_neuron import queries
from dj_neuron.contracts import StimulationId
from dj_neuron.explorer.addresses import AddressError, neuron_path, number, place_of, search_of, values_of
from dj_neuron.explorer.failures import part_in_words
from dj_neuron.explorer.parts import UNKNOWN, chance_text, count_text, notice, number_text
from dj_neuron.explorer.words import estimate_words
from dj_neuron.pictures.words import POLARITY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dash.development.base_component import Component

    Values = Mapping[str, str]
    Row = dict[str, Any]

ROWS_PER_PAGE = 50
MOST_ROWS = 10_000  # of any choice: to count all and to walk to the last would take seconds at a million neurons
MOST_JOINED = 1_000  # of one by measures of several tables, where they are large


@dataclass(frozen=True)
class Column:
    """A column of the table: its measure, what it is called, its unit and how it is written."""

    name: str
    words: str
    text: Callable[[Any], str]
    unit: str = ""
    scale: float = 1.0
    meaning: str = ""

    @property
    def title(self) -> str:
        """What it is called, with the unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words


def _decimals(decimals: int, scale: float = 1.0) -> Callable[[Any], str]:
    return lambda value: number_text(None if value is None else value * scale, decimals)


def _polarity(value: Any) -> str:
    return POLARITY.get(value, UNKNOWN)


COLUMNS = (
    Column("n_spikes", "Spikes", _decimals(0), meaning="during the stimulation"),
    Column("peak_z", "Peak z", _decimals(1), meaning="where the STRF stands out most, in standard errors"),
    Column("p_value_field", "p", chance_text, meaning="chance of such a field, of any size, without an effect"),
    Column("q_value_field", "q", chance_text, meaning="false discovery rate over the neurons of the stimulation"),
    Column("polarity", "Polarity", _polarity, meaning="ON or OFF"),
    Column("centre_x_um", "x", _decimals(0), "µm", meaning="centre, from the left of the screen"),
    Column("centre_y_um", "y", _decimals(0), "µm", meaning="centre, from the top of the screen"),
    Column("sigma_major_um", "σ", _decimals(0), "µm", meaning="of the fitted Gaussian, major axis"),
    Column("time_to_peak_s", "Peak at", _decimals(0, 1e3), "ms", 1e3, "time from the peak to the spike"),
    Column("test_correlation", "Test r", _decimals(2), meaning="correlation of prediction and held-out counts"),
)
RANGES = {column.name: column for column in COLUMNS}
VALUES = frozenset({"sort", "page", "label", *RANGES})
_ASCENDING_FIRST = {"neuron_id", "p_value_field", "q_value_field"}
_PRESETS = (("Significant", "p_value_field", "..0.05"), ("ON", "polarity", "1..1"), ("OFF", "polarity", "-1..-1"))


def register(app: Dash) -> None:
    """Keep the table in step with its part of the address."""
    app.callback(
        Output("neurons", "children"),
        Input("url", "search"),
        State("url", "pathname"),
        prevent_initial_call=True,
    )(_follow)
    app.clientside_callback(
        ClientsideFunction("explorer", "drawRows"), Output("drawn-rows", "className"), Input("rows", "data")
    )


def neurons_card(key: Row, values: Values) -> html.Section:
    """Show the neurons that share `key`, as the address says."""
    return html.Section(html.Div(_contents(key, values), id="neurons"), className="card table-card")


def _follow(search: str | None, pathname: str | None) -> Any:
    def make() -> Component:
        place = place_of(pathname or "/")
        key = {} if place.stimulation_id is None else vars(place.stimulation_id)
        return html.Div(_contents(key, values_of(search)))

    return part_in_words(make)


def _contents(key: Row, values: Values) -> list[Any]:
    query = query_of(key, values)
    page = number({"page": "1", **values}, "page", int)
    most = most_rows(query)
    n_matching = queries.n_neurons(query, at_most=most + 1)
    n_pages = max(1, -(-min(n_matching, most) // ROWS_PER_PAGE))
    if not 1 <= page <= n_pages:
        raise AddressError(f"the address asks for page {page} of the table, expected 1 to {n_pages}")
    rows = queries.neuron_page(query, offset=(page - 1) * ROWS_PER_PAGE, limit=ROWS_PER_PAGE) if n_matching else []
    return [
        html.Div(
            [
                html.H2("All neurons" if not key else "Neurons of this stimulation"),
                html.Span(_count(n_matching, most), className="note"),
                _pager(values, page, n_pages),
            ],
            className="card-head",
        ),
        _filters(values),
        _table(rows, key, values) if rows else _nothing(key, values),
    ]


def most_rows(query: queries.NeuronQuery) -> int:
    """How many rows of a choice are shown, and counted."""
    return MOST_JOINED if not query.is_of_one_table and queries.is_large() else MOST_ROWS


def _count(n_matching: int, most: int) -> str:
    if n_matching > most:
        return f"the first {most:,} of more rows; filter or sort to see others"
    return count_text(n_matching, "row") if n_matching else ""


def query_of(key: Row, values: Values) -> queries.NeuronQuery:
    """Read which neurons an address asks for.

    Raises
    ------
    AddressError
        If it names no such column or range.
    """
    sort = values.get("sort", "")
    if sort.removeprefix("-") not in {*queries.SORT_COLUMNS, ""}:
        raise AddressError(f"the address says sort={sort!r}, expected one of {', '.join(queries.SORT_COLUMNS)}")
    return queries.NeuronQuery(
        parameters=queries.default_parameters(number(values, "row", int)),
        key=key,
        ranges={name: _range(name, values[name]) for name in RANGES if name in values},
        label=values.get("label", ""),
        sort_by=sort.removeprefix("-"),
        descending=sort.startswith("-"),
    )


def _range(name: str, text: str) -> tuple[float | None, float | None]:
    low, dots, high = text.partition("..")
    try:
        if dots:
            return (float(low) if low else None, float(high) if high else None)
    except ValueError:
        pass
    raise AddressError(f"the address says {name}={text!r}, expected LOWEST..HIGHEST")


def _range_words(column: Column, text: str) -> str:
    low, high = (None if end is None else f"{end * column.scale:.6g}" for end in _range(column.name, text))
    unit = f" {column.unit}" if column.unit else ""
    if low == high:
        return f"{column.words} = {low}{unit}"
    if low is None:
        return f"{column.words} ≤ {high}{unit}"
    return f"{column.words} ≥ {low}{unit}" if high is None else f"{column.words} {low} to {high}{unit}"


def _changed(values: Values, **changes: Any) -> str:
    """Write the address of the same page with other values, from its first row on."""
    return search_of({**values, "page": None, **changes}) or "?"


def _filters(values: Values) -> html.Div:
    chips: list[Any] = []
    for words, name, text in _PRESETS:
        is_on = values.get(name) == text
        chips.append(
            dcc.Link(
                words,
                href=_changed(values, **{name: None if is_on else text}),
                className="chip on" if is_on else "chip",
            )
        )
    presets = {(name, text) for _, name, text in _PRESETS}
    for name, column in RANGES.items():
        if name in values and (name, values[name]) not in presets:
            chips.append(_removable(_range_words(column, values[name]), _changed(values, **{name: None})))
    if values.get("label"):
        chips.append(_removable(f"label contains “{values['label']}”", _changed(values, label=None)))
    return html.Div([html.Div(chips, className="chips"), _estimates(values), _form()], className="filters")


def _removable(words: str, href: str) -> dcc.Link:
    return dcc.Link([words, html.Span(" ✕", **{"aria-label": ", remove"})], href=href, className="chip on")


def _estimates(values: Values) -> Any:
    rows = queries.parameter_rows()
    if len(rows) < 2:
        return None
    chosen = queries.default_parameters(number(values, "row", int)).strf_params_id
    return html.Div(
        [
            html.Span("Estimate"),
            *(
                dcc.Link(
                    estimate_words(row),
                    href=_changed(values, row=row["strf_params_id"]),
                    className="chip on" if row["strf_params_id"] == chosen else "chip",
                )
                for row in rows
            ),
        ],
        className="chips",
    )


def _form() -> html.Form:
    options = [
        html.Option(column.title, value=name, **{"data-scale": str(column.scale)})
        for name, column in RANGES.items()
        if name != "polarity"
    ]
    number_box = {"type": "text", "inputMode": "decimal", "size": "6", "autoComplete": "off"}
    return html.Form(
        [
            html.Label(["Label ", dcc.Input(type="search", name="label", size="10", autoComplete="off")]),
            html.Label(["Where ", html.Select(options, name="column")]),
            html.Label(["from ", dcc.Input(name="low", **number_box)]),
            html.Label(["to ", dcc.Input(name="high", **number_box)]),
            html.Button("Filter", type="submit"),
        ],
        className="filter-form",
    )


def _pager(values: Values, page: int, n_pages: int) -> html.Nav:
    def link(words: str, label: str, target: int) -> Any:
        if not 1 <= target <= n_pages or target == page:
            return html.Span(words, className="off", **{"aria-hidden": "true"})
        href = search_of({**values, "page": None if target == 1 else target}) or "?"
        return dcc.Link(html.Span(words, **{"aria-label": label, "role": "img"}), href=href)

    return html.Nav(
        [
            link("«", "First page", 1),
            link("‹", "Page before", page - 1),
            html.Span(f"{page:,} of {n_pages:,}"),
            link("›", "Next page", page + 1),
            link("»", "Last page", n_pages),
        ],
        className="pager",
        **{"aria-label": "Pages of the table"},
    )


def _nothing(key: Row, values: Values) -> html.Div:
    if set(values) & {*RANGES, "label"}:
        return notice("No neuron passes these filters. ", dcc.Link("Show all", href=_cleared(values)))
    return notice("No neuron was recorded during this stimulation." if key else "No neuron was recorded.")


def _cleared(values: Values) -> str:
    return _changed(values, **dict.fromkeys((*RANGES, "label")))


def _table(rows: list[Row], key: Row, values: Values) -> html.Div:
    heads = [_head("neuron_id", "Neuron", "", values, is_left=True)]
    if not key:
        heads.append({"text": "Recording", "isLeft": True})
    heads += [_head(column.name, column.words, column.meaning, values, unit=column.unit) for column in COLUMNS]
    # thousands of Dash components would take the browser longer than the database takes for the rows
    return html.Div(
        [
            dcc.Store(id="rows", data={"heads": heads, "rows": [_row(row, key, values) for row in rows]}),
            html.Div(id="drawn-rows", className="scroll", tabIndex="0", role="region", **{"aria-label": "Neurons"}),
        ],
        className="table-box",
    )


def _head(
    name: str, title: str, meaning: str, values: Values, *, unit: str = "", is_left: bool = False
) -> dict[str, Any]:
    sort = values.get("sort", "")
    first = name if name in _ASCENDING_FIRST else f"-{name}"
    other = f"-{name}" if first == name else name
    return {
        "text": title,
        "unit": unit,
        "title": meaning,
        "search": _changed(values, sort=other if sort == first else None if sort == other else first),
        "sorted": {name: "ascending", f"-{name}": "descending"}.get(sort, "none"),
        "isLeft": is_left,
    }


def _row(row: Row, key: Row, values: Values) -> dict[str, Any]:
    """Write a row as the browser draws it: its address, and the texts of its cells."""
    stimulation_id = StimulationId(*(row[name] for name in StimulationId.__dataclass_fields__))
    one = stimulation_id
    recording = f"{one.subject_name} · {one.session_date} · {one.sample_number} · {one.stimulation_number}"
    return {
        "pathname": neuron_path(stimulation_id, row["neuron_id"]),
        "search": search_of({"row": values.get("row")}),
        "number": str(row["neuron_id"]),
        "label": row["source_label"],
        "recording": "" if key else recording,
        "cells": [column.text(row[column.name]) for column in COLUMNS],
    }
