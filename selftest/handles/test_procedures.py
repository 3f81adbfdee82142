"""Procedures: run as declared, judged by what they print, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from signoff.errors import (
    ComponentAbsent,
    ComponentNotConfigured,
    MissingObject,
    PermissionDenied,
    ProcedureRefused,
    TimedOut,
)
from signoff.handles.procedures import AbsentProcedure, Procedures, ProcedureSpec
from signoff.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signoff.record import Access, Evidence

Declare = Callable[..., Procedures]


@pytest.fixture
def declare(evidence: list[Evidence], tmp_path: Path) -> Iterator[Declare]:
    """Declares one procedure, a Python program, and ends what it left running."""
    made: list[Procedures] = []

    def declared(program: str = "", access: Access = "destructive", **spec: Any) -> Procedures:
        command = spec.pop("command", (sys.executable, "-c", program))
        procedures = Procedures(
            {
                "migrate": ProcedureSpec(command=command, **spec),
                "elsewhere": AbsentProcedure(reason="there is no elsewhere"),
            },
            access=access,
            component="shop.procedures",
            observe=evidence.append,
            redact=lambda text: text.replace("hunter2", "[redacted]"),
            directory=tmp_path,
        )
        made.append(procedures)
        return procedures

    yield declared
    for procedures in made:
        procedures.close()


def test_a_procedure_runs_to_its_end(declare: Declare, evidence: list[Evidence], tmp_path: Path) -> None:
    """Exit status, output and time are returned, and are evidence."""
    outcome = declare("import os; print(os.getcwd()); raise SystemExit(3)").run("migrate")
    assert outcome.exit_status == 3
    assert outcome.output == str(tmp_path)
    assert outcome.error_lines == []
    assert outcome.seconds > 0
    assert evidence[-1].kind == "procedure"
    assert evidence[-1].source == "shop.procedures.migrate"
    assert evidence[-1].answer.splitlines() == [str(tmp_path), "exit status 3"]


def test_output_and_errors_come_in_order(declare: Declare) -> None:
    """Standard output and standard error are one stream, in the order in which they were written."""
    program = "import os\nfor n in range(6): os.write(1 + n % 2, b'line %d\\n' % n)"
    assert declare(program).run("migrate").output.split("\n") == [f"line {n}" for n in range(6)]


@pytest.mark.parametrize(
    ("line", "means_failure"),
    [
        ("psql:migration.sql:4: ERROR:  relation does not exist", True),
        ("FATAL:  the database system is shutting down", True),
        ("PANIC:  could not write", True),
        ("WARNING:  nothing to do", False),
        ("0 errors", False),
    ],
)
def test_printed_errors_mean_failure(declare: Declare, line: str, means_failure: bool) -> None:
    """A procedure that prints an error and exits with 0 shows the line that says so."""
    outcome = declare(f"print({line!r}); print('done')").run("migrate")
    assert outcome.exit_status == 0
    assert outcome.error_lines == ([line] if means_failure else [])


def test_the_profile_says_what_an_error_looks_like(declare: Declare) -> None:
    """The pattern for errors is the profile's."""
    outcome = declare("print('ERROR: no'); print('failed: 1')", error_pattern=r"^failed: [1-9]").run(
        "migrate"
    )
    assert outcome.error_lines == ["failed: 1"]


def test_errors_are_seen_in_the_middle_of_a_long_output(declare: Declare, evidence: list[Evidence]) -> None:
    """Of a long output the beginning and the end are kept, and every error line."""
    program = "for n in range(9000): print('ERROR: x' if n == 4500 else n)"
    outcome = declare(program).run("migrate")
    lines = outcome.output.split("\n")
    assert (lines[0], lines[-1]) == ("0", "8999")
    assert "… 7,000 lines left out …" in lines
    assert outcome.error_lines == ["ERROR: x"]
    assert "8,982 lines left out" in evidence[-1].answer
    assert evidence[-1].truncated


def test_secrets_travel_in_the_environment_only(declare: Declare, evidence: list[Evidence]) -> None:
    """A secret reaches the program through its environment, and is nowhere in output or evidence."""
    procedures = declare(
        "import os; print('password', os.environ['PASSWORD'], len(os.environ['PASSWORD']))",
        environment={"PASSWORD": Secret("hunter2", origin="the test")},
    )
    assert procedures.run("migrate").output == "password [redacted] 7"
    assert "hunter2" not in str(evidence)


def test_the_environment_is_minimal(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secrets of our own environment nor its PG* settings reach a procedure."""
    monkeypatch.setenv("PGHOST", "production")
    monkeypatch.setenv("TOKEN", "hunter2")
    program = "import os; print('PGHOST' in os.environ, 'TOKEN' in os.environ, 'PATH' in os.environ)"
    assert declare(program).run("migrate").output == "False False True"


def test_there_is_no_shell(declare: Declare) -> None:
    """Arguments arrive as they are, whatever a shell would make of them."""
    command = (sys.executable, "-c", "import sys; print(sys.argv[1:])", "$HOME; rm -rf *", "a b")
    assert declare(command=command).run("migrate").output == "['$HOME; rm -rf *', 'a b']"


def test_nothing_is_read_from_the_terminal(declare: Declare) -> None:
    """A procedure that asks for input gets none, instead of waiting for it."""
    outcome = declare("input()").run("migrate")
    assert outcome.exit_status == 1
    assert "EOFError" in outcome.output


def test_a_procedure_that_takes_too_long_is_ended_with_its_children(
    declare: Declare, evidence: list[Evidence], tmp_path: Path
) -> None:
    """After its timeout a procedure is ended, and so is everything that it started."""
    program = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "open('pids', 'a').write(f'{os.getpid()}\\n')\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(TimedOut, match="no end of the procedure migrate"):
        declare(program, timeout=0.5).run("migrate")
    assert evidence[-1].answer.startswith("started")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    while any(map(_is_alive, pids)):
        threading.Event().wait(0.01)


def test_a_procedure_in_the_background(declare: Declare) -> None:
    """A procedure can be started, watched, and waited for."""
    running = declare("import time; print('working', flush=True); time.sleep(0.3); print('done')").start(
        "migrate"
    )
    while running.output() != "working":
        assert running.is_running
    outcome = running.wait()
    assert outcome.output == "working\ndone"
    assert not running.is_running


def test_a_procedure_is_killed_as_in_a_crash(declare: Declare) -> None:
    """Killing leaves no chance to clean up, and the outcome says which signal ended it."""
    program = "import time\ntry: print('working', flush=True); time.sleep(600)\nfinally: print('cleaned up')"
    running = declare(program).start("migrate")
    while running.output() != "working":
        assert running.is_running
    outcome = running.kill()
    assert outcome.exit_status == -signal.SIGKILL
    assert outcome.output == "working"


def test_what_still_runs_is_ended_at_the_end(declare: Declare) -> None:
    """Closing ends what a test left running."""
    procedures = declare("import time; time.sleep(600)")
    running = procedures.start("migrate")
    procedures.close()
    assert not running.is_running


def test_a_daemon_does_not_hold_us_up(declare: Declare, tmp_path: Path) -> None:
    """A procedure has ended when its program has, even if a daemon holds its output open."""
    program = (
        "import os, time\n"
        "print('started', flush=True)\n"
        "pid = os.fork()\n"
        "if pid: open('pid', 'w').write(str(pid))\n"
        "else: os.setsid(); time.sleep(600)\n"
    )
    assert declare(program).run("migrate").output == "started"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_procedures_are_refused_under_read_only(declare: Declare, tmp_path: Path) -> None:
    """Under read_only no procedure starts."""
    with pytest.raises(ProcedureRefused, match="destructive"):
        declare("open('ran', 'w')", access="read_only").run("migrate")
    assert not (tmp_path / "ran").exists()


def test_unknown_and_absent_procedures(declare: Declare) -> None:
    """A procedure that the profile does not describe, and one that it declares absent, are told apart."""
    procedures = declare()
    with pytest.raises(ComponentNotConfigured, match="Did you mean migrate"):
        procedures.run("migrat")
    with pytest.raises(ComponentAbsent, match="there is no elsewhere"):
        procedures.run("elsewhere")


def test_programs_that_cannot_start(declare: Declare, tmp_path: Path, evidence: list[Evidence]) -> None:
    """A program that is not there or may not be run is an error, with evidence."""
    with pytest.raises(MissingObject):
        declare(command=("no-such-program",)).run("migrate")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(PermissionDenied):
        declare(command=(str(script),)).run("migrate")
    assert evidence[-1].answer.startswith("PermissionDenied")


def test_output_that_is_no_text(declare: Declare) -> None:
    """Bytes that are no text, and lines without an end, do not stop a procedure from being recorded."""
    program = "import sys; sys.stdout.buffer.write(b'\\xff\\n' + b'x' * 40000)"
    lines = declare(program).run("migrate").output.split("\n")
    assert lines[0] == "\ufffd"
    assert sum(map(len, lines[1:])) == 40_000


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that was killed but that nobody has waited for yet still has an id.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_waiting_is_interrupted_by_the_user(declare: Declare) -> None:
    """Ctrl-C while waiting ends the procedure too."""
    running = declare("import time; time.sleep(600)").start("migrate")
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        running.wait()
    assert not running.is_running
