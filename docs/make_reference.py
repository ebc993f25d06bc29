"""Write the reference from the program itself: python docs/make_reference.py.

The page of the command line is made from its help, the tables' columns from the tables' definitions.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import click

from dj_neuron.cli_verbs import cli
from dj_neuron.queries import Tier, table_classes

FOLDER = Path(__file__).parent / "reference"
COMMAND_LINE = """# Command line

Made by `python docs/make_reference.py`; do not edit. What a verb prints for programs goes to standard output,
what it says to people to standard error. Exit codes: 0 done, 2 something a person can mend, said in one sentence,
1 a fault of dj-neuron, 130 interrupted.
"""
BEGIN, END = "<!-- made by python docs/make_reference.py: begin -->\n", "<!-- end -->\n"


def pages() -> dict[Path, str]:
    """Give every page that is made, in part or as a whole, as it should be."""
    tables = FOLDER / "tables.md"
    before, _, rest = tables.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        FOLDER / "command-line.md": "\n".join([COMMAND_LINE, *_verbs(_command_line())]),
        tables: "".join([before, BEGIN, *(f"{line}\n" for line in _tables()), END, after]),
    }


def _command_line() -> click.Context:
    top = click.Context(cli, info_name="dj-neuron", **{**cli.context_settings, "max_content_width": 96})
    top.terminal_width = 96
    return top


def _verbs(context: click.Context) -> Iterator[str]:
    name = context.command_path.removeprefix("dj-neuron ")
    yield f"## {name}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for own, command in context.command.commands.items():
            yield from _verbs(click.Context(command, parent=context, info_name=own))


def _tables() -> Iterator[str]:
    """Describe every schema, table and column, parents before children."""
    classes = [table for _, table in table_classes()]
    for module, tables in groupby(classes, key=lambda table: table.__module__):
        yield f"\n## Schema {module.rpartition('.')[2]}"
        for table in tables:
            what, *lines = (line.strip() for line in table.definition.strip().splitlines())
            tier = next(tier for tier in get_args(Tier) if tier in {base.__name__ for base in table.__mro__})
            yield f"\n### {table.__qualname__}\n\n{tier}. {what.removeprefix('# ')}.\n"
            yield "| column | type | unit and meaning |\n|---|---|---|"
            yield from _columns(table, lines)


def _columns(table: Any, lines: list[str]) -> Iterator[str]:
    in_key = True
    for line in lines:
        if line == "---":
            in_key = False
        elif line.startswith("->"):
            parent = line.removeprefix("->").strip().rpartition(".")[2]
            parent = table.__qualname__.partition(".")[0] if parent == "master" else parent
            yield f"| {'**' if in_key else ''}→ {parent}{'**' if in_key else ''} | | the key of {parent} |"
        elif not re.match(r"(unique )?index\b", line):
            name, default, kind, comment = re.fullmatch(r"(\w+)(?: = (\S+))? +: (\S+) +# (.+)", line).groups()
            shown = f"**`{name}`**" if in_key else f"`{name}`"
            given = "" if default in {None, "null", '""'} else f"; {default} unless given"
            or_null = " or null" if default == "null" else ""
            yield f"| {shown} | `{kind}`{or_null} | {comment.replace('|', chr(92) + '|')}{given} |"


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text)
