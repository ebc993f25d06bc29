"""STRFs as arrays with named axes: NumPy archives and Zarr."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dj_neuron import __version__, queries
from dj_neuron.errors import ExportError
from dj_neuron.export.existing import refuse_existing
from dj_neuron.export.names import day, shortened
from dj_neuron.whole import whole_file, whole_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from dj_neuron.contracts.movie import Slices
    from dj_neuron.queries import Estimation

_FORMATS = (".npz", ".zarr")
_BLOCK_BYTES = 1 << 26  # of STRFs in memory at a time
_STRF_AXES = ("neuron", "delay_s", "y_um", "x_um")


class NamedArray(NamedTuple):
    """An array, the names of its axes, its unit and its meaning."""

    axes: tuple[str, ...]
    values: Any
    unit: str
    meaning: str


def export_strfs(path: Path, restriction: Any = True, *, force: bool = False) -> list[str]:
    """Write all STRFs, one group of arrays per stimulation and row of StrfParams.

    Parameters
    ----------
    path : Path
        ``.npz``, which NumPy reads, or ``.zarr``, which xarray and zarr read, and which needs zarr.
    restriction
        Anything DataJoint takes, on stimulations, neurons, parameters and peaks.
    force : bool
        Replace what is there, if dj-neuron wrote it.

    Returns
    -------
    list of str
        Names of the groups.

    Raises
    ------
    ExportError
        If the format is neither, something is there, or no STRF meets `restriction`; nothing is written then.
    """
    if path.suffix not in _FORMATS:
        raise ExportError(f"{path} ends in {path.suffix or 'nothing'}, expected {' or '.join(_FORMATS)}")
    refuse_existing(path, force=force)
    found = _named(queries.estimations(restriction))
    if path.suffix == ".zarr":
        _need_zarr()
        with whole_folder(path) as partial:
            return _some(_write_zarr(partial, found), path)
    with whole_file(path) as partial:
        return _some(_write_npz(partial, found), path)


def _some(names: list[str], path: Path) -> list[str]:
    if not names:
        raise ExportError(f"{path} is not written: no STRF meets the condition, expected at least one")
    return names


def arrays_of(estimation: Estimation) -> dict[str, NamedArray]:
    """Give the arrays of an estimation by name; the STRFs among them are read when they are sliced."""
    ledger = estimation.ledger
    per_delay, image = ("neuron", "delay_s"), ("y_um", "x_um")
    labels = np.array(estimation.source_labels, np.str_)
    return {
        "neuron": NamedArray(("neuron",), np.array(estimation.neuron_ids), "", "number within the session, from 1"),
        "delay_s": NamedArray(("delay_s",), estimation.delays_s, "s", "before the spike"),
        "y_um": NamedArray(("y_um",), estimation.y_um, "um", "centres of the rows, from the top of the screen"),
        "x_um": NamedArray(("x_um",), estimation.x_um, "um", "centres of the columns, from the left of the screen"),
        "source_label": NamedArray(("neuron",), labels, "", "what the source calls the unit"),
        "strf": NamedArray(_STRF_AXES, estimation.strfs, estimation.unit, "NaN at delays with too few spikes"),
        "error_factor": NamedArray(per_delay, estimation.error_factor, "", "times pixel_sd the standard error of strf"),
        "pixel_mean": NamedArray(image, estimation.pixel_mean, "contrast", "mean of the movie"),
        "pixel_sd": NamedArray(image, estimation.pixel_sd, "contrast", "standard deviation of the movie"),
        "n_used": NamedArray(per_delay, ledger.n_used, "", "spikes that count"),
        "n_before_onset": NamedArray(per_delay, ledger.n_before_onset, "", "spikes whose frame is before the onset"),
        "n_after_end": NamedArray(per_delay, ledger.n_after_end, "", "spikes whose frame is after the end"),
        "n_in_gap": NamedArray(per_delay, ledger.n_in_gap, "", "spikes whose frame falls in a gap"),
    }


def attributes_of(estimation: Estimation) -> dict[str, Any]:
    """Give what an estimation is of, and by which code and parameters."""
    stimulation = estimation.stimulation_id
    return {
        "subject_name": stimulation.subject_name,
        "session_date": stimulation.session_date.isoformat(),
        "sample_number": stimulation.sample_number,
        "stimulation_number": stimulation.stimulation_number,
        "strf_params_id": estimation.strf_params_id,
        **estimation.rules,
        "movie_hash": estimation.movie_hash,
        "code_version": estimation.code_version,
        "written_by": f"dj-neuron {__version__}",
    }


def _named(found: Iterable[Estimation]) -> Iterator[tuple[str, Estimation]]:
    """Name groups by subject, date, sample, stimulation and parameters, each name once."""
    taken: set[str] = set()
    for estimation in found:
        one = estimation.stimulation_id
        subject = shortened(re.sub(r"\W+", "_", one.subject_name).strip("_"))
        place = f"{day(one.session_date)}_sample{one.sample_number}_stimulation{one.stimulation_number}"
        name = f"{subject}_{place}_params{estimation.strf_params_id}"
        while name in taken:
            name += "_"
        taken.add(name)
        yield name, estimation


def _blocks(values: Slices) -> Iterator[slice]:
    n_in_block = max(_BLOCK_BYTES // (int(np.prod(values.shape[1:])) * values.dtype.itemsize), 1)
    return (slice(begin, begin + n_in_block) for begin in range(0, values.shape[0], n_in_block))


def _write_npz(path: Path, found: Iterable[tuple[str, Estimation]]) -> list[str]:
    names = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, estimation in found:
            arrays = arrays_of(estimation)
            for own, array in arrays.items():
                with archive.open(f"{name}/{own}.npy", "w", force_zip64=True) as file:
                    _write_npy(file, array.values)
            described = {
                own: {"axes": array.axes, "unit": array.unit, "meaning": array.meaning} for own, array in arrays.items()
            }
            text = json.dumps({**attributes_of(estimation), "arrays": described}, indent=1)
            with archive.open(f"{name}/attributes.npy", "w") as file:
                _write_npy(file, np.array(text))
            names.append(name)
    return names


def _write_npy(file: IO[bytes], values: Any) -> None:
    """Write as NumPy does, some of the STRFs at a time."""
    if isinstance(values, np.ndarray):
        np.lib.format.write_array(file, values, allow_pickle=False)
        return
    head = {"descr": values.dtype.str, "fortran_order": False, "shape": tuple(values.shape)}
    np.lib.format.write_array_header_1_0(file, head)
    for block in _blocks(values):
        file.write(np.ascontiguousarray(values[block]).data)


def _need_zarr() -> None:
    try:
        import zarr  # noqa: F401, PLC0415 - not needed for anything else
    except ImportError as error:
        raise ExportError(
            f"writing .zarr needs the package {error.name}, expected it installed (pip install 'dj-neuron[tables]'), "
            "or .npz"
        ) from error


def _write_zarr(path: Path, found: Iterable[tuple[str, Estimation]]) -> list[str]:
    """Write groups of format 2, which both versions of zarr read, by the conventions of xarray."""
    import zarr  # noqa: PLC0415

    of_format = {} if zarr.__version__.startswith("2.") else {"zarr_format": 2}
    root, names = zarr.open_group(str(path), mode="w", **of_format), []
    root.attrs["written_by"] = f"dj-neuron {__version__}"
    for name, estimation in found:
        group = root.create_group(name)
        group.attrs.update(attributes_of(estimation))
        for own, array in arrays_of(estimation).items():
            _write_zarr_array(group, own, array)
        names.append(name)
    zarr.consolidate_metadata(str(path), **of_format)
    return names


def _write_zarr_array(group: Any, name: str, array: NamedArray) -> None:
    values = array.values
    in_memory = isinstance(values, np.ndarray)
    chunks = values.shape if in_memory else (1, *values.shape[1:])
    # a fill value would be taken for what is not known
    what = {"shape": values.shape, "chunks": chunks, "dtype": values.dtype, "fill_value": None}
    made = group.create_array(name, **what) if hasattr(group, "create_array") else group.create_dataset(name, **what)
    made.attrs.update({"_ARRAY_DIMENSIONS": list(array.axes), "units": array.unit, "long_name": array.meaning})
    for block in [slice(None)] if in_memory else _blocks(values):
        made[block] = values[block]
