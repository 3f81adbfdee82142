"""The order of a report: the runbooks as documents, with the results of the record in their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, Protocol

from signoff.errors import ReportError
from signoff.record import CheckpointResult, Record, RunbookRecord, StageRecord
from signoff.report.prose import render_prose
from signoff.runbook.model import Block

_STAGE_LEVEL = 2


class RunbookDocument(Protocol):
    """What a report needs of a runbook; `signoff.runbook.Runbook` is one."""

    @property
    def name(self) -> str:
        """The name under which the record knows the runbook."""

    @property
    def blocks(self) -> Sequence[Block]:
        """Headings, prose and checkpoints in their order."""


@dataclass
class Part:
    """A piece of the report.

    Attributes:
        kind: ``heading``, ``prose``, ``stage`` or ``checkpoints``.
        level: of a heading, from 3.
        text: of a heading.
        html: of prose, safe to be put into a page.
        stage: of a stage; what follows belongs to it.
        checkpoints: a run of checkpoints without prose between them.
    """

    kind: Literal["heading", "prose", "stage", "checkpoints"]
    level: int = 0
    text: str = ""
    html: str = ""
    stage: StageRecord | None = None
    checkpoints: list[CheckpointResult] = field(default_factory=list)


def parts(record: Record, runbook: RunbookRecord, document: RunbookDocument | None) -> list[Part]:
    """The parts of one runbook in their order.

    Stages that the run does not cover are named, without their prose. Without a document, the parts are
    the stages and their checkpoints. Every checkpoint of the record appears, also one that the document
    does not have.

    Raises:
        ReportError: a checkpoint of a covered stage stands in the document but not in the record.
    """
    results: dict[str, dict[str, CheckpointResult]] = defaultdict(dict)
    for checkpoint in record.checkpoints:
        if checkpoint.runbook == runbook.name:
            results[checkpoint.stage][checkpoint.id] = checkpoint
    stages = {stage.id: stage for stage in runbook.stages}
    drawn: list[Part] = []
    for stage_id, blocks in _sections(runbook, document):
        stage = stages.get(stage_id)
        if stage is not None:
            drawn.append(Part("stage", stage=stage))
        left = results.pop(stage_id, {})
        if stage is None or stage.selected:
            drawn.extend(_section(blocks, left, runbook))
        drawn.extend(Part("checkpoints", checkpoints=[checkpoint]) for checkpoint in left.values())
    return list(_joined(drawn))


def _sections(runbook: RunbookRecord, document: RunbookDocument | None) -> Iterator[tuple[str, list[Block]]]:
    """The blocks of the document by stage, in order; then the stages that only the record knows."""
    seen = set()
    for stage_id, blocks in groupby(document.blocks if document else (), key=lambda block: block.stage):
        seen.add(stage_id)
        yield stage_id, list(blocks)
    for stage in runbook.stages:
        if stage.id not in seen:
            yield stage.id, []


def _section(
    blocks: list[Block], left: dict[str, CheckpointResult], runbook: RunbookRecord
) -> Iterator[Part]:
    for block in blocks:
        if block.kind == "prose":
            yield Part("prose", html=render_prose(block.text))
        elif block.kind == "checkpoint":
            yield Part("checkpoints", checkpoints=[_take(left, block.text, runbook)])
        elif block.level > _STAGE_LEVEL or (block.level == _STAGE_LEVEL and not block.stage):
            yield Part("heading", level=block.level + 1, text=block.text)


def _take(left: dict[str, CheckpointResult], identifier: str, runbook: RunbookRecord) -> CheckpointResult:
    if identifier in left:
        return left.pop(identifier)
    raise ReportError(
        f"{identifier} of the runbook {runbook.name}",
        got="no result in the record, although its stage is part of the run",
        expected="one result for every checkpoint of the stage",
        next_step="Render the report with the runbooks of the run; their digests stand in the record.",
    )


def _joined(drawn: list[Part]) -> Iterator[Part]:
    """Checkpoints that follow each other become one run, and so one table."""
    for kind, same in groupby(drawn, key=lambda part: part.kind):
        if kind == "checkpoints":
            yield Part("checkpoints", checkpoints=[one for part in same for one in part.checkpoints])
        else:
            yield from same
