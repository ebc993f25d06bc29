"""Who is let in, what is never shown, and which paths lead nowhere."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import h5py
import numpy as np
import psutil
import psycopg2
import pytest

import dj_neuron
import nwb_files
from dj_neuron.cli import main
from dj_neuron.copying import copy_pipeline
from dj_neuron.database import open_database
from dj_neuron.embedded import PORT, EmbeddedServer
from dj_neuron.errors import ExportError, PipelineError, ReadError, StoreError
from dj_neuron.export.neurons import export_neurons
from dj_neuron.export.nwb import export_nwb
from dj_neuron.export.strfs import export_strfs
from dj_neuron.ingest import ingest_session
from dj_neuron.readers import read_sessions
from dj_neuron.readers.folder_writer import write_recording_folder
from dj_neuron.readers.outline import outline, unpack

CLI = [sys.executable, "-m", "dj_neuron.cli"]
AS_ROOT = os.geteuid() == 0
LEADING_OUT = [
    "../../escaped",
    "/tmp/escaped",  # noqa: S108 - what may not come about
    "..",
    ".",
    "a/../../escaped",
    "~/escaped",
    "%2e%2e%2fescaped",
]


# The embedded server lets in nobody but its user


@pytest.fixture(scope="module")
def common_folder():
    """A folder that everybody can enter, as a home folder may be, with a pipeline's data folder in it."""
    folder = Path(tempfile.mkdtemp(prefix="dj-neuron-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(common_folder):
    with EmbeddedServer(common_folder / "data") as server:
        yield server


def refusal_of(uid, server):
    """Try to connect as a user of this machine; give what the client says, nothing if it is let in."""
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            try:
                psycopg2.connect(host=str(server.socket_dir), port=PORT, user=server.user, dbname="postgres")
            except psycopg2.OperationalError as error:
                os.write(here, str(error).encode())
            os._exit(0)
        os._exit(1)
    os.close(here)
    with os.fdopen(there) as said:
        text = said.read()
    assert os.waitpid(child, 0)[1] == 0
    return text


@pytest.mark.skipif(not AS_ROOT, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777], ids=oct)
def test_another_user_is_refused_even_if_the_data_folder_was_opened(server, mode):
    assert refusal_of(os.geteuid(), server) == ""
    server.data_dir.chmod(mode)
    try:
        assert "Permission denied" in refusal_of(65534, server)
        for private in (server.cluster, server.cluster / f".s.PGSQL.{PORT}", server.cluster / "pg_hba.conf"):
            assert stat.S_IMODE(private.lstat().st_mode) & 0o077 == 0, private
    finally:
        server.data_dir.chmod(0o700)


def test_the_server_listens_on_no_network(server):
    main = psutil.Process(server.status().pid)
    for process in (main, *main.children()):
        assert [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN] == []


def test_the_server_is_told_nothing_that_may_be_secret(tmp_path, monkeypatch):
    for name in ("DJ_PASS", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, "white noise")
    with EmbeddedServer(tmp_path / "data") as server:
        main = psutil.Process(server.status().pid)
        told = [process.environ() for process in (main, *main.children())]
    assert len(told) > 1
    assert "PATH" in told[0]
    assert "white noise" not in str(told)


# What is secret appears nowhere


@pytest.fixture(params=["postgresql", "mysql"])
def config_of_server(request):
    """The configuration file of a real server, and the password in it."""
    config_file = request.getfixturevalue(f"{request.param}_config")
    return config_file, json.loads(config_file.read_text())["password"]


@contextlib.contextmanager
def command_lines():
    """Gather the command lines of all processes that are seen meanwhile."""
    seen, ended = set(), threading.Event()

    def look():
        while not ended.wait(0.25):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def run(monkeypatch, capfd, caplog):
    """Run commands in this process; gives all that they printed and logged."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["dj-neuron", *map(str, arguments)])
        try:
            main()
            ended = 0
        except SystemExit as end:
            ended = end.code or 0
        except Exception:  # --traceback
            traceback.print_exc()
            ended = 1
        printed = "".join(capfd.readouterr())
        assert ended == code, printed
        return printed + caplog.text

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_password_is_never_shown(run, config_of_server, tmp_path, make_session, prefix):
    config_file, password = config_of_server
    recording = write_recording_folder(make_session({}), tmp_path / "recording")
    options = [f"--data-dir={tmp_path / 'data'}", f"--prefix={prefix}"]
    lab = [f"--config={config_file}", *options]
    shown = [run(*lab, "ingest", recording), run(*lab, "compute", "--delay", "0.05", "--strfs-only")]
    shown += [run(*lab, *verb) for verb in (("status", "--deep"), ("tables",), ("db", "status"), ("db", "clean"))]
    shown += [run(*lab, "export", "nwb", tmp_path / "nwb"), run(*lab, "figures", "--out", tmp_path / "figures")]
    # a user that the server does not know, and a server that is not there, with where the error comes from
    for number, change in enumerate(({"username": "nobody"}, {"port": 1})):
        wrong = tmp_path / f"wrong-{number}.json"
        wrong.write_text(json.dumps(json.loads(config_file.read_text()) | change))
        shown += [run(f"--config={wrong}", *options, "status", code=2)]
        shown += [run(f"--config={wrong}", "--traceback", *options, "status", code=1)]
        wrong.unlink()
    for text in (*shown, *(text_of(file) for file in tmp_path.rglob("*"))):
        assert password not in text
    if "postgresql" in config_file.read_text():  # what starts processes is the same for all servers
        with command_lines() as seen:
            command = [*CLI, *lab, "worker", "--processes", "2"]
            said_all = {**os.environ, "DJ_LOG_LEVEL": "DEBUG"}
            done = subprocess.run(command, env=said_all, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Executing SQL" in done.stderr
        assert len([line for line in seen if " worker " in line and prefix in line]) == 2  # alike
        assert not [line for line in (*seen, done.stdout, done.stderr) if password in line]
    with dj_neuron.connect(tmp_path / "data", config_file=config_file, prefix=prefix) as pipeline:
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)


def text_of(file):
    return file.read_bytes().decode("latin-1") if file.is_file() else ""


def test_objects_print_no_password(config_of_server, tmp_path, prefix):
    config_file, password = config_of_server
    with open_database(tmp_path, config_file=config_file, prefix=prefix) as database:
        for thing in (database, database.settings, database.connection, database.instance, database.instance.config):
            assert password not in f"{thing!r} {thing!s}"


# Names lead nowhere


def test_subjects_of_any_name_stay_in_their_folders(embedded, make_session, tmp_path, monkeypatch, data_dir):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    out.mkdir()
    before = everything(tmp_path) | everything(data_dir.parent)
    for name in LEADING_OUT:
        ingest_session(make_session({}, subject_name=name))
    assert embedded.compute([0.05], judge=False).errors == ()
    assert len(export_nwb(out / "nwb")) == len(LEADING_OUT)
    export_strfs(out / "strfs.npz")
    export_strfs(out / "strfs.zarr")
    new = (everything(tmp_path) | everything(data_dir.parent)) - before
    assert {path for path in new if not (path.is_relative_to(data_dir) or path.is_relative_to(out))} == set()
    assert not Path(LEADING_OUT[1]).exists()
    found = embedded.inventory()
    assert (found.faults, found.orphans) == ((), ())
    with np.load(out / "strfs.npz") as arrays:
        assert not [member for member in arrays if member.startswith(("/", "..")) or "/../" in member]


def everything(folder):
    return {Path(parent, name) for parent, folders, names in os.walk(folder) for name in (*folders, *names)}


def test_a_row_that_names_a_file_outside_the_store_is_refused(embedded, make_session, tmp_path, prefix):
    ingest_session(make_session({}))
    assert embedded.compute([0.05], judge=False).errors == ()
    for path in ("../../../etc/hostname", "/etc/hostname", "_schema/../../../etc/hostname"):
        for table, column in ((embedded.experiment.Movie(), "frames"), (embedded.strf.StrfEstimation.Strf(), "strf")):
            embedded.database.connection.query(
                f"UPDATE {table.full_table_name} SET {column} = jsonb_set({column}::jsonb, '{{path}}', %s)::json",  # noqa: S608
                args=(json.dumps(path),),
            )
        for load in (lambda: embedded.experiment.Movie().fetch1("frames").load(), embedded.strfs):
            with pytest.raises(StoreError, match="leads out of the store"):
                load()
        assert ["leads out of the store" in fault.sentence for fault in embedded.inventory().faults] == [True] * 4
    other = open_database(tmp_path / "copy", config_file=Path("embedded"), prefix=f"{prefix}_copy")
    with other, pytest.raises(StoreError, match="leads out of the store"):
        copy_pipeline(embedded.database, other)


def test_a_link_in_the_store_leads_nowhere_when_objects_are_removed(embedded, make_session, tmp_path, prefix, data_dir):
    ingest_session(make_session({}))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "only_copy.txt").write_text("precious")
    link = data_dir / "store" / "_schema" / f"{prefix}_quality"
    link.symlink_to(tmp_path / "thesis")
    for remove in (lambda: embedded.clean(older_than_s=0, delete=True), embedded.clear, embedded.inventory):
        with pytest.raises(StoreError, match=rf"{prefix}_quality in the store 'dj_neuron' is a link to .*/thesis"):
            remove()
    assert (tmp_path / "thesis" / "only_copy.txt").read_text() == "precious"
    assert len(embedded.experiment.Session()) == 1
    link.unlink()
    embedded.clear()


def test_an_nwb_file_that_reads_other_files_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(256)) * 100)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = nwb_files.NOISE

    def raw(file):
        return {"external": [(secret, 0, nwb_files.NOISE.nbytes)]}

    def virtual(file):
        layout = h5py.VirtualLayout(nwb_files.NOISE.shape, np.uint8)
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "data", nwb_files.NOISE.shape)
        return layout

    def linked(file):
        return h5py.ExternalLink("other.h5", "data")

    for kind in (raw, virtual, linked):
        path = nwb_files.write(tmp_path / f"{kind.__name__}.nwb", nwb_files.optical())
        assert list(read_sessions(path))
        with h5py.File(path, "r+") as file:
            series = file["stimulus/presentation/noise"]
            attributes = dict(series["data"].attrs)
            del series["data"]
            made = kind(file)
            if kind is raw:
                series.create_dataset("data", nwb_files.NOISE.shape, np.uint8, **made)
            elif kind is virtual:
                series.create_virtual_dataset("data", made)
            else:
                series["data"] = made
            if kind is not linked:
                series["data"].attrs.update(attributes)
        for read in (lambda path=path: list(read_sessions(path)), lambda path=path: outline(path)):
            with pytest.raises(ReadError, match=r"noise/data is in another file, .*(secret|other)"):
                read()


@pytest.mark.parametrize("name", LEADING_OUT)
def test_what_is_unpacked_stays_in_its_folder(make_session, tmp_path, name):
    path = write_recording_folder(make_session({}, subject_name=name), tmp_path / "recording")
    before = everything(tmp_path)
    unpack(path, tmp_path / "out")
    new = everything(tmp_path) - before
    assert new
    assert all(path.is_relative_to(tmp_path / "out") for path in new)
    assert [session.subject_name for session in read_sessions(tmp_path / "out")] == [name]


# Export targets


def test_a_link_is_replaced_and_what_it_points_to_is_kept(embedded, make_session, tmp_path):
    ingest_session(make_session({}))
    assert embedded.compute([0.05], judge=False).errors == ()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data.csv").write_text("mine")
    (tmp_path / "neurons.csv").symlink_to(precious / "data.csv")
    export_neurons(tmp_path / "neurons.csv", force=True)
    assert not (tmp_path / "neurons.csv").is_symlink()
    (tmp_path / "strfs.zarr").symlink_to(precious)
    with pytest.raises(ExportError, match="was not written by dj-neuron"):
        export_strfs(tmp_path / "strfs.zarr", force=True)
    (tmp_path / "figures").symlink_to(precious)
    with pytest.raises(PipelineError, match="holds files that dj-neuron did not write"):
        embedded.figures(tmp_path / "figures")
    assert [(file.name, file.read_text()) for file in precious.iterdir()] == [("data.csv", "mine")]
