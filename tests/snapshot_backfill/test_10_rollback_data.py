"""Data rollback: what the fill wrote is cleared, and nothing else."""

import pytest

from signoff import checkpoint

MINUTE = 60
ADDRESSES = """
    select count(*) as sessions, count(distinct i.ip_address) as addresses
    from {session_summaries} as s
    join {ip_inventory} as i on i.ip_address = coalesce(s.source_ip, s.enrichment ->> 'source_ip')
    where i.geo_country = %s
"""
BY_HAND = "snapshot_country = 'AQ', snapshot_asn = 64511, snapshot_ip_type = 'TOR'"

# Every column of a session, for comparing whole rows.
COLUMNS = (
    "session_id, first_event_at, last_event_at, event_count, source_ip, enrichment, enrichment_at, "
    "snapshot_asn, snapshot_country, snapshot_ip_type"
)


@pytest.fixture
def rolled_back(remembered, rehearse, db, procedures, setting):
    """A fill that was rolled back, executed once, among sessions that other means have filled.

    Twenty-five sessions are filled by hand before the fill, with an enrichment time of long ago; twenty-five
    new ones arrive after it with their snapshots, as the application writes them. The table as it was before
    the fill is set aside, so that the rollback can be compared row by row.
    """
    if not remembered:
        rehearse("reset", "migrate")
        db.execute("drop schema if exists signoff_rehearsal cascade")
        db.execute("create schema signoff_rehearsal")
        db.execute(
            f"""
            update {{session_summaries}} set {BY_HAND}, enrichment_at = timestamptz '2001-01-01'
            where session_id in (select session_id from {{session_summaries}} order by session_id limit 25)
            """
        )
        db.execute(f"create table signoff_rehearsal.before as select {COLUMNS} from {{session_summaries}}")
        remembered["joined before"] = db.row(ADDRESSES, [setting("lookup_country")])
        rehearse("backfill")
        db.execute(
            f"""
            insert into {{session_summaries}} ({COLUMNS})
            select 'signoff-' || session_id, now(), now(), event_count, source_ip, enrichment, now(),
                   snapshot_asn, snapshot_country, snapshot_ip_type
            from {{session_summaries}} where snapshot_country is not null order by session_id limit 25
            """
        )
        db.execute(
            f"""
            create table signoff_rehearsal.arrived as
            select {COLUMNS} from {{session_summaries}} where session_id like 'signoff-%'
            """
        )
        remembered["covered after the fill"] = db.scalar(
            "select count(snapshot_country) from {session_summaries}"
        )
        remembered["outcome"] = procedures.run("rollback_backfill")
    return remembered


@checkpoint("SNP-082")
@pytest.mark.destructive
def test_exactly_the_filled_sessions_are_cleared(rolled_back, db, expect):
    """The rollback clears every session that the fill wrote; older and newer snapshots of others stay."""
    expect("exit status", rolled_back["outcome"].exit_status).equals(0)
    expect("errors printed", rolled_back["outcome"].error_lines).equals([])
    compared = db.row(
        """
        select count(*) as sessions,
               count(*) filter (
                   where (b.source_ip, b.snapshot_asn, b.snapshot_country, b.snapshot_ip_type)
                       is distinct from (s.source_ip, s.snapshot_asn, s.snapshot_country, s.snapshot_ip_type)
                       or b.enrichment_at is distinct from s.enrichment_at
               ) as different,
               count(*) filter (where b.snapshot_country = 'AQ' and s.snapshot_country = 'AQ') as by_hand
        from signoff_rehearsal.before as b
        full join (
            select * from {session_summaries} where session_id not like 'signoff-%'
        ) as s using (session_id)
        """
    )
    arrived = db.row(
        """
        select count(*) as sessions,
               count(*) filter (where s.session_id is null or row(a.*)::text <> row(s.*)::text) as different
        from signoff_rehearsal.arrived as a
        left join {session_summaries} as s using (session_id)
        """
    )
    expect("sessions compared", compared["sessions"], "sessions").more_than(0)
    expect("sessions that differ from before the fill", compared["different"], "sessions").equals(0)
    expect("sessions filled by hand that kept their snapshot", compared["by_hand"], "sessions").equals(25)
    expect("sessions that arrived after the fill", arrived["sessions"], "sessions").equals(25)
    expect("of these, changed", arrived["different"], "sessions").equals(0)


@checkpoint("SNP-083")
@pytest.mark.destructive
def test_coverage_is_that_of_before(rolled_back, db, expect):
    """After the rollback as many sessions carry a snapshot as before the fill, the new arrivals added."""
    before = db.scalar("select count(snapshot_country) from signoff_rehearsal.before")
    covered = db.scalar("select count(snapshot_country) from {session_summaries}")
    expect("sessions covered by the fill", rolled_back["covered after the fill"], "sessions").more_than(
        covered
    )
    expect("sessions with a country", covered, "sessions").equals(before + 25)


@checkpoint("SNP-206")
@pytest.mark.destructive
@pytest.mark.usefixtures("rolled_back")
def test_no_other_column_is_touched(db, expect):
    """The rollback leaves times, counts and raw enrichment as they are, in every session."""
    compared = db.row(
        """
        select count(*) as sessions,
               count(*) filter (
                   where row(b.first_event_at, b.last_event_at, b.event_count, b.enrichment)
                       is distinct from row(s.first_event_at, s.last_event_at, s.event_count, s.enrichment)
               ) as different
        from signoff_rehearsal.before as b
        full join (
            select * from {session_summaries} where session_id not like 'signoff-%'
        ) as s using (session_id)
        """
    )
    expect("sessions compared", compared["sessions"], "sessions").more_than(0)
    expect("sessions that differ", compared["different"], "sessions").equals(0)


@checkpoint("SNP-084")
@pytest.mark.destructive
def test_application_works_without_snapshots(rolled_back, db, expect, setting):
    """On cleared snapshots the application can run its queries, and its JOIN finds what it found before."""
    country = setting("lookup_country")
    with db.session("application") as application:
        joined = application.row(ADDRESSES, [country])
        by_snapshot = application.scalar(
            "select count(*) from {session_summaries} where snapshot_country = %s and snapshot_ip_type = %s",
            [country, setting("lookup_ip_type")],
        )
    before = rolled_back["joined before"]
    expect("addresses found by the JOIN", joined["addresses"], "rows").equals(before["addresses"])
    expect("sessions found by the JOIN", joined["sessions"], "sessions").between(
        before["sessions"], before["sessions"] + 25
    )
    expect("sessions found by snapshot", by_snapshot, "sessions").at_most(25)


@checkpoint("SNP-008")
@pytest.mark.destructive
@pytest.mark.performance
def test_data_rollback_takes_less_than_a_minute(rolled_back, db, expect):
    """The data rollback takes less than one minute."""
    expect("time", rolled_back["outcome"].seconds, "s").less_than(MINUTE)
    # The last check of this stage: what was set aside for the others can go.
    db.execute("drop schema signoff_rehearsal cascade")
