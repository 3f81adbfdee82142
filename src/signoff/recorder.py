"""Keeps the record of a run while it goes on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from signoff.errors import ReportError
from signoff.plan import Inventory, Plan, PlannedTest
from signoff.record import (
    CheckpointResult,
    Finding,
    Record,
    Run,
    RunbookRecord,
    StageRecord,
    State,
    Target,
    TestResult,
    Verdict,
    worst,
)
from signoff.report.record_file import RecordFile
from signoff.runbook import Runbook
from signoff.timestamps import utc_now
from signoff.verdict import judge

_UNJUDGED = Verdict(decision="HOLD", findings=(Finding(rule="run_is_complete", decision="HOLD", text="…"),))


class Recorder:
    """The record of one run, from before the first test until after the last.

    Args:
        run: who runs what; its state is kept here.
        inventory: the selected runbooks.
        file: where the record is kept on disk.
    """

    def __init__(self, run: Run, inventory: Inventory, file: RecordFile) -> None:
        self._run = run
        self._inventory = inventory
        self._file = file
        self._clock = time.monotonic()
        self._plan: Plan | None = None
        self._targets: tuple[Target, ...] = ()
        self._planned: dict[str, list[PlannedTest]] = defaultdict(list)
        self._verified_by: dict[str, set[str]] = defaultdict(set)
        self._results: dict[str, list[TestResult]] = defaultdict(list)
        self._problems: list[str] = []
        self._state: State = "incomplete"
        # As they stand: one result changes one of them.
        self._checkpoints = self._all_checkpoints()
        self._file.begin(self.record())

    def targets(self, targets: Iterable[Target], warnings: Iterable[str]) -> None:
        """Note what the components said about themselves."""
        self._targets = tuple(targets)
        self._run = msgspec.structs.replace(self._run, warnings=(*self._run.warnings, *warnings))
        self._save()

    def plan(self, plan: Plan) -> bool:
        """Note what the run will do.

        Returns:
            Whether it was the first plan; it stands, since every worker has the same.
        """
        first = self._plan is None
        if first:
            self._plan = plan
            for test in plan.tests:
                self._planned[test.checkpoint].append(test)
                self._verified_by[test.nodeid].add(test.checkpoint)
            self._checkpoints = self._all_checkpoints()
            self._save()
        return first

    def add(self, result: TestResult) -> None:
        """Note the result of an item; several attempts at one item all count."""
        self._results[result.nodeid].append(result)
        for id_ in self._checkpoints.keys() & self._verified_by[result.nodeid]:
            self._checkpoints[id_] = self._checkpoint(id_)
        self._save()

    def problem(self, text: str) -> None:
        """Note what went wrong outside any checkpoint."""
        if text not in self._problems:
            self._problems.append(text)
        self._save()

    def interrupt(self, text: str) -> None:
        """Note that the run was stopped before its end."""
        self._state = "interrupted"
        self.problem(text)

    @property
    def is_interrupted(self) -> bool:
        """Whether the run was stopped before its end."""
        return self._state == "interrupted"

    def finish(self) -> Record:
        """The record of the whole run; what was interrupted stays so."""
        if self._plan is None and not self._problems:
            self.interrupt("the run ended before its tests were collected")
        if self._state == "incomplete":
            self._state = "complete"
        self._run = msgspec.structs.replace(
            self._run, finished=utc_now(), seconds=round(time.monotonic() - self._clock, 3)
        )
        return self.record()

    def record(self) -> Record:
        """The record as it stands now."""
        record = Record(
            run=msgspec.structs.replace(self._run, state=self._state, problems=tuple(self._problems)),
            runbooks=tuple(self._runbook(runbook) for runbook in self._inventory.runbooks),
            checkpoints=tuple(self._checkpoints.values()),
            targets=self._targets,
            verdict=_UNJUDGED,
        )
        return msgspec.structs.replace(record, verdict=judge(record))

    def _save(self) -> None:
        try:
            self._file.update(self.record)
        except ReportError as error:
            # The run goes on: what it sees may matter more than the file. finish() will report again.
            text = str(error)
            if text not in self._problems:
                self._problems.append(text)

    def _stages(self, runbook: Runbook) -> tuple[StageRecord, ...]:
        if self._plan is not None:
            return self._plan.stages[runbook.name]
        return tuple(
            StageRecord(id=stage.id, title=stage.title, transitional=stage.transitional, selected=True)
            for stage in runbook.stages
        )

    def _runbook(self, runbook: Runbook) -> RunbookRecord:
        return RunbookRecord(
            name=runbook.name,
            title=runbook.title,
            system=runbook.system,
            sha256=runbook.sha256,
            stages=self._stages(runbook),
            owner=runbook.owner,
            sign_off_roles=runbook.sign_off_roles,
            rollback_decided_by=runbook.rollback_decided_by,
        )

    def _all_checkpoints(self) -> dict[str, CheckpointResult]:
        checkpoints = {}
        for runbook in self._inventory.runbooks:
            selected = {stage.id for stage in self._stages(runbook) if stage.selected}
            for checkpoint in runbook.checkpoints:
                if checkpoint.stage in selected:
                    checkpoints[checkpoint.id] = self._checkpoint(checkpoint.id)
        return checkpoints

    def _checkpoint(self, id_: str) -> CheckpointResult:
        checkpoint = self._inventory.checkpoint(id_)
        results: list[TestResult] = []
        missing: list[TestResult] = []
        for test in self._planned.get(id_, ()):
            found = self._results.get(test.nodeid)
            if found:
                results += found
            else:
                missing.append(_never_ran(test))
        tests = (*results, *missing)
        outcome = worst(tuple(test.outcome for test in tests))
        reason = next((test.reason for test in tests if test.outcome == outcome), "it never ran")
        if self._plan is not None and id_ in self._plan.unverified:
            outcome, reason = "error", "nothing verifies it: neither a test nor `.manual`"
        elif not tests and self._plan is not None:
            reason = "no test of it was collected"
        return CheckpointResult(
            id=id_,
            runbook=self._inventory.runbook_of(id_).name,
            stage=checkpoint.stage,
            text=checkpoint.text,
            fingerprint=checkpoint.fingerprint,
            outcome=outcome,
            reason="" if outcome == "passed" else reason,
            covers=checkpoint.covers,
            rollback=checkpoint.rollback,
            manual_role=checkpoint.manual_role,
            tests=tests,
        )


def _never_ran(test: PlannedTest) -> TestResult:
    return TestResult(
        nodeid=test.nodeid,
        title=test.title,
        access=test.access,
        topics=test.topics,
        outcome="not_run",
        reason=test.left_out or "it never ran",
    )
