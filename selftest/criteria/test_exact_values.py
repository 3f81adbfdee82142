"""Values that are judged exactly."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.criteria import Expect, Expectation
from signoff.errors import CriterionNotMet, EvidenceError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_ELSEWHERE = datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))

numbers = st.one_of(
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-(10**9), 10**9, places=6),
    st.fractions(-1000, 1000),
)

COMPARISONS: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Expectation, Any], None]]] = {
    ">=": (operator.ge, Expectation.at_least),
    ">": (operator.gt, Expectation.more_than),
    "<=": (operator.le, Expectation.at_most),
    "<": (operator.lt, Expectation.less_than),
    "=": (operator.eq, Expectation.equals),
}


def _decimal_meaning(number: object) -> Fraction:
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(str(number))


@pytest.mark.parametrize("symbol", COMPARISONS)
@given(value=numbers, limit=numbers)
def test_numbers_are_compared_without_rounding(symbol: str, value: object, limit: object) -> None:
    """Numbers of all types are judged by what they read as, and the record says how."""
    holds, judge = COMPARISONS[symbol]
    expect = Expect()
    met = holds(_decimal_meaning(value), _decimal_meaning(limit))
    if met:
        judge(expect("figure", value), limit)
    else:
        with pytest.raises(CriterionNotMet):
            judge(expect("figure", value), limit)
    (criterion,) = expect.criteria
    assert criterion.comparison == symbol
    assert criterion.outcome == ("passed" if met else "failed")
    assert _decimal_meaning(criterion.measured) == _decimal_meaning(value)
    assert _decimal_meaning(criterion.limit) == _decimal_meaning(limit)


@pytest.mark.parametrize("number", [float, Decimal, Fraction])
@pytest.mark.parametrize(
    ("text", "met"), [("94.9", False), ("94.999", False), ("95.0", True), ("95.1", True)]
)
def test_limit_is_met_from_the_limit_on(number: Callable[[str], Any], text: str, met: bool) -> None:
    """At the limit and above it a value passes; a thousandth below it does not."""
    expect = Expect()
    if met:
        expect("coverage", number(text), "%").at_least(95)
    else:
        with pytest.raises(CriterionNotMet):
            expect("coverage", number(text), "%").at_least(95)


def test_decimal_equals_the_float_that_reads_the_same() -> None:
    """The 95.1 of a numeric column meets the limit 95.1 from both sides."""
    expect = Expect()
    expect("coverage", Decimal("95.1"), "%").at_most(95.1)
    expect("coverage", Decimal("95.1"), "%").at_least(95.1)


def test_one_row_of_millions_is_not_rounded_away() -> None:
    """With one row of 1,682,827 missing, 100 % are not reached, and the sentence does not claim so."""
    expect = Expect()
    with pytest.raises(CriterionNotMet):
        expect("coverage", 100 * 1_682_826 / 1_682_827, "%").at_least(100)
    (criterion,) = expect.criteria
    assert criterion.reason.startswith("99.9999 % measured, required >= 100 %: missed by 0.0000594")


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (True, True),
        ("on", "on"),
        ("", ""),
        (date(2026, 1, 1), date(2026, 1, 1)),
        (NOON, NOON_ELSEWHERE),
        (datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 12)),  # noqa: DTZ001 - as a column without time zone
        ([], []),
        ([(1, "a"), (2, None)], [[1, "a"], [2, None]]),
        ({"b", "a"}, frozenset({"a", "b"})),
        ({"work_mem": "4MB", "x": Decimal("1.0")}, {"x": 1, "work_mem": "4MB"}),
        ({1: "a"}, {1: "a"}),
        ([timedelta(seconds=60)], [timedelta(minutes=1)]),
    ],
)
def test_equal_values_are_equal(value: object, limit: object) -> None:
    """Values of one kind are equal when they say the same, whatever types carry them."""
    expect = Expect()
    expect("value", value).equals(limit)
    assert expect.criteria[0].outcome == "passed"


@pytest.mark.parametrize(
    ("value", "limit", "difference"),
    [
        (True, False, "true measured, required = false"),
        ("on", "off", '"on" measured, required = "off"'),
        ([1, 2], [2, 1], "item 1 is 1 instead of 2"),
        ([1, True], [1, 1], "item 2 is true instead of 1"),
        ([(1, None)], [(1, 0)], "item 1 is [1, null] instead of [1, 0]"),
        ([1], [], "1 items instead of 0"),
        ({"a", "b"}, {"b", "c"}, 'missing ["c"], unexpected ["a"]'),
        ({"a": 1, "b": 2}, {"a": 1, "b": "2"}, 'differing at ["b"]'),
        ({"a": 1}, {"a": 1, "b": None}, 'differing at ["b"]'),
        ({"a": True}, {"a": 1}, 'differing at ["a"]'),
        (NOON, NOON + timedelta(microseconds=1), "2026-01-01T12:00:00+00:00 measured"),
    ],
)
def test_difference_is_named(value: object, limit: object, difference: str) -> None:
    """Values that differ fail, and the reason says where."""
    expect = Expect()
    with pytest.raises(CriterionNotMet) as failure:
        expect("value", value).equals(limit)
    assert difference in expect.criteria[0].reason
    assert expect.criteria[0].outcome == "failed"
    assert failure.value.subject == "value"


@pytest.mark.parametrize(
    ("value", "unit", "got"),
    [
        (None, "", "None"),
        (float("nan"), "%", "nan"),
        (Decimal("NaN"), "%", "NaN"),
        (Decimal("sNaN"), "%", "sNaN"),
        (float("inf"), "x", "inf"),
        (Decimal("-Infinity"), "", "-Infinity"),
        ("95", "", "text"),
        ("95", "%", "text"),
        (True, "", "truth value"),
        (True, "rows", "truth value"),
        ([95], "", "sequence"),
        ([], "", "sequence"),
        (b"95", "", "bytes"),
        (95j, "", "complex"),
        (date(2026, 1, 1), "", "date"),
        (timedelta(seconds=95), "", "duration"),
        (timedelta(seconds=95), "rows", "duration"),
        (-1, "rows", "-1 rows"),
        (-0.5, "s", "-0.5 s"),
        (timedelta(seconds=-1), "s", "-1 s"),
    ],
)
def test_what_cannot_be_judged_is_an_error(value: object, unit: str, got: str) -> None:
    """No value, NaN, infinity, a wrong type and an impossible quantity are errors, and on the record."""
    expect = Expect()
    with pytest.raises(EvidenceError) as refusal:
        expect("figure", value, unit).at_most(95)
    assert got in refusal.value.got
    (criterion,) = expect.criteria
    assert criterion.outcome == "error"
    assert criterion.reason == str(refusal.value)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (None, None),
        ([], [1]),
        ("", "on"),
        (set(), {1}),
        ({}, {"a": 1}),
        ([float("nan")], [float("nan")]),
        ([b"x"], [b"x"]),
        (["on"], "on"),
        ({1}, [1]),
        (1, True),
        ("1", 1),
        (NOON, datetime(2026, 1, 1, 12)),  # noqa: DTZ001 - as a column without time zone
        (NOON, date(2026, 1, 1)),
    ],
)
def test_unequal_kinds_and_empty_answers_are_errors(value: object, limit: object) -> None:
    """Two kinds are not comparable, and an empty answer is judged only where emptiness is the limit."""
    expect = Expect()
    with pytest.raises(EvidenceError):
        expect("value", value).equals(limit)
    assert expect.criteria[0].outcome == "error"


@pytest.mark.parametrize("limit", [None, float("nan"), float("inf"), "95", True, [95], {95}])
def test_limit_that_orders_nothing_is_an_error(limit: Any) -> None:
    """A limit that is missing, not finite or of a kind without order is refused, whatever the value."""
    for judge in (Expectation.at_least, Expectation.at_most, Expectation.more_than, Expectation.less_than):
        with pytest.raises(EvidenceError, match="limit of figure"):
            judge(Expect()("figure", 95), limit)


def test_text_has_no_order() -> None:
    """Versions and other texts are not compared by the alphabet."""
    with pytest.raises(EvidenceError, match="order"):
        Expect()("version", "9.6").at_least("10")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "met"), [(1.9, False), (2, True), (3, True), (5, True), (Decimal("5.001"), False)]
)
def test_range_includes_both_ends(value: float, met: bool) -> None:
    """Both ends of a range belong to it."""
    expect = Expect()
    if met:
        expect("duration", value, "s").between(2, 5)
    else:
        with pytest.raises(CriterionNotMet, match="between 2 s and 5 s"):
            expect("duration", value, "s").between(2, 5)
    assert expect.criteria[0].limit == [2, 5]


def test_range_that_holds_nothing_is_an_error() -> None:
    """A range whose lowest value is above its highest, or whose ends differ in kind, is refused."""
    with pytest.raises(EvidenceError, match="lowest"):
        Expect()("duration", 3, "s").between(5, 2)
    with pytest.raises(EvidenceError, match="several kinds"):
        Expect()("duration", 3).between(2, date(2026, 1, 1))


@pytest.mark.parametrize("accepted", [["on", "off"], ("on", "off"), {"on", "off"}])
def test_one_of_several_values_is_accepted(accepted: Any) -> None:
    """A value passes when it is one of those accepted, and the record lists them."""
    expect = Expect()
    expect("synchronous_commit", "on").is_one_of(accepted)
    with pytest.raises(CriterionNotMet, match="one of"):
        expect("synchronous_commit", "remote_write").is_one_of(accepted)
    assert [criterion.outcome for criterion in expect.criteria] == ["passed", "failed"]
    assert sorted(expect.criteria[1].limit) == ["off", "on"]  # type: ignore[arg-type]


@pytest.mark.parametrize("accepted", ["on", [], {}, [1, "on"], [None]])
def test_accepted_values_are_a_collection_of_one_kind(accepted: Any) -> None:
    """A text, an empty collection and a mixed one name no accepted values."""
    with pytest.raises(EvidenceError):
        Expect()("synchronous_commit", "on").is_one_of(accepted)


def test_duration_is_judged_in_the_unit_of_the_criterion() -> None:
    """An interval from the database is compared with seconds or with a duration, and recorded as a number."""
    expect = Expect()
    expect("lag", timedelta(seconds=59, milliseconds=500), "s").at_most(60)
    expect("lag", timedelta(milliseconds=1), "ms").at_most(timedelta(seconds=1))
    with pytest.raises(CriterionNotMet, match=r"60\.000001 s: missed by 0\.000001 s"):
        expect("lag", timedelta(seconds=60, microseconds=1), "s").at_most(60)
    assert [criterion.measured for criterion in expect.criteria] == [59.5, 1, 60.000001]


def test_difference_may_be_negative_without_a_unit_and_in_per_cent() -> None:
    """Only counts, sizes, times and rates cannot lie below zero."""
    Expect()("growth", -3, "%").at_most(20)
    Expect()("balance", -3).at_most(0)
