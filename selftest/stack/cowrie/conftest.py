"""Small session databases to rehearse on, owned by an ordinary role, and the tools as a user runs them."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from stack import cowrieprocessor
from stack.cowrieprocessor.cli import main
from stack.credentials import create_role
from stack.postgres import Cluster

SESSIONS = 2000
OWNER = "session_owner"
PASSWORD = "of a throw-away server"

# Whatever a tool could leave behind, except in rows.
CATALOGUE = {
    "relations": """
        select oid::regclass::text, relkind::text, relacl::text, obj_description(oid) from pg_class
        where relnamespace::regnamespace::text in ('public', 'generated') order by 1
    """,
    "columns": """
        select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attacl::text,
            col_description(attrelid, attnum)
        from pg_attribute join pg_class on pg_class.oid = attrelid
        where relnamespace::regnamespace::text in ('public', 'generated') and attnum > 0 and not attisdropped
        order by 1, attnum
    """,
    "indexes": """
        select pg_get_indexdef(indexrelid), indisvalid from pg_index join pg_class on pg_class.oid = indrelid
        where relnamespace::regnamespace::text in ('public', 'generated') order by 1
    """,
    "constraints": """
        select conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace::regnamespace::text in ('public', 'generated') order by 1, 2
    """,
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What a tool left behind in the terminal."""

    status: int
    output: str
    messages: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON on standard output."""
        result: dict[str, Any] = json.loads(self.output)
        return result


@dataclass(frozen=True)
class Rehearsal:
    """A session database, a status directory, and the tools pointed at both."""

    cluster: Cluster
    database: str
    status_directory: Path
    capture: pytest.CaptureFixture[str]

    @functools.cached_property
    def session(self) -> psycopg.Connection:
        """The owner's session from which the tests look and plant."""
        return self.connect()

    @property
    def conninfo(self) -> str:
        """The owner's connection string."""
        return self.cluster.conninfo(self.database, user=OWNER, password=PASSWORD)

    @property
    def environment(self) -> Mapping[str, str]:
        """The owner, in libpq's environment variables."""
        return {
            "PGHOST": self.cluster.host,
            "PGPORT": str(self.cluster.port),
            "PGDATABASE": self.database,
            "PGUSER": OWNER,
            "PGPASSWORD": PASSWORD,
        }

    def run(self, *argv: str) -> Outcome:
        """Run a tool in this process, in the environment of the test."""
        self.capture.readouterr()
        return Outcome(main(self._argv(argv)), *self.capture.readouterr())

    def succeed(self, *argv: str) -> dict[str, Any]:
        """Run a tool that must not fail; returns its result."""
        outcome = self.run(*argv)
        assert outcome.status == 0, outcome.messages
        return outcome.result

    def refuse(self, *argv: str) -> str:
        """Run a tool that must fail and leave everything as it is; returns its message."""
        before = self.state()
        outcome = self.run(*argv)
        assert (outcome.status, outcome.output) == (1, "")
        assert outcome.messages.startswith("ERROR: ")
        assert self.state() == before
        return outcome.messages

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a tool as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "stack.cowrieprocessor", *self._argv(argv)],
            env={
                **os.environ,
                **self.environment,
                "PYTHONPATH": str(Path(cowrieprocessor.__file__).parents[2]),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """Content of the status file; empty while there is none."""
        path = self.status_directory / "snapshot_backfill.json"
        status: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return status

    def connect(self) -> psycopg.Connection:
        """Another session of the owner."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def execute(self, *statements: str) -> None:
        """Execute statements, each a transaction."""
        for statement in statements:
            self.session.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        return self.session.execute(query.encode()).fetchall()

    def value(self, query: str) -> Any:
        """The only value of the answer to a query."""
        ((value,),) = self.rows(query)
        return value

    def sessions(self) -> str:
        """A digest of all values of all sessions."""
        return str(
            self.value("select md5(string_agg(s::text, ' ' order by s::text)) from session_summaries s")
        )

    def state(self) -> dict[str, object]:
        """The catalogue, and a digest of each table's rows."""
        catalogue: dict[str, object] = {name: self.rows(query) for name, query in CATALOGUE.items()}
        tables = self.rows(
            "select oid::regclass::text from pg_class where relkind = 'r' "
            "and relnamespace::regnamespace::text in ('public', 'generated')"
        )
        digest = "select md5(string_agg(t::text, ' ' order by t::text)) from {} t"
        return catalogue | {table: self.value(digest.format(table)) for (table,) in tables}

    def _argv(self, argv: tuple[str, ...]) -> list[str]:
        if (
            argv[:1] in {("backfill",), ("rollback-backfill",), ("reset",)}
            and "--status-directory" not in argv
        ):
            return [*argv, "--status-directory", str(self.status_directory)]
        return list(argv)


Rehearse = Callable[[Cluster], Rehearsal]


@pytest.fixture(scope="session")
def template_on() -> Callable[[Cluster], str]:
    """Names, by server, a session database before the migration, to be copied."""
    made: dict[int, str] = {}

    def template(cluster: Cluster) -> str:
        if cluster.port not in made:
            name = f"sessions_{os.getpid()}"
            with psycopg.connect(cluster.conninfo(), autocommit=True) as server:
                create_role(server, OWNER, PASSWORD)
                server.execute(
                    sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(OWNER))
                )
            conninfo = cluster.conninfo(name, user=OWNER, password=PASSWORD)
            cowrieprocessor.create(conninfo, sessions=SESSIONS)
            made[cluster.port] = name
        return made[cluster.port]

    return template


@pytest.fixture
def rehearse(
    template_on: Callable[[Cluster], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Rehearse]:
    """Makes rehearsals; the tools run in this process work on the latest."""
    made: list[Rehearsal] = []

    def copy(cluster: Cluster) -> Rehearsal:
        number = next(_numbers)
        rehearsal = Rehearsal(cluster, f"rehearsal_{os.getpid()}_{number}", tmp_path / f"{number}", capsys)
        template = template_on(cluster)
        with psycopg.connect(cluster.conninfo(), autocommit=True) as server:
            server.execute(
                sql.SQL("create database {} owner {} template {}").format(
                    sql.Identifier(rehearsal.database), sql.Identifier(OWNER), sql.Identifier(template)
                )
            )
        made.append(rehearsal)
        rehearsal.status_directory.mkdir()
        for name, value in rehearsal.environment.items():
            monkeypatch.setenv(name, value)
        return rehearsal

    yield copy
    for rehearsal in made:
        rehearsal.session.close()
        with psycopg.connect(rehearsal.cluster.conninfo(), autocommit=True) as server:
            server.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(rehearsal.database))
            )


@pytest.fixture
def rehearsal(rehearse: Rehearse, postgres_18: Cluster) -> Rehearsal:
    """A database of 2,000 sessions before the migration, on PostgreSQL 18."""
    return rehearse(postgres_18)


@pytest.fixture
def migrated(rehearsal: Rehearsal) -> Rehearsal:
    """A database of 2,000 sessions after the migration and before the backfill."""
    rehearsal.succeed("migrate")
    return rehearsal


@pytest.fixture(params=["postgres_18", "postgres_15"])
def rehearsal_on_each(request: pytest.FixtureRequest, rehearse: Rehearse) -> Rehearsal:
    """The same on each server version."""
    return rehearse(request.getfixturevalue(request.param))
