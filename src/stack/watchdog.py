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
ESCALATION = ((signal.SIGINT, 3.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 3.0))
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
    """Stop the process groups, then remove the directory."""
    left = set(groups)
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


def _signalled(groups: Iterable[int], number: int) -> set[int]:
    """Signal the groups and return those that still run."""
    running = set()
    for group in groups:
        # Permission is denied for a zombie (macOS) or for a stranger that got the number of one of ours.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            if not _is_zombie(group):
                running.add(group)
    return running


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and waits for its parent, which may take a second in a container."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


if __name__ == "__main__":
    # What ends the launcher may be sent to everything around it: this process must be the last to go.
    for deaf in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(deaf, signal.SIG_IGN)
    end(watch(sys.stdin), Path(sys.argv[1]))
