"""What an HDF5 file holds, without its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.readers import ArrayHeader

if TYPE_CHECKING:
    import h5py

_NOT_SHOWN = ("specifications", "object_id", "namespace", ".specloc")  # the format itself, not the recording
_LONGEST_VALUE = 1000


def content_of(file: h5py.File) -> Any:
    """Give groups as dicts, datasets as headers or single values, attributes under ``@name``, links as texts.

    A group with several names is shown at the first; the others are links to it, as there may be any number of paths.
    """
    return _group(file, {})


def _group(group: h5py.Group, seen: dict[h5py.Group, str]) -> Any:
    import h5py  # noqa: PLC0415 - optional, and slow to import

    if group in seen:
        return f"link to {seen[group]}"
    seen[group] = group.name
    found: dict[str, Any] = _attributes(group)
    for name in group:
        if name in _NOT_SHOWN:
            continue
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            found[name] = f"link to {link.path}"
            continue
        item = group[name]
        match item:
            case h5py.Group():
                found[name] = _group(item, seen)
            case h5py.Dataset():
                found[name] = _dataset(item)
            case _:
                found[name] = f"type {item.dtype}"
    return found


def _dataset(dataset: h5py.Dataset) -> Any:
    attributes = _attributes(dataset)
    value = ArrayHeader(dataset.shape, dataset.dtype) if dataset.shape else _value(dataset[()])
    return {"value": value, **attributes} if attributes else value


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {f"@{name}": _value(value) for name, value in item.attrs.items() if name not in _NOT_SHOWN}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, np.ndarray):
        return ArrayHeader(value.shape, value.dtype) if value.dtype.kind != "O" else [str(one) for one in value.flat]
    return value if isinstance(value, np.generic | int | float) else str(value)[:_LONGEST_VALUE]
