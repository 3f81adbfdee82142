"""Procedures: the named actions of the profile, run by destructive tests."""

from __future__ import annotations

import difflib
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from signoff.access import PERMISSIONS
from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    HandleError,
    ProcedureRefused,
    TimedOut,
)
from signoff.handles import processes
from signoff.handles.observation import Asked, Observe, Redact, unredacted
from signoff.record import Access
from signoff.secrets import Secret

ERROR_PATTERN: Final = r"(?m)^.*(ERROR|FATAL|PANIC):.*$"
"""What printed output means failure unless the profile says otherwise."""


@dataclass(frozen=True, kw_only=True)
class ProcedureSpec:
    """What the profile says about a procedure.

    Attributes:
        command: program and arguments, all placeholders filled; no shell, no secrets.
        environment: variables on top of a minimal environment; the only way for secrets.
        timeout: seconds after which the whole process group is ended.
        error_pattern: regular expression, matched against each line of the output.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str | Secret] = field(default_factory=dict)
    timeout: float = 60.0
    error_pattern: str = ERROR_PATTERN


@dataclass(frozen=True, kw_only=True)
class AbsentProcedure:
    """A procedure that the environment does not have.

    Attributes:
        reason: why, from the profile.
    """

    reason: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a procedure left behind on its way out. Judge it together with what it did to the system.

    Attributes:
        exit_status: as the program ended; negative for the signal that ended it.
        output: standard output and error in order, redacted; of very long output the beginning and the end.
        error_lines: lines of the whole output that mean failure, even when the exit status is 0.
        seconds: how long it ran.
    """

    exit_status: int
    output: str
    error_lines: list[str]
    seconds: float


class Running:
    """A procedure that runs in the background.

    Args:
        name: the procedure.
        spec: what the profile says about it.
        asked: the question that its output answers.
        observe: takes the evidence when it has ended.
        redact: removes secrets.
        directory: where it runs.
    """

    def __init__(
        self,
        name: str,
        spec: ProcedureSpec,
        *,
        asked: Asked,
        observe: Observe,
        redact: Redact,
        directory: Path | None,
    ) -> None:
        self._name = name
        self._spec = spec
        self._asked = asked
        self._observe = observe
        self._begun = time.monotonic()
        environment = {
            key: value.reveal() if isinstance(value, Secret) else value
            for key, value in spec.environment.items()
        }
        self._process = processes.start(
            spec.command,
            subject=asked.source,
            stderr=subprocess.STDOUT,
            environment=environment,
            directory=directory,
        )
        self._output = processes.Output(self._process, redact=redact, error_pattern=spec.error_pattern)
        self._outcome: Outcome | None = None

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def output(self) -> str:
        """What it has printed so far, redacted."""
        return self._output.text()

    def kill(self) -> Outcome:
        """End the program and whatever it started, at once and without asking, as a crash would."""
        processes.end(self._process, grace=0)
        return self._ended()

    def wait(self) -> Outcome:
        """Wait for the end.

        Raises:
            TimedOut: its timeout is over; the whole process group was ended.
        """
        left = max(0.0, self._begun + self._spec.timeout - time.monotonic())
        try:
            self._process.wait(left)
        except subprocess.TimeoutExpired as exc:
            processes.end(self._process)
            self._ended()
            raise TimedOut(
                self._asked.source,
                got=f"no end of the procedure {self._name} within {self._spec.timeout:g} s",
                expected="an end within its timeout",
                next_step="Its process group was ended; look at its output, or raise its timeout.",
            ) from exc
        except BaseException:
            # Ctrl-C must not leave a migration running that nobody watches.
            processes.end(self._process)
            raise
        return self._ended()

    def _ended(self) -> Outcome:
        if self._outcome is None:
            seconds = time.monotonic() - self._begun
            self._output.wait()
            text = self._output.text()
            self._outcome = Outcome(
                exit_status=self._process.returncode,
                output=text,
                error_lines=self._output.error_lines(),
                seconds=seconds,
            )
            answer = f"{text}\nexit status {self._process.returncode}".lstrip("\n")
            lines, digest = self._output.lines() + 1, self._output.sha256()
            self._observe(self._asked.answered(answer, lines=lines, sha256=digest))
        return self._outcome


class Procedures:
    """The procedures of a system, as the access allows.

    Args:
        specs: the procedures of the profile by name.
        access: what may be done; under ``read_only`` every procedure is refused.
        component: what evidence calls them, for instance ``codex_memory.procedures``.
        observe: takes the evidence of every procedure.
        redact: removes secrets from output and evidence.
        directory: where procedures run.
    """

    def __init__(
        self,
        specs: Mapping[str, ProcedureSpec | AbsentProcedure],
        *,
        access: Access,
        component: str,
        observe: Observe,
        redact: Redact = unredacted,
        directory: Path | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._access = access
        self._component = component
        self._observe = observe
        self._redact = redact
        self._directory = directory
        self._started: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, name: str) -> Outcome:
        """Run a procedure to its end.

        Raises:
            ProcedureRefused: the access is ``read_only``.
            ComponentAbsent: the profile says that the procedure does not exist here.
            ComponentNotConfigured: the profile says nothing about it.
            TimedOut: it did not end within its timeout; its process group was ended.
            MissingObject, PermissionDenied: its program cannot be started.
        """
        return self.start(name).wait()

    def start(self, name: str) -> Running:
        """Start a procedure in the background; `close` ends what is still running.

        Raises:
            SignoffError: as `run`.
        """
        source = f"{self._component}.{name}"
        spec = self._permitted(name, source)
        asked = Asked("procedure", source, shlex.join(spec.command), self._redact)
        try:
            running = Running(
                name, spec, asked=asked, observe=self._observe, redact=self._redact, directory=self._directory
            )
        except HandleError as exc:
            self._observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise
        self._started.append(running)
        return running

    def close(self) -> None:
        """End what is still running."""
        for running in self._started:
            if running.is_running:
                running.kill()
        self._started.clear()

    def _permitted(self, name: str, source: str) -> ProcedureSpec:
        if not PERMISSIONS[self._access].runs_procedures:
            raise ProcedureRefused(
                source,
                got=f"a test with the access {self._access}",
                expected="a destructive test",
                next_step="Mark the test destructive, and run it where the environment allows that.",
            )
        spec = self._specs.get(name)
        if isinstance(spec, AbsentProcedure):
            raise ComponentAbsent(
                source,
                got=f"absent: {spec.reason}",
                expected="a procedure",
                next_step="Nothing to do; what needs it is not applicable here.",
            )
        if spec is None:
            nearest = difflib.get_close_matches(name, self._specs, n=1)
            raise ComponentNotConfigured(
                source,
                got="nothing about it in the profile",
                expected="one of: " + (", ".join(sorted(self._specs)) or "(the profile has no procedures)"),
                next_step=f"Did you mean {nearest[0]}?" if nearest else "Describe it in the profile.",
            )
        return spec
