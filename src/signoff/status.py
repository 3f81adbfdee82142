"""How pytest's terminal shows the tests of a run, and the verdict at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from signoff.attempt import RESULT

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter
    from rich.console import Console

    from signoff.session import RunSession

TestStatus: TypeAlias = tuple[str, str, str] | None
"""Category, letter and word for pytest's terminal; ``None`` leaves them to pytest."""

_LETTERS: Final = {
    "passed": ".",
    "failed": "F",
    "error": "E",
    "inconclusive": "?",
    "not_run": "n",
    "pending": "p",
    "not_applicable": "-",
}

_DEFAULT_REPORT: Final = "fE"
"""What pytest lists at its end unless -r says otherwise: each failure and error once more."""


def status_of(report: pytest.TestReport) -> TestStatus:
    """Show a test once, by its outcome, when it is over."""
    result = getattr(report, RESULT, None)
    if result is not None:
        word = result.outcome.replace("_", " ")
        return word, _LETTERS[result.outcome], word.upper()
    return ("", "", "") if report.when in {"setup", "call", "teardown"} else None


def print_record(run: RunSession, reporter: TerminalReporter) -> None:
    """Print the verdict, or why there is none on disk."""
    from signoff.report.terminal import print_summary  # noqa: PLC0415 - rich is needed at the end only

    if run.record is None:
        return
    reporter.section("signoff")
    console = _console(reporter)
    if run.unwritten is not None:
        console.print(f"The reports were not written: {run.unwritten}", highlight=False, markup=False)
    print_summary(run.record, console, run.directory / "signoff.html")
    if reporter.config.option.reportchars == _DEFAULT_REPORT:
        # Nothing comes after the verdict but pytest's closing line, unless -r asks for it.
        reporter.reportchars = ""


@contextmanager
def uncaptured_console(config: pytest.Config) -> Iterator[Console | None]:
    """The terminal in the middle of a test; ``None`` where there is none, as on an xdist worker."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capture is None:
        yield None
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        if reporter._tw.width_of_current_line:  # noqa: SLF001 - as in _console()
            # With -q there are no names of files to keep lines apart, and the line above does nothing.
            reporter.line("")
        yield _console(reporter)


def _console(reporter: TerminalReporter) -> Console:
    from rich.console import Console  # noqa: PLC0415 - as above

    writer = reporter._tw  # noqa: SLF001 - pytest has no public way to its terminal's file
    return Console(
        file=writer._file,  # noqa: SLF001 - as above
        width=writer.fullwidth,
        no_color=None if writer.hasmarkup and "NO_COLOR" not in os.environ else True,
    )
