"""Many workers at one pipeline: who does what, what becomes of the keys of those that are gone, and how they end."""

import json
import re
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

import dj_neuron
from dj_neuron import computing, queries
from dj_neuron._datajoint import dj
from dj_neuron.cli import main
from dj_neuron.errors import DatabaseError, PipelineError, ServerAwayError
from dj_neuron.ingest import ingest_session
from dj_neuron.jobs import PatientConnection, Reservations, living
from dj_neuron.jobs.presence import Presence
from dj_neuron.jobs.reservations import MAX_LOST
from dj_neuron.pipeline import SCHEMA_MODULES
from dj_neuron.pipeline.ownership import give_up_ownership
from dj_neuron.pipeline.strf import StrfEstimation
from dj_neuron.workers.dask_cluster import work_on_dask

sys.path.insert(0, str(Path(__file__).parent))  # what these tests share with benchmarks/workers.py
from worker_experiment import (
    DELAYS,
    PASSWORD,
    SERVERS,
    WorkerProcess,
    contents,
    made_by,
    make_sessions,
    register,
    wait_for,
)

TABLES = ("StrfEstimation", "Significance", "ReceptiveField", "Mosaic", "Covariance", "Prediction", "Sufficiency")
N_SESSIONS = 3


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process computes by itself; also compiles the numerics, for those that are forked from here."""
    server = SERVERS["embedded"](tmp_path_factory.mktemp("alone"))
    with dj_neuron.connect(prefix="test_alone", **server.options) as pipeline:
        for session in make_sessions(N_SESSIONS):
            ingest_session(session)
        assert pipeline.compute(DELAYS).computed == dict.fromkeys(TABLES, N_SESSIONS)
        assert [(one.n_pending, one.n_reserved, one.n_errors) for one in queries.open_jobs()] == [(0, 0, 0)] * 7
    return contents(server, "test_alone")


@pytest.fixture(params=SERVERS)
def server(request, tmp_path):
    """A server of every kind, for this test alone."""
    if not SERVERS[request.param].is_here():
        pytest.skip(f"{request.param} is not installed")
    server = SERVERS[request.param](tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
def queued(pipeline):
    """Three sessions whose estimates wait for workers."""
    for session in make_sessions(3):
        ingest_session(session)
    pipeline.compute(0.05, queue=True)
    return pipeline


def worker_on(pipeline, **how):
    return computing.worker(pipeline.database.connection, pipeline.database.prefix, **how)


def only_estimates(worker):
    worker._tables = dict([next(iter(worker._tables.items()))])
    return worker


@pytest.mark.timeout(900)  # a busy machine takes its time; alone it is seconds
def test_killed_workers_and_a_restarted_server_leave_everything_computed_once(alone, server, tmp_path):
    register(server, "test_lab", n_sessions=N_SESSIONS)
    workers = [WorkerProcess(server, "test_lab", tmp_path, number) for number in range(2)]
    for number in (2, 3):
        victim = workers[-2]
        wait_for(lambda victim=victim: victim.made() or not victim.is_running())
        victim.signal(signal.SIGKILL)
        workers.append(WorkerProcess(server, "test_lab", tmp_path, number))
    wait_for(lambda: any(worker.made() for worker in workers[2:]))
    server.stop()
    time.sleep(0.5)
    server.start()
    codes = [worker.wait() for worker in workers[2:]]
    assert codes == [0, 0], "\n\n".join(worker.log.read_text() for worker in workers)
    assert contents(server, "test_lab") == alone
    made = made_by(workers)
    assert max(made.values()) == 1
    # a worker may be killed between storing a key and saying so
    assert len(made) >= len(TABLES) * N_SESSIONS - 2


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_worker_waits_for_a_server_that_is_away_when_it_starts_or_until_it_is_ended(kind, tmp_path):
    if not SERVERS[kind].is_here():
        pytest.skip(f"{kind} is not installed")
    server = SERVERS[kind](tmp_path)
    server.start()
    register(server, "test_lab", n_sessions=1)
    server.stop()
    waiting, ended = workers = [WorkerProcess(server, "test_lab", tmp_path, number) for number in range(2)]
    try:
        for worker in workers:
            wait_for(lambda worker=worker: "waiting for it, 60 s at most" in worker.log.read_text())
        ended.signal(signal.SIGTERM)
        assert ended.wait() == 2
        assert ended.lines()[-1].startswith("Error: the ")
        server.start()
        assert waiting.wait() == 0, waiting.lines()
    finally:
        server.close()
    assert len(waiting.made()) == len(TABLES)
    assert not [line for worker in workers for line in worker.lines() if PASSWORD in line]


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_who_is_refused_does_not_wait(kind, request, tmp_path):
    config = json.loads(request.getfixturevalue(f"{kind}_config").read_text())
    (tmp_path / "wrong.json").write_text(json.dumps({**config, "password": "black noise"}))
    with pytest.raises(DatabaseError, match="does not answer") as caught:
        dj_neuron.connect(tmp_path, config_file=tmp_path / "wrong.json")
    assert not isinstance(caught.value, ServerAwayError)


def test_a_lock_tells_who_lives(pipeline):
    connection = pipeline.database.connection
    with Presence(connection) as one:
        other = Presence(connection)
        assert living(connection, [one.ticket, other.ticket]) == {one.ticket}
        assert 2**32 <= one.ticket < 2**63
    wait_for(lambda: living(connection, [one.ticket]) == set())
    assert living(connection, []) == set()


def test_keys_of_the_living_are_waited_for_and_those_of_the_gone_taken_up(queued, monkeypatch):
    monkeypatch.setattr("dj_neuron.jobs.loop.GRACE_S", 0.5)
    connection, estimation = queued.database.connection, StrfEstimation()
    with Presence(connection) as other:
        connection.connection_id = other.ticket
        theirs = Reservations(estimation, other.ticket)
        theirs.add_new()
        key = theirs.pending()[0]
        assert theirs.reserve(key)
        seen = []

        def report(outcome):
            if outcome is None and not seen:
                seen.append([(one.n_reserved, one.reserved) for one in queries.open_jobs() if one.n_reserved])
                seen.append(len(estimation))
            elif outcome is None and len(seen) < 3 and other.held_since:
                other.__exit__()  # as if it were killed
                seen.append("gone")

        worker = only_estimates(worker_on(queued, report=report))
        worker.run()
    assert seen[1:] == [2, "gone"]
    [[(n_reserved, (reserved,))]] = [seen[0]]
    assert (n_reserved, reserved.lives) == (1, True)
    assert len(estimation) == 3


def test_the_job_of_a_worker_that_ended_after_storing_goes_with_the_next_look(queued, monkeypatch):
    connection, estimation = queued.database.connection, StrfEstimation()
    connection.connection_id = ticket = 2**40 + 1
    ended = Reservations(estimation, ticket)
    ended.add_new()
    key = ended.pending()[0]
    monkeypatch.setattr(Reservations, "complete", lambda *args, **kwargs: None)  # as if it were killed before
    assert ended.reserve(key)
    assert estimation._populate1(key, ended, suppress_errors=False, return_exception_objects=False)
    monkeypatch.undo()
    assert len(estimation.jobs.reserved & key) == 1
    only_estimates(worker_on(queued)).run()
    assert len(estimation.jobs) == 0
    assert len(estimation) == 3


def test_a_key_that_ends_its_workers_again_and_again_fails(queued):
    connection, estimation = queued.database.connection, StrfEstimation()
    estimation.jobs.refresh(delay=-1)
    key = estimation.jobs.pending.keys()[0]
    for number in range(1, MAX_LOST + 1):
        connection.connection_id = ticket = 2**40 + number
        lost = Reservations(estimation, ticket)
        assert lost.reserve(key)
        Reservations(estimation, 2**41).take_from({ticket})
    (failed,) = queries.open_jobs()[0].errors
    assert f"given up after {MAX_LOST} attempts" in failed.message
    assert failed.message.count("is gone") == MAX_LOST
    assert Reservations(estimation, 2**41).n_left() == 2


def test_keys_of_other_programs_are_left_to_them(queued):
    estimation = StrfEstimation()
    estimation.jobs.refresh(delay=-1)
    queued.database.connection.connection_id = 4711  # as DataJoint's own populate() has it
    assert estimation.jobs.reserve(estimation.jobs.pending.keys()[0])
    only_estimates(worker_on(queued)).run()
    assert len(estimation) == 2
    assert [one.lives for one in queries.open_jobs()[0].reserved] == [None]


def test_failures_keep_their_traceback_and_are_retried_on_request(queued, monkeypatch, caplog):
    compute = StrfEstimation.make_compute

    def fail(self, key, *fetched):
        if key["sample_number"] == 2:
            raise OSError("the disk is full")
        return compute(self, key, *fetched)

    monkeypatch.setattr(StrfEstimation, "make_compute", fail)
    outcomes = []
    only_estimates(worker_on(queued, report=outcomes.append)).run()
    assert sorted(outcome.result for outcome in outcomes) == ["computed", "computed", "failed"]
    assert not caplog.records  # whoever gets the outcomes says so
    monkeypatch.undo()
    only_estimates(worker_on(queued)).run()
    assert len(StrfEstimation()) == 2
    (jobs,) = [one for one in queued.status()["jobs"] if one["n_errors"]]
    assert jobs["errors"][0]["message"] == "OSError: the disk is full"
    assert re.search(r"Traceback .*in fail\n", jobs["errors"][0]["traceback"], re.DOTALL)
    assert "sample_number 2" in jobs["errors"][0]["key"]
    worker = only_estimates(worker_on(queued))
    assert worker.retry() == 1
    worker.run()
    assert len(StrfEstimation()) == 3


def test_what_is_deleted_while_it_is_computed_is_no_failure(queued, monkeypatch):
    compute = StrfEstimation.make_compute

    def delete_meanwhile(self, key, *fetched):
        if key["sample_number"] == 2:
            (queued.experiment.Session() & "sample_number = 2").delete(prompt=False)
        return compute(self, key, *fetched)

    monkeypatch.setattr(StrfEstimation, "make_compute", delete_meanwhile)
    outcomes = []
    only_estimates(worker_on(queued, report=outcomes.append)).run()
    assert [outcome.result for outcome in outcomes] == ["computed", "computed"]
    assert len(StrfEstimation.jobs) == 0


def test_a_worker_whose_tables_are_deleted_ends_in_a_sentence(queued):
    connection = queued.database.connection
    cascade = " CASCADE" if connection.adapter.backend == "postgresql" else ""

    def delete_all(outcome):
        if outcome is not None:
            give_up_ownership()
            for module in reversed(SCHEMA_MODULES.values()):
                connection.query(f"DROP SCHEMA {module.schema.database}{cascade}")

    with pytest.raises(PipelineError, match="all tables were deleted, perhaps to build them anew"):
        worker_on(queued, report=delete_all).run(forever=True)
    for module in SCHEMA_MODULES.values():
        module.schema.database = None  # those that the next test gets are others


def test_what_failed_and_was_deleted_is_not_tried_again(queued, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(StrfEstimation, "make_compute", fail)
    only_estimates(worker_on(queued)).run()
    (queued.experiment.Session() & "sample_number = 2").delete(prompt=False)
    assert only_estimates(worker_on(queued)).retry() == 2


def end_connection(pipeline, victim):
    """Have the server end a connection."""
    postgresql = victim.adapter.backend == "postgresql"
    number = victim.query("SELECT pg_backend_pid()" if postgresql else "SELECT connection_id()").fetchone()[0]
    other = pipeline.database.connection
    other.query(f"SELECT pg_terminate_backend({number})" if postgresql else f"KILL {number}")
    time.sleep(0.1)


def test_a_patient_connection_asks_again_but_not_within_a_transaction(pipeline):
    patient = PatientConnection.like(pipeline.database.connection, lambda: False, lambda line: None)
    end_connection(pipeline, patient)
    assert patient.query("SELECT 1").fetchone()[0] == 1
    patient.start_transaction()
    end_connection(pipeline, patient)
    with pytest.raises(dj.errors.LostConnectionError, match="during a transaction"):
        patient.query("SELECT 1")
    patient.cancel_transaction()
    assert patient.query("SELECT 1").fetchone()[0] == 1
    with pytest.raises(dj.errors.QuerySyntaxError):
        patient.query("SELEKT 1")
    patient.close()


def test_a_connection_lost_while_storing_is_another_attempt(queued, monkeypatch):
    insert, lost = StrfEstimation.make_insert, []

    def lose(self, key, *computed):
        if not lost:
            lost.append(key)
            end_connection(queued, self.connection)
        insert(self, key, *computed)

    monkeypatch.setattr(StrfEstimation, "make_insert", lose)
    patient = PatientConnection.like(queued.database.connection, lambda: False, lambda line: None)
    dj_neuron.pipeline.activate(patient, queued.database.prefix)
    outcomes = []
    tables = {StrfEstimation: None}
    computing.Worker(patient, queued.database.prefix, tables, report=outcomes.append).run()
    assert sorted(outcome.result for outcome in outcomes) == ["computed"] * 3 + ["given back"]
    assert len(StrfEstimation()) == 3
    patient.close()
    dj_neuron.pipeline.activate(queued.database.connection, queued.database.prefix)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_after_the_key_at_hand(alone, data_dir, prefix, tmp_path, number):
    embedded = type("", (), {"options": {"data_dir": data_dir}})
    register(embedded, prefix, n_sessions=2)
    worker = WorkerProcess(embedded, prefix, tmp_path, "ended", "--forever")
    wait_for(lambda: len(worker.made()) == 2 * len(TABLES))  # it waits for more now
    worker.signal(number)
    assert worker.wait() == 128 + number
    assert worker.lines()[-1].startswith("computed StrfEstimation of 2, Significance of 2")
    assert any("ending after the key at hand" in line for line in worker.lines())
    with dj_neuron.connect(data_dir, prefix=prefix):
        assert [one.n_reserved for one in queries.open_jobs()] == [0] * 7


def test_a_second_signal_gives_the_key_back(embedded, monkeypatch):
    ingest_session(next(make_sessions(1)))
    embedded.compute(0.05, queue=True)

    def end(self, key, *fetched):
        raise SystemExit(143)  # as the command line's handler does

    monkeypatch.setattr(StrfEstimation, "make_compute", end)
    with pytest.raises(SystemExit):
        only_estimates(worker_on(embedded)).run()
    jobs = queries.open_jobs()[0]
    assert (jobs.n_pending, jobs.n_reserved, jobs.n_errors) == (1, 0, 0)


def test_threads_are_bounded_while_working_and_not_after(data_dir, prefix, monkeypatch):
    register(type("", (), {"options": {"data_dir": data_dir}}), prefix, n_sessions=1)
    seen = set()
    compute = StrfEstimation.make_compute

    def look(self, key, *fetched):
        seen.add(dj_neuron.strf.thread_limit())
        return compute(self, key, *fetched)

    monkeypatch.setattr(StrfEstimation, "make_compute", look)
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        pipeline.work(n_threads=1)
        with pytest.raises(PipelineError, match="was closed"):
            pipeline.status()
    assert seen == {1}
    assert dj_neuron.strf.thread_limit() is None
    with dj_neuron.connect(data_dir, prefix=prefix):
        assert len(StrfEstimation()) == 1


def test_settings_open_the_same_database_and_show_no_secret(server):
    with dj_neuron.connect(prefix="test_settings", **server.options) as pipeline:
        settings, description = pipeline.database.settings, pipeline.database.description
    assert PASSWORD not in repr(settings)
    with dj_neuron.connection.connect_with(settings) as pipeline:
        assert (pipeline.database.prefix, pipeline.database.description) == ("test_settings", description)
        assert pipeline.database.instance.config.stores["dj_neuron"]["location"] == str(settings.data_dir / "store")
    if server.name.startswith("embedded"):
        elsewhere = type(settings)(**{**vars(settings), "host": "elsewhere"})
        with pytest.raises(DatabaseError, match=r"serves elsewhere, not .*need a server"):
            dj_neuron.connection.connect_with(elsewhere)


def test_without_a_scheduler_dask_is_refused_in_a_sentence(embedded):
    with pytest.raises(PipelineError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        work_on_dask(
            "tcp://127.0.0.1:9", embedded.database.settings, forever=False, retry=False, n_threads=1,
            stop=lambda: False, say=print, look=lambda: None, timeout_s=1,
        )  # fmt: skip


@pytest.mark.timeout(900)
def test_several_processes_are_one_worker_to_whoever_starts_them(alone, data_dir, prefix, tmp_path):
    embedded = type("", (), {"options": {"data_dir": data_dir}})
    register(embedded, prefix, n_sessions=1)
    workers = WorkerProcess(embedded, prefix, tmp_path, "several", "--processes=2", "--json")
    assert workers.wait(600) == 0, workers.lines()
    report = json.loads(workers.lines()[-1])
    assert report == {"computed": dict.fromkeys(TABLES, 1), "n_given_back": 0, "errors": [], "lost": []}
    again = WorkerProcess(embedded, prefix, tmp_path, "ended", "--processes=2", "--forever")
    wait_for(lambda: "\n".join(again.lines()).count("database: ") == 2, 600)
    again.signal(signal.SIGTERM)
    assert again.wait() == 128 + signal.SIGTERM
    assert again.lines()[-1] == "computed nothing"
    killed = WorkerProcess(embedded, prefix, tmp_path, "killed", "--processes=2", "--forever")
    wait_for(lambda: "\n".join(killed.lines()).count("database: ") == 2, 600)
    children = psutil.Process(killed.pid).children()
    killed.signal(signal.SIGKILL)
    _, left = psutil.wait_procs(children, 60)
    assert (len(children), left) == (2, [])


def test_two_processes_compute_beside_each_other(alone, data_dir, prefix, tmp_path):
    embedded = type("", (), {"options": {"data_dir": data_dir}})
    register(embedded, prefix, n_sessions=2)
    worker = WorkerProcess(embedded, prefix, tmp_path, "beside")
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        report = pipeline.compute()
    assert worker.wait() == 0, worker.lines()
    assert report.errors == ()
    assert sum(report.computed.values()) + len(worker.made()) == 2 * len(TABLES)
    assert threading.active_count() < 10


# the last one: what Dask leaves running in this process does not go with forking it
@pytest.mark.timeout(900)
def test_a_dask_cluster_computes_and_shows_no_password(alone, tmp_path, monkeypatch, capsys):
    distributed = pytest.importorskip("distributed")
    if not SERVERS["postgresql"].is_here():
        pytest.skip("PostgreSQL is not installed")
    server = SERVERS["postgresql"](tmp_path)
    server.start()
    try:
        register(server, "test_dask", n_sessions=2)
        options = (f"--config={server.config}", f"--data-dir={server.options['data_dir']}", "--prefix=test_dask")
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            arguments = ("worker", "--dask", cluster.scheduler_address, "--json")
            monkeypatch.setattr(sys, "argv", ["dj-neuron", *options, *arguments])
            main()
            printed = capsys.readouterr()
            logs = f"{cluster.get_logs()} {printed}"
        assert json.loads(printed.out)["computed"] == dict.fromkeys(TABLES, 2)
        assert "2 workers on the Dask cluster" in printed.err
        assert PASSWORD not in logs
        made = contents(server, "test_dask")
        assert made["Field"] == [row for row in alone["Field"] if row["sample_number"] <= 2]
    finally:
        server.close()
