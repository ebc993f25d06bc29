"""What a receptive field does in time: when it peaks, when it turns round, how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from dj_neuron.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.intp]
    Mask = NDArray[np.bool_]

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
    found = _measure(course[None], noise_reach, delays)
    if found.polarity[0] == 0:
        return TimeCourse(reason=_reason(found, course.size))
    measures: dict[str, Any] = {name: float(getattr(found, name)[0]) for name in _MEASURES}
    if np.isfinite(measures["time_to_peak_s"]):
        correlation = np.eye(used.size) if noise_correlation is None else np.asarray(noise_correlation, np.float64)
        root = np.linalg.cholesky(correlation[np.ix_(used, used)])
        noise = np.random.default_rng(seed).standard_normal((n_bootstrap, course.size)) @ root.T * error
        again = _measure(course + noise, noise_reach, delays)
        same = again.polarity == found.polarity[0]
        measures |= {
            f"{name}_se": _spread(getattr(again, name)[same]) for name in _MEASURES if np.isfinite(measures[name])
        }
    return TimeCourse(polarity=int(found.polarity[0]), reason=_reason(found, course.size), **measures)


def _spread(values: Floats) -> float:
    """Half the range of the middle 68 %: the standard deviation where it is normal, whatever its tails."""
    values = values[np.isfinite(values)]
    if values.size < 10:
        return np.nan
    low, high = np.quantile(values, [0.1587, 0.8413])
    return float(high - low) / 2


@dataclass(frozen=True)
class _Measured:
    """Measures of courses, all ``(n_courses,)``: NaN or, of `polarity`, 0 is what is not known.

    `peak` and `second` are the places of the lobes' highest points, `second` -1 without one; `least` is what the
    height of a lobe must reach, of the main one.
    """

    polarity: Floats
    time_to_peak_s: Floats
    zero_crossing_s: Floats
    biphasic_index: Floats
    duration_s: Floats
    peak: Integers
    second: Integers
    least: Floats


def _measure(courses: Floats, noise_reach: Floats, delays_s: Floats) -> _Measured:
    """Measure courses ``(n_courses, n_delays)``, all at once; lobes within `noise_reach`, above 0, do not count."""
    n, size = courses.shape
    each, places = np.arange(n), np.arange(size)
    least = np.maximum(noise_reach, _MIN_LOBE_SHARE * np.abs(courses).max(axis=1, keepdims=True))
    signs = np.sign(courses)
    # lobes: stretches of one sign, numbered from the spike on
    lobes = np.cumsum(np.diff(signs, axis=1, prepend=signs[:, :1]) != 0, axis=1)
    high = np.abs(courses) >= least
    first = high.argmax(axis=1)
    known = high[each, first]
    polarity = np.where(known, signs[each, first], 0.0)
    upright = polarity[:, None] * courses  # the main lobe is upright from here on
    main = lobes == lobes[each, first][:, None]
    peak = np.where(main, upright, -np.inf).argmax(axis=1)
    known &= (peak > 0) & (peak < size - 1)
    of_lobe = lobes + size * each[:, None]
    counts = np.bincount(of_lobe[high], minlength=n * size)[of_lobe] > 0

    unknown: dict[str, Any] = {name: np.full(n, np.nan) for name in _MEASURES}
    found = _Measured(polarity=polarity, peak=peak, second=np.full(n, -1), least=least.max(axis=1), **unknown)
    upright, peak, counts = upright[known], peak[known], counts[known]
    found.time_to_peak_s[known], height = _vertices(upright, delays_s, peak)
    found.least[known] /= height

    half = upright - height[:, None] / 2
    before = np.where((half < 0) & (places < peak[:, None]), places, -1).max(axis=1)
    after = np.where((half < 0) & (places > peak[:, None]), places, size).min(axis=1)
    rises_s, falls_s = (_crossings(half, delays_s, np.clip(k, 0, size - 2)) for k in (before, after - 1))
    # a parabola through few points may be higher than all of them twice
    is_wide = (before >= 0) & (after < size) & (half[np.arange(len(peak)), peak] >= 0)
    found.duration_s[known] = np.where(is_wide, falls_s - rises_s, np.nan)

    opposite = counts & (upright < 0)  # no lobe before the main one counts
    second = np.where(opposite.any(axis=1), np.where(opposite, upright, np.inf).argmin(axis=1), -1)
    found.second[known] = second
    downwards = (upright[:, :-1] > 0) & (upright[:, 1:] <= 0)
    downwards &= (places[:-1] >= peak[:, None]) & (places[:-1] < second[:, None])
    middle = np.cumsum(downwards, axis=1) > (downwards.sum(axis=1) // 2)[:, None]
    zero_s = _crossings(upright, delays_s, middle.argmax(axis=1))
    found.zero_crossing_s[known] = np.where(second >= 0, zero_s, np.nan)
    # without a second lobe in between, some point is measured and forgotten
    _, depth = _vertices(-upright, delays_s, np.clip(second, 1, size - 2))
    found.biphasic_index[known] = np.where((second >= 0) & (second < size - 1), depth / height, np.nan)
    return found


def _reason(found: _Measured, n_delays: int) -> str:
    """Say why measures of the first course are not known."""
    if found.polarity[0] == 0:
        return "no significant peak"
    if found.peak[0] in (0, n_delays - 1):
        return f"the course is highest at its {'first' if found.peak[0] == 0 else 'last'} delay"
    reasons = []
    if np.isnan(found.duration_s[0]):
        reasons.append("the main lobe reaches beyond the delays")
    if found.second[0] < 0:
        reasons.append(f"monophasic: no second lobe above {found.least[0]:.2f} of the main one")
    elif found.second[0] == n_delays - 1:
        reasons.append("the second lobe reaches beyond the delays")
    return "; ".join(reasons)


def _vertices(courses: Floats, delays_s: Floats, peaks: Integers) -> tuple[Floats, Floats]:
    """Place and height of the parabola through the top of the lobe around one point of each course."""
    each, places = np.arange(len(courses)), np.arange(courses.shape[1])
    at_s, top = delays_s[peaks], courses[each, peaks]
    unit_s, peaks = delays_s[peaks + 1] - at_s, peaks[:, None]
    low = courses < _TOP_SHARE * top[:, None]
    first = np.where(low & (places < peaks), places, -1).max(axis=1, keepdims=True) + 1
    last = np.where(low & (places > peaks), places, places.size).min(axis=1, keepdims=True) - 1
    used = (places >= np.minimum(first, peaks - 1)) & (places <= np.maximum(last, peaks + 1))
    x = (delays_s - at_s[:, None]) / unit_s[:, None]
    a, b, c = _parabolas(x, courses, used)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex, height = -b / (2 * a), c - b**2 / (4 * a)
    lowest, highest = np.where(used, x, np.inf).min(axis=1), np.where(used, x, -np.inf).max(axis=1)
    turns = (a < 0) & (vertex >= lowest) & (vertex <= highest)
    return np.where(turns, at_s + unit_s * vertex, at_s), np.where(turns, height, top)


def _parabolas(x: Floats, y: Floats, used: Mask) -> tuple[Floats, Floats, Floats]:
    """Fit ``a x^2 + b x + c`` to the points used of each row by least squares, with orthogonal polynomials."""

    def total(values: Floats) -> Floats:
        return np.asarray(np.where(used, values, 0.0).sum(axis=1))

    n = used.sum(axis=1)
    middle = total(x) / n
    u = x - middle[:, None]
    width = total(u**2)
    skew, offset = total(u**3) / width, width / n
    v = u**2 - skew[:, None] * u - offset[:, None]
    a = total(v * y) / total(v**2)
    b = total(u * y) / width - a * skew
    c = total(y) / n - a * offset
    return a, b - 2 * a * middle, c - b * middle + a * middle**2


def _crossings(courses: Floats, delays_s: Floats, k: Integers) -> Floats:
    """Where the line through points k and k + 1 of each course is zero."""
    here, there = courses[np.arange(len(k)), k], courses[np.arange(len(k)), k + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(delays_s[k] + here / (here - there) * (delays_s[k + 1] - delays_s[k]))
