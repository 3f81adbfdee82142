"""Units of criteria."""

from __future__ import annotations

import pytest

from signoff.criteria import Expect
from signoff.errors import EvidenceError


@pytest.mark.parametrize(
    "unit", ["", "%", "x", "ms", "s", "min", "bytes", "GB", "rows", "sessions/s", "records/min", "MB/s"]
)
def test_registered_units_are_accepted(unit: str) -> None:
    """Shares, multiples, times, sizes, counts and rates are units, and the record names the unit."""
    expect = Expect()
    expect("figure", 1, unit).at_least(1)
    assert expect.criteria[0].unit == unit


@pytest.mark.parametrize(
    ("unit", "offered"),
    [("sec", ""), ("row", "'rows'"), ("session/s", ""), ("rows/request", ""), ("percent", "")],
)
def test_unknown_unit_is_refused(unit: str, offered: str) -> None:
    """A unit that is not registered is an error on the record; a near one is offered."""
    expect = Expect()
    with pytest.raises(EvidenceError) as refusal:
        expect("figure", 1, unit).at_least(1)
    assert repr(unit) in refusal.value.got
    assert offered in refusal.value.next_step
    assert expect.criteria[0].outcome == "error"
