"""Launch a throw-away PostgreSQL: a primary and, if wanted, a streaming standby, on free loopback ports.

Nothing of it survives its launcher: see `stack.watchdog`. Every start begins with ``initdb``, so every
cluster has a system identifier of its own, and two can be started at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from stack import binaries, watchdog
from stack.binaries import Installation
from stack.errors import StartFailed
from stack.identity import settle

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
REPLICATION_ROLE: Final = "replicator"
REPLICATION_SLOT: Final = "standby"

START_SECONDS: Final = 60.0
PORT_ATTEMPTS: Final = 20

# fsync: durability of a directory that is removed at the end is nobody's concern.
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "2GB",
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
        directory: a directory to create for the cluster, and to remove with it; a new one in the
            system's place for temporary files if not given.

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
        directory: Path | None = None,
    ) -> None:
        self.installation, self._identity = settle(installation or binaries.find())
        self.host = HOST
        self.superuser = SUPERUSER
        self.password = secrets.token_urlsafe(24)
        self.port = 0
        self.replica_port = 0
        self._settings = {**SETTINGS, **(settings or {})}
        self._with_standby = standby
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="signoff-postgres-"))
        else:
            directory.mkdir(mode=0o700, parents=True)
        self.directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog = _start_watchdog(directory)

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

    def conninfo(self, database: str = "postgres", *, replica: bool = False) -> str:
        """A connection string of the superuser."""
        port = self.replica_port if replica else self.port
        return (
            f"host={self.host} port={port} dbname={database} user={self.superuser} "
            f"password={self.password} connect_timeout=10"
        )

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
        if self._watchdog.poll() is None:
            # Its end of file: the watchdog now does what it would do if this process died.
            with contextlib.suppress(OSError):
                self._input().close()
        else:
            for process in self._processes.values():
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            process.wait()
        self._watchdog.wait()
        watchdog.remove(self.directory)

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
        self._write(password_file, self.password)
        data = self.data_directory
        data.mkdir(mode=0o700)
        self._identity.give(data)
        self._run(
            "initdb",
            self.installation.program("initdb"),
            *("--pgdata", str(data), "--username", SUPERUSER, "--pwfile", str(password_file)),
            *(
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--wal-segsize",
                "1",
                "--no-sync",
            ),
        )
        password_file.unlink()
        (data / "pg_hba.conf").write_text(HBA)
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(_assignment(name, value) for name, value in self._settings.items())

    def _copy_to_standby(self) -> None:
        # The primary has never run: its files are consistent, and a copy is a base backup.
        self._run("copy", "cp", "-Rp", str(self.data_directory), str(self.directory / "standby"))

    def _admit_standby(self) -> None:
        """Create role and slot for the standby, and tell it where to stream from."""
        import psycopg  # noqa: PLC0415 - as in `wait_for_standby`
        from psycopg import sql  # noqa: PLC0415 - as above

        password = secrets.token_urlsafe(24)
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            # Encrypted here, so that no log can hold it.
            verifier = connection.pgconn.encrypt_password(
                password.encode(), REPLICATION_ROLE.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(
                sql.SQL("create role {} login replication password {}").format(
                    sql.Identifier(REPLICATION_ROLE), sql.Literal(verifier)
                )
            )
            connection.execute("select pg_create_physical_replication_slot(%s, true)", [REPLICATION_SLOT])
        # A password inside primary_conninfo could be read by every member of pg_read_all_settings.
        password_file = self.directory / "standby.pgpass"
        self._write(password_file, f"{HOST}:{self.port}:*:{REPLICATION_ROLE}:{password}\n")
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
            status = status_file.read_text().splitlines() if status_file.exists() else []
            if len(status) > 7 and int(status[0]) == process.pid and status[7].strip() == "ready":  # noqa: PLR2004 - the eighth line of postmaster.pid is the server's state
                return True
            if time.monotonic() > deadline:
                raise self._failure(data.name, f"no readiness within {START_SECONDS:.0f} s")
            time.sleep(0.005)
        return False

    def _run(self, name: str, *command: str) -> None:
        """Run a program of the server's user to its end."""
        process = self._start(name, *command)
        status = process.wait()
        self._ended(name)
        if status:
            raise self._failure(name, f"exit status {status}")

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the programs of the installation
                [*self._identity.prefix, *command],
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._identity.uid,
                group=self._identity.gid,
                extra_groups=None if self._identity.uid is None else [],
                cwd="/",
                # Ctrl-C in the launcher's terminal is the launcher's to handle.
                start_new_session=True,
            )
        self._processes[name] = process
        self._announce(f"+{process.pid}")
        return process

    def _ended(self, name: str) -> None:
        self._announce(f"-{self._processes.pop(name).pid}")

    def _announce(self, line: str) -> None:
        try:
            self._input().write(f"{line}\n")
            self._input().flush()
        except OSError as error:
            raise self._failure("watchdog", f"{error}: it has been ended") from error

    def _input(self) -> IO[str]:
        assert self._watchdog.stdin is not None, "the watchdog is started with a pipe"
        return self._watchdog.stdin

    def _write(self, path: Path, content: str) -> None:
        """Write a file that only the server's user can read."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a mode from the first byte on
            file.write(content)
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


def _start_watchdog(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-I", "-S", watchdog.__file__, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        text=True,
        start_new_session=True,
    )


def _assignment(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"{name} = '{quoted}'\n"
