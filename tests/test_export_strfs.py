"""Exported STRFs have named axes, units and provenance, and the values of the pipeline."""

import datetime
import importlib.metadata
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray
import zarr

import dj_neuron
from dj_neuron import queries
from dj_neuron.errors import ExportError, PipelineError
from dj_neuron.export.strfs import _named, export_strfs
from dj_neuron.queries.estimations import StrfsInStore

FORMATS = pytest.mark.parametrize("suffix", [".npz", ".zarr"])
PER_DELAY = ("error_factor", "n_used", "n_before_onset", "n_after_end", "n_in_gap")


@pytest.fixture(scope="module", autouse=True)
def computed(data_dir, small_file):
    """The small file by two rows of parameters."""
    with dj_neuron.connect(data_dir, prefix="export_strfs") as pipeline:
        pipeline.ingest(small_file)
        pipeline.compute([0.05, dj_neuron.connection.DelayRange(0, 0.1)], judge=False)
        yield pipeline
        dj_neuron.pipeline.drop(pipeline.database.connection, "export_strfs")


def read(path):
    """Give arrays, their axes and attributes by group, with the format's own library."""
    if path.suffix == ".zarr":
        for name, group in zarr.open_group(str(path), mode="r").groups():
            arrays = {own: array[:] for own, array in group.arrays()}
            axes = {own: array.attrs["_ARRAY_DIMENSIONS"] for own, array in group.arrays()}
            units = {own: array.attrs["units"] for own, array in group.arrays()}
            yield name, (arrays, axes, units, dict(group.attrs))
        return
    with np.load(path, allow_pickle=False) as archive:
        for name in dict.fromkeys(key.split("/")[0] for key in archive):
            arrays = {key.split("/")[1]: archive[key] for key in archive if key.startswith(f"{name}/")}
            attributes = json.loads(str(arrays.pop("attributes")))
            described = attributes.pop("arrays")
            axes, units = ({own: one[what] for own, one in described.items()} for what in ("axes", "unit"))
            yield name, (arrays, axes, units, attributes)


@FORMATS
def test_arrays_come_back_with_axes_units_and_provenance(tmp_path, suffix):
    path = tmp_path / f"strfs{suffix}"
    names = export_strfs(path)
    found, estimations = dict(read(path)), list(queries.estimations())
    assert len(names) == len(estimations) == 6
    assert set(found) == set(names)
    for name, estimation in zip(names, estimations, strict=True):
        arrays, axes, units, attributes = found[name]
        assert np.array_equal(arrays["strf"], estimation.strfs[:], equal_nan=True)
        assert arrays["strf"].dtype == np.float32
        assert list(axes["strf"]) == ["neuron", "delay_s", "y_um", "x_um"]
        assert arrays["strf"].shape == tuple(arrays[axis].size for axis in axes["strf"])
        assert arrays["neuron"].tolist() == list(estimation.neuron_ids)
        assert np.array_equal(arrays["delay_s"], estimation.delays_s)
        assert arrays["x_um"][0] == estimation.block_size_um[0] / 2
        np.testing.assert_allclose(np.diff(arrays["y_um"]), estimation.block_size_um[1])
        assert np.array_equal(arrays["n_used"], estimation.ledger.n_used)
        assert arrays["n_used"].dtype.kind == "i"
        assert all(list(axes[own]) == ["neuron", "delay_s"] for own in PER_DELAY)
        assert (units["strf"], units["delay_s"], units["x_um"]) == ("contrast", "s", "um")
        one = estimation.stimulation_id
        assert attributes["subject_name"] == one.subject_name
        assert attributes["session_date"] == str(one.session_date)
        assert attributes["movie_hash"] == estimation.movie_hash
        assert attributes["code_version"] == dj_neuron.__version__
        assert (attributes["estimator"], attributes["centre"]) == ("sta", True)


def test_the_standard_error_follows_from_what_is_written(tmp_path):
    export_strfs(tmp_path / "strfs.npz", {"neuron_id": 2})
    for _, (arrays, *_, attributes) in read(tmp_path / "strfs.npz"):
        key = {name: attributes[name] for name in ("sample_number", "stimulation_number", "strf_params_id")}
        (strf,) = queries.strfs(key | {"neuron_id": 2}, combine=False)
        error = arrays["error_factor"][0][:, None, None] * arrays["pixel_sd"]
        np.testing.assert_allclose(error, strf.standard_error, rtol=1e-6)


def needs_newer_zarr():
    required = " ".join(importlib.metadata.requires("xarray") or [])
    return zarr.__version__.startswith("2.") and re.search(r"zarr>=3", required) is not None


@pytest.mark.skipif(needs_newer_zarr(), reason="this xarray reads no Zarr by the zarr that is installed")
def test_xarray_reads_zarr(tmp_path):
    names = export_strfs(tmp_path / "strfs.zarr")
    for name, estimation in zip(names, queries.estimations(), strict=True):
        with xarray.open_zarr(str(tmp_path / "strfs.zarr"), group=name) as data:
            nearest = data.strf.sel(neuron=1).sel(delay_s=0.05, method="nearest")
            at = np.abs(estimation.delays_s - 0.05).argmin()
            assert np.array_equal(nearest.values, estimation.strfs[:][0, at], equal_nan=True)
            assert data.n_used.dtype == np.int64  # zeros are numbers, not missing ones
            assert data.attrs["stimulation_number"] == estimation.stimulation_id.stimulation_number


@FORMATS
def test_strfs_are_written_some_neurons_at_a_time(tmp_path, suffix, monkeypatch):
    whole = tmp_path / f"whole{suffix}"
    export_strfs(whole)
    monkeypatch.setattr("dj_neuron.export.strfs._BLOCK_BYTES", 1)
    asked, load = [], StrfsInStore.__getitem__
    monkeypatch.setattr(
        StrfsInStore,
        "__getitem__",
        lambda strfs, neurons: asked.append(neurons.stop - neurons.start) or load(strfs, neurons),
    )
    export_strfs(tmp_path / f"parts{suffix}")
    assert set(asked) == {1}
    assert len(asked) == 28
    for (_, one), (_, other) in zip(read(whole), read(tmp_path / f"parts{suffix}"), strict=True):
        for own in one[0]:
            np.testing.assert_array_equal(one[0][own], other[0][own])


def test_groups_of_like_names_stay_apart():
    found = list(queries.estimations("neuron_id = 1 AND sample_number = 1"))
    names = [name for name, _ in _named(found + found)]
    assert names[0] == "WT_small_20200301_sample1_stimulation1_params1"
    assert names[2:] == [f"{name}_" for name in names[:2]]
    long = replace(found[0].stimulation_id, subject_name="ü" * 128, session_date=datetime.date(1, 2, 3))
    ((name, _),) = _named([replace(found[0], stimulation_id=long)])
    assert name == f"{'ü' * 75}_00010203_sample1_stimulation1_params1"


@FORMATS
def test_nothing_is_overwritten_unasked_and_nothing_half_written(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"strfs{suffix}"
    export_strfs(path, {"neuron_id": 1})
    with pytest.raises(ExportError, match=rf"strfs{suffix} exists already"):
        export_strfs(path)

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr(StrfsInStore, "__getitem__", fail)
    with pytest.raises(ExportError, match="cannot be written: the disk is full"):
        export_strfs(path, force=True)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert [arrays["neuron"].tolist() for _, (arrays, *_) in read(path)] == [[1]] * 6
    export_strfs(path, {"neuron_id": 2}, force=True)
    assert [arrays["neuron"].tolist() for _, (arrays, *_) in read(path)] == [[2]] * 6
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_of_others_is_never_replaced(tmp_path):
    path = tmp_path / "mine.zarr"
    path.mkdir()
    (path / "data").write_text("precious")
    with pytest.raises(ExportError, match=r"mine.zarr was not written by dj-neuron, which does not replace it"):
        export_strfs(path, force=True)
    assert (path / "data").read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_said_and_nothing_is(tmp_path, monkeypatch):
    with pytest.raises(ExportError, match=r"strfs.mat ends in .mat, expected .npz or .zarr"):
        export_strfs(tmp_path / "strfs.mat")
    with pytest.raises(PipelineError, match="'nonsense' is no condition on neurons"):
        export_strfs(tmp_path / "strfs.npz", "nonsense")
    with pytest.raises(ExportError, match=r"no STRF meets the condition, expected at least one"):
        export_strfs(tmp_path / "strfs.zarr", "neuron_id = 99")
    with pytest.raises(ExportError, match=r"nowhere is no folder that is there"):
        export_strfs(tmp_path / "nowhere" / "strfs.npz")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ExportError, match=r"writing .zarr needs the package zarr"):
        export_strfs(tmp_path / "strfs.zarr")
    assert list(tmp_path.iterdir()) == []
