"""What each access may do, and that handles cost nothing before they are used."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from signoff.access import PERMISSIONS, destructive_refusal
from signoff.markers import load_markers


def test_the_accesses_are_those_of_the_markers() -> None:
    """The accesses with permissions are those that markers.ini declares, and both say the same."""
    declared = {
        marker.name: marker
        for marker in load_markers(Path(__file__).parents[2] / "markers.ini")
        if marker.kind == "access"
    }
    assert declared.keys() == PERMISSIONS.keys()
    for name, permissions in PERMISSIONS.items():
        assert permissions.runs_procedures == (declared[name].touches["procedures"] != "refused")
        assert permissions.writes_sql == ("read-only" not in declared[name].touches["postgres"])


@dataclass
class Environment:
    """As much of a profile as decides about destructive tests."""

    name: str
    destructive: str
    promotes: bool


@pytest.mark.parametrize(
    ("destructive", "promotes", "allowed", "refused"),
    [
        ("always", False, None, False),
        ("approval", False, "stage", False),
        ("approval", False, None, True),
        ("approval", False, "prod", True),
        ("approval", True, "stage", True),
        ("never", False, None, True),
        ("never", True, "stage", True),
    ],
)
def test_destructive_work_needs_the_environments_consent(
    destructive: str, promotes: bool, allowed: str | None, refused: bool
) -> None:
    """Destructive tests run where always allowed or where named; with promotion a name is not enough."""
    reason = destructive_refusal(Environment("stage", destructive, promotes), allowed)  # type: ignore[arg-type]
    assert bool(reason) == refused
    assert not refused or "stage" in reason


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    """Addresses and declarations of handles need neither a client library nor a parser."""
    program = (
        "import sys\n"
        "import signoff.access, signoff.handles, signoff.handles.artifacts, signoff.handles.host\n"
        "import signoff.handles.procedures, signoff.handles.postgres, signoff.handles.postgres.address\n"
        "print(sorted({'psycopg', 'sqlglot'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
