"""Placeholders: ``{stack:FACT}`` in any text, and connection facts in commands.

============================  =================================================================
``{stack:FACT}``              what the stack says once it is up; only with ``[stack]``
``{python}``                  the Python that runs Signoff
``{root}``                    the directory above ``environments/``
``{psql}``                    the stack's psql, or the one on the PATH
``{postgres.host}``           and ``port``, ``database``, ``user`` of the same system
``{postgres.roles.X.user}``   the user of one of its further roles
============================  =================================================================

All but the first are filled in only in commands and in the variables of procedures. ``{{word}}`` stands
for the text ``{word}``; braces around anything else are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from signoff.environment.components import Absent, Postgres
from signoff.environment.problems import Problem, child, suggestion

_STACK = re.compile(r"\{stack:([^{}]*)\}")
_WORD = re.compile(r"\{(\{)?([A-Za-z_][\w.]*)\}(?(1)\})", re.ASCII)


class Filled(str):
    """A text into which facts were filled; where a number is expected, its digits are accepted."""

    __slots__ = ()


class Pending(str):
    """A text that is not known yet (the stack is not up) or was refused already; accepted as any scalar."""

    __slots__ = ()


def fill_facts(
    value: Any, key: str, facts: Mapping[str, str | int] | None, *, stack: bool, problems: list[Problem]
) -> Any:
    """Fill ``{stack:FACT}`` in all texts of a value of the profile.

    Args:
        value: a value as TOML gives it.
        key: its dotted key.
        facts: what the stack said; ``None`` before it is up.
        stack: whether the profile has a ``[stack]``.
        problems: problems found are added.

    Returns:
        A copy in which texts with placeholders are `Filled`, or `Pending` without facts.
    """
    if isinstance(value, dict):
        return {
            name: fill_facts(member, child(key, name), facts, stack=stack, problems=problems)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [
            fill_facts(item, f"{key}[{number}]", facts, stack=stack, problems=problems)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, str) or not _STACK.search(value):
        return value
    if not stack:
        problems.append(
            Problem(
                key,
                got=f"the placeholder {_STACK.findall(value)[0]!r} of a stack",
                expected="a value: the profile has no [stack]",
                next_step="Write the value, or add [stack] if the run is to boot this environment.",
            )
        )
        return Pending(value)
    if facts is None:
        return Pending(value)
    missing = [fact for fact in _STACK.findall(value) if fact not in facts]
    problems += [
        Problem(
            key,
            got=f"the placeholder {{stack:{fact}}}",
            expected="a fact that the stack gives",
            next_step=suggestion(fact, facts),
        )
        for fact in missing
    ]
    return Pending(value) if missing else Filled(_STACK.sub(lambda match: str(facts[match[1]]), value))


def fill_words(text: str, key: str, words: Mapping[str, str], problems: list[Problem]) -> str:
    """Fill ``{word}`` in one argument of a command.

    Args:
        text: the argument.
        key: its dotted key.
        words: what may be filled in.
        problems: problems found are added.
    """

    def replacement(match: re.Match[str]) -> str:
        word = match[2]
        if match[1]:
            return f"{{{word}}}"
        if word not in words:
            problems.append(
                Problem(
                    key,
                    got=f"the unknown placeholder {{{word}}}",
                    expected="a placeholder that can be filled in",
                    next_step=f"{suggestion(word, words)} For the text itself, write {{{{{word}}}}}.",
                )
            )
        return words.get(word, match[0])

    # A text that still waits for the stack keeps waiting.
    keep: Callable[[str], str] = Pending if isinstance(text, Pending) else str
    return keep(_WORD.sub(replacement, text))


def connection_words(postgres: Postgres | Absent | None) -> dict[str, str]:
    """The placeholders that a system's PostgreSQL provides."""
    if not isinstance(postgres, Postgres):
        return {}
    words = {
        f"postgres.{name}": str(getattr(postgres, name)) for name in ("host", "port", "database", "user")
    }
    for name, role in postgres.roles.items():
        if not isinstance(role, Absent):
            words[f"postgres.roles.{name}.user"] = str(role.user)
    return words
