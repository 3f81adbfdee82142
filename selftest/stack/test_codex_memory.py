"""The hardening migration and its rollback, run by psql against PostgreSQL 18 and 15."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from stack import codex_memory
from stack.credentials import create_role
from stack.postgres import Cluster

Eventually = Callable[[Callable[[], object]], bool]

PASSWORD = "of a throw-away server"
OBSERVER = "codex_observer"

SETTINGS = {
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "1min",
    "work_mem": "256MB",
    "temp_file_limit": "5GB",
    "log_min_duration_statement": "1s",
    "log_lock_waits": "on",
}

# Everything that a migration could leave behind.
STATE = {
    "settings": """
        select setrole::regrole::text, setconfig from pg_db_role_setting
        where setdatabase = (select oid from pg_database where datname = current_database())
        order by setrole
    """,
    "limit and grants": "select datconnlimit, datacl from pg_database where datname = current_database()",
    "schemas": "select nspname, nspacl::text from pg_namespace where nspname !~ '^pg_' order by nspname",
    "relations": """
        select oid::regclass::text, relkind::text, relacl::text, pg_get_userbyid(relowner)
        from pg_class where relnamespace in (
            select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
        )
        order by 1
    """,
    "views": "select viewname, definition from pg_views where schemaname = 'public' order by viewname",
    "functions": """
        select oid::regprocedure::text from pg_proc
        where pronamespace::regnamespace::text not in ('pg_catalog', 'information_schema') order by 1
    """,
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Codex:
    """A database like the one in the field, on one of the servers."""

    cluster: Cluster
    name: str

    def connect(self, user: str | None = None) -> psycopg.Connection:
        """A new session, the superuser's if no other user is named."""
        password = PASSWORD if user else None
        return psycopg.connect(
            self.cluster.conninfo(self.name, user=user, password=password), autocommit=True
        )

    def psql(self, script: Path, *options: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a script by psql."""
        return subprocess.run(
            [
                self.cluster.installation.program("psql"),
                *("-X", "-h", self.cluster.host, "-p", str(self.cluster.port), "-d", self.name),
                *("-U", user or self.cluster.superuser, *options, "-f", str(script)),
            ],
            env={**os.environ, "PGPASSWORD": PASSWORD if user else self.cluster.password},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, script: Path, *, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a script as the procedure does: stopping at errors, in one transaction."""
        return self.psql(script, "-v", "ON_ERROR_STOP=1", "--single-transaction", user=user)

    def succeed(self, script: Path) -> None:
        """Run a script that must not fail, nor print an error."""
        answer = self.run(script)
        assert answer.returncode == 0, answer.stderr
        assert "ERROR" not in answer.stdout + answer.stderr

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """What stands in the catalogues."""
        with self.connect() as session:
            return {name: session.execute(query).fetchall() for name, query in STATE.items()}

    def execute(self, statement: str) -> None:
        """Execute one statement as the superuser; ``{database}`` stands for this database."""
        with self.connect() as session:
            session.execute(sql.SQL(statement).format(database=sql.Identifier(self.name)))


@pytest.fixture(scope="module", params=["postgres_18", "postgres_15"])
def template(request: pytest.FixtureRequest) -> Iterator[Codex]:
    """A database before the hardening, with its roles and content, to be copied."""
    cluster: Cluster = request.getfixturevalue(request.param)
    name = f"codex_{os.getpid()}"
    with psycopg.connect(cluster.conninfo(), autocommit=True) as server:
        for role in (codex_memory.OWNER, codex_memory.APPLICATION, OBSERVER):
            if server.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
                create_role(server, role, PASSWORD)
        server.execute(f"grant pg_monitor to {OBSERVER}")
        server.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(name), sql.Identifier(codex_memory.OWNER)
            )
        )
        database = Codex(cluster, name)
        database.succeed(codex_memory.SCHEMA)
        database.execute("grant select, update on memories to codex_app")
        yield database
        server.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))


@pytest.fixture
def codex(template: Codex) -> Iterator[Codex]:
    """A copy of its own for each test, under a name that needs quotes."""
    name = f"Codex's copy {next(_numbers)}"
    with psycopg.connect(template.cluster.conninfo(), autocommit=True) as server:
        server.execute(
            sql.SQL("create database {} owner {} template {}").format(
                sql.Identifier(name), sql.Identifier(codex_memory.OWNER), sql.Identifier(template.name)
            )
        )
        yield Codex(template.cluster, name)
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def shown(session: psycopg.Connection) -> dict[str, Any]:
    """What the session's settings are."""
    rows = session.execute(
        "select name, current_setting(name) from pg_settings where name = any(%s)", [list(SETTINGS)]
    )
    return dict(rows.fetchall())


def test_new_sessions_are_hardened_and_open_ones_are_not(codex: Codex) -> None:
    """After the migration new sessions of the application have the settings; one opened before does not."""
    with codex.connect(codex_memory.APPLICATION) as old:
        before = shown(old)
        codex.succeed(codex_memory.HARDENING)
        assert shown(old) == before != SETTINGS
    with codex.connect(codex_memory.APPLICATION) as new:
        assert shown(new) == SETTINGS
        limit = new.execute("select datconnlimit from pg_database where datname = current_database()")
        assert limit.fetchone() == (200,)


def test_a_second_run_changes_nothing(codex: Codex) -> None:
    """The migration can be applied again without a change, and without losing what it recorded."""
    record = "select name, value, recorded_at from security_hardening.previous_state order by name"
    codex.execute("alter database {database} set work_mem = '7MB'")
    codex.succeed(codex_memory.HARDENING)
    state = codex.state()
    with codex.connect() as session:
        recorded = session.execute(record).fetchall()
        codex.succeed(codex_memory.HARDENING)
        assert session.execute(record).fetchall() == recorded
    assert codex.state() == state
    assert ("work_mem", "7MB") in [row[:2] for row in recorded]


@pytest.mark.parametrize(
    ("applications", "before"),
    [
        (1, []),
        (
            2,
            [
                "alter database {database} set statement_timeout = '120s'",
                "alter database {database} set search_path = public, extensions",
                "alter database {database} set temp_file_limit = '1GB'",
                "alter database {database} connection limit 50",
                "alter role codex_app in database {database} set work_mem = '64MB'",
                "create view busy as select pid from pg_stat_activity where state = 'active'",
                "grant select on busy to codex_app",
            ],
        ),
    ],
    ids=["plain", "with settings of its own"],
)
def test_rollback_restores_what_was_there(codex: Codex, applications: int, before: list[str]) -> None:
    """After the rollback settings, limit, schemas, relations, views and grants are as they were before."""
    for statement in before:
        codex.execute(statement)
    state = codex.state()
    for _ in range(applications):
        codex.succeed(codex_memory.HARDENING)
    assert codex.state() != state
    codex.succeed(codex_memory.ROLLBACK)
    assert codex.state() == state


def test_apply_after_rollback_records_anew(codex: Codex) -> None:
    """A hardening that follows a rollback restores the state that it found itself, not an older one."""
    codex.succeed(codex_memory.HARDENING)
    codex.succeed(codex_memory.ROLLBACK)
    codex.execute("alter database {database} set statement_timeout = '90s'")
    state = codex.state()
    codex.succeed(codex_memory.HARDENING)
    codex.succeed(codex_memory.ROLLBACK)
    assert codex.state() == state


@pytest.mark.parametrize(
    "script", [codex_memory.HARDENING, codex_memory.ROLLBACK], ids=lambda path: path.stem
)
def test_refused_outside_of_one_transaction(codex: Codex, script: Path) -> None:
    """Without --single-transaction the script fails, exits with 3 and has changed nothing."""
    if script == codex_memory.ROLLBACK:
        codex.succeed(codex_memory.HARDENING)
    state = codex.state()
    answer = codex.psql(script)
    assert answer.returncode == 3
    assert "SAVEPOINT can only be used in transaction blocks" in answer.stderr
    assert codex.state() == state


def test_refused_to_the_owner(codex: Codex) -> None:
    """The database's owner, who is no superuser, cannot harden it by half: it fails and changes nothing."""
    state = codex.state()
    answer = codex.run(codex_memory.HARDENING, user=codex_memory.OWNER)
    assert answer.returncode == 3
    assert "permission denied to set parameter" in answer.stderr
    assert codex.state() == state


def test_refused_over_a_view_of_somebody_else(codex: Codex) -> None:
    """A view of the same name that is not from this migration is not replaced: it could not be restored."""
    codex.execute("create view security_monitoring as select 1 as mine")
    state = codex.state()
    answer = codex.run(codex_memory.HARDENING)
    assert answer.returncode == 3
    assert "security_monitoring exists already" in answer.stderr
    assert codex.state() == state


def test_rollback_without_a_hardening_is_an_error(codex: Codex) -> None:
    """A rollback that has nothing to restore says so, exits with 3 and changes nothing."""
    state = codex.state()
    answer = codex.run(codex_memory.ROLLBACK)
    assert answer.returncode == 3
    assert f"no hardening is recorded in database {codex.name}" in answer.stderr
    assert codex.state() == state


def test_rollback_is_whole_or_not_at_all(codex: Codex) -> None:
    """A rollback that fails at its last step, because something uses the view, has restored nothing."""
    codex.succeed(codex_memory.HARDENING)
    codex.execute("create view dashboard as select * from security_monitoring")
    state = codex.state()
    answer = codex.run(codex_memory.ROLLBACK)
    assert answer.returncode == 3
    assert "cannot drop view" in answer.stderr
    assert codex.state() == state


def test_reset_returns_to_the_beginning(codex: Codex) -> None:
    """The reset brings a hardened database back to the state before, and leaves one in that state alone."""
    state = codex.state()
    for _ in range(2):
        codex.succeed(codex_memory.RESET)
        assert codex.state() == state
        codex.succeed(codex_memory.HARDENING)
        codex.execute("create view dashboard as select * from security_monitoring")
        codex.execute("drop view dashboard")
    codex.succeed(codex_memory.RESET)
    assert codex.state() == state


def test_the_view_shows_other_sessions_to_monitors_only(codex: Codex, eventually: Eventually) -> None:
    """A monitor sees what the application runs, and for how long; the application's role may not look."""
    codex.succeed(codex_memory.HARDENING)
    running = """
        select usename, state, query, query_duration_seconds >= 0 and state_duration_seconds >= 0
        from security_monitoring where pid = %s
    """
    with codex.connect(codex_memory.APPLICATION) as application, codex.connect(OBSERVER) as observer:
        pid = application.info.backend_pid
        application.execute("begin")
        application.execute("select count(*) from memories")
        assert eventually(lambda: observer.execute(running, [pid]).fetchone())
        assert observer.execute(running, [pid]).fetchone() == (
            codex_memory.APPLICATION,
            "idle in transaction",
            "select count(*) from memories",
            True,
        )
        application.execute("rollback")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("select count(*) from security_monitoring")


def test_the_view_is_never_empty_for_who_may_read_it(codex: Codex) -> None:
    """The reader's own session is always in the view, and idle ones never are: empty can only mean blind."""
    codex.succeed(codex_memory.HARDENING)
    with codex.connect(codex_memory.APPLICATION), codex.connect(OBSERVER) as observer:
        rows = observer.execute("select usename, state from security_monitoring").fetchall()
    assert rows == [(OBSERVER, "active")]


def test_a_blind_reader_sees_sessions_without_their_state(codex: Codex) -> None:
    """A role that may not see activity gets other sessions' rows without state, instead of no rows."""
    codex.succeed(codex_memory.HARDENING)
    codex.execute("grant select on security_monitoring to codex_app")
    with codex.connect(codex_memory.APPLICATION) as blind, codex.connect(OBSERVER) as observer:
        rows = blind.execute(
            "select state, query from security_monitoring where pid = %s", [observer.info.backend_pid]
        ).fetchall()
    assert rows == [(None, "<insufficient privilege>")]


def test_the_application_leaves_statistics(codex: Codex) -> None:
    """What the service does all day is in pg_stat_statements afterwards, under the application's role."""
    conninfo = codex.cluster.conninfo(codex.name, user=codex_memory.APPLICATION, password=PASSWORD)
    codex_memory.exercise(conninfo)
    with codex.connect() as session:
        rows = session.execute(
            """
            select count(*), min(calls) from pg_stat_statements
            where userid = 'codex_app'::regrole and query ~ 'memories'
                and dbid = (select oid from pg_database where datname = current_database())
            """
        ).fetchone()
    assert rows is not None
    assert rows[0] >= 4
    assert rows[1] >= 1
