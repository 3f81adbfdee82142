"""The pages say what is so: options, commands, exit statuses, outcomes, fixtures, layers and links."""

from __future__ import annotations

import argparse
import ast
import builtins
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest

from signoff import cli, errors
from signoff.baselines import Baselines
from signoff.criteria import Expect, Expectation
from signoff.fixtures import Fixtures
from signoff.handles.artifacts import Artifact
from signoff.handles.host import Host
from signoff.handles.postgres.handle import Postgres
from signoff.handles.procedures import Procedures
from signoff.record import GREEN, Outcome
from signoff.runbook import load_runbooks
from signoff.session import ROLLBACK_STATUS
from stack import cli as stack_cli

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/signoff"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])

LATER = {"attested", "waived"}
"""Outcomes that the record knows already, and that no run of this version gives."""

BEHIND = {
    "db": Postgres,
    "expect": Expectation,
    "procedures": Procedures,
    "host": Host,
    "artifact": Artifact,
    "baseline": Baselines,
}
"""What a test works with when it uses a fixture."""


def page(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose heading begins with these words."""
    lines = text.split(f"| {heading}", maxsplit=1)[1].splitlines()[2:]
    table = lines[: next((n for n, line in enumerate(lines) if not line.startswith("|")), None)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def blocks(text: str) -> list[str]:
    """The indented blocks of code."""
    return [
        dedent(block).strip("\n") for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    ]


def commands(program: str) -> list[list[str]]:
    """What the pages tell the reader to type that begins with this program, without its name."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        spans = re.findall(r"`([^`\n]+)`", text)
        lines = [line for block in blocks(text) for line in block.splitlines()]
        for line in (*spans, *lines):
            # What explains a command stands two blanks behind it.
            typed = line.strip().split("  ")[0].removeprefix("python3 bootstrap.py ").removeprefix("--dev ")
            if typed.split(" ")[0] == program:
                found.append(shlex.split(typed)[1:])
    return found


@pytest.fixture(scope="module")
def options() -> set[str]:
    """The options that pytest has in this suite."""
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", shown.stdout))


def test_pytest_has_every_option_of_the_pages(options: set[str]) -> None:
    """A pytest command on a page uses options that there are."""
    typed = commands("pytest")
    assert len(typed) > 10
    unknown = {
        word
        for command in typed
        for word in command
        if word.startswith("-") and word.split("=")[0] not in options
    }
    assert unknown == set()


def test_the_operator_finds_every_option_of_ours() -> None:
    """Each option that the plugin adds stands in the operator's table, and no other long one does."""
    added = set(re.findall(r'addoption\(\s*"(--[\w-]+)"', (SOURCE / "plugin.py").read_text()))
    told = {re.split(r"[ =`]", cell[0].strip("`"))[0] for cell in rows(page("docs/operator.md"), "option")}
    assert {option for option in told if option.startswith("--")} == added


@pytest.mark.parametrize(
    ("program", "parser"), [("signoff", cli._parser()), ("signoff-stack", stack_cli._parser())], ids=str
)
def test_commands_can_be_typed(program: str, parser: argparse.ArgumentParser) -> None:
    """Every command of ours on a page is one that the program takes."""
    typed = [command for command in commands(program) if command]
    assert typed
    for command in typed:
        # `signoff-stack up|status|down` names three.
        for first in command[0].split("|"):
            parser.parse_args([first, *command[1:]])


def test_exit_statuses() -> None:
    """The operator's table has the exit statuses of a run, each once."""
    told = [int(row[0]) for row in rows(page("docs/operator.md"), "exit status")]
    assert sorted(told) == sorted([*map(int, pytest.ExitCode), ROLLBACK_STATUS])
    assert f"0 PROMOTE, 1 HOLD, {ROLLBACK_STATUS} ROLLBACK" in page("README.md")


def test_outcomes() -> None:
    """The operator's table has every outcome that a run can give, and says rightly which are green."""
    told = {row[0].replace(" ", "_"): row[1] for row in rows(page("docs/operator.md"), "outcome")}
    assert set(told) == set(get_args(Outcome)) - LATER
    assert {outcome for outcome, green in told.items() if green == "yes"} == set(GREEN) - LATER


def test_fixtures() -> None:
    """The author's table has every fixture, and the methods that it names exist."""
    told: set[str] = set()
    for names, meaning in rows(page("docs/author.md"), "fixture"):
        fixtures = [name.split("(")[0] for name in re.findall(r"`([^`]+)`", names)]
        told.update(fixtures)
        behind = BEHIND.get(fixtures[0])
        for method in re.findall(r"`\.?(\w+)(?:\([^`]*\))?`", meaning) if behind else ():
            assert hasattr(behind, method), f"{fixtures[0]}.{method}"
    known = {name for name, value in vars(Fixtures).items() if type(value).__name__.startswith("Fixture")}
    assert told == known
    assert callable(Expect)


def test_what_a_test_may_raise() -> None:
    """The exceptions in the author's table of outcomes exist."""
    names = [
        name
        for row in rows(page("docs/author.md"), "raised in the test")
        for name in re.findall(r"`(\w+)`", row[0])
    ]
    assert names
    assert all(hasattr(errors, name) or hasattr(builtins, name) for name in names)


def test_the_runbook_on_the_authors_page(tmp_path: Path) -> None:
    """The document that authors start from is a valid runbook."""
    (example,) = (block for block in blocks(page("docs/author.md")) if block.startswith("---\n"))
    path = tmp_path / "example/runbook.md"
    path.parent.mkdir()
    path.write_text(example, encoding="utf-8")
    (runbook,) = load_runbooks(tmp_path)
    assert [checkpoint.id for checkpoint in runbook.checkpoints] == ["SNP-018", "SNP-005"]


def test_examples_are_of_their_language() -> None:
    """Examples in Python and TOML can be read as such."""
    tables = [
        block for path in PAGES for block in blocks(path.read_text(encoding="utf-8")) if block.startswith("[")
    ]
    checks = [
        block for name in ("README.md", "docs/author.md") for block in blocks(page(name)) if "def " in block
    ]
    assert tables
    assert checks
    for block in tables:
        tomllib.loads(block)
    for block in checks:
        ast.parse(block)


def test_links_lead_somewhere() -> None:
    """Every relative link and every path in the README's overview exists."""
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"
    overview = page("README.md").split("## Where things are", maxsplit=1)[1].split("##", maxsplit=1)[0]
    for place in re.findall(r"^ {4}(\S+)", overview, re.MULTILINE):
        assert (ROOT / place.replace("<runbook>", "snapshot_backfill")).exists(), place


def layers() -> list[list[str]]:
    """The modules and packages of each layer, from the top."""
    return [
        [name.rstrip("/") for name in re.findall(r"`([\w/]+)`", row[1])]
        for row in rows(page("docs/architecture.md"), "layer")
    ]


def imported(path: Path) -> set[str]:
    """The modules and packages of ours that a module needs when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    sources = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in sources for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("signoff.")}


def test_every_module_has_its_layer() -> None:
    """The architecture page names every module and package once."""
    named = sorted(name for layer in layers() for name in layer)
    present = (path for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())
    assert named == sorted(path.stem for path in present if path.name != "__init__.py")


def test_no_layer_imports_from_one_above_it() -> None:
    """What a module imports stands in its own layer or below."""
    level = {name: number for number, layer in enumerate(layers()) for name in layer}
    upward = {
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py" or path.parent != SOURCE
        for name in imported(path)
        if level[name] < level[path.relative_to(SOURCE).parts[0].removesuffix(".py")]
    }
    assert upward == set()
