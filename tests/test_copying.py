"""Copies of a pipeline between databases of every kind, with real servers, stores and killed processes."""

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

import dj_neuron
from dj_neuron import queries
from dj_neuron.cli_verbs import cli
from dj_neuron.computing import DelayRange
from dj_neuron.contracts import Movie
from dj_neuron.copying import copy_pipeline
from dj_neuron.database import open_database
from dj_neuron.errors import DatabaseError, PipelineError, StoreError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import SCHEMA_MODULES, drop, table_classes

EVERY_WAY = [("embedded", "postgresql"), ("embedded", "mysql"), ("postgresql", "embedded"), ("mysql", "embedded")]


@pytest.fixture
def where(request, data_dir, prefix, tmp_path):
    """Give the arguments of connect() for a kind of server and one of two places; empty both in the end."""
    used = []

    def options(kind, place):
        config = Path("embedded") if kind == "embedded" else request.getfixturevalue(f"{kind}_config")
        folder = data_dir if kind == "embedded" else tmp_path / place
        used.append((folder, config, f"{prefix}_{place}"))
        return used[-1]

    yield options
    for folder, config, prefix_used in dict.fromkeys(used):
        with open_database(folder, config, prefix_used) as database:
            drop(database.connection, prefix_used)


def connect(folder, config, prefix):
    return dj_neuron.connect(folder, config_file=config, prefix=prefix)


def fill(options, make_session):
    edges = 2 + np.cumsum(np.random.default_rng(1).uniform(0.01, 0.05, 201))
    graded = Movie.from_frames(np.random.default_rng(2).normal(0, 0.3, (200, 3, 4)).clip(-1, 1), block_size_px=(10, 20))
    gaps = np.array([[edges[50] + 0.001, edges[51]]])
    session = make_session(
        {},
        {"frame_edges_s": edges, "gaps_s": gaps},
        {"movie": graded},
        subject_name="""O'Hara "%s\\n" é🐭""".replace("\\", "/"),
    )
    with connect(*options) as pipeline:
        ingest_session(session)
        ingest_session(make_session(subject_name="o'hara", note="\\ 100 % {} \t\n"))
        pipeline.receptive_field.SignificanceParams.insert1({"significance_params_id": 1, "n_shifts": 20})
        pipeline.covariance.CovarianceParams.insert1({"covariance_params_id": 1, "n_shifts": 20})
        pipeline.compute(DelayRange(-0.05, 0.05))
        return contents()


def contents():
    """Everything that the tables of the open pipeline hold, arrays read."""
    found = {}
    for table in table_classes():
        rows = table().to_dicts(order_by="KEY")
        found[table.__name__] = [{name: plain(value) for name, value in row.items()} for row in rows]
    for stimulation_id in queries.stimulation_ids():
        found[stimulation_id] = queries.stimulation(stimulation_id).movie.movie_hash
    return found


def plain(value):
    """What can be compared bit by bit."""
    if hasattr(value, "load"):
        value = value.load()
    if isinstance(value, Movie):
        return value.movie_hash
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def arrays_in(folder, prefix):
    files = (path for path in (folder / "store").rglob(f"*{prefix}*/**/*") if path.is_file())
    return [*files, *(folder / "store").rglob(f"{prefix}.copying")]


@pytest.mark.parametrize(("kind", "other"), EVERY_WAY)
def test_a_copy_is_the_same_to_the_bit(where, make_session, kind, other):
    there, here = where(kind, "a"), where(other, "b")
    before = fill(there, make_session)
    said = []
    with open_database(*there) as source, open_database(*here) as target:
        report = copy_pipeline(source, target, lambda *progress: said.append(progress))
    assert report.n_rows == sum(len(rows) for name, rows in before.items() if isinstance(name, str))
    assert report.n_arrays == len(arrays_in(here[0], here[2]))
    assert {name: n for name, n, _ in said} == {
        name: len(rows) for name, rows in before.items() if rows and isinstance(name, str)
    }
    with connect(*there):
        assert contents() == before
    with connect(*here) as pipeline:
        assert contents() == before
        report = pipeline.compute()
        assert (sum(report.computed.values()), report.errors) == (0, ())
        assert len(queries.neuron_table()) == 9
        # and it goes on by itself
        assert pipeline.compute(0.1, judge=False).n_computed == 3


def fill_quickly(options, make_session):
    """Five arrays: two movies and the STRFs of three neurons."""
    with connect(*options) as pipeline:
        graded = Movie.from_frames(np.random.default_rng(2).normal(0, 0.3, (200, 3, 4)).clip(-1, 1))
        ingest_session(make_session({}))
        ingest_session(make_session({"movie": graded, "spike_trains": ()}, sample_number=9))
        pipeline.compute(0.05, judge=False)


def copy(there, here, progress=None):
    with open_database(*there) as source, open_database(*here) as target:
        return copy_pipeline(source, target, progress)


def assert_empty(folder, config, prefix):
    with connect(folder, config, prefix):
        assert sum(len(table()) for table in table_classes()) == 0
    assert arrays_in(folder, prefix) == []


@pytest.mark.parametrize("kind", ["embedded", "postgresql", "mysql"])
def test_a_copy_that_fails_leaves_nothing_and_can_be_repeated(where, make_session, kind):
    there, here = where("embedded", "a"), where(kind, "b")
    fill_quickly(there, make_session)

    def end(table, n_done, n_rows):
        if table == "StrfEstimation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(there, here, end)
    assert_empty(*here)

    strf = next(path for path in arrays_in(there[0], there[2]) if "strf_" in path.name)
    content = strf.read_bytes()
    strf.unlink()
    with pytest.raises(DatabaseError, match=rf"{strf.name} is missing from the store in"):
        copy(there, here)
    assert_empty(*here)
    strf.write_bytes(content)

    movie = next(path for path in arrays_in(there[0], there[2]) if "experiment" in str(path))
    content = movie.read_bytes()
    movie.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DatabaseError, match=rf"{movie.name} in the store in .* is damaged: its checksum differs"):
        copy(there, here)
    assert_empty(*here)
    movie.write_bytes(content)

    assert copy(there, here).n_arrays == 5
    with pytest.raises(PipelineError, match=r"has 1 row\(s\) of Subject under the prefix .*: choose another prefix"):
        copy(there, here)


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_copy_that_is_killed_leaves_no_rows_and_is_made_again(where, make_session, kind):
    there, here = where("embedded", "a"), where(kind, "b")
    fill_quickly(there, make_session)
    script = """
import sys
from pathlib import Path
from dj_neuron.copying import copy_pipeline
from dj_neuron.database import open_database

def stop(table, n_done, n_rows):
    print(table, flush=True)
    if table == "Strf":
        sys.stdin.read()

ends = [(Path(folder), Path(config), prefix) for folder, config, prefix in (sys.argv[1:4], sys.argv[4:7])]
with open_database(*ends[0]) as source, open_database(*ends[1]) as target:
    copy_pipeline(source, target, stop)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, (*there, *here))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert "Strf\n" in child.stdout
        with pytest.raises(DatabaseError, match=r"another process \(.+\) is at work on the tables of '.*_b copy'"):
            copy(there, here)
        with connect(*here) as pipeline:
            assert not [orphan for orphan in pipeline.inventory().orphans if orphan.path.endswith(".copying")]
            with pytest.raises(DatabaseError, match="copy'"):
                pipeline.clean(older_than_s=0, delete=True)
        child.kill()
    left = arrays_in(here[0], here[2])
    assert len(left) == 5 + 1  # and the mark
    with connect(*here) as pipeline:
        assert sum(len(table()) for table in table_classes()) == 0
        assert len(pipeline.inventory().orphans) == len(pipeline.clean(older_than_s=0)) == 5 + 1
        if kind == "mysql":  # else the next copy removes them
            assert len(pipeline.clean(older_than_s=3600, delete=True)) == 0
            assert len(pipeline.clean(older_than_s=0, delete=True)) == 5 + 1
            assert arrays_in(here[0], here[2]) == []
    assert copy(there, here).n_arrays == 5
    assert len(arrays_in(here[0], here[2])) == 5


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_who_ingests_into_the_target_of_a_copy_waits_and_loses_nothing(where, make_session, kind, small_file):
    there, here = where("embedded", "a"), where(kind, "b")
    fill_quickly(there, make_session)
    connect(*here).close()
    script = """
import sys
import dj_neuron
with dj_neuron.connect(sys.argv[1], config_file=sys.argv[2], prefix=sys.argv[3]) as pipeline:
    print("connected", flush=True)
    pipeline.ingest(sys.argv[4], progress=lambda report: print(report, flush=True))
"""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, (*here, small_file))]
    others = []

    def meanwhile(table, n_done, n_rows):
        if table == "Movie":
            others.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert others[0].stdout.readline() == "connected\n"
            with pytest.raises(subprocess.TimeoutExpired):
                others[0].wait(2)
        if table == "StrfEstimation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(there, here, meanwhile)
    said, _ = others[0].communicate(timeout=60)
    assert (others[0].returncode, said.count(": new; ")) == (0, 3)
    with connect(*here) as pipeline:
        found = pipeline.inventory()
        assert (found.n_objects, found.orphans, found.faults) == (3, (), ())


def test_two_databases_never_share_an_array(where, make_session, postgresql_config):
    there = where("embedded", "a")
    fill_quickly(there, make_session)
    folder, _, prefix = there
    beside = (folder, postgresql_config, prefix)
    try:
        with open_database(*there) as source, open_database(*beside) as target, refused_for_another():
            copy_pipeline(source, target)
        for attempt in (
            lambda pipeline: pipeline.ingest_sessions([make_session({})]),
            lambda pipeline: pipeline.compute(0.1),
            lambda pipeline: pipeline.work(),
            lambda pipeline: pipeline.inventory(),
            lambda pipeline: pipeline.clean(older_than_s=0, delete=True),
            lambda pipeline: pipeline.clear(),
        ):
            with connect(*beside) as pipeline, refused_for_another():
                attempt(pipeline)
        with connect(*beside):
            assert sum(len(table()) for table in table_classes()) == 0
        with connect(*there) as pipeline:
            assert (pipeline.inventory().n_objects, pipeline.inventory().faults) == (5, ())
            pipeline.clear()
        with connect(*beside) as pipeline:  # now it is free
            pipeline.ingest_sessions([make_session({})])
        with connect(*there) as pipeline, refused_for_another():
            pipeline.ingest_sessions([make_session({})])
        with connect(*beside) as pipeline:
            pipeline.clear()
    finally:
        with open_database(*beside) as target:
            for name in reversed(SCHEMA_MODULES):
                target.connection.query(target.connection.adapter.drop_schema_sql(f"{prefix}_{name}"))


def refused_for_another():
    return pytest.raises(StoreError, match=r"\.pipeline says that the arrays there belong to another database, which")


def test_names_that_another_database_cannot_tell_apart_fail_the_copy(where, make_session, mysql_config):
    there, here = where("embedded", "a"), where("mysql", "b")
    with connect(*there):
        ingest_session(make_session(subject_name="wt"))
        ingest_session(make_session(subject_name="WT"))
    with open_database(*here) as database:
        for name in SCHEMA_MODULES:  # as somebody may have made them by hand
            database.connection.query(f"CREATE DATABASE `{here[2]}_{name}` COLLATE utf8mb4_general_ci")
    with pytest.raises(DatabaseError, match="nothing was copied, for DuplicateError came up: Duplicate entry 'WT'"):
        copy(there, here)
    assert_empty(*here)


def test_the_command_copies_there_and_back(where, make_session, postgresql_config, tmp_path, capsys):
    there, here = where("embedded", "a"), where("postgresql", "b")
    fill_quickly(there, make_session)

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["dj-neuron", *map(str, arguments)])
            cli.main(list(map(str, arguments)), standalone_mode=False)
        return capsys.readouterr()

    start = ["--config", "embedded", "--data-dir", there[0], "--prefix", there[2], "db", "copy"]
    said = run(*start, "--to-config", here[1], "--to-data-dir", here[0], "--to-prefix", here[2])
    assert "copied and compared" in said.out
    assert "Strf: 3 of 3 rows" in said.err
    back = where("embedded", "c")
    start = ["--config", here[1], "--data-dir", here[0], "--prefix", here[2], "db", "copy"]
    run(*start, "--to-config", "embedded", "--to-data-dir", back[0], "--to-prefix", back[2])
    with connect(*there):
        before = contents()
    with connect(*back) as pipeline:
        assert contents() == before
        assert pipeline.figures(tmp_path / "figures", restriction="sample_number = 3")
    with pytest.raises(click.UsageError, match="needs a place of its own"):
        run("--data-dir", there[0], "db", "copy")
