"""How handles report what they saw: bounded, redacted evidence."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from signoff.record import Evidence

Observe: TypeAlias = Callable[[Evidence], None]
"""Takes what a handle saw."""

Redact: TypeAlias = Callable[[str], str]
"""Replaces known secrets in a text."""

ANSWER_LINES: Final = 20
"""Lines of an answer that evidence keeps."""

LINE_CHARACTERS: Final = 400
"""Characters of a line that evidence keeps."""

ASKED_CHARACTERS: Final = 8000
"""Characters of a question that evidence keeps."""


def unredacted(text: str) -> str:
    """The redaction of a handle that knows no secrets."""
    return text


@dataclass(frozen=True)
class Asked:
    """One question, timed from the moment it is put; `answered` turns it into evidence.

    Args:
        kind: the kind of the evidence.
        source: where the answer will come from.
        text: the statement, command or path.
        redact: removes secrets from question and answer.
    """

    kind: str
    source: str
    text: str
    redact: Redact
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)

    def answered(
        self, answer: str, *, lines: int = 0, sha256: str = "", seconds: float | None = None
    ) -> Evidence:
        """Evidence of the question and its answer, cut to the bounds of this module.

        Of a long answer the first and the last lines are kept.

        Args:
            answer: what came back.
            lines: how many lines the whole answer has, when ``answer`` leaves some out.
            sha256: digest of the whole answer, likewise.
            seconds: how long the answer took; by default, the time since the question was put.
        """
        if seconds is None:
            seconds = time.monotonic() - self.begun
        whole = self.redact(answer)
        kept, truncated = _bounded(whole.splitlines(), lines)
        return Evidence(
            kind=self.kind,
            source=self.source,
            asked=_cut(self.redact(self.text), ASKED_CHARACTERS),
            answer="\n".join(kept),
            at=self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            seconds=round(seconds, 6),
            truncated=truncated,
            sha256=sha256 or hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest(),
        )


def _bounded(lines: list[str], total: int) -> tuple[list[str], bool]:
    short = [_cut(line, LINE_CHARACTERS) for line in lines]
    if len(short) <= ANSWER_LINES:
        return short, short != lines
    head = ANSWER_LINES // 2
    tail = ANSWER_LINES - head - 1
    left_out = max(len(short), total) - head - tail
    return [*short[:head], f"… {left_out:,} lines left out …", *short[-tail:]], True


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as text: a line of column names, a line for each row, a line with their number."""
    lines = [" | ".join(columns)] if columns else []
    lines += [" | ".join(_cell(value) for value in row) for row in rows]
    lines.append(f"({len(rows):,} row{'' if len(rows) == 1 else 's'})")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"\\x{value[:LINE_CHARACTERS].hex()}"
    return str(value).replace("\n", "\\n")
