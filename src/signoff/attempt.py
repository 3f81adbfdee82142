"""One attempt at one test: what it saw, what it judged, and how it ended."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
import pytest

from signoff.criteria import Expect
from signoff.errors import SignoffError
from signoff.evidence import EvidenceLog
from signoff.outcome import of_error, of_test
from signoff.record import GREEN, Outcome, TestResult
from signoff.suite import Suite
from signoff.timestamps import utc_now

ATTEMPT: Final = pytest.StashKey["Attempt"]()
"""The latest attempt at an item."""

RESULT: Final = "signoff_result"
"""Attribute of the last report of a test that holds its result."""


class Attempt:
    """What happens in one test from its set-up to its tear-down.

    Args:
        item: the test.
        suite: the suite it runs in.

    Attributes:
        checkpoint: id of the checkpoint that the test verifies.
        system: the system of its runbook.
        access: what the test may do.
        expect: its criteria.
        evidence: what it saw.
    """

    def __init__(self, item: pytest.Item, suite: Suite) -> None:
        self._suite = suite
        self._test = suite.test_of(item)
        self._started = utc_now()
        self._clock = time.monotonic()
        self._errors: list[tuple[Outcome, str]] = []
        self._text = ""
        self.evidence = EvidenceLog(suite.redact)
        suite.connections.observe_with(self.evidence)
        self.checkpoint = self._test.checkpoint
        self.system = suite.whole_inventory.runbook_of(self.checkpoint).system
        self.access = self._test.access
        self.expect = Expect(
            checkpoint=self.checkpoint,
            limits=suite.limits_of(self.checkpoint),
            promotes=suite.promotes,
            redact=suite.redact,
        )

    def complete(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Note how a phase ended; after the last one, attach the result and a short text."""
        if call.excinfo is not None:
            self._fail(call.excinfo.value, report)
        if report.when == "teardown":
            self._close()
            result = self._result()
            setattr(report, RESULT, result)
            report.longrepr = None if result.outcome in GREEN else self._text or result.reason
            # The whole test is told by this report; its phase would only puzzle the reader.
            report.when = "call"
        return report

    def _fail(self, error: BaseException, report: pytest.TestReport) -> None:
        outcome, reason = of_error(error)
        self._errors.append((outcome, self._suite.redact(reason)))
        known = isinstance(error, SignoffError)
        text = f"{type(error).__name__}: {error}" if known else report.longreprtext
        self._text = "\n".join(filter(None, (self._text, self._suite.redact(text))))

    def _close(self) -> None:
        try:
            self.expect.close()
        except SignoffError as error:
            # An earlier exception explains why a criterion was left unjudged.
            if not self._errors:
                self._errors.append(of_error(error))
        unused = self.expect.unused_limits()
        if unused and not self._errors:
            reason = (
                f"the profile changes the limit of {', '.join(sorted(unused))}, which the test never judged"
            )
            self._errors.append(("error", reason))

    def _result(self) -> TestResult:
        criteria = tuple(self.expect.criteria)
        outcome, reason = of_test(self._errors, criteria)
        return TestResult(
            nodeid=self._test.nodeid,
            title=self._test.title,
            access=self.access,
            outcome=outcome,
            reason="" if outcome == "passed" else self._suite.redact(reason),
            topics=self._test.topics,
            started=self._started,
            seconds=round(time.monotonic() - self._clock, 3),
            criteria=criteria,
            evidence=tuple(self.evidence.entries),
        )


def pack(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """A report as xdist sends it, with the result in builtin types."""
    if data is not None and RESULT in data:
        data[RESULT] = msgspec.to_builtins(data[RESULT])
    return data


def unpack(
    report: pytest.CollectReport | pytest.TestReport | None,
) -> pytest.CollectReport | pytest.TestReport | None:
    """A report as xdist received it, with the result as it was before."""
    if hasattr(report, RESULT):
        setattr(report, RESULT, msgspec.convert(getattr(report, RESULT), TestResult, strict=False))
    return report
