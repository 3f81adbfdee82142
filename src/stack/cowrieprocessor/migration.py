"""The schema migration: array ``snapshot_ip_types`` becomes text ``snapshot_ip_type``; and its way back.

A rename alone would verify and then fail: a comparison with 'DATACENTER' is a malformed array literal as long
as the type is ``text[]``. So the type is converted in the same transaction. That rewrites the table under an
exclusive lock (7 s for 1.7 million sessions), for which there is a maintenance window. To add a column and
drop the old one would not rewrite, but lose its place, comment and privileges: no rollback would be exact.

What an array says beyond its first element is kept in ``snapshot_ip_types_kept``, and the definitions of
indexes on the column in ``schema_state``; the way back restores both.

The index that the queries need is built in the same transaction and not concurrently: the table is locked
anyway, all or nothing is worth more than the second it takes, and CREATE INDEX CONCURRENTLY can neither run
in a transaction nor fail without leaving an invalid index behind. It has both columns of the frequent filter,
in this order, so that counts by country, or by country and type, are answered from the index alone.
"""

from __future__ import annotations

import json
import logging
from typing import Final, LiteralString, TypeAlias

import psycopg
from psycopg import sql

from stack.cowrieprocessor.catalogue import (
    PLURAL,
    SINGULAR,
    SessionTable,
    describe_ip_type,
    read_session_table,
    read_state,
)
from stack.cowrieprocessor.connection import claim
from stack.cowrieprocessor.errors import Refused
from stack.cowrieprocessor.schema import VERSION_AFTER, VERSION_BEFORE

PREVIOUS_INDEXES: Final = "snapshot_ip_types.indexes"

KEEP_ARRAYS: Final[tuple[LiteralString, ...]] = (
    "create table snapshot_ip_types_kept (session_id text primary key, snapshot_ip_types text[] not null)",
    """
    insert into snapshot_ip_types_kept
    select session_id, snapshot_ip_types
    from session_summaries
    cross join lateral (select snapshot_ip_types[array_lower(snapshot_ip_types, 1)] as main) as first
    where snapshot_ip_types is distinct from case when main is not null then array[main] end
    """,
)
CONVERT: Final[tuple[LiteralString, ...]] = (
    "alter table session_summaries rename column snapshot_ip_types to snapshot_ip_type",
    """
    alter table session_summaries alter column snapshot_ip_type type text
    using snapshot_ip_type[array_lower(snapshot_ip_type, 1)]
    """,
    """
    create index idx_session_snapshot_country_ip_type
    on session_summaries (snapshot_country, snapshot_ip_type)
    """,
)
CONVERT_BACK: Final[tuple[LiteralString, ...]] = (
    "drop index idx_session_snapshot_country_ip_type",
    "alter table session_summaries rename column snapshot_ip_type to snapshot_ip_types",
    """
    alter table session_summaries alter column snapshot_ip_types type text[]
    using case when snapshot_ip_types is not null then array[snapshot_ip_types] end
    """,
    """
    update session_summaries as s set snapshot_ip_types = k.snapshot_ip_types
    from snapshot_ip_types_kept as k where k.session_id = s.session_id
    """,
    "drop table snapshot_ip_types_kept",
)

log = logging.getLogger(__name__)

Result: TypeAlias = dict[str, object]


def migrate(connection: psycopg.Connection, *, dry_run: bool = False) -> Result:
    """Migrate from version 16 to 17.

    Args:
        connection: in autocommit mode, see `stack.cowrieprocessor.connection.connect`.
        dry_run: decide and count in a read-only transaction, log every statement, execute none.

    Returns:
        ``sessions`` and ``with_ip_type`` (rows, the same before and after), ``arrays_kept`` (rows whose array
        says more than its first element), ``indexes_dropped`` (definitions), ``dry_run`` and
        ``schema_version``.

    Raises:
        Refused: the table is not the one of version 16; a second migration is refused, too.
    """
    if not dry_run:
        claim(connection)
    with connection.transaction():
        if dry_run:
            connection.execute("set transaction read only")
        else:
            connection.execute("lock table session_summaries in access exclusive mode")
        _require_version_16(read_session_table(connection))
        indexes = _indexes_on_ip_types(connection)
        sessions, with_ip_type, kept = _count_arrays(connection)
        statements: list[sql.SQL | sql.Composed] = [
            *map(sql.SQL, KEEP_ARRAYS),
            *(sql.SQL("drop index {}").format(name) for name, _definition in indexes),
            *map(sql.SQL, CONVERT),
            _set_state("schema_version", VERSION_AFTER),
            _set_state(PREVIOUS_INDEXES, json.dumps([definition for _name, definition in indexes])),
        ]
        _execute(connection, statements, dry_run=dry_run)
        if not dry_run:
            _require_equal((sessions, with_ip_type), _count_texts(connection), SINGULAR)
    if not dry_run:
        # The rewrite has left the table without a visibility map, which index-only scans need.
        connection.execute("vacuum (analyze) session_summaries")
    return {
        "dry_run": dry_run,
        "sessions": sessions,
        "with_ip_type": with_ip_type,
        "arrays_kept": kept,
        "indexes_dropped": [definition for _name, definition in indexes],
        "schema_version": VERSION_BEFORE if dry_run else VERSION_AFTER,
    }


def rollback_schema(connection: psycopg.Connection, *, discard_newer_values: bool = False) -> Result:
    """Go back from version 17 to 16: the array column, its values and its indexes as they were.

    Snapshots that were filled in the meantime stay, as arrays of one element.

    Args:
        connection: in autocommit mode.
        discard_newer_values: restore a kept array also where the ip type was changed after the migration.

    Returns:
        ``sessions``, ``with_ip_type``, ``arrays_restored`` (rows), ``indexes_restored`` (definitions) and
        ``schema_version``.

    Raises:
        Refused: `migrate` did not make this table, or newer values would be lost.
    """
    claim(connection)
    with connection.transaction():
        connection.execute("lock table session_summaries in access exclusive mode")
        table = read_session_table(connection)
        recorded = read_state(connection, PREVIOUS_INDEXES) if table.version == VERSION_AFTER else None
        if not table.is_migrated or recorded is None:
            raise Refused(
                "session_summaries",
                got=f"{describe_ip_type(table)}, schema version {table.version}",
                expected=f"{SINGULAR} text, schema version {VERSION_AFTER}, and the record of the migration",
                next_step="Only what migrate did can be rolled back.",
            )
        kept, newer = _count_kept(connection)
        if newer and not discard_newer_values:
            raise Refused(
                "session_summaries",
                got=f"{newer} sessions whose {SINGULAR} was changed after the migration cut their array",
                expected="values that the arrays of before can replace without a loss",
                next_step="Add --discard-newer-values to restore the arrays of before all the same.",
            )
        sessions, _texts = _count_texts(connection)
        indexes = json.loads(recorded)
        statements: list[sql.SQL | sql.Composed] = [
            *map(sql.SQL, CONVERT_BACK),
            *map(sql.SQL, indexes),
            _set_state("schema_version", VERSION_BEFORE),
            sql.SQL("delete from schema_state where key = {}").format(PREVIOUS_INDEXES),
        ]
        _execute(connection, statements, dry_run=False)
        restored, with_ip_type, _kept = _count_arrays(connection)
        _require_equal((sessions,), (restored,), PLURAL)
    connection.execute("vacuum (analyze) session_summaries")
    return {
        "sessions": sessions,
        "with_ip_type": with_ip_type,
        "arrays_restored": kept,
        "indexes_restored": indexes,
        "schema_version": VERSION_BEFORE,
    }


def _require_version_16(table: SessionTable) -> None:
    got = f"{describe_ip_type(table)}, schema version {table.version}"
    expected = f"{PLURAL} text[], no {SINGULAR}, schema version {VERSION_BEFORE}"
    if table.is_migrated:
        next_step = "The migration has been done; there is nothing to do."
    elif table.columns.get(PLURAL) != "text[]" or SINGULAR in table.columns:
        next_step = "Find out who changed the columns; nothing was touched."
    elif table.version != VERSION_BEFORE:
        next_step = "Bring the schema to that version first."
    else:
        return
    raise Refused("session_summaries", got=got, expected=expected, next_step=next_step)


def _indexes_on_ip_types(connection: psycopg.Connection) -> list[tuple[sql.Identifier, str]]:
    """Name and definition of every index that contains the array column, also within an expression."""
    rows = connection.execute(
        """
        select distinct n.nspname, i.relname, pg_get_indexdef(i.oid)
        from pg_depend as d
        join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        join pg_class as i on i.oid = d.objid and i.relkind = 'i'
        join pg_namespace as n on n.oid = i.relnamespace
        where d.classid = 'pg_class'::regclass and d.refobjid = 'session_summaries'::regclass
          and a.attname = %s
        order by n.nspname, i.relname
        """,
        [PLURAL],
    )
    return [(sql.Identifier(schema, name), definition) for schema, name, definition in rows]


def _count_arrays(connection: psycopg.Connection) -> tuple[int, int, int]:
    """Sessions, sessions whose array has a first element, sessions whose array says more than that."""
    sessions, with_ip_type, kept = _row(
        connection,
        """
        select count(*), count(main), count(*) filter (
            where snapshot_ip_types is distinct from case when main is not null then array[main] end)
        from session_summaries
        cross join lateral (select snapshot_ip_types[array_lower(snapshot_ip_types, 1)] as main) as first
        """,
    )
    return sessions, with_ip_type, kept


def _count_texts(connection: psycopg.Connection) -> tuple[int, int]:
    """Sessions, and sessions with an ip type, of the migrated table."""
    sessions, with_ip_type = _row(
        connection, "select count(*), count(snapshot_ip_type) from session_summaries"
    )
    return sessions, with_ip_type


def _count_kept(connection: psycopg.Connection) -> tuple[int, int]:
    """Kept arrays of sessions that still exist, and how many of these sessions have got another ip type."""
    kept, newer = _row(
        connection,
        """
        select count(*), count(*) filter (where s.snapshot_ip_type is distinct from
            k.snapshot_ip_types[array_lower(k.snapshot_ip_types, 1)])
        from snapshot_ip_types_kept as k join session_summaries as s using (session_id)
        """,
    )
    return kept, newer


def _row(connection: psycopg.Connection, query: LiteralString) -> tuple[int, ...]:
    return connection.execute(query).fetchone() or ()


def _set_state(key: str, value: str) -> sql.Composed:
    return sql.SQL(
        "insert into schema_state (key, value) values ({}, {}) "
        "on conflict (key) do update set value = excluded.value"
    ).format(key, value)


def _execute(
    connection: psycopg.Connection, statements: list[sql.SQL | sql.Composed], *, dry_run: bool
) -> None:
    for statement in statements:
        text = " ".join(statement.as_string(connection).split())
        log.info("%s: %s", "would execute" if dry_run else "executing", text)
        if not dry_run:
            connection.execute(statement)


def _require_equal(before: tuple[int, ...], after: tuple[int, ...], column: str) -> None:
    if before != after:
        raise Refused(
            f"session_summaries.{column}",
            got=f"{after} sessions, with ip type, after the conversion",
            expected=f"{before} as before it",
            next_step="Everything was rolled back; this is a defect of the migration, please report it.",
        )
