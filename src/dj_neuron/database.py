"""Which database: the server that is configured, else the embedded one; and a store for large arrays.

Three sources, in this order: a configuration file given by hand (the JSON file of the 2019 system),
a server configured in DataJoint's own way, the embedded server. Importing this module imports
neither DataJoint nor a database client, and connects to nothing.
"""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dj_neuron.embedded import PORT, EmbeddedServer, default_data_dir, make_private_folder, resolved
from dj_neuron.errors import DatabaseError, ServerAwayError, words_of
from dj_neuron.server_address import (
    DEFAULT_PREFIX,
    PREFIX_RULE,
    ServerAddress,
    check_datajoint_configuration,
    configured_address,
    is_prefix,
    read_config_file,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

STORE_NAME = "dj_neuron"
EMBEDDED = "embedded"

_GOING = {1053, 1927}  # MySQL: a server that is shutting down, and MariaDB's of a connection that it ended


@dataclass(frozen=True)
class Settings:
    """What another process needs to open the same database; shows no secret when printed.

    Attributes
    ----------
    prefix, data_dir
        As of :class:`Database`.
    host : str
        Name of the machine that these are from: an embedded database serves only that.
    """

    prefix: str
    data_dir: Path
    host: str
    _address: ServerAddress | None
    _stores: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Database:
    """An open database: a connection of its own, never DataJoint's global one.

    Attributes
    ----------
    instance : datajoint.Instance
        Configuration and connection; knows the store `store_name`.
    prefix : str
        What the names of all schemas begin with.
    description : str
        One line for people: which server this is.
    data_dir : Path
        The folder of the embedded database, and of the store unless another one is configured.
    server : EmbeddedServer or None
        None when the server is a configured one.
    """

    instance: Any
    prefix: str
    description: str
    data_dir: Path
    server: EmbeddedServer | None = None
    store_name: str = STORE_NAME

    @property
    def connection(self) -> Any:
        """The ``datajoint.Connection`` of this database."""
        return self.instance.connection

    @property
    def settings(self) -> Settings:
        """What another process needs to open this database."""
        address = None
        if self.server is None:
            info = self.connection.conn_info
            address = ServerAddress(
                self.connection.adapter.backend, info["host"], info["port"], info["user"], info["passwd"],
                info["database_name"], info["ssl_input"],
            )  # fmt: skip
        return Settings(self.prefix, self.data_dir, platform.node(), address, dict(self.instance.config.stores))

    def close(self) -> None:
        """Close the connection and give back the share in the embedded server. Closing twice does nothing."""
        if self.connection.is_connected:  # a MySQL connection cannot be closed twice
            self.connection.close()
        if self.server is not None:
            self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_database(data_dir: Path | None = None, config_file: Path | None = None, prefix: str | None = None) -> Database:
    """Connect to the configured server, else to the embedded one, which is started if need be.

    Parameters
    ----------
    data_dir : Path, optional
        Folder of the embedded database and of the store; default :func:`~dj_neuron.embedded.default_data_dir`.
    config_file : Path, optional
        JSON file with ``host``, ``username``, ``password`` and, if need be, ``schema`` (the prefix),
        ``port``, ``backend`` (``mysql``, the default, or ``postgresql``), ``database`` (PostgreSQL's, by default
        ``postgres``) and ``use_tls``. Or the word ``embedded``: the embedded server, whatever is configured.
    prefix : str, optional
        Beginning of all schema names; default: the file's ``schema``, else ``dj_neuron``.

    Raises
    ------
    ReadError
        If `config_file` is not such a file; the message names the file and the key.
    DatabaseError
        If the server does not start or answer, or the prefix or DataJoint's configuration is not valid.

    Notes
    -----
    A server counts as configured when DataJoint's configuration (assignments to ``dj.config``, ``DJ_*``
    variables, datajoint.json, ``.secrets/``) sets its host, user or password. A store that is configured
    under the name ``dj_neuron`` is kept; else arrays go to the folder ``store`` in `data_dir`, which all who
    use a common server must then share.
    """
    data_dir = resolved(data_dir or default_data_dir())
    if prefix is not None and not is_prefix(prefix):
        raise DatabaseError(f"the prefix is {prefix!r}, expected {PREFIX_RULE}")
    check_datajoint_configuration()
    address: ServerAddress | None
    if config_file is not None and str(config_file) == EMBEDDED:
        address = None
    elif config_file is not None:
        address, file_prefix = read_config_file(config_file)
        prefix = prefix or file_prefix
    else:
        address = configured_address()

    server = None
    if address is None:
        server = EmbeddedServer(data_dir)
        server.start()
        address = ServerAddress(
            "postgresql", str(server.socket_dir), PORT, server.user, "", server.database_name, use_tls=False
        )
    try:
        instance = _connect(address)
        _ensure_store(instance, data_dir)
    except BaseException:
        if server is not None:
            server.close()
        raise
    description = str(address) if server is None else f"embedded PostgreSQL in {data_dir}"
    return Database(instance, prefix or DEFAULT_PREFIX, description, data_dir, server)


def open_with(settings: Settings) -> Database:
    """Connect to a database that another process has open, perhaps on another machine.

    Raises
    ------
    DatabaseError
        If the server does not answer, or is the embedded one of another machine.
    """
    if settings._address is None:
        if settings.host != platform.node():
            raise DatabaseError(
                f"the database embedded in {settings.data_dir} serves {settings.host}, not {platform.node()}: "
                "workers on several machines need a server"
            )
        return open_database(settings.data_dir, None, settings.prefix)
    instance = _connect(settings._address)
    instance.config.stores = settings._stores
    return Database(instance, settings.prefix, str(settings._address), settings.data_dir)


def _connect(address: ServerAddress) -> Any:
    from dj_neuron._datajoint import dj, global_config, logger, quiet  # noqa: PLC0415
    from dj_neuron.postgresql_catalogue import quicken  # noqa: PLC0415

    try:
        with quiet():
            instance = dj.Instance(
                address.host,
                address.user,
                address.password,
                address.port,
                address.use_tls,
                address.backend,
                database__host=address.host,
                database__user=address.user,
                database__port=address.port,
                database__name=address.database_name,
            )
    except Exception as error:
        is_told = address.password and address.password in str(error)
        reason = type(error).__name__ if is_told else words_of(error)
        kind = ServerAwayError if _is_away(error) else DatabaseError
        raise kind(f"the {address} does not answer: {reason}") from error
    chosen = "loglevel" in global_config.model_fields_set
    logger.setLevel(global_config.loglevel if chosen else logging.WARNING)
    quicken(instance.connection)
    return instance


def _is_away(error: Exception) -> bool:
    """Whether nobody listened, or somebody who is starting or stopping; not if one was refused, such as a password."""
    code, *_ = error.args or (None,)
    if isinstance(code, int):
        return 2000 <= code < 2100 or code in _GOING  # those from 2000 on are the client's own
    # of PostgreSQL's servers nothing comes through but words: what the client says itself is never fatal
    return "FATAL" not in str(error) or "the database system is" in str(error)


def _ensure_store(instance: Any, data_dir: Path) -> None:
    from dj_neuron._datajoint import dj, global_config, valid_configuration  # noqa: PLC0415

    stores = {**instance.config.stores, **global_config.stores}
    if STORE_NAME not in stores:
        make_private_folder(data_dir)
        make_private_folder(data_dir / "store")
        stores[STORE_NAME] = {"protocol": "file", "location": str(data_dir / "store")}
    instance.config.stores = stores
    try:
        with valid_configuration(f" (the store {STORE_NAME!r})"):
            spec = instance.config.get_store_spec(STORE_NAME)
    except dj.DataJointError as error:
        raise DatabaseError(f"the configured store {STORE_NAME!r} is not valid: {words_of(error)}") from error
    if spec["partition_pattern"]:
        raise DatabaseError(
            f"the configured store {STORE_NAME!r} has a partition_pattern, expected none: "
            "what lies in folders above those of the schemas could be neither listed nor cleaned"
        )
