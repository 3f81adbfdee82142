"""What the guard lets through, and why its lists can be trusted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.errors import SignoffError, StatementRefused
from signoff.handles.postgres.reviewed import EXTENSIONS, READING, REFUSED

if TYPE_CHECKING:
    from selftest.handles.conftest import Laboratory, Open, Watched
    from signoff.handles.postgres.handle import Postgres

READS: Final = {
    "constant": "select 1",
    "table": "table app.facts",
    "values": "values (1, 'a'), (2, 'b')",
    "in parentheses": "(select 1) union (select 2 order by 1 limit 1)",
    "with": "with recursive r (n) as (select 1 union all select n + 1 from r where n < 3) select * from r",
    "materialised with": "with m as materialized (select 1 as a) select * from m",
    "aggregates": "select count(*) filter (where id > 1), string_agg(label, ',' order by id) from app.facts",
    "percentile": "select percentile_cont(array[0.5, 0.95]) within group (order by id) from app.facts",
    "window": "select lag(id) over w as l from app.facts window w as (partition by label order by id)",
    "grouping sets": "select id, label, count(*) from app.facts group by grouping sets ((id), (label), ())",
    "lateral": "select * from generate_series(1, 3) g (n) join lateral (select g.n * 2 as m) x on true",
    "rows from": "select * from rows from (generate_series(1, 2), unnest(array[1])) with ordinality r",
    "json": "select payload -> 'n', payload @> '{{\"n\": 1}}' as c, payload ? 'n' as q from app.facts",
    "json table function": "select * from jsonb_to_recordset('[{{\"a\": 1}}]') as r (a int, b text)",
    "time": "select extract(epoch from now() - interval '1 day') as e, now() at time zone 'UTC' as u",
    "SQL's own syntax": "select position('a' in 'ba'), overlay('abc' placing 'x' from 1) as o",
    "predicates": "select id from app.facts where label like 'l%' and id between 1 and 5 and id is not null",
    "regular expression": "select id from app.facts where label ~ '^label [0-9]$' and label !~* 'x'",
    "sample by the server": "select count(*) from app.facts tablesample bernoulli (50) repeatable (1)",
    "physical place": "select id from app.facts where ctid = any (array['(0,1)']::tid[])",
    "casts": "select '1'::int, 'app.facts'::regclass, cast('2' as numeric(10, 2)) as n",
    "dollar quotes": "select $q$ select pg_notify $q$ as text",
    "escape string": r"select E'it''s \' quoted' as text",
    "word in a string": "select 'pg_terminate_backend' as name",
    "comment": "select /* harmless */ 1 -- really\n",
    "activity": "select pid, state, wait_event from pg_stat_activity where backend_type = 'client backend'",
    "locks": "select locktype, mode from pg_locks",
    "settings": "select name, setting, source from pg_settings where name ~ 'timeout'",
    "settings of databases": "select setconfig from pg_db_role_setting where setdatabase <> 0",
    "replication": "select * from pg_stat_replication",
    "statistics": "select * from pg_stat_user_tables",
    "statements": "select query, calls from pg_stat_statements",
    "sizes": "select pg_size_pretty(pg_database_size('laboratory')), pg_relation_size('app.facts') as r",
    "wal": "select pg_current_wal_lsn(), pg_is_in_recovery()",
    "access rules": "select type, auth_method from pg_hba_file_rules",
    "information schema": "select table_name from information_schema.tables where table_schema = 'app'",
    "definitions": "select pg_get_viewdef('app.facts_view'::regclass)",
    "sleep": "select pg_sleep(0)",
    "chance": "select random(), gen_random_uuid()",
    "view": "select * from app.facts_view",
    "materialised view": "select * from app.frozen",
    "reading function": "select app.reader(5)",
    "reading function at two removes": "select app.reader_in_plpgsql()",
    "extension's type": "select 'A'::citext = 'a'::citext as same",
    "extension's operator": "select 'a=>1'::hstore -> 'a' as value",
    "extension's function": "select similarity('abc', 'abd')",
    "checked domain": "select a from app.ranked where a = 1",
    "column named as a trigger's function": "select f.label from app.facts f",
    "column named as a function": "select s.cleanup from (select 1 as cleanup) s",
    "alias named as a statement": "select 1 as notify, 2 as listen, 3 as delete",
    "explain": "explain select * from app.facts",
    "explain analyze": "explain (analyze, costs off, timing false, format json) select 1",
    "show": "show server_version",
    "show all": "SHOW ALL",
    "semicolon": "select 1;",
}


@pytest.mark.parametrize("name", READS)
def test_reading_passes(db: Postgres, name: str) -> None:
    """What only reads is not in the way of anybody."""
    assert db._ask(READS[name], None).columns


def test_reading_passes_on_a_standby(laboratory: Laboratory, open_handle: Open) -> None:
    """The guard writes nothing itself: it works on a standby, and with the least of roles."""
    replica = open_handle(address=laboratory.address("observer", replica=True))
    assert replica.scalar("select count(*) from app.facts_view") == 200
    with pytest.raises(StatementRefused, match=r"app\.loud calls pg_notify"):
        replica.rows("select * from app.loud")


def test_a_new_view_is_seen_at_once(db: Postgres, superuser: psycopg.Connection[Any]) -> None:
    """The guard does not remember a view that was harmless before somebody changed it."""
    superuser.execute("create view app.changing as select 1 as a")
    try:
        assert db.scalar("select a from app.changing") == 1
        superuser.execute(
            "create or replace view app.changing as select 1 as a where pg_notify('c', 'x') is null"
        )
        with pytest.raises(StatementRefused):
            db.scalar("select a from app.changing")
    finally:
        superuser.execute("drop view app.changing")


def test_the_search_path_cannot_bring_in_a_shadow(laboratory: Laboratory, open_handle: Open) -> None:
    """What is built in stays what it is, even for a role whose search path puts a schema before it."""
    with psycopg.connect(laboratory.conninfo, autocommit=True) as connection:
        connection.execute("alter role observer set search_path = shadow, pg_catalog")
        try:
            observer = open_handle(user="observer")
            with pytest.raises(StatementRefused, match=r"shadow\.now"):
                observer.scalar("select now()")
            assert observer.scalar("select current_timestamp") is not None
        finally:
            connection.execute("alter role observer reset search_path")


@pytest.mark.parametrize(
    ("symbol", "operands", "sql"),
    [
        ("~~", "int, text", "select id from app.facts where id like '1%'"),
        ("=", "int, text", "select id from app.facts where id in ('1'::text)"),
        ("<", "int, text", "select id from app.facts order by id"),
        ("=", "int, app.positive", "select nullif(id, '1') from app.facts"),
        ("~~", "int, app.positive", "select id from app.facts where id not ilike '1%' or id like '1'"),
    ],
)
def test_an_operator_by_another_name_is_looked_up(
    db: Postgres, superuser: psycopg.Connection[Any], symbol: str, operands: str, sql: str
) -> None:
    """LIKE, IN, NULLIF and others call operators; their functions are looked up without a symbol."""
    left, right = operands.split(", ")
    superuser.execute(f"create function app.hidden({operands}) returns bool language sql as 'select true'")
    superuser.execute(
        f"create operator public.{symbol} (leftarg = {left}, rightarg = {right}, function = app.hidden)"
    )
    try:
        with pytest.raises(StatementRefused, match=r"app\.hidden"):
            db.rows(sql)
    finally:
        superuser.execute(f"drop operator public.{symbol} ({operands}); drop function app.hidden({operands})")


def test_an_operator_class_is_looked_up(db: Postgres, superuser: psycopg.Connection[Any]) -> None:
    """DISTINCT, GROUP BY and ORDER BY call functions of operator classes, which are looked up."""
    superuser.execute(
        """
        create function app.same_json(json, json) returns bool language sql as 'select true';
        create function app.hash_json(json) returns int language sql immutable as 'select 1';
        create operator app.==~ (leftarg = json, rightarg = json, function = app.same_json);
        create operator class app.json_ops default for type json using hash
            as operator 1 app.==~, function 1 app.hash_json (json);
        """
    )
    try:
        with pytest.raises(StatementRefused, match=r"app\.same_json"):
            db.rows("select distinct to_json(id) from app.facts")
    finally:
        superuser.execute(
            """
            drop operator family app.json_ops using hash cascade;
            drop operator app.==~ (json, json);
            drop function app.same_json, app.hash_json;
            """
        )


def test_every_volatile_function_was_reviewed(superuser: psycopg.Connection[Any]) -> None:
    """Each built-in volatile function is on exactly one of the two lists, with a reason."""
    volatile = {
        name
        for (name,) in superuser.execute(
            """
            select proname from pg_proc
            where oid < 16384 and provolatile = 'v' and prorettype <> 'trigger'::regtype
                and not 'internal'::regtype = any (proargtypes)
                and prorettype::regtype::text not like '%handler'
            """
        )
    }
    assert volatile <= READING.keys() | REFUSED.keys()
    assert not READING.keys() & REFUSED.keys()
    assert all((*READING.values(), *REFUSED.values()))


REVIEWED: Final = {15: "68384080f9982a2c", 18: "543d0a000d6bd7c0"}
"""Digests of the names of all built-in functions that are not volatile, as they were when reviewed."""


def test_no_other_function_was_added(superuser: psycopg.Connection[Any]) -> None:
    """The built-in functions that pass without being listed are those that were reviewed."""
    names = [
        name
        for (name,) in superuser.execute(
            "select distinct proname from pg_proc where oid < 16384 and provolatile <> 'v' order by proname"
        )
    ]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    assert digest == REVIEWED[superuser.info.server_version // 10_000]


def test_reviewed_extensions_are_as_they_were(superuser: psycopg.Connection[Any]) -> None:
    """Of a reviewed extension no volatile function passes that is not listed."""
    present = superuser.execute(
        """
        select e.extname, p.proname from pg_depend d join pg_proc p on p.oid = d.objid
            join pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_proc'::regclass and d.deptype = 'e' and p.provolatile = 'v'
        """
    ).fetchall()
    passing = {(extension, name) for extension, name in present if name in EXTENSIONS.get(extension, ())}
    assert passing == {
        ("pg_stat_statements", "pg_stat_statements"),
        ("pg_stat_statements", "pg_stat_statements_info"),
    }


NAMES: Final = st.sampled_from(
    [
        *sorted(REFUSED)[:60],
        "app.write_fact",
        "app.liar",
        "app.dynamic",
        "shadow.now",
        "now",
        "count",
        "app.reader",
    ]
)
ARGUMENTS: Final = st.sampled_from(
    ["", "1", "'c', 'x'", "0, 'x'", "'app.numbers'", "1, 2", "'work_mem', '1MB', false"]
)
GAPS: Final = st.sampled_from(["", " ", "\n", "/**/", "/* ( */", "-- x\n", "\t"])


@st.composite
def calls(draw: st.DrawFn) -> str:
    """A call of a function, spelled in one of many ways."""
    name = draw(NAMES)
    if draw(st.booleans()):
        name = ".".join(f'"{part}"' for part in name.split("."))
    elif draw(st.booleans()):
        name = name.upper()
    return f"{name}{draw(GAPS)}({draw(ARGUMENTS)})"


EXPRESSIONS: Final = st.recursive(
    st.one_of(
        calls(),
        st.sampled_from(
            ["1", "null", "'a'", "id", "label", "f.attribute", "(f).attribute", "pair::int", "1::app.checked"]
        ),
        st.text(alphabet="abx_$\"'`;-/*()0 \\", max_size=8),
    ),
    lambda inner: st.one_of(
        st.builds("({}) = ({})".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("case when {} is null then {} end".format, inner, inner),
        st.builds("({} operator(app.<=@) {})".format, inner, inner),
        st.builds("(select {} from app.facts f limit 1)".format, inner),
        st.builds("array[{}]".format, inner),
        st.builds("({})::text".format, inner),
    ),
    max_leaves=4,
)

STATEMENTS: Final = st.one_of(
    st.builds("select {}".format, EXPRESSIONS),
    st.builds("select {} from app.facts f where {} is null".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("select * from {} x".format, calls()),
    st.builds("select 1 from app.facts f, lateral (select {}) x limit 2".format, EXPRESSIONS),
    st.builds("with w as (select {}) select * from w".format, EXPRESSIONS),
    st.builds("with w as (delete from app.facts returning {}) select * from w".format, EXPRESSIONS),
    st.builds("explain analyze select {}".format, EXPRESSIONS),
    st.builds("values ({})".format, EXPRESSIONS),
    st.builds("select {}; select {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds(
        "{} {}".format,
        st.sampled_from(["do", "call", "set", "notify c,", "insert into app.facts"]),
        EXPRESSIONS,
    ),
    st.builds(
        "select * from {}".format,
        st.sampled_from(["app.loud", "app.guarded", "app.facts_view", "app.parent"]),
    ),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sql=STATEMENTS)
def test_whatever_passes_changes_nothing(db: Postgres, watched: Watched, sql: str) -> None:
    """Whatever statement the guard lets through, the state of the server stays what it was."""
    before = watched.remembered()
    try:
        db.rows(sql.replace("{", "{{").replace("}", "}}"))
    except StatementRefused as refused:
        assert "[SQLSTATE" not in refused.got, "only the server stopped it"  # noqa: PT017
        return
    except SignoffError:
        pass
    assert watched.state() == before
