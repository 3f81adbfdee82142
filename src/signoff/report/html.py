"""The sign-off report: the runbooks with every box ticked or crossed by its evidence, as one HTML file.

The file loads nothing, runs nothing and is the same for the same record. It looks the same where a server
forbids inline styles, provided that ``signoff.css`` lies beside it, and remains readable without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from signoff.record import (
    GREEN,
    CheckpointResult,
    Criterion,
    Decision,
    Evidence,
    Outcome,
    Record,
    RunbookRecord,
    State,
    TestResult,
)
from signoff.report.chart import interval_chart
from signoff.report.contradictions import refuse_contradictions
from signoff.report.document import RunbookDocument, parts
from signoff.report.prose import render_line
from signoff.report.visible import shortened, visible
from signoff.report.wording import (
    OUTCOME_WORDS,
    Line,
    blockers,
    blocking_lines,
    checkpoint_lines,
    interval,
    reason,
    required,
    sum_in_words,
)

HTML_FILE: Final = "signoff.html"
CSS_FILE: Final = "signoff.css"

_EVIDENCE_CHARACTERS: Final = 16_000
_TEXT_CHARACTERS: Final = 1_000
_SHORT_FIGURE: Final = 18
_MARKDOWN_SIGNS: Final = frozenset("`*[\\")
_GLYPHS: Final[dict[Outcome, str]] = {
    "passed": "✓",
    "attested": "✓",
    "waived": "w",
    "not_applicable": "\N{EN DASH}",
    "failed": "✗",
    "error": "!",
    "inconclusive": "?",
    "not_run": "\N{NO-BREAK SPACE}",
    "pending": "…",
}
_BOXES: Final = {
    outcome: Markup("class={}><tr><td><i>{}</i>").format(outcome, glyph) for outcome, glyph in _GLYPHS.items()
}
# The shapes tell the verdicts apart without colour: a tick in a circle, a bar in an octagon, an arrow back.
_SHAPES: Final[dict[Decision, Markup]] = {
    "PROMOTE": Markup(
        '<circle cx="12" cy="12" r="11" fill="currentColor"/>'
        '<path d="M6.5 12.5l3.8 3.8 7.2-8" fill="none" stroke="#fff" stroke-width="2.6"/>'
    ),
    "HOLD": Markup(
        '<path d="M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4z" fill="currentColor"/>'
        '<path d="M6 12h12" stroke="#fff" stroke-width="3.2"/>'
    ),
    "ROLLBACK": Markup(
        '<path d="M12 .8l11.6 21.4H.4z" fill="currentColor"/>'
        '<path d="M16 18v-3.4H8.6m2.6-2.8l-2.8 2.8 2.8 2.8" fill="none" stroke="#fff" stroke-width="2"/>'
    ),
}
_STATES: Final[dict[State, str]] = {
    "complete": "The run is complete",
    "incomplete": "The run is INCOMPLETE, it did not reach its end",
    "interrupted": "The run is INCOMPLETE, it was interrupted",
}


def render_html(record: Record, documents: Sequence[RunbookDocument] = ()) -> str:
    """The report of a run.

    Args:
        record: of the run.
        documents: the runbooks of the run, for their prose; without one, its checkpoints stand below the
            titles of their stages.

    Raises:
        ReportError: the record contradicts itself, or a document does not fit it.
    """
    refuse_contradictions(record)
    by_name = {document.name: document for document in documents}
    roles = (role for runbook in record.runbooks for role in runbook.sign_off_roles)
    return _template().render(
        record=record,
        run=record.run,
        verdict=record.verdict,
        shape=_SHAPES[record.verdict.decision],
        css=Markup(style_sheet()),  # noqa: S704 - part of this package
        why=reason(record),
        state=_STATES[record.run.state],
        sum=sum_in_words(record),
        blocking=blockers(record),
        runbooks=[
            (runbook, parts(record, runbook, by_name.get(runbook.name))) for runbook in record.runbooks
        ],
        signatures=list(dict.fromkeys(roles)),
        green=_green_by_stage(record),
    )


def style_sheet() -> str:
    """The style sheet of the report, for ``signoff.css``."""
    return files("signoff.report").joinpath("templates", CSS_FILE).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("signoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "blocking_lines": blocking_lines,
        "chart": interval_chart,
        "contents": _contents,
        "criteria": _criteria,
        "cut": _cut,
        "facts": _facts,
        "box": _BOXES.__getitem__,
        "interval": interval,
        "is_noted": _is_noted,
        "left_out": _left_out,
        "line": _line,
        "lines": checkpoint_lines,
        "listed": _listed,
        "origins": _origins,
        "required": required,
        "roles": _roles,
        "typeset": _typeset,
        "word": OUTCOME_WORDS.__getitem__,
    }
    return environment.get_template("signoff.html.jinja")


def _shown(value: Any) -> Any:
    """What every expression of the template passes through, before it is escaped."""
    return visible(value) if type(value) is str else value


def _cut(text: str) -> str:
    return shortened(text, _EVIDENCE_CHARACTERS)


def _line(text: str) -> str:
    text = shortened(text, _TEXT_CHARACTERS)
    return text if _MARKDOWN_SIGNS.isdisjoint(text) else render_line(text)


def _typeset(figure: str) -> str:
    """A short figure is not broken before its unit, and its minus sign is as wide as a plus."""
    if len(figure) > _SHORT_FIGURE:
        return figure
    figure = figure.replace(" ", "\N{NO-BREAK SPACE}")
    return figure.replace("-", "\N{MINUS SIGN}", 1) if figure.startswith("-") else figure


def _listed(facts: Iterable[str]) -> str:
    return "".join(f" · {fact}" for fact in facts)


def _roles(checkpoint: CheckpointResult, found: Sequence[Line], *, covers: bool = True) -> Iterator[str]:
    """What the line below the text of a checkpoint says: what was measured, and its part in the runbook."""
    if len(found) == 1:
        yield found[0].name
    if checkpoint.manual_role:
        yield checkpoint.manual_role
    if checkpoint.rollback:
        yield "failure calls for a rollback"
    if covers and checkpoint.covers:
        yield f"also {', '.join(checkpoint.covers)}"


def _facts(test: TestResult, checkpoint: CheckpointResult) -> str:
    facts = [test.nodeid, test.access or "no access", *test.topics, f"{test.seconds:.3g} s"]
    if test.outcome != checkpoint.outcome:
        facts.append(OUTCOME_WORDS[test.outcome])
    return " · ".join(facts)


def _origins(test: TestResult) -> Iterator[tuple[Evidence, str]]:
    """The evidence of a test, each with kind, source and time; a source is not repeated."""
    source = ""
    for piece in test.evidence:
        origin = [piece.kind, piece.source, piece.at, f"{piece.seconds:.3g} s"]
        if piece.source == source:
            del origin[1]
        source = piece.source
        yield piece, " · ".join(origin)


def _criteria(checkpoint: CheckpointResult) -> list[Criterion]:
    return [criterion for test in checkpoint.tests for criterion in test.criteria]


def _is_noted(criterion: Criterion) -> bool:
    """Whether there is more to say of a criterion than its figures."""
    return criterion.interval is not None or criterion.runbook_limit is not None


def _contents(checkpoint: CheckpointResult) -> str:
    """What the details of a checkpoint hold, for instance ``1 test, 2 queries, 1 file``."""
    kinds = Counter(piece.kind for test in checkpoint.tests for piece in test.evidence)
    counts = [("test", len(checkpoint.tests)), *sorted(kinds.items())]
    return ", ".join(f"{number} {_plural(kind) if number != 1 else kind}" for kind, number in counts)


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _left_out(runbook: RunbookRecord) -> str:
    return ", ".join(stage.title for stage in runbook.stages if not stage.selected)


def _green_by_stage(record: Record) -> dict[tuple[str, str], str]:
    planned = Counter((c.runbook, c.stage) for c in record.checkpoints)
    green = Counter((c.runbook, c.stage) for c in record.checkpoints if c.outcome in GREEN)
    return {stage: f"{green[stage]} of {number} green" for stage, number in planned.items()}
