"""One read-only connection per thread, on every kind of server."""

import threading

import pytest

import dj_neuron
from dj_neuron import pipeline as tables
from dj_neuron import queries
from dj_neuron.embedded import EmbeddedServer
from dj_neuron.errors import DatabaseError
from dj_neuron.thread_connections import ThreadConnections


@pytest.fixture
def reading(pipeline):
    """The tables, bound to connections that only read."""
    database = pipeline.database
    connections = ThreadConnections(database.connection, database.description)
    tables.activate(connections, database.prefix)
    queries.load_headings()
    yield connections
    connections.close()
    tables.activate(database.connection, database.prefix)


def test_the_server_refuses_to_write(reading, pipeline):
    with pytest.raises(Exception, match=r"(?i)read[- ]only"):
        pipeline.experiment.Subject().insert1({"subject_name": "WT"})
    with pytest.raises(Exception, match=r"(?i)read[- ]only"):
        reading.query(f"DELETE FROM {pipeline.experiment.Subject().full_table_name}")  # noqa: S608
    assert queries.totals(queries.default_parameters())["sessions"] == 0


def test_every_thread_has_a_connection_of_its_own(reading):
    seen, barrier = [], threading.Barrier(4)

    def read():
        barrier.wait()
        for _ in range(20):
            assert queries.totals(queries.default_parameters())["sessions"] == 0
        seen.append(reading.connection_id)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 4


def test_closing_closes_all(reading):
    own = reading.connection_id
    assert own
    reading.close()
    # the next question opens a new one
    assert queries.totals(queries.default_parameters())["sessions"] == 0
    assert reading.connection_id != own


def test_it_survives_a_restart_of_the_server_and_stays_read_only(tmp_path):
    server = EmbeddedServer(tmp_path)
    with dj_neuron.connect(tmp_path) as pipeline:
        database = pipeline.database
        connections = ThreadConnections(database.connection, database.description)
        tables.activate(connections, database.prefix)
        queries.load_headings()
        database.connection.close()

        server.stop(force=True)
        with pytest.raises(DatabaseError, match=r"embedded PostgreSQL in .* does not answer"):
            queries.totals(queries.default_parameters())
        with server:
            assert queries.totals(queries.default_parameters())["sessions"] == 0
            with pytest.raises(Exception, match="read-only"):
                pipeline.experiment.Subject().insert1({"subject_name": "WT"})
            # a connection that breaks between two questions goes unnoticed
            server.stop(force=True)
            server.start()
            assert queries.totals(queries.default_parameters())["sessions"] == 0
            connections.close()


def test_what_is_no_lost_connection_is_not_asked_twice(reading):
    with pytest.raises(Exception, match="no_such_column"):
        reading.query("SELECT no_such_column")
