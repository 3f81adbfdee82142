"""``python -m stack serve``: its protocol, and what it deploys."""

from __future__ import annotations

import itertools
import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stack import binaries
from stack.errors import BinariesMissing

Eventually = Callable[[Callable[[], object]], bool]
ProcessesOf = Callable[[str | Path], list[str]]

SERVE = [sys.executable, "-m", "stack", "serve", "--sessions", "300", "--addresses", "20"]
CONTENT = {
    "codex_memory": "select count(*) from memories",
    "cowrieprocessor": "select count(*) from session_summaries",
}
ROLES = ("postgres", "signoff_monitor", "codex_owner", "codex_app", "cowrie_owner", "cowrie_app")


def start(environment: Mapping[str, str], *options: str) -> subprocess.Popen[str]:
    """Start it, and do not wait."""
    return subprocess.Popen(
        [*SERVE, *options],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for its line, and return the facts in it."""
    assert process.stdout is not None
    facts: dict[str, Any] = json.loads(process.stdout.readline())["facts"]
    return facts


@dataclass(frozen=True)
class Served:
    """A served stack, by its facts."""

    facts: dict[str, Any]

    def connect(self, role: str, database: str, *, replica: bool = False) -> psycopg.Connection:
        """A new session, with the password from the role's file."""
        return psycopg.connect(
            host=self.facts["postgres_host"],
            port=self.facts["replica_port" if replica else "postgres_port"],
            dbname=database,
            user=role,
            password=(Path(self.facts["directory"]) / f"{role}.password").read_text(),
            autocommit=True,
        )

    def value(self, role: str, database: str, query: str, *, replica: bool = False) -> Any:
        """The first column of the first row."""
        with self.connect(role, database, replica=replica) as session:
            row = session.execute(query).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture(scope="module", params=[18, 15])
def served(request: pytest.FixtureRequest, python_environment: Mapping[str, str]) -> Iterator[Served]:
    """A served stack in the released state, on PostgreSQL 18 and 15."""
    try:
        programs = binaries.find(major=request.param).programs
    except BinariesMissing as missing:
        pytest.skip(f"{missing} On Debian 12: apt-get install postgresql-15")
    process = start({**python_environment, "PG_BIN": str(programs)})
    yield Served(ready(process))
    process.communicate()


def test_the_facts_lead_to_both_servers(served: Served) -> None:
    """The facts give one cluster, by its identifier, behind both ports; the second port is a standby."""
    query = "select system_identifier::text from pg_control_system()"
    for replica in (False, True):
        identifier = served.value("postgres", "postgres", query, replica=replica)
        assert identifier == served.facts["system_identifier"]
        recovering = served.value("postgres", "postgres", "select pg_is_in_recovery()", replica=replica)
        assert recovering is replica


def test_the_facts_are_texts_and_numbers_that_hold(served: Served) -> None:
    """Every fact is a text or an integer, and every path in them exists."""
    assert all(isinstance(fact, str | int) for fact in served.facts.values())
    for name in ("directory", "data_directory", "postgres_log", "status_directory", "psql", "pgbench"):
        assert Path(served.facts[name]).exists(), name


def test_the_standby_has_what_was_deployed(served: Served) -> None:
    """When the facts are printed, the standby holds the content of both databases."""
    for database, count in CONTENT.items():
        rows = served.value("signoff_monitor", database, count)
        assert rows > 0
        assert served.value("signoff_monitor", database, count, replica=True) == rows


def test_passwords_lie_in_files_of_their_owner(served: Served) -> None:
    """Each role's password is in a file that nobody but its owner can read, and opens the server."""
    for role in ROLES:
        mode = (Path(served.facts["directory"]) / f"{role}.password").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        database = "cowrieprocessor" if role.startswith("cowrie") else "codex_memory"
        assert served.value(role, database, "select current_user") == role


def test_passwords_are_in_no_log(served: Served) -> None:
    """No server log holds a password, nor a statement that sets one in clear."""
    directory = Path(served.facts["directory"])
    logs = "".join(path.read_text() for path in directory.glob("*.log"))
    assert logs
    for role in ROLES:
        assert (directory / f"{role}.password").read_text() not in logs


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        *itertools.product(
            CONTENT,
            [
                "create table mine ()",
                "create temporary table mine ()",
                "create schema mine",
                "select lo_create(0)",
                "select lo_from_bytea(0, 'x')",
                "select pg_reload_conf()",
            ],
        ),
        ("codex_memory", "delete from memories"),
        ("cowrieprocessor", "delete from session_summaries"),
        ("cowrieprocessor", "update ip_inventory set ip_address = ip_address"),
    ],
)
def test_the_monitor_cannot_write(served: Served, database: str, statement: str) -> None:
    """The observer's role reads every table and is refused every way to write, by the server alone."""
    assert served.value("signoff_monitor", database, CONTENT[database]) > 0
    with (
        served.connect("signoff_monitor", database) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement)


def test_the_monitor_sees_activity_and_settings(served: Served) -> None:
    """The observer sees other roles' sessions and statements, and settings that the public may not see."""
    with (
        served.connect("codex_app", "codex_memory") as application,
        served.connect("signoff_monitor", "codex_memory") as monitor,
    ):
        state = monitor.execute(
            "select state from pg_stat_activity where pid = %s", [application.info.backend_pid]
        )
        assert state.fetchone() == ("idle",)
    assert served.value("signoff_monitor", "codex_memory", "show config_file").endswith("/postgresql.conf")
    calls = "select sum(calls) from pg_stat_statements where userid = 'codex_app'::regrole"
    assert served.value("signoff_monitor", "codex_memory", calls) > 0


def test_applications_keep_to_their_own_database(served: Served) -> None:
    """An application's role writes rows in its own database and cannot enter the other."""
    update = "update memories set access_count = 7 where content_hash = md5('content 1')"
    with served.connect("codex_app", "codex_memory") as session:
        assert session.execute(update).rowcount == 1
    for role, database in (("codex_app", "cowrieprocessor"), ("cowrie_app", "codex_memory")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            served.connect(role, database)


def test_released_means_hardened(served: Served) -> None:
    """In the released state the application's sessions have the hardened limits."""
    assert served.value("codex_app", "codex_memory", "show statement_timeout") == "30s"
    limit = "select datconnlimit from pg_database where datname = 'codex_memory'"
    assert served.value("codex_app", "codex_memory", limit) == 200


def test_the_server_is_as_the_service_ships_it(served: Served) -> None:
    """Settings of the server itself are those of the field, in the configuration file."""
    query = "select setting from pg_file_settings where name = 'statement_timeout' and applied"
    assert served.value("postgres", "codex_memory", query) == "300000"
    assert served.value("postgres", "codex_memory", "show max_connections") == "200"


def test_the_log_names_state_user_database_and_application(served: Served) -> None:
    """An error in the server's log carries its SQLSTATE, and whose session it was in which database."""
    with served.connect("codex_app", "codex_memory") as session, pytest.raises(psycopg.errors.UndefinedTable):
        session.execute("select from no_such_table")
    lines = Path(served.facts["postgres_log"]).read_text().splitlines()
    line = next(line for line in lines if "no_such_table" in line and "ERROR" in line)
    assert " 42P01 codex_app@codex_memory/" in line


def test_variables_for_other_servers_do_no_harm(python_environment: Mapping[str, str]) -> None:
    """Variables of libpq that the caller has set for other servers do not reach this one."""
    process = start(
        {**python_environment, "PGSSLMODE": "require", "PGPORT": "1", "PGOPTIONS": "-c nonsense=1"}
    )
    assert ready(process)["postgres_port"] != 1
    process.communicate()


def test_before_means_neither_hardened_nor_migrated(python_environment: Mapping[str, str]) -> None:
    """With ``--state before`` the application's sessions have the old limits, and types are still arrays."""
    process = start(python_environment, "--state", "before")
    served = Served(ready(process))
    assert served.value("codex_app", "codex_memory", "show statement_timeout") == "5min"
    assert served.value("codex_app", "codex_memory", "select to_regclass('security_monitoring')") is None
    column = "select pg_typeof(snapshot_ip_types)::text from session_summaries limit 1"
    assert served.value("signoff_monitor", "cowrieprocessor", column) == "text[]"
    process.communicate()


def test_the_size_is_as_asked_for(served: Served) -> None:
    """As many sessions are deployed as the options say, from as many different addresses."""
    assert served.value("signoff_monitor", "cowrieprocessor", CONTENT["cowrieprocessor"]) == 300
    addresses = "select count(distinct source_ip) from session_summaries"
    assert served.value("signoff_monitor", "cowrieprocessor", addresses) == 20


def test_end_of_standard_input_ends_it(
    python_environment: Mapping[str, str], processes_of: ProcessesOf
) -> None:
    """When its standard input ends it exits with 0, and nothing of it is left; it has printed one line."""
    process = start(python_environment)
    directory = ready(process)["directory"]
    assert processes_of(directory)
    rest, _ = process.communicate()
    assert process.returncode == 0
    assert rest == ""
    assert not Path(directory).exists()
    assert processes_of(directory) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(
    number: signal.Signals, python_environment: Mapping[str, str], processes_of: ProcessesOf
) -> None:
    """SIGTERM and SIGINT end it in order: exit status 0, and nothing is left."""
    process = start(python_environment)
    directory = ready(process)["directory"]
    process.send_signal(number)
    assert process.wait() == 0
    assert not Path(directory).exists()
    assert processes_of(directory) == []
    process.communicate()


def test_end_of_standard_input_while_it_loads(
    python_environment: Mapping[str, str], processes_of: ProcessesOf, eventually: Eventually, tmp_path: Path
) -> None:
    """It does not finish a long load for nobody: standard input that ends in the middle of it ends it."""
    process = start({**python_environment, "TMPDIR": str(tmp_path)}, "--sessions", "1000000")
    assert eventually(lambda: list(tmp_path.glob("*/standby/postmaster.pid")))
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output == ""
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_sigkill_leaves_nothing(
    python_environment: Mapping[str, str], processes_of: ProcessesOf, eventually: Eventually
) -> None:
    """When it is killed by SIGKILL itself, its servers end and its files disappear."""
    process = start(python_environment)
    directory = ready(process)["directory"]
    process.kill()
    process.communicate()
    assert eventually(lambda: not Path(directory).exists())
    assert eventually(lambda: not processes_of(directory))


def test_sigkill_of_its_parent_leaves_nothing(
    python_environment: Mapping[str, str], processes_of: ProcessesOf, eventually: Eventually
) -> None:
    """When the process that started it is killed by SIGKILL, it ends too, and nothing is left."""
    program = f"import subprocess; subprocess.Popen({SERVE!r}, stdin=subprocess.PIPE).wait()"
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env=python_environment, stdout=subprocess.PIPE, text=True, cwd="/"
    )
    directory = ready(parent)["directory"]
    parent.kill()
    assert eventually(lambda: not Path(directory).exists())
    assert eventually(lambda: not processes_of(directory))
    parent.communicate()


def test_a_start_that_fails_is_reported(python_environment: Mapping[str, str], broken_programs: Path) -> None:
    """A PostgreSQL that does not work: a message on standard error, exit status 1, no line of facts."""
    process = subprocess.Popen(
        SERVE,
        env={**python_environment, "PG_BIN": str(broken_programs)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    assert process.wait() == 1
    output, errors = process.communicate()
    assert output == ""
    assert "initdb" in errors
    assert "broken" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("option", [("--sessions", "-1"), ("--addresses", "0"), ("--state", "ideal")])
def test_wrong_options_are_refused(option: tuple[str, str], python_environment: Mapping[str, str]) -> None:
    """An impossible size or state is a usage error: exit status 2, before anything is started."""
    process = start(python_environment, *option)
    output, _ = process.communicate()
    assert process.returncode == 2
    assert output == ""
