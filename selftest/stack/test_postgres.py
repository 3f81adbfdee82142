"""The launcher, through what it leaves on the machine."""

from __future__ import annotations

import psycopg
import pytest

from stack.postgres import Cluster


@pytest.mark.parametrize("version", ["postgres_18", "postgres_15"])
def test_standby_streams(version: str, request: pytest.FixtureRequest) -> None:
    """The standby streams from the primary and holds its system identifier."""
    cluster: Cluster = request.getfixturevalue(version)
    identifier = "select system_identifier from pg_control_system()"
    with (
        psycopg.connect(cluster.conninfo()) as primary,
        psycopg.connect(cluster.conninfo(replica=True)) as standby,
    ):
        assert standby.execute("select pg_is_in_recovery()").fetchone() == (True,)
        assert primary.execute("select state from pg_stat_replication").fetchall() == [("streaming",)]
        assert primary.execute(identifier).fetchone() == standby.execute(identifier).fetchone()
