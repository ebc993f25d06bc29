"""Files at fault: each is refused in one sentence, and neither tables nor store change by a byte."""

import contextlib
import ctypes
import datetime
import hashlib
import io
import os
import re
import resource
import signal
import subprocess
import sys
import uuid
from types import SimpleNamespace

import numpy as np
import pytest

import bad_folders
import bad_mats
import bad_nwb
import bad_pickles
import dj_neuron
from dj_neuron import connection
from dj_neuron._datajoint import dj
from dj_neuron.cli import main
from dj_neuron.contracts import Movie, Session, SpikeTrain
from dj_neuron.contracts.plausibility import remarks_on
from dj_neuron.errors import ContractError
from dj_neuron.readers import available_readers, read_sessions

CASES = {
    f"{reader}: {name}": case
    for reader, cases in (
        ("pickle", bad_pickles.CASES),
        ("mat", bad_mats.CASES),
        ("folder", bad_folders.CASES),
        ("nwb", bad_nwb.CASES),
    )
    for name, case in cases.items()
}
WHOLE = {
    "pickle": bad_pickles.WHOLE,
    "mat": lambda folder: bad_mats.written(folder, bad_mats.two_recordings()),
    "folder": bad_folders.whole,
    "nwb": bad_nwb.whole,
}


@pytest.fixture(scope="module")
def laboratory(data_dir, small_file):
    """An open pipeline that holds something to be damaged."""
    with dj_neuron.connect(data_dir, prefix=f"bad_{uuid.uuid4().hex[:8]}") as pipeline:
        pipeline.ingest(small_file)
        yield SimpleNamespace(pipeline=pipeline, contents=contents(pipeline))
        dj_neuron.pipeline.drop(pipeline.database.connection, pipeline.database.prefix)


def contents(pipeline):
    """A checksum of every table of the pipeline and of every file of its own, and what else is in the store."""
    query, prefix = pipeline.database.connection.query, pipeline.database.prefix
    names = query(f"SELECT schemaname, tablename FROM pg_tables WHERE starts_with(schemaname, '{prefix}_')").fetchall()
    sums = [f"""SELECT '{table}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM "{schema}"."{table}" t"""
            for schema, table in names]  # fmt: skip
    paths = sorted((pipeline.database.data_dir / "store").rglob("*"))
    own = [path for path in paths if prefix in str(path) and path.is_file()]
    files = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in own}
    assert files  # of what the small file holds
    return sorted(query(" UNION ALL ".join(sums)).fetchall()), files, paths


def command(*arguments):
    """Run the command line in this process, as its entry point does."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["dj-neuron", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue().splitlines())


@pytest.fixture
def ingest(laboratory, monkeypatch):
    """Run `ingest`; opening the database anew for every file would take most of the time."""
    monkeypatch.setattr(connection, "connect", lambda *_, **__: contextlib.nullcontext(laboratory.pipeline))
    return lambda *arguments: command("ingest", *arguments)


@pytest.fixture
def pipeline(laboratory):
    """The pipeline for what is taken and not refused."""
    yield laboratory.pipeline
    laboratory.contents = contents(laboratory.pipeline)


def assert_refused(result, sentence, path):
    assert result.code == 2, result
    assert result.out == ""
    assert re.match(r"database: embedded PostgreSQL in ", result.err[0])
    assert len(result.err) == 2, result.err
    told = result.err[1].removeprefix("Error: ")
    assert told != result.err[1]
    if isinstance(sentence, re.Pattern):
        assert sentence.fullmatch(told), told
    else:
        assert told == sentence.replace("PATH", str(path))
    assert "expected" in told
    assert told.isprintable()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_file_at_fault_is_refused_and_changes_nothing(case, laboratory, ingest, tmp_path):
    path = case.make(tmp_path)
    assert_refused(ingest(path), case.sentence, path)
    assert contents(laboratory.pipeline) == laboratory.contents


def test_the_catalogue_is_large():
    assert len(CASES) >= 200


@pytest.mark.parametrize("reader", WHOLE)
def test_what_the_broken_files_are_made_of_is_taken(reader, pipeline, ingest, tmp_path):
    n_before = len(pipeline.experiment.Session())
    result = ingest(WHOLE[reader](tmp_path))
    assert result.code == 0, result.err
    assert len(pipeline.experiment.Session()) > n_before
    for table in (pipeline.experiment.Session(), pipeline.experiment.Subject()):
        (table & "subject_name in ('KO (chx10)', 'KO (pax6)', 'm7')").delete(prompt=False)


def test_nothing_is_deleted_for_a_file_that_is_refused(laboratory, ingest, tmp_path, small_file):
    case = CASES["pickle: a fault in the last session"]
    path = case.make(tmp_path)
    assert_refused(command("build", small_file, path, "--fresh", "--delay", 0.1), case.sentence, path)
    assert contents(laboratory.pipeline) == laboratory.contents


def test_the_command_by_itself_says_the_same(laboratory, tmp_path):
    case = CASES["nwb: a label of 300 characters"]
    path, database = case.make(tmp_path), laboratory.pipeline.database
    options = ["--data-dir", database.data_dir, "--prefix", database.prefix]
    result = subprocess.run(
        [sys.executable, "-m", "dj_neuron.cli", *options, "ingest", path], capture_output=True, text=True, check=False
    )
    told = SimpleNamespace(code=result.returncode, out=result.stdout, err=result.stderr.splitlines())
    assert_refused(told, case.sentence, path)
    assert contents(laboratory.pipeline) == laboratory.contents


def test_what_the_database_refuses_is_told_with_its_session(laboratory, ingest, tmp_path, monkeypatch):
    def refuse(_):
        raise dj.DataJointError("invalid input syntax\nCONTEXT:  JSON data, line 1")

    monkeypatch.setattr("dj_neuron.ingest._insert", refuse)
    path = bad_folders.whole(tmp_path)
    result = ingest(path)
    told = "the database does not take it: invalid input syntax CONTEXT: JSON data, line 1"
    assert result.code == 2
    assert result.err[1] == f"Error: {path}: KO (chx10), 2008-06-06, sample 3: {told}"
    assert contents(laboratory.pipeline) == laboratory.contents


# what the file system refuses


@contextlib.contextmanager
def bound_by_permissions():
    """Without the capabilities that let root read and write everything, in this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    data = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then again for capabilities from 32

    def call(function):
        if function(ctypes.byref(header), ctypes.byref(data)) != 0:
            raise OSError(ctypes.get_errno(), "capabilities")

    call(libc.capget)
    before = data[0]
    data[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    call(libc.capset)
    try:
        yield
    finally:
        data[0] = before
        call(libc.capset)


@pytest.mark.parametrize(
    ("reader", "name", "place"),
    [
        ("pickle", "", "PATH: cannot be opened: Permission denied, expected a readable recording"),
        ("mat", "", "PATH: cannot be opened: Permission denied, expected a readable recording"),
        ("nwb", "", "PATH: cannot be opened: Permission denied, expected a readable recording"),
        ("folder", "session.toml", ("PATH: cannot be opened: Permission denied (PATH/session.toml), expected a "
                                   "readable recording")),
        ("folder", "movie_1.npy", ("a/session.toml: stimulation 1: movie_1.npy cannot be read: Permission denied, "
                                  "expected an .npy file of numbers")),
        ("folder", "spikes_1.npz", ("a/session.toml: stimulation 1: spikes_1.npz cannot be read: Permission denied, "
                                   "expected an .npz file with an array of seconds per neuron")),
        ("folder", ".", "PATH: cannot be opened: Permission denied, expected a readable recording"),
    ],
)  # fmt: skip
def test_what_may_not_be_read(reader, name, place, laboratory, ingest, tmp_path):
    path = WHOLE[reader](tmp_path)
    (path / name if name else path).chmod(0)
    try:
        with bound_by_permissions():
            result = ingest(path)
    finally:
        (path / name if name else path).chmod(0o700)
    assert_refused(result, place, path)
    assert contents(laboratory.pipeline) == laboratory.contents


@pytest.mark.parametrize("reader", [None, *available_readers()])
def test_a_folder_for_a_file(reader, laboratory, ingest, tmp_path):
    option = ["--reader", reader] if reader else []
    assert_refused(ingest(tmp_path, *option), re.compile(rf"({tmp_path}|{tmp_path.name}): .*, expected .*"), tmp_path)


def test_a_name_longer_than_names_can_be(laboratory, ingest, tmp_path):
    path = tmp_path / ("x" * 300)
    sentence = "PATH: cannot be opened: File name too long, expected a readable recording"
    assert_refused(ingest(path), sentence, path)


def store_folder(pipeline):
    """Where the movies of a pipeline go."""
    return pipeline.database.data_dir / "store" / "_schema" / f"{pipeline.database.prefix}_experiment"


@contextlib.contextmanager
def tiny_disk(folder):
    """A disk of 16 kB: a real one where this may be mounted, else a limit of the length of files."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk(pipeline, ingest, tmp_path):
    folder = store_folder(pipeline)
    frames = np.random.default_rng(1).choice([0.0, 1.0], (40, 20, 2000))
    sizes = {"n_frames": 2000, "x_block_size": 15, "y_block_size": 24}
    shown = bad_pickles.ret1_stimulation(movie=frames, spikes=[np.array([2.5])], **sizes)
    path = bad_pickles.pickled([bad_pickles.ret1_session(shown, subject_name="a full disk")])(tmp_path)
    before = contents(pipeline)
    with tiny_disk(folder):
        result = ingest(path)
    assert result.code == 2, result
    assert re.fullmatch(
        r"Error: the store 'dj_neuron' cannot be used for \S+: .*(No space left on device|File too large).*",
        result.err[-1],
    ), result.err
    assert len(result.err) == 2
    assert contents(pipeline) == before
    assert ingest(path).code == 0  # with room on the disk, all is well
    assert len(pipeline.experiment.Movie() & "n_frames = 2000") == 1


# what is unusual and legal

NAMES = {
    "emoji": "KO 🐭🧪",
    "quotes": """O'Brien's "WT" `mouse`""",
    "slashes": "../../etc/passwd",
    "markup": "<script>alert(1)</script>",
    "percent": "100 % _wild_ {name} %s",
    "128 characters": "\u00e9" * 128,
    "right to left": "\u05e2\u05db\u05d1\u05e8",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_unusual_names_are_stored_and_found_again(name, pipeline, ingest, tmp_path):
    path = bad_pickles.pickled([bad_pickles.ret1_session(bad_pickles.ret1_stimulation(), subject_name=name)])(tmp_path)
    path = path.rename(tmp_path / "a file; of 'mine' \U0001f42d.pkl")
    assert ingest(path).code == 0
    assert "0 session(s) new, 1 already there" in ingest(path).out
    assert (pipeline.experiment.Subject() & {"subject_name": name}).fetch1("subject_name") == name
    assert (pipeline.experiment.Session() & {"subject_name": name}).fetch1("source_file") == path.name
    assert len(pipeline.experiment.SpikeTrain() & {"subject_name": name}) == 2
    (folder,) = command("unpack", path, tmp_path / "out").out.splitlines()
    assert "1 already there" in ingest(folder).out


def test_a_file_name_that_is_no_text(pipeline, ingest, tmp_path):
    path = bad_pickles.pickled([bad_pickles.ret1_session(subject_name="a name of bytes")])(tmp_path)
    path = path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.pkl"))
    assert ingest(path).code == 0
    assert (pipeline.experiment.Session() & "subject_name = 'a name of bytes'").fetch1("source_file") == "caf\ufffd.pkl"


# what is suspicious and possible


def suspicious(folder, subject_name, *stimulations):
    shown = [bad_pickles.ret1_stimulation(**bad_pickles.long_movie(**own)) for own in stimulations]
    return bad_pickles.pickled([bad_pickles.ret1_session(*shown, subject_name=subject_name)])(folder)


TIMES_S = bad_pickles.TIMES_S
SUSPICIOUS = {
    "spikes after the movie": (
        [{"spikes": [TIMES_S + 100, TIMES_S]}],
        "stimulation 1: 200 of 200 spikes of neuron 1 lie outside the movie, from 1.65657 to 68.3438 s",
    ),
    "a neuron in milliseconds": (
        [{"spikes": [TIMES_S, 1000 * TIMES_S, TIMES_S]}],
        (
            "stimulation 1: 200 of 200 spikes of neuron 2 lie outside the movie, from 1.65657 to 68.3438 s; most would "
            "lie within it if they were milliseconds"
        ),
    ),
    "few spikes in milliseconds": (
        [{"spikes": [1000 * TIMES_S[:5], 1000 * TIMES_S[:3]]}],
        (
            "stimulation 1: 8 of 8 spikes of all neurons lie outside the movie, from 1.65657 to 68.3438 s; most would "
            "lie within it if they were milliseconds"
        ),
    ),
    "one rate among others": (
        [{}, {"fps": 599.815, "spikes": [1.5 + TIMES_S / 10]}],
        "stimulation 2: frame rate 599.815 Hz is far from that of other recordings here: the nearest is 59.9815 Hz",
    ),
    "a spike twice among many": (
        [{"spikes": [np.insert(TIMES_S, 7, TIMES_S[7])]}],
        "stimulation 1: 1 of 201 spikes of neuron 1 are there twice",
    ),
    "an impossible rate": (
        [{"spikes": [np.linspace(2, 60, 50_000)]}],
        "stimulation 1: neuron 1 fires 750 spikes per second, more than one neuron can",
    ),
    "pixels in millimetres": (
        [{"pixel_size": 0.0083}],
        (
            "stimulation 1: the screen is 4.98 x 3.98 um on the retina, smaller than a few cones: pixels of 0.0083 um "
            "may be millimetres"
        ),
    ),
    "pixels of a monitor": (
        [{"pixel_size": 250.0}],
        (
            "stimulation 1: the screen is 150 x 120 mm on the retina, larger than any: pixels of 250 um may be those "
            "of the monitor"
        ),
    ),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_suspicious_input_is_taken_with_a_warning(case, pipeline, ingest, tmp_path):
    stimulations, warning = SUSPICIOUS[case]
    result = ingest(suspicious(tmp_path, case, *stimulations))
    assert result.code == 0, result.err
    assert [line.strip() for line in result.out.splitlines() if line.startswith("  ")] == [warning]
    assert len(pipeline.experiment.Stimulation() & {"subject_name": case}) == len(stimulations)


STARTS_S = 1.25 + np.arange(201) / 60


def edges(**changed_s):
    """Starts of 200 frames and the end of the last, of which those from frame ``f...`` on are moved by seconds."""
    edges_s = STARTS_S.copy()
    for frame, by_s in changed_s.items():
        edges_s[int(frame[1:]) :] += by_s
    return edges_s


def noise(levels, seed=0):
    return Movie.from_frames(np.random.default_rng(seed).choice(levels, (200, 3, 4)), block_size_px=(9, 9))


SPIKES_S = np.sort(np.append(np.random.default_rng(1).uniform(1.3, 4.5, 58), [1.3, 4.5]))
ON_SCREENS = {
    "a trigger twice": (
        {"frame_edges_s": edges(f51=0.0003 - 1 / 60)},
        "1 of 200 frames last less than half of the usual 0.01667 s, frame 50 0.0003 s: a trigger too many",
    ),
    "a pause": (
        {"frame_edges_s": edges(f51=0.5, f121=0.02)},
        "2 of 200 frames last longer than one and a half of the usual 0.01667 s, frame 50 0.5167 s: they count as",
    ),
    "a pause that is said": ({"frame_edges_s": edges(f51=0.5), "gaps_s": [[STARTS_S[51], STARTS_S[51] + 0.5]]}, ""),
    "a frame that a pause cuts short": (
        {"frame_edges_s": edges(f51=0.5), "gaps_s": [[STARTS_S[50] + 0.001, STARTS_S[51] + 0.5]]},
        "",
    ),
    "jitter": ({"frame_edges_s": STARTS_S + np.random.default_rng(2).uniform(-0.003, 0.003, 201)}, ""),
    "a duration for the rate": ({"frame_rate_hz": 1 / 60}, "a frame rate of 0.0166667 Hz is a frame every 60 s"),
    "milliseconds": (
        {"frame_edges_s": 1000 * STARTS_S, "spike_trains": (SpikeTrain(1, 1000 * SPIKES_S),)},
        "a frame rate of 0.06 Hz is a frame every 16.6667 s, which is unusual: the rate may be",
    ),
    "half the frame rate": (
        {"frame_rate_hz": 30.0},
        "all 60 spikes during the movie, from 1.25 to 7.91667 s, lie from 1.3 to 4.5 s, as if frame times",
    ),
    "levels that are no contrast": (
        {"movie": noise([0, 255])},
        "contrast is from 0 to 255, .*: some of it beyond these",
    ),
    "black and white of another movie": (
        {"movie": noise([0, 1]).as_contrast(0, 255)},
        "contrast is from -1 to -0.992157, .*: nothing brighter than grey",
    ),
    "images from 0 to 1": (
        {"movie": noise(np.linspace(0, 1, 9)).as_contrast()},
        "contrast is from 0 to 1, .*: nothing darker than grey",
    ),
    "contrast of floats": ({"movie": noise(np.linspace(-1, 1, 9, dtype=np.float32)).as_contrast()}, ""),
    "single precision late in a recording": (
        {"frame_edges_s": np.float32(1e5 + edges()), "spike_trains": (SpikeTrain(1, 1e5 + SPIKES_S),)},
        "frame times are of single precision, which tells no less than 7.81 ms apart at 100005 s",
    ),
    "half precision": (
        {"onset_s": 9.3, "spike_trains": (SpikeTrain(1, np.unique(np.float16(8 + SPIKES_S))),)},
        "spike times are of half precision, which tells no less than 7.81 ms apart at 12.5 s, where a frame lasts 16.7",
    ),
    "single precision early in a recording": ({"frame_edges_s": np.float32(edges())}, ""),
}


@pytest.mark.parametrize("case", ON_SCREENS)
def test_frames_that_are_hardly_so_are_taken_with_a_warning(case, make_session):
    changes, warning = ON_SCREENS[case]
    found = remarks_on(make_session({"frame_rate_hz": 60.0, "spike_trains": (SpikeTrain(1, SPIKES_S),)} | changes))
    if warning:
        assert re.search(f"^stimulation 1: {warning}", "\n".join(found), re.MULTILINE), found
    else:
        assert found == ()


def test_a_rate_that_is_odd_itself_makes_no_other_suspicious(make_session):
    session = make_session({"frame_rate_hz": 60.0, "spike_trains": (SpikeTrain(1, SPIKES_S),)})
    assert remarks_on(session, [0.06]) == ()
    assert len(remarks_on(session, [0.06, 25.0])) == 1


def test_frame_times_of_whole_numbers_are_no_seconds(make_session):
    samples = {"frame_edges_s": np.floor(20_000 * STARTS_S)}
    with pytest.raises(
        ContractError, match=r"frame times are whole numbers \(25000, 25333, 25666, \.\.\.\), as indexes"
    ):
        remarks_on(make_session(samples))


def test_a_day_that_is_yet_to_come_is_remarked():
    today = datetime.datetime.now(datetime.UTC).date()
    assert remarks_on(Session("KO", today, 1)) == ()
    assert remarks_on(Session("KO", datetime.date(2999, 12, 31), 1)) == (
        "session_date is 2999-12-31, which is yet to come",
    )


def test_nothing_is_said_of_what_is_usual(small_file):
    assert [remarks_on(session) for session in read_sessions(small_file)] == [(), (), ()]


def test_a_long_recording_around_a_short_movie_is_no_mistake_of_units(make_session):
    """Five hours of spikes, a few seconds of movie at their beginning: in milliseconds they would lie within it too."""
    times_s = np.sort(np.random.default_rng(3).uniform(0, 3600 * 5, 20_000))
    (remark,) = remarks_on(make_session({"spike_trains": (SpikeTrain(1, times_s),)}))
    assert re.fullmatch(r"stimulation 1: \d+ of 20000 spikes of neuron 1 lie outside the movie, from .*", remark)
