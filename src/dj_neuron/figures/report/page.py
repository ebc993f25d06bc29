"""A report as one HTML file: everything from files and tables is escaped, nothing is fetched, no script runs."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from dj_neuron.figures.report.summary import COLUMNS

if TYPE_CHECKING:
    from dj_neuron.figures.report.content import Report


def render(report: Report) -> str:
    """Give the page.

    Notes
    -----
    Its policy allows its own style sheet, by its hash, and pictures that are part of the page. A browser refuses all
    else, whatever a file may have smuggled in.
    """
    here = files(__package__)
    style = here.joinpath("report.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(here.joinpath("report.html").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        columns=COLUMNS,
        style=Markup(style),  # noqa: S704  (ours, and named by its hash)
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
    )
