"""The rollback of backfills: exactly the rows and columns that they filled, by their record.

The runbook's own rollback selects by ``enrichment_at``, which is the inventory's time and not the backfill's:
it misses what was filled from older inventory rows, and clears what other means have filled since.

Everything happens in one transaction. So the rollback is complete or has not happened, and it is faster than
batches: the runbook wants it within a minute, and 1,682,827 sessions took 56 s on two cores.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import psycopg

from stack.cowrieprocessor import ledger
from stack.cowrieprocessor.catalogue import require_migrated
from stack.cowrieprocessor.connection import claim
from stack.cowrieprocessor.fillable import REMAINING, UNDO
from stack.cowrieprocessor.status import StatusFile, describe

log = logging.getLogger(__name__)


class Undone(TypedDict):
    """What a rollback did.

    ``runs`` are their ids, newest first; ``restored`` counts sessions per run, added up; in
    ``with_later_values`` of them a value that somebody else wrote after the run was kept.
    """

    runs: list[str]
    restored: int
    with_later_values: int


def rollback_backfill(
    connection: psycopg.Connection, status_directory: Path, *, run_id: str | None = None
) -> Undone:
    """Clear what a run filled, or what all recorded runs filled that were not yet rolled back.

    Args:
        connection: in autocommit mode.
        status_directory: its status file will say ``rolled_back``.
        run_id: the run; all if not given, because an interrupted backfill and its continuation are two runs.

    Raises:
        Refused: no such run, or the schema is not the migrated one.
    """
    status_file = StatusFile(status_directory)
    claim(connection)
    require_migrated(connection)
    runs = ledger.runs_to_undo(connection, run_id)
    restored = with_later_values = 0
    with connection.transaction():
        for run in runs:
            log.info("run %s: restoring %d sessions", run.run_id, run.updated)
            sessions, later = connection.execute(UNDO, {"run": run.run}).fetchone() or (0, 0)
            restored += sessions
            with_later_values += later
            connection.execute("delete from snapshot_backfill_rows where run = %s", [run.run])
            ledger.record_state(connection, run, "rolled_back")
    log.info("vacuuming and analysing session_summaries")
    connection.execute("vacuum (analyze) session_summaries, snapshot_backfill_rows")
    remaining, _after = connection.execute(REMAINING).fetchone() or (0, "")
    status_file.write(
        describe(replace(runs[0], state="rolled_back", updated_at=datetime.now(UTC)), remaining)
    )
    return {
        "runs": [run.run_id for run in runs],
        "restored": restored,
        "with_later_values": with_later_values,
    }
