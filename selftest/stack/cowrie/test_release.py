"""The released database, and the reset to where everything began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stack import cowrieprocessor
from stack.cowrieprocessor.errors import Refused

if TYPE_CHECKING:
    from selftest.conftest import Database
    from selftest.stack.cowrie.conftest import Rehearsal

SNAPSHOT = """
    select count(*) from session_summaries
    where snapshot_country = 'CN' and snapshot_ip_type = 'DATACENTER'
"""
JOIN = """
    select count(*) from session_summaries s join ip_inventory i on i.ip_address = s.source_ip
    where i.geo_country = 'CN' and i.ip_types[1] = 'DATACENTER'
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan and all plans below it."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def test_a_created_database_has_no_snapshots(rehearsal: Rehearsal) -> None:
    """Before the runbook no session has an address, an ASN, a country or a type."""
    assert rehearsal.rows(
        "select count(*), count(source_ip), count(snapshot_asn), count(snapshot_country), "
        "count(snapshot_ip_types) from session_summaries"
    ) == [(2000, 0, 0, 0, 0)]


def test_an_existing_database_is_not_created_again(rehearsal: Rehearsal) -> None:
    """Creating refuses to touch sessions that are there."""
    before = rehearsal.state()
    with pytest.raises(Refused):
        cowrieprocessor.create(rehearsal.conninfo)
    assert rehearsal.state() == before


def test_the_snapshot_query_touches_a_fifth_of_what_the_join_touches(rehearsal: Rehearsal) -> None:
    """In the released database the same count comes from one index alone, and from far fewer pages."""
    cowrieprocessor.release(rehearsal.conninfo, rehearsal.status_directory)
    assert rehearsal.value(SNAPSHOT) == rehearsal.value(JOIN) > 0
    explain = "explain (analyze, buffers, timing off, format json) "
    snapshot, join = (rehearsal.value(explain + query)[0]["Plan"] for query in (SNAPSHOT, JOIN))
    scan = nodes(snapshot)[-1]
    assert scan["Index Name"] == "idx_session_snapshot_country_ip_type"
    assert scan["Heap Fetches"] == 0
    pages = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in (snapshot, join)]
    assert pages[0] * 5 <= pages[1]


def test_a_released_database_may_be_empty(database: Database, rehearsal: Rehearsal) -> None:
    """No sessions at all can be created and released; nothing remains."""
    cowrieprocessor.create(database.conninfo, sessions=0)
    cowrieprocessor.release(database.conninfo, rehearsal.status_directory)
    assert (rehearsal.status()["state"], rehearsal.status()["processed"]) == ("completed", 0)


@pytest.mark.parametrize(
    "history",
    [
        [],
        ["migrate"],
        ["migrate", "backfill --max-batches 1"],
        ["migrate", "backfill", "rollback-schema"],
        ["migrate", "backfill", "rollback-backfill"],
    ],
    ids=" ".join,
)
def test_a_reset_restores_the_beginning_from_every_state(rehearsal: Rehearsal, history: list[str]) -> None:
    """Whatever the tools did, a reset brings every row and object back, and removes the status file."""
    before = rehearsal.state()
    for command in history:
        rehearsal.succeed(*command.split())
    assert rehearsal.succeed("reset")["sessions"] == 2000
    assert rehearsal.state() == before
    assert rehearsal.status() == {}


@pytest.mark.parametrize(
    "damage",
    [
        "drop table session_summaries, ip_inventory, asn_inventory, schema_state",
        "delete from session_summaries; update ip_inventory set enrichment = null; drop table schema_state",
        "alter table session_summaries rename to s; create view session_summaries as select * from s",
        "create table debris (); create materialized view more as select * from ip_inventory",
    ],
)
def test_a_reset_repairs_damage(rehearsal: Rehearsal, damage: str) -> None:
    """Planted defects, lost tables and foreign objects do not outlive a reset."""
    before = rehearsal.state()
    rehearsal.execute(damage)
    rehearsal.succeed("reset")
    assert rehearsal.state() == before


def test_only_generated_content_is_reset(rehearsal: Rehearsal) -> None:
    """A database that nobody generated is refused, because its content could not be had again."""
    rehearsal.execute("drop schema generated cascade")
    assert "unknown origin" in rehearsal.refuse("reset")
