"""Which database: the server that is configured, else the embedded one; and a store for large arrays.

Three sources, in this order: a configuration file given by hand (the JSON file of the 2019 system),
a server configured in DataJoint's own way, the embedded server. Importing this module imports
neither DataJoint nor a database client, and connects to nothing.
"""

from __future__ import annotations

import logging
import platform
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dj_neuron.embedded import PORT, EmbeddedServer, default_data_dir, make_private_folder, resolved
from dj_neuron.errors import DatabaseError, ReadError, ServerAwayError, words_of
from dj_neuron.text_file import TextFileError, read_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

DEFAULT_PREFIX = "dj_neuron"
STORE_NAME = "dj_neuron"
EMBEDDED = "embedded"

_PREFIX_RULE = "1 to 30 lowercase letters, digits and underscores, a letter first, and no pg_"
_DEFAULT_PORTS = {"mysql": 3306, "postgresql": PORT}
_CONFIG_FILE_KEYS = {
    "host": str,
    "username": str,
    "password": str,
    "schema": str,
    "port": int,
    "backend": str,
    "database": str,
    "use_tls": bool,
}
_IN_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_GOING = {1053, 1927}  # MySQL: a server that is shutting down, and MariaDB's of a connection that it ended
_PRODUCTS = {"mysql": "MySQL", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class _Address:
    """Where a server is and who to be there."""

    backend: Literal["mysql", "postgresql"]
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database_name: str | None = None
    use_tls: bool | None = None

    def __str__(self) -> str:
        return f"{_PRODUCTS[self.backend]} server at {self.host}:{self.port} as {self.user}"


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
    _address: _Address | None
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
            address = _Address(
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
    if prefix is not None and not _is_prefix(prefix):
        raise DatabaseError(f"the prefix is {prefix!r}, expected {_PREFIX_RULE}")
    _check_datajoint_configuration()
    address: _Address | None
    if config_file is not None and str(config_file) == EMBEDDED:
        address = None
    elif config_file is not None:
        address, file_prefix = _read_config_file(config_file)
        prefix = prefix or file_prefix
    else:
        address = _configured_address()

    server = None
    if address is None:
        server = EmbeddedServer(data_dir)
        server.start()
        address = _Address(
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


def _is_prefix(text: Any) -> bool:
    # names that begin with pg_ are PostgreSQL's own
    return isinstance(text, str) and re.fullmatch(r"(?!pg_)[a-z][a-z0-9_]{0,29}", text) is not None


def _read_config_file(file: Path) -> tuple[_Address, str]:
    content = _read_config_keys(file)
    backend = content.get("backend", "mysql")
    if backend not in _DEFAULT_PORTS:
        raise ReadError(f"{file}: backend is {backend!r:.60}, expected 'mysql' or 'postgresql'")
    port = content.get("port", _DEFAULT_PORTS[backend])
    if not 0 < port < 65536:
        raise ReadError(f"{file}: port is {port!s:.40}, expected 1 to 65535")
    prefix = content.get("schema", DEFAULT_PREFIX)
    if not _is_prefix(prefix):
        raise ReadError(f"{file}: schema is {prefix!r:.60}, expected {_PREFIX_RULE}")
    host, database_name = content["host"], content.get("database")
    if database_name is not None and backend != "postgresql":
        raise ReadError(f"{file}: database is {database_name!r:.60}, expected it only with the backend 'postgresql'")
    use_tls = _tls_for(host, content.get("use_tls"))
    return _Address(backend, host, port, content["username"], content["password"], database_name, use_tls), prefix


def _read_config_keys(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file)
    except OSError as error:
        raise ReadError(f"{file} cannot be read: {error.strerror}, expected a JSON file") from error
    except TextFileError as error:
        raise ReadError(f"{file} is {error}, expected a JSON file") from error
    if not isinstance(content, dict):
        raise ReadError(f"{file} is no object, expected one with host, username, password")
    if "user" in content:
        if "username" in content:
            raise ReadError(f"{file} has both keys 'user' and 'username', expected one of them")
        content["username"] = content.pop("user")
    for key, value in content.items():
        kind = _CONFIG_FILE_KEYS.get(key)
        if kind is None:
            raise ReadError(f"{file} has the key {key!r:.60}, expected only {', '.join(_CONFIG_FILE_KEYS)}")
        if type(value) is not kind:
            raise ReadError(f"{file}: {key} is {_IN_WORDS[type(value)]}, expected {_IN_WORDS[kind]}")
    for key in ("host", "username", "password"):
        if key not in content:
            raise ReadError(f"{file} has no key {key!r}, expected host, username and password")
        if key != "password" and not content[key].strip():
            raise ReadError(f"{file}: {key} is empty, expected host, username and password")
    return content


def _configured_address() -> _Address | None:
    """The server that DataJoint's configuration names, if it names one."""
    from dj_neuron._datajoint import global_config  # noqa: PLC0415

    # the global one, because it holds what users assign to dj.config; it is only read
    settings = global_config.database
    if not settings.model_fields_set & {"host", "user", "password"}:
        return None
    if not settings.host.strip():
        raise DatabaseError(
            "DataJoint's configuration has an empty host: set DJ_HOST or database.host, or remove it to use the "
            "embedded server"
        )
    if settings.user is None or not settings.user.strip():
        raise DatabaseError(
            f"DataJoint's configuration names the server {settings.host} but no user: "
            "set DJ_USER or database.user, or remove the server to use the embedded one"
        )
    return _Address(
        backend=settings.backend,
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password="" if settings.password is None else settings.password.get_secret_value(),
        database_name=settings.name,
        use_tls=_tls_for(settings.host, settings.use_tls),
    )


def _tls_for(host: str, configured: bool | None) -> bool | None:
    # a socket has no TLS, and DataJoint would warn after trying
    return False if host.startswith("/") else configured


def _check_datajoint_configuration() -> None:
    """Refuse what DataJoint would pass over, to end up at a server that nobody meant."""
    from dj_neuron._datajoint import Config, find_config_file, quiet, valid_configuration  # noqa: PLC0415 - slow

    with quiet(), valid_configuration():
        config = Config()
        file = None if config.ignore_config_file else find_config_file()
    if file is not None:
        with quiet(), valid_configuration(f" ({file})"):
            config.load(file)


def _connect(address: _Address) -> Any:
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
