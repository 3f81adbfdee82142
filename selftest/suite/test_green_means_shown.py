"""Promise 1: whatever a run can do without showing anything, it does not end green."""

from __future__ import annotations

import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signoff.session import ROLLBACK_STATUS

if TYPE_CHECKING:
    from selftest.suite.conftest import Finished, SmallSuite

GREEN_FIRST = """
@checkpoint("DEM-1")
@pytest.mark.read_only
def test_first(expect):
    \"\"\"The first thing holds.\"\"\"
    expect("things", 1).equals(1)
"""


def second(body: str, decorators: str = "", arguments: str = "expect") -> str:
    """A green first test, and a second one with this body."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        GREEN_FIRST
        + f'\n\n{decorators}\n@checkpoint("DEM-2")\n@pytest.mark.read_only\n'
        + f'def test_second({arguments}):\n    """The second thing holds."""\n{lines}\n'
    )


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def assert_not_green(finished: Finished) -> None:
    """No reader of exit status, record, verdict or JUnit file could take the run for a green one."""
    assert finished.status != 0, finished.output
    assert_reports_not_green(finished)


def assert_reports_not_green(finished: Finished) -> None:
    """No reader of record, verdict or JUnit file could take the run for a green one."""
    assert finished.record.verdict.decision == "HOLD"
    root = ET.parse(finished.directory / "junit.xml").getroot()  # noqa: S314 - our own file
    assert root.findall(".//failure") or root.findall(".//error")
    assert "HOLD" in (finished.directory / "signoff.html").read_text(encoding="utf-8")


def test_a_suite_whose_checkpoints_are_all_shown_is_promoted(suite: SmallSuite) -> None:
    """The control: the suite that every other test breaks is green."""
    finished = suite.run()
    assert finished.status == 0, finished.output
    assert finished.record.verdict.decision == "PROMOTE"
    assert finished.record.counts()["passed"] == 2


def test_a_failure_that_calls_for_a_rollback(suite: SmallSuite) -> None:
    """A failed checkpoint that is marked so gives the verdict ROLLBACK, and an exit status of its own."""
    suite.runbook("## Verification {#verification}", "", "- [ ] **DEM-1** The first thing. {.rollback}")
    suite.tests(GREEN_FIRST.replace("1).equals(1)", "1).equals(2)"))
    finished = suite.run()
    assert finished.record.verdict.decision == "ROLLBACK"
    assert finished.status == ROLLBACK_STATUS
    assert finished.status not in set(pytest.ExitCode)


@pytest.mark.parametrize("selection", [("-k", "nothing"), ("-m", "security")], ids=["by-k", "by-m"])
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one-process", "xdist"])
def test_nothing_selected(suite: SmallSuite, selection: tuple[str, ...], workers: tuple[str, ...]) -> None:
    """A selection that leaves no test holds the release and lists what did not run."""
    finished = suite.run(*selection, *workers)
    assert_not_green(finished)
    assert finished.record.counts()["not_run"] == 2


def test_a_collection_error(suite: SmallSuite) -> None:
    """A module that cannot be imported is named as a problem of the run."""
    suite.tests(second("expect('things', 2).equals(2)") + "\nimport nothing_of_that_name\n")
    finished = suite.run()
    assert_not_green(finished)
    assert any("test_demo.py could not be collected" in problem for problem in finished.record.run.problems)


@pytest.mark.parametrize(
    ("test", "outcome", "reason"),
    [
        pytest.param(second("pytest.skip('not today')"), "not_run", "not today", id="skip"),
        pytest.param(
            second("expect('things', 2).equals(2)", '@pytest.mark.skipif(True, reason="never")'),
            "not_run",
            "never",
            id="skipif",
        ),
        pytest.param(
            second(
                "expect('things', value).equals(2)",
                '@pytest.mark.parametrize("value", [])',
                "expect, value",
            ),
            "not_run",
            "empty parameter set",
            id="no-parameters",
        ),
        pytest.param(second("pass"), "error", "judged no criterion", id="nothing-judged"),
        pytest.param(second("expect('things', 2)"), "error", "never judged", id="comparison-forgotten"),
        pytest.param(second("expect('things', None).equals(2)"), "error", "no value", id="no-value"),
        pytest.param(second("1 / 0"), "error", "ZeroDivisionError", id="crash"),
        pytest.param(second("assert 1 == 2"), "failed", "1 == 2", id="assert"),
        pytest.param(
            second("try:\n    expect('things', 1).equals(2)\nexcept Exception:\n    pass"),
            "failed",
            "1 measured, required = 2",
            id="failure-swallowed",
        ),
        pytest.param(
            second(
                "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n"
                "expect('things', 2).equals(2)"
            ),
            "error",
            "ZeroDivisionError",
            id="thread-exception",
        ),
        pytest.param(
            "@pytest.fixture\ndef broken():\n    yield\n    raise OSError('no disk')\n"
            + second("expect('things', 2).equals(2)", arguments="expect, broken"),
            "error",
            "no disk",
            id="tear-down",
        ),
        pytest.param(
            "@pytest.fixture\ndef broken():\n    raise OSError('no disk')\n"
            + second("expect('things', 2).equals(2)", arguments="expect, broken"),
            "error",
            "no disk",
            id="set-up",
        ),
    ],
)
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one-process", "xdist"])
def test_a_test_that_shows_nothing(
    suite: SmallSuite, test: str, outcome: str, reason: str, workers: tuple[str, ...]
) -> None:
    """A skipped, empty, crashed or swallowed check has the outcome that says so, with its reason."""
    suite.tests(test)
    finished = suite.run(*workers)
    assert_not_green(finished)
    result = finished.checkpoint("DEM-2")
    assert result.outcome == outcome
    assert reason in result.reason
    assert finished.checkpoint("DEM-1").outcome == "passed"


@pytest.mark.parametrize(
    ("decorator", "got"),
    [
        pytest.param("@pytest.mark.xfail(strict=False)", "xfail", id="xfail"),
        pytest.param('@checkpoint("DEM-1")', "DEM-2 and DEM-1", id="two-checkpoints"),
        pytest.param("@pytest.mark.destructive", "read_only and destructive", id="two-accesses"),
    ],
)
def test_a_test_that_does_not_fit_is_a_collection_error(suite: SmallSuite, decorator: str, got: str) -> None:
    """A test that could not be trusted is refused before anything runs."""
    suite.tests(second("expect('things', 2).equals(2)", decorator))
    finished = suite.run()
    assert_not_green(finished)
    assert got in finished.output
    assert finished.record.counts()["passed"] == 0


def test_a_test_without_access(suite: SmallSuite) -> None:
    """A test without access is no silent deselection by -m read_only but a collection error."""
    suite.tests(
        GREEN_FIRST
        + '\n\n@checkpoint("DEM-2")\ndef test_second(expect):\n    """The second thing holds."""\n'
    )
    finished = suite.run("-m", "read_only")
    assert_not_green(finished)
    assert "exactly one of read_only and destructive" in finished.output


def test_a_test_of_an_unknown_checkpoint(suite: SmallSuite) -> None:
    """A test that names an unknown checkpoint is a collection error that offers the nearest one."""
    suite.tests(second("expect('things', 2).equals(2)").replace("DEM-2", "DEM-22"))
    finished = suite.run()
    assert_not_green(finished)
    assert "Did you mean DEM-2?" in finished.output


def test_a_checkpoint_that_nothing_verifies(suite: SmallSuite) -> None:
    """A checkpoint with neither test nor role is an item that errors."""
    suite.tests(GREEN_FIRST)
    finished = suite.run()
    assert_not_green(finished)
    assert finished.checkpoint("DEM-2").outcome == "error"
    assert "nothing verifies it" in finished.checkpoint("DEM-2").reason


def test_a_manual_checkpoint_without_attestation(suite: SmallSuite) -> None:
    """A manual checkpoint is pending until a person attests it."""
    suite.runbook(
        "## Verification {#verification}",
        "- [ ] **DEM-1** The first thing holds.",
        '- [ ] **DEM-2** Somebody has looked. {.manual role="DBA"}',
    )
    suite.tests(GREEN_FIRST)
    finished = suite.run("-m", "read_only")
    assert_not_green(finished)
    assert finished.checkpoint("DEM-2").outcome == "pending"


def test_a_module_that_skips_itself(suite: SmallSuite) -> None:
    """A module-level importorskip beside a passing test is a problem of the run."""
    suite.write("tests/demo/test_other.py", 'import pytest\n\npytest.importorskip("nothing_of_that_name")\n')
    finished = suite.run()
    assert_not_green(finished)
    assert any("test_other.py was skipped" in problem for problem in finished.record.run.problems)


def test_pytest_exit_with_status_zero(suite: SmallSuite) -> None:
    """pytest.exit(returncode=0) is an interrupted run."""
    suite.tests(second("pytest.exit('enough', returncode=0)"))
    finished = suite.run()
    assert_not_green(finished)
    assert finished.record.run.state == "interrupted"
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"


def test_collect_only_from_the_environment(suite: SmallSuite) -> None:
    """PYTEST_ADDOPTS=--co runs nothing, says so, and leaves no record that could be archived."""
    finished = suite.run(PYTEST_ADDOPTS="--co")
    assert finished.status != 0
    assert finished.directories == ()


def test_a_process_that_exits_with_status_zero(suite: SmallSuite) -> None:
    """os._exit(0) in a test cannot be caught; record and reports say INCOMPLETE and what never ran."""
    suite.tests(second("os._exit(0)"))
    finished = suite.run()
    assert_reports_not_green(finished)
    record = finished.record
    assert record.run.state == "incomplete"
    assert "INCOMPLETE" in record.verdict.findings[0].text
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"


def test_stopping_at_the_first_failure(suite: SmallSuite) -> None:
    """With -x, the checkpoints after the failure are listed as not run."""
    suite.tests(second("expect('things', 2).equals(2)").replace('expect("things", 1)', 'expect("things", 0)'))
    finished = suite.run("-x")
    assert_not_green(finished)
    assert finished.checkpoint("DEM-1").outcome == "failed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"


def test_a_second_attempt_does_not_hide_the_first(suite: SmallSuite) -> None:
    """A test that fails and then passes is a failed checkpoint: every attempt is in the record."""
    suite.write(
        "conftest.py",
        '''
        """A suite that repeats what failed, as plugins for reruns do."""

        import pytest
        from _pytest.runner import runtestprotocol

        pytest_plugins = ["signoff.plugin"]


        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item, nextitem):
            """Run every test twice."""
            for _ in range(2):
                item._initrequest()
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
        ''',
    )
    suite.tests(
        "ATTEMPTS = []\n" + second("ATTEMPTS.append(1)\nexpect('attempts', len(ATTEMPTS)).at_least(2)")
    )
    finished = suite.run()
    assert_not_green(finished)
    result = finished.checkpoint("DEM-2")
    assert [test.outcome for test in result.tests] == ["failed", "passed"]
    assert result.outcome == "failed"


def test_a_worker_that_is_killed(suite: SmallSuite) -> None:
    """A lost xdist worker is an error of the checkpoint it was at, and a problem of the run."""
    suite.tests(second("os.kill(os.getpid(), 9)"))
    finished = suite.run("-n", "2")
    assert_not_green(finished)
    assert finished.checkpoint("DEM-2").outcome == "error"
    assert any("was lost" in problem for problem in finished.record.run.problems)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one-process", "xdist"])
def test_a_run_that_is_killed(suite: SmallSuite, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """After SIGKILL the record on disk is incomplete, knows what passed and names what never ran."""
    reached = tmp_path / "reached"
    suite.tests(second(f"open({str(reached)!r}, 'w').close()\nthreading.Event().wait(60)"))
    process = suite.start("--env=demo", *workers)
    # With xdist the result of the first test is on its way to the controller when the second one begins.
    wait_until(lambda: reached.exists() and suite.finished(0, "").checkpoint("DEM-1").outcome == "passed")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    if process.stdout is not None:
        process.stdout.close()
    finished = suite.finished(process.returncode, "")
    assert_not_green(finished)
    assert finished.record.run.state == "incomplete"
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="ctrl-c"),
        pytest.param(signal.SIGHUP, id="closed-terminal"),
        pytest.param(signal.SIGTERM, id="cancelled-job"),
    ],
)
def test_a_run_that_is_interrupted(suite: SmallSuite, tmp_path: Path, number: signal.Signals) -> None:
    """A run that is told to end leaves a finished record that says interrupted, and exit status 2."""
    reached = tmp_path / "reached"
    suite.tests(second(f"open({str(reached)!r}, 'w').close()\nthreading.Event().wait(60)"))
    process = suite.start("--env=demo")
    wait_until(reached.exists)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    finished = suite.finished(process.returncode, output)
    assert finished.status == 2
    assert_not_green(finished)
    assert finished.record.run.state == "interrupted"
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"


def test_a_path_that_leaves_checkpoints_out(suite: SmallSuite) -> None:
    """Naming one test leaves the other checkpoints not run, not unverified and not forgotten."""
    finished = suite.run("tests/demo/test_demo.py::test_first")
    assert_not_green(finished)
    assert finished.checkpoint("DEM-1").outcome == "passed"
    assert finished.checkpoint("DEM-2").outcome == "not_run"
    assert "no test of it was collected" in finished.checkpoint("DEM-2").reason
