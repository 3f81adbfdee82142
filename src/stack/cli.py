"""The command ``signoff-stack``, also ``python -m stack``.

Exit statuses: 0 done; 1 it could not be done, standard error says why; 2 wrong usage; 3 no stack is running.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stack import interactive
from stack.deployment import Plan
from stack.errors import StackError, StackNotRunning
from stack.serve import serve

NOT_RUNNING = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    directory = Path.cwd()
    try:
        match arguments.command:
            case "serve":
                serve(_plan(parser, arguments), detached=arguments.detached)
            case "up":
                _print_status(interactive.up(directory, _plan(parser, arguments)))
            case "status":
                return _status(directory, as_json=arguments.json)
            case "down":
                interactive.down(directory)
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command talks
        return NOT_RUNNING if isinstance(error, StackNotRunning) else 1
    return 0


def _status(directory: Path, *, as_json: bool) -> int:
    running = interactive.status(directory)
    if as_json:
        state = (
            {"running": False}
            if running is None
            else {"running": True, "pid": running.pid, "facts": running.facts}
        )
        print(json.dumps(state))  # noqa: T201 - a command talks
    else:
        _print_status(running)
    return NOT_RUNNING if running is None else 0


def _print_status(running: interactive.Running | None) -> None:
    if running is None:
        print("not running")  # noqa: T201 - a command talks
        return
    print(f"running, process {running.pid}")  # noqa: T201 - a command talks
    for name, fact in running.facts.items():
        print(f"  {name:<18} {fact}")  # noqa: T201 - a command talks


def _plan(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Plan:
    if arguments.sessions < 0 or (arguments.addresses is not None and arguments.addresses < 1):
        parser.error("--sessions must be 0 or more, --addresses 1 or more")
    return Plan(
        sessions=arguments.sessions,
        addresses=arguments.addresses,
        seed=arguments.seed,
        state=arguments.state,
    )


def _parser() -> argparse.ArgumentParser:
    content = argparse.ArgumentParser(add_help=False)
    content.add_argument(
        "--sessions",
        type=int,
        default=20_000,
        metavar="N",
        help="rows of session_summaries (default: %(default)s; in production 1682827)",
    )
    content.add_argument(
        "--addresses",
        type=int,
        metavar="N",
        help="addresses they come from (default: as many as is typical; in production 38864)",
    )
    content.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="seed of the generated content (default: %(default)s)",
    )
    content.add_argument(
        "--state",
        choices=("released", "before"),
        default="released",
        help="released: hardened, migrated and filled; before: neither (default: %(default)s)",
    )

    parser = argparse.ArgumentParser(
        prog="signoff-stack",
        description="A local PostgreSQL with a streaming standby that holds both databases.",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 no stack is running.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = commands.add_parser(
        "serve",
        parents=[content],
        help="run one here; print its facts when it is ready; end with standard input",
    )
    serving.add_argument("--detached", action="store_true", help="do not end with standard input")
    commands.add_parser("up", parents=[content], help="start one that stays, for interactive work")
    status = commands.add_parser("status", help="say whether one is up, and its facts")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    commands.add_parser("down", help="end it and remove its files")
    return parser
