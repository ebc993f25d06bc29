"""Who uses a folder's server, known from file locks: the kernel gives them back however a process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from dj_neuron.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# longer than a server may take to start and to stop
_TURN_TIMEOUT_S = 180.0


class Shares:
    """One user's view of a folder that several processes share.

    Notes
    -----
    Two lock files: every user holds the first one in common with the others; whoever starts or stops
    something holds the second one alone, for that long. Locks belong to this object, not to the
    process, so that two objects in one process are two users. A forked child has its parent's share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._share: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has a share."""
        return self._share is not None

    @contextlib.contextmanager
    def turn(self) -> Iterator[int]:
        """Wait until nobody else starts or stops anything, and keep it so; gives the lock's file descriptor.

        Raises
        ------
        DatabaseError
            If the wait lasts minutes, or the folder cannot be locked.
        """
        lock = self._open(".server.lock")
        try:
            deadline = time.monotonic() + _TURN_TIMEOUT_S
            while not self._lock(lock, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"another process has been starting or stopping the database in {self._folder} "
                        f"for {_TURN_TIMEOUT_S:g} s, expected it to end"
                    )
                time.sleep(0.02)
            yield lock
        finally:
            os.close(lock)

    def take(self) -> None:
        """Take a share, at one's turn; nothing if it is held already."""
        if self._share is None:
            self._share = self._open(".clients.lock")
            self._lock(self._share, fcntl.LOCK_SH)

    def drop(self) -> None:
        """Give the share back; nothing if none is held."""
        # closed, never unlocked: unlocking in a forked child would take the parent's share too
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def taken(self) -> bool:
        """Whether anybody at all has a share, asked at one's turn."""
        clients = self._open(".clients.lock")
        try:
            return not self._lock(clients, fcntl.LOCK_EX)
        finally:
            os.close(clients)

    def _open(self, name: str) -> int:
        try:
            lock = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise DatabaseError(f"{self._folder / name} cannot be opened: {error.strerror}") from error
        if os.geteuid() == 0:
            owner = self._folder.stat()
            os.fchown(lock, owner.st_uid, owner.st_gid)
        return lock

    def _lock(self, lock: int, kind: int) -> bool:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise DatabaseError(
                f"the file system of {self._folder} has no file locks ({error.strerror}), expected a local disk"
            ) from error
        return True
