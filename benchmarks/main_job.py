"""How long the main job takes, and how much of that is Signoff's own.

    python -m benchmarks.main_job [--runs 7] [--write]

The main job is ``pytest -m read_only --env local``: from the command line to the written reports. What the
database and its start-up take is measured apart: by booting and ending the stack alone right after each run,
and by the times that the run's own evidence states for its queries.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measurement import machine, report
from signoff.boot import Stack
from signoff.record import Record
from signoff.report.record_file import read_record

ROOT = Path(__file__).resolve().parents[1]
WHOLE_BUDGET = 15.0
"""Seconds that the main job may take, warm, on two cores."""
OWN_BUDGET = 3.0
"""Seconds of it that may be spent outside the database and its start-up."""


@dataclass(frozen=True)
class Run:
    """Seconds of one run: the whole, the stack's start and end, and the queries."""

    whole: float
    stack: float
    queries: float

    @property
    def own(self) -> float:
        """What is neither the database nor its start-up."""
        return self.whole - self.stack - self.queries


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/main_job.md")
    chosen = parser.parse_args()
    _run()
    runs = [_run() for _ in range(chosen.runs)]
    lines = [
        "# The main job",
        "",
        f"{machine()}, {chosen.runs} runs after one that is not counted.",
        "",
        "| seconds | least | median | most | budget |",
        "|---|---|---|---|---|",
        _row(
            "`pytest -m read_only --env local`, from command to report", [r.whole for r in runs], WHOLE_BUDGET
        ),
        _row("the stack: start until ready, and end", [r.stack for r in runs]),
        _row("queries", [r.queries for r in runs]),
        _row("everything else", [r.own for r in runs], OWN_BUDGET),
    ]
    report("main_job", "\n".join(lines), write=chosen.write)


def _run() -> Run:
    with TemporaryDirectory(prefix="signoff-main-job-") as folder:
        command = [sys.executable, "-m", "pytest", "-m", "read_only", "--env", "local", f"--reports={folder}"]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        whole = time.perf_counter() - started
        (path,) = Path(folder).glob("local/*/*/record.json")
        queries = _queries(read_record(path))
    started = time.perf_counter()
    stack = Stack([sys.executable, "-m", "stack", "serve"], directory=ROOT, ready_within=60)
    if not stack.facts:
        raise RuntimeError("the stack said nothing about itself")
    stack.stop()
    return Run(whole=whole, stack=time.perf_counter() - started, queries=queries)


def _queries(record: Record) -> float:
    if record.run.state != "complete" or record.counts()["error"]:
        raise RuntimeError("the run did not verify what it should; its time would be that of a mistake")
    return sum(
        evidence.seconds
        for checkpoint in record.checkpoints
        for test in checkpoint.tests
        for evidence in test.evidence
        if evidence.kind == "query"
    )


def _row(name: str, seconds: list[float], budget: float | None = None) -> str:
    stated = "" if budget is None else f"{budget:g}"
    return f"| {name} | {min(seconds):.2f} | **{median(seconds):.2f}** | {max(seconds):.2f} | {stated} |"


if __name__ == "__main__":
    main()
