"""What a recording is: frozen, validated values that readers yield and tables store.

Nothing here does input or output. Times are seconds on the recording's clock, movies are
``(n_frames, n_y, n_x)`` with row 0 at the top of the screen and column 0 at its left.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    import datetime

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Floats = NDArray[np.float64]

_CHUNK_VALUES = 1 << 22  # how many blocks of a movie are looked at in one go


@dataclass(frozen=True, eq=False, repr=False)
class Movie:
    """A stimulus movie; movies of two levels are held as one bit a block.

    Build one with :meth:`from_frames`; the constructor takes what is already encoded.

    Parameters
    ----------
    shape : tuple of int
        ``(n_frames, n_y, n_x)`` in blocks.
    data : array
        For two levels, packed bits ``(n_frames, ceil(n_y * n_x / 8))`` uint8, least significant
        bit first, 1 = the higher level. Otherwise the values ``(n_frames, n_y, n_x)``.
    levels : tuple of float, optional
        The lower and the higher level of a packed movie; None for a graded one.
    block_size_px : tuple of int
        Width and height of a block in screen pixels.
    screen_size_px : tuple of int
        Width and height of the stimulated part of the screen in pixels; default: the blocks.
    """

    shape: tuple[int, int, int]
    data: NDArray[Any]
    levels: tuple[float, float] | None = None
    block_size_px: tuple[int, int] = (1, 1)
    screen_size_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ContractError(f"movie has shape {self.shape}, expected (n_frames, n_y, n_x), each at least 1")
        expected = self.shape if self.levels is None else (self.n_frames, -(-self.n_blocks // 8))
        if self.data.shape != expected:
            raise ContractError(f"movie data have shape {self.data.shape}, expected {expected}")
        if min(self.block_size_px) < 1:
            raise ContractError(f"block size is {self.block_size_px} screen pixels, expected at least 1")
        extent = (self.n_x * self.block_size_px[0], self.n_y * self.block_size_px[1])
        if self.screen_size_px == (0, 0):
            object.__setattr__(self, "screen_size_px", extent)
        if any(abs(e - s) >= b for e, s, b in zip(extent, self.screen_size_px, self.block_size_px, strict=True)):
            raise ContractError(
                f"{self.n_x} x {self.n_y} blocks of {self.block_size_px} screen pixels cover {extent}, "
                f"but the screen is {self.screen_size_px} (width, height)"
            )
        self.data.flags.writeable = False

    @classmethod
    def from_frames(
        cls,
        frames: ArrayLike,
        *,
        block_size_px: tuple[int, int] = (1, 1),
        screen_size_px: tuple[int, int] = (0, 0),
    ) -> Movie:
        """Take frames as an array, packing them into bits where they have two levels.

        Parameters
        ----------
        frames : array (n_frames, n_y, n_x)
            Finite numbers or booleans. The values are kept as they are (see :meth:`as_contrast`).

        Raises
        ------
        ContractError
            If the array is not three-dimensional, is empty, or holds values that are not finite numbers.
        """
        frames = np.asarray(frames)
        if frames.ndim != 3 or frames.size == 0:
            raise ContractError(f"frames have shape {frames.shape}, expected (n_frames, n_y, n_x), none of them 0")
        if frames.dtype.kind not in "biuf":
            raise ContractError(f"frames are {frames.dtype}, expected real numbers or booleans")
        low, high = frames.min(), frames.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = np.argwhere(~np.isfinite(frames))[0]
            raise ContractError(f"frame {bad[0]} is not finite at row {bad[1]}, column {bad[2]}")
        packed = _packed_bits(frames, low, high)
        return cls(
            shape=(int(frames.shape[0]), int(frames.shape[1]), int(frames.shape[2])),
            data=frames.astype(frames.dtype.newbyteorder("=")) if packed is None else packed,
            levels=None if packed is None else (float(low), float(high)),
            block_size_px=block_size_px,
            screen_size_px=screen_size_px,
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.shape[0]

    @property
    def n_y(self) -> int:
        """Rows of blocks, counted from the top of the screen."""
        return self.shape[1]

    @property
    def n_x(self) -> int:
        """Columns of blocks, counted from the left of the screen."""
        return self.shape[2]

    @property
    def n_blocks(self) -> int:
        """Blocks in a frame."""
        return self.n_y * self.n_x

    @cached_property
    def movie_hash(self) -> str:
        """sha256 of content and geometry, in hexadecimal: equal movies have equal hashes."""
        head = f"{self.shape} {self.levels} {self.data.dtype.str} {self.block_size_px} {self.screen_size_px}"
        digest = hashlib.sha256(head.encode())
        digest.update(np.ascontiguousarray(self.data).data)
        return digest.hexdigest()

    def frames(self, start: int = 0, stop: int | None = None, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Values of frames ``start`` to ``stop`` as ``(n, n_y, n_x)`` of `dtype`."""
        data = self.data[start:stop]
        if self.levels is None:
            return data.astype(dtype)
        bits = np.unpackbits(data, axis=1, count=self.n_blocks, bitorder="little")
        return np.asarray(self.levels, dtype)[bits].reshape(len(data), self.n_y, self.n_x)

    def as_contrast(self, black: float | None = None, white: float | None = None) -> Movie:
        """Rescale the values so that black is -1 and white is +1.

        Parameters
        ----------
        black, white : float, optional
            The values shown as black and white; default: the two levels of a two-level movie.
            A graded movie whose values already lie in [-1, 1] needs neither.

        Raises
        ------
        ContractError
            If the movie has a single level, or is graded, outside [-1, 1] and black or white is not given.
        """
        if self.levels is not None:
            if black is None or white is None:
                black, white = self.levels
                if black == white:
                    raise ContractError(f"every block of the movie is {black:g}, expected at least two levels")
            _check_black_and_white(black, white)
            low, high = (2 * (level - black) / (white - black) - 1 for level in self.levels)
            return replace(self, levels=(low, high)) if low < high else self._inverted((high, low))
        if black is None or white is None:
            low, high = float(self.data.min()), float(self.data.max())
            if low >= -1 and high <= 1:
                return self
            raise ContractError(
                f"a graded movie has values from {low:g} to {high:g}, expected contrast from -1 to 1, "
                "or the values of black and white"
            )
        _check_black_and_white(black, white)
        return replace(self, data=(2 * (self.data.astype(np.float32) - black) / (white - black) - 1).astype(np.float32))

    def _inverted(self, levels: tuple[float, float]) -> Movie:
        bits = np.unpackbits(self.data, axis=1, count=self.n_blocks, bitorder="little")
        return replace(self, data=np.packbits(1 - bits, axis=1, bitorder="little"), levels=levels)

    def __repr__(self) -> str:
        kind = "graded" if self.levels is None else "levels {:g}, {:g}".format(*self.levels)
        return f"Movie({self.n_frames} frames of {self.n_y} x {self.n_x} blocks, {kind})"


def _check_black_and_white(black: float, white: float) -> None:
    if black == white or not (math.isfinite(black) and math.isfinite(white)):
        raise ContractError(f"black is {black:g} and white {white:g}, expected two different values")


def _packed_bits(frames: NDArray[Any], low: Any, high: Any) -> NDArray[np.uint8] | None:
    n_frames = frames.shape[0]
    n_blocks = frames[0].size
    packed = np.empty((n_frames, -(-n_blocks // 8)), np.uint8)
    step = max(1, _CHUNK_VALUES // n_blocks)
    for start in range(0, n_frames, step):
        chunk = frames[start : start + step]
        is_high = chunk == high
        if not (is_high | (chunk == low)).all():
            return None
        packed[start : start + step] = np.packbits(is_high.reshape(len(chunk), -1), axis=1, bitorder="little")
    return packed


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
        times_s = np.array(self.times_s, np.float64)
        where = f"neuron {self.neuron_id}"
        if times_s.ndim != 1:
            raise ContractError(f"{where}: spike times have shape {times_s.shape}, expected (n_spikes,)")
        if not np.isfinite(times_s).all():
            raise ContractError(f"{where}: spike {np.flatnonzero(~np.isfinite(times_s))[0]} is not a finite time")
        if times_s.size and times_s.min() < 0:
            raise ContractError(
                f"{where}: spike {times_s.argmin()} is at {times_s.min():g} s, expected seconds from the start "
                "of the recording"
            )
        if (np.diff(times_s) < 0).any():
            raise ContractError(
                f"{where}: spike {np.flatnonzero(np.diff(times_s) < 0)[0] + 1} comes before the one ahead of it, "
                "expected ascending times"
            )
        times_s.flags.writeable = False
        object.__setattr__(self, "times_s", times_s)

    @property
    def n_spikes(self) -> int:
        """Number of spikes."""
        return int(self.times_s.size)


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
        The measured rate; for explicit frame times their nominal one (one over the median step).
    onset_s : float
        When frame 0 came on the screen.
    pixel_size_um : float
        Micrometres on the retina per screen pixel.
    spike_trains : tuple of SpikeTrain
        One per neuron, in ascending neuron_id.
    frame_edges_s : array (n_frames + 1,), optional
        Starts of all frames and the end of the last, where they are not regular.
    gaps_s : array (n_gaps, 2), optional
        Stretches from, to without any frame on the screen; only with `frame_edges_s`.
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
        where = f"stimulation {self.stimulation_number}"
        for name, value in (("frame_rate_hz", self.frame_rate_hz), ("pixel_size_um", self.pixel_size_um)):
            if not (math.isfinite(value) and value > 0):
                raise ContractError(f"{where}: {name} is {value}, expected a positive number")
        if not math.isfinite(self.onset_s):
            raise ContractError(f"{where}: onset_s is {self.onset_s}, expected a time in seconds")
        ids = [train.neuron_id for train in self.spike_trains]
        if any(b <= a for a, b in pairwise(ids)):
            raise ContractError(f"{where}: neuron ids are {ids}, expected each once, in ascending order")
        if self.frame_edges_s is not None:
            object.__setattr__(self, "frame_edges_s", self._checked_edges(where))
        if self.gaps_s is not None:
            object.__setattr__(self, "gaps_s", self._checked_gaps(where))

    def _checked_edges(self, where: str) -> Floats:
        edges_s = np.array(self.frame_edges_s, np.float64)
        if edges_s.shape != (self.movie.n_frames + 1,):
            raise ContractError(
                f"{where}: frame edges have shape {edges_s.shape}, expected ({self.movie.n_frames + 1},): "
                f"the starts of the movie's {self.movie.n_frames} frames and the end of the last"
            )
        if not (np.isfinite(edges_s).all() and (np.diff(edges_s) > 0).all()):
            raise ContractError(f"{where}: frame edges are not finite and strictly ascending")
        edges_s.flags.writeable = False
        return edges_s

    def _checked_gaps(self, where: str) -> Floats:
        gaps_s = np.array(self.gaps_s, np.float64)
        if gaps_s.ndim != 2 or gaps_s.shape[1] != 2 or not (gaps_s[:, 0] < gaps_s[:, 1]).all():
            raise ContractError(f"{where}: gaps are not rows of (from, to) with from < to")
        if self.frame_edges_s is None:
            raise ContractError(f"{where}: gaps are given without frame times")
        gaps_s.flags.writeable = False
        return gaps_s

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


@dataclass(frozen=True)
class Source:
    """Where a session was read from: file name, sha256 of its bytes, name of the reader."""

    file_name: str
    sha256: str
    reader: str


@dataclass(frozen=True, eq=False)
class Session:
    """One recording of one piece of retina; it may hold no stimulation at all."""

    subject_name: str
    session_date: datetime.date
    sample_number: int
    stimulations: tuple[Stimulation, ...] = ()
    source: Source = field(default_factory=lambda: Source("", "", ""))
    species: str = ""
    subject_description: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.subject_name.strip():
            raise ContractError("subject_name is empty, expected the name of the animal or its line")
        numbers = [stimulation.stimulation_number for stimulation in self.stimulations]
        if any(b <= a for a, b in pairwise(numbers)):
            raise ContractError(f"{self}: stimulation numbers are {numbers}, expected each once, ascending")
        labels: dict[int, str] = {}
        for stimulation in self.stimulations:
            for train in stimulation.spike_trains:
                if labels.setdefault(train.neuron_id, train.label) != train.label:
                    raise ContractError(
                        f"{self}: neuron {train.neuron_id} is called {train.label!r} and {labels[train.neuron_id]!r}"
                    )

    @property
    def neuron_labels(self) -> dict[int, str]:
        """Source label of every neuron by neuron_id, ascending."""
        trains = (train for stimulation in self.stimulations for train in stimulation.spike_trains)
        return dict(sorted((train.neuron_id, train.label) for train in trains))

    def __str__(self) -> str:
        return f"{self.subject_name}, {self.session_date}, sample {self.sample_number}"


@dataclass(frozen=True, order=True)
class StimulationId:
    """Which stimulation, in words a person can use: its whole key in the pipeline."""

    subject_name: str
    session_date: datetime.date
    sample_number: int
    stimulation_number: int

    def __str__(self) -> str:
        session = f"{self.subject_name}, {self.session_date}, sample {self.sample_number}"
        return f"{session}, stimulation {self.stimulation_number}"


@dataclass(frozen=True, eq=False)
class SpikeLedger:
    """Where every spike went, per delay: the four add up to the number of spikes.

    Attributes
    ----------
    n_used, n_before_onset, n_after_end, n_in_gap : int arrays (..., n_delays)
        Spikes that count; spikes for which no frame was on the screen at that delay, because it
        falls before the movie's onset, after its end, in a gap or across a join of the recording.
    """

    n_used: NDArray[np.int64]
    n_before_onset: NDArray[np.int64]
    n_after_end: NDArray[np.int64]
    n_in_gap: NDArray[np.int64]

    @property
    def n_spikes(self) -> NDArray[np.int64]:
        """All spikes, at every delay the same number."""
        return self.n_used + self.n_before_onset + self.n_after_end + self.n_in_gap


@dataclass(frozen=True, eq=False)
class Strf:
    """One neuron's spatio-temporal receptive field, estimated from one stimulation.

    Attributes
    ----------
    values : array (n_delays, n_y, n_x)
        Contrast; NaN at delays with too few spikes. `pixel_mean` is subtracted if `centred`.
    standard_error : array (n_delays, n_y, n_x)
        Of `values`, for frames that are independent of each other.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending; negative ones are the noise control.
    pixel_mean : array (n_y, n_x)
        Mean contrast of every block over the movie's frames.
    block_size_um : tuple of float
        Width and height of a block on the retina.
    """

    stimulation_id: StimulationId
    neuron_id: int
    delays_s: Floats
    values: NDArray[Any]
    standard_error: NDArray[Any]
    ledger: SpikeLedger
    pixel_mean: NDArray[Any]
    centred: bool
    frame_rule: str
    frame_rate_hz: float
    block_size_um: tuple[float, float]
    min_spikes: int = 1

    @property
    def z(self) -> NDArray[Any]:
        """Estimate over standard error, ``(n_delays, n_y, n_x)``."""
        centred = self.values if self.centred else self.values - self.pixel_mean
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(centred / self.standard_error)

    @property
    def n_spikes(self) -> int:
        """All spikes of the neuron during the stimulation."""
        return int(self.ledger.n_spikes[0])

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of the whole field of blocks."""
        n_y, n_x = self.values.shape[1:]
        return n_x * self.block_size_um[0], n_y * self.block_size_um[1]

    @property
    def label(self) -> str:
        """Stimulation and neuron in words."""
        return f"{self.stimulation_id}, neuron {self.neuron_id}"
