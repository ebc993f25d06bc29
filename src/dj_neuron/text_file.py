"""Small files of text that people write, TOML and JSON, measured before they are believed."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_BYTES = 1 << 20
"""Of a text file: 1 MiB."""

_MOST_DOTS = 32  # in a name of TOML, whose parser needs room with the square of them
# each takes the rest of the text where its end is missing, so that none is begun twice
_QUOTED = re.compile(
    r'''"""(?:[^"\\]|\\.?|"(?!""))*+(?:"{3,5}|\Z)|\'\'\'(?:[^']|'(?!''))*+(?:'{3,5}|\Z)'''
    r"""|"(?:[^"\\\n]|\\.?)*+"?|'[^'\n]*+'?|\#[^\n]*+""",
    re.DOTALL,
)
_NAME_END = re.compile(r"[=,\[\]{}\n]")


class TextFileError(ValueError):
    """What is wrong with a text file: the end of a sentence that begins with its name and "is"."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    OSError
        If it is not there or may not be read.
    TextFileError
        If it is no regular file, too long, not text in UTF-8, or not TOML.
    """
    text = _read(path)
    if any(name.count(".") > _MOST_DOTS for name in _NAME_END.split(_QUOTED.sub("", text))):
        raise TextFileError(f"not TOML as people write it: a name has more than {_MOST_DOTS} dots")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, at, place = str(error).rpartition(" (at ")  # what it quotes may be as long as the file
        raise TextFileError(f"not TOML: {what:.100}{_overwritten(text, what, place)}{at}{place}") from error
    except (ValueError, RecursionError) as error:
        raise TextFileError(f"not TOML as people write it: {_excess(error)}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file; raise as :func:`read_toml`, also if a name is given twice."""
    try:
        return json.loads(_read(path), object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise TextFileError(f"not JSON: {error}") from error
    except TextFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise TextFileError(f"not JSON as people write it: {_excess(error)}") from error


def _overwritten(text: str, what: str, place: str) -> str:
    """Name the key that is there twice, which TOML's parser does not."""
    line = re.match(r"line (\d+)", place)
    if line is None or not what.startswith("Cannot overwrite a value"):
        return ""
    name, is_there, _ = text.split("\n")[int(line[1]) - 1].partition("=")
    return f", that of {name.strip()!a:.60}" if is_there else ""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make the object of JSON that has these names, of which the parser would take the last."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TextFileError(f"not JSON that says one thing: {name!a:.60} is there twice in one object")
        found[name] = value
    return found


def _excess(error: ValueError | RecursionError) -> str:
    return "brackets are nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"


def _read(path: Path) -> str:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe may wait for ever
        raise TextFileError("no regular file")
    with path.open("rb") as file:
        content = file.read(LONGEST_BYTES + 1)
    if len(content) > LONGEST_BYTES:
        raise TextFileError(f"longer than the {LONGEST_BYTES} bytes that a text file may have")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextFileError(f"not text in UTF-8, from byte {error.start + 1} on") from error
