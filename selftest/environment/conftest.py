from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from signoff.environment import Declarations, SystemDeclaration
from signoff.runbook import Setting

HEAD = """
schema = 1
name = "prod"
description = "An environment for tests"
promotes = true
destructive = "approval"
"""

POSTGRES = """
[systems.codex_memory.postgres]
host = "db1.example.org"
database = "codex_memory"
user = "monitor"
password = { env = "MONITOR_PASSWORD" }
"""


@pytest.fixture
def declarations() -> Declarations:
    """What the runbooks of these tests declare."""
    return Declarations(
        systems={
            "codex_memory": SystemDeclaration(
                names={"memories": "memories", "summaries": "memory_summaries"},
                settings={
                    "sla_p95_ms": Setting("number", "longest time in ms", 250),
                    "pool_size": Setting("integer", "connections"),
                    "drain_within": Setting("duration", "time to drain", "1h"),
                    "alert": Setting("text", "name of the alert", ""),
                    "panels": Setting("list", "titles", ["one"]),
                },
                artifacts={"report": "JUnit XML"},
                procedures={"apply": "applies it", "rollback": "takes it back"},
                roles={"application": "of the application"},
            )
        },
        checkpoints=frozenset({"SEC-055", "SEC-056"}),
    )


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a folder of profiles, as working directory; its one secret is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONITOR_PASSWORD", "correct-horse")
    folder = tmp_path / "environments"
    folder.mkdir()
    return folder


@pytest.fixture
def write(directory: Path) -> Callable[..., Path]:
    """Writes a profile: the tables given below a valid head and a valid PostgreSQL."""

    def write(tables: str = "", *, head: str = HEAD, postgres: str = POSTGRES, name: str = "prod") -> Path:
        path = directory / f"{name}.toml"
        path.write_text(head + postgres + tables)
        return path

    return write
