"""Pre-migration: what is compared later is recorded now."""

from dataclasses import asdict

import pytest

from signoff import checkpoint


@checkpoint("SEC-201")
@pytest.mark.destructive
def test_rehearsal_starts_before_the_change(db, procedures, expect):
    """A rehearsal starts with timeouts of 300 s and 600 s and with nothing set on the database itself."""
    reset = procedures.run("reset")
    expect("exit status", reset.exit_status).equals(0)
    expect("errors printed", reset.error_lines).equals([])
    with db.session("application") as session:
        timeouts = session.rows(
            """
            select name, setting::integer as ms from pg_settings
            where name in ('statement_timeout', 'idle_in_transaction_session_timeout')
            """
        )
    expect("timeouts of a new session in ms", {row["name"]: row["ms"] for row in timeouts}).equals(
        {"statement_timeout": 300_000, "idle_in_transaction_session_timeout": 600_000}
    )
    settings = db.column(
        """
        select unnest(setconfig) from pg_db_role_setting
        where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database())
        """
    )
    expect("settings of the database", settings).equals([])
    limit = db.scalar("select datconnlimit from pg_database where datname = current_database()")
    expect("connection limit of the database", limit).equals(-1)


@checkpoint("SEC-009")
@pytest.mark.read_only
def test_state_before_the_change_is_recorded(db, baseline, here, aspect, expect):
    """The state before the change is on record, so that a rollback can be compared with it."""
    entries = aspect.entries(db)
    expect("entries recorded", len(entries), "rows").at_least(1)
    baseline.store(aspect.baseline, entries, here)


@checkpoint("SEC-202")
@pytest.mark.destructive
@pytest.mark.performance
def test_load_before_the_change_is_recorded(load, baseline, here, expect):
    """Before the change 20 clients work without a failed transaction, and their figures are on record."""
    expect("exit status", load.exit_status).equals(0)
    expect("errors printed", load.error_lines).equals([])
    expect("transactions", load.transactions, "transactions").more_than(0)
    expect("failed transactions", load.failed, "transactions").equals(0)
    expect("own lines found in the log", load.own_lines, "lines").at_least(1)
    expect("connections in use", load.connections, "connections").more_than(0)
    conditions = {**here, "clients": load.clients, "seconds": load.seconds}
    baseline.store("load-before", asdict(load), conditions)


@checkpoint("SEC-006")
@pytest.mark.read_only
@pytest.mark.performance
def test_performance_before_the_change_is_recorded(db, application, baseline, here, expect):
    """The calls and the total time of each statement of the application are on record."""
    statements = db.rows(
        """
        select md5(query) as statement, sum(calls)::bigint as calls, sum(total_exec_time) as ms
        from pg_stat_statements s
        join pg_roles r on r.oid = s.userid
        join pg_database d on d.oid = s.dbid
        where r.rolname = %s and d.datname = current_database() and query not like '%%pg_sleep%%'
            and query <> '<insufficient privilege>'
        group by query
        """,
        [application],
    )
    expect("calls", sum(row["calls"] for row in statements), "statements").at_least(100)
    baseline.store(
        "statements-before", {row["statement"]: [row["calls"], row["ms"]] for row in statements}, here
    )


@checkpoint("SEC-006")
@pytest.mark.read_only
@pytest.mark.performance
def test_application_errors_before_the_change_are_recorded(artifact, baseline, expect):
    """The errors that the application reported in the latest window before the change are on record."""
    report = artifact("application_errors").json()
    expect("requests", report["requests"], "requests").more_than(0)
    baseline.store("application-errors", report)


@checkpoint("SEC-007")
@pytest.mark.read_only
@pytest.mark.performance
def test_no_statement_needs_more_than_the_new_limit(db, application, expect):
    """No statement of the application took more than 25 s, so none would be cancelled by the change."""
    # max_exec_time, not the mean: the one slow call is the one that would be cancelled.
    statements = db.rows(
        """
        select query, calls, mean_exec_time as mean_ms, stddev_exec_time as deviation_ms,
               max_exec_time as max_ms
        from pg_stat_statements s
        join pg_roles r on r.oid = s.userid
        join pg_database d on d.oid = s.dbid
        where r.rolname = %s and d.datname = current_database() and query not like '%%pg_sleep%%'
            and query <> '<insufficient privilege>'
        order by max_exec_time desc
        """,
        [application],
    )
    expect("statements seen", len(statements), "statements").at_least(1)
    expect("slowest call", statements[0]["max_ms"], "ms").at_most(25_000)


@checkpoint("SEC-008")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_use_of_connections_is_recorded(db, baseline, here, expect):
    """The connections before the change are on record: in total, active, and idle in a transaction."""
    connections = db.row(
        """
        select count(*) as total, count(*) filter (where state = 'active') as active,
               count(*) filter (where state like 'idle in transaction%') as idle_in_transaction
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
        """
    )
    expect("connections", connections["total"], "connections").at_least(1)
    baseline.store("connections-before", connections, here)
