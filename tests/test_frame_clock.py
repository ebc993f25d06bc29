from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dj_neuron.contracts import Movie, Stimulation
from dj_neuron.errors import AlignmentError
from dj_neuron.strf import autocorrelogram, refractory_violations
from dj_neuron.strf.alignment import align
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP, MOST_DELAYS, FrameClock

rates = st.floats(1, 500)
onsets = st.floats(0, 5000)


@given(rates, onsets, st.integers(0, 999), st.integers(-50, 50))
def test_a_spike_at_the_start_of_a_frame_sees_that_frame(rate, onset, frame, lag):
    clock = FrameClock.regular(rate, 1000, onset)
    seen = clock.frames_at(np.array([onset + frame / rate]), lag / rate)[0]
    expected = frame - lag
    assert seen == (expected if 0 <= expected < 1000 else BEFORE_ONSET if expected < 0 else AFTER_END)


@given(rates, onsets, st.integers(0, 999), st.sampled_from([1e-6, 0.25, 0.5, 0.75, 1 - 1e-6]))
def test_a_spike_within_a_frame_sees_that_frame(rate, onset, frame, part):
    clock = FrameClock.regular(rate, 1000, onset)
    assert clock.frames_at(np.array([onset + (frame + part) / rate]), 0.0)[0] == frame


def test_a_spike_just_before_a_boundary_does_not_see_the_next_frame():
    clock = FrameClock.regular(59.9815, 4000, 1.65657)
    boundary = 1.65657 + 3000 / 59.9815
    assert clock.frames_at(np.array([boundary - 1e-9, boundary, boundary + 1e-9]), 0.0).tolist() == [2999, 3000, 3000]


WITH_A_GAP = FrameClock.from_starts([4.0, 5.0, 6.0], 7.0, gaps_s=[(5.5, 6.0)])
WITH_A_JOIN = FrameClock.from_edges([4.0, 5.0, 6.0, 7.0], joins_s=[4.5])


@pytest.mark.parametrize(
    ("clock", "edge_s", "delay_s", "before", "after"),
    [
        *((FrameClock.regular(1, 3, 4.0), 4.0 + k, 0.0, k - 1, k if k < 3 else AFTER_END) for k in range(4)),
        *((WITH_A_JOIN, 4.0 + k, 0.0, k - 1, k if k < 3 else AFTER_END) for k in range(4)),
        (WITH_A_GAP, 5.5, 0.0, 1, IN_GAP),
        (WITH_A_GAP, 6.0, 0.0, IN_GAP, 2),
        (WITH_A_JOIN, 4.5, 0.25, 0, IN_GAP),
        (WITH_A_JOIN, 4.25, -0.25, 0, IN_GAP),
    ],
)
def test_sixteen_roundings_before_an_edge_is_at_the_edge(clock, edge_s, delay_s, before, after):
    train = edge_s - np.spacing(7.0) * np.array([17, 16])
    assert clock.frames_at(train, delay_s).tolist() == [before, after]
    assert align(clock, [train], np.array([delay_s]), "floor").row(0).tolist() == [k for k in (before, after) if k >= 0]


@pytest.mark.parametrize("edges", [[-9.0, -2.0, 1.0], [-1.0, 2.0, 9.0]])
def test_rounding_is_that_of_the_largest_time(edges):
    ulp = np.spacing(1.0)
    found = FrameClock.from_edges(edges).tolerances_s([np.empty(0), np.array([-20.0, 3.0])], np.array([0.5, -40.0]))
    assert found.tolist() == [[16 * 8 * ulp, 16 * 32 * ulp], [16 * 16 * ulp, 16 * 32 * ulp]]


def test_the_measured_rate_is_used():
    nominal, measured = FrameClock.regular(60, 5000, 0), FrameClock.regular(59.9815, 5000, 0)
    spike = np.array([(4125 + 0.5) / 59.9815])
    assert measured.frames_at(spike, 0.0)[0] == 4125
    assert nominal.frames_at(spike, 0.0)[0] == 4126


def test_a_stimulation_has_the_clock_of_its_frame_times_or_of_its_rate():
    movie = Movie.from_frames(np.eye(3)[:, None])
    of_rate = FrameClock.of(Stimulation(1, movie, 10.0, 2.0, 5.0))
    np.testing.assert_allclose([of_rate.starts_s, of_rate.ends_s], [[2, 2.1, 2.2], [2.1, 2.2, 2.3]])
    edges = {"frame_edges_s": [1, 1.5, 2, 4], "gaps_s": [[1.8, 2]]}
    measured = FrameClock.of(Stimulation(1, movie, 1.0, 0.0, 5.0, **edges))
    assert (measured.starts_s.tolist(), measured.ends_s.tolist()) == ([1, 1.5, 2], [1.5, 1.8, 4])


def test_frames_of_a_regular_clock_follow_each_other():
    clock = FrameClock.regular(4, 3, 1.5)
    assert (clock.starts_s.tolist(), clock.ends_s.tolist()) == ([1.5, 1.75, 2.0], [1.75, 2.0, 2.25])
    assert (clock.n_frames, clock.frame_rate_hz, clock.is_regular, clock.joins_s.size) == (3, 4.0, True, 0)
    assert FrameClock.regular(4, 1, 1.5).ends_s.tolist() == [1.75]


def test_a_clock_of_times_alone_is_measured_and_knows_no_rate():
    clock = FrameClock(np.array([0.0, 0.1]), np.array([0.1, 0.2]))
    assert (clock.frame_rate_hz, clock.is_regular, clock.joins_s.size) == (0, False, 0)
    assert align(clock, [np.array([0.05, 0.15])], np.zeros(1), "floor").row(0).tolist() == [0, 1]


def test_the_onset_is_subtracted_once():
    clock = FrameClock.regular(10, 10, 2.0)
    assert clock.frames_at(np.array([1.99, 2.05, 2.95, 3.0]), 0.0).tolist() == [BEFORE_ONSET, 0, 9, AFTER_END]


def test_doubled_frames_stay_where_they_were():
    edges = np.array([0.0, 0.0333, 0.1, 0.1333])  # the second frame stayed for two
    clock = FrameClock.from_edges(edges)
    assert clock.frames_at(np.array([0.0, 0.04, 0.09, 0.11, 0.1333]), 0.0).tolist() == [0, 1, 1, 2, AFTER_END]


@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=30),
    st.lists(st.floats(-2, 40), max_size=30),
    st.floats(-1, 1),
)
def test_irregular_frames_agree_with_looking_them_up_one_by_one(durations, spikes, delay):
    edges = np.concatenate([[1.0], 1.0 + np.cumsum(durations)])
    clock = FrameClock.from_edges(edges)
    for spike, found in zip(spikes, clock.frames_at(np.array(spikes), delay), strict=True):
        seen = spike - delay
        if np.abs(edges - seen).min() < 1e-9:
            continue  # boundaries have tests of their own
        naive = [k for k in range(len(durations)) if edges[k] <= seen < edges[k + 1]]
        assert found == (naive[0] if naive else BEFORE_ONSET if seen < edges[0] else AFTER_END)


def test_no_frame_is_on_the_screen_in_a_gap():
    clock = FrameClock.from_starts([0.0, 0.1, 0.5, 0.6], 0.7, gaps_s=[(0.2, 0.5)])
    assert clock.frames_at(np.array([0.15, 0.2, 0.3, 0.5]), 0.0).tolist() == [1, IN_GAP, IN_GAP, 2]
    # time goes on during a gap: what was shown before it stays the history of what comes after
    assert clock.frames_at(np.array([0.55]), 0.4).tolist() == [1]


def test_without_a_gap_a_frame_stays_until_the_next():
    clock = FrameClock.from_starts([0.0, 0.1, 0.5, 0.6], 0.7)
    assert clock.frames_at(np.array([0.3]), 0.0).tolist() == [1]


def test_the_rate_of_measured_frames_is_that_of_most():
    assert FrameClock.from_starts([0.0, 0.1, 0.5, 0.6], 0.7).frame_rate_hz == pytest.approx(10)
    clock = FrameClock.from_edges([0.0, 0.02, 0.04, 0.06, 0.9, 0.92])
    assert clock.frame_rate_hz == pytest.approx(50)
    np.testing.assert_allclose(clock.delays_between(0, 0.1), np.arange(6) / 50)


def test_no_delay_reaches_across_a_join():
    clock = FrameClock.from_edges(np.arange(11) / 10, joins_s=[0.5])
    spikes = np.array([0.45, 0.55, 0.65])
    assert clock.frames_at(spikes, 0.1).tolist() == [3, IN_GAP, 5]
    assert clock.frames_at(spikes, -0.1).tolist() == [IN_GAP, 6, 7]
    several = FrameClock.from_edges(np.arange(11) / 10, joins_s=[1.2, -0.2, 0.5, 0.1])
    assert several.frames_at(np.array([0.05, 0.15, 0.25, 0.55]), 0.1).tolist() == [BEFORE_ONSET, IN_GAP, 1, IN_GAP]
    # outside of the movie there is no frame to reach
    assert several.frames_at(np.array([-0.15, 1.25]), 0.1).tolist() == [BEFORE_ONSET, AFTER_END]


def test_nearest_is_the_rule_of_2019():
    clock = FrameClock.regular(59.9815, 100, 1.65657)
    spikes = np.linspace(1.7, 3.6, 500)
    expected = [round(x) for x in (spikes - 1.65657 - 0.2) * 59.9815]
    expected = [k if 0 <= k < 100 else BEFORE_ONSET if k < 0 else AFTER_END for k in expected]
    assert clock.frames_at(spikes, 0.2, "nearest").tolist() == expected
    half_of_all = np.mean(clock.frames_at(spikes, 0.2, "nearest") != clock.frames_at(spikes, 0.2))
    assert 0.4 < half_of_all < 0.6


def test_nearest_needs_a_regular_clock():
    with pytest.raises(AlignmentError, match="regular clock"):
        FrameClock.from_edges([0.0, 0.1]).frames_at(np.array([0.0]), 0.0, "nearest")


def test_ranges_count_whole_frames_so_that_zero_is_the_frame_at_the_spike():
    clock = FrameClock.regular(59.9815, 100, 0)
    delays = clock.delays_between(-0.1, 0.4)
    assert np.allclose(delays * 59.9815, np.arange(-6, 25))
    assert 0.0 in delays
    assert clock.delays_between(0.2, 0.2).tolist() == [0.2]
    assert np.allclose(clock.delays_between(0, 0.3, 0.1), [0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("first_s", "last_s", "step_s", "expected"),
    [
        (0.04, 2.96, 0, [0, 1, 2, 3]),
        (0.06, 2.94, 0, [1, 2]),
        (0.94, 1.06, 0, [1]),
        (0.25, 1.25 - 0.4e-6, 0.5, [0.25, 0.75, 1.25]),
        (0.25, 1.25 - 0.6e-6, 0.5, [0.25, 0.75]),
        (-1.5, -1.5, 0, [-1.5]),
        (-1.5, 0.4, 2, [-1.5]),
    ],
)
def test_ranges_that_hardly_miss_a_delay_have_it(first_s, last_s, step_s, expected):
    assert FrameClock.regular(1, 100, 0).delays_between(first_s, last_s, step_s).tolist() == expected


@pytest.mark.parametrize(("rate_hz", "step_s"), [(2, 0), (7, 0.5)])
def test_there_are_no_more_delays_than_the_most(rate_hz, step_s):
    clock = FrameClock.regular(rate_hz, 100, 0)
    expected = np.arange(MOST_DELAYS) / 2
    np.testing.assert_array_equal(clock.delays_between(0, expected[-1], step_s), expected)
    with pytest.raises(AlignmentError, match="too many"):
        clock.delays_between(0, expected[-1] + 0.5, step_s)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.3, 0.2), "first <= last"),
        ((0.004, 0.01), "no whole frame"),
        ((0, np.inf), "first <= last"),
        ((0, 1, -0.1), "a step >= 0"),
        ((0, 1, np.nan), "a step >= 0"),
        ((0, 1, 1e-320), "too many in steps of .* s, expected 10000 at most"),
        ((0, 3600), "too many in frames at 60 Hz"),
    ],
)
def test_ranges_without_a_delay_or_with_too_many_are_refused(arguments, words):
    with pytest.raises(AlignmentError, match=words):
        FrameClock.regular(60, 100, 0).delays_between(*arguments)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FrameClock.regular(0, 10, 0), "positive rate"),
        (lambda: FrameClock.regular(-60, 10, 0), "positive rate"),
        (lambda: FrameClock.regular(np.inf, 10, 0), "positive rate"),
        (lambda: FrameClock.regular(60, 0, 0), "at least one frame"),
        (lambda: FrameClock.regular(60, 10, np.inf), "finite onset"),
        (lambda: FrameClock.from_edges([1.0]), "at least one frame"),
        (lambda: FrameClock.from_edges([[0.0, 1.0], [2.0, 3.0]]), r"^frame edges have shape \(2, 2\), "),
        (lambda: FrameClock.from_starts([], 1.0), r"^frame times have shape \(0,\), .* at least one frame$"),
        (lambda: FrameClock.from_starts(0.0, 1.0), r"^frame times have shape \(\), "),
        (lambda: FrameClock.from_starts([[0.0, 1.0]], 2.0), r"^frame times have shape \(1, 2\), "),
        (lambda: FrameClock.from_edges([0.0, 2.0, 1.0]), "ascending"),
        (lambda: FrameClock.from_edges([0.0, 1.0, 1.0]), "ascending"),
        (lambda: FrameClock.from_edges([0.0, np.nan]), "finite"),
        (lambda: FrameClock.from_starts([0.0, 1.0], np.inf), "finite"),
        (lambda: FrameClock.from_starts([0.0, 0.1], 0.2, gaps_s=[(0.05, 0.15)]), "a gap from 0.05"),
        (lambda: FrameClock.regular(60, 10, 0).frames_at(np.zeros(1), 0, "round"), "'round'"),
    ],
)
def test_bad_clocks_are_refused_in_words(make, words):
    with pytest.raises(AlignmentError, match=words):
        make()


CLOCK = FrameClock.regular(60, 10, 0)
TAKES_A_NUMBER = {
    "frame_rate_hz": lambda value: FrameClock.regular(value, 10, 0),
    "onset_s": lambda value: FrameClock.regular(60, 10, value),
    "last_end_s": lambda value: FrameClock.from_starts([0.0, 0.1], value),
    "first_s": lambda value: CLOCK.delays_between(value, 1),
    "last_s": lambda value: CLOCK.delays_between(0, value),
    "step_s": lambda value: CLOCK.delays_between(0, 1, value),
    "delay_s": lambda value: CLOCK.frames_at(np.zeros(1), value),
}
TAKES_TIMES = [
    ("frame edges", FrameClock.from_edges),
    ("frame times", lambda values: FrameClock.from_starts(values, 9.0)),
    ("gaps", lambda values: FrameClock.from_starts([0.0, 0.1], 0.2, gaps_s=values)),
    ("joins", lambda values: FrameClock.from_starts([0.0, 0.1], 0.2, joins_s=values)),
    ("spike times", lambda values: CLOCK.frames_at(values, 0.0)),
    ("spike times", refractory_violations),
    ("spike times", autocorrelogram),
]


@pytest.mark.parametrize("name", TAKES_A_NUMBER)
@pytest.mark.parametrize("value", [None, "0.1", True, [0.1], np.array([0.1]), Decimal(1), np.timedelta64(1, "s"), 1j])
def test_numbers_are_never_made_of_something_else(name, value):
    with pytest.raises(AlignmentError, match=rf"{name} is .*, expected a number$"):
        TAKES_A_NUMBER[name](value)


@pytest.mark.parametrize("n_frames", [None, "10", 10.0, 10.5, True, np.float64(10), -1])
def test_frames_are_counted_in_whole_numbers(n_frames):
    with pytest.raises(AlignmentError, match=r"n_frames is .*, expected a whole number from 0"):
        FrameClock.regular(60, n_frames, 0)
    assert FrameClock.regular(np.float32(60), np.uint8(10), np.int64(0)).n_frames == 10


@pytest.mark.parametrize(("name", "make"), TAKES_TIMES)
@pytest.mark.parametrize(
    "values", [None, "abc", ["0.1", "0.2"], [True, False], [[0.1], [0.1, 0.2]], np.array([0, 1], "m8[s]"), [0.1j]]
)
def test_times_are_never_made_of_something_else(name, make, values):
    with pytest.raises(AlignmentError, match=rf"^{name} are .*, expected real numbers$"):
        make(values)


@pytest.mark.parametrize(("name", "make"), TAKES_TIMES)
def test_masked_times_are_refused(name, make):
    with pytest.raises(AlignmentError, match=rf"^{name} have masked elements"):
        make(np.ma.array([0.0, 0.1], mask=[False, True]))


@pytest.mark.parametrize("gaps", [[0.05, 0.1], [0.01, 0.02, 0.03], [[0.01], [0.02]], np.zeros((1, 1, 2)), 0.05])
def test_gaps_are_pairs(gaps):
    with pytest.raises(AlignmentError, match=r"^gaps have shape \(.*\), expected \(n_gaps, 2\)$"):
        FrameClock.from_starts([0.0, 0.1], 0.2, gaps_s=gaps)


def test_joins_are_finite():
    with pytest.raises(AlignmentError, match="joins are not all finite"):
        FrameClock.from_edges([0.0, 0.1], joins_s=[np.nan])


@pytest.mark.parametrize("rule", [None, 1, "round", ["floor"], np.array(["floor", "nearest"])])
def test_unknown_rules_are_refused_with_those_that_there_are(rule):
    with pytest.raises(AlignmentError, match=r"^frame_rule is .*, expected one of floor, nearest$"):
        CLOCK.frames_at(np.zeros(1), 0.0, rule)


def test_only_stimulations_have_a_clock():
    with pytest.raises(AlignmentError, match=r"^stimulation is None, expected a Stimulation$"):
        FrameClock.of(None)
