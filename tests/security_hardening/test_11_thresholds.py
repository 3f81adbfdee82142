"""Alerting thresholds: nothing is beyond them now, and an alert would tell in time."""

import re

import pytest

from signoff import checkpoint


@pytest.fixture
def alert_rule(artifact, setting, expect):
    """Find the one rule of the alerting system that has the name which a setting gives."""

    def find(name):
        groups = artifact("alert_rules").json()["data"]["groups"]
        named = setting(name)
        rules = [(group, rule) for group in groups for rule in group["rules"] if rule["name"] == named]
        expect(f"rules named {named}", len(rules)).equals(1)
        return rules[0]

    return find


@checkpoint("SEC-042")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_no_statement_is_critical(db, expect):
    """The oldest running statement is no older than 25 s."""
    # Our own statement runs too, so that there is always one.
    oldest = db.scalar(
        """
        select max(extract(epoch from clock_timestamp() - query_start)) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and state = 'active'
        """
    )
    expect("oldest running statement", oldest, "s").at_most(25)


@checkpoint("SEC-042")
@pytest.mark.read_only
def test_critical_alert_fires_in_time(alert_rule, setting, expect):
    """The critical alert asks for more than 25 s, and fires within the 5 s that are left."""
    group, rule = alert_rule("critical_alert")
    expect("thresholds of 25 s in the rule", len(re.findall(r">=?\s*25\b", rule["query"]))).at_least(1)
    delay = setting("metrics_scrape_interval") + group["interval"] + rule["duration"]
    expect("scrape, evaluation and `for` together", delay, "s").less_than(5)


@checkpoint("SEC-043")
@pytest.mark.read_only
def test_no_idle_transaction_is_a_warning(db, foreign, expect):
    """The transaction that has been idle longest has been so for no more than 50 s."""
    idle = db.row(
        """
        select count(*) filter (where pid = %s) as own_session,
               max(extract(epoch from clock_timestamp() - state_change)) as seconds
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and state in ('idle in transaction', 'idle in transaction (aborted)')
        """,
        [foreign.pid],
    )
    expect("own session among them", idle["own_session"], "sessions").equals(1)
    expect("idle longest", idle["seconds"], "s").at_most(50)


@checkpoint("SEC-043")
@pytest.mark.read_only
def test_warning_fires_in_time(alert_rule, setting, expect):
    """The warning asks for more than 50 s, and fires within the 10 s that are left."""
    group, rule = alert_rule("warning_alert")
    expect("thresholds of 50 s in the rule", len(re.findall(r">=?\s*50\b", rule["query"]))).at_least(1)
    delay = setting("metrics_scrape_interval") + group["interval"] + rule["duration"]
    expect("scrape, evaluation and `for` together", delay, "s").less_than(10)


@checkpoint("SEC-044")
@pytest.mark.read_only
@pytest.mark.usefixtures("foreign")
def test_connections_leave_room(db, expect):
    """No more than 80 % of the connections that the server accepts are taken, over all databases."""
    connections = db.row(
        """
        select count(*) as taken, current_setting('max_connections')::integer as server
        from pg_stat_activity where backend_type = 'client backend'
        """
    )
    expect("connections taken", connections["taken"], "connections").between(1, 0.8 * connections["server"])


@checkpoint("SEC-044")
@pytest.mark.read_only
def test_info_alert_exists(alert_rule, expect):
    """An alert asks for more than 160 connections."""
    _, rule = alert_rule("info_alert")
    expect("thresholds of 160 in the rule", len(re.findall(r">=?\s*160\b", rule["query"]))).at_least(1)
