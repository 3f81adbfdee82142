"""Planning samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from signoff.errors import EvidenceError
from signoff.statistics import Proportion, Ratio, proportion_bounds, sample_size_for


def _power(trials: int, limit: float, expected: float) -> float:
    """How probable it is that a sample shows the share to be at least the limit; every outcome is tried."""
    probabilities = stats.binom.pmf(range(trials + 1), trials, expected)
    return float(
        sum(
            probability
            for successes, probability in enumerate(probabilities)
            if proportion_bounds(successes, trials)[0] >= limit
        )
    )


@pytest.mark.parametrize(("limit", "expected"), [(0.5, 0.7), (0.9, 0.95), (0.95, 0.99), (0.99, 1.0)])
def test_planned_sample_decides_with_the_power_that_it_promises(limit: float, expected: float) -> None:
    """A sample of the planned size decides in four of five cases; two thirds of it do not."""
    size = sample_size_for(limit, expected)
    assert size is not None
    assert _power(size, limit, expected) >= 0.8
    assert _power(size * 2 // 3, limit, expected) < 0.8


def test_thousand_rows_show_99_percent_when_all_but_two_match() -> None:
    """A sample of 1,000 rows is large enough to show 99 % when 99.8 % are true, and not when 99.5 % are."""
    enough = sample_size_for(0.99, 0.998)
    too_few = sample_size_for(0.99, 0.995)
    assert enough is not None
    assert too_few is not None
    assert enough <= 1000 < too_few


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_both_directions_need_the_same(limit: float, expected: float) -> None:
    """To show that a share is undercut takes as many as to show that its complement is exceeded."""
    if abs(limit - expected) > 0.02:
        size = sample_size_for(limit, expected)
        mirrored = sample_size_for(1 - limit, 1 - expected)
        assert size is not None
        assert size == pytest.approx(mirrored, abs=1)


def test_no_sample_separates_what_is_equal() -> None:
    """When the share is thought to be the very limit, or next to it, no size is planned."""
    assert sample_size_for(0.95, 0.95) is None
    assert sample_size_for(0.95, 0.950001) is None


def test_one_miss_refutes_a_share_of_all() -> None:
    """A share of 100 % can be refuted: one miss is enough, and a sample is planned to find one."""
    size = sample_size_for(1.0, 0.99)
    assert size is not None
    assert 0.99**size <= 0.2 < 0.99 ** (size - 1)


@pytest.mark.parametrize(("limit", "expected"), [(95, 0.97), (0.95, 97), (-0.1, 0.5), (0.5, float("nan"))])
def test_percentages_are_no_shares(limit: float, expected: float) -> None:
    """A share outside 0 to 1 is refused."""
    with pytest.raises(EvidenceError, match="share"):
        sample_size_for(limit, expected)


def test_estimates_say_what_it_takes_to_decide() -> None:
    """Samples know how many observations would decide, unless they cannot tell."""
    assert Proportion(987, 993).samples_to_decide(0.99) == sample_size_for(0.99, 987 / 993)
    assert Ratio([6, 6, 6, 4], [1, 1, 1, 1]).samples_to_decide(5) == sample_size_for(0.5, 0.75)
    assert Ratio([6, 6, 6], [1, 1, 1]).samples_to_decide(5) == 5
    assert Ratio([6, 6], [1, 1, 1], paired=False).samples_to_decide(5) is None
