"""Observation: the young change is compared with the record from before."""

import re
from dataclasses import replace

import pytest

from signoff import checkpoint


@pytest.fixture
def log_since_the_change(host, baseline, here, expect):
    """The lines of the server's log since the change."""
    begin = replace(host.log_position(), **baseline.read("change", here)["log"])
    lines = host.log_lines(since=begin)
    # An empty log shows neither trouble nor its absence: no value, and so no reason to roll back.
    expect("lines of the log since the change", len(lines) or None, "lines").at_least(1)
    return lines


@pytest.fixture
def loads(baseline, here):
    """The load tests before and after the change, which differ in nothing but the change."""
    change = baseline.read("change", here)["at"]
    after = baseline.read("load-after", {**here, "change": change})
    before = baseline.read("load-before", {**here, "clients": after["clients"], "seconds": after["seconds"]})
    return before, after


@checkpoint("SEC-025")
@pytest.mark.read_only
def test_nothing_is_cut_off_since_the_change(log_since_the_change, application, expect):
    """Since the change, the server has cut off no statement and no transaction of the application."""
    # SQLSTATE 57014 is also a cancellation by the user: the server's words tell them apart.
    cut_off = re.compile(rf"{re.escape(application)}@.*due to (statement|idle-in-transaction) timeout")
    expect("cut off by a timeout", [line for line in log_since_the_change if cut_off.search(line)]).equals([])


@checkpoint("SEC-029")
@pytest.mark.read_only
def test_no_more_transactions_idle_under_load(loads, expect):
    """Under load, no more connections of the application are idle in a transaction than before the change."""
    before, after = loads
    # Averages of samples: a tenth of the clients is the noise of when the samples were taken.
    limit = before["idle_in_transaction"] + 0.1 * before["clients"]
    expect("idle in a transaction", after["idle_in_transaction"], "connections").at_most(limit)


@checkpoint("SEC-030")
@pytest.mark.read_only
def test_timeouts_under_load_have_not_risen(loads, expect):
    """Of the work under load, no more than 5 % more is cut off by a timeout than before the change."""
    before, after = loads
    allowed = 1.05 * before["timeouts"] / (before["transactions"] + before["timeouts"])
    attempted = after["transactions"] + after["timeouts"]
    # Nothing attempted is nothing measured, and no reason to roll back.
    share = after["timeouts"] / attempted if attempted else None
    expect("share cut off by a timeout", share).at_most(allowed)


@checkpoint("SEC-030")
@pytest.mark.read_only
def test_timeouts_of_the_application_have_not_risen(artifact, baseline, expect):
    """Per request, the application reports no more than 5 % more errors by timeout than before the change."""
    now, before = artifact("application_errors").json(), baseline.read("application-errors")
    allowed = 1.05 * before["timeout_errors"] / before["requests"]
    share = now["timeout_errors"] / now["requests"] if now["requests"] else None
    expect("timeouts per request", share).at_most(allowed)


@checkpoint("SEC-031")
@pytest.mark.read_only
def test_no_connection_is_refused_since_the_change(log_since_the_change, expect):
    """Since the change, the server has refused no connection because there was none left."""
    # The words beside SQLSTATE 53300, because not every log prefix holds the code.
    refused = re.compile(
        "too many clients already|too many connections for (database|role)"
        "|remaining connection slots are reserved"
    )
    expect("refused", [line for line in log_since_the_change if refused.search(line)]).equals([])


@checkpoint("SEC-033")
@pytest.mark.read_only
@pytest.mark.performance
def test_statements_are_not_slower(db, application, baseline, here, expect):
    """For the same statements the server takes no more than 20 % more time than before the change."""
    before = baseline.read("statements-before", here)
    at_change = baseline.read("statements-at-change", here)
    now = db.rows(
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
    # The counters never start anew: what happened since the change is the difference.
    taken = expected = 0.0
    compared = 0
    for row in now:
        calls_until, ms_until = at_change.get(row["statement"], [0, 0.0])
        calls_before, ms_before = before.get(row["statement"], [0, 0.0])
        calls, ms = row["calls"] - calls_until, row["ms"] - ms_until
        # A mean of a few calls says little.
        if min(calls, calls_before) >= 20:
            compared += calls
            taken += ms
            expected += calls * ms_before / calls_before
    # Too few calls are no measurement, and so no reason to roll back.
    share = 100 * taken / expected if compared >= 100 else None
    expect("time against the record", share, "%").at_most(120)


@checkpoint("SEC-060")
@pytest.mark.read_only
def test_errors_under_load_have_not_risen(loads, expect):
    """Of the work under load, no more ends in an error in the server's log than before the change."""
    before, after = loads
    allowed = before["errors"] / (before["transactions"] + before["errors"])
    attempted = after["transactions"] + after["errors"]
    share = after["errors"] / attempted if attempted else None
    expect("share that ended in an error", share).at_most(allowed)


@checkpoint("SEC-060")
@pytest.mark.read_only
def test_errors_of_the_application_have_not_risen(artifact, baseline, expect):
    """Per request, the application reports no more errors than before the change."""
    now, before = artifact("application_errors").json(), baseline.read("application-errors")
    allowed = before["errors"] / before["requests"]
    share = now["errors"] / now["requests"] if now["requests"] else None
    expect("errors per request", share).at_most(allowed)


@checkpoint("SEC-062")
@pytest.mark.read_only
@pytest.mark.performance
def test_use_of_connections_is_stable_under_load(loads, expect):
    """Under load, the application uses as many connections as before the change, within 20 %."""
    before, after = loads
    share = 100 * after["connections"] / before["connections"]
    expect("connections against the record", share, "%").between(80, 120)


@checkpoint("SEC-062")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_use_of_connections_is_stable_now(db, baseline, here, expect):
    """The number of connections to the database is that from before the change, within 20 %."""
    before = baseline.read("connections-before", here)
    now = db.scalar(
        """
        select count(*) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
        """
    )
    expect("connections against the record", 100 * now / before["total"], "%").between(80, 120)
