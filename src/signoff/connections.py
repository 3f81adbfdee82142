"""The handles of one process, opened when they are first used and kept until the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signoff import errors
from signoff.environment import Absent, Postgres, Profile, System
from signoff.errors import HandleError, SignoffError
from signoff.evidence import EvidenceLog
from signoff.record import Access, Evidence

if TYPE_CHECKING:
    from signoff.handles.artifacts import Artifacts
    from signoff.handles.host import Host
    from signoff.handles.postgres.address import PostgresAddress
    from signoff.handles.postgres.handle import Postgres as PostgresHandle
    from signoff.handles.procedures import AbsentProcedure, Procedures, ProcedureSpec

OutOfReach = dict[str, list[str]]
"""By component, for instance ``codex_memory.postgres``: the class of the error and its four parts."""


class Connections:
    """Opens the handles that the profile describes.

    Args:
        profile: complete, without placeholders.
        label: what the connections are for; part of their application name.
        out_of_reach: components that did not answer at the start of the run. Asking for one raises what it
            raised then, so that a run against a dead server does not wait for it once a test.
    """

    def __init__(self, profile: Profile, *, label: str, out_of_reach: OutOfReach) -> None:
        self.profile = profile
        self._label = label
        self._out_of_reach = out_of_reach
        self._log = EvidenceLog()
        self._postgres: dict[tuple[str, Access, bool], PostgresHandle] = {}
        self._procedures: dict[tuple[str, Access], Procedures] = {}

    def observe_with(self, log: EvidenceLog) -> None:
        """From now on, what the handles see goes into this log: that of the running test."""
        self._log = log

    def observe(self, evidence: Evidence) -> None:
        """Take what a handle saw."""
        self._log.add(evidence)

    def postgres(self, system: str, access: Access, *, replica: bool = False) -> PostgresHandle:
        """The database of a system, or its streaming standby.

        Raises:
            ComponentAbsent: the profile says, with a reason, that there is none.
            ComponentNotConfigured: the profile says nothing about it.
            HandleError: it did not answer at the start of the run.
        """
        component = f"{system}.postgres" + (".replica" if replica else "")
        if component in self._out_of_reach:
            raise told(self._out_of_reach[component])
        key = (system, access, replica)
        if key not in self._postgres:
            self._postgres[key] = self._open(system, access, component)
        return self._postgres[key]

    def _open(self, system: str, access: Access, component: str) -> PostgresHandle:
        # Imported here: the client library costs a third of a second that not every run needs.
        from signoff.handles.postgres.address import AbsentRole  # noqa: PLC0415 - see above
        from signoff.handles.postgres.handle import Postgres as PostgresHandle  # noqa: PLC0415 - see above

        described_system = self.profile.system(system)
        described = described_system.component("postgres")
        if component.endswith(".replica"):
            described = described.as_replica()
        elif access == "destructive" and "administrator" in described.roles:
            described = described.as_role("administrator")
        return PostgresHandle(
            address_of(described),
            access=access,
            component=component,
            observe=self.observe,
            redact=self.profile.redactor.redact,
            names=described_system.names,
            roles={
                name: AbsentRole(reason=role.absent)
                if isinstance(role, Absent)
                else address_of(described.as_role(name))
                for name, role in described.roles.items()
            },
            label=self._label,
        )

    def host(self, system: str) -> Host:
        """The machine that the database of a system runs on.

        Raises:
            ComponentAbsent: the profile says, with a reason, that there is none to look at.
            ComponentNotConfigured: the profile says nothing about it.
        """
        from signoff.handles.host import Host, HostAddress  # noqa: PLC0415 - as above

        described = self.profile.system(system).component("host")
        address = HostAddress(
            via=described.via,
            data_path=described.data_path,
            log_path=described.log_path,
            timeout=described.timeout,
        )
        return Host(
            address, component=f"{system}.host", observe=self.observe, redact=self.profile.redactor.redact
        )

    def procedures(self, system: str, access: Access) -> Procedures:
        """The procedures of a system, as the access allows."""
        key = (system, access)
        if key not in self._procedures:
            from signoff.handles.procedures import Procedures  # noqa: PLC0415 - as above

            self._procedures[key] = Procedures(
                procedures_of(self.profile.system(system)),
                access=access,
                component=f"{system}.procedures",
                observe=self.observe,
                redact=self.profile.redactor.redact,
                directory=self.profile.root,
            )
        return self._procedures[key]

    def artifacts(self, system: str) -> Artifacts:
        """What other tools have left behind about a system."""
        from signoff.handles.artifacts import AbsentArtifact, Artifacts  # noqa: PLC0415 - as above

        return Artifacts(
            {
                name: AbsentArtifact(reason=described.absent)
                if isinstance(described, Absent)
                else self.profile.root / described.path
                for name, described in self.profile.system(system).artifacts.items()
            },
            component=f"{system}.artifacts",
            observe=self.observe,
            redact=self.profile.redactor.redact,
        )

    def close(self) -> None:
        """Hang up everywhere, and end procedures that still run."""
        for procedures in self._procedures.values():
            procedures.close()
        for handle in self._postgres.values():
            handle.close()
        self._procedures.clear()
        self._postgres.clear()


def procedures_of(system: System) -> dict[str, ProcedureSpec | AbsentProcedure]:
    """The described procedures, for their handle."""
    from signoff.handles.procedures import AbsentProcedure, ProcedureSpec  # noqa: PLC0415 - as above

    return {
        name: AbsentProcedure(reason=described.absent)
        if isinstance(described, Absent)
        else ProcedureSpec(
            command=described.command,
            environment=described.environment,
            timeout=described.timeout,
            error_pattern=described.error_pattern,
        )
        for name, described in system.procedures.items()
    }


def address_of(described: Postgres) -> PostgresAddress:
    """Where a described database is, for its handle."""
    from signoff.handles.postgres.address import PostgresAddress, Timeouts  # noqa: PLC0415 - as above

    return PostgresAddress(
        host=described.host,
        port=described.port,
        database=described.database,
        user=described.user,
        password=described.password,
        tls=described.tls,
        tls_ca=described.tls_ca,
        tls_certificate=described.tls_certificate,
        tls_key=described.tls_key,
        timeouts=Timeouts(
            connect=described.timeouts.connect,
            statement=described.timeouts.statement,
            lock=described.timeouts.lock,
            idle=described.timeouts.idle,
        ),
    )


def tell(error: SignoffError) -> list[str]:
    """An error in builtin types, so that it can be told to another process."""
    return [type(error).__name__, *map(str, error.args)]


def told(description: list[str]) -> HandleError:
    """The error that another process told."""
    name, subject, got, expected, next_step = description
    kind = getattr(errors, name)
    error: HandleError = kind(subject, got=got, expected=expected, next_step=next_step)
    return error
