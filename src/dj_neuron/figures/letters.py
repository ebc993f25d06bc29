"""Letters that pictures cannot show, because no font that matplotlib finds has them."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WARNING = r"Glyph (\d+) .*missing from font"


@contextmanager
def missing_letters_told(say: Callable[[str], None]) -> Iterator[None]:
    """Say at the end in one sentence which letters are boxes in what is drawn; matplotlib warns of each by itself."""
    missing: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def note(message: Warning | str, *about: Any) -> None:
            if found := re.match(_WARNING, str(message)):
                missing.add(chr(int(found[1])))
            else:
                show(message, *about)

        warnings.showwarning = note  # type: ignore[assignment]
        warnings.filterwarnings("always", _WARNING, UserWarning)
        yield
    if missing:
        letters = " ".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sorted(missing))
        say(f"no font has {letters}: boxes stand for them in PNG and PDF files; SVG files hold them as text")
