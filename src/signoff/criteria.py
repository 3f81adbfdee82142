"""``expect(name, value, unit).at_least(limit)``: the one way in which a test judges.

Each judgement is recorded before it raises, so that the record holds what was measured whatever the outcome.
What cannot be judged (no value, NaN, nothing collected, a wrong type or unit) is an error and never a pass.

"Nothing was found" is often the very claim: ``expect("rows over 25 s", rows).equals([])``. An empty
collection (or text) is judged only where the limit says so, as here. As an empty answer is also what a blind
query gives, such a test shows separately that its query can see, for instance by a second expectation on the
number of rows that it looked through.

A sampled quantity (:class:`~signoff.statistics.Estimate`) is judged by its confidence bounds: shown, refuted,
or inconclusive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, TypeAlias

from signoff.comparison import AT_LEAST, AT_MOST, BETWEEN, EQUALS, LESS_THAN, MORE_THAN, ONE_OF, Comparison
from signoff.errors import CriterionNotMet, EvidenceError, Inconclusive, ProfileError, SignoffError
from signoff.judgement import Judgement, Requirement, judge, requirement
from signoff.record import Criterion, JSONValue, Outcome
from signoff.units import check_unit
from signoff.values import Redact, recorded, shown

Ordered: TypeAlias = int | float | Decimal | Fraction | date | timedelta
"""What has an order: numbers, dates, points in time, durations."""


class Limit(Protocol):
    """A limit that an environment changes, as its profile states it."""

    @property
    def limit(self) -> object:
        """The new limit; a list for ``between`` and ``is_one_of``."""

    @property
    def reason(self) -> str:
        """Why this environment differs."""


class Expect:
    """The ``expect`` fixture of one test.

    Args:
        checkpoint: the id of the checkpoint, for messages.
        limits: limits that the environment changes for this checkpoint, by the name of the criterion.
        promotes: whether a green result promotes a release, so that limits may only be tightened.
        redact: replaces secrets in everything that is recorded or raised.
    """

    def __init__(
        self,
        *,
        checkpoint: str = "",
        limits: Mapping[str, Limit] | None = None,
        promotes: bool = False,
        redact: Redact = str,
    ) -> None:
        self._checkpoint = checkpoint
        self._limits = dict(limits or {})
        self._promotes = promotes
        self._redact = redact
        self._criteria: list[Criterion] = []
        self._expectations: list[Expectation] = []
        self._changed: dict[str, Requirement] = {}

    def __call__(self, name: str, value: object, unit: str = "") -> Expectation:
        """State what was measured; judge it with one of the methods of the answer.

        Args:
            name: what was measured. Limits are changed by this name.
            value: the value, or an :class:`~signoff.statistics.Estimate`.
            unit: the unit of value and limit, see :mod:`signoff.units`.
        """
        expectation = Expectation(self, name, value, unit)
        self._expectations.append(expectation)
        return expectation

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """Everything judged so far, in order."""
        return tuple(self._criteria)

    def unused_limits(self) -> frozenset[str]:
        """Names of changed limits whose criterion was not judged, for instance because they are misspelt."""
        return frozenset(self._limits.keys() - self._changed.keys())

    def close(self) -> None:
        """Refuse expectations that were stated and never judged. To be called when the test's body has ended.

        Raises:
            EvidenceError: there is such an expectation; it is recorded as well.
        """
        unjudged = [expectation for expectation in self._expectations if not expectation.is_judged]
        errors = [
            EvidenceError(
                expectation.name,
                got="a value that was never judged",
                expected="a comparison such as at_least",
                next_step="Call one: expect(name, value, unit).at_least(limit).",
            )
            for expectation in unjudged
        ]
        for expectation, error in zip(unjudged, errors, strict=True):
            self._record(expectation, "error", comparison="", limit=None, reason=str(error))
        if errors:
            raise errors[0]

    def _judge(self, expectation: Expectation, comparison: Comparison, stated: Sequence[object]) -> None:
        """Compare, record, and raise when the criterion is not met."""
        __tracebackhide__ = True
        redact, change = self._redact, None
        applied_parts = stated
        try:
            check_unit(expectation.unit, expectation.name)
            required = runbook = requirement(expectation.name, expectation.unit, comparison, stated)
            change = self._limits.get(expectation.name)
            if change is not None:
                required = self._changed_requirement(runbook, change)
                applied_parts = required.parts
            judgement = judge(expectation.value, required, redact)
        except SignoffError as error:
            self._record(
                expectation,
                "inconclusive" if isinstance(error, Inconclusive) else "error",
                comparison=comparison.symbol,
                limit=_recorded_limit(comparison, applied_parts, redact),
                reason=str(error),
            )
            raise
        words = required.words(redact)
        reason = f"{judgement.got} measured, required {words}{judgement.detail}"
        if change is not None:
            reason = (
                f"{reason} (the runbook says {runbook.words(redact)}; changed here: {redact(change.reason)})"
            )
        self._record(
            expectation,
            judgement.outcome,
            comparison=comparison.symbol,
            limit=_recorded_limit(comparison, required.parts, redact),
            reason=reason,
            judgement=judgement,
            runbook_limit=None if change is None else _recorded_limit(comparison, stated, redact),
            limit_reason="" if change is None else redact(change.reason),
        )
        if judgement.outcome != "passed":
            kind = CriterionNotMet if judgement.outcome == "failed" else Inconclusive
            raise kind(
                expectation.name,
                got=f"{judgement.got}{judgement.detail}",
                expected=words,
                next_step=judgement.next_step,
            )

    def _changed_requirement(self, runbook: Requirement, change: Limit) -> Requirement:
        subject = f'limits."{self._checkpoint}"."{runbook.name}"'
        earlier = self._changed.setdefault(runbook.name, runbook)
        if (earlier.comparison, earlier.forms) != (runbook.comparison, runbook.forms):
            raise ProfileError(
                subject,
                got="a limit for a name that the test judges in several ways",
                expected="one comparison with one limit of that name",
                next_step="Give the criteria of the test different names.",
            )
        parts = runbook.comparison.parts(_in_kind_of(runbook.parts, change.limit))
        try:
            required = requirement(runbook.name, runbook.unit, runbook.comparison, parts or [])
        except EvidenceError:
            required = None
        if required is None or required.forms[0].kind != runbook.forms[0].kind:
            raise ProfileError(
                subject,
                got=shown(change.limit, "", self._redact),
                expected=f"a limit in the place of {runbook.words(self._redact)}",
                next_step="State the limit in the shape and the type that it has in the test.",
            )
        if self._promotes and not runbook.comparison.tightens(required.forms, runbook.forms):
            raise ProfileError(
                subject,
                got=required.words(self._redact),
                expected=f"at least as tight as {runbook.words(self._redact)}",
                next_step="An environment that promotes may only tighten limits: correct the profile.",
            )
        return required

    def _record(
        self,
        expectation: Expectation,
        outcome: Outcome,
        *,
        comparison: str,
        limit: JSONValue,
        reason: str,
        judgement: Judgement | None = None,
        runbook_limit: JSONValue = None,
        limit_reason: str = "",
    ) -> None:
        interval = None if judgement is None else judgement.interval
        self._criteria.append(
            Criterion(
                name=expectation.name,
                measured=recorded(expectation.value, self._redact)
                if judgement is None
                else judgement.measured,
                comparison=comparison,
                limit=limit,
                unit=expectation.unit,
                outcome=outcome,
                reason=reason,
                runbook_limit=runbook_limit,
                limit_reason=limit_reason,
                interval=None if interval is None else (interval.lower, interval.upper),
                confidence=None if interval is None else interval.confidence,
                samples=None if interval is None else interval.samples,
                method="" if interval is None else interval.method,
            )
        )


class Expectation:
    """A measured value, to be judged by one of the methods.

    Each raises:
        CriterionNotMet: it was judged, and is not met.
        Inconclusive: the samples do not suffice.
        EvidenceError: it cannot be judged.
        ProfileError: the environment changes the limit in a way that it may not.
    """

    def __init__(self, expect: Expect, name: str, value: object, unit: str) -> None:
        self._expect = expect
        self.name = name
        self.value = value
        self.unit = unit
        self.is_judged = False

    def at_least(self, limit: Ordered) -> None:
        """The value is the limit or more."""
        __tracebackhide__ = True
        self._judge(AT_LEAST, [limit])

    def at_most(self, limit: Ordered) -> None:
        """The value is the limit or less."""
        __tracebackhide__ = True
        self._judge(AT_MOST, [limit])

    def more_than(self, limit: Ordered) -> None:
        """The value is beyond the limit."""
        __tracebackhide__ = True
        self._judge(MORE_THAN, [limit])

    def less_than(self, limit: Ordered) -> None:
        """The value is below the limit."""
        __tracebackhide__ = True
        self._judge(LESS_THAN, [limit])

    def equals(self, limit: object) -> None:
        """The value is the limit: of the same kind, exactly, in sequences also in order."""
        __tracebackhide__ = True
        self._judge(EQUALS, [limit])

    def between(self, lowest: Ordered, highest: Ordered) -> None:
        """The value is one of the two limits or lies between them."""
        __tracebackhide__ = True
        self._judge(BETWEEN, [lowest, highest])

    def is_one_of(self, accepted: Collection[object]) -> None:
        """The value is one of those in a list, tuple or set; a text is no collection of accepted values."""
        __tracebackhide__ = True
        if isinstance(accepted, set | frozenset):
            self._judge(ONE_OF, sorted(accepted, key=str))
        else:
            self._judge(ONE_OF, list(accepted) if isinstance(accepted, list | tuple) else [])

    def _judge(self, comparison: Comparison, stated: Sequence[object]) -> None:
        __tracebackhide__ = True
        self.is_judged = True
        self._expect._judge(self, comparison, stated)  # noqa: SLF001 - the two classes are one unit


def _in_kind_of(stated: Sequence[object], limit: object) -> object:
    """TOML has no sets: a list stands for one where the test has one."""
    if len(stated) == 1 and isinstance(stated[0], set | frozenset) and isinstance(limit, list | tuple):
        return frozenset(limit)
    return limit


def _recorded_limit(comparison: Comparison, parts: Sequence[object], redact: Redact) -> JSONValue:
    """A limit as the record holds it: one value, or a list for ``between`` and ``one of``."""
    if comparison is BETWEEN or comparison is ONE_OF:
        return [recorded(part, redact) for part in parts]
    return recorded(parts[0], redact)
