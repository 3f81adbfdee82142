"""One connection to PostgreSQL, with a deadline on everything and statements one at a time."""

from __future__ import annotations

import logging
import select
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from signoff.errors import ConnectionLost, ServerNotReady, TimedOut, UnexpectedAnswer, Unreachable
from signoff.handles.postgres.address import PostgresAddress
from signoff.handles.postgres.failures import failure, kind_of, kind_of_connecting, words_of
from signoff.handles.postgres.statement import Statement

if TYPE_CHECKING:
    from psycopg._queries import PostgresQuery
    from psycopg.abc import PQGen

GRACE: Final = 3.0
"""Seconds between the server's own timeout and our deadline."""

CANCEL: Final = 1.0
"""Seconds for cancelling a statement at our deadline, and again for its end before we hang up."""

CONNECT_PAUSES: Final = (0.2, 0.6)
"""Seconds before the second and the third attempt to connect."""

SHOWN_CHARACTERS: Final = 200
"""Characters of a statement that an error shows."""

# The library tells on standard error about connections that broke; we raise errors about them.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Row: TypeAlias = tuple[Any, ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """What one statement returned.

    Attributes:
        columns: names of the columns; empty for a statement without rows.
        rows: the rows.
        affected: rows that the statement returned or changed; -1 where that has no meaning.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    affected: int


def startup_options(settings: dict[str, str]) -> str:
    """Server settings as libpq's ``options``, in force from the first statement on."""
    return " ".join(
        f"-c {name}={value.replace(chr(92), chr(92) * 2).replace(' ', chr(92) + ' ')}"
        for name, value in settings.items()
    )


class Connection:
    """One connection; every statement goes through the extended protocol, so that it can only be one.

    Args:
        address: where to and as whom.
        label: what the connection is for; becomes part of the application name.
        settings: server settings for the whole connection.

    Raises:
        Unreachable, AuthenticationFailed, ServerNotReady, TooManyConnections, TimedOut, MissingObject:
            the connection could not be made, after up to three attempts where another could help.

    Attributes:
        address: where to and as whom.
        pid: process id of the server process.
        farewell: SQLSTATE and message with which the server ended the connection while it was idle.
    """

    def __init__(self, address: PostgresAddress, *, label: str, settings: dict[str, str]) -> None:
        self.address = address
        self._raw = _connect(address, application_name(label), settings)
        self._raw.add_notice_handler(self._noticed)
        self.pid = self._raw.info.backend_pid
        self.farewell: tuple[str, str] | None = None

    def run(self, statement: str, values: Sequence[Any] = (), *, deadline: float) -> Answer:
        """Run one statement whose parameters are ``$1``, ``$2`` ….

        Args:
            statement: exactly one statement; the server refuses a second one.
            values: one for each parameter.
            deadline: seconds after which the statement is cancelled, and then the connection cut.

        Raises:
            SignoffError: as `failures.kind_of` maps what went wrong.
        """
        with self._answering(statement, deadline):
            cursor = self._raw.execute(statement, values)
        return _answer(cursor)

    def run_all(self, statements: Sequence[Statement], *, deadline: float) -> list[Answer]:
        """Run several statements of ours in one round trip; the first failure stops the rest.

        The server keeps their plans, because they come again and again.
        """
        with self._answering(statements[0].text, deadline), self._raw.pipeline():
            cursors = [
                self._raw.execute(statement.text, statement.values, prepare=True) for statement in statements
            ]
        return [_answer(cursor) for cursor in cursors]

    def stream(
        self, statement: Statement, *, deadline: float, size: int
    ) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Column names and rows of a statement in portions, through a cursor on the server.

        Args:
            statement: one statement that returns rows, run inside an open transaction.
            deadline: seconds for each portion.
            size: rows of a portion.
        """
        declaration = f"DECLARE signoff_stream NO SCROLL CURSOR FOR {statement.text}"
        self.run(declaration, statement.values, deadline=deadline)
        while True:
            portion = self.run(f"FETCH FORWARD {size} FROM signoff_stream", deadline=deadline)
            yield portion.columns, portion.rows
            if len(portion.rows) < size:
                return

    @property
    def is_open(self) -> bool:
        """Whether the server still keeps the connection; asks the socket, not the server."""
        if self._raw.closed:
            return False
        with suppress(psycopg.Error):
            self._raw.pgconn.consume_input()
            # Looking for a result makes the library read what came in, the server's last words included.
            self._raw.pgconn.is_busy()
            return self._raw.pgconn.transaction_status != TransactionStatus.UNKNOWN
        return False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, failed ones included."""
        return self._raw.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}

    @property
    def has_failed_transaction(self) -> bool:
        """Whether a transaction is open in which a statement failed."""
        return self._raw.info.transaction_status == TransactionStatus.INERROR

    def wait_closed(self, seconds: float) -> bool:
        """Whether the server closes the connection within so many seconds; returns as soon as it does."""
        end = time.monotonic() + seconds
        while self.is_open:
            left = end - time.monotonic()
            if left <= 0:
                return False
            select.select([self._raw.fileno()], [], [], left)
        return True

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        # What the server says when it ends an idle connection comes as a notice: no statement is waiting.
        if notice.severity_nonlocalized in {"FATAL", "PANIC"}:
            self.farewell = (notice.sqlstate or "", notice.message_primary or "")

    def close(self) -> None:
        """Hang up; an open transaction is rolled back by the server."""
        self._raw.close()

    @contextmanager
    def _answering(self, subject: str, deadline: float) -> Iterator[None]:
        self._raw.deadline = time.monotonic() + deadline
        try:
            yield
        except psycopg.Error as exc:
            if self._raw.expired:
                self._raw.close()
                got = f"no answer within {deadline:g} s, our own deadline"
                # Not from exc: what the server says to our cancelling must not pass for its own doing.
                raise failure(TimedOut, self._subject(subject), got) from TimeoutError(got)
            raise failure(kind_of(exc), self._subject(subject), words_of(exc)) from exc
        except UnicodeError as exc:
            raise failure(
                UnexpectedAnswer, self._subject(subject), f"text in another encoding: {exc}"
            ) from exc
        except BaseException:
            # Ctrl-C in the middle of an answer leaves the connection in a state that nobody knows.
            if self._raw.info.transaction_status == TransactionStatus.ACTIVE:
                self._raw.close()
            raise
        finally:
            self._raw.deadline = None

    def _subject(self, statement: str) -> str:
        return f"{self.address}: {shortened(statement)}"


class _ExtendedCursor(psycopg.RawCursor[Row]):
    """A cursor that uses the extended protocol also for a statement without parameters.

    A pipeline would do so too, but it ends with a Flush after the Sync, and a server that has received
    anything after the Sync no longer watches over the time that a transaction is idle.
    """

    def _execute_send(
        self, query: PostgresQuery, *, force_extended: bool = True, binary: bool | None = None
    ) -> None:
        super()._execute_send(query, force_extended=force_extended, binary=binary)


class _DeadlineConnection(psycopg.Connection[Row]):
    """A connection on which no wait outlasts a deadline.

    Attributes:
        deadline: on the monotonic clock; ``None`` for no deadline.
        expired: whether the deadline has passed in a wait.
    """

    deadline: float | None = None
    expired: bool = False

    def wait(self, gen: PQGen[Result], *arguments: Any, **options: Any) -> Result:
        """Wait as the library does, which looks at the clock at short intervals."""
        return super().wait(self._until_deadline(gen), *arguments, **options)

    def _until_deadline(self, gen: PQGen[Result]) -> PQGen[Result]:
        try:
            request = next(gen)
            while True:
                ready = yield request
                self._check_deadline()
                request = gen.send(ready)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _check_deadline(self) -> None:
        if self.deadline is None or time.monotonic() < self.deadline:
            return
        if self.expired:
            raise psycopg.OperationalError("the server does not even react to a cancellation")
        self.expired = True
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=CANCEL)
        self.deadline = time.monotonic() + CANCEL


def _connect(address: PostgresAddress, name: str, settings: dict[str, str]) -> _DeadlineConnection:
    for pause in CONNECT_PAUSES:
        try:
            return _connect_once(address, name, settings)
        except (ConnectionLost, ServerNotReady, Unreachable):
            # A restart or a failover may be over in a moment, and nothing has been asked yet.
            time.sleep(pause)
    return _connect_once(address, name, settings)


def _connect_once(address: PostgresAddress, name: str, settings: dict[str, str]) -> _DeadlineConnection:
    timeouts = address.timeouts
    try:
        return _DeadlineConnection.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password.reveal() if address.password else "",
            sslmode=address.tls,
            sslrootcert=address.tls_ca or ("system" if address.tls == "verify-full" else None),
            sslcert=address.tls_certificate,
            sslkey=address.tls_key,
            # Given, though empty, so that no PG* variable of the caller's shell leads elsewhere.
            hostaddr="",
            target_session_attrs="any",
            options=startup_options(settings),
            application_name=name,
            client_encoding="UTF8",
            connect_timeout=max(2, round(timeouts.connect)),
            # A peer that vanished is noticed within the statement's deadline.
            keepalives=1,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=round((timeouts.statement + GRACE) * 1000),
            autocommit=True,
            # Only what we ask for explicitly is prepared for further use.
            prepare_threshold=2**31,
            cursor_factory=_ExtendedCursor,
        )
    except psycopg.Error as exc:
        raise failure(kind_of_connecting(exc), str(address), words_of(exc)) from exc


def _answer(cursor: psycopg.Cursor[Row]) -> Answer:
    if cursor.description is None:
        return Answer((), [], cursor.rowcount)
    return Answer(tuple(column.name for column in cursor.description), cursor.fetchall(), cursor.rowcount)


def application_name(label: str) -> str:
    """Who we are, as ``pg_stat_activity`` shows it; PostgreSQL keeps 63 bytes of printable ASCII."""
    name = f"signoff/{_version()} {label}".strip()
    return "".join(character if " " <= character <= "~" else "?" for character in name)[:63]


@cache
def _version() -> str:
    return version("signoff")


def shortened(statement: str) -> str:
    """A statement in one line of at most 200 characters."""
    return textwrap.shorten(statement, SHOWN_CHARACTERS, placeholder=" …")
