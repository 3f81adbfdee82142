"""Which statements only read: a closed list of statement kinds and of syntax, everything else refused.

The parser is not PostgreSQL's own, so nothing rests on it alone: what it lets through by mistake still runs
in a read-only transaction, through the extended protocol, which takes one statement only. What a read-only
transaction would let through is reached by functions, and those `signoff.handles.postgres.catalogue` looks
up by every name in the text, however the text is parsed.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from signoff.errors import StatementRefused
from signoff.handles.postgres.connection import shortened

QUERIES: Final = ("SELECT", "WITH", "VALUES", "TABLE")
"""The words with which a query begins; beside queries, SHOW and EXPLAIN of a query read only."""

# `walk` also visits functions, operators and predicates, which derive from the first three.
_SYNTAX: Final[tuple[type[exp.Expr], ...]] = (
    exp.Func,
    exp.Binary,
    exp.Unary,
    exp.Alias,
    exp.Aliases,
    exp.All,
    exp.Any,
    exp.AtTimeZone,
    exp.Between,
    exp.BitString,
    exp.Boolean,
    exp.Bracket,
    exp.ByteString,
    exp.Column,
    exp.ColumnConstraint,
    exp.ColumnDef,
    exp.CTE,
    exp.Cube,
    exp.DataType,
    exp.DataTypeParam,
    exp.Distinct,
    exp.Except,
    exp.Fetch,
    exp.Filter,
    exp.From,
    exp.Group,
    exp.GroupingSets,
    exp.Having,
    exp.HexString,
    exp.Identifier,
    exp.IgnoreNulls,
    exp.In,
    exp.Intersect,
    exp.Interval,
    exp.IntervalSpan,
    exp.JSON,
    exp.JSONColumnDef,
    exp.JSONPath,
    exp.JSONPathKey,
    exp.JSONPathRoot,
    exp.JSONPathSubscript,
    exp.JSONSchema,
    exp.Join,
    exp.Lateral,
    exp.Limit,
    exp.LimitOptions,
    exp.Literal,
    exp.Null,
    exp.ObjectIdentifier,
    exp.Offset,
    exp.Order,
    exp.Ordered,
    exp.Parameter,
    exp.PathColumnConstraint,
    exp.RawString,
    exp.RespectNulls,
    exp.Rollup,
    exp.Select,
    exp.Slice,
    exp.Star,
    exp.Subquery,
    exp.Table,
    exp.TableAlias,
    exp.TableSample,
    exp.Tuple,
    exp.Union,
    exp.Values,
    exp.Var,
    exp.Variadic,
    exp.Where,
    exp.Window,
    exp.WindowSpec,
    exp.With,
    exp.WithinGroup,
)

_ROOTS: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)

_SHOW: Final = re.compile(
    r"\s*SHOW\s+"
    r"(ALL|TIME\s+ZONE|TRANSACTION\s+ISOLATION\s+LEVEL|SESSION\s+AUTHORIZATION|[a-z_][\w.]*)\s*;?\s*\Z",
    re.IGNORECASE | re.ASCII,
)

_EXPLAIN: Final = re.compile(
    r"\s*EXPLAIN(?:\s*\((?P<options>[^()]*)\)\s*|(?:\s+(?:ANALYZE|ANALYSE|VERBOSE)\b)*\s+(?=[a-z(]))",
    re.IGNORECASE | re.ASCII,
)

_EXPLAIN_OPTION: Final = re.compile(
    r"\s*(ANALYZE|ANALYSE|VERBOSE|COSTS|SETTINGS|GENERIC_PLAN|BUFFERS|SERIALIZE|WAL|TIMING|SUMMARY|MEMORY|FORMAT)"
    r"(\s+(ON|OFF|TRUE|FALSE|0|1|NONE|TEXT|BINARY|XML|JSON|YAML))?\s*",
    re.IGNORECASE | re.ASCII,
)

# The parser warns on standard error about statements that it only half understands; we refuse those.
logging.getLogger("sqlglot").addFilter(lambda record: record.levelno > logging.WARNING)


def check(statement: str) -> None:
    """Let a statement pass if it is known to read only.

    Args:
        statement: as it will be sent, parameters as ``$1``.

    Raises:
        StatementRefused: naming the statement, the reason and the way out.
    """
    reason = reason_to_refuse(statement)
    if reason:
        raise refused(statement, reason)


def refused(statement: str, reason: str) -> StatementRefused:
    """The refusal of a statement."""
    return StatementRefused(
        f"the statement {shortened(statement)}",
        got=reason,
        expected=f"under read_only, one statement that only reads ({', '.join(QUERIES)}, SHOW, EXPLAIN)",
        next_step="Ask in another way; or, if changing the system is the purpose, mark the test destructive "
        "and run it where the environment allows that.",
    )


@lru_cache(maxsize=4096)
def reason_to_refuse(statement: str) -> str | None:
    """Why a statement is not known to read only; ``None`` if it is. Nothing is asked of the server."""
    if _SHOW.match(statement):
        return None
    explain = _EXPLAIN.match(statement)
    if explain is None:
        return _reason_to_refuse_query(statement)
    options = (explain["options"] or "").split(",")
    unknown = [option for option in options if option and not _EXPLAIN_OPTION.fullmatch(option)]
    if unknown:
        return f"an EXPLAIN with the option {shortened(unknown[0])}"
    return _reason_to_refuse_query(statement[explain.end() :])


def _reason_to_refuse_query(statement: str) -> str | None:
    try:
        tokens = sqlglot.tokenize(statement, dialect="postgres")
        first = next((token for token in tokens if token.token_type is not TokenType.L_PAREN), None)
        if first is None:
            return "no statement"
        if first.text.upper() not in QUERIES or first.token_type in {TokenType.STRING, TokenType.IDENTIFIER}:
            return f"a statement that begins with {shortened(first.text)}"
        parsed = [root for root in sqlglot.parse(statement, dialect="postgres") if root is not None]
    except (SqlglotError, RecursionError) as exc:
        return f"a statement that is not understood ({_first_line(exc)})"
    if len(parsed) != 1:
        return f"{len(parsed)} statements"
    if first.token_type is TokenType.TABLE or first.text.upper() == "TABLE":
        return None if _is_table(tokens) else "a TABLE with more than a name"
    return _reason_to_refuse_tree(parsed[0])


def _reason_to_refuse_tree(root: exp.Expr) -> str | None:
    if not isinstance(root, _ROOTS):
        return f"a statement of the kind {type(root).__name__}"
    for node in root.walk():
        if not isinstance(node, _SYNTAX):
            return f"the clause {type(node).__name__} in it ({shortened(node.sql(dialect='postgres'))})"
    return None


def _is_table(tokens: list[Token]) -> bool:
    names = [token for token in tokens[1:] if token.token_type is not TokenType.SEMICOLON]
    return 1 <= len(names) <= 3 and all(  # noqa: PLR2004 - schema, dot, table
        token.token_type is TokenType.DOT
        if position % 2
        else token.token_type in {TokenType.VAR, TokenType.IDENTIFIER}
        for position, token in enumerate(names)
    )


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0][:120] if str(exc) else type(exc).__name__
