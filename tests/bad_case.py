"""What every catalogue of bad input is made of."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Case(NamedTuple):
    """A file at fault, and the one sentence that refuses it; PATH in it stands for the file's path."""

    make: Callable[[Path], Path]
    sentence: str | re.Pattern


def cut(make, tenth, name=None):
    """The same file, or the one called so in a folder, cut off at a tenth."""

    def made(folder):
        path = make(folder)
        file = path / name if name else path
        file.write_bytes((whole := file.read_bytes())[: len(whole) * tenth // 10])
        return path

    return made
