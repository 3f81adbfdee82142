"""Roles and databases: who owns what, and who may write."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack import codex_memory
from stack.credentials import create_role, password_file, write_secret

if TYPE_CHECKING:
    import psycopg

MONITOR: Final = "signoff_monitor"

COWRIE_DATABASE: Final = "cowrieprocessor"
COWRIE_OWNER: Final = "cowrie_owner"
COWRIE_APPLICATION: Final = "cowrie_app"

# For each database its owner and the role of its application.
DATABASES: Final = {
    codex_memory.DATABASE: (codex_memory.OWNER, codex_memory.APPLICATION),
    COWRIE_DATABASE: (COWRIE_OWNER, COWRIE_APPLICATION),
}


def create_roles(connection: psycopg.Connection, directory: Path) -> None:
    """Create the observer and the roles of both systems, with generated passwords in files there."""
    from psycopg import sql  # noqa: PLC0415 - imported while initdb works

    for role in (MONITOR, *(role for roles in DATABASES.values() for role in roles)):
        password = secrets.token_urlsafe(24)
        write_secret(password_file(directory, role), password)
        create_role(connection, role, password)
    connection.execute(sql.SQL("grant pg_monitor, pg_read_all_data to {}").format(sql.Identifier(MONITOR)))


def close_template(connection: psycopg.Connection) -> None:
    """Take from PUBLIC, in the database that new ones are copied from, what every role could write with.

    Args:
        connection: a superuser's, to ``template1``.
    """
    connection.execute("revoke create on schema public from public")
    # Large objects can be created by anybody in any database, unless the functions are closed.
    connection.execute(
        "revoke execute on function lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea) from public"
    )
    connection.execute("revoke all on database postgres, template1 from public")


def create_database(connection: psycopg.Connection, name: str) -> None:
    """Create a database that its owner, its application and the observer can enter, and nobody else."""
    from psycopg import sql  # noqa: PLC0415 - as above

    owner, application = DATABASES[name]
    names = {
        "database": sql.Identifier(name),
        "owner": sql.Identifier(owner),
        "application": sql.Identifier(application),
        "monitor": sql.Identifier(MONITOR),
    }
    for statement in (
        "create database {database} owner {owner}",
        "revoke all on database {database} from public",
        "grant connect on database {database} to {application}, {monitor}",
    ):
        connection.execute(sql.SQL(statement).format(**names))


def grant_application(connection: psycopg.Connection, name: str) -> None:
    """Let a database's application read and write the rows of all tables that its owner will create.

    Args:
        connection: a superuser's, to that database.
        name: of the database.
    """
    from psycopg import sql  # noqa: PLC0415 - as above

    owner, application = map(sql.Identifier, DATABASES[name])
    for objects, privileges in (("tables", "select, insert, update, delete"), ("sequences", "usage, select")):
        connection.execute(
            sql.SQL("alter default privileges for role {} grant {} on {} to {}").format(
                owner, sql.SQL(privileges), sql.SQL(objects), application
            )
        )
