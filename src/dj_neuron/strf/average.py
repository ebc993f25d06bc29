"""The spike-triggered average at every delay, with its standard error and the ledger of spikes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts import SpikeLedger
from dj_neuron.strf._trains import checked
from dj_neuron.strf.bit_counter import average_levels
from dj_neuron.strf.frame_sums import sum_frames
from dj_neuron.strf.repeats import frozen_repeats, square_counts_of_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule
    from dj_neuron.strf.frame_sums import FrameSums

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SpikeTriggeredAverage:
    """Estimates for all neurons of a stimulation at all delays.

    Attributes
    ----------
    values : array (n_neurons, n_delays, n_y, n_x)
        Average movie value, less `pixel_mean` if `centred`; NaN where too few spikes count.
    delays_s : array (n_delays,)
        Seconds before the spike.
    ledger : SpikeLedger
        Counts of shape (n_neurons, n_delays).
    error_factor : array (n_neurons, n_delays)
        Standard error in units of the blocks' standard deviation: sqrt(sum c^2) / sum c, where c is the
        number of spikes per frame.
    pixel_mean, pixel_sd : array (n_y, n_x)
        Of the movie's frames.
    centred : bool
        Whether `pixel_mean` was subtracted; ``values + pixel_mean`` is then the raw mean.
    """

    values: Floats
    delays_s: Floats
    ledger: SpikeLedger
    error_factor: Floats
    pixel_mean: Floats
    pixel_sd: Floats
    centred: bool

    @property
    def n_used(self) -> Ints:
        """Spikes that count, ``(n_neurons, n_delays)``: the divisor of every average."""
        return self.ledger.n_used

    def of_neuron(self, i: int) -> SpikeTriggeredAverage:
        """Give the estimates of the neuron at place `i` alone, as views."""
        return replace(
            self,
            values=self.values[i : i + 1],
            ledger=SpikeLedger(*(counts[i : i + 1] for counts in self.ledger)),
            error_factor=self.error_factor[i : i + 1],
        )

    @property
    def standard_error(self) -> Floats:
        """Of `values`, same shape, for frames that are independent of each other."""
        return self.error_factor[:, :, None, None] * self.pixel_sd

    @property
    def z(self) -> Floats:
        """Distance from the pixel's mean in standard errors, shape of `values`."""
        centred = self.values if self.centred else self.values - self.pixel_mean
        with np.errstate(divide="ignore", invalid="ignore"):
            return centred / self.standard_error


def spike_triggered_average(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    *,
    frame_rule: FrameRule = "floor",
    centre: bool = True,
    min_spikes: int = 1,
) -> SpikeTriggeredAverage:
    """Average the movie over the frames that were on the screen at each delay before each spike.

    Parameters
    ----------
    movie : Movie or array (n_frames, n_y, n_x)
        In contrast; the estimate has the unit of what is given.
    frame_clock : FrameClock
        When each of the movie's frames was on the screen.
    spike_trains : sequence of SpikeTrain or of arrays (n_spikes,)
        Seconds on the recording's clock, one entry per neuron.
    delays_s : array (n_delays,)
        Seconds before the spike; positive = past, negative = noise control.
    frame_rule : {"floor", "nearest"}
        See :meth:`FrameClock.frames_at`.
    centre : bool
        Subtract each block's mean over all frames of the movie.
    min_spikes : int
        With fewer spikes that count, the estimate at that delay is NaN.

    Returns
    -------
    SpikeTriggeredAverage
        ``values`` (n_neurons, n_delays, n_y, n_x), ``n_used`` (n_neurons, n_delays), ``standard_error``, ``z``.

    Raises
    ------
    AlignmentError
        If movie and clock differ in their number of frames, or spikes or delays are not 1-D and finite.

    Notes
    -----
    The divisor at each delay is the number of spikes that count there; n spikes in a frame weigh n. Frozen repeats take
    part, and the spikes at all showings of an image count as one number in the standard error.
    With correlated stimuli this is the average stimulus, not the neuron's filter.

    References
    ----------
    .. [1] Chichilnisky (2001), A simple white noise analysis of neuronal light responses, Network 12:199-213.

    Examples
    --------
    >>> from dj_neuron.strf import FrameClock
    >>> frames = np.array([[[1, -1]], [[-1, -1]], [[1, 1]]])  # 3 frames of 1 x 2 blocks
    >>> clock = FrameClock.regular(frame_rate_hz=10, n_frames=3, onset_s=0)
    >>> sta = spike_triggered_average(frames, clock, [[0.25, 0.35]], [0.0, 0.1], centre=False)
    >>> sta.values[0, :, 0].tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    >>> sta.n_used.tolist(), sta.ledger.n_after_end.tolist()
    ([[1, 2]], [[1, 0]])
    """
    movie, trains, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes)
    found = sum_frames(movie, frame_clock, trains, delays, frame_rule)
    n_used, square_counts = found.ledger.n_used, found.square_counts
    trials = frozen_repeats(movie)
    if trials.size:
        square_counts = square_counts_of_images(frame_clock, trains, delays, frame_rule, trials)
    divisor = np.where(n_used >= max(min_spikes, 1), n_used, np.nan)
    pixel_mean, pixel_sd, values = _averages(found, movie, divisor.ravel(), centre)
    return SpikeTriggeredAverage(
        values=values.reshape(*n_used.shape, movie.n_y, movie.n_x),
        delays_s=delays,
        ledger=found.ledger,
        error_factor=np.sqrt(square_counts) / divisor,
        pixel_mean=pixel_mean.reshape(movie.shape[1:]),
        pixel_sd=pixel_sd.reshape(movie.shape[1:]),
        centred=centre,
    )


def _averages(found: FrameSums, movie: Movie, divisor: Floats, centre: bool) -> tuple[Floats, Floats, Floats]:
    """Divide the sums, in place: mean and standard deviation of every block, averages of every neuron and delay."""
    low, high = movie.levels or (0.0, 1.0)
    share, square = found.whole / movie.n_frames, found.squares / movie.n_frames
    mean = low + (high - low) * share
    sd = (high - low) * np.sqrt(np.maximum(square - share**2, 0))
    values = average_levels(found.sums, divisor, (low, high), mean if centre else -found.offset)
    return mean + found.offset, sd, values
