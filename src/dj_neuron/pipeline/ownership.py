"""Whose a part of a store is: two databases with arrays in one place would take each other's for garbage.

A pipeline has an identity, a row in a hidden table of the schema ``<prefix>_experiment``. It goes where the database
goes. An object in the store, ``<prefix>.pipeline``, holds the same from the first array on.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from dj_neuron.errors import StoreError
from dj_neuron.pipeline import experiment
from dj_neuron.pipeline.store import STORE, backend_of, folder_of, in_words

_HIDDEN_TABLE = "~dj_neuron_identity"


def give_identity(connection: Any, prefix: str) -> None:
    """Give the pipeline under `prefix` an identity, unless it has one."""
    table = _table(connection, prefix)
    connection.query(f"CREATE TABLE IF NOT EXISTS {table} (pipeline_id VARCHAR(32) NOT NULL)")
    if not _identity(connection, prefix):
        connection.query(f"INSERT INTO {table} VALUES (%s)", args=(uuid.uuid4().hex,))  # noqa: S608


def confirm_ownership(*, claim: bool = True) -> None:
    """Make sure that what is in the store under the prefix of the open pipeline belongs to its database.

    Parameters
    ----------
    claim : bool
        Put the mark where there is none; else that is no fault.

    Raises
    ------
    StoreError
        If it belongs to another database, or the store cannot be used.
    """
    connection, prefix = experiment.schema.connection, open_prefix()
    backend, mark = _mark()
    with in_words({"path": mark, "store": STORE}, reading=False):
        owner = backend.get_buffer(mark).decode("ascii", "replace").strip() if backend.exists(mark) else ""
    if owner and owner != _identity(connection, prefix):
        raise StoreError(
            f"{backend._full_path(mark)} says that the arrays there belong to another database, which would lose them: "
            "choose another data folder or another prefix; remove that file only if the other database is gone"
        )
    if claim and not owner:
        # one short write, and nothing beside it that could be left: an empty mark, of a full disk, is none
        with in_words({"path": mark, "store": STORE}, reading=False), backend.open(mark, "wb") as file:
            file.write(f"{_identity(connection, prefix)}\n".encode())


def give_up_ownership() -> None:
    """Remove the mark, before what it stands for is removed."""
    backend, mark = _mark()
    with in_words({"path": mark, "store": STORE}, reading=False), suppress(FileNotFoundError):
        backend.fs.rm_file(backend._full_path(mark))


def open_prefix() -> str:
    """Give the prefix under which the tables are bound."""
    return str(experiment.schema.database.removesuffix("_experiment"))


def _mark() -> tuple[Any, str]:
    config = experiment.schema.connection._config
    return backend_of(config, STORE), folder_of(config, STORE, f"{open_prefix()}.pipeline")


def _identity(connection: Any, prefix: str) -> str:
    rows = connection.query(f"SELECT pipeline_id FROM {_table(connection, prefix)}").fetchall()  # noqa: S608
    return str(rows[0][0]) if rows else ""


def _table(connection: Any, prefix: str) -> str:
    quoted = connection.adapter.quote_identifier
    return f"{quoted(f'{prefix}_experiment')}.{quoted(_HIDDEN_TABLE)}"
