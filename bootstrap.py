#!/usr/bin/env python3
"""Make a working copy of this repository runnable, then run a program in it.

    python3 bootstrap.py pytest -m read_only --env local
    python3 bootstrap.py --dev pytest selftest

Needs Python 3.11 or newer and nothing else. The packages pinned in requirements/ are installed into
.venv/, with uv where it is found or can be fetched, otherwise with venv and pip. Nothing outside this
folder is touched, so it also works where the system's Python is externally managed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BOOT = ROOT / ".boot"
STAMP = VENV / "installed"
UV_VERSION = "0.13.9"
OLDEST_PYTHON = (3, 11)


def main(argv: Sequence[str]) -> int:
    """Install what is missing and run the program that the arguments name."""
    if sys.version_info < OLDEST_PYTHON:
        _fail(f"Python {sys.version.split()[0]} is too old; run this with Python 3.11 or newer.")
    arguments = list(argv)
    development = "--dev" in arguments[:1]
    if development:
        del arguments[0]
    _install("dev" if development else "run")
    if not arguments:
        return 0
    program = VENV / "bin" / arguments[0]
    if not program.exists():
        _fail(f"{arguments[0]} is not one of the programs in {program.parent}.")
    environment = os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return subprocess.run([program, *arguments[1:]], env=environment, check=False).returncode  # noqa: S603 - asked for


def _install(requirements: str) -> None:
    lock = _lock(requirements)
    if STAMP.exists() and _stamp(requirements) in STAMP.read_text().splitlines():
        return
    print(f"Installing {lock.relative_to(ROOT)} into {VENV.name}/ …", file=sys.stderr, flush=True)
    uv = _uv()
    python = VENV / "bin" / "python"
    if uv is not None:
        _run([*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)])
        install = [*uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        _run([sys.executable, "-m", "venv", str(VENV)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--require-hashes", "-r", str(lock)])
    # The build backend is pinned in the lock file as well, so nothing unpinned is fetched here.
    _run([*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    # The development packages contain all that a run needs.
    installed = ("run", "dev") if requirements == "dev" else ("run",)
    STAMP.write_text("".join(f"{_stamp(name)}\n" for name in installed))


def _lock(requirements: str) -> Path:
    return ROOT / "requirements" / f"{requirements}.txt"


def _stamp(requirements: str) -> str:
    """What an installation depends on; it is repeated when this changes."""
    content = _lock(requirements).read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    return f"{requirements} {hashlib.sha256(content).hexdigest()}"


def _uv() -> list[str] | None:
    """How to call uv: from the PATH, else fetched into .boot/; ``None`` when it cannot be had."""
    found = shutil.which("uv")
    if found:
        return [found]
    fetched = BOOT / "bin" / "uv"
    if not fetched.exists():
        # --target works with an externally managed Python and needs neither venv nor ensurepip.
        fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(  # noqa: S603 - our own arguments
            [*fetch, "--target", str(BOOT), f"uv=={UV_VERSION}"], capture_output=True, check=False
        )
        if done.returncode != 0 or not fetched.exists():
            return None
    return [str(fetched)]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False)  # noqa: S603 - our own arguments
    if done.returncode != 0:
        _fail(f"{' '.join(map(str, command))} ended with status {done.returncode}.")


def _fail(message: str) -> NoReturn:
    sys.exit(f"bootstrap: {message}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
