"""What can be judged: kinds of values, their exact comparison, and how they are shown.

Every value is brought into one canonical form, so that equality means the same everywhere:

- Numbers (``int``, ``float``, ``Decimal``, ``Fraction``) are exact fractions. A ``float`` stands for the
  shortest decimal number that identifies it, so 95.1 from a driver equals ``Decimal("95.1")`` and the 95.1
  of a profile. This keeps the order of floats and rounds nothing.
- A truth value is not a number: ``True`` differs from 1.
- Lists and tuples are sequences, in which order counts; sets have none; mappings compare by key.
- Dates, points in time with an offset, and points in time without one are three kinds.
- A ``timedelta`` is a number of the criterion's unit of time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from math import isfinite
from types import NoneType
from typing import Any, Final, NamedTuple, TypeAlias

from signoff.errors import EvidenceError
from signoff.record import JSONValue
from signoff.units import SECONDS, may_be_negative

Redact: TypeAlias = Callable[[str], str]
"""Replaces secrets in a text."""

NUMBER: Final = "number"
TRUTH: Final = "truth value"
TEXT: Final = "text"
DATE: Final = "date"
MOMENT: Final = "point in time"
LOCAL_MOMENT: Final = "point in time without an offset"
DURATION: Final = "duration"
SEQUENCE: Final = "sequence"
SET: Final = "set"
MAPPING: Final = "mapping"
NOTHING: Final = "nothing"

ORDERED: Final = frozenset({NUMBER, DATE, MOMENT, LOCAL_MOMENT})
"""Kinds with a natural order. Text has none: "10" sorts before "9"."""

_SCALARS: Final = (str, int, float, Decimal, Fraction, date, timedelta, NoneType)
_BOUNDED_SCALARS: Final = (int, float, NoneType)
_EMPTY_KINDS: Final = frozenset({TEXT, SEQUENCE, SET, MAPPING})
_SHOWN_CHARACTERS: Final = 200
_RECORDED_CHARACTERS: Final = 20_000
_EXACT_DIGITS: Final = 10
_LARGEST_DIGITS: Final = 40
_UNREADABLE: Final = 10**21


class Canonical(NamedTuple):
    """A value in the one form in which values are compared.

    Attributes:
        kind: one of the kinds of this module.
        key: hashable; equal for equal values of the kind, and ordered when the kind is.
    """

    kind: str
    key: Any

    def is_empty(self) -> bool:
        """Whether this is an empty text or collection."""
        return self.kind in _EMPTY_KINDS and not self.key


def canonical(value: object, unit: str, subject: str) -> Canonical:
    """Bring a measured value or a limit into canonical form.

    Args:
        value: the value.
        unit: the unit of the criterion, registered.
        subject: what an error shall be about.

    Raises:
        EvidenceError: the value is missing, not finite, negative where its unit cannot be, of a type that
            cannot be judged, or does not go with the unit.
    """
    form = element(value, subject)
    if form.kind == NOTHING:
        raise EvidenceError(
            subject,
            got="no value (None)",
            expected="a value",
            next_step="Check that the query found something to measure; an aggregate over no rows is NULL.",
        )
    if form.kind == DURATION:
        if unit not in SECONDS:
            raise EvidenceError(
                subject,
                got=f"a duration with the unit {unit!r}",
                expected=f"one of the units of time: {', '.join(SECONDS)}",
                next_step="Name the unit of time in which the duration shall be judged.",
            )
        form = Canonical(NUMBER, in_unit_of_time(form.key, unit))
    if unit and form.kind != NUMBER:
        raise EvidenceError(
            subject,
            got=f"a {form.kind} with the unit {unit!r}",
            expected="a number, or no unit",
            next_step="Measure a number, or leave the unit out.",
        )
    if form.kind == NUMBER and form.key.numerator < 0 and not may_be_negative(unit):
        raise EvidenceError(
            subject,
            got=f"{number_text(form.key)} {unit}",
            expected=f"a number of {unit} that is not negative",
            next_step="Check clocks and the order of the subtraction; a signed difference has no unit here.",
        )
    return form


def element(value: object, subject: str) -> Canonical:
    """The canonical form of a value wherever it stands: alone, or in a collection, where ``None`` may be.

    Args:
        value: the value.
        subject: what an error shall be about.

    Raises:
        EvidenceError: the value or a part of it is not finite or of a type that cannot be judged.
    """
    if isinstance(value, _SCALARS):
        return _scalar(value, subject)
    match value:
        case list() | tuple():
            return Canonical(SEQUENCE, tuple(element(item, subject) for item in value))
        case set() | frozenset():
            return Canonical(SET, frozenset(element(item, subject) for item in value))
        case Mapping():
            pairs = ((element(key, subject), element(item, subject)) for key, item in value.items())
            return Canonical(MAPPING, frozenset(pairs))
        case _:
            raise EvidenceError(
                subject,
                got=f"a value of type {type(value).__name__}",
                expected="a number, text, truth value, date, time or duration, or a collection of these",
                next_step="Convert the value where it is measured, for instance with a cast in the query.",
            )


def _scalar(value: object, subject: str) -> Canonical:
    match value:
        case None:
            form = Canonical(NOTHING, None)
        case bool():
            form = Canonical(TRUTH, value)
        case int() | float() | Decimal() | Fraction():
            form = Canonical(NUMBER, _fraction(value, subject))
        case str():
            form = Canonical(TEXT, str(value))
        case datetime(tzinfo=None):
            form = Canonical(LOCAL_MOMENT, value)
        case datetime():
            form = Canonical(MOMENT, value.astimezone(UTC))
        case date():
            form = Canonical(DATE, value)
        case _:
            form = Canonical(DURATION, value)
    return form


def _fraction(value: float | Decimal | Fraction, subject: str) -> Fraction:
    if isinstance(value, float):
        if isfinite(value):
            return Fraction(float.__repr__(value))
    elif not isinstance(value, Decimal) or value.is_finite():
        return Fraction(value)
    raise EvidenceError(
        subject,
        got=str(value),
        expected="a finite number",
        next_step="Check for a division by zero or a measurement without samples.",
    )


def in_unit_of_time(duration: timedelta, unit: str) -> Fraction:
    """A duration as an exact number of a unit of time."""
    return Fraction(duration // timedelta(microseconds=1), 10**6) / SECONDS[unit]


def recorded(value: object, redact: Redact) -> JSONValue:
    """A value as the record holds it: deterministic, redacted and bounded JSON.

    A number becomes a JSON number when that is its exact value, else its exact text. Sets are sorted.
    A value of a type that cannot be judged is named by its type and never printed.
    """
    form = _recorded(value, redact)
    if not isinstance(form, _BOUNDED_SCALARS):
        text = form if isinstance(form, str) else json.dumps(form, ensure_ascii=False)
        if len(text) > _RECORDED_CHARACTERS:
            return f"{text[:_RECORDED_CHARACTERS]}… ({len(text):,} characters)"
    return form


def _recorded(value: object, redact: Redact) -> JSONValue:
    if isinstance(value, _SCALARS):
        return _recorded_scalar(value, redact)
    match value:
        case list() | tuple():
            return [_recorded(item, redact) for item in value]
        case set() | frozenset():
            return sorted((_recorded(item, redact) for item in value), key=_by_type_and_text)
        case Mapping():
            items = [(_recorded(key, redact), _recorded(item, redact)) for key, item in value.items()]
            if all(isinstance(key, str) for key, _ in items):
                return {str(key): item for key, item in sorted(items, key=_by_type_and_text)}
            return [list(pair) for pair in sorted(items, key=_by_type_and_text)]
        case _:
            return f"({type(value).__name__})"


def _by_type_and_text(value: object) -> tuple[str, str]:
    return type(value).__name__, str(value)


def _recorded_scalar(value: object, redact: Redact) -> JSONValue:
    match value:
        case None | bool():
            return value
        case str():
            return redact(value)
        case int() | float() | Decimal() | Fraction():
            return _recorded_number(value)
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)


def _recorded_number(value: float | Decimal | Fraction) -> JSONValue:
    if isinstance(value, int):
        # Beyond 53 bits other readers of JSON lose digits.
        return int(value) if abs(value) <= 2**53 else str(int(value))
    try:
        number = _fraction(value, "")
    except EvidenceError:
        return str(value)
    if number.denominator == 1:
        return _recorded_number(number.numerator)
    nearest = float(number)
    return nearest if isfinite(nearest) and Fraction(repr(nearest)) == number else str(value)


def shown(value: object, unit: str, redact: Redact, *, beside: Iterable[Fraction] = ()) -> str:
    """A value in a sentence, with its unit, redacted and bounded.

    Args:
        value: a measured value or a limit.
        unit: the unit of the criterion.
        redact: applied before anything is cut.
        beside: numbers with which the reader will compare; a long number is never rounded onto or across one.
    """
    if isinstance(value, timedelta) and unit in SECONDS:
        value = in_unit_of_time(value, unit)
    match value:
        case None:
            return "nothing"
        case int() | float() | Decimal() | Fraction() if not isinstance(value, bool):
            text = f"{_shown_number(value, beside)} {unit}".rstrip()
        case datetime() | date():
            text = value.isoformat()
        case list() | tuple():
            # No more items than characters are shown.
            text = json.dumps(_recorded(value[:_SHOWN_CHARACTERS], redact), ensure_ascii=False)
        case _:
            text = json.dumps(_recorded(value, redact), ensure_ascii=False)
    if len(text) > _SHOWN_CHARACTERS:
        size = (
            f" ({len(value):,} items)" if isinstance(value, Collection) and not isinstance(value, str) else ""
        )
        return f"{text[:_SHOWN_CHARACTERS]}…{size}"
    return text


def _shown_number(value: float | Decimal | Fraction, beside: Iterable[Fraction]) -> str:
    try:
        return number_text(_fraction(value, ""), beside)
    except EvidenceError:
        return str(value)


def number_text(number: Fraction, beside: Iterable[Fraction] = (), rounding: str = ROUND_HALF_EVEN) -> str:
    """A number as decimal text: exact when that is short, else rounded, but never before the decimal point.

    Args:
        number: the number.
        beside: numbers that the rounded text must stay on the same side of.
        rounding: a rounding mode of :mod:`decimal`.
    """
    numerator, denominator = number.as_integer_ratio()
    if abs(numerator) >= _UNREADABLE * denominator:
        return f"{Context(prec=4, rounding=rounding).divide(numerator, denominator):.3E}"
    if denominator == 1:
        return f"{numerator:,}"
    short = Fraction(Context(prec=_EXACT_DIGITS).divide(numerator, denominator)) == number
    others = [other for other in beside if other != number]
    text = ""
    whole_digits = len(str(abs(numerator) // denominator))
    for digits in range(max(4, whole_digits), whole_digits + _LARGEST_DIGITS):
        rounded = Context(prec=digits, rounding=rounding).divide(numerator, denominator)
        text = f"{rounded.normalize():,f}"
        value = Fraction(rounded)
        same_side = all((value < other) == (number < other) and value != other for other in others)
        if value == number or (same_side and not short):
            break
    return text
