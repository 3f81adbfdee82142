"""Booting the stack that a profile names."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signoff.boot import Stack
from signoff.errors import StackError

if TYPE_CHECKING:
    from selftest.suite.conftest import SmallSuite

READY = 'print(\'{"facts": {"port": 5432, "host": "here"}}\', flush=True)'
WAIT = "sys.stdin.read()"


def program(*statements: str) -> list[str]:
    """The argv of a program with these statements."""
    return [sys.executable, "-c", "\n".join(("import os, sys, time", *statements))]


def boot(*statements: str, ready_within: float = 30) -> Stack:
    """Boot a program as a stack."""
    return Stack(program(*statements), directory=Path.cwd(), ready_within=ready_within)


def test_facts_are_what_the_program_reports() -> None:
    """A stack that is up gives the facts that it printed, and ends when it is told to."""
    stack = boot(READY, WAIT)
    assert stack.facts == {"port": 5432, "host": "here"}
    assert stack.is_running
    stack.stop()
    assert not stack.is_running


@pytest.mark.parametrize(
    ("statements", "ready_within", "got"),
    [
        pytest.param(("sys.exit('no disk')",), 30, "its end before it was ready", id="ends"),
        pytest.param((WAIT,), 0.2, "nothing within 0.2 s", id="hangs"),
        pytest.param(("print('hello', flush=True)", WAIT), 30, "the line 'hello'", id="says-something-else"),
        pytest.param(("print('{\"facts\": [1]}', flush=True)", WAIT), 30, "the facts [1]", id="wrong-shape"),
    ],
)
def test_a_stack_that_does_not_come_up(statements: tuple[str, ...], ready_within: float, got: str) -> None:
    """What a program did instead of reporting facts is said, and it does not stay behind."""
    with pytest.raises(StackError) as caught:
        _ = boot(*statements, ready_within=ready_within).facts
    assert got in caught.value.got


def test_what_the_program_said_is_part_of_the_error() -> None:
    """The last words of a program that failed reach the reader."""
    with pytest.raises(StackError, match="no disk"):
        _ = boot("sys.exit('no disk')").facts


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    """A command that cannot be started is an error that names it."""
    with pytest.raises(StackError, match="No such file"):
        Stack([str(tmp_path / "nothing")], directory=tmp_path, ready_within=1)


def test_a_run_whose_stack_does_not_come_up(suite: SmallSuite) -> None:
    """The run ends before the first test, with a record that says why."""
    path = suite.root / "environments/demo.toml"
    path.write_text(
        path.read_text() + '\n[stack]\ncommand = ["{python}", "-c", "raise SystemExit(\'no disk\')"]\n'
    )
    finished = suite.run()
    assert finished.status == 4
    assert finished.record.run.state == "interrupted"
    assert any("no disk" in problem for problem in finished.record.run.problems)
    assert finished.record.counts()["not_run"] == 2


def test_a_killed_run_takes_its_stack_along(suite: SmallSuite, tmp_path: Path) -> None:
    """The stack ends when the run is killed, because its standard input closes."""
    pid_file = tmp_path / "pid"
    stack = tmp_path / "stack.py"
    stack.write_text(
        f"import os, sys\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\n{READY}\n{WAIT}\n"
    )
    path = suite.root / "environments/demo.toml"
    path.write_text(path.read_text() + f'\n[stack]\ncommand = ["{{python}}", "{stack}"]\n')
    suite.tests(
        '@checkpoint("DEM-1")\n@pytest.mark.read_only\ndef test_first(expect):\n'
        '    """The first thing holds."""\n    os.kill(os.getpid(), 9)\n'
    )
    finished = suite.run()
    assert finished.status == -9
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
