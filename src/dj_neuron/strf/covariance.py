"""Spike-triggered covariance: directions in which the stimulus before spikes varies more, or less, than it did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import ContractError
from dj_neuron.strf._trains import checked
from dj_neuron.strf.covariance_window import MAX_DIMENSIONS, covariance_window
from dj_neuron.strf.shift_null import draw_shifts, possible_shifts
from dj_neuron.strf.sufficiency import split_halves

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_CHUNK_SPIKES = 1 << 14  # whose stimuli are held at a time
_KEPT_VALUES = 1 << 22  # places of values, or values of covariances, that are held at a time
_LEAST_VARIANCE = 1e-6  # of the largest: directions in which the stimulus did not vary are left out
_STRETCH_S = 10.0
_SPIKES_PER_DIMENSION = 10  # then variances from about 1.3 on, and below 0.7, stand out of those seen by chance


@dataclass(frozen=True, eq=False)
class SpikeTriggeredCovariance:
    """One neuron's covariance before spikes, its average projected out.

    Attributes
    ----------
    eigenvalues : array (n_dimensions,)
        Variance before spikes over that of the stimulus, ascending; empty with fewer than `min_spikes`.
    filters : array (n_filters, n_delays, n_y, n_x)
        Directions of significant variance, in the order in which they were found, outermost first; of unit length, with
        their largest weight positive, 0 outside `mask`. Their sign has no meaning, and of filters with similar
        eigenvalues only the plane or space that they span has.
    filter_eigenvalues : array (n_filters,)
        Above 1: the neuron fires if the filter matches in either contrast; below 1: it is then silent.
    p_value : array (n_filters + 1,)
        Of every filter, and of the next one, which failed. Empty where nothing was tested.
    mask : bool array (n_delays, n_y, n_x)
        Blocks and delays that were looked at.
    n_used : int
        Spikes with a frame on the screen at every delay in `mask`.
    """

    eigenvalues: Floats
    filters: Floats
    filter_eigenvalues: Floats
    p_value: Floats
    mask: Bools
    n_used: int


def spike_triggered_covariance(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_train: SpikeTrain | ArrayLike,
    delays_s: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    neuron_number: int,
    seed: int,
    n_shifts: int = 200,
    alpha: float = 0.05,
    margin_s: float = 0.5,
    frame_rule: FrameRule = "floor",
    min_spikes: int = 50,
) -> SpikeTriggeredCovariance:
    """Find the directions in which the stimulus before spikes has another variance than the stimulus.

    Parameters
    ----------
    movie, frame_clock, delays_s, frame_rule
        As for :func:`~dj_neuron.strf.spike_triggered_average`.
    spike_train : SpikeTrain or array (n_spikes,)
    mask : bool array (n_delays, n_y, n_x), optional
        At most 300 blocks and delays to look at, such as the significant ones of the average. Without it a window is
        found by :func:`covariance_window` in every other stretch of 10 s, with one block and delay for ten spikes, and
        tested in the rest: one found and tested with the same spikes would often seem significant.
    neuron_number, seed : int
        With the number of the test they name the stream of shifts.
    n_shifts : int
        For each test.
    alpha : float
        Chance that anything is found where the neuron depends on the stimulus through its average only.
    margin_s : float
        See :func:`~dj_neuron.strf.circular_shift_null`.
    min_spikes : int
        With fewer nothing is tested.

    Returns
    -------
    SpikeTriggeredCovariance

    Raises
    ------
    AlignmentError
        If movie, clock, train and delays do not fit each other.
    ContractError
        If the mask has another shape, or no or too many blocks and delays.

    Notes
    -----
    Stimuli are whitened with the covariance of the movie, so that correlated movies serve as well; where the movie does
    not vary, nothing is seen. The average is projected out [1]_, then eigenvalues are tested one after another from the
    outside, largest and smallest at once: the outermost is compared with that of circularly shifted spikes; if it
    stands out, its direction is projected out too, and new shifts are drawn for the next [2]_.

    Movies of two levels are not symmetric around every direction. A neuron with few blocks in its field fires when
    these have their one value, so that their differences vary less: a small eigenvalue that needs no second
    filter [3]_.

    References
    ----------
    .. [1] Schwartz, Pillow, Rust, Simoncelli (2006), Spike-triggered neural characterization, J. Vision 6:484-507.
    .. [2] Rust, Schwartz, Movshon, Simoncelli (2005), Spatiotemporal elements of macaque V1 receptive fields,
       Neuron 46:945-956.
    .. [3] Paninski (2003), Convergence properties of three spike-triggered analysis techniques, Network 14:437-464.
    """
    movie, (train,), delays = checked(movie, frame_clock, [spike_train], delays_s, frame_rule, min_spikes)
    if mask is None:
        (first,), (train,) = split_halves(frame_clock, [train], _STRETCH_S)
        n_delays = int(np.count_nonzero(delays >= 0))
        n_dimensions = min(MAX_DIMENSIONS, max(train.size // _SPIKES_PER_DIMENSION, n_delays))
        chosen = covariance_window(
            movie, frame_clock, first, delays, max_dimensions=n_dimensions, frame_rule=frame_rule
        )
    else:
        chosen = _checked_mask(mask, (delays.size, movie.n_y, movie.n_x))
    delay_idx, block_idx = np.nonzero(chosen.reshape(delays.size, -1))
    blocks, block_of = np.unique(block_idx, return_inverse=True)
    used, delay_of = np.unique(delay_idx, return_inverse=True)
    values = _values_of(movie, blocks)

    def stimuli(times_s: Floats) -> _Stimuli:
        frames = np.stack([frame_clock.frames_at(times_s, delays[delay], frame_rule) for delay in used], axis=1)
        return _Stimuli(values, frames[(frames >= 0).all(axis=1)], delay_of, block_of)

    before_spikes = stimuli(train)
    n_used = len(before_spikes.frames)
    whitening = _whitening(stimuli((frame_clock.starts_s + frame_clock.ends_s) / 2))
    if n_used < max(min_spikes, 2):
        nothing = np.empty(0)
        return SpikeTriggeredCovariance(nothing, np.empty((0, *chosen.shape)), nothing, nothing, chosen, n_used)
    possible = possible_shifts(frame_clock, delays, margin_s)
    streams = (draw_shifts(possible, n_shifts, seed, neuron_number, test) for test in range(whitening.shape[1]))
    eigenvalues, directions, found, p_value = _test_one_after_another(before_spikes, whitening, streams, alpha)
    filters = np.zeros((len(found), *chosen.shape))
    filters[:, chosen] = _as_filters(directions)
    return SpikeTriggeredCovariance(eigenvalues, filters, found, p_value, chosen, n_used)


def _checked_mask(mask: ArrayLike, shape: tuple[int, int, int]) -> Bools:
    chosen = np.asarray(mask, np.bool_)
    n_dimensions = np.count_nonzero(chosen)
    if chosen.shape != shape or not 0 < n_dimensions <= MAX_DIMENSIONS:
        raise ContractError(
            f"a mask of shape {chosen.shape} with {n_dimensions} blocks and delays, expected {shape} "
            f"with 1 to {MAX_DIMENSIONS}"
        )
    return chosen


def _values_of(movie: Movie, blocks: Ints) -> Floats:
    """Give some blocks of every frame, (n_frames, n_blocks)."""
    step = max(1, (1 << 21) // movie.n_blocks)
    return np.concatenate(
        [
            movie.frames(start, start + step, np.float64).reshape(-1, movie.n_blocks)[:, blocks]
            for start in range(0, movie.n_frames, step)
        ]
    )


@dataclass(frozen=True, eq=False)
class _Stimuli:
    """What was on the screen at some delays before some instants, one dimension per block and delay."""

    values: Floats  # (n_frames, n_blocks)
    frames: Ints  # (n_instants, n_delays)
    delay_of: Ints  # (n_dimensions,)
    block_of: Ints

    @cached_property
    def _twice(self) -> Floats:
        """All values one after another, two times: rotated by some frames they are a part of this."""
        return np.tile(self.values, (2, 1)).ravel()

    @cached_property
    def _places(self) -> Sequence[Ints]:
        """Where the values of some stimuli at a time lie, (n_instants, n_dimensions)."""
        return list(self._places_anew()) if len(self.frames) * self.delay_of.size <= _KEPT_VALUES else ()

    def _places_anew(self) -> Iterator[Ints]:
        for start in range(0, len(self.frames), _CHUNK_SPIKES):
            frames = self.frames[start : start + _CHUNK_SPIKES]
            yield frames[:, self.delay_of] * self.values.shape[1] + self.block_of

    def moments(self, shift: int = 0) -> tuple[Floats, Floats]:
        """Give mean and covariance, with the movie rotated by `shift` frames, fewer than it has."""
        n_dimensions = self.delay_of.size
        total, squares = np.zeros(n_dimensions), np.zeros((n_dimensions, n_dimensions))
        rotated = self._twice[shift * self.values.shape[1] :]
        for places in self._places or self._places_anew():
            chunk = rotated.take(places)
            total += chunk.sum(axis=0)
            squares += chunk.T @ chunk
        mean = total / len(self.frames)
        return mean, squares / len(self.frames) - np.outer(mean, mean)


def _whitening(stimuli: _Stimuli) -> Floats:
    """Give directions, (n_dimensions, n_kept), along which all stimuli have variance 1 and no correlation."""
    variance, directions = np.linalg.eigh(stimuli.moments()[1])
    is_kept = variance > _LEAST_VARIANCE * variance[-1]
    if not is_kept.any():
        raise ContractError("the movie does not change in the blocks of the mask, expected one that does")
    return np.asarray(directions[:, is_kept] / np.sqrt(variance[is_kept]))


def _test_one_after_another(
    stimuli: _Stimuli, whitening: Floats, streams: Iterator[Ints], alpha: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Test eigenvalues from the outside in.

    Returns
    -------
    eigenvalues : array (n_dimensions,)
    directions : array (n_dimensions, n_found), eigenvalues of these (n_found,), p (n_found + 1,)
    """
    mean, covariance = stimuli.moments()
    centre = stimuli.values.mean(axis=0)[stimuli.block_of]
    basis = whitening @ _complement(whitening.T @ (mean - centre))
    eigenvalues = np.linalg.eigvalsh(basis.T @ covariance @ basis)
    directions, found, p_value = [], [], []
    for shifts in streams:
        if basis.shape[1] == 0:
            break
        variance, inside = np.linalg.eigh(basis.T @ covariance @ basis)
        null = _null_extremes(stimuli, basis, shifts)
        p_low, p_high = _p_of_extremes(variance[[0, -1]], null)
        p_value.append(min(1.0, 2 * min(p_low, p_high)))
        if p_value[-1] > alpha:
            break
        spread = np.abs(variance[[0, -1]] - null.mean(axis=0)) / null.std(axis=0)
        is_high = p_high < p_low or (p_high == p_low and spread[1] >= spread[0])
        outermost = -1 if is_high else 0
        directions.append(basis @ inside[:, outermost])
        found.append(variance[outermost])
        basis = basis @ _complement(inside[:, outermost])
    found_directions = np.asarray(np.reshape(directions, (-1, len(mean))).T, np.float64)
    return np.asarray(eigenvalues), found_directions, np.array(found), np.array(p_value)


def _complement(direction: Floats) -> Floats:
    """Give an orthonormal basis, (n, n - 1), of what is orthogonal to a direction."""
    return np.asarray(np.linalg.qr(direction[:, None], mode="complete")[0][:, 1:])


def _null_extremes(stimuli: _Stimuli, basis: Floats, shifts: Ints) -> Floats:
    """Give the smallest and the largest eigenvalue under every shift, (n_shifts, 2)."""
    null = np.empty((len(shifts), 2))
    n_at_a_time = max(1, _KEPT_VALUES // len(basis) ** 2)
    for first in range(0, len(shifts), n_at_a_time):
        covariances = [stimuli.moments(int(shift))[1] for shift in shifts[first : first + n_at_a_time]]
        null[first : first + n_at_a_time] = np.linalg.eigvalsh(basis.T @ np.array(covariances) @ basis)[:, [0, -1]]
    return null


def _p_of_extremes(observed: Floats, null: Floats) -> tuple[float, float]:
    n_orders = len(null) + 1
    n_lower = np.count_nonzero(null[:, 0] <= observed[0])
    n_higher = np.count_nonzero(null[:, 1] >= observed[1])
    return (n_lower + 1) / n_orders, (n_higher + 1) / n_orders


def _as_filters(directions: Floats) -> Floats:
    """Give directions, (n_dimensions, n_found), as rows of unit length with a positive largest weight."""
    filters = directions.T
    largest = np.take_along_axis(filters, np.abs(filters).argmax(axis=1)[:, None], axis=1)
    return np.asarray(filters * np.sign(largest) / np.linalg.norm(filters, axis=1, keepdims=True))
