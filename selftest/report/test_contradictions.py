from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from signoff.errors import ReportError
from signoff.record import CheckpointResult, Criterion, Record, Verdict
from signoff.report.contradictions import refuse_contradictions
from signoff.report.html import render_html
from signoff.verdict import judge


def _with(record: Record, checkpoint: CheckpointResult) -> Record:
    record = replace(record, checkpoints=(checkpoint, *record.checkpoints[1:]))
    return replace(record, verdict=judge(record))


def test_records_of_real_runs_are_accepted(record: Record, green: Record) -> None:
    """A held and a promoted run contain no contradiction."""
    refuse_contradictions(record)
    refuse_contradictions(green)


def test_a_verdict_heavier_than_the_policy_is_accepted(green: Record) -> None:
    """Somebody who holds a green run contradicts nothing."""
    refuse_contradictions(replace(green, verdict=Verdict(decision="HOLD", findings=())))


def test_a_verdict_lighter_than_the_policy_is_refused(record: Record) -> None:
    """No report is rendered that says PROMOTE above a failed checkpoint."""
    with pytest.raises(ReportError, match="PROMOTE although the policy says HOLD"):
        render_html(replace(record, verdict=Verdict(decision="PROMOTE", findings=())))


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"measured": 1679999}, "SNP-004 passed although sessions is outside its limit"),
        ({"interval": (1600000.0, 1700000.0)}, "SNP-004 passed although sessions is outside its limit"),
        ({"outcome": "failed"}, "SNP-004 passed although sessions is outside its limit"),
    ],
)
def test_a_pass_against_its_own_figures_is_refused(
    record: Record, figures: dict[str, Any], told: str
) -> None:
    """A ticked box needs criteria that passed, with values and bounds inside their limits."""
    first = record.checkpoints[0]
    criterion: Criterion = replace(first.tests[0].criteria[0], **figures)
    forged = replace(first, tests=(replace(first.tests[0], criteria=(criterion,)),))
    with pytest.raises(ReportError, match=told):
        refuse_contradictions(_with(record, forged))


def test_a_pass_against_its_own_test_is_refused(record: Record) -> None:
    """A checkpoint cannot pass when one of its tests did not."""
    first = record.checkpoints[0]
    forged = replace(first, tests=(*first.tests, replace(first.tests[0], nodeid="other", outcome="error")))
    with pytest.raises(ReportError, match="SNP-004 passed although other is error"):
        refuse_contradictions(_with(record, forged))


def test_two_results_for_one_checkpoint_are_refused(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """Nobody could tell which of two results counts."""
    with pytest.raises(ReportError, match="2 results for SNP-075"):
        refuse_contradictions(_with(record, checkpoint("SNP-075", "Again.", "not_run")))


def test_a_checkpoint_without_a_place_is_refused(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """A result that no stage of the record holds would be counted and never shown."""
    with pytest.raises(ReportError, match="SNP-999 in a stage that the record does not have"):
        refuse_contradictions(_with(record, checkpoint("SNP-999", "Lost.", "not_run", stage="nowhere")))
