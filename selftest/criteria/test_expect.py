"""The life of an expectation: recorded before it is raised, redacted, bounded, never left unjudged."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from signoff.criteria import Expect
from signoff.errors import CriterionNotMet, EvidenceError
from signoff.record import Criterion


def test_all_that_was_judged_is_on_the_record_in_order() -> None:
    """A criterion that fails does not hide those judged before it."""
    expect = Expect()
    expect("rows", 10, "rows").more_than(0)
    with pytest.raises(CriterionNotMet):
        expect("coverage", 94.9, "%").at_least(95)
    assert [(c.name, c.measured, c.limit, c.unit, c.outcome) for c in expect.criteria] == [
        ("rows", 10, 0, "rows", "passed"),
        ("coverage", 94.9, 95, "%", "failed"),
    ]


def test_failure_has_its_figures() -> None:
    """The message names the criterion, the value, by how much it misses, and the limit."""
    with pytest.raises(CriterionNotMet) as failure:
        Expect()("coverage", Decimal("94.9"), "%").at_least(95)
    assert str(failure.value).startswith(
        "coverage: got 94.9 %: missed by 0.1 percentage points; expected >= 95 %. "
    )


def test_unjudged_expectation_is_an_error() -> None:
    """Stating a value without comparing it proves nothing: closing refuses it and records it."""
    expect = Expect()
    expect("rows", 10, "rows").more_than(0)
    expect("coverage", 99, "%")
    with pytest.raises(EvidenceError, match="coverage: got a value that was never judged"):
        expect.close()
    assert [(criterion.name, criterion.outcome) for criterion in expect.criteria] == [
        ("rows", "passed"),
        ("coverage", "error"),
    ]


def test_judged_expectations_close() -> None:
    """When all was judged, closing adds nothing."""
    expect = Expect()
    expect("rows", 10, "rows").more_than(0)
    expect.close()
    assert len(expect.criteria) == 1


def test_secrets_reach_neither_record_nor_message() -> None:
    """Values, keys and limits are redacted in record, reason and error, before anything is cut."""
    expect = Expect(redact=lambda text: text.replace("hunter2", "***"))
    value = {"hunter2": ["x" * 195 + "hunter2"], "dsn": "postgresql://u:hunter2@db1/"}
    with pytest.raises(CriterionNotMet) as failure:
        expect("settings", value).equals({"dsn": "hunter2"})
    with pytest.raises(EvidenceError):
        expect("settings", value).at_least(1)
    assert "hunter" not in repr(expect.criteria) + str(failure.value)
    assert expect.criteria[0].limit == {"dsn": "***"}


def test_value_of_an_unknown_type_is_named_and_never_printed() -> None:
    """An object that cannot be judged may hold anything; only its type is recorded."""

    class Credentials:
        def __repr__(self) -> str:
            return "hunter2"

    expect = Expect()
    for value in (Credentials(), [Credentials()]):
        with pytest.raises(EvidenceError):
            expect("value", value).equals("on")
    assert [criterion.measured for criterion in expect.criteria] == ["(Credentials)", ["(Credentials)"]]


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (2**53, 2**53),
        (2**64, "18446744073709551616"),
        (Decimal("94.999"), 94.999),
        (Decimal("3.00"), 3),
        (Decimal("0.1000000000000000000001"), "0.1000000000000000000001"),
        (Fraction(1, 3), "1/3"),
        (Fraction(1, 4), 0.25),
        ({"b", "a"}, ["a", "b"]),
        ({"b": 1, "a": (1, 2)}, {"a": [1, 2], "b": 1}),
        ({2: "b", 1: "a"}, [[1, "a"], [2, "b"]]),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
    ],
)
def test_recorded_value_is_exact_json(value: Any, recorded: object) -> None:
    """The record holds the value as JSON, exact and in one order, and reads back as it was."""
    expect = Expect()
    expect("value", value).equals(value)
    (criterion,) = expect.criteria
    assert criterion.measured == recorded
    assert msgspec.json.decode(msgspec.json.encode(criterion), type=Criterion) == criterion


def test_large_answer_is_bounded_on_the_record() -> None:
    """Thousands of rows neither fill the record nor the message; their number is told."""
    expect = Expect()
    rows = [(number, "x" * 50) for number in range(20_000)]
    with pytest.raises(CriterionNotMet) as failure:
        expect("rows over 25 s", rows).equals([])
    (criterion,) = expect.criteria
    assert len(json.dumps(criterion.measured)) < 25_000
    assert len(criterion.reason) < 1_000
    assert len(str(failure.value)) < 1_000
    assert "(20,000 items)" in criterion.reason


def test_huge_number_stays_readable() -> None:
    """Numbers beyond all sense are shown in powers of ten."""
    expect = Expect()
    with pytest.raises(CriterionNotMet):
        expect("figure", 1e300).at_most(1e299)
    assert expect.criteria[0].reason == "1.000E+300 measured, required <= 1.000E+299: missed by 9.000E+299"
