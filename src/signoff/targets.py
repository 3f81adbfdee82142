"""Before the first test: is the target the one that the profile pins, and could our credentials write?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signoff.connections import Connections, OutOfReach, tell
from signoff.environment import Absent, Postgres
from signoff.errors import HandleError, PermissionDenied, TargetMismatch
from signoff.record import Target

if TYPE_CHECKING:
    from signoff.handles.postgres.handle import Postgres as PostgresHandle


@dataclass
class Identified:
    """What the components said about themselves.

    Attributes:
        targets: those that answered.
        warnings: what a reader of the record should know.
        out_of_reach: those that did not answer; their checkpoints will be errors.
    """

    targets: list[Target] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    out_of_reach: OutOfReach = field(default_factory=dict)


def identify(connections: Connections, systems: list[str]) -> Identified:
    """Ask every database of the systems who it is.

    Args:
        connections: handles by the profile.
        systems: those that the selected runbooks are about.

    Raises:
        TargetMismatch: a database is not the one that the profile pins, or an environment that promotes
            does not pin it.
        PermissionDenied: in an environment that promotes, the credentials for observing could write and the
            profile does not accept that in writing.
    """
    found = Identified()
    for system in systems:
        described = connections.profile.systems.get(system)
        if described is None or described.postgres is None or isinstance(described.postgres, Absent):
            continue
        for replica in _places(described.postgres):
            component = f"{system}.postgres" + (".replica" if replica else "")
            try:
                handle = connections.postgres(system, "read_only", replica=replica)
                target = _target(handle, system, described.postgres, replica=replica)
            except HandleError as error:
                found.out_of_reach[component] = tell(error)
                found.warnings.append(f"no check can use {component}: {error}")
                continue
            _check_pin(target, described.postgres, component, promotes=connections.profile.promotes)
            found.targets.append(target)
            if not target.pinned:
                found.warnings.append(
                    f"{component} is not pinned: `signoff environments --pin {connections.profile.name}` "
                    "makes sure that a run never verifies another server"
                )
            if not replica:
                _check_credentials(connections, handle, system, found)
    return found


def _places(described: Postgres) -> Iterator[bool]:
    yield False
    if described.replica is not None and not isinstance(described.replica, Absent):
        yield True


def _target(handle: PostgresHandle, system: str, described: Postgres, *, replica: bool) -> Target:
    return Target(
        system=system,
        component="postgres.replica" if replica else "postgres",
        address=str(handle.address),
        identity=handle.system_identifier,
        pinned=described.system_identifier is not None,
        facts={"server_version": str(handle.server_version)},
    )


def _check_pin(target: Target, described: Postgres, component: str, *, promotes: bool) -> None:
    pin = described.system_identifier
    if pin is not None and target.identity != pin:
        raise TargetMismatch(
            f"{described.key or component}.system_identifier",
            got=f"{target.identity} at {target.address}",
            expected=f"{pin}, as the profile pins it",
            next_step="Correct the address. If the cluster was set up anew, pin it again.",
        )
    if pin is None and promotes:
        raise TargetMismatch(
            f"{described.key or component}.system_identifier",
            got="no pin",
            expected="the identity of the cluster, as this environment promotes releases",
            next_step="Write it with `signoff environments --pin NAME` and review the change.",
        )


def _check_credentials(
    connections: Connections, handle: PostgresHandle, system: str, found: Identified
) -> None:
    privileges = handle.write_privileges()
    if not privileges:
        return
    summary = f"{handle.address.user} could write: {', '.join(privileges[:5])}"
    accepted = connections.profile.system(system).accept_writable_credentials
    if connections.profile.promotes and not accepted:
        raise PermissionDenied(
            f"{system}.postgres",
            got=summary,
            expected="credentials that cannot write, as this environment promotes releases",
            next_step="Use a role without these, or state accept_writable_credentials in the profile.",
        )
    found.warnings.append(summary + (f" (accepted: {accepted})" if accepted else ""))
