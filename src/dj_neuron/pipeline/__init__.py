"""The tables: one module per schema, bound to a database by :func:`activate` and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj, silent_on_native_types
from dj_neuron.errors import DatabaseError
from dj_neuron.pipeline import covariance, experiment, quality, receptive_field, strf, versions
from dj_neuron.pipeline.locks import alone
from dj_neuron.pipeline.ownership import confirm_ownership, give_identity, give_up_ownership
from dj_neuron.pipeline.store import STORE, backend_of, folder_of, listing, refuse_link, remove

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

    Raises
    ------
    DatabaseError
        If the tables are those of an older or a newer dj-neuron.
    """
    with alone(connection, prefix):
        version = versions.recorded(connection, prefix)
        if version is None:
            _create_schemas(connection, prefix)
            give_identity(connection, prefix)
            versions.record(connection, prefix, versions.PRESENT)  # now: what is interrupted can be gone on with
        else:
            versions.check(version, prefix)
        _bind(connection, prefix)
        if version is None:
            _make_job_tables()


def upgrade(connection: Any, prefix: str) -> Iterator[str]:
    """Make the tables of an older dj-neuron those of this one; give a sentence for every step done.

    An upgrade that was interrupted is taken up again by the next one.

    Raises
    ------
    DatabaseError
        If there are no tables, or those of a newer dj-neuron, or of one so old that no upgrade leads here.
    """
    with alone(connection, prefix):
        version = versions.recorded(connection, prefix)
        if version is None:
            raise DatabaseError(f"there are no tables of {prefix!r} to upgrade")
        if version >= versions.PRESENT:
            versions.check(version, prefix)
            return
        _bind(connection, prefix)
        for migration in versions.MIGRATIONS[version:]:
            yield from migration.apply()
        versions.check_columns(list(table_classes()))
        _make_job_tables()
        versions.record(connection, prefix, versions.PRESENT)


def table_classes() -> Iterator[Any]:
    """Give the class of every table, parents before children."""
    for module in SCHEMA_MODULES.values():
        yield from _with_parts(module.schema)


def _with_parts(schema: Any) -> Iterator[Any]:
    for table, _ in schema.declare_list:
        yield table
        yield from (part for part in vars(table).values() if isinstance(part, type) and issubclass(part, dj.Part))


def _make_job_tables() -> None:
    """Make the tables of jobs now: those who compute later need not have the right to make tables."""
    with silent_on_native_types():
        for table in table_classes():
            if issubclass(table, dj.Computed) and not table().jobs.is_declared:
                table().jobs.declare()


def _create_schemas(connection: Any, prefix: str) -> None:
    adapter = connection.adapter
    # texts in MySQL are to hold any character, and to differ when they differ, whatever the server does by default
    texts = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if adapter.backend == "mysql" else ""
    for name in SCHEMA_MODULES:
        if not connection.query(adapter.schema_exists_sql(f"{prefix}_{name}")).rowcount:
            connection.query(f"CREATE SCHEMA {adapter.quote_identifier(f'{prefix}_{name}')}{texts}")


def _bind(connection: Any, prefix: str) -> None:
    for name, module in SCHEMA_MODULES.items():
        schema, database = module.schema, f"{prefix}_{name}"
        if schema.connection is not connection or schema.database != database:
            # DataJoint asks for every column of all tables, to mend them, if it may make any
            schema.create_tables = None if _lacks_tables(connection, schema, database) else False
            schema.database, schema.connection = None, None
            schema.activate(database, connection=connection)


def _lacks_tables(connection: Any, schema: Any, database: str) -> bool:
    if not connection.query(connection.adapter.schema_exists_sql(database)).rowcount:
        return True
    there = {name for name, *_ in connection.query(connection.adapter.list_tables_sql(database))}
    return any(table.table_name not in there for table in _with_parts(schema))


def drop(connection: Any, prefix: str) -> None:
    """Delete all tables with everything that they and their store hold, and keep others from making new ones."""
    with alone(connection, prefix):
        activate(connection, prefix)
        for module in SCHEMA_MODULES.values():  # before any row is gone
            refuse_link(*_folder(connection._config, module.schema.database))
        confirm_ownership(claim=False)
        give_up_ownership()
        for module in reversed(SCHEMA_MODULES.values()):
            schema = module.schema
            database = schema.database
            # the rows first: should this end in between, what remains are objects without rows, which can be cleaned
            schema.drop(prompt=False)
            schema.database = None
            _remove_objects(connection._config, database)


def _folder(config: Any, database: str) -> tuple[Any, str]:
    return backend_of(config, STORE), folder_of(config, STORE, database)


def _remove_objects(config: Any, database: str) -> None:
    backend, folder = _folder(config, database)
    remove(backend, listing(backend, folder))
    if backend.protocol == "file":
        backend.remove_folder(folder)  # what is left are empty folders
