"""Uniform random samples of a table, at a cost that does not grow with the table.

The places where a row can be are numbered: block by block, and in each block the line pointers, of which a
heap page of 8192 bytes has at most 291 (``MaxHeapTuplesPerPage``: page header 24 bytes, each row at least
24 bytes and a line pointer of 4). Places are drawn at random, all with the same probability, and those that
hold no visible row are rejected; so every row is drawn with the same probability, however full its page is.
Places that were drawn before are left out, which makes it a sample without replacement. This is acceptance-
rejection sampling as F. Olken and D. Rotem describe it for files in "Simple random sampling from relational
databases" (VLDB 1986).

``TABLESAMPLE SYSTEM`` takes whole pages, whose rows are not independent; ``TABLESAMPLE BERNOULLI`` and
``ORDER BY random()`` read the whole table.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from signoff.errors import Inconclusive, MissingObject, UnexpectedAnswer
from signoff.handles.postgres.connection import Answer, Row
from signoff.handles.postgres.statement import Statement, quote

Run: TypeAlias = Callable[[Statement], Answer]
"""Runs a statement; all of them within one transaction of one snapshot."""

SMALL_BLOCKS: Final = 1000
"""A table of at most so many blocks (8 MiB) is read whole: drawing would not be cheaper."""

DRAWS_FOR_A_ROW: Final = 400
"""Places drawn for each wanted row before giving up: on the average page at least one row must be visible."""

BATCH: Final = 10_000
"""Places asked for in one statement."""

_FIRST_GUESS: Final = 8.0
_MARGIN: Final = 1.1

_PAGE_HEADER: Final = 24
_LEAST_ROW: Final = 28

_KINDS: Final = {"p": "a partitioned table", "v": "a view", "f": "a foreign table", "S": "a sequence"}

_TABLE: Final = """
SELECT c.relkind::text, coalesce(m.amname::text, ''),
    EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid),
    pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::int8,
    current_setting('block_size')::int4,
    -- With a sequential scan the cost would grow with the table; the planner may prefer one for many places.
    set_config('enable_seqscan', 'off', true)
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE c.oid = to_regclass($1)
"""


@dataclass(frozen=True)
class Sample:
    """A sample and how it came about.

    Attributes:
        columns: names of the columns.
        rows: the rows, in the order in which they were drawn.
        method: one sentence.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    method: str


def selection(table: str, columns: Sequence[str]) -> str:
    """The statement with which rows are fetched from their places."""
    names = ", ".join(quote(column) for column in columns)
    return f"SELECT ctid::text, {names} FROM ONLY {quote(table)} WHERE ctid = ANY ($1::text[]::tid[])"  # noqa: S608


def draw(run: Run, table: str, columns: Sequence[str], *, size: int, seed: int) -> Sample:
    """Draw a sample without replacement.

    Args:
        run: runs a statement.
        table: identifier of an ordinary table or a materialised view, qualified or not.
        columns: identifiers of the columns.
        size: number of rows; a smaller table is returned whole.
        seed: of the random generator; the same table, seed and size give the same sample.

    Raises:
        MissingObject: there is no such table.
        UnexpectedAnswer: it is of a kind that has no places.
        Inconclusive: the table is so empty that too many places would have to be drawn.
    """
    answer = run(Statement(_TABLE, (quote(table),)))
    if not answer.rows:
        raise MissingObject(
            f"the table {table}",
            got="no such relation",
            expected="a table",
            next_step="Correct the name, or give it in the profile's names.",
        )
    kind, method, has_children, blocks, block_size, _ = answer.rows[0]
    _check_kind(table, kind, method, has_children=has_children)
    chance = random.Random(seed)  # noqa: S311 - drawn so that it can be drawn again
    statement = selection(table, columns)
    if blocks <= SMALL_BLOCKS:
        rows, method = _draw_rows(run, table, statement, size, chance)
    else:
        places = _Places(blocks, (block_size - _PAGE_HEADER) // _LEAST_ROW, chance)
        rows, method = _draw_places(run, table, statement, size, places)
    return Sample(tuple(columns), rows, f"{method}, seed {seed}")


def _check_kind(table: str, kind: str, method: str, *, has_children: bool) -> None:
    got = _KINDS.get(kind, "")
    if kind in {"r", "m"} and method != "heap":
        got = f"a table of the access method {method}"
    elif has_children:
        got = "a table that others inherit from"
    if got:
        raise UnexpectedAnswer(
            f"the table {table}",
            got=got,
            expected="an ordinary table or a materialised view",
            next_step="Sample the tables that hold its rows.",
        )


def _draw_rows(
    run: Run, table: str, statement: str, size: int, chance: random.Random
) -> tuple[list[Row], str]:
    every = [row[0] for row in run(Statement(f"SELECT ctid::text FROM ONLY {quote(table)}", ())).rows]  # noqa: S608
    chosen = chance.sample(every, min(size, len(every)))
    by_place = {row[0]: row[1:] for row in run(Statement(statement, (chosen,))).rows}
    rows = [by_place[place] for place in chosen]
    return rows, f"uniform sample of {len(rows):,} of all {len(every):,} rows"


class _Places:
    """Places for rows, drawn at random, each at most once.

    Args:
        blocks: number of blocks.
        in_block: places in each.
        chance: the random generator.
    """

    def __init__(self, blocks: int, in_block: int, chance: random.Random) -> None:
        self._blocks = blocks
        self._in_block = in_block
        self._chance = chance
        self.drawn: set[str] = set()
        self.total = blocks * in_block

    def draw(self, count: int) -> list[str]:
        """So many places that were not drawn before."""
        places: list[str] = []
        while len(places) < count:
            number = self._chance.randrange(self.total)
            place = f"({number // self._in_block},{number % self._in_block + 1})"
            if place not in self.drawn:
                self.drawn.add(place)
                places.append(place)
        return places


def _draw_places(run: Run, table: str, statement: str, size: int, places: _Places) -> tuple[list[Row], str]:
    # Of half of all places, chance still finds those not drawn before without many attempts.
    most = min(DRAWS_FOR_A_ROW * size, places.total // 2)
    rows: list[Row] = []
    while len(rows) < size:
        drawn = len(places.drawn)
        for_a_row = drawn / len(rows) if rows else _FIRST_GUESS
        count = min(BATCH, most - drawn, int((size - len(rows)) * for_a_row * _MARGIN) + 1)
        if count <= 0:
            raise Inconclusive(
                f"a sample of the table {table}",
                got=f"{len(rows):,} rows in {drawn:,} places",
                expected=f"{size:,} rows",
                next_step="Most of the table is empty: VACUUM FULL it, or ask for fewer rows.",
            )
        batch = places.draw(count)
        by_place = {row[0]: row[1:] for row in run(Statement(statement, (batch,))).rows}
        # The order of drawing decides which rows belong to the sample, not the order of the answer.
        rows += [by_place[place] for place in batch if place in by_place]
    text = f"uniform sample of {size:,} rows from {len(places.drawn):,} of {places.total:,} places drawn"
    return rows[:size], text
