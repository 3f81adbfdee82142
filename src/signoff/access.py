"""What each access may do (``markers.ini`` says it in words), and where destructive work is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from signoff.record import Access

if TYPE_CHECKING:
    from signoff.environment import Profile


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What a test with an access may do.

    Attributes:
        writes_sql: statements run as the role allows; otherwise only statements that are known to read.
        writes_redis: all commands; otherwise those that the server flags as reading, and a list of reads.
        writes_http: all methods; otherwise GET, HEAD and OPTIONS.
        writes_kubernetes: all verbs; otherwise get, list, watch, logs and access reviews.
        writes_messages: messages and declarations; otherwise passive declarations.
        runs_procedures: procedures of the profile may run.
    """

    writes_sql: bool
    writes_redis: bool
    writes_http: bool
    writes_kubernetes: bool
    writes_messages: bool
    runs_procedures: bool


PERMISSIONS: Final[Mapping[Access, Permissions]] = MappingProxyType(
    {
        "read_only": Permissions(
            writes_sql=False,
            writes_redis=False,
            writes_http=False,
            writes_kubernetes=False,
            writes_messages=False,
            runs_procedures=False,
        ),
        "destructive": Permissions(
            writes_sql=True,
            writes_redis=True,
            writes_http=True,
            writes_kubernetes=True,
            writes_messages=True,
            runs_procedures=True,
        ),
    }
)
"""The permissions of each access. Reading a host, an artifact, a certificate or a backup
never depends on the access: their handles can do nothing else."""


def destructive_refusal(profile: Profile, allowed: str | None) -> str:
    """Why a destructive test may not run in an environment; empty if it may.

    Args:
        profile: the environment.
        allowed: the environment that ``--allow-destructive`` names.
    """
    if profile.destructive == "never":
        return f"the environment {profile.name} forbids destructive tests (destructive = never)"
    if profile.destructive == "approval" and allowed != profile.name:
        needed = f"--allow-destructive={profile.name}"
        given = f"--allow-destructive={allowed} names another" if allowed else "it was not given"
        return f"the environment {profile.name} needs {needed} for destructive tests; {given}"
    if profile.destructive == "approval" and profile.promotes:
        # Approvals are signed, and nothing can verify a signature yet: a flag alone must not do.
        return f"the environment {profile.name} needs a signed approval for destructive tests; there is none"
    return ""
