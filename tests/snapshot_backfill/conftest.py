"""What the checks of the snapshots share: the ground of a rehearsal, and looks at the table and at a fill."""

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest


@pytest.fixture(scope="module")
def remembered():
    """What one test of a module has brought about and later ones judge as well."""
    return {}


@pytest.fixture
def rehearse(procedures):
    """Run procedures that prepare what a check is about; each has to succeed."""

    def run(*names):
        for name in names:
            outcome = procedures.run(name)
            assert outcome.exit_status == 0, f"{name} ended with {outcome.exit_status}: {outcome.output}"
            assert outcome.error_lines == [], f"{name} printed {outcome.error_lines}"

    return run


@pytest.fixture
def copy(rehearse, remembered, schema, fingerprint):
    """A throw-away copy in the state before the change, which it is in again afterwards.

    ``reset`` comes first in every run: where it is absent, nothing that this fixture allows can begin.
    """
    if "copy" not in remembered:
        rehearse("reset")
        remembered["copy"] = (schema(), fingerprint("t.*"))
    yield
    if remembered["copy"] != (schema(), fingerprint("t.*")):
        rehearse("reset")


@pytest.fixture
def ip_type_columns(db):
    """The columns for the address type with their types, as the catalogue has them now."""

    def look():
        return set(
            db.column(
                """
                select attname || ' ' || format_type(atttypid, atttypmod)
                from pg_attribute
                where attrelid = '{session_summaries}'::regclass
                    and attname like 'snapshot_ip%%' and not attisdropped
                """,
                [],
            )
        )

    return look


@pytest.fixture
def schema(db):
    """Everything that a migration could change about the session table, one line for each thing."""

    def look():
        return db.column(
            """
            select concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull)
            from pg_attribute
            where attrelid = '{session_summaries}'::regclass and attnum > 0 and not attisdropped
            union all
            select concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid)
            from pg_index where indrelid = '{session_summaries}'::regclass
            union all
            select concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid))
            from pg_constraint where conrelid = '{session_summaries}'::regclass
            order by 1
            """
        )

    return look


@pytest.fixture
def fingerprint(db):
    """Rows of the session table and a digest over some of their columns, in one scan and in any order."""

    def take(columns):
        return db.row(
            f"""
            select count(*) as rows, sum(hashtextextended(row({columns})::text, 0)::numeric)::text as digest
            from {{session_summaries}} as t
            """
        )

    return take


@pytest.fixture
def to_fill(db):
    """How many sessions a fill has left to do: those that lack an address or a country which is known."""
    # By what is known and not by `source_ip is null` or by `snapshot_country is null` alone: tools differ in
    # where they begin, and a session whose country nobody knows is done.

    def count():
        return db.row(
            """
            select count(*) as sessions,
                   count(*) filter (where lacks) as left,
                   count(*) filter (where not lacks) as done
            from (
                select coalesce(
                    s.source_ip is null and origin.address is not null
                        or s.snapshot_country is null and i.geo_country <> 'XX',
                    false) as lacks
                from {session_summaries} as s
                cross join lateral (
                    select coalesce(s.source_ip, s.enrichment ->> 'source_ip') as address
                ) as origin
                left join {ip_inventory} as i on i.ip_address = origin.address
            ) as s
            """
        )

    return count


@pytest.fixture
def written_since(db):
    """Count the sessions that were written after a moment, which is named by the transaction id of then."""

    def count(transaction):
        return db.scalar(
            "select count(*) from {session_summaries} where age(xmin) <= age(%s::text::xid)", [transaction]
        )

    return count


@pytest.fixture
def transaction(db):
    """The transaction id of now."""

    def current():
        return db.scalar("select pg_current_xact_id()::xid::text")

    return current


@pytest.fixture
def status(host, setting):
    """The status file of the last fill; see `Full fill` in the runbook for its fields."""

    def read():
        return json.loads(host.read_text(f"{setting('status_directory')}/{setting('status_file')}"))

    return read


@dataclass(frozen=True)
class Look:
    """One look at a fill that is running.

    Attributes:
        seconds: since its start.
        status: its status file; ``None`` as long as there is none of this run.
        status_age: seconds since the file was written.
        done: sessions with nothing left to fill, counted in the database after the file was read.
        memory_used: of the machine, in percent.
        log_lines: what it has printed so far.
    """

    seconds: float
    status: dict[str, Any] | None
    status_age: int
    done: int
    memory_used: float
    log_lines: int


@pytest.fixture
def watch(host, setting, to_fill, progress):
    """Look at a running fill until it ends; the pauses grow with the cost of a look."""

    def until_the_end(running):
        directory, name = setting("status_directory"), setting("status_file")
        earlier = {file.name: host.read_text(file.path) for file in host.list(directory)}.get(name)
        begun, looks = time.monotonic(), []
        with progress("the fill"):
            while running.is_running:
                look = time.monotonic()
                file = {file.name: file for file in host.list(directory)}.get(name)
                text = host.read_text(file.path) if file else None
                looks.append(
                    Look(
                        seconds=look - begun,
                        status=json.loads(text) if text and text != earlier else None,
                        status_age=file.age_seconds if file else 0,
                        done=to_fill()["done"],
                        memory_used=host.memory().used_percent,
                        log_lines=len(running.output().splitlines()),
                    )
                )
                # On millions of rows a look is a load of its own: a tenth of the time at most.
                cost = time.monotonic() - look
                time.sleep(cost if cost < 0.2 else 9 * cost)
        return looks

    return until_the_end
