"""Artifacts: read without being trusted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signoff.errors import ComponentAbsent, ComponentNotConfigured, MissingObject, UnexpectedAnswer
from signoff.handles.artifacts import AbsentArtifact, Artifact, Artifacts, JUnitSummary

if TYPE_CHECKING:
    from signoff.record import Evidence

Write = Callable[[str | bytes], Artifact]


@pytest.fixture
def write(tmp_path: Path, evidence: list[Evidence]) -> Write:
    """Writes an artifact and opens it."""

    def written(content: str | bytes) -> Artifact:
        path = tmp_path / "report"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Artifact(path, component="shop.artifacts.report", observe=evidence.append)

    return written


def test_text_and_age(write: Write, evidence: list[Evidence]) -> None:
    """An artifact has a text and an age, and reading it leaves evidence."""
    artifact = write("größe\n")
    os.utime(artifact.path, (0, time.time() - 100))
    artifact = Artifact(artifact.path, component="shop.artifacts.report", observe=evidence.append)
    assert artifact.text() == "größe\n"
    assert 100 <= artifact.age_seconds < 3600
    assert (evidence[-1].kind, evidence[-1].asked, evidence[-1].answer) == (
        "file",
        str(artifact.path),
        "größe",
    )


def test_json(write: Write) -> None:
    """An artifact is read as JSON."""
    assert write('{"a": [1, 2.5, null]}').json() == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    "content",
    ["", "{", "NaN", '{"a": -Infinity}', '{"a": 1, "a": 2}', "[" * 100_000, b"\xff\xfe"],
    ids=["empty", "cut", "not a number", "infinity", "doubled key", "too deep", "not UTF-8"],
)
def test_what_is_not_json(write: Write, content: str | bytes) -> None:
    """What is not JSON, or says one thing twice, is an error."""
    with pytest.raises(UnexpectedAnswer):
        write(content).json()


REPORT = """<?xml version="1.0"?>
<testsuites>
  <testsuite name="a" tests="4" failures="1" errors="1" skipped="1">
    <testcase name="passes"/>
    <testcase name="fails"><failure message="x">text</failure></testcase>
    <testcase name="breaks"><error/></testcase>
    <testcase name="waits"><skipped/></testcase>
  </testsuite>
  <testsuite name="b"><testcase name="passes too"/></testsuite>
</testsuites>"""


def test_junit(write: Write, evidence: list[Evidence]) -> None:
    """A JUnit report is counted."""
    assert write(REPORT).junit() == JUnitSummary(tests=5, failures=1, errors=1, skipped=1)
    assert "failures=1" in evidence[-1].answer


@pytest.mark.parametrize(
    ("report", "summary"),
    [
        pytest.param(
            '<testsuite failures="3"><testcase/></testsuite>',
            JUnitSummary(tests=1, failures=3, errors=0, skipped=0),
            id="declared but not shown",
        ),
        pytest.param(
            '<testsuite failures="0"><testcase><failure/></testcase></testsuite>',
            JUnitSummary(tests=1, failures=1, errors=0, skipped=0),
            id="shown but not declared",
        ),
        pytest.param(
            '<testsuites errors="0"><testsuite errors="2"><testcase/></testsuite></testsuites>',
            JUnitSummary(tests=1, failures=0, errors=2, skipped=0),
            id="declared in a suite",
        ),
        pytest.param(
            "<testsuite><error>no set-up</error><testcase/></testsuite>",
            JUnitSummary(tests=1, failures=0, errors=1, skipped=0),
            id="beside the cases",
        ),
        pytest.param(
            "<testsuite><testcase><failure/><failure/><error/></testcase></testsuite>",
            JUnitSummary(tests=1, failures=1, errors=1, skipped=0),
            id="twice in a case",
        ),
    ],
)
def test_the_worst_of_a_junit_report_counts(write: Write, report: str, summary: JUnitSummary) -> None:
    """Where what a report declares and what it shows differ, the worse counts."""
    assert write(report).junit() == summary


@pytest.mark.parametrize(
    "report",
    [
        pytest.param("", id="empty"),
        pytest.param("<testsuites/>", id="no suite"),
        pytest.param('<testsuite tests="7"/>', id="no case"),
        pytest.param("<testsuite><testcase/>", id="cut"),
        pytest.param("<html><testcase/></html>", id="something else"),
        pytest.param('<testsuite failures="many"><testcase/></testsuite>', id="not a number"),
        pytest.param(
            '<!DOCTYPE t [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>',
            id="entities",
        ),
        pytest.param(
            '<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuite><testcase/></testsuite>',
            id="outside reference",
        ),
        pytest.param(
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE t><testsuite><testcase/></testsuite>'.encode(
                "utf-16"
            ),
            id="document type in another encoding",
        ),
    ],
)
def test_unusable_junit_reports(write: Write, report: str | bytes) -> None:
    """A report that is broken, empty or more than a report is an error, never zero failures."""
    with pytest.raises(UnexpectedAnswer):
        write(report).junit()


def test_artifacts_by_name(tmp_path: Path, evidence: list[Evidence]) -> None:
    """An artifact that is not there, not described, or declared absent is told apart."""
    (tmp_path / "report").write_text("x")
    artifact = Artifacts(
        {
            "report": tmp_path / "report",
            "log": tmp_path / "nothing",
            "folder": tmp_path,
            "coverage": AbsentArtifact(reason="nobody measures it"),
        },
        component="shop.artifacts",
        observe=evidence.append,
    )
    assert artifact("report").text() == "x"
    with pytest.raises(MissingObject):
        artifact("log")
    with pytest.raises(MissingObject):
        artifact("folder")
    with pytest.raises(ComponentAbsent, match="nobody measures it"):
        artifact("coverage")
    with pytest.raises(ComponentNotConfigured, match="Did you mean report"):
        artifact("reports")
