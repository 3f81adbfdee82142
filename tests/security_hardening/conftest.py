"""What the checks of the hardening share: sessions to be seen, states to be compared, a load test."""

import re
import time
from dataclasses import dataclass
from statistics import mean, median
from typing import Final

import pytest

CANARY: Final = "signoff: this line shows that the log of the load test can be read"


@dataclass(frozen=True)
class Aspect:
    """One part of the state that a rollback has to bring back.

    Attributes:
        baseline: name of the baseline that holds it.
        query: gives one line of text for each entry.
        of_application: whether a new session of the application is asked, and not the observer.
    """

    baseline: str
    query: str
    of_application: bool = False

    def entries(self, db):
        """The lines of this part, as they are now."""
        if not self.of_application:
            return db.column(self.query)
        with db.session("application") as session:
            return session.column(self.query)


# A new session of the application is where all sources of a setting meet; what our own connection asks for
# ("client") and what belongs to the transaction is not the database's state.
SETTINGS: Final = Aspect(
    "state-settings",
    """
    select concat_ws(' ', name, '=', setting, unit, 'from', source)
    from pg_settings
    where source not in ('client', 'session') and name not like 'transaction%'
        and name <> 'default_transaction_read_only'
    order by name
    """,
    of_application=True,
)

# Of all databases: a script that names its database changes the one it names, not the one it runs in.
OVERRIDES: Final = Aspect(
    "state-overrides",
    """
    select concat_ws(' ', d.datname, r.rolname, assignment)
    from pg_database d
    left join pg_db_role_setting s on s.setdatabase = d.oid
    left join pg_roles r on r.oid = s.setrole
    left join lateral unnest(s.setconfig) as assignment on true
    union all
    select concat_ws(' ', 'every database', r.rolname, assignment)
    from pg_db_role_setting s
    left join pg_roles r on r.oid = s.setrole
    left join lateral unnest(s.setconfig) as assignment on true
    where s.setdatabase = 0
    order by 1
    """,
)

CONNECTION_LIMITS: Final = Aspect(
    "state-connection-limits",
    """
    select concat_ws(' ', 'database', datname, datconnlimit) from pg_database
    union all
    select concat_ws(' ', 'role', rolname, rolconnlimit) from pg_roles
    order by 1
    """,
)

OBJECTS: Final = Aspect(
    "state-objects",
    """
    select concat_ws(' ', 'relation', c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner),
                     case when c.relkind in ('v', 'm') then md5(pg_get_viewdef(c.oid)) end)
    from pg_class c
    where c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' and c.relkind <> 't'
    union all
    select concat_ws(' ', 'function', p.oid::regprocedure, pg_get_userbyid(p.proowner), md5(p.prosrc))
    from pg_proc p
    where p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
    union all
    select concat_ws(' ', 'schema', nspname, pg_get_userbyid(nspowner))
    from pg_namespace
    where nspname !~ '^pg_(temp|toast)'
    union all
    select concat_ws(' ', 'extension', extname, extversion) from pg_extension
    order by 1
    """,
)

PRIVILEGES: Final = Aspect(
    "state-privileges",
    """
    select concat_ws(' ', 'relation', c.oid::regclass, a::text)
    from pg_class c cross join lateral unnest(c.relacl) as a
    where c.relnamespace::regnamespace::text !~ '^(pg_toast|pg_temp)'
    union all
    select concat_ws(' ', 'function', p.oid::regprocedure, a::text)
    from pg_proc p cross join lateral unnest(p.proacl) as a
    union all
    select concat_ws(' ', 'schema', nspname, a::text)
    from pg_namespace cross join lateral unnest(nspacl) as a
    where nspname !~ '^pg_(temp|toast)'
    union all
    select concat_ws(' ', 'database', datname, a::text)
    from pg_database cross join lateral unnest(datacl) as a
    union all
    select concat_ws(' ', 'default', defaclrole::regrole, defaclobjtype, a::text)
    from pg_default_acl cross join lateral unnest(defaclacl) as a
    union all
    select concat_ws(' ', 'parameter', parname, a::text)
    from pg_parameter_acl cross join lateral unnest(paracl) as a
    union all
    select concat_ws(' ', 'member', member::regrole, 'of', roleid::regrole) from pg_auth_members
    order by 1
    """,
)


@pytest.fixture(
    params=[
        pytest.param(SETTINGS, id="settings of a new session"),
        pytest.param(OVERRIDES, id="settings of databases and roles"),
        pytest.param(CONNECTION_LIMITS, id="connection limits"),
        pytest.param(OBJECTS, id="tables, views, functions and schemas"),
        pytest.param(PRIVILEGES, id="privileges"),
    ]
)
def aspect(request):
    """One part of the state after the other."""
    return request.param


@pytest.fixture
def here(db):
    """The conditions under which two measurements of this runbook can be compared: the same database."""
    return {"system identifier": db.system_identifier, "database": db.scalar("select current_database()")}


@pytest.fixture
def application(db):
    """The name of the role that the application logs in with."""
    with db.session("application") as session:
        return session.scalar("select current_user")


@pytest.fixture
def foreign(db, expect):
    """A session of the application, idle in a transaction, that our own role is shown to see.

    To a role without pg_monitor, the sessions of others have neither state nor query: it would never find
    any trouble.
    """
    with db.session("application") as session:
        session.begin()
        session.scalar("select 'seen by the monitoring'")
        seen = db.scalar(
            "select count(*) from pg_stat_activity where pid = %s and state = 'idle in transaction'",
            [session.pid],
        )
        expect("own session of the application seen", seen, "sessions").equals(1)
        yield session


@pytest.fixture(scope="module")
def remembered():
    """What one test of a module has brought about and later ones judge as well."""
    return {}


@dataclass(frozen=True)
class Load:
    """What a load test did, and what the server's log says about its time.

    Attributes:
        exit_status: of the program.
        error_lines: what it printed about errors.
        clients: number of clients.
        seconds: how long it was asked to run.
        transactions: number of transactions that were done.
        failed: number of transactions that failed.
        per_second: transactions per second.
        connections: the application's connections, the median of samples: they open one after another.
        idle_in_transaction: those of them idle in a transaction, on average.
        timeouts: lines of the log about statements or transactions that were cut off.
        errors: lines of the log about any error of the application.
        own_lines: lines that were written on purpose, to show that the log can be read.
    """

    exit_status: int
    error_lines: list[str]
    clients: int | None
    seconds: int | None
    transactions: int | None
    failed: int | None
    per_second: float | None
    connections: float
    idle_in_transaction: float
    timeouts: int
    errors: int
    own_lines: int


@pytest.fixture
def load(db, procedures, host, progress, application, expect):
    """Run the load test as the application, in a schema that is removed again."""
    quoted = db.scalar("select quote_ident(%s)", [application])
    db.execute("drop schema if exists signoff_load cascade")
    db.execute(f"create schema signoff_load authorization {quoted}")
    try:
        expect("exit status of the preparation", procedures.run("load_prepare").exit_status).equals(0)
        begin = host.log_position()
        running = procedures.start("load_test")
        samples = []
        with progress("the load test of 20 clients"):
            while running.is_running:
                samples.append(
                    db.row(
                        """
                        select count(*) as connections,
                               count(*) filter (where state like 'idle in transaction%%') as idle
                        from pg_stat_activity where datname = current_database() and usename = %s
                        """,
                        [application],
                    )
                )
                time.sleep(0.5)
        outcome = running.wait()
        with db.session("application") as session:
            session.attempt(f"select cast('{CANARY}' as integer)")
        lines = host.log_lines(since=begin, pattern=rf"{re.escape(application)}@.*(ERROR|FATAL):")
    finally:
        db.execute("drop schema if exists signoff_load cascade")
    return Load(
        exit_status=outcome.exit_status,
        error_lines=outcome.error_lines,
        clients=_figure(r"number of clients: (\d+)", outcome.output, int),
        seconds=_figure(r"duration: (\d+) s", outcome.output, int),
        transactions=_figure(r"number of transactions actually processed: (\d+)", outcome.output, int),
        failed=_figure(r"number of failed transactions: (\d+)", outcome.output, int),
        per_second=_figure(r"tps = ([\d.]+)", outcome.output, float),
        connections=median(sample["connections"] for sample in samples),
        idle_in_transaction=mean(sample["idle"] for sample in samples),
        timeouts=sum(
            re.search("due to (statement|idle-in-transaction) timeout", line) is not None for line in lines
        ),
        errors=sum(CANARY not in line for line in lines),
        own_lines=sum(CANARY in line for line in lines),
    )


def _figure(pattern, report, kind):
    """A figure of pgbench's report; ``None``, which no criterion accepts, where it does not stand there."""
    match = re.search(pattern, report)
    return kind(match.group(1)) if match else None
