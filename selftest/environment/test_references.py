from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

import pytest

from signoff.environment.references import (
    MAX_BYTES,
    CommandReference,
    EnvironmentReference,
    FileReference,
    Reference,
    probe,
    resolve,
)
from signoff.errors import SecretError

CANARY = "correct-horse-battery-staple"
SUBJECT = "environments/prod.toml: systems.codex_memory.postgres.password"


def write(path: Path, content: bytes, mode: int = 0o600) -> FileReference:
    """A file with a mode, and the reference to it."""
    path.write_bytes(content)
    path.chmod(mode)
    return FileReference(str(path))


def python(code: str, timeout: float = 10.0) -> CommandReference:
    """A command that runs Python code."""
    return CommandReference((sys.executable, "-c", code), timeout)


def refusal(reference: Reference) -> str:
    """The message of the refusal, which names the file and key, and never shows the secret."""
    with pytest.raises(SecretError) as error:
        resolve(reference, subject=SUBJECT)
    shown = "".join(
        traceback.TracebackException(
            type(error.value), error.value, error.value.__traceback__, capture_locals=True
        ).format()
    )
    assert CANARY not in shown
    assert str(error.value).startswith(SUBJECT)
    return str(error.value)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_variable_gives_its_value_without_the_line_end(
    monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The secret of a variable is its value; a line end that a CI system appended is not part of it."""
    monkeypatch.setenv("SIGNOFF_SECRET", CANARY + ending)
    secret = resolve(EnvironmentReference("SIGNOFF_SECRET"), subject=SUBJECT)
    assert secret.reveal() == CANARY
    assert secret.origin == "environment variable SIGNOFF_SECRET"


def test_only_one_line_end_is_removed(tmp_path: Path) -> None:
    """Spaces and further line ends belong to the secret."""
    reference = write(tmp_path / "secret", b" secret \n\n")
    assert resolve(reference, subject=SUBJECT).reveal() == " secret \n"


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set is named, and no other variable is shown."""
    monkeypatch.setenv("ANOTHER_SECRET", CANARY)
    assert "SIGNOFF_SECRET, which is not set" in refusal(EnvironmentReference("SIGNOFF_SECRET"))


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_secret_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An empty variable is a mistake of its own and not a password."""
    monkeypatch.setenv("SIGNOFF_SECRET", value)
    assert "an empty secret from environment variable SIGNOFF_SECRET" in refusal(
        EnvironmentReference("SIGNOFF_SECRET")
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    """A file with any permission for group or others is refused, with the command that repairs it."""
    message = refusal(write(tmp_path / "secret", CANARY.encode(), mode))
    assert f"mode {mode:04o}" in message
    assert f"chmod 600 {tmp_path / 'secret'}" in message


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_accepted(tmp_path: Path, mode: int) -> None:
    """Mode 0600 and narrower ones are accepted."""
    reference = write(tmp_path / "secret", CANARY.encode() + b"\n", mode)
    assert resolve(reference, subject=SUBJECT).reveal() == CANARY


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that does not exist is named."""
    assert f"{tmp_path / 'no'}, which cannot be read: No such file" in refusal(
        FileReference(str(tmp_path / "no"))
    )


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory or a named pipe is refused at once; nobody waits for a writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "not a regular file" in refusal(FileReference(str(pipe)))
    assert "not a regular file" in refusal(FileReference(str(tmp_path)))


def test_content_that_cannot_be_a_secret_is_refused(tmp_path: Path) -> None:
    """A file that is too long, not text or holds NUL is refused without showing any of it."""
    assert "more than 65536 bytes" in refusal(write(tmp_path / "long", CANARY.encode() * (MAX_BYTES // 20)))
    assert "not UTF-8" in refusal(write(tmp_path / "bytes", CANARY.encode() + b"\xff"))
    assert "NUL" in refusal(write(tmp_path / "nul", CANARY.encode() + b"\0"))


def test_a_command_gives_what_it_prints() -> None:
    """The secret of a command is its standard output."""
    assert resolve(python(f"print('{CANARY}')"), subject=SUBJECT).reveal() == CANARY


def test_a_command_that_fails_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """A non-zero exit status is refused; what the command printed is shown nowhere."""
    code = f"import sys; s = {CANARY[::-1]!r}[::-1]; print(s); print(s, file=sys.stderr); sys.exit(3)"
    message = refusal(python(code))
    assert "exit status 3" in message
    assert CANARY not in "".join(capfd.readouterr())


def is_running(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    """At its timeout a command and what it started are killed."""
    code = f"""if True:
        import os, time
        child = os.fork()
        if child:
            open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child}}")
        time.sleep(600)
    """
    assert "did not end within 1 s" in refusal(python(code, timeout=1))
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def test_a_command_that_closes_its_output_and_goes_on_is_killed() -> None:
    """The timeout holds for the whole command, not for its output alone."""
    assert "did not end within 0.5 s" in refusal(python("import os, time; os.close(1); time.sleep(600)", 0.5))


def test_a_command_that_prints_for_ever_is_ended() -> None:
    """Output is read up to the bound, not into memory without end."""
    assert "more than 65536 bytes" in refusal(python("while True: print('x' * 1000)"))


def test_a_command_that_is_not_installed_is_named() -> None:
    """A program that does not exist is named, also when it is only looked up."""
    reference = CommandReference(("no-such-vault", "show", "monitor"))
    assert "command no-such-vault, which is not installed" in refusal(reference)
    with pytest.raises(SecretError, match="not installed"):
        probe(reference, subject=SUBJECT)


def test_a_command_gets_no_input() -> None:
    """A command that would ask a question finds its input at the end instead of hanging."""
    assert "empty secret" in refusal(python("import sys; print(sys.stdin.read())"))


def test_probing_runs_no_command(tmp_path: Path) -> None:
    """Looking at a profile does not run its commands, which may ask a server or a person."""
    mark = tmp_path / "ran"
    reference = CommandReference((sys.executable, "-c", f"open({str(mark)!r}, 'w')"))
    probe(reference, subject=SUBJECT)
    assert not mark.exists()
