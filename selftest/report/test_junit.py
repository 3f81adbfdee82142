from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import junitparser
import pytest
import xmlschema
from msgspec.structs import replace

from signoff.errors import ReportError
from signoff.record import CheckpointResult, Criterion, Evidence, Record, Verdict
from signoff.report.junit import render_junit
from signoff.verdict import judge

_SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def _judged(record: Record, *checkpoints: CheckpointResult) -> Record:
    record = replace(record, checkpoints=checkpoints)
    return replace(record, verdict=judge(record))


def _read(record: Record) -> junitparser.JUnitXml:
    """The report as a reader of JUnit XML finds it."""
    return junitparser.JUnitXml.fromstring(render_junit(record).encode())


def _cases(record: Record) -> dict[str, junitparser.TestCase]:
    """The cases by the first word of their names, which is the id of the checkpoint."""
    xml = _read(record)
    return {case.name.split(" ")[0]: case for suite in xml for case in suite}


def _result(case: junitparser.TestCase) -> junitparser.junitparser.Result:
    (result,) = case.result
    return result


def test_the_file_is_valid(record: Record, green: Record) -> None:
    """Reports of a green and of a held run are valid, with unique class name and name for each case."""
    _SCHEMA.validate(render_junit(record))
    _SCHEMA.validate(render_junit(green))


def test_the_verdict_is_the_first_case(record: Record, green: Record) -> None:
    """A held run begins with a failure that holds reason, sum and blockers; a promoted one with a pass."""
    first = next(case for suite in _read(record) for case in suite)
    assert first.name == "VERDICT: HOLD"
    body = _result(first).text
    assert "11 planned = 3 passed" in body
    assert "SNP-075 failed: coverage: measured 93.84721 %, required ≥ 95 %, margin -1.15279 %" in body
    assert _cases(green)["VERDICT:"].is_passed


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("SNP-075", junitparser.Failure),
        ("SNP-078", junitparser.Error),
        ("SNP-076", junitparser.Error),
        ("SNP-079", junitparser.Error),
        ("SNP-016", junitparser.Error),
        ("SNP-083", junitparser.Skipped),
        ("SNP-085", junitparser.Skipped),
    ],
)
def test_what_is_not_green_has_its_element(record: Record, identifier: str, kind: type) -> None:
    """Each outcome that is not passed or attested is a failure, an error or, with permission, skipped."""
    assert type(_result(_cases(record)[identifier])) is kind


def test_passed_and_attested_have_no_element(record: Record) -> None:
    """What was shown or attested is green for every consumer."""
    cases = _cases(record)
    assert cases["SNP-004"].is_passed
    assert cases["SNP-017"].is_passed


def test_counting_failures_and_errors_finds_what_blocks(record: Record) -> None:
    """The counts of a suite equal its cases, and failures and errors together equal the blockers."""
    xml = _read(record)
    _, suite = xml
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (11, 1, 4, 2)
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (12, 2, 4, 2)


def test_an_incomplete_run_is_red_although_all_its_checkpoints_are_green(green: Record) -> None:
    """The verdict's case fails when the run did not reach its end."""
    cut = replace(green, run=replace(green.run, state="incomplete"))
    case = _cases(_judged(cut, *green.checkpoints))["VERDICT:"]
    assert "INCOMPLETE" in _result(case).message


def test_a_run_without_checkpoints_is_red(green: Record) -> None:
    """Nothing planned is one failed case, not an empty file."""
    assert _read(_judged(green)).failures == 1


def test_the_body_of_a_failure_tells_all(record: Record) -> None:
    """The body alone holds measured, required, margin, the query, its answer and where the evidence is."""
    result = _result(_cases(record)["SNP-075"])
    for told in (
        "At least 95 % of the sessions carry a country snapshot.",
        "coverage: measured 93.84721 %, required ≥ 95 %, margin -1.15279 %: failed",
        "sessions counted twice: measured 0, required = 0: passed",
        "select 100.0 * count(snapshot_country)",
        "DE   412,003",
        "signoff.html#SNP-075",
    ):
        assert told in result.text
    assert result.message == "coverage: measured 93.84721 %, required ≥ 95 %, margin -1.15279 %"


def test_a_skipped_case_has_its_reason_twice(record: Record) -> None:
    """Systems show either the message or the body of a skipped case: both hold the waiver."""
    result = _result(_cases(record)["SNP-085"])
    assert result.message == result.text
    assert result.message.startswith("waived: waived by A. Brandt until 2031-06-10")


def test_figures_are_properties_with_sortable_names(record: Record) -> None:
    """Sorted by name, properties keep each criterion together, in the order of judgement."""
    suites = ET.fromstring(render_junit(record))  # noqa: S314 - our own output
    properties = next(case for case in suites.iter("testcase") if "SNP-077" in case.get("name", "")).iter(
        "property"
    )
    facts = {fact.get("name", ""): fact.get("value") for fact in properties}
    assert facts["signoff.criterion.01.measured"] == "11.3 x"
    assert facts["signoff.criterion.02.required"] == "≤ 2 s"
    assert facts["signoff.outcome"] == "passed"
    assert list(facts) == sorted(facts)


def test_dots_and_blanks_in_names_do_not_change_the_class(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """A class name has exactly one dot, between runbook and stage."""
    stage = replace(record.runbooks[0].stages[0], id="4.2 data\tquality")
    runbook = replace(record.runbooks[0], stages=(stage,))
    odd = checkpoint("SNP-201", "It holds.", "failed", stage=stage.id, reason="it does not")
    xml = render_junit(_judged(replace(record, runbooks=(runbook,)), odd))
    assert 'classname="snapshot_backfill.4-2-data-quality"' in xml
    _SCHEMA.validate(xml)


def test_hostile_text_is_harmless(record: Record, checkpoint: Callable[..., CheckpointResult]) -> None:
    """Markup, the end of a CDATA section, control characters, NUL and surrogates leave valid XML."""
    evil = "<script>]]>&amp;\x00\x1b[31m\x0b\u202e\ud800\ufffe'\""
    hostile = checkpoint(
        "SNP-666",
        evil,
        "failed",
        Criterion(name=evil, measured=evil, comparison="=", limit=evil, outcome="failed", reason=evil),
        evidence=(Evidence(kind="query", source=evil, asked=evil, answer=evil * 50_000, at=evil),),
        reason=evil,
    )
    record = _judged(replace(record, run=replace(record.run, release=evil)), hostile)
    xml = render_junit(record)
    _SCHEMA.validate(xml)
    assert len(xml) < 20_000
    assert "<script>]]>&amp;␀␛[31m␋\\u202e\\ud800\\ufffe" in _result(_cases(record)["SNP-666"]).text


def test_the_same_record_gives_the_same_text(record: Record) -> None:
    """Rendering is reproducible."""
    assert render_junit(record) == render_junit(record)


def test_a_record_that_contradicts_itself_is_refused(record: Record) -> None:
    """No report says PROMOTE while its policy says HOLD."""
    forged = replace(record, verdict=Verdict(decision="PROMOTE", findings=()))
    with pytest.raises(ReportError, match="the verdict PROMOTE although the policy says HOLD"):
        render_junit(forged)
