"""The recording: spikes, stimulations and the session they belong to."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts.arguments import date, floats, instance, members, real, settle, shown, text, whole
from dj_neuron.contracts.gaps import without_ambiguity
from dj_neuron.contracts.movie import Movie
from dj_neuron.contracts.notebook import session_html, spike_train_html, stimulation_html
from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    import datetime

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


_RATES_HZ = (0.001, 10_000.0)  # one image in a quarter of an hour; sampling rates of electrodes begin here
_PIXELS_UM = (0.001, 10_000.0)
_LATEST_S = 1e10  # seconds since 1970 have not got there


@dataclass(frozen=True, eq=False)
class SpikeTrain:
    """The spikes of one neuron during one stimulation.

    Parameters
    ----------
    neuron_id : int
        Number of the neuron within its session, from 1.
    times_s : array (n_spikes,)
        Seconds on the recording's clock, ascending; may be empty.
    label : str
        What the source calls the unit.
    """

    neuron_id: int
    times_s: Floats
    label: str = ""

    def __post_init__(self) -> None:
        where = f"neuron {shown(self.neuron_id)}"
        neuron_id, label = whole(self.neuron_id, "neuron_id", where), text(self.label, "label", where)
        times_s = np.array(floats(self.times_s, "spike times", where))
        if times_s.ndim != 1:
            raise ContractError(f"{where}: spike times have shape {times_s.shape}, expected (n_spikes,)")
        if not np.isfinite(times_s).all():
            raise ContractError(
                f"{where}: spike {np.flatnonzero(~np.isfinite(times_s))[0]} is not a finite time, expected seconds"
            )
        if times_s.size and times_s.min() < 0:
            raise ContractError(
                f"{where}: spike {times_s.argmin()} is at {times_s.min():g} s, expected seconds from the start "
                "of the recording"
            )
        if times_s.size and times_s.max() > _LATEST_S:
            raise ContractError(
                f"{where}: spike {times_s.argmax()} is at {times_s.max():g} s, expected seconds on the clock of the "
                "recording"
            )
        if (np.diff(times_s) < 0).any():
            raise ContractError(
                f"{where}: spike {np.flatnonzero(np.diff(times_s) < 0)[0] + 1} comes before the one ahead of it, "
                "expected ascending times"
            )
        times_s.flags.writeable = False
        settle(self, neuron_id=neuron_id, times_s=times_s, label=label)

    @property
    def n_spikes(self) -> int:
        """Number of spikes."""
        return int(self.times_s.size)

    def _repr_html_(self) -> str:
        return spike_train_html(self)


@dataclass(frozen=True, eq=False)
class Stimulation:
    """One presentation of one movie during a session, with the spikes recorded meanwhile.

    Parameters
    ----------
    stimulation_number : int
        Place within the session, from 1.
    movie : Movie
        What was shown, in contrast.
    frame_rate_hz : float
        The measured rate; with explicit frame times it becomes one over their median step.
    onset_s : float
        When frame 0 came on the screen; with explicit frame times it becomes the first of them.
    pixel_size_um : float
        Micrometres on the retina per screen pixel.
    spike_trains : tuple of SpikeTrain
        One per neuron, in ascending neuron_id.
    frame_edges_s : array (n_frames + 1,), optional
        Starts of all frames and the end of the last, where they are not regular.
    gaps_s : array (n_gaps, 2), optional
        Stretches from, to without any frame on the screen; only with `frame_edges_s`. Each becomes the one from where
        its frame left the screen to the start of the next, ascending; one in the last frame becomes the end of that.
        None of them becomes None.
    """

    stimulation_number: int
    movie: Movie
    frame_rate_hz: float
    onset_s: float
    pixel_size_um: float
    spike_trains: tuple[SpikeTrain, ...] = ()
    frame_edges_s: Floats | None = None
    gaps_s: Floats | None = None

    def __post_init__(self) -> None:
        where = f"stimulation {shown(self.stimulation_number)}"
        settle(self, stimulation_number=whole(self.stimulation_number, "stimulation_number", where))
        instance(self.movie, Movie, "movie", where)
        settle(self, spike_trains=members(self.spike_trains, SpikeTrain, "spike_trains", where))
        if self.frame_edges_s is not None:
            edges_s, gaps_s = self._checked_edges(where), self.gaps_s
            if gaps_s is not None:
                edges_s, gaps_s = self._checked_gaps(edges_s, where)
            edges_s.flags.writeable = False
            settle(self, frame_edges_s=edges_s, gaps_s=gaps_s, onset_s=edges_s[0])
            settle(self, frame_rate_hz=1 / np.median(np.diff(edges_s)))
        for name in ("frame_rate_hz", "onset_s", "pixel_size_um"):
            settle(self, **{name: real(getattr(self, name), name, where)})
        for name, (lowest, highest) in (("frame_rate_hz", _RATES_HZ), ("pixel_size_um", _PIXELS_UM)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ContractError(f"{where}: {name} is {value:g}, expected a positive number")
            if not lowest <= value < highest:
                raise ContractError(f"{where}: {name} is {value:g}, expected {lowest:g} to {highest:g}")
        if not (math.isfinite(self.onset_s) and abs(self.onset_s) <= _LATEST_S):
            raise ContractError(f"{where}: onset_s is {self.onset_s:g}, expected seconds on the clock of the recording")
        ids = [train.neuron_id for train in self.spike_trains]
        if any(b <= a for a, b in pairwise(ids)):
            raise ContractError(f"{where}: neuron ids are {ids!s:.60}, expected each once, in ascending order")
        if self.gaps_s is not None and self.frame_edges_s is None:
            raise ContractError(f"{where}: gaps are given without frame times, expected both")

    def _checked_edges(self, where: str) -> Floats:
        edges_s = np.array(floats(self.frame_edges_s, "frame edges", where))
        if edges_s.shape != (self.movie.n_frames + 1,):
            raise ContractError(
                f"{where}: frame edges have shape {edges_s.shape}, expected ({self.movie.n_frames + 1},): "
                f"the starts of the movie's {self.movie.n_frames} frames and the end of the last"
            )
        if not (np.isfinite(edges_s).all() and (np.diff(edges_s) > 0).all()):
            raise ContractError(f"{where}: frame edges are not finite and strictly ascending, expected seconds")
        if np.abs(edges_s).max() > _LATEST_S:
            raise ContractError(
                f"{where}: frame edges are from {edges_s[0]:g} to {edges_s[-1]:g} s, expected seconds on the clock of "
                "the recording"
            )
        return edges_s

    def _checked_gaps(self, edges_s: Floats, where: str) -> tuple[Floats, Floats | None]:
        gaps_s = np.array(floats(self.gaps_s, "gaps", where))
        if gaps_s.ndim != 2 or gaps_s.shape[1] != 2 or not (gaps_s[:, 0] < gaps_s[:, 1]).all():
            raise ContractError(f"{where}: gaps are no pairs of seconds, expected rows of (from, to) with from < to")
        try:
            edges_s, gaps_s = without_ambiguity(edges_s, gaps_s)
        except ContractError as error:
            raise ContractError(f"{where}: {error}") from None
        gaps_s.flags.writeable = False
        return edges_s, gaps_s if len(gaps_s) else None

    @property
    def block_size_um(self) -> tuple[float, float]:
        """Width and height of a block in micrometres."""
        width, height = self.movie.block_size_px
        return width * self.pixel_size_um, height * self.pixel_size_um

    @property
    def end_s(self) -> float:
        """When the last frame left the screen."""
        if self.frame_edges_s is not None:
            return float(self.frame_edges_s[-1])
        return self.onset_s + self.movie.n_frames / self.frame_rate_hz

    def _repr_html_(self) -> str:
        return stimulation_html(self)


@dataclass(frozen=True)
class Source:
    """Where a session was read from: file name, sha256 of its bytes, name of the reader."""

    file_name: str
    sha256: str
    reader: str

    def __post_init__(self) -> None:
        for name in ("file_name", "sha256", "reader"):
            settle(self, **{name: text(getattr(self, name), name, "source")})
        # names of files need not be text; what is not becomes a replacement character
        settle(self, file_name=self.file_name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


@dataclass(frozen=True, eq=False)
class Session:
    """One recording of one piece of retina; it may hold no stimulation at all.

    Parameters
    ----------
    subject_name : str
        Of the animal or its line, 128 characters at most. Blanks around it are left out and accents are composed
        (Unicode NFC): what looks the same is one subject.
    session_date : datetime.date
        Of a date with a time, the day that it says; its time zone moves nothing.
    remarks : tuple of str
        What the reader has to say about this reading, a sentence each: what it left in the file, and what it took for
        granted. They are shown when the session is ingested, and not stored.
    """

    subject_name: str
    session_date: datetime.date
    sample_number: int
    stimulations: tuple[Stimulation, ...] = ()
    source: Source = field(default_factory=lambda: Source("", "", ""))
    species: str = ""
    subject_description: str = ""
    note: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("subject_name", "species", "subject_description", "note"):
            settle(self, **{name: text(getattr(self, name), name)})
        # arrays of characters are padded with blanks, and file systems decompose accents
        settle(self, subject_name=unicodedata.normalize("NFC", self.subject_name).strip())
        if not self.subject_name:
            raise ContractError("subject_name is empty, expected the name of the animal or its line")
        if not self.subject_name.isprintable():
            raise ContractError(f"subject_name is {ascii(self.subject_name)[:40]}, expected printable text")
        settle(self, session_date=date(self.session_date, "session_date", self.subject_name))
        where = f"{self.subject_name}, {self.session_date}, sample {shown(self.sample_number)}"
        settle(
            self,
            sample_number=whole(self.sample_number, "sample_number", where, lowest=0),
            stimulations=members(self.stimulations, Stimulation, "stimulations", where),
            source=instance(self.source, Source, "source", where),
            remarks=members(self.remarks, str, "remarks", where),
        )
        numbers = [stimulation.stimulation_number for stimulation in self.stimulations]
        if any(b <= a for a, b in pairwise(numbers)):
            raise ContractError(f"{self}: stimulation numbers are {numbers!s:.60}, expected each once, ascending")
        labels: dict[int, str] = {}
        for stimulation in self.stimulations:
            for train in stimulation.spike_trains:
                if labels.setdefault(train.neuron_id, train.label) != train.label:
                    raise ContractError(
                        f"{self}: neuron {train.neuron_id} is called {train.label!r:.60} and "
                        f"{labels[train.neuron_id]!r:.60}, expected one label"
                    )

    @property
    def neuron_labels(self) -> dict[int, str]:
        """Source label of every neuron by neuron_id, ascending."""
        trains = (train for stimulation in self.stimulations for train in stimulation.spike_trains)
        return dict(sorted((train.neuron_id, train.label) for train in trains))

    def _repr_html_(self) -> str:
        return session_html(self)

    def __str__(self) -> str:
        return f"{self.subject_name}, {self.session_date}, sample {self.sample_number}"
