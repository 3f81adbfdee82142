"""The launcher, by what it leaves running and lying about on the machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from stack import binaries, postgres
from stack.errors import BinariesMissing, StartFailed
from stack.postgres import Cluster

Eventually = Callable[[Callable[[], object]], bool]
ProcessesOf = Callable[[str | Path], list[str]]

NOBODY = 65534

# Says where the cluster will be before it is started, and what it is when it is up.
PROGRAM = """
import json, os, sys
from stack.postgres import Cluster
cluster = Cluster()
print(cluster.directory, flush=True)
cluster.start()
print(json.dumps([cluster.port, cluster.replica_port, os.stat(cluster.data_directory).st_uid]), flush=True)
sys.stdin.read()
cluster.stop()
"""


class Launcher:
    """A process that holds a cluster until its standard input ends."""

    def __init__(
        self, environment: Mapping[str, str], *, interpreter: str = sys.executable, user: int | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [interpreter, "-c", PROGRAM],
            env=environment,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.directory = Path(self.line())

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def up(self) -> tuple[int, int, int]:
        """Wait until the cluster is up: the two ports, and who owns the data."""
        port, replica_port, owner = json.loads(self.line())
        return port, replica_port, owner

    def end(self) -> int:
        """End it as a launcher ends, and return its exit status."""
        self.process.communicate()
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that every user may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("version", ["postgres_18", "postgres_15"])
def test_standby_streams(version: str, request: pytest.FixtureRequest) -> None:
    """The standby streams from the primary and holds its system identifier."""
    cluster: Cluster = request.getfixturevalue(version)
    identifier = "select system_identifier from pg_control_system()"
    with (
        psycopg.connect(cluster.conninfo()) as primary,
        psycopg.connect(cluster.conninfo(replica=True)) as standby,
    ):
        assert standby.execute("select pg_is_in_recovery()").fetchone() == (True,)
        assert primary.execute("select state from pg_stat_replication").fetchall() == [("streaming",)]
        assert primary.execute(identifier).fetchone() == standby.execute(identifier).fetchone()


def test_standby_has_what_it_was_waited_for(postgres_18: Cluster) -> None:
    """After `wait_for_standby` a row committed before is on the standby."""
    with psycopg.connect(postgres_18.conninfo(), autocommit=True) as primary:
        primary.execute("create table waited as select 42 as answer")
        postgres_18.wait_for_standby()
        with psycopg.connect(postgres_18.conninfo(replica=True)) as standby:
            assert standby.execute("select answer from waited").fetchone() == (42,)
        primary.execute("drop table waited")


def test_only_passwords_open_the_servers(postgres_18: Cluster) -> None:
    """Neither server accepts a wrong password, and there is no Unix socket as a way round."""
    for replica in (False, True):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres_18.conninfo(replica=replica, password="wrong"))
        with psycopg.connect(postgres_18.conninfo(replica=replica)) as connection:
            assert connection.execute("show unix_socket_directories").fetchone() == ("",)
            assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)


def test_no_password_in_what_a_monitor_can_read(postgres_18: Cluster) -> None:
    """The standby's way to the primary is visible in its settings, its password is not."""
    with psycopg.connect(postgres_18.conninfo(replica=True)) as standby:
        row = standby.execute("show primary_conninfo").fetchone()
    assert row is not None
    assert "passfile" in row[0]
    assert "password" not in row[0]


def test_stop_leaves_nothing(processes_of: ProcessesOf) -> None:
    """After `stop` there is no process, no directory and no open port; a second `stop` is harmless."""
    with Cluster() as cluster:
        assert processes_of(cluster.directory)
        ports = cluster.port, cluster.replica_port
    cluster.stop()
    assert not cluster.directory.exists()
    assert processes_of(cluster.directory) == []
    assert not any(map(listens, ports))


def test_sigkill_of_the_launcher_leaves_nothing(
    python_environment: Mapping[str, str], processes_of: ProcessesOf, eventually: Eventually
) -> None:
    """When a launcher with running servers is killed by SIGKILL, they end and their directory disappears."""
    launcher = Launcher(python_environment)
    ports = launcher.up()[:2]
    assert all(map(listens, ports))
    launcher.kill()
    assert eventually(lambda: not launcher.directory.exists())
    assert eventually(lambda: not processes_of(launcher.directory))
    assert not any(map(listens, ports))


@pytest.mark.parametrize("stage", ["nothing", "initdb.log", "standby/postmaster.pid"])
def test_sigkill_while_starting_leaves_nothing(
    stage: str, python_environment: Mapping[str, str], processes_of: ProcessesOf, eventually: Eventually
) -> None:
    """A launcher that is killed by SIGKILL at any stage of the start leaves no process and no directory."""
    launcher = Launcher(python_environment)
    assert stage == "nothing" or eventually((launcher.directory / stage).exists)
    launcher.kill()
    assert eventually(lambda: not launcher.directory.exists())
    assert eventually(lambda: not processes_of(launcher.directory))


def test_stop_without_watchdog_leaves_nothing(processes_of: ProcessesOf) -> None:
    """A launcher whose watchdog somebody has killed still stops its servers and removes its directory."""
    with Cluster() as cluster:
        cluster._leash._watchdog.kill()
        cluster._leash._watchdog.wait()
    assert not cluster.directory.exists()
    assert processes_of(cluster.directory) == []


def test_two_starts_at_once(python_environment: Mapping[str, str]) -> None:
    """Two launchers that start at the same time both come up, with nothing in common."""
    launchers = [Launcher(python_environment) for _ in range(2)]
    ports = [port for launcher in launchers for port in launcher.up()[:2]]
    assert len(set(ports)) == 4
    assert launchers[0].directory != launchers[1].directory
    assert [launcher.end() for launcher in launchers] == [0, 0]


def test_a_port_that_somebody_took_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken between the choice and the start is replaced by another one, on both servers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        occupied = taken.getsockname()[1]
        choices = iter([occupied, postgres.free_port(), occupied, postgres.free_port()])
        monkeypatch.setattr(postgres, "free_port", lambda: next(choices))
        with Cluster() as cluster:
            assert occupied not in (cluster.port, cluster.replica_port)
            cluster.wait_for_standby()


def test_a_server_that_does_not_start_says_why(processes_of: ProcessesOf) -> None:
    """A failed start is an error that carries the server's own words, and leaves nothing behind."""
    cluster = Cluster(settings={"shared_buffers": "a lot"})
    with pytest.raises(StartFailed, match='invalid value for parameter "shared_buffers": "a lot"'):
        cluster.start()
    assert not cluster.directory.exists()
    assert processes_of(cluster.directory) == []


def test_programs_that_are_named_but_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong PG_BIN is an error, and not quietly another version of PostgreSQL."""
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(BinariesMissing, match="PG_BIN"):
        binaries.find()


def test_an_ordinary_user_runs_the_server_directly(
    python_environment: Mapping[str, str], interpreter_for_anybody: str
) -> None:
    """A user without privileges starts and stops a cluster and owns its data."""
    user = NOBODY if os.geteuid() == 0 else None
    launcher = Launcher(python_environment, interpreter=interpreter_for_anybody, user=user)
    assert launcher.up()[2] == (user or os.geteuid())
    assert launcher.end() == 0
    assert not launcher.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="shows what root does: run the tests as root to see it")
def test_root_stays_owner_in_a_user_namespace(python_environment: Mapping[str, str]) -> None:
    """Root with user namespaces starts a cluster whose files belong to root."""
    probe = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("user namespaces are forbidden here: allow them, for instance in the container's profile")
    launcher = Launcher(python_environment)
    assert launcher.up()[2] == 0
    assert launcher.end() == 0
    assert not launcher.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="shows what root does: run the tests as root to see it")
def test_root_without_user_namespaces_becomes_nobody(
    python_environment: Mapping[str, str],
    tmp_path: Path,
    passable: Path,
    processes_of: ProcessesOf,
    eventually: Eventually,
) -> None:
    """Root without user namespaces runs the server as nobody, also from programs that nobody cannot reach."""
    installation = binaries.find(major=18)
    for tree in installation.trees:
        shutil.copytree(tree, tmp_path / tree.name, symlinks=True)
    programs = (
        tmp_path / installation.trees[0].name / installation.programs.relative_to(installation.trees[0])
    )
    assert tmp_path.stat().st_mode & 0o077 == 0
    for path in tmp_path.rglob("*"):
        if not path.is_symlink():
            # As a umask of 077 would have left them.
            path.chmod(path.stat().st_mode & 0o700)
    commands = passable / "without-unshare"
    commands.mkdir()
    (commands / "cp").symlink_to(str(shutil.which("cp")))
    launcher = Launcher({**python_environment, "PATH": str(commands), "PG_BIN": str(programs)})
    assert launcher.up()[2] == NOBODY
    copies = [line.split()[0] for line in processes_of(launcher.directory) if " -D " in line]
    assert len(copies) == 2
    launcher.kill()
    assert eventually(lambda: not launcher.directory.exists())
    assert eventually(lambda: not processes_of(launcher.directory))
    for copy in set(copies):
        assert not copy.startswith(str(tmp_path))
        shutil.rmtree(Path(copy).parents[3])
