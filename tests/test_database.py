"""Which database is opened, against real servers; DataJoint's configuration is per process, hence the scripts."""

import json
import logging
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import psycopg2
import pytest

from dj_neuron.connection import connect
from dj_neuron.database import open_database
from dj_neuron.embedded import PORT, EmbeddedServer
from dj_neuron.errors import DatabaseError, ReadError, ServerAwayError

OPEN = """
import logging, sys
from pathlib import Path
from dj_neuron.database import open_database
from dj_neuron.errors import DatabaseError
try:
    with open_database(Path(sys.argv[1])) as database:
        name = database.connection.query("select current_user::text").fetchone()[0]
        store = database.instance.config.get_store_spec(database.store_name)["location"]
        level = logging.getLogger("datajoint").level
        print(database.description, database.server is None, name, store, level, sep="|")
except DatabaseError as error:
    print("DatabaseError|", error, sep="")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL server to be configured: embedded, but the code under test does not know."""
    with EmbeddedServer(tmp_path_factory.mktemp("server")) as server:
        host, user = str(server.socket_dir), server.user
        connection = psycopg2.connect(host=host, port=PORT, user=user, dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute("create role scientist login superuser")
        connection.close()
        yield server


def run(script, *arguments, folder, **variables):
    """Run a script in `folder` with only these DJ_* variables; returns its stdout and stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJ_")} | variables
    command = (sys.executable, "-W", "error", "-c", script, *map(str, arguments))
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data folder whose cluster exists after the first use."""
    return tmp_path_factory.mktemp("embedded") / "data"


@pytest.fixture
def folder(tmp_path):
    """A working folder that finds no configuration above itself."""
    folder = tmp_path / "work"
    (folder / ".git").mkdir(parents=True)
    return folder


def test_importing_prints_nothing_and_leaves_datajoint_alone(folder):
    script = "import sys, dj_neuron.database; sys.exit(bool({'datajoint', 'psycopg2', 'pymysql'} & sys.modules.keys()))"
    assert run(script, folder=folder) == ("", "")


def test_without_configuration_the_embedded_server_is_used(data_dir, capsys):
    with open_database(data_dir) as database:
        assert database.server.is_running()
        assert database.description == f"embedded PostgreSQL in {data_dir}"
        assert (database.prefix, database.data_dir, database.store_name) == ("dj_neuron", data_dir, "dj_neuron")
        assert database.connection is database.instance.connection
        assert database.connection.is_connected

        import datajoint as dj  # noqa: PLC0415

        schema = database.instance.Schema("dj_neuron_test")

        @schema
        class Array(dj.Manual):
            definition = """
            n : int32
            ---
            values_ : <npy@dj_neuron>
            """

        Array.insert1({"n": 1, "values_": np.arange(6.0)})
        np.testing.assert_array_equal(np.asarray((Array & {"n": 1}).fetch1("values_")), np.arange(6.0))
        assert list((data_dir / "store").rglob("*.npy"))
        assert stat.S_IMODE((data_dir / "store").stat().st_mode) == 0o700
    database.close()
    assert not database.server.is_running()
    assert capsys.readouterr() == ("", "")


def test_two_databases_in_one_process_do_not_disturb_each_other(data_dir):
    with open_database(data_dir) as first:
        with open_database(data_dir, prefix="lab_2") as second:
            assert second.connection is not first.connection
            assert second.server.status().pid == first.server.status().pid
            assert second.prefix == "lab_2"
        assert first.connection.query("select 1").fetchone() == (1,)


def test_what_datajoint_logs_goes_to_stderr(data_dir, capsys):
    with open_database(data_dir):
        logger = logging.getLogger("datajoint")
        logger.info("chatter")
        logger.warning("trouble")
    out, err = capsys.readouterr()
    assert out == ""
    assert "trouble" in err
    assert "chatter" not in err


def test_datajoint_variables_choose_the_server(server, folder):
    variables = {"DJ_HOST": str(server.socket_dir), "DJ_USER": "scientist", "DJ_BACKEND": "postgresql"}
    out, err = run(OPEN, folder / "data", folder=folder, DJ_LOG_LEVEL="DEBUG", **variables)
    place = f"PostgreSQL server at {server.socket_dir}:5432 as scientist"
    assert out == f"{place}|True|scientist|{folder}/data/store|10\n"
    assert "Executing SQL" in err
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["store"]


def test_datajoint_files_choose_the_server_and_the_store(server, folder):
    store = {"protocol": "file", "location": str(folder)}
    settings = {"database": {"host": str(server.socket_dir), "backend": "postgresql", "port": PORT}}
    (folder / "datajoint.json").write_text(json.dumps({**settings, "stores": {"dj_neuron": store}}))
    (folder / ".secrets").mkdir()
    (folder / ".secrets" / "database.user").write_text("scientist\n")
    out, err = run(OPEN, folder / "data", folder=folder)
    assert out.split("|")[1:] == ["True", "scientist", str(folder), "30\n"]
    assert err == ""
    assert not (folder / "data").exists()


def test_assignments_to_dj_config_choose_the_server(server, folder):
    assign = "import warnings; warnings.simplefilter('ignore'); import datajoint as dj; dj.config.database.{} = {!r}\n"
    script = assign.format("backend", "postgresql") + f"dj.config['database.host'] = {str(server.socket_dir)!r}\n"
    script += "dj.config['database.user'] = 'scientist'; dj.config['database.port'] = 5432\n"
    script += "dj.config.stores['dj_neuron'] = {'protocol': 'file', 'location': '/'}\n"
    out, _ = run(script + OPEN, folder / "data", folder=folder)
    assert out.split("|")[1:] == ["True", "scientist", "/", "30\n"]


def test_a_datajoint_file_without_a_server_does_not_configure_one(data_dir, folder):
    (folder / "datajoint.json").write_text(json.dumps({"display": {"limit": 5}, "loglevel": "ERROR"}))
    out, err = run(OPEN, data_dir, folder=folder)
    assert out == f"embedded PostgreSQL in {data_dir}|False|postgres|{data_dir}/store|40\n"
    assert err == ""


def test_the_word_embedded_means_the_embedded_server_whatever_is_configured(data_dir, folder):
    script = OPEN.replace("open_database(Path(sys.argv[1]))", "open_database(Path(sys.argv[1]), Path('embedded'))")
    out, err = run(script, data_dir, folder=folder, DJ_HOST="db.example", DJ_USER="anna")
    assert out == f"embedded PostgreSQL in {data_dir}|False|postgres|{data_dir}/store|30\n"
    assert err == ""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DJ_HOST": "db.example"}, "names the server db.example but no user: "),
        ({"DJ_HOST": "db.example", "DJ_USER": " "}, "names the server db.example but no user: "),
        ({"DJ_HOST": "", "DJ_USER": "anna"}, "has an empty host: set DJ_HOST or "),
    ],
)
def test_a_configured_server_without_a_name_or_a_user_is_refused(folder, variables, words):
    out, err = run(OPEN, folder / "data", folder=folder, **variables)
    assert out.startswith(f"DatabaseError|DataJoint's configuration {words}")
    assert (out.count("\n"), err) == (1, "")
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("{", "5432"),
        ("[" * 100_000, ""),
        ("[]", ""),
        ('{"database": {"port": "many"}}', ""),
        ('{"database": {"password": 4711081599}}', ""),
        ('{"database": {"password": ["4711081599"]}}', ""),
        ('{"database": 4711081599}', ""),
        ('{"stores": "s3://key:4711081599@host"}', ""),
        ("{}", "4711081599x"),
    ],
)
def test_a_configuration_that_datajoint_would_pass_over_is_refused(folder, monkeypatch, text, port):
    (folder / "datajoint.json").write_text(text)
    monkeypatch.chdir(folder)
    if port:
        monkeypatch.setenv("DJ_PORT", port)
    with pytest.raises(DatabaseError, match=r"DataJoint's configuration is not valid( \(.*\))?: ") as caught:
        open_database(folder / "data")
    said = "".join(traceback.format_exception(caught.value))
    assert ("\n" in str(caught.value), "4711081599" in said) == (False, False)
    assert not (folder / "data").exists()


def test_variables_that_datajoint_refuses_are_said_without_their_values(folder):
    for name in ("DJ_PORT", "DJ_BACKEND", "DJ_USE_TLS"):
        code = "import sys; from dj_neuron.cli import main; sys.argv[1:] = ['status']; main()"
        environment = {**os.environ, name: "4711081599x"}
        done = subprocess.run(
            (sys.executable, "-W", "error", "-c", code),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"configuration is not valid: {name}: Input should be" in done.stderr
        assert "4711081599" not in done.stderr


@pytest.mark.parametrize("name", ["loop", "~nosuch/x", "a\nb"])
def test_data_folders_that_cannot_be_are_refused_at_once(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(DatabaseError, match=r"^the data folder .*(cannot be found|line break)"):
        open_database(Path(name), config_file=Path("embedded"))
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_configured_store_that_cannot_be_used_is_refused(data_dir, monkeypatch):
    monkeypatch.setenv("DJ_STORES", '{"dj_neuron": {"protocol": "file"}}')
    with pytest.raises(DatabaseError, match=r"the configured store 'dj_neuron' is not valid: .*location"):
        open_database(data_dir)
    assert not EmbeddedServer(data_dir).is_running()
    store = {"protocol": "file", "location": str(data_dir), "partition_pattern": "{subject_name}"}
    monkeypatch.setenv("DJ_STORES", json.dumps({"dj_neuron": store}))
    with pytest.raises(DatabaseError, match="has a partition_pattern, expected none"):
        open_database(data_dir)


def write(tmp_path, **keys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(keys))
    return file


def test_a_config_file_of_the_2019_kind_chooses_server_and_prefix(server, tmp_path, capsys):
    keys = {"host": str(server.socket_dir), "password": "", "schema": "lab", "backend": "postgresql"}
    for user in ("user", "username"):
        file = write(tmp_path, **keys, **{user: "scientist"})
        with open_database(tmp_path / "data", config_file=file) as database:
            assert (database.prefix, database.server) == ("lab", None)
            assert database.description == f"PostgreSQL server at {server.socket_dir}:5432 as scientist"
            assert database.connection.query("select current_user::text").fetchone() == ("scientist",)
    with open_database(tmp_path / "data", config_file=file, prefix="mine") as database:
        assert database.prefix == "mine"
    assert capsys.readouterr() == ("", "")


GOOD = {"host": "127.0.0.1", "username": "me", "password": "secret!"}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"host": "h", "username": "u"}, "has no key 'password'"),
        ({**GOOD, "pasword": "x"}, "has the key 'pasword', expected only host"),
        ({**GOOD, "port": "3306"}, "port is text, expected a whole number"),
        ({**GOOD, "port": True}, "port is true or false, expected a whole number"),
        ({**GOOD, "port": 0}, "port is 0, expected 1 to 65535"),
        ({**GOOD, "host": None}, "host is null, expected text"),
        ({**GOOD, "host": ""}, "host is empty, expected host, username and password"),
        ({**GOOD, "username": " "}, "username is empty, expected host, username and password"),
        ({**GOOD, "schema": "pg_lab"}, "schema is 'pg_lab', expected 1 to 30 lowercase"),
        ({**GOOD, "user": "me"}, "both keys 'user' and 'username'"),
        ({**GOOD, "backend": "oracle"}, "backend is 'oracle', expected 'mysql' or 'postgresql'"),
        ({**GOOD, "database": "lab"}, "database is 'lab', expected it only with the backend 'postgresql'"),
        ({**GOOD, "use_tls": 1}, "use_tls is a whole number, expected true or false"),
        ({**GOOD, "schema": "My Lab"}, "schema is 'My Lab', expected 1 to 30 lowercase"),
    ],
)
def test_a_bad_config_file_is_told_by_file_and_key(tmp_path, keys, sentence):
    file = write(tmp_path, **keys)
    with pytest.raises(ReadError) as caught:
        open_database(tmp_path, config_file=file)
    assert str(caught.value).startswith(f"{file}")
    assert sentence in str(caught.value)
    assert "secret!" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{host: 1}", "is not JSON: Expecting property name"),
        (b'{"host": "a", "host": "b"}', "is not JSON that says one thing: 'host' is there twice in one object"),
        (b"[]", "is no object"),
        (b"\xff", "is not text in UTF-8, from byte 1 on"),
        (b"[" * 100_000, "brackets are nested too deeply"),
        (b"1" * 5000, "a number has too many digits"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(tmp_path, content, sentence):
    file = tmp_path / "config.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ReadError, match=sentence):
        open_database(tmp_path, config_file=file)


@pytest.mark.parametrize(("backend", "product"), [("mysql", "MySQL"), ("postgresql", "PostgreSQL")])
def test_a_server_that_does_not_answer_is_named_without_the_password(tmp_path, backend, product, capsys):
    file = write(tmp_path, **GOOD, port=1, backend=backend)
    with pytest.raises(
        ServerAwayError, match=rf"the {product} server at 127\.0\.0\.1:1 as me does not answer"
    ) as caught:
        open_database(tmp_path, config_file=file)
    assert "\n" not in str(caught.value)
    out, err = capsys.readouterr()
    assert "secret!" not in str(caught.value) + out + err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"data_dir": "a\0b"}, r"data_dir is 'a\\x00b', expected a path"),
        ({"data_dir": 5}, "data_dir is 5, expected a path"),
        ({"config_file": "a\0b"}, r"config_file is 'a\\x00b', expected a path"),
        ({"config_file": 5}, "config_file is 5, expected a path"),
    ],
)
def test_arguments_that_are_no_paths_are_told(arguments, words):
    with pytest.raises(DatabaseError, match=words):
        connect(**arguments)


@pytest.mark.parametrize("prefix", ["", "2nd", "Lab", "a-b", "a" * 31, "_a", "a\n", "pg_a", 5, b"a"])
def test_a_bad_prefix_is_refused_before_anything_starts(tmp_path, prefix):
    with pytest.raises(DatabaseError, match="expected 1 to 30 lowercase letters"):
        open_database(tmp_path / "data", prefix=prefix)
    assert not (tmp_path / "data").exists()
