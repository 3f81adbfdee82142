"""Verification: what a new session of the application gets, and where it comes from."""

import pytest

from signoff import checkpoint


@checkpoint("SEC-001")
@pytest.mark.read_only
@pytest.mark.security
def test_statement_timeout_of_the_application(db, expect):
    """A new session of the application starts with a statement timeout of 30,000 ms."""
    # pg_settings counts ms; SHOW prints "30s", which compares with nothing.
    with db.session("application") as session:
        timeout = session.scalar("select setting::integer from pg_settings where name = 'statement_timeout'")
    expect("statement_timeout", timeout, "ms").equals(30_000)


@checkpoint("SEC-002")
@pytest.mark.read_only
@pytest.mark.security
def test_idle_timeout_of_the_application(db, expect):
    """A new session of the application starts with an idle-in-transaction timeout of 60,000 ms."""
    with db.session("application") as session:
        timeout = session.scalar(
            "select setting::integer from pg_settings where name = 'idle_in_transaction_session_timeout'"
        )
    expect("idle_in_transaction_session_timeout", timeout, "ms").equals(60_000)


@checkpoint("SEC-003")
@pytest.mark.read_only
@pytest.mark.security
def test_working_memory_comes_from_the_database(db, expect):
    """A new session of the application gets 256 MB of working memory, set by the database."""
    # The value is the one from the file: only the source tells whether the database sets it. A session may
    # still change it for itself.
    with db.session("application") as session:
        memory = session.row(
            "select setting::integer / 1024 as mebibytes, source from pg_settings where name = 'work_mem'"
        )
    expect("work_mem", memory["mebibytes"], "MiB").equals(256)
    expect("source of work_mem", memory["source"]).equals("database")


@checkpoint("SEC-004")
@pytest.mark.read_only
@pytest.mark.security
def test_logging_threshold_of_the_application(db, expect):
    """Statements in a new session of the application are logged when they take 1,000 ms or more."""
    with db.session("application") as session:
        threshold = session.scalar(
            "select setting::integer from pg_settings where name = 'log_min_duration_statement'"
        )
    # Without a unit: -1, no logging at all, has to be told apart.
    expect("log_min_duration_statement in ms", threshold).equals(1_000)


@checkpoint("SEC-005")
@pytest.mark.read_only
@pytest.mark.security
def test_database_limits_its_connections(db, expect):
    """The database itself admits 200 connections, and the server can hold as many."""
    # max_connections cannot be set for one database; datconnlimit can, and -1 is no limit.
    limit = db.row(
        """
        select datconnlimit, current_setting('max_connections')::integer as server
        from pg_database where datname = current_database()
        """
    )
    expect("connection limit of the database", limit["datconnlimit"]).equals(200)
    expect("max_connections", limit["server"], "connections").at_least(200)


@checkpoint("SEC-023")
@pytest.mark.read_only
@pytest.mark.security
@pytest.mark.parametrize(
    "way",
    [pytest.param("application", id="direct"), pytest.param("application_pooled", id="through the pooler")],
)
def test_limits_reach_the_application(db, way, expect):
    """On this way to the database, a session of the application has limits of 30 s and 60 s."""
    with db.session(way) as session:
        timeouts = session.rows(
            """
            select name, setting::integer as ms from pg_settings
            where name in ('statement_timeout', 'idle_in_transaction_session_timeout')
            """
        )
    expect("timeouts in ms", {row["name"]: row["ms"] for row in timeouts}).equals(
        {"statement_timeout": 30_000, "idle_in_transaction_session_timeout": 60_000}
    )


@checkpoint("SEC-027")
@pytest.mark.read_only
@pytest.mark.security
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("statement_timeout", "30000 ms", id="statement_timeout"),
        pytest.param(
            "idle_in_transaction_session_timeout", "60000 ms", id="idle_in_transaction_session_timeout"
        ),
        pytest.param("work_mem", "262144 kB", id="work_mem"),
        pytest.param("temp_file_limit", "5242880 kB", id="temp_file_limit"),
        pytest.param("log_min_duration_statement", "1000 ms", id="log_min_duration_statement"),
        pytest.param("log_lock_waits", "on", id="log_lock_waits"),
    ],
)
def test_setting_comes_from_the_database(db, name, value, expect):
    """The setting has its exact value in a new session of the application, and the database is its source."""
    # "setting <> 'default'" would be true of every setting there is.
    with db.session("application") as session:
        found = session.row(
            "select concat_ws(' ', setting, unit) as value, source from pg_settings where name = %s", [name]
        )
    expect("value", found["value"]).equals(value)
    expect("source", found["source"]).equals("database")


@checkpoint("SEC-028")
@pytest.mark.read_only
@pytest.mark.security
def test_no_statement_is_close_to_the_limit(db, foreign, expect):
    """The view security_monitoring, which shows the sessions of others, shows no statement beyond 25 s."""
    seen = db.scalar(
        "select count(*) from {security_monitoring} where pid = %s and state is not null", [foreign.pid]
    )
    expect("own session seen through the view", seen, "sessions").equals(1)
    # In an idle transaction the time of its last statement goes on; it is no statement that runs.
    close = db.rows(
        """
        select pid, usename, query_duration_seconds, query from {security_monitoring}
        where state = 'active' and query_duration_seconds > 25
        """
    )
    expect("statements beyond 25 s", close).equals([])
