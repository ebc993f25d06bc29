"""The spike-triggered average at every delay, with its standard error and the ledger of spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts import Movie, SpikeLedger, SpikeTrain
from dj_neuron.errors import AlignmentError
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP, FrameClock, FrameRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CHUNK_VALUES = 1 << 21  # blocks of the movie unpacked at a time


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
    The divisor at each delay is the number of spikes that count there; n spikes in a frame weigh n.
    With correlated stimuli this is the average stimulus, not the neuron's filter.

    References
    ----------
    .. [1] Chichilnisky (2001), A simple white noise analysis of neuronal light responses, Network 12:199-213.

    Examples
    --------
    >>> frames = np.array([[[1, -1]], [[-1, -1]], [[1, 1]]])  # 3 frames of 1 x 2 blocks
    >>> clock = FrameClock.regular(frame_rate_hz=10, n_frames=3, onset_s=0)
    >>> sta = spike_triggered_average(frames, clock, [[0.25, 0.35]], [0.0, 0.1], centre=False)
    >>> sta.values[0, :, 0].tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    >>> sta.n_used.tolist(), sta.ledger.n_after_end.tolist()
    ([[1, 2]], [[1, 0]])
    """
    movie = movie if isinstance(movie, Movie) else Movie.from_frames(movie)
    if movie.n_frames != frame_clock.n_frames:
        raise AlignmentError(f"the movie has {movie.n_frames} frames, but the clock {frame_clock.n_frames}")
    delays = np.atleast_1d(np.asarray(delays_s, np.float64))
    if delays.ndim != 1 or not np.isfinite(delays).all():
        raise AlignmentError("delays are expected as finite seconds, (n_delays,)")
    trains = [_times(train, neuron) for neuron, train in enumerate(spike_trains)]

    ledger, rows, frames = _align(frame_clock, trains, delays, frame_rule)
    sums, square_counts, pixel_mean, pixel_sd = _accumulate(movie, rows, frames, len(trains) * delays.size)

    shape = (len(trains), delays.size)
    n_used = ledger.n_used
    enough = n_used >= max(min_spikes, 1)
    divisor = np.where(enough, n_used, np.nan)
    values = sums.reshape(*shape, movie.n_y, movie.n_x)
    values /= divisor[:, :, None, None]
    if centre:
        values -= pixel_mean
    return SpikeTriggeredAverage(
        values=values,
        delays_s=delays,
        ledger=ledger,
        error_factor=np.sqrt(square_counts.reshape(shape)) / divisor,
        pixel_mean=pixel_mean,
        pixel_sd=pixel_sd,
        centred=centre,
    )


def _times(train: SpikeTrain | ArrayLike, neuron: int) -> Floats:
    times_s = np.asarray(train.times_s if isinstance(train, SpikeTrain) else train, np.float64)
    if times_s.ndim != 1 or not np.isfinite(times_s).all():
        raise AlignmentError(f"spike train {neuron} has shape {times_s.shape}, expected finite seconds, (n_spikes,)")
    return times_s


def _align(
    frame_clock: FrameClock, trains: Sequence[Floats], delays: Floats, frame_rule: FrameRule
) -> tuple[SpikeLedger, Ints, Ints]:
    """Give the ledger, and row (neuron x delay) and frame of every spike that counts, sorted by frame."""
    shape = (len(trains), delays.size)
    counts = {code: np.zeros(shape, np.int64) for code in (0, BEFORE_ONSET, AFTER_END, IN_GAP)}
    rows, frames = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for neuron, times_s in enumerate(trains):
        for delay_idx, delay_s in enumerate(delays):
            found = frame_clock.frames_at(times_s, delay_s, frame_rule)
            for code, count in counts.items():
                count[neuron, delay_idx] = np.count_nonzero(found >= 0 if code == 0 else found == code)
            found = found[found >= 0]
            frames.append(found)
            rows.append(np.full(found.size, neuron * delays.size + delay_idx))
    row, frame = np.concatenate(rows), np.concatenate(frames)
    order = np.argsort(frame, kind="stable")
    ledger = SpikeLedger(
        n_used=counts[0],
        n_before_onset=counts[BEFORE_ONSET],
        n_after_end=counts[AFTER_END],
        n_in_gap=counts[IN_GAP],
    )
    return ledger, row[order], frame[order]


def _accumulate(movie: Movie, rows: Ints, frames: Ints, n_rows: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Sum the frames of every row in one pass over the movie.

    Returns
    -------
    sums : array (n_rows, n_blocks)
    square_counts : array (n_rows,)
        Sum over frames of the squared number of spikes.
    pixel_mean, pixel_sd : array (n_y, n_x)
    """
    sums = np.zeros((n_rows, movie.n_blocks))
    square_counts = np.zeros(n_rows)
    total, total_squares = np.zeros(movie.n_blocks), np.zeros(movie.n_blocks)
    for start, values in _chunks(movie):
        first, last = np.searchsorted(frames, (start, start + len(values)))
        cells = rows[first:last] * len(values) + (frames[first:last] - start)
        counts = np.bincount(cells, minlength=n_rows * len(values)).reshape(n_rows, len(values))
        square_counts += np.einsum("rf,rf->r", counts, counts)
        sums += counts.astype(values.dtype) @ values
        total += values.sum(axis=0, dtype=np.float64)
        total_squares += np.einsum("fb,fb->b", values, values, dtype=np.float64)
    mean = total / movie.n_frames
    sd = np.sqrt(np.maximum(total_squares / movie.n_frames - mean**2, 0))
    if movie.levels is not None:
        low, high = movie.levels
        n_counted = np.bincount(rows, minlength=n_rows)[:, None]
        sums = low * n_counted + (high - low) * sums
        mean, sd = low + (high - low) * mean, (high - low) * sd
    return sums, square_counts, mean.reshape(movie.shape[1:]), sd.reshape(movie.shape[1:])


def _chunks(movie: Movie) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give start frame and values (n, n_blocks): bits of a two-level movie in float32, where sums of a
    chunk are exact, else float64.
    """
    step = max(1, _CHUNK_VALUES // movie.n_blocks)
    for start in range(0, movie.n_frames, step):
        if movie.levels is None:
            values = movie.frames(start, start + step, np.float64)
            yield start, values.reshape(len(values), -1)
        else:
            packed = movie.data[start : start + step]
            bits = np.unpackbits(packed, axis=1, count=movie.n_blocks, bitorder="little")
            yield start, bits.astype(np.float32)
