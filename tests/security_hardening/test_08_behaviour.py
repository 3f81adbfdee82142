"""Behaviour: the limits are waited out, all at once, as the application."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from signoff import checkpoint


@pytest.fixture(scope="module")
def waiting():
    """Sessions that wait for their limits at the same time, until the last test of this module."""
    with ExitStack() as sessions:
        yield {"sessions": sessions}


@pytest.fixture
def limits(db, host, waiting):
    """Let one session of the application run into each of both timeouts, in the background."""
    if "busy" not in waiting:
        waiting["log"] = host.log_position()
        waiting["at"] = db.scalar(
            "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        )
        busy = waiting["sessions"].enter_context(db.session("application", deadline=50))
        idle = waiting["sessions"].enter_context(db.session("application"))
        threads = waiting["sessions"].enter_context(ThreadPoolExecutor(max_workers=2))
        busy.begin()
        idle.begin()
        idle.scalar("select 'idle from now on'")
        waiting["began"] = time.monotonic()
        waiting["cancelled"] = threads.submit(busy.attempt, "select pg_sleep(35)")
        waiting["ended"] = threads.submit(idle.wait_closed, 75)
        waiting.update(busy=busy, idle=idle)
    return waiting


@checkpoint("SEC-014")
@pytest.mark.destructive
@pytest.mark.security
def test_statement_close_to_the_limit_is_visible(db, limits, progress, expect):
    """The monitoring role sees a statement of the application that is between 25 s and 30 s old."""
    with progress("a statement to come close to its limit", seconds=26):
        time.sleep(max(0, limits["began"] + 26 - time.monotonic()))
    with db.session("monitor") as monitor:
        seen = monitor.rows(
            "select state, query, query_duration_seconds from {security_monitoring} where pid = %s",
            [limits["busy"].pid],
        )
    expect("rows of security_monitoring", len(seen), "rows").equals(1)
    expect("state", seen[0]["state"] or "hidden").equals("active")
    expect("query", seen[0]["query"]).equals("select pg_sleep(35)")
    expect("duration shown", seen[0]["query_duration_seconds"], "s").between(25, 30)


@checkpoint("SEC-014")
@pytest.mark.destructive
def test_alert_fires(limits, artifact, setting, progress, expect):
    """The critical alert fires for a statement of the application that is close to its limit."""
    name = setting("critical_alert")

    def fired():
        history = artifact("alert_history").json()
        return [entry for entry in history if entry["alert"] == name and entry["at"] >= limits["at"]]

    # What is exported may lag behind; that the alert comes in time is shown by its rule.
    with progress("the alert to be exported", seconds=60):
        while not fired() and time.monotonic() < limits["began"] + 60:
            time.sleep(1)
    expect("alerts fired", len(fired()), "alerts").at_least(1)


@checkpoint("SEC-045")
@pytest.mark.destructive
@pytest.mark.security
def test_long_statement_is_cancelled(limits, host, application, progress, expect):
    """A statement of the application is cancelled after 30 s, its transaction aborted, and the log tells so.

    The application could lift the limit for itself (SET statement_timeout = 0): a default, not a barrier.
    """
    with progress("the limit of 30 s", seconds=max(0, limits["began"] + 30 - time.monotonic())):
        cancelled = limits["cancelled"].result()
    expect("ended after", cancelled.seconds, "s").between(29, 31)
    expect("SQLSTATE", cancelled.sqlstate or "none").equals("57014")
    afterwards = limits["busy"].attempt("select 1")
    expect("SQLSTATE of the next statement", afterwards.sqlstate or "none").equals("25P02")
    # SQLSTATE 57014 is also a cancellation by the user: the server's words tell them apart.
    words = rf"{re.escape(application)}@.*canceling statement due to statement timeout"
    expect("lines of the log", len(host.log_lines(since=limits["log"], pattern=words)), "lines").at_least(1)


@checkpoint("SEC-046")
@pytest.mark.destructive
@pytest.mark.security
def test_idle_transaction_is_ended(db, limits, host, application, progress, expect):
    """An idle transaction of the application is ended after 60 s with its session, and the log tells so."""
    with progress("the limit of 60 s", seconds=max(0, limits["began"] + 60 - time.monotonic())):
        ended = limits["ended"].result()
    expect("ended after", ended.seconds, "s").between(58, 62)
    expect("SQLSTATE", ended.sqlstate or "none").equals("25P03")
    left = db.scalar("select count(*) from pg_stat_activity where pid = %s", [limits["idle"].pid])
    expect("sessions left", left, "sessions").equals(0)
    words = rf"{re.escape(application)}@.*terminating connection due to idle-in-transaction timeout"
    expect("lines of the log", len(host.log_lines(since=limits["log"], pattern=words)), "lines").at_least(1)


@pytest.fixture
def full(db):
    """Lower the connection limit so far that our own session fills the database, and restore it."""
    database = db.row(
        """
        select quote_ident(datname) as name, datconnlimit
        from pg_database where datname = current_database()
        """
    )
    db.execute(f"alter database {database['name']} connection limit 1")
    try:
        yield database["datconnlimit"], db.attempt_session("application")
    finally:
        db.execute(f"alter database {database['name']} connection limit {database['datconnlimit']}")


@checkpoint("SEC-047")
@pytest.mark.destructive
@pytest.mark.security
def test_connection_beyond_the_limit_is_refused(full, expect):
    """The database has a connection limit, and refuses the application the connection beyond it."""
    # Lowered for a moment rather than reached: 200 connections would be taken away from everybody else.
    limit, beyond = full
    expect("connection limit of the database", limit).at_least(1)
    expect("error", beyond.error or "none").equals("TooManyConnections")


@checkpoint("SEC-047")
@pytest.mark.destructive
@pytest.mark.security
def test_connection_within_the_limit_is_admitted(db, expect):
    """With the limit back in place, the database admits the application again."""
    limit = db.scalar("select datconnlimit from pg_database where datname = current_database()")
    expect("connection limit of the database", limit).equals(200)
    expect("error", db.attempt_session("application").error or "none").equals("none")


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
    expect("SQLSTATE", lifted.sqlstate or "none").equals("42501")


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
    expect("SQLSTATE within the limit", within.sqlstate or "none").equals("none")
    expect("SQLSTATE beyond the limit", beyond.sqlstate or "none").equals("53400")
