"""Several processes at work on one server: they ingest the same, compute what is deleted, only look."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import datajoint as dj
import pytest

import dj_neuron
from dj_neuron import queries
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

# the process stops where a person may be quick, or slow, and goes on when it is told to
COMPUTE = """
from dj_neuron.pipeline.strf import StrfEstimation
moment = arguments[0]
done = getattr(StrfEstimation, moment)

def pausing(self, *args):
    result = done(self, *args)
    go(moment)
    return result

setattr(StrfEstimation, moment, pausing)
report = pipeline.compute(judge=False)
print(report.computed["StrfEstimation"], *report.errors, sep="\\n")
"""

DELETE = """
go("ready")
try:
    if arguments[0] == "session":
        pipeline.experiment.Session().delete(prompt=False)
    else:
        pipeline.compute(0.2, replace=True, queue=True)
    print("deleted")
except Exception as error:
    print("refused", type(error).__name__)
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


@pytest.mark.parametrize(("what", "n_left"), [("session", 0), ("delays", 1)])
def test_what_a_worker_computes_is_deleted_meanwhile(pipeline, where, make_session, what, n_left):
    ingest_session(make_session({}))
    pipeline.compute(0.1, queue=True)
    with process(COMPUTE, where, "make_compute") as worker:
        wait_for(worker, "make_compute")
        if what == "session":
            experiment.Session().delete(prompt=False)
        else:
            pipeline.compute(0.2, replace=True, queue=True)
        go_on(worker)
        n_computed, *errors = rest(worker)
    key = "subject_name WT, session_date 2020-01-02, sample_number 3, stimulation_number 1, strf_params_id 1"
    sentence = f"StrfEstimation of {key}: what it is computed from was deleted meanwhile"
    assert (n_computed, errors) == ("0", [sentence])
    assert {n_rows()[name] for name in ("StrfEstimation", "Strf")} == {0}
    report = pipeline.compute(judge=False)
    assert (report.n_computed, report.errors) == (n_left, ())


@pytest.mark.parametrize("what", ["session", "delays"])
def test_what_a_worker_stores_is_deleted_meanwhile(pipeline, where, make_session, what):
    ingest_session(make_session({}))
    pipeline.compute(0.1, queue=True)
    with process(COMPUTE, where, "make_insert") as worker, process(DELETE, where, what) as owner:
        wait_for(worker, "make_insert")
        wait_for(owner, "ready")
        go_on(owner)
        time.sleep(0.5)  # whoever is first: the other waits for the worker's transaction, or comes after it
        go_on(worker)
        n_computed, *errors = rest(worker)
        (outcome,) = rest(owner)
    assert (n_computed, errors) == ("1", [])
    found = [n_rows()[name] for name in ("Session", "StrfParams", "StrfEstimation", "Strf")]
    if what == "delays":
        assert (outcome, found) == ("deleted", [1, 1, 0, 0])
    elif outcome == "deleted":
        assert found == [0, 1, 0, 0]
    else:  # DataJoint's own delete does not try again; then everything is there still
        assert (outcome, found) == ("refused DataJointError", [1, 1, 1, 3])
        experiment.Session().delete(prompt=False)
    assert pipeline.compute(judge=False).errors == ()


GRANTS = {
    "postgresql": {
        "worker": ("USAGE ON SCHEMA", "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA"),
        "reader": ("USAGE ON SCHEMA", "SELECT ON ALL TABLES IN SCHEMA"),
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
            connection.query(rf"GRANT {what} `{pattern}\_%`.* TO '{user}'@'127.0.0.1'")
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
