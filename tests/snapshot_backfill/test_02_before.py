"""Before the change: where the work starts, on record."""

import pytest

from signoff import checkpoint


@checkpoint("SNP-031")
@pytest.mark.read_only
def test_baseline_is_on_record(db, expect, baseline, setting):
    """The sessions, how many have an address of their own, and how many have a snapshot, are on record."""
    counted = db.row(
        """
        select count(*) as sessions,
               count(source_ip) as with_address,
               count(coalesce(source_ip, enrichment ->> 'source_ip')) as with_known_address,
               count(snapshot_country) as with_snapshot
        from {session_summaries}
        """
    )
    expect("sessions", counted["sessions"], "sessions").at_least(setting("expected_sessions"))
    expect("sessions with a snapshot", counted["with_snapshot"], "sessions").equals(0)
    # The column may be empty, as the plan expects it; but an address that nobody knows cannot be looked up.
    known = 100 * counted["with_known_address"] / counted["sessions"]
    expect("sessions whose address is known", known, "%").at_least(95)
    baseline.store("before", counted)


@checkpoint("SNP-023")
@pytest.mark.read_only
@pytest.mark.parametrize(
    "column",
    [
        pytest.param("snapshot_country", id="country"),
        pytest.param("snapshot_asn", id="network"),
        pytest.param("snapshot_ip_types[1]", id="type"),
    ],
)
def test_coverage_is_zero(db, expect, column):
    """Before the fill, this column is empty in every session."""
    counted = db.row(f"select count(*) as sessions, count({column}) as filled from {{session_summaries}}")
    expect("sessions", counted["sessions"], "sessions").more_than(0)
    expect("coverage", 100 * counted["filled"] / counted["sessions"], "%").equals(0)


@checkpoint("SNP-024")
@pytest.mark.read_only
def test_every_session_is_to_be_filled(db, expect, to_fill):
    """Every session whose address is known lacks its snapshot, by the condition that the fill uses."""
    counted = to_fill()
    known = db.scalar(
        "select count(coalesce(source_ip, enrichment ->> 'source_ip')) from {session_summaries}"
    )
    expect("sessions to fill", counted["left"], "sessions").more_than(0)
    expect("sessions whose address is known", known, "sessions").equals(counted["left"])
