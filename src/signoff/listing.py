"""The answers of the `signoff` command: as tables for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

    from signoff.contact import Contact
    from signoff.environment.pin import Pin
    from signoff.environment.problems import Problem
    from signoff.environment.survey import Surveyed
    from signoff.traceability import Trace

_WIDTH_IN_A_FILE: Final = 200
"""Columns of a table that nobody looks at on a terminal."""


def print_json(answer: object) -> None:
    """Print one JSON document."""
    print(json.dumps(answer, indent=2, ensure_ascii=False))  # noqa: T201 - the command's result


def profiles_as_json(surveyed: Sequence[Surveyed]) -> list[dict[str, Any]]:
    """Profiles, for programs."""
    return [
        {
            "name": one.name,
            "file": one.file,
            "valid": one.is_valid,
            "description": one.profile.description if one.profile else None,
            "promotes": one.profile.promotes if one.profile else None,
            "destructive": one.profile.destructive if one.profile else None,
            "boots_a_stack": one.profile.stack is not None if one.profile else None,
            "systems": one.components(),
            "problems": [_problem(problem) for problem in one.faults],
            "missing_secrets": [_problem(problem) for problem in one.missing_secrets],
        }
        for one in surveyed
    ]


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "key": problem.key,
        "got": problem.got,
        "expected": problem.expected,
        "next_step": problem.next_step,
    }


def print_profiles(surveyed: Sequence[Surveyed]) -> None:
    """Print profiles, and below them what is wrong with each."""
    table = _table("environment", "profile", "promotes", "destructive", "systems", "description")
    for one in surveyed:
        profile = one.profile
        table.add_row(
            one.name,
            _state(one),
            ("yes" if profile.promotes else "no") if profile else "",
            profile.destructive if profile else "",
            ", ".join(profile.systems) if profile else "",
            profile.description if profile else "",
        )
    _print(table)
    for one in surveyed:
        for problem in one.faults:
            place = f"{one.file}: {problem.key}" if problem.key else one.file
            _print(f"\n{place}\n    {problem.got}; expected {problem.expected}\n    {problem.next_step}")
        for missing, keys in _by_secret(one.missing_secrets).items():
            _print(f"\n{one.file}: secret missing in this shell: {missing}\n    for {', '.join(keys)}")


def _state(one: Surveyed) -> str:
    if one.faults:
        return f"not valid: {len(one.faults)} problem{'s' if len(one.faults) > 1 else ''}"
    missing = len(_by_secret(one.missing_secrets))
    return f"valid; {missing} secret{'s' if missing > 1 else ''} missing here" if missing else "valid"


def _by_secret(problems: Sequence[Problem]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for problem in problems:
        keys.setdefault(problem.got, []).append(problem.key)
    return keys


def contacts_as_json(contacts: Sequence[Contact]) -> list[dict[str, Any]]:
    """What came of a first contact, for programs."""
    return [dataclasses.asdict(contact) for contact in contacts]


def print_contacts(contacts: Sequence[Contact]) -> None:
    """Print what came of a first contact."""
    table = _table("system", "component", "state", "identity", "pin", "could write", "detail")
    for contact in contacts:
        writes = ", ".join(contact.writes[:3]) + (
            " …" if len(contact.writes) > len(contact.writes[:3]) else ""
        )
        detail = f"{contact.detail}: {contact.fault}" if contact.fault else contact.detail
        table.add_row(
            contact.system,
            contact.component,
            contact.state,
            contact.identity,
            contact.pin,
            writes or ("nothing" if contact.pin else ""),
            detail,
        )
    _print(table)


def pins_as_json(pins: Sequence[Pin]) -> list[dict[str, Any]]:
    """Pins, for programs."""
    return [{**dataclasses.asdict(one), "changed": one.changed} for one in pins]


def print_pins(pins: Sequence[Pin], file: str) -> None:
    """Print what was pinned."""
    for one in pins:
        change = f"pinned {one.after}" if one.changed else f"pinned already: {one.after}"
        instead = f" instead of {one.before}" if one.changed and one.before else ""
        _print(f"{file}: systems.{one.system}.postgres: {change}{instead}")


def traces_as_json(traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """The traceability of checkpoints, for programs."""
    return [dataclasses.asdict(one) for one in traces]


def print_traces(traces: Sequence[Trace]) -> None:
    """Print the traceability of checkpoints."""
    table = _table("id", "runbook", "stage", "text", "verified by", "access", "topics", "covers")
    for one in traces:
        person = [f"a person: {one.manual_role}"] if one.manual_role else []
        table.add_row(
            one.id,
            one.runbook,
            f"{one.stage} (transitional)" if one.transitional else one.stage,
            one.text,
            "\n".join([*map(_short, one.tests), *person]) or "nothing",
            ", ".join(one.access),
            ", ".join(one.topics),
            " ".join(one.covers),
        )
    _print(table)
    nothing = [one.id for one in traces if not one.is_verified]
    summary = f"{len(traces)} checkpoints, {sum(len(one.tests) for one in traces)} tests"
    _print(f"{summary}; verified by nothing: {', '.join(nothing)}" if nothing else summary)


def _short(nodeid: str) -> str:
    """A node id without the folder, which the runbook names already."""
    return nodeid.partition("::")[2]


def _table(*headings: str) -> Table:
    from rich import box  # noqa: PLC0415 - a program that wants JSON does not pay for it
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _print(content: Table | str) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    console = Console(
        width=None if sys.stdout.isatty() else _WIDTH_IN_A_FILE, markup=False, highlight=False, emoji=False
    )
    console.print(content, soft_wrap=isinstance(content, str))
