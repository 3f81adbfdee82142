from __future__ import annotations

import contextlib
import io
import os
import pty
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from signoff.record import CheckpointResult, Criterion, Record
from signoff.report.terminal import Progress, print_summary
from signoff.verdict import judge

_REPORT = Path("reports/staging/1.2.0/20310603T091407Z-snapshot_backfill-7f3a/signoff.html")


def _judged(record: Record, *checkpoints: CheckpointResult) -> Record:
    record = replace(record, checkpoints=checkpoints)
    return replace(record, verdict=judge(record))


def _printed(record: Record, *, width: int = 100, encoding: str = "utf-8", **settings: bool) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(record, Console(file=file, width=width, **settings), _REPORT)  # type: ignore[arg-type]
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_verdict_comes_first_and_the_report_last(record: Record) -> None:
    """The first line holds verdict, environment and release; the last one where the report is."""
    lines = _printed(record).rstrip().splitlines()
    assert lines[0] == "HOLD  staging · release 1.2.0"
    assert lines[-1] == f"Report: {_REPORT}"


def test_a_blocker_shows_measured_beside_required(record: Record) -> None:
    """A failed checkpoint stands in one line with what was measured and what is required."""
    (line,) = [line for line in _printed(record).splitlines() if line.startswith("SNP-075")]
    assert line.split()[-5:] == ["93.84721", "%", "≥", "95", "%"]


def test_every_kind_of_blocker_says_why(record: Record) -> None:
    """Inconclusive, broken, not run and pending checkpoints are listed with their own word or reason."""
    printed = _printed(record, width=200)
    assert "between 98.79 % and 99.74 %: 99 % is not decided" in printed
    assert "got malformed array literal" in printed
    assert "the run was interrupted before it" in printed
    assert "no attestation of the DBA was found" in printed


def test_a_broken_test_is_not_hidden_by_the_figures_of_another(record: Record) -> None:
    """When one test of a checkpoint broke and another is inconclusive, the list says why it broke."""
    inconclusive = record.checkpoints[5]
    broken = replace(inconclusive.tests[0], nodeid="other", outcome="error", reason="no route", criteria=())
    both = replace(inconclusive, outcome="error", reason="no route", tests=(*inconclusive.tests, broken))
    assert "no route" in _printed(_judged(record, both))


def test_what_failed_stands_before_what_is_pending(record: Record) -> None:
    """Blockers are listed the worst first, and one that calls for a rollback before all others."""
    urgent = replace(record.checkpoints[4], id="SNP-999", rollback=True)
    printed = _printed(_judged(record, *record.checkpoints, urgent))
    assert printed.startswith("ROLLBACK")
    order = [printed.index(f"\n{name}") for name in ("SNP-999", "SNP-075", "SNP-078", "SNP-076", "SNP-016")]
    assert order == sorted(order)


def test_the_sum_is_printed_in_words(record: Record) -> None:
    """Every planned checkpoint is accounted for."""
    assert (
        "11 planned = 3 passed + 1 attested + 1 waived + 1 not applicable + 1 failed + 1 error"
        " + 1 inconclusive + 1 not run + 1 pending"
    ) in _printed(record, width=200)


def test_a_green_run_lists_no_blockers(green: Record) -> None:
    """A promoted run says so, and draws no empty table."""
    printed = _printed(green)
    assert printed.startswith("PROMOTE  staging")
    assert "Blocking" not in printed


def test_warnings_of_the_run_are_repeated(green: Record) -> None:
    """What the run warned about does not scroll away unseen."""
    warned = replace(green, run=replace(green.run, warnings=("the credentials could write",)))
    assert "Warning: the credentials could write" in _printed(warned)


def test_a_narrow_terminal_keeps_figures_whole(record: Record) -> None:
    """At 60 columns nothing is wider than the terminal but the path, and no figure is torn."""
    printed = _printed(record, width=60)
    assert max(len(line) for line in printed.splitlines() if not line.startswith("Report:")) <= 60
    assert "93.84721 %     ≥ 95 %" in printed
    assert f"Report: {_REPORT}\n" in printed


def test_two_hundred_blockers_are_cut_with_their_count(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """A long list of blockers is cut, and says how many more the report holds."""
    many = [checkpoint(f"SNP-{number}", "It holds.", "not_run") for number in range(201, 401)]
    printed = _printed(_judged(record, *many))
    assert printed.count("It holds.") == 20
    assert "… and 180 more, all of them in the report." in printed


def test_no_colour_means_no_escape_sequences(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR, or on a dumb terminal, the output holds no colour."""
    assert "\x1b[1;33m" in _printed(record, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;33m" not in _printed(record, force_terminal=True)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in _printed(record, force_terminal=True)


def test_a_terminal_without_unicode_gets_readable_signs(record: Record) -> None:
    """Where the encoding cannot hold the signs, they are spelt in ASCII and nothing breaks."""
    printed = _printed(record, encoding="ascii")
    assert ">= 95 %" in printed
    assert "11 planned = 3 passed" in printed


def test_hostile_text_cannot_steer_the_terminal(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """Escape sequences, markup, overrides and lone surrogates from a server are shown, not obeyed."""
    evil = "\x1b]0;owned\x07\x1b[2J [red]x[/red] \u202egnp.exe \udc80 :smile:"
    hostile = checkpoint(
        "SNP-666",
        evil,
        "failed",
        Criterion(name=evil, measured=evil, comparison="=", limit="on", outcome="failed", reason=evil),
    )
    printed = _printed(_judged(record, hostile), width=200)
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "␛[2J [red]x[/red] \\u202egnp.exe \\udc80 :smile:" in printed


def _on_a_terminal(run: Callable[[Console], None]) -> str:
    """All that a real terminal receives."""
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as screen:
        with os.fdopen(slave, "w", encoding="utf-8") as file:
            run(Console(file=file, width=70, _environ={"TERM": "xterm"}))
        received = b""
        # Reading fails, and does not end, when nobody holds the other side any more.
        with contextlib.suppress(OSError):
            while chunk := screen.read(4096):
                received += chunk
    return received.decode()


def test_on_a_terminal_a_wait_is_shown_and_removed() -> None:
    """While it lasts, the line names what is waited for, elapsed and expected time; then it is gone."""
    times = iter([0.0, 0.0, *[12.4] * 100])

    def wait(console: Console) -> None:
        with Progress(console, "statement timeout", 30, clock=lambda: next(times)):
            pass

    received = _on_a_terminal(wait)
    assert "statement timeout: 12 s of about 30 s" in received
    after = received.rpartition("statement timeout")[2]
    assert "\x1b[2K" in after, "the line is erased after it was last drawn"


def test_elsewhere_a_wait_is_one_plain_line() -> None:
    """In a log file the wait leaves one line when it is over, without expected time when none is known."""
    file = io.StringIO()
    times = iter([0.0, 0.0, 31.2])
    with Progress(Console(file=file, width=70), "backfill", clock=lambda: next(times)):
        assert file.getvalue() == ""
    assert file.getvalue() == "backfill: 31 s\n"


def test_a_wait_that_fails_is_not_swallowed() -> None:
    """An error during the wait passes through, and the line is still finished."""
    file = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(Console(file=file), "backfill", clock=lambda: 0.0):
        raise KeyboardInterrupt
    assert file.getvalue() == "backfill: 0 s\n"
