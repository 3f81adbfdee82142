"""Every error that Signoff raises.

The tree::

    SignoffError
    ├── UsageError                  the command line asks for something that cannot be
    ├── ProfileError                an environment profile is not valid
    │   └── SecretError             a referenced secret cannot be had
    ├── RunbookError                a runbook is not valid
    ├── CheckpointError             a test and the runbooks do not fit together
    ├── StackError                  the local deployment did not come up
    ├── TargetMismatch              the target is not the one that the profile pins
    ├── AccessRefused               the access of the test does not allow this
    │   ├── StatementRefused        ... this SQL statement
    │   ├── CommandRefused          ... this Redis command
    │   ├── RequestRefused          ... this request to an HTTP interface, a cluster or a broker
    │   └── ProcedureRefused        ... this procedure
    ├── ComponentError              a component cannot be used
    │   ├── ComponentAbsent         the profile says, with a reason, that it does not exist
    │   └── ComponentNotConfigured  the profile says nothing about it
    ├── HandleError                 a component did not answer as it should
    │   ├── Unreachable             no connection could be made
    │   ├── CertificateRejected     the server's certificate is not to be trusted
    │   ├── AuthenticationFailed    the credentials were refused
    │   ├── PermissionDenied        the credentials do not allow this
    │   ├── ConnectionLost          an open connection broke
    │   ├── ServerNotReady          starting up, shutting down, or in recovery
    │   ├── TooManyConnections      the server has none left
    │   ├── TooManyRequests         the server limits our rate
    │   ├── TimedOut                no answer within the deadline
    │   ├── MissingObject           a table, column, file, path or other object does not exist
    │   ├── StatementFailed         the server rejected a statement
    │   ├── RequestFailed           the server answered a request or command with an error
    │   └── UnexpectedAnswer        an answer of the wrong shape
    ├── EvidenceError               a value cannot be judged: None, NaN, empty, wrong type or unit
    ├── CriterionNotMet             a criterion was judged and is not met
    ├── Inconclusive                the evidence does not suffice to judge
    ├── AttestationMissing          nobody has attested a manual checkpoint
    └── ReportError                 a record or report cannot be read or written

Each error has four parts: its subject, what was got, what was expected, and the next step.
"""

from __future__ import annotations


class SignoffError(Exception):
    """The root of all errors.

    Args:
        subject: what the error is about, for instance ``environments/prod.toml: systems.jivs``.
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

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the four parts when an error crosses a process boundary."""
        return _rebuild, (type(self), *self.args)


def _rebuild(kind: type[SignoffError], subject: str, got: str, expected: str, next_step: str) -> SignoffError:
    return kind(subject, got=got, expected=expected, next_step=next_step)


class UsageError(SignoffError):
    """The command line asks for something that cannot be."""


class ProfileError(SignoffError):
    """An environment profile is not valid; the subject names the file and the key."""


class SecretError(ProfileError):
    """A secret that a profile refers to cannot be had."""


class RunbookError(SignoffError):
    """A runbook is not valid; the subject names the file and the line."""


class CheckpointError(SignoffError):
    """A test and the runbooks do not fit together."""


class StackError(SignoffError):
    """The local deployment did not come up or went away."""


class TargetMismatch(SignoffError):
    """The target is not the one that the profile pins."""


class AccessRefused(SignoffError):
    """The access of the test does not allow what it tried."""


class StatementRefused(AccessRefused):
    """A SQL statement is not known to read only."""


class CommandRefused(AccessRefused):
    """A Redis command is not known to read only."""


class RequestRefused(AccessRefused):
    """A request to an HTTP interface, a cluster or a broker is not known to read only."""


class ProcedureRefused(AccessRefused):
    """A procedure may not run here."""


class ComponentError(SignoffError):
    """A component cannot be used."""


class ComponentAbsent(ComponentError):
    """The profile declares, with a reason, that the component does not exist in this environment."""


class ComponentNotConfigured(ComponentError):
    """The profile says nothing about the component."""


class HandleError(SignoffError):
    """A component did not answer as it should."""


class Unreachable(HandleError):
    """No connection could be made."""


class CertificateRejected(HandleError):
    """The server's certificate is expired, for another name, or of an unknown authority."""


class AuthenticationFailed(HandleError):
    """The credentials were refused."""


class PermissionDenied(HandleError):
    """The credentials do not allow what was asked."""


class ConnectionLost(HandleError):
    """An open connection broke."""


class ServerNotReady(HandleError):
    """The server is starting up, shutting down, or in recovery."""


class TooManyConnections(HandleError):
    """The server has no connection left for us."""


class TooManyRequests(HandleError):
    """The server limits the rate of requests, and ours is beyond it."""


class TimedOut(HandleError):
    """There was no answer within the deadline."""


class MissingObject(HandleError):
    """A table, column, file, path or other object does not exist."""


class StatementFailed(HandleError):
    """The server rejected a statement."""


class RequestFailed(HandleError):
    """The server answered a request or command with an error."""


class UnexpectedAnswer(HandleError):
    """The answer has the wrong shape, type or size."""


class EvidenceError(SignoffError):
    """A value cannot be judged: ``None``, NaN, empty, of the wrong type or unit."""


class CriterionNotMet(SignoffError):
    """A criterion was judged and is not met."""


class Inconclusive(SignoffError):
    """The evidence does not suffice to judge."""


class AttestationMissing(SignoffError):
    """Nobody has attested a manual checkpoint."""


class ReportError(SignoffError):
    """A record or report cannot be read or written."""
