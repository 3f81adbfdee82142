"""Rehearsal: the change is applied, tried and rolled back where nobody depends on it."""

import hashlib

import pytest

from signoff import checkpoint


@checkpoint("SEC-010")
@pytest.mark.destructive
@pytest.mark.security
def test_migration_leaves_what_it_should(db, procedures, expect):
    """The migration leaves its six settings on the database, the connection limit of 200, and the view."""
    applied = procedures.run("apply")
    expect("exit status", applied.exit_status).equals(0)
    expect("errors printed", applied.error_lines).equals([])
    names = db.column(
        """
        select split_part(unnest(setconfig), '=', 1) as name from pg_db_role_setting
        where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
        order by name
        """
    )
    expect("settings of the database", len(names), "settings").equals(6)
    # The values are read where they count, in a new session of the application.
    with db.session("application") as session:
        settings = session.rows(
            "select name, setting, unit from pg_settings where name = any(%s) and source = 'database'",
            [names],
        )
    expect(
        "values of the settings", {row["name"]: [row["setting"], row["unit"] or ""] for row in settings}
    ).equals(
        {
            "statement_timeout": ["30000", "ms"],
            "idle_in_transaction_session_timeout": ["60000", "ms"],
            "work_mem": ["262144", "kB"],
            "temp_file_limit": ["5242880", "kB"],
            "log_min_duration_statement": ["1000", "ms"],
            "log_lock_waits": ["on", ""],
        }
    )
    limit = db.scalar("select datconnlimit from pg_database where datname = current_database()")
    expect("connection limit of the database", limit, "connections").equals(200)
    views = db.scalar(
        "select count(*) from pg_class where oid = to_regclass('{security_monitoring}') and relkind = 'v'"
    )
    expect("security_monitoring", views, "views").equals(1)


@checkpoint("SEC-010")
@pytest.mark.read_only
def test_rehearsed_migration_script_is_recorded(artifact, baseline, expect):
    """The digest of the migration script that was rehearsed is on record."""
    script = artifact("migration_script").text()
    expect("length of the script", len(script), "characters").at_least(1)
    baseline.store("migration-script", hashlib.sha256(script.encode()).hexdigest())


@checkpoint("SEC-011")
@pytest.mark.read_only
def test_application_passes_its_own_tests(artifact, expect):
    """The application's own tests, run within the last day against the hardened database, all pass."""
    report = artifact("application_test_report")
    summary = report.junit()
    expect("age of the report", report.age_seconds, "s").at_most(86_400)
    expect("tests run", summary.tests - summary.skipped, "tests").at_least(1)
    expect("failures and errors", summary.failures + summary.errors, "tests").equals(0)


@checkpoint("SEC-013")
@pytest.mark.destructive
def test_rehearsed_rollback_runs(procedures, expect):
    """The rollback of the rehearsal runs without an error."""
    rolled_back = procedures.run("rollback")
    expect("exit status", rolled_back.exit_status).equals(0)
    expect("errors printed", rolled_back.error_lines).equals([])


@checkpoint("SEC-013")
@pytest.mark.read_only
def test_rehearsed_rollback_restores(db, baseline, here, aspect, expect):
    """After the rehearsed rollback the state is the recorded one, in every part."""
    recorded, now = set(baseline.read(aspect.baseline, here)), set(aspect.entries(db))
    expect("entries compared", len(recorded), "rows").at_least(1)
    left_behind = [f"left behind: {entry}" for entry in sorted(now - recorded)]
    lost = [f"lost: {entry}" for entry in sorted(recorded - now)]
    expect("differences from the record", left_behind + lost).equals([])


@checkpoint("SEC-013")
@pytest.mark.read_only
def test_rehearsed_rollback_script_is_recorded(artifact, baseline, expect):
    """The digest of the rollback script that was rehearsed is on record."""
    script = artifact("rollback_script").text()
    expect("length of the script", len(script), "characters").at_least(1)
    baseline.store("rollback-script", hashlib.sha256(script.encode()).hexdigest())
