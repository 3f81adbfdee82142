"""This process's end of the pipe on which `stack.watchdog` waits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from stack import watchdog

# A new process has the pipe as its standard input, announces itself on it, and only then becomes the program.
# Until it has done so the pipe has a writer, and the watchdog no end of file: a launcher that dies right
# after it started something cannot leave it unknown.
ANNOUNCED: Final = ("/bin/sh", "-c", 'echo "+$$" >&0 && exec "$@" </dev/null', "sh")


class Leash:
    """Ties started processes and their directory to the life of this process.

    Args:
        directory: removed at the end, whatever the end is.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        its_end, our_end = os.pipe()
        self._pipe = os.fdopen(our_end, "w")
        self._watchdog = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", watchdog.__file__, str(directory)],
            stdin=its_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # What interrupts this process must not interrupt the watchdog.
            start_new_session=True,
        )
        os.close(its_end)

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: IO[bytes],
        uid: int | None,
        gid: int | None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with this one.

        Args:
            command: program and arguments.
            environment: all its environment variables.
            output: where its standard output and standard error go.
            uid: the user to become; unchanged if ``None``.
            gid: the group to become, without any other; unchanged if ``None``.

        Raises:
            OSError: it cannot be started.
        """
        return subprocess.Popen(  # noqa: S603 - the caller's program, no shell reads its arguments
            [*ANNOUNCED, *command],
            env=environment,
            stdin=self._pipe,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=uid,
            group=gid,
            extra_groups=None if gid is None else [],
            cwd="/",
            # Ctrl-C in this process's terminal is this process's to handle.
            start_new_session=True,
        )

    def untie(self, process: subprocess.Popen[bytes]) -> None:
        """The process has ended by itself; its id may soon be another's."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.write(f"-{process.pid}\n")
            self._pipe.flush()

    def drop(self, processes: Collection[subprocess.Popen[bytes]]) -> None:
        """End the processes and remove the directory: the watchdog sees what a dead launcher shows it."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        if self._watchdog.poll() not in (None, 0):
            for process in processes:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
        self._watchdog.wait()
        watchdog.remove(self._directory)
