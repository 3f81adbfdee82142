"""The evidence of one test."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import msgspec

from signoff.evidence import MOST_OF_ONE, EvidenceLog
from signoff.record import Evidence


def _evidence(answer: str, *, asked: str = "select 1", sha: str = "", truncated: bool = False) -> Evidence:
    return Evidence(
        kind="query",
        source="demo.postgres (monitor@db1:5432/demo)",
        asked=asked,
        answer=answer,
        at="2026-01-01T12:00:00.000Z",
        sha256=sha,
        truncated=truncated,
    )


def test_evidence_is_kept_in_order_with_its_digest() -> None:
    """Every entry is kept as it came, with the digest of its answer."""
    log = EvidenceLog()
    log.add(_evidence("1"))
    log.add(_evidence("2"))
    assert [entry.answer for entry in log.entries] == ["1", "2"]
    assert log.entries[0].sha256 == sha256(b"1").hexdigest()
    assert not log.entries[0].truncated


def test_secrets_are_replaced_in_every_text() -> None:
    """Source, question and answer are redacted; the digest is that of the redacted answer."""
    log = EvidenceLog(lambda text: text.replace("hunter2", "***"))
    log.add(
        msgspec.structs.replace(
            _evidence("password=hunter2", asked="alter role x password 'hunter2'"), source="u:hunter2@db1"
        )
    )
    (entry,) = log.entries
    assert "hunter2" not in repr(entry)
    assert entry.sha256 == sha256(b"password=***").hexdigest()


def test_secret_across_a_cut_is_not_halved() -> None:
    """What is redacted is the whole answer, before anything of it is left out."""
    secret = "s3cr3t-" * 40
    log = EvidenceLog(lambda text: text.replace(secret, "***"))
    for shift in range(0, 400, 40):
        log.add(_evidence("x" * (MOST_OF_ONE * 3 // 4 - shift) + secret + "y" * MOST_OF_ONE))
    assert "s3cr3t" not in repr(log.entries)


def test_long_answer_keeps_its_two_ends_and_says_so() -> None:
    """Of a long answer the beginning and the end are kept, and the digest is that of the whole."""
    answer = "first" + "x" * 100_000 + "last"
    log = EvidenceLog()
    log.add(_evidence(answer))
    (entry,) = log.entries
    assert entry.truncated
    assert entry.answer.startswith("first")
    assert entry.answer.endswith("last")
    assert "90,009 characters left out" in entry.answer
    assert len(entry.answer) < MOST_OF_ONE + 100
    assert entry.sha256 == sha256(answer.encode()).hexdigest()


def test_digest_of_a_handle_is_kept() -> None:
    """A handle that cut its answer itself knows the digest of the whole."""
    log = EvidenceLog()
    log.add(_evidence("cut", sha="0" * 64, truncated=True))
    assert (log.entries[0].sha256, log.entries[0].truncated) == ("0" * 64, True)


def test_first_and_last_entries_are_kept_with_a_note_between() -> None:
    """When there are too many entries, those in the middle go, and a note tells how many."""
    log = EvidenceLog(most_entries=4)
    for number in range(10):
        log.add(_evidence(str(number)))
    assert [entry.answer for entry in log.entries] == [
        "0",
        "1",
        "6 more dropped here: a test keeps its first and its last evidence",
        "8",
        "9",
    ]
    assert log.entries[2].kind == "note"


def test_size_of_all_entries_is_bounded() -> None:
    """Few large entries are bounded as well, and the newest one always stays."""
    log = EvidenceLog(most_characters=25_000)
    for number in range(50):
        log.add(_evidence(f"{number:-<9000}"))
    assert sum(len(entry.answer) for entry in log.entries) < 26_000
    assert log.entries[-1].answer.startswith("49-")
    assert any(entry.answer.startswith("48 more dropped") for entry in log.entries)


def test_answer_that_is_no_text_can_be_written() -> None:
    """Bytes of a program that are no UTF-8 are shown escaped instead of breaking the record."""
    log = EvidenceLog()
    log.add(_evidence(b"caf\xe9".decode("utf-8", "surrogateescape")))
    assert msgspec.json.decode(msgspec.json.encode(log.entries[0]), type=Evidence) == log.entries[0]


def test_threads_lose_nothing() -> None:
    """Entries of concurrent checks are all there, or counted in the note."""
    log = EvidenceLog(most_entries=100)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: log.add(_evidence(str(number))), range(2000)))
    kept = [entry for entry in log.entries if entry.kind == "query"]
    (note,) = (entry for entry in log.entries if entry.kind == "note")
    assert len({entry.answer for entry in kept}) == 100
    assert note.answer.startswith("1,900 more dropped")
