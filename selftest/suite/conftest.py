"""A small suite of its own in a temporary folder, run the way a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from signoff.record import CheckpointResult, Record
from signoff.report.record_file import read_record

ROOT = Path(__file__).resolve().parents[2]

RUNBOOK = """\
---
title: Demonstration
system: demo
owner: Team
sign_off: [DBA]
rollback_decided_by: DBA
---
# Demonstration

## Verification {#verification}

- [ ] **DEM-1** The first thing holds.
- [ ] **DEM-2** The second thing holds.
"""

PROFILE = """\
schema = 1
name = "demo"
description = "An environment without components."
promotes = false
destructive = "always"

[systems.demo]
"""

TESTS = '''
import pytest
from signoff import checkpoint


@checkpoint("DEM-1")
@pytest.mark.read_only
def test_first(expect):
    """The first thing holds."""
    expect("things", 1).equals(1)


@checkpoint("DEM-2")
@pytest.mark.read_only
def test_second(expect):
    """The second thing holds."""
    expect("things", 2).equals(2)
'''


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        status: exit status of pytest.
        output: standard output and standard error.
        directories: the archived runs of the suite, oldest first.
    """

    status: int
    output: str
    directories: tuple[Path, ...]

    @property
    def directory(self) -> Path:
        """Where the one run is archived."""
        (directory,) = self.directories
        return directory

    @property
    def record(self) -> Record:
        """The record of the one run."""
        return read_record(self.directory / "record.json")

    def checkpoint(self, id_: str) -> CheckpointResult:
        """The one result of a checkpoint."""
        (result,) = (c for c in self.record.checkpoints if c.id == id_)
        return result


def _heed_ctrl_c() -> None:
    # A shell makes what it starts in the background deaf to Ctrl-C, and that is handed down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class SmallSuite:
    """A suite with one runbook; green as it is made.

    Attributes:
        root: its folder.
    """

    root: Path

    def write(self, name: str, content: str) -> Path:
        """Write a file of the suite."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content), encoding="utf-8")
        return path

    def runbook(self, *lines: str, head: str = RUNBOOK.split("## ", maxsplit=1)[0]) -> None:
        """Replace the body of the runbook."""
        self.write("tests/demo/runbook.md", head + "\n".join(lines) + "\n")

    def tests(self, content: str) -> None:
        """Replace the tests; the imports and the names ``pytest`` and ``checkpoint`` are there."""
        head = "import os\nimport threading\n\nimport pytest\n\nfrom signoff import checkpoint\n\n"
        self.write("tests/demo/test_demo.py", head + dedent(content))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start pytest in the suite, as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=self.root,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - nothing else runs in this process
        )

    def run(self, *arguments: str, env: str | None = "demo", **environment: str) -> Finished:
        """Run pytest in the suite and wait for it."""
        choice = [f"--env={env}"] if env else []
        process = self.start(*choice, *arguments, **environment)
        output, _ = process.communicate(timeout=60)
        return self.finished(process.returncode, output)

    def finished(self, status: int, output: str) -> Finished:
        """What a run has left behind."""
        directories = sorted(path.parent for path in self.root.glob("reports/*/*/*/record.json"))
        return Finished(status, output, tuple(directories))


@pytest.fixture
def suite(tmp_path: Path) -> SmallSuite:
    """A fresh, green suite."""
    made = SmallSuite(tmp_path / "suite")
    made.write("conftest.py", '"""The suite."""\n\npytest_plugins = ["signoff.plugin"]\n')
    made.write(
        "pyproject.toml",
        """
        [tool.pytest.ini_options]
        testpaths = ["tests"]
        addopts = [
          "--strict-markers",
          "--strict-config",
          "--import-mode=importlib",
          "-p", "no:cacheprovider",
          "-p", "no:hypothesispytest",
          "-p", "no:platformdirs",
        ]
        """,
    )
    shutil.copy(ROOT / "markers.ini", made.root)
    made.write("environments/demo.toml", PROFILE)
    made.write("tests/demo/runbook.md", RUNBOOK)
    made.write("tests/demo/test_demo.py", TESTS)
    return made
