"""The status file of the backfill: replaced as a whole after every batch, so no reader sees half of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, TypedDict

from stack.cowrieprocessor.errors import BackfillFailed, Refused
from stack.cowrieprocessor.ledger import BatchError, Run

FILE_NAME: Final = "snapshot_backfill.json"


class Status(TypedDict):
    """Content of the file.

    Times are ISO 8601 with offset. ``sessions_per_second`` relates to ``processed``, ``seconds_per_batch`` to
    ``batches``; both count the time in batches only, not the pauses, and are null before the first batch.
    ``remaining`` is counted at the start and at the end; in between it is that count less what was updated.
    """

    run_id: str
    state: str
    batch_size: int
    batches: int
    failed_batches: int
    processed: int
    updated: int
    remaining: int
    started: str
    updated_at: str
    seconds: float
    sessions_per_second: float | None
    seconds_per_batch: float | None
    errors: list[BatchError]


def describe(run: Run, remaining: int) -> Status:
    """The status of a run."""
    return {
        "run_id": run.run_id,
        "state": run.state,
        "batch_size": run.batch_size,
        "batches": run.batches,
        "failed_batches": run.failed_batches,
        "processed": run.processed,
        "updated": run.updated,
        "remaining": remaining,
        "started": run.started.isoformat(),
        "updated_at": run.updated_at.isoformat(),
        "seconds": round(run.seconds, 6),
        "sessions_per_second": round(run.processed / run.seconds, 1) if run.seconds else None,
        "seconds_per_batch": round(run.seconds / run.batches, 6) if run.batches else None,
        "errors": run.errors,
    }


class StatusFile:
    """``snapshot_backfill.json`` in a directory that exists.

    Raises:
        Refused: there is no such directory, or it cannot be written to.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        # Falling back to another place would leave whoever watches this one in the dark.
        if not (directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)):
            raise Refused(
                str(directory),
                got="no directory that can be written to",
                expected="the directory that is watched during the backfill",
                next_step="Create it, or name another by --status-directory.",
            )

    def write(self, status: Status) -> None:
        """Replace the file.

        Raises:
            BackfillFailed: it cannot be written; nobody could watch what goes on.
        """
        draft = self.path.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise BackfillFailed(
                str(self.path),
                got=str(error),
                expected="a status file after every batch",
                next_step="Committed batches stay. Make room or name another directory, and run again.",
            ) from error

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)
