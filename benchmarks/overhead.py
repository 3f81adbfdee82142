"""What Signoff costs per checkpoint over plain pytest, with record, JUnit XML and HTML report.

    python -m benchmarks.overhead [--checkpoints 1000] [--pairs 15] [--write]

Two suites with equal tests, of two fixtures each, are made in a temporary folder. Plain pytest asserts;
Signoff judges a criterion and keeps a piece of evidence of 20 lines for each test, and writes
``record.json``, ``junit.xml`` and ``signoff.html``. Both run in turn. The tests do nothing else, so all the
difference is Signoff's.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from benchmarks.measurement import HEADER, Command, interleave, machine, report

PER_THOUSAND = 0.5
"""Processor seconds that 1,000 checkpoints may cost."""

_PER_MODULE = 100

_PLAIN_TEST = '''

@pytest.mark.read_only
def test_{number}(nothing, nothing_else):
    """Thing number {number} holds."""
    assert thing({number}) == {number}
'''

_SIGNOFF_TEST = '''

@checkpoint("BEN-{number}")
@pytest.mark.read_only
def test_{number}(expect, saw):
    """Thing number {number} holds."""
    saw("select {number}", ANSWER)
    expect("thing", thing({number})).equals({number})
'''

_THING = """\
import pytest

ANSWER = "\\n".join(f"AS{64500 + line}  DE  {412003:>9,}  96.25 %" for line in range(20))


def thing(number):
    return number
"""

_SAW = '''\
import pytest

from signoff.record import Evidence
from signoff.suite import SUITE
from signoff.timestamps import utc_now

pytest_plugins = ["signoff.plugin"]


class Demo:
    """Gives tests a handle that answers what it is told."""

    def __init__(self, suite):
        self._suite = suite

    @pytest.fixture
    def saw(self):
        """Adds to the evidence of the test, as a handle does."""
        observe = self._suite.connections.observe

        def see(asked, answer):
            observe(Evidence(kind="query", source="demo.postgres", asked=asked, answer=answer, at=utc_now()))

        return see


def pytest_sessionstart(session):
    session.config.pluginmanager.register(Demo(session.config.stash[SUITE]))
'''


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _write_tests(folder: Path, head: str, test: str, checkpoints: int) -> None:
    for first in range(0, checkpoints, _PER_MODULE):
        numbers = range(first, min(first + _PER_MODULE, checkpoints))
        body = "".join(test.format(number=number) for number in numbers)
        _write(folder / f"test_{first:05}.py", head + body)


_NOTHING = '''\
import pytest


@pytest.fixture
def nothing():
    """As every check, a plain test has fixtures."""


@pytest.fixture
def nothing_else():
    """And more than one."""
'''


def plain_suite(root: Path, checkpoints: int) -> Command:
    """A suite for plain pytest."""
    _write(root / "pytest.ini", "[pytest]\nmarkers =\n    read_only: observes\n")
    _write(root / "conftest.py", _NOTHING)
    _write_tests(root / "tests" / "demo", _THING, _PLAIN_TEST, checkpoints)
    return _pytest(root)


def signoff_suite(root: Path, checkpoints: int) -> Command:
    """The same suite for Signoff: ten stages, one criterion and one piece of evidence for each checkpoint."""
    _write(root / "pytest.ini", "[pytest]\ntestpaths = tests\n")
    _write(root / "conftest.py", _SAW)
    _write(root / "markers.ini", (Path(__file__).parents[1] / "markers.ini").read_text(encoding="utf-8"))
    profile = """\
        schema = 1
        name = "demo"
        description = "An environment without components."
        promotes = false
        destructive = "always"

        [systems.demo]
        """
    _write(root / "environments" / "demo.toml", dedent(profile))
    head = """\
        ---
        title: Demonstration
        system: demo
        owner: Team
        sign_off: [DBA]
        rollback_decided_by: DBA
        ---
        # Demonstration
        """
    stages = (
        f"\n## Stage {stage} {{#stage-{stage}}}\n\n"
        + "".join(
            f"- [ ] **BEN-{number}** Thing number {number} holds.\n"
            for number in range(stage, checkpoints, 10)
        )
        for stage in range(min(10, checkpoints))
    )
    folder = root / "tests" / "demo"
    _write(folder / "runbook.md", dedent(head) + "".join(stages))
    _write_tests(folder, f"from signoff import checkpoint\n{_THING}", _SIGNOFF_TEST, checkpoints)
    return _pytest(root, "--env", "demo")


def _pytest(root: Path, *arguments: str) -> Command:
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--import-mode=importlib")
    source = str(Path(__file__).parents[1] / "src")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": source, "HOME": str(root)}
    return Command((sys.executable, "-m", "pytest", *options, *arguments), root, environment)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoints", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/overhead.md")
    chosen = parser.parse_args()
    lines = [
        "# Overhead per checkpoint over plain pytest",
        "",
        machine() + f", {chosen.pairs} pairs.",
        "",
        HEADER,
    ]
    sizes = []
    for checkpoints in (1, chosen.checkpoints):
        with TemporaryDirectory(prefix="signoff-overhead-") as folder:
            root = Path(folder)
            compared = interleave(
                plain_suite(root / "plain", checkpoints),
                signoff_suite(root / "signoff", checkpoints),
                chosen.pairs,
            )
            files = sorted(path for path in root.glob("signoff/reports/demo/*/*/*") if path.is_file())
            sizes = [f"{path.name} {path.stat().st_size:,}" for path in files[-4:]]
        budget = PER_THOUSAND * checkpoints / 1000 if checkpoints > 1 else None
        noun = "checkpoints" if checkpoints > 1 else "checkpoint"
        lines += [
            compared.row(f"{checkpoints:,} {noun}", "processor", budget),
            compared.row(f"{checkpoints:,} {noun}", "wall"),
        ]
    lines += ["", f"Bytes written with {chosen.checkpoints:,} checkpoints: {', '.join(sizes)}."]
    report("overhead", "\n".join(lines), write=chosen.write)


if __name__ == "__main__":
    main()
