"""A report as one HTML file: everything from files and tables is escaped, nothing is fetched, no script runs."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from dj_neuron.figures.report.summary import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dj_neuron.figures.album import Picture
    from dj_neuron.figures.report.content import Report

_MOST_BYTES = 10_000_000  # with a twentieth of it for words


def render(report: Report, *, most_bytes: int = _MOST_BYTES) -> str:
    """Give the page.

    Parameters
    ----------
    report : Report
        What it says and shows.
    most_bytes : int
        Size that it stays under; pictures past that are described in words, with links to their files.

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
    pictures = list(_by_weight(report))
    embedded = {picture.files for picture in _first_within(pictures, most_bytes * 19 // 20)}
    return template.render(
        report=report,
        embedded=embedded,
        n_elsewhere=sum(picture.files not in embedded for picture in pictures),
        most=f"{most_bytes / 1e6:.3g} MB",
        columns=COLUMNS,
        style=Markup(style),  # noqa: S704  (ours, and named by its hash)
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
    )


def _by_weight(report: Report) -> Iterator[Picture]:
    """Give all pictures, those of the whole first, then the first of every neuron, then the second of every neuron."""
    yield report.diagram
    stimulations = [stimulation for session in report.sessions for stimulation in session.stimulations]
    for stimulation in stimulations:
        yield from stimulation.pictures
    neurons = [neuron.pictures for stimulation in stimulations for neuron in stimulation.neurons]
    for pictures in zip_longest(*neurons):
        yield from (picture for picture in pictures if picture is not None)


def _first_within(pictures: list[Picture], most_bytes: int) -> list[Picture]:
    """Give as many of the first pictures as stay within a size together."""
    ends = accumulate(len(picture.uri) for picture in pictures)
    return [picture for picture, end in zip(pictures, ends, strict=True) if end <= most_bytes]
