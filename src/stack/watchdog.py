"""End what a launcher started and remove its directory, as soon as the launcher is gone.

The launcher starts this file as a process of its own, before any server, and holds the other end of its
standard input. On it come lines: ``+PID`` for a process group that was started, ``-PID`` for one that has
ended. End of file means that the launcher has stopped or died, SIGKILL included: the kernel closes its end of
the pipe in every case. So this is also how a launcher stops, and there is one way to end a cluster, not two.

Only the standard library is imported: the file runs without site-packages and is up in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

# Fast shutdown, immediate shutdown, and for what does not listen: seconds granted to each.
ESCALATION = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))
REMOVAL_SECONDS = 3.0
PAUSE = 0.005


def watch(lines: Iterable[str]) -> set[int]:
    """Follow the launcher until it is gone, and return the process groups that are left."""
    groups: set[int] = set()
    for line in lines:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    return groups


def end(groups: Iterable[int], directory: Path) -> None:
    """Stop the process groups and every server whose data lie in the directory, then remove it."""
    left = set(groups) | _servers(directory)
    for number, patience in ESCALATION:
        left = _signalled(left, number)
        deadline = time.monotonic() + patience
        while left and time.monotonic() < deadline:
            time.sleep(PAUSE)
            left = _signalled(left, 0)
    remove(directory)


def remove(directory: Path) -> None:
    """Remove a directory in which something may still be about to write."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(PAUSE)


def _servers(directory: Path) -> set[int]:
    """Postmasters that the launcher could not announce because it died right after it started them."""
    pids = set()
    for lock_file in directory.glob("*/postmaster.pid"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            pids.add(int(lock_file.read_text().split()[0]))
    return pids


def _signalled(groups: Iterable[int], number: int) -> set[int]:
    """Signal the groups and return those that still exist."""
    present = set()
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
            present.add(group)
    return present


if __name__ == "__main__":
    # What ends the launcher may be sent to everything around it: this process must be the last to go.
    for deaf in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deaf, signal.SIG_IGN)
    end(watch(sys.stdin), Path(sys.argv[1]))
