"""In the weeks after: coverage by the day, speed by the week, quality by the month."""

import re

import pytest

from signoff import Proportion, Ratio, checkpoint

TIMINGS = 15
REPEATS = 3
SNAPSHOT = """
    select count(*) from {session_summaries}
    where snapshot_country = %(country)s and snapshot_ip_type = %(ip_type)s
"""
# The same work for the server whatever the tables hold: what a slower machine does to it, it does to the
# query too.
YARDSTICK = "select sum(n) from generate_series(1, 2000) as n"


@checkpoint("SNP-105")
@pytest.mark.read_only
def test_coverage_stays(db, expect):
    """At least 95 % of all sessions, and of those of the last seven days, carry a country snapshot."""
    # Of millions of rows, a week without any snapshot would hardly move the average over all.
    coverage = db.row(
        """
        select count(*) as sessions,
               count(*) filter (where recent) as recent,
               100.0 * count(*) filter (where covered) / nullif(count(*), 0) as overall,
               100.0 * count(*) filter (where covered and recent)
                   / nullif(count(*) filter (where recent), 0) as week
        from (
            select coalesce(snapshot_country <> 'XX', false) as covered,
                   first_event_at >= now() - interval '7 days' as recent
            from {session_summaries}
        ) as s
        """
    )
    expect("sessions", coverage["sessions"], "sessions").more_than(0)
    expect("coverage", coverage["overall"], "%").at_least(95)
    expect("coverage of the last seven days", coverage["week"], "%").at_least(95)


@checkpoint("SNP-108")
@pytest.mark.read_only
def test_coverage_is_above_the_alarm_line(db, expect):
    """At least 90 % of all sessions carry a country snapshot, sentinels not counted."""
    coverage = db.scalar(
        """
        select 100.0 * count(*) filter (where snapshot_country <> 'XX') / nullif(count(*), 0)
        from {session_summaries}
        """
    )
    expect("coverage", coverage, "%").at_least(90)


@checkpoint("SNP-110")
@pytest.mark.read_only
def test_new_sessions_get_snapshots(db, expect):
    """More than 95 % of the last 24 hours' sessions whose country the inventory knows carry a snapshot."""
    # A sample of what ingestion does: after a quiet night, a handful of sessions shows nothing either way.
    new = db.row(
        """
        select count(*) as sessions, count(*) filter (where s.snapshot_country <> 'XX') as covered
        from {session_summaries} as s
        join {ip_inventory} as i on i.ip_address = s.source_ip
        where s.first_event_at >= now() - interval '24 hours' and i.geo_country <> 'XX'
        """
    )
    expect("new sessions with a snapshot", Proportion(new["covered"], new["sessions"]), "%").more_than(95)


@checkpoint("SNP-107")
@pytest.mark.read_only
@pytest.mark.parametrize(
    "column",
    [
        pytest.param("snapshot_country", id="country"),
        pytest.param("snapshot_asn", id="network"),
        pytest.param("snapshot_ip_type", id="type"),
    ],
)
def test_quality_of_this_months_sample(db, expect, column):
    """At least 99 % of 1,000 sessions, drawn anew each month, agree with the inventory in this column."""
    month = db.scalar("select to_char(now(), 'YYYYMM')::integer")
    drawn = db.sample("session_summaries", ["source_ip", column], size=1000, seed=month)
    inventory = db.rows(
        """
        select ip_address, nullif(geo_country, 'XX') as snapshot_country, current_asn as snapshot_asn,
               ip_types[1] as snapshot_ip_type
        from {ip_inventory}
        where ip_address = any(%s)
        """,
        [[session["source_ip"] for session in drawn]],
    )
    known = {address["ip_address"]: address[column] for address in inventory}
    agreeing = sum(session[column] == known.get(session["source_ip"]) for session in drawn)
    expect("sessions that agree", Proportion(agreeing, len(drawn)), "%").at_least(99)


@checkpoint("SNP-106")
@pytest.mark.read_only
@pytest.mark.performance
def test_benchmark_is_on_record(db, expect, baseline, yardsticks, comparable):
    """The time of the snapshot query, in units of a fixed piece of server work, is measured and on record."""
    times = yardsticks()
    expect("timings", len(times), "samples").equals(TIMINGS)
    week = db.scalar("""select to_char(now(), 'IYYY"-W"IW')""")
    baseline.store(f"lookup-{week}", times, comparable)
    # The first one of these conditions stays: compared with the one before, 10 % a week would never be seen.
    baseline.keep("lookup", times, comparable)


@checkpoint("SNP-109")
@pytest.mark.read_only
@pytest.mark.performance
def test_query_has_not_become_slower(expect, baseline, yardsticks, comparable):
    """The snapshot query takes at most 20 % longer than in the first benchmark under the same conditions."""
    then = baseline.read("lookup", comparable)
    expect("time against the benchmark", Ratio(yardsticks(), then, paired=False), "x").at_most(1.2)


@pytest.fixture
def comparable(db, host, setting):
    """What must be equal for two benchmarks to be compared: machine, server, size of the table, query."""
    sessions = db.scalar("select count(*) from {session_summaries}")
    return {
        "memory of the machine in bytes": host.memory().total_bytes,
        "server version": db.server_version,
        "sessions, two digits": float(f"{sessions:.1e}"),
        "country": setting("lookup_country"),
        "address type": setting("lookup_ip_type"),
    }


@pytest.fixture
def yardsticks(db, setting):
    """Time the snapshot query and the yardstick in turn, each as its fastest of three; the quotients."""
    lookup = {"country": setting("lookup_country"), "ip_type": setting("lookup_ip_type")}

    def fastest(sql, params):
        # What else the machine does can only add to a time.
        return min(db.explain(sql, params, analyze=True).execution_ms for _ in range(REPEATS))

    def measure():
        return [fastest(SNAPSHOT, lookup) / fastest(YARDSTICK, None) for _ in range(TIMINGS)]

    return measure


@checkpoint("SNP-111")
@pytest.mark.read_only
@pytest.mark.parametrize(
    "contact",
    [
        pytest.param("contact_dba", id="database administrator"),
        pytest.param("contact_devops", id="DevOps on call"),
        pytest.param("contact_escalation", id="escalation"),
    ],
)
def test_contact_is_filled_in(expect, setting, contact):
    """The contact names somebody and how to reach them, and is no placeholder."""
    text = setting(contact)
    expect("contact", len(text.strip()), "characters").at_least(5)
    expect(
        "placeholders in it", re.findall(r"(?i)\[.*\]|<.*>|\bto ?do\b|\btb[da]\b|\bxxx|\byour\b", text)
    ).equals([])
