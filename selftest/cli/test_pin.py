"""Pinning writes what a real server says into the profile, and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from selftest.cli.conftest import Project
    from stack.postgres import Cluster

HEAD = 'schema = 1\nname = "demo"\ndescription = "d"\npromotes = false\ndestructive = "always"\n'

TABLES = """
# The database of the demonstration.
[systems.demo.postgres]
host = "{host}"   # the primary
port = {port}
database = "postgres"
user = "{user}"
password = {{ env = "DEMO_PASSWORD" }}
tls = "disable"
{pin}
[systems.demo.postgres.roles.application]
absent = "nobody logs in"  # yet
"""


def identity(cluster: Cluster) -> str:
    """What the server says itself."""
    with psycopg.connect(cluster.conninfo()) as connection:
        row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
    assert row is not None
    return str(row[0])


def profile(project: Project, cluster: Cluster, *, pin: str = "", port: int | None = None) -> Path:
    """A profile of this server."""
    return project.profile(
        TABLES.format(host=cluster.host, port=port or cluster.port, user=cluster.superuser, pin=pin)
    )


def test_a_pin_is_added_and_nothing_else_changes(project: Project, postgres_18: Cluster) -> None:
    """The identity becomes one further line; every comment, space and other line stays as it was."""
    path = profile(project, postgres_18)
    path.chmod(0o640)
    before = path.read_text()
    answer = project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == (f"environments/demo.toml: systems.demo.postgres: pinned {identity(postgres_18)}\n")
    line = f'system_identifier = "{identity(postgres_18)}"\n'
    assert path.read_text().replace(line, "", 1) == before
    assert line in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_pinned_environment_is_left_as_it_is(project: Project, postgres_18: Cluster) -> None:
    """Pinning twice writes once."""
    path = profile(project, postgres_18)
    project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password)
    before = path.stat()
    answer = project.ask("environments", "--pin", "demo", "--json", DEMO_PASSWORD=postgres_18.password)
    known = identity(postgres_18)
    assert answer.json == [{"system": "demo", "before": known, "after": known, "changed": False}]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_pin_of_another_server_is_replaced_and_said(project: Project, postgres_18: Cluster) -> None:
    """A profile that named another server names this one afterwards, and the answer says what it named."""
    path = profile(project, postgres_18, pin='system_identifier = "42"  # of the old server\n')
    answer = project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password)
    assert answer.out.endswith(f"pinned {identity(postgres_18)} instead of 42\n")
    assert f'system_identifier = "{identity(postgres_18)}"  # of the old server\n' in path.read_text()


def test_a_profile_behind_a_link_is_pinned_where_it_lies(project: Project, postgres_18: Cluster) -> None:
    """A link to a profile stays a link."""
    path = profile(project, postgres_18)
    elsewhere = project.root / "shared.toml"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password).status == 0
    assert path.is_symlink()
    assert identity(postgres_18) in elsewhere.read_text()


def test_nothing_is_written_when_a_server_does_not_answer(project: Project, postgres_18: Cluster) -> None:
    """Of several databases all are pinned or none; the one that did not answer is named."""
    tables = TABLES.replace("systems.demo", "systems.other").format(
        host=postgres_18.host, port=1, user=postgres_18.superuser, pin=""
    )
    path = profile(project, postgres_18)
    path.write_text(path.read_text() + '[systems.other]\nwithout_runbook = "a test"\n' + tables)
    before = path.read_bytes()
    answer = project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password)
    assert (answer.status, answer.out) == (3, "")
    assert f"{postgres_18.host}:1/postgres" in answer.err
    assert path.read_bytes() == before


def test_an_environment_that_is_booted_for_the_run_cannot_be_pinned(project: Project) -> None:
    """A server that lives for one run has no identity worth writing down."""
    project.write(
        "environments/demo.toml",
        HEAD + '[stack]\ncommand = ["false"]\n[systems.demo.postgres]\nhost = "{stack:host}"\n'
        'database = "d"\nuser = "u"\n',
    )
    answer = project.ask("environments", "--pin", "demo")
    assert (answer.status, answer.out) == (3, "")
    assert "environments/demo.toml: stack: got an environment that is booted for each run" in answer.err


def test_missing_secrets_refuse_a_pin(project: Project, postgres_18: Cluster) -> None:
    """What only lists a profile needs no secret; what connects does."""
    profile(project, postgres_18)
    assert project.ask("environments").status == 0
    answer = project.ask("environments", "--pin", "demo")
    assert (answer.status, answer.out) == (3, "")
    assert "environment variable DEMO_PASSWORD, which is not set" in answer.err


LAYOUTS = {
    "dotted keys": """
systems.demo.postgres.host = "{host}"
systems.demo.postgres.port = {port}
systems.demo.postgres.database = "postgres"
systems.demo.postgres.user = "{user}"
systems.demo.postgres.tls = "disable"
systems.demo.postgres.password.env = "DEMO_PASSWORD" # last
""",
    "inline table": """
[systems.demo]
postgres = {{ host = "{host}", port = {port}, database = "postgres", user = "{user}", tls = "disable", \
password = {{ env = "DEMO_PASSWORD" }} }} # inline
""",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_layouts_can_be_pinned_too(project: Project, postgres_18: Cluster, layout: str) -> None:
    """However the profile is laid out, it is valid afterwards and names the server."""
    tables = LAYOUTS[layout].format(host=postgres_18.host, port=postgres_18.port, user=postgres_18.superuser)
    path = project.write("environments/demo.toml", HEAD + tables)
    assert project.ask("environments", "--pin", "demo", DEMO_PASSWORD=postgres_18.password).status == 0
    assert identity(postgres_18) in path.read_text()
    assert project.ask("environments", DEMO_PASSWORD=postgres_18.password).status == 0
