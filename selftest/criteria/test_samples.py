"""Sampled quantities, judged by their confidence bounds."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.criteria import Expect, Expectation
from signoff.errors import CriterionNotMet, EvidenceError, Inconclusive, SignoffError
from signoff.statistics import Proportion, Ratio

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.integers(1, 99), st.sampled_from(["at_least", "more_than", "at_most", "less_than"]))
def test_outcome_follows_from_the_recorded_bounds(
    sample: tuple[int, int], limit: int, comparison: str
) -> None:
    """Passed when both bounds meet the limit, failed when neither does, inconclusive otherwise."""
    expect = Expect()
    raised: type[SignoffError] | None = None
    try:
        getattr(expect("accuracy", Proportion(*sample), "%"), comparison)(limit)
    except SignoffError as error:
        raised = type(error)
    (criterion,) = expect.criteria
    assert criterion.interval is not None
    meets: Callable[[float, float], bool] = {
        "at_least": operator.ge,
        "more_than": operator.gt,
        "at_most": operator.le,
        "less_than": operator.lt,
    }[comparison]
    outcome, error_of_outcome = {
        2: ("passed", None),
        1: ("inconclusive", Inconclusive),
        0: ("failed", CriterionNotMet),
    }[sum(meets(bound, limit) for bound in criterion.interval)]
    assert (criterion.outcome, raised) == (outcome, error_of_outcome)


def test_too_few_samples_are_inconclusive_and_say_how_many_it_takes() -> None:
    """A share above its limit that the sample cannot show is neither passed nor failed."""
    expect = Expect()
    with pytest.raises(Inconclusive) as undecided:
        expect("accuracy", Proportion(987, 993), "%").at_least(99)
    (criterion,) = expect.criteria
    assert criterion.outcome == "inconclusive"
    assert criterion.reason == (
        "99.4 % (987 of 993) measured, required >= 99 %; lower 95 % bound 98.81 %: "
        "too few samples to show it, about 3,603 would probably suffice"
    )
    assert criterion.samples == 993
    assert criterion.confidence == 0.95
    assert "Clopper" in criterion.method
    assert criterion.interval == pytest.approx((98.81091848537342, 99.73653948241852))
    assert "3,603" in undecided.value.next_step


def test_sample_that_shows_the_limit_passes() -> None:
    """A lower bound at the limit or above it shows the share."""
    expect = Expect()
    expect("accuracy", Proportion(998, 1000), "%").at_least(99)
    assert expect.criteria[0].reason == (
        "99.8 % (998 of 1,000) measured, required >= 99 %; lower 95 % bound 99.37 %"
    )


def test_sample_that_refutes_the_limit_fails() -> None:
    """An upper bound below the limit refutes the share."""
    expect = Expect()
    with pytest.raises(CriterionNotMet, match=r"upper 95 % bound 98\.68 %: shown to be missed"):
        expect("accuracy", Proportion(980, 1000), "%").at_least(99)
    assert expect.criteria[0].outcome == "failed"


def test_share_below_its_limit_may_still_be_undecided() -> None:
    """When the estimate misses and the upper bound does not, more samples would probably refute it."""
    with pytest.raises(Inconclusive, match="too few samples to refute it"):
        Expect()("accuracy", Proportion(988, 1000), "%").at_least(99)


def test_no_sample_shows_all_of_them() -> None:
    """However many are drawn, 100 % is never shown by a sample; one miss refutes it."""
    with pytest.raises(Inconclusive, match="no sample can show it") as undecided:
        Expect()("accuracy", Proportion(1000, 1000), "%").at_least(100)
    assert undecided.value.next_step == "Count everything instead of drawing a sample."
    with pytest.raises(CriterionNotMet):
        Expect()("accuracy", Proportion(999, 1000), "%").at_least(100)


@pytest.mark.parametrize(
    ("successes", "error"), [(500, None), (460, Inconclusive), (539, Inconclusive), (400, CriterionNotMet)]
)
def test_range_is_shown_by_both_bounds(successes: int, error: type[SignoffError] | None) -> None:
    """A share lies in a range when both bounds do, and outside it when both are beyond one end."""
    expectation = Expect()("share", Proportion(successes, 1000), "%")
    if error is None:
        expectation.between(45, 55)
    else:
        with pytest.raises(error, match="95 % bounds"):
            expectation.between(45, 55)


def test_limit_in_per_cent_for_a_plain_share_is_an_error() -> None:
    """A limit that the quantity can never reach or miss is a mistake, not a pass."""
    with pytest.raises(EvidenceError, match="from 0 to 1"):
        Expect()("accuracy", Proportion(5, 10)).at_most(92)
    Expect()("accuracy", Proportion(5, 10)).at_most(0.92)


@pytest.mark.parametrize(
    ("value", "unit"), [(Proportion(5, 10), "rows"), (Proportion(5, 10), "x"), (Ratio([2] * 5, [1] * 5), "%")]
)
def test_sample_in_a_unit_that_does_not_fit_is_an_error(value: object, unit: str) -> None:
    """A proportion is no number of rows, and a ratio of timings no percentage."""
    with pytest.raises(EvidenceError, match="fits the quantity"):
        Expect()("figure", value, unit).at_least(1)


def test_sample_equals_nothing() -> None:
    """No sample shows that a quantity has exactly one value."""
    for judge in (Expectation.equals, Expectation.is_one_of):
        with pytest.raises(EvidenceError, match="exactly one value"):
            judge(Expect()("accuracy", Proportion(5, 10)), 0.5 if judge is Expectation.equals else [0.5])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sample", [Proportion(0, 0), Proportion(11, 10), Ratio([], []), Ratio([1, 0], [1, 1])]
)
def test_empty_or_broken_sample_is_an_error_on_the_record(sample: object) -> None:
    """A sample that counts nothing or holds an impossible timing is recorded as an error."""
    expect = Expect()
    with pytest.raises(EvidenceError):
        expect("figure", sample).at_least(0.5)
    assert [criterion.outcome for criterion in expect.criteria] == ["error"]


def test_speed_up_is_judged_by_the_median_of_pairs() -> None:
    """A speed-up passes when the order-statistic bound of its pairs reaches the limit."""
    expect = Expect()
    expect("speed-up", Ratio([6.0, 6.1, 6.2, 6.3, 6.4], [1.0] * 5), "x").at_least(6)
    (criterion,) = expect.criteria
    assert criterion.interval == (6.0, 6.4)
    assert criterion.samples == 5
    assert criterion.reason == (
        "6.2 x (median of 5 interleaved pairs) measured, required >= 6 x; lower 95 % bound 6 x"
    )


def test_four_pairs_are_too_few() -> None:
    """Below the least number of pairs the answer is inconclusive, names that number, and is on the record."""
    expect = Expect()
    with pytest.raises(Inconclusive, match="at least 5"):
        expect("speed-up", Ratio([60.0] * 4, [1.0] * 4), "x").at_least(5)
    assert [criterion.outcome for criterion in expect.criteria] == ["inconclusive"]
