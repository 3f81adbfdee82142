"""What the runbooks declare about their systems; a profile may speak of nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from signoff.errors import RunbookError
from signoff.runbook import Runbook, Setting

_Declared = TypeVar("_Declared")


@dataclass(frozen=True)
class SystemDeclaration:
    """What runbooks declare about one system.

    Attributes:
        names: identifier in SQL of the tests → default.
        settings: name → type, meaning and default.
        artifacts: name → meaning.
        procedures: name → meaning.
        roles: name → meaning; ``administrator`` needs no declaration.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    procedures: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declarations:
    """What all runbooks declare.

    Attributes:
        systems: by name.
        checkpoints: every id; the only ones whose limits a profile may change.
    """

    systems: Mapping[str, SystemDeclaration] = field(default_factory=dict)
    checkpoints: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runbooks: Iterable[Runbook]) -> Declarations:
        """Merge what several runbooks declare.

        Raises:
            RunbookError: two runbooks declare the same setting, name … of one system differently.
        """
        systems: dict[str, SystemDeclaration] = {}
        checkpoints: set[str] = set()
        for runbook in runbooks:
            known = systems.get(runbook.system, SystemDeclaration())
            systems[runbook.system] = SystemDeclaration(
                names=_merge(runbook, "names", known.names, runbook.names),
                settings=_merge(runbook, "settings", known.settings, runbook.settings),
                artifacts={**known.artifacts, **runbook.artifacts},
                procedures={**known.procedures, **runbook.procedures},
                roles={**known.roles, **runbook.roles},
            )
            checkpoints.update(checkpoint.id for checkpoint in runbook.checkpoints)
        return cls(systems, frozenset(checkpoints))


def _merge(
    runbook: Runbook, kind: str, known: Mapping[str, _Declared], further: Mapping[str, _Declared]
) -> dict[str, _Declared]:
    for name in known.keys() & further.keys():
        if known[name] != further[name]:
            raise RunbookError(
                f"{runbook.path}: {kind}.{name}",
                got=str(further[name]),
                expected=f"what another runbook of {runbook.system} declares: {known[name]}",
                next_step="Declare it alike in both, or under two names.",
            )
    return {**known, **further}
