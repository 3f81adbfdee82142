"""What a profile says about each component of a system.

One class per table of the profile; its fields are the keys. Fields without a default must be given.
Every table may say ``absent = "reason"`` instead, which is an `Absent` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NewType, TypeAlias, TypeVar

from signoff.errors import ComponentAbsent, ComponentNotConfigured
from signoff.secrets import Secret

Seconds = NewType("Seconds", float)
"""A duration; written ``"500ms"``, ``"30s"``, ``"5m"``, ``"1h"`` or ``"2d"`` in a profile."""

Port = NewType("Port", int)
"""A TCP port, 1 to 65535."""

Url = NewType("Url", str)
"""An http or https address without a password."""

Address = NewType("Address", str)
"""``host:port``."""

Command: TypeAlias = tuple[str, *tuple[str, ...]]
"""Program and arguments, at least the program; no shell."""

_Configured = TypeVar("_Configured")

TlsMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]
"""As PostgreSQL's ``sslmode``."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Something that this environment does not have; its checkpoints are ``not_applicable``."""

    absent: str
    """Why it does not exist; stands in the report."""


def present(value: _Configured | Absent | None, key: str) -> _Configured:
    """A part of a profile that must be there.

    Args:
        value: what the profile says.
        key: file and key, for messages.

    Raises:
        ComponentAbsent: the profile says, with a reason, that it does not exist in this environment.
        ComponentNotConfigured: the profile says nothing about it.
    """
    if value is None:
        raise ComponentNotConfigured(
            key,
            got="nothing",
            expected="a table that describes it",
            next_step='Describe it in the profile, or state absent = "reason" if this environment has none.',
        )
    if isinstance(value, Absent):
        raise ComponentAbsent(
            key,
            got=f"absent: {value.absent}",
            expected="a table that describes it",
            next_step="Nothing to do; what needs it is not applicable here.",
        )
    return value


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Deadlines of one PostgreSQL session; the last three are enforced by the server."""

    connect: Seconds = Seconds(5.0)
    """Until the connection stands."""
    statement: Seconds = Seconds(30.0)
    """Of one statement."""
    lock: Seconds = Seconds(2.0)
    """Of waiting for a lock."""
    idle: Seconds = Seconds(60.0)
    """Of an idle transaction."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """Credentials of a further role; where it logs in defaults to what the component says."""

    user: str
    password: Secret | None = None
    """Not needed where the server trusts the address or a client certificate."""
    host: str | None = None
    port: Port | None = None
    database: str | None = None


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A streaming standby; what is not given is as on the primary."""

    host: str
    port: Port | None = None
    user: str | None = None
    password: Secret | None = None


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL database; user and password are the observer's, used under ``read_only``."""

    host: str
    """Name, address, or directory of the Unix socket."""
    port: Port = Port(5432)
    database: str
    user: str
    password: Secret | None = None
    tls: TlsMode = "verify-full"
    tls_ca: str | None = None
    """File of the certificate authorities to trust; the system's own by default."""
    tls_certificate: str | None = None
    """File of the client certificate."""
    tls_key: str | None = None
    """File of the key of the client certificate."""
    system_identifier: str | None = None
    """The pin: what ``pg_control_system()`` says; ``signoff environments --pin NAME`` writes it."""
    timeouts: Timeouts = Timeouts()
    replica: Replica | Absent | None = None
    roles: Mapping[str, Role | Absent] = field(default_factory=dict)
    """Further credentials by name; ``administrator`` is used under ``destructive``."""
    key: str = field(default="", metadata={"internal": True})
    """File and key of this table, for messages."""

    def as_role(self, name: str) -> Postgres:
        """The same database, logged in to as a further role.

        Raises:
            ComponentAbsent: the profile says that the role does not exist here.
            ComponentNotConfigured: it says nothing about the role.
        """
        role = present(self.roles.get(name), f"{self.key}.roles.{name}")
        return replace(
            self,
            user=role.user,
            password=role.password,
            host=role.host or self.host,
            port=role.port or self.port,
            database=role.database or self.database,
        )

    def as_replica(self) -> Postgres:
        """The same database, on the streaming standby.

        Raises:
            ComponentAbsent: the profile says that there is no standby.
            ComponentNotConfigured: it says nothing about one.
        """
        replica = present(self.replica, f"{self.key}.replica")
        return replace(
            self,
            host=replica.host,
            port=replica.port or self.port,
            user=replica.user or self.user,
            password=replica.password or self.password,
            key=f"{self.key}.replica",
        )


@dataclass(frozen=True, kw_only=True)
class Host:
    """The machine that the database runs on."""

    via: tuple[str, ...] = ()
    """Program and arguments put in front of each command, ``["ssh", "-o", "BatchMode=yes", "db1"]``;
    empty for this machine."""
    data_path: str | None = None
    """Directory whose file system holds the data."""
    log_path: str | None = None
    """The server's log file."""
    timeout: Seconds = Seconds(10.0)
    """Of one command."""


@dataclass(frozen=True, kw_only=True)
class Redis:
    """A Redis server or cluster."""

    host: str
    port: Port = Port(6379)
    mode: Literal["standalone", "replicated", "cluster"]
    """What the environment is meant to run; a check compares it with what does run."""
    user: str | None = None
    password: Secret | None = None
    tls: Literal["disable", "verify-full"] = "verify-full"
    tls_ca: str | None = None
    timeout: Seconds = Seconds(5.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """A namespace of a Kubernetes cluster."""

    context: str
    """Context of the kubeconfig; a run never uses the current one."""
    namespace: str
    kubeconfig: str | None = None
    """File; where ``kubectl`` looks by default."""
    cluster_uid: str | None = None
    """The pin: UID of the namespace ``kube-system``."""
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """The HTTP interface of the application."""

    url: Url
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    """Sent as bearer token, instead of logging in with user and password."""
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""
    endpoints: Mapping[str, Url] = field(default_factory=dict)
    """Further addresses that belong to the application, by name: ``frontend``, ``tracing``."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """An HTTP service beside the metrics store."""

    url: Url
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """A Prometheus server and what stands around it."""

    url: Url
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""
    alertmanager: Service | Absent | None = None
    grafana: Service | Absent | None = None


@dataclass(frozen=True, kw_only=True)
class RabbitMQ:
    """A RabbitMQ cluster: its management interface, and its listener for messages."""

    url: Url
    user: str
    password: Secret
    vhost: str = "/"
    amqp: Address | None = None
    """Of the listener for messages."""
    amqp_tls: Literal["disable", "verify-full"] = "verify-full"
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Elasticsearch:
    """An Elasticsearch cluster."""

    url: Url
    user: str | None = None
    password: Secret | None = None
    api_key: Secret | None = None
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Backups:
    """Where backups are kept."""

    location: str
    """``s3://bucket/prefix`` or a directory."""
    objects: Mapping[str, str]
    """What is backed up → pattern of its objects below the location, ``postgres/*.sql.gz``."""
    endpoint: Url | None = None
    """Of an S3-compatible store; AWS by default."""
    region: str | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None
    timeout: Seconds = Seconds(30.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Addresses whose certificates are watched."""

    addresses: tuple[Address, *tuple[Address, ...]]
    tls_ca: str | None = None
    timeout: Seconds = Seconds(10.0)
    retry_within: Seconds = Seconds(2.0)
    """After a connection fault, and only then, connecting is tried again for as long."""


Component: TypeAlias = (
    Postgres | Host | Redis | Kubernetes | Api | Metrics | RabbitMQ | Elasticsearch | Backups | Tls
)
"""A component of a system."""
