"""The command ``signoff``.

Standard output carries the answer and nothing else, so that ``--json`` can always be parsed; errors go to
standard error.

Exit statuses:

===  ======================================================================================
0    done, and the answer is good
1    done, and the answer is bad: a profile is not valid, a component does not answer or is
     not the pinned one, a checkpoint is verified by nothing
2    the command line is wrong
3    it could not be done; standard error says why
130  stopped with Ctrl-C
===  ======================================================================================
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from signoff.errors import SignoffError, UsageError

if TYPE_CHECKING:
    from signoff.environment import Declarations, Profile
    from signoff.runbook import Runbook

GOOD: Final = 0
BAD: Final = 1
WRONG_USAGE: Final = 2
NOT_DONE: Final = 3
STOPPED: Final = 130

_EPILOG: Final = (
    "Exit status: 0 the answer is good, 1 the answer is bad, 2 wrong usage, 3 it could not be done, "
    "130 stopped with Ctrl-C."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        argv: arguments without the program's name; those of the process by default.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.run
    try:
        status = command(arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"signoff: {error}", file=sys.stderr)  # noqa: T201 - a command talks
        return WRONG_USAGE
    except SignoffError as error:
        print(f"signoff: {error}", file=sys.stderr)  # noqa: T201 - a command talks
        return NOT_DONE
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`); the interpreter must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_DONE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signoff", description="Answers about a verification suite.", epilog=_EPILOG
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder with environments/ and tests/ (default: this one)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    environments = commands.add_parser(
        "environments",
        help="show and validate the environments",
        description="Show and validate the profiles in environments/ without touching a server.",
        epilog=_EPILOG,
    )
    action = environments.add_mutually_exclusive_group()
    action.add_argument(
        "--check",
        metavar="NAME",
        help="connect to this environment, reading only: who answers, is it pinned, what could we write",
    )
    action.add_argument(
        "--pin", metavar="NAME", help="write the identity of this environment's databases into its profile"
    )
    environments.add_argument("--json", action="store_true", help="print JSON")
    environments.set_defaults(run=_environments)

    checkpoints = commands.add_parser(
        "checkpoints",
        help="show what verifies each line of the runbooks",
        description="Show what verifies each line of the runbooks; nothing is run.",
        epilog=_EPILOG,
    )
    checkpoints.add_argument(
        "--runbook", action="append", default=[], metavar="NAME", help="only this runbook (repeatable)"
    )
    checkpoints.add_argument("--json", action="store_true", help="print JSON")
    checkpoints.set_defaults(run=_checkpoints)
    return parser


def _environments(arguments: argparse.Namespace) -> int:
    if arguments.check:
        return _check(arguments)
    if arguments.pin:
        return _pin(arguments)
    from signoff import listing  # noqa: PLC0415 - what a command needs is imported when it runs
    from signoff.environment.survey import survey  # noqa: PLC0415 - as above

    surveyed = survey(arguments.root / "environments", _declarations(arguments))
    if arguments.json:
        listing.print_json(listing.profiles_as_json(surveyed))
    else:
        listing.print_profiles(surveyed)
    return GOOD if surveyed and all(one.is_valid for one in surveyed) else BAD


def _check(arguments: argparse.Namespace) -> int:
    from signoff import listing  # noqa: PLC0415 - as above
    from signoff.contact import make_contact  # noqa: PLC0415 - as above

    with _booted(_profile(arguments, arguments.check)) as profile:
        contacts = make_contact(profile)
    if arguments.json:
        listing.print_json(listing.contacts_as_json(contacts))
    else:
        listing.print_contacts(contacts)
    return BAD if any(contact.fault for contact in contacts) else GOOD


def _pin(arguments: argparse.Namespace) -> int:
    from signoff import listing  # noqa: PLC0415 - as above
    from signoff.connections import Connections  # noqa: PLC0415 - as above
    from signoff.environment.pin import pin  # noqa: PLC0415 - as above

    profile = _profile(arguments, arguments.pin)
    connections = Connections(profile, label="signoff environments --pin", out_of_reach={})
    try:
        pins = pin(profile, lambda system: connections.postgres(system, "read_only").system_identifier)
    finally:
        connections.close()
    if arguments.json:
        listing.print_json(listing.pins_as_json(pins))
    else:
        listing.print_pins(pins, profile.file)
    return GOOD


def _checkpoints(arguments: argparse.Namespace) -> int:
    from signoff import listing  # noqa: PLC0415 - as above
    from signoff.traceability import trace  # noqa: PLC0415 - as above

    runbooks = _runbooks(arguments)
    known = [runbook.name for runbook in runbooks]
    for name in arguments.runbook:
        if name not in known:
            raise UsageError(
                "--runbook",
                got=name,
                expected=f"one of {', '.join(known)}",
                next_step="Name a folder of tests/ that holds a runbook.md.",
            )
    traces = [
        one
        for one in trace(arguments.root, runbooks)
        if not arguments.runbook or one.runbook in arguments.runbook
    ]
    if arguments.json:
        listing.print_json(listing.traces_as_json(traces))
    else:
        listing.print_traces(traces)
    return GOOD if traces and all(one.is_verified for one in traces) else BAD


def _runbooks(arguments: argparse.Namespace) -> Sequence[Runbook]:
    from signoff.runbook import load_runbooks  # noqa: PLC0415 - as above

    return load_runbooks(arguments.root / "tests")


def _declarations(arguments: argparse.Namespace) -> Declarations:
    from signoff.environment import Declarations  # noqa: PLC0415 - as above

    return Declarations.of(_runbooks(arguments))


def _profile(arguments: argparse.Namespace, name: str) -> Profile:
    from signoff.environment import available_profiles, load_profile  # noqa: PLC0415 - as above

    directory = arguments.root / "environments"
    known = available_profiles(directory)
    if name not in known:
        raise UsageError(
            "the environment",
            got=name,
            expected=f"one of {', '.join(known)}" if known else f"a profile in {directory}; there is none",
            next_step="Name a profile without its .toml.",
        )
    return load_profile(directory / f"{name}.toml", _declarations(arguments), destructive=False)


@contextmanager
def _booted(profile: Profile) -> Iterator[Profile]:
    """The profile, with the stack that it boots, if any, up for as long as it is needed."""
    if profile.stack is None:
        yield profile
        return
    from signoff.boot import Stack  # noqa: PLC0415 - as above

    stack = Stack(
        profile.stack.command, directory=profile.root, ready_within=float(profile.stack.ready_within)
    )
    try:
        yield profile.with_stack(stack.facts)
    finally:
        stack.stop()
