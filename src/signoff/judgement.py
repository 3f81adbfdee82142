"""One value, one comparison, one limit: the outcome in figures and in words.

Pure functions: :mod:`signoff.criteria` records and raises what they find.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR
from fractions import Fraction
from typing import NamedTuple

from signoff.comparison import AT_MOST, BETWEEN, EQUALS, Comparison, OneSided
from signoff.errors import EvidenceError
from signoff.record import JSONValue, Outcome
from signoff.statistics import CONFIDENCE, Estimate, Interval
from signoff.values import (
    NUMBER,
    Canonical,
    Redact,
    canonical,
    element,
    number_text,
    recorded,
    shown,
)


class Requirement(NamedTuple):
    """What is required of a named quantity.

    Attributes:
        name: the name of the criterion.
        unit: its unit.
        comparison: how the value is held against the limit.
        parts: the limit as stated: one value, two for ``between``, any number for ``one of``.
        forms: the parts in canonical form.
    """

    name: str
    unit: str
    comparison: Comparison
    parts: tuple[object, ...]
    forms: tuple[Canonical, ...]

    def numbers(self) -> list[Fraction]:
        """The numbers in the limit."""
        return [form.key for form in self.forms if form.kind == NUMBER]

    def words(self, redact: Redact) -> str:
        """In a sentence, such as ``>= 95 %``."""
        return self.comparison.words(
            [_shown(part, form, self.unit, redact) for part, form in zip(self.parts, self.forms, strict=True)]
        )


class Judgement(NamedTuple):
    """The outcome of a comparison.

    Attributes:
        outcome: ``passed``, ``failed`` or ``inconclusive``.
        measured: the value, for the record.
        got: the value in a sentence.
        detail: what else the sentence says: the bound that decided, by how much a limit was missed.
        next_step: what the reader can do when the criterion is not met.
        interval: the bounds of a sampled quantity, in the unit of the criterion.
    """

    outcome: Outcome
    measured: JSONValue
    got: str
    detail: str
    next_step: str
    interval: Interval | None = None


def requirement(name: str, unit: str, comparison: Comparison, parts: Sequence[object]) -> Requirement:
    """Check a limit.

    Raises:
        EvidenceError: the limit is empty, of a kind that the comparison cannot order, or the wrong way round.
    """
    subject = f"the limit of {name}"
    forms = tuple(canonical(part, unit, subject) for part in parts)
    if not forms:
        raise EvidenceError(
            subject,
            got="no accepted values",
            expected="a list, tuple or set of them",
            next_step="Name the values that are accepted.",
        )
    for form in forms:
        if not comparison.fits(form.kind):
            raise EvidenceError(
                subject,
                got=f"a {form.kind}",
                expected=f"something with an order for {comparison.symbol!r}",
                next_step="Compare with equals or is_one_of.",
            )
        if form.kind != forms[0].kind:
            raise EvidenceError(
                subject,
                got=f"values of several kinds: {', '.join(sorted({form.kind for form in forms}))}",
                expected="values of one kind",
                next_step="Convert them to the kind of the measured value.",
            )
    if comparison is BETWEEN and not AT_MOST.met(forms[0], forms[1:]):
        raise EvidenceError(
            subject,
            got="a lowest value above the highest one",
            expected="the lowest value first",
            next_step="Exchange the two.",
        )
    return Requirement(name=name, unit=unit, comparison=comparison, parts=tuple(parts), forms=forms)


def judge(value: object, required: Requirement, redact: Redact) -> Judgement:
    """Judge a value, exactly; or an :class:`~signoff.statistics.Estimate`, by its confidence bounds.

    Raises:
        EvidenceError: the value cannot be judged.
        Inconclusive: a sample is too small for any bound.
    """
    if isinstance(value, Estimate):
        return _judge_sampled(value, required)
    return _judge_exact(value, required, redact)


def _judge_exact(value: object, required: Requirement, redact: Redact) -> Judgement:
    form = canonical(value, required.unit, required.name)
    if form.kind != required.forms[0].kind:
        raise EvidenceError(
            required.name,
            got=f"a {form.kind}",
            expected=f"a {required.forms[0].kind}, as the limit is one",
            next_step="Convert the value where it is measured, or correct the limit.",
        )
    if form.is_empty() and form not in required.forms:
        raise EvidenceError(
            required.name,
            got=f"an empty {form.kind}",
            expected="something to judge",
            next_step="Check that the query can see; where emptiness is the claim, say equals([]).",
        )
    met = required.comparison.met(form, required.forms)
    return Judgement(
        outcome="passed" if met else "failed",
        measured=recorded(form.key if isinstance(value, timedelta) else value, redact),
        got=_shown(value, form, required.unit, redact, beside=required.numbers()),
        detail="" if met else _shortfall(value, form, required, redact),
        next_step="The evidence of this test shows where the value comes from.",
    )


def _shown(
    value: object, form: Canonical, unit: str, redact: Redact, *, beside: Iterable[Fraction] = ()
) -> str:
    """As `values.shown`, without converting a number once more."""
    if form.kind == NUMBER:
        return f"{number_text(form.key, beside)} {unit}".rstrip()
    return shown(value, unit, redact)


def _shortfall(value: object, form: Canonical, required: Requirement, redact: Redact) -> str:
    """By how much, or where, a value misses its limit."""
    if form.kind == NUMBER:
        distance = min(abs(form.key - number) for number in required.numbers())
        unit = "percentage points" if required.unit == "%" else required.unit
        return f": missed by {number_text(distance)} {unit}".rstrip() if distance else ": not met"
    if required.comparison is EQUALS:
        return _difference(value, required.parts[0], redact)
    return ""


def _difference(value: object, limit: object, redact: Redact) -> str:
    """Where two collections of one kind differ, so that nobody has to search."""
    match value, limit:
        case (set() | frozenset(), set() | frozenset()):
            got = {element(item, ""): item for item in value}
            wanted = {element(item, ""): item for item in limit}
            missing = shown({wanted[form] for form in wanted if form not in got}, "", redact)
            unexpected = shown({got[form] for form in got if form not in wanted}, "", redact)
            return f": missing {missing}, unexpected {unexpected}"
        case Mapping(), Mapping():
            keys = {
                key
                for key in {**value, **limit}
                if key not in value or key not in limit or element(value[key], "") != element(limit[key], "")
            }
            return f": differing at {shown(keys, '', redact)}"
        case (list() | tuple(), list() | tuple()):
            if len(value) != len(limit):
                return f": {len(value):,} items instead of {len(limit):,}"
            place, got_item, wanted_item = next(
                (place, *pair)
                for place, pair in enumerate(zip(value, limit, strict=True), start=1)
                if element(pair[0], "") != element(pair[1], "")
            )
            return (
                f": item {place} is {shown(got_item, '', redact)} instead of {shown(wanted_item, '', redact)}"
            )
        case _:
            return ""


def _judge_sampled(sample: Estimate, required: Requirement) -> Judgement:
    scale = _checked_scale(sample, required)
    raw = sample.interval(CONFIDENCE)
    interval = replace(
        raw,
        estimate=_scaled(raw.estimate, scale),
        lower=_scaled(raw.lower, scale),
        upper=_scaled(raw.upper, scale),
    )
    estimate, lower, upper = (
        canonical(bound, "", required.name) for bound in (interval.estimate, interval.lower, interval.upper)
    )
    outcome = required.comparison.decide(lower, upper, required.forms)
    if outcome is None:
        raise EvidenceError(
            required.name,
            got=f"a sampled quantity compared with {required.comparison.symbol!r}",
            expected="at_least, at_most, more_than, less_than or between",
            next_step="No sample shows that a quantity has exactly one value; state a bound.",
        )
    detail, next_step = "", "The evidence of this test shows the sample."
    if outcome == "inconclusive":
        aim = "show" if required.comparison.met(estimate, required.forms) else "refute"
        detail, next_step = f": too few samples to {aim} it", "Take more samples."
        needed = _samples_to_decide(sample, required, (lower.key, upper.key), scale)
        if needed is not None:
            detail = f"{detail}, about {needed:,} would probably suffice"
            next_step = f"Take about {needed:,} samples."
        elif {number / scale for number in required.numbers()} & set(sample.domain()):
            detail, next_step = ": no sample can show it", "Count everything instead of drawing a sample."
    elif outcome == "failed":
        detail = ": shown to be missed"
    measured = f"{number_text(estimate.key, required.numbers())} {required.unit}".rstrip()
    return Judgement(
        outcome=outcome,
        measured=interval.estimate,
        got=f"{measured} ({interval.detail})",
        detail=f"; {_deciding_bound(required, outcome, lower.key, upper.key)}{detail}",
        next_step=next_step,
        interval=interval,
    )


def _scaled(bound: float, scale: int) -> float:
    return float(Fraction(bound) * scale)


def _checked_scale(sample: Estimate, required: Requirement) -> int:
    scale = sample.scale(required.unit)
    if scale is None or required.forms[0].kind != NUMBER:
        kind = type(sample).__name__
        raise EvidenceError(
            required.name,
            got=f"a {kind} with the unit {required.unit!r}, compared with a {required.forms[0].kind}",
            expected="a unit that fits the quantity, and a number as limit",
            next_step="Use '%' for a proportion and 'x' for a ratio.",
        )
    least, greatest = sample.domain()
    if not all(least <= number / scale <= greatest for number in required.numbers()):
        raise EvidenceError(
            f"the limit of {required.name}",
            got=required.words(str),
            expected=f"a limit from {least * scale:g} to {greatest * scale:g}",
            next_step="Check the unit: a proportion without one lies between 0 and 1.",
        )
    return scale


def _samples_to_decide(
    sample: Estimate, required: Requirement, bounds: tuple[Fraction, Fraction], scale: int
) -> int | None:
    """The most that any part of the limit within the bounds needs; ``None`` when that cannot be told."""
    lower, upper = bounds
    sizes = [
        sample.samples_to_decide(float(number / scale), CONFIDENCE)
        for number in required.numbers()
        if lower <= number <= upper
    ]
    known = [size for size in sizes if size is not None]
    return max(known) if known and len(known) == len(sizes) else None


def _deciding_bound(required: Requirement, outcome: Outcome, lower: Fraction, upper: Fraction) -> str:
    """The bound that decided, or both for a range, rounded outwards."""
    low = f"{number_text(lower, required.numbers(), ROUND_FLOOR)} {required.unit}".rstrip()
    high = f"{number_text(upper, required.numbers(), ROUND_CEILING)} {required.unit}".rstrip()
    if not isinstance(required.comparison, OneSided):
        return f"{100 * CONFIDENCE:g} % bounds {low} and {high}"
    if required.comparison.upwards == (outcome != "failed"):
        return f"lower {100 * CONFIDENCE:g} % bound {low}"
    return f"upper {100 * CONFIDENCE:g} % bound {high}"
