"""Upkeep: indexes and statistics made new without locking the application out."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from signoff import checkpoint


@checkpoint("SNP-086")
@pytest.mark.destructive
@pytest.mark.performance
def test_indexes_can_be_rebuilt_beside_writers(db, expect):
    """Every index on a snapshot column is rebuilt without locking a writer out, and is valid afterwards."""
    indexes = db.column(
        """
        select distinct quote_ident(n.nspname) || '.' || quote_ident(c.relname)
        from pg_index as i
        join pg_class as c on c.oid = i.indexrelid
        join pg_namespace as n on n.oid = c.relnamespace
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
        where i.indrelid = '{session_summaries}'::regclass and a.attname like 'snapshot%'
        """
    )
    expect("indexes on snapshot columns", len(indexes), "indexes").at_least(1)
    locks = []
    with ThreadPoolExecutor(max_workers=1) as beside, db.session("application") as writer:
        for index in indexes:
            # Without `concurrently` the lock that every writer needs would not be had meanwhile.
            rebuilding = beside.submit(db.execute, f"reindex index concurrently {index}")
            while not rebuilding.done():
                writer.begin()
                locks.append(writer.attempt("lock table {session_summaries} in row exclusive mode nowait"))
                writer.rollback()
            rebuilding.result()
    expect("locks of a writer asked for", len(locks), "locks").at_least(1)
    expect("locks refused", [lock.message for lock in locks if not lock.succeeded]).equals([])
    broken = db.scalar(
        """
        select count(*) from pg_index
        where indrelid = '{session_summaries}'::regclass and not (indisvalid and indisready and indislive)
        """
    )
    expect("indexes that are not valid", broken, "indexes").equals(0)


@checkpoint("SNP-087")
@pytest.mark.destructive
@pytest.mark.performance
def test_statistics_can_be_made_new(db, expect):
    """After ``analyze`` the planner's statistics are newer than the call, and cover every change."""
    begun = db.scalar("select clock_timestamp()")
    db.execute("analyze {session_summaries}")
    figures = db.row(
        """
        select last_analyze, 100.0 * n_mod_since_analyze / nullif(n_live_tup, 0) as changed_since
        from pg_stat_user_tables where relid = '{session_summaries}'::regclass
        """
    )
    expect("last analyze", figures["last_analyze"]).more_than(begun)
    expect("rows changed since", figures["changed_since"], "%").at_most(1)
