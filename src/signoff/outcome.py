"""From what happened in a test to its outcome."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from signoff.errors import (
    AttestationMissing,
    ComponentAbsent,
    CriterionNotMet,
    Inconclusive,
    SignoffError,
)
from signoff.record import Criterion, Outcome, worst

_BY_ERROR: tuple[tuple[type[BaseException], Outcome], ...] = (
    (CriterionNotMet, "failed"),
    (AssertionError, "failed"),
    (Inconclusive, "inconclusive"),
    (ComponentAbsent, "not_applicable"),
    (AttestationMissing, "pending"),
    (pytest.skip.Exception, "not_run"),
)


def of_error(error: BaseException) -> tuple[Outcome, str]:
    """The outcome that an exception stands for, with its reason in one line.

    What is not listed is ``error``: a check that broke has shown nothing, neither good nor bad.
    """
    outcome: Outcome = next((outcome for kind, outcome in _BY_ERROR if isinstance(error, kind)), "error")
    if isinstance(error, ComponentAbsent | AttestationMissing):
        # Nothing is wrong here: the reason is enough.
        return outcome, error.got
    if isinstance(error, SignoffError | pytest.skip.Exception):
        return outcome, _in_one_line(error)
    cause = f" (because of {_named(error.__cause__)})" if error.__cause__ is not None else ""
    return outcome, _named(error) + cause


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {_in_one_line(error)}"


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"


def of_test(errors: Sequence[tuple[Outcome, str]], criteria: Sequence[Criterion]) -> tuple[Outcome, str]:
    """The outcome of a test.

    Args:
        errors: outcome and reason of every exception in set-up, call and tear-down.
        criteria: everything that was judged, also when the test swallowed the result.

    Returns:
        The worst of both. A test that ends without an exception and judged nothing is an ``error``.
    """
    if not errors and not criteria:
        return "error", "the test judged no criterion, so it has shown nothing"
    found = [*errors, *((criterion.outcome, criterion.reason) for criterion in criteria)]
    outcome = worst(tuple(outcome for outcome, _ in found))
    if errors and outcome == "passed":
        # worst() lets one judged test outweigh an absent component; within one test the absence stands.
        return errors[0]
    return next(one for one in found if one[0] == outcome)
