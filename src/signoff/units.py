"""The units that a criterion may carry.

A criterion has one unit, which counts for its value and its limit alike: there is nothing to convert and
nothing to mistake. A unit that is not registered here is refused, because a misspelt one would look right in
the report.
"""

from __future__ import annotations

from difflib import get_close_matches
from fractions import Fraction
from typing import Final

from signoff.errors import EvidenceError

SECONDS: Final[dict[str, Fraction]] = {
    "ns": Fraction(1, 10**9),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
"""Units of time, and what each is worth in seconds."""

SIZES: Final = frozenset({"bytes", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"})
"""Units of size; kB, MB, GB and TB are powers of 1,000, the others powers of 1,024."""

COUNTED: Final = frozenset(
    {
        "alerts",
        "backups",
        "batches",
        "characters",
        "columns",
        "connections",
        "errors",
        "extractions",
        "failures",
        "files",
        "indexes",
        "inodes",
        "jobs",
        "keys",
        "lines",
        "locks",
        "messages",
        "nodes",
        "pods",
        "privileges",
        "procedures",
        "queries",
        "records",
        "replicas",
        "requests",
        "roles",
        "rows",
        "samples",
        "sessions",
        "settings",
        "statements",
        "tables",
        "tests",
        "transactions",
        "views",
        "warnings",
    }
)
"""Things that are counted, in the plural."""

RELATIVE: Final = frozenset({"%", "x"})
"""Shares in per cent, and multiples such as a speed-up."""


def check_unit(unit: str, subject: str) -> None:
    """Refuse a unit that is not registered.

    Args:
        unit: empty for plain numbers, words and collections; else a registered unit, or a rate made of two of
            them: something counted or a size, ``/``, and a unit of time (``sessions/s``).
        subject: what the error shall be about.

    Raises:
        EvidenceError: the unit is unknown; the nearest known one is offered.
    """
    if unit == "" or unit in SECONDS or unit in SIZES or unit in COUNTED or unit in RELATIVE:
        return
    amount, slash, per = unit.partition("/")
    if slash and (amount in COUNTED or amount in SIZES) and per in SECONDS:
        return
    known = [*SECONDS, *SIZES, *COUNTED, *RELATIVE]
    nearest = get_close_matches(unit, known, n=1)
    raise EvidenceError(
        subject,
        got=f"the unit {unit!r}",
        expected="a registered unit, or a rate such as 'rows/s'",
        next_step=f"Did you mean {nearest[0]!r}?" if nearest else "Add the unit to signoff/units.py.",
    )


def may_be_negative(unit: str) -> bool:
    """Whether a quantity of this unit may lie below zero.

    Counts, sizes, times and rates cannot: a lag of -5 s is a broken clock, and would meet every upper limit.
    """
    return unit in {"", "%"}
