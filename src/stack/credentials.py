"""Passwords: on disk for their owner only, and never on the wire or in a log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


def write_secret(path: Path, content: str) -> None:
    """Write a new file that nobody but its owner can read, not even while it is written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)


def password_file(directory: Path, role: str) -> Path:
    """Where the password of a role is."""
    return directory / f"{role}.password"


def create_role(connection: psycopg.Connection, name: str, password: str, attributes: str = "") -> None:
    """Create a role that may log in.

    Args:
        connection: a superuser's.
        name: of the role.
        password: in clear; only its SCRAM verifier is sent, so that no server log can hold it.
        attributes: further attributes of the role, as SQL.
    """
    from psycopg import sql  # noqa: PLC0415 - imported while initdb works

    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("create role {} login {} password {}").format(
            sql.Identifier(name), sql.SQL(attributes), sql.Literal(verifier)
        )
    )
