from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from signoff.errors import ReportError
from signoff.record import CheckpointResult, Criterion, Evidence, Record
from signoff.report.html import render_html, style_sheet
from signoff.report.record_file import encode_record
from signoff.runbook import Block
from signoff.verdict import judge


class Document(NamedTuple):
    """A runbook as the report needs it."""

    name: str
    blocks: tuple[Block, ...]


class Page(HTMLParser):
    """What a reader of the page sees, and what a browser would do with it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; what is inside style and title is not body text."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._hidden += tag in {"style", "title"}
        self.texts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a tag."""
        self._hidden -= tag in {"style", "title"}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if not self._hidden:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """The text of the page, with single blanks."""
        return " ".join("".join(self.texts).split())


def _judged(record: Record, *checkpoints: CheckpointResult) -> Record:
    record = replace(record, checkpoints=checkpoints)
    return replace(record, verdict=judge(record))


def _text(record: Record, *documents: Document) -> str:
    return Page(render_html(record, documents)).text


def test_the_verdict_is_heading_and_title(record: Record) -> None:
    """The one <h1> holds the word of the verdict beside its shape, and the title begins with it."""
    html = render_html(record)
    assert html.count("<h1") == 1
    assert re.search(r'<h1 class="HOLD"><svg [^>]*>.*?</svg>HOLD</h1>', html)
    assert re.search(r"<title>HOLD: staging 1\.2\.0 · Snapshot backfill</title>", html)


def test_the_first_screen_answers_the_questions(record: Record) -> None:
    """Verdict, reason, completeness, place, release, target and blockers come within 1,500 characters."""
    start = _text(record)[:1500]
    for answer in (
        "HOLD",
        "1 checkpoint failed",
        "The run is complete: 11 planned = 3 passed",
        "Environment staging",
        "Release 1.2.0",
        "7411122233344455566",
        f"revision {record.runbooks[0].sha256[:12]}",
        "not part of this run: Full backfill",
        "SNP-075 · failed · coverage 93.84721 % ≥ 95 % \N{MINUS SIGN}1.15279 %",
    ):
        assert answer in start


def test_the_sum_adds_up(record: Record, green: Record) -> None:
    """The number of planned checkpoints equals the sum of all the words behind it."""
    for each, planned in ((record, 11), (green, 5), (_judged(record), 0)):
        found = re.search(r"(\d+) planned = ([^.]*?) Environment", _text(each))
        assert found is not None
        parts = [int(number) for number in re.findall(r"(\d+) ?", found[2])]
        assert int(found[1]) == planned == sum(parts)


@pytest.mark.parametrize(
    ("state", "words"), [("incomplete", "did not reach its end"), ("interrupted", "interrupted")]
)
def test_an_incomplete_run_says_so_before_anything_else(record: Record, state: str, words: str) -> None:
    """A run that was cut off is called INCOMPLETE in the sentence of the sum."""
    cut = _judged(replace(record, run=replace(record.run, state=state)), *record.checkpoints)
    assert f"The run is INCOMPLETE, it {words}".replace("it interrupted", "it was interrupted") in _text(cut)


def test_every_checkpoint_stands_once_in_its_stage(record: Record) -> None:
    """Each id is one anchor; each blocker links to its anchor."""
    page = Page(render_html(record))
    anchors = [attributes["id"] for tag, attributes in page.tags if tag == "tbody" and "id" in attributes]
    assert anchors == [checkpoint.id for checkpoint in record.checkpoints]
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors}


def test_every_outcome_has_its_own_word_and_box(record: Record) -> None:
    """Not run, pending, inconclusive and waived are words in a class of their own, never a pass."""
    html = render_html(record)
    for checkpoint in record.checkpoints:
        row = html[html.index(f'id="{checkpoint.id}"') :]
        assert row.startswith(f'id="{checkpoint.id}" class={checkpoint.outcome}><tr><td><i>')
        assert f"<em>{checkpoint.outcome.replace('_', ' ')}</em>" in row[:500]
    ticked = re.findall(r"class=(\w+)><tr><td><i>✓</i>", html)
    assert set(ticked) == {"passed", "attested"}


def test_a_failed_equality_is_marked(record: Record, checkpoint: Callable[..., CheckpointResult]) -> None:
    """Where no margin exists, the outcome of a criterion stands in its place."""
    odd = Criterion(
        name="log_lock_waits",
        measured="off",
        comparison="=",
        limit="on",
        outcome="failed",
        reason="it is off",
    )
    assert "off = on failed" in _text(_judged(record, checkpoint("SEC-021", "It is on.", "failed", odd)))


def test_a_limit_that_the_environment_changed_is_shown_with_the_old_one(record: Record) -> None:
    """Both limits and the reason stand below the figures."""
    assert (
        "Limit of this environment: ≤ 2 s; the test states ≤ 5 s."
        " Why: the batch window of this environment is shorter"
    ) in _text(record)


def test_what_could_not_be_judged_says_why_among_the_blockers(record: Record) -> None:
    """Figures do not explain an inconclusive checkpoint, so its reason stands below them."""
    blocking = _text(record).partition("What blocks")[2].partition("owned by")[0]
    assert "undecided with 95 % confidence accuracy is between 98.79 % and 99.74 %" in blocking
    assert "required at least 95 %" not in blocking


def test_an_interval_is_drawn_against_its_limit(record: Record) -> None:
    """The line of the limit is labelled, and lies inside an interval that does not decide."""
    html = render_html(record)
    chart = html[html.index("<svg viewBox", html.index('id="SNP-076"')) :].partition("</svg>")[0]
    assert ">≥ 99 %</text>" in chart
    low, high = re.findall(r"M([\d.]+) 6v8", chart)
    (limit,) = re.findall(r"M([\d.]+) 0v20", chart)
    assert float(low) < float(limit) < float(high)
    assert "98.79 to 99.74 %, each bound with 95 % confidence, n = 1,000 (Clopper-Pearson)" in _text(record)


def test_evidence_is_kept_in_details(record: Record) -> None:
    """Question and answer stand in closed details that say what they hold; a source is named once."""
    page = Page(render_html(record))
    assert [attributes for tag, attributes in page.tags if tag == "details" and attributes] == []
    assert "1 test, 2 queries" in page.text
    assert "DE 412,003 CN 398,112" in page.text
    details = render_html(record)
    details = details[details.index('id="SNP-075"') : details.index('id="SNP-076"')]
    assert details.count("signoff_monitor@127.0.0.1:45123") == 1


def test_roles_that_must_sign_have_an_empty_line(record: Record) -> None:
    """Each role is listed as not signed, for this run and verdict; who decides a rollback is named."""
    text = _text(record)
    assert "whose verdict is HOLD" in text
    assert "DBA not signed yet" in text
    assert "Application owner not signed yet" in text
    assert "A rollback of Snapshot backfill is decided by: DBA on call." in text


def test_empty_sections_are_not_drawn(green: Record) -> None:
    """A green run has neither blockers nor warnings nor problems, and no heading for them."""
    runbook = replace(green.runbooks[0], sign_off_roles=())
    headings = re.findall(r"<h2>(.*?)</h2>", render_html(replace(green, runbooks=(runbook,))))
    assert headings == ["Snapshot backfill"]


def test_problems_and_warnings_are_shown(record: Record) -> None:
    """What went wrong outside any checkpoint is a section of its own, before the blockers."""
    run = replace(record.run, problems=("worker gw1 was lost",), warnings=("the credentials could write",))
    text = _text(_judged(replace(record, run=run), *record.checkpoints))
    assert text.index("outside any checkpoint worker gw1 was lost") < text.index("What blocks")
    assert "Warnings the credentials could write" in text


def test_a_long_problem_does_not_bury_the_reason(record: Record) -> None:
    """Of a problem of many lines, the sentence of the verdict has the first; all of it stands below."""
    told = f"the stack did not come up: {'x' * 200}\nTraceback\nAttributeError: create"
    html = render_html(
        _judged(replace(record, run=replace(record.run, problems=(told,))), *record.checkpoints)
    )
    (why,) = re.findall(r'<p class="why">(.*?)</p>', html, re.DOTALL)
    assert re.search(r"^The stack did not come up: x+…; ", why)
    assert len(why) < 400
    assert "Traceback\nAttributeError: create</pre>" in html


_BLOCKS = (
    Block("heading", "Snapshot backfill", 1),
    Block("prose", "A session says *who* connected."),
    Block("heading", "Pre-deployment", 2, "pre-deployment"),
    Block("prose", "Look at [the plan](https://wiki.test/plan) and `\\conninfo` first.", 0, "pre-deployment"),
    Block("checkpoint", "SNP-011", 0, "pre-deployment"),
    Block("checkpoint", "SNP-004", 0, "pre-deployment"),
    Block("heading", "People", 3, "pre-deployment"),
    Block("checkpoint", "SNP-016", 0, "pre-deployment"),
    Block("heading", "Full backfill", 2, "backfill"),
    Block("prose", "Start the fill.", 0, "backfill"),
    Block("checkpoint", "SNP-040", 0, "backfill"),
    Block("heading", "Contacts", 2),
    Block("prose", "Ask the team."),
)


def test_a_document_gives_order_and_prose(record: Record) -> None:
    """With its runbook the report follows the document; what a stage outside the run says is left out."""
    text = _text(record, Document("snapshot_backfill", _BLOCKS))
    told = [
        "A session says who connected.",
        "Pre-deployment 3 of 4 green",
        "Look at the plan (https://wiki.test/plan) and \\conninfo first.",
        "SNP-011 · passed",
        "SNP-004 · passed",
        "People",
        "SNP-016 · pending",
        "SNP-017 · attested",
        "Full backfill Not part of this run: transitional",
        "Contacts Ask the team.",
        "Verification 3 of 7 green",
        "SNP-075 · failed",
    ]
    after = text.index("owned by Data team")
    places = [text.index(words, after) for words in told]
    assert places == sorted(places)
    assert "Start the fill" not in text


def test_a_document_with_an_unknown_checkpoint_is_refused(record: Record) -> None:
    """A checkpoint of the document without a result in the record is an error, not an empty place."""
    blocks = (*_BLOCKS[:3], Block("checkpoint", "SNP-099", 0, "pre-deployment"))
    with pytest.raises(ReportError, match="SNP-099 of the runbook snapshot_backfill: got no result"):
        render_html(record, [Document("snapshot_backfill", blocks)])


def test_prose_cannot_load_run_or_lead_away(record: Record) -> None:
    """HTML in prose is text, an image is not loaded, links are printed, headings stay below the title."""
    prose = (
        "<script>alert(1)</script> <b>x</b> ![pixel](https://spy.test/p.png) [go](javascript:alert)\n\n"
        "[site](https://site.test/?a=1&b=2) <https://auto.test/>\n\n# Big\n\n"
        "[below](#SNP-075)\n\n|a|\n|---|\n|1|\n"
    )
    html = render_html(record, [Document("snapshot_backfill", (Block("prose", prose),))])
    page = Page(html)
    assert {tag for tag, _ in page.tags} & {"script", "img"} == set()
    assert html.count("<h1") == 1
    assert "site (https://site.test/?a=1&b=2) https://auto.test/" in page.text
    assert '<a href="#SNP-075">below</a>' in html
    assert "<td>1</td>" in html


def test_the_page_loads_nothing(record: Record) -> None:
    """No script, no address of another host in an attribute or style, and a policy that forbids both."""
    html = render_html(record, [Document("snapshot_backfill", _BLOCKS)])
    page = Page(html)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "script" not in {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#").startswith(("#", "signoff.css"))
    assert "url(" not in style_sheet()
    assert "@import" not in style_sheet()


def test_hostile_text_is_harmless(record: Record, checkpoint: Callable[..., CheckpointResult]) -> None:
    """Markup from a server is text everywhere, control characters are pictures, a long line is cut."""
    evil = "\"'><script>alert(1)</script>]]>\x00\x1b[31m\u202egnp\ud800`<b>`"
    hostile = checkpoint(
        evil,
        evil,
        "failed",
        Criterion(
            name=evil,
            measured=evil,
            comparison=evil,
            limit=evil,
            outcome="failed",
            reason=evil,
            unit=evil,
            runbook_limit=evil,
            limit_reason=evil,
            interval=(0.0, 1.0),
            method=evil,
        ),
        evidence=(
            Evidence(kind=evil, source=evil, asked=evil, answer="x" * 1_000_000, at=evil, truncated=True),
        ),
        reason=evil,
        covers=(evil,),
        manual_role=evil,
    )
    run = replace(
        record.run,
        id=evil,
        environment=evil,
        release=evil,
        user=evil,
        started=evil,
        command=(evil,),
        warnings=(evil,),
        problems=(evil,),
    )
    runbook = replace(
        record.runbooks[0], title=evil, owner=evil, sign_off_roles=(evil,), rollback_decided_by=evil
    )
    target = replace(record.targets[0], address=evil, identity=evil, facts={evil: evil})
    html = render_html(
        _judged(replace(record, run=run, runbooks=(runbook,), targets=(target,)), hostile),
        [Document("snapshot_backfill", (Block("prose", evil), Block("heading", evil, 2)))],
    )
    page = Page(html)
    assert {tag for tag, _ in page.tags} & {"script"} == set()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800]", html)
    assert "␀␛[31m\\u202egnp\\ud800" in page.text
    assert "(1,000,000 characters in record.json)" in page.text
    assert len(html.encode()) < 120_000


def test_the_same_record_gives_the_same_bytes(record: Record, tmp_path: Path) -> None:
    """Two processes with different hash seeds render the same file."""
    path = tmp_path / "record.json"
    path.write_bytes(encode_record(record))
    program = (
        "import sys; from pathlib import Path; from signoff.report.record_file import read_record\n"
        "from signoff.report.html import render_html\n"
        "sys.stdout.buffer.write(render_html(read_record(Path(sys.argv[1]))).encode())"
    )
    rendered = {
        subprocess.run(
            [sys.executable, "-c", program, path],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert rendered == {render_html(record).encode()}


def _many(record: Record, checkpoint: Callable[..., CheckpointResult], number: int) -> Record:
    answer = "\n".join(f"AS{64500 + line}  DE  {412003 - line:>9,}  96.25 %" for line in range(20))
    query = Evidence(
        kind="query",
        source="cowrieprocessor.postgres (signoff_monitor@db1:5432/cowrieprocessor)",
        asked="select 100.0 * count(snapshot_country) / nullif(count(*), 0) from session_summaries",
        answer=answer,
        at="2031-06-03T09:14:11.123Z",
        seconds=0.0412,
    )
    coverage = record.checkpoints[4].tests[0].criteria[0]
    return _judged(
        record,
        *(
            checkpoint(
                f"SNP-{index}",
                f"At least 95 % of network {index} is covered.",
                "failed",
                coverage,
                evidence=(query,),
            )
            for index in range(number)
        ),
    )


def test_large_reports_stay_small(record: Record, checkpoint: Callable[..., CheckpointResult]) -> None:
    """With 20 lines of evidence each, 13 checkpoints take at most 40 KB, 1,000 passed ones at most 1.5 MB."""
    assert len(render_html(_many(record, checkpoint, 13)).encode()) <= 40_000
    passed = replace(record.checkpoints[4].tests[0].criteria[0], outcome="passed", measured=96.25, reason="")
    many = _many(record, checkpoint, 1000)
    checkpoints = tuple(
        replace(
            c, outcome="passed", tests=(replace(c.tests[0], outcome="passed", reason="", criteria=(passed,)),)
        )
        for c in many.checkpoints
    )
    assert len(render_html(_judged(record, *checkpoints)).encode()) <= 1_500_000


def test_rendering_grows_with_the_record_only(
    record: Record, checkpoint: Callable[..., CheckpointResult]
) -> None:
    """Ten times the checkpoints take about ten times as long, not a hundred times."""

    def seconds(number: int) -> float:
        many = _many(record, checkpoint, number)
        taken = []
        for _ in range(3):
            started = time.process_time()
            render_html(many)
            taken.append(time.process_time() - started)
        return min(taken)

    assert seconds(600) < 25 * seconds(60)


_VARIABLES = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", style_sheet()))


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", sorted(set(_VARIABLES) - {"rule", "tint"}))
def test_every_colour_of_text_can_be_read(name: str) -> None:
    """Each colour that text has stands out from white, from tinted evidence and from the marked row."""
    for ground in ("#ffffff", _VARIABLES["tint"], "#fdf6dc"):
        assert _contrast(_VARIABLES[name], ground) >= 4.5


def test_no_text_has_a_colour_outside_the_checked_ones() -> None:
    """Text takes its colour from the variables, which cannot reach the footer of a printed page."""
    used = set(re.findall(r"(?<![-\w])color:([^;}]+)", style_sheet()))
    assert used - {"inherit"} <= {f"var(--{name})" for name in _VARIABLES} | {"#595955"}


def test_every_outcome_has_a_colour(record: Record) -> None:
    """No outcome falls back to plain ink, and none shares the colour of the soft grey of metadata."""
    for outcome in record.counts():
        assert f".{outcome} i,.{outcome} em" in style_sheet()
        assert _VARIABLES[outcome] != _VARIABLES["soft"]
