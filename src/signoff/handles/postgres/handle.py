"""The PostgreSQL handle: what tests use as ``db`` and ``replica``."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from secrets import randbits
from types import TracebackType
from typing import Any, Final, Self

from signoff.access import PERMISSIONS
from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    HandleError,
    SignoffError,
)
from signoff.handles.observation import Asked, Observe, Redact, unredacted
from signoff.handles.observation import table as table_of
from signoff.handles.postgres import guard, privileges
from signoff.handles.postgres.address import AbsentRole, PostgresAddress
from signoff.handles.postgres.connection import GRACE, Answer, Connection, Row
from signoff.handles.postgres.queries import Attempt, Queries, Reporting
from signoff.handles.postgres.reading import Reader
from signoff.handles.postgres.sampling import draw, selection
from signoff.handles.postgres.session import Session
from signoff.handles.postgres.statement import Parameters, Statement
from signoff.record import Access

_PORTION: Final = 2000


class Postgres(Queries):
    """A database, within what the access allows.

    Under ``read_only`` each call is one statement that is known to read, in a read-only transaction of its
    own that is rolled back. Under ``destructive`` each call is one statement, committed by itself.
    Statements, waiting for locks and idle transactions are limited by the server, and by us should it hang.

    The connection is made with the first question and kept. It is made anew when it turns out to be broken
    before a statement was sent; a statement is never sent twice. Several threads may ask, one after another.

    Args:
        address: where the server is and who we are there.
        access: what may be done.
        component: what evidence calls this database, for instance ``codex_memory.postgres``.
        observe: takes the evidence of every statement.
        redact: removes secrets from evidence.
        names: the environment's identifiers for the names in statements.
        roles: addresses of further roles, for `session`.
        label: what the connection is for, shown in the application name: a checkpoint or a run.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        access: Access,
        component: str,
        observe: Observe,
        redact: Redact = unredacted,
        names: Mapping[str, str] | None = None,
        roles: Mapping[str, PostgresAddress | AbsentRole] | None = None,
        label: str = "",
    ) -> None:
        reporting = Reporting(
            source=f"{component} ({address})", observe=observe, redact=redact, names=dict(names or {})
        )
        super().__init__(reporting, writes=PERMISSIONS[access].writes_sql)
        self.address = address
        self.label = label
        self._component = component
        self._roles = dict(roles or {})
        self._reader = Reader(self._connect, deadline=self._deadline)
        # Sessions may be used from other threads, and must not wait for a long question of ours.
        self._checker = Reader(self._connect, deadline=self._deadline)
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the next question connects again."""
        self._reader.close()
        self._checker.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @cached_property
    def server_version(self) -> int:
        """The server's version as a number: 150018 for 15.18."""
        return int(self.scalar("SELECT pg_catalog.current_setting('server_version_num')"))

    @cached_property
    def system_identifier(self) -> str:
        """The identity that the cluster was given by ``initdb``; a standby has that of its primary."""
        return str(self.scalar("SELECT system_identifier FROM pg_catalog.pg_control_system()"))

    def stream(self, sql: str, params: Parameters = None) -> Generator[dict[str, Any], None, None]:
        """Rows one by one, fetched in portions over a connection of their own; for large results.

        The statement timeout applies to each portion. Evidence has the first rows and their whole number.
        """
        statement = self._prepare(sql, params)
        asked = self._asked(statement)
        first: list[Row] = []
        columns: tuple[str, ...] = ()
        count = 0
        if not self._writes:
            guard.check(statement.text)
        reader = Reader(self._connect, deadline=self._deadline)
        try:
            with reader.transaction() as transaction:
                if not self._writes:
                    transaction.check(statement.text)
                portions = transaction.connection.stream(statement, deadline=self._deadline, size=_PORTION)
                for columns, rows in portions:
                    first = first or rows[:10]
                    count += len(rows)
                    for row in rows:
                        yield dict(zip(columns, row, strict=True))
        finally:
            reader.close()
            self._reporting.observe(asked.answered(f"{table_of(columns, first)}\n{count:,} rows read in all"))

    def sample(
        self, table: str, columns: Sequence[str], size: int, seed: int | None = None
    ) -> list[dict[str, Any]]:
        """A uniform random sample of a table without replacement; see `signoff.handles.postgres.sampling`.

        Args:
            table: a name that the runbook declares, or an identifier.
            columns: likewise.
            size: number of rows; a smaller table is returned whole.
            seed: of the random generator, to draw a sample again; by default a new one, which the evidence
                names. A check that drew the same rows every day would never see the others.

        Raises:
            MissingObject: there is no such table or column.
            UnexpectedAnswer: the table is a view, partitioned, foreign, or has tables that inherit from it.
            Inconclusive: the table is so empty that drawing would not end.
        """
        names = self._reporting.names
        identifier = names.get(table, table)
        identifiers = [names.get(column, column) for column in columns]
        statement = selection(identifier, identifiers)
        asked = self._asked(Statement(statement, ()))
        try:
            with self._reader.transaction() as transaction:
                if not self._writes:
                    transaction.check(statement)
                drawn = draw(
                    transaction.run,
                    identifier,
                    identifiers,
                    size=size,
                    seed=randbits(32) if seed is None else seed,
                )
        except SignoffError as exc:
            self._reporting.observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise
        self._reporting.observe(asked.answered(f"{table_of(columns, drawn.rows)}\n{drawn.method}"))
        return [dict(zip(columns, row, strict=True)) for row in drawn.rows]

    def write_privileges(self) -> list[str]:
        """What the credentials could write, a line for each kind of privilege; empty for a clean observer."""
        return [str(line) for line in self.column(privileges.QUERY)]

    def session(self, role: str = "application", *, deadline: float | None = None) -> Session:
        """Open a new connection of a role; use it in a ``with`` statement.

        Args:
            role: one of the roles that the profile names.
            deadline: seconds after which a statement in the session is cut off by us; by default a little
                more than the profile's statement timeout. The server's own limits are left as they are.

        Raises:
            ComponentAbsent: the profile says that the role does not exist here.
            ComponentNotConfigured: the profile has no such role.
            SignoffError: the connection could not be made.
        """
        address = self._address_of(role)
        settings = {} if self._writes else {"default_transaction_read_only": "on"}
        asked = Asked("query", f"{self._component} ({address})", "(connect)", self._reporting.redact)
        try:
            connection = Connection(address, label=self.label, settings=settings)
        except HandleError as exc:
            self._reporting.observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise
        self._reporting.observe(asked.answered(f"connected, process {connection.pid}"))
        return Session(
            connection,
            guard=None if self._writes else self._check,
            reporting=Reporting(
                source=asked.source,
                observe=self._reporting.observe,
                redact=self._reporting.redact,
                names=self._reporting.names,
            ),
            deadline=deadline or address.timeouts.statement + GRACE,
        )

    def attempt_session(self, role: str = "application") -> Attempt:
        """Connect as a role to see whether the server lets it, and hang up at once.

        Every way in which the server can say no is an observation; there is no SQLSTATE, because the client
        library does not pass it on.
        """
        begun = time.monotonic()
        try:
            self.session(role).close()
        except HandleError as exc:
            return Attempt(seconds=time.monotonic() - begun, error=type(exc).__name__, message=exc.got)
        return Attempt(seconds=time.monotonic() - begun)

    @property
    def _deadline(self) -> float:
        return self.address.timeouts.statement + GRACE

    def _address_of(self, role: str) -> PostgresAddress:
        address = self._roles.get(role)
        if isinstance(address, AbsentRole):
            raise ComponentAbsent(
                f"{self._component}.roles.{role}",
                got=f"absent: {address.reason}",
                expected="a role that can log in",
                next_step="Nothing to do; what needs it is not applicable here.",
            )
        if address is not None:
            return address
        nearest = difflib.get_close_matches(role, self._roles, n=1)
        raise ComponentNotConfigured(
            f"{self._component}.roles.{role}",
            got="no such role in the profile",
            expected="one of: " + (", ".join(sorted(self._roles)) or "(the profile names none)"),
            next_step=f"Did you mean {nearest[0]}?"
            if nearest
            else "Add the role and its password to the profile.",
        )

    def _connect(self) -> Connection:
        timeouts = self.address.timeouts
        settings = {
            "statement_timeout": f"{round(timeouts.statement * 1000)}",
            "lock_timeout": f"{round(timeouts.lock * 1000)}",
            "idle_in_transaction_session_timeout": f"{round(timeouts.idle * 1000)}",
            "standard_conforming_strings": "on",
        }
        if not self._writes:
            settings["default_transaction_read_only"] = "on"
        return Connection(self.address, label=self.label, settings=settings)

    def _answer(self, statement: Statement) -> Answer:
        if self._writes:
            with self._lock:
                return self._timed(self._writer(), statement, deadline=self._deadline)
        # Before anything else, so that what is never sent needs no connection.
        guard.check(statement.text)
        with self._reader.transaction() as transaction:
            transaction.check(statement.text)
            return self._timed(transaction.connection, statement, deadline=self._deadline)

    def _check(self, statement: str) -> None:
        """Let a statement of a session pass if it only reads."""
        guard.check(statement)
        with self._checker.transaction() as transaction:
            transaction.check(statement, any_schema=True)

    def _writer(self) -> Connection:
        """The connection for writing, made anew if the server has closed it: nothing has been sent yet."""
        if self._connection is None or not self._connection.is_open:
            self._connection = self._connect()
        return self._connection
