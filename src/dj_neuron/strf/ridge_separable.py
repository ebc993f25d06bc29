"""Ridge regression on long movies of many blocks, whose covariance is taken as one in space times one in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import toeplitz

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dj_neuron.contracts import Movie

    Floats = NDArray[np.float64]
    Floats32 = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

LEAST_VARIANCE = 1e-100  # where the movie never varies: one over it is still a number
_CHUNK_VALUES = 1 << 24  # of the movie in memory at a time


@dataclass(frozen=True, eq=False)
class SeparableProblem:
    """A regression of counts, (n_rows, n_neurons) without their mean, on some blocks of a movie at some lags.

    With rows X of the lagged movie, ``X'X`` is taken as ``n_rows`` times the Kronecker product of the covariance of the
    lags, a function of their distance alone and the same for all blocks, and that of the blocks. In the product of
    their eigenvectors every direction is regularised by itself.
    """

    movie: Movie
    is_chosen: Bools
    lags: Ints
    rows: Ints
    counts: Floats

    def solve(
        self, folds: list[tuple[Bools, Bools]], strengths: Floats, judge: Callable[[Floats], tuple[Floats, Ints]]
    ) -> tuple[Floats, Ints, Floats]:
        """Give scores, the best ones' index and weights ``(n_neurons, n_lags, n_blocks)``.

        `judge` makes scores and choice of squared held-out errors, ``(n_strengths, n_neurons)``. The error of a fold is
        ``y'y - 2 w'X'y + w'X'Xw``, of which the last is taken from the same covariance.
        """
        heights, lag_axes, block_axes = self._factorise()

        def along(is_wanted: Bools) -> Floats:
            return np.asarray(lag_axes.T @ self._products(is_wanted) @ block_axes)

        held_out = [along(is_held_out) for is_held_out, _ in folds]
        everything = np.sum(held_out, axis=0)
        penalties = strengths * max(self.rows.size * heights.mean(), LEAST_VARIANCE)
        errors = np.zeros((strengths.size, self.counts.shape[1]))
        for own, (is_held_out, is_near) in zip(held_out, folds, strict=True):
            training = everything - own - along(is_near & ~is_held_out)
            n_trained, n_held_out = np.count_nonzero(~is_near), np.count_nonzero(is_held_out)
            total = np.square(self.counts[is_held_out]).sum(axis=0)
            for place, penalty in enumerate(penalties):
                weights = training / (n_trained * heights + penalty)
                errors[place] += total - np.sum(weights * (2 * own - n_held_out * heights * weights), axis=(1, 2))
        scores, chosen = judge(errors)
        weights = everything / (self.rows.size * heights + penalties[chosen][:, None, None])
        return scores, chosen, lag_axes @ weights @ block_axes.T

    def _factorise(self) -> tuple[Floats, Floats, Floats]:
        """Give eigenvalues ``(n_lags, n_blocks)`` of X'X per row, and eigenvectors of lags and of blocks."""
        n_blocks, reach = int(self.is_chosen.sum()), int(np.ptp(self.lags))
        in_space, at_distance = np.zeros((n_blocks, n_blocks)), np.zeros(reach + 1)
        n_pairs = np.zeros(reach + 1)
        before = np.empty((0, n_blocks), np.float32)
        for _, values in self._chunks():
            in_space += values.T @ values
            both = np.concatenate([before, values])
            for distance in range(reach + 1):
                first = max(len(before) - distance, 0)
                later, earlier = both[first + distance :], both[first : len(both) - distance]
                at_distance[distance] += np.einsum("tb,tb->", later, earlier, optimize=True)
                n_pairs[distance] += len(later)
            before = both[max(len(both) - reach, 0) :]
        correlation = at_distance / np.maximum(n_pairs, 1)
        variance = max(correlation[0], LEAST_VARIANCE)
        of_lags, lag_axes = np.linalg.eigh(toeplitz(correlation / variance)[np.ix_(*[self.lags - self.lags.min()] * 2)])
        of_blocks, block_axes = np.linalg.eigh(in_space / self.movie.n_frames)
        heights = np.outer(np.maximum(of_lags, 0), np.maximum(of_blocks, 0))
        return heights, lag_axes, block_axes

    def _products(self, is_wanted: Bools) -> Floats:
        """Give X'y over some rows, ``(n_neurons, n_lags, n_blocks)``."""
        n_neurons, n_frames = self.counts.shape[1], self.movie.n_frames
        wanted = self.rows[is_wanted]
        counts = np.zeros((n_frames, n_neurons), np.float32)
        counts[wanted] = self.counts[is_wanted]
        found = np.zeros((n_neurons, self.lags.size, int(self.is_chosen.sum())))
        if not wanted.size:
            return found
        span = wanted[0] - self.lags.max(), wanted[-1] - self.lags.min() + 1
        for begin, values in self._chunks(*span):
            seen = np.arange(begin, begin + len(values))[:, None] + self.lags
            is_inside = (seen >= 0) & (seen < n_frames)
            drive = np.where(is_inside[..., None], counts[np.where(is_inside, seen, 0)], 0).reshape(len(values), -1)
            found += (drive.T @ values).reshape(self.lags.size, n_neurons, -1).swapaxes(0, 1)
        return found

    def _chunks(self, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, Floats32]]:
        """Give first frames, and the chosen blocks of some frames less their mean, ``(n, n_blocks)``."""
        end = self.movie.n_frames if end is None else end
        mean = self._mean()
        step = max(1, _CHUNK_VALUES // self.movie.n_blocks)
        for first in range(begin, end, step):
            yield first, self.movie.frames(first, min(first + step, end))[:, self.is_chosen] - mean

    def _mean(self) -> Floats32:
        total = np.zeros(int(self.is_chosen.sum()))
        step = max(1, _CHUNK_VALUES // self.movie.n_blocks)
        for first in range(0, self.movie.n_frames, step):
            total += self.movie.frames(first, first + step)[:, self.is_chosen].sum(axis=0, dtype=np.float64)
        return np.asarray(total / self.movie.n_frames, np.float32)
