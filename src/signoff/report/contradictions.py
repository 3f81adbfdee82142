"""No report from a record that contradicts itself: somebody would believe its better half."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from signoff.errors import ReportError
from signoff.record import GREEN, Record
from signoff.report.wording import Line, Lines, lines_of
from signoff.verdict import judge

_WEIGHT = ("PROMOTE", "HOLD", "ROLLBACK")


def refuse_contradictions(record: Record) -> Lines:
    """Refuse a record whose verdict, outcomes and figures do not fit together.

    Returns:
        The figures in words, as the reports tell them.

    Raises:
        ReportError: the first contradictions found.
    """
    lines = lines_of(record.checkpoints)
    found = list(_contradictions(record, lines))
    if found:
        raise ReportError(
            f"the record of the run {record.run.id}",
            got="; ".join(found[:5]),
            expected="a verdict that follows from the outcomes, and outcomes that follow from the figures",
            next_step="The record was changed after the run, or this is a defect of Signoff: run again.",
        )
    return lines


def _contradictions(record: Record, lines: Lines) -> Iterator[str]:
    policy = judge(record).decision
    if _WEIGHT.index(record.verdict.decision) < _WEIGHT.index(policy):
        yield f"the verdict {record.verdict.decision} although the policy says {policy}"
    for identifier, number in Counter(checkpoint.id for checkpoint in record.checkpoints).items():
        if number > 1:
            yield f"{number} results for {identifier}"
    stages = {(runbook.name, stage.id) for runbook in record.runbooks for stage in runbook.stages}
    for checkpoint in record.checkpoints:
        if (checkpoint.runbook, checkpoint.stage) not in stages:
            yield f"{checkpoint.id} in a stage that the record does not have"
        if checkpoint.outcome != "passed":
            continue
        for test in checkpoint.tests:
            if test.outcome not in GREEN:
                yield f"{checkpoint.id} passed although {test.nodeid} is {test.outcome}"
        for found in filter(_is_unmet, lines[checkpoint.id]):
            yield f"{checkpoint.id} passed although {found.name} is outside its limit"


def _is_unmet(found: Line) -> bool:
    return found.outcome != "passed" or (found.distance is not None and found.distance < 0)
