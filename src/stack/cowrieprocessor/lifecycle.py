"""The database from its beginning: created with generated content, released, reset for another rehearsal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from stack.cowrieprocessor.backfill import backfill
from stack.cowrieprocessor.connection import claim, connect
from stack.cowrieprocessor.dataset import Dataset
from stack.cowrieprocessor.errors import Refused
from stack.cowrieprocessor.migration import migrate
from stack.cowrieprocessor.schema import INDEXES, TABLES, VERSION_BEFORE
from stack.cowrieprocessor.status import StatusFile

SESSIONS: Final = 20_000
SEED: Final = 1

# The production snapshot that the runbook is about.
PRODUCTION_SESSIONS: Final = 1_682_827
PRODUCTION_ADDRESSES: Final = 38_864

LINES_PER_WRITE: Final = 2000

COPY_ASNS: Final = (
    "copy asn_inventory (asn_number, organization_name, organization_country, is_known_hosting) "
    "from stdin (freeze)"
)
COPY_INVENTORY: Final = (
    "copy ip_inventory (ip_address, current_asn, ip_types, is_scanner, is_bogon, enrichment, "
    "enrichment_updated_at) from stdin (freeze)"
)
COPY_SESSIONS: Final = (
    "copy session_summaries (session_id, first_event_at, last_event_at, event_count, enrichment, "
    "enrichment_at) from stdin (freeze)"
)

# What was generated stands apart from what the tools change, so that a reset can trust it.
ORIGIN: Final = """
create schema if not exists generated;
create table if not exists generated.dataset (
    sessions integer not null,
    addresses integer not null,
    seed bigint not null,
    until timestamptz not null
);
"""


def typical_addresses(sessions: int) -> int:
    """How many addresses so many sessions come from.

    Their number grows with the square root of the sessions, as that of different words does with the length
    of a text; the production snapshot (38,864 in 1,682,827 sessions) fixes the factor.
    """
    return max(1, math.isqrt(PRODUCTION_ADDRESSES**2 * sessions // PRODUCTION_SESSIONS))


def create(
    conninfo: str,
    *,
    sessions: int = SESSIONS,
    addresses: int | None = None,
    seed: int = SEED,
    until: datetime | None = None,
) -> None:
    """Create the tables of schema version 16 and fill them; nothing is backfilled yet.

    Args:
        conninfo: of the database's owner, who will own the tables.
        sessions: rows of ``session_summaries``.
        addresses: different source addresses; `typical_addresses` if not given. About 1 % get no row in
            ``ip_inventory``.
        seed: the same seed, numbers and time give the same rows.
        until: when the last session ends; now if not given.

    Raises:
        Refused: the table is there already, or the numbers are not possible.
        Unreachable: no connection could be made.
    """
    dataset = Dataset(
        sessions=sessions,
        addresses=typical_addresses(sessions) if addresses is None else addresses,
        seed=seed,
        until=until or datetime.now(UTC),
    )
    with connect(conninfo, purpose="create") as connection:
        claim(connection)
        if connection.execute("select to_regclass('session_summaries')").fetchone() != (None,):
            raise Refused(
                "session_summaries",
                got="a relation of that name",
                expected="a database without it",
                next_step="Reset the database, or create another.",
            )
        with connection.transaction():
            _build(connection, dataset)


def release(conninfo: str, status_directory: Path) -> None:
    """Bring a created database to the state after the whole runbook: migrated and backfilled.

    Args:
        conninfo: of the tables' owner.
        status_directory: gets the status file of the backfill; must exist.

    Raises:
        StackError: what `migrate` and `backfill` raise.
    """
    with connect(conninfo, purpose="release") as connection:
        migrate(connection)
        backfill(connection, status_directory)


def reset(connection: psycopg.Connection, status_directory: Path) -> Dataset:
    """Build the database again as `create` left it, whatever has become of it, and remove the status file.

    Args:
        connection: in autocommit mode, of the tables' owner.
        status_directory: where the backfill writes its status file.

    Returns:
        What was generated.

    Raises:
        Refused: the content of this database was not generated, and could not be had again.
    """
    status_file = StatusFile(status_directory)
    claim(connection)
    dataset = _origin(connection)
    with connection.transaction():
        for kind, name in _relations(connection):
            connection.execute(
                sql.SQL("drop {} if exists {} cascade").format(sql.SQL(kind), sql.Identifier(*name))
            )
        _build(connection, dataset)
    status_file.remove()
    return dataset


def _build(connection: psycopg.Connection, dataset: Dataset) -> None:
    connection.execute(ORIGIN)
    connection.execute("truncate generated.dataset")
    connection.execute(
        "insert into generated.dataset (sessions, addresses, seed, until) values (%s, %s, %s, %s)",
        [dataset.sessions, dataset.addresses, dataset.seed, dataset.until],
    )
    connection.execute(TABLES)
    connection.execute(
        "insert into schema_state (key, value) values ('schema_version', %s)", [VERSION_BEFORE]
    )
    _copy(connection, COPY_ASNS, dataset.asn_rows())
    _copy(connection, COPY_INVENTORY, dataset.inventory_rows())
    _copy(connection, COPY_SESSIONS, dataset.session_rows())
    connection.execute(INDEXES)
    connection.execute("analyze session_summaries, ip_inventory, asn_inventory")


def _copy(connection: psycopg.Connection, statement: str, rows: Iterator[str]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        while lines := "".join(itertools.islice(rows, LINES_PER_WRITE)):
            copy.write(lines)


def _origin(connection: psycopg.Connection) -> Dataset:
    found = None
    if connection.execute("select to_regclass('generated.dataset')").fetchone() != (None,):
        found = connection.execute(
            "select sessions, addresses, seed, until from generated.dataset"
        ).fetchone()
    if found is None:
        raise Refused(
            "database",
            got="content of unknown origin",
            expected="content that was generated and can be generated again",
            next_step="Only a database made for rehearsals can be reset.",
        )
    sessions, addresses, seed, until = found
    return Dataset(sessions=sessions, addresses=addresses, seed=seed, until=until)


def _relations(connection: psycopg.Connection) -> list[tuple[str, tuple[str, str]]]:
    """Kind and name of every table and view of the schema, except those of extensions."""
    rows = connection.execute(
        """
        select case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
            nspname, relname
        from pg_class as c join pg_namespace as n on n.oid = relnamespace
        where nspname = current_schema() and relkind in ('r', 'p', 'v', 'm')
          and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid
                          and deptype = 'e')
        """
    )
    return [(kind, (schema, name)) for kind, schema, name in rows]
