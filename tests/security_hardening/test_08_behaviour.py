"""Behaviour: the limits are waited out, all at once, as the application."""

import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from signoff import checkpoint


@pytest.fixture
def waited_out(db, host, progress, remembered):
    """Run into both timeouts at once, and look at the running statement, as the monitoring, after 26 s."""
    if not remembered:
        position = host.log_position()
        at = db.scalar(
            "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        )
        with (
            db.session("application", deadline=50) as busy,
            db.session("application") as idle,
            db.session("monitor") as monitor,
            ThreadPoolExecutor(max_workers=2) as threads,
            progress("the limits of 30 s and 60 s", seconds=60),
        ):
            busy.begin()
            idle.begin()
            idle.scalar("select 'idle from now on'")
            sleeping = threads.submit(busy.attempt, "select pg_sleep(35)")
            idling = threads.submit(idle.wait_closed, 75)
            wait([sleeping], timeout=26)
            seen = monitor.rows(
                "select state, query, query_duration_seconds from {security_monitoring} where pid = %s",
                [busy.pid],
            )
            remembered.update(
                position=position,
                at=at,
                seen=seen,
                cancelled=sleeping.result(),
                afterwards=busy.attempt("select 1"),
                ended=idling.result(),
            )
    return remembered


@checkpoint("SEC-045")
@pytest.mark.destructive
@pytest.mark.security
def test_long_statement_is_cancelled(waited_out, expect):
    """A statement of the application is cancelled after 30 s, and its transaction accepts nothing more.

    The application could lift the limit for itself (SET statement_timeout = 0): a default, not a barrier.
    """
    expect("SQLSTATE", waited_out["cancelled"].sqlstate).equals("57014")
    expect("cancelled after", waited_out["cancelled"].seconds, "s").between(29, 31)
    expect("SQLSTATE of the next statement", waited_out["afterwards"].sqlstate).equals("25P02")


@checkpoint("SEC-046")
@pytest.mark.destructive
@pytest.mark.security
def test_idle_transaction_is_ended(waited_out, expect):
    """A transaction of the application that does nothing is ended after 60 s, and its connection closed."""
    expect("SQLSTATE", waited_out["ended"].sqlstate).equals("25P03")
    expect("ended after", waited_out["ended"].seconds, "s").between(58, 62)


@checkpoint("SEC-014")
@pytest.mark.destructive
@pytest.mark.security
def test_statement_close_to_the_limit_is_visible(waited_out, expect):
    """The monitoring role sees a statement of the application that is between 25 s and 30 s old."""
    expect("rows of security_monitoring", len(waited_out["seen"]), "rows").equals(1)
    expect("state", waited_out["seen"][0]["state"]).equals("active")
    expect("query", waited_out["seen"][0]["query"]).equals("select pg_sleep(35)")
    expect("duration shown", waited_out["seen"][0]["query_duration_seconds"], "s").between(25, 30)


@checkpoint("SEC-014")
@pytest.mark.destructive
@pytest.mark.security
def test_cut_off_is_told_in_the_log(waited_out, host, expect):
    """The server's log tells of the cancelled statement and of the ended transaction."""
    lines = host.log_lines(since=waited_out["position"])
    cancelled = [line for line in lines if "canceling statement due to statement timeout" in line]
    ended = [line for line in lines if "terminating connection due to idle-in-transaction timeout" in line]
    expect("cancelled statements in the log", len(cancelled), "lines").equals(1)
    expect("ended transactions in the log", len(ended), "lines").equals(1)


@checkpoint("SEC-014")
@pytest.mark.destructive
def test_alert_fires(waited_out, artifact, setting, expect):
    """The critical alert has fired since the statement began."""
    history = artifact("alert_history").json()
    times = [entry["at"] for entry in history if entry["alert"] == setting("critical_alert")]
    expect("alerts fired", sum(at >= waited_out["at"] for at in times), "alerts").at_least(1)


@pytest.fixture
def room_for_one(db):
    """Lower the connection limit so that one more session fits, and restore it."""
    row = db.row(
        """
        select quote_ident(datname) as name, datconnlimit,
               (select count(*) from pg_stat_activity
                where datname = current_database() and backend_type = 'client backend') as open
        from pg_database where datname = current_database()
        """
    )
    db.execute(f"alter database {row['name']} connection limit {row['open'] + 1}")
    yield row
    db.execute(f"alter database {row['name']} connection limit {row['datconnlimit']}")


@checkpoint("SEC-047")
@pytest.mark.destructive
@pytest.mark.security
def test_connection_beyond_the_limit_is_refused(db, room_for_one, expect):
    """The application gets the last connection that the database admits, and is refused the next one."""
    # Lowered for a moment rather than reached: 200 connections would be taken away from everybody else.
    expect("limit of the database", room_for_one["datconnlimit"], "connections").at_least(1)
    with db.session("application"):
        refused = db.attempt_session("application")
    expect("error", refused.error).equals("TooManyConnections")
    again = db.attempt_session("application")
    expect("error once there is room", again.error).equals("")


@checkpoint("SEC-048")
@pytest.mark.destructive
@pytest.mark.security
def test_only_slow_statements_are_logged(db, host, progress, expect):
    """A statement of the application that takes 1.5 s is logged; one that takes 0.5 s is not."""
    position = host.log_position()
    with db.session("application") as session, progress("statements of 0.5 s and 1.5 s", seconds=2):
        session.scalar("select 'half a second' from pg_sleep(0.5)")
        session.scalar("select 'one and a half' from pg_sleep(1.5)")
    # The server writes in this order: when the second is there, the first would be.
    deadline = time.monotonic() + 5
    while not (slow := host.log_lines(since=position, pattern="one and a half")):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    expect("lines about 1.5 s", len(slow), "lines").at_least(1)
    expect("lines about 0.5 s", host.log_lines(since=position, pattern="half a second")).equals([])


@checkpoint("SEC-203")
@pytest.mark.destructive
@pytest.mark.security
def test_application_cannot_lift_the_file_limit(db, expect):
    """The application is refused when it lifts the limit of temporary files for itself."""
    with db.session("application") as session:
        lifted = session.attempt("set temp_file_limit = -1")
    expect("SQLSTATE", lifted.sqlstate).equals("42501")


@checkpoint("SEC-203")
@pytest.mark.destructive
@pytest.mark.security
def test_sort_beyond_the_file_limit_is_refused(db, application, expect):
    """A sort of the application runs within the database's file limit, and is refused beyond it."""
    # 10 MB on disk instead of 5 GB: the administrator lowers the limit for this one session.
    sort = (
        "select count(*) from (select n from generate_series(1, 500000) as n order by n desc offset 0) as s"
    )
    with db.session("administrator") as session:
        session.execute("set work_mem = '64kB'")
        session.scalar("select set_config('role', %s, false)", [application])
        within = session.attempt(sort)
        session.execute("reset role")
        session.execute("set temp_file_limit = '1MB'")
        session.scalar("select set_config('role', %s, false)", [application])
        beyond = session.attempt(sort)
    expect("SQLSTATE within the limit", within.sqlstate).equals("")
    expect("SQLSTATE beyond the limit", beyond.sqlstate).equals("53400")
