"""What a person asks of rows, which a server may not understand."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.errors import PipelineError, is_from_the_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def restricted(rows: Any, restriction: Any, what: str) -> Iterator[Any]:
    """Give the rows that meet a restriction, and blame it for what the database has against the query within.

    Raises
    ------
    PipelineError
        If `restriction` is no condition on `what`, or asks for an attribute that there is not: DataJoint takes that
        for no condition at all.
    """
    for name in _names_in(restriction):
        if name not in rows.heading.names:
            near = get_close_matches(str(name), rows.heading.names, 1, 0.4)
            hint = f"; perhaps {near[0]!r}" if near else ""
            raise PipelineError(f"{name!r:.60} is no attribute of {what}, expected one of theirs{hint}")
    try:
        yield rows & restriction
    except Exception as error:
        if not is_from_the_database(error) or isinstance(error, dj.errors.LostConnectionError):
            raise
        said = next(text for text in (*error.args, "") if isinstance(text, str))
        reason = said.partition("\n")[0]  # the lines after it show our SQL
        raise PipelineError(f"{restriction!r:.200} is no condition on {what}: {reason:.200}") from error


def _names_in(restriction: Any) -> Iterator[Any]:
    if isinstance(restriction, dict):
        yield from restriction
    elif isinstance(restriction, list | tuple | set | dj.AndList):
        for part in restriction:
            yield from _names_in(part)
