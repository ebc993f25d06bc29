"""Exported tables say the same as the pipeline, to other programs."""

import json

import numpy as np
import pandas as pd
import pytest

import dj_neuron
from dj_neuron import queries
from dj_neuron.errors import ExportError, PipelineError
from dj_neuron.export.neurons import dictionary_path, export_neurons

pytestmark = pytest.mark.usefixtures("computed")


@pytest.fixture(scope="module")
def computed(data_dir, small_file):
    """The small file at one delay; some of its neurons have no receptive field."""
    with dj_neuron.connect(data_dir, prefix="export") as pipeline:
        pipeline.ingest(small_file)
        pipeline.compute(0.05)
        yield pipeline
        dj_neuron.pipeline.drop(pipeline.database.connection, "export")


def test_a_csv_file_comes_back_as_it_was(tmp_path):
    path = tmp_path / "neurons.csv"
    assert export_neurons(path) == 14
    rows = queries.neuron_table()
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert list(table.columns) == list(rows[0])
    for found, row in zip(table.to_dict("records"), rows, strict=True):
        for name, value in row.items():
            if value is None or value == "":
                assert pd.isna(found[name]), name
            elif isinstance(value, float | int):
                assert found[name] == pytest.approx(value, rel=1e-14), name
            else:
                assert str(found[name]) == str(value), name
    assert np.isnan(table["p_value"][table["n_spikes"] == 0]).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["neurons.csv", "neurons.csv.dictionary.json"]


def test_the_dictionary_explains_every_column_in_order(tmp_path):
    path = tmp_path / "neurons.csv"
    export_neurons(path)
    meanings = json.loads(dictionary_path(path).read_text())
    assert [column["name"] for column in meanings] == list(queries.neuron_table()[0])
    assert all(column["meaning"] and column["table"] for column in meanings)
    units = {column["name"]: column["unit"] for column in meanings}
    assert units["peak_delay_s"] == "s"
    assert units["centre_x_um"] == "um"


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "neurons.csv"
    export_neurons(path)
    path.write_text("mine")
    with pytest.raises(ExportError, match=r"neurons.csv and .*dictionary.json exist\(s\) already"):
        export_neurons(path)
    assert path.read_text() == "mine"
    assert export_neurons(path, {"neuron_id": 1}, force=True) == 3
    assert len(pd.read_csv(path)) == 3


def test_what_cannot_be_written_is_said_and_nothing_is(tmp_path):
    with pytest.raises(ExportError, match=r"neurons.xlsx ends in .xlsx, expected .csv or .parquet"):
        export_neurons(tmp_path / "neurons.xlsx")
    with pytest.raises(PipelineError, match="'nonsense' is no condition on neurons"):
        export_neurons(tmp_path / "neurons.csv", "nonsense")
    assert list(tmp_path.iterdir()) == []


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"writing .parquet needs pyarrow, which is not installed"):
        export_neurons(tmp_path / "neurons.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_parquet_file_comes_back_as_it_was(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "neurons.parquet"
    assert export_neurons(path) == 14
    assert parquet.read_table(path).to_pylist() == queries.neuron_table()
