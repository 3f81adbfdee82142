"""Forward again: a rehearsal ends as it began."""

import pytest

from signoff import checkpoint


@checkpoint("SNP-207")
@pytest.mark.destructive
def test_rehearsal_ends_filled(rehearse, setting, db, expect, ip_type_columns, to_fill):
    """From the state before the change, migration and fill reach the released state again."""
    # `reset` is what keeps this away from production, so only a rehearsal may leave it out.
    if setting("rehearsal") != "yes" or "snapshot_ip_types text[]" not in ip_type_columns():
        rehearse("reset")
    rehearse("migrate", "backfill")
    expect("columns for the address type", ip_type_columns()).equals({"snapshot_ip_type text"})
    counted = to_fill()
    expect("sessions", counted["sessions"], "sessions").more_than(0)
    expect("sessions left to fill", counted["left"], "sessions").equals(0)
    covered = db.scalar("select count(*) from {session_summaries} where snapshot_country <> 'XX'")
    expect("coverage", 100 * covered / counted["sessions"], "%").at_least(95)
