"""Builds a profile from its tables: types by `conversion`, names by what the runbooks declare."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from signoff.environment.components import Absent, Postgres
from signoff.environment.conversion import Converter
from signoff.environment.declarations import Declarations, SystemDeclaration
from signoff.environment.model import Artifact, Facts, Procedure, Profile, StackCommand, System
from signoff.environment.placeholders import Pending, connection_words, fill_facts, fill_words
from signoff.environment.problems import Problem, child, error, shown, suggestion
from signoff.environment.references import Reference
from signoff.environment.scalars import SETTINGS, items, limit
from signoff.secrets import Secret

_ADMINISTRATOR: Final = "administrator"


_FOR_DESTRUCTIVE: Final = re.compile(
    rf"systems\..+\.(postgres\.roles\.{_ADMINISTRATOR}\..+|procedures\..+\.environment\..+)"
)
"""Keys whose secrets serve destructive tests only."""


class Resolver(Protocol):
    """Fetches the secret that a reference points at; raises SecretError."""

    def __call__(self, reference: Reference, *, subject: str) -> Secret:
        """See `signoff.environment.references.resolve`."""


class Builder:
    """Builds one profile, once before and once after its stack is up.

    Args:
        path: the profile's file.
        declarations: what the runbooks declare.
        resolver: fetches a secret.
        systems: those whose secrets are fetched; ``None`` for all.
        destructive: whether the command line allows destructive tests.
    """

    def __init__(
        self,
        path: Path,
        declarations: Declarations,
        resolver: Resolver,
        *,
        systems: Collection[str] | None = None,
        destructive: bool = True,
    ) -> None:
        self._path = path
        self._file = shown(path)
        self._root = path.absolute().parent.parent
        self._declarations = declarations
        self._resolver = resolver
        # A secret is fetched once: asking a vault may cost a second, or a person's touch of a key.
        self._resolved: dict[Reference, Secret] = {}
        self._systems_in_use = systems
        self._allows_destructive = destructive
        self._converter = self._new_converter()
        self._words = {"python": sys.executable, "root": str(self._root), "psql": "psql"}

    def _new_converter(self) -> Converter:
        return Converter(
            lambda reference, key: self._resolver(reference, subject=f"{self._file}: {key}"),
            root=self._root,
            origin=f"{self._file}: ",
            resolved=self._resolved,
            withholds=self._withholds,
        )

    def _withholds(self, key: str) -> str:
        """Why the secret of a key is not fetched: whoever only observes need not be able to do more."""
        if self._systems_in_use is not None and not key.startswith(
            tuple(f"{child('systems', name)}." for name in self._systems_in_use)
        ):
            return "Select a runbook about this system."
        if not self._allows_destructive and _FOR_DESTRUCTIVE.fullmatch(key):
            return "Name the environment again to allow destructive tests: --allow-destructive=NAME."
        return ""

    def profile(self, document: Mapping[str, Any], facts: Facts | None = None) -> Profile:
        """The profile.

        Args:
            document: the file's tables.
            facts: what the stack said; ``None`` before it is up.

        Raises:
            ProfileError: it is not valid.
            SecretError: it is valid, but secrets are missing.
        """
        profile, problems = self.build(document, facts=facts)
        if profile is None or problems:
            raise error(self._file, problems)
        return profile

    def build(
        self, document: Mapping[str, Any], *, facts: Facts | None
    ) -> tuple[Profile | None, list[Problem]]:
        """The profile as far as it could be built, and everything that is wrong with it."""
        self._allows_destructive = self._allows_destructive or document.get("destructive") == "always"
        converter = self._converter = self._new_converter()
        if facts is not None and "psql" in facts:
            self._words["psql"] = str(facts["psql"])
        stack = "stack" in document
        filled = fill_facts(dict(document), "", facts, stack=stack, problems=converter.problems)
        profile = converter.table(Profile, filled, "", systems=self._systems(filled.get("systems", {})))
        if profile is None:
            return None, converter.problems
        self._check_name(profile.name)
        self._check_limits(profile.limits)
        waiting = stack and facts is None
        profile = replace(
            profile,
            path=self._path.absolute(),
            file=self._file,
            stack=self._stack(profile.stack),
            secrets=tuple(self._resolved.values()),
            fill=(lambda given: self.profile(document, given)) if waiting else None,
        )
        return profile, converter.problems

    def _check_name(self, name: str) -> None:
        if not isinstance(name, Pending) and name != self._path.stem:
            self._converter.problem(
                "name",
                got=f'"{name}"',
                expected=f'"{self._path.stem}", the name of the file',
                next_step="Rename one of them; --env takes the name of the file.",
            )

    def _check_limits(self, limits: Mapping[str, object]) -> None:
        for checkpoint in limits:
            if checkpoint not in self._declarations.checkpoints:
                self._converter.problem(
                    child("limits", checkpoint),
                    got="an unknown checkpoint",
                    expected="the id of a checkpoint whose limit this environment changes",
                    next_step=suggestion(checkpoint, self._declarations.checkpoints).partition(" Known")[0],
                )

    def _stack(self, stack: StackCommand | None) -> StackCommand | None:
        if stack is None:
            return None
        return replace(stack, command=self._fill(stack.command, "stack.command", self._words))

    def _fill(self, command: tuple[str, ...], key: str, words: Mapping[str, str]) -> Any:
        return tuple(
            fill_words(item, f"{key}[{index}]", words, self._converter.problems)
            for index, item in enumerate(command)
        )

    def _systems(self, tables: Any) -> dict[str, System]:
        if not isinstance(tables, dict):
            self._converter.not_a_table(tables, "systems")
            return {}
        systems = {name: self._system(name, table) for name, table in tables.items()}
        return {name: system for name, system in systems.items() if system is not None}

    def _system(self, name: str, table: Any) -> System | None:
        key = child("systems", name)
        declared = self._declarations.systems.get(name)
        if not isinstance(table, dict):
            return self._converter.table(System, table, key)
        if declared is None and "without_runbook" not in table:
            self._converter.problem(
                key,
                got="a system that no runbook is about",
                expected="a system of the runbooks",
                next_step=f"{suggestion(name, self._declarations.systems)} To describe it all the same, "
                'state without_runbook = "reason".',
            )
        if declared is not None and "without_runbook" in table:
            self._converter.problem(
                f"{key}.without_runbook",
                got="a system that runbooks are about",
                expected="the key for systems without one",
                next_step="Remove the key.",
            )
        system = self._converter.table(
            System,
            table,
            key,
            names=self._names(table.get("names", {}), f"{key}.names", declared),
            settings=self._settings(table.get("settings", {}), f"{key}.settings", declared),
        )
        if system is None:
            return None
        if declared is not None:
            self._check_declared(f"{key}.artifacts", system.artifacts, declared.artifacts)
            self._check_declared(f"{key}.procedures", system.procedures, declared.procedures)
            if isinstance(system.postgres, Postgres):
                roles = {*declared.roles, _ADMINISTRATOR}
                self._check_declared(f"{key}.postgres.roles", system.postgres.roles, roles)
        words = {**self._words, **connection_words(system.postgres)}
        return replace(
            system,
            artifacts={name: self._artifact(artifact) for name, artifact in system.artifacts.items()},
            procedures={
                name: self._procedure(procedure, f"{key}.procedures.{name}", words)
                for name, procedure in system.procedures.items()
            },
        )

    def _names(self, table: Any, key: str, declared: SystemDeclaration | None) -> dict[str, str]:
        values: dict[str, str] = self._converter.value(Mapping[str, str], table, key)
        if declared is None:
            return values
        self._check_declared(key, values, declared.names)
        return {**declared.names, **values}

    def _settings(self, table: Any, key: str, declared: SystemDeclaration | None) -> dict[str, Any]:
        if not isinstance(table, dict):
            self._converter.not_a_table(table, key)
            return {}
        if declared is None:
            return {
                name: self._converter.scalar(value, child(key, name), _ANY_SETTING)
                for name, value in table.items()
            }
        self._check_declared(key, table, declared.settings)
        settings = {}
        for name, setting in declared.settings.items():
            value = table.get(name, setting.default)
            kind = SETTINGS[setting.type]
            settings[name] = None if value is None else self._converter.scalar(value, child(key, name), kind)
        return settings

    def _check_declared(self, key: str, names: Iterable[str], declared: Iterable[str]) -> None:
        known = set(declared)
        for name in names:
            if name not in known:
                self._converter.problem(
                    child(key, name),
                    got="a name that no runbook of this system declares",
                    expected="a name from the front matter of a runbook",
                    next_step=suggestion(name, known),
                )

    def _artifact(self, artifact: Artifact | Absent) -> Artifact | Absent:
        if isinstance(artifact, Absent):
            return artifact
        return replace(artifact, path=str(self._root / artifact.path))

    def _procedure(
        self, procedure: Procedure | Absent, key: str, words: Mapping[str, str]
    ) -> Procedure | Absent:
        if isinstance(procedure, Absent):
            return procedure
        return replace(
            procedure,
            command=self._fill(procedure.command, f"{key}.command", words),
            environment={
                name: fill_words(value, f"{key}.environment.{name}", words, self._converter.problems)
                if isinstance(value, str)
                else value
                for name, value in procedure.environment.items()
            },
        )


def _any_setting(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return items(value) if isinstance(value, list) else limit(value)


_ANY_SETTING: Final = ("a number, a text, true or false, or a list", _any_setting)
