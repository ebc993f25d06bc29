"""The command line as a person meets it: what it prints and how it ends."""

import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dj_neuron
from dj_neuron import demo
from dj_neuron.cli import main
from dj_neuron.contracts import Source
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.errors import PipelineError
from dj_neuron.ingest import ingest_session
from dj_neuron.readers.recording_folder import write_recording_folder
from dj_neuron.simulate import simulate, write_simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run: no configuration above it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / ".git").mkdir()
    return folder


@pytest.fixture(scope="module")
def run(folder, data_dir):
    """Run the command line in this process, as its entry point does; `prefix` keeps the tests apart."""

    def run(*arguments, prefix="cli_module", exit_code=0, options=None):
        before = ["--data-dir", str(data_dir), "--prefix", prefix] if options is None else options
        out, err, code = io.StringIO(), io.StringIO(), 0
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["dj-neuron", *before, *map(str, arguments)])
            try:
                main()
            except SystemExit as end:
                code = end.code
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        result = SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())
        assert code == exit_code, f"exit {code}\n{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture(scope="module")
def built(run, small_file):
    """The small file, built at two delays beside each other as in 2019."""
    run("build", small_file, "--delay", 0.2)
    run("compute", "--delay", 0.3)


def test_build_and_compute_say_what_they_did(run, brief_file, empty_prefix):
    first = run("build", brief_file, "--delay", 0.05, "--delays", "-0.1:0.2", prefix=empty_prefix)
    assert "1 session(s) new, 0 already there" in first.stdout
    assert "delays: 0.05 s\ndelays: -0.1 to 0.2 s in steps of one frame\n2 stimulation(s) computed" in first.stdout
    assert re.search(r"^database: embedded PostgreSQL in ", first.stderr)
    again = run("build", brief_file, "--delay", 0.05, prefix=empty_prefix)
    assert "0 session(s) new, 1 already there" in again.stdout
    assert "0 stimulation(s) computed, 2 there before" in again.stdout
    replaced = run("compute", "--replace", "--delay", 0.1, prefix=empty_prefix)
    assert "1 stimulation(s) computed, 0 there before, 2 removed" in replaced.stdout
    fresh = run("build", brief_file, "--fresh", "--delay", 0.1, prefix=empty_prefix)
    assert "1 session(s) new" in fresh.stdout


def test_build_fresh_deletes_nothing_for_what_is_then_refused(run, data_dir, tmp_path, make_session, empty_prefix):
    for name, changes in {"old": {"sample_number": 4}, "a": {"note": "first"}, "b": {"note": "second"}}.items():
        write_recording_folder(make_session({"frame_edges_s": 1 + np.arange(201) / 60}, **changes), tmp_path / name)
    run("build", tmp_path / "old", "--strfs-only", "--delay", 0.1, prefix=empty_prefix)

    def state():
        with dj_neuron.connect(data_dir, prefix=empty_prefix) as pipeline:
            return pipeline.experiment.Session().to_dicts(), len(pipeline.strfs())

    before = state()
    for arguments, words in (
        (
            (tmp_path / "a", tmp_path / "b"),
            "a: WT, 2020-01-02, sample 3 and .*b: WT, .* contradict each other: Session",
        ),
        ((tmp_path / "a", "--estimator", "ridge", "--no-centre"), "ridge regression cannot do without"),
        ((tmp_path / "a", "--frame-rule", "nearest"), "a: WT, .*: of stimulation 1 this cannot be computed"),
    ):
        refused = run("build", *arguments, "--fresh", "--delay", 0.1, prefix=empty_prefix, exit_code=2)
        assert re.search(words, refused.stderr)
        assert state() == before
    run("build", tmp_path / "a", "--estimator", "ridge", "--no-centre", prefix=empty_prefix, exit_code=2)
    assert state() == before


def test_queued_delays_are_computed_by_whoever_comes_next(run, brief_file, empty_prefix):
    run("ingest", brief_file, prefix=empty_prefix)
    run("compute", "--queue", "--delay", 0.1, prefix=empty_prefix)
    assert "0 of 1 done" in run("status", prefix=empty_prefix).stdout
    assert "1 stimulation(s) computed" in run("compute", prefix=empty_prefix).stdout
    assert "1 of 1 done" in run("status", prefix=empty_prefix).stdout


@pytest.mark.usefixtures("built")
def test_tables_are_readable_previews(run):
    out = run("tables", "--limit", 2).stdout
    assert "SpikeTrain (Manual, 14 rows): Spikes of a neuron during a stimulation" in out
    table = out[out.index("Session (Manual") : out.index("Neuron (Manual")].strip().splitlines()
    assert table[1].split()[:3] == ["subject_name", "session_date", "sample_number"]
    assert table[2].startswith("KO (small)")
    assert len(table) == 4
    listed = json.loads(run("tables", "--limit", 1, "--json").stdout)
    assert [entry["name"] for entry in listed][7:10] == ["StrfEstimation", "Strf", "SignificanceParams"]
    assert listed[1]["rows"][0]["session_date"] == "2020-03-02"


def test_status_tells_who_is_at_what_and_what_failed(run, data_dir, make_session, empty_prefix):
    with dj_neuron.connect(data_dir, prefix=empty_prefix) as pipeline:
        for number in (1, 2):
            ingest_session(make_session({}, sample_number=number))
        pipeline.compute(0.1, queue=True)
        jobs = pipeline.strf.StrfEstimation().jobs
        jobs.refresh(delay=-1)
        first, second = jobs.pending.keys(order_by="KEY")
        assert jobs.reserve(first)
        assert jobs.reserve(second)
        jobs.error(second, "OSError: the disk is full\nreally", "Traceback (most recent call last):\n  somewhere")
    out = run("status", prefix=empty_prefix).stdout
    assert re.search(r"^StrfEstimation +0 of 2 done, 1 reserved, 1 failed$", out, re.MULTILINE)
    assert re.search(r"sample_number 1, .*\n  reserved by process \d+ on \S+ for \d+ s, by another program$", out, re.M)
    assert re.search(r"sample_number 2, .*\n  failed: OSError: the disk is full$", out, re.MULTILINE)
    assert "somewhere" not in out
    assert (
        "really\n  Traceback (most recent call last):\n    somewhere"
        in run("status", "--errors", prefix=empty_prefix).stdout
    )
    report = json.loads(run("worker", "--retry", "--threads", 1, "--json", prefix=empty_prefix).stdout)
    assert report["computed"]["StrfEstimation"] == 1
    assert "exclude each other" in run("worker", "--dask", "x", "--processes", 2, exit_code=2).stderr


def test_names_are_printed_as_they_are_without_codes_for_terminals(run, data_dir, make_session, empty_prefix):
    with dj_neuron.connect(data_dir, prefix=empty_prefix) as pipeline:
        ingest_session(make_session(subject_name="[bold]WT[/x] :smile:", note="\x1b[2J\x9b1m\nx"))
        pipeline.status()
    out = run("tables", prefix=empty_prefix).stdout
    assert "[bold]WT[/x] :smile:" in out
    assert r"\x1b[2J\x9b1m\nx" in out


def test_what_a_terminal_cannot_show_is_shown_by_its_code(folder, tmp_path):
    names = ["caf\xe9", "\U0001f42d", "\x9b2J\x7f", "\u202e"]
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps(names))

    def printed(*arguments):
        command = [str(Path(sys.executable).with_name("dj-neuron")), *arguments]
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True).stdout.decode(
            "latin-1"
        )

    assert printed("--data-dir", "/caf\xe9/\U0001f42d", "db", "path") == "/caf\xe9/\\U0001f42d\n"
    out = printed("outline", str(tmp_path / "odd.pkl"))
    assert json.loads(out) == names
    assert "caf\xe9" in out
    assert all(letter.isprintable() for letter in out.replace("\n", ""))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_command_listens_to_signals_before_it_loads_anything(ending):
    # the first module that is loaded after the handlers are set is the one that signals
    code = """
import os, sys
class Signalling:
    def find_spec(self, name, *_):
        if name == "dj_neuron.cli_verbs":
            os.kill(os.getpid(), int(sys.argv[1]))
from dj_neuron.cli import main
heavy = {"click", "numpy", "importlib.metadata"} & set(sys.modules)
assert not heavy, heavy
sys.meta_path.insert(0, Signalling())
main()
"""
    command = [sys.executable, "-c", code, str(int(ending))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (128 + ending, "ended before it was done\n")


def test_whoever_reads_may_stop_reading_without_a_word(folder, small_file):
    command = [str(Path(sys.executable).with_name("dj-neuron")), "outline", str(small_file)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 128 + signal.SIGPIPE)


@pytest.mark.usefixtures("built")
def test_status_counts_in_words_and_in_json(run):
    assert re.search(r"^spike trains +14$", run("status").stdout, re.MULTILINE)
    status = json.loads(run("status", "--json").stdout)
    assert status["strfs"] == 28
    assert {"StrfEstimation", "Significance", "ReceptiveField", "Prediction"} < set(status["computed"])
    assert all(progress == {"done": 6, "total": 6} for progress in status["computed"].values())


def test_strfs_alone_are_judged_by_the_next_compute(run, brief_file, empty_prefix):
    alone = run("build", brief_file, "--strfs-only", "--delay", 0.1, prefix=empty_prefix)
    assert "1 stimulation(s) computed" in alone.stdout
    assert "then " not in alone.stdout
    assert "Significance                  0 of 0 done" in run("status", prefix=empty_prefix).stdout
    judged = run("compute", prefix=empty_prefix)
    assert "0 stimulation(s) computed, 1 there before" in judged.stdout
    assert "then Significance of 1, ReceptiveField of 1" in judged.stdout


@pytest.mark.usefixtures("built")
def test_neurons_are_exported_once_unless_forced(run, folder):
    found = json.loads(run("export", "neurons", "neurons.csv", "--where", "neuron_id = 1", "--json").stdout)
    assert found == {"file": "neurons.csv", "dictionary": "neurons.csv.dictionary.json", "n_rows": 6}
    lines = (folder / "neurons.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("subject_name,session_date,sample_number,stimulation_number,neuron_id")
    again = run("export", "neurons", "neurons.csv", exit_code=2)
    assert "exist already" in again.stderr
    assert "28 rows in neurons.csv" in run("export", "neurons", "neurons.csv", "--force").stdout


@pytest.mark.usefixtures("built")
def test_strfs_and_sessions_are_exported(run, folder):
    found = json.loads(run("export", "strfs", "strfs.npz", "--where", "neuron_id = 1", "--json").stdout)
    assert found["file"] == "strfs.npz"
    assert found["groups"][0] == "WT_small_20200301_sample1_stimulation1_params1"
    assert "6 group(s) in strfs.zarr" in run("export", "strfs", "strfs.zarr").stdout
    (folder / "about.toml").write_text('age = "P60D"')
    done = run("export", "nwb", "nwb", "--about", "about.toml", "--where", "sample_number = 1", "--json")
    files = [Path(file) for file in json.loads(done.stdout)]
    assert [file.name for file in sorted((folder / "nwb").iterdir())] == [file.name for file in files]
    assert [f"wrote {file}" in done.stderr for file in files] == [True, True]


@pytest.mark.usefixtures("built")
def test_figures_go_into_a_clean_folder(run, folder):
    out = run("figures", "--out", "pictures", "--where", "sample_number = 2 AND stimulation_number = 1").stdout
    pictures = sorted(path.relative_to(folder / "pictures").as_posix() for path in (folder / "pictures").rglob("*.png"))
    assert f"{len(pictures)} pictures in pictures" in out
    assert pictures[-1] == "pipeline.png"
    second = "WT-small_2020-03-01_sample-2_stimulation-1"
    assert {f"{second}/{name}.png" for name in ("raster", "movie_stills")} < set(pictures)
    assert len([name for name in pictures if name.startswith(second) and "_strf" in name]) == 1
    run("figures", "--out", "pictures", "--neuron", 2, "--neuron", 6, "--where", "sample_number = 1")
    pictures = [path.name for path in (folder / "pictures").rglob("neuron*_strf.png")]
    assert sorted(pictures) == ["neuron_002_strf.png", "neuron_006_strf.png"]
    assert [p.name for p in (folder / "pictures").iterdir() if p.is_dir()] == [
        "WT-small_2020-03-01_sample-1_stimulation-1"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("figures", "--out", "x", "--where", "sample_number = 99"), "no stimulation in the pipeline matches"),
        (("figures", "--out", "x", "--where", "nonsense here"), "'nonsense here' is no condition on stimulations"),
        (("figures", "--out", "x", "--where", "sample_number =="), "is no condition on stimulations"),
        (("export", "neurons", "x.xlsx"), "expected .csv or .parquet"),
        (
            ("export", "neurons", "x.csv", "--where", f"nonsense {'x' * 5000}"),
            f"nonsense {'x' * 190} is no condition on neurons: ",
        ),
        (("export", "neurons", "x.csv", "--where", "nonsense here"), "is no condition on neurons"),
        (("export", "strfs", "x.mat"), "expected .npz or .zarr"),
        (("export", "nwb", "x", "--where", "nonsense here"), "is no condition on sessions"),
        (("figures", "--out", "x", "--where", "1/0=1"), "Error: '1/0=1' is no condition on stimulations: division by "),
        (("export", "neurons", "x.csv", "--where", "1/0=1"), "'1/0=1' is no condition on neurons: division by zero\n"),
        (("export", "strfs", "x.npz", "--where", "sample_number='x'"), "no condition on neurons: invalid input syntax"),
        (("export", "nwb", "x", "--where", "1"), "'1' is no condition on sessions: argument of WHERE must be type"),
        (("export", "nwb", "x", "--about", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("ingest", "nowhere.pkl"), "nowhere.pkl"),
        (("compute", "--delays", "0.1"), "expected FIRST:LAST"),
        (("compute", "--delays", "0.3:0.1"), "expected the first to be at most the last"),
        (("compute", "--delays", "a:b"), "'a:b', expected FIRST:LAST"),
        (("compute", "--replace"), "needs the delays"),
        (("compute", "--delay", "soon"), "'--delay': 'soon' is not a number of seconds"),
        (("compute", "--delay", "nan"), "'--delay': 'nan' is not a number of seconds"),
        (("compute", "--delay", "0_05"), "'--delay': '0_05' is not a number of seconds"),
        (("compute", "--delays", "0:0_5"), "'0:0_5', expected FIRST:LAST"),
        (("compute", "--delay", 50), "delays are 50 s, expected at most 10 s before or after the spike (50 ms: 0.05)"),
        (("compute", "--delay", 0.1, "--estimator", "ridge", "--no-centre"), "ridge regression cannot do without"),
        (("compute", "--min-spikes", 3), "min spikes is a rule for new delays, expected delays beside it"),
        (("watch", ".", "--frame-rule", "nearest"), "frame rule is a rule for new delays, expected delays beside it"),
        (("outline", "."), "."),
        (("simulate", "x.pkl", "--layout", "none"), "none"),
        (("simulate", "/"), "'FILE': '/' does not end in a name, expected one for what is written"),
        (("simulate", ".."), "'FILE': '..' does not end in a name"),
        (("export", "neurons", "n.csv", "--where", ""), "'--where': it is empty, expected a condition, or no --where"),
        (("figures", "--where", " "), "'--where': it is empty"),
        (("unpack", "x.pkl", "."), "'FOLDER': '.' does not end in a name"),
        (("unpack", "x.pkl", ""), "'FOLDER': '.' does not end in a name"),
        (("simulate", "x.pkl", "--seed", -1), "'--seed': -1 is not in the range x>=0"),
        (("watch", ".", "--every", "nan"), "'--every': 'nan' is not a number"),
        (("watch", ".", "--every", "inf"), "'--every': inf is not in the range 0.1<=x<=86400"),
        (("worker", "--threads", 10**20), "'--threads': 100000000000000000000 is not in the range"),
        (("worker", "--processes", 10**20), "'--processes': 100000000000000000000 is not in the range"),
        (("compute", "--delay", 1, "--min-spikes", 10**400), "is not in the range 1<=x<=2147483647"),
        (("tables", "--limit", 10**20), "'--limit': 100000000000000000000 is not in the range"),
        (("figures", "--out", "x", "--best", 10**20), "'--best': 100000000000000000000 is not in the range"),
        (("figures", "--out", "x", "--neuron", 9), "neuron 9 is in no stimulation to be drawn, expected one of 1, 2, "),
        (("figures", "--out", "x", "--neuron", -1), "'--neuron': -1 is not in the range"),
        (("db", "clean", "--older-than", "nan"), "'--older-than': 'nan' is not a number"),
        (("frobnicate",), "No such command 'frobnicate'"),
    ],
)
@pytest.mark.usefixtures("built")
def test_what_a_person_can_mend_is_one_sentence_and_exit_2(run, folder, arguments, words):
    before = sorted(folder.iterdir())
    result = run(*arguments, exit_code=2)
    assert words in result.stderr
    assert len(re.findall("^Error: ", result.stderr, re.MULTILINE)) == 1
    assert result.stdout == ""
    assert sorted(folder.iterdir()) == before


def test_a_file_that_contradicts_is_refused(run, small_file, folder, empty_prefix):
    run("ingest", small_file, prefix=empty_prefix)
    (folder / "other").mkdir()
    other = folder / "other" / "small.pkl"
    run("simulate", other, "--layout", "small", "--seed", 2, options=[])
    result = run("ingest", other, prefix=empty_prefix, exit_code=2)
    assert re.search(
        r"Error: .*small.pkl: WT \(small\), 2020-03-01, sample 1: the pipeline holds .*spike_times_s", result.stderr
    )


def test_outline_and_unpack_show_what_is_in_a_file(run, small_file, folder, empty_prefix):
    outlined = json.loads(run("outline", small_file, options=[]).stdout)
    assert [session["subject_name"] for session in outlined] == ["WT (small)", "WT (small)", "KO (small)"]
    assert "(16, 12, 1500)" in str(outlined[0]["stimulations"][0]["movie"])
    unpacked = run("unpack", small_file, "unpacked", options=[]).stdout.split()
    assert {Path(path).name for path in unpacked} == {path.name for path in (folder / "unpacked").iterdir()}
    run("ingest", small_file, prefix=empty_prefix)
    assert "0 session(s) new, 3 already there" in run("ingest", "unpacked", prefix=empty_prefix).stdout
    run("unpack", small_file, "unpacked", options=[], exit_code=2)


def test_simulate_says_what_it_wrote(run, folder):
    paths = run("simulate", "new/sim.pkl", "--layout", "small", options=[]).stdout.split()
    assert [Path(path).name for path in paths] == ["sim.pkl", "sim.pkl.truth.json"]
    assert (folder / paths[0]).stat().st_size > 1e6


@pytest.mark.parametrize("name", ["one.pkl", "two.pkl.truth.json"])
def test_simulate_replaces_nothing_unless_told(run, folder, name):
    (folder / name).write_text("recorded in 2008")
    result = run("simulate", name.removesuffix(".truth.json"), "--layout", "small", options=[], exit_code=2)
    assert result.stderr == f"Error: {name} exists already, expected new files, or to be told to replace them\n"
    assert [path.read_text() for path in folder.glob(f"{name[:3]}*")] == ["recorded in 2008"]
    run("simulate", name.removesuffix(".truth.json"), "--layout", "small", "--force", options=[])
    assert "recorded" not in (folder / name).read_bytes()[:99].decode("latin-1")


def test_demo_finds_what_it_simulated(run, folder, tmp_path):
    options = ["--data-dir", str(tmp_path)]
    first = run("demo", "--layout", "small", options=options)
    assert "3 sessions (1 without a stimulation), 3 stimulations, 10 neurons, 8652 spikes: 14 STRFs" in first.stdout
    found = re.search(r"(\d+) of 14 simulated receptive fields found: (\d+) peaks above the noise", first.stdout)
    # one neuron is silent and one has two spikes
    assert int(found[1]) == int(found[2]) == 12
    assert "12 of 14 fields are significant; 0 of these lie more than two sigma from the true one" in first.stdout
    assert "polarity is right in 12 of 12 where it was measured" in first.stdout
    assert "coordinates of fitted centres lie within two standard errors" in first.stdout
    assert (tmp_path / "demo" / "figures" / "pipeline.png").exists()


def test_demo_can_be_run_again(run, folder, tmp_path, brief_layout):
    options = ["--data-dir", str(tmp_path)]
    run("simulate", tmp_path / "simulated_brief.pkl", "--layout", brief_layout, "--seed", 5, options=[])
    run("ingest", tmp_path / "simulated_brief.pkl", options=options)
    other, same = (run("demo", "--layout", brief_layout, options=options) for _ in range(2))
    assert "starting anew" in other.stderr
    assert "starting anew" not in same.stderr
    assert len({re.search(r"\d+ of 3 simulated.*", one.stdout)[0] for one in (other, same)}) == 1
    sessions = [session for session, _ in simulate("small", 9)]
    write_recording_folder(sessions[2], tmp_path / "own")
    run("build", tmp_path / "own", "--fresh", options=options)
    assert "holds sessions from own" in run("demo", "--layout", "small", options=options, exit_code=2).stderr


@pytest.mark.parametrize("seed", [5, 1])
def test_demo_clears_nothing_that_came_while_it_simulated(
    data_dir, empty_prefix, tmp_path, brief_layout, make_session, monkeypatch, seed
):
    earlier = tmp_path / f"simulated_{brief_layout.stem}.pkl"
    write_simulation(earlier, brief_layout, seed)

    def simulate_slowly(file, layout, seed, **how):
        ingest_session(make_session({}, source=Source("mine.pkl", "", "")))
        return write_simulation(file, layout, seed, **how)

    monkeypatch.setattr(demo, "write_simulation", simulate_slowly)
    with dj_neuron.connect(data_dir, prefix=empty_prefix) as pipeline:
        pipeline.ingest(earlier)
        with pytest.raises(PipelineError, match=r"holds sessions from mine\.pkl"):
            demo.run(pipeline, layout=brief_layout, figures_dir=tmp_path / "figures", say=lambda _: None)
        assert len(pipeline.experiment.Session()) == 2
        assert pipeline.status()["parameter_rows"] == 0


def test_the_embedded_server_can_be_looked_after(run, folder, tmp_path):
    options = ["--data-dir", str(tmp_path / "db")]
    assert run("db", "path", options=options).stdout.strip() == str(tmp_path / "db")
    assert json.loads(run("db", "status", "--json", options=options).stdout)["running"] is False
    run("status", options=options)
    # it stopped with its only user
    assert re.search(r"^running +no$", run("db", "status", options=options).stdout, re.MULTILINE)
    assert "was not running" in run("db", "stop", options=options).stdout
    with dj_neuron.connect(tmp_path / "db"):
        found = run("db", "status", options=options).stdout
        assert re.search(r"^running +yes$", found, re.MULTILINE)
        assert re.search(r"^n connections +1$", found, re.MULTILINE)
        assert re.search(rf"^data dir +{tmp_path / 'db'}$", found, re.MULTILINE)
        assert "used by other processes" in run("db", "stop", options=options, exit_code=2).stderr
        assert "stopped" in run("db", "stop", "--force", options=options).stdout


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_stops_the_server_it_started(folder, tmp_path, ending):
    command = [str(Path(sys.executable).with_name("dj-neuron")), "--data-dir", str(tmp_path / "data"), "demo"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        for line in process.stderr:
            if line.startswith("1/5"):
                break
        process.send_signal(ending)
        said = process.stderr.read().splitlines()
        assert process.wait(timeout=60) == 128 + ending, said
    assert said[-1] == "ended before it was done"
    assert not EmbeddedServer(tmp_path / "data").is_running()


def test_a_configuration_file_is_used_instead_of_the_embedded_server(run, small_file, mysql_config, tmp_path, prefix):
    options = ["--config", str(mysql_config), "--data-dir", str(tmp_path), "--prefix", prefix]
    result = run("build", small_file, "--delay", "0.05", "--strfs-only", options=options)
    assert "3 stimulation(s) computed" in result.stdout
    assert "database: MySQL server at 127.0.0.1" in result.stderr
    assert not (tmp_path / "postgres").exists()
    assert len(list((tmp_path / "store").rglob("*.npy"))) == 3 + 14
    with dj_neuron.connect(tmp_path, config_file=mysql_config, prefix=prefix) as pipeline:
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)


def test_the_command_runs_as_a_process_of_its_own(folder, tmp_path):
    command = [
        str(Path(sys.executable).with_name("dj-neuron")),
        "--data-dir",
        str(tmp_path / "data"),
        "status",
        "--json",
    ]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["sessions"] == 0
    assert result.stderr == f"database: embedded PostgreSQL in {tmp_path / 'data'}\n"


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from dj_neuron.cli_verbs import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'datajoint', 'matplotlib', 'pandas', 'psycopg2'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Spatio-temporal receptive fields" in result.stdout


def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path):
    script = 'mkdir "$1" && cd "$1" && rmdir "$1" && exec "$2" -m dj_neuron.cli status'
    command = ["sh", "-c", script, "sh", tmp_path / "gone", sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    words = "Error: the working folder is gone, expected to be started in one that is there\n"
    assert (ended.returncode, ended.stderr) == (2, words)


def test_arrays_of_a_known_file_have_not_changed(small_file):
    """The simulated small file is an input of other tests: its spikes are part of what they expect."""
    spikes = [t.times_s for s, _ in simulate("small") for stim in s.stimulations for t in stim.spike_trains]
    assert [train.size for train in spikes] == [1100, 420, 760, 2, 950, 0, 800, 310, 640, 1200, 700, 280, 590, 900]
    assert np.concatenate(spikes).min() > 0
