"""Monitoring: what is watched during a fill and on the morning round."""

import pytest

from signoff import checkpoint


@checkpoint("SNP-070")
@pytest.mark.read_only
@pytest.mark.performance
def test_memory_is_not_exhausted(host, expect):
    """The machine of the database uses at most 90 % of its memory."""
    expect("memory used", host.memory().used_percent, "%").at_most(90)


@checkpoint("SNP-071")
@pytest.mark.read_only
def test_disk_is_not_full(host, expect):
    """The data volume has at least 10 % of its space and of its inodes free."""
    disk = host.disk()
    expect("free space", disk.free_percent, "%").at_least(10)
    expect("free inodes", disk.inodes_free_percent, "%").at_least(10)


@checkpoint("SNP-100")
@pytest.mark.read_only
@pytest.mark.performance
def test_no_session_is_blocked(db, expect):
    """No session of the database has been waiting for another one for more than a second."""
    sessions = db.row(
        """
        select count(*) as all,
               count(*) filter (
                   where cardinality(pg_blocking_pids(pid)) > 0
                       -- NULL is what a role without pg_monitor sees: count those rather than miss them
                       and coalesce(clock_timestamp() - state_change > interval '1 s', true)
               ) as blocked
        from pg_stat_activity
        where datname = current_database()
        """
    )
    expect("sessions seen", sessions["all"], "sessions").at_least(1)
    expect("blocked sessions", sessions["blocked"], "sessions").equals(0)


@checkpoint("SNP-102")
@pytest.mark.read_only
def test_last_fill_failed_for_hardly_any_session(expect, status):
    """The last fill has left nothing to fill, and failed for at most 0.1 % of the sessions it looked at."""
    fill = status()
    # A failed batch stands for all of its 1,000 sessions.
    failed = 1000 * fill["failed_batches"]
    expect("state", fill["state"]).equals("completed")
    expect("sessions left to fill", fill["remaining"], "sessions").equals(0)
    # A fill that is called once more looks at no session.
    expect("sessions that failed", 100 * failed / max(fill["processed"] + failed, 1), "%").at_most(0.1)
