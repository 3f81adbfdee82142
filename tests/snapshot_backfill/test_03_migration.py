"""Schema migration: the array under the plural name becomes a text under the singular one."""

import re

import pytest

from signoff import checkpoint

QUARTER_OF_AN_HOUR = 900

# All columns but the one that changes its name and type.
OTHERS = (
    "session_id, first_event_at, last_event_at, event_count, source_ip, enrichment, enrichment_at, "
    "snapshot_asn, snapshot_country"
)


@pytest.fixture
def unmigrated(rehearse, setting, ip_type_columns):
    """Go to the state before the migration, where a rehearsal stands elsewhere."""

    def prepare():
        if "snapshot_ip_types text[]" not in ip_type_columns() and setting("rehearsal") == "yes":
            rehearse("reset")

    return prepare


@checkpoint("SNP-017")
@pytest.mark.destructive
def test_dry_run_says_what_it_would_execute(unmigrated, procedures, expect):
    """The dry run of the migration ends with status 0 and names the table and both columns."""
    unmigrated()
    dry_run = procedures.run("migrate_dry_run")
    expect("exit status", dry_run.exit_status).equals(0)
    expect("errors printed", dry_run.error_lines).equals([])
    words = ["alter table", "session_summaries", "snapshot_ip_types", "snapshot_ip_type"]
    said = [word for word in words if re.search(rf"\b{word}\b", dry_run.output, re.IGNORECASE)]
    expect("named in the output", said).equals(words)


@checkpoint("SNP-013")
@pytest.mark.destructive
def test_dry_run_changes_nothing(unmigrated, procedures, expect, schema, fingerprint):
    """The dry run of the migration changes neither the schema nor a row."""
    unmigrated()
    before = {**fingerprint(OTHERS), "schema": schema()}
    procedures.run("migrate_dry_run")
    expect("sessions and schema", {**fingerprint(OTHERS), "schema": schema()}).equals(before)


@pytest.fixture
def migration(unmigrated, remembered, procedures, ip_type_columns, fingerprint):
    """The migration, executed once, with what it found and what it left behind."""
    if not remembered:
        unmigrated()
        remembered["columns before"] = ip_type_columns()
        remembered["others before"] = fingerprint(OTHERS)
        remembered["types before"] = fingerprint("session_id, snapshot_ip_types[1]")
        remembered["outcome"] = procedures.run("migrate")
    return remembered


@checkpoint("SNP-018")
@pytest.mark.destructive
def test_migration_is_executed(migration, expect, ip_type_columns):
    """The migration ends with status 0, prints no error, and turns the array into one text."""
    expect("columns before", migration["columns before"]).equals({"snapshot_ip_types text[]"})
    expect("exit status", migration["outcome"].exit_status).equals(0)
    # A tool that prints ERROR and ends with 0 has failed.
    expect("errors printed", migration["outcome"].error_lines).equals([])
    expect("columns afterwards", ip_type_columns()).equals({"snapshot_ip_type text"})


@checkpoint("SNP-014")
@pytest.mark.destructive
@pytest.mark.usefixtures("migration")
def test_new_column_has_an_index(db, expect, ip_type_columns):
    """After the migration only the singular column exists, it is text, and a valid index contains it."""
    expect("columns", ip_type_columns()).equals({"snapshot_ip_type text"})
    indexes = db.scalar(
        """
        select count(*)
        from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = '{session_summaries}'::regclass and a.attname = 'snapshot_ip_type'
            and i.indisvalid and i.indisready
        """
    )
    expect("indexes on it", indexes, "indexes").at_least(1)


@checkpoint("SNP-010")
@pytest.mark.destructive
def test_migration_loses_no_data(migration, expect, fingerprint):
    """After the migration every row, every other column and every known address type is as before."""
    expect("sessions", migration["others before"]["rows"], "sessions").more_than(0)
    expect("other columns", fingerprint(OTHERS)).equals(migration["others before"])
    expect("address types", fingerprint("session_id, snapshot_ip_type")).equals(migration["types before"])


@checkpoint("SNP-016")
@pytest.mark.destructive
@pytest.mark.performance
def test_migration_fits_its_window(migration, expect):
    """The migration takes less than 15 minutes."""
    expect("time", migration["outcome"].seconds, "s").less_than(QUARTER_OF_AN_HOUR)
