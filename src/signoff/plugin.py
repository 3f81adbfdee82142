"""The pytest plugin: hooks only. What they decide stands in the modules they call."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from signoff.attempt import ATTEMPT, Attempt, pack, unpack
from signoff.errors import SignoffError
from signoff.fixtures import Fixtures
from signoff.items import collect_runbook
from signoff.plan import CHECKPOINT_MARK, check
from signoff.session import RunSession
from signoff.status import TestStatus, print_record, status_of
from signoff.suite import SUITE, Suite

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

AnyReport: TypeAlias = pytest.CollectReport | pytest.TestReport | None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's command line."""
    group = parser.getgroup("signoff", "operational verification")
    group.addoption("--env", metavar="NAME", help="the environment to verify, a profile in environments/")
    group.addoption(
        "--runbook", action="append", default=[], metavar="NAME", help="only this runbook (repeatable)"
    )
    group.addoption(
        "--stage", action="append", default=[], metavar="NAME", help="only this stage (repeatable)"
    )
    group.addoption("--release", default="unreleased", metavar="NAME", help="the release that is verified")
    group.addoption(
        "--allow-destructive",
        metavar="ENV",
        help="name the environment again, to run destructive tests where its profile asks for it",
    )
    group.addoption(
        "--reports", default="reports", metavar="DIR", help="where runs are archived; write --reports=DIR"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read markers, runbooks and profile; whatever is wrong with them is said before anything runs."""
    config.addinivalue_line("markers", f"{CHECKPOINT_MARK}(id): the checkpoint that the test verifies.")
    # A failure in a background thread is a failure of the check, whatever the suite's own settings say.
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")
    try:
        suite = Suite.of(config)
    except SignoffError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[SUITE] = suite
    for marker in suite.markers:
        config.addinivalue_line("markers", marker.line())
    config.pluginmanager.register(CollectionHooks(suite), "signoff-collection")
    config.pluginmanager.register(Fixtures(suite), "signoff-fixtures")
    if suite.profile is not None:
        config.pluginmanager.register(TestHooks(suite), "signoff-tests")
        if not suite.is_worker:
            config.pluginmanager.register(RunHooks(RunSession(suite)), "signoff-run")


class CollectionHooks:
    """Which items there are, in which order, and which of them run."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out runbooks that were not asked for."""
        return True if self._suite.leaves_out(collection_path) else None

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect runbooks."""
        runbook = self._suite.runbook_at(file_path)
        return collect_runbook(parent, runbook) if runbook else None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Make a test that does not fit the runbooks a collection error."""
        report = yield
        problems = []
        for item in report.result if report.passed else ():
            if isinstance(item, pytest.Function):
                try:
                    check(item, self._suite.whole_inventory)
                except SignoffError as error:
                    problems.append(str(error))
        if problems:
            report.outcome = "failed"
            report.longrepr = "\n".join(problems)
            report.result = []
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None]:
        """Bring the items into document order and decide what runs."""
        candidates = self._suite.arrange(items)
        yield
        self._suite.decide(session, candidates, items)


class TestHooks:
    """What happens in one test; in the process that runs it."""

    __test__ = False

    def __init__(self, suite: Suite) -> None:
        self._suite = suite

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Spare the garbage collector what stays until the end: all that is loaded and collected by now."""
        gc.freeze()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an attempt, unless the environment forbids what the test does."""
        self._suite.attempt = item.stash[ATTEMPT] = Attempt(item, self._suite)
        self._suite.permit(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what was raised; when the test is over, attach its result to the report."""
        report = yield
        attempt = item.stash[ATTEMPT]
        if call.when == "teardown":
            # A long run need not keep what its tests have left behind.
            del item.stash[ATTEMPT]
        return attempt.complete(report, call)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        """Let xdist carry a result to the controller."""
        return pack((yield))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Close every connection."""
        self._suite.close()


class RunHooks:
    """The run as a whole; in the process that the user started."""

    def __init__(self, run: RunSession) -> None:
        self._run = run

    def pytest_report_header(self) -> list[str]:
        """Say what is verified."""
        return self._run.header()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Begin the record, boot the stack and make sure that the target is the right one."""
        try:
            self._run.begin()
        except SignoffError as error:
            self._run.abandon(str(error), pytest.ExitCode.USAGE_ERROR)
            raise pytest.UsageError(f"signoff: {error}") from error
        except KeyboardInterrupt:
            self._run.abandon("the run was stopped before its first test", pytest.ExitCode.INTERRUPTED)
            raise

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> object:
        """Run runbooks side by side, and keep the order inside each."""
        from signoff.distribution import RunbookScheduling  # noqa: PLC0415 - xdist may be switched off

        return RunbookScheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker what the controller knows."""
        node.workerinput["signoff"] = self._run.for_worker()

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(self) -> Generator[None, AnyReport, AnyReport]:
        """Take a result that xdist has carried here."""
        return unpack((yield))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """Take the plan from an xdist worker."""
        self._run.take_plan_of(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Note a worker that went away before its time."""
        if error:
            self._run.lost_worker(node.gateway.id, error)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if not report.passed:
            self._run.not_collected(report)

    def pytest_collection_finish(self) -> None:
        """The plan stands: note it before the first test."""
        self._run.take_plan()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the result of a test."""
        self._run.add(report)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> TestStatus:
        """Show the outcome of the checkpoint's test instead of that of the three phases."""
        return status_of(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that the run was stopped."""
        self._run.interrupt(f"the run was stopped: {excinfo.exconly()}")

    def pytest_internalerror(self, excrepr: object) -> None:
        """Note that the run broke."""
        self._run.interrupt(f"the run broke: {str(excrepr).strip().splitlines()[-1]}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int | pytest.ExitCode
    ) -> Generator[None]:
        """Complete record and reports; the verdict decides the exit status, whoever else has set it."""
        status = self._run.finish(int(exitstatus))
        yield
        self._run.end()
        session.exitstatus = status

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print the verdict."""
        print_record(self._run, terminalreporter)
