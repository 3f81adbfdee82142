"""Migration: one look back, the change itself, and who lives by the old values still."""

import hashlib
import time
from dataclasses import asdict

import pytest

from signoff import checkpoint


@checkpoint("SEC-019")
@pytest.mark.read_only
def test_timeouts_are_as_recorded(db, baseline, here, expect):
    """Right before the change both timeouts have the value and the source that were recorded."""
    recorded = baseline.read("state-settings", here)
    # The source stands beside the value: 300 s left behind by a rollback are not 300 s from the file.
    with db.session("application") as session:
        timeouts = session.column(
            """
            select concat_ws(' ', name, '=', setting, unit, 'from', source) from pg_settings
            where name in ('statement_timeout', 'idle_in_transaction_session_timeout')
            """
        )
    expect("timeouts found", len(timeouts), "settings").equals(2)
    expect("timeouts that differ from the record", sorted(set(timeouts) - set(recorded))).equals([])


@checkpoint("SEC-020")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_connections_are_counted_by_state(db, expect):
    """Right before the change every connection is counted by its state, and none is hidden."""
    # Processes of the server itself have no state; they are no connections.
    states = db.rows(
        """
        select coalesce(state, 'hidden') as state, count(*) as connections from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
        group by 1 order by 1
        """
    )
    hidden = [row for row in states if row["state"] == "hidden"]
    expect("connections without a state", hidden).equals([])


@checkpoint("SEC-205")
@pytest.mark.read_only
def test_migration_script_is_the_rehearsed_one(artifact, baseline, setting, expect):
    """The migration script at hand is, byte for byte, the one that was rehearsed."""
    digest = hashlib.sha256(artifact("migration_script").text().encode()).hexdigest()
    rehearsed = setting("rehearsed_migration_script") or baseline.read("migration-script")
    expect("SHA-256 of the migration script", digest).equals(rehearsed)


@checkpoint("SEC-026")
@pytest.mark.read_only
def test_way_back_is_open(artifact, baseline, setting, expect):
    """The rollback script at hand is, byte for byte, the one that was rehearsed."""
    digest = hashlib.sha256(artifact("rollback_script").text().encode()).hexdigest()
    rehearsed = setting("rehearsed_rollback_script") or baseline.read("rollback-script")
    expect("SHA-256 of the rollback script", digest).equals(rehearsed)


@pytest.fixture
def migration(db, procedures, host, baseline, here, application, remembered):
    """Apply the change, once, beside a session of the application that was open before."""
    if not remembered:
        with db.session("application") as old:
            before = old.scalar("select setting::integer from pg_settings where name = 'statement_timeout'")
            position = host.log_position()
            at = db.scalar("select clock_timestamp()::text")
            applied = procedures.run("apply")
            after = old.scalar("select setting::integer from pg_settings where name = 'statement_timeout'")
            older = db.scalar(
                """
                select count(*) from pg_stat_activity
                where datname = current_database() and usename = %s and backend_start < %s::timestamptz
                """,
                [application, at],
            )
        statements = db.rows(
            """
            select md5(query) as statement, sum(calls)::bigint as calls, sum(total_exec_time) as ms
            from pg_stat_statements s
            join pg_roles r on r.oid = s.userid
            join pg_database d on d.oid = s.dbid
            where r.rolname = %s and d.datname = current_database()
            group by query
            """,
            [application],
        )
        baseline.store("change", {"at": at, "log": asdict(position), "sessions_open": older}, here)
        baseline.store(
            "statements-at-change", {row["statement"]: [row["calls"], row["ms"]] for row in statements}, here
        )
        remembered.update(applied=applied, before=before, after=after)
    return remembered


@checkpoint("SEC-021")
@pytest.mark.destructive
def test_migration_applies_whole(db, migration, expect):
    """The migration prints no error, and leaves all of its settings, its limit and its view behind."""
    # psql ends with 0 after any number of errors unless told otherwise: status, words and effect all count.
    expect("exit status", migration["applied"].exit_status).equals(0)
    expect("errors printed", migration["applied"].error_lines).equals([])
    settings = db.column(
        """
        select split_part(unnest(setconfig), '=', 1) as name from pg_db_role_setting
        where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
        order by name
        """
    )
    expect("settings of the database", len(settings), "settings").equals(6)
    expect("names of the settings", settings).equals(
        [
            "idle_in_transaction_session_timeout",
            "log_lock_waits",
            "log_min_duration_statement",
            "statement_timeout",
            "temp_file_limit",
            "work_mem",
        ]
    )
    limit = db.scalar("select datconnlimit from pg_database where datname = current_database()")
    expect("connection limit of the database", limit, "connections").equals(200)
    views = db.scalar(
        "select count(*) from pg_class where oid = to_regclass('{security_monitoring}') and relkind = 'v'"
    )
    expect("security_monitoring", views, "views").equals(1)


@checkpoint("SEC-022")
@pytest.mark.destructive
@pytest.mark.security
def test_only_new_sessions_get_the_limit(db, migration, expect):
    """A session from before the change keeps its statement timeout; a new one has 30,000 ms."""
    with db.session("application") as new:
        limit = new.scalar("select setting::integer from pg_settings where name = 'statement_timeout'")
    expect("open session, after the change", migration["after"], "ms").equals(migration["before"])
    expect("new session", limit, "ms").equals(30_000)


@checkpoint("SEC-024")
@pytest.mark.read_only
def test_old_sessions_are_gone(db, application, baseline, here, setting, progress, expect):
    """Within the agreed time, no session of the application from before the change is left."""
    change = baseline.read("change", here)
    expect("old sessions seen at the change", change["sessions_open"], "sessions").at_least(1)
    # Another session's settings cannot be looked up; when it began can.
    count = """
        select count(*) from pg_stat_activity
        where datname = current_database() and usename = %s and backend_start < %s::timestamptz
        """
    deadline = time.monotonic() + setting("drain_within")
    with progress("sessions from before the change to end", setting("drain_within")):
        while (left := db.scalar(count, [application, change["at"]])) and time.monotonic() < deadline:
            time.sleep(1)
    expect("old sessions left", left, "sessions").equals(0)
