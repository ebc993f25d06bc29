"""From spike time and delay to the frame that was on the screen: the one place where alignment lives.

Frame k is on the screen during ``[start_k, end_k)``. What was visible `delay` seconds before a spike at
`t` is therefore the last frame that started at or before ``t - delay``, if it had not ended by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from dj_neuron.contracts import Stimulation
from dj_neuron.contracts.arguments import choice, floats, instance, real, whole
from dj_neuron.contracts.gaps import ROUNDING_ULPS, frame_ends_s
from dj_neuron.errors import AlignmentError, ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FrameRule = Literal["floor", "nearest"]
FRAME_RULES: tuple[FrameRule, ...] = ("floor", "nearest")

# What stands in place of a frame index where no frame was on the screen.
BEFORE_ONSET, AFTER_END, IN_GAP = -1, -2, -3

MOST_DELAYS = 10_000
"""In a range: a second at the highest frame rate. Every neuron has a frame of blocks at each."""

_NEAR_FRAME = 0.05  # in frames: nominal delays meet measured rates


@dataclass(frozen=True, eq=False)
class FrameClock:
    """When every frame of a movie was on the screen.

    Build one with :meth:`regular`, :meth:`from_edges` or :meth:`from_starts`.

    Attributes
    ----------
    starts_s, ends_s : array (n_frames,)
        Each frame is on the screen during ``[start, end)``, seconds on the recording's clock.
    joins_s : array (n_joins,)
        Instants at which separate pieces of recording were joined; no delay reaches across one.
    frame_rate_hz : float
        The rate of a regular clock; else one over the median frame duration.
    is_regular : bool
        Whether the clock was made from a rate.
    """

    starts_s: Floats
    ends_s: Floats
    joins_s: Floats = field(default_factory=lambda: np.empty(0))
    frame_rate_hz: float = 0.0
    is_regular: bool = False

    @classmethod
    def regular(cls, frame_rate_hz: float, n_frames: int, onset_s: float) -> FrameClock:
        """Frames that follow each other at `frame_rate_hz` from `onset_s` on."""
        frame_rate_hz = real(frame_rate_hz, "frame_rate_hz", error=AlignmentError)
        n_frames = whole(n_frames, "n_frames", lowest=0, error=AlignmentError)
        onset_s = real(onset_s, "onset_s", error=AlignmentError)
        if not (np.isfinite(frame_rate_hz) and frame_rate_hz > 0 and n_frames > 0 and np.isfinite(onset_s)):
            raise AlignmentError(
                f"a clock of {n_frames} frames at {frame_rate_hz:g} Hz from {onset_s:g} s, expected at least one "
                "frame, a positive rate and a finite onset"
            )
        edges_s = onset_s + np.arange(n_frames + 1) / frame_rate_hz
        return cls(edges_s[:-1], edges_s[1:], frame_rate_hz=frame_rate_hz, is_regular=True)

    @classmethod
    def from_edges(cls, edges_s: ArrayLike, *, joins_s: ArrayLike = ()) -> FrameClock:
        """Frames at measured times: ``n_frames + 1`` edges, the last being the end of the last frame."""
        edges = floats(edges_s, "frame edges", error=AlignmentError)
        if edges.ndim != 1 or edges.size < 2:
            raise AlignmentError(
                f"frame edges have shape {edges.shape}, expected (n_frames + 1,) with at least one frame"
            )
        return cls.from_starts(edges[:-1], float(edges[-1]), joins_s=joins_s)

    @classmethod
    def from_starts(
        cls,
        starts_s: ArrayLike,
        last_end_s: float,
        *,
        gaps_s: Sequence[tuple[float, float]] | ArrayLike = (),
        joins_s: ArrayLike = (),
    ) -> FrameClock:
        """Frames at measured starts, each shown until the next begins or a gap does.

        Parameters
        ----------
        starts_s : array (n_frames,)
            Strictly ascending.
        last_end_s : float
            When the last frame left the screen.
        gaps_s : array (n_gaps, 2)
            From, to: stretches without any frame. A gap ends when the next frame starts.
        joins_s : array (n_joins,)
            See the class.

        Raises
        ------
        AlignmentError
            If there is no frame, times are not finite and ascending, a frame starts inside a gap, or gaps are no
            pairs.
        """
        starts = floats(starts_s, "frame times", error=AlignmentError)
        edges = np.append(starts, real(last_end_s, "last_end_s", error=AlignmentError))
        if starts.ndim != 1 or not starts.size:
            raise AlignmentError(f"frame times have shape {starts.shape}, expected (n_frames,) with at least one frame")
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise AlignmentError(
                "frame times are not finite and strictly ascending, the end of the last frame included"
            )
        gaps = floats(gaps_s, "gaps", error=AlignmentError)
        if gaps.size and (gaps.ndim != 2 or gaps.shape[1] != 2):
            raise AlignmentError(f"gaps have shape {gaps.shape}, expected (n_gaps, 2)")
        try:
            ends = frame_ends_s(edges, gaps.reshape(-1, 2))
        except ContractError as error:
            raise AlignmentError(str(error)) from None
        joins = np.sort(floats(joins_s, "joins", error=AlignmentError).ravel())
        if not np.isfinite(joins).all():
            raise AlignmentError("joins are not all finite, expected seconds")
        return cls(starts, ends, joins_s=joins, frame_rate_hz=float(1 / np.median(np.diff(edges))))

    @classmethod
    def of(cls, stimulation: Stimulation) -> FrameClock:
        """Give the clock of a stimulation: its measured frame times, or its measured rate."""
        instance(stimulation, Stimulation, "stimulation", error=AlignmentError)
        if stimulation.frame_edges_s is None:
            return cls.regular(stimulation.frame_rate_hz, stimulation.movie.n_frames, stimulation.onset_s)
        edges_s = stimulation.frame_edges_s
        gaps_s = () if stimulation.gaps_s is None else stimulation.gaps_s
        return cls.from_starts(edges_s[:-1], float(edges_s[-1]), gaps_s=gaps_s)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.starts_s.size

    def frames_at(self, spike_times_s: Floats, delay_s: float, frame_rule: FrameRule = "floor") -> NDArray[np.int64]:
        """Find the frame on the screen `delay_s` before each spike.

        Parameters
        ----------
        spike_times_s : array (n_spikes,)
        delay_s : float
            Positive = past; 0 is the frame on the screen at the spike.
        frame_rule : {"floor", "nearest"}
            "nearest" takes the frame whose start is nearest, on a regular clock only. It is wrong for
            half of all spikes and exists to reproduce results of the 2019 pipeline.

        Returns
        -------
        array (n_spikes,) of int64
            0-based frame index, or BEFORE_ONSET, AFTER_END or IN_GAP.
        """
        spike_times_s = floats(spike_times_s, "spike times", error=AlignmentError)
        delay_s = real(delay_s, "delay_s", error=AlignmentError)
        if choice(frame_rule, FRAME_RULES, "frame_rule", error=AlignmentError) == "nearest":
            return self._nearest(spike_times_s, delay_s)
        tolerance_s = self.tolerances_s([spike_times_s], np.array([delay_s], np.float64)).item()
        seen_s = spike_times_s - delay_s + tolerance_s
        frame = np.searchsorted(self.starts_s, seen_s, side="right") - 1
        ended = seen_s >= self.ends_s[frame]
        result = np.where(ended, np.where(frame == self.n_frames - 1, AFTER_END, IN_GAP), frame)
        if self.joins_s.size:
            piece_of_spike = np.searchsorted(self.joins_s, spike_times_s + tolerance_s, side="right")
            piece_of_frame = np.searchsorted(self.joins_s, seen_s, side="right")
            result[(piece_of_spike != piece_of_frame) & (result >= 0)] = IN_GAP
        result[frame < 0] = BEFORE_ONSET
        return result.astype(np.int64)

    def tolerances_s(self, trains: Sequence[Floats], delays_s: Floats) -> Floats:
        """Give how much later than ``spike - delay`` rounding may put a frame's start, ``(n_trains, n_delays)``."""
        of_clock = max(abs(self.starts_s[0]), abs(self.ends_s[-1]))
        of_trains = [np.abs(train).max(initial=of_clock) for train in trains]
        return ROUNDING_ULPS * np.spacing(np.maximum.outer(of_trains, np.abs(delays_s)))

    def _nearest(self, spike_times_s: Floats, delay_s: float) -> NDArray[np.int64]:
        if not self.is_regular:
            raise AlignmentError(
                'frame rule "nearest" reproduces results on a regular clock, but the frame times are measured'
            )
        # the very order of operations of the pipeline that it reproduces
        frame = np.round((spike_times_s - self.starts_s[0] - delay_s) * self.frame_rate_hz).astype(np.int64)
        return np.where(frame < 0, BEFORE_ONSET, np.where(frame >= self.n_frames, AFTER_END, frame))

    def delays_between(self, first_s: float, last_s: float, step_s: float = 0) -> Floats:
        """Give the delays of a range, ``(n_delays,)`` ascending.

        Parameters
        ----------
        first_s, last_s : float
            Seconds before the spike, both inclusive.
        step_s : float
            Seconds between delays; 0 gives every whole number of frames in the range, so that 0 is the frame at
            the spike. A range that misses a frame by less than a twentieth (0.1 s at 59.98 Hz) includes it.

        Raises
        ------
        AlignmentError
            If the range is reversed, or holds no delay or more than ``MOST_DELAYS``.
        """
        first_s, last_s, step_s = (
            real(value, name, "delays", error=AlignmentError)
            for name, value in (("first_s", first_s), ("last_s", last_s), ("step_s", step_s))
        )
        if not (np.isfinite([first_s, last_s, step_s]).all() and step_s >= 0 and last_s >= first_s):
            raise AlignmentError(
                f"delays from {first_s:g} to {last_s:g} s in steps of {step_s:g} s, expected first <= last and a "
                "step >= 0"
            )
        if first_s == last_s:
            return np.array([first_s], np.float64)
        if last_s - first_s >= MOST_DELAYS * (step_s or 1 / self.frame_rate_hz):
            step = f"steps of {step_s:g} s" if step_s else f"frames at {self.frame_rate_hz:g} Hz"
            raise AlignmentError(
                f"delays from {first_s:g} to {last_s:g} s are too many in {step}, expected {MOST_DELAYS} at most"
            )
        if step_s > 0:
            n_steps = int(np.floor((last_s - first_s) / step_s + 1e-6))
            return np.float64(first_s) + np.arange(n_steps + 1) * step_s
        first_lag = np.ceil(first_s * self.frame_rate_hz - _NEAR_FRAME)
        last_lag = np.floor(last_s * self.frame_rate_hz + _NEAR_FRAME)
        if last_lag < first_lag:
            raise AlignmentError(
                f"no whole frame lies between delays of {first_s} and {last_s} s at {self.frame_rate_hz:g} Hz"
            )
        return np.arange(first_lag, last_lag + 1) / self.frame_rate_hz
