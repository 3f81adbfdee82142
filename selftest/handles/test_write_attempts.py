"""Under read_only nothing writes, whatever is tried: refused by the guard, and by the server where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from signoff.errors import StatementRefused

if TYPE_CHECKING:
    from pathlib import Path

    from selftest.handles.conftest import Laboratory, Watched
    from signoff.handles.postgres.handle import Postgres

COPY: Final = "/tmp/signoff-selftest-copy"  # noqa: S108 - nothing may ever be written there

KINDS: Final = {
    "insert": "insert into app.facts values (-1, 'x')",
    "update": "update app.facts set label = 'x'",
    "delete": "delete from app.facts",
    "merge": "merge into app.facts f using app.facts g on f.id = g.id when matched then delete",
    "truncate": "truncate app.facts",
    "create table": "create table app.new (a int)",
    "create temporary table": "create temporary table new (a int)",
    "create table as": "create table app.new as select 1 as a",
    "create view": "create view app.new as select 1 as a",
    "create index": "create index on app.facts (label)",
    "create function": "create function app.new() returns int language sql as 'select 1'",
    "create role": "create role new",
    "alter table": "alter table app.facts add column new int",
    "alter role": "alter role observer set work_mem = '1MB'",
    "alter database": "alter database laboratory set work_mem = '1MB'",
    "alter system": "alter system set work_mem = '1MB'",
    "drop table": "drop table app.facts",
    "grant": "grant all on app.facts to observer",
    "comment": "comment on table app.facts is 'x'",
    "security label": "security label on table app.facts is 'x'",
    "refresh": "refresh materialized view app.frozen",
    "reindex": "reindex table app.facts",
    "cluster": "cluster app.facts using facts_pkey",
    "vacuum": "vacuum app.facts",
    "analyze": "analyze app.facts",
    "checkpoint": "checkpoint",
    "copy from": "copy app.facts from stdin",
    "copy to file": f"copy app.facts to '{COPY}'",
    "copy to program": f"copy app.facts to program 'cat > {COPY}'",
    "copy to client": "copy app.facts to stdout",
    "do": "do $$ begin perform pg_notify('c', 'x'); end $$",
    "call": "call app.nothing()",
    "set": "set work_mem = '1MB'",
    "set local": "set local work_mem = '1MB'",
    "set role": "set role observer",
    "set transaction": "set transaction read write",
    "session characteristics": "set session characteristics as transaction read write",
    "reset": "reset all",
    "discard": "discard all",
    "begin": "begin read write",
    "commit": "commit",
    "prepare transaction": "prepare transaction 'x'",
    "savepoint": "savepoint x",
    "lock": "lock table app.facts",
    "listen": "listen c",
    "notify": "notify c, 'x'",
    "prepare": "prepare p as delete from app.facts",
    "execute": "execute p",
    "deallocate": "deallocate all",
    "declare cursor": "declare c cursor with hold for select 1",
    "fetch": "fetch c",
    "load": "load 'auto_explain'",
    "import foreign schema": "import foreign schema public from server elsewhere into app",
    "nothing": "",
    "only a comment": "-- nothing",
    "a number": "1",
    "not SQL": "please delete everything",
    "a quoted keyword": '"select" 1',
}

CLAUSES: Final = {
    "second statement": "select 1; delete from app.facts",
    "second statement after a comment": "select 1 /* ; */; delete from app.facts",
    "second statement behind a backslash": r"select '\'; delete from app.facts; --'",
    "second statement behind a dollar quote": "select $a$ $b$ $a$; delete from app.facts; -- $b$",
    "select into": "select * into app.new from app.facts",
    "select into temporary": "select * into temporary new from app.facts",
    "for update": "select * from app.facts for update",
    "for share in a subquery": "select * from (select * from app.facts for share) f",
    "for no key update of": "select * from app.facts f for no key update of f skip locked",
    "insert in with": "with n as (insert into app.facts values (-1, 'x') returning 1) select * from n",
    "update in with": "with n as (update app.facts set label = 'x' returning 1) select 1",
    "delete in a nested with": "select (with n as (delete from app.facts returning 1) select 1 from n)",
    "with before insert": "with n as (select -1) insert into app.facts select * from n, (values ('x')) v",
    "values into": "values (1) into app.new",
    "explain analyze delete": "explain analyze delete from app.facts",
    "explain with options": "explain (costs off, analyze) delete from app.facts",
    "explain create table as": "explain analyze create table app.new as select 1 as a",
    "explain execute": "explain analyze execute p",
    "explain of an explain": "explain explain select 1",
    "show and more": "show all; delete from app.facts",
}

FUNCTIONS: Final = {
    "terminate": "select pg_terminate_backend(0)",
    "cancel": "select pg_cancel_backend(0)",
    "log memory contexts": "select pg_log_backend_memory_contexts(pg_backend_pid())",
    "advisory lock": "select pg_advisory_lock(4711)",
    "transaction's advisory lock": "select pg_try_advisory_xact_lock_shared(4711)",
    "advisory unlock": "select pg_advisory_unlock_all()",
    "nextval": "select nextval('app.numbers')",
    "setval": "select setval('app.numbers', 100)",
    "currval": "select currval('app.numbers')",
    "lastval": "select lastval()",
    "set_config": "select set_config('work_mem', '1MB', false)",
    "setseed": "select setseed(0.5)",
    "notification": "select pg_notify('c', 'x')",
    "large object": "select lo_create(0)",
    "large object from file": "select lo_import('/etc/hostname')",
    "large object from bytes": "select lo_from_bytea(0, 'x')",
    "large object to file": f"select lo_export(1, '{COPY}')",
    "file": "select pg_read_file('/etc/hostname')",
    "binary file": "select pg_read_binary_file('/etc/hostname')",
    "directory": "select pg_ls_dir('/tmp')",
    "directory of the log": "select * from pg_ls_logdir()",
    "stat": "select * from pg_stat_file('/etc/hostname')",
    "reload": "select pg_reload_conf()",
    "rotate": "select pg_rotate_logfile()",
    "switch wal": "select pg_switch_wal()",
    "restore point": "select pg_create_restore_point('x')",
    "promote": "select pg_promote()",
    "pause replay": "select pg_wal_replay_pause()",
    "export snapshot": "select pg_export_snapshot()",
    "logical message": "select pg_logical_emit_message(false, 'x', 'x')",
    "replication slot": "select pg_create_physical_replication_slot('x')",
    "drop slot": "select pg_drop_replication_slot('x')",
    "read slot": "select * from pg_logical_slot_get_changes('x', null, null)",
    "replication origin": "select pg_replication_origin_create('x')",
    "reset statistics": "select pg_stat_reset()",
    "reset statements": "select pg_stat_statements_reset()",
    "reset shared": "select pg_stat_reset_shared('bgwriter')",
    "transaction id": "select txid_current()",
    "transaction id anew": "select pg_current_xact_id()",
    "brin": "select brin_summarize_new_values('app.facts_pkey')",
    "gin": "select gin_clean_pending_list('app.facts_pkey')",
    "collations": "select pg_import_system_collations('pg_catalog')",
    "query to xml": "select query_to_xml('delete from app.facts', true, true, '')",
    "table to xml": "select table_to_xml('app.loud', true, true, '')",
    "ts_stat": "select * from ts_stat('select app.write_fact()::text::tsvector')",
    "domain by number": "select domain_in('1'::cstring, 'app.checked'::regtype, -1)",
    "dblink": "select * from dblink('dbname=laboratory', 'delete from app.facts') t (a text)",
    "dblink_exec": "select dblink_exec('dbname=laboratory', 'delete from app.facts')",
    "crosstab": "select * from crosstab('select app.write_fact()') t (a int)",
    "trigram limit": "select set_limit(0.5)",
}

REACHED: Final = {
    "writing function": "select app.write_fact()",
    "quoted": 'select app."write_fact"()',
    "in capitals": "select APP.Write_Fact ( )",
    "after a comment": "select app.write_fact/* ( */()",
    "after a comment to the end of the line": "select app.write_fact -- x\n()",
    "with Unicode escapes": r'select app.U&"\0077rite_fact"()',
    "in a subquery": "select (select app.write_fact())",
    "in exists": "select 1 where exists (select app.write_fact())",
    "in case": "select case when true then app.write_fact() end",
    "in coalesce": "select coalesce(null, app.write_fact())",
    "in filter": "select count(*) filter (where app.write_fact() = 1) from app.facts",
    "in order by": "select 1 from app.facts order by app.write_fact()",
    "in limit": "select 1 limit app.write_fact()",
    "in window": "select sum(1) over (order by app.write_fact()) from app.facts",
    "in group by and having": "select 1 group by app.write_fact() having app.write_fact() = 1",
    "in from": "select * from app.write_fact()",
    "in lateral": "select * from app.facts, lateral app.write_fact() w",
    "in rows from": "select * from rows from (app.write_fact(), generate_series(1, 2)) r",
    "in values": "values (app.write_fact())",
    "in with": "with w as (select app.write_fact()) select 1",
    "in an array": "select array(select app.write_fact())",
    "in tablesample": "select * from app.facts tablesample bernoulli (app.write_fact())",
    "in join": "select 1 from app.facts a join app.facts b on app.write_fact() = 1",
    "in in": "select 1 in (app.write_fact())",
    "under explain": "explain analyze select app.write_fact()",
    "as an argument": "select abs(app.write_fact())",
    "with a named argument": "select generate_series(start => app.write_fact(), stop => 1)",
    "attribute of a table": "select facts.attribute from app.facts",
    "attribute of an alias": "select f . attribute from app.facts f",
    "attribute of a row": "select (f).attribute from app.facts f",
    "attribute in quotes": 'select (f)."attribute" from app.facts f',
    "attribute after a comment": "select f./**/attribute from app.facts f",
    "stable in name only": "select app.liar()",
    "stable at two removes": "select app.liar_of_liar()",
    "stable with a parsed body": "select app.liar_atomic()",
    "stable by its default": "select app.liar_by_default()",
    "stable with made-up SQL": "select app.dynamic()",
    "odd name": 'select app."odd name"()',
    "letters beyond ASCII": "select app.größe()",
    "letters beyond ASCII in capitals": "select app.GRößE()",
    "schema with a quote": 'select "ev""il".f()',
    "shadow of a built-in": "select shadow.now()",
    "view": "select * from app.loud",
    "view of a view": "table app.louder",
    "operator": "select 1 operator(app.<=@) 2",
    "operator on a built-in function": "select 1 operator(app.@<>) 2",
    "domain": "select 1::app.checked",
    "array of a domain": "select '{{1}}'::app.checked[]",
    "cast": "select pair::int from app.pairs",
    "cast by a function's syntax": "select int4(pair) from app.pairs",
    "aggregate": "select app.total(id) from app.facts",
    "row security": "select * from app.guarded",
    "foreign table": "select * from app.away",
    "foreign table below": "select * from app.parent",
}

ATTEMPTS: Final = {
    f"{group}: {name}": sql
    for group, attempts in (
        ("kind", KINDS),
        ("clause", CLAUSES),
        ("function", FUNCTIONS),
        ("reached", REACHED),
    )
    for name, sql in attempts.items()
}

STOPPED_BY_THE_SERVER: Final = (
    "kind: insert",
    "kind: update",
    "kind: delete",
    "kind: merge",
    "kind: truncate",
    "kind: create table",
    "kind: create temporary table",
    "kind: create table as",
    "kind: create view",
    "kind: create index",
    "kind: create function",
    "kind: create role",
    "kind: alter table",
    "kind: alter role",
    "kind: alter database",
    "kind: alter system",
    "kind: drop table",
    "kind: grant",
    "kind: comment",
    "kind: refresh",
    "kind: vacuum",
    "kind: copy from",
    "kind: import foreign schema",
    "clause: second statement",
    "clause: second statement after a comment",
    "clause: select into",
    "clause: for update",
    "clause: for share in a subquery",
    "clause: insert in with",
    "clause: update in with",
    "clause: with before insert",
    "clause: explain analyze delete",
    "function: nextval",
    "function: setval",
    "reached: writing function",
)
"""What the server stops by itself, even for a superuser, when no guard stands before it."""

LET_THROUGH_BY_THE_SERVER: Final = (
    "clause: explain create table as",
    "kind: cluster",
    "kind: reindex",
    "kind: checkpoint",
    "kind: set",
    "kind: listen",
    "kind: notify",
    "kind: copy to file",
    "kind: analyze",
    "function: advisory lock",
    "function: set_config",
    "function: notification",
    "function: cancel",
    "function: file",
    "function: reset statistics",
    "function: reload",
    "function: transaction id",
    "function: trigram limit",
    "reached: stable in name only",
    "reached: stable with made-up SQL",
    "reached: view",
    "reached: operator on a built-in function",
)
"""What a read-only transaction alone lets through: why there is a guard."""


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_guard_refuses(db: Postgres, attempt: str) -> None:
    """Every attempt to write is refused, naming the statement, the reason and the way out."""
    with pytest.raises(StatementRefused) as caught:
        db.rows(ATTEMPTS[attempt])
    assert caught.value.got
    assert "[SQLSTATE" not in caught.value.got, "only the server stopped it"
    assert "mark the test destructive" in caught.value.next_step
    words = ATTEMPTS[attempt].split()
    assert not words or words[0].replace("{{", "{") in caught.value.subject


def test_nothing_changes(db: Postgres, watched: Watched) -> None:
    """After all attempts, through every way to ask, the whole state of the server is what it was."""
    before = watched.state()
    for sql in ATTEMPTS.values():
        for ask in (db.attempt, lambda sql: list(db.stream(sql))):
            with pytest.raises(StatementRefused):
                ask(sql)
    for sql in FUNCTIONS.values():
        with pytest.raises(StatementRefused):
            db.explain(sql, analyze=True)
    with db.session("administrator") as session:
        session.begin()
        for sql in ATTEMPTS.values():
            with pytest.raises(StatementRefused):
                session.rows(sql)
        session.commit()
    with pytest.raises(StatementRefused):
        db.execute("delete from app.facts")
    assert watched.state() == before


@pytest.mark.parametrize("attempt", STOPPED_BY_THE_SERVER)
def test_the_server_refuses_too(laboratory: Laboratory, attempt: str) -> None:
    """Without the guard, a write to the database is stopped by the server, for a superuser as well."""
    with pytest.raises(psycopg.Error):
        _run_without_guard(laboratory, ATTEMPTS[attempt])


@pytest.mark.parametrize("attempt", LET_THROUGH_BY_THE_SERVER)
def test_the_guard_is_needed(laboratory: Laboratory, attempt: str, tmp_path: Path) -> None:
    """A read-only transaction alone lets these through, so the server cannot replace the guard."""
    _run_without_guard(laboratory, ATTEMPTS[attempt].replace(COPY, str(tmp_path / "copy")))


def _run_without_guard(laboratory: Laboratory, sql: str) -> None:
    with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
        connection.execute("begin read only")
        # binary: through the extended protocol, as the handle does.
        connection.cursor(binary=True).execute(sql.replace("{{", "{").replace("}}", "}"))
        connection.execute("rollback")
