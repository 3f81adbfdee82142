"""Errors of the session database and its tools.

The tree::

    StackError
    ├── Refused            the state of the database does not allow what is asked; nothing was changed
    ├── Unreachable        no connection could be made
    ├── Busy               another session held a lock for too long; the transaction was rolled back
    ├── StatementFailed    the server rejected a statement; the transaction was rolled back
    └── BackfillFailed     the backfill ended before its work was done; committed batches stay
"""

from __future__ import annotations

from stack.errors import StackError


class Refused(StackError):
    """The state of the database does not allow what is asked; nothing was changed."""


class Unreachable(StackError):
    """No connection could be made."""


class Busy(StackError):
    """Another session held a lock for too long; the transaction was rolled back."""


class StatementFailed(StackError):
    """The server rejected a statement; the transaction was rolled back."""


class BackfillFailed(StackError):
    """The backfill ended before its work was done; committed batches stay."""
