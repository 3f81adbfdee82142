"""The rollback of a backfill: exactly what it filled, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selftest.stack.cowrie.conftest import Rehearsal


def test_a_rollback_restores_every_value(rehearsal_on_each: Rehearsal) -> None:
    """Sessions are as before the backfill, times of earlier enrichment included; the status file says so."""
    rehearsal_on_each.succeed("migrate")
    before = rehearsal_on_each.sessions()
    rehearsal_on_each.succeed("backfill", "--run-id", "first")
    assert rehearsal_on_each.sessions() != before
    result = rehearsal_on_each.succeed("rollback-backfill", "--run-id", "first")
    assert result == {"runs": ["first"], "restored": 2000, "with_later_values": 0}
    assert rehearsal_on_each.sessions() == before
    assert rehearsal_on_each.value("select count(*) from snapshot_backfill_rows") == 0
    status = rehearsal_on_each.status()
    assert (status["run_id"], status["state"], status["remaining"]) == ("first", "rolled_back", 2000)


def test_sessions_filled_by_other_means_stay(migrated: Rehearsal) -> None:
    """Values from before the run and sessions from after it are not touched."""
    migrated.execute(
        "update session_summaries set source_ip = enrichment ->> 'source_ip', snapshot_country = 'ZZ', "
        "enrichment_at = now() where event_count = 5"
    )
    before = migrated.sessions()
    migrated.succeed("backfill")
    migrated.execute(
        "insert into session_summaries select 'later', first_event_at, last_event_at, event_count, "
        "source_ip, enrichment, now(), 64512, 'DE', 'VPN' from session_summaries limit 1"
    )
    migrated.succeed("rollback-backfill")
    assert migrated.value("select snapshot_country from session_summaries where session_id = 'later'") == "DE"
    migrated.execute("delete from session_summaries where session_id = 'later'")
    assert migrated.sessions() == before


def test_a_value_corrected_after_the_run_stays(migrated: Rehearsal) -> None:
    """What somebody wrote over a filled value is kept and counted; the rest of the session is cleared."""
    migrated.succeed("backfill")
    migrated.execute("update session_summaries set snapshot_country = 'ZZ' where event_count = 5")
    corrected = migrated.value("select count(*) from session_summaries where event_count = 5")
    assert migrated.succeed("rollback-backfill")["with_later_values"] == corrected > 0
    assert migrated.rows(
        "select distinct snapshot_country, source_ip, snapshot_asn, snapshot_ip_type from session_summaries "
        "where event_count = 5"
    ) == [("ZZ", None, None, None)]
    assert migrated.value("select count(snapshot_country) from session_summaries") == corrected


def test_one_of_several_runs_can_be_rolled_back(migrated: Rehearsal) -> None:
    """By its name, a run is undone alone; then all others without naming them."""
    before = migrated.sessions()
    migrated.succeed("backfill", "--batch-size", "100", "--max-batches", "5", "--run-id", "sample")
    sampled = migrated.sessions()
    migrated.succeed("backfill", "--run-id", "rest")
    assert migrated.succeed("rollback-backfill", "--run-id", "rest")["restored"] == 1500
    assert migrated.sessions() == sampled
    migrated.succeed("backfill", "--run-id", "rest again")
    assert migrated.succeed("rollback-backfill")["runs"] == ["rest again", "sample"]
    assert migrated.sessions() == before


def test_a_run_that_filled_a_session_twice_is_undone_whole(migrated: Rehearsal) -> None:
    """When an address is enriched between two parts of a run, both fillings of its sessions are recorded."""
    before = migrated.sessions()
    migrated.succeed("backfill", "--run-id", "long")
    migrated.execute("update ip_inventory set current_asn = 64512 where current_asn is null")
    assert migrated.succeed("backfill", "--run-id", "long")["updated"] > 2000
    migrated.succeed("rollback-backfill")
    assert migrated.sessions() == before


def test_without_a_run_there_is_nothing_to_roll_back(migrated: Rehearsal) -> None:
    """Never run, rolled back already, or unknown: refused."""
    assert "recorded run" in migrated.refuse("rollback-backfill")
    migrated.succeed("backfill", "--run-id", "first")
    assert "run second" in migrated.refuse("rollback-backfill", "--run-id", "second")
    migrated.succeed("rollback-backfill")
    assert "rolled back" in migrated.refuse("rollback-backfill")


def test_a_run_that_was_rolled_back_is_not_continued(migrated: Rehearsal) -> None:
    """The name of a run that was undone is spent."""
    migrated.succeed("backfill", "--run-id", "first")
    migrated.succeed("rollback-backfill")
    assert "Choose another run id" in migrated.refuse("backfill", "--run-id", "first")


def test_a_locked_session_leaves_everything_as_it_is(migrated: Rehearsal) -> None:
    """A rollback that cannot have every session does not touch any."""
    migrated.succeed("backfill")
    with migrated.connect() as application, application.transaction():
        application.execute("select from session_summaries limit 1 for update")
        assert "55P03" in migrated.refuse("rollback-backfill", "--lock-timeout", "0.05")
