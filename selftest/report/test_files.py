from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from signoff.errors import ReportError
from signoff.record import Record, Verdict
from signoff.report.files import write_reports
from signoff.report.html import render_html, style_sheet
from signoff.report.junit import render_junit
from signoff.report.record_file import read_record


def test_a_run_has_record_and_reports(record: Record, tmp_path: Path) -> None:
    """Record, page, its style sheet and JUnit XML lie in one folder, and nothing else."""
    page = write_reports(record, (), tmp_path / "run")
    assert page == tmp_path / "run" / "signoff.html"
    assert {path.name: path.read_text(encoding="utf-8") for path in page.parent.iterdir()} == {
        "record.json": (page.parent / "record.json").read_text(encoding="utf-8"),
        "signoff.html": render_html(record),
        "signoff.css": style_sheet(),
        "junit.xml": render_junit(record),
    }
    assert read_record(page.parent / "record.json") == record


def test_reports_show_what_the_record_holds(record: Record, tmp_path: Path) -> None:
    """A value that JSON cannot hold looks the same in a report of today and in one rendered a year later."""
    odd = replace(
        record.checkpoints[4].tests[0].criteria[0],
        measured=float("nan"),
        outcome="error",
        reason="not a number",
    )
    test = replace(record.checkpoints[4].tests[0], criteria=(odd,))
    checkpoints = (
        *record.checkpoints[:4],
        replace(record.checkpoints[4], tests=(test,)),
        *record.checkpoints[5:],
    )
    page = write_reports(replace(record, checkpoints=checkpoints), (), tmp_path)
    later = render_html(read_record(tmp_path / "record.json"))
    assert page.read_text(encoding="utf-8") == later
    assert "<td class=x>nan<td>" in later


def test_a_record_that_cannot_be_reported_is_kept(record: Record, tmp_path: Path) -> None:
    """When the reports are refused, the record is on the disk and no report of an earlier run is touched."""
    write_reports(record, (), tmp_path)
    before = (tmp_path / "signoff.html").read_bytes()
    forged = replace(record, verdict=Verdict(decision="PROMOTE", findings=()))
    with pytest.raises(ReportError):
        write_reports(forged, (), tmp_path)
    assert read_record(tmp_path / "record.json") == forged
    assert (tmp_path / "signoff.html").read_bytes() == before
