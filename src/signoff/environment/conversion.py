"""From TOML values to the profile's types; every problem is collected, none ends the reading."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union

from signoff.environment.components import Absent, Seconds
from signoff.environment.model import keys
from signoff.environment.placeholders import Filled, Pending
from signoff.environment.problems import Problem, child, suggestion
from signoff.environment.references import (
    COMMAND_TIMEOUT,
    CommandReference,
    EnvironmentReference,
    FileReference,
    Reference,
)
from signoff.environment.scalars import SCALARS, describe, text
from signoff.errors import SecretError
from signoff.secrets import Secret, holds_secret

_Table = TypeVar("_Table")

_type_hints: Callable[[type], dict[str, Any]] = functools.cache(typing.get_type_hints)

REFERENCES: Final = '{ env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", …] }'


class Converter:
    """Reads the values of one profile.

    Args:
        resolver: fetches a secret; takes the reference and the dotted key that refers to it.
        root: the directory that relative paths start from.
        origin: what is put before dotted keys to name a place in messages: ``environments/prod.toml: ``.
        resolved: secrets that were fetched already; further ones are added.
        withholds: says of a dotted key why its secret is not fetched; empty if it is.
    """

    def __init__(
        self,
        resolver: Callable[[Reference, str], Secret],
        *,
        root: Path,
        origin: str,
        resolved: dict[Reference, Secret],
        withholds: Callable[[str], str],
    ) -> None:
        self.problems: list[Problem] = []
        self.resolved = resolved
        self._resolver = resolver
        self._root = root
        self._origin = origin
        self._withholds = withholds

    def problem(self, key: str, *, got: str, expected: str, next_step: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(key, got, expected, next_step))

    def not_a_table(self, value: Any, key: str) -> None:
        """Note that something else stands where a table belongs."""
        self.problem(
            key, got=describe(value), expected="a table", next_step=f"Write [{key}] and its keys below it."
        )

    def scalar(self, value: Any, key: str, kind: tuple[str, Callable[[Any], Any]]) -> Any:
        """A value that is not a table; `Pending` and a problem when it is not of this kind."""
        if isinstance(value, Pending):
            return value
        expected, read = kind
        try:
            return read(value)
        except ValueError:
            self.problem(
                key, got=describe(value), expected=expected, next_step="Correct the value in the profile."
            )
            return Pending()

    def table(self, kind: type[_Table], value: Any, key: str, **given: Any) -> _Table | None:
        """A table; ``None`` and problems when it is not a valid one.

        Args:
            kind: the class that it becomes.
            value: the value as TOML gives it.
            key: its dotted key.
            given: fields that do not come from this table; keys of these names are left alone.
        """
        if not isinstance(value, dict):
            self.not_a_table(value, key)
            return None
        fields = keys(kind)
        unknown = {name: _nearest(name, fields) for name in value if name not in fields}
        for name in unknown:
            self.problem(
                child(key, name),
                got="an unknown key",
                expected="a key of this table",
                next_step=suggestion(name, fields),
            )
        hints = _type_hints(kind)
        values: dict[str, Any] = {}
        complete = True
        for name, part in fields.items():
            if name in given:
                continue
            if name in value:
                values[name] = self.value(hints[name], value[name], child(key, name))
            elif part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING:
                complete = False
                # A misspelt key is one problem, not two.
                if name not in unknown.values():
                    self.problem(
                        child(key, name),
                        got="nothing",
                        expected=_expected(hints[name]),
                        next_step=f"Add {name} to the profile.",
                    )
        internal = {"key": self._origin + key} if "key" in hints and "key" not in fields else {}
        return kind(**values, **internal, **given) if complete else None

    def value(self, kind: Any, value: Any, key: str) -> Any:
        """A value of any type that a field of the profile may have."""
        if kind in SCALARS:
            result = self.scalar(value, key, SCALARS[kind])
        elif kind is Secret:
            result = self.secret(value, key)
        elif typing.get_origin(kind) in {Union, types.UnionType}:
            result = self._union(typing.get_args(kind), value, key)
        elif typing.get_origin(kind) is Literal:
            result = self._choice(typing.get_args(kind), value, key)
        elif typing.get_origin(kind) is tuple:
            first, rest = typing.get_args(kind)
            result = self._list(first, value, key, may_be_empty=rest is Ellipsis)
        elif typing.get_origin(kind) is Mapping:
            result = self._mapping(typing.get_args(kind)[1], value, key)
        else:
            result = self.table(kind, value, key)
        return result

    def secret(self, value: Any, key: str) -> Secret | None:
        """The secret that a reference points at."""
        reference = self._reference(value, key)
        if reference is None:
            return None
        if reason := self._withholds(key):
            return Secret.withheld(origin=str(reference), subject=f"{self._origin}{key}", reason=reason)
        if reference not in self.resolved:
            try:
                self.resolved[reference] = self._resolver(reference, key)
            except SecretError as error:
                self.problems.append(Problem(key, error.got, error.expected, error.next_step, secret=True))
                return None
        return self.resolved[reference]

    def _reference(self, value: Any, key: str) -> Reference | None:
        if not isinstance(value, dict):
            # The value is not shown: it is the secret.
            self.problem(
                key,
                got="a secret written into the file" if isinstance(value, str) else describe(value),
                expected=REFERENCES,
                next_step="Take it out of the file and its history, change it, and refer to the new one.",
            )
            return None
        sources = [name for name in ("env", "file", "command") if name in value]
        allowed = {*sources, "timeout"} if sources == ["command"] else set(sources)
        if len(sources) != 1 or set(value) - allowed:
            self.problem(
                key,
                got=f"a table with the keys {', '.join(value) or '(none)'}",
                expected=REFERENCES,
                next_step="Refer to the secret in exactly one of these ways.",
            )
            return None
        if sources == ["command"]:
            return self._command_reference(value, key)
        source = self.scalar(value[sources[0]], child(key, sources[0]), SCALARS[str])
        if isinstance(source, Pending):
            return None
        if sources == ["env"]:
            return EnvironmentReference(source)
        # Not Path.expanduser, which raises for an unknown user; the missing file is the clearer answer.
        return FileReference(str(self._root / os.path.expanduser(source)))  # noqa: PTH111 - see above

    def _command_reference(self, value: Mapping[str, Any], key: str) -> Reference | None:
        before = len(self.problems)
        command = self._list(str, value["command"], f"{key}.command", may_be_empty=False)
        timeout = self.scalar(
            value.get("timeout", f"{COMMAND_TIMEOUT:g}s"), f"{key}.timeout", SCALARS[Seconds]
        )
        if len(self.problems) > before or any(isinstance(part, Pending) for part in (*command, timeout)):
            return None
        return CommandReference(command, timeout)

    def _union(self, kinds: tuple[Any, ...], value: Any, key: str) -> Any:
        if Absent in kinds and isinstance(value, dict) and "absent_if" in value:
            reason = self._stack_reason(value["absent_if"], f"{key}.absent_if")
            value = {"absent": reason} if reason else {k: v for k, v in value.items() if k != "absent_if"}
        if Absent in kinds and isinstance(value, dict) and "absent" in value:
            for name in value.keys() - {"absent"}:
                self.problem(
                    child(key, name),
                    got="a key beside `absent`",
                    expected="`absent` alone",
                    next_step="Remove `absent` if it exists here, or the other keys if it does not.",
                )
            reason = self.scalar(value["absent"], f"{key}.absent", ("the reason why it does not exist", text))
            return Absent(absent=reason)
        others = [kind for kind in kinds if kind not in {Absent, type(None)}]
        if others == [str, Secret]:
            return self.secret(value, key) if isinstance(value, dict) else self._open_text(value, key)
        return self.value(others[0], value, key)

    def _stack_reason(self, value: Any, key: str) -> str:
        """Why the stack could not bring something up; empty if it could, or is not up yet."""
        if isinstance(value, Pending):
            return ""
        if not isinstance(value, Filled):
            self.problem(
                key,
                got=describe(value),
                expected="a placeholder that the stack fills with a reason, or with nothing: {stack:FACT}",
                next_step='Write absent = "reason" for what this environment never has.',
            )
            return ""
        return value.strip()

    def _open_text(self, value: Any, key: str) -> Any:
        """A text where a secret reference would be allowed too; nothing secret may stand in it."""
        name = key.rpartition(".")[2]
        if isinstance(value, str) and not isinstance(value, Pending) and holds_secret(f"{name}={value}"):
            return self.secret(value, key)
        return self.scalar(value, key, (f"a text, or {REFERENCES}", text))

    def _choice(self, choices: tuple[Any, ...], value: Any, key: str) -> Any:
        if isinstance(value, Pending) or (value in choices and not isinstance(value, bool)):
            return value
        shown = [str(choice) for choice in choices]
        self.problem(
            key,
            got=describe(value),
            expected=f"one of {', '.join(shown)}",
            next_step=suggestion(str(value), shown),
        )
        return Pending()

    def _list(self, kind: Any, value: Any, key: str, *, may_be_empty: bool) -> tuple[Any, ...]:
        if not isinstance(value, list) or not (value or may_be_empty):
            self.problem(
                key,
                got=describe(value),
                expected="a list" if may_be_empty else "a list that is not empty",
                next_step='Write it as ["first", "second"].',
            )
            return ()
        converted = tuple(self.value(kind, item, f"{key}[{index}]") for index, item in enumerate(value))
        for index, item in enumerate(value):
            if isinstance(item, str) and holds_secret(item):
                self.problem(
                    f"{key}[{index}]",
                    got="a text that holds a secret",
                    expected="arguments that everybody may read: they show in the list of processes",
                    next_step=f"Hand the secret over in a variable that refers to it: {REFERENCES}.",
                )
        return converted

    def _mapping(self, kind: Any, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.not_a_table(value, key)
            return {}
        converted = {name: self.value(kind, member, child(key, name)) for name, member in value.items()}
        return {name: member for name, member in converted.items() if member is not None}


def _nearest(name: str, known: Mapping[str, object]) -> str:
    match = re.match(r"Did you mean (\S+)\?", suggestion(name, known))
    return match[1] if match else ""


def _expected(kind: Any) -> str:
    """How a field's type is called in a message."""
    if kind in SCALARS:
        return SCALARS[kind][0]
    if kind is Secret:
        return REFERENCES
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    return "a list" if typing.get_origin(kind) is tuple else "a table"
