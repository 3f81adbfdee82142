"""Ratios of timings: order-statistic bounds, with scipy and simulation as references."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from signoff.errors import EvidenceError, Inconclusive
from signoff.statistics import Ratio, least_samples, quantile_bounds

SIMULATIONS = 2000

timings = st.floats(1e-6, 1e6)


@given(st.lists(st.floats(-1e9, 1e9), min_size=60, max_size=150), st.sampled_from([0.1, 0.5, 0.9, 0.95]))
def test_quantile_bounds_are_those_of_scipy(observations: list[float], share: float) -> None:
    """Both bounds are the observations that scipy's exact quantile test names."""
    ordered = sorted(observations)
    upwards = stats.quantile_test(ordered, p=share, alternative="greater")
    downwards = stats.quantile_test(ordered, p=share, alternative="less")
    assert quantile_bounds(ordered, share) == (
        upwards.confidence_interval(0.95).low,
        downwards.confidence_interval(0.95).high,
    )


@pytest.mark.parametrize(
    ("share", "confidence", "needed"),
    [
        (0.5, 0.95, 5),
        (0.5, 0.975, 6),
        (0.95, 0.95, 59),
        (0.95, 0.975, 72),
        (0.99, 0.975, 368),
        (0.999, 0.975, 3688),
    ],
)
def test_least_number_of_observations_is_known(share: float, confidence: float, needed: int) -> None:
    """The least numbers of observations are those of the tables of Hahn and Meeker; one fewer does not do."""
    assert least_samples(share, confidence) == needed
    quantile_bounds(range(needed), share, confidence)
    with pytest.raises(Inconclusive) as refusal:
        quantile_bounds(range(needed - 1), share, confidence)
    assert f"at least {needed:,}" in refusal.value.expected


def _heavy_tailed(source: random.Random) -> float:
    return source.paretovariate(1.1)


def _bell_shaped(source: random.Random) -> float:
    return source.lognormvariate(0, 0.5)


@pytest.mark.parametrize("pairs", [5, 8, 12, 30, 101])
@pytest.mark.parametrize("draw", [_heavy_tailed, _bell_shaped])
def test_paired_bounds_cover_the_true_ratio(pairs: int, draw: Callable[[random.Random], float]) -> None:
    """In thousands of runs with a known ratio of 5, each bound is on the right side as often as it says."""
    source = random.Random(pairs)  # noqa: S311 - a simulation is to be repeatable

    def timed() -> Ratio:
        # Numerator and denominator vary alike, so the median of their ratio is 5.
        return Ratio([5 * draw(source) for _ in range(pairs)], [draw(source) for _ in range(pairs)])

    intervals = [timed().interval() for _ in range(SIMULATIONS)]
    assert sum(interval.lower <= 5 for interval in intervals) >= _least_covered()
    assert sum(interval.upper >= 5 for interval in intervals) >= _least_covered()


@pytest.mark.parametrize("sizes", [(6, 6), (9, 30), (41, 40)])
@pytest.mark.parametrize("draw", [_heavy_tailed, _bell_shaped])
def test_unpaired_bounds_cover_the_true_ratio(
    sizes: tuple[int, int], draw: Callable[[random.Random], float]
) -> None:
    """Timings that were not interleaved give bounds that cover the ratio of the medians, too."""
    source = random.Random(sizes[0])  # noqa: S311 - as above

    def timed() -> Ratio:
        return Ratio(
            [5 * draw(source) for _ in range(sizes[0])],
            [draw(source) for _ in range(sizes[1])],
            paired=False,
        )

    intervals = [timed().interval() for _ in range(SIMULATIONS)]
    assert sum(interval.lower <= 5 for interval in intervals) >= _least_covered()
    assert sum(interval.upper >= 5 for interval in intervals) >= _least_covered()


def _least_covered() -> int:
    """What a bound with 95 % confidence reaches in all but one of a thousand simulations."""
    return int(stats.binom.ppf(0.001, SIMULATIONS, 0.95))


@given(st.lists(st.tuples(timings, timings), min_size=5, max_size=40))
def test_pairs_give_a_median_within_its_bounds(pairs: list[tuple[float, float]]) -> None:
    """The bounds enclose the median of the ratios, and exchanging the two sides inverts them."""
    numerators, denominators = zip(*pairs, strict=True)
    interval = Ratio(numerators, denominators).interval()
    assert interval.lower <= interval.estimate <= interval.upper
    inverse = Ratio(denominators, numerators).interval()
    assert (inverse.lower, inverse.upper) == pytest.approx((1 / interval.upper, 1 / interval.lower))


def test_a_disturbance_that_hits_both_sides_does_not_count() -> None:
    """When the machine slows both timings of some pairs alike, the ratio stays what it is."""
    disturbed = [10.0, 10.0, 1000.0, 10.0, 500.0, 10.0, 10.0, 20.0]
    interval = Ratio([5 * seconds for seconds in disturbed], disturbed).interval()
    assert (interval.lower, interval.estimate, interval.upper) == (5, 5, 5)


def test_numbers_of_drivers_are_timings() -> None:
    """Whole numbers and decimals, as a database returns them, are timings."""
    assert Ratio([Decimal("5.0")] * 5, [1] * 5).interval().estimate == 5


@pytest.mark.parametrize(
    ("numerators", "denominators", "got"),
    [
        ([1.0, 0.0], [1.0, 1.0], "0.0"),
        ([1.0, 1.0], [1.0, -2.0], "-2.0"),
        ([1.0, float("nan")], [1.0, 1.0], "nan"),
        ([float("inf")], [1.0], "inf"),
        ([None], [1.0], "NoneType"),
        ([True], [1.0], "bool"),
        (["3"], [1.0], "str"),
        ([], [], "no timings"),
        ([1.0, 2.0], [1.0], "2 numerators and 1 denominators"),
    ],
)
def test_timings_that_are_none_are_refused(
    numerators: Sequence[float], denominators: Sequence[float], got: str
) -> None:
    """A timing that is missing, zero, negative or not finite is an error, and so are incomplete pairs."""
    with pytest.raises(EvidenceError) as refusal:
        Ratio(numerators, denominators).interval()
    assert got in refusal.value.got


def test_one_empty_side_is_refused() -> None:
    """Without pairs, both sides still need timings."""
    with pytest.raises(EvidenceError, match="no timings"):
        Ratio([1.0] * 10, [], paired=False).interval()
