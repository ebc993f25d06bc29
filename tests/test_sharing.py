"""Several processes at work on one server: they ingest the same, compute what is deleted, only look."""

import contextlib
import json
import re
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pymysql
import pytest
from click.testing import CliRunner

import dj_neuron
from dj_neuron import pipeline as tables
from dj_neuron._datajoint import dj
from dj_neuron.cli_verbs import cli
from dj_neuron.connection import DelayRange
from dj_neuron.errors import DatabaseError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import SCHEMA_MODULES, drop, experiment, locks, table_classes
from explored import call, page_of

START = """
import datetime, sys
from pathlib import Path
import numpy as np
import dj_neuron
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation

folder, config, prefix, *arguments = sys.argv[1:]
pipeline = dj_neuron.connect(folder, config_file=config or None, prefix=prefix)

def go(word):
    print(word, flush=True)
    sys.stdin.readline()
"""

INGEST = """
from dj_neuron.ingest import ingest_session

def session(name, n):
    frames = np.random.default_rng(0).choice([-1, 1], (200, 3, 4))  # of all sessions the same
    trains = tuple(SpikeTrain(i, np.sort(np.random.default_rng(n).uniform(0, 3, 20))) for i in range(1, 6))
    stimulation = Stimulation(1, Movie.from_frames(frames), 60.0, 0.0, 2.0, spike_trains=trains)
    return Session(name, datetime.date(2020, 1, 2), n, stimulations=(stimulation,))

go("ready")
me = arguments[0]
for n in range(8):
    print(ingest_session(session("both", n)).outcome)
    print(ingest_session(session(me, n)).outcome)
"""

# it stops where a person may be quick, or slow, and goes on when it is told to
COMPUTE = """
import json
from dj_neuron.pipeline.strf import StrfEstimation

def pausing(name):
    done = getattr(StrfEstimation, name)
    def method(self, *args):
        result = done(self, *args)
        if name == moment:
            go(name)
        return result
    return method

StrfEstimation.make_compute, StrfEstimation.make_insert = pausing("make_compute"), pausing("make_insert")
for moment in arguments:
    go("next")
    report = pipeline.compute(judge=False)
    print(json.dumps([report.n_computed, *report.errors]), flush=True)
"""

HOLD = """
from dj_neuron.pipeline.locks import alone
with alone(pipeline.database.connection, prefix):
    go("held")
"""


@contextmanager
def process(script, where, *arguments):
    folder, config, prefix = where
    command = [sys.executable, "-W", "ignore", "-c", START + script, folder, config or "", prefix, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for(child, word):
    assert child.stdout.readline() == f"{word}\n", child.stderr.read()


def go_on(child):
    child.stdin.write("\n")
    child.stdin.flush()


def rest(child):
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    return out.splitlines()


@pytest.fixture
def where(data_dir, config_file, prefix):
    """Where the pipeline is, for processes of their own."""
    return data_dir, config_file, prefix


def n_rows():
    return {table.__name__: len(table()) for table in table_classes()}


def test_two_people_ingest_at_once(pipeline, where):
    with process(INGEST, where, "anna") as anna, process(INGEST, where, "ben") as ben:
        for child in (anna, ben):
            wait_for(child, "ready")
        for child in (anna, ben):
            go_on(child)
        said = [rest(child) for child in (anna, ben)]
    # each session of both was put in by one of them and found by the other; their own are new to each
    assert [sorted(pair) for pair in zip(said[0][::2], said[1][::2], strict=True)] == [["new", "unchanged"]] * 8
    assert said[0][1::2] == said[1][1::2] == ["new"] * 8
    found = n_rows()
    counted = [found[name] for name in ("Subject", "Session", "Neuron", "Movie", "Stimulation", "SpikeTrain")]
    assert counted == [3, 24, 120, 1, 24, 120]


def test_who_comes_while_everything_is_deleted_waits_and_keeps_what_it_brings(
    pipeline, where, make_session, monkeypatch
):
    ingest_session(make_session({}))
    remove = tables._remove_objects
    with contextlib.ExitStack() as stack:
        others = []

        def remove_slowly(config, database):
            if database.endswith("_experiment"):  # the last schema, of which there are no tables any more
                others.append(stack.enter_context(process(INGEST, where, "anna")))
                assert select.select([others[0].stdout], [], [], 4)[0] == []
            remove(config, database)

        monkeypatch.setattr(tables, "_remove_objects", remove_slowly)
        pipeline.clear()
        wait_for(others[0], "ready")
        go_on(others[0])
        assert rest(others[0]) == ["new"] * 16
    assert (pipeline.inventory().n_objects, pipeline.inventory().faults) == (1, ())


def test_who_waits_for_a_lock_says_for_whom_and_not_for_ever(pipeline, where, monkeypatch, caplog):
    monkeypatch.setattr(locks, "_SILENT_S", 0.0)
    monkeypatch.setattr(locks, "_LONGEST_S", 1.0)
    name, connection = pipeline.database.prefix, pipeline.database.connection
    holder = "dj-neuron [0-9]+ on " if connection.adapter.backend == "postgresql" else ".+ from "
    at_work = rf"another process \({holder}.+\) is at work on the tables of '{name}'"
    with process(HOLD, where) as other:
        wait_for(other, "held")
        words = f"^{at_work}: try again when it has ended$"
        with pytest.raises(DatabaseError, match=words), locks.alone(connection, name):
            pass
        (told,) = (record.getMessage() for record in caplog.records)
        assert re.fullmatch(f"{at_work}: waiting for it, a minute at most", told)
        other.send_signal(signal.SIGKILL)
        monkeypatch.setattr(locks, "_LONGEST_S", 60.0)
        with locks.alone(connection, name):
            pass


def delete_session(pipeline):
    experiment.Session().delete(prompt=False)


def replace_delays(pipeline):
    pipeline.compute(0.2, replace=True, queue=True)


def in_a_thread(function, pipeline):
    """Start a function that nobody else's use of the connection meets; give what waits for its end and its error."""
    errors = []

    def run():
        try:
            function(pipeline)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread.join, errors


def test_what_a_worker_is_at_is_deleted_meanwhile(pipeline, where, make_session):
    moments = ["make_compute", "make_compute", "make_insert", "make_insert"]

    def counted():
        return [n_rows()[name] for name in ("Session", "StrfParams", "StrfEstimation", "Strf")]

    def begin(moment):
        ingest_session(make_session({}))
        pipeline.compute(0.1, replace=True, queue=True)
        wait_for(worker, "next")
        go_on(worker)
        wait_for(worker, moment)

    def end():
        """Let it compute what there is, and then what was asked for meanwhile."""
        go_on(worker)
        while (said := worker.stdout.readline().strip()) in moments:
            go_on(worker)
        assert said, worker.stderr.read()
        return json.loads(said)

    with process(COMPUTE, where, *moments) as worker:
        for delete, left in ((delete_session, [0, 1, 0, 0]), (replace_delays, [1, 1, 1, 3])):
            begin("make_compute")
            delete(pipeline)
            # what was deleted is passed over: there is nothing to say of what nobody wants any more
            assert end() == [left[2]]
            assert counted() == left
            # and the next one is clean
            report = pipeline.compute(judge=False)
            assert (report.n_computed, report.errors) == (0, ())

        # whoever is first while a result is stored: the other waits for that transaction, or comes after it
        for delete, left in ((replace_delays, [1, 1, 1, 3]), (delete_session, [0, 1, 0, 0])):
            begin("make_insert")
            wait, refused = in_a_thread(delete, pipeline)
            time.sleep(0.5)
            assert end() == [1 + left[2]]
            wait()
            if refused and delete is delete_session:  # DataJoint's own delete does not try again: everything is there
                assert counted() == [1, 1, 1, 3]
                delete(pipeline)
            assert counted() == left
        assert rest(worker) == []


ROLES = ("owner", "worker", "reader")


def statements(language, number, changes):
    """The statements of a block of docs/how-to/use-a-server.md, with names that no other test uses."""
    page = (Path(__file__).parent.parent / "docs/how-to/use-a-server.md").read_text(encoding="utf-8")
    text = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[number]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return [statement for statement in map(str.strip, text.split(";")) if statement]


@contextmanager
def connection_to(config, **changes):
    """A plain connection to a server, past DataJoint: every statement is a transaction of its own."""
    keys = json.loads(config.read_text()) | changes
    where = {"host": keys["host"], "port": keys["port"], "user": keys["username"], "password": keys["password"]}
    if keys["backend"] == "mysql":
        opened = pymysql.connect(**where, autocommit=True)
    else:
        opened = psycopg2.connect(**where, dbname=keys.get("database", "postgres"))
        opened.autocommit = True
    with contextlib.closing(opened), opened.cursor() as cursor:
        yield cursor


@pytest.fixture(params=["postgresql", "mysql"])
def server(request):
    """The configuration file of a server that has roles."""
    return request.getfixturevalue(f"{request.param}_config")


@pytest.fixture
def roles(server, data_dir, prefix, tmp_path):
    """The configuration files of the roles that the page on servers makes, once its statements were executed."""
    keys = json.loads(server.read_text())
    is_mysql = keys["backend"] == "mysql"
    names = {f"retina_{role}": f"{role}_{prefix[-8:]}" for role in ROLES} | {"'...'": "'x'"}
    database = f"lab_{prefix[-8:]}"
    configs = {}
    for role in ROLES:
        own = {"username": names[f"retina_{role}"], "password": "x"} | ({} if is_mysql else {"database": database})
        configs[role] = tmp_path / f"{role}.json"
        configs[role].write_text(json.dumps(keys | own))
    with connection_to(server) as root:
        if is_mysql:
            names |= {r"`dj\_neuron\_%`": rf"`{prefix.replace('_', chr(92) + '_')}\_%`"}
            made = statements("mysql", 0, names)
        else:
            made = statements("sql", 0, names | {"DATABASE lab": f"DATABASE {database}"})
        for statement in made:
            root.execute(statement)
    with dj_neuron.connect(data_dir, config_file=configs["owner"], prefix=prefix):
        pass  # which makes the tables
    if not is_mysql:
        del names["'...'"], names["retina_owner"]
        with connection_to(configs["owner"]) as owner:
            for name in SCHEMA_MODULES:
                for statement in statements("sql", 1, names | {"dj_neuron_experiment": f"{prefix}_{name}"}):
                    owner.execute(statement)
    yield configs
    with dj_neuron.connect(data_dir, config_file=configs["owner"], prefix=prefix) as pipeline:
        drop(pipeline.database.connection, prefix)
    with connection_to(server) as root:
        if not is_mysql:
            root.execute(f"DROP DATABASE {database}")
        for config in configs.values():
            user = json.loads(config.read_text())["username"]
            root.execute(f"DROP USER '{user}'@'%'" if is_mysql else f"DROP ROLE {user}")


def test_workers_need_no_right_to_make_tables_and_readers_none_to_change_them(roles, data_dir, prefix, make_session):
    with dj_neuron.connect(data_dir, config_file=roles["worker"], prefix=prefix) as pipeline:
        assert ingest_session(make_session({})).outcome == "new"
        assert pipeline.compute(0.1).errors == ()
        assert pipeline.compute(0.2, replace=True, judge=False).n_removed == 1
    with dj_neuron.connect(data_dir, config_file=roles["reader"], prefix=prefix) as pipeline:
        assert pipeline.status()["strfs"] == 3
        assert len(pipeline.strfs()) == 3
        with pytest.raises(DatabaseError, match=r"sample 9: the database does not take it: Insufficient privileges\. "):
            ingest_session(make_session(sample_number=9))
        with pytest.raises(dj.errors.AccessError):
            pipeline.compute(0.3, queue=True)
    with connection_to(roles["reader"]) as reader:
        changes = changes_of(reader, prefix)
        assert len(changes) > 100
        for statement in changes:
            with pytest.raises((psycopg2.Error, pymysql.Error)) as refused:
                reader.execute(statement)
            assert is_refused(refused.value), (statement, refused.value)


def changes_of(cursor, prefix):
    """Statements that a reader must not be able to execute, of every kind, for every table that there is."""
    cursor.execute(
        "SELECT table_schema, table_name, MIN(column_name) FROM information_schema.columns "
        "WHERE table_schema LIKE %s GROUP BY table_schema, table_name",
        (f"{prefix}%",),
    )
    quote = "`{}`" if isinstance(cursor, pymysql.cursors.Cursor) else '"{}"'
    found = [f"CREATE SCHEMA {prefix}_more"]
    for *place, column in cursor.fetchall():
        table, name = ".".join(map(quote.format, place)), quote.format(column)
        found += [
            f"INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0",  # noqa: S608
            f"UPDATE {table} SET {name} = {name} WHERE 1 = 0",  # noqa: S608
            f"DELETE FROM {table} WHERE 1 = 0",  # noqa: S608
            f"TRUNCATE TABLE {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} ADD more INTEGER",
            f"CREATE INDEX more ON {table} ({name})",
            f"CREATE TABLE {quote.format(place[0])}.more (one INTEGER)",
        ]
    return [*found, *(["CREATE TEMPORARY TABLE more (one INTEGER)"] if quote == '"{}"' else [])]


def is_refused(error):
    """Whether a server said that the right was lacking, and not that something else was wrong."""
    if isinstance(error, psycopg2.Error):
        return error.pgcode == "42501"
    return error.args[0] in {1044, 1142}  # of a schema, of a table


def test_readers_can_look_at_everything(roles, data_dir, prefix, make_session, tmp_path, explorer):
    with dj_neuron.connect(data_dir, config_file=roles["owner"], prefix=prefix) as pipeline:
        ingest_session(make_session({}))
        pipeline.compute([DelayRange(-0.02, 0.05)])
        pipeline.compute([0.1], judge=False)
    options = ["--config", str(roles["reader"]), "--prefix", prefix]
    for verb in (
        ("tables", "--json"),
        ("status", "--json"),
        ("figures", "--out", str(tmp_path / "out"), "--neuron", "1"),
        ("export", "neurons", str(tmp_path / "neurons.csv")),
    ):
        result = CliRunner().invoke(cli, ["--data-dir", str(data_dir), *options, *verb])
        assert result.exit_code == 0, (verb, result.output)
    assert (tmp_path / "out" / "report.html").exists()

    neuron = "/neuron/WT/2020-01-02/3/1/1"
    of = {"path": neuron, "row": None, "side": "a"}
    with explorer(data_dir, *options) as (address, _):
        answers = [
            page_of(address, path, search)
            for path, search in (
                ("/", ""), ("/", "?sort=-peak_z&n_spikes=1..&label=x"), ("/stimulation/WT/2020-01-02/3/1", ""),
                (neuron, ""), (neuron, "?with_row=2"), (neuron, "?with_neuron=3"), ("/pipeline", ""),
            )
        ]  # fmt: skip
        answers += [
            call(address, ["neurons.children"], [("url.search", "?sort=p_value_field")], [("url.pathname", "/")]),
            call(address, ["progress.children", "diagram.children"], [("tick.n_intervals", 1)]),
            call(address, ["stimulus.children"], [("spike.value", 5), ("settled.data", 1)], [("of-a.data", of)]),
            call(
                address, ["course-a.figure", "block-a.data"], [("strf-a.clickData", {"points": [{"x": 30, "y": 50}]})],
                [("delay.value", 1), ("of-a.data", of)],
            ),
        ]  # fmt: skip
    for answer, text in answers:
        assert answer.status == 200
        assert b'"alert"' not in text, text
