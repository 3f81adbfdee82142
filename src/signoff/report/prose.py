"""The prose of a runbook as HTML that loads nothing, runs nothing and leads nowhere unseen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from signoff.report.visible import visible

_LOWEST_HEADING: Final = 6
_HEADINGS_ABOVE: Final = 2  # the verdict and the title of the runbook


def render_prose(source: str) -> Markup:
    """Markdown as HTML: HTML in it is text, images are text, addresses of links are printed in full."""
    return Markup(_markdown().render(visible(source)))  # noqa: S704 - markdown-it escapes, see above


def render_line(text: str) -> Markup:
    """One line of Markdown, for instance the text of a checkpoint, as HTML without a paragraph."""
    return Markup(_markdown().renderInline(visible(text)))  # noqa: S704 - as above


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    markdown.add_render_rule("link_open", _link_open)
    markdown.add_render_rule("link_close", _link_close)
    markdown.add_render_rule("heading_open", _heading)
    markdown.add_render_rule("heading_close", _heading)
    return markdown


def _link_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    return renderer.renderToken(tokens, index, options, {}) if _is_inside(tokens[index]) else ""


def _link_close(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    opening = next(token for token in reversed(tokens[:index]) if token.type == "link_open")
    if _is_inside(opening):
        return renderer.renderToken(tokens, index, options, {})
    if opening.info == "auto":
        return ""
    return f" ({Markup.escape(str(opening.attrGet('href')))})"


def _is_inside(opening: Token) -> bool:
    """Whether a link stays within the report; only then it is a link."""
    return str(opening.attrGet("href")).startswith("#")


def _heading(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    level = int(tokens[index].tag[1:])
    tokens[index].tag = f"h{min(level + _HEADINGS_ABOVE, _LOWEST_HEADING)}"
    return renderer.renderToken(tokens, index, options, {})
