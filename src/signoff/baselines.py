"""Baselines: what was measured before a change, for comparison after it.

A baseline says under which conditions it was taken (``comparable``: scenario, data set, versions ...). It is
compared only under the same ones: another answer would look like a regression, or hide one. Baselines belong
to an environment and a runbook::

    <reports>/<environment>/baselines/<runbook>/<name>.json

A new one replaces the old one in one step, so a reader never sees half of either, and of several writers the
last one counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from signoff.errors import EvidenceError, Inconclusive, ReportError
from signoff.record import Evidence, JSONValue, Scalar
from signoff.storage import write_file
from signoff.timestamps import utc_now

SCHEMA: Final = "signoff-baseline/1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One baseline as it is stored.

    Attributes:
        name: what was measured.
        environment: where.
        runbook: for which runbook.
        release: the release that was there.
        run: the id of the run that took it.
        taken_at: when, UTC, ISO 8601.
        comparable: the conditions under which it was taken.
        value: what was measured.
    """

    name: str
    environment: str
    runbook: str
    release: str
    run: str
    taken_at: str
    comparable: dict[str, Scalar]
    value: JSONValue
    schema: Literal["signoff-baseline/1"] = SCHEMA


class Baselines:
    """The ``baseline`` fixture: baselines of one runbook in one environment.

    Args:
        reports: the archive's folder.
        environment: name of the environment.
        runbook: name of the runbook.
        release: the release under test.
        run: the id of this run.
        observe: takes the baseline that was stored or read, as evidence.
    """

    def __init__(
        self,
        reports: Path,
        environment: str,
        runbook: str,
        *,
        release: str,
        run: str,
        observe: Callable[[Evidence], None],
    ) -> None:
        self._directory = reports / _checked(environment) / "baselines" / _checked(runbook)
        self._environment = environment
        self._runbook = runbook
        self._release = release
        self._run = run
        self._observe = observe

    def store(self, name: str, value: JSONValue, comparable: Mapping[str, Scalar] | None = None) -> None:
        """Store a baseline in the place of an earlier one.

        Args:
            name: letters, digits, ``.``, ``_`` and ``-``.
            value: numbers, texts, truth values, and lists and dicts of these.
            comparable: the conditions that :meth:`read` must name as well.

        Raises:
            EvidenceError: the value is missing, or cannot be stored and read back as it is.
            ReportError: the name is not usable, or the file cannot be written.
        """
        path = self._path(name)
        if value is None:
            raise _not_storable(name, value)
        _check_storable(name, value)
        _check_storable(name, dict(comparable or {}))
        baseline = Baseline(
            name=name,
            environment=self._environment,
            runbook=self._runbook,
            release=self._release,
            run=self._run,
            taken_at=utc_now(),
            comparable=dict(comparable or {}),
            value=value,
        )
        content = msgspec.json.format(msgspec.json.encode(baseline, order="deterministic"), indent=2)
        write_file(path, content + b"\n", lost=f"the baseline {name}")
        self._observe(_evidence("stored", path, content))

    def keep(self, name: str, value: JSONValue, comparable: Mapping[str, Scalar] | None = None) -> None:
        """Store a baseline, unless one stands that was taken under the same conditions.

        So that later values are compared with the first one: against the one before, a change that creeps is
        never seen.

        Raises:
            EvidenceError: as :meth:`store`.
            ReportError: as :meth:`store` and :meth:`read`.
        """
        try:
            self.read(name, comparable)
        except Inconclusive:
            self.store(name, value, comparable)

    def read(self, name: str, comparable: Mapping[str, Scalar] | None = None) -> Any:
        """The value of a baseline that was taken under the same conditions.

        Args:
            name: as it was stored.
            comparable: the present conditions.

        Raises:
            Inconclusive: there is no such baseline, or it is not comparable; each difference is named.
            ReportError: the name is not usable, or the file cannot be read or is not a baseline.
        """
        path = self._path(name)
        try:
            content = path.read_bytes()
        except FileNotFoundError as exc:
            raise Inconclusive(
                f"the baseline {name}",
                got=f"no file {path}",
                expected="a baseline taken before the change",
                next_step="Run the stage that takes it, in this environment, before the change.",
            ) from exc
        except OSError as exc:
            raise _unreadable(path, str(exc.strerror or exc)) from exc
        try:
            baseline = msgspec.json.decode(content, type=Baseline)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise _unreadable(path, str(exc)) from exc
        if (baseline.name, baseline.environment, baseline.runbook) != (
            name,
            self._environment,
            self._runbook,
        ):
            raise _unreadable(
                path, f"the baseline {baseline.name} of {baseline.runbook} in {baseline.environment}"
            )
        self._observe(_evidence("read", path, content))
        differences = list(_differences(baseline.comparable, dict(comparable or {})))
        if differences:
            raise Inconclusive(
                f"the baseline {name}",
                got=f"one of {baseline.taken_at}, release {baseline.release}: {'; '.join(differences)}",
                expected="one taken under the present conditions",
                next_step="Take a new baseline under these conditions, before the change.",
            )
        return baseline.value

    def _path(self, name: str) -> Path:
        return self._directory / f"{_checked(name)}.json"


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ReportError(
            "a baseline",
            got=f"the name {name!r}",
            expected="up to 100 letters, digits, '.', '_' and '-', a letter or digit first",
            next_step="Choose another name.",
        )
    return name


def _check_storable(name: str, value: object) -> None:
    match value:
        case None | bool():
            storable = True
        case str():
            storable = _is_text(value)
        case int():
            # Other readers of JSON lose digits beyond 53 bits.
            storable = abs(value) <= 2**53
        case float():
            storable = isfinite(value)
        case list() | tuple():
            storable = True
            for item in value:
                _check_storable(name, item)
        case dict():
            storable = all(isinstance(key, str) and _is_text(key) for key in value)
            for item in value.values():
                _check_storable(name, item)
        case _:
            storable = False
    if not storable:
        raise _not_storable(name, value)


def _is_text(value: str) -> bool:
    """Whether this is more than undecodable bytes in disguise."""
    return value.encode("utf-8", "ignore").decode() == value


def _not_storable(name: str, value: object) -> EvidenceError:
    return EvidenceError(
        f"the baseline {name}",
        got=f"{value}"
        if isinstance(value, int | float | None)
        else f"a value of type {type(value).__name__}",
        expected="finite numbers, texts, truth values, and lists and dicts of these",
        next_step="Convert the value before it is stored.",
    )


def _unreadable(path: Path, got: str) -> ReportError:
    return ReportError(
        str(path),
        got=got,
        expected=f"a baseline of the schema {SCHEMA}",
        next_step="Find out what happened to the file, remove it, and take the baseline again.",
    )


def _differences(stored: Mapping[str, Scalar], present: Mapping[str, Scalar]) -> list[str]:
    """Each condition that differs, in words; a truth value differs from a number."""
    return [
        f"{key} was {_word(stored, key)} and is {_word(present, key)}"
        for key in sorted({*stored, *present})
        if _word(stored, key) != _word(present, key)
    ]


def _word(conditions: Mapping[str, Scalar], key: str) -> str:
    return msgspec.json.encode(conditions[key]).decode() if key in conditions else "not stated"


def _evidence(done: str, path: Path, content: bytes) -> Evidence:
    return Evidence(
        kind="file", source=str(path), asked=f"baseline {done}", answer=content.decode(), at=utc_now()
    )
