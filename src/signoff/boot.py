"""Boots the local deployment that a profile names, and ends it with the run.

The profile gives a command. It prints one line of JSON, ``{"facts": {…}}``, on its standard output when
it is ready, and ends when its standard input is closed; so it also ends when this process is killed.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from signoff.errors import StackError

_STOP_WITHIN: Final = 30.0
_LOG_TAIL: Final = 2000

Facts = dict[str, str | int]


class Stack:
    """A local deployment, started at once; `facts` waits until it is ready.

    Args:
        command: argv of the program that boots it.
        directory: working directory of the program.
        ready_within: seconds until it must have reported its facts.

    Raises:
        StackError: the program could not be started.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, ready_within: float) -> None:
        self._command = " ".join(command)
        self._deadline = time.monotonic() + ready_within
        self._ready_within = ready_within
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed in stop()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the profile's own command, no shell
                command,
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                # Ctrl-C must reach the run alone, so that it can still write its record.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise StackError(
                self._command,
                got=error.strerror or str(error),
                expected="a program that boots the stack",
                next_step="Correct [stack] command in the profile.",
            ) from error

    @cached_property
    def facts(self) -> Mapping[str, str | int]:
        """What the program says about the deployment once it is ready.

        Raises:
            StackError: it ended early, said something else, or took too long; it is ended.
        """
        try:
            return self._ready()
        except StackError:
            self.stop()
            raise

    def _ready(self) -> Facts:
        lines: SimpleQueue[str] = SimpleQueue()
        stdout = self._process.stdout
        if stdout is None:
            raise self._error("no standard output", "a pipe")
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except Empty:
            raise self._error(f"nothing within {self._ready_within:g} s", "a line of facts") from None
        if not line:
            raise self._error("its end before it was ready", "a line of facts")
        try:
            facts = json.loads(line)["facts"]
        except (ValueError, KeyError, TypeError):
            raise self._error(f"the line {line.strip()[:200]!r}", '{"facts": {…}}') from None
        if not isinstance(facts, dict) or not all(isinstance(fact, str | int) for fact in facts.values()):
            raise self._error(f"the facts {str(facts)[:200]}", "texts and integers by name")
        return facts

    def _error(self, got: str, expected: str) -> StackError:
        self._log.flush()
        self._log.seek(0)
        tail = self._log.read()[-_LOG_TAIL:].strip()
        return StackError(
            self._command,
            got=got,
            expected=expected,
            next_step=f"It said: {tail}" if tail else "Run the command by hand to see what it says.",
        )

    @property
    def is_running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the deployment and wait for it; killed when it does not end by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Last: a reader that still waits for the first line holds the lock of the pipe.
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
