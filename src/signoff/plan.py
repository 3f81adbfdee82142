"""The plan of a run: which stages it covers, and which tests verify which checkpoint.

Everything here is decided from the collected items alone, so that every xdist worker comes to the same
plan and the controller can take it from any of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest

from signoff.errors import CheckpointError, UsageError
from signoff.markers import Marker
from signoff.record import Access, StageRecord
from signoff.runbook import Checkpoint, Runbook, Stage

CHECKPOINT_MARK: Final = "checkpoint"


class PlannedTest(msgspec.Struct, frozen=True, kw_only=True):
    """An item as collected, with the reason why it will not run, if any."""

    nodeid: str
    checkpoint: str
    title: str
    access: Access
    topics: tuple[str, ...] = ()
    left_out: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do.

    Attributes:
        stages: by runbook name, every stage with whether the run covers it.
        tests: every collected item in document order.
        unverified: checkpoints in scope with neither test nor role.
    """

    stages: dict[str, tuple[StageRecord, ...]]
    tests: tuple[PlannedTest, ...]
    unverified: tuple[str, ...] = ()


class Inventory:
    """All checkpoints of all runbooks, and their order.

    Args:
        runbooks: in the order in which they run.
    """

    def __init__(self, runbooks: Sequence[Runbook]) -> None:
        self.runbooks = tuple(runbooks)
        self._places: dict[str, tuple[Runbook, Checkpoint]] = {
            checkpoint.id: (runbook, checkpoint) for runbook in runbooks for checkpoint in runbook.checkpoints
        }
        self._order = {id_: number for number, id_ in enumerate(self._places)}

    def __contains__(self, id_: str) -> bool:
        return id_ in self._places

    def runbook_of(self, id_: str) -> Runbook:
        """The runbook that a checkpoint stands in."""
        return self._places[id_][0]

    def checkpoint(self, id_: str) -> Checkpoint:
        """The checkpoint with this id."""
        return self._places[id_][1]

    def position(self, id_: str) -> int:
        """The place of a checkpoint in document order over all runbooks."""
        return self._order[id_]

    def nearest(self, id_: str) -> str:
        """A next step that offers the closest known id."""
        matches = difflib.get_close_matches(id_, self._places, n=1)
        return f"Did you mean {matches[0]}?" if matches else "Add it to the runbook, or remove the test."


class _Claim(NamedTuple):
    """What the markers and the docstring of an item say, read once."""

    checkpoints: tuple[str, ...]
    marks: frozenset[str]
    guarantee: str


_CLAIM: Final = pytest.StashKey[_Claim]()


def _claim(item: pytest.Item) -> _Claim:
    claim = item.stash.get(_CLAIM, None)
    if claim is None:
        marks = list(item.iter_markers())
        claim = _Claim(
            tuple(str(arg) for mark in marks if mark.name == CHECKPOINT_MARK for arg in mark.args),
            frozenset(mark.name for mark in marks),
            _guarantee(item),
        )
        item.stash[_CLAIM] = claim
    return claim


def _guarantee(item: pytest.Item) -> str:
    """The first paragraph of the docstring in one line; empty where there is none."""
    doc = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return " ".join(doc.strip().split("\n\n")[0].split())


def checkpoint_of(item: pytest.Item) -> str:
    """The checkpoint that a collected and checked item verifies."""
    return next(iter(_claim(item).checkpoints), "")


def access_of(item: pytest.Item) -> Access:
    """The access of a collected and checked item."""
    return "destructive" if "destructive" in _claim(item).marks else "read_only"


def topics_of(item: pytest.Item, markers: Iterable[Marker]) -> tuple[str, ...]:
    """The topics of an item, in the order of markers.ini."""
    marks = _claim(item).marks
    return tuple(marker.name for marker in markers if marker.kind == "topic" and marker.name in marks)


def title_of(item: pytest.Item) -> str:
    """The guarantee: the first sentence of the docstring, and the parameters' id where there is one."""
    title = _claim(item).guarantee or item.name
    callspec = getattr(item, "callspec", None)
    return f"{title} [{callspec.id}]" if callspec is not None else title


def check(item: pytest.Item, inventory: Inventory) -> None:
    """Check that an item may stand in the suite.

    Raises:
        CheckpointError: it names no, several or an unknown checkpoint, has no or both accesses, has no
            docstring, or is expected to fail.
    """
    ids, marks, guarantee = _claim(item)
    if len(ids) != 1:
        _refuse(item, " and ".join(ids) or "no checkpoint", "one @checkpoint", "Name what the test verifies.")
    if ids[0] not in inventory:
        _refuse(
            item,
            f"the unknown checkpoint {ids[0]}",
            "a checkpoint of one of the runbooks",
            inventory.nearest(ids[0]),
        )
    if inventory.checkpoint(ids[0]).manual_role:
        _refuse(item, f"a test for the manual checkpoint {ids[0]}", "an automated one", "Drop `.manual`.")
    if not _stands_beside(item.path, inventory.runbook_of(ids[0]).path):
        _refuse(
            item,
            f"{ids[0]} of another runbook",
            "a checkpoint of the runbook in the same folder",
            "Move the test to the folder of its runbook.",
        )
    accesses = [name for name in ("read_only", "destructive") if name in marks]
    if len(accesses) != 1:
        _refuse(
            item,
            " and ".join(accesses) or "no access",
            "exactly one of read_only and destructive",
            "Mark the test with what it may do.",
        )
    if not guarantee:
        _refuse(item, "no docstring", "the guarantee as one sentence", "Say what an operator would sign.")
    if "xfail" in marks:
        _refuse(item, "xfail", "a test that tells the outcome", "Waive the checkpoint instead.")


@cache
def _stands_beside(test: Path, runbook: Path) -> bool:
    return runbook.parent in test.parents


def _refuse(item: pytest.Item, got: str, expected: str, next_step: str) -> None:
    raise CheckpointError(item.nodeid, got=got, expected=expected, next_step=next_step)


def cover_stages(
    inventory: Inventory, stages: Sequence[str], items: Iterable[pytest.Item]
) -> dict[str, tuple[StageRecord, ...]]:
    """Decide which stages the run covers.

    Args:
        inventory: the selected runbooks.
        stages: those that the command line names; empty for none.
        items: what is left after ``-m`` and ``-k``.

    Returns:
        Every stage of every runbook. With ``--stage`` exactly those named. Without, the standing ones, and
        the transitional ones of a runbook whose destructive tests are selected too.
    """
    changed = {inventory.runbook_of(checkpoint_of(i)).name for i in items if access_of(i) == "destructive"}
    return {
        runbook.name: tuple(
            _cover(stage, stages, changes=runbook.name in changed) for stage in runbook.stages
        )
        for runbook in inventory.runbooks
    }


def _cover(stage: Stage, stages: Sequence[str], *, changes: bool) -> StageRecord:
    if stages:
        selected, reason = stage.id in stages, "not named by --stage"
    else:
        selected = changes or not stage.transitional
        reason = f"transitional: it runs with --stage {stage.id} or with the destructive tests"
    return StageRecord(
        id=stage.id,
        title=stage.title,
        transitional=stage.transitional,
        selected=selected,
        reason="" if selected else reason,
    )


def check_names(kind: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Check the runbooks or stages that the command line names.

    Raises:
        UsageError: one is not known; the nearest one is offered.
    """
    for name in names:
        if name not in known:
            matches = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"--{kind} {name}",
                got=f"an unknown {kind}",
                expected="one of " + ", ".join(dict.fromkeys(known)),
                next_step=f"Did you mean {matches[0]}?" if matches else "Correct the name.",
            )
