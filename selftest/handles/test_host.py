"""Hosts: observed through reading commands, here and behind ssh."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from signoff.errors import (
    AuthenticationFailed,
    ComponentNotConfigured,
    HandleError,
    Inconclusive,
    MissingObject,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from signoff.handles.host import Host, HostAddress

if TYPE_CHECKING:
    from signoff.record import Evidence

Reach = Callable[..., Host]


@pytest.fixture(params=["here", "ssh", "prefix"])
def via(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Three ways to a machine: directly, through something that does as ssh does, through a plain prefix."""
    if request.param == "ssh":
        # ssh joins its arguments with blanks and lets the remote shell take them apart.
        return _script(tmp_path / "bin" / "ssh", 'shift; exec sh -c "$*"'), "db1"
    return ("env", "-u", "NOTHING") if request.param == "prefix" else ()


@pytest.fixture
def reach(evidence: list[Evidence], tmp_path: Path) -> Reach:
    """Makes a handle whose log is ``log file``, a name with a blank in it."""

    def reached(via: tuple[str, ...] = (), **address: object) -> Host:
        facts = {"data_path": str(tmp_path), "log_path": str(tmp_path / "log file"), **address}
        return Host(HostAddress(via=via, **facts), component="shop.host", observe=evidence.append)  # type: ignore[arg-type]

    return reached


def test_disk(reach: Reach, via: tuple[str, ...], tmp_path: Path, evidence: list[Evidence]) -> None:
    """The file system of the data is the one that the operating system describes."""
    disk = reach(via).disk()
    facts = os.statvfs(tmp_path)
    assert disk.total_bytes == pytest.approx(facts.f_blocks * facts.f_frsize, rel=0.01)
    assert 0 < disk.free_bytes < disk.total_bytes
    assert 0 < disk.free_percent < 100
    assert 0 < disk.inodes_free_percent <= 100
    assert reach(via).disk("/").total_bytes > 0
    assert evidence[0].kind == "command"
    assert evidence[0].asked == f"df -P -k {tmp_path}"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux's /proc")
def test_memory(reach: Reach, via: tuple[str, ...]) -> None:
    """Memory is that of the machine, and used and available make the whole."""
    memory = reach(via).memory()
    assert memory.total_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.used_percent == pytest.approx(100 * (1 - memory.available_bytes / memory.total_bytes))


def test_log_lines_since_a_position(reach: Reach, via: tuple[str, ...], tmp_path: Path) -> None:
    """Only complete lines written since the position are returned, those that match if asked."""
    log = tmp_path / "log file"
    log.write_text("old ERROR\n")
    host = reach(via)
    position = host.log_position()
    with log.open("a") as file:
        file.write("new ERROR\nnew größe\nunfinished ERROR")
    assert host.log_lines(position) == ["new ERROR", "new größe"]
    assert host.log_lines(position, pattern="ERROR$") == ["new ERROR"]
    assert host.log_lines(pattern="ERROR") == ["old ERROR", "new ERROR"]


def test_of_a_long_log_the_end_is_read(reach: Reach, tmp_path: Path) -> None:
    """Without a position the last MiB is read, from the first complete line on."""
    (tmp_path / "log file").write_text("".join(f"line {n:07}\n" for n in range(100_000)))
    lines = reach().log_lines()
    assert lines[-1] == "line 0099999"
    assert 1_048_576 // 13 - 2 <= len(lines) <= 1_048_576 // 13
    assert all(len(line) == 12 for line in lines)


@pytest.mark.parametrize("rotate", ["renamed", "cut"])
def test_a_rotated_log_is_inconclusive(reach: Reach, tmp_path: Path, rotate: str) -> None:
    """When the log was rotated since the position, nothing is said about the lines in between."""
    log = tmp_path / "log file"
    log.write_text("a line\n")
    host = reach()
    position = host.log_position()
    if rotate == "renamed":
        log.rename(tmp_path / "log file.1")
        log.write_text("another line, longer than before\n")
    else:
        log.write_text("")
    with pytest.raises(Inconclusive, match="rotated"):
        host.log_lines(position)


def test_files_of_a_directory(reach: Reach, via: tuple[str, ...], tmp_path: Path) -> None:
    """Regular files are listed by name, with size and age; directories are not."""
    directory = tmp_path / "$(backups) 'x'"
    (directory / "sub").mkdir(parents=True)
    (directory / "b.gz").write_bytes(b"12345")
    (directory / "a b.gz").write_bytes(b"")
    os.utime(directory / "b.gz", (0, 3600))
    first, second = reach(via).list(str(directory))
    assert (first.name, first.bytes) == ("a b.gz", 0)
    assert 0 <= first.age_seconds < 3600
    assert (second.name, second.path, second.bytes) == ("b.gz", str(directory / "b.gz"), 5)
    assert second.age_seconds > 10**9
    assert reach(via).list(str(directory / "sub")) == []


def test_text_of_a_file(reach: Reach, via: tuple[str, ...], tmp_path: Path) -> None:
    """A file is read as text, whatever its name has in it."""
    path = tmp_path / "$HOME; echo 'x'"
    path.write_text("größe\n")
    assert reach(via).read_text(str(path)) == "größe\n"


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        pytest.param(lambda host: host.read_text("/no/such/file"), MissingObject, id="missing file"),
        pytest.param(lambda host: host.list("/no/such/directory"), MissingObject, id="missing directory"),
        pytest.param(lambda host: host.list("/etc/passwd"), MissingObject, id="a file as a directory"),
        pytest.param(lambda host: host.disk("/no/such/path"), MissingObject, id="missing path"),
        pytest.param(lambda host: host.log_position(), MissingObject, id="missing log"),
        pytest.param(lambda host: host.read_text("relative"), MissingObject, id="relative path"),
        pytest.param(lambda host: host.read_text("--help"), MissingObject, id="an option as a path"),
        pytest.param(lambda host: host.read_text("/dev/zero"), UnexpectedAnswer, id="endless file"),
        pytest.param(lambda host: host.read_text(sys.executable), UnexpectedAnswer, id="not a text"),
    ],
)
def test_what_cannot_be_read(
    reach: Reach, via: tuple[str, ...], ask: Callable[[Host], object], kind: type[HandleError]
) -> None:
    """What is not there or not readable as asked is an error that says so."""
    with pytest.raises(kind):
        ask(reach(via))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("echo 'ssh: connect to host db1 port 22: Connection refused' >&2; exit 255", Unreachable),
        ("echo 'user@db1: Permission denied (publickey).' >&2; exit 255", AuthenticationFailed),
        ("echo 'df: weird' >&2; exit 1", UnexpectedAnswer),
        ("echo 'not what df says'", UnexpectedAnswer),
        ("sleep 600", TimedOut),
    ],
)
def test_machines_that_do_not_answer(
    reach: Reach, tmp_path: Path, evidence: list[Evidence], script: str, kind: type[HandleError]
) -> None:
    """A machine that is not reached, or answers something else, is an error in bounded time."""
    host = reach((_script(tmp_path / "bin" / "ssh", script), "db1"), timeout=0.5)
    with pytest.raises(kind):
        host.disk()
    assert evidence


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here; install openssh-client")
def test_a_real_ssh_that_finds_nobody(reach: Reach) -> None:
    """Ssh to a port where nobody listens is unreachable."""
    with pytest.raises(Unreachable, match="refused"):
        reach(("ssh", "-o", "BatchMode=yes", "-p", "1", "127.0.0.1")).disk()


def test_what_the_profile_does_not_say(reach: Reach) -> None:
    """Without a path in the profile there is nothing to look at."""
    with pytest.raises(ComponentNotConfigured, match="data_path"):
        reach(data_path=None).disk()
    with pytest.raises(ComponentNotConfigured, match="log_path"):
        reach(log_path=None).log_position()


def _script(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)
