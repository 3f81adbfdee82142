"""Every error that the local stack raises.

The tree::

    StackError
    ├── BinariesMissing    no PostgreSQL that fits can be found
    ├── StartFailed        a server did not come up
    ├── StackRunning       there is one already
    ├── StackNotRunning    there is none
    └── StopFailed         it does not end

Each error has four parts: its subject, what was got, what was expected, and the next step.
"""

from __future__ import annotations


class StackError(Exception):
    """The root of the stack's errors.

    Args:
        subject: what the error is about, for instance ``PostgreSQL 15``.
        got: what was found.
        expected: what should have been found.
        next_step: what the reader can do now.
    """

    def __init__(self, subject: str, *, got: str, expected: str, next_step: str) -> None:
        super().__init__(subject, got, expected, next_step)
        self.subject = subject
        self.got = got
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.subject}: got {self.got}; expected {self.expected}. {self.next_step}"


class BinariesMissing(StackError):
    """No PostgreSQL installation that fits can be found."""


class StartFailed(StackError):
    """A server did not come up."""


class StackRunning(StackError):
    """A stack is running already."""


class StackNotRunning(StackError):
    """No stack is running."""


class StopFailed(StackError):
    """A stack does not end."""
