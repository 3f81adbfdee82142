"""The comparisons of a criterion: what each asks of an exact value, and of a confidence interval.

A sampled quantity is *shown* to meet a limit when its whole interval does, *refuted* when none of it does,
and otherwise not decided. As every bound has one-sided confidence, that also holds for ``between``, which
needs both (the intersection-union principle: a claim of two parts is shown when each part is).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from signoff.record import Outcome
from signoff.values import ORDERED, Canonical


class Comparison(Protocol):
    """One way to hold a value against a limit.

    A limit is a sequence of parts: one value, or two for ``between``, or any number for ``one of``.
    """

    @property
    def symbol(self) -> str:
        """As in the record: ``>=``, ``<=``, ``>``, ``<``, ``=``, ``between`` or ``one of``."""

    def parts(self, limit: object) -> list[object] | None:
        """The parts of a limit as a profile writes it; ``None`` when it has not the shape."""

    def fits(self, kind: str) -> bool:
        """Whether values of this kind can be compared so."""

    def met(self, value: Canonical, limits: Sequence[Canonical]) -> bool:
        """Whether a value meets the limit."""

    def decide(self, lower: Canonical, upper: Canonical, limits: Sequence[Canonical]) -> Outcome | None:
        """Passed, failed or inconclusive by a confidence interval; ``None`` when intervals have no say."""

    def tightens(self, new: Sequence[Canonical], old: Sequence[Canonical]) -> bool:
        """Whether everything that meets the new limit meets the old one."""

    def words(self, limits: Sequence[str]) -> str:
        """The requirement in a sentence, from the limit's parts as text."""


@dataclass(frozen=True)
class OneSided:
    """``>=``, ``>``, ``<=`` or ``<``."""

    symbol: str
    holds: Callable[[Any, Any], bool]
    upwards: bool

    def parts(self, limit: object) -> list[object] | None:
        """One value."""
        return [limit]

    def fits(self, kind: str) -> bool:
        """Only kinds with an order."""
        return kind in ORDERED

    def met(self, value: Canonical, limits: Sequence[Canonical]) -> bool:
        """By the order of the kind."""
        return self.holds(value.key, limits[0].key)

    def decide(self, lower: Canonical, upper: Canonical, limits: Sequence[Canonical]) -> Outcome | None:
        """By the bound nearer to the limit, then by the other one."""
        worst, best = (lower, upper) if self.upwards else (upper, lower)
        if self.met(worst, limits):
            return "passed"
        return "inconclusive" if self.met(best, limits) else "failed"

    def tightens(self, new: Sequence[Canonical], old: Sequence[Canonical]) -> bool:
        """A higher least or a lower most."""
        return AT_LEAST.met(new[0], old) if self.upwards else AT_MOST.met(new[0], old)

    def words(self, limits: Sequence[str]) -> str:
        """Such as ``>= 95 %``."""
        return f"{self.symbol} {limits[0]}"


AT_LEAST: Final = OneSided(">=", operator.ge, upwards=True)
MORE_THAN: Final = OneSided(">", operator.gt, upwards=True)
AT_MOST: Final = OneSided("<=", operator.le, upwards=False)
LESS_THAN: Final = OneSided("<", operator.lt, upwards=False)


@dataclass(frozen=True)
class Between:
    """From the lowest to the highest value, both included."""

    symbol: str = "between"

    def parts(self, limit: object) -> list[object] | None:
        """A list of two."""
        return list(limit) if isinstance(limit, list | tuple) and len(limit) == 2 else None  # noqa: PLR2004 - two ends

    def fits(self, kind: str) -> bool:
        """Only kinds with an order."""
        return kind in ORDERED

    def met(self, value: Canonical, limits: Sequence[Canonical]) -> bool:
        """Within both ends."""
        lowest, highest = limits
        return AT_LEAST.met(value, [lowest]) and AT_MOST.met(value, [highest])

    def decide(self, lower: Canonical, upper: Canonical, limits: Sequence[Canonical]) -> Outcome | None:
        """The whole interval, or none of it, within both ends."""
        lowest, highest = limits
        decisions = {AT_LEAST.decide(lower, upper, [lowest]), AT_MOST.decide(lower, upper, [highest])}
        if "failed" in decisions:
            return "failed"
        return "inconclusive" if "inconclusive" in decisions else "passed"

    def tightens(self, new: Sequence[Canonical], old: Sequence[Canonical]) -> bool:
        """A range within the old one."""
        return self.met(new[0], old) and self.met(new[1], old)

    def words(self, limits: Sequence[str]) -> str:
        """Such as ``between 90 % and 99 %``."""
        return f"between {limits[0]} and {limits[1]}"


@dataclass(frozen=True)
class Equals:
    """The very value, of the very kind."""

    symbol: str = "="

    def parts(self, limit: object) -> list[object] | None:
        """One value."""
        return [limit]

    def fits(self, kind: str) -> bool:  # noqa: ARG002 - every kind has equality
        """Every kind."""
        return True

    def met(self, value: Canonical, limits: Sequence[Canonical]) -> bool:
        """Equality of canonical forms."""
        return value == limits[0]

    def decide(self, lower: Canonical, upper: Canonical, limits: Sequence[Canonical]) -> Outcome | None:  # noqa: ARG002 - as in the protocol
        """No sample shows that a quantity has exactly one value."""
        return None

    def tightens(self, new: Sequence[Canonical], old: Sequence[Canonical]) -> bool:
        """Another value is neither tighter nor looser, so only the same one."""
        return list(new) == list(old)

    def words(self, limits: Sequence[str]) -> str:
        """Such as ``= "on"``."""
        return f"= {limits[0]}"


@dataclass(frozen=True)
class OneOf:
    """One of the accepted values."""

    symbol: str = "one of"

    def parts(self, limit: object) -> list[object] | None:
        """A list of at least one."""
        return list(limit) if isinstance(limit, list | tuple) and limit else None

    def fits(self, kind: str) -> bool:  # noqa: ARG002 - every kind has equality
        """Every kind."""
        return True

    def met(self, value: Canonical, limits: Sequence[Canonical]) -> bool:
        """Equality with one of them."""
        return value in limits

    def decide(self, lower: Canonical, upper: Canonical, limits: Sequence[Canonical]) -> Outcome | None:  # noqa: ARG002 - as in the protocol
        """No sample shows that a quantity has exactly one value."""
        return None

    def tightens(self, new: Sequence[Canonical], old: Sequence[Canonical]) -> bool:
        """A subset."""
        return set(new) <= set(old)

    def words(self, limits: Sequence[str]) -> str:
        """Such as ``one of "on", "remote_apply"``."""
        return f"one of {', '.join(limits)}"


BETWEEN: Final = Between()
EQUALS: Final = Equals()
ONE_OF: Final = OneOf()
