import dataclasses
import datetime
from decimal import Decimal
from fractions import Fraction

import neo
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dj_neuron.contracts import Movie, Session, Source, SpikeLedger, SpikeTrain, Stimulation
from dj_neuron.contracts.gaps import frame_ends_s
from dj_neuron.errors import ContractError
from dj_neuron.readers import read_sessions
from dj_neuron.readers.folder_writer import write_recording_folder
from dj_neuron.strf import FrameClock

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=11)
levels = st.lists(st.floats(-10, 10), min_size=1, max_size=2).map(sorted)


@given(st.data())
def test_two_level_movies_are_packed_without_loss(data):
    values = data.draw(levels)
    frames = data.draw(hnp.arrays(np.float64, shapes, elements=st.sampled_from(values)))
    movie = Movie.from_frames(frames)
    assert movie.levels == (frames.min(), frames.max())
    assert movie.data.nbytes == len(frames) * -(-frames[0].size // 8)
    assert (movie.frames(dtype=np.float64) == frames).all()


@given(hnp.arrays(np.float64, shapes, elements=st.floats(-1, 1)), st.integers(0, 11), st.integers(0, 11))
def test_any_stretch_of_any_movie_can_be_read(frames, start, stop):
    assert (Movie.from_frames(frames).frames(start, stop, np.float64) == frames[start:stop]).all()


def test_what_is_hardly_beyond_contrast_is_shown_with_its_digits():
    frames = np.array([-1.000000004, 0, 255]).reshape(3, 1, 1)
    with pytest.raises(ContractError, match=r"values from -1\.000000004 to 255, expected contrast from -1 to 1"):
        Movie.from_frames(frames).as_contrast()


def test_graded_movies_keep_their_values():
    frames = np.array([0, 100, 255], np.uint8).reshape(3, 1, 1)
    movie = Movie.from_frames(frames)
    assert movie.levels is None
    assert movie.frames().dtype == np.float32
    assert movie.frames().ravel().tolist() == [0, 100, 255]


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (False, True), (10, 250), (0.2, 0.7)])
def test_two_levels_become_contrast(values):
    frames = np.array([values[0], values[1], values[1]]).reshape(3, 1, 1)
    assert Movie.from_frames(frames).as_contrast().frames().ravel().tolist() == [-1, 1, 1]


def test_contrast_takes_the_values_of_black_and_white():
    frames = np.array([255, 0, 127.5]).reshape(3, 1, 1)
    contrast = Movie.from_frames(frames).as_contrast(black=0, white=255)
    assert contrast.frames().ravel().tolist() == [1, -1, 0]
    inverted = Movie.from_frames(frames[:2]).as_contrast(black=255, white=0)
    assert inverted.frames().ravel().tolist() == [-1, 1]
    assert inverted.levels == (-1, 1)
    half = Movie.from_frames(np.array([0.0, 127.5]).reshape(2, 1, 1)).as_contrast(black=0, white=255)
    assert half.frames().ravel().tolist() == [-1, 0]


def test_contrast_is_told_apart_beyond_single_precision():
    frames = np.array([1e300, 2e300, 1.5e300]).reshape(3, 1, 1)
    assert Movie.from_frames(frames).as_contrast(black=1e300, white=2e300).frames().ravel().tolist() == [-1, 1, 0]
    assert Movie.from_frames(frames[:2] / 2e300 * 1.7e308).as_contrast().levels == (-1, 1)
    assert Movie.from_frames(np.arange(3.0).reshape(3, 1, 1)).as_contrast(black=0, white=1e6).levels is None


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.ones((2, 1, 1)), "at least two levels"),
        (np.arange(3).reshape(3, 1, 1), "from 0 to 2, expected contrast"),
        (
            np.array([0, 255], np.uint8).astype(np.int8).reshape(2, 1, 1),
            "-1 and 0, as 0 and 255 become in signed bytes",
        ),
    ],
)
def test_contrast_is_never_guessed(frames, words):
    with pytest.raises(ContractError, match=words):
        Movie.from_frames(frames).as_contrast()


@pytest.mark.parametrize("frames", [np.arange(2.0), np.arange(3.0)])
def test_black_and_white_must_differ(frames):
    with pytest.raises(ContractError, match="black is 1 and white 1, expected two different values"):
        Movie.from_frames(frames.reshape(-1, 1, 1)).as_contrast(black=1, white=1)


@pytest.mark.parametrize("frames", [np.arange(2.0), np.arange(3.0)])
@pytest.mark.parametrize(("black", "white"), [(-1e308, 1e308), (-1, 1e9)])
def test_black_and_white_far_apart_leave_no_contrast(frames, black, white):
    with pytest.raises(ContractError, match=r"values from 0 to \d are one and the same, expected values that differ"):
        Movie.from_frames(frames.reshape(-1, 1, 1)).as_contrast(black=black, white=white)


def test_byte_order_is_no_content():
    frames = np.random.default_rng(0).random((5, 2, 3))
    assert Movie.from_frames(frames.astype(">f8")).movie_hash == Movie.from_frames(frames).movie_hash


def test_equal_movies_have_equal_hashes_and_no_others():
    frames = np.random.default_rng(0).choice([-1, 1], (20, 4, 6))
    same = Movie.from_frames(frames.astype(float))
    movie = Movie.from_frames(frames)
    assert movie.movie_hash == same.movie_hash
    others = [
        Movie.from_frames(-frames),
        Movie.from_frames(frames.reshape(20, 6, 4)),
        Movie.from_frames(frames, block_size_px=(2, 2)),
        Movie.from_frames((frames + 1) // 2),
    ]
    assert len({movie.movie_hash, *(other.movie_hash for other in others)}) == 5


def test_a_movie_cannot_be_changed_from_outside():
    frames = np.random.default_rng(0).random((2, 2, 2))
    movie = Movie.from_frames(frames)
    frames[:] = 0
    assert movie.frames().any()
    with pytest.raises(ValueError, match="read-only"):
        movie.data[0] = 0


MOVIE = Movie.from_frames(np.random.default_rng(0).choice([-1, 1], (5, 2, 2)))


def stimulation(number=1, **changes):
    return Stimulation(**{
        "stimulation_number": number, "movie": MOVIE, "frame_rate_hz": 60.0, "onset_s": 1.0, "pixel_size_um": 8.3,
    } | changes)  # fmt: skip


def session(**changes):
    return Session(**{"subject_name": "WT", "session_date": datetime.date(2020, 1, 1), "sample_number": 1} | changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Movie.from_frames(np.ones((3, 3))), r"shape \(3, 3\), expected \(n_frames, n_y, n_x\)"),
        (lambda: Movie.from_frames(np.ones((0, 3, 3))), "none of them 0"),
        (lambda: Movie.from_frames(np.full((2, 1, 3), [1, np.nan, 2])), "frame 0 is not finite at row 0, column 1"),
        (lambda: Movie.from_frames(np.array([[["a"]]])), "expected real numbers"),
        (lambda: Movie.from_frames(np.ones((1, 2, 2)), block_size_px=(0, 1)), "expected 1 to 2147483647"),
        (
            lambda: Movie.from_frames(np.ones((1, 2, 4)), block_size_px=(10, 10), screen_size_px=(40, 31)),
            "expected the screen of",
        ),
        (lambda: SpikeTrain(3, np.ones((2, 2))), "neuron 3: spike times have shape"),
        (lambda: SpikeTrain(3, [0.1, np.inf]), "neuron 3: spike 1 is not a finite time"),
        (lambda: SpikeTrain(3, [-0.1, 0.2]), "neuron 3: spike 0 is at -0.1 s"),
        (lambda: SpikeTrain(3, [0.1, 0.3, 0.2]), "neuron 3: spike 2 comes before"),
        (lambda: stimulation(frame_rate_hz=0), "stimulation 1: frame_rate_hz is 0"),
        (lambda: stimulation(pixel_size_um=np.nan), "pixel_size_um is nan"),
        (lambda: stimulation(onset_s=np.inf), "onset_s is inf"),
        (lambda: stimulation(spike_trains=(SpikeTrain(2, []), SpikeTrain(1, []))), "ascending order"),
        (lambda: stimulation(frame_edges_s=np.arange(5.0)), r"expected \(6,\)"),
        (lambda: stimulation(frame_edges_s=np.array([0, 1, 1, 2, 3, 4.0])), "strictly ascending"),
        (lambda: stimulation(gaps_s=np.array([[1.0, 2.0]])), "without frame times"),
        (lambda: stimulation(frame_edges_s=np.arange(6.0), gaps_s=np.array([[2.0, 1.0]])), "from < to"),
        (lambda: stimulation(frame_edges_s=np.arange(6.0), gaps_s=np.array([[2.5, 4.0]])), "stimulation 1: a gap from"),
        (lambda: session(subject_name=" "), "subject_name is empty"),
        (lambda: session(stimulations=(stimulation(2), stimulation(2))), "expected each once"),
        (
            lambda: session(
                stimulations=(
                    stimulation(1, spike_trains=(SpikeTrain(1, [], "a"),)),
                    stimulation(2, spike_trains=(SpikeTrain(1, [], "b"),)),
                )
            ),
            "neuron 1 is called 'b' and 'a'",
        ),
    ],
)
def test_bad_values_are_refused_in_words(make, words):
    with pytest.raises(ContractError, match=words):
        make()


def test_what_follows_from_a_stimulation():
    regular = stimulation(movie=Movie.from_frames(np.ones((5, 2, 2)), block_size_px=(10, 20)))
    assert regular.block_size_um == pytest.approx((83.0, 166.0))
    assert regular.end_s == pytest.approx(1 + 5 / 60)
    assert stimulation(frame_edges_s=np.arange(6.0)).end_s == 5.0


def test_the_ledger_adds_up():
    ledger = SpikeLedger(*(np.array([k]) for k in (5, 1, 2, 3)))
    assert ledger.n_spikes.tolist() == [11]


def test_neurons_of_a_session_are_those_of_all_its_stimulations():
    both = session(
        stimulations=(
            stimulation(1, spike_trains=(SpikeTrain(2, [], "b"),)),
            stimulation(2, spike_trains=(SpikeTrain(1, [], "a"), SpikeTrain(2, [0.5], "b"))),
        )
    )
    assert both.neuron_labels == {1: "a", 2: "b"}
    assert str(both) == "WT, 2020-01-01, sample 1"


def test_of_two_gaps_in_a_frame_the_first_ends_it():
    gaps_s = np.array([[2.5, 3.0], [2.2, 2.4]])
    for ordered in (gaps_s, gaps_s[::-1]):
        np.testing.assert_array_equal(frame_ends_s(np.array([1, 2, 3.0]), ordered), [2, 2.2])


@given(
    steps_s=hnp.arrays(float, st.integers(1, 6), elements=st.floats(0.01, 10)),
    gaps=st.lists(st.tuples(st.integers(0, 5), st.floats(0.1, 0.9), st.floats(0.01, 1)), max_size=5),
    data=st.data(),
)
def test_gaps_that_say_the_same_are_the_same(steps_s, gaps, data):
    """In whatever order and form, they leave the frames on the screen as long as a naive loop says, exactly."""
    edges_s = np.append(1.0, 1 + np.cumsum(steps_s))
    ends_s, gaps_s = edges_s[1:].copy(), []
    for place, begins, lasts in gaps:
        frame = place % steps_s.size
        start_s, next_s = edges_s[frame : frame + 2]
        begin_s = start_s + begins * (next_s - start_s)
        gaps_s.append((begin_s, next_s if lasts == 1 else begin_s + lasts * (next_s - begin_s)))
        ends_s[frame] = min(ends_s[frame], begin_s)
    movie = Movie.from_frames(np.arange(steps_s.size)[:, None, None])
    shown = [
        stimulation(movie=movie, frame_edges_s=edges_s, gaps_s=np.array(ordered).reshape(-1, 2))
        for ordered in (gaps_s, data.draw(st.permutations(gaps_s)))
    ]
    shown.append(dataclasses.replace(shown[0]))
    for one in shown:
        clock = FrameClock.of(one)
        assert clock.starts_s.tobytes() == edges_s[:-1].tobytes()
        assert clock.ends_s.tobytes() == ends_s.tobytes()
        assert (one.end_s, one.frame_edges_s.tobytes()) == (ends_s[-1], shown[0].frame_edges_s.tobytes())
        expected = [gap for gap in zip(ends_s[:-1], edges_s[1:-1], strict=True) if gap[0] < gap[1]]
        assert (None if one.gaps_s is None else one.gaps_s.tolist()) == ([list(gap) for gap in expected] or None)


def test_frame_times_decide_rate_and_onset():
    movie = Movie.from_frames(np.eye(3)[:, None])
    got = Stimulation(1, movie, 60.0, 9.0, 8.3, frame_edges_s=[1, 1.5, 2, 4], gaps_s=np.empty((0, 2)))
    assert (got.frame_rate_hz, got.onset_s, got.end_s, got.gaps_s) == (2.0, 1.0, 4.0, None)


def test_numbers_begin_where_tables_and_folders_do():
    movie = Movie.from_frames(np.eye(3)[:, None])
    with pytest.raises(
        ContractError, match=r"^neuron 0: neuron_id is 0, expected a whole number from 1 to 2147483647$"
    ):
        SpikeTrain(0, [])
    with pytest.raises(
        ContractError, match=r"^stimulation 0: stimulation_number is 0, expected a whole number from 1 to 2147483647$"
    ):
        Stimulation(0, movie, 60.0, 0.0, 8.3)
    with pytest.raises(
        ContractError,
        match=r"^WT, 2020-01-02, sample -1: sample_number is -1, expected a whole number from 0 to 2147483647$",
    ):
        Session("WT", datetime.date(2020, 1, 2), -1)


def spike_times(values):
    return SpikeTrain(1, values)


def blocks_of(width, height=1):
    return Movie.from_frames(np.eye(3)[None], block_size_px=(width, height))


TAKES_TEXT = {
    **{name: lambda value, name=name: session(**{name: value}) for name in ("subject_name", "species", "note")},
    "label": lambda value: SpikeTrain(1, [], value),
    "sha256": lambda value: Source("a.npy", value, ""),
    r"remarks\[0\]": lambda value: session(remarks=(value,)),
}
TAKES_REAL = {
    **{name: lambda value, name=name: stimulation(**{name: value}) for name in ("frame_rate_hz", "onset_s")},
    "pixel_size_um": lambda value: stimulation(pixel_size_um=value),
    "black": lambda value: MOVIE.as_contrast(value, 1),
    "white": lambda value: MOVIE.as_contrast(-1, value),
    r"levels\[1\]": lambda value: Movie((1, 1, 1), np.zeros((1, 1), np.uint8), (0, value)),
}
TAKES_WHOLE = {
    "neuron_id": lambda value: SpikeTrain(value, []),
    "stimulation_number": stimulation,
    "sample_number": lambda value: session(sample_number=value),
    r"block_size_px\[0\]": blocks_of,
    r"shape\[0\]": lambda value: Movie((value, 1, 1), np.zeros((1, 1, 1))),
    "start": MOVIE.frames,
    "a place": lambda value: MOVIE.part(0, value),
}
NO_NUMBERS = [
    *[None, "60", True, np.True_, b"6", [60], np.array([60.0]), np.array(60), np.timedelta64(60, "s"), 60 + 0j],
    *[Decimal(60), Fraction(60), MOVIE],
]


@pytest.mark.parametrize("name", TAKES_TEXT)
@pytest.mark.parametrize("value", [12, None, b"a", ["a"], np.array(["a"])])
def test_text_is_never_made_of_something_else(name, value):
    with pytest.raises(ContractError, match=rf"{name} is .*, expected (text|a str)$"):
        TAKES_TEXT[name](value)


@pytest.mark.parametrize("name", TAKES_REAL)
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_numbers_are_never_made_of_something_else(name, value):
    words = "both or neither" if value is None and name in {"black", "white"} else rf"{name} is .*, expected a number$"
    with pytest.raises(ContractError, match=words):
        TAKES_REAL[name](value)


@pytest.mark.parametrize("name", TAKES_WHOLE)
@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, 1.5, np.float64(1), 10**100])
def test_whole_numbers_are_never_made_of_something_else(name, value):
    with pytest.raises(ContractError, match=rf"{name} is .*, expected a whole number from -?\d+ to 2147483647$"):
        TAKES_WHOLE[name](value)


def test_a_number_of_any_length_is_refused_in_words():
    with pytest.raises(ContractError, match=r"neuron_id is a number of 16610 bits, expected a whole number from 1"):
        SpikeTrain(10**5000, [])
    with pytest.raises(ContractError, match="onset_s is -inf, expected seconds"):
        stimulation(onset_s=-(10**5000))


TAKES_TIMES = {
    "spike times": spike_times,
    "frame edges": lambda values: stimulation(frame_edges_s=values),
    "gaps": lambda values: stimulation(frame_edges_s=np.arange(6.0), gaps_s=values),
}
NO_TIMES = [
    *["1.5", ["1.5", "2"], ["1,5", "2"], [[1.0], [1.0, 2.0]], [Decimal(1)], [Fraction(1, 2)], [None, 1.0], [10**400]],
    *[[False, True], [1 + 2j, 2.0], np.array([1, 2], "m8[s]"), np.array(["2024-05-02"], "M8[s]"), {1: [1.0]}],
    *[np.zeros(2, [("t", "f8"), ("c", "i4")]), np.array([1.0, 2.0], object), MOVIE],
]


@pytest.mark.parametrize("name", TAKES_TIMES)
@pytest.mark.parametrize("values", NO_TIMES)
def test_times_are_never_made_of_something_else(name, values):
    with pytest.raises(ContractError, match=rf"1: {name} are .*, expected real numbers$"):
        TAKES_TIMES[name](values)


@pytest.mark.parametrize("name", TAKES_TIMES)
def test_a_unit_is_never_dropped(name):
    spikes = neo.SpikeTrain([100, 200], units="ms", t_stop=300)
    for values in (spikes, spikes.times):
        with pytest.raises(ContractError, match=rf"1: {name} are a \w+ with a unit of its own, expected real numbers$"):
            TAKES_TIMES[name](values)


@pytest.mark.parametrize("name", TAKES_TIMES)
@pytest.mark.parametrize("values", [np.ma.array([1.0, 2.0], mask=[False, True]), [np.ma.masked, 1.0]])
def test_masked_times_are_refused(name, values):
    with pytest.raises(ContractError, match=f"1: {name} have masked elements"):
        TAKES_TIMES[name](values)


def test_arrays_of_which_nothing_is_masked_are_arrays():
    assert spike_times(np.ma.array([1.0, 2.0])).times_s.tolist() == [1.0, 2.0]
    assert type(spike_times(np.ma.array([1.0, 2.0])).times_s) is np.ndarray
    frames = np.random.default_rng(0).random((3, 2, 2))
    assert Movie.from_frames(np.ma.array(frames)).movie_hash == Movie.from_frames(frames).movie_hash
    with pytest.raises(ContractError, match="frames have masked elements"):
        Movie.from_frames(np.ma.array(frames, mask=frames > 0.5))


@pytest.mark.parametrize(
    "values", [np.array([], object), [], (), np.array([], bool), range(3), np.arange(3, dtype="u1")]
)
def test_times_may_be_any_integers_and_nothing_at_all(values):
    assert spike_times(values).times_s.tolist() == list(values)


@pytest.mark.parametrize(
    "frames", [[[[1, 2]], [[1]]], np.ones((1, 1, 2), object), np.ones((1, 1, 2)) + 0j, "frames", None]
)
def test_frames_are_numbers_or_booleans(frames):
    with pytest.raises(ContractError, match=r"^frames are .*, expected real numbers or booleans$"):
        Movie.from_frames(frames)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stimulation(movie=MOVIE.frames()), r"1: movie is an array \(5, 2, 2\) of float32, expected a Movie$"),
        (lambda: stimulation(spike_trains=SpikeTrain(1, [])), "spike_trains is a SpikeTrain, expected a sequence of"),
        (lambda: stimulation(spike_trains=None), "spike_trains is None, expected a sequence of SpikeTrain$"),
        (lambda: stimulation(spike_trains=([1.0],)), r"spike_trains\[0\] is a list, expected a SpikeTrain$"),
        (lambda: session(stimulations=stimulation()), "stimulations is a Stimulation, expected a sequence of Stimul"),
        (lambda: session(source=None), "source is None, expected a Source$"),
        (lambda: session(remarks="all is well"), "remarks is 'all is well', expected a sequence of str$"),
        (lambda: Movie.from_frames(np.eye(3)[None], block_size_px=10), "block_size_px is 10, expected 2 numbers$"),
        (lambda: Movie((1, 1), np.ones((1, 1))), "shape is a tuple, expected 3 numbers$"),
        (lambda: Movie((1, 1, 1), [[[0.5]]]), "movie: data is a list, expected an array$"),
        (lambda: MOVIE.as_contrast(black=0), "black is given without white, expected both or neither$"),
        (lambda: MOVIE.as_contrast(white=0), "white is given without black, expected both or neither$"),
    ],
)
def test_objects_of_another_kind_are_refused_in_words(make, words):
    with pytest.raises(ContractError, match=words):
        make()


@pytest.mark.parametrize(
    "value",
    [None, "2024-05-02", "02.05.2024", "yesterday", 20240502, (2024, 5, 2), np.datetime64("2024-05-02"), pd.NaT],
)
def test_dates_are_never_made_of_something_else(value):
    with pytest.raises(ContractError, match=r"^WT: session_date is .*, expected a datetime.date$"):
        session(session_date=value)


@pytest.mark.parametrize("hours", [-12, -7, 0, 14])
@pytest.mark.parametrize("kind", [datetime.datetime, pd.Timestamp])
def test_a_date_with_a_time_is_the_day_that_it_says(kind, hours):
    zone = datetime.timezone(datetime.timedelta(hours=hours))
    got = session(session_date=kind(2024, 5, 2, 23, 30, tzinfo=zone)).session_date
    assert (type(got), got) == (datetime.date, datetime.date(2024, 5, 2))


def test_numbers_of_numpy_become_plain_ones(tmp_path):
    trains = [SpikeTrain(np.int16(3), np.array([1.5], np.float32), np.str_("a"))]
    rate_hz = np.float32(59.9815)
    movie = blocks_of(np.int64(2), np.uint8(1))
    assert movie.movie_hash == blocks_of(2, 1).movie_hash
    shown = Stimulation(np.int32(1), movie, rate_hz, np.int64(1), np.float64(8.3), trains)
    made = session(sample_number=np.int32(2), stimulations=[shown])
    assert [type(value) for value in (made.sample_number, shown.frame_rate_hz, trains[0].label)] == [int, float, str]
    (read,) = read_sessions(write_recording_folder(made, tmp_path / "recording"))
    assert (read.sample_number, read.neuron_labels) == (2, {3: "a"})
    assert (read.stimulations[0].frame_rate_hz, read.stimulations[0].onset_s) == (float(rate_hz), 1.0)
    assert read.stimulations[0].movie.movie_hash == movie.movie_hash
