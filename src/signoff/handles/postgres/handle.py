"""The PostgreSQL handle: what tests use as ``db`` and ``replica``."""

from __future__ import annotations

import difflib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Final, Self

from signoff.access import PERMISSIONS
from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    ConnectionLost,
    HandleError,
    ServerNotReady,
    SignoffError,
)
from signoff.handles.observation import Asked, Observe, Redact, unredacted
from signoff.handles.observation import table as table_of
from signoff.handles.postgres import guard, privileges
from signoff.handles.postgres.address import AbsentRole, PostgresAddress
from signoff.handles.postgres.catalogue import Catalogue
from signoff.handles.postgres.connection import GRACE, Answer, Connection, Row
from signoff.handles.postgres.queries import Attempt, Queries, Reporting
from signoff.handles.postgres.sampling import draw, selection
from signoff.handles.postgres.session import Session
from signoff.handles.postgres.statement import Parameters, Statement
from signoff.record import Access

_PORTION: Final = 2000

_BEGIN: Final = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())

# With pg_catalog first, nothing in the database can stand before what is built in. An empty path stays valid.
_SEARCH_PATH: Final = Statement(
    r"""
    SELECT pg_catalog.set_config('search_path', pg_catalog.regexp_replace(pg_catalog.concat(
        'pg_catalog, ', pg_catalog.current_setting('search_path'), ', pg_temp'), ',\s*,', ','), true)
    """,
    (),
)

_VIEWPOINT: Final = Statement("SELECT current_schemas(true)::text[], txid_current_snapshot()::text", ())


@dataclass(frozen=True)
class _Reading:
    """A connection in a read-only transaction.

    Attributes:
        connection: the connection.
        schemas: the schemas that it searches.
        snapshot: the transactions that it sees.
    """

    connection: Connection
    schemas: list[str]
    snapshot: str


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
        self._catalogue = Catalogue()

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

    def stream(self, sql: str, params: Parameters = None) -> Generator[dict[str, Any], None, None]:
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
            if self._writes:
                connection.run("BEGIN", deadline=self._deadline)
            else:
                guard.check(statement.text)
                reading = self._begin(connection)
                self._check_reach(statement.text, reading, reading.schemas)
            portions = connection.stream(statement, deadline=self._deadline, size=_PORTION)
            for columns, rows in portions:
                first = first or rows[:10]
                count += len(rows)
                for row in rows:
                    yield dict(zip(columns, row, strict=True))
        finally:
            connection.close()
            self._reporting.observe(asked.answered(f"{table_of(columns, first)}\n{count:,} rows read in all"))

    def sample(self, table: str, columns: Sequence[str], size: int, seed: int = 0) -> list[dict[str, Any]]:
        """A uniform random sample of a table without replacement; see `signoff.handles.postgres.sampling`.

        Args:
            table: a name that the runbook declares, or an identifier.
            columns: likewise.
            size: number of rows; a smaller table is returned whole.
            seed: of the random generator.

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
            with self._reading() as reading:
                self._check_reach(statement, reading, reading.schemas)

                def run(part: Statement) -> Answer:
                    return reading.connection.run(part.text, part.values, deadline=self._deadline)

                drawn = draw(run, identifier, identifiers, size=size, seed=seed)
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
            return self._ready().run(statement.text, statement.values, deadline=self._deadline)
        guard.check(statement.text)
        with self._reading() as reading:
            self._check_reach(statement.text, reading, reading.schemas)
            return reading.connection.run(statement.text, statement.values, deadline=self._deadline)

    def _check(self, statement: str) -> None:
        """Let a statement of a session pass if it only reads; its role may search other schemas than ours."""
        guard.check(statement)
        with self._reading() as reading:
            self._check_reach(statement, reading, None)

    def _check_reach(self, statement: str, reading: _Reading, schemas: list[str] | None) -> None:
        reason = self._catalogue.reason_to_refuse(
            statement,
            fetch=lambda questions: reading.connection.run_all(questions, deadline=self._deadline),
            snapshot=reading.snapshot,
            schemas=schemas,
        )
        if reason:
            raise guard.refused(statement, reason)

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        """A read-only transaction on our connection, rolled back at the end."""
        try:
            reading = self._begin(self._ready())
        except (ConnectionLost, ServerNotReady):
            # The server closed the connection between two questions; this one has not been sent.
            self.close()
            reading = self._begin(self._ready())
        try:
            yield reading
        finally:
            if reading.connection.is_open and reading.connection.in_transaction:
                reading.connection.run("ROLLBACK", deadline=self._deadline)

    def _begin(self, connection: Connection) -> _Reading:
        *_, viewpoint = connection.run_all([_BEGIN, _SEARCH_PATH, _VIEWPOINT], deadline=self._deadline)
        schemas, snapshot = viewpoint.rows[0]
        return _Reading(connection, schemas, snapshot)

    def _ready(self) -> Connection:
        """Our connection, made anew if the server has closed it: nothing has been asked yet."""
        if self._connection is None or not self._connection.is_open:
            self.close()
            self._connection = self._connect()
            self._catalogue = Catalogue()
        return self._connection
