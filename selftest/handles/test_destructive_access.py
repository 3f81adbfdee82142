"""Under destructive the handle does what its role may, one statement a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from signoff.errors import StatementFailed, TimedOut

if TYPE_CHECKING:
    from selftest.handles.conftest import Laboratory, Open
    from signoff.record import Evidence


def test_writing_returns_the_rows_it_changed(open_handle: Open, evidence: list[Evidence]) -> None:
    """Each call is committed by itself and returns how many rows it changed."""
    db = open_handle("destructive")
    db.execute("create table app.scratch (id int)")
    try:
        assert db.execute("insert into app.scratch select generate_series(1, %s)", [7]) == 7
        assert "7 rows affected" in evidence[-1].answer
        assert open_handle().scalar("select count(*) from app.scratch") == 7
        assert db.column("delete from app.scratch where id > 5 returning id") == [6, 7]
        assert db.explain("update app.scratch set id = id", analyze=True).node_types[0] == "ModifyTable"
        assert sum(row["id"] for row in db.stream("select id from app.scratch")) == 15
        assert len(db.sample("app.scratch", ["id"], 3, seed=1)) == 3
    finally:
        db.execute("drop table app.scratch")


def test_a_call_is_one_statement(open_handle: Open) -> None:
    """The server refuses a second statement in one call, under destructive too."""
    with pytest.raises(StatementFailed, match="multiple commands"):
        open_handle("destructive").execute("select 1; select 2")


def test_the_servers_timeouts_hold(laboratory: Laboratory, open_handle: Open) -> None:
    """The profile's timeouts are enforced under destructive as well."""
    db = open_handle("destructive", address=laboratory.address(statement=0.2))
    with pytest.raises(TimedOut):
        db.execute("select pg_sleep(60)")
