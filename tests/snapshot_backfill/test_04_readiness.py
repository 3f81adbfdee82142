"""Readiness: what has to hold before a fill begins."""

import pytest

from signoff import checkpoint

DAY = 86_400


@checkpoint("SNP-053")
@pytest.mark.read_only
def test_database_answers(db, expect):
    """The database answers, and is PostgreSQL 13 or later, which all checks of this runbook understand."""
    expect("server version", db.server_version).at_least(130_000)
    expect("version", db.scalar("select version()").split()[0]).equals("PostgreSQL")


@checkpoint("SNP-022")
@pytest.mark.read_only
def test_database_is_the_one_meant(db, expect, setting):
    """Sessions and inventory have at least the size that is expected of this environment."""
    # A role that row-level security shuts out sees an empty table, and every share of it would be fine.
    sessions = db.scalar("select count(*) from {session_summaries}")
    expect("sessions", sessions, "sessions").at_least(setting("expected_sessions"))
    addresses = db.scalar("select count(*) from {ip_inventory}")
    expect("addresses", addresses, "rows").at_least(setting("expected_addresses"))


@checkpoint("SNP-002")
@pytest.mark.read_only
def test_migration_is_complete(db, expect):
    """The column for the address type is one text, and the array under the plural name is gone."""
    # The type, not only the name: after a mere rename the column is still an array, and comparing it fails.
    columns = db.column(
        """
        select attname || ' ' || format_type(atttypid, atttypmod)
        from pg_attribute
        where attrelid = '{session_summaries}'::regclass and attname like 'snapshot_ip%' and not attisdropped
        """
    )
    expect("columns for the address type", set(columns)).equals({"snapshot_ip_type text"})


@checkpoint("SNP-019")
@pytest.mark.read_only
def test_snapshot_columns_are_those_three(db, expect):
    """The snapshot columns are exactly country, network and address type, each of the right type."""
    columns = db.rows(
        """
        select attname as name, format_type(atttypid, atttypmod) as type
        from pg_attribute
        where attrelid = '{session_summaries}'::regclass and attname like 'snapshot%' and not attisdropped
        """
    )
    expect("snapshot columns", {column["name"]: column["type"] for column in columns}).equals(
        {
            "snapshot_asn": "integer",
            "snapshot_country": "character varying(2)",
            "snapshot_ip_type": "text",
        }
    )


@checkpoint("SNP-030")
@pytest.mark.read_only
def test_everything_the_fill_relies_on_is_there(db, expect):
    """The inventory knows countries, networks and types, and has one row for an address."""
    inventory = db.row(
        """
        select 100.0 * count(*) filter (where geo_country <> 'XX') / nullif(count(*), 0) as country,
               100.0 * count(current_asn) / nullif(count(*), 0) as network,
               100.0 * count(ip_types[1]) / nullif(count(*), 0) as type
        from {ip_inventory}
        """
    )
    # 95 % of the sessions cannot be covered by an inventory that knows less.
    expect("inventory rows with a country", inventory["country"], "%").at_least(95)
    expect("inventory rows with a network", inventory["network"], "%").at_least(50)
    expect("inventory rows with a type", inventory["type"], "%").at_least(50)
    # With two rows for an address the fill would take either, and the JOIN would count its sessions twice.
    unique = db.scalar(
        """
        select count(*)
        from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = '{ip_inventory}'::regclass and a.attname = 'ip_address'
            and i.indisunique and i.indnkeyatts = 1 and i.indisvalid and i.indpred is null
        """
    )
    expect("unique indexes on the address", unique, "indexes").at_least(1)


@checkpoint("SNP-032")
@pytest.mark.read_only
def test_status_directory_has_room(host, expect, setting):
    """The status directory exists, and its file system has room for status files."""
    # That a fill writes here, and not in silence to another place, is SNP-038.
    directory = setting("status_directory")
    host.list(directory)
    disk = host.disk(directory)
    expect("free space", disk.free_bytes, "bytes").at_least(1_000_000)
    expect("free inodes", disk.inodes_free_percent, "%").more_than(0)


@checkpoint("SNP-054")
@pytest.mark.read_only
def test_disk_has_room_for_a_second_copy_of_the_table(db, host, expect):
    """The data volume has at least 10 % and twice the size of the session table free."""
    disk = host.disk()
    table = db.scalar("select pg_total_relation_size('{session_summaries}'::regclass)")
    expect("size of the table", table, "bytes").more_than(0)
    expect("free space", disk.free_percent, "%").at_least(10)
    expect("free space in bytes", disk.free_bytes, "bytes").at_least(2 * table)


@checkpoint("SNP-051")
@pytest.mark.read_only
def test_backup_is_recent(artifact, expect, setting):
    """A backup of plausible size exists and is younger than 24 hours."""
    backup = artifact("backup")
    expect("age", backup.age_seconds, "s").at_most(DAY)
    # A dump piped into a compressor leaves a tiny file when the dump fails.
    expect("size", backup.path.stat().st_size, "bytes").at_least(setting("backup_bytes"))


@checkpoint("SNP-003")
@pytest.mark.read_only
def test_validation_tests_of_the_application_passed(artifact, expect):
    """The application's nine validation tests all ran and passed, less than 24 hours ago."""
    report = artifact("validation_report")
    summary = report.junit()
    expect("tests", summary.tests, "tests").equals(9)
    expect("failures", summary.failures + summary.errors, "tests").equals(0)
    expect("skipped", summary.skipped, "tests").equals(0)
    expect("age", report.age_seconds, "s").at_most(DAY)
