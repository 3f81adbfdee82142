"""Keep a stack for interactive work: ``signoff-stack up``, ``status`` and ``down``.

The state lies in ``.stack/`` below the project's root. The running stack itself holds a lock there for as
long as it lives, however it ends; so a state without a lock is stale, and a process id is only trusted while
the lock is held.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stack.deployment import Facts, Plan
from stack.errors import StackNotRunning, StackRunning, StartFailed, StopFailed

STOP_SECONDS: Final = 60.0
LOCK: Final = "lock"
STATE: Final = "state.json"
LOG: Final = "serve.log"


@dataclass(frozen=True)
class Running:
    """A stack that is up.

    Attributes:
        pid: the process that keeps it.
        facts: what it said when it was ready.
    """

    pid: int
    facts: Facts


def up(directory: Path, plan: Plan) -> Running:
    """Start a stack that stays when this process and its shell are gone.

    Args:
        directory: the project, or any directory in it.
        plan: what to deploy.

    Raises:
        StackRunning: there is one, or one is being started.
        StartFailed: it did not come up.
    """
    home = _home(directory)
    with _lock(home) as lock:
        if lock is None:
            raise StackRunning(
                str(home),
                got="a stack that runs or is being started",
                expected="none",
                next_step="See `signoff-stack status`; end it with `signoff-stack down`.",
            )
        output, input_ = os.pipe()
        with os.fdopen(output) as lines:
            process = _start(home, plan, lock=lock, output=input_)
            os.close(input_)
            try:
                line = lines.readline()
            except BaseException:
                process.terminate()
                raise
        if not line:
            said = " | ".join((home / LOG).read_text().splitlines()[-10:])
            raise StartFailed(
                "signoff-stack serve",
                got=f"exit status {process.wait()}: {said}",
                expected="one line with its facts",
                next_step=f"All it said is in {home / LOG}.",
            )
        running = Running(process.pid, json.loads(line)["facts"])
        _write_state(home, running)
        return running


def status(directory: Path) -> Running | None:
    """The stack of this project, or ``None`` if there is none."""
    home = _home(directory)
    if not home.is_dir():
        return None
    with _lock(home) as lock:
        if lock is not None:
            (home / STATE).unlink(missing_ok=True)
            return None
    try:
        state = json.loads((home / STATE).read_text())
    except FileNotFoundError:
        # The lock is held, and its holder has not said yet that it is ready.
        return None
    return Running(state["pid"], state["facts"])


def down(directory: Path) -> None:
    """End the stack of this project, and wait until it is gone.

    Raises:
        StackNotRunning: there is none.
        StopFailed: it does not end within 60 s.
    """
    home = _home(directory)
    running = status(directory)
    if running is None:
        raise StackNotRunning(
            str(home),
            got="no stack",
            expected="one that is ready",
            next_step="Start one with `signoff-stack up`.",
        )
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while status(directory) is not None:
        if time.monotonic() > deadline:
            raise StopFailed(
                str(home),
                got=f"process {running.pid} still there after {STOP_SECONDS:.0f} s",
                expected="its end",
                next_step=f"See {home / LOG}; `kill -9 {running.pid}` ends it and its servers.",
            )
        time.sleep(0.02)


def _home(directory: Path) -> Path:
    """``.stack/`` of the project that a directory belongs to."""
    for root in (directory, *directory.parents):
        if (root / "pyproject.toml").is_file():
            return root / ".stack"
    return directory / ".stack"


@contextmanager
def _lock(home: Path) -> Iterator[int | None]:
    """Hold the lock, if nobody else does; closing it leaves it to a process that has inherited it."""
    if not home.is_dir():
        home.mkdir(mode=0o700)
    descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield None
    else:
        yield descriptor
    finally:
        os.close(descriptor)


def _start(home: Path, plan: Plan, *, lock: int, output: int) -> subprocess.Popen[bytes]:
    with (home / LOG).open("w") as log:
        return subprocess.Popen(  # noqa: S603 - this package
            [sys.executable, "-m", "stack", "serve", "--detached", *plan.options()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
        )


def _write_state(home: Path, running: Running) -> None:
    partial = home / f"{STATE}.partial"
    partial.write_text(json.dumps({"pid": running.pid, "facts": running.facts}))
    partial.replace(home / STATE)
