"""What a person asks of rows, which a server may not understand."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dj_neuron._datajoint import dj
from dj_neuron.errors import PipelineError, is_from_the_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def condition_on(what: str, restriction: Any) -> Iterator[None]:
    """Blame a restriction for what the database has against the query within: raise PipelineError that names it."""
    try:
        yield
    except Exception as error:
        if not is_from_the_database(error) or isinstance(error, dj.errors.LostConnectionError):
            raise
        said = next(text for text in (*error.args, "") if isinstance(text, str))
        reason = said.partition("\n")[0]  # the lines after it show our SQL
        raise PipelineError(f"{restriction!r} is no condition on {what}: {reason}") from error
