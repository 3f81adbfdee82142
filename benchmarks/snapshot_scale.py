"""How long each read-only check of the snapshot runbook takes on tables of different sizes.

    python -m benchmarks.snapshot_scale [--sessions 100000 1682827 5000000] [--write]

For each size a stack is booted with so many sessions, and the read-only checks run on it as on any other
environment; the times are those of the record. The largest size needs about 30 GB of disk for an hour.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import tomlkit

from benchmarks.measurement import machine, report
from signoff.record import Record, TestResult

ROOT = Path(__file__).resolve().parents[1]
RUNBOOK = "snapshot_backfill"

# A hundred thousand sessions, the production snapshot that the runbook is about, and three times as many.
SESSIONS = (100_000, 1_682_827, 5_000_000)

SPEED_UP = "SNP-027"
"""The checkpoint whose measured ratio is shown beside the times."""


def main(arguments: Sequence[str]) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=SESSIONS, metavar="N")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/snapshot_scale.md")
    given = parser.parse_args(arguments)
    records = {}
    for sessions in sorted(given.sessions):
        print(f"{sessions:,} sessions …", file=sys.stderr)
        records[sessions] = run(sessions)
    report("snapshot_scale", table(records), write=given.write)


def run(sessions: int) -> Record:
    """Run the read-only checks of the runbook on a stack with so many sessions.

    Raises:
        RuntimeError: the run left no complete record.
    """
    with TemporaryDirectory(prefix="signoff-scale-") as name:
        suite = Path(name)
        shutil.copytree(ROOT / "tests", suite / "tests")
        for file in ("conftest.py", "markers.ini", "pyproject.toml"):
            shutil.copy(ROOT / file, suite)
        (suite / "environments").mkdir()
        (suite / "environments" / "local.toml").write_text(profile(sessions), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-m", "read_only", "--env", "local", "--runbook", RUNBOOK]
        # The exit status tells nothing here: nobody attests the manual checkpoints of a benchmark.
        ended = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)
        found = list(suite.glob("reports/local/*/*/record.json"))
        if len(found) != 1:
            raise RuntimeError(
                f"no record of {sessions:,} sessions: {ended.stdout[-2000:]}{ended.stderr[-2000:]}"
            )
        record = msgspec.json.decode(found[0].read_bytes(), type=Record)
    if record.run.state != "complete":
        raise RuntimeError(f"the run with {sessions:,} sessions is {record.run.state}: {record.run.problems}")
    return record


def profile(sessions: int) -> str:
    """The local profile, with a stack of so many sessions and time enough for it."""
    document = tomlkit.parse((ROOT / "environments" / "local.toml").read_text(encoding="utf-8"))
    local = document.unwrap()
    local["stack"]["command"] += ["--sessions", str(sessions)]
    local["stack"]["ready_within"] = "2h"
    system = local["systems"]["cowrieprocessor"]
    system["postgres"]["timeouts"] = {"statement": "10m"}
    system["settings"]["expected_sessions"] = sessions
    return tomlkit.dumps(local)


def table(records: dict[int, Record]) -> str:
    """One line for each check: its time at each size, and how it grows from the least to the greatest."""
    sizes = list(records)
    tests = {size: tests_of(record) for size, record in records.items()}
    data = sizes[-1] / sizes[0]
    lines = [
        "# Time of the read-only checks of the snapshot runbook",
        "",
        f"`python -m benchmarks.snapshot_scale`: {machine()}.",
        "",
        f"Seconds, and the growth of the time while the data grow by {data:.0f}x.",
        "",
        "| checkpoint | check | " + " | ".join(f"{size:,}" for size in sizes) + " | growth |",
        "|---|---|" + "---:|" * (len(sizes) + 1),
    ]
    for key in tests[sizes[0]]:
        results = [tests[size][key] for size in sizes]
        times = " | ".join(seconds(result) for result in results)
        growth = results[-1].seconds / max(results[0].seconds, 0.001)
        lines.append(f"| {key[0]} | {results[0].title} | {times} | {growth:.1f}x |")
    totals = [sum(result.seconds for result in tests[size].values()) for size in sizes]
    shown = " | ".join(f"**{total:.2f}**" for total in totals)
    lines.append(f"| | **all** | {shown} | {totals[-1] / totals[0]:.1f}x |")
    lines += ["", "Speed-up of the snapshot query over the JOIN, with its 95 % bounds:", ""]
    lines += [f"- {size:,} sessions: {speed_up(record)}" for size, record in records.items()]
    return "\n".join(lines)


def tests_of(record: Record) -> dict[tuple[str, str], TestResult]:
    """The checks that ran a query, by checkpoint and test."""
    return {
        (checkpoint.id, test.nodeid): test
        for checkpoint in record.checkpoints
        for test in checkpoint.tests
        if any(evidence.kind == "query" for evidence in test.evidence)
    }


def seconds(result: TestResult) -> str:
    """The time of a check, and its outcome where that is not what it should be."""
    return (
        f"{result.seconds:.2f}" if result.outcome == "passed" else f"{result.seconds:.2f} ({result.outcome})"
    )


def speed_up(record: Record) -> str:
    """What the check of the speed-up has measured."""
    criteria = [
        criterion
        for checkpoint in record.checkpoints
        if checkpoint.id == SPEED_UP
        for test in checkpoint.tests
        for criterion in test.criteria
        if criterion.interval
    ]
    if not criteria or criteria[0].interval is None:
        return "not measured"
    lower, upper = criteria[0].interval
    return f"{criteria[0].measured:.1f}x ({lower:.1f} to {upper:.1f})"


if __name__ == "__main__":
    main(sys.argv[1:])
