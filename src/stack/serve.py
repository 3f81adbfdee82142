"""``signoff-stack serve``: a stack that lasts as long as somebody holds its standard input open."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import NoReturn

from stack import codex_memory
from stack.deployment import Plan, deploy
from stack.postgres import Cluster

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(plan: Plan, *, detached: bool) -> NoReturn:
    """Start a stack, print one line of JSON with its facts when it is ready, and stay until told to end.

    The end is SIGTERM, SIGINT or SIGHUP, or the end of file on standard input, at any time: also while the
    stack is still being filled. Then servers and files are removed.

    Args:
        plan: what to deploy.
        detached: do not end with standard input.

    Raises:
        SystemExit: with 0, when told to end.
        StackError: the stack did not come up.
    """
    for number in ENDING_SIGNALS:
        signal.signal(number, _end)
    # libpq would take from these what the caller means for other servers, PGSSLMODE for instance.
    for name in [name for name in os.environ if name.startswith("PG") and name != "PG_BIN"]:
        del os.environ[name]
    if not detached:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    # The cluster is left first: when it stops, work that is still going on in the threads fails and ends.
    with (
        ThreadPoolExecutor(max_workers=2) as workers,
        Cluster(settings=codex_memory.SERVER_SETTINGS, expected_bytes=plan.expected_bytes) as cluster,
    ):
        facts = deploy(cluster, plan, workers)
        print(json.dumps({"facts": facts}), flush=True)  # noqa: T201 - the protocol
        while True:
            signal.pause()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _end_with_standard_input() -> None:
    # Not sys.stdin: a thread that waits in its buffer would hold a lock that the interpreter needs to end.
    # An error means that there is no standard input at all.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
