"""A first contact with an environment: who answers, is it the pinned one, and what could we write?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from signoff.connections import Connections
from signoff.environment import COMPONENTS, Absent, Postgres, Profile, System
from signoff.errors import SecretError, SignoffError

State: TypeAlias = Literal["reached", "not reached", "absent", "not checked"]


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What came of asking one component, or one role of it.

    Attributes:
        system: whose component it is.
        component: ``postgres``, ``postgres.replica``, ``postgres.roles.application``, ``host`` …
        state: whether it answered.
        detail: what it answered, why it did not, or why it was not asked.
        identity: how a PostgreSQL cluster calls itself.
        pin: whether that is what the profile pins; empty where nothing can be pinned.
        writes: what the observer's credentials could write; empty for none.
        fault: why a run against it would not begin; empty if it would.
    """

    system: str
    component: str
    state: State
    detail: str
    identity: str = ""
    pin: Literal["", "matches", "differs", "not pinned"] = ""
    writes: tuple[str, ...] = ()
    fault: str = ""


def make_contact(profile: Profile) -> list[Contact]:
    """Ask every component of an environment, reading only.

    Args:
        profile: complete, without placeholders.
    """
    connections = Connections(profile, label="signoff environments --check", out_of_reach={})
    try:
        return [
            contact
            for name, system in profile.systems.items()
            for contact in _of_system(connections, name, system)
        ]
    finally:
        connections.close()


def _of_system(connections: Connections, name: str, system: System) -> Iterator[Contact]:
    for component in COMPONENTS:
        described = getattr(system, component)
        if isinstance(described, Absent):
            yield Contact(system=name, component=component, state="absent", detail=described.absent)
        elif isinstance(described, Postgres):
            yield from _of_postgres(connections, name, described)
        elif component == "host" and described is not None:
            yield _of_host(connections, name)
        elif described is not None:
            yield Contact(
                system=name,
                component=component,
                state="not checked",
                detail=f"no check of this version asks {component}",
            )


def _of_postgres(connections: Connections, name: str, described: Postgres) -> Iterator[Contact]:
    yield _database(connections, name, described, replica=False)
    if isinstance(described.replica, Absent):
        yield Contact(
            system=name, component="postgres.replica", state="absent", detail=described.replica.absent
        )
    elif described.replica is not None:
        yield _database(connections, name, described, replica=True)
    for role, credentials in described.roles.items():
        component = f"postgres.roles.{role}"
        if isinstance(credentials, Absent):
            yield Contact(system=name, component=component, state="absent", detail=credentials.absent)
        else:
            yield _role(connections, name, role)


def _database(connections: Connections, name: str, described: Postgres, *, replica: bool) -> Contact:
    component = "postgres.replica" if replica else "postgres"
    try:
        handle = connections.postgres(name, "read_only", replica=replica)
        identity = handle.system_identifier
        writes = tuple(handle.write_privileges())
        version = handle.scalar("SELECT current_setting('server_version')")
    except SignoffError as error:
        return _not_reached(name, component, error)
    expected = described.system_identifier
    pin: Literal["matches", "differs", "not pinned"] = (
        "not pinned" if expected is None else "matches" if identity == expected else "differs"
    )
    profile = connections.profile
    faults = []
    if pin == "differs":
        faults.append(f"the profile pins {expected}")
    if pin == "not pinned" and profile.promotes:
        faults.append("an environment that promotes must pin its servers")
    if writes and profile.promotes and not profile.system(name).accept_writable_credentials:
        faults.append("an environment that promotes must observe with credentials that cannot write")
    return Contact(
        system=name,
        component=component,
        state="reached",
        detail=f"{handle.address}, PostgreSQL {version}",
        identity=identity,
        pin=pin,
        writes=writes,
        fault="; ".join(faults),
    )


def _role(connections: Connections, name: str, role: str) -> Contact:
    component = f"postgres.roles.{role}"
    try:
        with connections.postgres(name, "read_only").session(role) as session:
            user = session.scalar("SELECT current_user")
    except SecretError as error:
        return Contact(system=name, component=component, state="not checked", detail=error.got)
    except SignoffError as error:
        return _not_reached(name, component, error)
    return Contact(system=name, component=component, state="reached", detail=f"logged in as {user}")


def _of_host(connections: Connections, name: str) -> Contact:
    try:
        host = connections.host(name)
        disk = host.disk()
    except SignoffError as error:
        return _not_reached(name, "host", error)
    return Contact(
        system=name,
        component="host",
        state="reached",
        detail=f"{host.address}, {disk.free_percent:.0f} % of the disk free",
    )


def _not_reached(system: str, component: str, error: SignoffError) -> Contact:
    return Contact(
        system=system, component=component, state="not reached", detail=error.got, fault=error.next_step
    )
