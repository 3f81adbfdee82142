"""The machine that a component runs on, observed through a fixed set of reading commands.

The commands are those of POSIX and of Debian's coreutils. They run on this machine, or behind a prefix such
as ``ssh db1``. Nothing that a test passes becomes an option: every path must be absolute.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from signoff.errors import (
    AuthenticationFailed,
    ComponentNotConfigured,
    HandleError,
    Inconclusive,
    MissingObject,
    PermissionDenied,
    SignoffError,
    UnexpectedAnswer,
    Unreachable,
)
from signoff.handles import processes
from signoff.handles.observation import Asked, Observe, Redact, unredacted

TEXT_BYTES: Final = 1_048_576
"""The largest file that is read as text, and the part of a log that is read without a position."""

LOG_BYTES: Final = 64 * 1_048_576
"""The most of a log that is read from a position on."""

_SSH_FAILED: Final = 255
"""Exit status with which ssh says that it, and not the remote command, failed."""

_DF_LINE: Final = re.compile(r"(?P<device>.+?)\s+(\d+|-)\s+(\d+|-)\s+(-?\d+|-)\s+(\d+%|-)\s+(?P<mount>/.*)")
_MEMORY_LINE: Final = re.compile(r"(\w+(?:\(\w+\))?):\s+(\d+) kB")
_STAT_LINE: Final = re.compile(r"(?P<inode>\d+) (?P<bytes>\d+) (?P<modified>\d+) (?P<path>/.*)")


@dataclass(frozen=True, kw_only=True)
class HostAddress:
    """How a machine is reached.

    Attributes:
        via: program and arguments put in front of each command, ``("ssh", "-o", "BatchMode=yes", "db1")``;
            empty for this machine.
        data_path: directory whose file system holds the data.
        log_path: the component's log file.
        timeout: seconds for one command.
    """

    via: tuple[str, ...] = ()
    data_path: str | None = None
    log_path: str | None = None
    timeout: float = 10.0

    def __str__(self) -> str:
        return shlex.join(self.via) if self.via else "this machine"


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A file system.

    Attributes:
        total_bytes: its size.
        free_bytes: what ordinary users can still write.
        free_percent: ``free_bytes`` in percent of used and free together, as ``df`` counts.
        inodes_free_percent: free inodes in percent; 100 where their number is not limited.
    """

    total_bytes: int
    free_bytes: int
    free_percent: float
    inodes_free_percent: float


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Main memory, as Linux counts it.

    Attributes:
        total_bytes: all of it.
        available_bytes: what programs can have without swapping.
        used_percent: what is not available, in percent.
    """

    total_bytes: int
    available_bytes: int
    used_percent: float


@dataclass(frozen=True, kw_only=True)
class LogPosition:
    """A place in a log file.

    Attributes:
        path: the file.
        inode: tells whether it is still the same file.
        offset: bytes before the place.
    """

    path: str
    inode: int
    offset: int


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """A file.

    Attributes:
        name: without its directory.
        path: with it.
        bytes: its size.
        age_seconds: time since its last change, by the clock of its machine.
    """

    name: str
    path: str
    bytes: int
    age_seconds: int


class Host:
    """A machine, observed; the same under every access.

    Args:
        address: how it is reached.
        component: what evidence calls it, for instance ``codex_memory.host``.
        observe: takes the evidence of every command.
        redact: removes secrets.
    """

    def __init__(
        self, address: HostAddress, *, component: str, observe: Observe, redact: Redact = unredacted
    ) -> None:
        self.address = address
        self._component = component
        self._source = f"{component} ({address})"
        self._observe = observe
        self._redact = redact

    def disk(self, path: str | None = None) -> Disk:
        """The file system that holds a path; by default the profile's ``data_path``.

        Raises:
            ComponentNotConfigured: no path is given and the profile has none.
            HandleError: the machine does not answer as it should.
        """
        path = self._absolute(path or self._configured("data_path", self.address.data_path))
        total, used, free = self._df("-k", path)
        # Apple's df counts no inodes in its portable form, and its file systems have no fixed number of them.
        inodes, _, inodes_free = (0, 0, 0) if self._is_mac else self._df("-i", path)
        if not total or used + free <= 0:
            raise self._unexpected(f"df of {path}", f"a file system of {total} KiB")
        return Disk(
            total_bytes=total * 1024,
            free_bytes=free * 1024,
            free_percent=100.0 * free / (used + free),
            inodes_free_percent=100.0 * inodes_free / inodes if inodes else 100.0,
        )

    def memory(self) -> Memory:
        """Main memory; read from ``/proc/meminfo``, so on Linux only.

        Raises:
            MissingObject: the machine does not run Linux.
            HandleError: it does not answer as it should.
        """
        text = self._text(["cat", "/proc/meminfo"])
        fields = dict(_MEMORY_LINE.findall(text))
        try:
            total, available = int(fields["MemTotal"]) * 1024, int(fields["MemAvailable"]) * 1024
        except KeyError as exc:
            raise self._unexpected("/proc/meminfo", f"no line {exc.args[0]}") from exc
        return Memory(
            total_bytes=total, available_bytes=available, used_percent=100.0 * (total - available) / total
        )

    def log_position(self) -> LogPosition:
        """The end of the log as it is now; later lines are those `log_lines` returns since here."""
        path = self._absolute(self._configured("log_path", self.address.log_path))
        match = self._stat(path)
        return LogPosition(path=path, inode=int(match["inode"]), offset=int(match["bytes"]))

    def log_lines(self, since: LogPosition | None = None, pattern: str | None = None) -> list[str]:
        """Complete lines of the log.

        Args:
            since: where to begin; by default 1 MiB before the end.
            pattern: regular expression that a line must match somewhere.

        Raises:
            Inconclusive: the log was rotated or cut since the position, so lines may be missing.
            UnexpectedAnswer: more than 64 MiB since the position.
        """
        if since is None:
            here = self.log_position()
            start = max(0, here.offset - TEXT_BYTES)
            path = here.path
        else:
            path, start = since.path, since.offset
            self._check_same_file(since)
        command = ["tail", "-c", f"+{start + 1}", path]
        asked = self._asked(command)
        text = self._run(asked, command, limit=LOG_BYTES)
        lines = text.split("\n")[:-1]
        if since is None and start:
            # The first one begins somewhere in its middle.
            lines = lines[1:]
        found = [line for line in lines if pattern is None or re.search(pattern, line)]
        about = f"matching {pattern!r}" if pattern else "in all"
        self._observe(
            asked.answered("\n".join([*found, f"({len(found):,} of {len(lines):,} lines {about})"]))
        )
        return found

    def read_text(self, path: str) -> str:
        """A text file of at most 1 MiB.

        Raises:
            MissingObject, PermissionDenied: it is not there, or not readable.
            UnexpectedAnswer: it is larger, or not UTF-8.
        """
        return self._text(["cat", self._absolute(path)])

    def list(self, path: str) -> Sequence[FileInfo]:
        """The regular files directly in a directory, by name.

        Raises:
            MissingObject, PermissionDenied: it is not there, or not readable.
        """
        path = self._absolute(path)
        # The slash makes find refuse what is not a directory.
        find = ["find", "-L", f"{path.rstrip('/')}/", "-mindepth", "1", "-maxdepth", "1", "-type", "f"]
        text = self._text([*find, "-exec", *self._stat_command, "{}", "+"])
        now = self._text(["date", "-u", "+%s"]).strip()
        if not now.isdigit():
            raise self._unexpected("date", now)
        return sorted(
            (
                FileInfo(
                    name=PurePosixPath(match["path"]).name,
                    path=match["path"],
                    bytes=int(match["bytes"]),
                    age_seconds=int(now) - int(match["modified"]),
                )
                for match in self._stat_lines(text)
            ),
            key=lambda file: file.name,
        )

    def _df(self, unit: str, path: str) -> tuple[int, int, int]:
        lines = self._text(["df", "-P", unit, path]).splitlines()
        match = _DF_LINE.fullmatch(lines[-1]) if len(lines) == 2 else None  # noqa: PLR2004 - head and answer
        if match is None:
            raise self._unexpected(f"df of {path}", "\n".join(lines))
        total, used, free = (0 if match[n] == "-" else int(match[n]) for n in (2, 3, 4))
        return total, used, free

    @property
    def _is_mac(self) -> bool:
        return not self.address.via and sys.platform == "darwin"

    @property
    def _stat_command(self) -> Sequence[str]:
        return ["stat", "-L", "-f", "%i %z %m %N"] if self._is_mac else ["stat", "-L", "-c", "%i %s %Y %n"]

    def _stat(self, path: str) -> re.Match[str]:
        return self._stat_lines(self._text([*self._stat_command, path]))[0]

    def _stat_lines(self, text: str) -> Sequence[re.Match[str]]:
        matches = []
        for line in text.splitlines():
            match = _STAT_LINE.fullmatch(line)
            if match is None:
                raise self._unexpected("stat", line)
            matches.append(match)
        return matches

    def _check_same_file(self, since: LogPosition) -> None:
        match = self._stat(since.path)
        if int(match["inode"]) == since.inode and int(match["bytes"]) >= since.offset:
            return
        raise Inconclusive(
            f"{self._source}: {since.path}",
            got="another file than at the position, or a shorter one: the log was rotated",
            expected="the same log file, only longer",
            next_step="Run again, away from the time at which logs are rotated.",
        )

    def _text(self, command: Sequence[str]) -> str:
        asked = self._asked(command)
        text = self._run(asked, command, limit=TEXT_BYTES)
        self._observe(asked.answered(text))
        return text

    def _asked(self, command: Sequence[str]) -> Asked:
        return Asked("command", self._source, shlex.join(command), self._redact)

    def _run(self, asked: Asked, command: Sequence[str], *, limit: int) -> str:
        subject = f"{self._source}: {shlex.join(command)}"
        try:
            captured = processes.capture(
                self._reached(command), subject=subject, timeout=self.address.timeout, limit=limit
            )
            if captured.status != 0:
                raise self._failure(subject, captured)
            return captured.stdout.decode("utf-8")
        except UnicodeDecodeError as exc:
            self._observe(asked.answered("not UTF-8"))
            raise self._unexpected(shlex.join(command), f"text that is not UTF-8 ({exc})") from exc
        except SignoffError as exc:
            self._observe(asked.answered(f"{type(exc).__name__}: {exc.got}"))
            raise

    def _reached(self, command: Sequence[str]) -> Sequence[str]:
        # Figures and messages are read by us, so not in the language of the account.
        command = ["env", "LC_ALL=C", *command]
        if any(PurePosixPath(part).name == "ssh" for part in self.address.via):
            # ssh hands one line to the remote shell.
            return [*self.address.via, shlex.join(command)]
        return [*self.address.via, *command]

    def _failure(self, subject: str, captured: processes.Captured) -> HandleError:
        said = " ".join(captured.stderr.split()) or "nothing on standard error"
        kind: type[HandleError] = UnexpectedAnswer
        if self.address.via and captured.status == _SSH_FAILED:
            kind = AuthenticationFailed if "ermission denied" in said else Unreachable
        elif any(words in said for words in ("No such file", "Not a directory", "not found")):
            kind = MissingObject
        elif "ermission denied" in said:
            kind = PermissionDenied
        return kind(
            subject,
            got=f"exit status {captured.status}: {said}",
            expected="exit status 0",
            next_step="Check the path, the rights of the account, and the host's via in the profile.",
        )

    def _configured(self, key: str, value: str | None) -> str:
        if value is None:
            raise ComponentNotConfigured(
                f"{self._component}.{key}",
                got="nothing about it in the profile",
                expected="an absolute path",
                next_step=f"Add {key} to the host in the profile.",
            )
        return value

    def _absolute(self, path: str) -> str:
        if not path.startswith("/") or "\0" in path or "\n" in path:
            raise MissingObject(
                f"{self._source}: {path!r}",
                got="a path that is not absolute",
                expected="an absolute path",
                next_step="Give the whole path.",
            )
        return path

    def _unexpected(self, what: str, got: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            f"{self._source}: {what}",
            got=got,
            expected="an answer in the known form",
            next_step="Check that the machine runs a supported system: Debian, or Linux with coreutils.",
        )
