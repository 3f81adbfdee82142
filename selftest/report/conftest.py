"""Records as real runs make them, for the tests of the reports."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeAlias

import pytest
from msgspec.structs import replace

from signoff.record import (
    CheckpointResult,
    Criterion,
    Evidence,
    Outcome,
    Record,
    Run,
    RunbookRecord,
    Selection,
    StageRecord,
    Target,
    TestResult,
    Verdict,
)
from signoff.verdict import judge

MakeCheckpoint: TypeAlias = Callable[..., CheckpointResult]

_MONITOR = "cowrieprocessor.postgres (signoff_monitor@127.0.0.1:45123/cowrieprocessor)"

_COVERAGE = Criterion(
    name="coverage",
    measured=93.84721,
    comparison=">=",
    limit=95,
    unit="%",
    outcome="failed",
    reason="coverage is 93.85 %, required at least 95 %",
)
_ACCURACY = Criterion(
    name="accuracy",
    measured=99.4,
    comparison=">=",
    limit=99,
    unit="%",
    outcome="inconclusive",
    reason="with 95 % confidence accuracy is between 98.79 % and 99.74 %: 99 % is not decided",
    interval=(98.79, 99.74),
    confidence=0.95,
    samples=1000,
    method="Clopper-Pearson",
)
_SPEED_UP = Criterion(
    name="speed-up",
    measured=11.3,
    comparison=">=",
    limit=5,
    unit="x",
    outcome="passed",
    reason="with 95 % confidence the speed-up is at least 9.81",
    interval=(9.81, 12.95),
    confidence=0.95,
    samples=40,
    method="bootstrap of the ratio of medians",
)
_BATCH_LATENCY = Criterion(
    name="p95 of a batch",
    measured=1.284,
    comparison="<=",
    limit=2,
    runbook_limit=5,
    limit_reason="the batch window of this environment is shorter",
    unit="s",
    outcome="passed",
    reason="p95 of a batch is 1.284 s, required at most 2 s",
)


def _query(asked: str, answer: str, *, at: str = "2031-06-03T09:14:11Z") -> Evidence:
    return Evidence(
        kind="query",
        source=_MONITOR,
        asked=asked,
        answer=answer,
        at=at,
        seconds=0.0412,
        sha256=sha256(answer.encode()).hexdigest(),
    )


def _checkpoint(
    identifier: str,
    text: str,
    outcome: Outcome,
    *criteria: Criterion,
    stage: str = "verification",
    evidence: tuple[Evidence, ...] = (),
    reason: str = "",
    **fields: Any,
) -> CheckpointResult:
    """One checkpoint, with one test unless it never ran or is manual."""
    tests: tuple[TestResult, ...] = ()
    if outcome not in {"pending", "attested", "not_run"}:
        tests = (
            TestResult(
                nodeid=f"tests/snapshot_backfill/test_{stage}.py::test_{identifier.replace('-', '_')}",
                title=text,
                access="read_only",
                outcome=outcome,
                reason=reason or (criteria[0].reason if outcome != "passed" and criteria else ""),
                started="2031-06-03T09:14:11Z",
                seconds=0.131,
                criteria=criteria,
                evidence=evidence,
            ),
        )
    return CheckpointResult(
        id=identifier,
        runbook=fields.pop("runbook", "snapshot_backfill"),
        stage=stage,
        text=text,
        fingerprint=sha256(text.encode(errors="replace")).hexdigest(),
        outcome=outcome,
        reason=reason or (criteria[0].reason if outcome != "passed" and criteria else ""),
        tests=tests,
        **fields,
    )


def _checkpoints() -> tuple[CheckpointResult, ...]:
    exact = Criterion(
        name="sessions counted twice",
        measured=0,
        comparison="=",
        limit=0,
        outcome="passed",
        reason="sessions counted twice is 0, required 0",
    )
    return (
        _checkpoint(
            "SNP-004",
            "The database holds the sessions that the plan was made for.",
            "passed",
            Criterion(
                name="sessions",
                measured=1682827,
                comparison=">=",
                limit=1680000,
                outcome="passed",
                reason="sessions is 1682827, required at least 1680000",
            ),
            stage="pre-deployment",
            evidence=(_query("select count(*) from session_summaries", "1682827"),),
        ),
        _checkpoint(
            "SNP-011",
            "The free disk space is at least 20 %.",
            "passed",
            Criterion(
                name="free disk space",
                measured=41.7,
                comparison=">=",
                limit=20,
                unit="%",
                outcome="passed",
                reason="free disk space is 41.7 %, required at least 20 %",
            ),
            stage="pre-deployment",
        ),
        _checkpoint(
            "SNP-016",
            "The DBA has approved the change.",
            "pending",
            stage="pre-deployment",
            reason="no attestation of the DBA was found",
            manual_role="DBA",
        ),
        _checkpoint(
            "SNP-017",
            "The team has announced the window.",
            "attested",
            stage="pre-deployment",
            reason="attested by M. Keller (Operations) on 2031-06-02",
            manual_role="Operations",
        ),
        _checkpoint(
            "SNP-075",
            "At least 95 % of the sessions carry a country snapshot.",
            "failed",
            _COVERAGE,
            exact,
            evidence=(
                _query(
                    "select 100.0 * count(snapshot_country) / nullif(count(*), 0)\n  from session_summaries",
                    "93.84721",
                ),
                _query(
                    "select snapshot_country, count(*) from session_summaries group by 1 order by 2 desc",
                    "DE   412,003\nCN   398,112\nUS   201,774\nXX    88,020\nnull 103,541",
                ),
            ),
            covers=("SNP-091",),
        ),
        _checkpoint(
            "SNP-076",
            "At least 99 % of the snapshots equal the inventory.",
            "inconclusive",
            _ACCURACY,
            evidence=(
                _query("select … from session_summaries tablesample system_rows(1000)", "994 of 1000"),
            ),
        ),
        _checkpoint(
            "SNP-077",
            "Queries on the snapshot are at least five times as fast as the join.",
            "passed",
            _SPEED_UP,
            _BATCH_LATENCY,
        ),
        _checkpoint(
            "SNP-078",
            "The snowshoe query returns its rows in order.",
            "error",
            reason='StatementFailed: got malformed array literal: "{tor"; expected rows. Convert the column.',
        ),
        _checkpoint(
            "SNP-079",
            "The clustering query counts as the join does.",
            "not_run",
            reason="the run was interrupted before it",
        ),
        _checkpoint(
            "SNP-083",
            "A replica never trails the primary by more than 30 s.",
            "not_applicable",
            reason="this environment has no replica: the local stack runs without one",
        ),
        _checkpoint(
            "SNP-085",
            "The nightly dump is younger than 24 h.",
            "waived",
            Criterion(
                name="age of the dump",
                measured=31.5,
                comparison="<=",
                limit=24,
                unit="h",
                outcome="failed",
                reason="age of the dump is 31.5 h, required at most 24 h",
            ),
            reason="waived by A. Brandt until 2031-06-10: the dump host is being replaced",
        ),
    )


@pytest.fixture(name="checkpoint")
def _make_checkpoint() -> MakeCheckpoint:
    """Makes one checkpoint: ``checkpoint(id, text, outcome, *criteria, stage=…, evidence=…, reason=…)``."""
    return _checkpoint


@pytest.fixture(name="record")
def _record() -> Record:
    """A run of one runbook in which every outcome occurs; its verdict is HOLD."""
    unjudged = Record(
        run=Run(
            id="20310603T091407Z-snapshot_backfill-7f3a",
            environment="staging",
            release="1.2.0",
            started="2031-06-03T09:14:07Z",
            finished="2031-06-03T09:14:19Z",
            seconds=12.31,
            state="complete",
            command=("pytest", "-m", "read_only", "--env", "staging", "--release", "1.2.0"),
            selection=Selection(markers="read_only"),
            promotes=False,
            signoff_version="0.1.0",
            python_version="3.11.7",
            pytest_version="9.2.0",
            user="mkeller",
        ),
        runbooks=(
            RunbookRecord(
                name="snapshot_backfill",
                title="Snapshot backfill",
                system="cowrieprocessor",
                sha256=sha256(b"snapshot_backfill").hexdigest(),
                stages=(
                    StageRecord(
                        id="pre-deployment", title="Pre-deployment", transitional=False, selected=True
                    ),
                    StageRecord(
                        id="backfill",
                        title="Full backfill",
                        transitional=True,
                        selected=False,
                        reason="transitional, and neither named by --stage nor part of this run",
                    ),
                    StageRecord(id="verification", title="Verification", transitional=False, selected=True),
                ),
                owner="Data team",
                sign_off_roles=("DBA", "Application owner"),
                rollback_decided_by="DBA on call",
            ),
        ),
        checkpoints=_checkpoints(),
        verdict=Verdict(decision="HOLD", findings=()),
        targets=(
            Target(
                system="cowrieprocessor",
                component="postgres",
                address="db1.staging:5432/cowrieprocessor",
                identity="7411122233344455566",
                pinned=True,
                facts={"server_version": "16.4", "in_recovery": "no"},
            ),
        ),
    )
    return replace(unjudged, verdict=judge(unjudged))


@pytest.fixture(name="green")
def _green(record: Record) -> Record:
    """The same run when all that was judged is green; its verdict is PROMOTE."""
    kept = tuple(
        checkpoint
        for checkpoint in record.checkpoints
        if checkpoint.outcome in {"passed", "attested", "not_applicable"}
    )
    green = replace(record, checkpoints=kept)
    return replace(green, verdict=judge(green))
