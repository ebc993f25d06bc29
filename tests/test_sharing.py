"""Several processes at work on one server: they ingest the same, compute what is deleted, only look."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import dj_neuron
from dj_neuron import queries
from dj_neuron._datajoint import dj
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import SCHEMA_MODULES, drop, experiment, table_classes

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


GRANTS = {
    "postgresql": {
        "worker": ("USAGE ON SCHEMA", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA"),
        "reader": ("USAGE ON SCHEMA", "SELECT, REFERENCES ON ALL TABLES IN SCHEMA"),
    },
    "mysql": {"worker": ("SELECT, INSERT, UPDATE, DELETE ON",), "reader": ("SELECT ON",)},
}


@pytest.fixture(params=["postgresql", "mysql"])
def server(request):
    """The configuration file of a server that has roles."""
    return request.getfixturevalue(f"{request.param}_config")


def grant(connection, prefix, role, user):
    """Do what docs/how-to/use-a-server.md says."""
    backend = connection.adapter.backend
    if backend == "mysql":
        connection.query(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'x'")
        pattern = prefix.replace("_", r"\_")
        for what in GRANTS[backend][role]:
            connection.query(rf"GRANT {what} `{pattern}\_%%`.* TO '{user}'@'127.0.0.1'")
        return
    connection.query(f"CREATE ROLE {user} LOGIN PASSWORD 'x'")
    for name in SCHEMA_MODULES:
        for what in GRANTS[backend][role]:
            connection.query(f"GRANT {what} {prefix}_{name} TO {user}")


def revoke(connection, user):
    if connection.adapter.backend == "mysql":
        connection.query(f"DROP USER '{user}'@'127.0.0.1'")
    else:
        connection.query(f"DROP OWNED BY {user}")
        connection.query(f"DROP ROLE {user}")


def test_roles_can_do_what_the_docs_say_and_no_more(server, data_dir, prefix, make_session, tmp_path):
    configs = {}
    with dj_neuron.connect(data_dir, config_file=server, prefix=prefix) as pipeline:
        connection = pipeline.database.connection
        for role in ("worker", "reader"):
            user = f"{role}_{prefix[-8:]}"
            grant(connection, prefix, role, user)
            configs[role] = tmp_path / f"{role}.json"
            configs[role].write_text(json.dumps(json.loads(server.read_text()) | {"username": user, "password": "x"}))
    try:
        with dj_neuron.connect(data_dir, config_file=configs["worker"], prefix=prefix) as pipeline:
            assert ingest_session(make_session({})).outcome == "new"
            assert pipeline.compute(0.1).errors == ()
            assert pipeline.compute(0.2, replace=True, judge=False).n_removed == 1
        with dj_neuron.connect(data_dir, config_file=configs["reader"], prefix=prefix) as pipeline:
            assert pipeline.status()["strfs"] == 3
            assert len(pipeline.strfs()) == 3
            assert [table.n_rows for table in queries.tables()][:2] == [1, 1]
            with pytest.raises(dj.errors.AccessError):
                ingest_session(make_session(sample_number=9))
            with pytest.raises(dj.errors.AccessError):
                pipeline.compute(0.3, queue=True)
    finally:
        with dj_neuron.connect(data_dir, config_file=server, prefix=prefix) as pipeline:
            drop(pipeline.database.connection, prefix)
            for role in configs:
                revoke(pipeline.database.connection, f"{role}_{prefix[-8:]}")
