"""What the credentials of an observer could write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from selftest.handles.conftest import Open


@pytest.fixture
def clean(superuser: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """Takes from everybody what PostgreSQL grants to everybody."""
    superuser.execute("revoke temporary on database laboratory from public")
    superuser.execute("revoke create on schema public from public")
    yield superuser
    superuser.execute("grant temporary on database laboratory to public")


@pytest.mark.usefixtures("clean")
def test_a_clean_observer_could_write_nothing(open_handle: Open) -> None:
    """Of a role that may only read nothing is reported."""
    assert open_handle(user="observer").write_privileges() == []


def test_a_superuser_is_named(open_handle: Open) -> None:
    """Of a superuser that alone is said."""
    assert open_handle().write_privileges() == ["superuser"]


def test_what_everybody_may_do_is_reported(open_handle: Open) -> None:
    """Temporary tables, which PostgreSQL grants to everybody, are reported."""
    assert "TEMPORARY on database laboratory" in open_handle(user="observer").write_privileges()


@pytest.mark.parametrize(
    ("grant", "line"),
    [
        ("insert on app.facts", "INSERT on table app.facts"),
        ("update (label) on app.facts", "UPDATE on table app.facts"),
        ("create on schema app", "CREATE on schema app"),
        ("usage on sequence app.numbers", "USAGE on sequence app.numbers"),
        ("pg_write_all_data", "membership in pg_write_all_data"),
        ("pg_signal_backend", "membership in pg_signal_backend"),
    ],
)
def test_each_grant_that_lets_write_is_reported(
    open_handle: Open, clean: psycopg.Connection[Any], grant: str, line: str
) -> None:
    """Each kind of privilege with which the observer could write is a line of its own."""
    clean.execute(f"grant {grant} to observer")
    try:
        assert line in open_handle(user="observer").write_privileges()
    finally:
        clean.execute(f"revoke {grant} from observer")


@pytest.mark.parametrize("attribute", ["createrole", "createdb", "replication"])
def test_each_attribute_that_lets_write_is_reported(
    open_handle: Open, clean: psycopg.Connection[Any], attribute: str
) -> None:
    """Each attribute of the role that goes beyond reading is a line of its own."""
    clean.execute(f"alter role observer {attribute}")
    try:
        assert attribute.upper() in open_handle(user="observer").write_privileges()
    finally:
        clean.execute(f"alter role observer no{attribute}")


def test_a_function_with_the_rights_of_its_owner_is_reported(
    open_handle: Open, clean: psycopg.Connection[Any]
) -> None:
    """A volatile function that runs with its owner's rights is a way to write."""
    clean.execute("alter function app.write_fact security definer")
    try:
        lines = open_handle(user="observer").write_privileges()
        assert lines == ["EXECUTE on security definer function app.write_fact()"]
    finally:
        clean.execute("alter function app.write_fact security invoker")
