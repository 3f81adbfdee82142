"""Fill a started cluster with both systems: roles, databases, content, and the state to verify."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from stack import codex_memory, roles
from stack.credentials import password_file, write_secret
from stack.errors import StartFailed
from stack.postgres import Cluster

State: TypeAlias = Literal["released", "before"]
Facts: TypeAlias = dict[str, str | int]


@dataclass(frozen=True)
class Plan:
    """What to deploy.

    Attributes:
        sessions: rows of ``session_summaries``.
        addresses: different source addresses of the sessions; as many as is typical if ``None``.
        seed: of the generated content; the same seed gives the same content.
        state: ``released``: the database hardened, the snapshot migrated and filled; ``before``: neither.
    """

    sessions: int
    addresses: int | None
    seed: int
    state: State

    def options(self) -> list[str]:
        """The options of ``signoff-stack serve`` that ask for this plan."""
        options = ["--sessions", str(self.sessions), "--seed", str(self.seed), "--state", self.state]
        return options if self.addresses is None else [*options, "--addresses", str(self.addresses)]

    @property
    def expected_bytes(self) -> int:
        """About how much the databases will hold; a session takes 2 kB with its indexes and its updates."""
        return (64 << 20) + 2_000 * self.sessions


def deploy(cluster: Cluster, plan: Plan, workers: Executor) -> Facts:
    """Deploy both systems side by side, and wait until the standby has them too.

    Args:
        cluster: a started cluster with `stack.codex_memory.SERVER_SETTINGS`.
        plan: what to deploy.
        workers: two threads; they end early when the cluster is stopped.

    Returns:
        The facts that an environment profile may refer to.

    Raises:
        StartFailed: a script failed, or the standby did not follow.
    """
    import psycopg  # noqa: PLC0415 - imported while initdb works

    status_directory = cluster.directory / "status"
    status_directory.mkdir(mode=0o700)
    write_secret(password_file(cluster.directory, cluster.superuser), cluster.password)
    with psycopg.connect(cluster.conninfo("template1"), autocommit=True) as connection:
        roles.create_roles(connection, cluster.directory)
        roles.close_template(connection)
        identifier = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
    systems = [
        workers.submit(_deploy_codex_memory, cluster, plan),
        workers.submit(_deploy_cowrieprocessor, cluster, plan, status_directory),
    ]
    for system in systems:
        system.result()
    cluster.wait_for_standby()
    return {
        "directory": str(cluster.directory),
        "postgres_host": cluster.host,
        "postgres_port": cluster.port,
        "replica_port": cluster.replica_port,
        "system_identifier": identifier[0] if identifier else "",
        "data_directory": str(cluster.data_directory),
        "postgres_log": str(cluster.log),
        "status_directory": str(status_directory),
        "psql": cluster.installation.program("psql"),
        "pgbench": cluster.installation.program("pgbench"),
    }


def _deploy_codex_memory(cluster: Cluster, plan: Plan) -> None:
    _create_database(cluster, codex_memory.DATABASE)
    _run_script(cluster, codex_memory.SCHEMA)
    if plan.state == "released":
        _run_script(cluster, codex_memory.HARDENING)
    codex_memory.exercise(_conninfo(cluster, codex_memory.DATABASE, codex_memory.APPLICATION))


def _deploy_cowrieprocessor(cluster: Cluster, plan: Plan, status_directory: Path) -> None:
    from stack import cowrieprocessor  # noqa: PLC0415 - as in `deploy`

    _create_database(cluster, roles.COWRIE_DATABASE)
    conninfo = _conninfo(cluster, roles.COWRIE_DATABASE, roles.COWRIE_OWNER)
    cowrieprocessor.create(conninfo, sessions=plan.sessions, addresses=plan.addresses, seed=plan.seed)
    if plan.state == "released":
        cowrieprocessor.release(conninfo, status_directory)


def _conninfo(cluster: Cluster, database: str, role: str) -> str:
    password = password_file(cluster.directory, role).read_text()
    return cluster.conninfo(database, user=role, password=password)


def _create_database(cluster: Cluster, name: str) -> None:
    import psycopg  # noqa: PLC0415 - as in `deploy`

    with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
        roles.create_database(connection, name)
    with psycopg.connect(cluster.conninfo(name), autocommit=True) as connection:
        roles.grant_application(connection, name)


def _run_script(cluster: Cluster, script: Path) -> None:
    """Run a SQL file against codex_memory as an operator would: by psql, in one transaction."""
    answer = subprocess.run(  # noqa: S603 - psql of the installation, our own file
        [
            cluster.installation.program("psql"),
            *("-X", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"),
            *("--host", cluster.host, "--port", str(cluster.port), "--username", cluster.superuser),
            *("--dbname", codex_memory.DATABASE, "--file", str(script)),
        ],
        env={**os.environ, "PGPASSWORD": cluster.password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise StartFailed(
            str(script),
            got=f"exit status {answer.returncode}: {answer.stderr.strip()}",
            expected="exit status 0",
            next_step="Run the file by psql against a fresh database to see more.",
        )
