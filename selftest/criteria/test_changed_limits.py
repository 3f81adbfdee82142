"""Limits that an environment changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from signoff.criteria import Expect, Expectation
from signoff.environment.model import Limit, LimitValue
from signoff.errors import CriterionNotMet, ProfileError
from signoff.statistics import Proportion


def _expect(limit: LimitValue, *, promotes: bool = False) -> Expect:
    changed = {"coverage": Limit(limit=limit, reason="half of the feeds are missing here")}
    return Expect(checkpoint="SNP-075", limits=changed, promotes=promotes)


def test_changed_limit_is_applied_and_both_are_recorded() -> None:
    """The profile's limit decides; record and reason name the runbook's too, and why it was changed."""
    expect = _expect(90)
    expect("coverage", 92, "%").at_least(95)
    (criterion,) = expect.criteria
    assert (criterion.limit, criterion.runbook_limit) == (90, 95)
    assert criterion.limit_reason == "half of the feeds are missing here"
    assert criterion.comparison == ">="
    assert criterion.reason == (
        "92 % measured, required >= 90 % "
        "(the runbook says >= 95 %; changed here: half of the feeds are missing here)"
    )


def test_changed_limit_can_fail() -> None:
    """Below the changed limit the criterion is not met."""
    expect = _expect(90)
    with pytest.raises(CriterionNotMet, match=">= 90 %"):
        expect("coverage", 89, "%").at_least(95)
    assert expect.criteria[0].runbook_limit == 95


def test_other_criteria_keep_their_limits() -> None:
    """Only the criterion of that name changes."""
    expect = _expect(90)
    with pytest.raises(CriterionNotMet, match=">= 95 %"):
        expect("accuracy", 92, "%").at_least(95)
    assert expect.criteria[0].runbook_limit is None


def test_changed_limit_of_a_sample() -> None:
    """A sampled quantity is judged against the changed limit, too."""
    expect = _expect(98)
    expect("coverage", Proportion(998, 1000), "%").at_least(99.5)
    assert (expect.criteria[0].limit, expect.criteria[0].runbook_limit) == (98, 99.5)


@pytest.mark.parametrize(
    ("judge", "value", "tighter", "looser"),
    [
        (lambda e: e.at_least(95), 100, 96, 94),
        (lambda e: e.more_than(95), 100, 96, 94),
        (lambda e: e.at_most(95), 1, 94, 96),
        (lambda e: e.less_than(95), 1, 94, 96),
        (lambda e: e.between(10, 20), 15, (11, 20), (10, 21)),
        (lambda e: e.between(10, 20), 15, (10, 20), (9, 20)),
        (lambda e: e.is_one_of(["a", "b"]), "a", ("a",), ("a", "c")),
        (lambda e: e.equals("a"), "a", "a", "b"),
        (lambda e: e.equals({"a", "b"}), {"a", "b"}, ("b", "a"), ("a",)),
    ],
)
def test_environment_that_promotes_only_tightens(
    judge: Callable[[Expectation], None], value: object, tighter: LimitValue, looser: LimitValue
) -> None:
    """Where a green result promotes, a limit that lets more through is refused; a tighter one is not."""
    strict = _expect(tighter, promotes=True)
    judge(strict("coverage", value))
    assert strict.criteria[0].outcome == "passed"
    loose = _expect(looser, promotes=True)
    with pytest.raises(ProfileError) as refusal:
        judge(loose("coverage", value))
    assert refusal.value.subject == 'limits."SNP-075"."coverage"'
    assert loose.criteria[0].outcome == "error"


@pytest.mark.parametrize(
    ("judge", "limit"),
    [
        (lambda e: e.at_least(95), "95"),
        (lambda e: e.at_least(95), (90, 95)),
        (lambda e: e.between(90, 99), 95),
        (lambda e: e.between(90, 99), (90, 95, 99)),
        (lambda e: e.between(90, 99), (99, 90)),
        (lambda e: e.is_one_of([95, 96]), 95),
        (lambda e: e.is_one_of([95, 96]), ("95",)),
    ],
)
def test_limit_of_another_shape_is_refused(judge: Callable[[Expectation], None], limit: Any) -> None:
    """A changed limit has the shape and the type that it has in the test: the comparison never changes."""
    expect = _expect(limit)
    with pytest.raises(ProfileError, match="SNP-075"):
        judge(expect("coverage", 95))
    assert expect.criteria[0].outcome == "error"


def test_name_that_is_judged_in_two_ways_has_no_changed_limit() -> None:
    """When one name stands for two criteria, it is not clear which one a profile means."""
    expect = _expect(90)
    expect("coverage", 96, "%").at_least(95)
    expect("coverage", 97, "%").at_least(95)
    with pytest.raises(ProfileError, match="several ways"):
        expect("coverage", 96, "%").at_most(99)


def test_unused_limit_is_reported() -> None:
    """A limit for a criterion that the test never judged, for instance a misspelt one, can be asked for."""
    expect = _expect(90)
    expect("accuracy", 99, "%").at_least(95)
    assert expect.unused_limits() == {"coverage"}
    expect("coverage", 99, "%").at_least(95)
    assert expect.unused_limits() == frozenset()
