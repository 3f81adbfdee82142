"""The backfill: what it fills, what it leaves alone, and how it ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from stack.cowrieprocessor.cli import main

if TYPE_CHECKING:
    from selftest.stack.cowrie.conftest import Rehearsal

# Sessions whose snapshot is not what the inventory says, NULL being equal to NULL.
WRONG = """
    select count(*) from session_summaries s
    left join ip_inventory i on i.ip_address = s.enrichment ->> 'source_ip'
    where s.source_ip is distinct from s.enrichment ->> 'source_ip'
       or s.snapshot_asn is distinct from i.current_asn
       or s.snapshot_country is distinct from i.geo_country
       or s.snapshot_ip_type is distinct from i.ip_types[1]
       or (s.enrichment_at is null and i.enrichment_updated_at is not null)
"""
COVERAGE = "select 100.0 * count(snapshot_country) / count(*) from session_summaries"
COUNTS = """
    select count(*), count(source_ip), count(snapshot_asn), count(snapshot_country), count(snapshot_ip_type),
        count(enrichment_at)
    from session_summaries
"""
COLUMNS = ("source_ip", "snapshot_asn", "snapshot_country", "snapshot_ip_type", "enrichment_at")


def test_every_session_gets_what_the_inventory_says(rehearsal_on_each: Rehearsal) -> None:
    """After a complete run no session differs from the inventory, and about 98 % have a country."""
    rehearsal_on_each.succeed("migrate")
    rehearsal_on_each.succeed("backfill", "--batch-size", "300")
    assert rehearsal_on_each.value(WRONG) == 0
    assert 96 <= rehearsal_on_each.value(COVERAGE) < 100


def test_the_status_file_tells_what_was_done(migrated: Rehearsal) -> None:
    """Numbers of the finished run add up, on disk as on standard output, with both figures of its speed."""
    result = migrated.succeed("backfill", "--batch-size", "300", "--run-id", "first")
    status = migrated.status()
    assert status == result
    assert (status["run_id"], status["state"], status["errors"]) == ("first", "completed", [])
    assert (status["batches"], status["failed_batches"]) == (7, 0)
    assert (status["processed"], status["updated"], status["remaining"]) == (2000, 2000, 0)
    assert status["started"] < status["updated_at"]
    assert status["sessions_per_second"] == pytest.approx(2000 / status["seconds"], rel=0.01)
    assert status["seconds_per_batch"] == pytest.approx(status["seconds"] / 7, rel=0.01)
    assert [path.name for path in migrated.status_directory.iterdir()] == ["snapshot_backfill.json"]


def test_the_dry_run_counts_exactly_what_the_run_then_fills(migrated: Rehearsal) -> None:
    """It ends by itself, writes neither rows nor files, and its counts are those of the real run."""
    before, counts = migrated.state(), migrated.rows(COUNTS)[0]
    rehearsed = migrated.succeed("backfill", "--dry-run", "--batch-size", "300")
    assert migrated.state() == before
    assert migrated.status() == {}
    done = migrated.succeed("backfill", "--batch-size", "300")
    gained = [after - before for before, after in zip(counts, migrated.rows(COUNTS)[0], strict=True)]
    assert rehearsed["would_fill"] == dict(zip(COLUMNS, gained[1:], strict=True))
    assert {name: rehearsed[name] for name in ("batches", "processed")} == {"batches": 7, "processed": 2000}
    assert rehearsed["would_update"] == done["updated"] == 2000


def test_the_dry_run_can_be_limited_as_the_run_can(migrated: Rehearsal) -> None:
    """Ten batches of a hundred sessions rehearse a thousand."""
    rehearsed = migrated.succeed("backfill", "--dry-run", "--batch-size", "100", "--max-batches", "10")
    assert (rehearsed["batches"], rehearsed["would_update"]) == (10, 1000)


def test_a_second_run_changes_nothing(migrated: Rehearsal) -> None:
    """Where nothing is left to fill, a run completes without a batch, and a dry run finds nothing."""
    migrated.succeed("backfill")
    filled = migrated.sessions()
    again = migrated.succeed("backfill")
    assert (again["state"], again["batches"], again["updated"]) == ("completed", 0, 0)
    assert migrated.sessions() == filled
    rehearsed = migrated.succeed("backfill", "--dry-run")
    assert (rehearsed["batches"], rehearsed["would_update"]) == (0, 0)


def test_values_that_are_there_are_kept(migrated: Rehearsal) -> None:
    """What other means have filled differs from the inventory and stays, column by column."""
    migrated.execute(
        "update session_summaries set source_ip = enrichment ->> 'source_ip', snapshot_country = 'ZZ' "
        "where event_count = 5",
        "update session_summaries set snapshot_asn = 1, enrichment_at = '2020-01-01' where event_count = 6",
        "update session_summaries set snapshot_ip_type = 'OTHER' where event_count = 7",
    )
    migrated.succeed("backfill")
    assert migrated.rows(
        "select distinct event_count, snapshot_country = 'ZZ', snapshot_asn = 1, snapshot_ip_type = 'OTHER', "
        "enrichment_at = '2020-01-01' from session_summaries where event_count between 5 and 7 "
        "and snapshot_asn is not null and snapshot_country is not null and snapshot_ip_type is not null "
        "and enrichment_at is not null order by 1"
    ) == [(5, True, False, False, False), (6, False, True, False, True), (7, False, False, True, False)]


def test_a_sentinel_country_is_not_copied(migrated: Rehearsal) -> None:
    """An inventory that says XX says nothing; coverage stays honest."""
    migrated.execute(
        "update ip_inventory set enrichment = jsonb_set(enrichment, '{maxmind,country}', '\"XX\"') "
        "where geo_country = 'CN'"
    )
    migrated.succeed("backfill")
    assert migrated.value("select count(*) from session_summaries where snapshot_country = 'XX'") == 0
    assert migrated.value(COVERAGE) < 90


def test_a_run_stops_after_the_number_of_batches_and_the_next_goes_on(migrated: Rehearsal) -> None:
    """Ten batches fill ten batches, wherever an earlier run has stopped."""
    for done, state in ((1000, "stopped"), (2000, "completed")):
        status = migrated.succeed("backfill", "--batch-size", "100", "--max-batches", "10")
        assert (status["state"], status["processed"], status["updated"]) == (state, 1000, 1000)
        assert status["remaining"] == 2000 - done
        assert migrated.value("select count(source_ip) from session_summaries") == done


def test_a_named_run_can_be_continued(migrated: Rehearsal) -> None:
    """A run that goes on under its name adds to its numbers."""
    migrated.succeed("backfill", "--batch-size", "100", "--max-batches", "5", "--run-id", "long")
    status = migrated.succeed("backfill", "--batch-size", "500", "--run-id", "long")
    assert (status["state"], status["batches"], status["updated"]) == ("completed", 8, 2000)


def test_a_failing_batch_ends_the_run(migrated: Rehearsal) -> None:
    """A value that the table refuses rolls its batch back, is recorded, and gives a failing exit status."""
    migrated.execute(
        "update ip_inventory set enrichment = jsonb_set(enrichment, '{maxmind,country}', '\"c1\"') "
        "where ip_address = (select i.ip_address from session_summaries s "
        "join ip_inventory i on i.ip_address = s.enrichment ->> 'source_ip' "
        "order by s.session_id offset 550 limit 1)"
    )
    position = migrated.value(
        "select count(*) from session_summaries where session_id < (select min(s.session_id) "
        "from session_summaries s join ip_inventory i on i.ip_address = s.enrichment ->> 'source_ip' "
        "where i.geo_country = 'c1')"
    )
    outcome = migrated.run("backfill", "--batch-size", "100")
    assert (outcome.status, outcome.output) == (1, "")
    assert re.search(r"^ERROR: .*23514.*session_summaries_snapshot_country_check", outcome.messages)
    status = migrated.status()
    assert (status["state"], status["failed_batches"]) == ("failed", 1)
    assert [error["sqlstate"] for error in status["errors"]] == ["23514"]
    assert status["batches"] == position // 100
    assert status["updated"] == migrated.value("select count(source_ip) from session_summaries")
    assert status["updated"] == status["batches"] * 100

    migrated.execute(
        "update ip_inventory set enrichment = jsonb_set(enrichment, '{maxmind,country}', '\"DE\"') "
        "where geo_country = 'c1'"
    )
    assert migrated.succeed("backfill", "--batch-size", "100")["state"] == "completed"
    assert migrated.value(WRONG) == 0


def test_work_that_never_ends_is_a_failure(migrated: Rehearsal) -> None:
    """A table that loses what is filled does not keep the run busy for ever, nor let it succeed."""
    migrated.execute(
        "create function forget() returns trigger language plpgsql as "
        "$$ begin new.snapshot_country := null; return new; end $$",
        "create trigger forget before update on session_summaries for each row execute function forget()",
    )
    outcome = migrated.run("backfill")
    assert outcome.status == 1
    assert "after 3 sweeps" in outcome.messages
    assert (migrated.status()["state"], migrated.status()["failed_batches"]) == ("failed", 0)
    assert migrated.status()["remaining"] > 1900


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("alter table session_summaries drop column snapshot_asn", "42703"),
        ("drop table ip_inventory", "42P01"),
    ],
)
def test_a_missing_object_is_a_failure(migrated: Rehearsal, statement: str, message: str) -> None:
    """Without a column or table that it needs, the run ends at once, real or dry."""
    migrated.execute(statement)
    for options in ([], ["--dry-run"]):
        outcome = migrated.run("backfill", *options)
        assert outcome.status == 1
        assert message in outcome.messages


def test_the_schema_must_be_migrated(rehearsal: Rehearsal) -> None:
    """Before the migration backfill, dry run and rollback are refused."""
    assert "Run migrate first" in rehearsal.refuse("backfill")
    assert "Run migrate first" in rehearsal.refuse("backfill", "--dry-run")
    assert "Run migrate first" in rehearsal.refuse("rollback-backfill")


def test_the_status_directory_must_exist(migrated: Rehearsal) -> None:
    """No other place is taken for the status file, and without it nothing is filled."""
    message = migrated.refuse("backfill", "--status-directory", str(migrated.status_directory / "missing"))
    assert "missing" in message


def test_a_status_file_that_cannot_be_written_ends_the_run(migrated: Rehearsal) -> None:
    """A run that nobody can watch does not go on."""
    (migrated.status_directory / "snapshot_backfill.tmp").mkdir()
    outcome = migrated.run("backfill")
    assert outcome.status == 1
    assert "snapshot_backfill.json" in outcome.messages


def test_index_only_scans_are_possible_afterwards(migrated: Rehearsal) -> None:
    """The run leaves statistics and a complete visibility map."""
    migrated.succeed("backfill")
    assert migrated.value(
        "select relallvisible = relpages from pg_class where oid = 'session_summaries'::regclass"
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["backfill", "--status-directory", ".", "--batch-size", "0"], "--batch-size: must be 1 or more"),
        (["backfill", "--status-directory", ".", "--max-batches", "0"], "--max-batches: must be 1 or more"),
        (["backfill", "--status-directory", ".", "--pause-between-batches", "-1"], "must be 0 or more"),
        (["backfill", "--status-directory", ".", "--lock-timeout", "0"], "must be 0.001 or more"),
        (["backfill", "--status-directory", ".", "--lock-timeout", "nan"], "must be 0 or more"),
        (["backfill"], "required: --status-directory"),
        (["migrate", "--password", "secret"], "unrecognized arguments: --password"),
        ([], "required: tool"),
    ],
)
def test_wrong_usage_has_an_exit_status_of_its_own(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be meant is refused before a connection is made; there is no option for a password."""
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_password_is_never_repeated(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused login says so and does not say with what."""
    monkeypatch.setenv("PGPASSWORD", "canary-5f1e")
    outcome = rehearsal.run("migrate", "--dry-run")
    assert outcome.status == 1
    assert "password authentication failed" in outcome.messages
    assert "canary" not in outcome.messages
