"""The markers of the suite, as ``markers.ini`` declares them."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from signoff.errors import UsageError
from signoff.record import Access

_KINDS: Final = ("access", "topic")


@dataclass(frozen=True)
class Marker:
    """One marker.

    Attributes:
        name: as in ``@pytest.mark.<name>``.
        kind: ``access`` (exactly one on every test) or ``topic`` (any number).
        summary: one clause.
        touches: for an access, what a test may do with each component.
    """

    name: str
    kind: Literal["access", "topic"]
    summary: str
    touches: Mapping[str, str]

    def line(self) -> str:
        """The declaration as ``pytest --markers`` prints it."""
        touches = "".join(f" {component}: {text};" for component, text in self.touches.items())
        return f"{self.name}: {self.summary}.{touches.rstrip(';')}"


def load_markers(path: Path) -> tuple[Marker, ...]:
    """Read the declarations.

    Raises:
        UsageError: the file is missing or not valid, or the accesses are not those that Signoff enforces.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise UsageError(
            str(path),
            got=" ".join(str(error).split()),
            expected="the declarations of the markers",
            next_step="Restore the file; every suite has one beside its conftest.py.",
        ) from error
    markers = tuple(_marker(path, name, dict(parser[name])) for name in parser.sections())
    accesses = {marker.name for marker in markers if marker.kind == "access"}
    if accesses != set(get_args(Access)):
        raise UsageError(
            str(path),
            got="the accesses " + (", ".join(sorted(accesses)) or "none"),
            expected=", ".join(get_args(Access)),
            next_step="An access is what the handles enforce; it cannot be added or removed here.",
        )
    return markers


def _marker(path: Path, name: str, facts: dict[str, str]) -> Marker:
    kind, summary = facts.pop("kind", ""), facts.pop("summary", "")
    if kind not in _KINDS or not summary:
        raise UsageError(
            f"{path}: [{name}]",
            got=f"kind = {kind!r}, summary = {summary!r}",
            expected="kind = access or topic, and a summary",
            next_step="Complete the section.",
        )
    return Marker(name, "access" if kind == "access" else "topic", summary, facts)
