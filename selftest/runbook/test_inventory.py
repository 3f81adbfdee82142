"""The runbooks of this repository verify everything that they set out to verify."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from signoff.runbook import load_runbook

TESTS = Path(__file__).resolve().parents[2] / "tests"

FIRST_OWN_NUMBER = 201
"""From here on a runbook numbers checkpoints that the documents behind it do not have."""


@pytest.mark.parametrize(
    ("runbook", "prefix", "last"),
    [("security_hardening", "SEC", 72), ("snapshot_backfill", "SNP", 112)],
)
def test_every_line_of_the_inventory_stands_exactly_once(runbook: str, prefix: str, last: int) -> None:
    """Each id of the inventory is a checkpoint of the runbook or covered by one, and by no second one."""
    checkpoints = load_runbook(TESTS / runbook / "runbook.md").checkpoints
    stated = Counter(id_ for checkpoint in checkpoints for id_ in (checkpoint.id, *checkpoint.covers))
    inventory = {f"{prefix}-{number:03}": 1 for number in range(1, last + 1)}
    own = {id_ for id_ in stated if int(id_.removeprefix(f"{prefix}-")) >= FIRST_OWN_NUMBER}
    assert {id_: times for id_, times in stated.items() if id_ not in own} == inventory
