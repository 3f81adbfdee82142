"""Artifacts: files that other tools left behind, a test report for instance."""

from __future__ import annotations

import difflib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias
from xml.parsers import expat

from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    HandleError,
    MissingObject,
    PermissionDenied,
    UnexpectedAnswer,
)
from signoff.handles.observation import Asked, Observe, Redact, unredacted

MOST_BYTES: Final = 64 * 1_048_576
"""The largest artifact that is read."""

_CASE: Final = "testcase"
_SUITES: Final = ("testsuite", "testsuites")
_RESULTS: Final = ("failure", "error", "skipped")
_COUNTERS: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}


@dataclass(frozen=True, kw_only=True)
class AbsentArtifact:
    """An artifact that the environment does not have.

    Attributes:
        reason: why, from the profile.
    """

    reason: str


ArtifactPath: TypeAlias = Path | AbsentArtifact


@dataclass(frozen=True, kw_only=True)
class JUnitSummary:
    """What a JUnit report says; each figure is the worst of what its suites declare and its cases show.

    Attributes:
        tests: number of test cases in it, at least 1.
        failures: how many failed.
        errors: how many ended in an error.
        skipped: how many did not run.
    """

    tests: int
    failures: int
    errors: int
    skipped: int


class Artifact:
    """One artifact; it exists, or there is no `Artifact`.

    Args:
        path: the file.
        component: what evidence calls it.
        observe: takes the evidence of every reading.
        redact: removes secrets from evidence.

    Raises:
        MissingObject: there is no such file.
        PermissionDenied: it may not be read.
    """

    def __init__(self, path: Path, *, component: str, observe: Observe, redact: Redact = unredacted) -> None:
        self.path = path
        self._component = component
        self._observe = observe
        self._redact = redact
        self._content: bytes | None = None
        try:
            status = path.stat()
            if not path.is_file():
                raise self._error(MissingObject, "something that is not a file", "a file")
        except OSError as exc:
            raise self._unreadable(exc) from exc
        self._modified = status.st_mtime

    @property
    def age_seconds(self) -> float:
        """Seconds since the file was last changed."""
        return max(0.0, time.time() - self._modified)

    def text(self) -> str:
        """The whole file.

        Raises:
            UnexpectedAnswer: it is larger than 64 MiB or not UTF-8.
        """
        asked = self._asked()
        text = self._decoded()
        self._observe(asked.answered(text))
        return text

    def json(self) -> Any:
        """The file as JSON.

        Raises:
            UnexpectedAnswer: it is not valid JSON; NaN, infinities and doubled keys are not.
        """
        asked = self._asked()
        text = self._decoded()
        self._observe(asked.answered(text))
        try:
            return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubled_keys)
        except (ValueError, RecursionError) as exc:
            raise self._error(UnexpectedAnswer, str(exc), "valid JSON") from exc

    def junit(self) -> JUnitSummary:
        """The file as a JUnit report.

        Raises:
            UnexpectedAnswer: it is not one, it holds no test case, or it has a document type, which no such
                report needs and with which entities could be declared.
        """
        asked = self._asked()
        content = self._read()
        counter = _JUnitCounter()
        try:
            counter.feed(content)
            summary = counter.summary()
        except (expat.ExpatError, ValueError) as exc:
            self._observe(asked.answered(f"not a usable JUnit report: {exc}"))
            raise self._error(
                UnexpectedAnswer, str(exc), "a JUnit report with at least one test case"
            ) from exc
        digest = hashlib.sha256(content).hexdigest()
        self._observe(asked.answered(str(summary), sha256=digest))
        return summary

    def _asked(self) -> Asked:
        return Asked("file", self._component, str(self.path), self._redact)

    def _read(self) -> bytes:
        if self._content is None:
            try:
                with self.path.open("rb") as file:
                    content = file.read(MOST_BYTES + 1)
            except OSError as exc:
                raise self._unreadable(exc) from exc
            if len(content) > MOST_BYTES:
                raise self._error(
                    UnexpectedAnswer, f"more than {MOST_BYTES:,} bytes", f"at most {MOST_BYTES:,} bytes"
                )
            self._content = content
        return self._content

    def _decoded(self) -> str:
        try:
            return self._read().decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise self._error(UnexpectedAnswer, str(exc), "a text in UTF-8") from exc

    def _unreadable(self, exc: OSError) -> HandleError:
        kind = PermissionDenied if isinstance(exc, PermissionError) else MissingObject
        return self._error(kind, exc.strerror or str(exc), "a file that can be read")

    def _error(self, kind: type[HandleError], got: str, expected: str) -> HandleError:
        return kind(
            f"{self._component}: {self.path}",
            got=got,
            expected=expected,
            next_step="Produce the artifact first, or correct its path in the profile.",
        )


class Artifacts:
    """The artifacts of a system, by name.

    Args:
        paths: path of each artifact, or why there is none.
        component: what evidence calls them, for instance ``codex_memory.artifacts``.
        observe: takes the evidence of every reading.
        redact: removes secrets from evidence.
    """

    def __init__(
        self,
        paths: Mapping[str, ArtifactPath],
        *,
        component: str,
        observe: Observe,
        redact: Redact = unredacted,
    ) -> None:
        self._paths = dict(paths)
        self._component = component
        self._observe = observe
        self._redact = redact

    def __call__(self, name: str) -> Artifact:
        """The artifact of this name.

        Raises:
            ComponentAbsent: the profile says that it does not exist here.
            ComponentNotConfigured: the profile says nothing about it.
            MissingObject, PermissionDenied: its file is not there, or not readable.
        """
        component = f"{self._component}.{name}"
        path = self._paths.get(name)
        if isinstance(path, AbsentArtifact):
            raise ComponentAbsent(
                component,
                got=f"absent: {path.reason}",
                expected="an artifact",
                next_step="Nothing to do; what needs it is not applicable here.",
            )
        if path is None:
            nearest = difflib.get_close_matches(name, self._paths, n=1)
            raise ComponentNotConfigured(
                component,
                got="nothing about it in the profile",
                expected="one of: " + (", ".join(sorted(self._paths)) or "(the profile has no artifacts)"),
                next_step=f"Did you mean {nearest[0]}?" if nearest else "Add its path to the profile.",
            )
        return Artifact(path, component=component, observe=self._observe, redact=self._redact)


class _JUnitCounter:
    """Counts while the parser reads, so that no tree of a large report is built."""

    def __init__(self) -> None:
        self._shown: Counter[str] = Counter()
        self._declared: list[Counter[str]] = []
        self._declared_root: Counter[str] = Counter()
        self._depth: list[str] = []
        self._results: set[str] = set()
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = _no_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, content: bytes) -> None:
        """Read a whole report."""
        self._parser.Parse(content, True)  # noqa: FBT003 - expat's flag for the end of the text

    def summary(self) -> JUnitSummary:
        """The figures of the report.

        Raises:
            ValueError: there is no test case.
        """
        if not self._shown[_CASE]:
            raise ValueError("no test case")
        declared = sum(self._declared, Counter())
        worst = {
            name: max(self._shown[result], declared[name], self._declared_root[name])
            for name, result in _COUNTERS.items()
        }
        return JUnitSummary(tests=self._shown[_CASE], **worst)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._depth and name not in _SUITES:
            raise ValueError(f"the document element {name}")
        if name in _SUITES:
            self._declare(attributes)
        elif name == _CASE:
            self._results = set()
        elif name in _RESULTS:
            self._results.add(name)
            if _CASE not in self._depth:
                # Some tools report what broke a whole suite beside its cases.
                self._shown[name] += 1
        self._depth.append(name)

    def _end(self, name: str) -> None:
        self._depth.pop()
        if name == _CASE:
            self._shown[_CASE] += 1
            self._shown.update(self._results)

    def _declare(self, attributes: Mapping[str, str]) -> None:
        figures = Counter({name: int(attributes[name]) for name in _COUNTERS if attributes.get(name)})
        if not self._depth:
            self._declared_root = figures
        elif self._depth == ["testsuites"]:
            # Suites inside suites are counted by the outer one already.
            self._declared.append(figures)


def _no_doctype(name: str, *_: object) -> NoReturn:
    raise ValueError(f"a document type {name}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not JSON")


def _no_doubled_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        doubled = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {doubled!r} twice in one object")
    return document
