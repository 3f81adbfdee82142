"""One run, from the command line to its reports; in the process that the user started."""

from __future__ import annotations

import getpass
import os
import platform
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from types import FrameType
from typing import Any, Final, NoReturn

import msgspec
import pytest

from signoff.attempt import RESULT
from signoff.boot import Stack
from signoff.connections import OutOfReach
from signoff.errors import ReportError
from signoff.plan import Plan
from signoff.record import Record, Run, TestResult
from signoff.recorder import Recorder
from signoff.report.record_file import RECORD_FILE, RecordFile
from signoff.suite import Suite, plan_file
from signoff.targets import identify
from signoff.timestamps import utc_now

_RELEASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")

ROLLBACK_STATUS: Final = 10
"""Exit status of a run whose verdict is ROLLBACK; 0 is PROMOTE, 1 HOLD, 2 to 6 are pytest's own."""


class RunSession:
    """The run as a whole.

    Attributes:
        record: the finished record; ``None`` while the run goes on.
        directory: where the run is archived.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._stack: Stack | None = None
        self._recorder: Recorder | None = None
        self._out_of_reach: OutOfReach = {}
        self._facts: dict[str, str | int] = {}
        self.record: Record | None = None
        self.unwritten: ReportError | None = None
        self._id = token_hex(4)
        self.directory = self._run_directory()

    def _run_directory(self) -> Path:
        option = self._suite.config.option
        if not _RELEASE.fullmatch(option.release):
            raise pytest.UsageError(
                f"--release {option.release}: letters, digits and . _ + - only, for it names a folder"
            )
        selected = self._suite.inventory.runbooks
        whole = len(selected) == len(self._suite.whole_inventory.runbooks) > 1
        name = "all" if whole else "+".join(runbook.name for runbook in selected)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._suite.reports / str(option.env) / str(option.release) / f"{stamp}-{name}-{self._id}"

    def header(self) -> list[str]:
        """What is verified, for the head of the terminal output."""
        option = self._suite.config.option
        return [f"signoff: environment {option.env}, release {option.release}, run {self._id}"]

    def begin(self) -> None:
        """Begin the record, boot the stack, and identify the targets.

        Raises:
            SignoffError: the stack does not come up, or a target is not the one that the profile pins.
            ReportError: the record cannot be written.
        """
        suite, option = self._suite, self._suite.config.option
        profile = suite.profile
        if profile is None or option.collectonly:
            return
        _end_orderly()
        run = Run(
            id=self._id,
            environment=profile.name,
            release=option.release,
            started=utc_now(),
            state="incomplete",
            command=("pytest", *map(suite.redact, map(str, suite.config.invocation_params.args))),
            selection=suite.selection(),
            promotes=profile.promotes,
            signoff_version=version("signoff"),
            python_version=platform.python_version(),
            pytest_version=pytest.__version__,
            user=_user(),
        )
        self._recorder = Recorder(run, suite.inventory, RecordFile(self.directory / RECORD_FILE))
        if profile.stack is not None:
            self._stack = Stack(
                profile.stack.command, directory=suite.root, ready_within=profile.stack.ready_within
            )
            # The stack takes seconds: meanwhile load what every run needs soon.
            import_module("signoff.handles.postgres.handle")
            import_module("signoff.report.files")
            self._facts = dict(self._stack.facts)
        suite.reach(self._facts, self._id, self._out_of_reach)
        systems = list(dict.fromkeys(runbook.system for runbook in suite.inventory.runbooks))
        identified = identify(suite.connections, systems)
        self._out_of_reach.update(identified.out_of_reach)
        self._recorder.targets(identified.targets, identified.warnings)

    def for_worker(self) -> dict[str, Any]:
        """What an xdist worker needs to know, in builtin types."""
        return {
            "facts": self._facts,
            "run": self._id,
            "directory": str(self.directory),
            "out_of_reach": self._out_of_reach,
        }

    def take_plan(self) -> None:
        """Note the plan of this process; with xdist there is none here."""
        if self._recorder is not None and self._suite.plan is not None:
            self._take(self._suite.plan)

    def take_plan_of(self, worker: str) -> None:
        """Note the plan that an xdist worker has left."""
        file = plan_file(self.directory, worker)
        if self._recorder is not None and file.exists():
            self._take(msgspec.json.decode(file.read_bytes(), type=Plan))
            file.unlink()

    def _take(self, plan: Plan) -> None:
        """Note the plan; reports that say INCOMPLETE stand from now on, until better ones follow."""
        if self._recorder is not None and self._recorder.plan(plan):
            # Imported here: the renderers would double the time that the plugin takes to load.
            from signoff.report.files import announce  # noqa: PLC0415 - see above

            with self._noting_what_is_lost():
                announce(self._recorder.record(), self.directory)

    @contextmanager
    def _noting_what_is_lost(self) -> Iterator[None]:
        try:
            yield
        except ReportError as error:
            self.unwritten = error

    def not_collected(self, report: pytest.CollectReport) -> None:
        """Note a module that could not be collected, or that was skipped as a whole."""
        if self._recorder is not None:
            what = "was skipped" if report.skipped else "could not be collected"
            lines = [line for line in report.longreprtext.strip().splitlines() if line.strip()]
            last = lines[-1].strip().removeprefix(f"{report.nodeid}::") if lines else "no reason given"
            self._recorder.problem(self._suite.redact(f"{report.nodeid} {what}: {last}"))

    def lost_worker(self, worker: str, error: object) -> None:
        """Note an xdist worker that went away before its time."""
        if self._recorder is not None:
            self._recorder.problem(self._suite.redact(f"the worker {worker} was lost: {error}"))

    def add(self, report: pytest.TestReport) -> None:
        """Note the result that a report carries, or that it has none because its worker was lost."""
        if self._recorder is None:
            return
        result = getattr(report, RESULT, None)
        if result is not None:
            self._recorder.add(result)
        elif report.when not in {"setup", "call", "teardown"}:
            # xdist reports the test that a lost worker was running.
            nodeid = self._suite.redact(report.nodeid)
            self._recorder.add(
                TestResult(
                    nodeid=nodeid,
                    title=nodeid,
                    access=None,
                    outcome="error",
                    reason=self._suite.redact(report.longreprtext.strip() or "its worker was lost"),
                )
            )

    def interrupt(self, text: str) -> None:
        """Note that the run was stopped before its end."""
        if self._recorder is not None and self.record is None:
            self._recorder.interrupt(self._suite.redact(text))

    def abandon(self, text: str, status: int) -> None:
        """Complete the record of a run that could not begin; pytest calls no further hook of it."""
        self.interrupt(text)
        self.finish(status)
        self.end()

    def finish(self, status: int) -> int:
        """Complete the record and write the reports.

        Args:
            status: pytest's own exit status.

        Returns:
            The exit status of the run: pytest's own when it is neither 0 nor 1, else by the verdict.
        """
        if self._recorder is None:
            # Nothing was going to run (--collect-only): that must not look like a green run.
            return status or int(pytest.ExitCode.NO_TESTS_COLLECTED)
        from signoff.report.files import write_reports  # noqa: PLC0415 - as in _take()

        broken = sys.exception()
        if broken is not None:
            # Not even pytest could handle it: the terminal that it writes to is gone, for instance.
            self.interrupt(f"the run broke: {type(broken).__name__}: {broken}")
        self.unwritten = None
        self.record = self._recorder.finish()
        with self._noting_what_is_lost():
            write_reports(self.record, self._suite.inventory.runbooks, self.directory)
        if self.unwritten is not None:
            return int(pytest.ExitCode.INTERNAL_ERROR)
        if status not in {0, 1}:
            return status
        if self._recorder.is_interrupted:
            return int(pytest.ExitCode.INTERRUPTED)
        return {"PROMOTE": 0, "HOLD": 1, "ROLLBACK": ROLLBACK_STATUS}[self.record.verdict.decision]

    def end(self) -> None:
        """End the stack, once nobody is connected to it any more."""
        if self._stack is not None:
            self._stack.stop()


def _end_orderly() -> None:
    """Take a closed terminal and a cancelled CI job for Ctrl-C, so that they too leave a finished record."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What `nohup` ignores stays ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a uid without a name.
        return str(os.getuid())
