"""A first contact with real servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from selftest.cli.conftest import Answer, Project
    from stack.postgres import Cluster

OBSERVER = "check_observer"

TABLES = """
{accepted}
[systems.demo.postgres]
host = "{host}"
port = {port}
database = "check_observer"
user = "{user}"
password = {{ env = "DEMO_PASSWORD" }}
tls = "disable"
{pin}
replica = {{ host = "{host}", port = {replica_port} }}
roles.application = {{ user = "{user}", password = {{ env = "ROLE_PASSWORD" }} }}
[systems.demo.redis]
absent = "no cache"
[systems.demo.metrics]
url = "https://prometheus.example.org"
[systems.demo.host]
data_path = "/"
"""


@pytest.fixture(scope="module")
def observer(postgres_18: Cluster) -> Iterator[Cluster]:
    """A server with a database, and a role that can read all of it and write nothing, all of one name."""
    with psycopg.connect(postgres_18.conninfo(), autocommit=True) as connection:
        connection.execute(f"create database {OBSERVER}")
        connection.execute(f"revoke temporary on database {OBSERVER} from public")
        connection.execute(
            f"create role {OBSERVER} login password '{OBSERVER}' in role pg_monitor, pg_read_all_data"
        )
        with psycopg.connect(postgres_18.conninfo(OBSERVER), autocommit=True) as inside:
            inside.execute("revoke create on schema public from public")
            inside.execute(
                "revoke execute on function lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea) "
                "from public"
            )
        postgres_18.wait_for_standby()
        yield postgres_18
        connection.execute(f"drop database {OBSERVER} with (force)")
        connection.execute(f"drop role {OBSERVER}")


def identity(cluster: Cluster) -> str:
    """What the server calls itself."""
    with psycopg.connect(cluster.conninfo()) as connection:
        row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
    assert row is not None
    return str(row[0])


def check(
    project: Project,
    cluster: Cluster,
    *,
    user: str = OBSERVER,
    password: str = OBSERVER,
    role_password: str = OBSERVER,
    pin: str | None = None,
    promotes: bool = True,
    accepted: str = "",
) -> Answer:
    """The answer about a profile of this server."""
    path = project.profile(
        TABLES.format(
            host=cluster.host,
            port=cluster.port,
            replica_port=cluster.replica_port,
            user=user,
            pin=f'system_identifier = "{identity(cluster) if pin is None else pin}"' if pin != "" else "",
            accepted=accepted,
        )
    )
    if promotes:
        path.write_text(path.read_text().replace("promotes = false", "promotes = true"))
    return project.ask(
        "environments", "--check", "demo", "--json", DEMO_PASSWORD=password, ROLE_PASSWORD=role_password
    )


def test_an_environment_that_is_as_its_profile_says_is_a_good_answer(
    project: Project, observer: Cluster
) -> None:
    """Primary and standby answer, are pinned and cannot be written to; what is absent or unknown is said."""
    answer = check(project, observer)
    assert (answer.status, answer.err) == (0, "")
    known = identity(observer)
    assert {
        one["component"]: (one["state"], one["identity"], one["pin"], one["writes"]) for one in answer.json
    } == {
        "postgres": ("reached", known, "matches", []),
        "postgres.replica": ("reached", known, "matches", []),
        "postgres.roles.application": ("reached", "", "", []),
        "host": ("reached", "", "", []),
        "redis": ("absent", "", "", []),
        "metrics": ("not checked", "", "", []),
    }
    assert "no cache" in answer.out


def test_another_server_than_the_pinned_one_is_a_bad_answer(project: Project, observer: Cluster) -> None:
    """A pin that differs is said with both identities."""
    answer = check(project, observer, pin="42")
    assert answer.status == 1
    (postgres,) = (one for one in answer.json if one["component"] == "postgres")
    assert (postgres["pin"], postgres["identity"]) == ("differs", identity(observer))
    assert postgres["fault"] == "the profile pins 42"


@pytest.mark.parametrize(("promotes", "status"), [(True, 1), (False, 0)])
def test_what_promotes_must_be_pinned(
    project: Project, observer: Cluster, promotes: bool, status: int
) -> None:
    """A missing pin is a bad answer where a release is promoted, and only said elsewhere."""
    answer = check(project, observer, pin="", promotes=promotes)
    assert answer.status == status
    assert {one["pin"] for one in answer.json if one["component"].startswith("postgres")} == {
        "not pinned",
        "",
    }


@pytest.mark.parametrize(
    ("promotes", "accepted", "status"),
    [(True, "", 1), (True, 'accept_writable_credentials = "a test"', 0), (False, "", 0)],
)
def test_credentials_that_could_write_are_said(
    project: Project, observer: Cluster, promotes: bool, accepted: str, status: int
) -> None:
    """What the observer could write is listed; where releases are promoted it must be accepted in writing."""
    answer = check(
        project,
        observer,
        user=observer.superuser,
        password=observer.password,
        role_password=observer.password,
        promotes=promotes,
        accepted=accepted,
    )
    assert answer.status == status
    (postgres,) = (one for one in answer.json if one["component"] == "postgres")
    assert postgres["writes"] != []


def test_a_role_that_cannot_log_in_is_a_bad_answer(project: Project, observer: Cluster) -> None:
    """Every role of the profile is tried, so that a wrong password is found before a run needs it."""
    answer = check(project, observer, role_password="canary-wrong")
    assert answer.status == 1
    states = {one["component"]: one["state"] for one in answer.json}
    assert states["postgres"] == "reached"
    assert states["postgres.roles.application"] == "not reached"
    assert "canary" not in answer.out + answer.err


def test_a_server_that_does_not_answer_is_a_bad_answer(project: Project, observer: Cluster) -> None:
    """Nobody answers at the address: said for each component, without a traceback."""
    project.profile(
        TABLES.format(host=observer.host, port=1, replica_port=1, user=OBSERVER, pin="", accepted="").replace(
            "timeouts", ""
        )
    )
    answer = project.ask("environments", "--check", "demo", DEMO_PASSWORD="x", ROLE_PASSWORD="x")
    assert (answer.status, answer.err) == (1, "")
    assert answer.out.count("not reached") == 3


def test_a_secret_of_a_destructive_role_is_not_asked_for(project: Project, observer: Cluster) -> None:
    """Checking only reads: where destructive work needs approval, no administrator's password is needed."""
    path = project.profile(
        TABLES.format(
            host=observer.host,
            port=observer.port,
            replica_port=observer.replica_port,
            user=OBSERVER,
            pin="",
            accepted="",
        ).replace(
            "[systems.demo.redis]",
            'roles.administrator = { user = "dba", password = { env = "NO_DBA_PASSWORD" } }\n'
            "[systems.demo.redis]",
        )
    )
    path.write_text(path.read_text().replace('"always"', '"approval"'))
    answer = project.ask(
        "environments", "--check", "demo", "--json", DEMO_PASSWORD=OBSERVER, ROLE_PASSWORD=OBSERVER
    )
    assert answer.status == 0
    states = {one["component"]: one["state"] for one in answer.json}
    assert states["postgres.roles.administrator"] == "not checked"


def test_a_stack_is_booted_for_the_check_and_ended_with_it(project: Project, observer: Cluster) -> None:
    """An environment that a run boots itself is booted, asked, and gone afterwards."""
    facts = f'{{"facts": {{"host": "{observer.host}", "port": {observer.port}}}}}'
    code = f"import sys; print('{facts}', flush=True); sys.stdin.read(); open('ended', 'w')"
    project.write(
        "environments/demo.toml",
        'schema = 1\nname = "demo"\ndescription = "d"\npromotes = false\ndestructive = "always"\n'
        f"[stack]\ncommand = ['{sys.executable}', '-c', '''{code}''']\n"
        '[systems.demo.postgres]\nhost = "{stack:host}"\nport = "{stack:port}"\ndatabase = "check_observer"\n'
        f'user = "{OBSERVER}"\npassword = {{ env = "DEMO_PASSWORD" }}\ntls = "disable"\n',
    )
    answer = project.ask("environments", "--check", "demo", DEMO_PASSWORD=OBSERVER)
    assert (answer.status, answer.err) == (0, "")
    assert f"{OBSERVER}@{observer.host}:{observer.port}/{OBSERVER}" in answer.out
    assert (project.root / "ended").exists()
