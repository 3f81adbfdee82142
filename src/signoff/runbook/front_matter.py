"""The front matter of a runbook: who owns it, and what an environment must say about its system."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

from signoff.errors import RunbookError
from signoff.runbook.model import SETTING_TYPES, Setting

_KEYS: Final = (
    "title",
    "system",
    "owner",
    "sign_off",
    "rollback_decided_by",
    "names",
    "settings",
    "artifacts",
    "procedures",
    "roles",
)


def refuse(path: Path, line: int, *, got: str, expected: str, next_step: str) -> NoReturn:
    """Raise the RunbookError that names a line of a document."""
    raise RunbookError(f"{path}:{line}", got=got, expected=expected, next_step=next_step)


def nearest(name: str, known: Iterable[str]) -> str:
    """A next step that offers the known name closest to a wrong one."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {matches[0]!r}?" if matches else "See docs/author.md."


class FrontMatter:
    """Reads the YAML block at the head of a runbook.

    Args:
        path: the document, for messages.
        content: the YAML between the ``---`` lines.

    Raises:
        RunbookError: it is not a mapping of the known keys; the methods raise it for a wrong value.
    """

    def __init__(self, path: Path, content: str) -> None:
        self._path = path
        self._lines = content.splitlines()
        self._facts = self._load(content)

    def _load(self, content: str) -> dict[str, Any]:
        # Imported here: a run that needs no runbook (pytest --version) should not pay for it.
        import yaml  # noqa: PLC0415 - see above

        try:
            facts = yaml.safe_load(content)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            refuse(
                self._path,
                2 + (mark.line if mark else 0),
                got=f"YAML that cannot be read ({getattr(error, 'problem', None) or error})",
                expected="a YAML mapping",
                next_step="Correct the front matter.",
            )
        if not isinstance(facts, dict):
            refuse(self._path, 2, got=repr(facts), expected="a YAML mapping", next_step="See docs/author.md.")
        for key in facts:
            if key not in _KEYS:
                refuse(
                    self._path,
                    self._line_of(key),
                    got=f"the unknown key {key!r}",
                    expected="one of " + ", ".join(_KEYS),
                    next_step=nearest(str(key), _KEYS),
                )
        return facts

    def _line_of(self, key: object) -> int:
        return next(
            (number for number, line in enumerate(self._lines, 2) if line.lstrip().startswith(f"{key}:")), 2
        )

    def text(self, key: str) -> str:
        """A text that must be given."""
        value = self._facts.get(key)
        if not isinstance(value, str) or not value.strip():
            refuse(
                self._path,
                self._line_of(key),
                got=f"{key} = {value!r}",
                expected="a text",
                next_step=f"State the {key}.",
            )
        return value.strip()

    def list(self, key: str) -> tuple[str, ...]:
        """A list of at least one text."""
        value = self._facts.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            refuse(
                self._path,
                self._line_of(key),
                got=f"{key} = {value!r}",
                expected="a list of at least one text",
                next_step=f"State the {key} list.",
            )
        return tuple(value)

    def texts(self, key: str) -> dict[str, str]:
        """A mapping of names to texts; empty when not given."""
        value = self._facts.get(key) or {}
        if not isinstance(value, dict) or not all(
            isinstance(name, str) and isinstance(text, str) for name, text in value.items()
        ):
            refuse(
                self._path,
                self._line_of(key),
                got=f"{key} = {value!r}",
                expected="a mapping of names to texts",
                next_step="See docs/author.md.",
            )
        return dict(value)

    def settings(self) -> dict[str, Setting]:
        """The declared settings by name."""
        settings: dict[str, Setting] = {}
        declared = self._facts.get("settings") or {}
        if not isinstance(declared, dict):
            refuse(
                self._path,
                self._line_of("settings"),
                got=repr(declared),
                expected="a mapping of names to {type, about, default}",
                next_step="See docs/author.md.",
            )
        for name, declaration in declared.items():
            if (
                not isinstance(declaration, dict)
                or not set(declaration) <= {"type", "about", "default"}
                or declaration.get("type") not in SETTING_TYPES
                or not isinstance(declaration.get("about"), str)
            ):
                refuse(
                    self._path,
                    self._line_of(name),
                    got=f"settings.{name} = {declaration!r}",
                    expected=f"a type ({', '.join(SETTING_TYPES)}), about and, optionally, default",
                    next_step="See docs/author.md.",
                )
            settings[str(name)] = Setting(**declaration)
        return settings
