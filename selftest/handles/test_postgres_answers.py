"""What questions return, and what they refuse to return."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from signoff.errors import CheckpointError, MissingObject, StatementFailed, UnexpectedAnswer

if TYPE_CHECKING:
    from selftest.handles.conftest import Laboratory, Open
    from signoff.handles.postgres.handle import Postgres
    from signoff.record import Evidence


def test_scalar_is_the_one_value(db: Postgres) -> None:
    """The one value of the one row is returned; NULL is None."""
    assert db.scalar("select 1 + 1") == 2
    assert db.scalar("select null::int") is None


@pytest.mark.parametrize(
    ("sql", "got"),
    [
        pytest.param("select 1 where false", "0 rows", id="no row"),
        pytest.param("select generate_series(1, 2)", "2 rows", id="two rows"),
        pytest.param("select 1 as a, 2 as b", "2 columns", id="two columns"),
    ],
)
def test_scalar_accepts_no_other_shape(db: Postgres, sql: str, got: str) -> None:
    """No row, several rows or several columns are an error, never a value."""
    with pytest.raises(UnexpectedAnswer) as caught:
        db.scalar(sql)
    assert caught.value.got == got


def test_rows_are_dictionaries(db: Postgres) -> None:
    """Rows come by column name, in the order of the server."""
    rows = db.rows("select id, label from app.facts where id <= 2 order by id desc")
    assert rows == [{"id": 2, "label": "label 2"}, {"id": 1, "label": "label 1"}]


def test_two_columns_of_one_name_are_refused(db: Postgres) -> None:
    """A row by column name would lose one of two columns with the same name, so it is an error."""
    with pytest.raises(UnexpectedAnswer):
        db.rows("select 1 as a, 2 as a")


def test_row_is_the_one_row(db: Postgres) -> None:
    """Exactly one row is returned; none or two are an error."""
    assert db.row("select 1 as a, 'x' as b") == {"a": 1, "b": "x"}
    with pytest.raises(UnexpectedAnswer):
        db.row("select 1 as a where false")
    with pytest.raises(UnexpectedAnswer):
        db.row("select generate_series(1, 2) as a")


def test_column_is_the_one_column(db: Postgres) -> None:
    """The values of the one column are returned, none included."""
    assert db.column("select generate_series(1, 3)") == [1, 2, 3]
    assert db.column("select 1 where false") == []


def test_types_of_the_server_arrive(db: Postgres) -> None:
    """Numbers, arrays and JSON arrive as Python's own types."""
    row = db.row("""select 1.5::numeric as n, array[1, 2] as a, '{{"k": [1]}}'::jsonb as j""")
    assert row == {"n": Decimal("1.5"), "a": [1, 2], "j": {"k": [1]}}


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        pytest.param("select %s::int + %s::int", (1, 2), id="sequence"),
        pytest.param("select %(b)s::int * %(a)s::int + %(a)s::int", {"a": 1, "b": 2}, id="mapping"),
        pytest.param("select 7 %% 4 + %s::int", [0], id="percent sign"),
    ],
)
def test_parameters_travel_apart(db: Postgres, sql: str, params: object) -> None:
    """Placeholders take values from a sequence or a mapping."""
    assert db.scalar(sql, params) == 3  # type: ignore[arg-type]


def test_a_parameter_is_never_sql(db: Postgres) -> None:
    """A value that looks like SQL stays a value."""
    assert db.scalar("select %s::text", ["'; drop table app.facts; --"]) == "'; drop table app.facts; --"


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        pytest.param("select %s", (), id="too few"),
        pytest.param("select %s", (1, 2), id="too many"),
        pytest.param("select %(a)s", {"b": 1}, id="unknown key"),
        pytest.param("select %(a)s", (1,), id="key with a sequence"),
        pytest.param("select 5 % 2 + %s", (1,), id="single percent sign"),
    ],
)
def test_parameters_must_fit(db: Postgres, sql: str, params: object) -> None:
    """Placeholders and parameters that do not fit together are an error before anything is sent."""
    with pytest.raises(StatementFailed):
        db.scalar(sql, params)  # type: ignore[arg-type]


def test_names_become_quoted_identifiers(open_handle: Open) -> None:
    """A name in braces becomes the environment's identifier, whatever characters it has."""
    db = open_handle(names={"facts": "app.facts", "label": "label", "odd": 'a"b'})
    assert db.scalar("select {label} from {facts} where id = %s", [7]) == "label 7"
    assert db.row("select 1 as {odd}") == {'a"b': 1}


def test_unknown_name_offers_the_nearest(open_handle: Open) -> None:
    """A name that no runbook declares is an error with the nearest declared one."""
    db = open_handle(names={"sessions": "app.facts"})
    with pytest.raises(CheckpointError, match=r"\{session\}.*did you mean \{sessions\}"):
        db.scalar("select count(*) from {session}")


def test_missing_objects_are_named(db: Postgres) -> None:
    """A missing table, column or function is a missing object, with the server's words."""
    for sql in ("select 1 from app.nowhere", "select nothing from app.facts", "select app.nothing(1)"):
        with pytest.raises(MissingObject, match="does not exist"):
            db.scalar(sql)


def test_large_results_are_streamed(db: Postgres, evidence: list[Evidence]) -> None:
    """A large result is read in portions; evidence has its first rows and its size."""
    total = sum(row["n"] for row in db.stream("select n from generate_series(1, %s) n", [12_345]))
    assert total == 12_345 * 12_346 // 2
    assert evidence[-1].answer.splitlines()[-1] == "12,345 rows read in all"


def test_a_stream_can_be_left(db: Postgres) -> None:
    """Other questions can be asked while a stream is open, and a stream need not be read to its end."""
    stream = db.stream("select n from generate_series(1, 100000) n")
    assert next(stream) == {"n": 1}
    assert db.scalar("select 1") == 1
    stream.close()


def test_plan_has_the_servers_own_time(db: Postgres) -> None:
    """Explaining with analyze runs the statement and has its time, not that of each node; without, none."""
    sql = "select count(*) from app.facts where id > %s"
    planned, run = db.explain(sql, [5]), db.explain(sql, [5], analyze=True)
    assert planned.execution_ms is None
    assert run.execution_ms is not None
    assert run.execution_ms > 0
    assert "Actual Rows" in run.root
    assert "Actual Total Time" not in run.root
    assert run.node_types[0] == "Aggregate"
    assert "on facts" in run.text


def test_evidence_tells_question_and_answer(open_handle: Open, evidence: list[Evidence]) -> None:
    """Evidence has the statement, its parameters, the answer, the time it took, and where it came from."""
    db = open_handle(user="observer")
    db.rows("select id, label from app.facts where id = %s", [3])
    seen = evidence[-1]
    assert seen.kind == "query"
    assert seen.source == f"laboratory.postgres (observer@127.0.0.1:{db.address.port}/laboratory)"
    assert "where id = $1" in seen.asked
    assert "$1 = 3" in seen.asked
    assert seen.answer.splitlines() == ["id | label", "3 | label 3", "(1 row)"]
    assert seen.seconds > 0
    assert not seen.truncated


def test_evidence_is_bounded(db: Postgres, evidence: list[Evidence]) -> None:
    """Of a long answer evidence keeps the first and the last lines, and says how many it leaves out."""
    db.column("select generate_series(1, 1000)")
    lines = evidence[-1].answer.splitlines()
    assert len(lines) == 20
    assert lines[:2] == ["generate_series", "1"]
    assert lines[-2:] == ["1000", "(1,000 rows)"]
    assert "983 lines left out" in evidence[-1].answer
    assert evidence[-1].truncated


def test_failures_leave_evidence(db: Postgres, evidence: list[Evidence]) -> None:
    """A statement that fails or is refused leaves evidence too."""
    with pytest.raises(StatementFailed):
        db.scalar("select 1 / 0")
    assert "division by zero" in evidence[-1].answer


def test_secrets_do_not_reach_evidence(open_handle: Open, evidence: list[Evidence]) -> None:
    """Question and answer are redacted."""
    db = open_handle(redact=lambda text: text.replace("hunter2", "[redacted]"))
    db.scalar("select %s::text || '!'", ["hunter2"])
    assert "hunter2" not in evidence[-1].asked + evidence[-1].answer
    assert "[redacted]!" in evidence[-1].answer


def test_the_server_knows_who_asks(open_handle: Open) -> None:
    """The application name says signoff, its version, and what the connection is for."""
    db = open_handle(label="run 1a2b")
    name = db.scalar("select application_name from pg_stat_activity where pid = pg_backend_pid()")
    assert name.startswith("signoff/")
    assert name.endswith(" run 1a2b")


def test_version_and_identity(db: Postgres, open_handle: Open, laboratory: Laboratory) -> None:
    """Version and system identifier are those of the server; a standby has the identity of its primary."""
    assert db.server_version == int(db.scalar("show server_version_num"))
    replica = open_handle(address=laboratory.address(replica=True))
    assert replica.scalar("select pg_is_in_recovery()")
    assert replica.system_identifier == db.system_identifier
