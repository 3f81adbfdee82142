"""A run against a real PostgreSQL that is not as the profile says, or does not answer as it should."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from selftest.conftest import Database
    from selftest.suite.conftest import Finished, SmallSuite

SETUP = """
create table things (name text);
insert into things values ('one'), ('two');
create table empty (name text);
create table secret (name text);
create role {role} login password 'observer';
grant select on things, empty to {role};
revoke create on schema public from public;
revoke temporary on database {database} from public;
"""

TESTS = """
@checkpoint("DEM-1")
@pytest.mark.read_only
def test_first(expect, db):
    \"\"\"The first thing holds.\"\"\"
    expect("things", db.scalar("select count(*) from things")).equals(2)


@checkpoint("DEM-2")
@pytest.mark.read_only
@pytest.mark.parametrize("number", range({repeat}))
def test_second(expect, db, number):
    \"\"\"The second thing holds.\"\"\"
    expect("things", db.scalar({statement!r})).equals(2)
"""

COUNT = "select count(*) from things"


class Target:
    """A small suite about one real database.

    Args:
        suite: the suite.
        database: the database.
        role: a role that can only read.
    """

    def __init__(self, suite: SmallSuite, database: Database, role: str) -> None:
        self.suite = suite
        self.database = database
        self.role = role

    def profile(self, *, promotes: bool = False, pin: str | None = "real", **changes: str | int) -> None:
        """Write the profile, with changes to the table of the database."""
        facts: dict[str, str | int] = {
            "host": self.database.host,
            "port": self.database.port,
            "database": self.database.name,
            "user": self.role,
            "tls": "disable",
            **changes,
        }
        if pin is not None:
            facts["system_identifier"] = self.identity if pin == "real" else pin
        lines = [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in facts.items()
        ]
        self.suite.write(
            "environments/demo.toml",
            "\n".join(
                (
                    'schema = 1\nname = "demo"\ndescription = "One database."\ndestructive = "never"',
                    f"promotes = {str(promotes).lower()}",
                    "[systems.demo.postgres]",
                    *lines,
                    'password = { env = "OBSERVER_PASSWORD" }',
                    'timeouts = { connect = "2s", statement = "5s", lock = "500ms" }',
                )
            )
            + "\n",
        )

    def tests(self, statement: str = COUNT, *, repeat: int = 1) -> None:
        """Write the tests; the second one asks this, as often as told."""
        self.suite.tests(TESTS.format(statement=statement, repeat=repeat))

    @property
    def identity(self) -> str:
        """The system identifier of the server."""
        with psycopg.connect(self.database.conninfo) as connection:
            row = connection.execute("select system_identifier from pg_control_system()").fetchone()
        assert row is not None
        return str(row[0])

    def run(self, *arguments: str, password: str | None = None) -> Finished:
        """Run the suite, with the right password unless another one is given."""
        return self.suite.run(*arguments, OBSERVER_PASSWORD=password or "observer")


@pytest.fixture
def target(suite: SmallSuite, database: Database) -> Iterator[Target]:
    """A suite whose profile and tests fit a real database."""
    role = f"observer_{database.name}"
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(SETUP.format(role=role, database=database.name))
    made = Target(suite, database, role)
    made.profile()
    made.tests()
    yield made
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute(f"drop owned by {role}; drop role {role}")


def test_a_pinned_target_that_answers(target: Target) -> None:
    """The control: the right server with the right rights is verified and promoted."""
    finished = target.run()
    assert finished.status == 0, finished.output
    (found,) = finished.record.targets
    assert (found.identity, found.pinned) == (target.identity, True)
    assert not finished.record.run.warnings
    (evidence,) = finished.checkpoint("DEM-1").tests[0].evidence
    assert COUNT in evidence.asked
    assert "2" in evidence.answer


def test_another_server_than_the_pinned_one(target: Target) -> None:
    """A run against the wrong server ends before its first test, and says which one it met."""
    target.profile(pin="7000000000000000001")
    finished = target.run()
    assert finished.status == 4
    assert "7000000000000000001" in finished.output
    assert target.identity in finished.output
    assert finished.record.counts()["not_run"] == 2
    assert finished.record.run.state == "interrupted"


def test_a_target_that_is_not_pinned(target: Target) -> None:
    """Without a pin a run warns; where releases are promoted it does not begin."""
    target.profile(pin=None)
    finished = target.run()
    assert finished.status == 0, finished.output
    assert any("not pinned" in warning for warning in finished.record.run.warnings)
    target.profile(pin=None, promotes=True)
    refused = target.run()
    assert refused.status == 4
    assert "got no pin" in refused.output


def test_credentials_that_could_write(target: Target) -> None:
    """Credentials that could write are a warning; where releases are promoted the run does not begin."""
    with psycopg.connect(target.database.conninfo, autocommit=True) as connection:
        connection.execute(f"grant insert on things to {target.role}")
    finished = target.run()
    assert finished.status == 0, finished.output
    assert any("could write" in warning for warning in finished.record.run.warnings)
    target.profile(promotes=True)
    refused = target.run()
    assert refused.status == 4
    assert "could write" in refused.output


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one-process", "xdist"])
def test_a_server_that_is_not_there(target: Target, workers: tuple[str, ...]) -> None:
    """Every checkpoint of a server that does not answer is an error that says so."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        target.profile(port=unused.getsockname()[1])
        finished = target.run(*workers)
    assert finished.status == 1
    assert finished.record.counts()["error"] == 2
    assert "refused" in finished.checkpoint("DEM-1").reason
    assert any("demo.postgres" in warning for warning in finished.record.run.warnings)


def test_a_server_that_is_not_there_is_asked_once(target: Target) -> None:
    """A run waits for a dead server once, and not once for every checkpoint."""
    attempts = 0
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def hang_up() -> None:
            nonlocal attempts
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()
                    attempts += 1

        threading.Thread(target=hang_up, daemon=True).start()
        target.profile(port=listener.getsockname()[1])
        target.tests(COUNT, repeat=20)
        finished = target.run()
        listener.shutdown(socket.SHUT_RDWR)
    assert len(finished.checkpoint("DEM-2").tests) == 20
    assert 0 < attempts < 10


def test_a_wrong_password(target: Target) -> None:
    """Refused credentials are an error, not a failure, and the password is nowhere in the run."""
    finished = target.run(password="not-the-observer")
    assert finished.record.counts()["error"] == 2
    assert "password" in finished.checkpoint("DEM-1").reason
    for file in finished.directory.iterdir():
        assert "not-the-observer" not in file.read_text(encoding="utf-8")
    assert "not-the-observer" not in finished.output


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        pytest.param("select count(*) from secret", "permission denied", id="no-rights"),
        pytest.param("select count(*) from nothing", "nothing", id="missing-table"),
        pytest.param("select count(colour) from things", "colour", id="missing-column"),
        pytest.param("select max(length(name)) from empty", "no value", id="empty-table"),
        pytest.param("select name from empty", "0 rows", id="no-rows"),
        pytest.param("select count(*)::text from things", "text", id="wrong-type"),
        pytest.param("insert into things values ('three')", "begins with insert", id="write"),
        pytest.param("select pg_sleep(20)", "statement timeout", id="slow"),
    ],
)
def test_a_question_that_cannot_be_answered(target: Target, statement: str, reason: str) -> None:
    """What the server cannot or may not answer is an error of its checkpoint alone."""
    target.tests(statement)
    finished = target.run()
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "error"
    assert reason in finished.checkpoint("DEM-2").reason


def test_a_locked_table(target: Target) -> None:
    """A table that somebody else has locked is an error within the lock timeout."""
    target.tests("select count(*) from empty")
    with psycopg.connect(target.database.conninfo) as connection:
        connection.execute("lock table empty in access exclusive mode")
        finished = target.run()
    assert finished.checkpoint("DEM-2").outcome == "error"
    assert "lock" in finished.checkpoint("DEM-2").reason


def test_a_disk_that_is_full(target: Target) -> None:
    """A record that cannot be written is said on the terminal, and the run is not green."""
    # A limit on the size of files has the same effect as a full disk, and needs no rights.
    target.suite.write(
        "conftest.py",
        """
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        pytest_plugins = ["signoff.plugin"]
        """,
    )
    finished = target.run()
    assert finished.status != 0
    assert "record.json" in finished.output
    assert "lost" in finished.output
