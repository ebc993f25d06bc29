"""A simulated retina: linear-nonlinear-Poisson neurons whose receptive fields are known.

A neuron multiplies the movie with a Gaussian in space and a biphasic course in time, passes the
sum through a sigmoid and fires as a Poisson process at that rate. Its number of spikes is given, so
that a simulated data set can have the very layout of a real one.
"""

from __future__ import annotations

import datetime
import json
import math
import pickle
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation, StimulationId
from dj_neuron.errors import ContractError, ReadError
from dj_neuron.layout import checked_sessions
from dj_neuron.text_file import TextFileError, read_json
from dj_neuron.white_noise import ret1_movie, ret1_stream
from dj_neuron.whole import refuse_other_than_file, refuse_to_replace, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LAYOUTS = ("ret1", "small")

_THRESHOLD = 1.3  # of the sigmoid, in standard deviations of the drive
_SLOPE = 3.0
_FILTER_S = 0.5  # the stimulus acts for this long
_AFTERGLOW_S = 0.5  # recording goes on after the last frame
_SUBSAMPLES = 5  # points per block and axis at which the Gaussian is averaged


@dataclass(frozen=True)
class KnownNeuron:
    """The receptive field that a simulated neuron really has.

    Micrometres count from the top left corner of the screen, x to the right and y down; `angle_deg` is that of
    the major axis, from x towards y. The time course at s seconds before the spike is
    ``polarity * (g(s, time_to_peak_s) - rebound * g(s, 2.2 * time_to_peak_s))`` with
    ``g(s, p) = (s / p)^4 * exp(4 - 4 s / p)``.
    """

    neuron_id: int
    polarity: int
    centre_x_um: float
    centre_y_um: float
    sigma_major_um: float
    sigma_minor_um: float
    angle_deg: float
    time_to_peak_s: float
    rebound: float
    baseline: float

    def covariance_um2(self) -> Floats:
        """Spatial covariance, ``(2, 2)`` over (x, y)."""
        angle = np.deg2rad(self.angle_deg)
        axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray(axes @ np.diag([self.sigma_major_um**2, self.sigma_minor_um**2]) @ axes.T)

    def time_course(self, delays_s: Floats) -> Floats:
        """Weight of the stimulus at each delay before the spike."""

        def lobe(peak_s: float) -> Floats:
            scaled = delays_s / peak_s
            return np.asarray(scaled**4 * np.exp(4 - 4 * scaled))

        return self.polarity * (lobe(self.time_to_peak_s) - self.rebound * lobe(2.2 * self.time_to_peak_s))

    def spatial_weights(self, n_y: int, n_x: int, block_size_um: tuple[float, float]) -> Floats:
        """Weight of every block, ``(n_y, n_x)``, up to a factor; a bar collects over its whole length."""
        covariance = self.covariance_um2()
        x_um = _points(n_x, block_size_um[0]) - self.centre_x_um
        y_um = _points(n_y, block_size_um[1]) - self.centre_y_um
        if n_y == 1:
            dense = np.exp(-(x_um**2) / (2 * covariance[0, 0]))[None, :]
        elif n_x == 1:
            dense = np.exp(-(y_um**2) / (2 * covariance[1, 1]))[:, None]
        else:
            (a, b), (_, d) = np.linalg.inv(covariance)
            dense = np.exp(-(a * x_um**2 + 2 * b * x_um * y_um[:, None] + d * y_um[:, None] ** 2) / 2)
        return np.asarray(dense.reshape(n_y, -1, n_x, dense.shape[1] // n_x).mean(axis=(1, 3)))


def _points(n_blocks: int, size_um: float) -> Floats:
    if n_blocks == 1:
        return np.array([size_um / 2])
    return (np.arange(n_blocks * _SUBSAMPLES) + 0.5) * size_um / _SUBSAMPLES


def load_layout(layout: str | Path) -> list[dict[str, Any]]:
    """Load a layout by name ("ret1", "small") or from a JSON file of the same form."""
    if str(layout) in LAYOUTS:
        content = json.loads(resources.files("dj_neuron").joinpath("layouts", f"{layout}.json").read_text("utf-8"))
        return checked_sessions(content, str(layout))
    expected = f"expected {', '.join(LAYOUTS)} or a layout file"
    try:
        content = read_json(Path(layout))
    except OSError as error:
        raise ReadError(f"{layout}: {error.strerror}, {expected}") from error
    except TextFileError as error:
        raise ReadError(f"{layout}: {error}, {expected}") from error
    return checked_sessions(content, str(layout))


def draw_neuron(rng: np.random.Generator, neuron_id: int, extent_um: tuple[float, float]) -> KnownNeuron:
    """Draw a mouse-like ganglion cell whose centre lies within the inner 80 % of `extent_um` (width, height)."""
    sigma_major_um = rng.uniform(70, 120)
    return KnownNeuron(
        neuron_id=neuron_id,
        polarity=int(rng.choice((-1, 1))),
        centre_x_um=extent_um[0] * rng.uniform(0.1, 0.9),
        centre_y_um=extent_um[1] * rng.uniform(0.1, 0.9),
        sigma_major_um=sigma_major_um,
        sigma_minor_um=sigma_major_um * rng.uniform(0.7, 1),
        angle_deg=rng.uniform(0, 180),
        time_to_peak_s=rng.uniform(0.05, 0.12),
        rebound=rng.uniform(0.2, 0.7),
        baseline=rng.uniform(0.005, 0.05),
    )


def respond(neuron: KnownNeuron, stimulation: Stimulation, n_spikes: int, rng: np.random.Generator) -> Floats:
    """Draw the neuron's spike times, ``(n_spikes,)`` seconds, under a stimulation on a regular clock.

    The rate is constant during each frame, depends on this frame and those before it, and is that of an
    unstimulated neuron before the onset and after the movie has faded.
    """
    movie, frame_rate_hz, onset_s = stimulation.movie, stimulation.frame_rate_hz, stimulation.onset_s
    frame_s = 1 / frame_rate_hz
    weights = neuron.spatial_weights(movie.n_y, movie.n_x, stimulation.block_size_um).ravel()
    seen = np.concatenate(
        [
            chunk.reshape(len(chunk), -1) @ weights
            for start in range(0, movie.n_frames, 512)
            for chunk in (movie.frames(start, start + 512, np.float64),)
        ]
    )
    course = neuron.time_course(np.float64(frame_s) * (np.arange(int(_FILTER_S * frame_rate_hz)) + 0.5))
    drive = np.convolve(seen, course) / (np.linalg.norm(weights) * np.linalg.norm(course))
    drive = drive[: movie.n_frames + int(_AFTERGLOW_S * frame_rate_hz)]
    starts_s = np.concatenate([[0.0], onset_s + np.arange(drive.size) * frame_s])
    durations_s = np.diff(starts_s, append=starts_s[-1] + frame_s)
    rate = neuron.baseline + 1 / (1 + np.exp(-_SLOPE * (np.concatenate([[0.0], drive]) - _THRESHOLD)))
    expected = rate * durations_s
    counts = rng.multinomial(n_spikes, expected / expected.sum())
    frames = np.repeat(np.arange(counts.size), counts)
    return np.sort(starts_s[frames] + rng.random(n_spikes) * durations_s[frames])


def simulate(layout: str | Path, seed: int = 1) -> Iterator[tuple[Session, dict[int, KnownNeuron]]]:
    """Give each session of a layout with its neurons by neuron_id.

    The same seed gives the same spikes; movies are those of :func:`~dj_neuron.white_noise.ret1_movie`.
    """
    entries = load_layout(layout)
    shapes = [stimulation["movie_shape"] for entry in entries for stimulation in entry["stimulations"]]
    stream = ret1_stream(max(map(math.prod, shapes), default=0))
    for number, entry in enumerate(entries):
        rng = np.random.default_rng([seed, number])
        try:
            session = _simulate_session(entry, stream, rng)
        except ContractError as error:
            raise ReadError(f"{layout}: session {number + 1}: {error}") from error
        yield session


def _simulate_session(
    entry: dict[str, Any], stream: NDArray[np.int8], rng: np.random.Generator
) -> tuple[Session, dict[int, KnownNeuron]]:
    layouts = entry["stimulations"]
    extents_um = [(s["stim_width"] * s["pixel_size"], s["stim_height"] * s["pixel_size"]) for s in layouts]
    common_um = tuple(min(axis) for axis in zip(*extents_um, strict=True))
    n_neurons = max((len(s["spike_counts"]) for s in layouts), default=0)
    neurons = {i: draw_neuron(rng, i, (common_um[0], common_um[1])) for i in range(1, n_neurons + 1)}
    stimulations = []
    for number, layout in enumerate(layouts, start=1):
        n_x, n_y, n_frames = layout["movie_shape"]
        movie = Movie.from_frames(
            ret1_movie(n_frames, n_y, n_x, stream),
            block_size_px=(layout["x_block_size"], layout["y_block_size"]),
            screen_size_px=(layout["stim_width"], layout["stim_height"]),
        ).as_contrast()
        silent = Stimulation(number, movie, layout["fps"], layout["stimulus_onset"], layout["pixel_size"])
        trains = tuple(
            SpikeTrain(i, respond(neurons[i], silent, n_spikes, rng))
            for i, n_spikes in enumerate(layout["spike_counts"], start=1)
        )
        stimulations.append(replace(silent, spike_trains=trains))
    session = Session(
        subject_name=entry["subject_name"],
        session_date=entry["session_date"],
        sample_number=entry["sample_number"],
        stimulations=tuple(stimulations),
    )
    return session, neurons


def ret1_entry(session: Session) -> dict[str, Any]:
    """Give a session as the plain dictionary that ``ret1_data.pkl`` holds: movies float64, (x, y, frames)."""
    return {
        "subject_name": session.subject_name,
        "sample_number": session.sample_number,
        "session_date": session.session_date.isoformat(),
        "stimulations": [_ret1_stimulation(stimulation) for stimulation in session.stimulations],
    }


def _ret1_stimulation(stimulation: Stimulation) -> dict[str, Any]:
    movie = stimulation.movie
    return {
        "fps": stimulation.frame_rate_hz,
        "movie": movie.frames(dtype=np.float64).transpose(2, 1, 0),
        "n_frames": movie.n_frames,
        "pixel_size": stimulation.pixel_size_um,
        "stim_height": movie.screen_size_px[1],
        "stim_width": movie.screen_size_px[0],
        "stimulus_onset": stimulation.onset_s,
        "x_block_size": movie.block_size_px[0],
        "y_block_size": movie.block_size_px[1],
        "spikes": [train.times_s[:, None] for train in stimulation.spike_trains],
    }


def truth_path(path: Path) -> Path:
    """Where the known receptive fields of a simulated file are written: beside it."""
    return path.with_name(path.name + ".truth.json")


def write_simulation(
    path: Path | str,
    layout: str | Path = "ret1",
    seed: int = 1,
    progress: Callable[[str], None] | None = None,
    *,
    force: bool = False,
) -> tuple[Path, Path]:
    """Write a file in the form of ``ret1_data.pkl`` and, beside it, the receptive fields it was made from.

    Parameters
    ----------
    path : Path
        Complete or not there at all.
    progress : callable, optional
        Called with one line per session.
    force : bool
        Whether files that are there are replaced.

    Returns
    -------
    tuple of Path
        The pickle and the truth.

    Raises
    ------
    ReadError
        If the layout is not one.
    ExportError
        If one of the files is there already, something other than a file is, or it cannot be written.
    """
    path = Path(path)
    refuse_other_than_file(path)
    if not force:
        refuse_to_replace(path, truth_path(path))
    entries, truths = [], []
    for session, neurons in simulate(layout, seed):
        if progress:
            progress(f"simulated {session}: {len(session.stimulations)} stimulation(s), {len(neurons)} neuron(s)")
        entries.append(ret1_entry(session))
        for stimulation in session.stimulations:
            known = [asdict(neurons[train.neuron_id]) for train in stimulation.spike_trains]
            truths.append({**_stimulation_key(session, stimulation), "neurons": known})
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = {
        "layout": str(layout),
        "seed": seed,
        "units": "um from the top left corner, s, deg",
        "stimulations": truths,
    }
    with whole_file(path) as partial:
        with partial.open("wb") as file:
            pickle.dump(entries, file, protocol=4)
        with whole_file(truth_path(path)) as of_truth:
            of_truth.write_text(json.dumps(truth, indent=1), "utf-8")
    return path, truth_path(path)


def _stimulation_key(session: Session, stimulation: Stimulation) -> dict[str, Any]:
    return {
        "subject_name": session.subject_name,
        "session_date": session.session_date.isoformat(),
        "sample_number": session.sample_number,
        "stimulation_number": stimulation.stimulation_number,
    }


def read_truth(path: Path) -> dict[tuple[StimulationId, int], KnownNeuron]:
    """Read the known receptive fields that :func:`write_simulation` wrote, by stimulation and neuron_id."""
    known = {}
    for entry in json.loads(path.read_text("utf-8"))["stimulations"]:
        stimulation_id = StimulationId(
            entry["subject_name"],
            datetime.date.fromisoformat(entry["session_date"]),
            entry["sample_number"],
            entry["stimulation_number"],
        )
        for neuron in entry["neurons"]:
            known[stimulation_id, neuron["neuron_id"]] = KnownNeuron(**neuron)
    return known
