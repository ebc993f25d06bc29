"""DataJoint, imported in silence: ``from dj_neuron._datajoint import dj`` instead of ``import datajoint``.

DataJoint warns when there is no datajoint.json, of which we have no need, and logs to stdout, where
our commands print JSON. It does both on import and again for every :class:`datajoint.Instance`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING

from dj_neuron.errors import DatabaseError, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("datajoint")


@contextlib.contextmanager
def _logging_only(is_logged: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    logger.addFilter(is_logged)
    try:
        yield
    finally:
        logger.removeFilter(is_logged)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what DataJoint says about its configuration, and all that it logs below a warning."""
    with _logging_only(lambda record: record.levelno >= logging.WARNING), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"No datajoint\.json found", category=UserWarning)
        yield


def silent_on_native_types() -> contextlib.AbstractContextManager[None]:
    """Hold back DataJoint's warning of types that it writes itself into its tables of jobs."""
    return _logging_only(lambda record: re.match("Native type '.+' is used in attribute", record.getMessage()) is None)


def silent_on_failed_keys() -> contextlib.AbstractContextManager[None]:
    """Hold back what DataJoint logs of a key that fails, for whoever reports the failure."""
    return _logging_only(lambda record: record.funcName != "_populate1")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Hold back all that DataJoint logs and warns of, where that was said before: when connecting once more."""
    with _logging_only(lambda _: False), quiet():
        warnings.filterwarnings("ignore", message="MariaDB is not officially supported", category=UserWarning)
        yield


class _Stderr:
    """Whatever ``sys.stderr`` is at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _keep_stdout_clean() -> None:
    """Send DataJoint's log to stderr, unless the user has said where it goes."""
    if "DJ_LOG_STREAM" in os.environ:
        return
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setStream(_Stderr())


@contextlib.contextmanager
def valid_configuration(where: str = "") -> Iterator[None]:
    """Say what is wrong with DataJoint's configuration, and no value of it: any may be a password.

    Raises
    ------
    DatabaseError
        One sentence, without the exception that it comes from.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        faults = getattr(error, "errors", None)  # of pydantic
        words = words_of(error)
        if faults is not None:
            found = faults(include_input=False, include_context=False, include_url=False)
            words = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)
    except (AttributeError, RecursionError, TypeError):
        words = "it is not made of settings and their values"
    else:
        return
    raise DatabaseError(f"DataJoint's configuration is not valid{where}: {words}") from None


with quiet(), valid_configuration():
    # its own import of its own deprecated module; and a broken datajoint.json, which open_database refuses
    warnings.filterwarnings("ignore", message=r"datajoint\.migrate is deprecated", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="Failed to load config", category=UserWarning)
    import datajoint as dj
    from datajoint.adapters import PostgreSQLAdapter
    from datajoint.settings import Config, find_config_file
    from datajoint.settings import config as global_config

_keep_stdout_clean()

__all__ = [
    "Config",
    "PostgreSQLAdapter",
    "dj",
    "find_config_file",
    "global_config",
    "logger",
    "quiet",
    "silent",
    "silent_on_failed_keys",
    "silent_on_native_types",
    "valid_configuration",
]
