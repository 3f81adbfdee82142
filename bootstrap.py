#!/usr/bin/env python3
"""Make a working copy of this repository runnable, then run a program in it.

    python3 bootstrap.py pytest -m read_only --env local
    python3 bootstrap.py --dev pytest selftest

Needs Python 3.11 or newer and nothing else. The packages pinned in requirements/ are installed into
.venv/, with uv where it is found or can be fetched, otherwise with pip. Nothing outside this folder is
touched but the installers' caches, so it also works where the system's Python is externally managed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BOOT = ROOT / ".boot"
STAMP = VENV / "installed"
UV_VERSION = "0.13.9"
OLDEST_PYTHON = (3, 11)


def main(argv: Sequence[str]) -> None:
    """Install what is missing and become the program that the arguments name."""
    if sys.version_info < OLDEST_PYTHON:
        _fail(f"Python {sys.version.split()[0]} is too old; run this with Python 3.11 or newer.")
    arguments = list(argv)
    development = "--dev" in arguments[:1]
    if development:
        del arguments[0]
    with _alone():
        _install("dev" if development else "run")
    if not arguments:
        return
    program = VENV / "bin" / arguments[0]
    if not program.exists():
        _fail(f"{arguments[0]} is not one of the programs in {program.parent}.")
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # Become the program: it gets Ctrl-C and every other signal itself, and its exit status is ours.
    os.execve(program, [str(program), *arguments[1:]], os.environ | {"PATH": path})  # noqa: S606 - asked for


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody else installs into this folder."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        # Some network file systems cannot lock a folder; nothing is lost there but this precaution.
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _install(requirements: str) -> None:
    lock = _lock(requirements)
    place, *stamps = STAMP.read_text().splitlines() if STAMP.exists() else [_place()]
    if place == _place() and _stamp(requirements) in stamps:
        return
    _say(f"Installing {lock.relative_to(ROOT)} into {VENV.name}/ …")
    # What is half replaced must not pass for what it was.
    STAMP.unlink(missing_ok=True)
    anew = place != _place()
    uv = _uv()
    if uv is None or not _with_uv(uv, lock, anew=anew):
        # pip may know mirrors and certificates of this network that uv knows nothing of.
        _say("uv cannot do it; trying pip, which takes about a minute …")
        _with_pip(lock, anew=anew)
    # The development packages contain all that a run needs.
    installed = ("run", "dev") if requirements == "dev" else ("run",)
    STAMP.write_text("\n".join((_place(), *map(_stamp, installed))))


def _place() -> str:
    """Where the environment lies: its programs name it, so they are made anew when the folder was moved."""
    return str(VENV.resolve())


def _with_uv(uv: Path, lock: Path, *, anew: bool) -> bool:
    existing = "--clear" if anew else "--allow-existing"
    if not _run(uv, "venv", "--quiet", existing, "--python", sys.executable, VENV):
        return False
    return _into_venv([uv, "pip", "install", "--quiet", "--python", VENV / "bin" / "python"], lock)


def _with_pip(lock: Path, *, anew: bool) -> None:
    own = importlib.util.find_spec("pip") is not None
    if not own and importlib.util.find_spec("ensurepip") is None:
        _fail(
            f"{sys.executable} has neither pip nor ensurepip, and uv is not on the PATH; "
            "install one of them, on Debian for instance with: apt-get install python3-pip"
        )
    # ensurepip is slow, and Debian has it in a package of its own.
    options = [*(["--clear"] if anew else []), *(["--without-pip"] if own else [])]
    made = _run(sys.executable, "-m", "venv", *options, VENV)
    python = VENV / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python)) if own else (str(python), "-m", "pip")
    if not made or not _into_venv([*pip, "install", "--quiet", "--disable-pip-version-check"], lock):
        _fail("the packages could not be installed; what went wrong stands above.")


def _into_venv(install: Sequence[str | Path], lock: Path) -> bool:
    # The build backend is pinned in the lock file as well, so nothing unpinned is fetched for the second.
    return _run(*install, "--require-hashes", "-r", lock) and _run(
        *install, "--no-deps", "--no-build-isolation", "-e", ROOT
    )


def _lock(requirements: str) -> Path:
    return ROOT / "requirements" / f"{requirements}.txt"


def _stamp(requirements: str) -> str:
    """What an installation depends on; it is repeated when this changes."""
    content = _lock(requirements).read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    return f"{requirements} {hashlib.sha256(content).hexdigest()}"


def _uv() -> Path | None:
    """The program uv: from the PATH, else fetched into .boot/; ``None`` when it cannot be had."""
    found = shutil.which("uv")
    if found:
        return Path(found)
    fetched = BOOT / "bin" / "uv"
    if not fetched.exists():
        # --target works with an externally managed Python and needs neither venv nor ensurepip.
        fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(  # noqa: S603 - our own arguments
            [*fetch, "--target", BOOT, f"uv=={UV_VERSION}"], capture_output=True, check=False
        )
        if done.returncode != 0 or not fetched.exists():
            return None
    return fetched


def _run(*command: str | Path) -> bool:
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own arguments


def _say(message: str) -> None:
    print(f"bootstrap: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a program talks


def _fail(message: str) -> NoReturn:
    sys.exit(f"bootstrap: {message}")


if __name__ == "__main__":
    main(sys.argv[1:])
