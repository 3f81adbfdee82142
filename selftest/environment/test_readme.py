from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from signoff.environment import (
    Api,
    Artifact,
    Backups,
    Elasticsearch,
    Host,
    Kubernetes,
    Limit,
    Metrics,
    Postgres,
    Procedure,
    Profile,
    RabbitMQ,
    Redis,
    Replica,
    Role,
    Service,
    StackCommand,
    System,
    Timeouts,
    Tls,
)
from signoff.environment.model import keys

README = (Path(__file__).parents[2] / "environments" / "README.md").read_text()

ROWS = {
    Postgres: "| `postgres` |",
    Timeouts: "| `postgres` |",
    Replica: "| `postgres.replica` |",
    Role: "| `postgres.roles.NAME` |",
    Host: "| `host` |",
    Redis: "| `redis` |",
    Kubernetes: "| `kubernetes` |",
    Api: "| `api` |",
    Metrics: "| `metrics` |",
    Service: "| `metrics` |",
    RabbitMQ: "| `rabbitmq` |",
    Elasticsearch: "| `elasticsearch` |",
    Backups: "| `backups` |",
    Tls: "| `tls` |",
    StackCommand: "| `[stack]` |",
    Limit: "| `[limits.ID.CRITERION]` |",
    Artifact: "| `[….artifacts.NAME]` |",
    Procedure: "| `[….procedures.NAME]` |",
}


@pytest.mark.parametrize("table", ROWS, ids=lambda table: table.__name__)
def test_the_reference_names_every_key_of_a_table(table: type) -> None:
    """Each key of a table stands in its row of the reference; required ones of components are bold."""
    (row,) = (line for line in README.splitlines() if line.startswith(ROWS[table]))
    meaning = row.removeprefix(ROWS[table])
    for name, field in keys(table).items():
        assert f"`{name}`" in meaning
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if table not in {StackCommand, Limit, Artifact, Procedure}:
            assert (f"**`{name}`**" in meaning) == required


@pytest.mark.parametrize("table", [Profile, System], ids=lambda table: table.__name__)
def test_the_reference_names_every_key_of_the_outer_tables(table: type) -> None:
    """Each key of the file and of a system stands in the reference."""
    for name in keys(table):
        assert re.search(rf"`(\[(….)?)?{name}[\].`]", README), name


def test_the_reference_gives_the_defaults_in_force() -> None:
    """The defaults that the reference prints beside a key are those of the profile."""
    timeouts = Timeouts()
    for name in ("connect", "statement", "lock", "idle"):
        assert f"`{name}` {getattr(timeouts, name):g}s" in README
    for table, row in ROWS.items():
        timeout = keys(table).get("timeout")
        if timeout is not None and table is not Procedure:
            (line,) = (line for line in README.splitlines() if line.startswith(row))
            assert f"`timeout` ({timeout.default:g}s)" in line
