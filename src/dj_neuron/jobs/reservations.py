"""The jobs of one computed table, as one worker deals with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from datajoint.condition import Not, make_condition

from dj_neuron._datajoint import silent_on_native_types
from dj_neuron.jobs.patience import is_collision_or_loss
from dj_neuron.jobs.presence import FIRST_TICKET

if TYPE_CHECKING:
    from collections.abc import Collection

    Key = dict[str, Any]

# A key that ends the programs of so many workers in a row fails: the next would end another one.
MAX_LOST = 5

_N_KEYS_AT_A_TIME = 1000


class Reservations:
    """DataJoint's table of jobs beside a computed table, and what a worker may do in it.

    A worker only changes jobs that it has reserved itself, known by its ticket, and jobs of workers that are gone.

    Parameters
    ----------
    table : datajoint.Computed
        The computed table.
    ticket : int
        The worker's; stands as ``connection_id`` in the jobs it reserves.

    Attributes
    ----------
    settled : {"computed", "failed", "given back", "gone"} or None
        How the last reserved key ended.
    message : str
        Why, unless it was computed.
    """

    def __init__(self, table: Any, ticket: int) -> None:
        self.table, self.ticket = table, ticket
        with silent_on_native_types():
            self.jobs = table.jobs
        self.settled: Literal["computed", "failed", "given back", "gone"] | None = None
        self.message = ""

    # What DataJoint calls while it populates one key

    def reserve(self, key: Key) -> bool:
        """Reserve a pending key; False if somebody else was quicker."""
        self.settled, self.message = None, ""
        # asked again because the answer was lost with the connection, the server says no to what it has done already
        return bool(self.jobs.reserve(key)) or bool(self.jobs & key & self._mine)

    def complete(self, key: Key, duration: float | None = None) -> None:
        """Note that a key is computed."""
        self.settled = "computed"
        self.jobs.complete(key, duration=duration)

    def error(self, key: Key, error_message: str, error_stack: str | None = None) -> None:
        """Settle a key whose computation ended in an exception, by what the exception was."""
        error = sys.exc_info()[1]
        self.message = error_message
        if not isinstance(error, Exception):
            self.give_back(key)
        elif self.table & key:  # by somebody who took this worker for gone
            self.complete(key)
        elif not self.table.key_source & key:
            self.settled = "gone"
            (self.jobs & key).delete_quick()
        elif is_collision_or_loss(error):
            self.give_back(key, after_loss=error_message)
        else:
            self.settled = "failed"
            if self.jobs & key & self._mine:
                self.jobs.error(key, error_message=error_message, error_stack=error_stack)

    # Between keys

    def pending(self) -> list[Key]:
        """Give keys that wait, the most urgent first."""
        due = self.jobs.pending & "scheduled_time <= CURRENT_TIMESTAMP(3)"
        found: list[Key] = due.keys(order_by=["priority ASC", "scheduled_time ASC", "KEY"], limit=_N_KEYS_AT_A_TIME)
        return found

    def add_new(self) -> None:
        """Register keys that have come, forget those that went."""
        # a second before now: a key is due when its time is past, and times are rounded
        self.jobs.refresh(delay=-1)

    def n_left(self) -> int:
        """Count the keys that are neither computed nor failed, also those that others are at."""
        passed_over = self.jobs & f"status IN ('error', 'ignore') OR {_RESERVED_BY_OTHER_PROGRAMS}"
        missing = self.table.key_source - self.table.proj()
        return len(missing.restrict(Not(passed_over), semantic_check=False))

    def others(self) -> list[dict[str, Any]]:
        """Give the keys that other workers have reserved, with ``connection_id``, ``host`` and ``pid``."""
        theirs = self.jobs.reserved & f"connection_id >= {FIRST_TICKET} AND connection_id <> {self.ticket}"
        found: list[dict[str, Any]] = theirs.proj("connection_id", "host", "pid").to_dicts()
        return found

    def complete_for(self, others: list[dict[str, Any]]) -> None:
        """Note that keys of others are computed: they may have ended between storing a result and saying so."""
        keys = [{name: row[name] for name in self.jobs.primary_key} for row in others]
        for key in (self.table & keys).keys() if keys else []:
            self.jobs.complete(key)

    def take_from(self, gone: Collection[int]) -> None:
        """Make the keys of workers that are gone wait again."""
        for row in self.others():
            if row["connection_id"] in gone:
                key = {name: row[name] for name in self.jobs.primary_key}
                self._release(key, row["connection_id"], f"process {row['pid']} on {row['host']} is gone")

    def give_back(self, key: Key, *, after_loss: str = "") -> None:
        """Make a key of one's own wait again."""
        self.settled = "given back"
        if self._release(key, self.ticket, after_loss):
            self.settled = "failed"

    def give_back_all(self) -> None:
        """Make all keys wait again that this worker still has reserved."""
        self._ask(
            f"UPDATE {self.jobs.full_table_name} SET status = 'pending' "
            f"WHERE status = 'reserved' AND connection_id = %s",
            (self.ticket,),
        )

    def retry(self) -> int:
        """Make failed keys wait again, but for those that went; give their number."""
        self.add_new()
        statement = (
            f"UPDATE {self.jobs.full_table_name} SET status = 'pending', error_message = '', error_stack = NULL "
            f"WHERE status = 'error'"
        )
        return int(self._ask(statement).rowcount)

    def settle(self, key: Key) -> None:
        """Find out what became of a key whose transaction was lost while it was being ended."""
        if self.table & key:
            self.complete(key)
        else:
            self.give_back(key, after_loss="the connection was lost")

    def _release(self, key: Key, ticket: int, loss: str) -> bool:
        """Make a reserved key wait again, or fail if it was lost too often; give whether it failed."""
        reserved = self.jobs & key & f"status = 'reserved' AND connection_id = {ticket}"
        lost = [*filter(None, "".join(reserved.to_arrays("error_message")).split("\n")), *([loss] if loss else [])]
        too_often = bool(loss) and len(lost) >= MAX_LOST
        words = "\n".join(lost)
        if too_often:
            words = f"given up after {len(lost)} attempts that were lost:\n{words}"
        self._ask(
            f"UPDATE {self.jobs.full_table_name} SET status = %s, error_message = %s "
            f"WHERE {make_condition(self.jobs, key, set())} AND status = 'reserved' AND connection_id = %s",
            ("error" if too_often else "pending", words[:2000], ticket),
        )
        return too_often

    @property
    def _mine(self) -> str:
        return f"status = 'reserved' AND connection_id = {self.ticket}"

    def _ask(self, statement: str, args: Any = ()) -> Any:
        return self.jobs.connection.query(statement, args=args)


_RESERVED_BY_OTHER_PROGRAMS = f"(status = 'reserved' AND connection_id < {FIRST_TICKET})"
