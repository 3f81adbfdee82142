"""Handles to a database on PostgreSQL 18 and on 15 that holds everything that could make a reader write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings

from signoff.handles.postgres.address import PostgresAddress, Timeouts
from signoff.handles.postgres.handle import Postgres
from signoff.record import Access, Evidence
from signoff.secrets import Secret
from stack.postgres import Cluster

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

DATABASE = "laboratory"
PASSWORDS = {"observer": "observer", "application": "application"}


@dataclass(frozen=True)
class Laboratory:
    """The database, and the ways into it."""

    cluster: Cluster

    @property
    def conninfo(self) -> str:
        """The superuser's connection string."""
        return self.cluster.conninfo(DATABASE)

    def address(self, user: str = "", *, replica: bool = False, **timeouts: float) -> PostgresAddress:
        """The address for a user; by default the superuser, whom nothing but the guard stops."""
        user = user or self.cluster.superuser
        return PostgresAddress(
            host=self.cluster.host,
            port=self.cluster.replica_port if replica else self.cluster.port,
            database=DATABASE,
            user=user,
            password=Secret(PASSWORDS.get(user, self.cluster.password), origin="the test"),
            tls="disable",
            timeouts=Timeouts(**timeouts),
        )


@pytest.fixture(scope="session", params=[18, 15], ids=["postgres18", "postgres15"])
def laboratory(request: pytest.FixtureRequest) -> Laboratory:
    """The database on each of the two versions."""
    cluster: Cluster = request.getfixturevalue(f"postgres_{request.param}")
    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        connection.execute(f"create database {DATABASE} encoding 'UTF8' template template0")
    with psycopg.connect(cluster.conninfo(DATABASE), autocommit=True) as connection:
        connection.execute((Path(__file__).parent / "laboratory.sql").read_bytes())
    return Laboratory(cluster)


@pytest.fixture
def evidence() -> list[Evidence]:
    """What the handles of this test reported."""
    return []


Open = Callable[..., Postgres]


@pytest.fixture
def open_handle(laboratory: Laboratory, evidence: list[Evidence]) -> Iterator[Open]:
    """Opens handles and closes them after the test."""
    handles: list[Postgres] = []

    def opened(
        access: Access = "read_only",
        *,
        user: str = "",
        address: PostgresAddress | None = None,
        **options: Any,
    ) -> Postgres:
        handle = Postgres(
            address or laboratory.address(user),
            access=access,
            component="laboratory.postgres",
            observe=evidence.append,
            roles={
                "application": laboratory.address("application"),
                "administrator": laboratory.address(),
            },
            **options,
        )
        handles.append(handle)
        return handle

    yield opened
    for handle in handles:
        handle.close()


@pytest.fixture(scope="session")
def reader(laboratory: Laboratory) -> Iterator[tuple[Postgres, list[list[Evidence]]]]:
    """The handle that most tests share, and the list whose last list takes what it reports."""
    sinks: list[list[Evidence]] = [[]]

    def observe(seen: Evidence) -> None:
        sinks[-1].append(seen)

    with Postgres(
        laboratory.address(),
        access="read_only",
        component="laboratory.postgres",
        observe=observe,
        roles={"application": laboratory.address("application"), "administrator": laboratory.address()},
    ) as handle:
        yield handle, sinks


@pytest.fixture
def db(reader: tuple[Postgres, list[list[Evidence]]], evidence: list[Evidence]) -> Postgres:
    """The database under read_only, as the superuser."""
    handle, sinks = reader
    sinks.append(evidence)
    return handle


@pytest.fixture
def superuser(laboratory: Laboratory) -> Iterator[psycopg.Connection[Any]]:
    """A plain connection of the superuser, with no guard."""
    with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
        yield connection


CATALOGUE = [
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_cast",
    "pg_collation",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_description",
    "pg_extension",
    "pg_foreign_table",
    "pg_inherits",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_namespace",
    "pg_operator",
    "pg_policy",
    "pg_proc",
    "pg_replication_origin",
    "pg_rewrite",
    "pg_seclabel",
    "pg_sequence",
    "pg_shdescription",
    "pg_shseclabel",
    "pg_tablespace",
    "pg_trigger",
    "pg_type",
    "pg_prepared_xacts",
    "pg_file_settings",
]

FACTS = {
    "relations": "select oid, relname, relnamespace, relfilenode, relacl, relrowsecurity from pg_class",
    "databases": "select oid, datname, datdba, datacl, datconnlimit from pg_database",
    "slots": "select slot_name from pg_replication_slots",
    "advisory locks": "select pid, classid, objid, mode from pg_locks where locktype = 'advisory'",
    "settings": "select name, setting, source from pg_settings where name not like 'transaction%'",
    "sequence": "select last_value, is_called from app.numbers",
    "statistics": "select stats_reset from pg_stat_database where datname = current_database()",
    "server": "select pg_postmaster_start_time(), pg_conf_load_time(), pg_is_in_recovery()",
    "statements": "select stats_reset from pg_stat_statements_info",
    "facts": "select * from app.facts",
    "frozen": "select * from app.frozen",
    "pairs": "select * from app.pairs",
    "ranked": "select * from app.ranked",
}


class Watched:
    """Everything that a reading test could have changed, seen by the superuser.

    Args:
        connection: the superuser's own.
        victim: a session that others could end, and to which they could send notifications.
    """

    def __init__(self, connection: psycopg.Connection[Any], victim: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._victim = victim
        self._victim.execute("listen c")
        self._remembered: dict[str, object] = {}

    def remembered(self) -> dict[str, object]:
        """The state when it was first asked for."""
        self._remembered = self._remembered or self.state()
        return self._remembered

    def state(self) -> dict[str, object]:
        """A digest of each part of the state."""
        asked = FACTS | {name: f"select * from pg_catalog.{name}" for name in CATALOGUE}  # noqa: S608
        state: dict[str, object] = {}
        with self._connection.pipeline():
            cursors = {name: self._connection.execute(sql) for name, sql in asked.items()}
        for name, cursor in cursors.items():
            rows = sorted(map(repr, cursor.fetchall()))
            state[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        state["notifications"] = [notice.payload for notice in self._victim.notifies(timeout=0)]
        state["victim"] = self._victim.execute("select pg_backend_pid()").fetchone()
        state["copied file"] = Path("/tmp/signoff-selftest-copy").exists()  # noqa: S108 - never written
        return state


@pytest.fixture
def watched(laboratory: Laboratory, superuser: psycopg.Connection[Any]) -> Iterator[Watched]:
    """Watches over the state of the server."""
    with psycopg.connect(laboratory.conninfo, autocommit=True) as victim:
        yield Watched(superuser, victim)
