"""Exported tables say the same as the pipeline, to other programs."""

import datetime
import json
import sys
import zipfile

import h5py
import numpy as np
import pandas as pd
import pynwb
import pytest
from pyarrow import parquet

import dj_neuron
from dj_neuron import queries
from dj_neuron.errors import ExportError, PipelineError
from dj_neuron.export.neurons import dictionary_path, export_neurons
from dj_neuron.export.nwb import export_nwb
from dj_neuron.export.strfs import export_strfs

pytestmark = pytest.mark.usefixtures("computed")


@pytest.fixture(scope="module")
def computed(data_dir, small_file):
    """The small file at one delay; some of its neurons have no receptive field."""
    with dj_neuron.connect(data_dir, prefix="export") as pipeline:
        pipeline.ingest(small_file)
        pipeline.compute(0.05)
        yield pipeline
    with dj_neuron.connect(data_dir, prefix="export") as pipeline:  # other tests may have opened another one
        dj_neuron.pipeline.drop(pipeline.database.connection, "export")


def test_a_text_that_a_spreadsheet_would_take_for_a_formula_is_defused(computed, tmp_path):
    texts = ["=1+1", "+1", "-x", "@a", "\t=1", "a=1"]
    labelled = computed.experiment.Neuron()
    keys = labelled.keys()[: len(texts)]
    before = labelled.to_dicts()
    try:
        for key, text in zip(keys, texts, strict=True):
            labelled.update1({**key, "source_label": text})
        for suffix in ("csv", "parquet"):
            export_neurons(tmp_path / f"n.{suffix}")
        assert set(pd.read_csv(tmp_path / "n.csv")["source_label"].dropna()) >= {
            *(f"'{text}" for text in texts[:5]),
            "a=1",
        }
        assert set(parquet.read_table(tmp_path / "n.parquet")["source_label"].to_pylist()) >= set(texts)
    finally:
        for row in before:
            labelled.update1({name: row[name] for name in (*labelled.primary_key, "source_label")})


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
    with pytest.raises(ExportError, match=r"neurons.csv and .*dictionary.json exist already"):
        export_neurons(path)
    with pytest.raises(ExportError, match=r"neurons.csv was not written by dj-neuron, which does not replace it"):
        export_neurons(path, force=True)
    assert path.read_text() == "mine"
    path.unlink()
    assert export_neurons(path, force=True) > 3
    assert export_neurons(path, {"neuron_id": 1}, force=True) == 3
    assert len(pd.read_csv(path)) == 3


def folder_with(path, attributes, **others):
    path.mkdir()
    (path / ".zattrs").write_bytes(attributes)
    for name, content in others.items():
        (path / name).write_text(content)


def zip_with(path, attributes):
    export_strfs(path, {"neuron_id": 1})
    with zipfile.ZipFile(path, "a") as archive, archive.open("another/attributes.npy", "w") as file:
        np.lib.format.write_array(file, np.array(attributes))


def hdf5_with(path, generated_by):
    with h5py.File(path, "w") as file:
        file["general/was_generated_by"] = generated_by


OURS = b'{"written_by": "dj-neuron 0.1"}'
FOREIGN = {
    "a table": ("n.csv", lambda path: path.write_text("neuron_id,depth_um\n1,2\n")),
    "a table beside what is no dictionary": (
        "n.csv",
        lambda path: (path.write_text("a\n"), path.with_name("n.csv.dictionary.json").write_text('{"a": 1}')),
    ),
    "a dictionary": ("n.csv", lambda path: path.with_name("n.csv.dictionary.json").write_text('["Duden"]')),
    "a table of pandas": ("n.parquet", lambda path: pd.DataFrame({"a": [1]}).to_parquet(path)),
    "no table": ("n.parquet", lambda path: path.write_text("mine")),
    "arrays": ("s.npz", lambda path: np.savez(path, strf=np.ones(3))),
    "our arrays and more": ("s.npz", lambda path: zip_with(path, '{"written_by": "my program"}')),
    "an object as attributes": ("s.npz", lambda path: zip_with(path, "{}")),
    "no archive": ("s.npz", lambda path: path.write_text("mine")),
    "Zarr of others": ("s.zarr", lambda path: folder_with(path, b'{"written_by": "my own program"}', precious="mine")),
    "Zarr of ours and more": ("s.zarr", lambda path: folder_with(path, OURS, precious="mine")),
    "no JSON": ("s.zarr", lambda path: folder_with(path, b"garbage")),
    "no UTF-8": ("s.zarr", lambda path: folder_with(path, b"\xff\xfe")),
    "a number": ("s.zarr", lambda path: folder_with(path, b"5")),
    "a file": ("s.zarr", lambda path: path.write_text("mine")),
    "NWB of others": ("x.nwb", lambda path: hdf5_with(path, [["matnwb", "2"]])),
    "HDF5": ("x.nwb", lambda path: hdf5_with(path, 5)),
    "no HDF5": ("x.nwb", lambda path: path.write_text("mine")),
}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def export(path):
    """Write whatever the name says, whatever is there."""
    if path.suffix == ".nwb":
        return export_nwb(path.parent, "sample_number = 2", force=True)
    return (export_strfs if path.stem == "s" else export_neurons)(path, {"neuron_id": 1}, force=True)


@pytest.mark.parametrize("what", FOREIGN)
def test_what_others_wrote_is_not_replaced_by_force_either(tmp_path, what):
    name, write = FOREIGN[what]
    if name.endswith(".nwb"):
        (file,) = export_nwb(tmp_path, "sample_number = 2")
        file.unlink()
        name = file.name
    write(tmp_path / name)
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=rf"/{name}(.dictionary.json)? was not written by dj-neuron, which does not"):
        export(tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["n.csv", "n.parquet", "s.npz", "s.zarr", "x.nwb"])
def test_what_dj_neuron_wrote_or_holds_nothing_is_replaced(tmp_path, name):
    path = tmp_path / name
    if not name.endswith((".zarr", ".nwb")):
        path.touch()
    export(path)
    before = contents(tmp_path)
    export(path)
    assert contents(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "zarr"])
def test_a_name_that_no_file_can_have_is_said(tmp_path, suffix):
    path = tmp_path / f"{'n' * 300}.{suffix}"
    for force in (False, True):
        with pytest.raises(ExportError, match="cannot be written: File name too long"):
            (export_strfs if suffix in {"npz", "zarr"} else export_neurons)(path, force=force)


def test_what_cannot_be_written_is_said_and_nothing_is(tmp_path):
    with pytest.raises(ExportError, match=r"neurons.xlsx ends in .xlsx, expected .csv or .parquet"):
        export_neurons(tmp_path / "neurons.xlsx")
    with pytest.raises(PipelineError, match="'nonsense' is no condition on neurons"):
        export_neurons(tmp_path / "neurons.csv", "nonsense")
    with pytest.raises(PipelineError, match=r"'neuron' is no attribute of neurons, .*; perhaps 'neuron_id'"):
        export_neurons(tmp_path / "neurons.csv", [{"neuron": 1}, {"neuron_id": 1}])
    assert list(tmp_path.iterdir()) == []


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"writing .parquet needs pyarrow, expected it installed"):
        export_neurons(tmp_path / "neurons.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_parquet_file_comes_back_as_it_was_with_types_and_units(tmp_path):
    path = tmp_path / "neurons.parquet"
    assert export_neurons(path) == 14
    table = parquet.read_table(path)
    assert table.to_pylist() == queries.neuron_table()
    types = {"int": "int64", "float": "double", "text": "string", "bool": "bool", "date": "date32[day]"}
    for column in queries.neuron_columns():
        field = table.schema.field(column.name)
        assert str(field.type) == types[column.type], column.name
        assert field.metadata[b"unit"].decode() == column.unit
        assert field.metadata[b"meaning"].decode() == column.meaning


def test_types_do_not_depend_on_what_is_known(tmp_path):
    """Nothing was recorded twice and no estimate is a ridge one: columns of nothing but nulls keep their types."""
    path = tmp_path / "neurons.parquet"
    assert export_neurons(path, "n_spikes = 0") == 1
    table = parquet.read_table(path)
    for name, expected in {
        "ridge_strength": "double",
        "polarity": "int64",
        "cut_by_edge": "bool",
        "neuron_id": "int64",
        "model": "string",
    }.items():
        assert str(table.schema.field(name).type) == expected
    assert table["polarity"].null_count == 1
    export_neurons(tmp_path / "none.parquet", "n_spikes < 0")
    assert parquet.read_schema(tmp_path / "none.parquet") == table.schema


def test_measures_in_nwb_are_those_of_the_table(tmp_path):
    (file,) = export_nwb(tmp_path, {"sample_number": 2})
    with pynwb.NWBHDF5IO(file, "r") as io:
        tables = io.read().processing["dj_neuron"]
        found, said = (tables[name].to_dataframe() for name in ("dj_neuron_measures", "dj_neuron_computations"))
        described = {name: tables["dj_neuron_measures"][name].description for name in ("centre_x_um", "polarity")}
    rows = queries.neuron_table({"sample_number": 2})
    assert len(found) == len(rows) == 8
    for column in queries.neuron_columns()[3:]:
        unknown = {"text": "", "bool": -1}.get(column.type, np.nan)
        expected = [unknown if row[column.name] is None else row[column.name] for row in rows]
        np.testing.assert_array_equal(found[column.name].to_numpy(), np.array(expected), err_msg=column.name)
    assert described == {
        "centre_x_um": "um from the left of the screen [um]; NaN where not known",
        "polarity": "1 ON, -1 OFF, the sign of the lobe nearest to the spike; NaN where not known",
    }
    tested = said[said.table_name == "Significance"].iloc[0]
    assert (tested.seed, tested.code_version) == (1, dj_neuron.__version__)
    assert tested.parameters.endswith("SignificanceParams 1: n_shifts = 1000, alpha = 0.05, seed = 1")


@pytest.mark.parametrize("kind", ["embedded", "mysql"])
def test_types_are_those_of_the_values_on_every_server(kind, data_dir, prefix, small_file, request):
    config_file = request.getfixturevalue("mysql_config") if kind == "mysql" else None
    with dj_neuron.connect(data_dir, config_file=config_file, prefix=prefix) as pipeline:
        pipeline.ingest(small_file)
        pipeline.compute(0.05, judge=False)
        python = {"int": int, "float": float, "text": str, "bool": bool, "date": datetime.date}
        types = {column.name: python[column.type] for column in queries.neuron_columns()}
        for row in queries.neuron_table():
            assert all(type(value) is types[name] for name, value in row.items() if value is not None)
        assert list(types.values()).count(bool) == 3
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)
