"""Further sessions: what the server gives to a new connection of a role, and how it ends one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    ConnectionLost,
    StatementRefused,
    TimedOut,
    UnexpectedAnswer,
)
from signoff.handles.postgres.address import AbsentRole
from signoff.handles.postgres.handle import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selftest.handles.conftest import Laboratory, Open
    from signoff.record import Evidence


@pytest.fixture
def limits(superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """Gives the application's role a statement timeout of 300 ms and 200 ms for idle transactions."""
    superuser.execute("alter role application set statement_timeout = '300ms'")
    superuser.execute("alter role application set idle_in_transaction_session_timeout = '200ms'")
    yield
    superuser.execute("alter role application reset all")


@pytest.mark.usefixtures("limits")
def test_a_session_has_the_servers_settings(db: Postgres) -> None:
    """A session shows what the server gives to new connections of its role, nothing of ours."""
    with db.session("application") as session:
        assert session.scalar("select current_user::text") == "application"
        assert session.scalar("show statement_timeout") == "300ms"
    assert db.scalar("show statement_timeout") == "30s"


def test_each_session_is_a_new_connection(db: Postgres) -> None:
    """Sessions are separate processes of the server, open at the same time."""
    with db.session("application") as one, db.session("application") as other:
        assert len({one.pid, other.pid}) == 2
        assert (
            db.scalar("select count(*) from pg_stat_activity where pid in (%s, %s)", [one.pid, other.pid])
            == 2
        )
        assert one.is_open
    assert not one.is_open


@pytest.mark.usefixtures("limits")
def test_the_server_cuts_a_statement_off(db: Postgres) -> None:
    """A statement that the server stops is an observation: when it was, and with which SQLSTATE."""
    with db.session("application") as session:
        attempt = session.attempt("select pg_sleep(60)")
        assert (attempt.error, attempt.sqlstate) == ("TimedOut", "57014")
        assert attempt.seconds >= 0.3
        assert session.attempt("select 1").succeeded


def test_our_own_deadline_is_no_observation(db: Postgres) -> None:
    """A statement that the server does not stop is ended by our deadline, and that is an error."""
    with (
        db.session("application", deadline=0.3) as session,
        pytest.raises(TimedOut, match="our own deadline"),
    ):
        session.attempt("select pg_sleep(60)")


@pytest.mark.usefixtures("limits")
def test_the_server_ends_an_idle_transaction(db: Postgres, evidence: list[Evidence]) -> None:
    """The end of a session that waits in a transaction is seen without sending anything."""
    with db.session("application") as session:
        session.begin()
        assert session.scalar("select 1") == 1
        ending = session.wait_closed(30)
        assert (ending.error, ending.sqlstate) == ("ConnectionLost", "25P03")
        assert ending.seconds >= 0.1
        assert not session.is_open
        assert "25P03" in evidence[-1].answer
        with pytest.raises(ConnectionLost):
            session.scalar("select 1")


def test_a_session_that_stays_open(db: Postgres) -> None:
    """Waiting for an end that does not come says that the session is still open."""
    with db.session("application") as session:
        assert session.wait_closed(0.05).succeeded
        assert session.is_open


def test_a_session_under_read_only_does_not_write(db: Postgres, superuser: psycopg.Connection[Any]) -> None:
    """Under read_only sessions are guarded like the handle itself, in and outside of transactions."""
    with db.session("application") as session:
        with pytest.raises(StatementRefused):
            session.rows("insert into app.facts values (-1, 'x')")
        session.begin()
        with pytest.raises(StatementRefused):
            session.rows("insert into app.facts values (-1, 'x')")
        with pytest.raises(StatementRefused):
            session.execute("insert into app.facts values (-1, 'x')")
        assert session.scalar("show transaction_read_only") == "on"
        session.rollback()
        assert session.scalar("show default_transaction_read_only") == "on"
    assert superuser.execute("select from app.facts where id = -1").rowcount == 0


def test_a_session_writes_under_destructive(open_handle: Open) -> None:
    """Under destructive a session writes what its role may, committed or rolled back as told."""
    db = open_handle("destructive")
    with db.session("application") as session:
        session.begin()
        assert session.execute("insert into app.facts values (-1, 'x')") == 1
        assert db.scalar("select count(*) from app.facts where id = -1") == 0
        session.commit()
        assert db.execute("delete from app.facts where id = -1") == 1
        session.begin()
        session.execute("insert into app.facts values (-2, 'x')")
        session.rollback()
        assert db.scalar("select count(*) from app.facts where id = -2") == 0


def test_a_failed_transaction_is_not_committed(db: Postgres) -> None:
    """Committing what the server has given up already is an error, not a silent rollback."""
    with db.session("application") as session:
        session.begin()
        assert session.attempt("select 1 / 0").sqlstate == "22012"
        with pytest.raises(UnexpectedAnswer, match="failed transaction"):
            session.commit()
        with pytest.raises(UnexpectedAnswer, match="no transaction"):
            session.commit()


def test_an_unknown_role_offers_the_nearest(db: Postgres) -> None:
    """A role that the profile does not have is not configured; the nearest one is offered."""
    with pytest.raises(ComponentNotConfigured, match="Did you mean application"):
        db.session("aplication")


def test_an_absent_role_is_absent(laboratory: Laboratory, evidence: list[Evidence]) -> None:
    """A role that the profile declares absent is absent, with the profile's reason."""
    with (
        Postgres(
            laboratory.address(),
            access="read_only",
            component="laboratory.postgres",
            observe=evidence.append,
            roles={"application": AbsentRole(reason="it has none")},
        ) as handle,
        pytest.raises(ComponentAbsent, match="it has none"),
    ):
        handle.session("application")


def test_a_connection_that_is_refused_is_an_observation(
    db: Postgres, superuser: psycopg.Connection[Any]
) -> None:
    """Whether the server lets a role in can be asked without an error."""
    assert db.attempt_session("application").succeeded
    superuser.execute("alter role application connection limit 0")
    try:
        assert db.attempt_session("application").error == "TooManyConnections"
    finally:
        superuser.execute("alter role application connection limit -1")


def test_sessions_do_not_wait_for_one_another(db: Postgres) -> None:
    """Sessions are used from several threads at once, also while the handle itself waits for an answer."""
    with (
        ThreadPoolExecutor(4) as pool,
        db.session("application") as one,
        db.session("administrator") as other,
    ):
        question = pool.submit(db.scalar, "select pg_sleep(1.5)")
        answers = [pool.submit(session.column, "select id from app.facts") for session in (one, other)]
        assert [len(answer.result()) for answer in answers] == [200, 200]
        assert not question.done()
        more = [pool.submit(db.scalar, "select %s::int", [n]) for n in range(8)]
        assert [answer.result() for answer in more] == list(range(8))
