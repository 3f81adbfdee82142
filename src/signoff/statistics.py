"""Confidence bounds for sampled quantities, exact and free of assumptions about distributions.

Nothing here is a normal approximation or a bootstrap: at the sample sizes of a deployment both cover too
little, and a bound that covers too little turns a gate green too often. Only the standard library is used.

Sources:
    C. J. Clopper, E. S. Pearson: The use of confidence or fiducial limits illustrated in the case of the
    binomial. Biometrika 26 (1934), 404-413.
    W. J. Conover: Practical Nonparametric Statistics, 3rd edition (1999), sections 3.2 (quantiles) and 3.4
    (sign test).
    G. J. Hahn, W. Q. Meeker: Statistical Intervals (1991), section 5.2 (order-statistic intervals).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from math import ceil, exp, isfinite, lgamma, log, log1p
from statistics import median
from typing import Final

from signoff.errors import EvidenceError, Inconclusive

CONFIDENCE: Final = 0.95
"""One-sided confidence of each bound: at most one in twenty is on the wrong side."""

POWER: Final = 0.8
"""Probability with which a planned sample decides, if what is expected is true."""

LARGEST_SAMPLE: Final = 10_000_000
"""Samples beyond this size are not planned."""

BINOMIAL_METHOD: Final = "exact binomial bounds (Clopper and Pearson)"
PAIRED_METHOD: Final = "median of paired ratios, order-statistic bounds (sign test)"
UNPAIRED_METHOD: Final = "ratio of medians, order-statistic bounds of both medians (Bonferroni)"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """What a sample says about a quantity.

    Attributes:
        estimate: the point estimate.
        lower: one-sided lower confidence bound.
        upper: one-sided upper confidence bound.
        confidence: one-sided confidence of each bound.
        samples: number of observations.
        method: how the bounds were calculated.
        detail: what the estimate was made from, for instance ``987 of 993``.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    samples: int
    method: str
    detail: str


class Estimate(ABC):
    """A sampled quantity, which ``expect`` judges by its confidence bounds."""

    @abstractmethod
    def scale(self, unit: str) -> int | None:
        """What the quantity is multiplied by to be in this unit; ``None`` when the unit does not fit."""

    @abstractmethod
    def domain(self) -> tuple[float, float]:
        """The least and the greatest value that the quantity can have; a limit outside is a mistake."""

    @abstractmethod
    def interval(self, confidence: float) -> Interval:
        """Estimate and bounds.

        Raises:
            EvidenceError: the observations cannot be judged.
            Inconclusive: there are too few of them for any bound.
        """

    @abstractmethod
    def samples_to_decide(self, limit: float, confidence: float) -> int | None:
        """About how many observations would probably decide; ``None`` when that cannot be told."""


@dataclass(frozen=True)
class Proportion(Estimate):
    """A share found in a random sample, for instance 987 matching sessions of 993 drawn.

    A share of *all* rows is no sample: judge it as the number that it is.

    Args:
        successes: number of observations that have the property.
        trials: number of observations.
    """

    successes: int
    trials: int

    def scale(self, unit: str) -> int | None:
        """100 for ``%``, 1 without a unit."""
        return {"%": 100, "": 1}.get(unit)

    def domain(self) -> tuple[float, float]:
        """From 0 to 1."""
        return 0.0, 1.0

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The share with its exact binomial bounds.

        Raises:
            EvidenceError: the counts are not whole numbers, contradict each other, or count nothing.
        """
        self._check()
        lower, upper = proportion_bounds(self.successes, self.trials, confidence)
        return Interval(
            estimate=self.successes / self.trials,
            lower=lower,
            upper=upper,
            confidence=confidence,
            samples=self.trials,
            method=BINOMIAL_METHOD,
            detail=f"{self.successes:,} of {self.trials:,}",
        )

    def samples_to_decide(self, limit: float, confidence: float = CONFIDENCE) -> int | None:
        """About how many observations would probably decide, if the share stays as it is."""
        self._check()
        return sample_size_for(limit, self.successes / self.trials, confidence=confidence)

    def _check(self) -> None:
        for part in (self.successes, self.trials):
            if isinstance(part, bool) or not isinstance(part, int):
                raise EvidenceError(
                    "a proportion",
                    got=f"a count of type {type(part).__name__}",
                    expected="whole numbers of successes and trials",
                    next_step="Check what the sample returned; a sum over no rows is NULL.",
                )
        if not 0 <= self.successes <= self.trials or self.trials == 0:
            raise EvidenceError(
                "a proportion",
                got=f"{self.successes:,} of {self.trials:,}",
                expected="at least one trial, and successes from 0 to the number of trials",
                next_step="Check that the sample was drawn from a table with rows.",
            )


@dataclass(frozen=True)
class Ratio(Estimate):
    """How many times longer one thing takes than another, from repeated timings of both.

    Time the two in turn, one of each, so that both meet the same disturbances; the i-th numerator and the
    i-th denominator are then a pair, and the median of the ratios of the pairs is judged. ``paired=False`` is
    for timings that could not be interleaved, for instance against a stored baseline; it needs more of them.

    Args:
        numerators: times of the one thing, for a speed-up the slow way, all in one unit and positive.
        denominators: times of the other thing, in the same unit.
        paired: whether the timings were taken in turn.
    """

    numerators: Sequence[float | Decimal]
    denominators: Sequence[float | Decimal]
    paired: bool = True

    def scale(self, unit: str) -> int | None:
        """1 for ``x`` and without a unit."""
        return {"x": 1, "": 1}.get(unit)

    def domain(self) -> tuple[float, float]:
        """Any positive number."""
        return 0.0, float("inf")

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The ratio with its distribution-free bounds.

        Raises:
            EvidenceError: a timing is missing, not finite, zero or negative, or the pairs are not complete.
            Inconclusive: there are too few timings for a bound; the message names how many are needed.
        """
        numerators, denominators = self._timings()
        if self.paired:
            ratios = sorted(_ratios(numerators, denominators))
            lower, upper = quantile_bounds(ratios, 0.5, confidence)
            estimate = median(ratios)
            samples = len(ratios)
            method, detail = PAIRED_METHOD, f"median of {samples:,} interleaved pairs"
        else:
            # Each bound uses one bound of both medians; either may be wrong in half of the cases allowed.
            each = 1 - (1 - confidence) / 2
            above, below = sorted(numerators), sorted(denominators)
            lowest_above, highest_above = quantile_bounds(above, 0.5, each)
            lowest_below, highest_below = quantile_bounds(below, 0.5, each)
            lower, upper = lowest_above / highest_below, highest_above / lowest_below
            estimate = median(above) / median(below)
            samples = len(above) + len(below)
            method, detail = UNPAIRED_METHOD, f"medians of {len(above):,} and {len(below):,} timings"
        return Interval(
            estimate=estimate,
            lower=lower,
            upper=upper,
            confidence=confidence,
            samples=samples,
            method=method,
            detail=detail,
        )

    def samples_to_decide(self, limit: float, confidence: float = CONFIDENCE) -> int | None:
        """About how many pairs would probably decide, if the share beyond the limit stays as it is."""
        if not self.paired:
            return None
        ratios = list(_ratios(*self._timings()))
        beyond = sum(ratio >= limit for ratio in ratios) / len(ratios)
        return sample_size_for(0.5, beyond, confidence=confidence)

    def _timings(self) -> tuple[list[float], list[float]]:
        numerators = [_timing(value) for value in self.numerators]
        denominators = [_timing(value) for value in self.denominators]
        if self.paired and len(numerators) != len(denominators):
            raise EvidenceError(
                "a ratio of timings",
                got=f"{len(numerators):,} numerators and {len(denominators):,} denominators",
                expected="pairs, one of each taken in turn",
                next_step="Interleave the timings, or say paired=False.",
            )
        if not numerators or not denominators:
            raise EvidenceError(
                "a ratio of timings",
                got="no timings",
                expected="timings of both things",
                next_step="Check that the measurement ran.",
            )
        return numerators, denominators


def _ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def _timing(value: object) -> float:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        seconds = float(value)
        if isfinite(seconds) and seconds > 0:
            return seconds
        got = str(seconds)
    else:
        got = f"a value of type {type(value).__name__}"
    raise EvidenceError(
        "a ratio of timings",
        got=got,
        expected="positive, finite numbers",
        next_step="Time with a clock that resolves what is measured, and drop nothing in silence.",
    )


def proportion_bounds(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact one-sided bounds of a binomial proportion (Clopper and Pearson 1934).

    The lower bound is the share at which ``successes`` or more would come up with probability
    ``1 - confidence``; the upper bound mirrors it. Each covers the true share with at least ``confidence``.

    Args:
        successes: from 0 to ``trials``.
        trials: at least 1.
        confidence: one-sided, of each bound.

    Returns:
        Lower and upper bound, from 0 to 1.
    """
    return (
        _lower_bound(successes, trials, 1 - confidence),
        1 - _lower_bound(trials - successes, trials, 1 - confidence),
    )


def _lower_bound(successes: int, trials: int, alpha: float) -> float:
    if successes == 0:
        return 0.0
    low, high = 0.0, successes / trials
    while low < (middle := (low + high) / 2) < high:
        if binomial_at_least(successes, trials, middle) <= alpha:
            low = middle
        else:
            high = middle
    return low


def binomial_at_least(least: int, trials: int, share: float) -> float:
    """Probability of ``least`` or more successes in ``trials`` draws.

    Sums the probabilities outwards from ``least``; all terms are positive, so nothing cancels, and the sum
    ends where terms no longer count, after about ten standard deviations.

    Args:
        least: any whole number.
        trials: at least 0.
        share: probability of success, from 0 to 1.
    """
    if least <= 0:
        return 1.0
    if least > trials or share == 0:
        return 0.0
    if share == 1:
        return 1.0
    if least <= trials * share:
        return 1 - binomial_at_least(trials - least + 1, trials, 1 - share)
    log_first = (
        lgamma(trials + 1)
        - lgamma(least + 1)
        - lgamma(trials - least + 1)
        + least * log(share)
        + (trials - least) * log1p(-share)
    )
    odds = share / (1 - share)
    total = term = 1.0
    for successes in range(least, trials):
        term *= (trials - successes) / (successes + 1) * odds
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, exp(log_first) * total)


def quantile_bounds(
    ordered: Sequence[float], share: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Distribution-free one-sided bounds of a quantile, which are two of the observations themselves.

    The l-th smallest of n independent observations lies at or below the quantile with the probability that a
    binomial variable with n trials reaches l, whatever the distribution (Conover 1999, section 3.2; Hahn and
    Meeker 1991, section 5.2). Ties make the bounds only safer.

    Args:
        ordered: the observations, ascending, not empty.
        share: which quantile, between 0 and 1; 0.5 is the median.
        confidence: one-sided, of each bound.

    Raises:
        Inconclusive: there are too few observations for both bounds.
    """
    n = len(ordered)
    needed = least_samples(share, confidence)
    if n < needed:
        raise Inconclusive(
            f"the {100 * share:g} % quantile",
            got=f"{n:,} observations",
            expected=f"at least {needed:,} for bounds at {100 * confidence:g} % confidence",
            next_step="Take more observations.",
        )
    low, high = 1, n
    while low < high:
        middle = (low + high + 1) // 2
        if binomial_at_least(middle, n, share) >= confidence:
            low = middle
        else:
            high = middle - 1
    lower = ordered[low - 1]
    low, high = 1, n
    while low < high:
        middle = (low + high) // 2
        if binomial_at_least(middle, n, share) <= 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return lower, ordered[low - 1]


def least_samples(share: float, confidence: float = CONFIDENCE) -> int:
    """The least number of observations with which a quantile has both bounds.

    The smallest observation bounds the quantile from below unless all lie above it, the largest bounds it
    from above unless all lie below it (Hahn and Meeker 1991, section 5.3).

    Args:
        share: which quantile, between 0 and 1.
        confidence: one-sided, of each bound.
    """
    alpha = 1 - confidence
    rarer = max(share, 1 - share)
    estimate = max(1, ceil(log(alpha) / log(rarer)) - 1)
    return next(n for n in count(estimate) if rarer**n <= alpha)


def sample_size_for(
    limit: float, expected: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> int | None:
    """About how many observations show that a share is beyond a limit.

    Args:
        limit: the share that shall be shown to be exceeded (or undercut, when ``expected`` is smaller).
        expected: the share that is thought to be true.
        confidence: one-sided confidence of the bound that is judged.
        power: probability with which the sample decides, if ``expected`` is true.

    Returns:
        A number of observations that reaches ``power``. Power is not quite monotone in the number of
        observations, so a slightly smaller one may do, too. ``None`` when ``expected`` equals the limit, or
        beyond ``LARGEST_SAMPLE``.

    Raises:
        EvidenceError: a share lies outside 0 to 1.
    """
    for share in (limit, expected):
        if not 0 <= share <= 1:
            raise EvidenceError(
                "a sample size",
                got=f"a share of {share:g}",
                expected="shares from 0 to 1",
                next_step="Divide percentages by 100.",
            )
    if expected < limit:
        limit, expected = 1 - limit, 1 - expected
    if expected == limit:
        return None
    enough = 1
    while _power(enough, limit, expected, 1 - confidence) < power:
        enough *= 2
        if enough > LARGEST_SAMPLE:
            return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _power(middle, limit, expected, 1 - confidence) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def _power(trials: int, limit: float, expected: float, alpha: float) -> float:
    """Probability that the lower bound of a sample reaches the limit."""
    low, high = 0, trials + 1
    while low < high:
        middle = (low + high) // 2
        if binomial_at_least(middle, trials, limit) <= alpha:
            high = middle
        else:
            low = middle + 1
    return binomial_at_least(low, trials, expected)
