"""Command line of the snapshot tools.

Standard output gets one JSON object, the result; progress and errors go to standard error. Exit status:

    0    done; a dry run: it could be done
    1    refused or failed; the line on standard error that begins with ERROR: says why
    2    wrong usage
    130  interrupted by a signal; committed batches stay

The connection comes from libpq's environment variables and the options. A password comes from PGPASSWORD or
PGPASSFILE only: command lines are public on their machine.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from stack.cowrieprocessor.backfill import BATCH_SIZE, Pace, Rehearsal, backfill, rehearse
from stack.cowrieprocessor.connection import LOCK_SECONDS, connect
from stack.cowrieprocessor.lifecycle import reset
from stack.cowrieprocessor.migration import migrate, rollback_schema
from stack.cowrieprocessor.status import Status
from stack.cowrieprocessor.undo import rollback_backfill
from stack.errors import StackError

INTERRUPTED: Final = 130
SHORTEST_WAIT: Final = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool; returns the exit status."""
    arguments = _parser().parse_args(argv)
    conninfo = make_conninfo(
        "", host=arguments.host, port=arguments.port, dbname=arguments.database, user=arguments.user
    )
    try:
        with connect(conninfo, purpose=arguments.tool, lock_seconds=arguments.lock_timeout) as connection:
            result = arguments.run(connection, arguments)
    except StackError as error:
        print(f"ERROR: {error}", file=sys.stderr)  # noqa: T201 - the tool's face
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - as above
        return INTERRUPTED
    print(json.dumps(result))  # noqa: T201 - as above
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stack.cowrieprocessor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--host", help="default: PGHOST")
    common.add_argument("--port", help="default: PGPORT")
    common.add_argument("--database", help="default: PGDATABASE")
    common.add_argument("--user", help="default: PGUSER")
    common.add_argument(
        "--lock-timeout",
        type=_positive_seconds,
        default=LOCK_SECONDS,
        metavar="SECONDS",
        help="how long a lock is waited for (default: %(default)s)",
    )
    watched = argparse.ArgumentParser(add_help=False)
    watched.add_argument(
        "--status-directory",
        type=Path,
        required=True,
        metavar="DIR",
        help="existing directory of snapshot_backfill.json",
    )
    tools = parser.add_subparsers(dest="tool", required=True)

    tool = tools.add_parser(
        "migrate", parents=[common], help="snapshot_ip_types text[] becomes snapshot_ip_type text"
    )
    tool.add_argument("--dry-run", action="store_true", help="say what would be executed, change nothing")
    tool.set_defaults(run=lambda connection, given: migrate(connection, dry_run=given.dry_run))

    tool = tools.add_parser("rollback-schema", parents=[common], help="undo migrate")
    tool.add_argument(
        "--discard-newer-values",
        action="store_true",
        help="restore arrays of before also where the ip type was changed after the migration",
    )
    tool.set_defaults(
        run=lambda connection, given: rollback_schema(
            connection, discard_newer_values=given.discard_newer_values
        )
    )

    tool = tools.add_parser("backfill", parents=[common, watched], help="fill the snapshots of all sessions")
    tool.add_argument("--dry-run", action="store_true", help="count what would be filled, change nothing")
    tool.add_argument(
        "--batch-size", type=_positive, default=BATCH_SIZE, metavar="N", help="default: %(default)s"
    )
    tool.add_argument("--max-batches", type=_positive, metavar="N", help="stop after N batches")
    tool.add_argument(
        "--pause-between-batches",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="leave room for others (default: %(default)s)",
    )
    tool.add_argument("--run-id", metavar="ID", help="name of the run; that of an earlier run continues it")
    tool.set_defaults(run=_backfill)

    tool = tools.add_parser(
        "rollback-backfill", parents=[common, watched], help="clear exactly what backfills filled"
    )
    tool.add_argument("--run-id", metavar="ID", help="the run; default: all that were not rolled back")
    tool.set_defaults(
        run=lambda connection, given: rollback_backfill(
            connection, given.status_directory, run_id=given.run_id
        )
    )

    tool = tools.add_parser(
        "reset", parents=[common, watched], help="build a generated database again as it was at first"
    )
    tool.set_defaults(run=_reset)
    return parser


def _backfill(connection: psycopg.Connection, given: argparse.Namespace) -> Status | Rehearsal:
    pace = Pace(given.batch_size, given.max_batches, given.pause_between_batches)
    if given.dry_run:
        return rehearse(connection, given.status_directory, pace=pace)
    return backfill(connection, given.status_directory, run_id=given.run_id, pace=pace)


def _reset(connection: psycopg.Connection, given: argparse.Namespace) -> dict[str, int]:
    dataset = reset(connection, given.status_directory)
    return {"sessions": dataset.sessions, "addresses": dataset.addresses, "seed": dataset.seed}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _positive_seconds(text: str) -> float:
    # PostgreSQL reads a lock timeout of 0 as none at all.
    number = _seconds(text)
    if number < SHORTEST_WAIT:
        raise argparse.ArgumentTypeError(f"must be {SHORTEST_WAIT} or more")
    return number
