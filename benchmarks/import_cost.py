"""What importing the plugin adds to the start of pytest, and which client libraries it draws in.

    python -m benchmarks.import_cost [--pairs 31] [--write]

A single ``--version`` ends before pytest looks at any plugin; given twice, pytest loads plugins first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measurement import HEADER, Command, interleave, machine, report

BUDGET = 0.15
"""Seconds that importing the plugin may add."""

CLIENTS = ("psycopg", "sqlglot", "jinja2", "rich", "markdown_it", "yaml", "tomlkit", "xdist")
"""Libraries that only some runs need."""

_LISTING = "import sys, signoff.plugin; print(*(name for name in sys.argv[1:] if name in sys.modules))"


def _imported(environment: dict[str, str]) -> list[str]:
    command = (sys.executable, "-c", _LISTING, *CLIENTS)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--write", action="store_true", help="also write benchmarks/results/import_cost.md")
    chosen = parser.parse_args()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    version = (sys.executable, "-m", "pytest", "--version", "--version")
    lines = ["# Cost of importing the plugin", "", machine() + f", {chosen.pairs} pairs.", "", HEADER]
    with TemporaryDirectory(prefix="signoff-import-") as folder:
        root = Path(folder)
        compared = interleave(
            Command(version, root, environment),
            Command((*version, "-p", "signoff.plugin"), root, environment),
            chosen.pairs,
        )
        lines += [compared.row("pytest --version --version", name, BUDGET) for name in ("processor", "wall")]
    imported = ", ".join(_imported(environment)) or "none"
    lines += ["", f"Of {', '.join(CLIENTS)}, importing the plugin imports: {imported}."]
    report("import_cost", "\n".join(lines), write=chosen.write)


if __name__ == "__main__":
    main()
