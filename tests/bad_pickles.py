"""Pickles that are no recordings, and recordings that cannot be."""

import pickle
import re

import numpy as np

from bad_case import Case, cut
from ret1_files import ret1_session, ret1_stimulation

WHO = "ret1.pkl: session 1 (KO (chx10), 2008-06-06, sample 1)"
SESSION_KEYS = "subject_name, sample_number, session_date, stimulations"
STIMULATION_KEYS = (
    "fps, movie, n_frames, pixel_size, spikes, stim_height, stim_width, stimulus_onset, x_block_size, y_block_size"
)


def without(record, key):
    return {name: value for name, value in record.items() if name != key}


def stimulation_case(sentence, **changes):
    return [ret1_session(ret1_stimulation(**changes))], f"{WHO}, stimulation 1: {sentence}"


def whole_case(sentence, **changes):
    """What is found when the session is whole."""
    return [ret1_session(ret1_stimulation(**changes))], f"PATH: KO (chx10), 2008-06-06, sample 1: {sentence}"


def unfolded_at(place):
    """What is said at the place up to which a file of some 400 kB has unfolded to 64 MiB."""
    sentence = r"up to here the file's 4\d{5} bytes unfold to 67\d{6}, expected at most 67108864"
    return re.compile(re.escape(f"{WHO}, {place}: ") + sentence)


TIMES_S = np.sort(np.random.default_rng(1).uniform(2, 62, 200))
TIMES_S = TIMES_S[np.append(True, np.diff(TIMES_S) > 0.001)]


def long_movie(**changes):
    """A movie of more than a minute."""
    frames = np.random.default_rng(2).choice([0.0, 1.0], (3, 2, 4000))
    return {"movie": frames, "n_frames": 4000, "spikes": [TIMES_S], **changes}


BAD = {
    "a dict": ({}, "ret1.pkl: holds a dict, expected a list of at least one session"),
    "an array": (np.zeros(0), "ret1.pkl: holds a ndarray, expected a list of at least one session"),
    "no sessions": ([], "ret1.pkl: holds an empty list, expected a list of at least one session"),
    "a number for a session": ([3], f"ret1.pkl: session 1 is 3, expected a dict with {SESSION_KEYS}"),
    "missing key": (
        [without(ret1_session(), "session_date")],
        f"ret1.pkl: session 1: 'session_date' is missing, expected the keys {SESSION_KEYS}",
    ),
    "unexpected key": (
        [ret1_session(), without(ret1_session(sampel_number=3), "sample_number")],
        "ret1.pkl: session 2: 'sample_number' is missing, 'sampel_number' is unexpected, expected the keys "
        + SESSION_KEYS,
    ),
    "no name": ([ret1_session(subject_name=" ")], "ret1.pkl: session 1: subject_name is ' ', expected printable text"),
    "name of bytes": (
        [ret1_session(subject_name=b"KO")],
        "ret1.pkl: session 1: subject_name is b'KO', expected printable text",
    ),
    "surrogate": (
        [ret1_session(subject_name="\ud800")],
        r"ret1.pkl: session 1: subject_name is '\ud800', expected printable text",
    ),
    "date": (
        [ret1_session(session_date="6.6.2008")],
        "ret1.pkl: session 1: session_date is '6.6.2008', expected a date like '2008-06-06'",
    ),
    "week": (
        [ret1_session(session_date="2008-W23-5")],
        "ret1.pkl: session 1: session_date is '2008-W23-5', expected a date like '2008-06-06'",
    ),
    "sample": (
        [ret1_session(sample_number=1.5)],
        "ret1.pkl: session 1: sample_number is 1.5, expected a whole number from 0",
    ),
    "sample in words": (
        [ret1_session(sample_number="one")],
        "ret1.pkl: session 1: sample_number is 'one', expected a whole number from 0",
    ),
    "twins": (
        [ret1_session(), ret1_session(sample_number=2), ret1_session(ret1_stimulation())],
        "ret1.pkl: sessions 1 and 3 are both KO (chx10), 2008-06-06, sample 1, expected each session once",
    ),
    "no list": ([ret1_session(stimulations={})], f"{WHO}: stimulations are a dict, expected a list"),
    "no stimulation": (
        [ret1_session(ret1_stimulation(), None)],
        f"{WHO}, stimulation 2 is None, expected a dict with {STIMULATION_KEYS}",
    ),
    "neurons lost": (
        [ret1_session(ret1_stimulation(), ret1_stimulation(spikes=[]))],
        f"{WHO}, stimulation 2: spikes of 0 neurons, expected 2 as in stimulation 1",
    ),
    "no fps": (
        [ret1_session(without(ret1_stimulation(), "fps"))],
        f"{WHO}, stimulation 1: 'fps' is missing, expected the keys {STIMULATION_KEYS}",
    ),
    "frames": stimulation_case("n_frames is 5, expected 4, the frames of the movie", n_frames=5),
    "fps": stimulation_case("fps is 0, expected a positive number", fps=0),
    "true fps": stimulation_case("fps is True, expected a finite number", fps=True),
    "fps of numbers": stimulation_case("fps is an array (2,) of float64, expected a finite number", fps=np.zeros(2)),
    "onset": stimulation_case("stimulus_onset is nan, expected a finite number", stimulus_onset=np.nan),
    "endless": stimulation_case("stimulus_onset is inf, expected a finite number", stimulus_onset=np.inf),
    "pixel": stimulation_case("pixel_size is -8.3, expected a positive number", pixel_size=-8.3),
    "block": stimulation_case("x_block_size is 0, expected a whole number from 1", x_block_size=0),
    "no screen": stimulation_case("stim_width is 0, expected a whole number from 1", stim_width=0, stim_height=0),
    "blocks beyond the screen": stimulation_case(
        "3 x 2 blocks of (10, 240) screen pixels cover (30, 480), expected the screen of (600, 480) (width, height)",
        x_block_size=10,
    ),
    "flat movie": stimulation_case(
        "movie is an array (3, 2) of float64, expected an array (x blocks, y blocks, frames)", movie=np.zeros((3, 2))
    ),
    "listed movie": stimulation_case("movie is a list, expected an array (x blocks, y blocks, frames)", movie=[[[0]]]),
    "text movie": stimulation_case(
        "frames are <U1, expected real numbers or booleans", movie=np.full((3, 2, 4), "a", "<U1")
    ),
    "blank movie": stimulation_case(
        "every block of the movie is 0, expected at least two levels", movie=np.zeros((3, 2, 4))
    ),
    "grey movie": stimulation_case(
        "a graded movie has values from 0 to 23, expected contrast from -1 to 1, or the values of black and white",
        movie=np.arange(24.0).reshape(3, 2, 4),
    ),
    "holes in the movie": stimulation_case(
        "frame 0 is not finite at row 0, column 0, expected numbers", movie=np.full((3, 2, 4), np.nan)
    ),
    "spikes in an array": stimulation_case(
        "spikes are an array (2, 2) of float64, expected a list of arrays", spikes=np.zeros((2, 2))
    ),
    "spikes in a list": stimulation_case(
        "spikes of neuron 1 are a list, expected an array (n, 1) of seconds", spikes=[[0.5]]
    ),
    "spikes in a row": stimulation_case(
        "spikes of neuron 2 are an array (1, 3) of float64, expected an array (n, 1) of seconds",
        spikes=[np.zeros(0), np.zeros((1, 3))],
    ),
    "spikes in words": stimulation_case(
        "spikes of neuron 1 are an array (1,) of <U1, expected an array (n, 1) of seconds", spikes=[np.array(["a"])]
    ),
    "spikes backwards": stimulation_case(
        "neuron 1: spike 1 comes before the one ahead of it, expected ascending times", spikes=[np.array([2.0, 1.0])]
    ),
    "negative spikes": stimulation_case(
        "neuron 1: spike 0 is at -1 s, expected seconds from the start of the recording", spikes=[np.array([-1.0])]
    ),
    "block that does not divide the screen": stimulation_case(
        "x_block_size is 7 and stim_width is 600, expected a whole number of blocks", x_block_size=7
    ),
    "ragged movie": stimulation_case(
        "movie is a list, expected an array (x blocks, y blocks, frames)", movie=[[[0, 1]], [[0]]]
    ),
    "movie of no frames": stimulation_case(
        "n_frames is 0, expected a whole number from 1", movie=np.zeros((3, 2, 0)), n_frames=0
    ),
    "movie of no blocks": stimulation_case(
        "frames have shape (4, 2, 0), expected (n_frames, n_y, n_x), none of them 0", movie=np.zeros((0, 2, 4))
    ),
    "complex movie": (
        [ret1_session(ret1_stimulation(movie=np.zeros((3, 2, 4), complex)))],
        re.compile(r"ret1\.pkl: the pickle holds an array of dtype 'c16', expected only plain containers, .*"),
    ),
    "three levels": stimulation_case(
        "a graded movie has values from 0 to 2, expected contrast from -1 to 1, or the values of black and white",
        movie=np.arange(24.0).reshape(3, 2, 4) % 3,
    ),
    "infinite movie": stimulation_case(
        "frame 1 is not finite at row 0, column 2, expected numbers",
        movie=np.where(np.arange(24).reshape(3, 2, 4) == 17, np.inf, np.arange(24).reshape(3, 2, 4) % 2),
    ),
    "movie of the largest numbers": stimulation_case(
        "black is -1e+308 and white 1e+308, which makes contrast from -1 to nan of values from -1e+308 to 1e+308, "
        "expected at most 1e+06",
        movie=np.where(np.arange(24).reshape(3, 2, 4) % 2, 1e308, -1e308),
    ),
    "NaN spike": stimulation_case(
        "neuron 1: spike 1 is not a finite time, expected seconds", spikes=[np.array([0.5, np.nan])]
    ),
    "infinite spike": stimulation_case(
        "neuron 1: spike 1 is not a finite time, expected seconds", spikes=[np.array([0.5, np.inf])]
    ),
    "spike in another age": stimulation_case(
        "neuron 1: spike 1 is at 1e+11 s, expected seconds on the clock of the recording",
        spikes=[np.array([0.5, 1e11])],
    ),
    "one train for hundreds of neurons": (
        [ret1_session(ret1_stimulation(spikes=[np.zeros(100_000, "f4")] * 200))],
        unfolded_at("stimulation 1: spikes of neuron 84"),
    ),
    "one stimulation shown without end": (
        [ret1_session(*[ret1_stimulation(spikes=[np.zeros(100_000, "f4")])] * 200)],
        unfolded_at("stimulation 84: spikes of neuron 1"),
    ),
    "objects for spikes": (
        [ret1_session(ret1_stimulation(spikes=[np.array([0.5, None], object)]))],
        re.compile(r"ret1\.pkl: the pickle holds an array of dtype 'O8', expected only plain containers, .*"),
    ),
    "a spike twice": whole_case(
        "stimulation 1: neuron 1: 1 of 3 spikes are there twice, first spike 2 at 1 s, expected every spike once",
        spikes=[np.array([0.5, 1.0, 1.0])],
    ),
    "milliseconds": whole_case(
        "stimulation 1: 200 spikes up to 61941.6 lie outside the movie (from 1.65657 to 68.3438 s) if they are seconds "
        "and within it if they are milliseconds, expected spikes in seconds",
        **long_movie(spikes=[1000 * TIMES_S]),
    ),
    "microseconds": whole_case(
        "stimulation 1: 400 spikes up to 6.19416e+07 lie outside the movie (from 1.65657 to 68.3438 s) if they are "
        "seconds and within it if they are microseconds, expected spikes in seconds",
        **long_movie(spikes=[1e6 * TIMES_S, np.empty(0), 1e6 * TIMES_S]),
    ),
    "samples": whole_case(
        "stimulation 1: all 200 spikes are whole numbers up to 1238831, as samples or milliseconds are, and the movie "
        "lasts from 1.65657 to 68.3438 s, expected spikes in seconds",
        **long_movie(spikes=[np.round(20_000 * TIMES_S)]),
    ),
    "a sampling rate": stimulation_case("frame_rate_hz is 20000, expected 0.001 to 10000", fps=20_000),
    "a rate of none": stimulation_case("frame_rate_hz is 1e-09, expected 0.001 to 10000", fps=1e-9),
    "pixels of metres": stimulation_case("pixel_size_um is 1e+06, expected 0.001 to 10000", pixel_size=1e6),
    "onset in another age": stimulation_case(
        "onset_s is 1e+12, expected seconds on the clock of the recording", stimulus_onset=1e12
    ),
    "a date that is a number": (
        [ret1_session(session_date=20080606)],
        "ret1.pkl: session 1: session_date is 20080606, expected printable text",
    ),
    "a day that never was": (
        [ret1_session(session_date="2008-02-30")],
        "ret1.pkl: session 1: session_date is '2008-02-30', expected a date like '2008-06-06'",
    ),
    "a name of 300 characters": (
        [ret1_session(subject_name="x" * 300)],
        (
            f"PATH: {'x' * 300}, 2008-06-06, sample 1: subject_name is 300 characters long ({'x' * 20}...), "
            "expected at most 128"
        ),
    ),
    "a name of a million characters": (
        [ret1_session(subject_name="x" * 1_000_000)],
        "ret1.pkl: session 1: subject_name is 1000000 characters long, expected at most 2000",
    ),
    "a name with a backslash": (
        [ret1_session(subject_name="KO\\chx10")],
        (
            "PATH: KO\\chx10, 2008-06-06, sample 1: subject_name holds a backslash, which tables cannot look up, "
            "expected another name"
        ),
    ),
    "a name of two lines": (
        [ret1_session(subject_name="KO\nchx10")],
        r"ret1.pkl: session 1: subject_name is 'KO\nchx10', expected printable text",
    ),
    "a huge sample number": (
        [ret1_session(sample_number=2**31)],
        "ret1.pkl: session 1: sample_number is 2147483648, expected a whole number from 0 to 2147483647",
    ),
    "a fault in the last session": (
        [ret1_session(ret1_stimulation()), ret1_session(ret1_stimulation(fps=-1), sample_number=2)],
        "ret1.pkl: session 2 (KO (chx10), 2008-06-06, sample 2), stimulation 1: fps is -1, expected a positive number",
    ),
    "what tables cannot hold in the last session": (
        [ret1_session(ret1_stimulation()), ret1_session(subject_name="x" * 129)],
        (
            f"PATH: {'x' * 129}, 2008-06-06, sample 1: subject_name is 129 characters long ({'x' * 20}...), "
            "expected at most 128"
        ),
    ),
}


def pickled(sessions, protocol=4):
    def make(folder):
        path = folder / "ret1.pkl"
        path.write_bytes(pickle.dumps(sessions, protocol))
        return path

    return make


def content(data):
    def make(folder):
        path = folder / "ret1.pkl"
        path.write_bytes(data)
        return path

    return make


WHOLE = pickled([ret1_session(ret1_stimulation()), ret1_session(sample_number=2)])
UNKNOWN = "PATH: no reader knows this format, expected one of crcns_mat, nwb, recording_folder, ret1_pickle"
CUT = re.compile(r"ret1\.pkl: cut off or damaged at byte \d+ of \d+, expected a complete pickle")
CASES = {
    **{name: Case(pickled(sessions), sentence) for name, (sessions, sentence) in BAD.items()},
    "nothing": Case(content(b""), UNKNOWN),
    **{f"cut off at {tenth} tenths": Case(cut(WHOLE, tenth), CUT) for tenth in range(1, 10)},
    "10 GB of text": Case(content(b"\x80\x04\x8d" + (10**10).to_bytes(8, "little") + b"abc"), CUT),
    "10 GB of bytes": Case(content(b"\x80\x05]\x8e" + (10**10).to_bytes(8, "little") + b"abc"), CUT),
    "more after its end": Case(
        content(pickle.dumps([ret1_session()]) + b"N."),
        re.compile(r"ret1\.pkl: the pickle ends at byte \d+ of \d+, expected the end there"),
    ),
    "text": Case(content(b"subject_name = 'KO'"), UNKNOWN),
}
