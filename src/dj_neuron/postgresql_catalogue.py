"""What PostgreSQL knows of tables, asked of its catalogue instead of the views of the information schema.

DataJoint asks five questions a table whenever a pipeline is opened, and two more about all of them. The standard's
views answer each in milliseconds, most of which go into joining views, and in more the more tables there are; the
catalogue's own tables, asked by name, in a fraction of that. The answers are those to DataJoint's own questions.
"""

from __future__ import annotations

from typing import Any

from dj_neuron._datajoint import PostgreSQLAdapter

__all__ = ["CatalogueAdapter", "quicken"]

_NAME = "'\"' || {schema}.nspname || '\".\"' || {table}.relname || '\"'"


def _table(oid: str) -> str:
    return f"""(
        SELECT {_NAME.format(schema="n", table="t")}
        FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.oid = {oid})"""


def _column(oid: str, number: str) -> str:
    return f"(SELECT attname FROM pg_attribute WHERE attrelid = {oid} AND attnum = {number})"


class CatalogueAdapter(PostgreSQLAdapter):  # type: ignore[misc]
    """DataJoint's own, but for its questions about tables."""

    def _oid(self, schema_name: str, table_name: str) -> str:
        """Name a table for the catalogue; of one that is not there no rows are found."""
        return f"to_regclass({self.quote_string(self.make_full_table_name(schema_name, table_name))})"

    def get_table_info_sql(self, schema_name: str, table_name: str) -> str:
        return f"""
            SELECT relname AS table_name, obj_description(oid, 'pg_class') AS table_comment
            FROM pg_class WHERE oid = {self._oid(schema_name, table_name)} AND relkind IN ('r', 'v', 'f', 'p')"""

    def get_columns_sql(self, schema_name: str, table_name: str) -> str:
        return f"""
            SELECT a.attname AS column_name,
                CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY'
                    WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN format_type(a.atttypid, NULL)
                    ELSE 'USER-DEFINED' END AS data_type,
                t.typname AS udt_name,
                CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
                CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS column_default,
                CASE WHEN a.atttypmod > 0 AND a.atttypid IN ('bpchar'::regtype, 'varchar'::regtype)
                    THEN a.atttypmod - 4 END AS character_maximum_length,
                CASE WHEN a.atttypmod > 0 AND a.atttypid = 'numeric'::regtype
                    THEN ((a.atttypmod - 4) >> 16) & 65535 END AS numeric_precision,
                CASE WHEN a.atttypmod > 0 AND a.atttypid = 'numeric'::regtype
                    THEN (a.atttypmod - 4) & 65535 END AS numeric_scale,
                col_description(a.attrelid, a.attnum) AS column_comment
            FROM pg_attribute a
            JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = {self._oid(schema_name, table_name)} AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum"""

    def get_primary_key_sql(self, schema_name: str, table_name: str) -> str:
        return f"""
            SELECT a.attname AS column_name
            FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = {self._oid(schema_name, table_name)} AND i.indisprimary
            ORDER BY array_position(i.indkey::int2[], a.attnum)"""

    def get_indexes_sql(self, schema_name: str, table_name: str) -> str:
        return f"""
            SELECT c.relname AS indexname, pg_get_indexdef(i.indexrelid) AS indexdef
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = {self._oid(schema_name, table_name)}"""

    def load_primary_keys_sql(self, schemas_list: str, like_pattern: str) -> str:
        return f"""
            SELECT {_NAME.format(schema="n", table="c")} AS tab, {_column("c.oid", "number")} AS column_name
            FROM pg_namespace n
            JOIN pg_class c ON c.relnamespace = n.oid AND c.relname NOT LIKE {like_pattern}
            JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
            CROSS JOIN LATERAL unnest(i.indkey::int2[]) AS keys (number)
            WHERE n.nspname IN ({schemas_list})"""

    def load_foreign_keys_sql(self, schemas_list: str, like_pattern: str) -> str:
        # a constraint has the schema of the table that refers
        return f"""
            SELECT c.conname AS constraint_name,
                {_table("c.conrelid")} AS referencing_table,
                {_table("c.confrelid")} AS referenced_table,
                {_column("c.conrelid", "pairs.own")} AS column_name,
                {_column("c.confrelid", "pairs.other")} AS referenced_column_name
            FROM pg_constraint c
            CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS pairs (own, other, place)
            WHERE c.contype = 'f'
                AND (c.connamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ({schemas_list}))
                    OR c.confrelid IN (
                        SELECT t.oid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
                        WHERE n.nspname IN ({schemas_list})))
                AND (SELECT relname FROM pg_class WHERE oid = c.conrelid) NOT LIKE {like_pattern}
            ORDER BY c.conname, pairs.place"""


def quicken(connection: Any) -> Any:
    """Have a connection ask the catalogue, if it is one to PostgreSQL; return it."""
    if type(connection.adapter) is PostgreSQLAdapter:
        connection.adapter = CatalogueAdapter()
    return connection
