"""The table of neurons that the database sorts, filters and cuts, beside the one that Python would."""

import dataclasses
import itertools
import math

import pytest

import dj_neuron
from dj_neuron import ingest, queries
from dj_neuron.contracts import SpikeTrain
from dj_neuron.errors import PipelineError
from dj_neuron.explorer.loading import totals
from dj_neuron.explorer.pages import table
from dj_neuron.pipeline import experiment
from dj_neuron.queries import NeuronQuery, counting, neuron_sql

KEY = ("subject_name", "session_date", "sample_number", "stimulation_number", "neuron_id")


@pytest.fixture(scope="module")
def prefixes():
    """Of computed pipelines, by configuration file."""
    return {}


@pytest.fixture
def computed(prefixes, prefix, data_dir, config_file, make_session):
    """Two stimulations, the second not of the same neurons, with STRFs and all that follows: to be read only."""
    prefix = prefixes.get(config_file, prefix)
    with dj_neuron.connect(data_dir, config_file=config_file, prefix=prefix) as pipeline:
        if config_file not in prefixes:
            compute(pipeline, make_session)
            prefixes[config_file] = prefix
        yield pipeline


def compute(pipeline, make_session):
    list(ingest.ingest([make_session({}, {"onset_s": 2.0})], "made.pkl"))
    pipeline.compute([0.05])


def key_of(row):
    return tuple(row[name] for name in KEY)


def test_sorted_as_python_sorts_with_the_unknown_last(computed):
    for sort_by, descending in itertools.product(queries.SORT_COLUMNS, (False, True)):
        query = NeuronQuery(queries.default_parameters(), sort_by=sort_by, descending=descending)
        rows = queries.neuron_page(query)
        assert len(rows) == queries.n_neurons(query) == 6

        values = [row[sort_by] for row in rows]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known)), query
        assert known == sorted(known, reverse=descending), query


def test_columns_are_those_of_the_table_of_all_measures(computed):
    everything = {key_of(row): row for row in queries.neuron_table()}
    rows = queries.neuron_page(NeuronQuery(queries.default_parameters()))
    assert [key_of(row) for row in rows] == sorted(everything)
    for row in rows:
        assert {name: everything[key_of(row)][name] for name in queries.PAGE_COLUMNS} == row


def test_pages_follow_each_other_without_gap_or_overlap(computed):
    query = NeuronQuery(queries.default_parameters(), sort_by="n_spikes", descending=True)
    whole = [key_of(row) for row in queries.neuron_page(query)]
    parts = [key_of(row) for offset in (0, 2, 4, 6) for row in queries.neuron_page(query, offset=offset, limit=2)]
    assert parts == whole


def test_filters(computed):
    everything = NeuronQuery(queries.default_parameters())

    def found(**changes):
        query = dataclasses.replace(everything, **changes)
        rows = queries.neuron_page(query)
        assert queries.n_neurons(query) == len(rows)
        return rows

    assert {row["n_spikes"] for row in found(ranges={"n_spikes": (3, None)})} == {80, 3}
    assert {row["n_spikes"] for row in found(ranges={"n_spikes": (None, 3)})} == {0, 3}
    assert {row["n_spikes"] for row in found(ranges={"n_spikes": (3, 3)})} == {3}
    assert {row["stimulation_number"] for row in found(key={"stimulation_number": 2})} == {2}
    # what is not known is in no range
    assert all(row["peak_z"] is not None for row in found(ranges={"peak_z": (-math.inf, math.inf)}))
    assert found(ranges={"peak_z": (math.inf, None)}) == []
    assert found(label="no such label") == []
    assert found(label="%") == []


def test_labels_are_found_whatever_their_case(pipeline, make_session):
    labels = ("Chan 1_a", "100% sure", "<script>")
    trains = tuple(SpikeTrain(i, [1.5], label) for i, label in enumerate(labels, 1))
    list(ingest.ingest([make_session({"spike_trains": trains})], "made.pkl"))
    for text, expected in (("chan", {1}), ("1_A", {1}), ("100%", {2}), ("<S", {3}), ("_", {1}), ("!", set())):
        rows = queries.neuron_page(NeuronQuery(queries.default_parameters(), label=text))
        assert {row["neuron_id"] for row in rows} == expected, text


def test_what_is_looked_up_row_by_row_is_what_joins_give(computed, monkeypatch):
    everything = NeuronQuery(queries.default_parameters())
    ranges = [
        {"n_spikes": (1, None)},
        {"peak_z": (None, 100)},
        {"p_value_field": (0, 1)},
        {"p_value_field": (0, 1), "peak_z": (None, 100), "n_spikes": (None, 3)},
        {"polarity": (-1, 1), "test_correlation": (-1, 1)},
        {"q_value_field": (2, 3), "n_spikes": (0, None)},
    ]
    every = itertools.product([{}, *ranges], ("", "n", "no such"), ("", "n_spikes", "peak_z", "test_correlation"))
    chosen = [
        dataclasses.replace(everything, ranges=one, label=label, sort_by=sort_by, descending=label == "n")
        for one, label, sort_by in itertools.islice(every, 0, None, 5)
    ]
    cuts = ((0, 50), (1, 2))

    def found():
        for query in chosen:
            pages = [[key_of(row) for row in queries.neuron_page(query, offset=o, limit=n)] for o, n in cuts]
            yield pages, queries.n_neurons(query, at_most=2), queries.n_neurons(query, at_most=99)

    joined = list(found())
    assert {n_all for _, _, n_all in joined} >= {0, 6}
    asked = []
    connection = experiment.schema.connection
    query = connection.query
    monkeypatch.setattr(connection, "query", lambda text, *args, **how: asked.append(text) or query(text, *args, **how))
    monkeypatch.setattr(neuron_sql, "_FEW", -1)
    for n_candidates in ((99,), (1, 2)):
        monkeypatch.setattr(neuron_sql, "_CANDIDATES", n_candidates)
        assert list(found()) == joined
    assert any("WHERE 1 = (SELECT 1" in text for text in asked)
    monkeypatch.setattr(neuron_sql, "_LABELS", 1)
    assert list(found()) == joined


def test_large_pipelines_count_less(computed, monkeypatch):
    parameters = queries.default_parameters()
    of_one = NeuronQuery(parameters, ranges={"peak_z": (0, None)}, sort_by="n_spikes")
    of_two = NeuronQuery(parameters, ranges={"peak_z": (0, None), "p_value_field": (0, 1)})
    labelled = NeuronQuery(parameters, ranges={"peak_z": (0, None)}, label="1")
    counts = queries.totals(parameters)
    assert not queries.is_large()
    assert {table.most_rows(query) for query in (of_one, of_two, labelled)} == {table.MOST_ROWS}
    assert totals() == counts
    monkeypatch.setattr(counting, "COUNTED_UP_TO", -2)  # a server that has not looked yet estimates -1
    assert queries.is_large()
    assert [table.most_rows(query) for query in (of_one, of_two, labelled)] == [
        table.MOST_ROWS,
        *[table.MOST_JOINED] * 2,
    ]
    assert totals() == counts


def test_nothing_computed_and_nothing_recorded(pipeline, make_session):
    query = NeuronQuery(queries.default_parameters(), sort_by="peak_z")
    assert queries.n_neurons(query) == 0
    assert queries.neuron_page(query) == []
    totals = queries.totals(queries.default_parameters())
    assert totals == {
        "sessions": 0,
        "stimulations": 0,
        "neurons": 0,
        "spikes": 0,
        "significant": 0,
    }

    list(ingest.ingest([make_session({}), make_session(sample_number=9)], "made.pkl"))
    rows = queries.neuron_page(NeuronQuery(queries.default_parameters(), sort_by="peak_z"))
    assert [row["peak_z"] for row in rows] == [None] * 3
    totals = queries.totals(queries.default_parameters())
    assert totals == {
        "sessions": 2,
        "stimulations": 1,
        "neurons": 3,
        "spikes": 83,
        "significant": 0,
    }
    assert [len(session.stimulations) for session in queries.recordings()] == [1, 0]
    assert [session.sample_number for session in queries.recordings(offset=1, limit=1)] == [9]


def test_neighbours_lead_through_all_neurons_and_back(computed):
    keys = [
        dict(zip(KEY, key_of(row), strict=True))
        for row in queries.neuron_page(NeuronQuery(queries.default_parameters()))
    ]
    for before, here, after in zip([None, *keys], keys, [*keys[1:], None], strict=False):
        assert queries.neighbours(here) == (before, after)


def test_columns_that_are_none_are_refused():
    with pytest.raises(PipelineError, match="no such column of neurons"):
        NeuronQuery(queries.ParameterIds(1, 1, 1, 1), sort_by="peak_z; DROP TABLE neuron")
    with pytest.raises(PipelineError, match="no such column of neurons"):
        NeuronQuery(queries.ParameterIds(1, 1, 1, 1), ranges={"source_label": (0, 1)})
    with pytest.raises(PipelineError, match="expected numbers"):
        NeuronQuery(queries.ParameterIds(1, 1, 1, 1), ranges={"peak_z": (math.nan, 1)})


def test_the_state_of_a_stimulation_changes_with_its_results(pipeline, make_session):
    compute(pipeline, make_session)
    first, second = queries.stimulation_ids()
    before = queries.state_of(first), queries.state_of(second)
    assert queries.state_of(first) == before[0]
    pipeline.compute([0.1], replace=True)
    assert queries.state_of(first) != before[0]
    with pytest.raises(PipelineError, match="there is no nobody"):
        queries.state_of(dataclasses.replace(first, subject_name="nobody"))


def test_failed_and_reserved_jobs_are_told(pipeline, make_session):
    compute(pipeline, make_session)
    estimation = pipeline.strf.StrfEstimation()
    key = estimation.keys()[0]
    (estimation & key).delete(prompt=False)
    jobs = estimation.jobs
    jobs.refresh()
    assert jobs.reserve(key)
    jobs.error(key, "the disk is full")
    found = queries.open_jobs()
    assert [(one.table, one.n_reserved, one.n_errors) for one in found if one.n_errors] == [("StrfEstimation", 0, 1)]
    assert found[0].errors[0].message == "the disk is full"
    assert f"stimulation_number {key['stimulation_number']}" in found[0].errors[0].key
