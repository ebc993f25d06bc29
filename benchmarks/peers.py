"""The same averages by other packages: python benchmarks/peers.py.

Needs benchmarks/peers.lock beside requirements.lock, in an environment of Python 3.11 that holds dj-neuron too.
Every package is given movie and spikes ready in the form it asks for; only its own computing is timed. What it does
otherwise than dj-neuron is corrected and said in the docstring of its ``prepare_`` function. Figures are additions that
are needed (spikes that count x delays x blocks) per second, so that packages can be given as much as they can bear.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata

import numpy as np
from engine import N_DELAYS, N_X, N_Y, RATE_HZ, SPIKES_PER_FRAME, best_s

from dj_neuron import Movie
from dj_neuron.strf import FrameClock, spike_triggered_average

LARGEST_DIFFERENCE = 1e-6


@dataclass(frozen=True)
class Work:
    """A two-level movie and the spikes to average it for.

    Attributes
    ----------
    frames : array (n_frames, n_y, n_x) of int8
        -1 or 1.
    trains : list of arrays (n_spikes,)
        Seconds, one entry per neuron, all while the movie was on the screen.
    n_delays : int
        Delays of 0, 1, ... frames.
    rate_hz, onset_s : float
    """

    frames: np.ndarray
    trains: list
    n_delays: int
    rate_hz: float
    onset_s: float

    @classmethod
    def random(cls, n_frames, n_neurons, n_delays=N_DELAYS, rate_hz=RATE_HZ, onset_s=1.0):
        """White noise and spikes at random."""
        rng = np.random.default_rng(1)
        frames = rng.choice(np.array([-1, 1], np.int8), (n_frames, N_Y, N_X))
        end_s = onset_s + n_frames / rate_hz
        n_spikes = rng.poisson(SPIKES_PER_FRAME * n_frames, n_neurons)
        return cls(frames, [np.sort(rng.uniform(onset_s, end_s, n)) for n in n_spikes], n_delays, rate_hz, onset_s)

    def part(self, n_neurons, n_delays):
        """Only the first neurons and delays."""
        return replace(self, trains=self.trains[:n_neurons], n_delays=min(n_delays, self.n_delays))

    @cached_property
    def clock(self):
        """When each frame was on the screen."""
        return FrameClock.regular(self.rate_hz, len(self.frames), self.onset_s)

    @cached_property
    def spike_frames(self):
        """Frame on the screen at each spike, one array (n_spikes,) per neuron."""
        return [self.clock.frames_at(train, 0.0) for train in self.trains]

    @cached_property
    def n_used(self):
        """Spikes that count, (n_neurons, n_delays)."""
        return np.array([[(frames >= lag).sum() for lag in range(self.n_delays)] for frames in self.spike_frames])

    @property
    def n_additions(self):
        """Spikes that count x blocks."""
        return int(self.n_used.sum()) * self.frames[0].size

    def as_ours(self, averages):
        """Bring averages over all spikes, oldest delay first, to ours: over those that count, delay 0 first.

        Parameters
        ----------
        averages : array (n_neurons, n_delays, ...)

        Returns
        -------
        array (n_neurons, n_delays, n_y, n_x)
        """
        n_spikes = [[train.size] for train in self.trains]
        newest_first = np.reshape(averages, (*self.n_used.shape, *self.frames.shape[1:]))[:, ::-1]
        return newest_first * (n_spikes / self.n_used)[:, :, None, None]


@dataclass(frozen=True)
class Peer:
    """A package that averages movies.

    Attributes
    ----------
    distribution : str
        Its name on PyPI.
    prepare : function
        From a :class:`Work` to a function without arguments that gives the averages (n_neurons, n_delays, n_y, n_x).
    n_neurons, n_delays : int
        How much it can bear of 20,000 frames, in time and memory.
    """

    distribution: str
    prepare: Callable
    n_neurons: int
    n_delays: int

    @property
    def version(self):
        """As installed; None if it is not."""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def what_differs(self):
        """Lines for the reader of the figures."""
        return inspect.getdoc(self.prepare).partition("\n\n")[2]


@dataclass(frozen=True)
class Measurement:
    """What a package did with a part of a work."""

    duration_s: float
    n_additions: int
    largest_difference: float


def prepare_dj_neuron(work):
    """Average with dj-neuron.

    - The movie is packed, one bit per block. All cores are used.
    - The divisor at each delay is the number of spikes that had a frame then.
    """
    movie, delays_s = Movie.from_frames(work.frames), np.arange(work.n_delays) / work.rate_hz
    return lambda: spike_triggered_average(movie, work.clock, work.trains, delays_s, centre=False).values


def prepare_pynapple(work):
    """Average with pynapple's ``compute_event_triggered_average``.

    - It goes over every frame with every neuron, spikes or not, in compiled code on one core.
    - It counts spikes and picks frames in bins whose width and edges are rounded to nanoseconds. With samples at the
      starts of the frames this is exact at 59.98 Hz, but at 60 or 85 Hz it takes the frame after the right one; spikes
      within microseconds of an edge can change sides. Here samples and spikes stand in the middle of their frames.
    - Unless told the time support, it ends with the start of the last frame and loses the spikes there. Here it is
      told.
    - Spikes without a frame at a delay add nothing, but stay in the divisor. Corrected by n_spikes / n_used.
    - The sign of ``window`` is dropped: (-0.3, -0.1) gives -0.3 to +0.1 s. A window of a whole number of bins can give
      one delay too many; here it ends in the middle of a bin.
    - Delays come oldest first. Neither mean nor norm is changed, and n spikes in a frame weigh n: as here.
    """
    import pynapple as nap  # noqa: PLC0415 - need not be installed

    shown = nap.IntervalSet(work.onset_s, work.clock.ends_s[-1])
    middles_s = work.clock.starts_s + 0.5 / work.rate_hz
    values = work.frames.reshape(len(work.frames), -1).astype(np.float64)
    movie = nap.TsdFrame(t=middles_s, d=values, time_support=shown)
    trains = {neuron: nap.Ts(middles_s[frames]) for neuron, frames in enumerate(work.spike_frames)}
    group = nap.TsGroup(trains, time_support=shown)
    window_s = (max(work.n_delays - 1.5, 0) / work.rate_hz, 0)

    def run():
        averages = nap.compute_event_triggered_average(movie, group, 1 / work.rate_hz, window_s)
        return work.as_ours(averages.values.swapaxes(0, 1))

    return run


def prepare_pyret(work):
    """Average with pyret's ``filtertools.sta``.

    - It cuts out and adds one piece of the movie per frame with spikes, on one core, neuron by neuron. The movie may
      have any type; int8 was the fastest.
    - It is one frame off: what it labels 0 s is the frame before the one on the screen at the spike. Here it is asked
      for one sample after the spike, which is that frame.
    - Spikes in the first n_delays frames and in the last one are left out, even if all their delays lie inside the
      movie, but stay in the divisor. Here blank frames are put before and after the movie, and the divisor is corrected
      by n_spikes / n_used.
    - Delays come oldest first. Neither mean nor norm is changed, and n spikes in a frame weigh n: as here.
    """
    from pyret.filtertools import sta  # noqa: PLC0415 - need not be installed

    movie = np.pad(work.frames, ((work.n_delays, 1), (0, 0), (0, 0)))
    time_s = work.onset_s + np.arange(-work.n_delays, len(work.frames) + 1) / work.rate_hz

    def run():
        return work.as_ours([sta(time_s, movie, train, work.n_delays - 1, 1)[0] for train in work.trains])

    return run


def prepare_rfest(work):
    """Average with the ``w_sta`` of RFEst's models, here ``LNP``.

    - It multiplies a design matrix of n_frames x (n_delays x n_blocks) with the spike counts in BLAS, neuron by neuron,
      and every model copies the matrix. The matrix is given ready, and counts of its own type: float32, about twice as
      fast as float64.
    - Counts of 32 neurons in one array give the same averages some 20 times faster, but it documents (n_samples,), and
      so it is used.
    - The matrix of 20,000 frames of 3,072 blocks at 20 delays has 4.9 GB in float32 and is built by way of 9.8 GB in
      float64; a few delays are taken.
    - Spikes come as counts per frame. Its ``resample_spikes`` puts frames evenly between the first and the last, which
      is wrong for measured frame times; here counts are ours.
    - Before the first frame it puts zeros, and all spikes stay in the divisor. Corrected by n_spikes / n_used.
    - If counts are not whole numbers, it divides by the number of frames instead.
    - Delays come oldest first. Neither mean nor norm is changed, and n spikes in a frame weigh n: as here.
    """
    from rfest import build_design_matrix  # noqa: PLC0415 - need not be installed
    from rfest.GLM import LNP  # noqa: PLC0415

    n_frames, n_y, n_x = work.frames.shape
    matrix = build_design_matrix(work.frames.reshape(n_frames, -1), work.n_delays, dtype=np.float32)
    counts = [np.bincount(frames, minlength=n_frames).astype(np.float32) for frames in work.spike_frames]
    dims = [work.n_delays, n_y, n_x]

    def run():
        return work.as_ours([np.asarray(LNP(matrix, count, dims=dims).w_sta) for count in counts])

    return run


OURS = Peer("dj-neuron", prepare_dj_neuron, n_neurons=32, n_delays=20)
PEERS = {
    "pynapple": Peer("pynapple", prepare_pynapple, n_neurons=4, n_delays=20),
    "pyret": Peer("pyret", prepare_pyret, n_neurons=4, n_delays=20),
    "RFEst": Peer("rfest", prepare_rfest, n_neurons=4, n_delays=4),
}


def measure(peer, work, n_runs=3):
    """Time a package on as much of the work as it can bear, and compare it with ours on that."""
    part = work.part(peer.n_neurons, peer.n_delays)
    run = peer.prepare(part)
    difference = np.abs(run() - OURS.prepare(part)()).max()
    return Measurement(best_s(run, n_runs), part.n_additions, difference)


def main():
    """Print the table."""
    work = Work.random(n_frames=4000, n_neurons=4)
    wrong = []
    print(f"{'':12}{'version':12}{'ms':>8}{'G/s':>8}{'largest difference':>20}")
    for name, peer in {"dj-neuron": OURS, **PEERS}.items():
        if peer.version is None:
            print(f"{name:12}is not installed (pip install {peer.distribution})")
            continue
        measured = measure(peer, work)
        speed = measured.n_additions / measured.duration_s / 1e9
        print(
            f"{name:12}{peer.version:12}{1e3 * measured.duration_s:8.1f}{speed:8.3f}{measured.largest_difference:20.1e}"
        )
        if not measured.largest_difference <= LARGEST_DIFFERENCE:
            wrong.append(name)
    for name, peer in PEERS.items():
        print(f"\n{name}\n{peer.what_differs}")
    if wrong:
        sys.exit(f"{', '.join(wrong)}: other averages than ours, expected no difference above {LARGEST_DIFFERENCE:g}")


if __name__ == "__main__":
    main()
