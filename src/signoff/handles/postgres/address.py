"""Where a PostgreSQL server is, who we are there, and how long we wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from signoff.secrets import Secret

TLSMode: TypeAlias = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long we wait, in seconds.

    Attributes:
        connect: for a connection.
        statement: for a statement to end; enforced by the server, and by us should the server hang.
        lock: for a lock.
        idle: that the server keeps a transaction of ours open without a statement.
    """

    connect: float = 5.0
    statement: float = 30.0
    lock: float = 2.0
    idle: float = 60.0


@dataclass(frozen=True, kw_only=True)
class PostgresAddress:
    """Where a server is and who we are there.

    Attributes:
        host: name or address.
        port: TCP port.
        database: name of the database.
        user: the role that we log in as.
        password: its password; ``None`` where the server asks for none.
        tls: as ``sslmode`` of libpq.
        tls_ca: file of the certificate authorities to trust; the system's own by default.
        tls_certificate: file of the client certificate.
        tls_key: file of its key.
        timeouts: how long we wait.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret | None = None
    tls: TLSMode = "prefer"
    tls_ca: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    timeouts: Timeouts = Timeouts()

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, kw_only=True)
class AbsentRole:
    """A role that the environment does not have.

    Attributes:
        reason: why, from the profile.
    """

    reason: str
