import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dj_neuron import Movie, SpikeTrain
from dj_neuron.errors import AlignmentError
from dj_neuron.strf import FrameClock, spike_triggered_average


def naive(frames, edges, train, delay, centre):
    """One neuron at one delay, spike by spike, in the slowest way there is."""
    used = []
    before = after = 0
    for spike in train:
        seen = spike - delay
        if seen < edges[0]:
            before += 1
        elif seen >= edges[-1]:
            after += 1
        else:
            used.append(max(k for k in range(len(frames)) if edges[k] <= seen))
    per_frame = [used.count(k) for k in set(used)]
    if not used:
        nothing = np.full(frames.shape[1:], np.nan)
        return nothing, nothing, 0, before, after
    value = sum(frames[k].astype(float) for k in used) / len(used)
    error = frames.astype(float).std(axis=0) * np.sqrt(sum(c**2 for c in per_frame)) / len(used)
    return value - centre * frames.astype(float).mean(axis=0), error, len(used), before, after


two_levels = hnp.arrays(
    np.int8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=13), elements=st.sampled_from([-1, 1])
)
graded = hnp.arrays(np.float64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=st.floats(-1, 1))
# spikes and delays in odd thirds of a millisecond never meet a frame boundary
times = st.lists(st.integers(0, 1500).map(lambda k: k / 997 + 1 / 3e4), max_size=40)


@settings(max_examples=150)
@given(st.one_of(two_levels, graded), st.lists(times, min_size=1, max_size=3), st.booleans(), st.data())
def test_agrees_with_a_naive_loop(frames, trains, centre, data):
    delays = data.draw(st.lists(st.integers(-7, 7).map(lambda k: k / 10), min_size=1, max_size=4, unique=True))
    clock = FrameClock.regular(10, len(frames), 0.2)
    edges = 0.2 + np.arange(len(frames) + 1) / 10
    sta = spike_triggered_average(frames, clock, [np.sort(t) for t in trains], delays, centre=centre)
    assert sta.values.shape == (len(trains), len(delays), *frames.shape[1:])
    for i, train in enumerate(trains):
        for j, delay in enumerate(delays):
            value, error, n_used, before, after = naive(frames, edges, train, delay, centre)
            tolerance = 1e-12 if frames.dtype == np.int8 else 2e-6  # graded movies are added in float32
            np.testing.assert_allclose(sta.values[i, j], value, rtol=0, atol=tolerance)
            np.testing.assert_allclose(sta.standard_error[i, j], error, atol=1e-6)
            assert sta.n_used[i, j] == n_used
            assert sta.ledger.n_before_onset[i, j] == before
            assert sta.ledger.n_after_end[i, j] == after
            assert sta.ledger.n_in_gap[i, j] == 0
            assert sta.ledger.n_spikes[i, j] == len(train)


def test_nearest_without_centring_is_exactly_what_the_2019_pipeline_gave():
    rng = np.random.default_rng(5)
    movie = rng.choice([-1.0, 1.0], (4000, 3, 5))
    fps, onset = 59.9815, 1.65657
    spikes = np.sort(rng.uniform(0, 70, 500))
    for delay in (0.05, 0.2, 0.3):
        sta = spike_triggered_average(
            movie, FrameClock.regular(fps, 4000, onset), [spikes], [delay], frame_rule="nearest", centre=False
        )
        shown = [round((t - onset - delay) * fps) for t in spikes]
        expected = np.mean([movie[k] for k in shown if 0 <= k < 4000], axis=0)
        assert (sta.values[0, 0] == expected).all()


def test_spikes_in_one_frame_weigh_their_number():
    frames = np.array([1.0, -1.0, 1.0]).reshape(3, 1, 1)
    sta = spike_triggered_average(frames, FrameClock.regular(1, 3, 0), [[0.1, 0.2, 0.3, 1.5]], [0.0], centre=False)
    assert sta.values.item() == pytest.approx((3 * 1 - 1) / 4)
    assert sta.error_factor.item() == pytest.approx(np.sqrt(3**2 + 1) / 4)


def test_more_spikes_than_sixteen_bits_count_are_not_lost():
    frames = np.array([1.0, -1.0]).reshape(2, 1, 1)
    train = np.concatenate([np.full(100_000, 0.5), np.full(300_000, 1.5)])
    sta = spike_triggered_average(frames, FrameClock.regular(1, 2, 0), [train], [0.0], centre=False)
    assert sta.n_used.item() == 400_000
    assert sta.values.item() == -0.5


def test_a_silent_neuron_is_nan_and_never_zero():
    frames = np.random.default_rng(0).choice([-1, 1], (10, 2, 2))
    sta = spike_triggered_average(frames, FrameClock.regular(10, 10, 0), [[], [0.5]], [0.0])
    assert np.isnan(sta.values[0]).all()
    assert np.isnan(sta.z[0]).all()
    assert np.isfinite(sta.values[1]).all()


def test_fewer_spikes_than_asked_for_are_nan():
    frames = np.random.default_rng(0).choice([-1, 1], (10, 2, 2))
    sta = spike_triggered_average(frames, FrameClock.regular(10, 10, 0), [[0.55, 0.95]], [0.0, -0.2], min_spikes=2)
    assert np.isfinite(sta.values[0, 0]).all()
    assert np.isnan(sta.values[0, 1]).all()
    assert sta.n_used.tolist() == [[2, 1]]


def test_every_spike_not_counted_is_in_the_ledger():
    clock = FrameClock.from_starts([1.0, 2.0, 5.0], 6.0, gaps_s=[(3.0, 5.0)])
    train = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5])
    sta = spike_triggered_average(np.ones((3, 1, 1)) * [[[1]], [[-1]], [[1]]], clock, [train], [0.0, 1.0])
    ledger = sta.ledger
    assert ledger.n_before_onset.tolist() == [[1, 2]]
    assert ledger.n_after_end.tolist() == [[2, 1]]
    assert ledger.n_in_gap.tolist() == [[2, 2]]
    assert ledger.n_used.tolist() == [[3, 3]]
    assert ledger.n_spikes.tolist() == [[8, 8]]


def test_at_least_one_spike_is_asked_for():
    frames = np.random.default_rng(0).choice([-1, 1], (10, 2, 2))
    sta = spike_triggered_average(frames, FrameClock.regular(10, 10, 0), [[], [0.55]], 0.0, min_spikes=0)
    assert np.isnan(sta.values[:, :, 0, 0]).tolist() == np.isnan(sta.error_factor).tolist() == [[True], [False]]


@pytest.mark.parametrize("levels", [(-1.0, 1.0), (-1.0, 0.5, 1.0)])
def test_without_neurons_there_is_the_movie(levels):
    frames = np.random.default_rng(0).choice(levels, (50, 2, 3))
    sta = spike_triggered_average(frames, FrameClock.regular(10, 50, 0), [], [0.0, 0.1])
    assert (sta.values.shape, sta.n_used.shape, sta.error_factor.shape) == ((0, 2, 2, 3), (0, 2), (0, 2))
    np.testing.assert_allclose([sta.pixel_mean, sta.pixel_sd], [frames.mean(axis=0), frames.std(axis=0)], rtol=1e-6)


def test_a_neuron_among_others_is_as_it_is_alone():
    rng = np.random.default_rng(1)
    frames, clock = rng.normal(size=(100, 2, 3)), FrameClock.regular(10, 100, 1.0)
    trains = [np.sort(rng.uniform(0, 12, size)) for size in (50, 80, 30)]
    of_all = spike_triggered_average(frames, clock, trains, [0.0, 0.2])
    for number, train in enumerate(trains):
        found = of_all.of_neuron(number)
        alone = spike_triggered_average(frames, clock, [train], [0.0, 0.2])
        np.testing.assert_array_equal(list(found.ledger), list(alone.ledger))
        np.testing.assert_array_equal(found.error_factor, alone.error_factor)
        np.testing.assert_allclose(found.z, alone.z, atol=1e-5)


@pytest.mark.parametrize("train", [[0.3, 0.1, 0.9, 0.31, 0.91], [0.1, 0.9, 0.3, 0.91, 0.31]])
def test_spikes_are_put_in_order(train):
    frames, clock = np.random.default_rng(2).normal(size=(10, 2, 3)), FrameClock.regular(10, 10, 0.15)
    found, expected = (spike_triggered_average(frames, clock, [times], [0.0]) for times in (train, np.sort(train)))
    np.testing.assert_array_equal(found.z, expected.z)


def test_spikes_at_all_showings_of_an_image_are_one_number():
    trial = np.random.default_rng(3).choice([-1.0, 1.0], (40, 3, 3))
    clock, train = FrameClock.regular(10, 80, 0), [0.35, 4.35, 4.45]
    for frames, squares in ((np.concatenate([trial, trial]), 2**2 + 1), (np.concatenate([trial, -trial]), 3)):
        sta = spike_triggered_average(frames, clock, [train], [0.0])
        assert sta.error_factor.item() == pytest.approx(np.sqrt(squares) / 3)


@pytest.mark.parametrize("levels", [(-1.0, 1.0), (9.0, 9.5, 10.0)])
def test_a_movie_is_the_same_at_the_second_look(levels):
    rng = np.random.default_rng(4)
    movie, clock = Movie.from_frames(rng.choice(levels, (90, 2, 3))), FrameClock.regular(10, 90, 0)
    first, second = (spike_triggered_average(movie, clock, [rng.uniform(0, 9, 50)], [0.0], centre=False) for _ in "ab")
    assert not (first.values == second.values).all()
    for name in ("pixel_mean", "pixel_sd"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_block_that_never_changes_has_no_spread():
    frames = np.random.default_rng(5).normal(size=(3000, 1, 40))
    frames[:, 0, 1:] = np.arange(1, 40) / 10
    sta = spike_triggered_average(frames, FrameClock.regular(10, 3000, 0), [[0.5]], [0.0])
    np.testing.assert_allclose(sta.pixel_sd[0, 1:], 0, atol=1e-7)
    np.testing.assert_allclose(sta.pixel_mean, frames.mean(axis=0), rtol=1e-7)


def test_centring_subtracts_the_mean_of_each_block_and_keeps_it():
    rng = np.random.default_rng(2)
    frames = (rng.random((500, 3, 2)) < [[0.2, 0.5], [0.8, 0.3], [0.5, 0.9]]).astype(float)
    clock, trains = FrameClock.regular(60, 500, 0), [np.sort(rng.uniform(0, 8, 100))]
    raw = spike_triggered_average(frames, clock, trains, [0.0, 0.1], centre=False)
    centred = spike_triggered_average(frames, clock, trains, [0.0, 0.1])
    np.testing.assert_allclose(centred.pixel_mean, frames.mean(axis=0))
    np.testing.assert_allclose(centred.values + centred.pixel_mean, raw.values)
    np.testing.assert_allclose(centred.z, raw.z)


def test_standard_error_is_the_spread_over_unrelated_recordings():
    rng = np.random.default_rng(3)
    frames = rng.choice([-1, 1], (3000, 8, 8))
    trains = [np.sort(rng.uniform(0, 50, 300)) for _ in range(40)]
    z = spike_triggered_average(frames, FrameClock.regular(60, 3000, 0), trains, [0.0]).z
    assert z.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_that_never_changes_has_no_z(dtype):
    rng = np.random.default_rng(5)
    frames, still = rng.normal(0, 0.3, (300, 3, 4)).astype(dtype), np.arange(12).reshape(3, 4) == 6
    frames[:, still] = 0.3
    sta = spike_triggered_average(frames, FrameClock.regular(60, 300, 0), [rng.uniform(0, 5, 50)], [0.0, 0.05])
    np.testing.assert_array_equal(sta.pixel_sd == 0, still)
    np.testing.assert_array_equal(np.isnan(sta.z[0]), [still, still])
    np.testing.assert_array_equal(sta.values[0][:, still], 0)


def test_takes_movies_contracts_and_arrays_alike():
    frames = np.random.default_rng(4).choice([0, 1], (50, 3, 4))
    clock, times = FrameClock.regular(10, 50, 0), np.array([1.05, 2.5, 2.55, 4.0])
    from_arrays = spike_triggered_average(frames, clock, [times], [0.1])
    from_contracts = spike_triggered_average(Movie.from_frames(frames), clock, [SpikeTrain(1, times)], [0.1])
    assert (from_arrays.values == from_contracts.values).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frame_clock": FrameClock.regular(10, 9, 0)}, "the movie has 10 frames, but the clock 9"),
        ({"spike_trains": [[[0.1]]]}, "spike train 0 has shape"),
        ({"spike_trains": [[np.nan]]}, "finite seconds"),
        ({"spike_trains": np.array([0.1, 0.2])}, r"spike train 0 has shape \(\)"),
        ({"spike_trains": [[0.1], [0.1, np.nan]]}, "^spike train 1 has spike 1 at nan, expected finite seconds, "),
        ({"delays_s": [np.inf]}, "finite seconds"),
        ({"delays_s": [[0.0, 0.1]]}, "finite seconds"),
        ({"delays_s": ["0.1"]}, "^delays are <U3, expected real numbers$"),
        ({"delays_s": None}, "^delays are None, expected real numbers$"),
        ({"delays_s": np.ma.array([0.0, 0.1], mask=[True, False])}, "^delays have masked elements"),
        ({"spike_trains": [[0.1], "abc"]}, "^spike train 1: times are 'abc', expected real numbers$"),
        ({"spike_trains": [np.array([100], "m8[ms]")]}, "^spike train 0: times are timedelta64"),
        ({"spike_trains": [[True, False]]}, "^spike train 0: times are bool, expected real numbers$"),
        ({"spike_trains": [np.array([0.1 + 1j])]}, "^spike train 0: times are complex128"),
        ({"spike_trains": [np.ma.array([0.1, 0.2], mask=[True, False])]}, "^spike train 0: times have masked elements"),
        ({"spike_trains": SpikeTrain(1, [0.1])}, "^spike_trains is a SpikeTrain, expected one SpikeTrain or array per"),
        ({"frame_clock": np.arange(11) / 10}, "^frame_clock is an array .*, expected a FrameClock$"),
        ({"frame_rule": "round"}, "^frame_rule is 'round', expected one of floor, nearest$"),
        ({"spike_trains": [], "frame_rule": 2}, "^frame_rule is 2, expected one of floor, nearest$"),
        ({"min_spikes": 1.5}, "^min_spikes is 1.5, expected a whole number from 0 to"),
        ({"min_spikes": -1}, "^min_spikes is -1, expected a whole number from 0 to"),
        ({"min_spikes": None}, "^min_spikes is None, expected a whole number from 0 to"),
    ],
)
def test_bad_input_is_refused_in_words(changes, words):
    arguments = {
        "movie": np.ones((10, 2, 2)) * np.arange(10)[:, None, None],
        "frame_clock": FrameClock.regular(10, 10, 0),
        "spike_trains": [[0.1]],
        "delays_s": [0.0],
    }
    with pytest.raises(AlignmentError, match=words):
        spike_triggered_average(**(arguments | changes))
