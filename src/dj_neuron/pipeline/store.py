"""Objects in the store of large arrays: read with checksums, written as a whole or not at all, named in errors."""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from dj_neuron._datajoint import dj
from dj_neuron.errors import StoreError, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STORE = "dj_neuron"  # named in the tables' definitions

N_THREADS = 8  # requests at a time: most of each is waiting

_PART_BYTES = 1 << 24
_TIMES = ("mtime", "LastModified", "last_modified", "updated")  # what file systems of fsspec call it
_CLIENTS = ("aiobotocore", "aiohttp", "botocore", "s3fs")  # whose errors say that an object store does not answer


def backend_of(config: Any, store: str) -> Any:
    """Give DataJoint's backend of a store.

    Raises
    ------
    StoreError
        If it is a folder that is not there, such as one of a network drive that is not mounted.
    """
    try:
        return dj.hash_registry.get_store_backend(store, config=config)
    except FileNotFoundError as error:
        folder = config.get_store_spec(store)["location"]
        raise StoreError(f"the store {store!r} cannot be used: there is no folder {folder}") from error


def folder_of(config: Any, store: str, *parts: str) -> str:
    """Give the path, within a store, of the folder where DataJoint keeps the objects of a schema or table."""
    prefix = config.get_store_spec(store)["schema_prefix"].strip("/")
    return "/".join(part for part in (prefix, *parts) if part)


def mark_of_copy(config: Any, store: str, prefix: str) -> str:
    """Give the path of the object that says that a copy into the schemas of a prefix is under way, or was killed."""
    return folder_of(config, store, f"{prefix}.copying")


def place_of(backend: Any, path: str) -> str:
    """Give where the file system of a store has an object.

    Raises
    ------
    StoreError
        If the path leads out of the store, as no path does that was written here.
    """
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise StoreError(f"{path!r} leads out of the store {STORE!r}, expected the path of an object in it")
    return str(backend._full_path(path))


def read(backend: Any, metadata: dict[str, Any], sha256: str | None, start: int = 0, end: int | None = None) -> bytes:
    """Read an object, or the bytes from `start` to `end` of it, in one request.

    Parameters
    ----------
    metadata : dict
        What the column holds.
    sha256 : str or None
        Of these bytes; None for what was stored without a checksum.

    Raises
    ------
    StoreError
        If the object is missing, damaged, or cannot be read; the message names table, key and path.
    """
    place = place_of(backend, metadata["path"])
    with in_words(metadata):
        content: bytes = backend.fs.cat_file(place, start=start, end=end)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise damaged(metadata, "its checksum differs")
    return content


def verify(backend: Any, metadata: dict[str, Any]) -> None:
    """Read an object in parts and compare its checksum; what was stored without one is only looked for.

    Raises
    ------
    StoreError
        As :func:`read`.
    """
    content = hashlib.sha256()
    n_bytes = metadata.get("n_bytes", 1)
    for start in range(0, n_bytes, _PART_BYTES):
        content.update(read(backend, metadata, None, start, min(start + _PART_BYTES, n_bytes)))
    if content.hexdigest() != metadata.get("sha256", content.hexdigest()):
        raise damaged(metadata, "its checksum differs")


class Found(NamedTuple):
    """An object in a listing: its length, and when it was written, in seconds since 1970."""

    n_bytes: int
    written_s: float


def listing(backend: Any, folder: str) -> dict[str, Found]:
    """List all objects in a folder and those within it, by their paths in the store."""
    backend.fs.invalidate_cache()  # other processes write too
    root = backend.fs._strip_protocol(backend._full_path("")).rstrip("/") + "/"
    refuse_link(backend, folder)
    with in_words({"path": folder, "store": STORE}, reading=False):
        found = backend.fs.find(backend._full_path(folder), detail=True)
    return {path.removeprefix(root): Found(int(info["size"]), _written_s(info)) for path, info in found.items()}


def look_up(backend: Any, path: str) -> Found | None:
    """Look at one object; None if it is not there."""
    with in_words({"path": path, "store": STORE}, reading=False), suppress(FileNotFoundError):
        info = backend.fs.info(backend._full_path(path))
        return Found(int(info["size"]), _written_s(info))
    return None


def refuse_link(backend: Any, folder: str) -> None:
    """Raise StoreError if a folder of a store leads elsewhere, where what lies there is not ours to remove."""
    if backend.protocol == "file":
        place = Path(backend._full_path(folder)).resolve()
        if place != Path(backend._full_path("")).resolve() / folder:
            raise StoreError(f"{folder} in the store {STORE!r} is a link to {place}, expected a folder of the store")


def _written_s(info: dict[str, Any]) -> float:
    """Give when an object was written; what no store tells counts as now, so that it is never old."""
    written = next((info[name] for name in _TIMES if info.get(name) is not None), time.time())
    return float(written.timestamp() if hasattr(written, "timestamp") else written)


def remove(backend: Any, paths: Iterable[str]) -> None:
    """Remove objects, each with a request of its own: not all S3-compatible servers take several in one."""

    def remove_one(path: str) -> None:
        refuse_link(backend, str(PurePosixPath(path).parent))
        with in_words({"path": path, "store": STORE}, reading=False), suppress(FileNotFoundError):
            backend.fs.rm_file(backend._full_path(path))

    with ThreadPoolExecutor(N_THREADS) as threads:
        list(threads.map(remove_one, paths))


def is_there(backend: Any, path: str, n_bytes: int) -> bool:
    """Whether an object is there in its full length."""
    return bool(backend.exists(path)) and backend.size(path) == n_bytes


def write(backend: Any, path: str, chunks: Iterable[Any]) -> None:
    """Write an object that is there as a whole or not at all."""
    # object stores show an object when it is complete; a file system shows it at once, so it gets its name at the end
    is_file = backend.protocol == "file"
    unfinished = f"{path}.{uuid.uuid4().hex}.part" if is_file else path
    file = backend.open(unfinished, "wb")
    try:
        for chunk in chunks:
            file.write(chunk)
        file.close()
        if is_file:
            backend.fs.mv(backend._full_path(unfinished), backend._full_path(path))
    except BaseException:
        # closing a file of an object store would complete it with what was written so far
        if not is_file:
            _discard(file)
            raise
        with suppress(OSError):  # of a full disk, closing says so once more
            file.close()
        with suppress(OSError):  # of a disk that has become read-only; then it is an orphan
            backend.remove(unfinished)
        raise


def _discard(file: Any) -> None:
    if not file.closed:
        file.closed = True
        file.discard()


@contextmanager
def in_words(metadata: dict[str, Any], *, reading: bool = True) -> Iterator[None]:
    """Turn what file systems and object stores raise into sentences that name the object."""
    try:
        yield
    except (FileNotFoundError, dj.errors.MissingExternalFile) as error:
        if _code(error) == "NoSuchBucket" or not reading:
            raise StoreError(_no_answer(metadata, error)) from error
        raise StoreError(f"{name_of(metadata)} is missing ({_place(metadata)})") from error
    except PermissionError as error:
        verb = "read" if reading else "written"
        raise StoreError(f"{name_of(metadata)} cannot be {verb}: permission denied ({_place(metadata)})") from error
    except ImportError as error:
        raise StoreError(
            f"the store {metadata['store']!r} needs {error.name or 'a package'} that is not installed: "
            "install dj-neuron[s3] for S3-compatible stores"
        ) from error
    except Exception as error:
        if reading and _code(error) in {"InvalidRange", "416"}:
            raise damaged(metadata, "it is too short") from error
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _CLIENTS:
            raise StoreError(_no_answer(metadata, error)) from error
        raise


def name_of(metadata: dict[str, Any]) -> str:
    """Say which row of which table an object belongs to."""
    folders = metadata["path"].split("/")[:-1]
    key = [unquote(folder).replace("=", " ", 1) for folder in folders if "=" in folder]
    table = folders[-2]  # content-addressed: schema/table/column/file
    if key:
        table = folders[next(i for i, folder in enumerate(folders) if "=" in folder) - 1]
    elif "movie_hash" in metadata:
        key = [f"movie_hash {metadata['movie_hash']}"]
    name = ".".join(dj.utils.to_camel_case(part) for part in table.strip("_#").split("__"))
    return f"{name} of {', '.join(key)}" if key else name


def damaged(metadata: dict[str, Any], how: str) -> StoreError:
    """Give the error that says what is wrong with an object."""
    return StoreError(f"{name_of(metadata)} is damaged: {how} ({_place(metadata)})")


def _place(metadata: dict[str, Any]) -> str:
    return f"{metadata['path']} in the store {metadata['store']!r}"


def _no_answer(metadata: dict[str, Any], error: BaseException) -> str:
    return f"the store {metadata['store']!r} cannot be used for {metadata['path']}: {words_of(error)}"


def _code(error: BaseException) -> str:
    """Give the code of an S3 error, which s3fs keeps as the cause."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
