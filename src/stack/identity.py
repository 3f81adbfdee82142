"""Run the server as someone who is not root.

PostgreSQL refuses to run as root. An ordinary user runs it directly. Root maps itself to ``nobody`` in a
user namespace, which works with programs and data anywhere and leaves all files owned by root. Where user
namespaces are forbidden (in most containers), root becomes ``nobody`` for real, and programs that ``nobody``
could not reach are copied to a directory that it can.
"""

from __future__ import annotations

import fcntl
import functools
import os
import pwd
import shutil
import stat
import subprocess
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from stack.binaries import Installation
from stack.errors import StartFailed

CACHE = Path("/var/cache/signoff-stack")


@dataclass(frozen=True)
class Identity:
    """How server programs are started.

    Attributes:
        prefix: what stands before the program in its argument list.
        uid: the user to become; unchanged if ``None``.
        gid: the group to become; unchanged if ``None``.
    """

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def give(self, path: Path) -> None:
        """Make the user that the programs run as the owner of a file or directory."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def admit(self, directory: Path) -> None:
        """Let the programs pass through a directory to what lies below.

        Raises:
            StartFailed: a directory above it is closed to them.
        """
        if self.uid is None:
            return
        directory.chmod(0o711)
        if not _passable(directory):
            raise StartFailed(
                str(directory),
                got="a parent directory that only its owner may pass",
                expected="a place that the user nobody can reach, for root without user namespaces",
                next_step="Set TMPDIR to such a place, for instance /tmp, or start as an ordinary user.",
            )


def settle(installation: Installation) -> tuple[Installation, Identity]:
    """Decide how to run an installation, and from where."""
    if os.geteuid() != 0:
        return installation, Identity()
    nobody = pwd.getpwnam("nobody")
    prefix = ("unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    if _runs((*prefix, "true")):
        return installation, Identity(prefix=prefix)
    if not _passable(installation.programs):
        installation = _copied(installation)
    return installation, Identity(uid=nobody.pw_uid, gid=nobody.pw_gid)


@functools.cache
def _runs(command: tuple[str, ...]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - built above


def _open_to_all(directory: Path) -> None:
    """Let others read and run what the owner may, whatever the umask was when the programs were installed."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def _passable(directory: Path) -> bool:
    """Whether others may pass the directory and all above it."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (directory, *directory.resolve().parents))


def _copied(installation: Installation) -> Installation:
    """Copy the trees side by side below the cache, once for each build; safe when two do so at once."""
    server = Path(installation.program("postgres"))
    build = zlib.crc32(f"{server} {server.stat().st_mtime_ns}".encode())
    target = CACHE / f"postgresql-{installation.version}-{build:08x}"
    CACHE.mkdir(parents=True, exist_ok=True)
    CACHE.chmod(0o755)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            for tree in installation.trees:
                shutil.copytree(tree, partial / tree.name, symlinks=True)
            _open_to_all(partial)
            partial.rename(target)
    tree = installation.trees[0]
    return replace(installation, programs=target / tree.name / installation.programs.relative_to(tree))
