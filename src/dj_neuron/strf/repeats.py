"""Frozen repeats: stretches of a movie that come again, image by image."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from dj_neuron.strf.scores import binned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

_MIN_FRAMES = 30  # of a trial; shorter ones tell next to nothing
_CHANCE_BITS = 64  # so many random bits do not come again by chance
_CHUNK_BYTES = 1 << 24

_found: WeakKeyDictionary[Movie, Ints] = WeakKeyDictionary()


def frozen_repeats(movie: Movie) -> Ints:
    """Find the longest stretch of a movie that is shown more than once.

    Parameters
    ----------
    movie : Movie

    Returns
    -------
    array (n_trials, n_trial_frames) of int64
        The frames of each trial, ascending and without overlap; (0, 0) if nothing of at least 30 frames is repeated.

    Notes
    -----
    Single frames may be equal by chance where blocks are few, so windows of frames are compared that hold 64 bits or
    more. Windows in which nothing changes, such as a grey screen, do not count. Of several stretches that which
    takes the most frames of the movie is given.
    """
    known = _found.get(movie)
    if known is None:
        known = _found[movie] = _longest(_hashes(movie), -(-_CHANCE_BITS // movie.n_blocks))
    return known


def square_counts_of_images(
    clock: FrameClock, trains: Sequence[Floats], delays_s: Floats, frame_rule: FrameRule, trials: Ints
) -> Ints:
    """Sum the squared spike counts over images, ``(n_neurons, n_delays)``, trials of a frozen repeat together.

    Trials show the same image, so their spikes add up to one count: as independent frames they would promise too small
    an error of the average.
    """
    image = np.arange(clock.n_frames)
    image[trials[1:]] = trials[0]
    squares = np.zeros((len(trains), delays_s.size), np.int64)
    for number, train in enumerate(trains):
        for place, delay_s in enumerate(delays_s):
            shown = clock.frames_at(train, delay_s, frame_rule)
            squares[number, place] = np.square(np.bincount(image[shown[shown >= 0]])).sum()
    return squares


def trial_counts(
    presentations: Sequence[tuple[FrameClock, Floats]], trials: Ints, n_frames_bin: int = 1
) -> NDArray[np.float64]:
    """Count a neuron's spikes per bin in every trial, ``(n_trials, n_bins)``.

    Parameters
    ----------
    presentations : sequence of (FrameClock, array (n_spikes,))
        The showings of one movie, each with the neuron's spikes.
    trials : array (n_trials, n_trial_frames)
        Of :func:`frozen_repeats` within each presentation; where there are none the presentations are the trials.
    n_frames_bin : int
        Width of a bin.
    """
    counts = []
    for clock, train in presentations:
        shown = clock.frames_at(train, 0.0)
        own = np.bincount(shown[shown >= 0], minlength=clock.n_frames).astype(np.float64)
        counts.append(own[trials] if trials.size else own[None])
    return binned(np.concatenate(counts), n_frames_bin)


def _hashes(movie: Movie) -> Hashes:
    """Give a number for every frame, equal for equal frames; 0 where all blocks are alike."""
    rows_at_a_time = max(1, _CHUNK_BYTES // (movie.data.shape[1] if movie.levels is not None else 4 * movie.n_blocks))
    hashes = np.empty(movie.n_frames, np.uint64)
    rng = np.random.default_rng(0)
    factors: Hashes | None = None
    for begin in range(0, movie.n_frames, rows_at_a_time):
        frames = np.asarray(movie.data[begin : begin + rows_at_a_time])
        frames = frames.reshape(len(frames), -1)
        raw = np.ascontiguousarray(frames).view(np.uint8)
        words = np.pad(raw, ((0, 0), (0, -raw.shape[1] % 8))).view(np.uint64)
        if factors is None:
            factors = rng.integers(1, 1 << 63, words.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
        mixed = (words ^ (words >> np.uint64(29))) * factors
        own = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(32)), axis=1) | np.uint64(1)
        hashes[begin : begin + len(frames)] = np.where(_is_uniform(movie, frames), 0, own)
    return hashes


def _is_uniform(movie: Movie, frames: NDArray[np.generic]) -> NDArray[np.bool_]:
    if movie.n_blocks == 1:
        return np.zeros(len(frames), bool)
    if movie.levels is None:
        return np.asarray((frames == frames[:, :1]).all(axis=1))
    n_high = np.bitwise_count(frames.astype(np.uint8, copy=False)).sum(axis=1)
    return np.asarray((n_high == 0) | (n_high == movie.n_blocks))


def _longest(hashes: Hashes, n_window: int) -> Ints:
    n_windows = hashes.size - n_window + 1
    if n_windows < 1:
        return np.empty((0, 0), np.int64)
    windows = np.zeros(n_windows, np.uint64)
    for place in range(n_window):
        windows = windows * np.uint64(0x9E3779B97F4A7C15) + hashes[place : place + n_windows]
    _, first, image, n_shown = np.unique(windows, return_index=True, return_inverse=True, return_counts=True)
    is_blank = np.lib.stride_tricks.sliding_window_view(hashes == 0, n_window).all(axis=1)
    comes_again = (n_shown[image] > 1) & (first[image] == np.arange(n_windows)) & ~is_blank
    _, pair, n_together = np.unique(image[:-1] * n_windows + image[1:], return_inverse=True, return_counts=True)
    is_border = n_together[pair] < np.maximum(n_shown[image[:-1]], n_shown[image[1:]])
    best = np.empty((0, 0), np.int64)
    # whole stretches, for a movie may end within a period; parts shown equally often, for neighbours may be alike; and
    # parts of which no frame is shown without the next, for these neighbours may come again apart
    parts = (np.ones(n_windows, np.int64), n_shown[image], np.cumsum(np.append(1, is_border)))
    for begin, end in [run for part in parts for run in _runs(np.where(comes_again, part, 0))]:
        if end - begin + n_window - 1 < _MIN_FRAMES:
            continue
        starts = np.flatnonzero(image == image[begin])
        n_frames = min(end - begin + n_window - 1, int(np.diff(starts).min()))
        trials = starts[starts + n_frames <= hashes.size, None] + np.arange(n_frames)
        trials = trials[(hashes[trials] == hashes[trials[0]]).all(axis=1)]
        if len(trials) > 1 and n_frames >= _MIN_FRAMES and trials.size > best.size:
            best = trials
    return best


def _runs(numbers: Ints) -> list[tuple[int, int]]:
    """Give begin and end of every stretch of the same number other than 0."""
    edges = np.flatnonzero(np.diff(numbers, prepend=0, append=0))
    return [(int(begin), int(end)) for begin, end in pairwise(edges) if numbers[begin]]
