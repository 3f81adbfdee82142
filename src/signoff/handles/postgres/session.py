"""Further sessions: new connections with the settings that the server gives them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from signoff.errors import ConnectionLost, SignoffError, UnexpectedAnswer
from signoff.handles.observation import Asked
from signoff.handles.postgres.connection import Answer, Connection
from signoff.handles.postgres.queries import Attempt, Queries, Reporting
from signoff.handles.postgres.statement import Statement


class Session(Queries):
    """A new connection of a role, with the same questions as ``db``.

    No timeout or other setting is sent, so that what the server gives to new sessions can be observed;
    under ``read_only`` alone ``default_transaction_read_only`` is on. The deadline is ours.

    Args:
        connection: the connection, which the session owns.
        guard: refuses statements that do not only read; ``None`` where the access allows to write.
        reporting: how statements become evidence.
        deadline: seconds after which a statement that has not ended is cut off by us.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        guard: Callable[[str], None] | None,
        reporting: Reporting,
        deadline: float,
    ) -> None:
        super().__init__(reporting, writes=guard is None)
        self._connection = connection
        self._guard = guard
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; an open transaction is rolled back."""
        self._connection.close()

    @property
    def pid(self) -> int:
        """Process id of the server process, as in ``pg_stat_activity``."""
        return self._connection.pid

    @property
    def is_open(self) -> bool:
        """Whether the server still keeps the session; nothing is sent to find out."""
        return self._connection.is_open

    def begin(self) -> None:
        """Begin a transaction; read-only where the access is."""
        self._control("BEGIN READ ONLY" if self._guard else "BEGIN")

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            UnexpectedAnswer: there is none, or the server rolled it back because a statement had failed.
        """
        failed = self._connection.has_failed_transaction
        if failed or not self._connection.in_transaction:
            if failed:
                self._control("ROLLBACK")
            raise UnexpectedAnswer(
                self._reporting.source,
                got="a failed transaction, now rolled back" if failed else "no transaction",
                expected="an open transaction in which every statement succeeded",
                next_step="Begin one first, and commit only what succeeded.",
            )
        self._control("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back."""
        self._control("ROLLBACK")

    def wait_closed(self, seconds: float) -> Attempt:
        """Wait, without sending anything, until the server ends the session.

        Args:
            seconds: how long to wait at most.

        Returns:
            After how long and with which SQLSTATE the server ended it; ``succeeded`` if it did not.
        """
        asked = Asked(
            "query", self._reporting.source, "(idle, waiting for the server)", self._reporting.redact
        )
        closed = self._connection.wait_closed(seconds)
        sqlstate, message = self._connection.farewell or ("", "")
        words = f"closed by the server: {message} [SQLSTATE {sqlstate}]" if closed else "still open"
        evidence = asked.answered(words)
        self._reporting.observe(evidence)
        if not closed:
            return Attempt(seconds=evidence.seconds)
        name = ConnectionLost.__name__
        return Attempt(seconds=evidence.seconds, error=name, sqlstate=sqlstate, message=message)

    def _control(self, command: str) -> None:
        statement = Statement(command, ())
        asked = self._asked(statement)
        try:
            self._connection.run(command, deadline=self._deadline)
        except SignoffError as exc:
            self._reporting.observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise
        self._reporting.observe(asked.answered("done"))

    def _answer(self, statement: Statement) -> Answer:
        if self._guard is None:
            return self._run(statement)
        self._guard(statement.text)
        if self._connection.in_transaction:
            return self._run(statement)
        self._connection.run("BEGIN READ ONLY", deadline=self._deadline)
        try:
            return self._run(statement)
        finally:
            if self._connection.is_open:
                self._connection.run("ROLLBACK", deadline=self._deadline)

    def _run(self, statement: Statement) -> Answer:
        return self._timed(self._connection, statement, deadline=self._deadline)
