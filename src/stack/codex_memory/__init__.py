"""The ``codex_memory`` database: a memory service, before and after its security hardening.

The SQL files are procedures for ``psql --single-transaction -f``: `HARDENING`, `ROLLBACK` and `RESET`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

DATABASE: Final = "codex_memory"
OWNER: Final = "codex_owner"
APPLICATION: Final = "codex_app"

_FILES: Final = Path(__file__).parent
SCHEMA: Final = _FILES / "schema.sql"
HARDENING: Final = _FILES / "hardening.sql"
ROLLBACK: Final = _FILES / "hardening_rollback.sql"
RESET: Final = _FILES / "reset.sql"

SERVER_SETTINGS: Final[Mapping[str, str]] = {
    "max_connections": "200",
    "statement_timeout": "300000",
    "idle_in_transaction_session_timeout": "600000",
    "work_mem": "256MB",
    "maintenance_work_mem": "2GB",
    "temp_file_limit": "-1",
    "log_min_duration_statement": "100",
    "log_lock_waits": "on",
    "autovacuum_vacuum_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.05",
    "shared_preload_libraries": "pg_stat_statements",
}
"""The ``postgresql.conf`` that the service ships: the state before the hardening."""


def exercise(conninfo: str) -> None:
    """Do what the service does all day, so that its statements have statistics.

    Args:
        conninfo: connection string of the application's role.
    """
    import psycopg  # noqa: PLC0415 - a third of a second, spent while the servers come up

    with psycopg.connect(conninfo, application_name="codex-memory", autocommit=True) as session:
        recent = session.execute(
            "select id from memories where tier = %s order by importance_score desc limit 50", ["working"]
        ).fetchall()
        for (memory,) in recent:
            session.execute("select content, metadata from memories where id = %s", [memory])
            session.execute(
                "update memories set access_count = access_count + 1, last_accessed_at = now() where id = %s",
                [memory],
            )
        for tier in ("working", "warm", "cold"):
            session.execute(
                "select tier, count(*), avg(importance_score) from memories where tier = %s group by tier",
                [tier],
            )
