"""What a report holds: words, numbers and pictures, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dj_neuron.figures.album import Picture
    from dj_neuron.figures.report.summary import NeuronRow


@dataclass(frozen=True)
class NeuronSection:
    """One drawn neuron.

    Attributes
    ----------
    anchor : str
        What a link to it ends with, after ``#``.
    finding : str
        What was found, in a sentence.
    missing : list of str
        What could not be measured, and why.
    """

    anchor: str
    title: str
    finding: str
    missing: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class StimulationSection:
    """One stimulation: all its neurons in a table, its pictures, the neurons that are drawn.

    Attributes
    ----------
    n_fields, n_on, n_off : int
        Neurons with a field beyond chance, and how many of each polarity.
    """

    anchor: str
    title: str
    stimulus: str
    minutes: float
    n_spikes: int
    n_fields: int
    n_on: int
    n_off: int
    rows: list[NeuronRow]
    missing: list[str]
    pictures: list[Picture]
    neurons: list[NeuronSection]


@dataclass(frozen=True)
class SessionSection:
    """One session with its stimulations; none of them may have been asked for, or there is none."""

    anchor: str
    title: str
    source: str
    note: str
    stimulations: list[StimulationSection]


@dataclass(frozen=True)
class Report:
    """Everything on the page.

    Attributes
    ----------
    facts : list of (str, str)
        What the head says: database, counts, dates, versions.
    parameters : list of (str, list of str)
        Every table of parameters and what it is for, with a line per row.
    empty_sessions : list of (str, str)
        Sessions without a stimulation, and the note of each.
    """

    facts: list[tuple[str, str]]
    parameters: list[tuple[str, list[str]]]
    diagram: Picture
    sessions: list[SessionSection]
    empty_sessions: list[tuple[str, str]]
