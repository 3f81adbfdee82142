"""From outcomes to a verdict: a policy of small named rules.

Each rule looks at the record and reports findings. The heaviest finding decides: ROLLBACK over HOLD over
PROMOTE. No rule can make another one's finding go away, so leaving something out never helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from signoff.record import GREEN, OUTCOMES, Decision, Finding, Record, Verdict

Rule: TypeAlias = Callable[[Record], Iterator[Finding]]

_WEIGHT: Final[dict[Decision, int]] = {"ROLLBACK": 0, "HOLD": 1, "PROMOTE": 2}

_WORDS: Final = {
    "failed": "failed",
    "error": "could not be judged",
    "inconclusive": "stayed inconclusive",
    "not_run": "did not run",
    "pending": "lacked an attestation",
}


def rollback_checkpoint_failed(record: Record) -> Iterator[Finding]:
    """A checkpoint that the runbook marks ``.rollback`` failed: the change must be taken back."""
    failed = tuple(c.id for c in record.checkpoints if c.rollback and c.outcome == "failed")
    if failed:
        yield Finding(
            rule="rollback_checkpoint_failed",
            decision="ROLLBACK",
            text=f"{_count(failed)} whose failure calls for a rollback failed",
            checkpoints=failed,
        )


def every_checkpoint_is_green(record: Record) -> Iterator[Finding]:
    """Any outcome that is not green holds the release, one finding for each kind."""
    for outcome in OUTCOMES:
        if outcome in GREEN:
            continue
        ids = tuple(c.id for c in record.checkpoints if c.outcome == outcome)
        if ids:
            yield Finding(
                rule="every_checkpoint_is_green",
                decision="HOLD",
                text=f"{_count(ids)} {_WORDS[outcome]}",
                checkpoints=ids,
            )


def something_was_shown(record: Record) -> Iterator[Finding]:
    """A record without a single passed or attested checkpoint shows nothing, whatever else it holds."""
    if not any(c.outcome in {"passed", "attested"} for c in record.checkpoints):
        yield Finding(
            rule="something_was_shown", decision="HOLD", text="no checkpoint was shown to hold by this run"
        )


def run_is_complete(record: Record) -> Iterator[Finding]:
    """A run that did not reach its end proves nothing about what it left out."""
    if record.run.state != "complete":
        yield Finding(
            rule="run_is_complete",
            decision="HOLD",
            text="INCOMPLETE: the run is not finished"
            if record.run.state == "incomplete"
            else "INCOMPLETE: the run was interrupted",
        )


def run_has_no_problems(record: Record) -> Iterator[Finding]:
    """What went wrong outside any checkpoint (collection, workers, target) holds the release."""
    for problem in record.run.problems:
        yield Finding(rule="run_has_no_problems", decision="HOLD", text=problem)


def green_has_evidence(record: Record) -> Iterator[Finding]:
    """A passed checkpoint without a judged criterion was not shown; records are read back from disk."""
    bare = tuple(
        c.id
        for c in record.checkpoints
        if c.outcome == "passed"
        and not any(criterion.outcome == "passed" for test in c.tests for criterion in test.criteria)
    )
    if bare:
        yield Finding(
            rule="green_has_evidence",
            decision="HOLD",
            text=f"{_count(bare)} passed without a criterion",
            checkpoints=bare,
        )


POLICY: Final[tuple[Rule, ...]] = (
    rollback_checkpoint_failed,
    run_is_complete,
    run_has_no_problems,
    something_was_shown,
    every_checkpoint_is_green,
    green_has_evidence,
)


def judge(record: Record) -> Verdict:
    """The verdict of a record; its own ``verdict`` field is not looked at."""
    findings = sorted(
        (finding for rule in POLICY for finding in rule(record)),
        key=lambda finding: _WEIGHT[finding.decision],
    )
    if findings:
        return Verdict(decision=findings[0].decision, findings=tuple(findings))
    promoted = Finding(
        rule="every_checkpoint_is_green",
        decision="PROMOTE",
        text=f"all {len(record.checkpoints)} checkpoints are green",
    )
    return Verdict(decision="PROMOTE", findings=(promoted,))


def _count(ids: tuple[str, ...]) -> str:
    return f"{len(ids)} checkpoint{'s' if len(ids) != 1 else ''}"
