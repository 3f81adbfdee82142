"""What goes wrong becomes one of our errors, in bounded time; never a failed checkpoint."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
import pytest

from signoff.errors import (
    AuthenticationFailed,
    ConnectionLost,
    HandleError,
    MissingObject,
    PermissionDenied,
    ServerNotReady,
    StatementFailed,
    StatementRefused,
    TimedOut,
    TooManyConnections,
    UnexpectedAnswer,
    Unreachable,
)
from signoff.handles.postgres.failures import failure, kind_of
from signoff.secrets import Secret
from stack import binaries
from stack.postgres import Cluster, free_port

if TYPE_CHECKING:
    from selftest.handles.conftest import Laboratory, Open
    from signoff.record import Evidence

only_on_18 = pytest.mark.parametrize("laboratory", [18], indirect=True, ids=["postgres18"])

EVERY_SQLSTATE: Final = sorted(
    {
        error.sqlstate: error
        for error in vars(psycopg.errors).values()
        if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
    }.items()
)


def test_every_failure_of_the_server_has_an_error() -> None:
    """The mapping is total: every SQLSTATE that the client library knows becomes one of our errors."""
    assert len(EVERY_SQLSTATE) > 200
    for _, error in EVERY_SQLSTATE:
        kind = kind_of(error())
        assert issubclass(kind, HandleError | StatementRefused)
        assert str(failure(kind, "subject", "got"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.InvalidPassword, AuthenticationFailed),
        (psycopg.errors.InvalidAuthorizationSpecification, AuthenticationFailed),
        (psycopg.errors.ReadOnlySqlTransaction, StatementRefused),
        (psycopg.errors.InsufficientPrivilege, PermissionDenied),
        (psycopg.errors.IdleInTransactionSessionTimeout, ConnectionLost),
        (psycopg.errors.ConnectionFailure, ConnectionLost),
        (psycopg.errors.AdminShutdown, ServerNotReady),
        (psycopg.errors.CrashShutdown, ServerNotReady),
        (psycopg.errors.CannotConnectNow, ServerNotReady),
        (psycopg.errors.TooManyConnections, TooManyConnections),
        (psycopg.errors.QueryCanceled, TimedOut),
        (psycopg.errors.LockNotAvailable, TimedOut),
        (psycopg.errors.UndefinedTable, MissingObject),
        (psycopg.errors.UndefinedColumn, MissingObject),
        (psycopg.errors.UndefinedFunction, MissingObject),
        (psycopg.errors.InvalidCatalogName, MissingObject),
        (psycopg.errors.SyntaxError, StatementFailed),
        (psycopg.errors.DiskFull, StatementFailed),
        (psycopg.errors.SerializationFailure, StatementFailed),
        (psycopg.OperationalError, ConnectionLost),
        (psycopg.InterfaceError, ConnectionLost),
        (psycopg.DataError, UnexpectedAnswer),
        (psycopg.ProgrammingError, StatementFailed),
    ],
)
def test_failures_are_told_apart(error: type[psycopg.Error], kind: type[HandleError]) -> None:
    """Each failure becomes the error that says what to do about it."""
    assert kind_of(error()) is kind


def test_nobody_listens(laboratory: Laboratory, open_handle: Open) -> None:
    """A port where nobody listens, and a name that nobody knows, are unreachable."""
    nobody = replace(laboratory.address(), port=free_port())
    with pytest.raises(Unreachable, match="Connection refused"):
        open_handle(address=nobody).scalar("select 1")
    with pytest.raises(Unreachable):
        open_handle(address=replace(nobody, host="nowhere.invalid")).scalar("select 1")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"password": Secret("wrong", origin="test")}, AuthenticationFailed, id="wrong password"),
        pytest.param({"password": None}, AuthenticationFailed, id="no password"),
        pytest.param({"user": "nobody"}, AuthenticationFailed, id="unknown role"),
        pytest.param({"database": "nowhere"}, MissingObject, id="missing database"),
        pytest.param({"tls": "require"}, Unreachable, id="no TLS"),
    ],
)
def test_the_server_turns_us_away(
    laboratory: Laboratory, open_handle: Open, changes: dict[str, Any], kind: type[HandleError]
) -> None:
    """Credentials, database or encryption that the server does not accept are told apart."""
    if changes.get("tls") and laboratory.cluster.port and "15" in str(laboratory.cluster.data_directory):
        pytest.skip("this build speaks TLS")
    address = replace(laboratory.address("observer"), **changes)
    with pytest.raises(kind) as caught:
        open_handle(address=address).scalar("select 1")
    assert caught.value.subject == str(address)


def test_a_role_without_rights(open_handle: Open) -> None:
    """What a role may not read is a denied permission."""
    with pytest.raises(PermissionDenied, match="permission denied"):
        open_handle(user="application").rows("select * from app.ranked")


def test_no_connection_is_left(open_handle: Open, superuser: psycopg.Connection[Any]) -> None:
    """A server that has no connection left says so."""
    superuser.execute("alter role observer connection limit 0")
    try:
        with pytest.raises(TooManyConnections):
            open_handle(user="observer").scalar("select 1")
    finally:
        superuser.execute("alter role observer connection limit -1")


def test_a_slow_statement_is_cut_off_by_the_server(laboratory: Laboratory, open_handle: Open) -> None:
    """The server enforces the profile's statement timeout."""
    db = open_handle(address=laboratory.address(statement=0.2))
    with pytest.raises(TimedOut, match="57014"):
        db.scalar("select pg_sleep(60)")
    assert db.scalar("select 1") == 1


def test_a_locked_table_is_not_waited_for(
    laboratory: Laboratory, open_handle: Open, superuser: psycopg.Connection[Any]
) -> None:
    """Waiting for a lock ends after the profile's lock timeout."""
    db = open_handle(address=laboratory.address(lock=0.2))
    with superuser.transaction():
        superuser.execute("lock table app.ranked")
        with pytest.raises(TimedOut, match="55P03"):
            db.scalar("select count(*) from app.ranked")


def test_a_session_that_is_ended_in_mid_statement(
    open_handle: Open, superuser: psycopg.Connection[Any]
) -> None:
    """When an administrator ends our session, the question fails and the next one is answered."""
    db = open_handle(label="to be ended")
    with ThreadPoolExecutor(1) as pool:
        question = pool.submit(db.scalar, "select pg_sleep(60)")
        _until(lambda: _end(superuser, "to be ended", "pg_sleep"))
        with pytest.raises(ServerNotReady, match="57P01"):
            question.result()
    assert db.scalar("select 1") == 1


def test_a_session_that_is_ended_between_questions(
    open_handle: Open, superuser: psycopg.Connection[Any]
) -> None:
    """A connection that broke while nothing was asked is made anew."""
    db = open_handle(label="between questions")
    first = db.scalar("select pg_backend_pid()")
    assert _end(superuser, "between questions", "")
    assert db.scalar("select pg_backend_pid()") != first


@only_on_18
def test_a_server_that_stops_in_mid_statement(laboratory: Laboratory, open_handle: Open) -> None:
    """A server that is stopped ends the question, and is unreachable from then on."""
    del laboratory
    with Cluster(binaries.find(major=18), standby=False) as cluster:
        address = replace(
            open_handle().address,
            port=cluster.port,
            database="postgres",
            password=Secret(cluster.password, origin="the test"),
        )
        db = open_handle(address=address)
        assert db.scalar("select 1") == 1
        with ThreadPoolExecutor(1) as pool, psycopg.connect(cluster.conninfo(), autocommit=True) as admin:
            question = pool.submit(db.scalar, "select pg_sleep(60)")
            _until(lambda: _is_asked(admin, "pg_sleep"))
            admin.close()
            cluster.stop()
            with pytest.raises((ServerNotReady, ConnectionLost)):
                question.result()
        with pytest.raises(Unreachable):
            db.scalar("select 1")


@only_on_18
def test_a_standby_does_not_write(laboratory: Laboratory, open_handle: Open) -> None:
    """On a server in recovery a write is stopped by the server, with its words."""
    replica = open_handle("destructive", address=laboratory.address(replica=True))
    with pytest.raises(StatementRefused, match="read-only transaction"):
        replica.execute("delete from app.facts")


@only_on_18
@pytest.mark.parametrize(
    ("sqlstate", "message", "kind"),
    [
        ("57P03", "the database system is starting up", ServerNotReady),
        ("57P03", "the database system is not accepting connections", ServerNotReady),
        ("57P03", "the database system is in recovery mode", ServerNotReady),
        ("53300", "sorry, too many clients already", TooManyConnections),
        ("53300", "remaining connection slots are reserved for roles with privileges", TooManyConnections),
        ("28000", 'no pg_hba.conf entry for host "10.0.0.1"', AuthenticationFailed),
        ("28000", 'role "x" is not permitted to log in', AuthenticationFailed),
        ("42501", 'permission denied for database "x"', PermissionDenied),
        ("08P01", "Passwort-Authentifizierung fehlgeschlagen", Unreachable),
    ],
)
def test_words_of_a_server_that_turns_us_away(
    laboratory: Laboratory, open_handle: Open, sqlstate: str, message: str, kind: type[HandleError]
) -> None:
    """What a server says instead of accepting us is recognised, and quoted in any case."""
    body = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()
    answer = b"E" + struct.pack("!i", len(body) + 4) + body

    def turn_away(client: socket.socket) -> None:
        client.recv(1024)
        client.sendall(answer)

    with _server(turn_away) as port:
        with pytest.raises(kind) as caught:
            open_handle(address=replace(laboratory.address(), port=port)).scalar("select 1")
        assert message in caught.value.got


@only_on_18
def test_a_server_that_never_answers(laboratory: Laboratory, open_handle: Open) -> None:
    """A server that accepts a connection and says nothing is given up after the connect timeout."""
    released = threading.Event()
    with _server(lambda _: released.wait()) as port:
        address = replace(laboratory.address(connect=2), port=port)
        with pytest.raises(TimedOut):
            open_handle(address=address).scalar("select 1")
        released.set()


@only_on_18
def test_a_server_that_hangs_up_at_once(laboratory: Laboratory, open_handle: Open) -> None:
    """A server that hangs up during the greeting is unreachable."""
    with _server(lambda client: client.recv(4)) as port, pytest.raises(Unreachable):
        open_handle(address=replace(laboratory.address(), port=port)).scalar("select 1")


@only_on_18
def test_a_network_that_falls_silent(laboratory: Laboratory, open_handle: Open) -> None:
    """When the network swallows the answer, our own deadline ends the question."""
    with _Proxy(laboratory.cluster.port) as proxy:
        address = replace(laboratory.address(statement=0.2), port=proxy.port)
        db = open_handle(address=address)
        assert db.scalar("select 1") == 1
        proxy.silent.set()
        with pytest.raises(TimedOut, match="our own deadline"):
            db.scalar("select 2")


@only_on_18
def test_a_network_that_breaks(laboratory: Laboratory, open_handle: Open, evidence: list[Evidence]) -> None:
    """When the network breaks in the middle of an answer, the connection is lost, and evidence says so."""
    with _Proxy(laboratory.cluster.port) as proxy:
        db = open_handle(address=replace(laboratory.address(), port=proxy.port), label="to be broken")
        with (
            ThreadPoolExecutor(1) as pool,
            psycopg.connect(laboratory.conninfo, autocommit=True) as admin,
        ):
            question = pool.submit(db.scalar, "select pg_sleep(60), 'broken'")
            _until(lambda: _is_asked(admin, "broken"))
            proxy.cut()
            with pytest.raises(ConnectionLost):
                question.result()
            _end(admin, "to be broken", "")
    assert evidence[-1].answer.startswith("ConnectionLost")


def _until(condition: Callable[[], object]) -> None:
    while not condition():
        threading.Event().wait(0.01)


def _is_asked(connection: psycopg.Connection[Any], text: str) -> bool:
    return bool(
        connection.execute(
            "select from pg_stat_activity "
            "where state = 'active' and query like %s and pid <> pg_backend_pid()",
            [f"%{text}%"],
        ).rowcount
    )


def _end(connection: psycopg.Connection[Any], label: str, text: str) -> bool:
    return bool(
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like %s and query like %s",
            [f"%{label}", f"%{text}%"],
        ).rowcount
    )


@contextlib.contextmanager
def _server(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that does the same with every client and then hangs up; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class _Proxy:
    """Stands between us and a server, and can fall silent or cut the connection.

    Attributes:
        port: where to connect.
        silent: once set, nothing is passed on any more.
    """

    def __init__(self, port: int) -> None:
        self.silent = threading.Event()
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def cut(self) -> None:
        """Break every connection."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
                for source, target in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pass_on, args=(source, target))
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent.is_set():
                    target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
