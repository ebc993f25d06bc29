"""Parts of names that files and folders of exports have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime

_LONGEST_BYTES = 150  # a whole name ends at 255


def shortened(subject: str) -> str:
    """Cut what stands for a subject to what a name has room for."""
    return subject.encode()[:_LONGEST_BYTES].decode(errors="ignore")


def day(date: datetime.date) -> str:
    """Write a date in eight digits, also of years before 1000, of which strftime leaves zeros out."""
    return date.isoformat().replace("-", "")
