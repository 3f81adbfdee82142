"""Reading over a connection that is kept: read-only transactions, and the guard before each statement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from signoff.errors import ConnectionLost, ServerNotReady
from signoff.handles.postgres import guard
from signoff.handles.postgres.catalogue import Catalogue
from signoff.handles.postgres.connection import Answer, Connection
from signoff.handles.postgres.statement import Statement

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
class Transaction:
    """A read-only transaction of one snapshot.

    Attributes:
        connection: the connection that it is open on.
        schemas: the schemas that it searches.
        snapshot: the transactions that it sees.
        catalogue: what is known of the catalogue.
        deadline: seconds for one statement.
    """

    connection: Connection
    schemas: list[str]
    snapshot: str
    catalogue: Catalogue
    deadline: float

    def run(self, statement: Statement) -> Answer:
        """Run a statement that has passed the guard, or one of ours."""
        return self.connection.run(statement.text, statement.values, deadline=self.deadline)

    def check(self, statement: str, *, any_schema: bool = False) -> None:
        """Let a statement pass if it only reads.

        Args:
            statement: as it will be sent.
            any_schema: names without a schema may be those of any; for a role that searches others than ours.

        Raises:
            StatementRefused: it is not known to read only.
        """
        guard.check(statement)
        reason = self.catalogue.reason_to_refuse(
            statement,
            fetch=lambda questions: self.connection.run_all(questions, deadline=self.deadline),
            snapshot=self.snapshot,
            schemas=None if any_schema else self.schemas,
        )
        if reason:
            raise guard.refused(statement, reason)


class Reader:
    """Read-only transactions on one connection, which is made when it is first needed and then kept.

    Safe to be used from several threads, one of which has a transaction at a time.

    Args:
        connect: makes the connection.
        deadline: seconds for one statement.
    """

    def __init__(self, connect: Callable[[], Connection], *, deadline: float) -> None:
        self._connect = connect
        self._deadline = deadline
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._catalogue = Catalogue()

    def close(self) -> None:
        """Hang up; the next transaction connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A read-only transaction, rolled back at the end."""
        with self._lock:
            try:
                transaction = self._begin()
            except (ConnectionLost, ServerNotReady):
                # The server closed the connection between two questions; this one has not been sent.
                self.close()
                transaction = self._begin()
            try:
                yield transaction
            finally:
                connection = transaction.connection
                if connection.is_open and connection.in_transaction:
                    connection.run("ROLLBACK", deadline=self._deadline)

    def _begin(self) -> Transaction:
        if self._connection is None or not self._connection.is_open:
            self.close()
            self._connection = self._connect()
            self._catalogue = Catalogue()
        connection = self._connection
        *_, viewpoint = connection.run_all([_BEGIN, _SEARCH_PATH, _VIEWPOINT], deadline=self._deadline)
        schemas, snapshot = viewpoint.rows[0]
        return Transaction(connection, schemas, snapshot, self._catalogue, self._deadline)
