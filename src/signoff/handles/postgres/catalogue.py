"""What a statement can reach, looked up in the server's own catalogue.

A read-only transaction does not stop functions: they end sessions, take locks, notify, read files. So every
name in a statement that could call a function is looked up, in all its overloads, and so is what is reached
without a name: the definitions of views, row security policies, the bodies of functions in SQL and PL/pgSQL,
and the functions behind operators, casts, domains and aggregates. All must be known to read only.

The server itself could say exactly which functions a statement calls, but only by writing its parse tree into
its log, or after it has begun to run them, because planning evaluates functions. Names are coarser, and safe:
of two objects with one name, both are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from signoff.handles.postgres import catalogue_queries as queries
from signoff.handles.postgres.connection import Answer
from signoff.handles.postgres.mentions import hides_names, mentions
from signoff.handles.postgres.reviewed import EXTENSIONS, READING, REFUSED
from signoff.handles.postgres.statement import Statement, bind

Fetch: TypeAlias = Callable[[Sequence[Statement]], list[Answer]]
"""Runs statements of ours in a read-only transaction."""

ROUNDS: Final = 30
"""Views on views on views: what is nested deeper is refused."""


@dataclass(frozen=True)
class _Function:
    """A row of `catalogue_queries.FUNCTIONS`.

    Attributes:
        hidden: reached without its name.
        definition: its whole definition, for languages whose bodies are SQL; else empty.
        support: functions behind an aggregate.
        types: types of its arguments and results.
    """

    oid: int
    schema: str
    name: str
    hidden: bool
    volatile: bool
    aggregate: bool
    language: str
    extension: str | None
    definition: str
    support: list[int]
    types: list[int]

    def reason_to_refuse(self) -> str | None:
        """Why calling it is not known to read only, its body left aside."""
        if self.aggregate:
            return None
        reviewed = EXTENSIONS.get(self.extension or "")
        if self.volatile and not (reviewed is not None and self.name in reviewed):
            return "is declared VOLATILE; if it only reads, declare it STABLE"
        if self.definition:
            return self._reason_in_body()
        if self.language not in {"c", "internal"}:
            return f"is written in {self.language}, which is not searched"
        # What an extension puts behind operators and casts computes; what it offers by name may do more.
        if reviewed is None and not (self.hidden and self.extension):
            origin = f"of the extension {self.extension}" if self.extension else "of no extension"
            return f"is written in C and {origin}, which was not reviewed"
        return None

    def _reason_in_body(self) -> str | None:
        if self.language == "plpgsql" and "execute" in mentions([self.definition]).words:
            return "runs SQL that it makes up (EXECUTE)"
        return None


@dataclass
class _Frontier:
    """What was reached and not yet looked at."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    functions: set[int] = field(default_factory=set)
    types: set[int] = field(default_factory=set)

    def is_empty(self) -> bool:
        return not (self.texts or self.functions or self.types)


class Catalogue:
    """The catalogue of one database, seen through one connection.

    Verdicts are kept until a transaction ends somewhere: only then can the catalogue have changed.
    """

    def __init__(self) -> None:
        self._snapshot = ""
        self._verdicts: dict[tuple[str, tuple[str, ...] | None], str | None] = {}
        self._views: dict[int, str | None] = {}

    def reason_to_refuse(
        self, statement: str, *, fetch: Fetch, snapshot: str, schemas: Sequence[str] | None
    ) -> str | None:
        """Why what a statement reaches is not known to read only; ``None`` if it is.

        Args:
            statement: as it will be sent.
            fetch: asks the server, with ``pg_catalog`` first in the search path.
            snapshot: what ``pg_current_snapshot()`` says.
            schemas: the schemas that are searched for names without a schema; ``None`` for all there are.
        """
        if snapshot != self._snapshot:
            self._verdicts.clear()
            self._snapshot = snapshot
        key = (statement, None if schemas is None else tuple(schemas))
        if key not in self._verdicts:
            search = _Search(fetch, schemas=schemas, views=self._views)
            self._verdicts[key] = search.reason_to_refuse("", statement)
        return self._verdicts[key]


class _Search:
    """One walk from a text to everything that it reaches.

    Args:
        fetch: asks the server.
        schemas: the schemas to search; ``None`` for all.
        views: what is known of the views that ``initdb`` made; added to.
        system: only objects that ``initdb`` made can be reached, as from a view that it made.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        schemas: Sequence[str] | None,
        views: dict[int, str | None],
        system: bool = False,
    ) -> None:
        self._fetch = fetch
        self._schemas = None if schemas is None else list(schemas)
        self._views = views
        self._system = system
        self._seen: set[tuple[str, int]] = set()

    def reason_to_refuse(self, label: str, text: str) -> str | None:
        """Walk from a text; the label says in messages whose text it is."""
        frontier = _Frontier(texts=[(label, text)])
        for _ in range(ROUNDS):
            if frontier.is_empty():
                return None
            reason, frontier = self._step(frontier)
            if reason:
                return reason
        return f"it reaches views or functions nested more than {ROUNDS} deep"

    def _step(self, frontier: _Frontier) -> tuple[str | None, _Frontier]:
        for label, text in frontier.texts:
            if hides_names(text):
                return f'{label or "it"} may spell names with Unicode escapes (U&"…")', frontier
        answers = self._ask(frontier)
        reached = _Frontier()
        reason = (
            self._check_built_in(answers[queries.BUILT_IN_FUNCTIONS], frontier.texts)
            or self._follow_relations(answers[queries.RELATIONS], reached)
            or self._follow_functions(answers[queries.FUNCTIONS], frontier.texts, reached)
        )
        self._follow_types(answers[queries.TYPES], reached)
        reached.functions |= self._new("function", (row[0] for row in answers[queries.AMBIENT].rows))
        return reason, reached

    def _ask(self, frontier: _Frontier) -> dict[str, Answer]:
        found = mentions(text for _, text in frontier.texts)
        parameters = {
            "words": sorted(found.words),
            "called": sorted(found.called),
            "dotted": sorted(found.dotted),
            "text": "\n".join(text for _, text in frontier.texts),
            "odd": found.odd,
            "schemas": self._schemas,
            "functions": [str(oid) for oid in sorted(frontier.functions)],
            "types": [str(oid) for oid in sorted(frontier.types)],
            "views": [str(oid) for oid in sorted(self._views)],
            "system": self._system,
        }
        texts, functions, types = map(bool, (frontier.texts, frontier.functions, frontier.types))
        needed = {
            queries.BUILT_IN_FUNCTIONS: texts or functions,
            queries.RELATIONS: texts,
            queries.FUNCTIONS: not self._system and (texts or functions),
            queries.TYPES: not self._system and (texts or types),
            queries.AMBIENT: not self._system and texts,
        }
        questions = [question for question, is_needed in needed.items() if is_needed]
        answers = self._fetch([bind(question, parameters) for question in questions])
        return dict.fromkeys(needed, Answer((), [], 0)) | dict(zip(questions, answers, strict=True))

    def _check_built_in(self, answer: Answer, texts: Sequence[tuple[str, str]]) -> str | None:
        for name, volatile in answer.rows:
            if name in REFUSED:
                return f"{_caller(name, texts)} calls {name}(), which {REFUSED[name]}"
            if volatile and name not in READING:
                return f"{_caller(name, texts)} calls {name}(), which is VOLATILE and was not reviewed"
        return None

    def _follow_relations(self, answer: Answer, reached: _Frontier) -> str | None:
        for oid, schema, name, foreign, definition, types in answer.rows:
            if foreign:
                return f"it reads {schema}.{name}, or a table above it, which is a foreign table"
            label = f"{schema}.{name}"
            if oid < queries.FIRST_NORMAL_OID:
                reason = (
                    self._views[oid]
                    if oid in self._views
                    else self._check_system_view(oid, label, definition)
                )
                if reason:
                    return reason
            elif self._new("relation", [oid]):
                reached.types |= self._new_types(types)
                if definition:
                    reached.texts.append((label, definition))
        return None

    def _check_system_view(self, oid: int, label: str, definition: str) -> str | None:
        # Known from here on, so that a view that leads to itself does not either.
        self._views[oid] = None
        if definition:
            search = _Search(self._fetch, schemas=None, views=self._views, system=True)
            self._views[oid] = search.reason_to_refuse(label, definition)
        return self._views[oid]

    def _follow_types(self, answer: Answer, reached: _Frontier) -> None:
        for oid, inner, checks, functions in answer.rows:
            self._new("type", [oid])
            reached.types |= self._new_types(inner)
            reached.functions |= self._new("function", functions)
            if checks and self._new("domain", [oid]):
                reached.texts.append(("a domain", checks))

    def _follow_functions(
        self, answer: Answer, texts: Sequence[tuple[str, str]], reached: _Frontier
    ) -> str | None:
        for row in answer.rows:
            function = _Function(*row)
            label = f"{function.schema}.{function.name}"
            reason = function.reason_to_refuse()
            if reason:
                hidden = function.hidden and "an operator, a cast, a type or an aggregate that it can reach"
                return f"{hidden or _caller(function.name, texts)} calls {label}(), which {reason}"
            self._new("function", [function.oid])
            reached.types |= self._new_types(function.types)
            reached.functions |= self._new("function", function.support)
            if function.definition and self._new("body", [function.oid]):
                reached.texts.append((label, function.definition))
        return None

    def _new(self, kind: str, oids: Iterable[int]) -> set[int]:
        """Those ids of a kind of object that were not seen before; now they are."""
        new = {oid for oid in oids if oid and (kind, oid) not in self._seen}
        self._seen |= {(kind, oid) for oid in new}
        return new

    def _new_types(self, oids: Iterable[int]) -> set[int]:
        return self._new("type", (oid for oid in oids if oid >= queries.FIRST_NORMAL_OID))


def _caller(name: str, texts: Sequence[tuple[str, str]]) -> str:
    for label, text in texts:
        found = mentions([text])
        if name in found.words:
            return label or "it"
    return "it"
