"""What the server's catalogue says about ``session_summaries``: the facts on which the tools decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psycopg

from stack.cowrieprocessor.errors import Refused

PLURAL: Final = "snapshot_ip_types"
SINGULAR: Final = "snapshot_ip_type"


@dataclass(frozen=True)
class SessionTable:
    """The table as it is.

    Attributes:
        columns: SQL type of each column by name, for instance ``{"snapshot_asn": "integer", ...}``.
        version: value of ``schema_version`` in ``schema_state``, or None.
    """

    columns: Mapping[str, str]
    version: str | None

    @property
    def is_migrated(self) -> bool:
        """Whether the ip type is the one text column that the code of today expects."""
        return self.columns.get(SINGULAR) == "text" and PLURAL not in self.columns


def read_session_table(connection: psycopg.Connection) -> SessionTable:
    """Look the table up.

    Raises:
        Refused: there is no such table, or it is something else, a view for instance.
    """
    found = connection.execute(
        "select relkind, to_regclass('schema_state') is not null from pg_class "
        "where oid = to_regclass('session_summaries')"
    ).fetchone()
    if found is None or found[0] != "r":
        raise Refused(
            "session_summaries",
            got="no such relation" if found is None else f"a relation of kind {found[0]!r}",
            expected="an ordinary table",
            next_step="Check the database and the search_path of the role.",
        )
    columns = connection.execute(
        "select attname, format_type(atttypid, null) from pg_attribute "
        "where attrelid = 'session_summaries'::regclass and attnum > 0 and not attisdropped"
    )
    return SessionTable(
        dict(columns.fetchall()), read_state(connection, "schema_version") if found[1] else None
    )


def read_state(connection: psycopg.Connection, key: str) -> str | None:
    """A value of ``schema_state``, or None."""
    found = connection.execute("select value from schema_state where key = %s", [key]).fetchone()
    return None if found is None else str(found[0])


def require_migrated(connection: psycopg.Connection) -> None:
    """Let only the migrated schema pass.

    Raises:
        Refused: it is another.
    """
    table = read_session_table(connection)
    if not table.is_migrated:
        raise Refused(
            "session_summaries",
            got=describe_ip_type(table),
            expected=f"{SINGULAR} text, and no {PLURAL}",
            next_step="Run migrate first.",
        )


def describe_ip_type(table: SessionTable) -> str:
    """The columns of the ip type, for messages."""
    present = [f"{name} {table.columns[name]}" for name in (PLURAL, SINGULAR) if name in table.columns]
    return " and ".join(present) or f"neither {PLURAL} nor {SINGULAR}"
