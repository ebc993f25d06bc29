"""Recording folders that are none: what is another, and the sentence that refuses it."""

import datetime
import re
import zipfile
from functools import partial

import numpy as np

from bad_case import Case, cut
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.readers.folder_toml import HEADER
from dj_neuron.readers.recording_folder import write_recording_folder

EDGES_S = np.array([1.0, 1.5, 2.0, 4.0, 4.5])


def whole(folder):
    """A recording folder in which nothing is wrong."""
    movie = Movie.from_frames(np.arange(24).reshape(4, 2, 3) % 5 == 0, block_size_px=(10, 20)).as_contrast()
    trains = (SpikeTrain(1, np.array([1.7, 1.71]), "unit a"), SpikeTrain(12, np.empty(0)))
    shown = Stimulation(1, movie, 59.9815, 1.65657, 8.3, trains)
    session = Session("KO (chx10)", datetime.date(2008, 6, 6), 3, (shown,))
    return write_recording_folder(session, folder / "a")


def edited(folder, *changes):
    """The same after changes of its session.toml, from one text to another."""
    path = whole(folder)
    text = (path / "session.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (path / "session.toml").write_text(text, encoding="utf-8")
    return path


def times(new):
    return "frame_rate_hz = 59.9815\nonset_s = 1.65657\n", new


SECOND_STIMULATION = """
[[stimulations]]
stimulation_number = 1
movie = "movie_1.npy"
spikes = "spikes_1.npz"
frame_rate_hz = 1
onset_s = 0
pixel_size_um = 1
block_width_px = 1
block_height_px = 1
screen_width_px = 3
screen_height_px = 2
[[stimulations]]"""
EXPECTED_NPZ = "expected an .npz file with an array of seconds per neuron"
TIMING = "expected frame_rate_hz and onset_s, or frame_times with or without last_frame_end_s and gaps_s"
NAME = "expected printable text in quotes, not empty, of at most 2000 characters"
FILE = "expected the name of a file in quotes, of at most 255 characters"
GAP = (
    "stimulation 1: a gap from {} s does not lie between the start of a frame and the start of the next, "
    "expected one that does"
)
BAD_TOML = {
    "no TOML": (
        "sample_number = 3",
        "sample_number 3",
        (
            f"not TOML: Expected '=' after a key in a key/value pair (at line {HEADER.count(chr(10)) + 4}, column 15), "
            "expected lines like sample_number = 1"
        ),
    ),
    "a key twice": (
        "sample_number = 3",
        "sample_number = 3\nsample_number = 4",
        (
            "not TOML: Cannot overwrite a value, that of 'sample_number' "
            f"(at line {HEADER.count(chr(10)) + 5}, column 18), expected lines like sample_number = 1"
        ),
    ),
    "unknown key": ("sample_number = 3", "sample_nr = 3", "unknown key 'sample_nr', expected sample_number"),
    "unknown table": ("\n[[stimulations]]", "\n[[stimulation]]", "unknown key 'stimulation', expected stimulations"),
    "unknown key of a stimulation": ("onset_s =", "onset =", "stimulation 1: unknown key 'onset', expected onset_s"),
    "missing": ("sample_number = 3\n", "", "sample_number is missing, expected a whole number from 0"),
    "missing in a stimulation": (
        "pixel_size_um = 8.3\n",
        "",
        "stimulation 1: pixel_size_um is missing, expected a positive number",
    ),
    "quoted date": (
        "2008-06-06",
        '"2008-06-06"',
        "session_date is '2008-06-06', expected a date like 2008-06-06, without quotes",
    ),
    "date and time": (
        "2008-06-06",
        "2008-06-06T10:00:00",
        "session_date is 2008-06-06 10:00:00, expected a date like 2008-06-06, without quotes",
    ),
    "true": ("sample_number = 3", "sample_number = true", "sample_number is true, expected a whole number from 0"),
    "fraction": ("sample_number = 3", "sample_number = 3.0", "sample_number is 3.0, expected a whole number from 0"),
    "no name": ('"KO (chx10)"', '" "', f"subject_name is ' ', {NAME}"),
    "a name of a million characters": ("KO (chx10)", "x" * 1_000_000, f"subject_name is '{'x' * 39}..., {NAME}"),
    "a number of many digits": (
        "sample_number = 3",
        f"sample_number = {'7' * 4000}",
        "sample_number is a number of more than 308 digits, expected a whole number from 0",
    ),
    "a number that has no end": (
        "sample_number = 3",
        f"sample_number = {'7' * 5000}",
        "not TOML as people write it: a number has too many digits, expected lines like sample_number = 1",
    ),
    "white of many digits": (
        'spikes = "',
        f'black = 0\nwhite = 1{"0" * 400}\nspikes = "',
        "stimulation 1: white is a number of more than 308 digits, expected a finite number",
    ),
    "black of many digits": (
        'spikes = "',
        f'black = 1{"0" * 300}\nspikes = "',
        (f"stimulation 1: black is 1{'0' * 39}... and white is missing, expected two different values or neither"),
    ),
    "a name that leads far": (
        "sample_number = 3",
        f"note{'.a' * 20_000} = 1",
        "not TOML as people write it: a name has more than 32 dots, expected lines like sample_number = 1",
    ),
    "a table that leads far": (
        "\n[neuron_labels]",
        f"\n[neuron_labels{'.a' * 20_000}]",
        "not TOML as people write it: a name has more than 32 dots, expected lines like sample_number = 1",
    ),
    "a table there twice": (
        "\n[neuron_labels]",
        f"\n[{'a' * 20_000}]\n[{'a' * 20_000}]\n[neuron_labels]",
        re.compile(rf"not TOML: Cannot declare \('{'a' * 83} \(at line \d+, column \d+\), expected lines like .*"),
    ),
    "the name of a file of 6000 characters": (
        '"movie_1.npy"',
        f'"{"x" * 6000}"',
        f"stimulation 1: movie is '{'x' * 39}..., {FILE}",
    ),
    "one stimulation": (
        "\n[[stimulations]]",
        "\n[stimulations]",
        "stimulations is a table, expected tables headed [[stimulations]]",
    ),
    "label of another neuron": (
        "neuron_001 =",
        "neuron_002 =",
        "neuron_labels name neuron 2, which has no array of spikes, expected one that has",
    ),
    "label of no neuron": (
        "neuron_001 =",
        "cell_1 =",
        "neuron_labels: 'cell_1' is no neuron, expected a name like 'neuron_003'",
    ),
    "two labels of one neuron": (
        "neuron_001 =",
        'neuron_01 = "x"\nneuron_001 =',
        "neuron_labels: neuron 1 is there twice, expected one label per neuron",
    ),
    "number for a label": (
        '"unit a"',
        "7",
        'neuron_labels is a table, expected a table of lines like neuron_001 = "label"',
    ),
    "zero": (
        "stimulation_number = 1",
        "stimulation_number = 0",
        "stimulation 0: stimulation_number is 0, expected a whole number from 1",
    ),
    "rate": ("59.9815", "-60.0", "stimulation 1: frame_rate_hz is -60.0, expected a positive number"),
    "no rate": ("59.9815", "nan", "stimulation 1: frame_rate_hz is nan, expected a positive number"),
    "no onset": ("onset_s = 1.65657\n", "", f"stimulation 1: timing is given by frame_rate_hz, {TIMING}"),
    "both timings": (
        "onset_s =",
        'frame_times = "frames_1.npy"\nonset_s =',
        f"stimulation 1: timing is given by frame_rate_hz, onset_s, frame_times, {TIMING}",
    ),
    "no timing": (*times(""), f"stimulation 1: timing is given by nothing, {TIMING}"),
    "gaps alone": (
        "onset_s =",
        "gaps_s = []\nonset_s =",
        f"stimulation 1: timing is given by frame_rate_hz, onset_s, gaps_s, {TIMING}",
    ),
    "gaps": (
        *times('frame_times = "edges.npy"\ngaps_s = [1, 2]\n'),
        "stimulation 1: gaps_s is a list, expected pairs of seconds [[from, to], ...]",
    ),
    "gaps backwards": (
        *times('frame_times = "edges.npy"\ngaps_s = [[2, 1]]\n'),
        "stimulation 1: gaps are no pairs of seconds, expected rows of (from, to) with from < to",
    ),
    "gaps after the movie": (
        *times('frame_times = "edges.npy"\ngaps_s = [[100.0, 200.0]]\n'),
        GAP.format("100 to 200"),
    ),
    "gaps within gaps": (
        *times('frame_times = "edges.npy"\ngaps_s = [[1.25, 1.5], [1, 3]]\n'),
        GAP.format("1 to 3"),
    ),
    "endless gaps": (
        *times('frame_times = "edges.npy"\ngaps_s = [[-1e308, 1e308]]\n'),
        GAP.format("-1e+308 to 1e+308"),
    ),
    "black and white far below the levels of a movie": (
        'spikes = "',
        'black = 1e-300\nwhite = 2e-300\nspikes = "',
        (
            "stimulation 1: movie_1.npy: black is 1e-300 and white 2e-300, which makes contrast from -2e+300 to 2e+300 "
            "of values from -1 to 1, expected at most 1e+06"
        ),
    ),
    "black alone": (
        'spikes = "',
        'black = 0\nspikes = "',
        "stimulation 1: black is 0 and white is missing, expected two different values or neither",
    ),
    "black is white": (
        'spikes = "',
        'black = 0\nwhite = 0.0\nspikes = "',
        "stimulation 1: black is 0 and white is 0.0, expected two different values or neither",
    ),
    "outside": (
        '"movie_1.npy"',
        '"../movie_1.npy"',
        "stimulation 1: '../movie_1.npy' lies outside the folder, expected a file in it",
    ),
    "far outside": (
        '"spikes_1.npz"',
        '"/etc/passwd"',
        "stimulation 1: '/etc/passwd' lies outside the folder, expected a file in it",
    ),
    "by a link": (
        '"movie_1.npy"',
        '"link.npy"',
        "stimulation 1: 'link.npy' lies outside the folder, expected a file in it",
    ),
    "by a link to itself": (
        '"movie_1.npy"',
        '"circle.npy"',
        "stimulation 1: 'circle.npy' is no file, expected a file in the folder",
    ),
    "absent": (
        '"movie_1.npy"',
        '"movie_2.npy"',
        "stimulation 1: 'movie_2.npy' is missing, expected a file in the folder",
    ),
    "empty file name": ('"movie_1.npy"', '""', f"stimulation 1: movie is '', {FILE}"),
    "movie from an archive": (
        '"movie_1.npy"',
        '"spikes_1.npz"',
        "stimulation 1: spikes_1.npz cannot be read: it is an archive, expected an .npy file of numbers",
    ),
    "spikes from a movie": (
        '"spikes_1.npz"',
        '"movie_1.npy"',
        f"stimulation 1: movie_1.npy cannot be read: it is one array, {EXPECTED_NPZ}",
    ),
    "movie of text": (
        '"movie_1.npy"',
        '"session.toml"',
        "stimulation 1: session.toml cannot be read, expected an .npy file of numbers",
    ),
    "spikes of text": (
        '"spikes_1.npz"',
        '"session.toml"',
        f"stimulation 1: session.toml cannot be read, {EXPECTED_NPZ}",
    ),
    "screen": (
        "screen_width_px = 30",
        "screen_width_px = 640",
        (
            "stimulation 1: movie_1.npy: 3 x 2 blocks of (10, 20) screen pixels cover (30, 40), "
            "expected the screen of (640, 40) (width, height)"
        ),
    ),
    "twice a number": (
        "\n[[stimulations]]",
        SECOND_STIMULATION,
        "KO (chx10), 2008-06-06, sample 3: stimulation numbers are [1, 1], expected each once, ascending",
    ),
}


class Pickled:
    """Prints if it is ever unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


NEURON = "stimulation 1: spikes_1.npz"
BAD_SPIKES = {
    "name": ({"unit_1": [0.1]}, f"{NEURON}: 'unit_1' is no neuron, expected a name like 'neuron_003'"),
    "neuron zero": ({"neuron_000": [0.1]}, f"{NEURON}: 'neuron_000' is no neuron, expected a name like 'neuron_003'"),
    "twice": (
        {"neuron_1": [0.1], "neuron_001": [0.2]},
        f"{NEURON}: neuron 1 is there twice, expected one array per neuron",
    ),
    "text": ({"neuron_001": ["a"]}, f"{NEURON}: neuron 1 has no array of numbers, expected an array of seconds"),
    "column": ({"neuron_001": [[0.1]]}, f"{NEURON}: neuron 1: spike times have shape (1, 1), expected (n_spikes,)"),
    "order": (
        {"neuron_001": [0.2, 0.1]},
        f"{NEURON}: neuron 1: spike 1 comes before the one ahead of it, expected ascending times",
    ),
    "objects": (
        {"neuron_001": np.array([Pickled()])},
        f"{NEURON} cannot be read: it holds objects, {EXPECTED_NPZ}",
    ),
}


UNORDERED = ": frame times are not finite and strictly ascending, expected seconds, one per frame"
BAD_FRAMES = {
    "too few": (
        EDGES_S[:3],
        "",
        "has shape (3,), expected (5,): the starts of 4 frames and the end of the last",
    ),
    "no end": (
        EDGES_S[:4],
        "",
        (
            "has shape (4,), expected (5,): the starts of 4 frames and the end of the last, "
            "or last_frame_end_s in session.toml"
        ),
    ),
    "two ends": (EDGES_S, "last_frame_end_s = 5", "has shape (5,), expected (4,): the starts of 4 frames"),
    "text": (
        np.array(["a"] * 5),
        "",
        "holds no numbers, expected the starts of 4 frames and the end of the last in seconds",
    ),
    "records": (
        np.zeros(5, [("a", "<f8")]),
        "",
        "holds no numbers, expected the starts of 4 frames and the end of the last in seconds",
    ),
    "too large to differ": (2**60 + np.arange(5), "", UNORDERED),
    "beyond the largest number": (np.arange(5) * np.longdouble("1e4000"), "", UNORDERED),
    "backwards": (EDGES_S[::-1], "", UNORDERED),
    "end before": (EDGES_S[:4], "last_frame_end_s = 4", UNORDERED),
    "infinite": (np.array([-np.inf, 0, 1, 2, np.inf]), "", UNORDERED),
    "unsigned backwards": (np.array([5, 4, 3, 2, 1], np.uint8), "", UNORDERED),
}

TOML = "a/session.toml: "


def with_toml(old, new):
    def make(folder):
        path = edited(folder, (old, new))
        np.save(path / "edges.npy", EDGES_S)
        np.save(folder / "movie_1.npy", np.zeros((4, 2, 3)))
        (path / "link.npy").symlink_to(folder / "movie_1.npy")
        (path / "circle.npy").symlink_to(path / "circle.npy")
        return path

    return make


def with_spikes(arrays):
    def make(folder):
        path = whole(folder)
        np.savez(path / "spikes_1.npz", **{"neuron_012": np.empty(0)} | arrays)
        return path

    return make


def with_frame_times(edges_s, line):
    def make(folder):
        path = edited(folder, times(f'frame_times = "frames.npy"\n{line}\n'))
        np.save(path / "frames.npy", edges_s)
        return path

    return make


def with_movie(frames, *change):
    def make(folder):
        path = edited(folder, change) if change else whole(folder)
        np.save(path / "movie_1.npy", frames)
        return path

    return make


def with_file(name, content):
    def make(folder):
        path = whole(folder)
        (path / name).write_bytes(content)
        return path

    return make


def with_flipped(name, head, offset):
    """All bits of a byte are others."""

    def make(folder):
        path = whole(folder)
        content = bytearray((path / name).read_bytes())
        content[content.index(head) + offset] ^= 0xFF
        (path / name).write_bytes(content)
        return path

    return make


def folder_for_file(name):
    def make(folder):
        path = whole(folder)
        (path / name).unlink()
        (path / name).mkdir()
        return path

    return make


def header(shape, dtype="<f8", order=False):
    """What an .npy file begins with."""
    text = repr({"descr": dtype, "fortran_order": order, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(folder, member, compression=zipfile.ZIP_DEFLATED):
    path = whole(folder)
    with zipfile.ZipFile(path / "spikes_1.npz", "w", compression) as file:
        file.writestr("neuron_001.npy", member)
    return path


def twins(folder):
    for name in ("b", "c"):
        whole(folder).rename(folder / name)
    return folder


def last_of_three(folder):
    """A folder of three recording folders, of which the last holds a spike before zero."""
    for number, name in enumerate(("a", "b", "c"), 1):
        path = edited(folder / name, ("sample_number = 3", f"sample_number = {number}"))
        if name == "c":
            np.savez(path / "spikes_1.npz", neuron_001=[-0.5], neuron_012=[])
        path.rename(folder / f"recording-{name}")
        (folder / name).rmdir()
    return folder


MOVIE = "stimulation 1: movie_1.npy"
LINES = "expected lines like sample_number = 1"
NPY = "expected an .npy file of numbers"
CASES = {
    **{
        name: Case(
            with_toml(old, new),
            f"{TOML}{sentence}" if isinstance(sentence, str) else re.compile(re.escape(TOML) + sentence.pattern),
        )
        for name, (old, new, sentence) in BAD_TOML.items()
    },
    **{
        f"spikes: {name}": Case(with_spikes(arrays), f"{TOML}{sentence}")
        for name, (arrays, sentence) in BAD_SPIKES.items()
    },
    **{
        f"frame times: {name}": Case(
            with_frame_times(edges_s, line), f"{TOML}stimulation 1: frames.npy {sentence}".replace(" :", ":")
        )
        for name, (edges_s, line, sentence) in BAD_FRAMES.items()
    },
    **{
        f"{name} cut off at {tenth} tenths": Case(
            cut(whole, tenth, name),
            re.compile(rf"a/session\.toml: stimulation 1: {name} cannot be read.*, expected .+"),
        )
        for name in ("movie_1.npy", "spikes_1.npz")
        for tenth in range(10)
    },
    "session.toml cut off": Case(cut(whole, 9, "session.toml"), re.compile(r"a/session\.toml: .*, expected .*")),
    "ragged movie": Case(
        with_movie(np.array([[[0, 1]], [[0]]], object)), f"{TOML}{MOVIE} cannot be read: it holds objects, {NPY}"
    ),
    "movie of no frames": Case(
        with_movie(np.zeros((0, 2, 3))),
        f"{TOML}{MOVIE}: frames have shape (0, 2, 3), expected (n_frames, n_y, n_x), none of them 0",
    ),
    "movie of no blocks": Case(
        with_movie(np.zeros((4, 2, 0))),
        f"{TOML}{MOVIE}: frames have shape (4, 2, 0), expected (n_frames, n_y, n_x), none of them 0",
    ),
    "movie in colour": Case(
        with_movie(np.zeros((4, 2, 3, 3))),
        f"{TOML}{MOVIE}: frames have shape (4, 2, 3, 3), expected (n_frames, n_y, n_x), none of them 0",
    ),
    "movie of three levels": Case(
        with_movie(np.arange(24).reshape(4, 2, 3) % 3),
        f"{TOML}{MOVIE}: a graded movie has values from 0 to 2, expected contrast from -1 to 1, or the values of black "
        "and white",
    ),
    "movie far brighter than white": Case(
        with_movie(np.arange(24.0).reshape(4, 2, 3) * 1e300, 'spikes = "', 'black = 0\nwhite = 1\nspikes = "'),
        f"{TOML}{MOVIE}: black is 0 and white 1, which makes contrast from -1 to 4.6e+301 of values from 0 to "
        "2.3e+301, expected at most 1e+06",
    ),
    "movie of the largest numbers": Case(
        with_movie((np.arange(24.0).reshape(4, 2, 3) - 12) * 1e307, 'spikes = "', 'black = -1\nwhite = 1\nspikes = "'),
        f"{TOML}{MOVIE}: black is -1 and white 1, which makes contrast from -1.2e+308 to 1.1e+308 of values from "
        "-1.2e+308 to 1.1e+308, expected at most 1e+06",
    ),
    "movie of complex numbers": Case(
        with_movie(np.zeros((4, 2, 3), complex)),
        f"{TOML}{MOVIE}: frames are complex128, expected real numbers or booleans",
    ),
    "movie with NaN": Case(
        with_movie(np.where(np.arange(24).reshape(4, 2, 3) == 13, np.nan, np.arange(24).reshape(4, 2, 3) % 2)),
        f"{TOML}{MOVIE}: frame 2 is not finite at row 0, column 1, expected numbers",
    ),
    "movie with blocks of another size": Case(
        with_toml("block_width_px = 10", "block_width_px = 7"),
        f"{TOML}{MOVIE}: 3 x 2 blocks of (7, 20) screen pixels cover (21, 40), expected the screen of (30, 40) (width, "
        "height)",
    ),
    "movie larger than its frame times": Case(
        with_frame_times(np.append(EDGES_S, [5, 5.5]), ""),
        f"{TOML}stimulation 1: frames.npy has shape (7,), expected (5,): the starts of 4 frames and the end "
        "of the last",
    ),
    "frames until another age": Case(
        with_frame_times(EDGES_S[:4], f"last_frame_end_s = {10**30}"),
        f"{TOML}stimulation 1: frame edges are from 1 to 1e+30 s, expected seconds on the clock of the recording",
    ),
    "10 GB in a header": Case(
        with_file("movie_1.npy", header((100_000, 100, 125)) + bytes(80)),
        f"{TOML}{MOVIE} cannot be read: it claims an array (100000, 100, 125) of float64, 10000000000 bytes, and holds "
        f"80, {NPY}",
    ),
    "more than any memory in a header": Case(
        with_file("movie_1.npy", header((10**9, 10**9, 10**9))),
        re.compile(rf"a/session\.toml: {MOVIE} cannot be read: it claims an array .* and holds 0, {re.escape(NPY)}"),
    ),
    "a negative length in a header": Case(
        with_file("movie_1.npy", header((-1, 2, 3)) + bytes(96)),
        f"{TOML}{MOVIE} cannot be read: it claims an array (-1, 2, 3) of float64, -48 bytes, and holds 96, {NPY}",
    ),
    "10 GB of spikes in a header": Case(
        partial(archive, member=header((10**10 // 8,)) + bytes(80)),
        f"{TOML}{NEURON} cannot be read: it claims an array (1250000000,) of float64, 10000000000 bytes, and holds 80, "
        f"{EXPECTED_NPZ}",
    ),
    "spikes that unfold to 80 MB": Case(
        partial(archive, member=header((10**7,)) + bytes(8 * 10**7)),
        f"{TOML}{NEURON} cannot be read: it claims 80000128 bytes, which is more than 20 times its length, "
        f"{EXPECTED_NPZ}",
    ),
    "a neuron taken for a comment on another": Case(
        with_flipped("spikes_1.npz", b"PK\1\2", 33),
        f"{TOML}{NEURON} cannot be read: its directory holds another number of arrays than it says, {EXPECTED_NPZ}",
    ),
    "spikes in another compression": Case(
        partial(archive, member=header((2,)) + bytes(16), compression=zipfile.ZIP_LZMA),
        f"{TOML}{NEURON} cannot be read: it is compressed in another way than NumPy does, {EXPECTED_NPZ}",
    ),
    "spikes with NaN": Case(
        with_spikes({"neuron_001": [0.1, np.nan]}),
        f"{TOML}{NEURON}: neuron 1: spike 1 is not a finite time, expected seconds",
    ),
    "spikes that are infinite": Case(
        with_spikes({"neuron_001": [0.1, np.inf]}),
        f"{TOML}{NEURON}: neuron 1: spike 1 is not a finite time, expected seconds",
    ),
    "spikes beyond the largest number": Case(
        with_spikes({"neuron_001": np.array([1, np.longdouble("1e4000")])}),
        f"{TOML}{NEURON}: neuron 1: spike 1 is not a finite time, expected seconds",
    ),
    "spikes that are complex": Case(
        with_spikes({"neuron_001": np.array([1j])}),
        f"{TOML}{NEURON}: neuron 1 has no array of numbers, expected an array of seconds",
    ),
    "spikes before zero": Case(
        with_spikes({"neuron_001": [-0.5, 1.0]}),
        f"{TOML}{NEURON}: neuron 1: spike 0 is at -0.5 s, expected seconds from the start of the recording",
    ),
    "every spike twice": Case(
        with_spikes({"neuron_001": np.repeat([1.66, 1.67, 1.7], 2)}),
        "PATH: KO (chx10), 2008-06-06, sample 3: stimulation 1: neuron 1: 3 of 6 spikes are there twice, first spike 1 "
        "at 1.66 s, expected every spike once",
    ),
    "samples": Case(
        with_spikes({"neuron_001": np.arange(50_000, 50_500, 20)}),
        "PATH: KO (chx10), 2008-06-06, sample 3: stimulation 1: all 25 spikes are whole numbers up to 50480, as "
        "samples or milliseconds are, and the movie lasts from 1.65657 to 1.72326 s, expected spikes in seconds",
    ),
    "indexes for frame times": Case(
        with_frame_times(np.arange(5), ""),
        "PATH: KO (chx10), 2008-06-06, sample 3: stimulation 1: all frame times are whole numbers (0, 1, 2, ...), as "
        "indexes, samples or milliseconds are, expected seconds, or frame_rate_hz and onset_s",
    ),
    "a rate of samples": Case(
        with_toml("59.9815", "20000"), f"{TOML}stimulation 1: frame_rate_hz is 20000, expected 0.001 to 10000"
    ),
    "no number": Case(
        with_toml("onset_s = 1.65657", "onset_s = -inf"),
        f"{TOML}stimulation 1: onset_s is -inf, expected a finite number",
    ),
    "a date in words": Case(
        with_toml("2008-06-06", '"6 June 2008"'),
        f"{TOML}session_date is '6 June 2008', expected a date like 2008-06-06, without quotes",
    ),
    "a day that never was": Case(
        with_toml("2008-06-06", "2008-02-30"), re.compile(r"a/session\.toml: not TOML: .*, expected lines like .*")
    ),
    "bytes that are no text": Case(
        with_file("session.toml", b'subject_name = "\xff"'),
        f"{TOML}not text in UTF-8, from byte 17 on, {LINES}",
    ),
    "text in UTF-16": Case(
        with_file("session.toml", "sample_number = 1".encode("utf-16")),
        f"{TOML}not text in UTF-8, from byte 1 on, {LINES}",
    ),
    "brackets without end": Case(
        with_file("session.toml", b"a = " + b"[" * 100_000),
        f"{TOML}not TOML as people write it: brackets are nested too deeply, {LINES}",
    ),
    "text without end": Case(
        with_file("session.toml", b"#" * (1 << 21)),
        f"{TOML}longer than the 1048576 bytes that a text file may have, {LINES}",
    ),
    "a name of 300 characters": Case(
        with_toml("KO (chx10)", "x" * 300),
        f"PATH: {'x' * 300}, 2008-06-06, sample 3: subject_name is 300 characters long ({'x' * 20}...), expected at "
        "most 128",
    ),
    "a label of 300 characters": Case(
        with_toml('"unit a"', f'"{"x" * 300}"'),
        f"PATH: KO (chx10), 2008-06-06, sample 3: source_label is 300 characters long ({'x' * 20}...), expected at "
        "most 128",
    ),
    "a label that ends nowhere": Case(
        with_toml('"unit a"', r'"unit \u0000"'),
        r"PATH: KO (chx10), 2008-06-06, sample 3: source_label holds the character '\x00', expected text that tables "
        "can hold",
    ),
    "a name of two lines": Case(
        with_toml('"KO (chx10)"', r'"KO\nchx10"'),
        rf"a/session.toml: subject_name is 'KO\nchx10', {NAME}",
    ),
    "a number of two lines": Case(
        with_toml("stimulation_number = 1", r'stimulation_number = "1\n\u001b[2J"'),
        r"a/session.toml: stimulation 1\n\x1b[2J: stimulation_number is '1\n\x1b[2J', expected a whole number from 1",
    ),
    "a folder for a movie": Case(
        folder_for_file("movie_1.npy"), f"{TOML}stimulation 1: 'movie_1.npy' is no file, expected a file in the folder"
    ),
    "a folder for session.toml": Case(
        folder_for_file("session.toml"),
        "PATH: no reader knows this format, expected one of crcns_mat, nwb, recording_folder, ret1_pickle",
    ),
    "a session twice": Case(
        twins,
        re.compile(
            r"c/session\.toml: KO \(chx10\), 2008-06-06, sample 3 is also the session of b/session\.toml, expected .*"
        ),
    ),
    "a fault in the last of three": Case(
        last_of_three,
        "recording-c/session.toml: stimulation 1: spikes_1.npz: neuron 1: spike 0 is at -0.5 s, expected seconds from "
        "the start of the recording",
    ),
}
