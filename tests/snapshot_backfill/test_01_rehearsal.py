"""Rehearsal on a copy: what can only be tried where data may be thrown away."""

import math
import time

import pytest

from signoff import checkpoint

# What a fill may touch, and by which column it is known; without the address type, whose name changes.
FIVE = "session_id, source_ip, snapshot_asn, snapshot_country, enrichment_at"


@checkpoint("SNP-201")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_rehearsal_starts_before_the_change(db, expect, ip_type_columns):
    """A rehearsal starts with the address type as an array under the plural name, and without a snapshot."""
    expect("columns for the address type", ip_type_columns()).equals({"snapshot_ip_types text[]"})
    counted = db.row(
        """
        select count(*) as sessions,
               count(coalesce(snapshot_country, snapshot_asn::text, snapshot_ip_types[1])) as filled
        from {session_summaries}
        """
    )
    expect("sessions", counted["sessions"], "sessions").more_than(0)
    expect("sessions with a snapshot", counted["filled"], "sessions").equals(0)


@checkpoint("SNP-009")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_migration_tool_is_there(procedures, expect):
    """The migration tool is installed where the profile says, and its dry run ends with status 0."""
    expect("exit status", procedures.run("migrate_dry_run").exit_status).equals(0)


@checkpoint("SNP-001")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_fill_refuses_before_the_migration(procedures, expect, fingerprint, schema):
    """The fill refuses to start while the schema migration is pending, with a status, and changes nothing."""
    before = {**fingerprint(FIVE), "schema": schema()}
    fill = procedures.run("backfill")
    expect("exit status", fill.exit_status).more_than(0)
    expect("sessions and schema", {**fingerprint(FIVE), "schema": schema()}).equals(before)


@checkpoint("SNP-011")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_migration_refuses_without_its_source(db, procedures, expect, schema):
    """The migration ends with another status than 0, and changes nothing, when its column is absent."""
    db.execute("alter table {session_summaries} rename column snapshot_ip_types to signoff_set_aside")
    before = schema()
    expect("exit status", procedures.run("migrate").exit_status).more_than(0)
    expect("schema", schema()).equals(before)


@checkpoint("SNP-012")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_migration_refuses_an_existing_target(db, procedures, expect, schema):
    """The migration ends with another status than 0, and changes nothing, when its new column exists."""
    db.execute("alter table {session_summaries} add column snapshot_ip_type text")
    before = schema()
    expect("exit status", procedures.run("migrate").exit_status).more_than(0)
    expect("schema", schema()).equals(before)


@checkpoint("SNP-202")
@pytest.mark.destructive
@pytest.mark.performance
@pytest.mark.usefixtures("copy")
def test_migration_gives_up_on_a_locked_table(db, procedures, expect, schema, progress):
    """The migration gives up within 30 s when somebody reads the table, and changes nothing."""
    # A migration that waits for its lock makes every later query of the application wait behind it.
    before = schema()
    with db.session("administrator") as reader, progress("the migration to give up its lock", 5):
        reader.begin()
        reader.scalar("select count(*) from {session_summaries} where session_id = ''")
        migration = procedures.run("migrate")
    expect("exit status", migration.exit_status).more_than(0)
    expect("time", migration.seconds, "s").at_most(30)
    expect("schema", schema()).equals(before)


@checkpoint("SNP-015")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_migration_goes_forward_back_and_forward(db, procedures, expect, schema):
    """The migration goes forward, back and forward again, to the same schema both times, and keeps values."""
    # The plan assumes that the column is empty; here some rows hold more than a single type can say.
    for number, types in enumerate((["DATACENTER", "VPN"], ["TOR"], [])):
        db.execute(
            """
            update {session_summaries} set snapshot_ip_types = %s::text[]
            where session_id = (
                select session_id from {session_summaries} order by session_id offset %s limit 1
            )
            """,
            [types, number],
        )
    arrays = "select snapshot_ip_types from {session_summaries} order by session_id limit 4"
    texts = "select snapshot_ip_type from {session_summaries} order by session_id limit 4"
    seen = []
    for step in ("migrate", "rollback_schema", "migrate"):
        outcome = procedures.run(step)
        expect(f"exit status of {step}", outcome.exit_status).equals(0)
        expect(f"errors printed by {step}", outcome.error_lines).equals([])
        seen.append((schema(), db.column(arrays if step == "rollback_schema" else texts)))
    (first, forward), (_, back), (second, _) = seen
    expect("schema after the second time", second).equals(first)
    expect("types after the migration", forward).equals(["DATACENTER", "TOR", None, None])
    expect("types after the way back", back).equals([["DATACENTER", "VPN"], ["TOR"], [], None])


@checkpoint("SNP-069")
@pytest.mark.destructive
@pytest.mark.usefixtures("copy")
def test_failing_batch_stops_the_fill(rehearse, db, procedures, expect, status, to_fill):
    """A batch that fails stops the fill: a status, a failed batch on record, and nothing half-written."""
    rehearse("migrate")
    sessions = to_fill()["sessions"]
    bad = db.scalar(
        "select session_id from {session_summaries} order by session_id offset %s limit 1", [sessions // 2]
    )
    literal = db.scalar("select quote_literal(%s)", [bad])
    db.execute(
        f"""
        alter table {{session_summaries}} add constraint signoff_refuses_one_session check (
            session_id <> {literal} or num_nonnulls(source_ip, snapshot_country, snapshot_asn) = 0
        ) not valid
        """
    )
    fill = procedures.run("backfill")
    seen = status()
    expect("exit status", fill.exit_status).more_than(0)
    expect("failed batches", seen["failed_batches"], "batches").at_least(1)
    # Going on after an error would bury it under a thousand batches that went well.
    expect("batches tried", seen["batches"] + seen["failed_batches"], "batches").less_than(
        math.ceil(sessions / 1000)
    )
    expect("sessions with nothing left to fill", to_fill()["done"], "sessions").equals(seen["updated"])


@pytest.fixture
def interrupted(remembered, rehearse, db, procedures, to_fill, progress):
    """A fill that was killed once in mid-run, with some sessions filled by hand before it began.

    A row lock holds the fill in the middle, so that the kill meets it at work however fast it is. What is
    filled at that moment is set aside in a table of its own.
    """
    if "interrupted" in remembered:
        return remembered["interrupted"]
    rehearse("reset", "migrate")
    db.execute(
        """
        update {session_summaries} set snapshot_country = 'AQ', snapshot_asn = 64511, snapshot_ip_type = 'TOR'
        where session_id in (select session_id from {session_summaries} order by session_id desc limit 25)
        """
    )
    before = to_fill()
    with db.session("administrator") as blocker, progress("the fill to reach its middle"):
        blocker.begin()
        blocker.scalar(
            """
            select session_id from {session_summaries}
            where session_id = (
                select session_id from {session_summaries} order by session_id offset %s limit 1
            )
            for update
            """,
            [before["sessions"] // 2],
        )
        running = procedures.start("backfill")
        deadline, done = time.monotonic() + 60, -1
        while running.is_running and time.monotonic() < deadline:
            time.sleep(0.3)
            done, previous = to_fill()["done"], done
            if done == previous > before["done"]:
                break
        running.kill()
    db.execute("drop schema if exists signoff_rehearsal cascade")
    db.execute("create schema signoff_rehearsal")
    db.execute(
        """
        create table signoff_rehearsal.filled as
        select session_id, source_ip, snapshot_asn, snapshot_country, snapshot_ip_type, enrichment_at
        from {session_summaries}
        where num_nonnulls(source_ip, snapshot_asn, snapshot_country, snapshot_ip_type) > 0
        """
    )
    remembered["interrupted"] = {"before": before, "after": to_fill()}
    return remembered["interrupted"]


@pytest.fixture
def reset_afterwards(rehearse, db):
    """The state before the change, when the test has ended."""
    yield
    db.execute("drop schema signoff_rehearsal cascade")
    rehearse("reset")


@checkpoint("SNP-072")
@pytest.mark.destructive
def test_remaining_work_is_known_after_an_interruption(interrupted, expect, status):
    """After a fill was killed in mid-run, database and status file agree on what is left, to one batch."""
    before, after = interrupted["before"], interrupted["after"]
    expect("sessions left to fill", after["left"], "sessions").between(1, before["left"] - 1)
    # A kill between the commit of a batch and the status file leaves the file one batch behind.
    expect("left according to the status file", status()["remaining"], "sessions").between(
        after["left"], after["left"] + 1000
    )


@checkpoint("SNP-073")
@pytest.mark.destructive
@pytest.mark.usefixtures("reset_afterwards")
def test_killed_fill_resumes(interrupted, db, procedures, expect, to_fill):
    """A fill that was killed resumes, finishes, and leaves every value that was there already as it was."""
    expect("sessions left to fill", interrupted["after"]["left"], "sessions").more_than(0)
    resumed = procedures.run("backfill")
    expect("exit status", resumed.exit_status).equals(0)
    expect("errors printed", resumed.error_lines).equals([])
    expect("sessions left to fill afterwards", to_fill()["left"], "sessions").equals(0)
    changed = db.row(
        """
        select count(*) as filled,
               count(*) filter (where not (
                   coalesce(s.source_ip = f.source_ip, f.source_ip is null)
                   and coalesce(s.snapshot_asn = f.snapshot_asn, f.snapshot_asn is null)
                   and coalesce(s.snapshot_country = f.snapshot_country, f.snapshot_country is null)
                   and coalesce(s.snapshot_ip_type = f.snapshot_ip_type, f.snapshot_ip_type is null)
                   and coalesce(s.enrichment_at = f.enrichment_at, f.enrichment_at is null)
               )) as changed
        from signoff_rehearsal.filled as f
        left join {session_summaries} as s using (session_id)
        """
    )
    expect("sessions that were filled", changed["filled"], "sessions").more_than(25)
    expect("sessions that changed", changed["changed"], "sessions").equals(0)
