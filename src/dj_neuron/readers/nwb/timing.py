"""When each frame of a series was on the screen: from its rate, its timestamps, or what stands beside the file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dj_neuron.errors import ReadError
from dj_neuron.readers.hdf5_frames import measure
from dj_neuron.readers.named_files import frame_edges_s
from dj_neuron.readers.nwb.passed_over import what_is_no_second
from dj_neuron.readers.nwb.sidecar import OF_MEASURED, REGULAR

if TYPE_CHECKING:
    from pynwb.base import TimeSeries

    from dj_neuron.readers.nwb.sidecar import Sidecar

    Floats = np.ndarray[Any, np.dtype[np.float64]]

_LONG_STEP = 10  # median steps: more frames than a busy computer drops in a row


class Timing(NamedTuple):
    """The clock of a stimulation in the words of :class:`Stimulation`, and where it comes from."""

    frame_rate_hz: float
    onset_s: float
    frame_edges_s: Floats | None
    gaps_s: Floats | None
    remark: str

    @property
    def fields(self) -> dict[str, Any]:
        """All but the remark."""
        return {name: value for name, value in self._asdict().items() if name != "remark"}


def as_written(value: Any) -> float:
    """Give a number of single precision as the decimal that was written: 59.9815 and not 59.98149871826172."""
    return float(str(value)) if isinstance(value, np.float32) else float(value)


def timing_of(series: TimeSeries, n_frames: int, said: dict[str, Any], sidecar: Sidecar, place: str) -> Timing:
    """Find when the frames were shown; what is said beside the file comes first.

    Parameters
    ----------
    series : pynwb.TimeSeries
        With ``rate`` and ``starting_time``, or ``timestamps``.
    said : dict
        What the sidecar, or a file that dj-neuron wrote, says about the stimulation.

    Raises
    ------
    ReadError
        If there is no rate, or timestamps cannot be when the frames came on the screen, or are not said to be seconds.
    """
    if "frame_rate_hz" in said:
        source = "as exported" if "clock_offset_s" in said else f"from {sidecar.path.name}"
        return _regular(said["frame_rate_hz"], said["onset_s"], f"a regular rate, {source}")
    if "frame_edges_s" in said:
        return _from_edges(said["frame_edges_s"], said["gaps_s"], "measured frame times, as exported")
    if "frame_times" in said:
        times_s = frame_edges_s(sidecar.path.parent, said, n_frames, place, sidecar.path.name)
        return _measured(times_s[:-1], {"last_frame_end_s": times_s[-1], **said}, sidecar, place, "frame times")
    if series.rate is not None:
        of_measured = [key for key in OF_MEASURED if key in said]
        if of_measured:
            raise ReadError(
                f"{place}: {sidecar.path.name} gives {' and '.join(of_measured)}, but the series has a rate, expected "
                "frame_times with it"
            )
        _check_said(series, "starting_time", sidecar, place)
        rate_hz, onset_s = as_written(series.rate), as_written(series.starting_time or 0.0)
        if not (math.isfinite(rate_hz) and rate_hz > 0 and math.isfinite(onset_s)):
            raise ReadError(
                f"{place}: rate is {rate_hz:g} Hz from {onset_s:g} s, expected the measured frame rate, or "
                f"{sidecar.hint(*REGULAR)}"
            )
        return _regular(rate_hz, onset_s, "a regular rate")
    if series.timestamps is None:
        raise ReadError(f"{place}: has neither rate nor timestamps, expected one of them, or {sidecar.hint(*REGULAR)}")
    _check_said(series, "timestamps", sidecar, place)
    measure(series.timestamps, place)
    starts_s = np.asarray(series.timestamps[:], np.float64)
    _check_timestamps(starts_s, n_frames, sidecar, place)
    return _measured(starts_s, said, sidecar, place, "timestamps")


def _check_said(series: TimeSeries, name: str, sidecar: Sidecar, place: str) -> None:
    if problem := what_is_no_second(series, name):
        raise ReadError(f"{place}: {problem}, or {sidecar.hint(*REGULAR)}, or frame_times there")


def _regular(rate_hz: float, onset_s: float, remark: str) -> Timing:
    return Timing(float(rate_hz), float(onset_s), None, None, remark)


def _from_edges(edges_s: Floats, gaps_s: Floats | None, remark: str) -> Timing:
    return Timing(1 / float(np.median(np.diff(edges_s))), float(edges_s[0]), edges_s, gaps_s, remark)


def _check_timestamps(starts_s: Floats, n_frames: int, sidecar: Sidecar, place: str) -> None:
    steps_s = np.diff(starts_s)
    problem = ""
    if starts_s.shape != (n_frames,):
        problem = f"{len(starts_s)} timestamps for {n_frames} frames"
    elif not np.isfinite(starts_s).all():
        problem = f"timestamp {np.flatnonzero(~np.isfinite(starts_s))[0]} is no number"
    elif n_frames > 1 and not steps_s.any():
        problem = f"all timestamps are {starts_s[0]:g}, which is a placeholder"
    elif (steps_s <= 0).any():
        frame = int(np.flatnonzero(steps_s <= 0)[0]) + 1
        problem = f"timestamp {frame} is {starts_s[frame]:g} s and not later than the one ahead of it"
    elif n_frames > 1 and (starts_s == np.round(starts_s)).all():
        problem = (
            f"timestamps are whole numbers ({starts_s[0]:g}, {starts_s[1]:g}, ...): indexes or samples, not seconds"
        )
    if problem:
        raise ReadError(
            f"{place}: {problem}; expected the seconds at which each frame came on the screen, or "
            f"{sidecar.hint(*REGULAR)}, or frame_times there"
        )


def _measured(starts_s: Floats, said: dict[str, Any], sidecar: Sidecar, place: str, source: str) -> Timing:
    """Measured starts: say what is taken for the end of the last frame, and what for a gap."""
    steps_s = np.diff(starts_s)
    if not steps_s.size and "last_frame_end_s" not in said:
        raise ReadError(f"{place}: has a single timestamp, expected {sidecar.hint('last_frame_end_s')}")
    usual_s = float(np.median(steps_s)) if steps_s.size else math.inf
    end_s = said.get("last_frame_end_s", starts_s[-1] + usual_s)
    if not end_s > starts_s[-1]:
        raise ReadError(
            f"{place}: last_frame_end_s is {end_s:g}, expected a time after {starts_s[-1]:g} s, where "
            "the last frame starts"
        )
    remark = f"{source}; the last frame ends at {end_s:g} s"
    if "last_frame_end_s" not in said:
        remark += ", one median step after its start"
    gaps_s = None
    if "longest_frame_s" in said:
        if said["longest_frame_s"] < usual_s:
            raise ReadError(
                f"{place}: longest_frame_s is {said['longest_frame_s']:g}, expected at least {usual_s:g} s, by which "
                "frames follow each other"
            )
        before = np.flatnonzero(steps_s > said["longest_frame_s"])
        gaps_s = np.column_stack([starts_s[before] + usual_s, starts_s[before + 1]]) if before.size else None
        remark += f"; {before.size} gap(s), where the next frame came after more than {said['longest_frame_s']:g} s"
    elif "gaps_s" in said:
        gaps_s = np.array(said["gaps_s"], np.float64) if said["gaps_s"] else None
    elif steps_s.size and steps_s.max() > _LONG_STEP * usual_s:
        frame = int(steps_s.argmax())
        raise ReadError(
            f"{place}: frame {frame} is followed after {steps_s[frame]:g} s, where {usual_s:g} s are usual, and "
            f"nothing says whether it stayed on the screen; expected longest_frame_s (what is longer is a gap) or "
            f"{sidecar.hint('gaps_s')}"
        )
    return _from_edges(np.append(starts_s, end_s), gaps_s, remark)
