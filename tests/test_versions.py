"""Tables of older and newer versions: refused in a sentence, or upgraded, from a stored database of the one before."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import psycopg2
import pymysql
import pytest

import dj_neuron
from dj_neuron import pipeline as tables
from dj_neuron import queries
from dj_neuron.database import open_database
from dj_neuron.errors import DatabaseError
from dj_neuron.pipeline import versions

STORED = Path(__file__).parent / "data" / "version_0.zip"
STORED_PREFIX = "stored"  # what make_dump.py calls it


def restore(database, prefix):
    """Bring back the stored database under another prefix."""
    info, backend = database.connection.conn_info, database.connection.adapter.backend
    where = {"host": info["host"], "port": info["port"], "user": info["user"], "password": info["passwd"]}
    with zipfile.ZipFile(STORED) as archive:
        text = archive.read(f"{backend}.sql").decode().replace(f"{STORED_PREFIX}_", f"{prefix}_")
        for name in archive.namelist():
            if name.startswith("store/"):
                path = database.data_dir / name.replace(f"{STORED_PREFIX}_", f"{prefix}_")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    client = psycopg2.connect(**where, dbname="postgres") if backend == "postgresql" else pymysql.connect(**where)
    with client.cursor() as cursor:
        if backend == "mysql":
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")  # tables are in the order of their names
        for statement in filter(str.strip, [text] if backend == "postgresql" else text.split(";\n")):
            cursor.execute(statement)
    client.commit()
    client.close()


@pytest.fixture
def older(data_dir, config_file, prefix):
    """The arguments of open_database() for a database of version 0."""
    with open_database(data_dir, config_file, prefix) as database:
        restore(database, prefix)
        yield data_dir, config_file, prefix
        for name in reversed(tables.SCHEMA_MODULES):
            database.connection.query(database.connection.adapter.drop_schema_sql(f"{prefix}_{name}"))
        for folder in (data_dir / "store").glob(f"*/{prefix}_*"):
            shutil.rmtree(folder)


def connect(folder, config, prefix):
    return dj_neuron.connect(folder, config_file=config, prefix=prefix)


def upgrade(arguments):
    with open_database(*arguments) as database:
        return list(tables.upgrade(database.connection, database.prefix))


def test_older_tables_are_refused_upgraded_and_computed(older):
    with pytest.raises(
        DatabaseError, match=rf"are of version 0, .* expects {versions.PRESENT}: .* run 'dj-neuron db upgrade'"
    ):
        connect(*older)
    steps = upgrade(older)
    assert steps == [
        "Judgement has new columns; 4 row(s) of Significance were removed: compute again",
        "Score has new columns; 4 row(s) of Prediction were removed: compute again",
        "4 column(s) keep checksums of arrays stored from now on; 11 index(es) were added",
        "1 index(es) were added",
    ]
    assert upgrade(older) == []
    with connect(*older) as pipeline:
        counts = queries.counts()
        assert (counts["sessions"], counts["stimulations"], counts["spikes"], counts["strfs"]) == (2, 2, 360, 12)
        kept = [strf.values for strf in pipeline.strfs(combine=False)]
        report = pipeline.compute()
        assert report.errors == ()
        assert report.computed["StrfEstimation"] == report.computed["Sufficiency"] == 0
        assert {report.computed[name] for name in ("Significance", "ReceptiveField", "Prediction", "Covariance")} == {4}
        rows = pipeline.receptive_field.Significance.Judgement().to_dicts()
        assert all(row["p_value_field"] is not None for row in rows if row["neuron_id"] != 2)
        scores = pipeline.quality.Prediction.Score().to_dicts()
        assert {row["n_trials"] for row in scores if row["neuron_id"] == 1} == {2}
        # as if it had been computed by this version from the beginning
        anew = pipeline.compute(0.07, replace=True)
        pipeline.compute([dj_neuron.connection.DelayRange(-0.05, 0.1), 0.05], replace=True)
        assert anew.errors == ()
        for before, after in zip(kept, [strf.values for strf in pipeline.strfs(combine=False)], strict=True):
            np.testing.assert_array_equal(before, after)
        assert {row["p_value_field"] for row in rows} == {
            row["p_value_field"] for row in pipeline.receptive_field.Significance.Judgement().to_dicts()
        }


def test_an_interrupted_upgrade_is_taken_up_again(older):
    with open_database(*older) as database:
        next(tables.upgrade(database.connection, database.prefix))
    with pytest.raises(DatabaseError, match="db upgrade"):
        connect(*older)
    assert [step.split()[0] for step in upgrade(older)] == ["Score", "4", "1"]
    connect(*older).close()


def test_tables_after_an_upgrade_are_those_of_a_new_pipeline(older, prefix):
    upgrade(older)
    with connect(*older):
        upgraded = {table.__name__: described(table) for table in tables.table_classes()}
    folder, config, _ = older
    with connect(folder, config, f"{prefix}_new") as pipeline:
        assert upgraded == {table.__name__: described(table) for table in tables.table_classes()}
        tables.drop(pipeline.database.connection, f"{prefix}_new")


@pytest.mark.parametrize("version", [2, 3])
def test_indexes_are_added_that_tables_of_a_version_lack(pipeline, version):
    connection, prefix = pipeline.database.connection, pipeline.database.prefix
    is_mysql = connection.adapter.backend == "mysql"
    added = [
        (3, tables.receptive_field.Significance.Judgement, ("p_value", "q_value")),
        (4, tables.experiment.Neuron, ("source_label",)),
    ]
    lacking = [(table, columns) for since, table, columns in added if since > version]

    def names(table, columns):
        found = connection.query(versions._INDEX_NAMES[connection.adapter.backend], args=(table.database,))
        return {name for name, *_ in found if any(column in name for column in columns)}

    for table, columns in lacking:
        assert len(names(table, columns)) == len(columns)
        for name in names(table, columns):
            place = f" ON {table.full_table_name}" if is_mysql else ""
            index = name if is_mysql else f'"{table.database}"."{name}"'
            connection.query(f"DROP INDEX {index}{place}")
    versions.record(connection, prefix, version)
    steps = list(tables.upgrade(connection, prefix))
    assert steps == [f"{len(columns)} index(es) were added" for _, columns in lacking]
    for table, columns in lacking:
        assert len(names(table, columns)) == len(columns)


def described(table):
    """Give the columns of a table, whose order and comments may differ."""
    return {
        name: (a.type, a.original_type, a.nullable, a.default, a.in_key)
        for name, a in table().heading.attributes.items()
    }


def test_tables_that_were_being_made_are_made_to_the_end(data_dir, config_file, prefix, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables.strf.StrfParams, "declare", fail)
    with pytest.raises(KeyboardInterrupt):
        connect(data_dir, config_file, prefix)
    monkeypatch.undo()
    with connect(data_dir, config_file, prefix) as pipeline:
        assert [table.n_rows for table in queries.tables()] == [0] * 25
        tables.drop(pipeline.database.connection, prefix)


def test_tables_of_a_newer_version_are_refused(pipeline, data_dir, config_file, prefix):
    connection = pipeline.database.connection
    versions.record(connection, prefix, versions.PRESENT + 1)
    sentence = rf"are of version {versions.PRESENT + 1}, .* knows them up to {versions.PRESENT}: update dj-neuron$"
    try:
        with open_database(data_dir, config_file, prefix) as database:
            with pytest.raises(DatabaseError, match=sentence):
                tables.activate(database.connection, prefix)
            with pytest.raises(DatabaseError, match=sentence):
                list(tables.upgrade(database.connection, prefix))
    finally:
        versions.record(connection, prefix, versions.PRESENT)


def test_tables_from_before_all_upgrades_are_refused(older, prefix):
    with open_database(*older) as database:
        name = f"{prefix}_strf"
        quote = database.connection.adapter.quote_identifier
        database.connection.query(f"ALTER TABLE {quote(name)}.{quote('__strf_estimation__strf')} DROP COLUMN noise_z")
        with pytest.raises(DatabaseError, match=r"__strf. has no column 'noise_z', and no upgrade adds it"):
            list(tables.upgrade(database.connection, prefix))


def test_without_tables_there_is_nothing_to_upgrade(data_dir, config_file, prefix):
    with (
        open_database(data_dir, config_file, prefix) as database,
        pytest.raises(DatabaseError, match=f"there are no tables of '{prefix}' to upgrade"),
    ):
        list(tables.upgrade(database.connection, prefix))
