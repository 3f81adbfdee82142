"""The files of a run: the record, and the reports rendered from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from signoff.record import Record
from signoff.report.contradictions import refuse_contradictions
from signoff.report.document import RunbookDocument
from signoff.report.html import CSS_FILE, HTML_FILE, render_html, style_sheet
from signoff.report.junit import JUNIT_FILE, render_junit
from signoff.report.record_file import RECORD_FILE, decode_record, encode_record
from signoff.storage import write_file, write_files


def write_reports(record: Record, documents: Sequence[RunbookDocument], directory: Path) -> Path:
    """Write ``record.json``, ``signoff.html`` with ``signoff.css``, and ``junit.xml``.

    The record is written first, on its own: whatever happens to the reports, they can be rendered from it
    again. They are rendered from the record as it was stored, so they show what a reader of it finds.

    Args:
        record: of the run.
        documents: the runbooks of the run, for their prose in the report.
        directory: the folder of the run; made when it does not exist.

    Returns:
        The path of ``signoff.html``.

    Raises:
        ReportError: a file cannot be written, or the record contradicts itself.
    """
    stored = encode_record(record)
    path = directory / RECORD_FILE
    write_file(path, stored, lost="the record of this run")
    _render(decode_record(stored, source=str(path)), documents, directory)
    return directory / HTML_FILE


def announce(record: Record, directory: Path) -> None:
    """Write reports of a run that has only begun, in case that nothing better follows.

    They say INCOMPLETE. What never ran is named by ``record.json``, which is not touched: to render every
    checkpoint twice would double what a run costs.

    Raises:
        ReportError: a file cannot be written.
    """
    _render(msgspec.structs.replace(record, runbooks=(), checkpoints=()), (), directory)


def _render(record: Record, documents: Sequence[RunbookDocument], directory: Path) -> None:
    lines = refuse_contradictions(record)
    reports = {
        CSS_FILE: style_sheet(),
        JUNIT_FILE: render_junit(record, lines),
        HTML_FILE: render_html(record, documents, lines),
    }
    write_files(
        directory,
        {name: text.encode() for name, text in reports.items()},
        lost=f"the reports of this run (the record is in {directory / RECORD_FILE})",
    )
