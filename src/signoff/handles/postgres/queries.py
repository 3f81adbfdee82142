"""The questions that can be put to a database, whatever the connection behind them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from signoff.errors import HandleError, SignoffError, StatementRefused, UnexpectedAnswer
from signoff.handles.observation import Asked, Observe, Redact, table
from signoff.handles.postgres.connection import Answer, Connection, shortened
from signoff.handles.postgres.failures import failure
from signoff.handles.postgres.plan import Plan
from signoff.handles.postgres.statement import Parameters, Statement, prepare


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """How statements become evidence.

    Attributes:
        source: where answers come from: ``codex_memory.postgres (monitor@db1:5432/codex_memory)``.
        observe: takes the evidence of every statement.
        redact: removes secrets.
        names: the environment's identifiers for the names in statements.
    """

    source: str
    observe: Observe
    redact: Redact
    names: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of a statement whose failure is itself the thing to observe.

    Attributes:
        seconds: how long it took.
        error: name of our error, ``TimedOut`` for instance; empty if the statement succeeded.
        sqlstate: the server's code for the failure, ``57014`` for instance; empty if there was none.
        message: the server's words.
    """

    seconds: float
    error: str = ""
    sqlstate: str = ""
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether there was no failure."""
        return not self.error


class Queries(ABC):
    """What a test asks a database.

    In SQL, ``{name}`` is replaced by the environment's identifier for it, quoted; literal braces are
    doubled. Parameters are ``%s`` with a sequence or ``%(key)s`` with a mapping, and always travel apart
    from the statement. Each call is one statement and leaves one piece of evidence, failed ones included.
    """

    def __init__(self, reporting: Reporting, *, writes: bool) -> None:
        self._reporting = reporting
        self._writes = writes
        self._seconds = 0.0

    @abstractmethod
    def _answer(self, statement: Statement) -> Answer:
        """Run one statement within what the access allows."""

    def rows(self, sql: str, params: Parameters = None) -> list[dict[str, Any]]:
        """All rows, each by column name.

        Raises:
            UnexpectedAnswer: the statement returns no rows by its kind, or two columns of one name.
            StatementRefused: the access does not allow the statement.
            SignoffError: the server did not answer; see `signoff.handles.postgres.failures`.
        """
        answer = self._ask(sql, params)
        if len(set(answer.columns)) < len(answer.columns):
            raise _shape(sql, f"the columns {', '.join(answer.columns)}", "a name of its own for each column")
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def row(self, sql: str, params: Parameters = None) -> dict[str, Any]:
        """The one row, by column name.

        Raises:
            UnexpectedAnswer: there is no row or more than one.
        """
        rows = self.rows(sql, params)
        if len(rows) != 1:
            raise _shape(sql, f"{len(rows):,} rows", "exactly one row")
        return rows[0]

    def column(self, sql: str, params: Parameters = None) -> list[Any]:
        """The values of the one column.

        Raises:
            UnexpectedAnswer: there is more than one column.
        """
        answer = self._ask(sql, params)
        if len(answer.columns) != 1:
            raise _shape(sql, f"{len(answer.columns)} columns", "exactly one column")
        return [row[0] for row in answer.rows]

    def scalar(self, sql: str, params: Parameters = None) -> Any:
        """The one value of the one row; NULL is ``None``.

        Raises:
            UnexpectedAnswer: there is no row, more than one row, or more than one column.
        """
        values = self.column(sql, params)
        if len(values) != 1:
            raise _shape(sql, f"{len(values):,} rows", "exactly one row")
        return values[0]

    def explain(self, sql: str, params: Parameters = None, *, analyze: bool = False) -> Plan:
        """The plan of a statement; with ``analyze`` it is run, and the server's own time is in the plan.

        The time is that of the whole statement. Its nodes are not timed: reading the clock twice a row makes
        what handles many rows, a join above all, look slower than it is.

        Raises:
            UnexpectedAnswer: the statement has no plan.
        """
        statement = self._prepare(sql, params)
        options = "ANALYZE, TIMING OFF, VERBOSE, FORMAT JSON" if analyze else "VERBOSE, FORMAT JSON"
        explaining = Statement(f"EXPLAIN ({options}) {statement.text}", statement.values)
        asked = self._asked(explaining)
        answer = self._observed(asked, explaining)
        plan = Plan.of(answer.rows[0][0] if answer.rows else None, shortened(sql))
        self._reporting.observe(asked.answered(plan.text, seconds=self._seconds))
        return plan

    def execute(self, sql: str, params: Parameters = None) -> int:
        """Run a statement that changes the system.

        Returns:
            The number of rows that it changed; -1 where that has no meaning.

        Raises:
            StatementRefused: the access is ``read_only``.
        """
        if not self._writes:
            raise failure(StatementRefused, f"the statement {shortened(sql)}", "execute() under read_only")
        return self._ask(sql, params).affected

    def attempt(self, sql: str, params: Parameters = None) -> Attempt:
        """Run a statement to see whether the server lets it, and when it stops it.

        What the server answers with an SQLSTATE is the observation. Everything else is raised as always:
        a refusal by the access, an unreachable server, our own deadline.
        """
        try:
            self._ask(sql, params)
        except HandleError as exc:
            cause = exc.__cause__
            if not isinstance(cause, psycopg.Error) or not cause.sqlstate:
                raise
            return Attempt(
                seconds=self._seconds,
                error=type(exc).__name__,
                sqlstate=cause.sqlstate,
                message=cause.diag.message_primary or "",
            )
        return Attempt(seconds=self._seconds)

    def _timed(self, connection: Connection, statement: Statement, *, deadline: float) -> Answer:
        """Run a statement, and note how long it alone took: neither connecting nor the guard."""
        begun = time.monotonic()
        try:
            return connection.run(statement.text, statement.values, deadline=deadline)
        finally:
            self._seconds = time.monotonic() - begun

    def _prepare(self, sql: str, params: Parameters) -> Statement:
        return prepare(sql, params, self._reporting.names)

    def _ask(self, sql: str, params: Parameters) -> Answer:
        statement = self._prepare(sql, params)
        asked = self._asked(statement)
        answer = self._observed(asked, statement)
        text = table(answer.columns, answer.rows) if answer.columns else f"{answer.affected:,} rows affected"
        self._reporting.observe(asked.answered(text, seconds=self._seconds))
        return answer

    def _asked(self, statement: Statement) -> Asked:
        return Asked("query", self._reporting.source, statement.asked(), self._reporting.redact)

    def _observed(self, asked: Asked, statement: Statement) -> Answer:
        try:
            return self._answer(statement)
        except SignoffError as exc:
            self._reporting.observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise


def _shape(sql: str, got: str, expected: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"the statement {shortened(sql)}",
        got=got,
        expected=expected,
        next_step="Correct the statement, or ask with rows().",
    )
