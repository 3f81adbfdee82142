"""How reports word a record: figures, limits, margins, the sum of outcomes and the reason of a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from signoff.record import (
    GREEN,
    OUTCOMES,
    CheckpointResult,
    Criterion,
    JSONValue,
    Outcome,
    Record,
)
from signoff.report.visible import shortened
from signoff.values import number_text

OUTCOME_WORDS: Final[dict[Outcome, str]] = {outcome: outcome.replace("_", " ") for outcome in OUTCOMES}
"""The word of each outcome in a report."""

_SUM_ORDER: Final[tuple[Outcome, ...]] = (
    "passed",
    "attested",
    "waived",
    "not_applicable",
    "failed",
    "error",
    "inconclusive",
    "not_run",
    "pending",
)
_SIGNS: Final = {">=": "≥", "<=": "≤", "between": "", "one of": "one of"}
_ORDERED: Final = frozenset({">=", "<=", ">", "<", "between"})
_EXACT_DIGITS: Final = 10
_SHORT: Final = Context(prec=_EXACT_DIGITS)
_FIGURE_CHARACTERS: Final = 100
_GIST_CHARACTERS: Final = 120


class Line(NamedTuple):
    """One criterion as a line of a table; every part is text for a reader.

    Attributes:
        name: what was measured.
        measured: the value with its unit.
        required: comparison and limit with their unit.
        margin: how far the value is inside the limit, or with a minus sign outside; empty when the
            comparison knows no distance; ``undecided`` when the confidence interval holds the limit.
        distance: the same as a number, also when undecided; ``None`` when there is none.
        outcome: of this criterion.
        reason: why, in one sentence with the numbers.
    """

    name: str
    measured: str
    required: str
    margin: str
    distance: Decimal | None
    outcome: Outcome
    reason: str


Lines: TypeAlias = Mapping[str, Sequence[Line]]
"""The lines of all criteria of a record, by checkpoint and in the order in which they were judged."""


def line(criterion: Criterion) -> Line:
    """The line of one criterion."""
    measured = _number(criterion, criterion.measured)
    limits = _numbers(criterion, criterion.limit)
    distance = _distance(criterion, measured, limits)
    return Line(
        name=criterion.name,
        measured=_words(criterion.measured, measured, criterion.unit, beside=limits),
        required=required(criterion, criterion.limit),
        margin=_margin(criterion, distance),
        distance=distance,
        outcome=criterion.outcome,
        reason=criterion.reason,
    )


def required(criterion: Criterion, limit: JSONValue) -> str:
    """A limit of the criterion with its comparison, for instance ``≥ 95 %``."""
    sign = _SIGNS.get(criterion.comparison, criterion.comparison)
    if criterion.comparison == "between" and isinstance(limit, list | tuple) and len(limit) == 2:  # noqa: PLR2004 - both ends
        low, high = (_figure(criterion, end, unit=False) for end in limit)
        return f"{low} to {high} {criterion.unit}".rstrip()
    if criterion.comparison == "one of" and isinstance(limit, list | tuple):
        return f"{sign} " + ", ".join(_figure(criterion, choice) for choice in limit)
    return f"{sign} {_figure(criterion, limit)}"


def interval(criterion: Criterion) -> str:
    """The confidence interval of a sampled quantity in words; empty for an exact one."""
    if criterion.interval is None:
        return ""
    beside = _numbers(criterion, criterion.limit)
    low, high = (_number_words(Decimal(repr(bound)), beside) for bound in criterion.interval)
    words = f"{low} to {high} {criterion.unit}".rstrip()
    if criterion.confidence is not None:
        words += f", each bound with {criterion.confidence * 100:g} % confidence"
    if criterion.samples is not None:
        words += f", n = {criterion.samples:,}"
    return f"{words} ({criterion.method})" if criterion.method else words


def lines_of(checkpoints: Iterable[CheckpointResult]) -> Lines:
    """The criteria of checkpoints in words."""
    return {
        checkpoint.id: [line(criterion) for test in checkpoint.tests for criterion in test.criteria]
        for checkpoint in checkpoints
    }


def blocking_lines(checkpoint: CheckpointResult, lines: Lines) -> list[Line]:
    """The lines that keep a checkpoint from being green; none when what does so is not a criterion."""
    unmet = [found for found in lines[checkpoint.id] if found.outcome != "passed"]
    return unmet if any(found.outcome == checkpoint.outcome for found in unmet) else []


def blockers(record: Record) -> list[CheckpointResult]:
    """The checkpoints that are not green: those that call for a rollback first, then the worst first."""
    return sorted(
        (checkpoint for checkpoint in record.checkpoints if checkpoint.outcome not in GREEN),
        key=lambda c: (not (c.rollback and c.outcome == "failed"), OUTCOMES.index(c.outcome)),
    )


def sum_in_words(record: Record) -> str:
    """What became of every planned checkpoint: ``13 planned = 9 passed + 2 failed + 2 not run``."""
    counts = record.counts()
    parts = [f"{counts[outcome]:,} {OUTCOME_WORDS[outcome]}" for outcome in _SUM_ORDER if counts[outcome]]
    return f"{len(record.checkpoints):,} planned = {' + '.join(parts) or '0'}"


def reason(record: Record) -> str:
    """Why the verdict is what it is, in one sentence made of what the rules of the policy found."""
    words = "; ".join(_gist(finding.text) for finding in record.verdict.findings)
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _gist(text: str) -> str:
    """The first line of a text without its full stop; the whole stands elsewhere in the report."""
    first = text.partition("\n")[0].rstrip(".:")
    return first if len(first) <= _GIST_CHARACTERS else f"{first[:_GIST_CHARACTERS].rstrip()}…"


def _figure(criterion: Criterion, value: JSONValue, *, unit: bool = True) -> str:
    return _words(value, _number(criterion, value), criterion.unit if unit else "", beside=())


def _words(value: JSONValue, number: Decimal | None, unit: str, *, beside: Iterable[Decimal]) -> str:
    if number is not None:
        return f"{_number_words(number, beside)} {unit}".rstrip()
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return shortened(value, _FIGURE_CHARACTERS) or "an empty text"
    return shortened(json.dumps(value, ensure_ascii=False), _FIGURE_CHARACTERS)


def _margin(criterion: Criterion, margin: Decimal | None) -> str:
    if margin is None:
        return ""
    if criterion.outcome == "inconclusive":
        return "undecided"
    sign = "+" if margin > 0 else "-" if margin < 0 else ""
    return f"{sign}{_number_words(abs(margin), [Decimal(0)])} {criterion.unit}".rstrip()


def _distance(criterion: Criterion, measured: Decimal | None, limits: list[Decimal]) -> Decimal | None:
    if measured is None or not limits or criterion.comparison not in _ORDERED:
        return None
    if criterion.interval is None:
        return _inside(criterion.comparison, measured, limits)
    # A sampled quantity is judged by a bound: when it passed by the nearer one, else by the one farther out.
    nearest = min if criterion.outcome == "passed" else max
    return nearest(_inside(criterion.comparison, Decimal(repr(end)), limits) for end in criterion.interval)


def _inside(comparison: str, value: Decimal, limits: list[Decimal]) -> Decimal:
    match comparison:
        case ">=" | ">":
            return value - limits[0]
        case "<=" | "<":
            return limits[0] - value
        case _:
            return min(value - limits[0], limits[-1] - value)


def _numbers(criterion: Criterion, limit: JSONValue) -> list[Decimal]:
    ends = limit if isinstance(limit, list | tuple) else [limit]
    numbers = [_number(criterion, end) for end in ends]
    return [number for number in numbers if number is not None]


def _number(criterion: Criterion, value: JSONValue) -> Decimal | None:
    # The record keeps a number that JSON cannot hold exactly as its text.
    as_text = isinstance(value, str) and criterion.comparison in _ORDERED
    if isinstance(value, bool) or not (as_text or isinstance(value, int | float)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number_words(number: Decimal, beside: Iterable[Decimal]) -> str:
    number = number.normalize()
    if _SHORT.plus(number) == number and abs(number.adjusted()) <= _EXACT_DIGITS:
        return f"{number:,f}"
    return number_text(Fraction(number), map(Fraction, beside))
