"""Exact binomial bounds, with scipy as the reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from signoff.errors import EvidenceError
from signoff.statistics import Proportion, binomial_at_least, proportion_bounds

trials_and_successes = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    ("successes", "trials"),
    [
        (0, 1),
        (1, 1),
        (1, 3),
        (0, 59),
        (987, 993),
        (500, 1000),
        (1, 38_864),
        (1_000_000, 1_000_000),
        (990_000, 1_000_000),
        (1_682_826, 1_682_827),
    ],
)
def test_bounds_are_those_of_the_beta_distribution(successes: int, trials: int, confidence: float) -> None:
    """Both bounds are quantiles of the beta distribution, to eleven digits, up to millions of trials."""
    lower, upper = proportion_bounds(successes, trials, confidence)
    misses = trials - successes
    expected_lower = stats.beta.ppf(1 - confidence, successes, misses + 1) if successes else 0.0
    expected_upper = stats.beta.ppf(confidence, successes + 1, misses) if misses else 1.0
    assert lower == pytest.approx(expected_lower, rel=1e-8, abs=1e-11)
    assert upper == pytest.approx(expected_upper, rel=1e-11)


@given(trials_and_successes)
def test_bounds_are_those_of_scipy(counts: tuple[int, int]) -> None:
    """Both bounds are the exact one-sided confidence limits that scipy gives."""
    successes, trials = counts
    reference = stats.binomtest(successes, trials)
    lower, upper = proportion_bounds(successes, trials, 0.95)
    # A two-sided interval of 90 % has bounds of 95 % each.
    interval = reference.proportion_ci(confidence_level=0.9, method="exact")
    assert (lower, upper) == pytest.approx((interval.low, interval.high), abs=1e-11)


@given(trials_and_successes)
def test_estimate_lies_within_its_bounds(counts: tuple[int, int]) -> None:
    """The bounds enclose the measured share and never leave 0 to 1."""
    interval = Proportion(*counts).interval()
    assert 0 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert interval.samples == counts[1]


@given(trials_and_successes)
def test_more_successes_never_lower_a_bound(counts: tuple[int, int]) -> None:
    """With one success more among the same trials both bounds rise."""
    successes, trials = counts
    fewer = proportion_bounds(max(successes - 1, 0), trials)
    more = proportion_bounds(successes, trials)
    assert fewer[0] <= more[0]
    assert fewer[1] <= more[1]


@given(trials_and_successes, st.floats(0.5, 0.99), st.floats(0.001, 0.009))
def test_more_confidence_never_narrows_the_interval(
    counts: tuple[int, int], confidence: float, more: float
) -> None:
    """A higher confidence moves both bounds outwards."""
    narrow = proportion_bounds(*counts, confidence)
    wide = proportion_bounds(*counts, confidence + more)
    assert wide[0] <= narrow[0]
    assert narrow[1] <= wide[1]


@given(trials_and_successes)
def test_bounds_mirror_each_other(counts: tuple[int, int]) -> None:
    """What holds for the successes holds, mirrored, for the misses."""
    successes, trials = counts
    lower, upper = proportion_bounds(successes, trials)
    mirrored = proportion_bounds(trials - successes, trials)
    assert (lower, upper) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-14)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.5, 0.77, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("trials", [1, 5, 30, 300])
def test_each_bound_covers_the_true_share(share: float, trials: int) -> None:
    """Summed over all possible samples, each bound is on the right side with at least its confidence."""
    probabilities = stats.binom.pmf(range(trials + 1), trials, share)
    bounds = [proportion_bounds(successes, trials) for successes in range(trials + 1)]
    covered = list(zip(probabilities, bounds, strict=True))
    assert sum(p for p, (lower, _) in covered if lower <= share) >= 0.95 - 1e-9
    assert sum(p for p, (_, upper) in covered if upper >= share) >= 0.95 - 1e-9


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1))
def test_tail_of_the_binomial_is_that_of_scipy(least: int, trials: int, share: float) -> None:
    """The probability of at least so many successes agrees with scipy, at the edges too."""
    assert binomial_at_least(least, trials, share) == pytest.approx(
        stats.binom.sf(least - 1, trials, share), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize(
    ("successes", "trials", "got"),
    [
        (0, 0, "0 of 0"),
        (5, 4, "5 of 4"),
        (-1, 4, "-1 of 4"),
        (None, 4, "NoneType"),
        (True, 4, "bool"),
        (3.0, 4, "float"),
        (3, None, "NoneType"),
    ],
)
def test_counts_that_are_none_are_refused(successes: int, trials: int, got: str) -> None:
    """Counts that contradict each other, are no whole numbers or count nothing are errors that say so."""
    with pytest.raises(EvidenceError) as refusal:
        Proportion(successes, trials).interval()
    assert got in refusal.value.got
