"""The compiled forms of alignment and counting against the plain ones, on whatever Hypothesis thinks of."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dj_neuron
from dj_neuron import Movie
from dj_neuron.contracts import SpikeLedger
from dj_neuron.strf import (
    FrameClock,
    _bit_kernel,
    _threads,
    alignment,
    bit_counter,
    frame_sums,
    spike_triggered_average,
    value_sums,
)
from dj_neuron.strf.alignment import PADDING, AlignedSpikes, align
from dj_neuron.strf.frame_clock import AFTER_END, BEFORE_ONSET, IN_GAP

pytestmark = pytest.mark.usefixtures("three_threads")


def aligned(rows, n_frames):
    """Rows of frames in the form that alignment gives."""
    rows = [*rows, np.arange(n_frames)]
    sizes = np.array([len(row) for row in rows], np.int64)
    first = np.concatenate([[0], np.cumsum(-(-sizes // PADDING) * PADDING)]).astype(np.int64)
    frames = np.full(first[-1], n_frames, np.uint32)
    for begin, row in zip(first, rows, strict=False):
        frames[begin : begin + len(row)] = row
    nothing = np.zeros((1, len(rows) - 1), np.int64)
    ledger = SpikeLedger(sizes[None, :-1], nothing, nothing, nothing)
    return AlignedSpikes(ledger, first[:-1], sizes, frames, nothing)


def check_rows(spikes, expected, n_frames):
    """Each row holds these frames and is filled up with the frame that is none; the last holds all frames."""
    for number, row in enumerate([*expected, np.arange(n_frames)]):
        np.testing.assert_array_equal(spikes.row(number), row)
        begin, end = spikes.first[number] + len(row), spikes.first[number] - (-len(row) // PADDING) * PADDING
        assert (spikes.frames[begin:end] == n_frames).all()
    assert end == spikes.frames.size


@st.composite
def movies_and_rows(draw):
    n_frames = draw(st.integers(1, 400))
    n_y, n_x = draw(st.tuples(st.integers(1, 12), st.integers(1, 70)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames = rng.integers(0, 2, (n_frames, n_y, n_x))
    sizes = draw(st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2000)), min_size=1, max_size=5))
    return frames, [np.sort(rng.integers(0, n_frames, size)) for size in sizes]


def counted(count, movie, spikes):
    counts = np.full((spikes.sizes.size, movie.n_blocks), np.nan)
    count(movie, spikes, counts[:-1], counts[-1], begins=True)
    again = counts.copy()
    count(movie, spikes, again[:-1], again[-1], begins=False)
    np.testing.assert_array_equal(again, 2 * counts)
    return counts


def counted_one_by_one(frames, row):
    return sum((frames[k].ravel() for k in row), np.zeros(frames[0].size, np.int64))


@settings(max_examples=60)
@given(movies_and_rows(), st.sampled_from([1, 64, 100, 4096]), st.sampled_from([1, 500, 1 << 20]), st.integers(1, 4))
def test_counting_agrees_with_counting_one_by_one(movie_and_rows, span, batch_words, n_threads):
    frames, rows = movie_and_rows
    movie, spikes = Movie.from_frames(frames), aligned(rows, len(frames))
    if movie.levels[0] == movie.levels[1]:
        frames = np.ones_like(frames)  # a movie of one level counts as all high
    expected = np.array([counted_one_by_one(frames, row) for row in [*rows, range(len(frames))]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bit_kernel, "SPAN", span)
        patch.setattr(bit_counter, "_BATCH_WORDS", batch_words)
        patch.setattr(_threads, "_limit", n_threads)
        for count in (bit_counter.count_compiled, bit_counter.count_with_numpy):
            np.testing.assert_array_equal(counted(count, movie, spikes), expected)


def test_a_graded_movie_has_no_bits_to_count():
    movie = Movie.from_frames(np.arange(6.0).reshape(3, 1, 2))
    with pytest.raises(ValueError, match="a movie of two levels"):
        bit_counter.count_high(movie, aligned([[0]], 3), np.zeros((1, 2)), np.zeros(2))


@pytest.mark.parametrize("count", [bit_counter.count_compiled, bit_counter.count_with_numpy])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 63, 64, 65, 127, 128, 65_535, 65_536, 200_001])
def test_counters_of_any_size_do_not_overflow(count, size):
    frames = np.array([[1, 0, 1], [1, 0, 0]]).reshape(2, 1, 3)
    row = np.sort(np.arange(size) % 2)
    found = counted(count, Movie.from_frames(frames), aligned([row, row[:1]], 2))
    assert found.tolist() == [[size, 0, (size + 1) // 2], [1, 0, 1], [2, 0, 1]]


def test_tiles_of_any_width_are_whole():
    rng = np.random.default_rng(0)
    for n_blocks in (1, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1024, 1025, 3072):
        frames = rng.integers(0, 2, (130, 1, n_blocks))
        frames[0] = 0
        frames[1] = 1
        rows = [np.arange(130), np.repeat(np.arange(130), 3)]
        found = counted(bit_counter.count_compiled, Movie.from_frames(frames), aligned(rows, 130))
        np.testing.assert_array_equal(found, np.outer((1, 3, 1), frames.sum(axis=(0, 1))))


def test_without_ternary_logic_the_same_is_counted(tmp_path):
    """The kernel is compiled in another process as for a processor without AVX-512."""
    script = """
import numpy as np
from dj_neuron import Movie
from dj_neuron.strf import FrameClock, _vectors, spike_triggered_average
assert not _vectors.HAS_TERNARY_LOGIC
frames = np.random.default_rng(0).choice([-1, 1], (500, 9, 70))
train = np.sort(np.random.default_rng(1).uniform(0, 8, 3000))
sta = spike_triggered_average(frames, FrameClock.regular(60, 500, 0), [train], [0.0, 0.1], centre=False)
shown = np.floor(train * 60).astype(int)
np.testing.assert_allclose(sta.values[0, 0], frames[shown[shown < 500]].mean(axis=0), atol=1e-12)
"""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "generic"}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_where_nothing_compiled_can_be_kept_it_is_compiled_anew_and_says_so_once(tmp_path):
    package = tmp_path / "dj_neuron"
    shutil.copytree(Path(dj_neuron.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (package, package / "strf"):
        (folder / "__pycache__").touch()  # no folder, not even for root
    script = """
import numpy as np
from dj_neuron import _ran1_kernel
from dj_neuron.strf import FrameClock, _bit_kernel, _null_kernel, _value_kernel, alignment
aligned = alignment.align(FrameClock.regular(10, 5, 0), [np.array([0.05, 0.25, 0.26])], np.zeros(1), "floor")
print(alignment.__file__, _bit_kernel.count_bits.stats.cache_path, aligned.sizes[0])
"""
    environment = {"HOME": "/dev/null", "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(package / "strf" / "alignment.py"), "None", "3"]
    (told,) = result.stderr.splitlines()
    assert told.startswith("compiling takes some ten seconds in every process, as it can be kept neither")


@st.composite
def clocks(draw):
    if draw(st.booleans()):
        rate, onset = draw(st.floats(1, 500)), draw(st.floats(0, 100))
        return FrameClock.regular(rate, draw(st.integers(1, 300)), onset)
    durations = draw(st.lists(st.floats(1e-3, 2), min_size=1, max_size=60))
    edges = draw(st.floats(0, 100)) + np.concatenate([[0], np.cumsum(durations)])
    gaps = [
        (edges[k] + 0.3 * (edges[k + 1] - edges[k]), edges[k + 1])
        for k in draw(st.sets(st.integers(0, len(durations) - 1), max_size=4))
    ]
    joins = draw(st.lists(st.sampled_from(list(edges)), max_size=3))
    return FrameClock.from_starts(edges[:-1], edges[-1], gaps_s=gaps, joins_s=joins)


@settings(max_examples=150)
@given(clocks(), st.data())
def test_compiled_alignment_is_the_plain_rule(clock, data):
    length = clock.ends_s[-1] - clock.starts_s[0]
    anywhere = st.floats(-0.2, 1.2).map(lambda part: clock.starts_s[0] + part * length)
    at_a_start = st.integers(0, clock.n_frames - 1).map(lambda k: clock.starts_s[k])
    train = st.lists(st.one_of(anywhere, at_a_start), max_size=50).map(lambda times: np.sort(np.array(times, float)))
    trains = data.draw(st.lists(train, min_size=1, max_size=3))
    lags = st.integers(-20, 20).map(lambda lag: lag / clock.frame_rate_hz)
    delays = np.array(data.draw(st.lists(st.one_of(lags, st.floats(-3, 3)), min_size=1, max_size=4)))
    compiled = align(clock, trains, delays, "floor")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "HAS_NUMBA", False)
        plain = align(clock, trains, delays, "floor")
    for name in ("n_used", "n_before_onset", "n_after_end", "n_in_gap"):
        np.testing.assert_array_equal(getattr(compiled.ledger, name), getattr(plain.ledger, name))
    np.testing.assert_array_equal(compiled.square_counts, plain.square_counts)
    shown = [clock.frames_at(train, delay_s) for train in trains for delay_s in delays]
    for spikes in (compiled, plain):
        check_rows(spikes, [frames[frames >= 0] for frames in shown], clock.n_frames)


def test_without_numba_the_same_comes_out(monkeypatch):
    rng = np.random.default_rng(3)
    frames, trains = rng.choice([-1.0, 2.0], (900, 7, 11)), [rng.uniform(0, 20, 500), np.empty(0)]
    clock = FrameClock.regular(60, 900, 0.5)
    fast = spike_triggered_average(frames, clock, trains, clock.delays_between(-0.1, 0.3))
    for module in (alignment, bit_counter, value_sums):
        monkeypatch.setattr(module, "HAS_NUMBA", False)
    plain = spike_triggered_average(frames, clock, trains, clock.delays_between(-0.1, 0.3))
    np.testing.assert_array_equal(fast.values, plain.values)
    np.testing.assert_array_equal(fast.z, plain.z)


@pytest.mark.parametrize("is_regular", [True, False])
@pytest.mark.parametrize(("rate_hz", "onset_s"), [(10, 1.7), (10, 0.1), (59.98, 1.7), (1 / 0.03, 1.7), (119.7, 1.7)])
def test_spikes_at_the_edges_of_frames_are_the_same_in_parts(rate_hz, onset_s, is_regular):
    clock = FrameClock.regular(rate_hz, 50, onset_s)
    edges_s = np.append(clock.starts_s, clock.ends_s[-1])[:, None]
    clock = clock if is_regular else FrameClock.from_edges(edges_s[:, 0])
    around = edges_s + np.spacing(edges_s) * [-40, -16, -8, -1, 0, 1, 8]
    limits = edges_s + np.spacing(edges_s) * [-1, -0.5, 0, 1] - 16 * np.spacing(edges_s[-1])
    train = np.sort(np.hstack([around, limits]).ravel())
    delays = np.array([0, 3, 50]) / rate_hz
    alone = align(clock, list(train[:, None]), delays, "floor")  # none has others near edges
    for number, spike in enumerate(train[:, None]):
        for row, delay_s in enumerate(delays, start=number * delays.size):
            shown = clock.frames_at(spike, delay_s)
            assert alone.row(row).tolist() == shown[shown >= 0].tolist()
    shown = [clock.frames_at(train, delay_s) for delay_s in delays]
    for begin, end in ((0, 50), (0, 20), (20, 50), (13, 14)):
        for has_numba in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(alignment, "HAS_NUMBA", has_numba)
                spikes = align(clock, [train], delays, "floor", begin, end)
            expected = [frames[(frames >= begin) & (frames < end)] - begin for frames in shown]
            check_rows(spikes, expected, end - begin)
            squares = [sum(np.count_nonzero(row == k) ** 2 for k in range(end - begin)) for row in expected]
            np.testing.assert_array_equal(spikes.square_counts, [squares])


@pytest.mark.parametrize("has_numba", [True, False])
def test_ledgers_of_parts_add_up(monkeypatch, has_numba):
    monkeypatch.setattr(alignment, "HAS_NUMBA", has_numba)
    clock = FrameClock.from_starts([4.0, 5.0, 6.0, 7.0], 8.0, gaps_s=[(4.5, 5.0), (6.5, 7.0)], joins_s=[7.5])
    trains = [np.arange(2, 20) / 2, np.array([0.25, 6.75, 7.75])]
    delays = np.array([0.0, 1.0, -3.0])
    shown = [clock.frames_at(train, delay_s) for train in trains for delay_s in delays]
    outcomes = (BEFORE_ONSET, AFTER_END, IN_GAP)
    expected = [[(frames >= 0).sum(), *((frames == outcome).sum() for outcome in outcomes)] for frames in shown]
    for cuts in ([0, 4], [0, 1, 4], [0, 2, 3, 4]):
        parts = [align(clock, trains, delays, "floor", *part) for part in pairwise(cuts)]
        found = sum(np.stack(list(part.ledger)) for part in parts)
        np.testing.assert_array_equal(found.reshape(4, -1).T, expected)


@pytest.mark.parametrize("is_regular", [True, False])
def test_however_times_are_rounded_spikes_have_room(is_regular):
    edges_s, rng = 1.7 + np.arange(101) / 59.98, np.random.default_rng(11)
    clock = FrameClock.regular(59.98, 100, 1.7) if is_regular else FrameClock.from_edges(edges_s)
    for delay_s in rng.uniform(-2.2, 0.7, 60):
        ends_s = clock.starts_s[30] + delay_s, clock.ends_s[60] + delay_s
        tolerance_s = clock.tolerances_s([np.array(ends_s)], np.array([delay_s])).item()
        # neighbours see other frames, for one without room is written over
        limits = [end_s - tolerance_s + k * np.spacing(end_s) for k in range(-3, 4) for end_s in ends_s]
        trains = [np.full(16, limit) for limit in limits]
        shown = [clock.frames_at(train, delay_s) - 30 for train in trains]
        expected = [frames[(frames >= 0) & (frames <= 30)] for frames in shown]
        check_rows(align(clock, trains, np.array([delay_s]), "floor", 30, 61), expected, 31)


@pytest.mark.parametrize("beyond", [-np.inf, np.inf])
def test_a_clock_may_be_a_view_of_a_longer_one(beyond):
    def longer(times_s):
        return np.concatenate([[beyond] * 2, times_s, [beyond] * 2])[2:-2]

    given = FrameClock.regular(10, 9, 0.1)  # just before its end, the time since its onset is rounded to that end
    end_s = given.ends_s[-1]
    clock = FrameClock(longer(given.starts_s), longer(given.ends_s), frame_rate_hz=10.0, is_regular=True)
    train = np.nextafter(end_s, [0, 1, 2]) - 16 * np.spacing(end_s)
    check_rows(align(clock, [train], np.zeros(1), "floor"), [[8]], 9)
    ends_s = np.append(given.ends_s[:-1], 3.0)
    clock = FrameClock(longer(given.starts_s), longer(ends_s), frame_rate_hz=10.0)
    check_rows(align(clock, [np.array([0.15, 2.5, 2.9, 3.0])], np.zeros(1), "floor"), [[0, 8, 8]], 9)


@pytest.mark.parametrize("part", [(0, 1000), (200, 300)])
def test_rows_take_the_room_of_their_frames_and_some_padding(part):
    train = np.sort(np.random.default_rng(9).uniform(-5, 110, 5000))
    spikes = align(FrameClock.regular(10, 1000, 0.3), [train], np.arange(5) / 10, "floor", *part)
    assert spikes.frames.size <= (spikes.sizes + PADDING).sum()


def test_spikes_need_no_order():
    rng = np.random.default_rng(4)
    frames, train = rng.choice([-1, 1], (300, 3, 3)), rng.uniform(0, 5, 200)
    clock = FrameClock.regular(60, 300, 0)
    shuffled = spike_triggered_average(frames, clock, [train], [0.0, 0.05])
    ordered = spike_triggered_average(frames, clock, [np.sort(train)], [0.0, 0.05])
    np.testing.assert_array_equal(shuffled.values, ordered.values)


SHARED = """
import numpy as np
from dj_neuron.strf import FrameClock, spike_triggered_average
frames, clock = np.random.default_rng(0).choice([-1, 1], (900, 30, 40)), FrameClock.regular(60, 900, 0)
trains = [np.sort(np.random.default_rng(i).uniform(0, 15, 500)) for i in range(4)]
def run(_=None):
    return spike_triggered_average(frames, clock, trains, np.arange(5) / 60).values
expected = run()
"""


@pytest.mark.parametrize(
    "use",
    [
        "from multiprocessing import get_context\nresults = get_context('fork').Pool(2).map(run, range(2))",
        "from concurrent.futures import ThreadPoolExecutor\nresults = ThreadPoolExecutor(4).map(run, range(12))",
    ],
    ids=["after a fork", "in several threads"],
)
def test_the_engine_runs_in_any_company(use):
    script = f"{SHARED}\n{use}\nassert all((result == expected).all() for result in results)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


def with_a_pause(n_frames):
    """A clock of 60 Hz from 1 s on that stands still for half a second in the middle."""
    starts = 1 + np.arange(n_frames) / 60 + 0.5 * (np.arange(n_frames) >= n_frames // 2)
    begin = starts[n_frames // 2] - 0.5
    return FrameClock.from_starts(starts, starts[-1] + 1 / 60, gaps_s=[(begin, begin + 0.5)] if n_frames > 1 else [])


@st.composite
def recordings(draw, *, may_pause=False):
    n_frames, n_y, n_x = draw(st.integers(1, 300)), draw(st.integers(1, 3)), draw(st.integers(1, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    clock = with_a_pause(n_frames) if may_pause and draw(st.booleans()) else FrameClock.regular(60, n_frames, 1)
    sizes = draw(st.lists(st.integers(0, 900), min_size=1, max_size=3))
    trains = [np.sort(rng.uniform(0.5, 1.5 + n_frames / 60, size)) for size in sizes]
    lags = draw(st.lists(st.integers(-9, 30), min_size=1, max_size=6))
    shape = (n_frames, n_y, n_x)
    frames = rng.choice([-1.0, 1.0], shape) if draw(st.booleans()) else 100 + rng.normal(size=shape)
    return frames, clock, trains, np.array(lags) / 60


@settings(max_examples=60)
@given(recordings(may_pause=True), st.integers(1, 1 << 16))
def test_parts_of_a_movie_give_what_the_whole_gives(recording, part_bytes):
    frames, clock, trains, delays_s = recording
    whole = spike_triggered_average(frames, clock, trains, delays_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_sums, "PART_BYTES", part_bytes)
        parts = spike_triggered_average(frames, clock, trains, delays_s)
    for name in ("n_used", "n_before_onset", "n_after_end", "n_in_gap"):
        np.testing.assert_array_equal(getattr(parts.ledger, name), getattr(whole.ledger, name))
    np.testing.assert_array_equal(parts.error_factor, whole.error_factor)
    exactly = Movie.from_frames(frames).levels is not None
    for name in ("values", "pixel_mean", "pixel_sd"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=0, atol=0 if exactly else 1e-5)


@settings(max_examples=60)
@given(recordings(), st.sampled_from([64, 300, 1 << 22]))
def test_all_ways_to_add_up_a_graded_movie_agree(recording, chunk_values):
    frames, clock, trains, delays_s = recording
    values = frames.reshape(len(frames), -1) - frames.mean()
    spikes = align(clock, trains, delays_s, "floor")
    lags = np.rint(delays_s * 60).astype(np.int64)
    expected = np.array([values[spikes.row(number)].sum(axis=0) for number in range(spikes.sizes.size)])
    for way, has_numba in [*((way, True) for way in ("sparse", "dense", "lags")), ("sparse", False)]:
        sums, moments = np.zeros((len(expected) - 1, expected.shape[1])), np.zeros((2, expected.shape[1]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(value_sums, "_CHUNK_VALUES", chunk_values)
            patch.setattr(value_sums, "HAS_NUMBA", has_numba)
            value_sums.add_values(values.astype(np.float32), spikes, lags, sums, way)
            value_sums.add_moments(values.astype(np.float32), *moments)
        # rounding grows with what is added, though it may cancel
        added = np.abs(values).max() * spikes.sizes.max()
        np.testing.assert_allclose(sums, expected[:-1], rtol=0, atol=2e-6 * added, err_msg=way)
        np.testing.assert_allclose(moments, [expected[-1], (values**2).sum(axis=0)], atol=2e-6 * added, rtol=1e-5)


@pytest.mark.parametrize("way", ["sparse", "dense", "lags"])
@pytest.mark.parametrize("n_spikes", [300, 20_000])
def test_graded_estimates_are_exact_to_five_digits(way, n_spikes):
    rng = np.random.default_rng(n_spikes)
    values, clock = rng.normal(size=(5000, 40)), FrameClock.regular(60, 5000, 0)
    lags = np.arange(25)
    spikes = align(clock, [np.sort(rng.uniform(0, 83, n_spikes))], lags / 60, "floor")
    expected = np.array([values[spikes.row(number)].sum(axis=0) for number in range(25)])
    sums = np.zeros(expected.shape)
    value_sums.add_values(values.astype(np.float32), spikes, lags, sums, way)
    assert np.abs(sums - expected).max() < 1e-5 * np.abs(expected).max()


def test_delays_that_are_not_whole_frames_are_not_taken_for_lags():
    clock, train = FrameClock.regular(60, 200, 0), np.sort(np.random.default_rng(5).uniform(0, 3, 400))
    values, delays_s = np.ones((200, 3), np.float32), np.array([0, 0.4 / 60, 2 / 60])
    spikes = align(clock, [train], delays_s, "floor")
    with pytest.raises(ValueError, match="whole frames"):
        value_sums.add_values(values, spikes, np.array([0, 1, 2]), np.zeros((3, 3)), "lags")
    gapped = FrameClock.from_starts(clock.starts_s, clock.ends_s[-1], gaps_s=[(0.99, 1.0)])
    spikes = align(gapped, [train], np.arange(3) / 60, "floor")
    assert value_sums._as_trains(spikes, np.arange(3)) is None


def test_where_a_gap_is_in_the_way_of_the_cheapest_way_the_next_is_gone(monkeypatch):
    monkeypatch.setattr(value_sums, "_NS_TRANSFORMED", 0)
    monkeypatch.setattr(value_sums, "_NS_CORRELATED", 0)
    clock, rng = with_a_pause(200), np.random.default_rng(7)
    values, lags = rng.integers(-9, 9, (200, 3)).astype(np.float32), np.arange(4)
    spikes = align(clock, [np.sort(rng.uniform(1, 5, 400))], lags / 60, "floor")
    assert value_sums._as_trains(spikes, lags) is None
    sums = np.zeros((4, 3))
    value_sums.add_values(values, spikes, lags, sums)
    np.testing.assert_array_equal(sums, [values[spikes.row(number)].sum(axis=0) for number in range(4)])


def test_delays_of_whole_frames_are_lags_where_transforms_cost_nothing(monkeypatch):
    monkeypatch.setattr(value_sums, "_NS_TRANSFORMED", 0)
    monkeypatch.setattr(value_sums, "_NS_CORRELATED", 0)
    clock, rng = FrameClock.regular(59.98, 200, 0), np.random.default_rng(12)
    frames, train, lags = rng.normal(size=(200, 1, 3)), np.sort(rng.uniform(0, 4, 400)), np.arange(-6, 13)
    found = frame_sums.sum_frames(Movie.from_frames(frames), clock, [train], lags / 59.98, "floor")
    spikes, values = align(clock, [train], lags / 59.98, "floor"), frames[:, 0].astype(np.float32)
    correlated, gathered = np.zeros((2, 19, 3))
    value_sums.add_values(values, spikes, lags, correlated, "lags")
    value_sums.add_values(values, spikes, lags, gathered, "sparse")
    np.testing.assert_array_equal(found.sums, correlated)
    assert (gathered != correlated).any()  # each way rounds in its own


@pytest.mark.parametrize("levels", [(-1.0, 1.0), (-1.0, 0.0, 1.0)])
def test_parts_and_groups_are_as_large_as_fits(monkeypatch, levels):
    monkeypatch.setattr(frame_sums, "PART_BYTES", 1000)
    movie = Movie.from_frames(np.random.default_rng(8).choice(levels, (500, 2, 50)))
    bytes_of_a_frame = 100 / 8 if len(levels) == 2 else 400
    step = int(1000 // bytes_of_a_frame)
    assert list(frame_sums._parts(movie)) == [(begin, min(begin + step, 500)) for begin in range(0, 500, step)]
    # spikes at 5 delays, of which half are in the part, take 10 bytes
    trains = [np.zeros(size) for size in (60, 40, 1, 99, 1, 0, 500, 100, 100, 0)]
    assert list(frame_sums._groups(trains, 5, 0.5)) == [(0, 2), (2, 4), (4, 6), (6, 7), (7, 8), (8, 10)]
    assert list(frame_sums._groups([], 5, 0.5)) == [(0, 0)]


@pytest.mark.parametrize(("mean", "is_taken_off"), [([0.0, 1.0], False), ([0.0, 1.01], True), ([0.0, -1.01], True)])
def test_what_is_far_from_zero_is_taken_off(mean, is_taken_off):
    frames = np.tile([-1.0, 1.0], (2, 150)).T[:, None] + mean
    frames = np.concatenate([frames, [[[100.0, 0.5]]]])
    found = frame_sums.sum_frames(
        Movie.from_frames(frames), FrameClock.regular(60, 301, 0), [np.array([0.01])], np.zeros(1), "floor"
    )
    expected = np.float32(mean) if is_taken_off else [0, 0]
    np.testing.assert_array_equal(found.offset, expected)
    np.testing.assert_allclose(found.whole, (frames - expected).sum(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.squares, np.square(frames - expected).sum(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.sums, frames[0] - expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("per_frame", "n_lags", "cheapest"),
    [(0.05, 20, "sparse"), (5, 5, "dense"), (5, 200, "lags"), (0.001, 200, "sparse")],
    ids=["few spikes", "many spikes", "many delays", "hardly a spike"],
)
def test_the_model_of_costs_tells_the_regimes_apart(per_frame, n_lags, cheapest):
    n_trains, n_frames = 32, 20_000
    n_rows = n_trains * n_lags
    work = value_sums.Work(int(n_rows * n_frames * per_frame), n_rows, n_frames, 3072, n_trains, n_lags)
    estimates = value_sums.costs(work)
    assert min(estimates, key=estimates.get) == cheapest
    assert set(value_sums.costs(value_sums.Work(1, 1, 1, 1))) == {"sparse", "dense"}


def test_graded_movies_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(6)
    frames = 1e4 + rng.normal(size=(2000, 15, 40))
    clock, train = FrameClock.regular(60, 2000, 0), np.sort(rng.uniform(0, 33, 3000))
    sta = spike_triggered_average(frames, clock, [train], [0.0, 0.1], centre=False)
    shown = np.floor(train * 60 + 1e-9).astype(int)
    np.testing.assert_allclose(sta.values[0, 0], frames[shown].mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(sta.pixel_sd, frames.std(axis=0), rtol=1e-6)
