"""Pins: the identity of a server, written into the profile, so that a run never verifies another one."""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff.environment.components import Absent
from signoff.environment.model import Profile
from signoff.errors import ProfileError


@dataclass(frozen=True)
class Pin:
    """The identity of one database.

    Attributes:
        system: whose database it is.
        before: the identity that the profile named; empty if none.
        after: the identity that the server gave.
    """

    system: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the profile is different now."""
        return self.before != self.after


def pin(profile: Profile, read_identity: Callable[[str], str]) -> list[Pin]:
    """Ask each database of a profile who it is, and write the answers into its file.

    Comments and layout of the file are kept. Nothing is written unless every database has answered, and then
    all of it or nothing.

    Args:
        profile: the environment.
        read_identity: connects to the PostgreSQL of a system and gives its system identifier.

    Returns:
        A pin for each system that has a database.

    Raises:
        ProfileError: the environment is booted for each run, or its file cannot be written.
        HandleError: a database did not answer.
    """
    if profile.stack is not None:
        raise ProfileError(
            f"{profile.file}: stack",
            got="an environment that is booted for each run",
            expected="servers that last",
            next_step="Nothing to do: such a profile pins with system_identifier = "
            '"{stack:system_identifier}".',
        )
    pins = [
        Pin(name, before=system.postgres.system_identifier or "", after=read_identity(name))
        for name, system in profile.systems.items()
        if system.postgres is not None and not isinstance(system.postgres, Absent)
    ]
    if any(one.changed for one in pins):
        _write(profile, {one.system: one.after for one in pins if one.changed})
    return pins


def _write(profile: Profile, identifiers: dict[str, str]) -> None:
    # Imported here: only this command needs it.
    import tomlkit  # noqa: PLC0415 - see above

    before = profile.path.read_bytes().decode("utf-8-sig")
    document: Any = tomlkit.parse(before)
    expected = tomllib.loads(before)
    for system, identifier in identifiers.items():
        document["systems"][system]["postgres"]["system_identifier"] = identifier
        expected["systems"][system]["postgres"]["system_identifier"] = identifier
    after = tomlkit.dumps(document)
    if tomllib.loads(after) != expected:
        raise ProfileError(
            profile.file,
            got="a layout in which the pin cannot be written without changing something else",
            expected="a table [systems.NAME.postgres] for each system",
            next_step="Write by hand: "
            + "; ".join(
                f'systems.{name}.postgres.system_identifier = "{value}"'
                for name, value in identifiers.items()
            ),
        )
    try:
        _replace(profile.path, after)
    except OSError as exc:
        raise ProfileError(
            profile.file,
            got=f"a file that cannot be written: {exc.strerror or exc}",
            expected="a profile that can be changed",
            next_step="Check the permissions and the space of its folder.",
        ) from exc


def _replace(path: Path, text: str) -> None:
    """Replace a file at once, so that nobody ever reads half of it; a link stays a link."""
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(stat.S_IMODE(target.stat().st_mode))
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
