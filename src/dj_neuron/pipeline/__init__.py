"""The tables: one module per schema, bound to a database by :func:`activate` and nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.pipeline import covariance, experiment, quality, receptive_field, strf

_LOCKS = {
    "mysql": ("SELECT GET_LOCK(%s, 60)", "SELECT RELEASE_LOCK(%s)"),
    "postgresql": ("SELECT pg_advisory_lock(hashtext(%s))", "SELECT pg_advisory_unlock(hashtext(%s))"),
}

STORE = "dj_neuron"  # named in the tables' definitions

if TYPE_CHECKING:
    from collections.abc import Iterator

# In the order of their foreign keys.
SCHEMA_MODULES = {
    "experiment": experiment,
    "strf": strf,
    "receptive_field": receptive_field,
    "covariance": covariance,
    "quality": quality,
}


def activate(connection: Any, prefix: str) -> None:
    """Bind all schemas to `connection` under ``<prefix>_<module>``, creating what is missing.

    Tables belong to one database at a time in a process: a later call moves them to another one.
    """
    with _alone(connection, prefix):
        for name, module in SCHEMA_MODULES.items():
            schema = module.schema
            if schema.connection is not connection or schema.database != f"{prefix}_{name}":
                schema.database, schema.connection = None, None
                schema.activate(f"{prefix}_{name}", connection=connection)


@contextmanager
def _alone(connection: Any, prefix: str) -> Iterator[None]:
    """Keep other processes from creating the same tables meanwhile; the server forgets the lock of a dead one."""
    take, give = _LOCKS[connection.adapter.backend]
    connection.query(take, args=(prefix,)).fetchall()
    try:
        yield
    finally:
        connection.query(give, args=(prefix,)).fetchall()


def drop(connection: Any, prefix: str) -> None:
    """Delete all tables with everything that they and their store hold."""
    activate(connection, prefix)
    for module in reversed(SCHEMA_MODULES.values()):
        schema = module.schema
        _remove_objects(connection, schema.database)
        schema.drop(prompt=False)
        schema.database = None


def _remove_objects(connection: Any, database: str) -> None:
    config = connection._config
    prefix = config.get_store_spec(STORE)["schema_prefix"].strip("/")
    backend = dj.hash_registry.get_store_backend(STORE, config=config)
    backend.remove_folder("/".join(part for part in (prefix, database) if part))
