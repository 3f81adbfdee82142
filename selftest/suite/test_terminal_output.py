"""What a run shows on the terminal, and what becomes of it when nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selftest.suite.conftest import SmallSuite

TESTS = """
@checkpoint("DEM-1")
@pytest.mark.read_only
def test_first(expect, progress):
    \"\"\"The first thing holds.\"\"\"
    with progress("the first thing to happen", 1):
        expect("things", 1).equals(1)


@checkpoint("DEM-2")
@pytest.mark.read_only
def test_second(expect):
    \"\"\"The second thing holds.\"\"\"
    expect("things", 1).equals(2)
"""


@pytest.fixture
def failing(suite: SmallSuite) -> SmallSuite:
    """A suite whose first check shows its progress, and whose second one fails."""
    suite.tests(TESTS)
    return suite


@pytest.mark.parametrize("options", [(), ("-q",), ("-n", "1")], ids=["default", "quiet", "xdist"])
def test_the_verdict_comes_last(failing: SmallSuite, options: tuple[str, ...]) -> None:
    """After the verdict and the place of the report only pytest's closing line follows."""
    finished = failing.run(*options)
    lines = [line for line in finished.output.splitlines() if line.strip()]
    assert lines[-2] == f"Report: {finished.directory / 'signoff.html'}"
    assert "1 failed, 1 passed" in lines[-1]


def test_what_pytest_lists_on_request(failing: SmallSuite) -> None:
    """With -r the list that pytest makes of the tests is printed as well."""
    assert "FAILED tests/demo/test_demo.py::test_second" in failing.run("-rf").output.splitlines()[-2]


@pytest.mark.parametrize("options", [(), ("-q",), ("-s",)], ids=["default", "quiet", "uncaptured"])
def test_what_a_long_check_waits_for_has_its_own_line(failing: SmallSuite, options: tuple[str, ...]) -> None:
    """The line of a long check is not appended to the letters of other tests."""
    assert "the first thing to happen: 0 s of about 1 s" in failing.run(*options).output.splitlines()


@pytest.mark.parametrize(
    "options",
    [("-p", "no:terminal"), ("-q", "-q"), ("--tb=no",), ("-p", "no:capture"), ("--color=yes",)],
    ids=" ".join,
)
def test_the_terminal_does_not_decide(failing: SmallSuite, options: tuple[str, ...]) -> None:
    """However little or much is shown, verdict and reports are the same."""
    finished = failing.run(*options)
    assert finished.status == 1
    assert [finished.checkpoint(id_).outcome for id_ in ("DEM-1", "DEM-2")] == ["passed", "failed"]


def test_a_reader_that_goes_away(suite: SmallSuite) -> None:
    """A run whose output nobody reads any more (`| head`) is not green and says that it broke."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--env=demo"],
        cwd=suite.root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("collected"):
        assert process.poll() is None
    process.stdout.close()
    finished = suite.finished(process.wait(timeout=60), "")
    assert finished.status != 0
    assert finished.record.run.state == "interrupted"
    assert any("BrokenPipeError" in problem for problem in finished.record.run.problems)
