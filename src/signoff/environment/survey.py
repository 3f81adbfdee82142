"""All profiles of a suite at a glance, judged without touching a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signoff.environment.components import Absent
from signoff.environment.declarations import Declarations
from signoff.environment.load import available_profiles, inspect_profile
from signoff.environment.model import COMPONENTS, Profile
from signoff.environment.problems import Problem, shown
from signoff.errors import ProfileError


@dataclass(frozen=True)
class Surveyed:
    """One environment.

    Attributes:
        name: of the environment.
        file: of its profile, as messages show it.
        profile: ``None`` when the file cannot be read as one.
        faults: what is wrong with the file.
        missing_secrets: what it refers to and this shell lacks; no fault of the file.
    """

    name: str
    file: str
    profile: Profile | None
    faults: tuple[Problem, ...]
    missing_secrets: tuple[Problem, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the file is right."""
        return not self.faults

    def components(self) -> dict[str, dict[str, str]]:
        """System → component → ``configured``, or why it is absent."""
        systems = self.profile.systems if self.profile else {}
        return {
            name: {
                component: f"absent: {value.absent}" if isinstance(value, Absent) else "configured"
                for component in COMPONENTS
                if (value := getattr(system, component)) is not None
            }
            for name, system in systems.items()
        }


def survey(directory: Path, declarations: Declarations) -> list[Surveyed]:
    """Judge every profile of a directory; no server is touched and no command is run."""
    return [_judge(name, directory / f"{name}.toml", declarations) for name in available_profiles(directory)]


def _judge(name: str, path: Path, declarations: Declarations) -> Surveyed:
    try:
        inspection = inspect_profile(path, declarations)
    except ProfileError as error:
        key = error.subject.removeprefix(shown(path)).removeprefix(": ")
        fault = Problem(key, error.got, error.expected, error.next_step)
        return Surveyed(name, shown(path), None, (fault,))
    return Surveyed(
        name,
        inspection.file,
        inspection.profile,
        faults=tuple(problem for problem in inspection.problems if not problem.secret),
        missing_secrets=inspection.missing_secrets,
    )
