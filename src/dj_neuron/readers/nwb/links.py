"""Links in an HDF5 file: to parts that are in other files, and deeper than anybody nests them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

MAX_DEPTH = 100
"""How deep groups may be nested."""


def check_links(file: h5py.File, path: Path) -> None:
    """Raise ReadError if any part of the file is to be read from another one, or is nested deeper than MAX_DEPTH.

    HDF5 follows such links by itself, to any file of whoever reads, HDF5 or not: a file from elsewhere could have them
    ingested, and in the end exported, as a movie.
    """
    import h5py  # noqa: PLC0415 - optional, and slow to import

    def fault(name: str, link: object) -> str | None:
        if name.count("/") >= MAX_DEPTH:
            return f"{name:.40}... is nested deeper than {MAX_DEPTH} groups, expected fewer"
        others: list[str] = []
        if isinstance(link, h5py.ExternalLink):
            others = [link.filename]
        elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
            others = [source.file_name for source in item.virtual_sources()] if item.is_virtual else []
            others += [source[0] for source in item.external or ()]
        other = next((other for other in others if other != "."), None)
        return other and f"{name:.200} is in another file, {other:.80}, expected all of the recording in this one"

    # what is returned ends the visit; an exception would get lost in HDF5
    if found := file.visititems_links(fault):
        raise ReadError(f"{path.name}: {found}")
