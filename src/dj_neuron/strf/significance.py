"""Which neurons have a receptive field, and which blocks and delays belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from dj_neuron.errors import ContractError
from dj_neuron.strf.peak import find_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dj_neuron.strf.average import SpikeTriggeredAverage
    from dj_neuron.strf.peak import Peak
    from dj_neuron.strf.shift_null import ShiftNull

    Floats = NDArray[np.float64]

_ROUNDING = 1e-6  # of z: null and estimate add up in different orders


@dataclass(frozen=True, eq=False)
class Significance:
    """What a null says about the neurons of a stimulation.

    Attributes
    ----------
    peaks : tuple of Peak or None
        Of each neuron: the largest |z| at delays >= 0 and, as `noise_z`, at delays after the spike.
    p_value : array (n_neurons,)
        Chance of such a peak without an effect, over all blocks and delays; NaN where there is no peak.
    q_value : array (n_neurons,)
        The same with the neurons of the stimulation taken together: false discovery rate.
    p_value_analytic : array (n_neurons,)
        Approximate second opinion: for as many independent normal z as there are blocks and delays.
    smoothed_z : array (n_neurons,)
        Largest |z| after smoothing in space at many scales; NaN without a second null, as the next three.
    p_value_smoothed : array (n_neurons,)
        Chance of such a smoothed peak without an effect.
    p_value_field : array (n_neurons,)
        Chance that without an effect the rarer of both peaks is as rare: one test of a field of any size.
    q_value_field : array (n_neurons,)
        The same with the neurons of the stimulation taken together: false discovery rate.
    threshold_z : array (n_neurons,)
        What |z| of a block must exceed; infinite where the null has too few shifts for `alpha`.
    is_significant : bool array (n_neurons, n_delays, n_y, n_x)
        Whether |z| exceeds it, at delays >= 0.
    alpha : float
        The chance, per neuron, that without an effect anything at all is significant.
    n_shifts, seed : int
        Of the null.
    """

    peaks: tuple[Peak | None, ...]
    p_value: Floats
    q_value: Floats
    p_value_analytic: Floats
    smoothed_z: Floats
    p_value_smoothed: Floats
    p_value_field: Floats
    q_value_field: Floats
    threshold_z: Floats
    is_significant: NDArray[np.bool_]
    alpha: float
    n_shifts: int
    seed: int


def judge_significance(
    sta: SpikeTriggeredAverage,
    null: ShiftNull,
    frame_duration_s: float,
    *,
    smoothed: ShiftNull | None = None,
    alpha: float = 0.05,
) -> Significance:
    """Judge spike-triggered averages by a null of their largest |z|.

    Parameters
    ----------
    sta : SpikeTriggeredAverage
        Of the movie, trains, delays and `min_spikes` of the null.
    null : ShiftNull
        See :func:`~dj_neuron.strf.circular_shift_null`.
    frame_duration_s : float
        Delays of this or more after the spike are the noise control.
    smoothed : ShiftNull, optional
        See :func:`~dj_neuron.strf.smoothed_shift_null`; under the same shifts.
    alpha : float
        Family-wise error rate of the significant blocks and delays of a neuron.

    Returns
    -------
    Significance
        ``p_value``, ``q_value`` (n_neurons,), ``is_significant`` (n_neurons, n_delays, n_y, n_x).

    Raises
    ------
    ContractError
        If `alpha` is not between 0 and 1, or the null is not that of the averages.

    Notes
    -----
    With b of m shifts reaching the observed peak, ``p = (b + 1) / (m + 1)``: the observed order counts as one
    of the m + 1 that are equally likely without an effect [1]_. A block and delay is significant if its |z| exceeds
    the (1 - alpha) quantile of all m + 1 maxima. Then something is significant exactly if ``p <= alpha``, and the
    chance that anything false is, is at most alpha [2]_. q values are Benjamini and Hochberg's [3]_.

    Single blocks miss fields that are spread over many, smoothed maps those of a single block. Each order, the observed
    one and every shift, has a rank among all in both; ``p_value_field`` ranks the better of its two ranks, which is
    exact without knowing how they depend on each other [4]_.

    The analytic p is Sidak's ``1 - (1 - p_1)^n``. z are neither quite normal (few spikes) nor independent (bursts,
    neighbouring delays), and spread less than 1 where spikes are many per frame, as the mean that is subtracted is that
    of the same frames: by ``sqrt(1 - 1 / (n_frames * error_factor^2))``. The shifts need none of this.

    References
    ----------
    .. [1] Phipson, Smyth (2010), Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9:39.
    .. [2] Nichols, Holmes (2002), Nonparametric permutation tests for functional neuroimaging, Human Brain Mapping
       15:1-25.
    .. [3] Benjamini, Hochberg (1995), Controlling the false discovery rate, J. R. Stat. Soc. B 57:289-300.
    """
    if not 0 < alpha < 1:
        raise ContractError(f"alpha is {alpha}, expected a chance between 0 and 1")
    z = sta.z
    peaks = tuple(find_peak(of_neuron, sta.delays_s, frame_duration_s) for of_neuron in z)
    observed = np.array([np.nan if peak is None else abs(peak.z) for peak in peaks])
    _check_same(observed, null)
    maxima, p_values = _ranked(null)
    has_peak = np.isfinite(observed)
    p_value = p_values[:, 0]
    unknown = np.full_like(p_value, np.nan)
    p_value_smoothed, p_value_field = unknown, unknown
    if smoothed is not None:
        if not np.array_equal(smoothed.shifts, null.shifts):
            raise ContractError("the nulls of single blocks and of smoothed maps have different shifts")
        _, of_smoothed = _ranked(smoothed)
        p_value_smoothed = of_smoothed[:, 0]
        rarer = np.fmin(p_values, of_smoothed)
        n_as_rare = np.count_nonzero(rarer <= rarer[:, :1], axis=1)
        p_value_field = np.where(np.isfinite(rarer[:, 0]), n_as_rare / rarer.shape[1], np.nan)
    threshold_z = np.where(has_peak, _threshold(maxima, alpha), np.nan)
    is_causal = (sta.delays_s >= 0)[:, None, None]
    with np.errstate(invalid="ignore"):
        is_significant = is_causal & (np.abs(z) > (threshold_z * (1 + _ROUNDING))[:, None, None, None])
    n_looked_at = np.count_nonzero(np.isfinite(z) & is_causal, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):  # no deviation at all has p = 1
        p_value_analytic = -np.expm1(n_looked_at * np.log1p(-2 * ndtr(-observed)))
    return Significance(
        peaks=peaks,
        p_value=p_value,
        q_value=false_discovery_rate(p_value),
        p_value_analytic=p_value_analytic,
        smoothed_z=unknown if smoothed is None else smoothed.observed,
        p_value_smoothed=p_value_smoothed,
        p_value_field=p_value_field,
        q_value_field=false_discovery_rate(p_value_field),
        threshold_z=threshold_z,
        is_significant=is_significant,
        alpha=alpha,
        n_shifts=null.n_shifts,
        seed=null.seed,
    )


def false_discovery_rate(p_value: Floats) -> Floats:
    """Give Benjamini and Hochberg's q values, (n_neurons,); NaN stays NaN and counts for nobody."""
    # as scipy.stats does, which takes a second to import at every start
    q_value = np.full_like(p_value, np.nan)
    tested = np.flatnonzero(np.isfinite(p_value))
    descending = tested[np.argsort(p_value[tested])[::-1]]
    raised = p_value[descending] * tested.size / np.arange(tested.size, 0, -1)
    q_value[descending] = np.minimum.accumulate(raised)
    return q_value


def _ranked(null: ShiftNull) -> tuple[Floats, Floats]:
    """Give observed and shifted maxima, ``(n_neurons, 1 + n_shifts)``, and the share of them that reach each."""
    maxima = np.concatenate([null.observed[:, None], null.maxima], axis=1)
    p_values = np.full(maxima.shape, np.nan)
    for own, of_neuron in zip(maxima, p_values, strict=True):
        if np.isfinite(own[0]):
            n_below = np.searchsorted(np.sort(own), own * (1 - _ROUNDING), side="left")
            of_neuron[:] = (own.size - n_below) / own.size
    return maxima, p_values


def _threshold(maxima: Floats, alpha: float) -> Floats:
    """Give the (1 - alpha) quantile of every neuron's maxima: at most that share of them lies above it."""
    n_above = int(np.floor(alpha * maxima.shape[1] + 1e-9))
    if n_above == 0:
        return np.full(len(maxima), np.inf)
    return np.asarray(np.sort(maxima, axis=1)[:, -n_above - 1])


def _check_same(observed: Floats, null: ShiftNull) -> None:
    is_same = observed.shape == null.observed.shape and np.allclose(observed, null.observed, 1e-6, 1e-6, equal_nan=True)
    if not is_same:
        raise ContractError(
            f"the averages have peaks of {_summary(observed)}, but the null was made for {_summary(null.observed)}, "
            "expected the same movie, trains, delays and minimum of spikes"
        )


def _summary(observed: Floats) -> str:
    shown = ", ".join(f"{z:.3f}" for z in observed[:3])
    return f"|z| = {shown}{', ...' if observed.size > 3 else ''} ({observed.size} neurons)"
