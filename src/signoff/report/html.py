"""The sign-off report: the runbooks with every box ticked or crossed by its evidence, as one HTML file.

The file loads nothing, runs nothing and is the same for the same record. It looks the same where a server
forbids inline styles, provided that ``signoff.css`` lies beside it, and remains readable without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from signoff.record import (
    GREEN,
    Decision,
    Record,
    RunbookRecord,
    State,
)
from signoff.report.contradictions import refuse_contradictions
from signoff.report.document import RunbookDocument, parts
from signoff.report.rows import blocking_rows, checkpoint_rows, cut
from signoff.report.visible import visible
from signoff.report.wording import Lines, blockers, reason, sum_in_words

HTML_FILE: Final = "signoff.html"
CSS_FILE: Final = "signoff.css"

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


def render_html(record: Record, documents: Sequence[RunbookDocument] = (), lines: Lines | None = None) -> str:
    """The report of a run.

    Args:
        record: of the run.
        documents: the runbooks of the run, for their prose; without one, its checkpoints stand below the
            titles of their stages.
        lines: the figures of the record in words, where it was checked for contradictions already.

    Raises:
        ReportError: the record contradicts itself, or a document does not fit it.
    """
    if lines is None:
        lines = refuse_contradictions(record)
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
        lines=lines,
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
        "blocking_rows": blocking_rows,
        "cut": cut,
        "checkpoint_rows": checkpoint_rows,
        "left_out": _left_out,
    }
    return environment.get_template("signoff.html.jinja")


def _shown(value: Any) -> Any:
    """What every expression of the template passes through, before it is escaped."""
    return visible(value) if type(value) is str else value


def _left_out(runbook: RunbookRecord) -> str:
    return ", ".join(stage.title for stage in runbook.stages if not stage.selected)


def _green_by_stage(record: Record) -> dict[tuple[str, str], str]:
    planned = Counter((c.runbook, c.stage) for c in record.checkpoints)
    green = Counter((c.runbook, c.stage) for c in record.checkpoints if c.outcome in GREEN)
    return {stage: f"{green[stage]} of {number} green" for stage, number in planned.items()}
