"""This process's end of the pipe on which `stack.watchdog` waits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from stack import watchdog
from stack.errors import StartFailed


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

    def tie(self, process: subprocess.Popen[bytes]) -> None:
        """End the process, which leads a process group of its own, when this process ends."""
        self._say(f"+{process.pid}")

    def untie(self, process: subprocess.Popen[bytes]) -> None:
        """The process has ended by itself; its id may soon be another's."""
        self._say(f"-{process.pid}")

    def drop(self, processes: Collection[subprocess.Popen[bytes]]) -> None:
        """End the processes and remove the directory: the watchdog sees what a dead launcher shows it."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        if self._watchdog.poll() not in (None, 0):
            for process in processes:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
        self._watchdog.wait()
        watchdog.remove(self._directory)

    def _say(self, line: str) -> None:
        try:
            self._pipe.write(f"{line}\n")
            self._pipe.flush()
        except OSError as error:
            raise StartFailed(
                "the stack's watchdog",
                got=f"its end ({error})",
                expected="a process that outlives this one",
                next_step="Start again, and do not end it.",
            ) from error
