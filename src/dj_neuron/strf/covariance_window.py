"""Where to look for the covariance of a neuron whose average shows nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.contracts import Movie
from dj_neuron.errors import ContractError
from dj_neuron.strf._trains import checked
from dj_neuron.strf.average import spike_triggered_average

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import SpikeTrain
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

MAX_DIMENSIONS = 300

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns to the right


def covariance_window(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_train: SpikeTrain | ArrayLike,
    delays_s: ArrayLike,
    *,
    max_dimensions: int = MAX_DIMENSIONS,
    frame_rule: FrameRule = "floor",
) -> NDArray[np.bool_]:
    """Find where on the screen a neuron without a significant average depends on the stimulus.

    Returns
    -------
    bool array (n_delays, n_y, n_x)
        All delays >= 0 in a square window, as large as `max_dimensions` allows.

    Raises
    ------
    ContractError
        If there is no delay >= 0, or there are more than `max_dimensions`.

    Notes
    -----
    A block of two levels has the same square at all times, so its own variance tells nothing. Products of neighbouring
    blocks do: a neuron that squares a weighted sum of blocks fires more, or less, when two of them agree. The movie
    of such products is white noise itself, and its spike-triggered average is taken like that of any movie; z squared
    is added up over four kinds of neighbours, delays >= 0 and the blocks of a window. What pairs only blocks further
    apart, or blocks at different times, remains unseen.
    """
    movie, (train,), delays = checked(movie, frame_clock, [spike_train], delays_s, frame_rule)
    n_delays = int(np.count_nonzero(delays >= 0))
    if not 0 < n_delays <= max_dimensions:
        raise ContractError(f"{n_delays} delays of 0 or more, expected 1 to {max_dimensions}")
    shape = (movie.n_y, movie.n_x)
    score = np.zeros(shape)
    for down, right in _NEIGHBOURS:
        if down >= movie.n_y or abs(right) >= movie.n_x:
            continue
        products = _products(movie, down, right)
        z = spike_triggered_average(products, frame_clock, [train], delays[delays >= 0], frame_rule=frame_rule).z[0]
        squares = np.nan_to_num(z**2).sum(axis=0)
        first_x = max(-right, 0)
        score[: squares.shape[0], first_x : first_x + squares.shape[1]] += squares
    height, width = _window_shape(max_dimensions // n_delays, shape)
    sums = np.lib.stride_tricks.sliding_window_view(score, (height, width)).sum(axis=(2, 3))
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    mask = np.zeros((delays.size, *shape), np.bool_)
    mask[delays >= 0, row : row + height, column : column + width] = True
    return mask


def _window_shape(n_blocks: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Give rows and columns of a window of at most so many blocks, square unless the screen is narrower."""
    side = int(np.sqrt(n_blocks))
    height = min(side, shape[0])
    width = min(n_blocks // height, shape[1]) if height < side else min(side, shape[1])
    return min(n_blocks // width, shape[0]) if width < side else height, width


def _products(movie: Movie, down: int, right: int) -> Movie:
    """Multiply every block, less its mean, with one of its neighbours; of two levels say whether both are the same."""
    values = movie.frames(dtype=np.float32)
    values = values > np.mean(movie.levels) if movie.levels else values - values.mean(axis=0)
    multiply = np.equal if movie.levels else np.multiply
    height, width = movie.n_y - down, movie.n_x - abs(right)
    left, other = max(-right, 0), max(right, 0)
    return Movie.from_frames(multiply(values[:, :height, left : left + width], values[:, down:, other : other + width]))
