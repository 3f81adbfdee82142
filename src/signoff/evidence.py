"""What a check saw, bounded and redacted at the one point where it is written down.

Handles bound their own answers; the log trusts none of them. It redacts before it cuts, because half a secret
is no longer recognised, and it says what it left out.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock
from typing import Final

import msgspec

from signoff.record import Evidence
from signoff.timestamps import utc_now
from signoff.values import Redact

MOST_ENTRIES: Final = 100
"""Entries that a test keeps: the first half and the last half of what it saw."""

MOST_CHARACTERS: Final = 400_000
"""Characters of questions and answers that a test keeps."""

MOST_OF_ONE: Final = 10_000
"""Characters of one question or one answer that are kept: the first three quarters and the last quarter."""


class EvidenceLog:
    """The evidence of one test. Safe to be used from several threads.

    When there is too much, entries from the middle go: the first ones show what was asked, the last ones how
    it ended. A note stands where they were.

    Args:
        redact: replaces secrets in a text.
        most_entries: entries to keep, at least 2.
        most_characters: characters of all questions and answers to keep.
    """

    def __init__(
        self,
        redact: Redact = str,
        *,
        most_entries: int = MOST_ENTRIES,
        most_characters: int = MOST_CHARACTERS,
    ) -> None:
        self._redact = redact
        self._most_entries = most_entries
        self._most_characters = most_characters
        self._first = most_entries // 2
        self._entries: list[Evidence] = []
        self._characters = 0
        self._dropped = 0
        self._lock = Lock()

    def add(self, evidence: Evidence) -> None:
        """Redact, bound and keep an entry.

        The digest is that of the whole redacted answer; one that a handle calculated before it cut its answer
        is kept.
        """
        entry = self._bounded(evidence)
        with self._lock:
            self._entries.append(entry)
            self._characters += _characters(entry)
            while len(self._entries) > 1 and (
                len(self._entries) > self._most_entries or self._characters > self._most_characters
            ):
                # Never the newest: it may show why the test ends here.
                dropped = self._entries.pop(min(self._first, len(self._entries) - 2))
                self._characters -= _characters(dropped)
                self._dropped += 1

    @property
    def entries(self) -> tuple[Evidence, ...]:
        """What was kept, in the order in which it was added, with a note where entries were left out."""
        with self._lock:
            entries = list(self._entries)
            if self._dropped:
                place = min(self._first, len(entries) - 1)
                entries.insert(place, _note(self._dropped, at=entries[place].at))
        return tuple(entries)

    def _bounded(self, evidence: Evidence) -> Evidence:
        asked, _ = _cut(self._clean(evidence.asked))
        whole = self._clean(evidence.answer)
        answer, truncated = _cut(whole)
        return msgspec.structs.replace(
            evidence,
            source=self._clean(evidence.source),
            asked=asked,
            answer=answer,
            at=evidence.at or utc_now(),
            truncated=evidence.truncated or truncated,
            sha256=evidence.sha256 or sha256(whole.encode()).hexdigest(),
        )

    def _clean(self, text: str) -> str:
        # Programs print bytes that are no text; a lone surrogate would make the record unwritable.
        clean = self._redact(text)
        return clean if clean.isascii() else clean.encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> tuple[str, bool]:
    left_out = len(text) - MOST_OF_ONE
    if left_out <= 0:
        return text, False
    tail = MOST_OF_ONE // 4
    return f"{text[: MOST_OF_ONE - tail]}\n… {left_out:,} characters left out …\n{text[-tail:]}", True


def _characters(entry: Evidence) -> int:
    return len(entry.asked) + len(entry.answer)


def _note(dropped: int, *, at: str) -> Evidence:
    answer = f"{dropped:,} more dropped here: a test keeps its first and its last evidence"
    return Evidence(
        kind="note",
        source="signoff",
        asked="",
        answer=answer,
        at=at,
        truncated=True,
        sha256=sha256(answer.encode()).hexdigest(),
    )
