"""Programs that are started, listened to and ended, each in a process group of its own."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from signoff.errors import HandleError, MissingObject, PermissionDenied, TimedOut, UnexpectedAnswer
from signoff.handles.observation import Redact

LINES: Final = 1000
"""Lines of output that are kept from the beginning, again from the end, and of those that mean failure."""

LINE_BYTES: Final = 16_384
"""Bytes after which a line is broken."""

GRACE: Final = 3.0
"""Seconds between asking a process group to end and killing it."""

DRAIN: Final = 1.0
"""Seconds for which the output of an ended program is read on: a daemon that it started may hold it."""

INHERITED: Final = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SSH_AUTH_SOCK",
    "TMPDIR",
    "TZ",
    "USER",
)
"""The variables of our own environment that programs get; neither secrets nor ``PG*`` settings of a shell."""


def start(
    command: Sequence[str],
    *,
    subject: str,
    stderr: int,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program without a shell, in a process group of its own and with a minimal environment.

    Args:
        command: program and arguments.
        subject: what errors shall be about.
        stderr: where its standard error goes, as for :class:`subprocess.Popen`.
        environment: variables on top of `INHERITED`.
        directory: where it runs.

    Raises:
        MissingObject: there is no such program or directory.
        PermissionDenied: it may not be run.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603 - an argv from the profile or from us, never a shell's text
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**inherited, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    except PermissionError as exc:
        raise _not_started(PermissionDenied, subject, command, exc) from exc
    except (OSError, ValueError) as exc:
        raise _not_started(MissingObject, subject, command, exc) from exc


def end(process: subprocess.Popen[bytes], *, grace: float = GRACE) -> None:
    """End a program and whatever it started in its group: ask, and kill after a grace in seconds."""
    if grace > 0:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    # The first process may be gone while others of its group are not.
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group has the id of its first process, which cannot be given to another while the group exists.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _not_started(
    kind: type[HandleError], subject: str, command: Sequence[str], exc: Exception
) -> HandleError:
    return kind(
        subject,
        got=f"{command[0] if command else 'an empty command'}: {getattr(exc, 'strerror', None) or exc}",
        expected="a program that can be started",
        next_step="Install it, or correct the command in the profile.",
    )


@dataclass(frozen=True)
class Captured:
    """What a short command printed.

    Attributes:
        status: exit status.
        stdout: its standard output.
        stderr: its standard error, stripped.
    """

    status: int
    stdout: bytes
    stderr: str


def capture(command: Sequence[str], *, subject: str, timeout: float, limit: int) -> Captured:
    """Run a short command to its end.

    Args:
        command: program and arguments; no shell.
        subject: what errors shall be about.
        timeout: seconds after which its process group is ended.
        limit: bytes of standard output after which it is ended.

    Raises:
        MissingObject, PermissionDenied: it cannot be started.
        TimedOut: it did not end in time.
        UnexpectedAnswer: it printed more than the limit.
    """
    process = start(command, subject=subject, stderr=subprocess.PIPE)
    outputs: dict[str, bytes] = {}

    def read(name: str, stream: IO[bytes], most: int) -> None:
        with stream:
            outputs[name] = stream.read(most + 1)
            if len(outputs[name]) > most:
                end(process, grace=0)

    readers = [
        threading.Thread(target=read, args=("stdout", process.stdout, limit), daemon=True),
        threading.Thread(target=read, args=("stderr", process.stderr, limit), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired as exc:
        end(process, grace=0)
        raise TimedOut(
            subject,
            got=f"no answer within {timeout:g} s",
            expected="an answer within the timeout",
            next_step="Look at the machine and the network, or raise the timeout in the profile.",
        ) from exc
    finally:
        end(process, grace=0)
        for reader in readers:
            reader.join(DRAIN)
    stdout, stderr = outputs.get("stdout", b""), outputs.get("stderr", b"")
    if len(stdout) > limit:
        raise UnexpectedAnswer(
            subject,
            got=f"more than {limit:,} bytes",
            expected=f"at most {limit:,} bytes",
            next_step="Ask for something smaller.",
        )
    return Captured(process.returncode, stdout, stderr.decode("utf-8", "replace").strip())


class Output:
    """What a program prints: the first and the last lines, those that mean failure, the digest of all.

    Args:
        process: started with `start`; a thread reads its standard output until the end.
        redact: removes secrets, from each line before it is kept.
        error_pattern: regular expression; lines that match mean failure.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, redact: Redact, error_pattern: str) -> None:
        self._stream = cast("IO[bytes]", process.stdout)
        self._redact = redact
        self._pattern = re.compile(error_pattern)
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=LINES)
        self._errors: list[str] = []
        self._count = 0
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Wait until everything was read, or for `DRAIN` seconds."""
        self._reader.join(DRAIN)

    def text(self) -> str:
        """The kept lines, with a note where lines were left out."""
        with self._lock:
            left_out = self._count - len(self._head) - len(self._tail)
            note = [f"… {left_out:,} lines left out …"] if left_out else []
            return "\n".join([*self._head, *note, *self._tail])

    def error_lines(self) -> list[str]:
        """The lines that mean failure, the first `LINES` of them."""
        with self._lock:
            return list(self._errors)

    def lines(self) -> int:
        """How many lines were printed."""
        with self._lock:
            return self._count

    def sha256(self) -> str:
        """Digest of all redacted lines, each ended by a line feed."""
        with self._lock:
            return self._digest.hexdigest()

    def _read(self) -> None:
        with self._stream:
            while raw := self._stream.readline(LINE_BYTES):
                self._keep(self._redact(raw.decode("utf-8", "replace").rstrip("\r\n")))

    def _keep(self, line: str) -> None:
        with self._lock:
            self._digest.update(line.encode("utf-8", "replace") + b"\n")
            self._count += 1
            if len(self._head) < LINES:
                self._head.append(line)
            else:
                self._tail.append(line)
            if len(self._errors) < LINES and self._pattern.search(line):
                self._errors.append(line)
