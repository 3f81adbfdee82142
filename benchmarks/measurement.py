"""Comparing what two commands cost: interleaved pairs of runs, processor time and wall time of each."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from signoff.statistics import quantile_bounds

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Command:
    """A command whose cost is measured.

    Attributes:
        arguments: the command line.
        directory: where it runs.
        environment: all of its environment variables.
    """

    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]

    def run(self) -> Cost:
        """Run it once; its output is dropped.

        Raises:
            RuntimeError: it did not end with status 0, so its cost would be that of a mistake.
        """
        started = time.perf_counter()
        process = subprocess.Popen(
            self.arguments,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(self.arguments)} in {self.directory}: status {process.returncode}")
        return Cost(processor=usage.ru_utime + usage.ru_stime, wall=wall)


@dataclass(frozen=True)
class Cost:
    """What one run cost.

    Attributes:
        processor: seconds of processor time, of the process and the children that it waited for.
        wall: seconds from start to end.
    """

    processor: float
    wall: float


@dataclass(frozen=True)
class Comparison:
    """What two commands cost, in pairs of runs next to each other.

    Attributes:
        base: the costs of the one, in order.
        other: the costs of the other; the i-th ran right before or after the i-th of ``base``.
    """

    base: Sequence[Cost]
    other: Sequence[Cost]

    def row(self, name: str, quantity: str, budget: float | None = None) -> str:
        """A line of the table of `HEADER`.

        Args:
            name: what is compared.
            quantity: ``processor`` or ``wall``.
            budget: seconds that the other may take more than the base; ``None`` where nothing is promised.
        """
        base = [getattr(cost, quantity) for cost in self.base]
        other = [getattr(cost, quantity) for cost in self.other]
        more = sorted(after - before for before, after in zip(base, other, strict=True))
        lower, upper = quantile_bounds(more, 0.5)
        verdict = ""
        if budget is not None:
            verdict = "met" if upper <= budget else "missed" if lower > budget else "undecided"
        return (
            f"| {name} | {quantity} | {median(base):.3f} | {median(other):.3f} | **{median(more):.3f}** "
            f"| {lower:.3f} to {upper:.3f} | {more[0]:.3f} to {more[-1]:.3f} "
            f"| {'' if budget is None else f'{budget:g}'} | {verdict} |"
        )


HEADER = (
    "| what | seconds of | without | with | more, median of pairs | 95 % bounds "
    "| least to most | budget | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
"""Of the tables that `Comparison.row` fills; bounds of the median are order statistics."""


def interleave(base: Command, other: Command, pairs: int) -> Comparison:
    """Run both commands in turn, each pair in the other order, after an unmeasured run of each."""
    base.run()
    other.run()
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for number in range(pairs):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            costs[which].append((base, other)[which].run())
    return Comparison(*costs)


def machine() -> str:
    """One line on where and when this was measured."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = f"{names[0].partition(':')[2].strip()} ({model})" if names else model
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {model}, {platform.system()}, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )


def report(name: str, text: str, *, write: bool) -> None:
    """Print a result; write it to ``benchmarks/results/<name>.md`` when asked to."""
    print(text)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")
        print(f"written to {RESULTS / name}.md", file=sys.stderr)
