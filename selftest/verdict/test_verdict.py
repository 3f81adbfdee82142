"""From outcomes to a verdict."""

from __future__ import annotations

import itertools
from typing import get_args

import msgspec
import pytest

from signoff.record import (
    GREEN,
    OUTCOMES,
    CheckpointResult,
    Criterion,
    Outcome,
    Record,
    Run,
    Selection,
    State,
    TestResult,
    Verdict,
    worst,
)
from signoff.verdict import judge

CRITERION = Criterion(
    name="things", measured=1, comparison="=", limit=1, outcome="passed", reason="1 measured"
)


def checkpoint(id_: str, outcome: Outcome, *, rollback: bool = False) -> CheckpointResult:
    """A checkpoint with one test."""
    test = TestResult(
        nodeid=id_,
        title=id_,
        access="read_only",
        outcome=outcome,
        criteria=(CRITERION,) if outcome == "passed" else (),
    )
    return CheckpointResult(
        id=id_,
        runbook="demo",
        stage="verification",
        text=id_,
        fingerprint="",
        outcome=outcome,
        rollback=rollback,
        tests=(test,),
    )


def record(
    *checkpoints: CheckpointResult, state: State = "complete", problems: tuple[str, ...] = ()
) -> Record:
    """A record with these checkpoints."""
    run = Run(
        id="1",
        environment="demo",
        release="1.2.0",
        started="2026-01-01T00:00:00.000Z",
        state=state,
        command=("pytest",),
        selection=Selection(),
        promotes=True,
        signoff_version="0",
        python_version="3",
        pytest_version="9.2.0",
        user="me",
        problems=problems,
    )
    return Record(
        run=run, runbooks=(), checkpoints=checkpoints, verdict=Verdict(decision="PROMOTE", findings=())
    )


def test_all_green_is_promote() -> None:
    """A complete run with every kind of green outcome is promoted."""
    assert judge(record(*(checkpoint(outcome, outcome) for outcome in sorted(GREEN)))).decision == "PROMOTE"


@pytest.mark.parametrize("outcome", sorted(set(OUTCOMES) - GREEN))
def test_anything_that_is_not_green_is_hold(outcome: Outcome) -> None:
    """One checkpoint that is not green holds a release of a hundred green ones, and is named."""
    green = (checkpoint(str(number), "passed") for number in range(100))
    verdict = judge(record(*green, checkpoint("X", outcome)))
    assert verdict.decision == "HOLD"
    assert verdict.findings[0].checkpoints == ("X",)


def test_a_failed_rollback_checkpoint_is_rollback() -> None:
    """A failed checkpoint marked .rollback outweighs everything else."""
    verdict = judge(record(checkpoint("A", "error"), checkpoint("B", "failed", rollback=True)))
    assert verdict.decision == "ROLLBACK"
    assert verdict.findings[0].checkpoints == ("B",)


@pytest.mark.parametrize("outcome", sorted(set(OUTCOMES) - GREEN - {"failed"}))
def test_a_rollback_checkpoint_that_was_not_judged_is_hold(outcome: Outcome) -> None:
    """Nobody is told to roll back because of something that could not be judged."""
    assert judge(record(checkpoint("B", outcome, rollback=True))).decision == "HOLD"


@pytest.mark.parametrize("state", sorted(set(get_args(State)) - {"complete"}))
def test_an_unfinished_run_is_hold(state: State) -> None:
    """A run that did not reach its end is held however green it is."""
    verdict = judge(record(checkpoint("A", "passed"), state=state))
    assert verdict.decision == "HOLD"
    assert "INCOMPLETE" in verdict.findings[0].text


def test_a_run_with_problems_is_hold() -> None:
    """A problem outside any checkpoint holds the release, in its own words."""
    verdict = judge(record(checkpoint("A", "passed"), problems=("the worker gw0 was lost",)))
    assert verdict.decision == "HOLD"
    assert verdict.findings[0].text == "the worker gw0 was lost"


@pytest.mark.parametrize("outcomes", [(), ("not_applicable",), ("waived",)], ids=str)
def test_a_run_that_showed_nothing_is_hold(outcomes: tuple[Outcome, ...]) -> None:
    """A record without a passed or attested checkpoint is held: empty is not green."""
    assert judge(record(*(checkpoint(o, o) for o in outcomes))).decision == "HOLD"


def test_passed_without_a_criterion_is_hold() -> None:
    """A record whose passed checkpoint carries no met criterion was tampered with, and is held."""
    passed = checkpoint("A", "passed")
    bare = msgspec.structs.replace(passed, tests=(msgspec.structs.replace(passed.tests[0], criteria=()),))
    verdict = judge(record(bare, checkpoint("B", "passed")))
    assert verdict.decision == "HOLD"
    assert verdict.findings[0].rule == "green_has_evidence"


def test_the_stated_verdict_is_not_looked_at() -> None:
    """The verdict is computed from the outcomes, whatever the record says of itself."""
    assert record(checkpoint("A", "failed")).verdict.decision == "PROMOTE"
    assert judge(record(checkpoint("A", "failed"))).decision == "HOLD"


def test_the_counts_add_up() -> None:
    """Every outcome is counted, and the counts add up to the checkpoints."""
    counts = record(*(checkpoint(o, o) for o in OUTCOMES), checkpoint("A", "passed")).counts()
    assert set(counts) == set(OUTCOMES)
    assert sum(counts.values()) == len(OUTCOMES) + 1


@pytest.mark.parametrize("pair", list(itertools.combinations(OUTCOMES, 2)), ids="-".join)
def test_the_worst_outcome_of_several_tests_counts(pair: tuple[Outcome, Outcome]) -> None:
    """A checkpoint with several tests has the worst outcome; what is absent yields to what was judged."""
    expected = "passed" if set(pair) == {"passed", "not_applicable"} else pair[0]
    assert worst(pair) == worst(pair[::-1]) == expected


def test_no_test_at_all_is_not_run() -> None:
    """A checkpoint without any result did not run."""
    assert worst(()) == "not_run"
