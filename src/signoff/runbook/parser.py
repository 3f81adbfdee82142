"""Reading runbooks: Markdown to :class:`~signoff.runbook.model.Runbook`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from signoff.errors import RunbookError
from signoff.runbook.front_matter import FrontMatter, nearest, refuse
from signoff.runbook.model import Block, Checkpoint, Runbook, Stage

if TYPE_CHECKING:
    from markdown_it.token import Token

_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,9}-[0-9]+(?:\.[0-9]+)*")
_CHECKBOX: Final = re.compile(r"\[ \] \*\*(?P<id>[^*]+)\*\* (?P<text>.+)", re.DOTALL)
_LOOKS_LIKE_CHECKPOINT: Final = re.compile(rf"\[.?\]|\*\*{_ID.pattern}\*\*")
_STAGE_CLASSES: Final = frozenset({"transitional"})
_CHECKPOINT_CLASSES: Final = frozenset({"manual", "rollback"})
_CHECKPOINT_KEYS: Final = frozenset({"role", "covers"})


def load_runbooks(directory: Path) -> tuple[Runbook, ...]:
    """Read every ``<directory>/<name>/runbook.md``, in the order of their names.

    Raises:
        RunbookError: a document is not valid, there is none, or an id stands in two places.
    """
    runbooks = tuple(load_runbook(path) for path in sorted(directory.glob("*/runbook.md")))
    if not runbooks:
        raise RunbookError(
            str(directory),
            got="no runbook",
            expected="folders that hold a runbook.md",
            next_step="Run from the root of the suite, or set testpaths in pyproject.toml.",
        )
    seen: dict[str, tuple[Path, int]] = {}
    for runbook in runbooks:
        for checkpoint in runbook.checkpoints:
            for id_ in (checkpoint.id, *checkpoint.covers):
                if id_ in seen:
                    raise RunbookError(
                        f"{runbook.path}:{checkpoint.line}",
                        got=f"{id_}, which stands at {seen[id_][0]}:{seen[id_][1]} already",
                        expected="each id once over all runbooks",
                        next_step="Number this checkpoint anew, or remove the id from its covers list.",
                    )
                seen[id_] = (runbook.path, checkpoint.line)
    return runbooks


def load_runbook(path: Path) -> Runbook:
    """Read one runbook.

    Raises:
        RunbookError: it cannot be read or is not valid; the subject names file and line.
    """
    try:
        raw = path.read_bytes()
        source = raw.decode("utf-8")
    except OSError as error:
        raise RunbookError(
            str(path),
            got=error.strerror or type(error).__name__,
            expected="a readable runbook",
            next_step="Restore the file.",
        ) from error
    except UnicodeDecodeError as error:
        raise RunbookError(
            str(path),
            got=f"a byte that is not UTF-8 at offset {error.start}",
            expected="UTF-8 text",
            next_step="Save the file as UTF-8.",
        ) from error
    return _Parser(path, source).parse(hashlib.sha256(raw).hexdigest())


class _Parser:
    """Walks the Markdown tokens of one document once, from top to bottom."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._lines = source.splitlines()
        self._source = source
        self._stages: list[tuple[str, str, bool, list[Checkpoint]]] = []
        self._in_stage = False
        self._blocks: list[Block] = []

    def parse(self, sha256: str) -> Runbook:
        # Imported here: a run that needs no runbook (pytest --version) should not pay for it.
        from markdown_it import MarkdownIt  # noqa: PLC0415 - see above
        from mdit_py_plugins.front_matter import front_matter_plugin  # noqa: PLC0415 - see above

        # The text of a line is all that is needed here; what it contains is for the report to render.
        markdown = MarkdownIt("commonmark").enable("table").disable("inline").use(front_matter_plugin)
        tokens = markdown.parse(self._source)
        if not tokens or tokens[0].type != "front_matter":
            self._refuse(
                1,
                got="no front matter",
                expected="a YAML block between --- lines that names title, system and owner",
                next_step="See docs/author.md.",
            )
        head = FrontMatter(self._path, tokens[0].content)
        for group in _top_level(tokens):
            self._block(group)
        if not any(checkpoints for *_, checkpoints in self._stages):
            self._refuse(1, got="no checkpoint", expected="stages with checkboxes", next_step="Add them.")
        return Runbook(
            name=self._path.parent.name,
            path=self._path,
            title=head.text("title"),
            system=head.text("system"),
            owner=head.text("owner"),
            sign_off_roles=head.list("sign_off"),
            rollback_decided_by=head.text("rollback_decided_by"),
            names=head.texts("names"),
            settings=head.settings(),
            artifacts=head.texts("artifacts"),
            procedures=head.texts("procedures"),
            roles=head.texts("roles"),
            stages=tuple(
                Stage(id_, title, transitional, tuple(checkpoints))
                for id_, title, transitional, checkpoints in self._stages
            ),
            blocks=tuple(self._blocks),
            sha256=sha256,
        )

    def _refuse(self, line: int, *, got: str, expected: str, next_step: str) -> NoReturn:
        refuse(self._path, line, got=got, expected=expected, next_step=next_step)

    # Body

    def _block(self, group: list[Token]) -> None:
        first = group[0]
        if first.type == "front_matter":
            return
        if first.type == "heading_open":
            self._heading(first, group[1])
            return
        if first.type == "bullet_list_open" and any(
            token.type == "inline" and _LOOKS_LIKE_CHECKPOINT.match(token.content) for token in group
        ):
            for item in _items(group):
                self._item(item)
            return
        for token in group:
            if token.type == "inline" and _CHECKBOX.match(token.content):
                self._refuse(
                    _line(token),
                    got=f"a checkpoint outside a bullet list: {_shorten(token.content)}",
                    expected="`- [ ] **ID** text`",
                    next_step="Make it a top-level bullet.",
                )
        start, end = first.map or (0, 0)
        self._blocks.append(Block("prose", "\n".join(self._lines[start:end]).strip("\n"), stage=self._stage))

    @property
    def _stage(self) -> str:
        return self._stages[-1][0] if self._in_stage else ""

    def _heading(self, opening: Token, inline: Token) -> None:
        level = int(opening.tag[1:])
        text, attributes = self._attributes(inline.content, _line(opening))
        classes = set(attributes.get("class", "").split())
        unknown = (classes - _STAGE_CLASSES) | (set(attributes) - {"id", "class"})
        if unknown:
            self._refuse(
                _line(opening),
                got=f"the unknown attribute {min(unknown)!r}",
                expected="`{#id}` or `{#id .transitional}`",
                next_step="Correct the heading.",
            )
        if attributes and (level != 2 or "id" not in attributes):  # noqa: PLR2004 - stages are `##` headings
            self._refuse(
                _line(opening),
                got=f"a level {level} heading with attributes {attributes}",
                expected="a stage as `## Title {#id}`",
                next_step="Give attributes to `##` headings only, with an id.",
            )
        if level <= 2:  # noqa: PLR2004 - see above
            self._in_stage = "id" in attributes
        if "id" in attributes:
            if any(id_ == attributes["id"] for id_, *_ in self._stages):
                self._refuse(
                    _line(opening),
                    got=f"the stage {attributes['id']!r} for the second time",
                    expected="each stage id once in a runbook",
                    next_step="Rename one of them.",
                )
            self._stages.append((attributes["id"], text, "transitional" in classes, []))
        self._blocks.append(Block("heading", text, level, self._stage))

    def _item(self, item: list[Token]) -> None:
        inline = next((token for token in item if token.type == "inline"), None)
        line = _line(item[0])
        nested = any(token.type in {"bullet_list_open", "ordered_list_open"} for token in item)
        match = _CHECKBOX.fullmatch(inline.content) if inline is not None and not nested else None
        if match is None or inline is None:
            self._refuse(
                line,
                got=f"a broken checkbox: {_shorten(inline.content if inline else '')}",
                expected="`- [ ] **ID** text {attributes}` without a nested list",
                next_step="Correct the line; results are ticked in the report, not in the runbook.",
            )
        if not self._in_stage:
            self._refuse(
                line,
                got=f"{match['id']} outside a stage",
                expected="every checkpoint below a `## Title {#id}` heading",
                next_step="Give the heading above it an id.",
            )
        if not _ID.fullmatch(match["id"]):
            self._refuse(
                line,
                got=f"the id {match['id']!r}",
                expected="an id such as SEC-021 or SNP-4.2",
                next_step="Correct the id.",
            )
        text, attributes = self._attributes(match["text"], line)
        self._append(match["id"], text, attributes, line)

    def _append(self, id_: str, text: str, attributes: dict[str, str], line: int) -> None:
        classes = set(attributes.pop("class", "").split())
        unknown = (classes - _CHECKPOINT_CLASSES) | (set(attributes) - _CHECKPOINT_KEYS)
        if unknown:
            allowed = [*sorted(_CHECKPOINT_CLASSES), *sorted(_CHECKPOINT_KEYS)]
            self._refuse(
                line,
                got=f"{id_} with the unknown attribute {min(unknown)!r}",
                expected="one of " + ", ".join(allowed),
                next_step=nearest(min(unknown), allowed),
            )
        if ("manual" in classes) != bool(attributes.get("role")):
            self._refuse(
                line,
                got=f"{id_} with attributes {sorted(classes | set(attributes))}",
                expected='`.manual` and `role="…"` together',
                next_step="Name the role that attests the checkpoint.",
            )
        covers = tuple(attributes.get("covers", "").split())
        for covered in covers:
            if not _ID.fullmatch(covered):
                self._refuse(
                    line,
                    got=f"{id_} covers {covered!r}",
                    expected="ids separated by spaces",
                    next_step="Correct the covers list.",
                )
        stage = self._stages[-1]
        stage[3].append(
            Checkpoint(
                id=id_,
                text=text,
                stage=stage[0],
                line=line,
                covers=covers,
                rollback="rollback" in classes,
                manual_role=attributes.get("role", ""),
            )
        )
        self._blocks.append(Block("checkpoint", id_, stage=stage[0]))

    def _attributes(self, content: str, line: int) -> tuple[str, dict[str, str]]:
        """Split ``text {attributes}``; a text without braces at its end has none."""
        text = " ".join(content.split())
        start = text.rfind("{")
        if start < 0 or not text.endswith("}"):
            return text, {}
        from mdit_py_plugins.attrs.parse import ParseError, parse  # noqa: PLC0415 - as in parse()

        try:
            end, attributes = parse(text[start:])
        except ParseError:
            end, attributes = -1, {}
        if end != len(text) - start - 1:
            self._refuse(
                line,
                got=f"attributes that cannot be read: {text[start:]}",
                expected='`{#id .class key="value"}`',
                next_step="Correct the braces at the end of the line.",
            )
        return text[:start].rstrip(), {key: str(value) for key, value in attributes.items()}


def _top_level(tokens: list[Token]) -> Iterator[list[Token]]:
    """Group tokens into the top-level blocks of the document."""
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []


def _items(group: list[Token]) -> Iterator[list[Token]]:
    """The items of the outermost list of a group."""
    item: list[Token] = []
    for token in group[1:-1]:
        item.append(token)
        if token.type == "list_item_close" and token.level == 1:
            yield item
            item = []


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1


def _shorten(text: str, width: int = 60) -> str:
    return repr(text if len(text) <= width else text[: width - 1] + "…")
