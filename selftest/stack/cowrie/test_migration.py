"""The migration of the ip type and its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selftest.stack.cowrie.conftest import Rehearsal

ARRAYS = {
    "{DATACENTER}": "DATACENTER",
    "{VPN,TOR}": "VPN",
    "{}": None,
    "{NULL}": None,
    "[0:1]={MOBILE,VPN}": "MOBILE",
    "{{TOR,VPN},{VPN,TOR}}": None,
}


def fill_arrays(rehearsal: Rehearsal) -> dict[str, str | None]:
    """Give sessions arrays of every kind; returns by session id the text that each becomes."""
    ids = [name for (name,) in rehearsal.rows("select session_id from session_summaries order by 1 limit 6")]
    with rehearsal.connect() as session, session.cursor() as cursor:
        cursor.executemany(
            "update session_summaries set snapshot_ip_types = %s::text[] where session_id = %s",
            list(zip(ARRAYS, ids, strict=True)),
        )
    return dict(zip(ids, ARRAYS.values(), strict=True))


def test_the_dry_run_says_every_statement_and_changes_nothing(
    rehearsal: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
    """What the dry run announces is what the migration then executes, word by word."""
    caplog.set_level("INFO")
    before = rehearsal.state()
    result = rehearsal.succeed("migrate", "--dry-run")
    announced = [message.removeprefix("would execute: ") for message in caplog.messages]
    assert result["sessions"] == 2000
    assert rehearsal.state() == before
    caplog.clear()
    rehearsal.succeed("migrate")
    assert [message.removeprefix("executing: ") for message in caplog.messages] == announced
    assert any("rename column snapshot_ip_types to snapshot_ip_type" in message for message in announced)


def test_the_column_is_a_text_that_can_be_compared(rehearsal_on_each: Rehearsal) -> None:
    """After the migration there is one text column, indexed with the country, and no array."""
    rehearsal_on_each.succeed("migrate")
    columns = dict(
        rehearsal_on_each.rows(
            "select column_name, data_type from information_schema.columns "
            "where table_name = 'session_summaries' and column_name like 'snapshot%'"
        )
    )
    assert columns == {
        "snapshot_asn": "integer",
        "snapshot_country": "character varying",
        "snapshot_ip_type": "text",
    }
    assert rehearsal_on_each.value(
        "select indisvalid from pg_index where indexrelid = 'idx_session_snapshot_country_ip_type'::regclass"
    )
    assert rehearsal_on_each.value("select value from schema_state where key = 'schema_version'") == "17"
    assert (
        rehearsal_on_each.value(
            "select count(*) from session_summaries where snapshot_ip_type = 'DATACENTER'"
        )
        == 0
    )


def test_arrays_become_their_first_element(rehearsal: Rehearsal) -> None:
    """The main type of each array survives, and what cannot be one text is kept aside."""
    expected = fill_arrays(rehearsal)
    result = rehearsal.succeed("migrate")
    migrated = dict(rehearsal.rows("select session_id, snapshot_ip_type from session_summaries"))
    assert {name: migrated[name] for name in expected} == expected
    assert (result["with_ip_type"], result["arrays_kept"]) == (3, 5)


def test_the_way_back_restores_everything(rehearsal_on_each: Rehearsal) -> None:
    """Arrays of every kind, indexes on the column, comment and privileges are as before the migration."""
    fill_arrays(rehearsal_on_each)
    rehearsal_on_each.execute(
        "create index types on session_summaries using gin (snapshot_ip_types)",
        'create index "Main type" on session_summaries ((snapshot_ip_types[1])) where event_count > 3',
        "comment on column session_summaries.snapshot_ip_types is 'of the address'",
        "grant select (snapshot_ip_types) on session_summaries to public",
    )
    before = rehearsal_on_each.state()
    assert len(rehearsal_on_each.succeed("migrate")["indexes_dropped"]) == 2
    assert rehearsal_on_each.state() != before
    rehearsal_on_each.succeed("rollback-schema")
    assert rehearsal_on_each.state() == before


def test_values_filled_in_the_meantime_survive_the_way_back(migrated: Rehearsal) -> None:
    """Snapshots of a backfill become arrays of one element, and texts again by another migration."""
    migrated.succeed("backfill", "--batch-size", "1000")
    filled = migrated.sessions()
    migrated.succeed("rollback-schema")
    assert migrated.value(
        "select count(*) from session_summaries where snapshot_ip_types = array['DATACENTER']"
    )
    migrated.succeed("migrate")
    assert migrated.sessions() == filled


def test_a_newer_value_is_not_lost_unless_told(rehearsal: Rehearsal) -> None:
    """Where a kept array and a newer text compete, the way back is refused, or told to take the array."""
    fill_arrays(rehearsal)
    before = rehearsal.sessions()
    rehearsal.succeed("migrate")
    rehearsal.execute("update session_summaries set snapshot_ip_type = 'TOR' where snapshot_ip_type = 'VPN'")
    assert "1 sessions" in rehearsal.refuse("rollback-schema")
    rehearsal.succeed("rollback-schema", "--discard-newer-values")
    assert rehearsal.sessions() == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("alter table session_summaries drop column snapshot_ip_types", "neither"),
        ("alter table session_summaries add column snapshot_ip_type text", "and snapshot_ip_type text"),
        (
            "alter table session_summaries rename column snapshot_ip_types to snapshot_ip_type",
            "snapshot_ip_type text[]",
        ),
        ("alter table session_summaries alter column snapshot_ip_types type text", "snapshot_ip_types text"),
        ("update schema_state set value = '15' where key = 'schema_version'", "version 15"),
        ("drop table schema_state", "version None"),
        ("alter table session_summaries rename to sessions", "does not exist"),
        ("alter table session_summaries rename to s; create view session_summaries as table s", "kind 'v'"),
        ("create view types as select snapshot_ip_types from session_summaries", "used by a view"),
    ],
)
def test_another_schema_is_refused(rehearsal: Rehearsal, statement: str, message: str) -> None:
    """A table that is not the one to migrate is refused with a failing exit status and left alone."""
    rehearsal.execute(statement)
    assert message in rehearsal.refuse("migrate")


def test_the_dry_run_refuses_what_the_migration_refuses(migrated: Rehearsal) -> None:
    """A second migration, real or dry, is refused because there is nothing to do."""
    assert "nothing to do" in migrated.refuse("migrate")
    assert "nothing to do" in migrated.refuse("migrate", "--dry-run")


def test_only_the_own_migration_is_rolled_back(rehearsal: Rehearsal) -> None:
    """Without the record of a migration there is no way back."""
    assert "Only what migrate did" in rehearsal.refuse("rollback-schema")
    rehearsal.succeed("migrate")
    rehearsal.execute("delete from schema_state where key <> 'schema_version'")
    assert "Only what migrate did" in rehearsal.refuse("rollback-schema")


@pytest.mark.parametrize("tool", ["migrate", "rollback-schema"])
def test_a_locked_table_is_not_waited_for_endlessly(rehearsal: Rehearsal, tool: str) -> None:
    """An application that holds the table makes the tool give up, with nothing changed."""
    if tool == "rollback-schema":
        rehearsal.succeed("migrate")
    with rehearsal.connect() as application, application.transaction():
        application.execute("select from session_summaries limit 1")
        assert "55P03" in rehearsal.refuse(tool, "--lock-timeout", "0.05")
