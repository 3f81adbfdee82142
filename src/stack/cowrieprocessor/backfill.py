"""The backfill: every session gets a snapshot of what the inventory says about its address.

Batches are ranges of the primary key, so that each costs the same wherever it lies; each is one transaction
that fills, records what it filled, and counts. A killed run leaves complete batches only, and the next run
begins at the first session that still lacks something. A batch that fails ends the run, after some retries if
the cause was a passing one.

About its speed the runbook contradicts itself: 2,000 to 5,000 sessions/s, and also 2 to 5 s per batch of
1,000, which is 200 to 500 sessions/s and would always raise the alert below 1,000. This backfill fills a
batch by one statement and exceeds the first: on two cores 20,000 sessions/s of a table of 20,000, and 9,000
of one of 1,682,827. One statement per session explains the second. The status file has both figures.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypedDict

import psycopg
from psycopg import errors as server

from stack.cowrieprocessor import ledger
from stack.cowrieprocessor.catalogue import require_migrated
from stack.cowrieprocessor.connection import claim, describe_failure
from stack.cowrieprocessor.errors import BackfillFailed
from stack.cowrieprocessor.fillable import COUNT_BATCH, FILL_BATCH, NEXT_BATCH, REMAINING
from stack.cowrieprocessor.ledger import Run, State
from stack.cowrieprocessor.status import Status, StatusFile, describe

BATCH_SIZE: Final = 1000

# What another session causes and the next attempt may not meet again.
PASSING: Final = (server.LockNotAvailable, server.DeadlockDetected, server.SerializationFailure)
RETRY_PAUSES_SECONDS: Final = (0.5, 1.0)

# Sessions that arrive, or get an inventory row, during the run are filled by another sweep.
SWEEPS: Final = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How a backfill goes through the sessions.

    Attributes:
        batch_size: sessions per batch.
        max_batches: stop after so many, or None for all.
        pause_seconds: between batches, to leave room for others.
    """

    batch_size: int = BATCH_SIZE
    max_batches: int | None = None
    pause_seconds: float = 0.0


class Rehearsal(TypedDict):
    """What a dry run counts: ``would_update`` sessions, of each column the values that would be filled."""

    dry_run: bool
    batches: int
    processed: int
    would_update: int
    would_fill: dict[str, int]
    seconds: float


COLUMNS: Final = ("source_ip", "snapshot_asn", "snapshot_country", "snapshot_ip_type", "enrichment_at")


def backfill(
    connection: psycopg.Connection, status_directory: Path, *, run_id: str | None = None, pace: Pace = Pace()
) -> Status:
    """Fill, batch by batch.

    Args:
        connection: in autocommit mode.
        status_directory: gets ``snapshot_backfill.json``; must exist.
        run_id: name of the run; that of an earlier run continues it. A new name if not given.
        pace: see `Pace`.

    Returns:
        The status at the end, ``completed`` or ``stopped``.

    Raises:
        Refused: the schema is not migrated, another tool is at work, the directory cannot be written to.
        BackfillFailed: a batch failed, or work remains although every session was visited.
        KeyboardInterrupt: as it came; the status is ``interrupted``.
    """
    status_file = StatusFile(status_directory)
    claim(connection)
    require_migrated(connection)
    run = ledger.begin(connection, run_id or _new_run_id(), pace.batch_size)
    sweeper = _Sweeper(connection, status_file, run, pace)
    try:
        state = sweeper.sweep()
        if sweeper.run.updated > run.updated:
            # Index-only scans need the visibility map, and the planner the new distribution.
            log.info("vacuuming and analysing session_summaries")
            connection.execute("vacuum (analyze) session_summaries")
    except (KeyboardInterrupt, psycopg.Error) as end:
        with contextlib.suppress(psycopg.Error):
            sweeper.end("interrupted" if isinstance(end, KeyboardInterrupt) else "failed")
        raise
    return sweeper.end(state)


def rehearse(connection: psycopg.Connection, status_directory: Path, *, pace: Pace = Pace()) -> Rehearsal:
    """Count what `backfill` would fill now, batch by batch as it would, in one read-only transaction.

    Raises:
        Refused: what `backfill` would refuse, except that another tool may be at work.
    """
    StatusFile(status_directory)
    begin = time.monotonic()
    batches = processed = 0
    totals = [0] * (1 + len(COLUMNS))
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        require_migrated(connection)
        remaining, after = _remaining_after(connection)
        while remaining and batches != pace.max_batches:
            upto, size = _next_batch(connection, after, pace.batch_size)
            if upto is None:
                break
            counts = connection.execute(COUNT_BATCH, {"after": after, "upto": upto}).fetchone() or ()
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
            after, batches, processed = upto, batches + 1, processed + size
    return {
        "dry_run": True,
        "batches": batches,
        "processed": processed,
        "would_update": totals[0],
        "would_fill": dict(zip(COLUMNS, totals[1:], strict=True)),
        "seconds": round(time.monotonic() - begin, 6),
    }


class _Sweeper:
    """Goes through the sessions and keeps record and status file up to date."""

    def __init__(self, connection: psycopg.Connection, status_file: StatusFile, run: Run, pace: Pace) -> None:
        self.run = run
        self._connection = connection
        self._status_file = status_file
        self._pace = pace
        self._batches_left = pace.max_batches
        self._remaining = 0
        self._last_progress = 0.0

    def sweep(self) -> State:
        """Visit the sessions until nothing remains to fill or the number of batches is reached."""
        for sweeps_left in reversed(range(SWEEPS + 1)):
            self._remaining, after = _remaining_after(self._connection)
            self._publish()
            if self._remaining == 0:
                return "completed"
            if self._batches_left == 0:
                return "stopped"
            if sweeps_left:
                self._sweep_from(after)
        self.end("failed")
        raise BackfillFailed(
            f"run {self.run.run_id}",
            got=f"{self._remaining} sessions that lack something after {SWEEPS} sweeps",
            expected="no session without what the inventory has",
            next_step="Find out what clears snapshots, or adds sessions without them; then run again.",
        )

    def end(self, state: State) -> Status:
        """Record how the run ended."""
        self.run = ledger.record_state(self._connection, self.run, state)
        return self._publish()

    def _sweep_from(self, after: str) -> None:
        """Visit the sessions after that id, as many batches as are left."""
        while self._batches_left != 0:
            upto = self._fill_persistently(after)
            if upto is None:
                return
            after = upto
            if self._batches_left is not None:
                self._batches_left -= 1
            if self._remaining:
                time.sleep(self._pace.pause_seconds)

    def _fill_persistently(self, after: str) -> str | None:
        """Fill the next batch, again if another session was in the way; None if there is no batch left."""
        pauses = iter(RETRY_PAUSES_SECONDS)
        while True:
            try:
                return self._fill(after)
            except psycopg.Error as error:
                pause = next(pauses, None) if isinstance(error, PASSING) else None
                if pause is None:
                    raise self._failure(after, error) from error
                log.info("batch %d: %s; again in %g s", self.run.batches + 1, describe_failure(error), pause)
            time.sleep(pause)

    def _fill(self, after: str) -> str | None:
        begin = time.monotonic()
        with self._connection.transaction():
            upto, size = _next_batch(self._connection, after, self._pace.batch_size)
            if upto is None:
                return None
            updated = self._connection.execute(
                FILL_BATCH, {"run": self.run.run, "after": after, "upto": upto}
            ).rowcount
            run = ledger.record_batch(
                self._connection,
                self.run,
                processed=size,
                updated=updated,
                seconds=self.run.seconds + time.monotonic() - begin,
            )
        # With the commit, which the record in the database cannot know.
        self.run = replace(run, seconds=self.run.seconds + time.monotonic() - begin)
        self._remaining = max(0, self._remaining - updated)
        self._publish()
        self._log_progress()
        return upto

    def _failure(self, after: str, error: psycopg.Error) -> BackfillFailed:
        """Record that the batch after that id failed."""
        batch = self.run.batches + self.run.failed_batches + 1
        cause = describe_failure(error)
        self.run = replace(
            self.run,
            state="failed",
            failed_batches=self.run.failed_batches + 1,
            updated_at=datetime.now(UTC),
            errors=[
                *self.run.errors,
                {"batch": batch, "after": after, "sqlstate": error.sqlstate, "message": cause},
            ],
        )
        # Over a lost connection nothing can be recorded; the status file can still be written.
        with contextlib.suppress(psycopg.Error):
            ledger.record_failure(self._connection, self.run)
        self._publish()
        return BackfillFailed(
            f"run {self.run.run_id}, batch {batch} after session {after or '(the first)'}",
            got=cause,
            expected="a batch that can be committed",
            next_step="The batch was rolled back, earlier ones stay. Remove the cause and run again.",
        )

    def _publish(self) -> Status:
        status = describe(self.run, self._remaining)
        self._status_file.write(status)
        return status

    def _log_progress(self) -> None:
        """At most one line a second, and the last."""
        now = time.monotonic()
        if now - self._last_progress >= 1 or not self._remaining:
            self._last_progress = now
            log.info(
                "batch %d: %d of %d sessions updated, %d remain, %.0f sessions/s",
                self.run.batches,
                self.run.updated,
                self.run.processed,
                self._remaining,
                self.run.processed / self.run.seconds,
            )


def _remaining_after(connection: psycopg.Connection) -> tuple[int, str]:
    """How many sessions lack something, and the session id before the first of them."""
    remaining, after = connection.execute(REMAINING).fetchone() or (0, "")
    return remaining, after


def _next_batch(connection: psycopg.Connection, after: str, batch_size: int) -> tuple[str | None, int]:
    """Last session id and size of the batch after a session id; None if there is none."""
    parameters = {"after": after, "batch_size": batch_size}
    upto, size = connection.execute(NEXT_BATCH, parameters).fetchone() or (None, 0)
    return upto, size


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
