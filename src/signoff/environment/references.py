"""References to secrets, and fetching what they refer to.

A profile never contains a secret, only a reference to one::

    password = { env = "SIGNOFF_PASSWORD" }
    password = { file = "/run/secrets/monitor.password" }
    password = { command = ["pass", "show", "db/monitor"], timeout = "10s" }
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final, TypeAlias, cast

from signoff.errors import SecretError
from signoff.secrets import Secret

MAX_BYTES: Final = 65536
"""The largest secret that is read: a kubeconfig fits, a log file that was named by mistake does not."""

COMMAND_TIMEOUT: Final = 10.0
"""Seconds that a command may take to print a secret, unless its reference says otherwise."""

_SHARED: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class EnvironmentReference:
    """A secret in an environment variable."""

    name: str

    def __str__(self) -> str:
        return f"environment variable {self.name}"


@dataclass(frozen=True)
class FileReference:
    """A secret in a file that only its owner can read."""

    path: str

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True)
class CommandReference:
    """A secret that a command prints on standard output.

    Attributes:
        command: program and arguments; no shell.
        timeout: seconds until the command is killed.
    """

    command: tuple[str, ...]
    timeout: float = COMMAND_TIMEOUT

    def __str__(self) -> str:
        # The arguments may name vaults and paths that are nobody else's business.
        return f"command {self.command[0]}"


Reference: TypeAlias = EnvironmentReference | FileReference | CommandReference
"""Where a secret comes from."""


def resolve(reference: Reference, *, subject: str) -> Secret:
    """Fetch the secret that a reference points at; one trailing line end is not part of it.

    Args:
        reference: where the secret comes from.
        subject: the file and key that refer to it, for messages.

    Raises:
        SecretError: it is missing, empty, too long, not text, readable by others, or its command fails.
    """
    match reference:
        case EnvironmentReference(name):
            return _accept(_from_environment(name, subject), reference, subject)
        case FileReference(path):
            return _accept(_from_file(path, subject), reference, subject)
        case CommandReference():
            return _accept(_from_command(reference, subject), reference, subject)


def probe(reference: Reference, *, subject: str) -> None:
    """Check a reference as far as that is possible without running a command: a command may ask a server.

    Raises:
        SecretError: as `resolve`, and for a command that is not installed.
    """
    if not isinstance(reference, CommandReference):
        resolve(reference, subject=subject)
    elif shutil.which(reference.command[0]) is None:
        raise _missing_program(reference, subject)


def _accept(raw: Secret, reference: Reference, subject: str) -> Secret:
    # Raw values travel inside a Secret, so that no frame of a traceback holds one as a plain local.
    trimmed = Secret(raw.reveal().removesuffix("\n").removesuffix("\r"), origin=str(reference))
    if not trimmed.reveal().strip():
        raise SecretError(
            subject,
            got=f"an empty secret from {reference}",
            expected="a secret",
            next_step="Put the secret there, or remove the key if none is needed.",
        )
    if "\0" in trimmed.reveal():
        raise SecretError(
            subject,
            got=f"a secret from {reference} that contains a NUL character",
            expected="text",
            next_step="Refer to a text, not to a binary file.",
        )
    return trimmed


def _from_environment(name: str, subject: str) -> Secret:
    # No local may hold os.environ: a traceback with locals would print every variable.
    if name not in os.environ:
        raise SecretError(
            subject,
            got=f"environment variable {name}, which is not set",
            expected="the secret in that variable",
            next_step=f"Set {name} in the shell or in the CI job, then run again.",
        )
    return Secret(os.environ[name], origin=name)


def _from_file(path: str, subject: str) -> Secret:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise SecretError(
            subject,
            got=f"file {path}, which cannot be read: {exc.strerror or exc}",
            expected="a file that holds the secret",
            next_step="Create the file with mode 0600, or correct the path.",
        ) from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(
                subject,
                got=f"{path}, which is not a regular file",
                expected="a file that holds the secret",
                next_step="Correct the path.",
            )
        # The rule of ssh for keys and of libpq for .pgpass: what others can read is no secret any more.
        if status.st_mode & _SHARED:
            raise SecretError(
                subject,
                got=f"file {path} with mode {stat.S_IMODE(status.st_mode):04o}, which others can use",
                expected="mode 0600 or narrower",
                next_step=f"Run: chmod 600 {path}. Where the mode is not yours to set (a mounted secret), "
                f'refer to it as {{ command = ["cat", "{path}"] }}.',
            )
        return _decode(bytearray(os.read(descriptor, MAX_BYTES + 1)), FileReference(path), subject)
    finally:
        os.close(descriptor)


def _decode(content: bytearray, reference: Reference, subject: str) -> Secret:
    try:
        if len(content) > MAX_BYTES:
            raise SecretError(
                subject,
                got=f"more than {MAX_BYTES} bytes from {reference}",
                expected="a secret",
                next_step="Check that the reference is the right one.",
            )
        # Not raised from the decoding error, which carries the content.
        with suppress(UnicodeDecodeError):
            return Secret(content.decode("utf-8"), origin=str(reference))
        raise SecretError(
            subject,
            got=f"bytes from {reference} that are not UTF-8",
            expected="text",
            next_step="Store the secret as UTF-8 text.",
        )
    finally:
        # Wiped, so that no frame of a traceback holds the content.
        content[:] = b""


def _missing_program(reference: CommandReference, subject: str) -> SecretError:
    return SecretError(
        subject,
        got=f"{reference}, which is not installed",
        expected="a program that prints the secret",
        next_step="Install it, or correct its name.",
    )


def _from_command(reference: CommandReference, subject: str) -> Secret:
    try:
        process = subprocess.Popen(  # noqa: S603 - an argv list of the profile, no shell
            reference.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # What such a program prints there may hold the secret or the way to it.
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise _missing_program(reference, subject) from exc
    except OSError as exc:
        raise SecretError(
            subject,
            got=f"{reference}, which cannot be started: {exc.strerror or exc}",
            expected="a program that prints the secret",
            next_step="Check that it is executable.",
        ) from exc
    deadline = time.monotonic() + reference.timeout
    with process:
        try:
            content = _read_until(cast("IO[bytes]", process.stdout), deadline)
            # A program that prints too much may wait for ever to print the rest.
            status = process.wait(deadline - time.monotonic()) if len(content) <= MAX_BYTES else 0
        except (TimeoutError, subprocess.TimeoutExpired):
            raise SecretError(
                subject,
                got=f"{reference}, which did not end within {reference.timeout:g} s",
                expected="the secret on its standard output",
                next_step="Run the command by hand; raise `timeout` if it is only slow.",
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if status != 0:
        content[:] = b""
        raise SecretError(
            subject,
            got=f"{reference}, which ended with exit status {status}",
            expected="exit status 0 and the secret on its standard output",
            next_step="Run the command by hand to see why; its messages are not shown here.",
        )
    return _decode(content, reference, subject)


def _read_until(stdout: IO[bytes], deadline: float) -> bytearray:
    """Read standard output to its end, or a little more than `MAX_BYTES`; TimeoutError at the deadline."""
    content = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        ended = False
        while not ended and len(content) <= MAX_BYTES:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                content[:] = b""
                raise TimeoutError
            before = len(content)
            content += os.read(stdout.fileno(), MAX_BYTES)
            ended = len(content) == before
    return content
