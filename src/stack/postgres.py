"""Launch a throw-away PostgreSQL: a primary and, if wanted, a streaming standby, on free loopback ports.

Nothing of it survives its launcher: see `stack.watchdog`. Every start begins with ``initdb``, so every
cluster has a system identifier of its own, and two can be started at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from stack import binaries
from stack.binaries import Installation
from stack.credentials import create_role, write_secret
from stack.errors import StartFailed
from stack.identity import settle
from stack.leash import Leash

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
REPLICATION_ROLE: Final = "replicator"
REPLICATION_SLOT: Final = "standby"

START_SECONDS: Final = 60.0
PORT_ATTEMPTS: Final = 20

# Where postmaster.pid tells what the server is doing, counted from 0.
STATE_LINE: Final = 7

# Linux keeps this file system in memory. A container's default of 64 MB is too small, and is then not used.
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the cluster gets a directory of its own in it

INITDB_OPTIONS: Final = (
    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
    # Small segments keep two fresh servers small.
    *("--wal-segsize", "1", "--no-sync"),
)

# Durability of a directory that is removed at the end is nobody's concern.
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "hot_standby": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %e %q%u@%d/%a ",
}

HBA: Final = f"""\
# TYPE  DATABASE     USER                ADDRESS       METHOD
host    replication  {REPLICATION_ROLE}  {HOST}/32     scram-sha-256
host    all          {REPLICATION_ROLE}  {HOST}/32     reject
host    all          all                 {HOST}/32     scram-sha-256
"""


class Cluster:
    """A PostgreSQL primary and its streaming standby; a context manager that starts and stops them.

    Args:
        installation: the programs; the first that is found if not given.
        settings: server settings added to `SETTINGS`, written to ``postgresql.conf`` of both servers.
        standby: whether to start a standby.
        expected_bytes: about how much the databases will hold; decides whether they can lie in memory.

    Attributes:
        directory: holds data, logs and whatever belongs to this cluster; removed by `stop`.
        host: the address of both servers.
        port: the port of the primary, once started.
        replica_port: the port of the standby, once started.
        superuser: the name of the superuser.
        password: the superuser's password.
    """

    def __init__(
        self,
        installation: Installation | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        standby: bool = True,
        expected_bytes: int = 64 << 20,
    ) -> None:
        self.installation, self._identity = settle(installation or binaries.find())
        self.host = HOST
        self.superuser = SUPERUSER
        self.password = secrets.token_urlsafe(24)
        self.port = 0
        self.replica_port = 0
        # As much log as data, not the default, which for small segments is 64 MB and for large ones 1 GB.
        log_megabytes = max(128, expected_bytes >> 20)
        self._settings = {**SETTINGS, "max_wal_size": f"{log_megabytes}MB", **(settings or {})}
        self._with_standby = standby
        self.directory = Path(tempfile.mkdtemp(prefix="signoff-postgres-", dir=_place(expected_bytes)))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._leash = Leash(self.directory)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def data_directory(self) -> Path:
        """The data directory of the primary."""
        return self.directory / "primary"

    @property
    def log(self) -> Path:
        """The server log of the primary."""
        return self.directory / "primary.log"

    def conninfo(
        self,
        database: str = "postgres",
        *,
        replica: bool = False,
        user: str | None = None,
        password: str | None = None,
    ) -> str:
        """A connection string; the superuser's if no other user is named."""
        parts = {
            "host": self.host,
            "port": self.replica_port if replica else self.port,
            "dbname": database,
            "user": user or self.superuser,
            "password": password or self.password,
            "connect_timeout": 10,
        }
        return " ".join(f"{name}={_quoted(str(part))}" for name, part in parts.items())

    def start(self) -> None:
        """Create and start the servers; returns when both accept connections.

        Raises:
            StartFailed: a server did not come up; the message carries the end of its log.
        """
        try:
            self._identity.admit(self.directory)
            self._initialise()
            if self._with_standby:
                self._copy_to_standby()
            self.port = self._launch("primary")
            if self._with_standby:
                self._admit_standby()
                self.replica_port = self._launch("standby")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the servers and remove the directory; again is harmless."""
        self._leash.drop(self._processes.values())

    def wait_for_standby(self) -> None:
        """Wait until the standby has replayed all that the primary had written when this was called.

        Raises:
            StartFailed: it does not get there within 60 s.
        """
        import psycopg  # noqa: PLC0415 - a third of a second, spent while the servers come up

        with (
            psycopg.connect(self.conninfo(), autocommit=True) as primary,
            psycopg.connect(self.conninfo(replica=True), autocommit=True) as standby,
        ):
            written = primary.execute("select pg_current_wal_lsn()").fetchone()
            deadline = time.monotonic() + START_SECONDS
            while standby.execute("select pg_last_wal_replay_lsn() >= %s", written).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise self._failure("standby", f"no replay up to {written} within {START_SECONDS:.0f} s")
                time.sleep(0.01)

    def _initialise(self) -> None:
        password_file = self.directory / "superuser.pwfile"
        self._write_secret(password_file, self.password)
        data = self._create_directory("primary")
        self._start(
            "initdb",
            *(self.installation.program("initdb"), *INITDB_OPTIONS),
            *("--username", SUPERUSER, "--pwfile", str(password_file), "--pgdata", str(data)),
        )
        # A third of a second, on another core than initdb.
        import psycopg  # noqa: F401, PLC0415

        self._finish("initdb")
        password_file.unlink()
        (data / "pg_hba.conf").write_text(HBA)
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(_assignment(name, value) for name, value in self._settings.items())

    def _copy_to_standby(self) -> None:
        # The primary has never run: its files are consistent, and a copy is a base backup.
        copy = self._create_directory("standby")
        self._run("copy", "cp", "-Rp", f"{self.data_directory}/.", str(copy))

    def _admit_standby(self) -> None:
        """Create role and slot for the standby, and tell it where to stream from."""
        import psycopg  # noqa: PLC0415 - as in `wait_for_standby`

        password = secrets.token_urlsafe(24)
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            create_role(connection, REPLICATION_ROLE, password, "replication")
            connection.execute("select pg_create_physical_replication_slot(%s, true)", [REPLICATION_SLOT])
        # A password inside primary_conninfo could be read by every member of pg_read_all_settings.
        password_file = self.directory / "standby.pgpass"
        self._write_secret(password_file, f"{HOST}:{self.port}:*:{REPLICATION_ROLE}:{password}\n")
        source = (
            f"host={HOST} port={self.port} user={REPLICATION_ROLE} passfile='{password_file}' "
            f"application_name={REPLICATION_SLOT}"
        )
        data = self.directory / "standby"
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(_assignment("primary_conninfo", source))
            configuration.write(_assignment("primary_slot_name", REPLICATION_SLOT))
        signal_file = data / "standby.signal"
        signal_file.touch()
        self._identity.give(signal_file)

    def _launch(self, name: str) -> int:
        """Start one server and return its port; another port is tried when somebody else has taken it."""
        data, log = self.directory / name, self.directory / f"{name}.log"
        for _attempt in range(PORT_ATTEMPTS):
            port = free_port()
            begin = log.stat().st_size if log.exists() else 0
            process = self._start(
                name, self.installation.program("postgres"), "-D", str(data), "-p", str(port)
            )
            if self._is_ready(process, data):
                return port
            self._ended(name)
            with log.open("rb") as written:
                written.seek(begin)
                if b"Address already in use" not in written.read():
                    raise self._failure(name, f"exit status {process.returncode}")
        raise self._failure(name, f"{PORT_ATTEMPTS} ports taken by others one after another")

    def _is_ready(self, process: subprocess.Popen[bytes], data: Path) -> bool:
        """Wait until the server accepts connections (true) or has ended (false)."""
        status_file = data / "postmaster.pid"
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            # A connection would not tell whose server answers on that port; the lock file does.
            with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
                status = status_file.read_text().splitlines()
                if (int(status[0]), status[STATE_LINE].strip()) == (process.pid, "ready"):
                    return True
            if time.monotonic() > deadline:
                raise self._failure(data.name, f"no readiness within {START_SECONDS:.0f} s")
            time.sleep(0.005)
        return False

    def _run(self, name: str, *command: str) -> None:
        """Run a program of the server's user to its end."""
        self._start(name, *command)
        self._finish(name)

    def _finish(self, name: str) -> None:
        status = self._processes[name].wait()
        self._ended(name)
        if status:
            raise self._failure(name, f"exit status {status}")

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        try:
            with (self.directory / f"{name}.log").open("ab") as log:
                process = self._leash.start(
                    [*self._identity.prefix, *command],
                    environment={**environment, "LC_ALL": "C"},
                    output=log,
                    uid=self._identity.uid,
                    gid=self._identity.gid,
                )
        except OSError as error:
            raise self._failure(name, str(error)) from error
        self._processes[name] = process
        return process

    def _ended(self, name: str) -> None:
        self._leash.untie(self._processes.pop(name))

    def _create_directory(self, name: str) -> Path:
        directory = self.directory / name
        directory.mkdir(mode=0o700)
        self._identity.give(directory)
        return directory

    def _write_secret(self, path: Path, content: str) -> None:
        write_secret(path, content)
        self._identity.give(path)

    def _failure(self, name: str, got: str) -> StartFailed:
        log = self.directory / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        return StartFailed(
            f"PostgreSQL {self.installation.version}: {name}",
            got=" | ".join([got, *lines]),
            expected="a server that accepts connections",
            next_step=f"The programs are those in {self.installation.programs}.",
        )


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _place(expected_bytes: int) -> Path | None:
    """Memory if it is there and large enough, otherwise the system's place for temporary files.

    A cluster begins as 2,000 small files: 0.6 s in memory, 1.6 s on an ordinary virtual disk. Both servers
    hold the data, each with its write-ahead log beside it, and as much again must stay free for others.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free > 8 * expected_bytes else None


def _assignment(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"{name} = '{quoted}'\n"


def _quoted(part: str) -> str:
    """A value of a connection string, whatever it holds."""
    escaped = part.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
