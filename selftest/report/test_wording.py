from __future__ import annotations

from typing import Any

import pytest

from signoff.record import Criterion
from signoff.report.visible import shortened, visible
from signoff.report.wording import interval, line


def _criterion(
    measured: Any, comparison: str, limit: Any, outcome: Any = "passed", **fields: Any
) -> Criterion:
    return Criterion(
        name="it",
        measured=measured,
        comparison=comparison,
        limit=limit,
        outcome=outcome,
        reason="",
        **{"unit": "%", **fields},
    )


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        pytest.param(_criterion(96.5, ">=", 95), ("96.5 %", "≥ 95 %", "+1.5 %"), id="at-least"),
        pytest.param(_criterion(94, ">=", 95, "failed"), ("94 %", "≥ 95 %", "-1 %"), id="missed"),
        pytest.param(
            _criterion(1682827, "<=", 2000000, unit=""), ("1,682,827", "≤ 2,000,000", "+317,173"), id="counts"
        ),
        pytest.param(_criterion(95, ">", 95, "failed"), ("95 %", "> 95 %", "0 %"), id="on-the-limit"),
        pytest.param(
            _criterion(0.1 + 0.2, "<", 0.3, "failed", unit="s"),
            ("0.30000000000000004 s", "< 0.3 s", "-0.00000000000000004 s"),
            id="never-rounded-onto-its-limit",
        ),
        pytest.param(_criterion(3, "between", [1, 10], unit="s"), ("3 s", "1 to 10 s", "+2 s"), id="between"),
        pytest.param(
            _criterion(12, "between", [1, 10], "failed", unit="s"), ("12 s", "1 to 10 s", "-2 s"), id="above"
        ),
        pytest.param(_criterion("b", "one of", ["a", "b"], unit=""), ("b", "one of a, b", ""), id="one-of"),
        pytest.param(_criterion("on", "=", "on", unit=""), ("on", "= on", ""), id="words"),
        pytest.param(_criterion("18", "=", "18", unit=""), ("18", "= 18", ""), id="digits-as-text"),
        pytest.param(
            _criterion(measured=True, comparison="=", limit=True, unit=""), ("true", "= true", ""), id="truth"
        ),
        pytest.param(_criterion(7, "=", 7, unit="rows"), ("7 rows", "= 7 rows", ""), id="equal"),
        pytest.param(_criterion([], "=", ["a"], "failed", unit=""), ("[]", '= ["a"]', ""), id="list"),
        pytest.param(_criterion(None, ">=", 95, "error"), ("nothing", "≥ 95 %", ""), id="nothing"),
        pytest.param(_criterion("nan", ">=", 95, "error"), ("nan", "≥ 95 %", ""), id="nan"),
        pytest.param(_criterion("", "=", "on", "failed", unit=""), ("an empty text", "= on", ""), id="empty"),
        pytest.param(
            _criterion("123456789012345678901", ">=", 1, unit="bytes"),
            ("123,456,789,012,345,678,901 bytes", "≥ 1 bytes", "+123,456,789,012,345,678,900 bytes"),
            id="number-as-text",
        ),
        pytest.param(
            _criterion(99.4, ">=", 99, "inconclusive", interval=(98.8, 99.7)),
            ("99.4 %", "≥ 99 %", "undecided"),
            id="undecided",
        ),
        pytest.param(
            _criterion(99.8, ">=", 99, interval=(99.5, 99.9)),
            ("99.8 %", "≥ 99 %", "+0.5 %"),
            id="shown-by-the-lower-bound",
        ),
        pytest.param(
            _criterion(90, ">=", 99, "failed", interval=(88.0, 92.0)),
            ("90 %", "≥ 99 %", "-7 %"),
            id="refuted-by-the-upper-bound",
        ),
        pytest.param(
            _criterion(9, "<=", 5, "failed", interval=(8.0, 10.0), unit="s"),
            ("9 s", "≤ 5 s", "-3 s"),
            id="refuted-from-above",
        ),
    ],
)
def test_figures_in_words(criterion: Criterion, words: tuple[str, str, str]) -> None:
    """Measured, required and margin carry their unit, and tell apart what differs."""
    found = line(criterion)
    assert (found.measured, found.required, found.margin) == words


def test_an_interval_in_words() -> None:
    """The bounds come with confidence, size of the sample and method, as far as they are known."""
    full = _criterion(
        9, ">=", 5, interval=(8.5, 9.25), confidence=0.95, samples=40, method="bootstrap", unit="x"
    )
    assert interval(full) == "8.5 to 9.25 x, each bound with 95 % confidence, n = 40 (bootstrap)"
    assert interval(_criterion(9, ">=", 5, interval=(8.5, 9.25), unit="")) == "8.5 to 9.25"
    assert interval(_criterion(9, ">=", 5)) == ""


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ≥ ü 漢\tx\ny", "plain ≥ ü 漢\tx\ny"),
        ("\x00\x1b[2J\x7f", "␀␛[2J␡"),
        ("line\r\nnext\rover", "line\nnext␍over"),
        ("a\u202eb\u2066c\u200bd\ufeff", "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        ("\ud800\ufffe\x85", "\\ud800\\ufffe\\u0085"),
        ("\U000e0041", "\\ue0041"),
    ],
)
def test_what_is_invisible_becomes_visible(text: str, seen: str) -> None:
    """Control, direction and invisible characters are replaced; letters, tabs and newlines are not."""
    assert visible(text) == seen


def test_a_cut_text_says_so() -> None:
    """A text that fits is left alone; a longer one ends with its length."""
    assert shortened("four", 4) == "four"
    assert shortened("x" * 2000, 4) == "xxxx… (2,000 characters in record.json)"
