"""A project of its own in a temporary folder, and the command run the way a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

RUNBOOK = """\
---
title: Demonstration
system: demo
owner: Team
sign_off: [DBA]
rollback_decided_by: DBA
settings:
  limit: {type: integer, about: "a limit", default: 1}
roles:
  application: the role that the application logs in with
---
# Demonstration

## Verification {#verification}

- [ ] **DEM-1** The first thing holds. {covers="DEM-7 DEM-8"}
- [ ] **DEM-2** The DBA agrees. {.manual role="DBA"}

## Migration {#migration .transitional}

- [ ] **DEM-3** The change is applied. {.rollback}
"""

TESTS = '''
from pathlib import Path

import pytest

from signoff import checkpoint

print("printed while the module is imported")


@checkpoint("DEM-1")
@pytest.mark.read_only
@pytest.mark.performance
@pytest.mark.parametrize("number", [1, 2])
def test_first(number, expect):
    """The first thing holds."""
    Path("ran").touch()


@checkpoint("DEM-3")
@pytest.mark.destructive
def test_change(expect):
    """The change is applied."""
    Path("ran").touch()
'''

PROFILE = """\
schema = 1
name = "{name}"
description = "An environment"
promotes = false
destructive = "always"

[systems.demo]
"""


@dataclass(frozen=True)
class Answer:
    """What the command said.

    Attributes:
        status: its exit status.
        out: its standard output.
        err: its standard error.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    """A project with one runbook, all of whose lines are verified.

    Attributes:
        root: its folder.
    """

    root: Path

    def write(self, name: str, content: str) -> Path:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def profile(self, tables: str = "", *, name: str = "demo") -> Path:
        """Write a profile."""
        return self.write(f"environments/{name}.toml", PROFILE.format(name=name) + tables)

    def ask(self, *arguments: str, **environment: str) -> Answer:
        """Run the command and wait for it."""
        process = subprocess.run(
            [sys.executable, "-c", "import sys; from signoff.cli import main; sys.exit(main())", *arguments],
            cwd=self.root,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(process.returncode, process.stdout, process.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project without any environment."""
    made = Project(tmp_path / "project")
    made.write("conftest.py", '"""The suite."""\n\npytest_plugins = ["signoff.plugin"]\n')
    made.write(
        "pyproject.toml",
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n'
        'addopts = ["--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider"]\n',
    )
    shutil.copy(ROOT / "markers.ini", made.root)
    made.write("tests/demo/runbook.md", RUNBOOK)
    made.write("tests/demo/test_demo.py", TESTS)
    return made
