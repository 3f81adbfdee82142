"""``signoff-stack up``, ``status`` and ``down``: a stack for interactive work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

Eventually = Callable[[Callable[[], object]], bool]
ProcessesOf = Callable[[str | Path], list[str]]

COMMAND = [sys.executable, "-m", "stack"]
SIZE = ["--sessions", "300", "--addresses", "20"]


class Project:
    """A project's directory, and the command run in it."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self._environment = environment

    def start(self, *arguments: str, directory: Path | None = None) -> subprocess.Popen[str]:
        """Start the command, in a session of its own as a terminal gives it."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory or self.root,
            start_new_session=True,
        )

    def run(self, *arguments: str, directory: Path | None = None) -> tuple[int, str, str]:
        """Run the command: its exit status, standard output and standard error."""
        process = self.start(*arguments, directory=directory)
        output, errors = process.communicate()
        return process.returncode, output, errors

    def status(self) -> dict[str, Any]:
        """What ``status --json`` prints."""
        answer: dict[str, Any] = json.loads(self.run("status", "--json")[1])
        return answer


@pytest.fixture
def project(tmp_path: Path, python_environment: Mapping[str, str]) -> Iterator[Project]:
    """A project of its own, whose stack is ended after the test."""
    (tmp_path / "pyproject.toml").touch()
    project = Project(tmp_path, python_environment)
    yield project
    project.run("down")


def test_up_status_down(project: Project, processes_of: ProcessesOf) -> None:
    """A stack that is brought up outlives its terminal, and answers until it is brought down."""
    terminal = project.start("up", *SIZE)
    terminal.communicate()
    assert terminal.returncode == 0
    below = project.root / "tests"
    below.mkdir()
    code, output, _ = project.run("status", "--json", directory=below)
    answer = json.loads(output)
    assert (code, answer["running"]) == (0, True)
    assert os.getsid(answer["pid"]) == answer["pid"] != terminal.pid
    facts = answer["facts"]
    with psycopg.connect(
        host=facts["postgres_host"],
        port=facts["postgres_port"],
        dbname="codex_memory",
        user="signoff_monitor",
        password=(Path(facts["directory"]) / "signoff_monitor.password").read_text(),
    ) as session:
        assert session.execute("select count(*) > 0 from memories").fetchone() == (True,)
    code, output, _ = project.run("status")
    assert code == 0
    assert str(facts["postgres_port"]) in output
    assert project.run("down", directory=below) == (0, "", "")
    assert not Path(facts["directory"]).exists()
    assert processes_of(facts["directory"]) == []
    assert project.run("status", "--json")[:2] == (3, '{"running": false}\n')


def test_two_ups_at_once(project: Project) -> None:
    """Of two that are started at once exactly one comes up; the other says that there is one."""
    both = [project.start("up", *SIZE) for _ in range(2)]
    answers = [(*process.communicate(), process.returncode) for process in both]
    codes = sorted(answer[2] for answer in answers)
    assert codes == [0, 1]
    loser = next(answer for answer in answers if answer[2] == 1)
    assert loser[0] == ""
    assert "a stack that runs or is being started" in loser[1]
    assert project.status()["running"]


def test_a_stale_state_is_recognised(
    project: Project, processes_of: ProcessesOf, eventually: Eventually
) -> None:
    """After a SIGKILL the status is "not running", nothing is left, and a new one can be brought up."""
    assert project.run("up", *SIZE)[0] == 0
    before = project.status()
    os.kill(before["pid"], signal.SIGKILL)
    assert eventually(lambda: not project.status()["running"])
    assert eventually(lambda: not processes_of(before["facts"]["directory"]))
    assert eventually(lambda: not Path(before["facts"]["directory"]).exists())
    assert project.run("up", *SIZE)[0] == 0
    assert project.status()["facts"]["system_identifier"] != before["facts"]["system_identifier"]


def test_down_without_a_stack(project: Project) -> None:
    """To bring down what is not there is told by exit status 3 and a message that says how to start one."""
    code, output, errors = project.run("down")
    assert (code, output) == (3, "")
    assert "signoff-stack up" in errors


def test_asking_leaves_nothing_behind(project: Project) -> None:
    """To ask for the status where no stack ever was makes no folder."""
    assert not project.status()["running"]
    assert not (project.root / ".stack").exists()


def test_up_that_fails_says_why(
    project: Project, python_environment: Mapping[str, str], broken_programs: Path
) -> None:
    """A stack that does not come up: exit status 1, the reason on standard error, and none is running."""
    broken = Project(project.root, {**python_environment, "PG_BIN": str(broken_programs)})
    code, output, errors = broken.run("up", *SIZE)
    assert (code, output) == (1, "")
    assert "broken" in errors
    assert not project.status()["running"]
