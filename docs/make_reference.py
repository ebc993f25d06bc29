"""Write docs/reference/command-line.md from the command line itself: python docs/make_reference.py."""

from collections.abc import Iterator
from pathlib import Path

import click

from dj_neuron.cli import cli

PAGE = Path(__file__).parent / "reference" / "command-line.md"
INTRODUCTION = """# Command line

Made by `python docs/make_reference.py`; do not edit. What a verb prints for programs goes to standard output,
what it says to people to standard error. Exit codes: 0 done, 2 something a person can mend, said in one sentence,
1 a fault of dj-neuron, 130 interrupted.
"""


def reference() -> str:
    """Give the page."""
    top = click.Context(cli, info_name="dj-neuron", **{**cli.context_settings, "max_content_width": 96})
    top.terminal_width = 96
    return "\n".join([INTRODUCTION, *_sections(top)])


def _sections(context: click.Context) -> Iterator[str]:
    name = context.command_path.removeprefix("dj-neuron ")
    yield f"## {name}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for own, command in context.command.commands.items():
            yield from _sections(click.Context(command, parent=context, info_name=own))


if __name__ == "__main__":
    PAGE.write_text(reference())
