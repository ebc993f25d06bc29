"""Ridge regression of spike counts on the movie: receptive fields from short recordings and correlated movies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf._trains import checked
from dj_neuron.strf.alignment import align
from dj_neuron.strf.ridge_separable import LEAST_VARIANCE, SeparableProblem
from dj_neuron.strf.shift_null import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_N_FOLDS = 5
MAX_SIZE = 6000  # of the matrix that is factorised: 0.3 GB, and a few of them

STRENGTHS = tuple(10.0 ** (np.arange(-4, 9) / 2))

_NEAR_FRAME = 0.05  # in frames: what delays may be off the whole frames between them
_CHUNK_VALUES = 1 << 23  # of the lagged movie that the small form holds at a time


@dataclass(frozen=True, eq=False)
class RidgeStrf:
    """Ridge estimates for all neurons of a stimulation.

    Attributes
    ----------
    values : array (n_neurons, n_delays, n_y, n_x)
        Spikes per frame and unit of contrast, of each neuron with its `strength`; NaN for blocks not asked for, and
        for neurons with fewer than `min_spikes`.
    delays_s : array (n_delays,)
    mean_count : array (n_neurons,)
        Spikes per frame; what is predicted is this and the movie, less its mean, multiplied with `values`.
    strengths : array (n_strengths,)
        That were tried. At 1, a direction in which the movie varies as much as on average is halved.
    scores : array (n_neurons, n_strengths)
        Share of the variance of held-out counts that is predicted, at most 1; below 0 if the mean predicts better.
    strength : array (n_neurons,)
        With the best score.
    n_used : array (n_neurons,)
        Spikes in frames before which every delay was on the screen.
    """

    values: Floats
    delays_s: Floats
    mean_count: Floats
    strengths: Floats
    scores: Floats
    strength: Floats
    n_used: Ints


def ridge_strf(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    *,
    strengths: ArrayLike = STRENGTHS,
    n_folds: int = _N_FOLDS,
    blocks: ArrayLike | None = None,
    frame_rule: FrameRule = "floor",
    min_spikes: int = 1,
) -> RidgeStrf:
    """Regress spike counts on the movie at all delays at once, as strongly regularised as predicts best.

    Parameters
    ----------
    movie, frame_clock, spike_trains, frame_rule
        As for :func:`~dj_neuron.strf.spike_triggered_average`.
    delays_s : array (n_delays,)
        Seconds before the spike, whole frames from each other.
    strengths : array (n_strengths,)
        Positive; see :class:`RidgeStrf`.
    n_folds : int
        Contiguous stretches of the movie, each predicted from the others. Frames nearer to it than the span of
        the delays are not used for that.
    blocks : bool array (n_y, n_x), optional
        Those to look at; default all. Of long movies at most 6000 (see Notes).
    min_spikes : int
        With fewer spikes that count a neuron's estimate is NaN.

    Returns
    -------
    RidgeStrf

    Raises
    ------
    AlignmentError
        If movie, clock, trains and delays do not fit each other, or delays are not whole frames apart.
    ContractError
        If strengths, folds or blocks are not as described, or the problem is too large.

    Notes
    -----
    Counts per frame, less their mean, are regressed on the movie less its mean; the estimate is
    ``(X'X + c I)^-1 X'y`` with one row of X per frame and one column per delay and block [1]_. Movies with correlations
    in space or time need no whitening: this is what the inverse does. In directions in which the movie never varies the
    estimate is 0.

    Under white noise of variance v it is the spike-triggered average times ``mean_count / v / (1 + strength)``, but for
    chance correlations in the movie: compare shapes, not sizes.

    Spikes are aligned once, at what the delays have beyond whole frames, and counted per frame; from there each delay
    is a whole number of frames. Frames before which the clock does not show this, at the beginning, after gaps or
    where a frame was late, take no part.

    Whichever of frames and columns are fewer is what is factorised, up to 6000 of them. With few frames it is
    the kernel XX' [2]_: products of all pairs of frames, added up over the delays. One factorisation then serves all
    neurons, strengths and folds: what would have been predicted for a stretch from the others follows from its
    residuals and its part of the hat matrix. With few columns, frames may be any number (8 bytes of memory per frame
    and block), at one factorisation per fold. Where both are more, the movie's covariance is taken as one of its blocks
    times one of its delays, which is what it is where frames are independent or all blocks have the same course of
    correlation; then blocks alone must be 6000 at most, and scores rest on that covariance too.

    References
    ----------
    .. [1] Theunissen et al. (2001), Estimating spatio-temporal receptive fields of auditory and visual neurons from
       their responses to natural stimuli, Network 12:289-316.
    .. [2] Saunders, Gammerman, Vovk (1998), Ridge regression learning algorithm in dual variables, ICML 15:515-521.
    """
    movie, trains, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes)
    tried = np.atleast_1d(np.asarray(strengths, np.float64))
    is_chosen = np.ones(movie.shape[1:], np.bool_) if blocks is None else np.asarray(blocks, np.bool_)
    if tried.size == 0 or not (np.isfinite(tried) & (tried > 0)).all():
        raise ContractError(f"strengths are {tried.tolist()}, expected positive numbers")
    if is_chosen.shape != movie.shape[1:] or not is_chosen.any():
        raise ContractError(
            f"blocks have shape {is_chosen.shape} with {is_chosen.sum()} chosen, expected {movie.shape[1:]} and some"
        )
    lags, offset_s, rows, folds = _cut(frame_clock, delays, frame_rule, n_folds)
    spikes = align(frame_clock, trains, np.array([offset_s]), frame_rule)
    counts = np.array([np.bincount(spikes.row(i), minlength=movie.n_frames)[rows] for i in range(len(trains))])
    counts = counts.reshape(len(trains), rows.size).T
    mean_count = counts.mean(axis=0)
    problem = _Problem(movie, is_chosen, lags, rows, folds, counts - mean_count, tried)
    scores, chosen, weights = problem.solve()

    n_used = counts.sum(axis=0)
    is_silent = n_used < max(min_spikes, 1)
    values = np.full((len(trains), delays.size, *movie.shape[1:]), np.nan)
    values[:, :, is_chosen] = weights
    values[is_silent] = scores[is_silent] = np.nan
    strength = np.where(is_silent, np.nan, tried[chosen])
    return RidgeStrf(values, delays, mean_count, tried, scores, strength, n_used)


def check_ridge(
    shape: tuple[int, ...], frame_clock: FrameClock, delays_s: Floats, frame_rule: FrameRule = "floor"
) -> None:
    """Refuse what :func:`ridge_strf` would refuse of any movie of this shape.

    Parameters
    ----------
    shape : tuple of int
        ``(n_frames, n_y, n_x)``.
    frame_clock, delays_s, frame_rule
        As for :func:`ridge_strf`.

    Raises
    ------
    AlignmentError, ContractError
        If delays are not whole frames from each other, or frames too few or blocks too many for them.
    """
    _, _, rows, _ = _cut(frame_clock, delays_s, frame_rule, _N_FOLDS)
    _check_size(rows.size, shape[1] * shape[2])


def _cut(
    clock: FrameClock, delays_s: Floats, frame_rule: FrameRule, n_folds: int
) -> tuple[Ints, float, Ints, list[tuple[Bools, Bools]]]:
    """Give the delays in frames, the seconds beside these, the frames that have all of them, and these in folds."""
    lags, offset_s = _whole_lags(clock, delays_s)
    rows = _complete_rows(clock, delays_s, lags, offset_s, frame_rule)
    return lags, offset_s, rows, _folds(rows, n_folds, int(np.ptp(lags)))


def _check_size(n_frames: int, n_blocks: int) -> None:
    if min(n_frames, n_blocks) > MAX_SIZE:
        raise ContractError(
            f"{n_frames} frames and {n_blocks} blocks, expected at most {MAX_SIZE} of either: choose fewer blocks"
        )


def _whole_lags(clock: FrameClock, delays_s: Floats) -> tuple[Ints, float]:
    """Give the delays in whole frames, and the seconds that they all have beside these."""
    in_frames = delays_s * clock.frame_rate_hz
    offset = in_frames[0] - np.rint(in_frames[0])
    lags = np.rint(in_frames - offset).astype(np.int64)
    if np.abs(in_frames - offset - lags).max() > _NEAR_FRAME or np.unique(lags).size < lags.size:
        shown = ", ".join(f"{frames:.3g}" for frames in in_frames)
        raise AlignmentError(f"delays are {shown} frames, expected whole frames from each other")
    return lags, 0.0 if abs(offset) <= _NEAR_FRAME else float(offset / clock.frame_rate_hz)


def _complete_rows(clock: FrameClock, delays_s: Floats, lags: Ints, offset_s: float, frame_rule: FrameRule) -> Ints:
    """Give the frames before which every delay shows the frame that is its lag earlier."""
    seen_s = clock.starts_s if frame_rule == "nearest" else (clock.starts_s + clock.ends_s) / 2
    is_complete = np.ones(clock.n_frames, np.bool_)
    for delay_s, lag in zip(delays_s, lags, strict=True):
        shown = clock.frames_at(seen_s + offset_s, delay_s, frame_rule)
        is_complete &= (shown >= 0) & (shown == np.arange(clock.n_frames) - lag)
    return np.flatnonzero(is_complete)


def _folds(rows: Ints, n_folds: int, gap: int) -> list[tuple[Bools, Bools]]:
    """Cut rows into contiguous folds; of each, which rows are held out, and which are these or too near to them."""
    if n_folds < 2 or rows.size < n_folds * (2 * gap + 2):
        raise ContractError(
            f"{n_folds} folds of {rows.size} frames with gaps of {gap}, expected at least 2 folds, longer than two gaps"
        )
    folds = []
    for held_out in np.array_split(np.arange(rows.size), n_folds):
        is_held_out = np.zeros(rows.size, np.bool_)
        is_held_out[held_out] = True
        is_near = (rows >= rows[held_out[0]] - gap) & (rows <= rows[held_out[-1]] + gap)
        folds.append((is_held_out, is_near))
    return folds


@dataclass(frozen=True, eq=False)
class _Problem:
    """A regression of counts, (n_rows, n_neurons) without their mean, on a movie at some lags."""

    movie: Movie
    is_chosen: Bools
    lags: Ints
    rows: Ints
    folds: list[tuple[Bools, Bools]]
    counts: Floats
    strengths: Floats

    def solve(self) -> tuple[Floats, Ints, Floats]:
        """Give scores (n_neurons, n_strengths), the best ones' index (n_neurons,), and weights.

        Weights are ``(n_neurons, n_delays, n_chosen)``.
        """
        n_columns = self.lags.size * int(self.is_chosen.sum())
        _check_size(self.rows.size, n_columns // self.lags.size)
        if min(self.rows.size, n_columns) > MAX_SIZE:
            separable = SeparableProblem(self.movie, self.is_chosen, self.lags, self.rows, self.counts)
            return separable.solve(self.folds, self.strengths, self._judge)
        return self._solve_by_frames() if self.rows.size <= n_columns else self._solve_by_columns(n_columns)

    def _solve_by_frames(self) -> tuple[Floats, Ints, Floats]:
        """Factorise the kernel of all pairs of frames."""
        kernel = self._kernel()
        n_columns = self.lags.size * int(self.is_chosen.sum())
        penalties = self.strengths * max(np.trace(kernel) / n_columns, LEAST_VARIANCE)
        variance, directions = np.linalg.eigh(kernel)
        variance = np.maximum(variance, 0)
        along = directions.T @ self.counts
        errors = np.zeros((len(penalties), self.counts.shape[1]))
        for place, penalty in enumerate(penalties):
            residuals = directions @ (along * (penalty / (variance + penalty))[:, None])
            for is_held_out, is_near in self.folds:
                own = directions[is_near]
                not_fitted = (own * (penalty / (variance + penalty))) @ own.T  # one less the hat matrix
                predicted_wrong = np.linalg.solve(not_fitted, residuals[is_near])
                errors[place] += np.square(predicted_wrong[is_held_out[is_near]]).sum(axis=0)
        scores, chosen = self._judge(errors)
        dual = directions @ (along / (variance[:, None] + penalties[chosen]))
        return scores, chosen, self._sum_frames(dual)

    def _solve_by_columns(self, n_columns: int) -> tuple[Floats, Ints, Floats]:
        """Factorise the covariance of all pairs of columns, once and without each fold."""
        values = np.concatenate([piece.T for piece in self._pieces()], axis=1)
        everything = np.ones(self.rows.size, np.bool_)
        gram, products = self._normal_equations(values, everything)
        penalties = self.strengths * max(np.trace(gram) / n_columns, LEAST_VARIANCE)
        errors = np.zeros((len(penalties), self.counts.shape[1]))
        for is_held_out, is_near in self.folds:
            near_gram, near_products = self._normal_equations(values, is_near)
            variance, directions = np.linalg.eigh(gram - near_gram)
            along = directions.T @ (products - near_products)
            for design, counts in self._designs(values, is_held_out):
                seen = design @ directions
                for place, penalty in enumerate(penalties):
                    predicted = seen @ (along / (np.maximum(variance, 0) + penalty)[:, None])
                    errors[place] += np.square(counts - predicted).sum(axis=0)
        scores, chosen = self._judge(errors)
        variance, directions = np.linalg.eigh(gram)
        weights = directions @ (directions.T @ products / (np.maximum(variance, 0)[:, None] + penalties[chosen]))
        return scores, chosen, weights.T.reshape(len(chosen), self.lags.size, n_columns // self.lags.size)

    def _judge(self, errors: Floats) -> tuple[Floats, Ints]:
        with np.errstate(divide="ignore", invalid="ignore"):  # silent neurons
            scores = (1 - errors / np.square(self.counts).sum(axis=0)).T
        return scores, scores.argmax(axis=1)

    def _pieces(self) -> Iterator[Floats]:
        """Give the chosen blocks of the movie, less their mean, in pieces ``(n_blocks of the piece, n_frames)``."""
        contrast = 1.0 if self.movie.levels is None else self.movie.levels[1] - self.movie.levels[0]
        is_chosen, first = self.is_chosen.ravel(), 0
        for piece in columns(self.movie):
            own = piece[is_chosen[first : first + len(piece)]]
            first += len(piece)
            yield contrast * (own - own.mean(axis=1, keepdims=True))

    def _kernel(self) -> Floats:
        products = np.zeros((self.movie.n_frames, self.movie.n_frames))
        for piece in self._pieces():
            products += piece.T @ piece
        kernel = np.zeros((self.rows.size, self.rows.size))
        for lag in self.lags:
            kernel += products[np.ix_(self.rows - lag, self.rows - lag)]
        return kernel

    def _sum_frames(self, dual: Floats) -> Floats:
        """Add up the movie's frames at every lag with the weights of their rows."""
        parts = []
        for piece in self._pieces():
            at_lags = [dual.T @ piece[:, self.rows - lag].T for lag in self.lags]
            parts.append(np.stack(at_lags, axis=1))
        return np.concatenate(parts, axis=2)

    def _designs(self, values: Floats, is_wanted: Bools) -> Iterator[tuple[Floats, Floats]]:
        """Give rows of the lagged movie and the counts that belong to them, some at a time."""
        wanted = np.flatnonzero(is_wanted)
        step = max(1, _CHUNK_VALUES // (self.lags.size * values.shape[1]))
        for start in range(0, wanted.size, step):
            some = wanted[start : start + step]
            yield values[self.rows[some, None] - self.lags].reshape(some.size, -1), self.counts[some]

    def _normal_equations(self, values: Floats, is_wanted: Bools) -> tuple[Floats, Floats]:
        size = self.lags.size * values.shape[1]
        gram, products = np.zeros((size, size)), np.zeros((size, self.counts.shape[1]))
        for design, counts in self._designs(values, is_wanted):
            gram += design.T @ design
            products += design.T @ counts
        return gram, products
