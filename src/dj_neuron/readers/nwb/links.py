"""Parts of an HDF5 file that are in other files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    import h5py


def refuse_links_outside(file: h5py.File, path: Path) -> None:
    """Raise ReadError if any part of the file is to be read from another one.

    HDF5 follows such links by itself, to any file of whoever reads, HDF5 or not: a file from elsewhere could have them
    ingested, and in the end exported, as a movie.
    """
    import h5py  # noqa: PLC0415 - optional, and slow to import

    def look(name: str, link: object) -> tuple[str, str] | None:
        others: list[str] = []
        if isinstance(link, h5py.ExternalLink):
            others = [link.filename]
        elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
            others = [source.file_name for source in item.virtual_sources()] if item.is_virtual else []
            others += [source[0] for source in item.external or ()]
        return next(((name, other) for other in others if other != "."), None)

    # what is returned ends the visit; an exception would get lost in HDF5
    if found := file.visititems_links(look):
        name, other = found
        raise ReadError(
            f"{path.name}: {name} is in another file, {other:.80}, expected all of the recording in this one"
        )
