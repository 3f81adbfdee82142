"""The record: the canonical result of one run, from which every report is rendered.

A record is written when the run begins, with every selected checkpoint ``not_run`` and its state
``incomplete``, and again as results arrive. Only a run that reached its end is ``complete``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal, TypeAlias

import msgspec

SCHEMA: Final = "signoff-record/1"

Outcome: TypeAlias = Literal[
    "passed",
    "failed",
    "error",
    "inconclusive",
    "attested",
    "pending",
    "waived",
    "not_applicable",
    "not_run",
]
"""The outcome of a checkpoint."""

GREEN: Final[frozenset[Outcome]] = frozenset({"passed", "attested", "waived", "not_applicable"})
"""Outcomes with which a release may go on."""

OUTCOMES: Final[tuple[Outcome, ...]] = (
    "failed",
    "error",
    "inconclusive",
    "not_run",
    "pending",
    "waived",
    "not_applicable",
    "attested",
    "passed",
)
"""All outcomes, the worst first: a checkpoint with several tests has the worst outcome among them."""

Access: TypeAlias = Literal["read_only", "destructive"]
Decision: TypeAlias = Literal["PROMOTE", "HOLD", "ROLLBACK"]
State: TypeAlias = Literal["incomplete", "interrupted", "complete"]
Scalar: TypeAlias = bool | int | float | str | None
JSONValue: TypeAlias = Scalar | list[Any] | dict[str, Any]


class _Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A part of the record; unknown fields are refused when it is read back.

    Nothing in a record refers back, so the garbage collector need not look at its many parts.
    """


class Criterion(_Frozen, frozen=True):
    """One judgement: a value, a comparison, a limit, a unit.

    Attributes:
        name: what was measured, for instance ``coverage``.
        measured: the value as judged; for a sampled quantity its point estimate.
        comparison: ``>=``, ``<=``, ``>``, ``<``, ``=``, ``between`` or ``one of``.
        limit: the limit that was applied; two values for ``between``, all accepted ones for ``one of``.
        unit: the unit of value and limit; empty for plain numbers and words.
        outcome: ``passed``, ``failed``, ``inconclusive`` or ``error``.
        reason: why, in one sentence with the numbers.
        runbook_limit: the limit that the test states, when the environment changed it.
        limit_reason: why the environment changed it.
        interval: lower and upper confidence bound of a sampled quantity.
        confidence: one-sided confidence of each bound, for instance 0.95.
        samples: number of observations behind a sampled quantity.
        method: how the interval was calculated.
    """

    name: str
    measured: JSONValue
    comparison: str
    limit: JSONValue
    outcome: Outcome
    reason: str
    unit: str = ""
    runbook_limit: JSONValue = None
    limit_reason: str = ""
    interval: tuple[float, float] | None = None
    confidence: float | None = None
    samples: int | None = None
    method: str = ""


class Evidence(_Frozen, frozen=True):
    """What a check saw.

    Attributes:
        kind: ``query``, ``procedure``, ``file``, ``command``, ``setting``, ``attestation`` or ``note``.
        source: where it came from, for instance ``codex_memory.postgres (monitor@db1:5432/codex_memory)``.
        asked: the statement, command or path.
        answer: what came back, bounded and redacted.
        at: when it was asked, UTC, ISO 8601.
        seconds: how long the answer took.
        truncated: whether ``answer`` was cut to the bound.
        sha256: digest of the whole redacted answer.
    """

    kind: str
    source: str
    asked: str
    answer: str
    at: str
    seconds: float = 0.0
    truncated: bool = False
    sha256: str = ""


class TestResult(_Frozen, frozen=True):
    """The result of one pytest item."""

    __test__ = False

    nodeid: str
    title: str
    access: Access | None
    outcome: Outcome
    reason: str = ""
    topics: tuple[str, ...] = ()
    started: str = ""
    seconds: float = 0.0
    criteria: tuple[Criterion, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class CheckpointResult(_Frozen, frozen=True):
    """One checkpoint of a selected runbook and stage, with exactly one outcome."""

    id: str
    runbook: str
    stage: str
    text: str
    fingerprint: str
    outcome: Outcome = "not_run"
    reason: str = "it never ran"
    covers: tuple[str, ...] = ()
    rollback: bool = False
    manual_role: str = ""
    tests: tuple[TestResult, ...] = ()


class StageRecord(_Frozen, frozen=True):
    """A stage of a runbook, and whether the run covers it."""

    id: str
    title: str
    transitional: bool
    selected: bool
    reason: str = ""


class RunbookRecord(_Frozen, frozen=True):
    """A runbook as it stood when the run began."""

    name: str
    title: str
    system: str
    sha256: str
    stages: tuple[StageRecord, ...]
    owner: str = ""
    sign_off_roles: tuple[str, ...] = ()
    rollback_decided_by: str = ""


class Target(_Frozen, frozen=True):
    """What a component said about itself at the start of the run."""

    system: str
    component: str
    address: str
    identity: str
    pinned: bool
    facts: dict[str, str] = {}


class Selection(_Frozen, frozen=True):
    """What the command line asked for."""

    markers: str = ""
    keywords: str = ""
    runbooks: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    destructive: bool = False


class Finding(_Frozen, frozen=True):
    """What one rule of the policy found.

    Attributes:
        rule: the name of the rule.
        decision: what this finding alone would lead to.
        text: one sentence.
        checkpoints: ids concerned.
    """

    rule: str
    decision: Decision
    text: str
    checkpoints: tuple[str, ...] = ()


class Verdict(_Frozen, frozen=True):
    """The decision and every finding that led to it, the heaviest first."""

    decision: Decision
    findings: tuple[Finding, ...]


class Run(_Frozen, frozen=True):
    """Who ran what, when, where."""

    id: str
    environment: str
    release: str
    started: str
    state: State
    command: tuple[str, ...]
    selection: Selection
    promotes: bool
    signoff_version: str
    python_version: str
    pytest_version: str
    user: str
    finished: str = ""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Record(_Frozen, frozen=True):
    """The canonical result of one run.

    ``run.problems`` holds what went wrong outside any checkpoint (a collection error, a lost worker);
    a record with problems is never green.
    """

    run: Run
    runbooks: tuple[RunbookRecord, ...]
    checkpoints: tuple[CheckpointResult, ...]
    verdict: Verdict
    targets: tuple[Target, ...] = ()
    schema: Literal["signoff-record/1"] = SCHEMA

    def counts(self) -> dict[Outcome, int]:
        """Number of checkpoints by outcome, every outcome present; the values add up to all checkpoints."""
        counted = Counter(checkpoint.outcome for checkpoint in self.checkpoints)
        return {outcome: counted[outcome] for outcome in OUTCOMES}


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """The outcome of a checkpoint from those of its tests; ``not_run`` when there are none.

    ``not_applicable`` counts only when no test could be judged: one judged test decides.
    """
    if not outcomes:
        return "not_run"
    if len(outcomes) == 1:
        return outcomes[0]
    return min(outcomes, key=OUTCOMES.index) if set(outcomes) != {"passed", "not_applicable"} else "passed"
