"""How much processor time reports take to render, and how large they are: 13 and 1,000 checkpoints.

Each checkpoint has one criterion and one query whose answer has 20 lines of 31 characters.

    python benchmarks/report_rendering.py [runs]

Prints a table; the committed results are in ``results/report_rendering.md``.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256

import pytest
from msgspec.structs import replace

from signoff.record import (
    CheckpointResult,
    Criterion,
    Evidence,
    Record,
    Run,
    RunbookRecord,
    Selection,
    StageRecord,
    TestResult,
    Verdict,
)
from signoff.report.html import render_html
from signoff.report.junit import render_junit
from signoff.report.record_file import decode_record, encode_record
from signoff.verdict import judge

_BUDGET_SECONDS = 0.2
_BUDGET_BYTES = {13: 40_000, 1000: 1_500_000}
_STAGES = ("pre-deployment", "verification", "monitoring")


def _checkpoint(number: int) -> CheckpointResult:
    failed = number % 9 == 0
    answer = "\n".join(f"AS{64500 + line}  DE  {412003 - number:>9,}  96.25 %" for line in range(20))
    criterion = Criterion(
        name="coverage",
        measured=90.25 if failed else 96.25,
        comparison=">=",
        limit=95,
        unit="%",
        outcome="failed" if failed else "passed",
        reason="coverage is what it is",
    )
    query = Evidence(
        kind="query",
        source="cowrieprocessor.postgres (signoff_monitor@db1:5432/cowrieprocessor)",
        asked="select 100.0 * count(snapshot_country) / nullif(count(*), 0) from session_summaries",
        answer=answer,
        at="2031-06-03T09:14:11.123Z",
        seconds=0.0412,
        sha256=sha256(answer.encode()).hexdigest(),
    )
    text = f"At least 95 % of the sessions of network {number} carry a country snapshot."
    test = TestResult(
        nodeid=f"tests/snapshot_backfill/test_4_verification.py::test_snapshot_coverage_{number}",
        title="At least 95 % of the sessions carry a country snapshot.",
        access="read_only",
        outcome=criterion.outcome,
        reason=criterion.reason if failed else "",
        started="2031-06-03T09:14:11.100Z",
        seconds=0.131,
        criteria=(criterion,),
        evidence=(query,),
    )
    return CheckpointResult(
        id=f"SNP-{number:04}",
        runbook="snapshot_backfill",
        stage=_STAGES[number % 3],
        text=text,
        fingerprint=sha256(text.encode()).hexdigest(),
        outcome=criterion.outcome,
        reason=test.reason,
        tests=(test,),
    )


def record_of(checkpoints: int) -> Record:
    """A record of so many checkpoints, one in nine of them failed."""
    record = Record(
        run=Run(
            id="20310603T091407Z-snapshot_backfill-7f3a",
            environment="staging",
            release="1.2.0",
            started="2031-06-03T09:14:07Z",
            state="complete",
            command=("pytest", "--env", "staging"),
            selection=Selection(),
            promotes=False,
            signoff_version="0.1.0",
            python_version="3.11",
            pytest_version=pytest.__version__,
            user="sre",
        ),
        runbooks=(
            RunbookRecord(
                name="snapshot_backfill",
                title="Snapshot backfill",
                system="cowrieprocessor",
                sha256=sha256(b"").hexdigest(),
                stages=tuple(
                    StageRecord(id=stage, title=stage.title(), transitional=False, selected=True)
                    for stage in _STAGES
                ),
            ),
        ),
        checkpoints=tuple(_checkpoint(number) for number in range(checkpoints)),
        verdict=Verdict(decision="HOLD", findings=()),
    )
    return replace(record, verdict=judge(record))


def _best(runs: int, call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(runs):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main(runs: int) -> None:
    """Measure and print."""
    print(f"| checkpoints | report | bytes | gzip -9 | CPU s, best of {runs} | budget |")
    print("|---|---|---|---|---|---|")
    for checkpoints in (13, 1000):
        record = record_of(checkpoints)
        first = _best(1, partial(render_html, record))
        stored = encode_record(record)
        html, junit = render_html(record).encode(), render_junit(record).encode()
        rows = [
            ("signoff.html", html, _best(runs, partial(render_html, record))),
            ("junit.xml", junit, _best(runs, partial(render_junit, record))),
            ("record.json", stored, _best(runs, partial(encode_record, record))),
            ("record.json, read back", stored, _best(runs, partial(decode_record, stored, source=""))),
        ]
        for name, data, seconds in rows:
            budget = (
                f"{_BUDGET_BYTES[checkpoints]:,} bytes, {_BUDGET_SECONDS} CPU s"
                if name == "signoff.html"
                else ""
            )
            packed = len(gzip.compress(data, 9, mtime=0))
            print(f"| {checkpoints:,} | {name} | {len(data):,} | {packed:,} | {seconds:.3f} | {budget} |")
        print(f"| {checkpoints:,} | signoff.html, first in the process | | | {first:.3f} | |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
