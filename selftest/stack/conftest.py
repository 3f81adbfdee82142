"""What the tests of the local stack share: patience, a look at the processes, and interpreters to start."""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

import stack

DEADLINE_SECONDS = 60.0


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object]], bool]:
    """Wait for a condition; false if it does not come true before the deadline."""

    def wait(condition: Callable[[], object]) -> bool:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    return wait


@pytest.fixture(scope="session")
def processes_of() -> Callable[[str | Path], list[str]]:
    """The command lines of the living processes that work in a directory or name it."""

    def look(directory: str | Path) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                if str(directory) in f"{command} {process.cwd()}" and process.pid != os.getpid():
                    found.append(command)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
        return found

    return look


@pytest.fixture(scope="session")
def interpreter_for_anybody() -> str:
    """An interpreter of this version that an ordinary user may execute, with this environment's packages."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        path = Path(candidate)
        if path.exists() and all(place.stat().st_mode & 0o001 for place in (path, *path.resolve().parents)):
            return candidate
    pytest.skip(
        f"no Python 3.{sys.version_info.minor} that other users may execute; install the system's own"
    )


@pytest.fixture(scope="session")
def python_environment() -> Mapping[str, str]:
    """Environment variables with which any interpreter of this version finds the stack and its packages."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON")) and k != "TMPDIR"}
    sources = str(Path(stack.__file__).parents[1])
    return {**inherited, "PYTHONPATH": os.pathsep.join([sources, sysconfig.get_path("purelib")])}


@pytest.fixture
def broken_programs(tmp_path: Path) -> Path:
    """A directory of PostgreSQL programs that know their version and do nothing else."""
    directory = tmp_path / "broken"
    directory.mkdir()
    for name in ("initdb", "psql", "postgres"):
        program = directory / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.6'\necho broken\nexit 1\n")
        program.chmod(0o755)
    return directory
