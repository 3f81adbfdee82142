"""The PostgreSQL handle: what tests use as ``db`` and ``replica``."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from signoff.access import PERMISSIONS
from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    ConnectionLost,
    HandleError,
    ServerNotReady,
)
from signoff.handles.observation import Asked, Observe, Redact, table, unredacted
from signoff.handles.postgres import guard
from signoff.handles.postgres.address import AbsentRole, PostgresAddress
from signoff.handles.postgres.connection import GRACE, Answer, Connection, Row
from signoff.handles.postgres.queries import Attempt, Queries, Reporting
from signoff.handles.postgres.session import Session
from signoff.handles.postgres.statement import Parameters, Statement
from signoff.record import Access

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PORTION = 2000


class Postgres(Queries):
    """A database, within what the access allows.

    Under ``read_only`` each call is one statement that is known to read, in a read-only transaction of its
    own that is rolled back. Under ``destructive`` each call is one statement, committed by itself.
    Statements, waiting for locks and idle transactions are limited by the server, and by us should it hang.

    The connection is made with the first question and kept. It is made anew when it turns out to be broken
    before a statement was sent; a statement is never sent twice.

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
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the next question connects again."""
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

    def stream(self, sql: str, params: Parameters = None) -> Iterator[dict[str, Any]]:
        """Rows one by one, fetched in portions over a connection of their own; for large results.

        The statement timeout applies to each portion. Evidence has the first rows and their whole number.
        """
        statement = self._prepare(sql, params)
        asked = self._asked(statement)
        connection = self._connect()
        first: list[Row] = []
        columns: tuple[str, ...] = ()
        count = 0
        try:
            self._begin(connection)
            self._guard(statement.text)
            for columns, rows in connection.stream(
                statement.text, statement.values, deadline=self._deadline, size=_PORTION
            ):
                first = first or rows[:10]
                count += len(rows)
                for row in rows:
                    yield dict(zip(columns, row, strict=True))
        finally:
            connection.close()
            self._reporting.observe(asked.answered(f"{table(columns, first)}\n{count:,} rows read in all"))

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
            guard=None if self._writes else self._guard,
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
        if not self._writes:
            guard.check(statement.text)
        connection = self._ready()
        if self._writes:
            return connection.run(statement.text, statement.values, deadline=self._deadline)
        try:
            self._guard(statement.text)
            return connection.run(statement.text, statement.values, deadline=self._deadline)
        finally:
            if connection.is_open:
                connection.run("ROLLBACK", deadline=self._deadline)

    def _ready(self) -> Connection:
        if self._connection is not None:
            try:
                return self._prelude(self._connection)
            except (ConnectionLost, ServerNotReady):
                self.close()
        self._connection = self._connect()
        return self._prelude(self._connection)

    def _prelude(self, connection: Connection) -> Connection:
        if self._writes:
            connection.run("SELECT", deadline=self._deadline)
        else:
            self._begin(connection)
        return connection

    def _begin(self, connection: Connection) -> None:
        connection.run(_BEGIN, deadline=self._deadline)

    def _guard(self, statement: str) -> None:
        guard.check(statement)
