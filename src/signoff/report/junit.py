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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from textwrap import indent
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from signoff.record import CheckpointResult, Outcome, Record, RunbookRecord, TestResult
from signoff.report.contradictions import refuse_contradictions
from signoff.report.visible import shortened, visible
from signoff.report.wording import (
    OUTCOME_WORDS,
    Line,
    Lines,
    blockers,
    blocking_lines,
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
_NO_SEGMENT: Final = re.compile(r"[^\w-]+")
_NAME_CHARACTERS: Final = 200
_ANSWER_CHARACTERS: Final = 2_000
_MESSAGE_CHARACTERS: Final = 1_000
_LISTED_BLOCKERS: Final = 100


class _Case(NamedTuple):
    """One case: the element that tells its result, empty where there is none; its time in s; its XML."""

    element: str
    seconds: str
    xml: str


def render_junit(record: Record, lines: Lines | None = None) -> str:
    """The record as JUnit XML; the same record gives the same text.

    Args:
        record: of the run.
        lines: its figures in words, where it was checked for contradictions already.

    Raises:
        ReportError: the record contradicts itself.
    """
    if lines is None:
        lines = refuse_contradictions(record)
    started = record.run.started
    cases = [_verdict_case(record, lines)]
    suites = [_suite("verdict", "", cases, started)]
    for runbook in record.runbooks:
        own = [_case(c, lines) for c in record.checkpoints if c.runbook == runbook.name]
        facts = _properties(_runbook_facts(record, runbook), "    ")
        suites.append(_suite(runbook.name, facts, own, started))
        cases += own
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f"<testsuites{_attributes({'name': 'signoff'} | _counts(cases))}>\n{''.join(suites)}</testsuites>\n"
    )


def _suite(name: str, properties: str, cases: Sequence[_Case], started: str) -> str:
    attributes = _attributes({"name": name} | _counts(cases) | {"timestamp": started})
    return f"  <testsuite{attributes}>\n{properties}{''.join(case.xml for case in cases)}  </testsuite>\n"


def _counts(cases: Sequence[_Case]) -> dict[str, str]:
    number = Counter(case.element for case in cases)
    return {
        "tests": str(len(cases)),
        "failures": str(number["failure"]),
        "errors": str(number["error"]),
        "skipped": str(number["skipped"]),
        "time": f"{sum(float(case.seconds) for case in cases):.3f}",
    }


def _verdict_case(record: Record, lines: Lines) -> _Case:
    decision = record.verdict.decision
    element = told = ""
    if decision != "PROMOTE":
        element = "failure"
        blocking = blockers(record)
        body = [reason(record), sum_in_words(record)]
        body += [_blocker(checkpoint, lines) for checkpoint in blocking[:_LISTED_BLOCKERS]]
        if len(blocking) > _LISTED_BLOCKERS:
            body.append(f"… and {len(blocking) - _LISTED_BLOCKERS:,} more")
        told = _result(element, decision, reason(record), "\n".join(body))
    attributes = {"classname": "signoff.verdict", "name": f"VERDICT: {decision}", "time": "0.000"}
    return _Case(element, "0.000", _case_xml(attributes, _run_facts(record), told))


def _blocker(checkpoint: CheckpointResult, lines: Lines) -> str:
    return f"{checkpoint.id} {OUTCOME_WORDS[checkpoint.outcome]}: {_message(checkpoint, lines)}"


def _case(checkpoint: CheckpointResult, lines: Lines) -> _Case:
    seconds = f"{sum(test.seconds for test in checkpoint.tests):.3f}"
    attributes = {
        "classname": f"{_segment(checkpoint.runbook)}.{_segment(checkpoint.stage)}",
        "name": f"{checkpoint.id} {shortened(checkpoint.text, _NAME_CHARACTERS)}",
        "time": seconds,
    }
    if checkpoint.tests:
        attributes["file"] = checkpoint.tests[0].nodeid.partition("::")[0]
    element = _ELEMENT.get(checkpoint.outcome, "")
    told = ""
    if element == "skipped":
        # GitLab shows the body of a skipped case, Jenkins its message: so both hold the same.
        words = f"{OUTCOME_WORDS[checkpoint.outcome]}: {checkpoint.reason}"
        told = _result(element, checkpoint.outcome, words, words)
    elif element:
        body = "\n".join(_body(checkpoint, lines))
        told = _result(element, checkpoint.outcome, _message(checkpoint, lines), body)
    return _Case(element, seconds, _case_xml(attributes, _checkpoint_facts(checkpoint, lines), told))


def _segment(name: str) -> str:
    """A part of a class name: CI systems split these at dots and choke on blanks."""
    return _NO_SEGMENT.sub("-", visible(name)) or "-"


def _message(checkpoint: CheckpointResult, lines: Lines) -> str:
    blocking = blocking_lines(checkpoint, lines)
    figures = "; ".join(_figures(found) for found in blocking if found.outcome == "failed")
    return figures or checkpoint.reason or OUTCOME_WORDS[checkpoint.outcome]


def _figures(found: Line) -> str:
    margin = f", margin {found.margin}" if found.margin else ""
    return f"{found.name}: measured {found.measured}, required {found.required}{margin}"


def _body(checkpoint: CheckpointResult, lines: Lines) -> Iterator[str]:
    yield f"{checkpoint.id} {OUTCOME_WORDS[checkpoint.outcome]}: {checkpoint.text}"
    if checkpoint.reason:
        yield checkpoint.reason
    for found in lines[checkpoint.id]:
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


def _case_xml(attributes: dict[str, str], facts: Iterable[tuple[str, str]], result: str) -> str:
    return f"    <testcase{_attributes(attributes)}>\n{_properties(facts, '      ')}{result}    </testcase>\n"


def _result(element: str, kind: str, message: str, body: str) -> str:
    attributes = {"message": shortened(message, _MESSAGE_CHARACTERS)}
    if element != "skipped":
        attributes["type"] = kind
    return f"      <{element}{_attributes(attributes)}>{escape(visible(body))}</{element}>\n"


def _properties(facts: Iterable[tuple[str, str]], margin: str) -> str:
    lines = [
        f'{margin}  <property name="signoff.{name}" value="{_quotable(value)}" />\n' for name, value in facts
    ]
    return f"{margin}<properties>\n{''.join(lines)}{margin}</properties>\n"


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name}="{_quotable(value)}"' for name, value in attributes.items())


def _quotable(value: str) -> str:
    """A value as it stands between quotation marks; parsers would take bare newlines and tabs for blanks."""
    return escape(visible(value)).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#09;")


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


def _checkpoint_facts(checkpoint: CheckpointResult, lines: Lines) -> Iterator[tuple[str, str]]:
    yield "checkpoint", checkpoint.id
    if checkpoint.covers:
        yield "covers", " ".join(checkpoint.covers)
    for number, found in enumerate(lines[checkpoint.id], 1):
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
