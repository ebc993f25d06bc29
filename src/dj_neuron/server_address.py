"""Where a server is, as a configuration file given by hand or DataJoint's own configuration says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dj_neuron.embedded import PORT
from dj_neuron.errors import DatabaseError, ReadError
from dj_neuron.text_file import TextFileError, read_json

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PREFIX = "dj_neuron"
PREFIX_RULE = "1 to 30 lowercase letters, digits and underscores, a letter first, and no pg_"
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
_PRODUCTS = {"mysql": "MySQL", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class ServerAddress:
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


def is_prefix(text: Any) -> bool:
    """Tell whether schemas can be named so."""
    # names that begin with pg_ are PostgreSQL's own
    return isinstance(text, str) and re.fullmatch(r"(?!pg_)[a-z][a-z0-9_]{0,29}", text) is not None


def read_config_file(file: Path) -> tuple[ServerAddress, str]:
    """Read where a server is, and the prefix of its schemas, from a JSON file.

    Raises
    ------
    ReadError
        If it is not such a file; the message names the file and the key.
    """
    content = _read_config_keys(file)
    backend = content.get("backend", "mysql")
    if backend not in _DEFAULT_PORTS:
        raise ReadError(f"{file}: backend is {backend!r:.60}, expected 'mysql' or 'postgresql'")
    port = content.get("port", _DEFAULT_PORTS[backend])
    if not 0 < port < 65536:
        raise ReadError(f"{file}: port is {port!s:.40}, expected 1 to 65535")
    prefix = content.get("schema", DEFAULT_PREFIX)
    if not is_prefix(prefix):
        raise ReadError(f"{file}: schema is {prefix!r:.60}, expected {PREFIX_RULE}")
    host, database_name = content["host"], content.get("database")
    if database_name is not None and backend != "postgresql":
        raise ReadError(f"{file}: database is {database_name!r:.60}, expected it only with the backend 'postgresql'")
    use_tls = _tls_for(host, content.get("use_tls"))
    return ServerAddress(backend, host, port, content["username"], content["password"], database_name, use_tls), prefix


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


def configured_address() -> ServerAddress | None:
    """Give the server that DataJoint's configuration names, if it names one.

    Raises
    ------
    DatabaseError
        If it names one by half.
    """
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
    return ServerAddress(
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


def check_datajoint_configuration() -> None:
    """Refuse what DataJoint would pass over, to end up at a server that nobody meant.

    Raises
    ------
    DatabaseError
        If its configuration is not valid.
    """
    from dj_neuron._datajoint import Config, find_config_file, quiet, valid_configuration  # noqa: PLC0415 - slow

    with quiet(), valid_configuration():
        config = Config()
        file = None if config.ignore_config_file else find_config_file()
    if file is not None:
        with quiet(), valid_configuration(f" ({file})"):
            config.load(file)
