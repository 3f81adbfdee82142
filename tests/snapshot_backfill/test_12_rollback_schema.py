"""Schema rollback: the text goes back to being an array, and no value is lost on the way."""

import pytest

from signoff import checkpoint

OTHERS = (
    "session_id, first_event_at, last_event_at, event_count, source_ip, enrichment, enrichment_at, "
    "snapshot_asn, snapshot_country"
)


@pytest.fixture
def rolled_back(remembered, rehearse, procedures, ip_type_columns, to_fill, fingerprint):
    """The schema of a filled table rolled back, once, with what it held before."""
    if not remembered:
        rehearse("reset", "migrate", "backfill")
        remembered["columns before"] = ip_type_columns()
        remembered["filled before"] = to_fill()
        remembered["others before"] = fingerprint(OTHERS)
        remembered["types before"] = fingerprint("session_id, snapshot_ip_type")
        remembered["outcome"] = procedures.run("rollback_schema")
    return remembered


@checkpoint("SNP-020")
@pytest.mark.destructive
def test_schema_rollback_runs_to_its_end(rolled_back, expect):
    """The schema rollback ends with status 0 and prints no error."""
    expect("exit status", rolled_back["outcome"].exit_status).equals(0)
    expect("errors printed", rolled_back["outcome"].error_lines).equals([])


@checkpoint("SNP-080")
@pytest.mark.destructive
def test_plural_column_is_back(rolled_back, expect, ip_type_columns):
    """After the schema rollback the address type is an array of text under the plural name, as before."""
    expect("columns before", rolled_back["columns before"]).equals({"snapshot_ip_type text"})
    # A rename backwards would leave a single text under the plural name.
    expect("columns afterwards", ip_type_columns()).equals({"snapshot_ip_types text[]"})


@checkpoint("SNP-081")
@pytest.mark.destructive
def test_schema_rollback_touches_no_data(rolled_back, expect, fingerprint):
    """The schema rollback leaves every row, every other column and every known address type as it is."""
    expect("sessions filled", rolled_back["filled before"]["done"], "sessions").more_than(0)
    expect("other columns", fingerprint(OTHERS)).equals(rolled_back["others before"])
    expect("address types", fingerprint("session_id, snapshot_ip_types[1]")).equals(
        rolled_back["types before"]
    )
