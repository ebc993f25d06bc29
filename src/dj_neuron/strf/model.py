"""How well a receptive field predicts spikes in time that it was not estimated from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from dj_neuron.errors import AlignmentError, ContractError
from dj_neuron.strf._trains import checked
from dj_neuron.strf.average import spike_triggered_average
from dj_neuron.strf.noise import noise_covariance
from dj_neuron.strf.nonlinearity import Nonlinearity, fit_nonlinearity
from dj_neuron.strf.region import find_region
from dj_neuron.strf.scores import binned, correlation, noise_ceiling
from dj_neuron.strf.separability import shrunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from dj_neuron.contracts import Movie, SpikeTrain
    from dj_neuron.strf.average import SpikeTriggeredAverage
    from dj_neuron.strf.frame_clock import FrameClock, FrameRule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_CHUNK_VALUES = 1 << 26  # blocks of the movie looked at together
_LOWEST_RATE = 1e-3  # of the mean: no single spike may count as impossible


@dataclass(frozen=True, eq=False)
class HeldOutPrediction:
    """What a neuron's receptive field predicts on time it was not estimated from; every frame is tested once.

    Attributes
    ----------
    observed, predicted : array (n_frames,)
        Spikes in each frame and their expected number; NaN where no prediction is possible.
    drive : array (n_frames,)
        Output of the filter, in standard deviations of the training time.
    noise_ceiling : float
        The correlation that a perfect model would reach with a single trial; NaN without repeats.
    n_bins : int
        That were scored.
    nonlinearity : Nonlinearity or None
        Rate against held-out drive.
    test_correlation, test_correlation_se : float
        Between predicted and observed counts per bin, over all bins; the error is that of the mean over folds.
    bits_per_spike : float
        Gain in log likelihood over a model that knows the rate of the training time only; may be negative.
    reason : str
        Why measures are NaN; else empty.
    """

    observed: Floats
    predicted: Floats
    drive: Floats
    noise_ceiling: float
    n_bins: int
    nonlinearity: Nonlinearity | None = None
    test_correlation: float = np.nan
    test_correlation_se: float = np.nan
    bits_per_spike: float = np.nan
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Fold:
    tested: Mask
    trained: Mask


def predict_held_out(
    movie: Movie | ArrayLike,
    frame_clock: FrameClock,
    spike_trains: Sequence[SpikeTrain | ArrayLike],
    delays_s: ArrayLike,
    block_size_um: tuple[float, float],
    *,
    n_folds: int = 5,
    bin_s: float = 0.0,
    repeats: Sequence[ArrayLike] | Ints = (),
    frame_rule: FrameRule = "floor",
    min_spikes: int = 20,
) -> list[HeldOutPrediction]:
    """Predict every neuron's spikes in each part of a stimulation from its receptive field in the other parts.

    Parameters
    ----------
    movie : Movie or array (n_frames, n_y, n_x)
        In contrast.
    frame_clock : FrameClock
        When each of the movie's frames was on the screen.
    spike_trains : sequence of SpikeTrain or of arrays (n_spikes,)
        Seconds on the recording's clock, one entry per neuron.
    delays_s : array (n_delays,)
        Seconds before the spike; those of 0 and more make the filter.
    block_size_um : tuple of float
        Width and height of a block.
    n_folds : int
        Contiguous parts of equal length, each predicted from the others; the time this takes grows with their number.
    bin_s : float
        Width of the bins that are correlated, rounded to whole frames; 0 is one frame.
    repeats : sequence of arrays (n_trial_frames,)
        The frames of each trial, where the movie shows the same images several times.
    frame_rule : {"floor", "nearest"}
        See :meth:`FrameClock.frames_at`.
    min_spikes : int
        With fewer in the training time there is no prediction.

    Returns
    -------
    list of HeldOutPrediction
        One per neuron.

    Raises
    ------
    AlignmentError
        If movie and clock differ in their number of frames, no delay is 0 or more, spikes are not 1-D and finite, or
        there are more folds than frames.
    ContractError
        If there are fewer than 2 folds or no whole number of them, blocks or bins have no size, or trials differ in
        length.

    Notes
    -----
    Training leaves out all frames nearer to a tested one than the filter is long, and likewise those near another
    showing of a tested image. On the training time alone the region is found, the average taken, and nonlinearity and
    rate fitted. The filter is the average within the region, reduced to those components of its singular value
    decomposition that stand out of the noise, for the thousands of points of an average hold more noise than field.
    Where no field is found in the training time, the rate of that time is the prediction.

    The noise ceiling is that of all trials given, :func:`~dj_neuron.strf.noise_ceiling`; no prediction enters it.
    """
    movie, times, delays = checked(movie, frame_clock, spike_trains, delays_s, frame_rule, min_spikes)
    delays = delays[delays >= 0]
    if not delays.size:
        raise AlignmentError("no delay is 0 s or more, expected some: what comes after a spike predicts nothing")
    _check_folds(n_folds, movie.n_frames)
    if not (np.isfinite(block_size_um).all() and min(block_size_um) > 0):
        raise ContractError(f"blocks are {tuple(block_size_um)} um, expected a width and a height above 0")
    n_frames_bin = frames_per_bin(frame_clock, bin_s)
    predictor = _Predictor(movie, frame_clock, times, delays, block_size_um, frame_rule, min_spikes)
    trials = _trials(repeats)
    reach = int(np.ceil(delays.max() * frame_clock.frame_rate_hz)) + 1
    folds = _folds(movie.n_frames, n_folds, reach, trials)
    for fold in folds:
        predictor.predict(fold)
    return [predictor.scored(neuron, folds, n_frames_bin, trials) for neuron in range(len(times))]


def frames_per_bin(frame_clock: FrameClock, bin_s: float) -> int:
    """Give the width of a bin in whole frames, at least one.

    Raises
    ------
    ContractError
        If the width is negative or not finite.
    """
    if not 0 <= bin_s < np.inf:
        raise ContractError(f"bins are {bin_s} s wide, expected finite seconds, or 0 for one frame")
    return max(1, round(bin_s * frame_clock.frame_rate_hz))


class _Predictor:
    """All neurons of a stimulation, and what is predicted for them fold by fold."""

    def __init__(
        self,
        movie: Movie,
        clock: FrameClock,
        trains: list[Floats],
        delays_s: Floats,
        block_size_um: tuple[float, float],
        frame_rule: FrameRule,
        min_spikes: int,
    ) -> None:
        self.movie, self.clock, self.trains, self.delays_s = movie, clock, trains, delays_s
        self.block_size_um, self.frame_rule, self.min_spikes = block_size_um, frame_rule, min_spikes
        middles_s = (clock.starts_s + clock.ends_s) / 2
        self.history = np.array([clock.frames_at(middles_s, delay_s) for delay_s in delays_s])
        self.has_history = np.asarray((self.history >= 0).all(axis=0))
        self.frames = [clock.frames_at(train, 0.0) for train in trains]
        counts = [np.bincount(own[own >= 0], minlength=clock.n_frames) for own in self.frames]
        self.observed = np.array(counts, np.float64)
        self.durations_s = clock.ends_s - clock.starts_s
        self.drive, self.predicted, self.by_rate = (np.full_like(self.observed, np.nan) for _ in range(3))

    def predict(self, fold: _Fold) -> None:
        """Train on one part of the time and predict the other, for all neurons."""
        training = [train[(own >= 0) & fold.trained[own]] for train, own in zip(self.trains, self.frames, strict=True)]
        average = spike_triggered_average(self.movie, self.clock, training, self.delays_s, frame_rule=self.frame_rule)
        tested, trained = fold.tested & self.has_history, fold.trained & self.has_history
        for neuron, counts in enumerate(self.observed):
            n_spikes = counts[trained].sum()
            if n_spikes < max(self.min_spikes, 1):
                continue
            rate_hz = n_spikes / self.durations_s[trained].sum()
            by_rate = rate_hz * self.durations_s[tested]
            self.by_rate[neuron, tested] = self.predicted[neuron, tested] = by_rate
            drive = self._drive(average, neuron)
            if drive is None:
                continue
            drive = (drive - drive[trained].mean()) / drive[trained].std()
            curve = fit_nonlinearity(drive[trained], counts[trained], self.durations_s[trained])
            self.drive[neuron, tested] = drive[tested]
            expected = curve.rate_at(drive[tested]) * self.durations_s[tested]
            self.predicted[neuron, tested] = np.maximum(expected, _LOWEST_RATE * by_rate)

    def _drive(self, average: SpikeTriggeredAverage, neuron: int) -> Floats | None:
        """Project the movie on a neuron's filter, ``(n_frames,)``; None if there is no field."""
        factor = average.error_factor[neuron][:, None]
        pixel_sd, pixel_mean = average.pixel_sd.ravel(), average.pixel_mean.ravel()
        with np.errstate(divide="ignore", invalid="ignore"):
            z = average.values[neuron].reshape(len(factor), -1) / (factor * pixel_sd)
        region = find_region(z.reshape(average.values.shape[1:]), self.delays_s, self.block_size_um)
        if region is None:
            return None
        blocks = np.flatnonzero(region.blocks.ravel() & np.isfinite(z).all(axis=0))
        if not blocks.size:
            return None
        covariance = noise_covariance(z.reshape(average.values.shape[1:]), self.delays_s, region.blocks)
        root = np.linalg.cholesky(covariance)
        white = solve_triangular(root, z[:, blocks], lower=True)
        courses, heights, maps = np.linalg.svd(white, full_matrices=False)
        above_noise = shrunk(heights, len(z), blocks.size)
        heights = above_noise if above_noise.any() else heights[:1]
        kept = np.flatnonzero(heights)
        contrast = (block_values(self.movie, blocks) - pixel_mean[blocks]) / pixel_sd[blocks]
        by_component = contrast @ maps[kept].T
        weights = root @ courses[:, kept] * heights[kept] * factor
        drive = np.zeros(self.clock.n_frames)
        for frames, weight in zip(self.history, weights, strict=True):
            drive += by_component[frames] @ weight
        return drive

    def scored(self, neuron: int, folds: list[_Fold], n_frames_bin: int, trials: Ints) -> HeldOutPrediction:
        """Compare what was predicted for a neuron with what it did."""
        observed, predicted, drive = self.observed[neuron], self.predicted[neuron], self.drive[neuron]
        both = np.array([predicted, observed])
        by_fold = [binned(both[:, fold.tested], n_frames_bin) for fold in folds]
        whole = np.concatenate(by_fold, axis=1)
        result = HeldOutPrediction(
            observed=observed,
            predicted=predicted,
            drive=drive,
            noise_ceiling=noise_ceiling(binned(observed[trials], n_frames_bin)) if trials.size else np.nan,
            n_bins=int(np.isfinite(whole[0]).sum()),
        )
        known, driven = np.isfinite(predicted), np.isfinite(drive)
        if not known.any():
            return replace(result, reason="too few spikes in the training time")
        if not driven.any():
            return replace(result, reason="no field found in the training time")
        if not observed[driven].any():
            return replace(result, reason="no spike in the tested time")
        of_folds = np.array([correlation(*own) for own in by_fold])
        of_folds = of_folds[np.isfinite(of_folds)]
        by_rate = self.by_rate[neuron, known]
        gain = observed[known] * np.log(predicted[known] / by_rate) - (predicted[known] - by_rate)
        return replace(
            result,
            nonlinearity=fit_nonlinearity(drive[driven], observed[driven], self.durations_s[driven]),
            test_correlation=correlation(*whole),
            test_correlation_se=float(of_folds.std(ddof=1) / np.sqrt(of_folds.size)) if of_folds.size > 1 else np.nan,
            bits_per_spike=float(gain.sum() / observed[known].sum() / np.log(2)),
        )


def _check_folds(n_folds: int, n_frames: int) -> None:
    if not float(n_folds).is_integer():
        raise ContractError(f"{n_folds} folds are asked for, expected a whole number")
    if n_folds < 2:
        raise ContractError(f"{n_folds} fold(s) leave nothing to train on, expected at least 2")
    if n_folds > n_frames:
        raise AlignmentError(f"{n_frames} frames cannot be split into {n_folds} folds, expected at most one a frame")


def _trials(repeats: Sequence[ArrayLike] | Ints) -> Ints:
    trials = [np.asarray(trial, np.int64) for trial in repeats]
    if not trials:
        return np.empty((0, 0), np.int64)
    if len({trial.shape for trial in trials}) > 1:
        sizes = ", ".join(str(trial.size) for trial in trials)
        raise ContractError(f"trials have {sizes} frames, expected the same number in each")
    return np.array(trials)


def _folds(n_frames: int, n_folds: int, reach: int, trials: Ints) -> list[_Fold]:
    """Split time into contiguous parts and find what may be trained on for each."""
    image = np.arange(n_frames)
    if trials.size:
        image[trials] = trials[0]
    folds = []
    for part in np.array_split(np.arange(n_frames), n_folds):
        tested = np.zeros(n_frames, bool)
        tested[part] = True
        near = np.convolve(np.isin(image, image[part]), np.ones(2 * reach + 1))[reach : reach + n_frames] > 0
        folds.append(_Fold(tested, ~near))
    return folds


def block_values(movie: Movie, blocks: Ints) -> Floats:
    """Values of some blocks, counted along the rows, in all frames: ``(n_frames, blocks.size)``."""
    values = np.empty((movie.n_frames, blocks.size))
    step = max(1, _CHUNK_VALUES // movie.n_blocks)
    for begin in range(0, movie.n_frames, step):
        data = np.asarray(movie.data[begin : begin + step])
        if movie.levels is None:
            values[begin : begin + step] = data.reshape(len(data), -1)[:, blocks]
        else:
            low, high = movie.levels
            bits = data[:, blocks >> 3] >> (blocks & 7).astype(np.uint8) & 1
            values[begin : begin + step] = low + (high - low) * bits
    return values
