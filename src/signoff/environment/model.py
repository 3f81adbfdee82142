"""An environment profile: frozen and validated. environments/README.md describes the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload

from signoff.environment.components import (
    Absent,
    Api,
    Backups,
    Command,
    Component,
    Elasticsearch,
    Host,
    Kubernetes,
    Metrics,
    Postgres,
    RabbitMQ,
    Redis,
    Seconds,
    Tls,
    present,
)
from signoff.environment.problems import child, suggestion
from signoff.errors import ComponentNotConfigured, ProfileError
from signoff.secrets import Redactor, Secret

LimitValue: TypeAlias = int | float | str | tuple[int | float | str, ...]
"""A limit: two values for ``between``, all accepted ones for ``one of``."""

Facts: TypeAlias = Mapping[str, str | int]
"""What the stack says about itself once it is up."""

_Declared = TypeVar("_Declared")

_MINUTE: Final = Seconds(60.0)


@dataclass(frozen=True, kw_only=True)
class StackCommand:
    """How to boot the environment, where the run does that itself."""

    command: Command
    """Program and arguments; ``{python}`` and ``{root}`` are filled in."""
    ready_within: Seconds = _MINUTE


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that something else leaves behind."""

    path: str
    """Absolute; in the file it may be relative to the directory above ``environments/``."""


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """A named action that changes the system."""

    command: Command
    """Program and arguments; no shell."""
    environment: Mapping[str, str | Secret] = field(default_factory=dict)
    """Variables on top of a minimal environment; the only way for a secret to reach the program."""
    timeout: Seconds = _MINUTE
    error_pattern: str = r"(?m)^.*(ERROR|FATAL|PANIC):.*$"
    """Regular expression; a line of output that matches means failure whatever the exit status."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit that differs from the runbook's in this environment."""

    limit: LimitValue
    reason: str


@dataclass(frozen=True, kw_only=True)
class System:
    """One system of an environment."""

    accept_writable_credentials: str | None = None
    """Why credentials that could write are accepted for observing where ``promotes`` is true."""
    without_runbook: str | None = None
    """Why the system is described although no runbook is about it; its names and settings are not checked."""
    postgres: Postgres | Absent | None = None
    host: Host | Absent | None = None
    redis: Redis | Absent | None = None
    kubernetes: Kubernetes | Absent | None = None
    api: Api | Absent | None = None
    metrics: Metrics | Absent | None = None
    rabbitmq: RabbitMQ | Absent | None = None
    elasticsearch: Elasticsearch | Absent | None = None
    backups: Backups | Absent | None = None
    tls: Tls | Absent | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Declared names with their defaults, as this environment has them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Declared settings with their defaults; ``None`` for one that has neither value nor default."""
    artifacts: Mapping[str, Artifact | Absent] = field(default_factory=dict)
    procedures: Mapping[str, Procedure | Absent] = field(default_factory=dict)
    key: str = field(default="", metadata={"internal": True})
    """File and key of this table, for messages."""

    # fmt: off
    @overload
    def component(self, name: Literal["postgres"]) -> Postgres: ...
    @overload
    def component(self, name: Literal["host"]) -> Host: ...
    @overload
    def component(self, name: Literal["redis"]) -> Redis: ...
    @overload
    def component(self, name: Literal["kubernetes"]) -> Kubernetes: ...
    @overload
    def component(self, name: Literal["api"]) -> Api: ...
    @overload
    def component(self, name: Literal["metrics"]) -> Metrics: ...
    @overload
    def component(self, name: Literal["rabbitmq"]) -> RabbitMQ: ...
    @overload
    def component(self, name: Literal["elasticsearch"]) -> Elasticsearch: ...
    @overload
    def component(self, name: Literal["backups"]) -> Backups: ...
    @overload
    def component(self, name: Literal["tls"]) -> Tls: ...
    # fmt: on

    def component(self, name: ComponentName) -> Component:
        """A component of the system.

        Raises:
            ComponentAbsent: the profile says, with a reason, that it does not exist in this environment.
            ComponentNotConfigured: the profile says nothing about it.
        """
        component: Component = present(getattr(self, name), child(self.key, name))
        return component

    def configured(self) -> dict[ComponentName, Component]:
        """The components that this environment has, by name."""
        present_here: dict[ComponentName, Component] = {}
        for name in COMPONENTS:
            value: Component | Absent | None = getattr(self, name)
            if value is not None and not isinstance(value, Absent):
                present_here[name] = value
        return present_here

    def name(self, name: str) -> str:
        """What a declared name is called in this environment.

        Raises:
            ComponentNotConfigured: no runbook of this system declares it.
        """
        return self._declared("names", self.names, name)

    def setting(self, name: str) -> Any:
        """The value of a declared setting: number, integer, text, seconds or tuple, as its type says.

        Raises:
            ComponentNotConfigured: no runbook declares it, or it has neither value nor default.
        """
        value = self._declared("settings", self.settings, name)
        if value is None:
            raise ComponentNotConfigured(
                f"{self.key}.settings.{name}",
                got="nothing",
                expected="a value; the runbook gives no default",
                next_step=f"Add {name} = … under [systems.….settings] of the profile.",
            )
        return value

    def artifact(self, name: str) -> Artifact:
        """Where a declared artifact lies.

        Raises:
            ComponentAbsent: the profile says, with a reason, that it does not exist in this environment.
            ComponentNotConfigured: the profile says nothing about it.
        """
        return present(self.artifacts.get(name), child(f"{self.key}.artifacts", name))

    def procedure(self, name: str) -> Procedure:
        """How a declared procedure is run.

        Raises:
            ComponentAbsent: the profile says, with a reason, that it does not exist in this environment.
            ComponentNotConfigured: the profile says nothing about it.
        """
        return present(self.procedures.get(name), child(f"{self.key}.procedures", name))

    def _declared(self, table: str, values: Mapping[str, _Declared], name: str) -> _Declared:
        if name not in values:
            raise ComponentNotConfigured(
                f"{self.key}.{table}.{name}",
                got="a name that no runbook of this system declares",
                expected=f"one of its declared {table}",
                next_step=suggestion(name, values),
            )
        return values[name]


ComponentName: TypeAlias = Literal[
    "postgres",
    "host",
    "redis",
    "kubernetes",
    "api",
    "metrics",
    "rabbitmq",
    "elasticsearch",
    "backups",
    "tls",
]
COMPONENTS: tuple[ComponentName, ...] = (
    "postgres",
    "host",
    "redis",
    "kubernetes",
    "api",
    "metrics",
    "rabbitmq",
    "elasticsearch",
    "backups",
    "tls",
)
"""Every component that a profile can describe."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """An environment.

    A profile with ``[stack]`` describes systems that are not there yet: its systems can be asked for only
    after `with_stack`.
    """

    schema: Literal[1]
    name: str
    """The file's stem."""
    description: str
    promotes: bool
    """Whether a green run here lets a release go on: limits may only be tightened."""
    destructive: Literal["never", "approval", "always"]
    stack: StackCommand | None = None
    systems: Mapping[str, System] = field(default_factory=dict, repr=False)
    limits: Mapping[str, Mapping[str, Limit]] = field(default_factory=dict)
    """Checkpoint id → name of the criterion → limit."""
    path: Path = field(default=Path(), metadata={"internal": True})
    file: str = field(default="", metadata={"internal": True})
    """The path as messages show it."""
    secrets: tuple[Secret, ...] = field(default=(), metadata={"internal": True})
    """All secrets of the profile, for the redactor."""
    fill: Callable[[Facts], Profile] | None = field(
        default=None, metadata={"internal": True}, repr=False, compare=False
    )
    """Set as long as the stack's facts are missing."""

    @property
    def root(self) -> Path:
        """The directory that relative paths of the profile start from: the one above ``environments/``."""
        return self.path.parent.parent

    def with_stack(self, facts: Facts) -> Profile:
        """The profile with every ``{stack:FACT}`` filled in.

        Raises:
            ProfileError: the profile has no ``[stack]``, or asks for a fact that the stack does not give.
            SecretError: a secret of the stack cannot be had.
        """
        if self.fill is None:
            raise ProfileError(
                f"{self.file}: stack",
                got="facts of a stack",
                expected="none: the profile has no [stack], or has them already",
                next_step="Add [stack] to the profile if the run is to boot this environment.",
            )
        return self.fill(facts)

    def system(self, name: str) -> System:
        """A system of the environment.

        Raises:
            ComponentNotConfigured: the profile does not describe it.
            ProfileError: the environment is not booted yet.
        """
        if self.fill is not None:
            raise ProfileError(
                f"{self.file}: systems.{name}",
                got="placeholders {stack:…} that are not filled in",
                expected="the facts of the stack",
                next_step="Boot the stack and call with_stack first.",
            )
        if name not in self.systems:
            raise ComponentNotConfigured(
                f"{self.file}: systems.{name}",
                got="nothing",
                expected=f"a table [systems.{name}]",
                next_step=suggestion(name, self.systems),
            )
        return self.systems[name]

    def limits_of(self, checkpoint: str) -> Mapping[str, Limit]:
        """The limits that this environment sets for a checkpoint, by criterion; others are the runbook's."""
        return self.limits.get(checkpoint, {})

    @cached_property
    def redactor(self) -> Redactor:
        """Removes the secrets of this profile from text."""
        return Redactor(self.secrets)


def keys(table: type) -> dict[str, dataclasses.Field[Any]]:
    """The keys that a table of the profile may have."""
    return {part.name: part for part in dataclasses.fields(table) if not part.metadata.get("internal")}
