"""Names and parameters put into SQL, so that what is classified is exactly what is sent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from signoff.errors import CheckpointError, StatementFailed

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None

_BRACE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PLACEHOLDER: Final = re.compile(r"%(?:%|s|\((?P<name>[^)]*)\)s)?")


@dataclass(frozen=True)
class Statement:
    """A statement as the server gets it.

    Attributes:
        text: SQL with ``$1``, ``$2`` … for the parameters.
        values: the parameters.
    """

    text: str
    values: tuple[Any, ...]

    def asked(self) -> str:
        """The statement and its parameters, for evidence."""
        if not self.values:
            return self.text
        return f"{self.text}\nparameters: {', '.join(f'${n} = {v!r}' for n, v in enumerate(self.values, 1))}"


def prepare(sql: str, parameters: Parameters, names: Mapping[str, str]) -> Statement:
    """Put names and parameters into SQL.

    Args:
        sql: ``{name}`` stands for an identifier, doubled braces for braces; with parameters, ``%s`` or
            ``%(key)s`` stand for values and ``%%`` for a percent sign.
        parameters: a sequence for ``%s``, a mapping for ``%(key)s``, or ``None``.
        names: the environment's identifiers; one with a dot is qualified by its schema.

    Raises:
        CheckpointError: a name is not declared.
        StatementFailed: placeholders and parameters do not fit together.
    """
    # Names come last: an identifier may contain what looks like a placeholder.
    bound = Statement(sql, ()) if parameters is None else bind(sql, parameters)
    return Statement(_BRACE.sub(lambda match: _brace(match, sql, names), bound.text), bound.values)


def quote(identifier: str) -> str:
    """An identifier, quoted; one with dots is qualified."""
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in identifier.split("."))


def _brace(match: re.Match[str], sql: str, names: Mapping[str, str]) -> str:
    text, name = match.group(0), match.group(1)
    if text in {"{{", "}}"}:
        return text[0]
    if name is not None and name in names:
        return quote(names[name])
    nearest = difflib.get_close_matches(name or "", names, n=1)
    hint = f"did you mean {{{nearest[0]}}}? " if nearest else ""
    raise CheckpointError(
        f"the statement {' '.join(sql.split())}",
        got=f"the name {text}" if name is not None else f"a single brace {text}",
        expected="a name that the runbook declares: " + (", ".join(sorted(names)) or "there are none"),
        next_step=f"{hint}Declare the name in the front matter; double a brace that is meant literally.",
    )


def bind(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> Statement:
    """Put parameters into SQL without names.

    Raises:
        StatementFailed: placeholders and parameters do not fit together.
    """
    by_key = isinstance(parameters, Mapping)
    keys: list[str] = []

    def number(match: re.Match[str]) -> str:
        text, name = match.group(0), match.group("name")
        if text == "%%":
            return "%"
        if text == "%" or by_key != (name is not None):
            raise _mismatch(sql, f"{text} at character {match.start() + 1}")
        if name is None:
            keys.append(str(len(keys)))
            return _parameter(len(keys), match)
        if name not in parameters:
            raise _mismatch(sql, f"no parameter {name!r}")
        if name not in keys:
            keys.append(name)
        return _parameter(keys.index(name) + 1, match)

    text = _PLACEHOLDER.sub(number, sql)
    if isinstance(parameters, Mapping):
        return Statement(text, tuple(parameters[key] for key in keys))
    if len(parameters) != len(keys):
        raise _mismatch(sql, f"{len(keys)} placeholders and {len(parameters)} parameters")
    return Statement(text, tuple(parameters))


def _parameter(number: int, match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 1]
    return f"${number} " if following.isalnum() or following == "_" else f"${number}"


def _mismatch(sql: str, got: str) -> StatementFailed:
    return StatementFailed(
        f"the statement {' '.join(sql.split())}",
        got=got,
        expected="%s for each item of a sequence or %(key)s for keys of a mapping, and %% for a percent sign",
        next_step="Correct the statement or its parameters.",
    )
