"""Rollback: everything is as it was before, and the rehearsal ends in the released state."""

import pytest

from signoff import checkpoint


@checkpoint("SEC-034")
@pytest.mark.destructive
def test_rollback_runs(procedures, expect):
    """The rollback ends with status 0 and prints no error."""
    rolled_back = procedures.run("rollback")
    expect("exit status", rolled_back.exit_status).equals(0)
    expect("errors printed", rolled_back.error_lines).equals([])


@checkpoint("SEC-035")
@pytest.mark.read_only
@pytest.mark.security
def test_statement_timeout_is_back(db, baseline, here, expect):
    """A new session of the application has the recorded statement timeout, from the recorded source."""
    recorded = baseline.read("state-settings", here)
    with db.session("application") as session:
        timeout = session.scalar(
            "select concat_ws(' ', name, '=', setting, unit, 'from', source) from pg_settings "
            "where name = 'statement_timeout'"
        )
    expect("statement timeout", timeout).is_one_of(
        [line for line in recorded if line.startswith("statement_timeout ")]
    )


@checkpoint("SEC-037")
@pytest.mark.read_only
@pytest.mark.security
def test_everything_is_back(db, baseline, here, aspect, expect):
    """After the rollback the state is the recorded one: nothing is lost, and nothing left behind."""
    recorded, now = set(baseline.read(aspect.baseline, here)), set(aspect.entries(db))
    expect("entries compared", len(recorded), "rows").at_least(1)
    left_behind = [f"left behind: {entry}" for entry in sorted(now - recorded)]
    lost = [f"lost: {entry}" for entry in sorted(recorded - now)]
    expect("differences from the record", left_behind + lost).equals([])


@checkpoint("SEC-037")
@pytest.mark.read_only
def test_view_is_gone(db, expect):
    """The view security_monitoring does not exist."""
    views = db.scalar("select count(*) from pg_class where oid = to_regclass('{security_monitoring}')")
    expect("security_monitoring", views, "views").equals(0)


@checkpoint("SEC-036")
@pytest.mark.destructive
def test_pool_is_restarted(db, procedures, application, expect):
    """After the restart of the pool, no session of the application is left from before it."""
    with db.session("application") as pooled:
        at = db.scalar("select clock_timestamp()::text")
        count = (
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and usename = %s and backend_start < %s::timestamptz"
        )
        expect("old sessions before", db.scalar(count, [application, at]), "sessions").at_least(1)
        restarted = procedures.run("restart_pool")
        expect("exit status", restarted.exit_status).equals(0)
        expect("errors printed", restarted.error_lines).equals([])
        pooled.wait_closed(10)
        expect("old sessions after", db.scalar(count, [application, at]), "sessions").equals(0)


@checkpoint("SEC-204")
@pytest.mark.destructive
@pytest.mark.security
def test_rehearsal_ends_released(db, procedures, expect):
    """The change is applied again, and new sessions of the application have the limit of 30,000 ms."""
    applied = procedures.run("apply")
    expect("exit status", applied.exit_status).equals(0)
    expect("errors printed", applied.error_lines).equals([])
    with db.session("application") as session:
        timeout = session.row(
            "select setting::integer as ms, source from pg_settings where name = 'statement_timeout'"
        )
    expect("statement timeout", timeout["ms"], "ms").equals(30_000)
    expect("source", timeout["source"]).equals("database")
