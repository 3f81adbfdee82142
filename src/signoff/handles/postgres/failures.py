"""Which of our errors a failure of PostgreSQL or of its client library is.

Failures of an open connection carry an SQLSTATE. Failures to connect do not: libpq passes on only the
server's words, so those are recognised by the words, in English; other words are an `Unreachable`
that quotes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

from signoff.errors import (
    AuthenticationFailed,
    ConnectionLost,
    HandleError,
    MissingObject,
    PermissionDenied,
    ServerNotReady,
    SignoffError,
    StatementFailed,
    StatementRefused,
    TimedOut,
    TooManyConnections,
    UnexpectedAnswer,
    Unreachable,
)

_BY_SQLSTATE: Final[Mapping[str, type[SignoffError]]] = {
    "22P05": UnexpectedAnswer,  # untranslatable_character
    "25006": StatementRefused,  # read_only_sql_transaction
    "25P03": ConnectionLost,  # idle_in_transaction_session_timeout
    "25P04": TimedOut,  # transaction_timeout
    "3D000": MissingObject,  # invalid_catalog_name
    "3F000": MissingObject,  # invalid_schema_name
    "42501": PermissionDenied,  # insufficient_privilege
    "42703": MissingObject,  # undefined_column
    "42704": MissingObject,  # undefined_object
    "42883": MissingObject,  # undefined_function
    "42P01": MissingObject,  # undefined_table
    "53300": TooManyConnections,
    "55P03": TimedOut,  # lock_not_available
    "57014": TimedOut,  # query_canceled
    "57P01": ServerNotReady,  # admin_shutdown
    "57P02": ServerNotReady,  # crash_shutdown
    "57P03": ServerNotReady,  # cannot_connect_now
    "57P04": ConnectionLost,  # database_dropped
    "57P05": ConnectionLost,  # idle_session_timeout
    "58P01": MissingObject,  # undefined_file
}

_BY_CLASS: Final[Mapping[str, type[SignoffError]]] = {
    "08": ConnectionLost,
    "28": AuthenticationFailed,
}

_BY_WORDS: Final[tuple[tuple[str, type[HandleError]], ...]] = (
    ("password authentication failed", AuthenticationFailed),
    ("authentication failed", AuthenticationFailed),
    ("no password supplied", AuthenticationFailed),
    ("no pg_hba.conf entry", AuthenticationFailed),
    ("pg_hba.conf rejects", AuthenticationFailed),
    ("is not permitted to log in", AuthenticationFailed),
    ("permission denied for database", PermissionDenied),
    ("too many clients", TooManyConnections),
    ("too many connections", TooManyConnections),
    ("remaining connection slots are reserved", TooManyConnections),
    ("the database system is", ServerNotReady),
    ("terminating connection due to administrator command", ServerNotReady),
    ("timeout expired", TimedOut),
    ("connection timeout", TimedOut),
)

_NEXT_STEPS: Final[Mapping[type[SignoffError], str]] = {
    AuthenticationFailed: "Check user and password in the profile, and pg_hba.conf on the server.",
    ConnectionLost: "Look into the server's log for why it closed the connection, then run again.",
    MissingObject: "Correct the statement, or give the object's name in the profile's names.",
    PermissionDenied: "Grant the role what it needs to read this, or use another role.",
    ServerNotReady: "Wait until the server accepts statements, then run again.",
    StatementFailed: "Correct the statement.",
    StatementRefused: "Only observe; or mark the test destructive, if changing the system is its purpose.",
    TimedOut: "Look for locks and load on the server, or raise the profile's timeouts.",
    TooManyConnections: "Free connections on the server, or raise its limit, then run again.",
    UnexpectedAnswer: "Cast the value to a type that every client can read, text for instance.",
    Unreachable: "Check host, port and tls in the profile, the network, and that the server runs.",
}

_EXPECTED: Final[Mapping[type[SignoffError], str]] = {
    AuthenticationFailed: "the server to accept the credentials",
    ConnectionLost: "a connection that stays open",
    MissingObject: "an object that exists",
    PermissionDenied: "a role that may do this",
    ServerNotReady: "a server that accepts statements",
    StatementFailed: "a statement that the server accepts",
    StatementRefused: "a statement that reads only",
    TimedOut: "an answer within the deadline",
    TooManyConnections: "a free connection",
    UnexpectedAnswer: "a value that the client can read",
    Unreachable: "a connection",
}


def kind_of(error: psycopg.Error) -> type[SignoffError]:
    """Which of our errors a failure on an open connection is; total over all of psycopg's errors."""
    state = error.sqlstate
    if state:
        return _BY_SQLSTATE.get(state) or _BY_CLASS.get(state[:2]) or StatementFailed
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return ConnectionLost
    if isinstance(error, psycopg.DataError):
        return UnexpectedAnswer
    return StatementFailed


def kind_of_connecting(error: psycopg.Error) -> type[SignoffError]:
    """Which of our errors a failure to connect is."""
    if error.sqlstate:
        return kind_of(error)
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return TimedOut
    words = str(error).lower()
    if 'database "' in words and "does not exist" in words:
        return MissingObject
    if 'role "' in words and "does not exist" in words:
        return AuthenticationFailed
    return next((kind for text, kind in _BY_WORDS if text in words), Unreachable)


def failure(kind: type[SignoffError], subject: str, got: str) -> SignoffError:
    """An error of a kind, with what is expected and what to do next for that kind."""
    return kind(subject, got=got, expected=_EXPECTED[kind], next_step=_NEXT_STEPS[kind])


def words_of(error: psycopg.Error) -> str:
    """What the server or the client library said, in one line, with the SQLSTATE."""
    message = error.diag.message_primary or str(error) or type(error).__name__
    details = [text for text in (error.diag.message_detail, error.diag.message_hint) if text]
    said = "; ".join(" ".join(text.split()) for text in (message, *details))
    return f"{said} [SQLSTATE {error.sqlstate}]" if error.sqlstate else said
