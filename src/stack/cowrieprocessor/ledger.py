"""The record of every backfill and of what it filled: the base of its rollback.

``snapshot_backfill_rows`` holds, by run and session, the values that the run wrote, and NULL where it wrote
nothing. A run fills only what was NULL. So a rollback needs no older values, and can tell a value of the run
from a later one of somebody else. There is no foreign key: checking it would take a sixth of the backfill.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, TypedDict

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from stack.cowrieprocessor.errors import Refused

State: TypeAlias = Literal["running", "stopped", "completed", "failed", "interrupted", "rolled_back"]

TABLES: Final = """
create table if not exists snapshot_backfill_runs (
    run integer generated always as identity primary key,
    run_id text not null unique,
    state text not null,
    batch_size integer not null,
    batches integer not null default 0,
    failed_batches integer not null default 0,
    processed bigint not null default 0,
    updated bigint not null default 0,
    seconds double precision not null default 0,
    started timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    errors jsonb not null default '[]'
);
create table if not exists snapshot_backfill_rows (
    run integer not null,
    session_id text not null,
    source_ip varchar(45),
    snapshot_asn integer,
    snapshot_country varchar(2),
    snapshot_ip_type text,
    enrichment_at timestamptz,
    primary key (run, session_id)
);
"""


class BatchError(TypedDict):
    """Why a batch failed.

    ``batch`` counts from 1, ``after`` is the session id before the batch's first.
    """

    batch: int
    after: str
    sqlstate: str | None
    message: str


@dataclass(frozen=True)
class Run:
    """One backfill as recorded.

    Attributes:
        run: its number in the database.
        run_id: its name.
        state: ``running`` also after a kill, ``stopped`` at the number of batches asked for.
        batch_size: sessions per batch.
        batches: committed batches.
        failed_batches: batches that were rolled back for good.
        processed: sessions looked at.
        updated: sessions in which something was filled.
        seconds: time spent in batches, without pauses.
        started: when the run began.
        updated_at: when its last batch was committed or its state changed.
        errors: why batches failed.
    """

    run: int
    run_id: str
    state: State
    batch_size: int
    batches: int
    failed_batches: int
    processed: int
    updated: int
    seconds: float
    started: datetime
    updated_at: datetime
    errors: list[BatchError]


def begin(connection: psycopg.Connection, run_id: str, batch_size: int) -> Run:
    """Record the start of a run, or go on with an earlier one of that name.

    Raises:
        Refused: the run of that name was rolled back.
    """
    with connection.transaction():
        connection.execute(TABLES)
        known = connection.execute(
            "select state from snapshot_backfill_runs where run_id = %s", [run_id]
        ).fetchone()
        if known == ("rolled_back",):
            raise Refused(
                f"run {run_id}",
                got="a run that was rolled back",
                expected="a new run, or an unfinished one",
                next_step="Choose another run id.",
            )
        return _run(
            connection,
            """
            insert into snapshot_backfill_runs (run_id, state, batch_size) values (%s, 'running', %s)
            on conflict (run_id) do update set state = excluded.state, batch_size = excluded.batch_size
            returning *
            """,
            [run_id, batch_size],
        )


def record_batch(
    connection: psycopg.Connection, run: Run, *, processed: int, updated: int, seconds: float
) -> Run:
    """Record a batch, in its own transaction; ``seconds`` is the total of the run."""
    return _run(
        connection,
        """
        update snapshot_backfill_runs
        set batches = batches + 1, processed = processed + %s, updated = updated + %s, seconds = %s,
            updated_at = clock_timestamp()
        where run = %s returning *
        """,
        [processed, updated, seconds, run.run],
    )


def record_failure(connection: psycopg.Connection, run: Run) -> None:
    """Record what a failed batch has changed of a run: state, failed batches, errors, time."""
    connection.execute(
        """
        update snapshot_backfill_runs set state = %s, failed_batches = %s, errors = %s, updated_at = %s
        where run = %s
        """,
        [run.state, run.failed_batches, Jsonb(run.errors), run.updated_at, run.run],
    )


def record_state(connection: psycopg.Connection, run: Run, state: State) -> Run:
    """Record another state of a run."""
    return _run(
        connection,
        """
        update snapshot_backfill_runs set state = %s, updated_at = clock_timestamp()
        where run = %s returning *
        """,
        [state, run.run],
    )


def runs_to_undo(connection: psycopg.Connection, run_id: str | None) -> list[Run]:
    """The named run, or all that were not yet rolled back; the newest first.

    Raises:
        Refused: there is none.
    """
    if connection.execute("select to_regclass('snapshot_backfill_runs')").fetchone() == (None,):
        runs = []
    else:
        with connection.cursor(row_factory=class_row(Run)) as cursor:
            runs = cursor.execute(
                """
                select * from snapshot_backfill_runs
                where state <> 'rolled_back' and (run_id = %(run_id)s or %(run_id)s::text is null)
                order by run desc
                """,
                {"run_id": run_id},
            ).fetchall()
    if not runs:
        raise Refused(
            "backfill" if run_id is None else f"run {run_id}",
            got="no record of a run, or only of one that was rolled back",
            expected="a recorded run",
            next_step="Table snapshot_backfill_runs lists what was run.",
        )
    return runs


def _run(connection: psycopg.Connection, statement: str, parameters: list[object]) -> Run:
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(statement.encode(), parameters).fetchone()
    if run is None:
        raise Refused(
            "snapshot_backfill_runs",
            got="a run that is no longer recorded",
            expected="its row",
            next_step="Somebody deleted it; begin another run.",
        )
    return run
