"""The rows of the report's tables: one table body for each checkpoint, with its figures and its evidence.

They are most of a large report. Written here, they take a third of the time that the template language needs.
All text from a record passes `_safe` or markupsafe's own on its way into a row. End tags that HTML
makes optional are left out: they would be a fifth of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from markupsafe import Markup

from signoff.record import CheckpointResult, Criterion, Evidence, Outcome, TestResult
from signoff.report.chart import interval_chart
from signoff.report.prose import render_line
from signoff.report.visible import shortened, visible
from signoff.report.wording import (
    OUTCOME_WORDS,
    Line,
    Lines,
    blocking_lines,
    interval,
    required,
)

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
_NEXT_ROW: Final = "<tr><td><td colspan=4>"


def checkpoint_rows(checkpoints: Iterable[CheckpointResult], lines: Lines) -> Markup:
    """Every checkpoint with all that is known of it."""
    return Markup("".join(_whole(one, lines[one.id]) for one in checkpoints))  # noqa: S704 - see the docstring of the module


def blocking_rows(checkpoints: Iterable[CheckpointResult], lines: Lines) -> Markup:
    """Of every checkpoint, what keeps it from being green."""
    return Markup("".join(_blocking(one, blocking_lines(one, lines)) for one in checkpoints))  # noqa: S704 - as above


def cut(text: str) -> str:
    """A text from a server or a program, as much of it as a report shows."""
    return shortened(text, _EVIDENCE_CHARACTERS)


def _safe(text: str) -> str:
    return escape(visible(text))


def _whole(checkpoint: CheckpointResult, lines: Sequence[Line]) -> str:
    criteria = [criterion for test in checkpoint.tests for criterion in test.criteria]
    facts = [
        *_roles(checkpoint, lines),
        *([f"also {', '.join(checkpoint.covers)}"] if checkpoint.covers else []),
    ]
    name = _name(checkpoint, facts)
    parts = [f'<tbody id="{_safe(checkpoint.id)}" {_box(checkpoint.outcome)}']
    if len(lines) == 1:
        parts += [_figures(lines[0], name), _notes(criteria[0])]
    else:
        parts.append(f"<th scope=row colspan=4>{name}\n")
        for found, criterion in zip(lines, criteria, strict=True):
            parts += ["<tr><td>", _figures(found, _safe(found.name)), _notes(criterion)]
    if checkpoint.reason and checkpoint.outcome != "passed":
        parts.append(f"{_NEXT_ROW}{_safe(cut(checkpoint.reason))}\n")
    if checkpoint.tests:
        parts.append(f"{_NEXT_ROW}<details><summary>{_safe(_contents(checkpoint))}</summary>\n")
        parts += [_test(test, checkpoint) for test in checkpoint.tests]
        parts.append("</details>\n")
    return "".join(parts)


def _blocking(checkpoint: CheckpointResult, lines: Sequence[Line]) -> str:
    name = _name(checkpoint, _roles(checkpoint, lines))
    parts = [f"<tbody {_box(checkpoint.outcome)}"]
    if len(lines) == 1:
        parts.append(_figures(lines[0], name))
    else:
        parts.append(f"<th scope=row colspan=4>{name}\n")
        parts += [f"<tr><td>{_figures(found, _safe(found.name))}" for found in lines]
    if checkpoint.reason and (not lines or checkpoint.outcome != "failed"):
        parts.append(f"{_NEXT_ROW}{_safe(cut(checkpoint.reason))}\n")
    return "".join(parts)


def _box(outcome: Outcome) -> str:
    return f"class={outcome}><tr><td><i>{_GLYPHS[outcome]}</i>"


def _name(checkpoint: CheckpointResult, facts: Iterable[str]) -> str:
    identifier = _safe(checkpoint.id)
    told = "".join(f" · {_safe(fact)}" for fact in facts)
    return (
        f'<b>{_line(checkpoint.text)}</b><p><a href="#{identifier}">{identifier}</a>'
        f" · <em>{OUTCOME_WORDS[checkpoint.outcome]}</em>{told}"
    )


def _line(text: str) -> str:
    """The text of a checkpoint, which is Markdown."""
    text = shortened(text, _TEXT_CHARACTERS)
    return _safe(text) if _MARKDOWN_SIGNS.isdisjoint(text) else render_line(text)


def _roles(checkpoint: CheckpointResult, lines: Sequence[Line]) -> Iterator[str]:
    """What the line below the text of a checkpoint says: what was measured, and its part in the runbook."""
    if len(lines) == 1:
        yield lines[0].name
    if checkpoint.manual_role:
        yield checkpoint.manual_role
    if checkpoint.rollback:
        yield "failure calls for a rollback"


def _figures(found: Line, name: str) -> str:
    mark, margin = "", found.margin
    if found.outcome != "passed":
        mark, margin = " class=x", margin or OUTCOME_WORDS[found.outcome]
    return (
        f"<th scope=row>{name}<td{mark}>{_typeset(found.measured)}"
        f"<td>{_typeset(found.required)}<td{mark}>{_typeset(margin)}\n"
    )


def _typeset(figure: str) -> str:
    """A short figure is not broken before its unit, and its minus sign is as wide as a plus."""
    if len(figure) <= _SHORT_FIGURE:
        figure = figure.replace(" ", "\N{NO-BREAK SPACE}")
        if figure.startswith("-"):
            figure = figure.replace("-", "\N{MINUS SIGN}", 1)
    return _safe(figure)


def _notes(criterion: Criterion) -> str:
    """What there is to say of a criterion besides its figures."""
    notes = ""
    if criterion.interval is not None:
        notes += f"{_NEXT_ROW}{interval_chart(criterion)}{_safe(interval(criterion))}\n"
    if criterion.runbook_limit is not None:
        notes += (
            f"{_NEXT_ROW}Limit of this environment: {_safe(required(criterion, criterion.limit))}; "
            f"the test states {_safe(required(criterion, criterion.runbook_limit))}. "
            f"Why: {_safe(criterion.limit_reason)}\n"
        )
    return notes


def _contents(checkpoint: CheckpointResult) -> str:
    """What the details of a checkpoint hold, for instance ``1 test, 2 queries, 1 file``."""
    kinds = [piece.kind for test in checkpoint.tests for piece in test.evidence]
    counts = [("test", len(checkpoint.tests)), *((kind, kinds.count(kind)) for kind in sorted({*kinds}))]
    return ", ".join(f"{number} {_plural(kind) if number != 1 else kind}" for kind, number in counts)


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _test(test: TestResult, checkpoint: CheckpointResult) -> str:
    title = "" if test.title == checkpoint.text else f"{_safe(test.title)} "
    facts = [test.nodeid, test.access or "no access", *test.topics, f"{test.seconds:.3g} s"]
    if test.outcome != checkpoint.outcome:
        facts.append(OUTCOME_WORDS[test.outcome])
    parts = [f"<p>{title}<small>{_safe(' · '.join(facts))}</small>\n"]
    if test.reason and test.reason != checkpoint.reason:
        parts.append(f"<p>{_safe(cut(test.reason))}\n")
    source = ""
    for piece in test.evidence:
        parts.append(_evidence(piece, told_source=source))
        source = piece.source
    return "".join(parts)


def _evidence(piece: Evidence, *, told_source: str) -> str:
    """A piece of evidence with kind, source and time; a source is not repeated."""
    origin = [piece.kind, piece.source, piece.at, f"{piece.seconds:.3g} s"]
    if piece.source == told_source:
        del origin[1]
    note = f"<p>Cut when it was recorded. SHA-256 of the whole answer: {_safe(piece.sha256)}\n"
    return (
        f"<p><small>{_safe(' · '.join(origin))}</small>"
        f"<pre>{_safe(cut(piece.asked))}</pre><pre>{_safe(cut(piece.answer))}</pre>"
        f"{note if piece.truncated else ''}"
    )
