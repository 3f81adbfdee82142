"""Traceability: which tests verify which line of which runbook."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from signoff.errors import CheckpointError
from signoff.markers import Marker, load_markers
from signoff.plan import access_of, checkpoint_of, topics_of
from signoff.record import Access
from signoff.runbook import Checkpoint, Runbook, Stage


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One checkpoint and what verifies it.

    Attributes:
        id: of the checkpoint.
        runbook: its runbook.
        stage: id of its stage.
        transitional: whether it holds only while its stage lasts.
        text: the line of the runbook.
        covers: further ids of the inventory that it stands for.
        rollback: whether its failure means ROLLBACK.
        manual_role: who attests it, when a person does.
        tests: node ids, in document order.
        access: what the tests may do; both when some only read and others do not.
        topics: of its tests.
    """

    id: str
    runbook: str
    stage: str
    transitional: bool
    text: str
    covers: tuple[str, ...]
    rollback: bool
    manual_role: str
    tests: tuple[str, ...]
    access: tuple[Access, ...]
    topics: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        """Whether a test or a person verifies it."""
        return bool(self.tests or self.manual_role)


def trace(root: Path, runbooks: Sequence[Runbook]) -> list[Trace]:
    """Collect the suite, without running anything or touching any environment.

    Args:
        root: the folder with conftest.py, markers.ini and tests/.
        runbooks: in the order in which they are listed.

    Returns:
        One trace for each checkpoint, in document order.

    Raises:
        CheckpointError: the suite cannot be collected; the message says what pytest said.
        UsageError: markers.ini is not valid.
    """
    markers = load_markers(root / "markers.ini")
    tests = _collect(root)
    return [
        _trace(runbook, stage, checkpoint, tests.get(checkpoint.id, ()), markers)
        for runbook in runbooks
        for stage in runbook.stages
        for checkpoint in stage.checkpoints
    ]


def _trace(
    runbook: Runbook,
    stage: Stage,
    checkpoint: Checkpoint,
    tests: Sequence[pytest.Function],
    markers: tuple[Marker, ...],
) -> Trace:
    return Trace(
        id=checkpoint.id,
        runbook=runbook.name,
        stage=stage.id,
        transitional=stage.transitional,
        text=checkpoint.text,
        covers=checkpoint.covers,
        rollback=checkpoint.rollback,
        manual_role=checkpoint.manual_role,
        tests=tuple(test.nodeid for test in tests),
        access=tuple(sorted({access_of(test) for test in tests})),
        topics=tuple(sorted({topic for test in tests for topic in topics_of(test, markers)})),
    )


class _Collected:
    """A pytest plugin that keeps what is collected."""

    def __init__(self) -> None:
        self.tests: dict[str, list[pytest.Function]] = {}
        self.failures: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep every test, before a selection leaves any of them out."""
        for item in items:
            if isinstance(item, pytest.Function):
                self.tests.setdefault(checkpoint_of(item), []).append(item)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self.failures.append(report.longreprtext.strip())


def _collect(root: Path) -> Mapping[str, Sequence[pytest.Function]]:
    collected = _Collected()
    said = io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main(["--collect-only", "-p", "no:terminal"], plugins=[collected])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} or collected.failures:
        raise CheckpointError(
            f"the suite in {os.fspath(root)}",
            got="\n".join([*collected.failures, said.getvalue().strip()]).strip() or f"exit status {status}",
            expected="tests that can be collected",
            next_step="Run pytest --collect-only to see more.",
        )
    return collected.tests
