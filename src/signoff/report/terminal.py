"""What a run says on the terminal: what it waits for, and at its end the verdict and what blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from signoff.record import CheckpointResult, Decision, Record
from signoff.report.visible import shortened, visible
from signoff.report.wording import (
    OUTCOME_WORDS,
    blockers,
    blocking_lines,
    lines_of,
    reason,
    sum_in_words,
)

_SHOWN_BLOCKERS: Final = 20
_TEXT_CHARACTERS: Final = 200
_FIGURE_WIDTH: Final = 22
_STYLES: Final[dict[Decision, str]] = {
    "PROMOTE": "bold green",
    "HOLD": "bold yellow",
    "ROLLBACK": "bold red",
}
_ASCII: Final = str.maketrans({"≥": ">=", "≤": "<=", "…": "...", "·": "-", "\N{EN DASH}": "-", "µ": "u"})


def print_summary(record: Record, console: Console, report_path: Path) -> None:
    """Print verdict, reason, blockers, the sum of all outcomes, and where the report is.

    Args:
        record: of the whole run.
        console: where to; its width, colours and encoding are respected.
        report_path: the report that a reader should open next.
    """
    run = record.run
    decision = record.verdict.decision
    place = f"  {run.environment}" + (f" · release {run.release}" if run.release else "")
    console.print(
        Text.assemble((decision, _STYLES[decision]), _printable(place, console)),
        highlight=False,
        soft_wrap=True,
    )
    _print(console, reason(record))
    blocking = blockers(record)
    if blocking:
        console.line()
        console.print(_table(blocking[:_SHOWN_BLOCKERS], console))
    if len(blocking) > _SHOWN_BLOCKERS:
        _print(console, f"… and {len(blocking) - _SHOWN_BLOCKERS:,} more, all of them in the report.")
    console.line()
    for warning in run.warnings:
        _print(console, f"Warning: {warning}")
    _print(console, sum_in_words(record))
    # Not wrapped, so that the path can be taken from the terminal in one piece.
    console.print(Text(_printable(f"Report: {report_path}", console)), soft_wrap=True)


class Progress:
    """A line that says what is being waited for, as a context manager.

    On a terminal the line is kept up to date and removed at the end. Elsewhere one plain line is printed
    when the wait is over. The caller sees to it that the cursor stands at the beginning of a line.

    Args:
        console: where to.
        text: what is being waited for.
        seconds: how long that takes as a rule; ``None`` when nobody knows.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        console: Console,
        text: str,
        seconds: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._text = text
        self._expected = seconds
        self._clock = clock
        self._began = clock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._began = self._clock()
        if self._console.is_interactive:
            self._live = Live(
                get_renderable=self._line,
                console=self._console,
                transient=True,
                refresh_per_second=2,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is None:
            self._console.print(self._line(), highlight=False, soft_wrap=True)
        else:
            self._live.stop()

    def _line(self) -> Text:
        elapsed = f"{self._clock() - self._began:.0f} s"
        expected = "" if self._expected is None else f" of about {self._expected:.0f} s"
        line = Text(_printable(f"{self._text}: {elapsed}{expected}", self._console), overflow="ellipsis")
        line.no_wrap = self._live is not None
        return line


def _table(blocking: list[CheckpointResult], console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, highlight=False, expand=True)
    table.add_column("Blocking", no_wrap=True)
    table.add_column("Checkpoint", ratio=1, overflow="fold")
    table.add_column("Measured", justify="right", max_width=_FIGURE_WIDTH, overflow="fold")
    table.add_column("Required", justify="right", max_width=_FIGURE_WIDTH, overflow="fold")
    for checkpoint in blocking:
        for cells in _rows(checkpoint):
            table.add_row(*(Text(_printable(cell, console)) for cell in cells))
    return table


def _rows(checkpoint: CheckpointResult) -> Iterator[tuple[str, str, str, str]]:
    title = shortened(checkpoint.text, _TEXT_CHARACTERS)
    lines = blocking_lines(checkpoint, lines_of([checkpoint]))
    if not lines:
        why = shortened(checkpoint.reason, _TEXT_CHARACTERS)
        yield checkpoint.id, f"{title}\n{why}".rstrip(), OUTCOME_WORDS[checkpoint.outcome], ""
    for number, found in enumerate(lines):
        # Figures alone tell why a criterion failed, but not why one could not be judged.
        what = found.name if found.outcome == "failed" else shortened(found.reason, _TEXT_CHARACTERS)
        first = number == 0
        yield (
            checkpoint.id if first else "",
            f"{title}\n{what}" if first else what,
            found.measured,
            found.required,
        )


def _print(console: Console, text: str) -> None:
    console.print(Text(_printable(text, console)), highlight=False)


def _printable(text: str, console: Console) -> str:
    shown = visible(text)
    if console.encoding.startswith("utf"):
        return shown
    return shown.translate(_ASCII).encode(console.encoding, "backslashreplace").decode(console.encoding)
