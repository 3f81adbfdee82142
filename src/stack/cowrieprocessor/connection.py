"""Connections of the tools: bounded waits, one tool at a time, the server's errors mapped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import errors as server

from stack.cowrieprocessor.errors import Busy, Refused, StatementFailed, Unreachable

LOCK_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 10

# Any number will do as long as nobody else takes it; advisory locks are per database.
TOOL_LOCK: Final = 0x5E55_1047


@contextlib.contextmanager
def connect(
    conninfo: str, *, purpose: str, lock_seconds: float = LOCK_SECONDS
) -> Iterator[psycopg.Connection]:
    """An autocommit connection that is closed at the end.

    Args:
        conninfo: a libpq connection string; what it lacks comes from libpq's environment variables.
        purpose: what the connection is for; ends the application name and begins error messages.
        lock_seconds: how long any lock is waited for.

    Raises:
        Unreachable: no connection could be made.
        Busy: a lock was not to be had in that time.
        StatementFailed: the server rejected a statement within the block.
    """
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            application_name=f"cowrieprocessor {purpose}",
            connect_timeout=CONNECT_SECONDS,
            # A plan for any batch would not fit the size of the one at hand.
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise Unreachable(
            purpose,
            got=str(error).strip(),
            expected="a connection",
            next_step="Check the options, PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD or PGPASSFILE.",
        ) from error
    with connection:
        try:
            connection.execute(
                "select set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false)",
                [f"{lock_seconds * 1000:.0f}ms"],
            )
            yield connection
        except server.LockNotAvailable as error:
            raise Busy(
                purpose,
                got=describe_failure(error),
                expected=f"every lock within {lock_seconds:g} s",
                next_step="pg_locks and pg_blocking_pids() show who holds it; run again afterwards.",
            ) from error
        except psycopg.Error as error:
            raise StatementFailed(
                purpose,
                got=describe_failure(error),
                expected="a statement that the server accepts",
                next_step="The transaction was rolled back; remove the cause and run again.",
            ) from error


def claim(connection: psycopg.Connection) -> None:
    """Keep every other tool out of this database for as long as the connection lasts.

    The wait is bounded by the connection's lock timeout. It is not zero, because the server needs a moment to
    notice that a killed client is gone.

    Raises:
        Refused: another tool is at work.
    """
    try:
        connection.execute("select pg_advisory_lock(%s)", [TOOL_LOCK])
    except server.LockNotAvailable as error:
        holders = connection.execute(
            """
            select string_agg(format('%%s (pid %%s)', a.application_name, a.pid), ', ')
            from pg_locks as l join pg_stat_activity as a using (pid)
            where l.locktype = 'advisory' and l.granted and l.objid = %s
              and l.database = (select oid from pg_database where datname = current_database())
            """,
            [TOOL_LOCK],
        ).fetchone()
        raise Refused(
            "session_summaries",
            got=f"another tool at work: {holders and holders[0]}",
            expected="one tool at a time",
            next_step="Wait for it to end; a new run goes on where it stopped.",
        ) from error


def describe_failure(error: psycopg.Error) -> str:
    """SQLSTATE and primary message; not the details, which quote whole rows."""
    message = error.diag.message_primary or str(error).strip().partition("\n")[0]
    return f"{error.sqlstate or 'connection lost'}: {message}"
