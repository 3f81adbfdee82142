"""Success criteria: what the change was made for."""

import pytest

from signoff import checkpoint


@checkpoint("SEC-061")
@pytest.mark.read_only
@pytest.mark.performance
def test_statements_are_answered_in_time(db, application, setting, expect):
    """95 % of the application's statements are answered within the time agreed with its users."""
    statements = db.row(
        """
        with statements as (
            select calls, mean_exec_time as mean, stddev_exec_time as deviation
            from pg_stat_statements s
            join pg_roles r on r.oid = s.userid
            join pg_database d on d.oid = s.dbid
            where r.rolname = %s and d.datname = current_database()
                and query <> '<insufficient privilege>' and query not like '%%pg_sleep%%'
        ),
        pooled as (
            select coalesce(sum(calls), 0)::bigint as calls, sum(calls * mean) / sum(calls) as mean,
                   sum(calls * (deviation ^ 2 + mean ^ 2)) / sum(calls) as square
            from statements
        )
        select calls, mean, sqrt(greatest(square - mean ^ 2, 0)) as deviation from pooled
        """,
        [application],
    )
    expect("calls", statements["calls"], "statements").at_least(100)
    # The server keeps no percentiles. Whatever the distribution, no more than 5 % of the calls lie beyond
    # mean + sqrt(19) deviations (Cantelli's inequality): a bound within the limit shows that p95 is, too.
    bound = statements["mean"] + 19**0.5 * statements["deviation"]
    expect("bound of the 95th percentile", bound, "ms").at_most(setting("sla_p95_ms"))


@checkpoint("SEC-064")
@pytest.mark.read_only
@pytest.mark.security
def test_application_has_no_statement_timeout_of_its_own(db, application, expect):
    """The application's statement timeout of 30 s comes from the database, and its role sets none.

    A session may still change it for itself (context "user"): a default is in force, not a barrier. Whether
    one did can be seen only by the effect, which the next test looks for.
    """
    with db.session("application") as session:
        timeout = session.row(
            "select setting::integer as ms, source, context from pg_settings where name = 'statement_timeout'"
        )
    expect("statement timeout", timeout["ms"], "ms").equals(30_000)
    expect("source", timeout["source"]).equals("database")
    own = db.column(
        """
        select assignment from pg_db_role_setting s
        join pg_roles r on r.oid = s.setrole
        cross join lateral unnest(s.setconfig) as assignment
        where r.rolname = %s and assignment like 'statement_timeout=%%'
        """,
        [application],
    )
    expect("settings of the role", own).equals([])


@checkpoint("SEC-064")
@pytest.mark.read_only
@pytest.mark.security
@pytest.mark.usefixtures("foreign")
def test_no_statement_has_outlived_the_limit(db, application, expect):
    """No statement of the application has been running for longer than its limit of 30 s."""
    # One second for the server to act.
    outlived = db.rows(
        """
        select pid, application_name, clock_timestamp() - query_start as running, query from pg_stat_activity
        where datname = current_database() and usename = %s
            and state = 'active' and clock_timestamp() - query_start > interval '31 s'
        """,
        [application],
    )
    expect("statements beyond their limit", len(outlived), "statements").equals(0)


@checkpoint("SEC-065")
@pytest.mark.read_only
@pytest.mark.security
def test_application_has_no_idle_timeout_of_its_own(db, application, expect):
    """The application's idle-in-transaction timeout of 60 s comes from the database, and its role sets none.

    A session may still change it for itself; the next test looks for the effect.
    """
    with db.session("application") as session:
        timeout = session.row(
            """
            select setting::integer as ms, source, context from pg_settings
            where name = 'idle_in_transaction_session_timeout'
            """
        )
    expect("idle-in-transaction timeout", timeout["ms"], "ms").equals(60_000)
    expect("source", timeout["source"]).equals("database")
    own = db.column(
        """
        select assignment from pg_db_role_setting s
        join pg_roles r on r.oid = s.setrole
        cross join lateral unnest(s.setconfig) as assignment
        where r.rolname = %s and assignment like 'idle_in_transaction_session_timeout=%%'
        """,
        [application],
    )
    expect("settings of the role", own).equals([])


@checkpoint("SEC-065")
@pytest.mark.read_only
@pytest.mark.security
@pytest.mark.usefixtures("foreign")
def test_no_transaction_has_outlived_the_limit(db, application, expect):
    """No transaction of the application has been idle for longer than its limit of 60 s."""
    outlived = db.rows(
        """
        select pid, application_name, clock_timestamp() - state_change as idle, query from pg_stat_activity
        where datname = current_database() and usename = %s
            and state in ('idle in transaction', 'idle in transaction (aborted)')
            and clock_timestamp() - state_change > interval '61 s'
        """,
        [application],
    )
    expect("transactions beyond their limit", len(outlived), "transactions").equals(0)


@checkpoint("SEC-066")
@pytest.mark.read_only
@pytest.mark.security
def test_memory_and_files_are_limited(db, expect):
    """A statement of the application may use 256 MB of working memory and 5 GB of temporary files."""
    with db.session("application") as session:
        limits = session.rows(
            """
            select name, concat_ws(' ', setting, unit, 'from', source) as value from pg_settings
            where name in ('work_mem', 'temp_file_limit')
            """
        )
    expect("limits", {row["name"]: row["value"] for row in limits}).equals(
        {"work_mem": "262144 kB from database", "temp_file_limit": "5242880 kB from database"}
    )


@checkpoint("SEC-066")
@pytest.mark.read_only
@pytest.mark.security
def test_application_may_not_lift_the_file_limit(db, application, expect):
    """The application's role is no superuser and has no right to change the limit of temporary files."""
    rights = db.row(
        """
        select rolsuper as superuser, has_parameter_privilege(rolname, 'temp_file_limit', 'SET') as may_set,
               has_parameter_privilege(rolname, 'temp_file_limit', 'ALTER SYSTEM') as may_alter_system
        from pg_roles where rolname = %s
        """,
        [application],
    )
    expect("rights", rights).equals({"superuser": False, "may_set": False, "may_alter_system": False})


@checkpoint("SEC-067")
@pytest.mark.read_only
@pytest.mark.security
def test_monitoring_sees_the_sessions_of_others(db, foreign, expect):
    """The monitoring role sees state and query of the application's sessions through security_monitoring."""
    views = db.scalar(
        "select count(*) from pg_class where oid = to_regclass('{security_monitoring}') and relkind = 'v'"
    )
    expect("security_monitoring", views, "views").equals(1)
    with db.session("monitor") as monitor:
        seen = monitor.rows("select state, query from {security_monitoring} where pid = %s", [foreign.pid])
    expect("sessions seen", len(seen), "sessions").equals(1)
    expect("what is seen", seen[0]).equals(
        {"state": "idle in transaction", "query": "select 'seen by the monitoring'"}
    )


@checkpoint("SEC-067")
@pytest.mark.read_only
@pytest.mark.security
def test_view_is_closed_to_ordinary_roles(db, application, expect):
    """Neither everybody nor the application may read security_monitoring, and pg_monitor may."""
    readers = db.row(
        """
        select has_table_privilege('public', oid, 'select') as everybody,
               has_table_privilege(%s, oid, 'select') as application,
               has_table_privilege('pg_monitor', oid, 'select') as pg_monitor
        from pg_class where oid = to_regclass('{security_monitoring}')
        """,
        [application],
    )
    expect("readers", readers).equals({"everybody": False, "application": False, "pg_monitor": True})
