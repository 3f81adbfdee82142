"""JUnit XML of a record, for CI systems.

The first case of the file is the verdict; then comes one case for each checkpoint, grouped by runbook. A
consumer that knows nothing of Signoff and only counts failures and errors finds no run green that is not:

    ==============  ===========  ==================================================================
    outcome         element      why
    ==============  ===========  ==================================================================
    passed          none         evidence met the criteria
    attested        none         a named person stated it; ``signoff.reason`` says who
    waived          ``skipped``  may go on without being green; never shown as a plain pass
    not_applicable  ``skipped``  the environment has no such component; the message says why
    failed          ``failure``  a criterion was judged and is not met
    error           ``error``    nothing could be judged
    inconclusive    ``error``    the evidence does not suffice; JUnit's own "skipped" would look green
    not_run         ``error``    nothing was shown; as above
    pending         ``error``    a person has not attested it yet; as above
    ==============  ===========  ==================================================================

The verdict's case fails unless the verdict is PROMOTE, so an incomplete run is red even when every single
checkpoint is green. Class names are ``runbook.stage``, with dots as separators only; a name begins with
the id, so no two cases are the same. Figures stand in the message, in the body and in properties, because
each CI system shows another one of the three. The names of properties can be sorted: some systems lose
their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import indent
from typing import Final
from xml.etree import ElementTree as ET

from signoff.record import CheckpointResult, Outcome, Record, RunbookRecord, TestResult
from signoff.report.contradictions import refuse_contradictions
from signoff.report.visible import shortened, visible
from signoff.report.wording import (
    OUTCOME_WORDS,
    Line,
    blockers,
    blocking_lines,
    checkpoint_lines,
    reason,
    sum_in_words,
)

JUNIT_FILE: Final = "junit.xml"

_ELEMENT: Final[dict[Outcome, str]] = {
    "waived": "skipped",
    "not_applicable": "skipped",
    "failed": "failure",
    "error": "error",
    "inconclusive": "error",
    "not_run": "error",
    "pending": "error",
}
_NAME_CHARACTERS: Final = 200
_ANSWER_CHARACTERS: Final = 2_000
_MESSAGE_CHARACTERS: Final = 1_000
_LISTED_BLOCKERS: Final = 100


def render_junit(record: Record) -> str:
    """The record as JUnit XML; the same record gives the same text.

    Raises:
        ReportError: the record contradicts itself.
    """
    refuse_contradictions(record)
    root = ET.Element("testsuites", name="signoff")
    verdict = ET.SubElement(root, "testsuite", name="verdict")
    verdict.append(_verdict_case(record))
    for runbook in record.runbooks:
        suite = ET.SubElement(root, "testsuite", name=visible(runbook.name))
        suite.append(_properties(_runbook_facts(record, runbook)))
        suite.extend(_case(c) for c in record.checkpoints if c.runbook == runbook.name)
    for suite in root:
        _count(suite, suite)
        suite.set("timestamp", visible(record.run.started))
    _count(root, root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _verdict_case(record: Record) -> ET.Element:
    decision = record.verdict.decision
    case = ET.Element("testcase", classname="signoff.verdict", name=f"VERDICT: {decision}", time="0.000")
    case.append(_properties(_run_facts(record)))
    if decision != "PROMOTE":
        blocking = blockers(record)
        told = [reason(record), sum_in_words(record), *map(_blocker, blocking[:_LISTED_BLOCKERS])]
        if len(blocking) > _LISTED_BLOCKERS:
            told.append(f"… and {len(blocking) - _LISTED_BLOCKERS:,} more")
        _result(case, "failure", decision, reason(record), "\n".join(told))
    return case


def _blocker(checkpoint: CheckpointResult) -> str:
    return f"{checkpoint.id} {OUTCOME_WORDS[checkpoint.outcome]}: {_message(checkpoint)}"


def _case(checkpoint: CheckpointResult) -> ET.Element:
    seconds = sum(test.seconds for test in checkpoint.tests)
    case = ET.Element(
        "testcase",
        classname=f"{_segment(checkpoint.runbook)}.{_segment(checkpoint.stage)}",
        name=visible(f"{checkpoint.id} {shortened(checkpoint.text, _NAME_CHARACTERS)}"),
        time=f"{seconds:.3f}",
    )
    if checkpoint.tests:
        case.set("file", visible(checkpoint.tests[0].nodeid.partition("::")[0]))
    case.append(_properties(_checkpoint_facts(checkpoint)))
    element = _ELEMENT.get(checkpoint.outcome)
    if element == "skipped":
        # GitLab shows the body of a skipped case, Jenkins its message: so both hold the same.
        told = f"{OUTCOME_WORDS[checkpoint.outcome]}: {checkpoint.reason}"
        _result(case, element, checkpoint.outcome, told, told)
    elif element:
        _result(case, element, checkpoint.outcome, _message(checkpoint), "\n".join(_body(checkpoint)))
    return case


def _segment(name: str) -> str:
    """A part of a class name: CI systems split these at dots and choke on blanks."""
    return re.sub(r"[^\w-]+", "-", visible(name)) or "-"


def _message(checkpoint: CheckpointResult) -> str:
    lines = blocking_lines(checkpoint)
    figures = "; ".join(_figures(found) for found in lines if found.outcome == "failed")
    return figures or checkpoint.reason or OUTCOME_WORDS[checkpoint.outcome]


def _figures(found: Line) -> str:
    margin = f", margin {found.margin}" if found.margin else ""
    return f"{found.name}: measured {found.measured}, required {found.required}{margin}"


def _body(checkpoint: CheckpointResult) -> Iterator[str]:
    yield f"{checkpoint.id} {OUTCOME_WORDS[checkpoint.outcome]}: {checkpoint.text}"
    if checkpoint.reason:
        yield checkpoint.reason
    for found in checkpoint_lines(checkpoint):
        yield f"{_figures(found)}: {OUTCOME_WORDS[found.outcome]}"
    for test in checkpoint.tests:
        yield f"{test.nodeid}: {OUTCOME_WORDS[test.outcome]}"
        yield from _evidence(test)
    yield f"evidence: signoff.html#{checkpoint.id}"


def _evidence(test: TestResult) -> Iterator[str]:
    for piece in test.evidence:
        yield f"  {piece.kind} at {piece.at} from {piece.source}"
        yield indent(shortened(piece.asked, _ANSWER_CHARACTERS), "    ")
        yield "  answer"
        yield indent(shortened(piece.answer, _ANSWER_CHARACTERS), "    ")


def _result(case: ET.Element, element: str, kind: str, message: str, body: str) -> None:
    attributes = {"message": visible(shortened(message, _MESSAGE_CHARACTERS))}
    if element != "skipped":
        attributes["type"] = kind
    ET.SubElement(case, element, attributes).text = visible(body)


def _properties(facts: Iterable[tuple[str, str]]) -> ET.Element:
    properties = ET.Element("properties")
    for name, value in facts:
        ET.SubElement(properties, "property", name=f"signoff.{name}", value=visible(value))
    return properties


def _run_facts(record: Record) -> Iterator[tuple[str, str]]:
    run = record.run
    yield "environment", run.environment
    yield "release", run.release
    yield "run", run.id
    yield "state", run.state
    yield "sum", sum_in_words(record)
    for number, target in enumerate(record.targets, 1):
        yield f"target.{number:02}", f"{target.system}.{target.component} {target.address} {target.identity}"
    yield "verdict", record.verdict.decision


def _runbook_facts(record: Record, runbook: RunbookRecord) -> Iterator[tuple[str, str]]:
    yield "environment", record.run.environment
    yield "release", record.run.release
    yield "runbook.sha256", runbook.sha256
    yield "runbook.title", runbook.title


def _checkpoint_facts(checkpoint: CheckpointResult) -> Iterator[tuple[str, str]]:
    yield "checkpoint", checkpoint.id
    if checkpoint.covers:
        yield "covers", " ".join(checkpoint.covers)
    for number, found in enumerate(checkpoint_lines(checkpoint), 1):
        prefix = f"criterion.{number:02}"
        yield f"{prefix}.margin", found.margin
        yield f"{prefix}.measured", found.measured
        yield f"{prefix}.name", found.name
        yield f"{prefix}.outcome", found.outcome
        yield f"{prefix}.required", found.required
    yield "fingerprint", checkpoint.fingerprint
    yield "outcome", checkpoint.outcome
    if checkpoint.reason:
        yield "reason", shortened(checkpoint.reason, _MESSAGE_CHARACTERS)


def _count(element: ET.Element, within: ET.Element) -> None:
    cases = list(within.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, child in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(child) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
