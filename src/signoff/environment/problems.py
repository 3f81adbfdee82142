"""What is wrong with a profile: collected, so that all of it is said at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signoff.errors import ProfileError, SecretError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a profile.

    Attributes:
        key: dotted key, for instance ``systems.codex_memory.postgres.prot``; empty for the whole file.
        got: what was found; never a value that could be a secret.
        expected: what should have been found.
        next_step: what the reader can do now.
        secret: whether the profile itself is right and only a secret cannot be had here and now.
    """

    key: str
    got: str
    expected: str
    next_step: str
    secret: bool = False


def shown(path: Path) -> str:
    """A path for messages: relative to the working directory where it lies below it."""
    absolute = path.absolute()
    working_directory = Path.cwd()
    if absolute.is_relative_to(working_directory):
        return str(absolute.relative_to(working_directory))
    return str(absolute)


def child(key: str, name: str) -> str:
    """The dotted key of a member of a table; quoted where TOML asks for it."""
    shown = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
    return f"{key}.{shown}" if key else shown


def suggestion(name: str, known: Iterable[str]) -> str:
    """A next step that offers the nearest known name, and all of them."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    listing = f"Known here: {', '.join(names)}." if names else "Nothing is known here."
    return f"Did you mean {nearest[0]}? {listing}" if nearest else listing


def error(file: str, problems: Sequence[Problem]) -> ProfileError:
    """The error that says all problems of a file.

    Returns:
        A SecretError when nothing but secrets is missing, a ProfileError otherwise.
    """
    kind = SecretError if all(problem.secret for problem in problems) else ProfileError
    errors = [
        kind(
            f"{file}: {problem.key}" if problem.key else file,
            got=problem.got,
            expected=problem.expected,
            next_step=problem.next_step,
        )
        for problem in problems
    ]
    if len(errors) == 1:
        return errors[0]
    return kind(
        file,
        got=f"{len(errors)} problems",
        expected="a valid environment profile",
        next_step="\n".join(["Each of them:", *(f"  - {one}" for one in errors)]),
    )
