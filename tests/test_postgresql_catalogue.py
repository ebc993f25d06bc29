"""What the catalogue says of tables is what DataJoint reads from the information schema."""

import pytest

from dj_neuron import pipeline as tables
from dj_neuron._datajoint import PostgreSQLAdapter, dj
from dj_neuron.postgresql_catalogue import CatalogueAdapter
from dj_neuron.thread_connections import another_connection

# every type that a column of DataJoint has, and what a column can be beside it
OF_ALL_TYPES = """
CREATE TYPE {0}.colour AS ENUM ('red', 'green');
CREATE TABLE {0}.of_all_types (
    "key" int8 NOT NULL, gone int, "Name" varchar(7) DEFAULT 'it''s', fixed char(3), long text, colour {0}.colour,
    small int2, single float4 DEFAULT 0.5, double float8, exact numeric(9, 3), whole numeric(5), any_size numeric,
    day date, moment timestamp(3) DEFAULT CURRENT_TIMESTAMP(3), flag bool NOT NULL, content bytea, more json,
    other jsonb, identity uuid, several int[], twice int GENERATED ALWAYS AS (small * 2) STORED, number serial,
    PRIMARY KEY ("Name", "key"), UNIQUE (day, moment)
);
ALTER TABLE {0}.of_all_types DROP COLUMN gone;
COMMENT ON COLUMN {0}.of_all_types.fixed IS ':char(3):it''s 100 %';
CREATE INDEX ON {0}.of_all_types (lower(long));
CREATE TABLE {0}."~hidden" (number int);
CREATE TABLE {0}.follows (a varchar(7), b int8, c int, FOREIGN KEY (a, b) REFERENCES {0}.of_all_types)
"""


pytestmark = pytest.mark.parametrize("config_file", ["embedded", "postgresql"], indirect=True)
OURS, THEIRS = CatalogueAdapter(), PostgreSQLAdapter()


@pytest.fixture
def connection(pipeline, prefix):
    """A connection to a server with tables of ours, and with others in one more schema."""
    connection, other = pipeline.database.connection, f"{prefix}_other"
    connection.query(f"CREATE SCHEMA {other}")
    for statement in OF_ALL_TYPES.format(other).split(";"):
        connection.query(statement.replace("%", "%%"))
    yield connection
    connection.query(f"DROP SCHEMA {other} CASCADE")


def answers(connection, question, *about):
    """What is answered to ours and to DataJoint's own question, in any order."""
    for adapter in (OURS, THEIRS):
        rows = connection.query(getattr(adapter, question)(*about), as_dict=True).fetchall()
        yield sorted((dict(row) for row in rows), key=str)


def test_of_every_table_the_same_is_known(connection, prefix):
    names = [(table.database, table.table_name) for table in tables.table_classes()]
    names += [(table.database, table().jobs.table_name) for table in tables.table_classes() if is_computed(table)]
    names += [(f"{prefix}_other", name) for name in ("of_all_types", "follows", "~hidden", "missing")]
    names += [("missing", "missing"), (f"{prefix}_strf", "~lineage")]
    for name in names:
        columns, expected = (
            [OURS.parse_column_info(row) for row in rows] for rows in answers(connection, "get_columns_sql", *name)
        )
        assert columns == expected, name
        for question in ("get_primary_key_sql", "get_indexes_sql"):
            found, expected = answers(connection, question, *name)
            assert found == expected, (question, name)
        info, expected = answers(connection, "get_table_info_sql", *name)
        assert info == [{key: row[key] for key in info[0]} for row in expected], name
    assert len(names) > 30


def is_computed(table):
    return issubclass(table, dj.Computed)


def test_columns_come_in_their_order(connection, prefix):
    for question in ("get_columns_sql", "get_primary_key_sql"):
        found, expected = (
            [row[0] for row in connection.query(getattr(adapter, question)(f"{prefix}_other", "of_all_types"))]
            for adapter in (OURS, THEIRS)
        )
        assert found == expected
        assert len(found) > 1


def test_what_refers_to_what_is_the_same_also_across_schemas(connection, prefix):
    own, other = [f"{prefix}_{name}" for name in tables.SCHEMA_MODULES], f"{prefix}_other"
    for schemas in (own, own[:1], own[1:2], own[-1:], [other], [*own, other], ["missing"]):
        for question in ("load_primary_keys_sql", "load_foreign_keys_sql"):
            listed = ", ".join(map(OURS.quote_string, schemas))
            found, expected = answers(connection, question, listed, "'~%%'")
            assert found == expected, (question, schemas)
            assert bool(found) == (schemas != ["missing"])


def test_every_connection_asks_so(connection):
    other = another_connection(connection)
    assert isinstance(connection.adapter, CatalogueAdapter)
    assert isinstance(other.adapter, CatalogueAdapter)
    other.close()
