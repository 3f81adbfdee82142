"""Backfills that are killed, stopped, blocked, or meet another one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selftest.stack.cowrie.conftest import Rehearsal, Rehearse
    from stack.postgres import Cluster

Eventually = Callable[[Callable[[], object]], bool]

SLOW = ("--batch-size", "100", "--pause-between-batches", "0.05")


@pytest.mark.parametrize("server", ["postgres_18", "postgres_15"])
def test_a_killed_run_is_continued_to_the_same_end(
    server: str, request: pytest.FixtureRequest, rehearse: Rehearse, eventually: Eventually
) -> None:
    """After SIGKILL in mid-run whole batches are left, and the next run completes them to the same values."""
    cluster: Cluster = request.getfixturevalue(server)
    uninterrupted = rehearse(cluster)
    uninterrupted.succeed("migrate")
    uninterrupted.succeed("backfill", "--batch-size", "100")

    killed = rehearse(cluster)
    killed.succeed("migrate")
    process = killed.start("backfill", *SLOW)
    assert eventually(lambda: killed.status().get("batches", 0) >= 3 or process.poll() is not None)
    process.kill()
    process.communicate()
    assert killed.status()["state"] == "running"
    left = killed.value("select count(source_ip) from session_summaries")
    assert left % 100 == 0
    assert 300 <= left < 2000

    resumed = killed.succeed("backfill", "--batch-size", "100")
    assert (resumed["state"], resumed["updated"], resumed["remaining"]) == ("completed", 2000 - left, 0)
    assert killed.sessions() == uninterrupted.sessions()


def test_what_a_killed_run_filled_is_rolled_back_too(migrated: Rehearsal, eventually: Eventually) -> None:
    """The record of a batch is committed with the batch, so that a kill cannot part them."""
    before = migrated.sessions()
    process = migrated.start("backfill", *SLOW)
    assert eventually(lambda: migrated.status().get("batches", 0) >= 2 or process.poll() is not None)
    process.kill()
    process.communicate()
    assert migrated.sessions() != before
    migrated.succeed("rollback-backfill")
    assert migrated.sessions() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_between_batches(
    migrated: Rehearsal, eventually: Eventually, number: signal.Signals
) -> None:
    """A run that is asked to end says that it was interrupted, in the status file and by its exit status."""
    process = migrated.start("backfill", *SLOW)
    assert eventually(lambda: migrated.status().get("batches", 0) >= 1 or process.poll() is not None)
    process.send_signal(number)
    output, messages = process.communicate()
    assert (process.returncode, output) == (130, ""), messages
    status = migrated.status()
    assert status["state"] == "interrupted"
    assert status["updated"] == migrated.value("select count(source_ip) from session_summaries")


def test_only_one_tool_works_at_a_time(migrated: Rehearsal, eventually: Eventually) -> None:
    """While a backfill runs, every other tool is refused and told who is at work."""
    process = migrated.start("backfill", "--batch-size", "100", "--pause-between-batches", "60")
    try:
        assert eventually(lambda: migrated.status().get("batches", 0) >= 1 or process.poll() is not None)
        for tool in ("backfill", "rollback-backfill", "migrate", "rollback-schema", "reset"):
            message = migrated.refuse(tool, "--lock-timeout", "0.05")
            assert "cowrieprocessor backfill (pid " in message
        assert migrated.succeed("backfill", "--dry-run")["would_update"] == 1900
    finally:
        process.kill()
        process.communicate()


def test_a_locked_session_is_waited_for(migrated: Rehearsal) -> None:
    """A batch that met a lock is tried again, and the run completes when the lock is gone."""
    with migrated.connect() as application:
        with application.transaction():
            application.execute("update session_summaries set event_count = 9 where session_id like '8%'")
            process = migrated.start("backfill", "--batch-size", "100", "--lock-timeout", "0.05")
            assert process.stderr is not None
            assert any("again in" in line for line in process.stderr)
        _output, messages = process.communicate()
    assert process.returncode == 0, messages
    assert (migrated.status()["state"], migrated.status()["failed_batches"]) == ("completed", 0)
    assert migrated.value("select min(event_count) from session_summaries where session_id like '8%'") == 9


def test_a_session_that_stays_locked_fails_the_run(migrated: Rehearsal) -> None:
    """Locks are waited for a bounded number of times; then the batch has failed."""
    with migrated.connect() as application, application.transaction():
        application.execute("select from session_summaries for update")
        outcome = migrated.run("backfill", "--lock-timeout", "0.05")
    assert outcome.status == 1
    assert "55P03" in outcome.messages
    assert migrated.status()["errors"][0]["sqlstate"] == "55P03"
    assert (migrated.status()["batches"], migrated.status()["failed_batches"]) == (0, 1)


def test_a_lost_connection_fails_the_run(migrated: Rehearsal, eventually: Eventually) -> None:
    """When the server ends the session, the run fails, and the next one completes the work."""
    process = migrated.start("backfill", *SLOW)
    assert eventually(lambda: migrated.status().get("batches", 0) >= 1 or process.poll() is not None)
    migrated.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'cowrieprocessor backfill' and datname = current_database()"
    )
    output, messages = process.communicate()
    assert (process.returncode, output) == (1, "")
    assert "ERROR: " in messages
    assert migrated.status()["state"] == "failed"
    assert migrated.succeed("backfill")["state"] == "completed"
