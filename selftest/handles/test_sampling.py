"""A sample is uniform, can be drawn again, and costs the same whatever the size of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from scipy import stats  # type: ignore[import-untyped]

from signoff.errors import Inconclusive, MissingObject, UnexpectedAnswer

if TYPE_CHECKING:
    from selftest.handles.conftest import Open
    from signoff.handles.postgres.handle import Postgres
    from signoff.record import Evidence


@pytest.fixture
def pages(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """Tables of 1,200 pages: one whose pages hold from 1 to 30 rows, and one that is almost empty."""
    superuser.execute(
        """
        create table app.uneven (id int, page int, pad text) with (autovacuum_enabled = off);
        alter table app.uneven alter pad set storage plain;
        insert into app.uneven select n, n / 30, repeat('x', 230) from generate_series(0, 35999) n;
        -- Rows with many neighbours and rows with few: the classic way to get a biased sample.
        delete from app.uneven where id % 30 >= 1 + 29 * (page % 2);
        create table app.hollow (id int, pad text) with (autovacuum_enabled = off);
        insert into app.hollow select n, repeat('x', 230) from generate_series(0, 35999) n;
        delete from app.hollow where id % 5000 <> 0;
        """
    )
    yield
    superuser.execute("drop table app.uneven, app.hollow")


@pytest.mark.usefixtures("pages")
def test_every_row_is_equally_likely(db: Postgres) -> None:
    """Rows on full and on empty pages are drawn with the same probability."""
    total = {
        parity: db.scalar("select count(*) from app.uneven where page %% 2 = %s", [parity])
        for parity in (0, 1)
    }
    drawn: Counter[int] = Counter()
    for seed in range(20):
        drawn.update(row["page"] % 2 for row in db.sample("app.uneven", ["page"], 300, seed=seed))
    expected = [6000 * total[parity] / (total[0] + total[1]) for parity in (0, 1)]
    assert stats.chisquare([drawn[0], drawn[1]], expected).pvalue > 0.001


@pytest.mark.usefixtures("pages")
def test_a_sample_is_without_replacement_and_can_be_drawn_again(db: Postgres) -> None:
    """No row is drawn twice, and the same seed draws the same rows; without one each is new."""
    first = db.sample("app.uneven", ["id"], 500, seed=7)
    assert len({row["id"] for row in first}) == 500
    assert db.sample("app.uneven", ["id"], 500, seed=7) == first
    assert db.sample("app.uneven", ["id"], 500, seed=8) != first
    assert db.sample("app.uneven", ["id"], 500) != db.sample("app.uneven", ["id"], 500)


@pytest.mark.usefixtures("pages")
def test_the_table_is_not_scanned(db: Postgres, superuser: psycopg.Connection[Any]) -> None:
    """Of a table of more than 1,000 pages only the drawn places are read."""
    statistics = """
        select seq_scan, heap_blks_read + heap_blks_hit
        from pg_stat_user_tables t join pg_statio_user_tables i using (relid)
        where relid = 'app.uneven'::regclass
    """
    scans, blocks = superuser.execute(statistics).fetchone() or (0, 0)
    db.sample("app.uneven", ["id"], 100, seed=1)
    # The server process tells its statistics when it ends.
    db.close()
    after = (0, blocks)
    while after[1] == blocks:
        after = superuser.execute(statistics).fetchone() or (0, 0)
    assert after[0] == scans


def test_a_small_table_is_read_whole(db: Postgres, evidence: list[Evidence]) -> None:
    """Of a small table too every row is equally likely, and a smaller one is returned whole."""
    assert len(db.sample("app.facts", ["id"], 50, seed=1)) == 50
    assert sorted(row["id"] for row in db.sample("app.facts", ["id"], 1000, seed=1)) == list(range(1, 201))
    assert "uniform sample of 200 of all 200 rows, seed 1" in evidence[-1].answer
    counts = Counter(row["id"] for seed in range(40) for row in db.sample("app.facts", ["id"], 50, seed=seed))
    assert stats.chisquare([counts[n] for n in range(1, 201)]).pvalue > 0.001


def test_an_empty_table_has_an_empty_sample(db: Postgres) -> None:
    """There is nothing to draw from an empty table."""
    assert db.sample("app.parent_of_none", ["a"], 5, seed=1) == []


@pytest.mark.usefixtures("pages")
def test_an_almost_empty_table_is_inconclusive(db: Postgres) -> None:
    """When too many places would have to be drawn, nothing is said about the table."""
    with pytest.raises(Inconclusive, match="Most of the table is empty"):
        db.sample("app.hollow", ["id"], 50, seed=1)


@pytest.mark.parametrize(
    ("table", "got"),
    [
        ("app.facts_view", "a view"),
        ("app.partitioned", "a partitioned table"),
        ("app.parent_of_one", "a table that others inherit from"),
        ("app.numbers", "a sequence"),
    ],
)
def test_what_holds_no_rows_itself_is_not_sampled(db: Postgres, table: str, got: str) -> None:
    """A view, a partitioned table or the like is an error that says what to sample instead."""
    with pytest.raises(UnexpectedAnswer) as caught:
        db.sample(table, ["a"], 5, seed=1)
    assert caught.value.got == got


def test_missing_tables_and_columns(db: Postgres) -> None:
    """A table or a column that does not exist is a missing object."""
    with pytest.raises(MissingObject):
        db.sample("app.nowhere", ["a"], 5, seed=1)
    with pytest.raises(MissingObject):
        db.sample("app.facts", ["nothing"], 5, seed=1)


def test_names_of_the_environment(open_handle: Open) -> None:
    """Table and columns may be names that the runbook declares."""
    db = open_handle(names={"sessions": "app.facts", "session": "id"})
    assert db.sample("sessions", ["session"], 1, seed=1)[0]["session"] in range(1, 201)
