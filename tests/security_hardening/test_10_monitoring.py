"""Monitoring: what the monitoring role sees of the sessions, and that it sees them."""

import pytest

from signoff import checkpoint


@checkpoint("SEC-039")
@pytest.mark.read_only
def test_timeouts_can_be_counted(db, host, expect):
    """The application's errors are logged, in words that the monitoring knows, where it can read them."""
    # pg_stat_database counts no timeouts: the log is where they are told.
    with db.session("application") as session:
        logging = session.row(
            """
            select current_setting('log_min_messages') as least, current_setting('lc_messages') as language,
                   current_setting('log_line_prefix') as prefix
            """
        )
    expect("least level that is logged", logging["least"]).is_one_of(
        ["debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error"]
    )
    expect("language of messages", logging["language"]).is_one_of(
        ["C", "C.UTF-8", "C.utf8", "POSIX", "en_US.UTF-8", "en_US.utf8", "en_GB.UTF-8", "en_GB.utf8"]
    )
    expect("places of the role in log_line_prefix", logging["prefix"].count("%u")).at_least(1)
    expect("lines of the log", len(host.log_lines()), "lines").at_least(1)


@checkpoint("SEC-040")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_connections_are_counted(db, expect):
    """Every connection is counted by its state, and there are no more than 160."""
    connections = db.row(
        """
        select count(*) as total, count(*) filter (where state = 'active') as active,
               count(*) filter (where state like 'idle in transaction%') as idle_in_transaction,
               count(*) filter (where state is null) as hidden
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
        """
    )
    expect("connections without a state", connections["hidden"], "connections").equals(0)
    expect("idle in a transaction", connections["idle_in_transaction"], "connections").at_least(1)
    expect("connections", connections["total"], "connections").at_most(160)


@checkpoint("SEC-041")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_no_statement_beyond_25_seconds(db, expect):
    """No client of the database has been running a statement for more than 25 s."""
    slow = db.rows(
        """
        select pid, usename, application_name, clock_timestamp() - query_start as running, query
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and state = 'active' and clock_timestamp() - query_start > interval '25 s'
        """
    )
    expect("statements beyond 25 s", len(slow), "statements").equals(0)


@checkpoint("SEC-057")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_no_statement_beyond_20_seconds(db, expect):
    """No client of the database has been running a statement for more than 20 s."""
    slow = db.rows(
        """
        select pid, usename, application_name, clock_timestamp() - query_start as running, query
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and state = 'active' and clock_timestamp() - query_start > interval '20 s'
        """
    )
    expect("statements beyond 20 s", len(slow), "statements").equals(0)


@checkpoint("SEC-059")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_no_transaction_idle_beyond_30_seconds(db, expect):
    """No transaction, failed ones included, has been idle for more than 30 s."""
    # state_change, not query_start: the last statement may have been long, and what follows it short.
    idle = db.rows(
        """
        select pid, usename, application_name, state, clock_timestamp() - state_change as idle, query
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and state in ('idle in transaction', 'idle in transaction (aborted)')
            and clock_timestamp() - state_change > interval '30 s'
        """
    )
    expect("transactions idle beyond 30 s", len(idle), "transactions").equals(0)


@checkpoint("SEC-049")
@pytest.mark.read_only
@pytest.mark.performance
def test_no_statement_ever_took_25_seconds(db, application, expect):
    """Since the statistics began, no statement of the application has taken 25 s or more."""
    # Without the checks' own statements, which sleep on purpose.
    statements = db.rows(
        """
        select query, calls, max_exec_time as max_ms,
               (select stats_reset from pg_stat_statements_info) as since
        from pg_stat_statements s
        join pg_roles r on r.oid = s.userid
        join pg_database d on d.oid = s.dbid
        where r.rolname = %s and d.datname = current_database()
            and query <> '<insufficient privilege>' and query not like '%%pg_sleep%%'
        order by max_exec_time desc
        """,
        [application],
    )
    expect("statements seen", len(statements), "statements").at_least(1)
    expect("slowest call", statements[0]["max_ms"], "ms").less_than(25_000)


@checkpoint("SEC-050")
@pytest.mark.read_only
@pytest.mark.performance
@pytest.mark.usefixtures("foreign")
def test_no_transaction_is_open_for_60_seconds(db, expect):
    """No client of the database has had a transaction open for 60 s or more."""
    # One look suffices: whatever is that old cannot slip between two looks.
    oldest = db.scalar(
        """
        select max(extract(epoch from clock_timestamp() - xact_start)) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
        """
    )
    expect("oldest transaction", oldest, "s").less_than(60)
