"""From a TOML file to a validated profile."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from signoff.environment import references
from signoff.environment.build import Builder
from signoff.environment.declarations import Declarations
from signoff.environment.model import Profile
from signoff.environment.problems import Problem, child, shown, suggestion
from signoff.environment.references import Reference
from signoff.errors import ProfileError
from signoff.secrets import Secret

_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Inspection:
    """A profile as far as it can be judged without a server and without running a command.

    Attributes:
        name: of the environment.
        file: the path as messages show it.
        profile: the profile; ``None`` when it is not valid.
        problems: what is wrong, in the order of the file.
    """

    name: str
    file: str
    profile: Profile | None
    problems: tuple[Problem, ...]

    @property
    def missing_secrets(self) -> tuple[Problem, ...]:
        """Problems of this shell, not of the profile: secrets that cannot be had here and now."""
        return tuple(problem for problem in self.problems if problem.secret)

    @property
    def is_valid(self) -> bool:
        """Whether the profile itself is right."""
        return len(self.missing_secrets) == len(self.problems)


def available_profiles(directory: Path) -> list[str]:
    """The names of the environments with a profile in a directory, sorted; none without a directory."""
    return sorted(path.stem for path in directory.glob("*.toml") if not path.name.startswith("."))


def load_profile(
    path: Path,
    declarations: Declarations,
    *,
    systems: Collection[str] | None = None,
    destructive: bool = True,
) -> Profile:
    """Read a profile, validate all of it, and fetch its secrets; no server is touched.

    Secrets and values that come from the stack are filled in by `Profile.with_stack`.

    Args:
        path: ``environments/NAME.toml``.
        declarations: what the runbooks declare.
        systems: those that the run is about; ``None`` for all. The secrets of others are not fetched.
        destructive: whether the command line allows destructive tests. If not, and unless the profile says
            ``always``, the secrets of administrators and procedures are not fetched.

    Raises:
        ProfileError: it cannot be read or is not valid; all its problems are in the message.
        SecretError: it is valid, but secrets are missing.
    """
    builder = Builder(path, declarations, references.resolve, systems=systems, destructive=destructive)
    return builder.profile(read_document(path))


def inspect_profile(path: Path, declarations: Declarations) -> Inspection:
    """Read and validate a profile as far as that is possible without a server and without running a command.

    Secrets in variables and files are looked at; of commands it is checked that they are installed.

    Raises:
        ProfileError: the file cannot be read, or is not TOML.
    """
    document = read_document(path)
    profile, problems = Builder(path, declarations, _probe).build(document, facts=None)
    return Inspection(path.stem, shown(path), profile, tuple(problems))


def _probe(reference: Reference, *, subject: str) -> Secret:
    references.probe(reference, subject=subject)
    return Secret("never fetched", origin=str(reference))


def read_document(path: Path) -> dict[str, Any]:
    """The TOML of a profile.

    Raises:
        ProfileError: it does not exist (the message lists those that do), is not UTF-8, or is not TOML.
    """
    file = shown(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise ProfileError(
            file,
            got="no such file",
            expected="the profile of an environment",
            next_step=suggestion(path.stem, available_profiles(path.parent)),
        ) from exc
    except OSError as exc:
        raise ProfileError(
            file,
            got=f"a file that cannot be read: {exc.strerror or exc}",
            expected="the profile of an environment",
            next_step="Check the path and its permissions.",
        ) from exc
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        utf_16 = content.startswith(_UTF_16) or b"\0" in content[:64]
        # Not from exc, which carries the whole file.
        problem = ProfileError(
            file if utf_16 else f"{file}: line {line}",
            got="UTF-16" if utf_16 else f"the byte 0x{content[exc.start]:02x}, which is not UTF-8",
            expected="a file in UTF-8",
            next_step="Save the file as UTF-8.",
        )
    except tomllib.TOMLDecodeError as exc:
        problem = _syntax_error(file, str(exc))
    raise problem


def _syntax_error(file: str, message: str) -> ProfileError:
    place = re.search(r" \(at (line \d+), column \d+\)$| \(at end of document\)$", message)
    where = (place[1] or "its end") if place else "the file"
    reason = message[: place.start()] if place else message
    twice = re.fullmatch(r"Cannot declare \((.*)\) twice", reason)
    if twice:
        names = re.findall(r"'([^']*)'|\"([^\"]*)\"", twice[1])
        return ProfileError(
            f"{file}: {functools.reduce(child, (single or double for single, double in names), '')}",
            got=f"a second table of this name at {where}",
            expected="each system, component and other table once",
            next_step="Merge the two tables, or rename one.",
        )
    if reason == "Cannot overwrite a value":
        reason = "a key that is given twice"
    return ProfileError(
        f"{file}: {where}",
        got=f"a syntax error ({reason})",
        expected="TOML",
        next_step="Correct the line; texts stand in quotes, tables in [brackets].",
    )
