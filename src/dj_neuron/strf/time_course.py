"""What a receptive field does in time: when it peaks, when it turns round, how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BIPHASIC_INDEX_FORMULA = "|peak of the second lobe| / |peak of the main lobe|"

_MEASURES = ("time_to_peak_s", "zero_crossing_s", "biphasic_index", "duration_s")
_FALSE_LOBES = 0.01  # how often noise alone, over all delays, is taken for a lobe
_MIN_LOBE_SHARE = 0.2  # of the largest value: in long recordings every ripple is significant
_TOP_SHARE = 0.7  # points at least this high, of the highest, make out the top of a lobe


@dataclass(frozen=True, kw_only=True)
class TimeCourse:
    """Measures of one time course; NaN is what is not known. Every ``_se`` is a standard error.

    Attributes
    ----------
    polarity : int or None
        1 ON, -1 OFF: the sign of the main lobe; None without one.
    time_to_peak_s : float
        Delay of the main lobe's peak.
    zero_crossing_s : float
        Delay at which the main lobe turns into the second.
    biphasic_index : float
        ``BIPHASIC_INDEX_FORMULA``.
    duration_s : float
        Full width of the main lobe at half its height.
    reason : str
        Why measures are NaN; else empty.
    """

    polarity: int | None = None
    time_to_peak_s: float = np.nan
    time_to_peak_s_se: float = np.nan
    zero_crossing_s: float = np.nan
    zero_crossing_s_se: float = np.nan
    biphasic_index: float = np.nan
    biphasic_index_se: float = np.nan
    duration_s: float = np.nan
    duration_s_se: float = np.nan
    reason: str = ""


def measure_time_course(
    time_course: ArrayLike,
    standard_error: ArrayLike,
    delays_s: ArrayLike,
    *,
    noise_correlation: ArrayLike | None = None,
    n_bootstrap: int = 100,
    seed: int = 0,
) -> TimeCourse:
    """Measure the time course of a receptive field.

    Parameters
    ----------
    time_course, standard_error : array (n_delays,)
        In any unit, with its sign, as :func:`~dj_neuron.strf.separate` gives it.
    delays_s : array (n_delays,)
        Seconds before the spike, ascending; only delays of 0 and more are looked at.
    noise_correlation : array (n_delays, n_delays), optional
        Of the errors; default: independent.
    n_bootstrap : int
        Noisy courses that the standard errors rest on.
    seed : int
        Of their noise.

    Returns
    -------
    TimeCourse
        What cannot be measured is NaN and `reason` says why.

    Raises
    ------
    ContractError
        If the shapes do not agree, or delays are not ascending.

    Notes
    -----
    A lobe is a stretch of one sign. It counts if its height is at least a fifth of the largest value and such as noise
    reaches at any delay in 1 % of courses. The *main lobe* is the one nearest to the spike, even where the rebound is
    higher; the *second lobe* is the highest of opposite sign before it in time, at longer delays.

    A peak is that of the parabola through the top of the lobe, by least squares: the points of 70 % and more of the
    highest, at least three. Three points alone are nearer to the truth without noise, but with it they take the highest
    point for the peak. Other times are those of straight lines between two points. Where noise makes the course
    cross zero several times, the crossing in the middle is taken.

    ``biphasic_index = |peak of the second lobe| / |peak of the main lobe|`` [1]_. At least three measures go by this
    name: the ratio of the peaks, the ratio of the areas of the lobes, and one less the ratio of net to total area. They
    rank cells alike but differ in value.

    Standard errors are the spread of the measures when noise of the given size and correlation is added to the course
    once more.

    References
    ----------
    .. [1] Cai, DeAngelis, Freeman (1997), Spatiotemporal receptive field organization in the lateral geniculate
       nucleus of cats and kittens, J Neurophysiol 78:1045-1061.

    Examples
    --------
    >>> course = [0.0, 0.2, 0.8, 0.2, -0.1, -0.4, -0.1, 0.0]
    >>> measures = measure_time_course(course, [0.01] * 8, [0.02 * k for k in range(8)])
    >>> measures.polarity, round(measures.time_to_peak_s, 4), round(measures.biphasic_index, 4)
    (1, 0.04, 0.5)
    """
    course, error = np.asarray(time_course, np.float64), np.asarray(standard_error, np.float64)
    delays = np.asarray(delays_s, np.float64)
    if course.ndim != 1 or error.shape != course.shape or delays.shape != course.shape:
        raise ContractError(
            f"course {course.shape}, errors {error.shape} and delays {delays.shape} do not agree, expected (n_delays,)"
        )
    if not (np.diff(delays) > 0).all():
        raise ContractError("delays are not ascending")
    used = (delays >= 0) & np.isfinite(course) & np.isfinite(error) & (error > 0)
    course, error, delays = course[used], error[used], delays[used]
    if course.size < 3:
        return TimeCourse(reason=f"{course.size} delay(s) of 0 s and more have a value, expected at least 3")
    noise_reach = -ndtri(_FALSE_LOBES / (2 * course.size)) * error
    measures = _measure(course, noise_reach, delays)
    if np.isnan(measures.time_to_peak_s):
        return measures
    correlation = np.eye(used.size) if noise_correlation is None else np.asarray(noise_correlation, np.float64)
    root = np.linalg.cholesky(correlation[np.ix_(used, used)])
    noise = np.random.default_rng(seed).standard_normal((n_bootstrap, course.size)) @ root.T * error
    again = [_measure(course + draw, noise_reach, delays) for draw in noise]
    drawn = np.array([[getattr(one, name) for name in _MEASURES] for one in again if one.polarity == measures.polarity])
    errors: dict[str, Any] = {
        f"{name}_se": _spread(column) if np.isfinite(getattr(measures, name)) else np.nan
        for name, column in zip(_MEASURES, drawn.reshape(-1, len(_MEASURES)).T, strict=True)
    }
    return replace(measures, **errors)


def _spread(values: Floats) -> float:
    """Half the range of the middle 68 %: the standard deviation where it is normal, whatever its tails."""
    values = values[np.isfinite(values)]
    if values.size < 10:
        return np.nan
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(high - low) / 2


def _measure(course: Floats, noise_reach: Floats, delays_s: Floats) -> TimeCourse:
    """Measure without standard errors; lobes within `noise_reach` do not count."""
    least = np.maximum(noise_reach, _MIN_LOBE_SHARE * np.abs(course).max())
    lobes = [lobe for lobe in _lobes(course) if (np.abs(course[lobe]) >= least[lobe]).any()]
    if not lobes:
        return TimeCourse(reason="no significant peak")
    polarity = int(np.sign(course[lobes[0].start]))
    course = polarity * course  # the main lobe is upright from here on
    peak = lobes[0].start + int(np.argmax(course[lobes[0]]))
    if peak in (0, course.size - 1):
        reason = f"the course is highest at its {'first' if peak == 0 else 'last'} delay"
        return TimeCourse(polarity=polarity, reason=reason)
    time_to_peak_s, height = _vertex(course, delays_s, peak)
    reasons, measures = [], {"time_to_peak_s": time_to_peak_s}

    below = np.flatnonzero(course < height / 2)
    before, after = below[below < peak], below[below > peak]
    if before.size and after.size:
        rises_s = _crossing(course - height / 2, delays_s, before[-1])
        measures["duration_s"] = _crossing(course - height / 2, delays_s, after[0] - 1) - rises_s
    else:
        reasons.append("the main lobe reaches beyond the delays")

    opposite = [lobe.start + int(np.argmin(course[lobe])) for lobe in lobes[1:] if course[lobe.start] < 0]
    if opposite:
        second = min(opposite, key=lambda k: float(course[k]))
        crossings = peak + np.flatnonzero((course[peak:second] > 0) & (course[peak + 1 : second + 1] <= 0))
        measures["zero_crossing_s"] = _crossing(course, delays_s, crossings[crossings.size // 2])
        if second < course.size - 1:
            measures["biphasic_index"] = _vertex(-course, delays_s, second)[1] / height
        else:
            reasons.append("the second lobe reaches beyond the delays")
    else:
        reasons.append(f"monophasic: no second lobe above {float(least.max()) / height:.2f} of the main one")
    return TimeCourse(polarity=polarity, reason="; ".join(reasons), **measures)


def _lobes(course: Floats) -> list[slice]:
    """Stretches of one sign, from the spike on."""
    edges = np.flatnonzero(np.diff(np.sign(course))) + 1
    bounds = [0, *edges.tolist(), course.size]
    return [slice(first, last) for first, last in pairwise(bounds) if course[first] != 0]


def _vertex(course: Floats, delays_s: Floats, peak: int) -> tuple[float, float]:
    """Place and height of the parabola through the top of the lobe around point `peak`."""
    low = np.flatnonzero(course < _TOP_SHARE * course[peak])
    first = min(low[low < peak].max(initial=-1) + 1, peak - 1)
    last = max(low[low > peak].min(initial=course.size) - 1, peak + 1)
    unit_s = delays_s[peak + 1] - delays_s[peak]
    places = (delays_s[first : last + 1] - delays_s[peak]) / unit_s
    a, b, c = _parabola(places, course[first : last + 1])
    if a >= 0 or not places[0] <= -b / (2 * a) <= places[-1]:
        return float(delays_s[peak]), float(course[peak])
    return float(delays_s[peak] - unit_s * b / (2 * a)), float(c - b**2 / (4 * a))


def _parabola(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Fit ``a x^2 + b x + c`` by least squares, with orthogonal polynomials: solvers take longer to start than this."""
    middle = x.mean()
    u = x - middle
    squares, width = u**2, u @ u
    skew, offset = (squares @ u) / width, width / x.size
    v = squares - skew * u - offset
    a = (v @ y) / (v @ v)
    b = (u @ y) / width - a * skew
    c = y.mean() - a * offset
    return float(a), float(b - 2 * a * middle), float(c - b * middle + a * middle**2)


def _crossing(course: Floats, delays_s: Floats, k: int) -> float:
    """Where the line through points k and k + 1 is zero."""
    share = course[k] / (course[k] - course[k + 1])
    return float(delays_s[k] + share * (delays_s[k + 1] - delays_s[k]))
