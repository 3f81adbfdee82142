"""Acceptance: every session that can be covered is, the values are right, and the queries are faster."""

import re
import statistics

import pytest

from signoff import Proportion, Ratio, checkpoint

PAIRS = 11

SNAPSHOT = """
    select count(*) from {session_summaries}
    where snapshot_country = %(country)s and snapshot_ip_type = %(ip_type)s
"""
# The inventory has no single type but a list of them; the first one is the one that counts.
JOINED = """
    select count(*) from {session_summaries} as s
    join {ip_inventory} as i on i.ip_address = s.source_ip
    where i.geo_country = %(country)s and i.ip_types[1] = %(ip_type)s
"""


@pytest.fixture
def lookup(setting):
    """The country and the address type that are looked up."""
    return {"country": setting("lookup_country"), "ip_type": setting("lookup_ip_type")}


@checkpoint("SNP-075")
@pytest.mark.read_only
def test_coverage_is_complete(db, expect):
    """At least 95 % of all sessions carry a country snapshot, and none has lost its address."""
    # XX is what some tools write for "unknown": with it the naive figure is 100 % whatever happened.
    counted = db.row(
        """
        select count(*) as sessions,
               count(*) - count(source_ip) as without_address,
               100.0 * count(snapshot_country) / nullif(count(*), 0) as naive,
               100.0 * count(*) filter (where snapshot_country <> 'XX') / nullif(count(*), 0) as coverage
        from {session_summaries}
        """
    )
    expect("sessions", counted["sessions"], "sessions").more_than(0)
    expect("sessions without an address", counted["without_address"], "sessions").equals(0)
    expect("coverage, sentinels counted", counted["naive"], "%").at_least(95)
    expect("coverage", counted["coverage"], "%").at_least(95)


@checkpoint("SNP-203")
@pytest.mark.read_only
def test_every_value_is_in_its_domain(db, expect, setting):
    """No session carries a sentinel or another value that is no country, no network or no address type."""
    counted = db.row(
        """
        select count(snapshot_country) as filled,
               count(*) filter (where snapshot_country !~ '^[A-Z]{{2}}$'
                                   or snapshot_country in ('XX', 'ZZ', 'AA')) as country,
               count(*) filter (where snapshot_asn < 1) as network,
               count(*) filter (where snapshot_ip_type <> all(%s)) as type
        from {session_summaries}
        """,
        [list(setting("ip_types"))],
    )
    expect("sessions with a snapshot", counted["filled"], "sessions").more_than(0)
    expect("countries that are none", counted["country"], "sessions").equals(0)
    expect("networks that are none", counted["network"], "sessions").equals(0)
    expect("address types that are none", counted["type"], "sessions").equals(0)


@checkpoint("SNP-028")
@pytest.mark.read_only
def test_random_sessions_agree_with_the_inventory(db, expect):
    """At least 99 % of 1,000 sessions drawn at random agree with the inventory in all three columns."""
    drawn = db.sample(
        "session_summaries",
        ["session_id", "source_ip", "snapshot_country", "snapshot_asn", "snapshot_ip_type"],
        size=1000,
    )
    inventory = db.rows(
        """
        select ip_address, nullif(geo_country, 'XX') as country, current_asn, ip_types[1] as ip_type
        from {ip_inventory}
        where ip_address = any(%s)
        """,
        [[session["source_ip"] for session in drawn]],
    )
    # Looked up here and not joined there: in SQL, NULL = NULL is no match, and a session whose address the
    # inventory does not know would leave the sample in silence.
    known = {row["ip_address"]: (row["country"], row["current_asn"], row["ip_type"]) for row in inventory}
    agreeing = sum(
        (session["snapshot_country"], session["snapshot_asn"], session["snapshot_ip_type"])
        == known.get(session["source_ip"], (None, None, None))
        for session in drawn
    )
    expect("sessions that agree", Proportion(agreeing, len(drawn)), "%").at_least(99)


@checkpoint("SNP-029")
@pytest.mark.read_only
def test_ten_random_sessions_are_on_record(db, expect, setting):
    """Ten random sessions with a snapshot are on record, each with an address and plausible values."""
    drawn = db.sample(
        "session_summaries",
        ["session_id", "source_ip", "snapshot_country", "snapshot_asn", "snapshot_ip_type"],
        size=100,
    )
    shown = [session for session in drawn if session["snapshot_country"]][:10]
    plausible = [
        session
        for session in shown
        if session["source_ip"]
        and session["snapshot_country"].isalpha()
        and session["snapshot_country"] != "XX"
        and (session["snapshot_asn"] is None or session["snapshot_asn"] > 0)
        and (session["snapshot_ip_type"] is None or session["snapshot_ip_type"] in setting("ip_types"))
    ]
    expect("sessions looked at", len(shown), "sessions").equals(10)
    expect("plausible sessions", len(plausible), "sessions").equals(10)


@checkpoint("SNP-208")
@pytest.mark.read_only
def test_snapshots_and_join_give_the_same_answer(db, expect):
    """For every country and address type, the snapshots and the JOIN count the same sessions."""
    snapshots = db.rows(
        """
        select snapshot_country as country, snapshot_ip_type as ip_type, count(*) as sessions
        from {session_summaries}
        where snapshot_country is not null
        group by 1, 2
        """
    )
    joined = db.rows(
        """
        select i.geo_country as country, i.ip_types[1] as ip_type, count(*) as sessions
        from {session_summaries} as s
        join {ip_inventory} as i on i.ip_address = s.source_ip
        where i.geo_country <> 'XX'
        group by 1, 2
        """
    )
    by_snapshot = {(row["country"], row["ip_type"]): row["sessions"] for row in snapshots}
    by_join = {(row["country"], row["ip_type"]): row["sessions"] for row in joined}
    difference = sum(
        abs(by_snapshot.get(group, 0) - by_join.get(group, 0))
        for group in by_snapshot.keys() | by_join.keys()
    )
    counted = sum(by_join.values())
    expect("sessions that the JOIN counts", counted, "sessions").more_than(0)
    # 1 %: the inventory moves on after the fill, which is what snapshots are for.
    expect("sessions counted differently", 100 * difference / counted, "%").at_most(1)


@checkpoint("SNP-042")
@pytest.mark.read_only
@pytest.mark.performance
def test_time_of_the_snapshot_query_is_on_record(db, expect, lookup):
    """The server's time for the snapshot query is on record, and the query finds sessions."""
    # EXPLAIN ANALYZE: the clock of a shell would mostly measure the start of the client.
    times = [db.explain(SNAPSHOT, lookup, analyze=True).execution_ms for _ in range(5)]
    expect("sessions found", db.scalar(SNAPSHOT, lookup), "sessions").more_than(0)
    expect("median time", statistics.median(times), "ms").more_than(0)


@checkpoint("SNP-043")
@pytest.mark.read_only
@pytest.mark.performance
def test_time_of_the_join_is_on_record(db, expect, lookup):
    """The server's time for the JOIN is on record, and the JOIN finds sessions."""
    times = [db.explain(JOINED, lookup, analyze=True).execution_ms for _ in range(5)]
    expect("sessions found", db.scalar(JOINED, lookup), "sessions").more_than(0)
    expect("median time", statistics.median(times), "ms").more_than(0)


@checkpoint("SNP-027")
@pytest.mark.read_only
@pytest.mark.performance
def test_snapshot_query_is_faster_than_the_join(db, expect, lookup, progress):
    """The snapshot query is at least five times faster than the JOIN that gives the same answer."""
    snapshot, joined = db.scalar(SNAPSHOT, lookup), db.scalar(JOINED, lookup)
    expect("sessions found by the JOIN", joined, "sessions").more_than(0)
    # A faster query with another answer is no gain; 1 % for an inventory that moved on.
    expect("sessions found by the snapshot query", snapshot, "sessions").between(0.99 * joined, 1.01 * joined)
    with progress(f"{PAIRS} runs of snapshot query and JOIN in turn"):
        times = [
            (
                db.explain(JOINED, lookup, analyze=True).execution_ms,
                db.explain(SNAPSHOT, lookup, analyze=True).execution_ms,
            )
            for _ in range(PAIRS)
        ]
    expect("speed-up", Ratio([slow for slow, _ in times], [fast for _, fast in times]), "x").at_least(5)


@checkpoint("SNP-095")
@pytest.mark.read_only
@pytest.mark.performance
def test_plan_through_the_join_is_on_record(db, expect, lookup):
    """The plan of the query by country through the JOIN is on record, and it is a join."""
    plan = db.explain(
        """
        select count(*) from {session_summaries} as s
        join {ip_inventory} as i on i.ip_address = s.source_ip
        where i.geo_country = %(country)s
        """,
        {"country": lookup["country"]},
        analyze=True,
    )
    joins = [node for node in plan.node_types if node in {"Hash Join", "Merge Join", "Nested Loop"}]
    expect("joins in the plan", joins).is_one_of([["Hash Join"], ["Merge Join"], ["Nested Loop"]])
    # No limit: 10 to 50 s is what the plan expected of its machine, and a faster JOIN is no fault.
    expect("time", plan.execution_ms, "ms").more_than(0)


@checkpoint("SNP-096")
@pytest.mark.read_only
@pytest.mark.performance
def test_plan_on_the_snapshot_is_on_record(db, expect, lookup):
    """The query by country on the snapshot joins nothing and takes at most 5 s."""
    # Index or sequential scan is the planner's choice: a common country is rightly read in one go.
    query = "select count(*) from {session_summaries} where snapshot_country = %(country)s"
    country = {"country": lookup["country"]}
    plan = db.explain(query, country, analyze=True)
    joins = [node for node in plan.node_types if node in {"Hash Join", "Merge Join", "Nested Loop"}]
    expect("joins in the plan", joins).equals([])
    expect("sessions found", db.scalar(query, country), "sessions").more_than(0)
    expect("time", plan.execution_ms, "ms").at_most(5_000)


@checkpoint("SNP-078")
@pytest.mark.read_only
def test_snowshoe_query_works_on_snapshots(db, expect, lookup, setting):
    """Networks with many addresses in use are found by snapshots, largest first, as the JOIN finds them."""
    least = {**lookup, "least": setting("snowshoe_addresses")}
    by_snapshot = db.rows(
        """
        select snapshot_asn as network, count(distinct source_ip) as addresses
        from {session_summaries}
        where snapshot_country = %(country)s and snapshot_ip_type = %(ip_type)s and snapshot_asn is not null
        group by 1
        having count(distinct source_ip) > %(least)s
        order by 2 desc, 1
        limit 10
        """,
        least,
    )
    by_join = db.rows(
        """
        select i.current_asn as network, count(distinct s.source_ip) as addresses
        from {session_summaries} as s
        join {ip_inventory} as i on i.ip_address = s.source_ip
        where i.geo_country = %(country)s and i.ip_types[1] = %(ip_type)s and i.current_asn is not null
        group by 1
        having count(distinct s.source_ip) > %(least)s
        order by 2 desc, 1
        limit 10
        """,
        least,
    )
    addresses = [row["addresses"] for row in by_snapshot]
    found, expected = ({row["network"]: row["addresses"] for row in rows} for rows in (by_snapshot, by_join))
    difference = sum(abs(found.get(network, 0) - expected.get(network, 0)) for network in found | expected)
    expect("networks found", len(found), "rows").at_least(1)
    expect("addresses, largest first", addresses).equals(sorted(addresses, reverse=True))
    expect("addresses counted differently", 100 * difference / sum(addresses), "%").at_most(1)


@checkpoint("SNP-079")
@pytest.mark.read_only
def test_campaign_query_works_on_snapshots(db, expect):
    """Sessions grouped by network and country are found by snapshots, most first, as the JOIN groups them."""
    by_snapshot = db.rows(
        """
        select snapshot_asn as network, snapshot_country as country, count(*) as sessions
        from {session_summaries}
        where snapshot_asn is not null and snapshot_country is not null
        group by 1, 2
        order by 3 desc, 1, 2
        limit 20
        """
    )
    by_join = db.rows(
        """
        select i.current_asn as network, i.geo_country as country, count(*) as sessions
        from {session_summaries} as s
        join {ip_inventory} as i on i.ip_address = s.source_ip
        where i.current_asn is not null and i.geo_country <> 'XX'
        group by 1, 2
        order by 3 desc, 1, 2
        limit 20
        """
    )
    sessions = [row["sessions"] for row in by_snapshot]
    found, expected = (
        {(row["network"], row["country"]): row["sessions"] for row in rows} for rows in (by_snapshot, by_join)
    )
    difference = sum(abs(found.get(group, 0) - expected.get(group, 0)) for group in found | expected)
    expect("groups found", len(found), "rows").at_least(2)
    expect("sessions, most first", sessions).equals(sorted(sessions, reverse=True))
    expect("sessions counted differently", 100 * difference / sum(sessions), "%").at_most(1)


@checkpoint("SNP-085")
@pytest.mark.read_only
@pytest.mark.performance
@pytest.mark.parametrize(
    "column",
    [
        pytest.param("snapshot_country", id="country"),
        pytest.param("snapshot_asn", id="network"),
        pytest.param("snapshot_ip_type", id="type"),
    ],
)
def test_snapshot_column_has_a_valid_index(db, expect, column):
    """The snapshot column has an index, and none of its indexes is left behind half-built."""
    indexes = db.row(
        """
        select count(*) filter (where indisvalid and indisready and indpred is null) as usable,
               count(*) filter (where not (indisvalid and indisready)) as broken
        from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = '{session_summaries}'::regclass and a.attname = %s
        """,
        [column],
    )
    expect("usable indexes", indexes["usable"], "indexes").at_least(1)
    expect("broken indexes", indexes["broken"], "indexes").equals(0)


@checkpoint("SNP-204")
@pytest.mark.read_only
@pytest.mark.performance
def test_statistics_describe_the_table(db, expect):
    """The planner believes in as many rows, and in as many empty countries, as there are."""
    # Statistics from before the fill say that the column is empty, and the planner then avoids its index.
    figures = db.row(
        """
        select count(*) as rows,
               100.0 * min(c.reltuples) / nullif(count(*), 0) as believed,
               100.0 * count(*) filter (where s.snapshot_country is null) / nullif(count(*), 0) as empty,
               100.0 * min(p.null_frac) as believed_empty
        from {session_summaries} as s
        cross join pg_class as c
        left join pg_stats as p
            on p.tablename = c.relname and p.schemaname = c.relnamespace::regnamespace::text
            and p.attname = 'snapshot_country'
        where c.oid = '{session_summaries}'::regclass
        """
    )
    expect("rows", figures["rows"], "rows").more_than(0)
    expect("believed rows", figures["believed"], "%").between(90, 110)
    expect("empty countries", figures["empty"], "%").at_most(100)
    expect("believed empty countries", figures["believed_empty"], "%").between(
        float(figures["empty"]) - 5, float(figures["empty"]) + 5
    )


@checkpoint("SNP-205")
@pytest.mark.read_only
def test_sessions_without_an_inventory_row_are_few_and_empty(db, expect):
    """Sessions whose address the inventory does not know are at most 5 %, and none of them has a snapshot."""
    # In every inner join these sessions vanish, and with them whatever was invented for them.
    unknown = db.row(
        """
        select count(*) as sessions,
               count(*) filter (where i.ip_address is null) as unknown,
               count(*) filter (
                   where i.ip_address is null
                       and num_nonnulls(s.snapshot_country, s.snapshot_asn, s.snapshot_ip_type) > 0
               ) as invented
        from {session_summaries} as s
        left join {ip_inventory} as i on i.ip_address = s.source_ip
        """
    )
    expect("sessions", unknown["sessions"], "sessions").more_than(0)
    expect("of them without an inventory row", 100 * unknown["unknown"] / unknown["sessions"], "%").at_most(5)
    expect("snapshots from nowhere", unknown["invented"], "sessions").equals(0)
    # A key that was added without looking at the rows that exist, and never validated, protects nothing.
    unchecked = db.scalar(
        """
        select count(*) from pg_constraint
        where contype = 'f' and not convalidated
            and conrelid in ('{session_summaries}'::regclass, '{ip_inventory}'::regclass)
        """
    )
    expect("foreign keys that were never validated", unchecked).equals(0)


@checkpoint("SNP-093")
@pytest.mark.read_only
def test_application_has_caused_no_error(host, expect, setting):
    """The server's log holds no error of a statement of the application's role."""
    errors = rf"\b{re.escape(setting('application_user'))}\b.* (?:ERROR|FATAL|PANIC):"
    expect("lines of the log", len(host.log_lines()), "lines").at_least(1)
    expect("errors of the application", host.log_lines(pattern=errors)).equals([])
